// Ridges of distributions per layer, replayed over steps. Reads raw means, sds and aggregate sds;
// every picture is computed here, so playing costs the server nothing.

import { mounted, part } from "./component.js"
import { formatNumber, fullName } from "./format.js"
import { framePosition, stillFrames } from "./frames.js"
import { pickable, showTip, withinCount } from "./picking.js"
import { ReplayData } from "./replay_data.js"
import { Film, canFilm, savePng, saveSvg } from "./replay_export.js"
import { Ridges } from "./ridges.js"
import { Strip } from "./strip.js"
import { readTheme } from "./theme.js"
import { SKIP, Transport } from "./transport.js"

const MARGIN = 46 // pixels that are kept free at the window's lower end: a line of buttons

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
    this.closed = new AbortController()
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
    this.transport.speed.add(new Option("skip still", SKIP))
    this.transport.changed = (speed) => this.trigger?.("speed", speed)
    this.transport.actions.f = () => this.fillScreen()
    const screen = part(root, "fullscreen", HTMLButtonElement)
    screen.onclick = () => this.fillScreen()
    this.frame.onfullscreenchange = () => {
      screen.textContent = this.fillsScreen ? "Leave full screen" : "Full screen"
    }
    this.exports()
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
      const { view, speed } = this.loaded?.header || {}
      this.loaded = new ReplayData(bytes)
      this.transport.load(this.header.steps, stillFrames(this.data.motion()), this.header.along)
      if (speed !== this.header.speed) this.transport.speed.value = this.header.speed
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

  layout() {
    const style = getComputedStyle(this.frame)
    const width = this.frame.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)
    if (!this.loaded || !(width > 0)) return
    const below = this.strip.height + MARGIN
    if (this.fillsScreen) this.ridges.resize(width, below, this.leastPitch, this.canvas.offsetTop)
    else this.ridges.resize(width, below, this.leastPitch)
    this.strip.resize(width)
    this.transport.show(this.transport.position)
  }

  get fillsScreen() {
    return this.frame.matches(":fullscreen")
  }

  fillScreen() {
    if (this.fillsScreen) document.exitFullscreen()
    else this.frame.requestFullscreen()
  }

  // The menu: it closes when something was chosen, on Escape, and when the focus goes elsewhere.
  exports() {
    const menu = part(this.root, "menu", HTMLDetailsElement)
    const close = () => {
      menu.open = false
    }
    const item = (/** @type {string} */ name, /** @type {() => void} */ save) => {
      part(this.root, name, HTMLButtonElement).onclick = () => {
        close()
        save()
      }
    }
    item("svg", () => saveSvg(this))
    item("png", () => savePng(this))
    item("webm", () => this.record())
    part(this.root, "webm", HTMLButtonElement).hidden = !canFilm()
    part(this.root, "stop", HTMLButtonElement).onclick = () => this.transport.seek(this.transport.position)
    menu.onkeydown = (event) => {
      if (event.key !== "Escape") return
      close()
      menu.querySelector("summary")?.focus()
    }
    menu.addEventListener("focusout", (event) => {
      if (!menu.contains(/** @type {Node | null} */ (event.relatedTarget))) close()
    })
  }

  // A film from the first frame to the last.
  record() {
    const stop = part(this.root, "stop", HTMLButtonElement)
    this.transport.pause()
    this.transport.show(0)
    this.transport.play()
    if (!this.transport.playing) return
    stop.hidden = false
    this.film = new Film(this, () => {
      this.film = undefined
      stop.hidden = true
    })
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
    this.film?.add()
    this.draws += 1
    this.canvas.dataset.draws = String(this.draws)
    this.canvas.dataset.step = String(this.transport.step)
    this.canvas.setAttribute("aria-label", this.describe())
  }

  describe() {
    const layers = this.header.layers.map((layer, column) => {
      const run = this.ridges.twofold ? `${layer.run}, ` : ""
      if (layer.shape)
        return `${run}${layer.name}: ${layer.shape.label}, ${this.tellLayer(layer.shape, column)}`
      return `${run}${layer.name}: median sd ${formatNumber(Math.sqrt(this.value("median", column)))}`
    })
    const { input, chosen } = this.header
    const what = input === null ? "Distributions" : `Exact posteriors of probe input ${input}`
    return (
      `${what} of neurons per layer at ${this.transport.said}, ${chosen}. ` +
      `${layers.join("; ")}. ` +
      "Space plays, left and right move the step, up and down choose a neuron, page keys a layer" +
      (this.trigger ? ", Enter selects it." : ".")
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
    const run = this.ridges.twofold ? `${layer.run} · ` : ""
    const words = [
      run + fullName(layer.index, layer.neurons[row], layer.name),
      ...(layer.shape ? this.tellShape(layer.shape, column, row) : this.tellGaussian(column, row)),
    ]
    if (input !== null) words.push(`probe input ${input}`)
    if (layer.pinned.includes(layer.neurons[row])) words.push("pinned")
    if (this.trigger) words.push(this.isSelected(column, row) ? "selected" : "click or Enter to select")
    return words.join("\n")
  }

  /** @param {number} column @param {number} row */
  tellGaussian(column, row) {
    const { mean, sd, total } = this.moments(column, row)
    const words = [`mean ${formatNumber(mean)}, sd ${formatNumber(sd)} prior sds`]
    if (this.header.along) words.push(this.transport.said)
    else if (this.header.input === null) words.push(`aggregate sd ${formatNumber(total)}`)
    return words
  }

  /** @param {import("./replay_data.js").Shape} shape @param {number} column @param {number} row */
  tellShape(shape, column, row) {
    const { position } = this.transport
    const words = [shape.label]
    const { mean, sd } = this.moments(column, row)
    if (Number.isFinite(mean)) words.push(`mean ${formatNumber(mean)}, sd ${formatNumber(sd)}`)
    const entropy = this.data.ofRidge("entropy", column, row, position)
    if (Number.isFinite(entropy)) words.push(`entropy ${formatNumber(entropy)} nats`)
    const shares = this.data.bars(column, row, position)
    const first = shares.indexOf(Math.max(...shares))
    if (first >= 0) words.push(`most: ${shape.classes[first]}, ${formatNumber(100 * shares[first])} %`)
    return words
  }

  /** @param {import("./replay_data.js").Shape} shape @param {number} column */
  tellLayer(shape, column) {
    const { position } = this.transport
    if (shape.kind === "book") return `${Math.round(this.data.used(column, position))} codes used`
    return `${shape.typical} ${formatNumber(this.data.typical(column, position))}`
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
    if (!layers[column].neurons.length) return
    const row = withinCount(from.row + (this.over ? rows : 0), layers[column].neurons.length)
    this.mark({ column, row })
    this.point(this.ridges.placeOf({ column, row }))
  }

  unhover() {
    this.mark(null)
    this.tip.hidden = true
    if (!this.transport.playing) this.draw()
  }

  /** @param {number} column @param {number} row */
  isSelected(column, row) {
    const layer = this.header.layers[column]
    return layer.selected === layer.neurons[row]
  }

  // Seen at once, and known to the page, which then offers what can be done with it.
  pick() {
    if (!this.over || !this.trigger) return
    const layer = this.header.layers[this.over.column]
    const neuron = layer.neurons[this.over.row]
    for (const other of this.header.layers) other.selected = other === layer ? neuron : null
    this.ridges.changed()
    this.tip.hidden = true
    if (!this.transport.playing) this.draw()
    this.trigger("pick", { run: layer.run, layer: layer.index, neuron, step: this.transport.claim() })
  }

  close() {
    this.closed.abort()
    this.transport.close()
    this.resize.disconnect()
  }
}

export default mounted(Replay)
