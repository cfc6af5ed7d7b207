// Where the ridges stand: one column a layer, one row a neuron, and above them the layer in one shape. All in
// pixels, but for what is said to be in prior sds.

/** @typedef {{ column: number, row: number }} Ridge */
/** @typedef {{ low: number, high: number }} Axis */
/** @typedef {Pick<CanvasRenderingContext2D, "beginPath" | "moveTo" | "lineTo">} Path */

export const PEAK_ROWS = 5 // a ridge is at most this many rows high
export const LANE = 98 // above the ridges: titles and the typical neuron
export const TYPICAL = LANE - 6 // where the typical neuron stands
export const LABELS = 54 // left of a column, for the neurons' names
const MARGIN = 12 // right of a column
export const HEADING = 26 // above the lane for the runs' names, where there are two
export const AXIS = 34 // below the ridges
const MIN_COLUMN = 150 // narrower columns scroll sideways
const LEAST_PITCH = 13 // the neurons' names are 11 pixels high
const MOST_PITCH = 44
const FEW_ROWS = 5 // with fewer, ridges may be higher
const MOST_PITCH_OF_FEW = 64
const WIDE_RANGE = 5 // prior sds: a wider axis has a mark at every second one
const LEAST_TICK = 18 // between two marks
const TAILS = 3.6 // sds from the mean that a bell is drawn to
const LIFT = 0.75 // pixels above its baseline at which an outline ends: the baseline stays to be seen
const FEWEST = 24 // points of one curve
const POINTS = 56
const APART = 3 // between two points, as far as POINTS allow

export class RidgeLayout {
  /**
   * @param {object} size
   * @param {number} size.columns
   * @param {number} size.rows of the longest column
   * @param {number} size.width that there is
   * @param {number} size.room height that there is; more is taken where rows would come too close
   * @param {number} size.range half the width of the axis, prior sds
   * @param {(Axis | undefined)[]} [size.axes] of columns that have one of their own
   * @param {number} [size.top] height of what stands above the columns
   * @param {number} [size.leastPitch] between two rows
   */
  constructor({ columns, rows, width, room, range, axes = [], top = 0, leastPitch = LEAST_PITCH }) {
    this.top = top
    this.axes = axes
    this.axisHeight = AXIS
    this.width = Math.max(width, columns * MIN_COLUMN)
    this.columnWidth = this.width / columns
    this.range = range
    const pitch = (room - this.top - LANE - AXIS) / (rows + 1.5)
    this.pitch = Math.min(Math.max(pitch, leastPitch), rows < FEW_ROWS ? MOST_PITCH_OF_FEW : MOST_PITCH)
    this.height = Math.round(this.top + LANE + (rows + 1.5) * this.pitch + AXIS)
  }

  /** @param {number} column */
  axis(column) {
    return this.axes[column] || { low: -this.range, high: this.range }
  }

  /** @param {number} column @param {number} z in prior sds, or in the unit of the column's own axis */
  x(column, z) {
    const { low, high } = this.axis(column)
    const width = this.columnWidth - LABELS - MARGIN
    return column * this.columnWidth + LABELS + ((z - low) / (high - low)) * width
  }

  /**
   * Both ends of a column's axis.
   * @param {number} column
   * @returns {[number, number]}
   */
  ends(column) {
    const { low, high } = this.axis(column)
    return [this.x(column, low), this.x(column, high)]
  }

  // Whole prior sds that the axis is marked at: every second one where they would come too close.
  ticks() {
    const [left, right] = this.ends(0)
    const apart = (right - left) / (2 * this.range)
    const close = [1, 2, 4].find((step) => step * apart >= LEAST_TICK) || 4
    const every = Math.max(close, this.range > WIDE_RANGE ? 2 : 1)
    const last = Math.floor(this.range / every) * every
    return Array.from({ length: (2 * last) / every + 1 }, (_, i) => i * every - last)
  }

  /** @param {number} row */
  baseline(row) {
    return LANE + (row + 2) * this.pitch
  }

  /**
   * Height of a ridge: inverse to the root of its sd, one row for the prior, cut where it would cover others.
   * @param {number} sd prior sds
   */
  peak(sd) {
    return Math.min((0.95 * this.pitch) / Math.sqrt(sd), PEAK_ROWS * this.pitch)
  }

  /**
   * The ridge at a place of the picture; null where there is none.
   * @param {number} x
   * @param {number} y
   * @param {readonly { neurons: readonly number[] }[]} layers
   * @returns {Ridge | null}
   */
  at(x, y, layers) {
    const column = Math.floor(x / this.columnWidth)
    const row = Math.ceil((y - this.top - LANE) / this.pitch - 2)
    const layer = layers[column]
    return !layer || row < 0 || row >= layer.neurons.length ? null : { column, row }
  }

  /**
   * The outline of a Gaussian as a path, as far as the axis reaches; false where none of it lies there.
   * @param {Path} path
   * @param {number} column
   * @param {number} baseline
   * @param {number} mean prior sds
   * @param {number} sd prior sds
   * @param {number} height of its peak
   * @param {boolean} area whether it goes down to the baseline at both ends, for filling
   */
  bell(path, column, baseline, mean, sd, height, area) {
    const tails = Math.min(TAILS, Math.sqrt(2 * Math.log(Math.max(height / LIFT, 1))))
    const low = Math.max(mean - tails * sd, -this.range)
    const high = Math.min(mean + tails * sd, this.range)
    if (low >= high) return false
    const left = this.x(column, low)
    const right = this.x(column, high)
    const points = Math.min(Math.max(Math.ceil((right - left) / APART), FEWEST), POINTS)
    path.beginPath()
    if (area) path.moveTo(left, baseline)
    for (let i = 0; i <= points; i++) {
      const share = i / points
      const r = (low + (high - low) * share - mean) / sd
      const x = left + (right - left) * share
      const y = baseline - height * Math.exp(-0.5 * r * r)
      if (i === 0 && !area) path.moveTo(x, y)
      else path.lineTo(x, y)
    }
    if (area) path.lineTo(right, baseline)
    return true
  }
}
