// The picture of the replay: one column a layer, one ridge a neuron, and over them the layer in one shape.
// What does not move while it plays is drawn once and laid under the rest.

import { rgba, ridgeColors, sdColorIndex } from "./color.js"
import { context2d, fitCanvas, fitText, strokeLine } from "./drawing.js"
import { formatNumber, formatStep, neuronName } from "./format.js"
import { PINNED } from "./palette.js"
import { Heading } from "./replay_heading.js"
import { AXIS, HEADING, LABELS, LANE, RidgeLayout, TYPICAL } from "./ridge_layout.js"
import { RidgeShapes } from "./ridge_shapes.js"

/** @typedef {import("./replay_data.js").Layer} Layer */
/** @typedef {import("./drawing.js").Brush} Context */

const UNIT = 15 // pixels: height of the prior beside the typical neuron
const TALLEST_TYPICAL = 54 // pixels
const NARROW = 200 // columns narrower than this write on more lines, and less
const FIRST_LANE = 215 // pixels of the window above the picture, on a page
const BOOK_ROWS = 7
const TRAIL = 6 // earlier shapes of a ridge, evenly spaced over the frames

const endedAt = (/** @type {number} */ step) => `ended at step ${formatStep(step)}`

/** A code book is one picture, as high as a few ridges. @param {Layer} layer */
const rowsOf = (layer) => (layer.shape?.kind === "book" ? BOOK_ROWS : layer.neurons.length)

export class Ridges {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./replay.js").Replay} replay
   */
  constructor(canvas, replay) {
    this.canvas = canvas
    this.replay = replay
    this.still = document.createElement("canvas")
    this.heading = new Heading(replay)
    this.shapes = new RidgeShapes(this)
    this.drawn = false
    this.passed = 0 // shapes of the trail that lie behind the cursor
    this.colors = ridgeColors(false)
    this.layout = new RidgeLayout({ columns: 1, rows: 1, width: 0, room: 0, range: 1 })
  }

  get layers() {
    return this.replay.header.layers
  }

  get theme() {
    return this.replay.theme
  }

  /** Two runs beside each other. */
  get twofold() {
    return this.layers.some((layer) => layer.side === 1)
  }

  /**
   * The picture's size in `width` pixels, with `below` pixels of the window kept free under it.
   * @param {number} width
   * @param {number} below
   * @param {number | undefined} leastPitch pixels between two rows
   * @param {number} [above] pixels of the window that are taken above it
   */
  resize(width, below, leastPitch, above = FIRST_LANE) {
    this.heading.resize(width, context2d(this.canvas))
    this.layout = new RidgeLayout({
      columns: this.layers.length,
      rows: Math.max(...this.layers.map(rowsOf), 1),
      width,
      room: window.innerHeight - above - below,
      range: this.replay.data.reach(),
      axes: this.layers.map((layer) => layer.shape || undefined),
      top: this.heading.height + (this.twofold ? HEADING : 0),
      leastPitch,
    })
    this.changed()
  }

  /**
   * The heading as wide as its texts come out in another font; what stands under it moves.
   * @param {Context} context that measures
   */
  placeHeading(context) {
    const before = this.heading.height
    this.heading.resize(this.heading.width, context)
    this.layout.top += this.heading.height - before
    this.layout.height += this.heading.height - before
  }

  paint() {
    this.colors = ridgeColors(this.theme.dark)
    this.changed()
  }

  // What does not move is to be drawn anew.
  changed() {
    this.drawn = false
  }

  /**
   * The ridge under a pointer; null where there is none.
   * @param {MouseEvent} event
   */
  at(event) {
    const box = this.canvas.getBoundingClientRect()
    return this.layout.at(event.clientX - box.left, event.clientY - box.top, this.layers)
  }

  /**
   * Where a ridge stands in the window.
   * @param {import("./ridge_layout.js").Ridge} ridge
   * @returns {import("./picking.js").Place}
   */
  placeOf({ column, row }) {
    const { layout } = this
    const box = this.canvas.getBoundingClientRect()
    return {
      clientX: box.left + (layout.ends(column)[0] + layout.ends(column)[1]) / 2,
      clientY: box.top + layout.top + layout.baseline(row),
    }
  }

