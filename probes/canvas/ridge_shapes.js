// Ridges of layers that are no Gaussians: curves of a family's own density on its own axis, bars by class, a code
// book in one picture.

import { rgba, sdColorIndex } from "./color.js"
import { fitText, strokeLine } from "./drawing.js"
import { formatNumber, formatStep } from "./format.js"
import { ALERT, PINNED } from "./palette.js"
import { LANE, PEAK_ROWS, TYPICAL } from "./ridge_layout.js"
import { axisTicks, binned, curve, peakOf, places } from "./shapes.js"

/** @typedef {import("./drawing.js").Brush} Brush */
/** @typedef {import("./replay_data.js").Layer} Layer */
/** @typedef {import("./replay_data.js").Shape} Shape */
/** @typedef {readonly (readonly [number, number])[]} Points */

const FULL = 0.95 // of a row: as high as the prior
const EVEN = 0.5 // and one that is even all over its axis
const BAR_ROWS = 1.6 // as high as the tallest bar, at most
const EVEN_BAR = 0.6 // of a row: a class of even share, at most
const WIDEST_BAR = 56 // pixels
const GAP = 0.16 // of a bar's width, left free
const LEAST_BAR = 2 // pixels a bar is wide at least: more codes share one
const OVERHANG = 10 // pixels by which a text may reach beyond its axis
const DEAD = 3 // pixels under the baseline that mark a code without a use

export class RidgeShapes {
  /** @param {import("./ridges.js").Ridges} ridges */
  constructor(ridges) {
    this.ridges = ridges
  }

  get layout() {
    return this.ridges.layout
  }

  get theme() {
    return this.ridges.theme
  }

  get data() {
    return this.ridges.replay.data
  }

  get position() {
    return this.ridges.replay.transport.position
  }

  /** @param {Brush} context @param {Shape} shape @param {number} column */
  drawAxis(context, shape, column) {
    const { theme, layout } = this
    const [left, right] = layout.ends(column)
    const bottom = layout.height - layout.top - layout.axisHeight
    context.font = `11px ${theme.font}`
    context.textAlign = "center"
    context.lineWidth = 1
    for (const { z, text } of axisTicks(shape, right - left)) {
      const x = Math.round(layout.x(column, z)) + 0.5
      if (shape.kind === "curve" || shape.kind === "density") {
        context.strokeStyle = z === 0 ? rgba(theme.text, 0.22) : theme.faint
        strokeLine(context, x, LANE - 6, x, bottom)
      }
      context.fillStyle = theme.muted
      const half = context.measureText(text).width / 2
      context.fillText(text, Math.min(x, right + OVERHANG - half), bottom + 14)
    }
    context.fillStyle = theme.muted
    const title = context.measureText(shape.axis).width <= right - left ? shape.axis : shape.title
    context.fillText(fitText(context, title, right - left), (left + right) / 2, bottom + 29)
  }

  /**
   * What stands where other layers show their typical neuron: the family, and its number of the whole layer.
   * @param {Brush} context @param {Shape} shape @param {number} column
   */
  drawTypical(context, shape, column) {
    const { theme, layout } = this
    const [left, right] = layout.ends(column)
    context.strokeStyle = rgba(theme.text, 0.3)
    context.lineWidth = 1
    strokeLine(context, left, TYPICAL + 0.5, right, TYPICAL + 0.5)
    context.fillStyle = theme.muted
    context.font = `11px ${theme.font}`
    context.textAlign = "left"
    context.fillText(fitText(context, shape.label, right - left), left, TYPICAL - 20)
    const typical = this.data.typical(column, this.position)
    if (!Number.isFinite(typical)) return
    const [, short = ""] = shape.typical.split(/ (.*)/s) // of a narrow column "median" is left out first
    const words = [shape.typical, short].map((said) => `${said} ${formatNumber(typical)}`)
    const fits = words.find((said) => context.measureText(said).width <= right - left) ?? words[0]
    context.fillText(fitText(context, fits, right - left), left, TYPICAL - 6)
  }

