// What a replay holds, and its numbers at any position between the frames.

import { interpolate } from "./frames.js"
import { unpack } from "./payload.js"

/**
 * One column.
 * @typedef {object} Layer
 * @property {string} name
 * @property {number} index its place in the run, from 0
 * @property {number} depth layers of the run
 * @property {number[]} neurons the shown ones, a ridge each
 * @property {number[]} pinned
 * @property {number | null} selected
 * @property {number | null} informative the neuron that holds most of its input
 * @property {number} count all neurons of the layer
 * @property {string} run
 * @property {0 | 1} side 1: of the second run
 * @property {number} last the run's last step
 * @property {Shape} [shape] how its ridges are drawn; without one they are Gaussians on an axis of prior sds
 */

/**
 * How the ridges of a layer are drawn that is no Gaussian.
 * @typedef {object} Shape
 * @property {string} family
 * @property {string} label as pages write it
 * @property {string} support where its mass lies
 * @property {"density" | "curve" | "bars" | "book"} kind by parameters, as stored heights, by class, a code book
 * @property {number} low the axis's ends
 * @property {number} high
 * @property {string} axis its title
 * @property {string} title in short
 * @property {string[]} parameters of a density
 * @property {Record<string, number> | null} prior its parameters
 * @property {string[]} classes of bars
 * @property {number} more classes that share the last bar
 * @property {number[] | null} priorBars
 * @property {number} tallest share of the tallest bar
 * @property {number} points of a stored curve
 * @property {string} typical what the layer's number says
 * @property {string} window over which a code book's usage is, in words
 * @property {string} legend how its ridges are read
 */

/**
 * @typedef {object} Header
 * @property {string} view changes when another run is shown
 * @property {Layer[]} layers
 * @property {number[]} steps of the frames, increasing
 * @property {number | null} cursor the step that it opens on
 * @property {boolean} autoplay whether it opens playing where no cursor is given
 * @property {number | null} input the probe input whose posteriors are shown, null: the batch's moments
 * @property {string} chosen how the neurons were chosen, in words
 * @property {boolean} trail whether earlier steps stand behind the present one
 * @property {string} speed that it plays at, as the control names it
 * @property {string | null} score what stands over the strip, null: nothing
 * @property {{ step: number, alert: boolean }[]} events
 * @property {string[]} [along] what stands at each frame, where frames are positions of a sequence
 */

/**
 * Of a ridge, in prior sds: its mean, the sd of its mean posterior, the sd of the aggregate.
 * @typedef {"mean" | "sd" | "total"} Moment
 */
/**
 * Of a layer: the median of the variances, contraction, the share of living neurons; of a run: its score.
 * @typedef {"median" | "contraction" | "living" | "score"} Series
 */

const MOST = 8 // prior sds: what lies further out is written at the edge
const LEAST = 3.3 // prior sds: the prior itself

