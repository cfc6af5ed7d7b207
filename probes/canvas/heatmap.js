// Neuron x step image of one statistic: one byte a cell (0 = not recorded, 1..255 = the colour scale),
// coloured here.

import { rgba } from "./color.js"
import { mounted, part } from "./component.js"
import { context2d, fitCanvas, strokeLine } from "./drawing.js"
import { formatNumber, formatShort, formatStep, fullName } from "./format.js"
import { framePosition } from "./frames.js"
import {
  BOTTOM,
  LEFT,
  RIGHT,
  TOP,
  cellAt,
  cellColors,
  cellPlace,
  cellValue,
  paintCells,
} from "./heatmap_layout.js"
import { PINNED } from "./palette.js"
import { unpack } from "./payload.js"
import { pickable, showTip, withinCount } from "./picking.js"
import { readTheme } from "./theme.js"

/** @typedef {import("./heatmap_layout.js").Cell} Cell */
/** @typedef {CanvasRenderingContext2D} Context */

/** @typedef {{ column: number, text: string, color: string }} Alarm */
/**
 * @typedef {object} Header
 * @property {number} rows
 * @property {number} columns
 * @property {number[]} order the neuron of each row
 * @property {number[]} edges steps at which columns begin, and the one after the last
 * @property {string} columnTitle what the columns are: steps, or positions of a sequence
 * @property {string[]} columnNames what stands at each position; none of steps
 * @property {number[] | null} ranks of the rows' neurons, from 0; null where all are drawn
 * @property {"Viridis" | "Cividis" | "diverging"} colors
 * @property {number} low what byte 1 stands for
 * @property {number} high what byte 255 stands for
 * @property {boolean} log
 * @property {string} title the statistic's name
 * @property {string} unit
 * @property {string} rowTitle
 * @property {boolean} numbered whether rows are told by their neuron's number, not by its rank
 * @property {string} layer
 * @property {number} index of the layer, from 0
 * @property {number[]} chosen neurons that are marked
 * @property {Alarm[]} alarms columns with a step at which neurons were broken or saturated
 * @property {{ name: string, color: string }[]} regimes by their codes; none where rows have no regime
 * @property {{ column: string, cell: string }} absent why all cells of a column, or one of them, are empty
 * @property {number | null} cursor step
 * @property {number} revision counts the changes of cursor and choice that are not the view's own: else it knows better
 * @property {string} label the map in words
 */

const HEIGHT = 420 // pixels, at most
const ROW = 18 // pixels, at most
const LEAST_HEIGHT = 60
const PAGE = 10 // rows that a page key moves
const BAR = 220 // pixels: height of the colour bar, at most
const STRIP = 7 // pixels: width of the strip of regimes
const ALARM = 5 // pixels: half the width of an alarm's mark

export class Heatmap {
  /** @param {import("./component.js").Root} root */
  constructor(root) {
    this.root = root
    this.frame = part(root, "frame", HTMLElement)
    this.canvas = part(root, "image", HTMLCanvasElement)
    this.tip = part(root, "tip", HTMLElement)
    /** @type {Uint8Array | undefined} */
    this.bytes = undefined
    /** @type {Header | undefined} */
    this.loaded = undefined
    /** @type {import("./component.js").Trigger | undefined} */
    this.trigger = undefined
    this.theme = readTheme(root)
    /** @type {Cell | null} */
    this.over = null
    this.keyed = false
    /** @type {number[]} */
    this.chosen = []
    /** @type {number | null} */
    this.cursor = null
    /** @type {Uint8Array} */
    this.cells = new Uint8Array()
    /** @type {Uint8Array} regime of each row's neuron at the last step */
    this.settled = new Uint8Array()
    this.colors = cellColors("Viridis")
    this.size = { width: 0, height: 0 }
    this.image = document.createElement("canvas")
    pickable(this.canvas, part(root, "say", HTMLElement), this, {
      ArrowLeft: () => this.move(0, -1),
      ArrowRight: () => this.move(0, 1),
      ArrowUp: () => this.move(-1, 0),
      ArrowDown: () => this.move(1, 0),
      PageUp: () => this.move(-PAGE, 0),
      PageDown: () => this.move(PAGE, 0),
      Home: () => this.move(0, -this.header.columns),
      End: () => this.move(0, this.header.columns),
    })
    this.resize = new ResizeObserver(() => this.draw())
    this.resize.observe(this.frame)
  }

  /** @returns {Header} */
  get header() {
    if (!this.loaded) throw new Error("nothing is loaded yet")
    return this.loaded
  }

  /**
   * @param {Uint8Array} bytes
   * @param {import("./component.js").Trigger} trigger
   */
  load(bytes, trigger) {
    this.trigger = trigger
    if (bytes !== this.bytes) {
      this.bytes = bytes
      const { header, arrays } = /** @type {{ header: Header, arrays: Record<string, Uint8Array> }} */ (
        unpack(bytes)
      )
      if (this.loaded && this.loaded.label !== header.label) this.over = null
      if (header.revision !== this.loaded?.revision) {
        this.cursor = header.cursor
        this.chosen = header.chosen
      }
      this.loaded = header
      this.cells = arrays.cells
      this.settled = arrays.settled ?? new Uint8Array()
    }
    this.theme = readTheme(this.root)
    this.paint()
    this.draw()
  }