  draw() {
    const { width, height } = this.layout
    const passed = this.trailFrames().length
    if (!this.drawn || passed !== this.passed) this.paintStill(fitCanvas(this.still, width, height))
    this.drawn = true
    this.passed = passed
    const context = fitCanvas(this.canvas, width, height)
    context.drawImage(this.still, 0, 0, width, height)
    this.paintMoving(context)
  }

  /**
   * What stays as it is while it plays.
   * @param {Context} context
   */
  paintStill(context) {
    this.heading.paintStill(context)
    if (this.twofold) this.drawRuns(context)
    context.save()
    context.translate(0, this.layout.top)
    this.layers.forEach((layer, column) => {
      context.textBaseline = "alphabetic"
      this.drawTitle(context, layer, column)
      if (layer.shape) this.shapes.drawAxis(context, layer.shape, column)
      else this.drawAxis(context, column)
      this.drawLabels(context, layer, column)
      layer.neurons.forEach((_, row) => {
        if (layer.shape) this.shapes.drawPast(context, layer.shape, column, row)
        else this.drawPast(context, column, row)
      })
    })
    context.restore()
  }

  /** @param {Context} context */
  paintMoving(context) {
    this.heading.paintMoving(context)
    if (this.twofold) this.drawEnds(context)
    context.save()
    context.translate(0, this.layout.top)
    this.layers.forEach((layer, column) => {
      this.drawState(context, column)
      if (layer.shape) this.shapes.drawTypical(context, layer.shape, column)
      else this.drawTypical(context, column)
      if (layer.shape?.kind === "book") this.shapes.drawBook(context, layer, column)
      for (let row = 0; row < layer.neurons.length; row++) {
        if (layer.shape) this.shapes.drawRidge(context, layer, column, row)
        else this.drawRidge(context, layer, column, row)
      }
    })
    context.restore()
  }

  // Frames of the trail that lie behind the cursor.
  trailFrames() {
    const { header, transport } = this.replay
    if (!header.trail) return []
    const frames = Array.from({ length: TRAIL }, (_, i) => Math.round((i / TRAIL) * transport.last))
    return [...new Set(frames)].filter((frame) => frame < transport.position)
  }

  /** @param {number} column @param {number} row */
  isOver(column, row) {
    const { over } = this.replay
    return over !== null && over.column === column && over.row === row
  }

  // Where the columns of a run lie, with its name and its last step.
  sides() {
    const { columnWidth } = this.layout
    return [0, 1].map((side) => {
      const mine = this.layers.filter((layer) => layer.side === side)
      const left = this.layers.indexOf(mine[0]) * columnWidth
      return { side, run: mine[0].run, last: mine[0].last, left, width: mine.length * columnWidth }
    })
  }

  /**
   * Two runs: each one's name over its columns, a line between them.
   * @param {Context} context
   */
  drawRuns(context) {
    const { steps } = this.replay.header
    for (const { side, run, last, left, width } of this.sides()) {
      context.textAlign = "left"
      context.font = `12px ${this.theme.font}`
      const ends = last < steps[steps.length - 1] ? context.measureText(endedAt(last)).width + 10 : 0
      context.font = `600 14px ${this.theme.font}`
      const y = this.heading.height
      context.fillStyle = this.theme.accent
      context.fillText(fitText(context, run, width - LABELS - ends - 8), left + LABELS, y + 14)
      context.fillStyle = this.theme.faint
      context.fillRect(left + LABELS, y + 20, width - LABELS - 6, 1)
      if (side) context.fillRect(left + 4, y, 1, this.layout.height - y)
    }
  }

  /**
   * And where one has ended at the cursor's step.
   * @param {Context} context
   */
  drawEnds(context) {
    context.textAlign = "right"
    context.font = `12px ${this.theme.font}`
    context.fillStyle = this.theme.muted
    for (const { last, left, width } of this.sides()) {
      if (this.replay.transport.step > last) {
        context.fillText(endedAt(last), left + width - 8, this.heading.height + 14)
      }
    }
  }