  /**
   * @param {Brush} context
   * @param {Points} points pixels
   * @param {number} baseline
   * @param {boolean} area whether it goes down to the baseline at both ends
   */
  path(context, points, baseline, area) {
    if (points.length < 2) return false
    context.beginPath()
    if (area) context.moveTo(points[0][0], baseline)
    points.forEach(([x, y], i) => (i || area ? context.lineTo(x, y) : context.moveTo(x, y)))
    if (area) context.lineTo(points[points.length - 1][0], baseline)
    return true
  }

  /**
   * A curve in pixels, its peak as high as the root of how far it stands over the reference.
   * @param {Shape} shape @param {number} column @param {number} baseline @param {Points} points
   */
  placed(shape, column, baseline, points) {
    const { layout } = this
    const peak = peakOf(points)
    if (!(peak > 0)) return []
    const row = shape.support === "unit" || shape.support === "circle" ? EVEN : FULL
    const most = Math.min(row * Math.sqrt(peak / this.reference(shape)), PEAK_ROWS) * layout.pitch
    return points.map(
      ([z, height]) =>
        /** @type {[number, number]} */ ([layout.x(column, z), baseline - (most * height) / peak]),
    )
  }

  /** Density that is a row high: the prior's peak; where none is known that of an even spread. @param {Shape} shape */
  reference(shape) {
    const prior = this.priorCurve(shape)
    return prior.length ? peakOf(prior) : 1 / (shape.high - shape.low)
  }

  /** @param {Shape} shape @returns {Points} */
  priorCurve(shape) {
    if (!shape.prior) return []
    const middle = (shape.low + shape.high) / 2
    return curve(shape.family, shape.prior, places(axisOf(shape), middle, (shape.high - shape.low) / 8))
  }

  /**
   * The curve of a ridge at a frame: of its own mean posterior, or of the aggregate.
   * @param {Shape} shape @param {number} column @param {number} row @param {number} position
   * @param {"inner" | "outer"} which
   * @returns {Points}
   */
  curveOf(shape, column, row, position, which) {
    if (shape.kind === "curve") {
      if (which === "outer") return []
      const heights = this.data.heights(column, row, position)
      return heights
        .map(
          (height, i) =>
            /** @type {[number, number]} */ ([
              shape.low + ((shape.high - shape.low) * i) / (heights.length - 1),
              height,
            ]),
        )
        .filter(([, height]) => Number.isFinite(height))
    }
    const parameters = this.data.parameters(column, row, position, which)
    if (!parameters) return []
    const { mean, sd } = this.data.moments(column, row, position)
    return curve(shape.family, parameters, places(axisOf(shape), mean, sd))
  }

  /** @param {Brush} context @param {Shape} shape @param {number} column @param {number} row */
  dashedPrior(context, shape, column, row, alpha = 0.4) {
    const baseline = this.layout.baseline(row)
    context.setLineDash([4, 3])
    context.lineWidth = 1.25
    context.strokeStyle = rgba(this.theme.text, alpha)
    if (shape.kind === "bars") this.dashedBars(context, shape, column, baseline)
    else if (
      this.path(context, this.placed(shape, column, baseline, this.priorCurve(shape)), baseline, false)
    )
      context.stroke()
    context.setLineDash([])
  }

  /** Where a class's bar stands, pixels. @param {number} column @param {number} place */
  barPlace(column, place) {
    const [left, right] = [this.layout.x(column, place), this.layout.x(column, place + 1)]
    const slot = right - left
    const width = Math.max(Math.min(slot - Math.min(GAP * slot, 3), Math.max(WIDEST_BAR, slot / 3)), 1)
    return { from: left + (slot - width) / 2, width }
  }

  /** In pixels; what several classes share is cut. @param {Shape} shape @param {number} share */
  barHeight(shape, share) {
    const even = 1 / Math.max(shape.classes.length + shape.more - (shape.more ? 1 : 0), 1)
    const rows = Math.min(BAR_ROWS, (EVEN_BAR * shape.tallest) / even)
    return rows * this.layout.pitch * Math.min(share / shape.tallest, 1)
  }