  // Colours once into an image of one pixel a cell; drawing stretches it.
  paint() {
    const { rows, columns, colors } = this.header
    this.colors = cellColors(colors)
    this.image.width = columns
    this.image.height = rows
    context2d(this.image).putImageData(
      new ImageData(paintCells(this.cells, this.colors), columns, rows),
      0,
      0,
    )
  }

  draw() {
    const width = this.frame.clientWidth
    if (!this.loaded || !width) return
    const { rows, label } = this.header
    this.size = { width: width - LEFT - RIGHT, height: Math.min(HEIGHT, Math.max(rows * ROW, LEAST_HEIGHT)) }
    const context = fitCanvas(this.canvas, width, this.size.height + TOP + BOTTOM)
    context.imageSmoothingEnabled = false
    context.drawImage(this.image, LEFT, TOP, this.size.width, this.size.height)
    context.font = `11px ${this.theme.font}`
    context.fillStyle = this.theme.muted
    this.drawSteps(context)
    this.drawRows(context)
    this.drawRegimes(context)
    this.drawBar(context)
    this.drawChosen(context)
    this.drawAlarms(context)
    this.drawCursor(context)
    if (this.keyed && this.over) this.drawMark(context, this.over)
    this.canvas.setAttribute(
      "aria-label",
      `${label}. Arrow keys choose a cell, Enter takes its neuron and step.`,
    )
  }

  /** @param {Context} context */
  drawSteps(context) {
    const { columns, edges } = this.header
    const bottom = TOP + this.size.height
    context.textAlign = "center"
    context.textBaseline = "alphabetic"
    for (let i = 0; i <= 5; i++) {
      const at = Math.round((columns * i) / 5)
      const x = LEFT + (this.size.width * at) / columns
      context.fillText(formatShort(edges[Math.min(at, columns - 1)]), x, bottom + 15)
      if (columns === 1) break
    }
    context.fillText(this.header.columnTitle, LEFT + this.size.width / 2, bottom + 33)
  }

  /** @param {Context} context */
  drawRows(context) {
    const { rows, ranks, order, numbered, rowTitle } = this.header
    context.textAlign = "right"
    for (let i = 0; i <= 4 && rows > 1; i++) {
      const row = Math.round(((rows - 1) * i) / 4)
      const { y } = cellPlace({ row, column: 0 }, this.size, this.header)
      context.fillText(formatStep(numbered ? order[row] : (ranks?.[row] ?? row) + 1), LEFT - 12, y + 4)
    }
    context.save()
    context.translate(11, TOP + this.size.height / 2)
    context.rotate(-Math.PI / 2)
    context.textAlign = "center"
    context.fillText(rowTitle, 0, 0)
    context.restore()
  }

  /**
   * The regime of each row's neuron at the last step, beside the image.
   * @param {Context} context
   */
  drawRegimes(context) {
    const { rows, regimes } = this.header
    if (!regimes.length) return
    const height = this.size.height / rows
    for (let row = 0; row < rows; row++) {
      context.fillStyle = regimes[this.settled[row]].color
      context.fillRect(LEFT + this.size.width + 3, TOP + row * height, STRIP, Math.max(height, 1))
    }
  }

  /** @param {Context} context */
  drawBar(context) {
    const x = LEFT + this.size.width + 18
    const height = Math.min(this.size.height, BAR)
    for (let y = 0; y < height; y++) {
      context.fillStyle = rgba(this.colors[Math.round(255 * (1 - y / (height - 1)))], 1)
      context.fillRect(x, TOP + y, 12, 1.5)
    }
    context.fillStyle = this.theme.muted
    context.textAlign = "left"
    for (const share of height < 5 * 14 ? [0, 1] : [0, 0.25, 0.5, 0.75, 1]) {
      const down = share === 1 ? 9 : share === 0 ? 0 : 4
      const value = formatNumber(cellValue(1 + 254 * share, this.header))
      context.fillText(value, x + 18, TOP + height * (1 - share) + down)
    }
    context.fillText(this.header.unit, x - 4, TOP + height + 18, RIGHT - 12)
  }

  /** @param {Context} context */
  drawChosen(context) {
    for (const neuron of this.chosen) {
      const row = this.header.order.indexOf(neuron)
      if (row < 0) continue
      const { y } = cellPlace({ row, column: 0 }, this.size, this.header)
      context.fillStyle = PINNED
      context.beginPath()
      context.moveTo(LEFT - 2, y)
      context.lineTo(LEFT - 9, y - 4)
      context.lineTo(LEFT - 9, y + 4)
      context.fill()
    }
  }