  /** @param {Context} context @param {Layer} layer @param {number} column */
  drawTitle(context, layer, column) {
    const { theme } = this
    const [left, right] = this.layout.ends(column)
    const shown = layer.neurons.length
    const narrow = this.layout.columnWidth < NARROW
    const whole = formatStep(layer.count)
    const ofAll = narrow ? `${shown}/${layer.count}` : `${shown} of ${whole}`
    const count = layer.shape?.kind === "book" ? `${whole} codes` : ofAll
    context.fillStyle = theme.muted
    context.font = `12px ${theme.font}`
    context.textAlign = "right"
    context.fillText(count, right, 15)
    const room = right - left - context.measureText(count).width - 8
    context.textAlign = "left"
    context.fillStyle = rgba(theme.text, 1)
    context.font = `600 14px ${theme.font}`
    context.fillText(fitText(context, layer.name, room), left, 15)
  }

  /**
   * What the layer has come to at the cursor, in numbers.
   * @param {Context} context
   * @param {number} column
   */
  drawState(context, column) {
    const [left, right] = this.layout.ends(column)
    context.textAlign = "left"
    context.fillStyle = this.theme.muted
    context.font = `12px ${this.theme.font}`
    const living = this.replay.value("living", column)
    const contraction = this.replay.value("contraction", column)
    const lines = Number.isFinite(contraction) ? [`contraction ${formatNumber(contraction)}`] : []
    if (Number.isFinite(living)) lines.push(`living ${Math.round(100 * living)} %`)
    const line = lines.join("  ·  ")
    const fits = this.layout.columnWidth >= NARROW && context.measureText(line).width <= right - left
    if (fits) context.fillText(line, left, 33)
    else lines.forEach((words, i) => context.fillText(words, left, 31 + 15 * i))
  }

  /** @param {Context} context @param {number} column */
  drawAxis(context, column) {
    const { theme, layout } = this
    const [left, right] = layout.ends(column)
    const bottom = layout.height - layout.top - AXIS
    context.font = `11px ${theme.font}`
    context.textAlign = "center"
    for (const z of layout.ticks()) {
      const x = Math.round(layout.x(column, z)) + 0.5
      context.strokeStyle = z === 0 ? rgba(theme.text, 0.22) : theme.faint
      context.lineWidth = 1
      strokeLine(context, x, LANE - 6, x, bottom)
      context.fillStyle = theme.muted
      context.fillText(String(z).replace("-", "−"), x, bottom + 14)
    }
    context.fillText("z (prior sd)", (left + right) / 2, bottom + 29)
  }

  /**
   * The layer in one shape: a bell as wide as its median neuron, on the prior that it started from.
   * @param {Context} context
   * @param {number} column
   */
  drawTypical(context, column) {
    const { theme, layout } = this
    const [left, right] = layout.ends(column)
    const variance = this.replay.value("median", column)
    context.strokeStyle = rgba(theme.text, 0.3)
    context.lineWidth = 1
    strokeLine(context, left, TYPICAL + 0.5, right, TYPICAL + 0.5)
    if (variance > 0) {
      const sd = Math.sqrt(variance)
      if (
        layout.bell(context, column, TYPICAL, 0, sd, Math.min(UNIT / Math.sqrt(sd), TALLEST_TYPICAL), true)
      ) {
        context.fillStyle = this.colors.fills[sdColorIndex(sd)]
        context.fill()
      }
      context.fillStyle = theme.muted
      context.font = `11px ${theme.font}`
      context.textAlign = "right"
      context.fillText(`median sd ${formatNumber(sd)}`, right, TYPICAL - 30)
    }
    this.dashedPrior(context, column, TYPICAL, UNIT)
    context.fillStyle = theme.muted
    context.font = `11px ${theme.font}`
    context.textAlign = "left"
    if (layout.columnWidth >= NARROW) context.fillText("prior sd 1", left, TYPICAL - 30)
  }