  /** @param {Brush} context @param {Shape} shape @param {number} column @param {number} baseline */
  dashedBars(context, shape, column, baseline) {
    shape.priorBars?.forEach((share, i) => {
      const y = baseline - this.barHeight(shape, share)
      const { from, width } = this.barPlace(column, i)
      strokeLine(context, from, y, from + width, y)
    })
  }

  /** What a ridge stands on. @param {Brush} context @param {Shape} shape @param {number} column @param {number} row */
  drawPast(context, shape, column, row) {
    const { layout } = this
    const y = layout.baseline(row)
    const [left, right] = layout.ends(column)
    context.lineWidth = 1
    context.strokeStyle = this.theme.baseline
    strokeLine(context, left, Math.round(y) + 0.5, right, Math.round(y) + 0.5)
    this.dashedPrior(context, shape, column, row)
    if (shape.kind !== "density") return
    const frames = this.ridges.trailFrames()
    context.lineWidth = 1
    frames.forEach((frame, i) => {
      const points = this.placed(shape, column, y, this.curveOf(shape, column, row, frame, "inner"))
      if (!this.path(context, points, y, false)) return
      context.strokeStyle = rgba(this.theme.text, 0.14 + (0.2 * i) / frames.length)
      context.stroke()
    })
  }

  /** @param {Brush} context @param {Layer} layer @param {number} column @param {number} row */
  drawRidge(context, layer, column, row) {
    const shape = /** @type {Shape} */ (layer.shape)
    const { theme, layout } = this
    const y = layout.baseline(row)
    const marked = layer.pinned.includes(layer.neurons[row])
    const hovered = this.ridges.isOver(column, row)
    const { fill, line } = this.colors(column, row)
    const edge = marked ? PINNED : hovered ? theme.accent : line
    const strong = marked || hovered
    if (shape.kind === "bars") {
      if (this.drawBars(context, shape, column, row, y, fill, strong ? edge : null)) {
        this.dashedPrior(context, shape, column, row, strong ? 0.62 : 0.4)
        return
      }
    } else {
      const points = this.placed(shape, column, y, this.curveOf(shape, column, row, this.position, "inner"))
      if (this.path(context, points, y, true)) {
        context.fillStyle = fill
        context.fill()
        context.lineWidth = strong ? 2 : 1
        context.strokeStyle = strong ? edge : rgba(theme.background, 0.75)
        context.stroke()
        const outer = this.curveOf(shape, column, row, this.position, "outer")
        if (this.path(context, this.placed(shape, column, y, outer), y, false)) {
          context.strokeStyle = edge
          context.stroke()
        }
        if (strong) this.dashedPrior(context, shape, column, row, 0.62)
        this.drawOutside(context, shape, column, row, y)
        return
      }
      if (this.drawReach(context, shape, column, row, y, edge)) return
    }
    context.fillStyle = theme.muted
    context.font = `11px ${theme.font}`
    context.textAlign = "center"
    const [left, right] = layout.ends(column)
    context.fillText(fitText(context, "not stored at this step", right - left), (left + right) / 2, y - 2)
  }

  /** Where it lies beyond the axis: its mean. @param {Brush} context @param {Shape} shape @param {number} column
   * @param {number} row @param {number} y */
  drawOutside(context, shape, column, row, y) {
    const { mean } = this.data.moments(column, row, this.position)
    if (!(mean > shape.high || mean < shape.low)) return
    const [left, right] = this.layout.ends(column)
    const above = mean > shape.high
    context.fillStyle = this.theme.muted
    context.font = `11px ${this.theme.font}`
    context.textAlign = above ? "right" : "left"
    const text = formatNumber(mean)
    context.fillText(above ? `${text} ▸` : `◂ ${text}`, above ? right : left, y - 2)
  }