  /**
   * A mark above each column that holds an alarm.
   * @param {Context} context
   */
  drawAlarms(context) {
    const { alarms, columns } = this.header
    for (const { column, color } of alarms) {
      const x = LEFT + (this.size.width * (column + 0.5)) / columns
      context.fillStyle = color
      context.strokeStyle = this.theme.muted
      context.lineWidth = 1
      context.beginPath()
      context.moveTo(x, TOP - 2)
      context.lineTo(x - ALARM, TOP - 11)
      context.lineTo(x + ALARM, TOP - 11)
      context.closePath()
      context.fill()
      context.stroke()
    }
  }

  /** @param {Context} context */
  drawCursor(context) {
    if (this.cursor === null) return
    const { edges, columns, columnNames } = this.header
    const middle = columnNames.length ? 0.5 : 0 // a position is its column, a step begins one
    const x = LEFT + ((framePosition(edges, this.cursor) + middle) / columns) * this.size.width
    context.lineWidth = 2
    context.strokeStyle = this.theme.accent
    strokeLine(context, x, TOP, x, TOP + this.size.height)
  }

  /**
   * What the keys have chosen: its row and column, in two colours, so that one shows on any cell.
   * @param {Context} context
   * @param {Cell} cell
   */
  drawMark(context, cell) {
    const { x, y } = cellPlace(cell, this.size, this.header)
    const { width, height } = this.size
    const stroke = (/** @type {number} */ line, /** @type {string} */ color) => {
      context.lineWidth = line
      context.strokeStyle = color
      context.strokeRect(LEFT, y - 3, width, 6)
      context.strokeRect(x - 3, TOP, 6, height)
    }
    stroke(3, rgba(this.theme.background, 1))
    stroke(1, rgba(this.theme.text, 1))
  }

  /**
   * By keys: the first move marks the chosen neuron at the cursor, else the first row.
   * @param {number} rows
   * @param {number} columns
   */
  move(rows, columns) {
    const { header, cursor } = this
    if (this.over) {
      this.over = {
        row: withinCount(this.over.row + rows, header.rows),
        column: withinCount(this.over.column + columns, header.columns),
      }
    } else {
      const column = cursor === null ? Infinity : Math.floor(framePosition(header.edges, cursor))
      const row = Math.max(header.order.indexOf(this.chosen[0]), 0)
      this.over = { row, column: withinCount(column, header.columns) }
    }
    this.keyed = true
    this.draw()
    const box = this.canvas.getBoundingClientRect()
    const { x, y } = cellPlace(this.over, this.size, header)
    const place = { clientX: box.left + x, clientY: box.top + y }
    showTip(this.tip, this.frame, place, `${this.tell()}\nEnter for the exact number`)
  }

  pick() {
    if (!this.over) return
    const { order, edges } = this.header
    this.chosen = [order[this.over.row]]
    this.cursor = Math.round(edges[this.over.column])
    this.draw()
    this.trigger?.("pick", { neuron: this.chosen[0], step: this.cursor })
  }

  unhover() {
    this.over = null
    this.tip.hidden = true
    this.unmark()
  }

  unmark() {
    if (!this.keyed) return
    this.keyed = false
    this.draw()
  }

  /** @param {MouseEvent} event */
  hover(event) {
    const box = this.canvas.getBoundingClientRect()
    const cell = cellAt(event.clientX - box.left, event.clientY - box.top, this.size, this.header)
    if (!cell) return this.unhover()
    this.over = cell
    this.unmark()
    showTip(this.tip, this.frame, event, `${this.tell()}\nclick for the exact number`)
  }

  tell() {
    if (!this.over) return ""
    const { row, column } = this.over
    const { edges, order, columns, columnTitle, columnNames, title, unit, layer, index, regimes } =
      this.header
    const code = this.cells[row * columns + column]
    const first = edges[column]
    const end = edges[column + 1] - 1
    const named = columnNames.length ? ` “${columnNames[column]}”` : ""
    const steps =
      end > first
        ? `${columnTitle}s ${formatStep(first)} to ${formatStep(end)}`
        : `${columnTitle} ${formatStep(first)}${named}`
    const about = `${title} about ${formatNumber(cellValue(code, this.header))} ${unit}`
    const alarm = this.header.alarms.find((found) => found.column === column)
    const said = code ? about : `${title}: no value, ${this.absence(column)}`
    const regime = regimes.length ? regimes[this.settled[row]].name : ""
    const settled = regime && `${regime} at step ${formatStep(edges[columns] - 1)}`
    const name = fullName(index, order[row], layer)
    return [name, steps, said, settled, alarm?.text].filter(Boolean).join("\n")
  }

  /** @param {number} column of an empty cell */
  absence(column) {
    const { rows, columns, absent } = this.header
    for (let row = 0; row < rows; row++) if (this.cells[row * columns + column]) return absent.cell
    return absent.column
  }

  close() {
    this.resize.disconnect()
  }
}

export default mounted(Heatmap)
