// Ridges of distributions per layer, replayed over steps. Reads raw means, sds and aggregate sds;
// every picture is computed here, so playing costs the server nothing.

import { rgba } from "./color.js"
import { mounted, part } from "./component.js"
import { context2d } from "./drawing.js"
import { formatNumber, formatStep, fullName } from "./format.js"
import { framePosition } from "./frames.js"
import { COLOR_SCALES, SD_NARROW, SD_WIDE } from "./palette.js"
import { pickable, showTip, withinCount } from "./picking.js"
import { ReplayData } from "./replay_data.js"
import { PEAK_ROWS } from "./ridge_layout.js"
import { Ridges } from "./ridges.js"
import { Strip, STRIP_HEIGHT } from "./strip.js"
import { readTheme } from "./theme.js"
import { Transport } from "./transport.js"

const UNDER = STRIP_HEIGHT + 62 // pixels of the window that are kept free for what stands under the ridges

export class Replay {
  /**
   * @param {import("./component.js").Root} root
   * @param {object} [page] how the page around it differs from the dashboard's
   * @param {boolean} [page.pageKeys] whether keys work wherever the focus is on the page
   * @param {number} [page.leastPitch] pixels between two ridges, at least, however low the window is
   */
  constructor(root, { pageKeys = true, leastPitch } = {}) {
    this.root = root
    this.leastPitch = leastPitch
    this.frame = part(root, "frame", HTMLElement)
    this.canvas = part(root, "ridges", HTMLCanvasElement)
    this.tip = part(root, "tip", HTMLElement)
    /** @type {import("./ridge_layout.js").Ridge | null} */
    this.over = null
    this.draws = 0
    this.wantsPlay = false
    /** @type {Uint8Array | undefined} */
    this.bytes = undefined
    /** @type {ReplayData | undefined} */
    this.loaded = undefined
    this.theme = readTheme(root)
    /** @type {import("./component.js").Trigger | undefined} */
    this.trigger = undefined
    this.ridges = new Ridges(this.canvas, this)
    this.strip = new Strip(part(root, "strip", HTMLCanvasElement), this)
    this.transport = new Transport(
      root,
      () => this.draw(),
      (step) => this.trigger?.("cursor", step),
      pageKeys,
    )
    pickable(this.canvas, part(root, "say", HTMLElement), this, {
      ArrowUp: () => this.move(0, -1),
      ArrowDown: () => this.move(0, 1),
      PageUp: () => this.move(-1, 0),
      PageDown: () => this.move(1, 0),
    })
    part(root, "save", HTMLButtonElement).onclick = () => this.save()
    this.resize = new ResizeObserver(() => this.layout())
    this.resize.observe(this.frame)
  }

  /** Of the payload that was loaded. @returns {ReplayData} */
  get data() {
    if (!this.loaded) throw new Error("nothing is loaded yet")
    return this.loaded
  }

  get header() {
    return this.data.header
  }

  /**
   * @param {Uint8Array} bytes
   * @param {import("./component.js").Trigger} [trigger] without one nothing can be picked
   */
  load(bytes, trigger) {
    this.trigger = trigger
    if (bytes !== this.bytes) {
      this.bytes = bytes
      const view = this.loaded?.header.view
      this.loaded = new ReplayData(bytes)
      this.transport.load(this.header.steps)
      if (view !== this.header.view) this.open()
    }
    this.canvas.toggleAttribute("data-picks", trigger !== undefined)
    this.repaint()
    if (this.wantsPlay) {
      this.wantsPlay = false
      this.transport.play()
    }
  }

  // In the colours that the page has now.
  repaint() {
    this.theme = readTheme(this.root)
    this.ridges.paint()
    this.legend()
    this.layout()
  }

  // A linked step opens at rest on it; else the story starts at its beginning and plays.
  open() {
    const { cursor, steps, autoplay } = this.header
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches
    this.transport.pause()
    if (cursor !== null) this.transport.position = Math.round(framePosition(steps, cursor))
    else this.transport.position = autoplay && !still ? 0 : steps.length - 1
    this.wantsPlay = autoplay && cursor === null && !still && steps.length > 1
  }

  legend() {
    const say = (/** @type {string} */ name, /** @type {string} */ text) => {
      part(this.root, name, HTMLElement).textContent = text
    }
    const { input, layers } = this.header
    const colorbar = context2d(part(this.root, "colorbar", HTMLCanvasElement))
    for (let x = 0; x < 96; x++) {
      colorbar.fillStyle = rgba(this.ridges.colors.colors[Math.round((x / 95) * 255)], 1)
      colorbar.fillRect(x, 0, 1, 10)
    }
    part(this.root, "swatch", HTMLElement).style.background = COLOR_SCALES.Viridis[4]
    say("barlabel", `sd ${SD_WIDE} to ${SD_NARROW}, log scale`)
    say("note", `height ∝ 1/√sd, at most ${PEAK_ROWS} rows`)
    say("filled", input === null ? "mean posterior, sd √E[σ²]" : `posterior of probe input ${input}, exact`)
    part(this.root, "outlined", HTMLElement).hidden = input !== null
    const second = layers.find((layer) => layer.side === 1)
    say(
      "striptitle",
      "Information per layer, mean over its neurons (nats)" + (second ? ` · dashed: ${second.run}` : ""),
    )
  }