  /** Mean and sd alone, where no draws are stored. @param {Brush} context @param {Shape} shape @param {number} column
   * @param {number} row @param {number} y @param {string} color */
  drawReach(context, shape, column, row, y, color) {
    const { mean, sd } = this.data.moments(column, row, this.position)
    if (!Number.isFinite(mean)) return false
    const { layout } = this
    const inside = (/** @type {number} */ z) => layout.x(column, Math.min(Math.max(z, shape.low), shape.high))
    context.fillStyle = color
    if (sd > 0) context.fillRect(inside(mean - sd), y - 5, inside(mean + sd) - inside(mean - sd), 3)
    context.fillRect(inside(mean) - 1, y - 8, 2, 9)
    return true
  }

  /**
   * @param {Brush} context @param {Shape} shape @param {number} column @param {number} row @param {number} y
   * @param {string} fill
   * @param {string | null} edge
   */
  drawBars(context, shape, column, row, y, fill, edge) {
    const shares = this.data.bars(column, row, this.position)
    if (!shares.length || !Number.isFinite(shares[0])) return false
    shares.forEach((share, i) => {
      const { from, width } = this.barPlace(column, i)
      const height = this.barHeight(shape, share)
      context.fillStyle = i >= shape.classes.length - (shape.more ? 1 : 0) ? this.theme.faint : fill
      context.fillRect(from, y - height, width, height)
      if (!edge) return
      context.fillStyle = edge
      context.fillRect(from, y - height - 1, width, 2)
    })
    return true
  }

  /** By how far it has contracted, as Gaussians by their sd; grey where there is no prior. @param {number} column
   * @param {number} row */
  colors(column, row) {
    const narrow = this.data.narrow(column, row, this.position)
    if (!Number.isFinite(narrow))
      return { fill: rgba(this.theme.text, 0.32), line: rgba(this.theme.text, 0.55) }
    const index = sdColorIndex(Math.max(narrow, 1e-3))
    return { fill: this.ridges.colors.fills[index], line: this.ridges.colors.lines[index] }
  }

  /** A code book: usage of each code, most used first at the last step; codes without a use are marked.
   * @param {Brush} context @param {Layer} layer @param {number} column */
  drawBook(context, layer, column) {
    const { theme, layout } = this
    const shape = /** @type {Shape} */ (layer.shape)
    const [left, right] = layout.ends(column)
    const top = LANE + 40
    const baseline = layout.height - layout.top - layout.axisHeight - 8
    const usage = this.data.usage(column, this.position)
    if (!usage.length || !Number.isFinite(usage[0])) return
    const bars = binned(usage, (right - left) / LEAST_BAR)
    const most = this.data.mostUsage(column)
    const height = (/** @type {number} */ share) => (baseline - top) * Math.min(share / most, 1)
    const width = (right - left) / bars.length
    const gap = Math.min(GAP * width, 3)
    bars.forEach((share, i) => {
      const x = left + i * width + gap / 2
      context.fillStyle = share > 0 ? this.ridges.colors.fills[150] : ALERT
      if (share > 0) context.fillRect(x, baseline - height(share), Math.max(width - gap, 1), height(share))
      else context.fillRect(x, baseline + 1, Math.max(width - gap, 1), DEAD)
    })
    context.strokeStyle = rgba(theme.text, 0.3)
    context.lineWidth = 1
    strokeLine(context, left, baseline + 0.5, right, baseline + 0.5)
    context.setLineDash([4, 3])
    context.strokeStyle = rgba(theme.text, 0.62)
    const even = baseline - height(1 / layer.count)
    strokeLine(context, left, even, right, even)
    context.setLineDash([])
    context.fillStyle = theme.muted
    context.font = `11px ${theme.font}`
    context.textAlign = "right"
    context.fillText("all alike", right, even - 4)
    const used = this.data.used(column, this.position)
    context.textAlign = "left"
    context.fillStyle = rgba(theme.text, 1)
    context.font = `600 12px ${theme.font}`
    const said = `${formatStep(used)} of ${formatStep(layer.count)} used`
    context.fillText(fitText(context, said, right - left), left, LANE + 14)
    context.fillStyle = theme.muted
    context.font = `11px ${theme.font}`
    context.fillText(fitText(context, shape.window, right - left), left, LANE + 29)
  }
}

/** @param {Shape} shape */
const axisOf = ({ low, high, support }) => ({ low, high, counts: support === "counts" })