  /**
   * @param {Context} context
   * @param {number} column
   * @param {number} baseline
   * @param {number} height
   * @param {number} [alpha]
   */
  dashedPrior(context, column, baseline, height, alpha = 0.62) {
    context.setLineDash([4, 3])
    context.lineWidth = 1.25
    context.strokeStyle = rgba(this.theme.text, alpha)
    if (this.layout.bell(context, column, baseline, 0, 1, height, false)) context.stroke()
    context.setLineDash([])
  }

  /**
   * What a ridge stands on and is compared with: its baseline, its prior, its own shapes at earlier steps.
   * @param {Context} context
   * @param {number} column
   * @param {number} row
   */
  drawPast(context, column, row) {
    const { layout } = this
    const y = layout.baseline(row)
    const [left, right] = layout.ends(column)
    context.lineWidth = 1
    context.strokeStyle = this.theme.baseline
    strokeLine(context, left, Math.round(y) + 0.5, right, Math.round(y) + 0.5)
    this.dashedPrior(context, column, y, layout.peak(1), 0.4)
    const frames = this.trailFrames()
    context.lineWidth = 1
    frames.forEach((frame, i) => {
      const { mean, sd } = this.replay.data.moments(column, row, frame)
      if (!(sd > 0) || !layout.bell(context, column, y, mean, sd, layout.peak(sd), false)) return
      context.strokeStyle = rgba(this.theme.text, 0.14 + (0.2 * i) / TRAIL)
      context.stroke()
    })
  }

  /** @param {Context} context @param {Layer} layer @param {number} column @param {number} row */
  drawRidge(context, layer, column, row) {
    const { theme, layout, colors } = this
    const { mean, sd, total } = this.replay.moments(column, row)
    const y = layout.baseline(row)
    const marked = layer.pinned.includes(layer.neurons[row])
    const hovered = this.isOver(column, row)
    if (!(sd > 0) || !Number.isFinite(mean)) {
      context.fillStyle = theme.muted
      context.font = `11px ${theme.font}`
      context.textAlign = "center"
      context.fillText("no distribution at this step", layout.x(column, 0), y - 2)
      return
    }
    const color = sdColorIndex(sd)
    if (hovered || marked) this.dashedPrior(context, column, y, layout.peak(1))
    if (layout.bell(context, column, y, mean, sd, layout.peak(sd), true)) {
      context.fillStyle = colors.fills[color]
      context.fill()
      context.lineWidth = 1
      context.strokeStyle = rgba(theme.background, 0.75)
      context.stroke()
    }
    if (total > 0 && layout.bell(context, column, y, mean, total, layout.peak(total), false)) {
      context.lineWidth = hovered || marked ? 2 : 1
      context.strokeStyle = marked ? PINNED : hovered ? theme.accent : colors.lines[color]
      context.stroke()
    }
    if (Math.abs(mean) > layout.range) this.drawOutside(context, column, y, mean)
  }

  /** @param {Context} context @param {number} column @param {number} y @param {number} mean */
  drawOutside(context, column, y, mean) {
    const x = this.layout.x(column, Math.sign(mean) * this.layout.range)
    context.fillStyle = this.theme.muted
    context.font = `11px ${this.theme.font}`
    context.textAlign = mean > 0 ? "right" : "left"
    context.fillText(mean > 0 ? `${formatNumber(mean)} ▸` : `◂ ${formatNumber(mean)}`, x, y - 2)
  }

  /** @param {Context} context @param {Layer} layer @param {number} column */
  drawLabels(context, layer, column) {
    const { theme, layout } = this
    const [left] = layout.ends(column)
    context.textAlign = "right"
    layer.neurons.forEach((neuron, row) => {
      const marked = layer.pinned.includes(neuron)
      const hovered = this.isOver(column, row)
      const sign = neuron === layer.informative ? "◆ " : ""
      context.font = `${marked || hovered ? 600 : 400} 11px ${theme.font}`
      context.fillStyle = marked ? theme.pinned : hovered ? theme.accent : theme.muted
      context.fillText(sign + neuronName(layer.index, neuron), left - 6, layout.baseline(row) + 1)
    })
  }
}