  layout() {
    const width = this.frame.clientWidth
    if (!this.loaded || !width) return
    this.ridges.resize(width, UNDER, this.leastPitch)
    this.strip.resize(width)
    this.transport.show(this.transport.position)
  }

  /**
   * A layer's number at the cursor.
   * @param {import("./replay_data.js").Series} name
   * @param {number} column
   */
  value(name, column) {
    return this.data.value(name, column, this.transport.position)
  }

  /** @param {number} column @param {number} row */
  moments(column, row) {
    return this.data.moments(column, row, this.transport.position)
  }

  draw() {
    if (!this.loaded || !this.ridges.layout.width) return
    this.ridges.draw()
    this.strip.draw()
    this.draws += 1
    this.canvas.dataset.draws = String(this.draws)
    this.canvas.dataset.step = String(this.transport.step)
    this.canvas.setAttribute("aria-label", this.describe())
  }

  describe() {
    const layers = this.header.layers.map((layer, column) => {
      const run = this.ridges.twofold ? `${layer.run}, ` : ""
      return `${run}${layer.name}: median sd ${formatNumber(Math.sqrt(this.value("median", column)))}`
    })
    return (
      `Distributions of neurons per layer at step ${formatStep(this.transport.step)}. ` +
      `${layers.join("; ")}. ` +
      "Space plays, left and right move the step, up and down choose a neuron, page keys a layer" +
      (this.trigger ? ", Enter pins it." : ".")
    )
  }

  /** @param {MouseEvent} event */
  hover(event) {
    const over = this.ridges.at(event)
    if (!over) return this.unhover()
    this.mark(over)
    this.point(event)
  }

  /** @param {import("./ridge_layout.js").Ridge | null} over */
  mark(over) {
    this.over = over
    this.ridges.changed()
  }

  /**
   * What lies under the pointer, or under the mark that keys move: said beside it.
   * @param {import("./picking.js").Place} place
   */
  point(place) {
    showTip(this.tip, this.frame, place, this.tell())
    if (!this.transport.playing) this.draw()
  }

  tell() {
    if (!this.over) return ""
    const { column, row } = this.over
    const { layers, input } = this.header
    const layer = layers[column]
    const { mean, sd, total } = this.moments(column, row)
    const run = this.ridges.twofold ? `${layer.run} · ` : ""
    const words = [
      run + fullName(layer.index, layer.neurons[row], layer.name),
      `mean ${formatNumber(mean)}, sd ${formatNumber(sd)} prior sds`,
      input === null ? `aggregate sd ${formatNumber(total)}` : `probe input ${input}`,
    ]
    const pinned = layer.pinned.includes(layer.neurons[row])
    if (this.trigger) words.push(`click or Enter to ${pinned ? "unpin" : "pin"}`)
    return words.join("\n")
  }

  /**
   * By keys: the first move marks the first ridge.
   * @param {number} columns
   * @param {number} rows
   */
  move(columns, rows) {
    const { layers } = this.header
    const from = this.over || { column: 0, row: 0 }
    const column = withinCount(from.column + (this.over ? columns : 0), layers.length)
    const row = withinCount(from.row + (this.over ? rows : 0), layers[column].neurons.length)
    this.mark({ column, row })
    this.point(this.ridges.placeOf({ column, row }))
  }

  unhover() {
    this.mark(null)
    this.tip.hidden = true
    if (!this.transport.playing) this.draw()
  }

  pick() {
    if (!this.over || !this.trigger) return
    const layer = this.header.layers[this.over.column]
    const neuron = layer.neurons[this.over.row]
    this.tip.hidden = true
    this.trigger("pick", { run: layer.run, layer: layer.index, neuron, step: this.transport.claim() })
  }

  // The picture at the cursor as PNG, on the page's background: made here, nothing is asked of the server.
  save() {
    const strip = this.strip.canvas
    const picture = document.createElement("canvas")
    picture.width = Math.max(this.canvas.width, strip.width)
    picture.height = this.canvas.height + strip.height
    const context = context2d(picture)
    context.fillStyle = rgba(this.theme.background, 1)
    context.fillRect(0, 0, picture.width, picture.height)
    context.drawImage(this.canvas, 0, 0)
    context.drawImage(strip, 0, this.canvas.height)
    const link = document.createElement("a")
    link.download = `replay-step-${this.transport.step}.png`
    link.href = picture.toDataURL("image/png")
    link.click()
  }

  close() {
    this.transport.close()
    this.resize.disconnect()
  }
}

export default mounted(Replay)
