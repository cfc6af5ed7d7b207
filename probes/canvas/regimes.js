// Layer x neuron map of regimes over steps: one tile a neuron, one byte a tile and frame, scrubbed in the
// browser. The lower half of a byte is the settled regime, the upper half what alarmed since the frame before.

import { rgba } from "./color.js"
import { mounted, part } from "./component.js"
import { fitCanvas, fitText } from "./drawing.js"
import { formatStep, fullName, livingInWords } from "./format.js"
import { framePosition } from "./frames.js"
import { unpack } from "./payload.js"
import { pickable, showTip, withinCount } from "./picking.js"
import { parseColor, readTheme } from "./theme.js"
import { LABEL, TileLayout, sortedTiles } from "./tile_layout.js"
import { Transport } from "./transport.js"

/** @typedef {{ name: string, rule: string, reading: string, color: string, living: boolean }} Regime */
/**
 * @typedef {{ name: string, index: number, count: number }} Layer `index` is its place in the run, `count`
 * its neurons.
 */
/** @typedef {{ layer: number, neuron: number }} Tile */

/**
 * @typedef {object} Header
 * @property {Layer[]} layers
 * @property {number[]} steps of the frames, increasing
 * @property {number | null} cursor step
 * @property {number} revision counts the changes of cursor and choice that are not the view's own: else it knows better
 * @property {Tile | null} chosen whose `layer` is an index
 * @property {boolean} sorted whether the tiles of a layer stand in order of their regimes, not of their numbers
 * @property {Regime[]} regimes by their codes
 */

const NEAR = 90 // sum of the differences of red, green and blue below which two colours are taken for one
const LEAST_ALARM = 4 // pixels: side of an alarm's corner
const SEPARATE = 5 // pixels: larger tiles have a line between them