export class ReplayData {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    const { header, arrays } = unpack(bytes)
    this.header = /** @type {Header} */ (/** @type {unknown} */ (header))
    this.arrays = arrays
  }

  /** @param {Series} name @param {number} column */
  series(name, column) {
    return this.arrays[`${name}.${column}`]
  }

  /** @param {Series} name @param {number} column @param {number} position fractional frame index */
  value(name, column, position) {
    return interpolate(this.series(name, column), position)
  }

  /**
   * A ridge's mean, sd of its mean posterior, and sd of the aggregate.
   * @param {number} column
   * @param {number} row
   * @param {number} position fractional frame index
   */
  moments(column, row, position) {
    const at = (/** @type {Moment} */ name) => this.ofRidge(name, column, row, position)
    return { mean: at("mean"), sd: at("sd"), total: at("total") }
  }

  /**
   * A number of a ridge; NaN where the layer has none of it.
   * @param {string} name @param {number} column @param {number} row @param {number} position
   */
  ofRidge(name, column, row, position) {
    const values = this.arrays[`${name}.${column}`]
    return values ? interpolate(values, position, row, this.header.layers[column].neurons.length) : NaN
  }

  /** Width in units of the prior's. @param {number} column @param {number} row @param {number} position */
  narrow(column, row, position) {
    return this.ofRidge("narrow", column, row, position)
  }

  /** Whether its ridges' colours say anything. @param {number} column */
  isColored(column) {
    if (!this.header.layers[column].shape) return true
    return Array.from(this.arrays[`narrow.${column}`] || []).some(Number.isFinite)
  }

  /** The layer's number. @param {number} column @param {number} position */
  typical(column, position) {
    const values = this.arrays[`typical.${column}`]
    return values ? interpolate(values, position) : NaN
  }

  /** The layer's number at every frame; none known where it has none. @param {number} column */
  typicals(column) {
    return this.arrays[`typical.${column}`] || new Float32Array(this.header.steps.length).fill(NaN)
  }

  /**
   * Parameters of a ridge's density; null where there are none.
   * @param {number} column @param {number} row @param {number} position @param {"inner" | "outer"} which
   */
  parameters(column, row, position, which) {
    const names = this.header.layers[column].shape?.parameters || []
    if (!names.length || !this.arrays[`${which}.${names[0]}.${column}`]) return null
    return Object.fromEntries(
      names.map((name) => [name, this.ofRidge(`${which}.${name}`, column, row, position)]),
    )
  }

  /**
   * Several numbers of a ridge, such as shares of classes, each on its way between two frames.
   * @param {string} name @param {number} column @param {number} row @param {number} position
   * @param {number} count
   */
  manyOf(name, column, row, position, count) {
    const values = this.arrays[`${name}.${column}`]
    if (!values || !count) return []
    const all = Math.max(this.header.layers[column].neurons.length, 1) * count
    return Array.from({ length: count }, (_, i) => interpolate(values, position, row * count + i, all))
  }

  /** @param {number} column @param {number} row @param {number} position */
  bars(column, row, position) {
    return this.manyOf("bars", column, row, position, this.header.layers[column].shape?.classes.length || 0)
  }

  /** @param {number} column @param {number} row @param {number} position */
  heights(column, row, position) {
    return this.manyOf(
      "curve",
      column,
      row,
      Math.floor(position),
      this.header.layers[column].shape?.points || 0,
    )
  }

  /** Usage of a code book's codes, as recorded. @param {number} column @param {number} position */
  usage(column, position) {
    const count = this.arrays[`usage.${column}`].length / this.header.steps.length
    return this.manyOf("usage", column, 0, Math.round(position), count)
  }

  /** How many codes are used. @param {number} column @param {number} position */
  used(column, position) {
    return interpolate(this.arrays[`used.${column}`], Math.round(position))
  }

  /** The highest usage, over most frames: the first may have few picks. @param {number} column */
  mostUsage(column) {
    const values = this.arrays[`usage.${column}`]
    const frames = this.header.steps.length
    const count = values.length / frames
    const highest = Array.from({ length: frames }, (_, frame) => {
      let most = 1e-9
      for (let i = frame * count; i < (frame + 1) * count; i++) most = Math.max(most, values[i] || 0)
      return most
    }).sort((a, b) => a - b)
    return highest[Math.floor(0.75 * (frames - 1))]
  }

  // How much the ridges move from each frame to the next: the mean change of means and sds, prior sds.
  motion() {
    const frames = this.header.steps.length
    return Float64Array.from({ length: Math.max(frames - 1, 0) }, (_, frame) => {
      let sum = 0
      let count = 0
      this.header.layers.forEach(({ neurons }, column) => {
        for (const name of ["mean", "sd", "narrow"]) {
          const values = this.arrays[`${name}.${column}`]
          if (!values) continue
          for (let row = 0; row < neurons.length; row++) {
            const at = frame * neurons.length + row
            const moved = Math.abs(values[at + neurons.length] - values[at])
            if (!Number.isFinite(moved)) continue
            sum += moved
            count += 1
          }
        }
      })
      return sum / count
    })
  }

  // Half the width of one axis for all columns, prior sds: the prior, and nearly all that the neurons reach.
  reach() {
    /** @type {number[]} */
    const reached = []
    this.header.layers.forEach((layer, column) => {
      if (layer.shape) return
      const [mean, sd, total] = ["mean", "sd", "total"].map((name) => this.arrays[`${name}.${column}`])
      for (let i = 0; i < mean.length; i += 3) {
        const value = Math.abs(mean[i]) + 2 * (total[i] || sd[i])
        if (Number.isFinite(value)) reached.push(value)
      }
    })
    reached.sort((a, b) => a - b)
    return Math.min(Math.max(reached[Math.floor(reached.length * 0.99)] || LEAST, LEAST), MOST)
  }
}