export class Regimes {
  /** @param {import("./component.js").Root} root */
  constructor(root) {
    this.root = root
    this.frame = part(root, "frame", HTMLElement)
    this.canvas = part(root, "map", HTMLCanvasElement)
    this.tip = part(root, "tip", HTMLElement)
    /** @type {Uint8Array | undefined} */
    this.bytes = undefined
    /** @type {Header | undefined} */
    this.loaded = undefined
    /** @type {import("./component.js").Trigger | undefined} */
    this.trigger = undefined
    this.theme = readTheme(root)
    this.layout = new TileLayout([], 0)
    /** @type {number[][]} neurons by rank and ranks by neuron of each layer, where tiles are sorted */
    this.neurons = []
    /** @type {number[][]} */
    this.ranks = []
    /** @type {Tile | null} */
    this.over = null
    this.keyed = false
    /** @type {Tile | null} */
    this.chosen = null
    /** @type {{ entry: Element, text: Element }[]} */
    this.counts = []
    /** @type {Record<string, ArrayLike<number>>} */
    this.arrays = {}
    this.transport = new Transport(
      root,
      () => this.draw(),
      (step) => this.trigger?.("cursor", step),
    )
    pickable(this.canvas, part(root, "say", HTMLElement), this, {
      ArrowLeft: () => this.move(-1),
      ArrowRight: () => this.move(1),
      ArrowUp: () => this.move(-this.layout.perRow),
      ArrowDown: () => this.move(this.layout.perRow),
      PageUp: () => this.moveLayer(-1),
      PageDown: () => this.moveLayer(1),
    })
    this.resize = new ResizeObserver(() => this.fit())
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
      const { header, arrays } = /** @type {{ header: Header, arrays: Record<string, Uint8Array> }} */ (
        unpack(bytes)
      )
      const news = this.loaded?.revision !== header.revision
      this.bytes = bytes
      this.loaded = header
      this.arrays = arrays
      this.transport.load(header.steps)
      if (news) {
        const { steps, cursor } = header
        this.chosen = header.chosen
        this.transport.position =
          cursor === null ? steps.length - 1 : Math.round(framePosition(steps, cursor))
      }
      this.legend()
    }
    this.theme = readTheme(this.root)
    this.fit()
  }

  legend() {
    const row = part(this.root, "legend", HTMLElement)
    row.replaceChildren()
    const ever = new Set()
    for (const codes of Object.values(this.arrays))
      for (let i = 0; i < codes.length; i++) ever.add(codes[i] & 15).add(codes[i] >> 4)
    this.counts = this.header.regimes.map((regime, code) => {
      const entry = document.createElement("span")
      entry.setAttribute("role", "listitem")
      entry.title = `${regime.rule}: ${regime.reading}`
      const swatch = document.createElement("i")
      swatch.style.background = regime.color
      const text = document.createElement("b")
      entry.append(swatch, document.createTextNode(regime.name), text)
      if (ever.has(code)) row.appendChild(entry)
      return { entry, text }
    })
  }

  fit() {
    const width = this.frame.clientWidth
    if (!this.loaded || !width) return
    const counts = this.header.layers.map((layer) => layer.count)
    this.layout = new TileLayout(counts, width)
    this.transport.show(this.transport.position)
  }

  // Regimes whose colour is all but that of the page get an outline: black tiles in the dark theme.
  faint() {
    const { background } = this.theme
    return this.header.regimes.map((regime) => {
      const color = parseColor(regime.color)
      return color.reduce((sum, value, i) => sum + Math.abs(value - background[i]), 0) < NEAR
    })
  }

  /** @param {number} layer @param {number} neuron */
  byte(layer, neuron) {
    const frame = Math.round(this.transport.position)
    return this.arrays[`regime.${layer}`][frame * this.header.layers[layer].count + neuron]
  }

  /** @param {number} layer @param {number} neuron */
  code(layer, neuron) {
    return this.byte(layer, neuron) & 15
  }

  /**
   * The most severe regime of single steps since the frame before; 0 for none.
   * @param {number} layer @param {number} neuron
   */
  alarm(layer, neuron) {
    return this.byte(layer, neuron) >> 4
  }

  // Tiles of a layer in order of the regimes at the cursor: living first, then by code.
  sort() {
    const { header } = this
    this.neurons = this.ranks = []
    if (!header.sorted) return
    const key = (/** @type {number} */ code) => code - (header.regimes[code]?.living ? 100 : 0)
    this.neurons = header.layers.map((layer, index) =>
      sortedTiles(
        Array.from({ length: layer.count }, (_, neuron) => this.code(index, neuron)),
        key,
      ),
    )
    this.ranks = this.neurons.map((neurons) => {
      const ranks = new Array(neurons.length)
      neurons.forEach((neuron, rank) => (ranks[neuron] = rank))
      return ranks
    })
  }

  /**
   * Where a neuron's tile stands among those of its layer.
   * @param {number} layer @param {number} neuron
   */
  rank(layer, neuron) {
    return this.ranks[layer]?.[neuron] ?? neuron
  }

  /**
   * The neuron whose tile stands there.
   * @param {number} layer @param {number} rank
   */
  neuronAt(layer, rank) {
    return this.neurons[layer]?.[rank] ?? rank
  }

  /** @param {number} layer @param {number} neuron */
  place(layer, neuron) {
    return this.layout.place(layer, this.rank(layer, neuron))
  }

  draw() {
    if (!this.loaded || !this.layout.width) return
    const { header } = this
    this.sort()
    const context = fitCanvas(this.canvas, this.layout.width, this.layout.height)
    const faint = this.faint()
    const totals = header.regimes.map(() => 0)
    header.layers.forEach((layer, index) => {
      let [living, untold] = [0, 0]
      for (let neuron = 0; neuron < layer.count; neuron++) {
        const code = this.code(index, neuron)
        const regime = header.regimes[code]
        if (!regime) continue
        totals[code] += 1
        living += regime.living ? 1 : 0
        untold += regime.name === "unknown" ? 1 : 0
        this.drawTile(context, index, neuron, regime.color, faint[code])
        const alarm = this.alarm(index, neuron)
        if (alarm && alarm !== code) this.drawAlarm(context, index, neuron, header.regimes[alarm].color)
      }
      context.globalAlpha = 1
      this.drawName(context, index, livingInWords(living, untold, layer.count))
    })
    this.counts.forEach(({ entry, text }, code) => {
      text.textContent = formatStep(totals[code])
      entry.toggleAttribute("data-none", totals[code] === 0)
    })
    this.canvas.dataset.step = String(this.transport.step)
    this.canvas.setAttribute("aria-label", this.describe(totals))
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} index of the layer
   * @param {number} neuron
   * @param {string} color
   * @param {boolean} faint whether the page's background would swallow it
   */
  drawTile(context, index, neuron, color, faint) {
    const { theme } = this
    const { side } = this.layout
    const { x, y } = this.place(index, neuron)
    const inset = side > SEPARATE ? 1 : 0
    const chosen = this.isChosen(this.header.layers[index].index, neuron)
    context.fillStyle = color
    context.globalAlpha = chosen ? 1 : 0.88
    context.fillRect(x, y, side - inset, side - inset)
    if (faint && inset) {
      context.strokeStyle = theme.muted
      context.lineWidth = 1
      context.strokeRect(x + 0.5, y + 0.5, side - 2, side - 2)
    }
    if (chosen) {
      context.globalAlpha = 1
      context.strokeStyle = rgba(theme.text, 1)
      context.lineWidth = 2
      context.strokeRect(x - 1, y - 1, side + 1, side + 1)
    }
    if (this.isMarked(index, neuron)) {
      context.globalAlpha = 1
      context.strokeStyle = theme.accent
      context.lineWidth = 2
      context.strokeRect(x - 2, y - 2, side + 3, side + 3)
    }
  }

  /**
   * A corner in the colour of what alarmed, on a rim that sets it apart from its tile.
   * @param {CanvasRenderingContext2D} context
   * @param {number} index of the layer
   * @param {number} neuron
   * @param {string} color
   */
  drawAlarm(context, index, neuron, color) {
    const { x, y } = this.place(index, neuron)
    const size = Math.max(this.layout.side * 0.55, LEAST_ALARM)
    const right = x + this.layout.side - (this.layout.side > SEPARATE ? 1 : 0)
    context.globalAlpha = 1
    for (const [reach, fill] of /** @type {[number, string][]} */ ([
      [size + 1.5, rgba(this.theme.background, 1)],
      [size, color],
    ])) {
      context.fillStyle = fill
      context.beginPath()
      context.moveTo(right - reach, y)
      context.lineTo(right, y)
      context.lineTo(right, y + reach)
      context.fill()
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} index of the layer
   * @param {string} state how many of its neurons live
   */
  drawName(context, index, state) {
    const { theme, layout } = this
    context.fillStyle = rgba(theme.text, 1)
    context.font = `600 13px ${theme.font}`
    context.textBaseline = "top"
    context.textAlign = "left"
    const name = fitText(context, this.header.layers[index].name, LABEL - 10)
    context.fillText(name, 0, layout.tops[index] + 1)
    context.fillStyle = theme.muted
    context.font = `12px ${theme.font}`
    context.fillText(state, 0, layout.tops[index] + 19)
  }

  /** @param {number[]} totals neurons in each regime */
  describe(totals) {
    const { regimes, layers } = this.header
    const found = regimes
      .map(({ name }, code) => ({ name, count: totals[code] }))
      .filter(({ count }) => count)
    const said = found.map(({ name, count }) => `${count} ${name}`).join(", ")
    return (
      `Regime of every neuron at step ${formatStep(this.transport.step)}: ${said}, in ${layers.length} ` +
      `${layers.length === 1 ? "layer" : "layers"}. ` +
      "Arrow keys choose a tile, page keys a layer, Enter explains it."
    )
  }

  /** @param {number} layer its index in the run @param {number} neuron */
  isChosen(layer, neuron) {
    const { chosen } = this
    return chosen !== null && chosen.layer === layer && chosen.neuron === neuron
  }

  /** @param {number} layer its place in the map @param {number} neuron */
  isMarked(layer, neuron) {
    return this.keyed && this.over !== null && this.over.layer === layer && this.over.neuron === neuron
  }

  /** @param {MouseEvent} event */
  hover(event) {
    const box = this.canvas.getBoundingClientRect()
    const tile = this.layout.at(event.clientX - box.left, event.clientY - box.top)
    if (!tile) return this.unhover()
    this.over = { layer: tile.layer, neuron: this.neuronAt(tile.layer, tile.neuron) }
    showTip(this.tip, this.frame, event, `${this.tell()}\nclick to explain`)
  }

  tell() {
    if (!this.over) return ""
    const { layer, neuron } = this.over
    const regime = this.header.regimes[this.code(layer, neuron)]
    const said = regime ? `${regime.name}: ${regime.reading}` : "not recorded"
    const alarm = this.alarm(layer, neuron)
    const also = alarm ? `\n${this.header.regimes[alarm].name} at a step since the frame before` : ""
    return `${fullName(layer, neuron, this.header.layers[layer].name)}\n${said}${also}`
  }

  /**
   * By keys: the first move finds the chosen tile, or the first one.
   * @param {number} by neurons
   */
  move(by) {
    const { layers } = this.header
    const { layer, neuron } = this.over || this.start()
    const next = withinCount(this.rank(layer, neuron) + by, layers[layer].count)
    this.mark(layer, this.over ? this.neuronAt(layer, next) : neuron)
  }

  /** @returns {Tile} */
  start() {
    const { chosen } = this
    const layer = chosen ? this.header.layers.findIndex(({ index }) => index === chosen.layer) : 0
    return { layer, neuron: chosen ? chosen.neuron : 0 }
  }

  /** @param {number} by layers */
  moveLayer(by) {
    const { layers } = this.header
    const layer = withinCount((this.over ? this.over.layer : 0) + by, layers.length)
    this.mark(layer, this.over ? withinCount(this.over.neuron, layers[layer].count) : 0)
  }

  /** @param {number} layer @param {number} neuron */
  mark(layer, neuron) {
    this.over = { layer, neuron }
    this.keyed = true
    this.draw()
    const box = this.canvas.getBoundingClientRect()
    const { x, y } = this.place(layer, neuron)
    const place = { clientX: box.left + x + this.layout.side, clientY: box.top + y + this.layout.side }
    showTip(this.tip, this.frame, place, `${this.tell()}\nEnter explains it`)
  }

  pick() {
    if (!this.over) return
    this.chosen = { layer: this.header.layers[this.over.layer].index, neuron: this.over.neuron }
    this.draw()
    this.trigger?.("pick", { ...this.chosen, step: this.transport.claim() })
  }

  unhover() {
    this.over = null
    this.tip.hidden = true
    if (!this.keyed) return
    this.keyed = false
    this.draw()
  }

  close() {
    this.transport.close()
    this.resize.disconnect()
  }
}

export default mounted(Regimes)
