// Layer x neuron map of regimes over steps: one tile a neuron, one byte a tile and frame, scrubbed in the browser.

const LABEL = 96 // pixels left of the tiles, for the layers' names
const GAP = 12 // between layers
const NAME = 36 // height of a layer's name and living share
const HEAD = 4
const LARGEST = 18 // side of a tile, pixels
const NEAR = 90 // sum of the differences of red, green and blue below which two colours are taken for one
const TALLEST = 150, ALL = 480 // height of a layer and of all, while tiles stay visible

class Regimes {
  constructor(root) {
    this.root = root
    const find = (name) => root.querySelector(`[data-${name}]`)
    this.canvas = find("map")
    this.tip = find("tip")
    this.legendRow = find("legend")
    this.transport = new Transport(root, () => this.draw(), (step) => this.trigger("cursor", step))
    pickable(this.canvas, find("say"), this, {
      ArrowLeft: () => this.move(-1), ArrowRight: () => this.move(1),
      ArrowUp: () => this.move(-this.perRow), ArrowDown: () => this.move(this.perRow),
      PageUp: () => this.moveLayer(-1), PageDown: () => this.moveLayer(1),
    })
    this.resize = new ResizeObserver(() => this.layout())
    this.resize.observe(root.querySelector(".regimes"))
  }

  load(bytes, trigger) {
    this.trigger = trigger
    if (bytes !== this.bytes) {
      const { header, arrays } = unpack(bytes)
      const news = !this.header || this.header.told !== header.told // else it knows better
      this.bytes = bytes
      this.header = header
      this.arrays = arrays
      this.transport.load(header.steps)
      if (news) {
        this.chosen = header.chosen
        this.transport.position = header.cursor === null ? header.steps.length - 1 : Math.round(framePosition(header.steps, header.cursor))
      }
      this.legend()
    }
    this.theme = readTheme(this.root.host || this.root)
    this.layout()
  }

  legend() {
    this.legendRow.replaceChildren()
    const ever = new Set()
    this.header.layers.forEach((_, layer) => this.arrays[`regime.${layer}`].forEach((code) => ever.add(code)))
    this.counts = this.header.regimes.map((regime, code) => {
      const entry = document.createElement("span")
      entry.setAttribute("role", "listitem")
      entry.title = `${regime.rule}: ${regime.reading}`
      const swatch = document.createElement("i")
      swatch.style.background = regime.color
      const text = document.createElement("b")
      entry.append(swatch, document.createTextNode(regime.name), text)
      if (ever.has(code)) this.legendRow.appendChild(entry)
      return { entry, text }
    })
  }

  // Square tiles, as many in a row as a round number of neurons: the n-th row starts at a neuron one can name.
  layout() {
    if (!this.header) return
    this.width = this.root.querySelector(".regimes").clientWidth
    if (!this.width) return
    const room = this.width - LABEL
    const most = Math.max(...this.header.layers.map((layer) => layer.count), 1)
    const tallest = Math.min(TALLEST, Math.max(ALL / this.header.layers.length, NAME))
    this.perRow = 8
    const tile = () => Math.min(room / this.perRow, LARGEST)
    while (this.perRow < most && (room / this.perRow > 1.5 * LARGEST || (Math.ceil(most / this.perRow) * tile() > tallest && tile() > 2))) this.perRow *= 2
    this.tile = tile()
    let y = HEAD
    this.tops = this.header.layers.map((layer) => {
      const top = y
      y += Math.max(Math.ceil(layer.count / this.perRow) * this.tile, NAME) + GAP
      return top
    })
    this.height = Math.max(y, 40)
    this.transport.show(this.transport.position)
  }

  // Regimes whose colour is all but that of the page get an outline: black tiles in the dark theme.
  faint() {
    const far = (color) => color.reduce((sum, value, i) => sum + Math.abs(value - this.theme.background[i]), 0)
    return this.header.regimes.map((regime) => far(parseColor(regime.color)) < NEAR)
  }

  code(layer, neuron) {
    const frame = Math.round(this.transport.position)
    return this.arrays[`regime.${layer}`][frame * this.header.layers[layer].count + neuron]
  }

  draw() {
    if (!this.theme || !this.width) return
    const { theme, header } = this
    const context = fitCanvas(this.canvas, this.width, this.height)
    const totals = header.regimes.map(() => 0)
    const inset = this.tile > 5 ? 1 : 0
    const faint = this.faint()
    header.layers.forEach((layer, index) => {
      context.fillStyle = rgba(theme.text, 1)
      context.font = `600 13px ${theme.font}`
      context.textBaseline = "top"
      context.textAlign = "left"
      context.fillText(fitText(context, layer.name, LABEL - 10), 0, this.tops[index] + 1)
      let living = 0
      for (let neuron = 0; neuron < layer.count; neuron++) {
        const code = this.code(index, neuron)
        const regime = header.regimes[code]
        if (!regime) continue
        totals[code] += 1
        living += regime.living ? 1 : 0
        const x = LABEL + (neuron % this.perRow) * this.tile, y = this.tops[index] + Math.floor(neuron / this.perRow) * this.tile
        context.fillStyle = regime.color
        context.globalAlpha = this.selected(layer.index, neuron) ? 1 : 0.88
        context.fillRect(x, y, this.tile - inset, this.tile - inset)
        if (faint[code] && inset) {
          context.strokeStyle = theme.muted
          context.lineWidth = 1
          context.strokeRect(x + 0.5, y + 0.5, this.tile - 2, this.tile - 2)
        }
        if (this.selected(layer.index, neuron)) {
          context.globalAlpha = 1
          context.strokeStyle = rgba(theme.text, 1)
          context.lineWidth = 2
          context.strokeRect(x - 1, y - 1, this.tile + 1, this.tile + 1)
        }
        if (this.isMarked(index, neuron)) {
          context.globalAlpha = 1
          context.strokeStyle = theme.accent
          context.lineWidth = 2
          context.strokeRect(x - 2, y - 2, this.tile + 3, this.tile + 3)
        }
      }
      context.globalAlpha = 1
      context.fillStyle = theme.muted
      context.font = `12px ${theme.font}`
      context.fillText(`${Math.round((100 * living) / Math.max(layer.count, 1))} % living`, 0, this.tops[index] + 19)
    })
    this.counts.forEach(({ entry, text }, code) => {
      text.textContent = formatStep(totals[code])
      entry.toggleAttribute("data-none", totals[code] === 0)
    })
    this.canvas.dataset.step = String(this.transport.step)
    this.canvas.setAttribute("aria-label", `Regime of every neuron at step ${formatStep(this.transport.step)}: ` +
      header.regimes.map((r, i) => [r.name, totals[i]]).filter(([, n]) => n).map(([name, n]) => `${n} ${name}`).join(", ") +
      `, in ${header.layers.length} ${header.layers.length === 1 ? "layer" : "layers"}. Arrow keys choose a tile, page keys a layer, Enter explains it.`)
  }

  selected(layer, neuron) {
    const { chosen } = this
    return chosen !== null && chosen.layer === layer && chosen.neuron === neuron
  }

  hover(event) {
    const box = this.canvas.getBoundingClientRect()
    const x = event.clientX - box.left - LABEL, y = event.clientY - box.top
    const index = this.tops.findLastIndex((top) => y >= top)
    const layer = this.header.layers[index]
    const column = Math.floor(x / this.tile)
    const neuron = layer ? Math.floor((y - this.tops[index]) / this.tile) * this.perRow + column : -1
    if (!layer || x < 0 || column >= this.perRow || neuron >= layer.count) return this.unhover()
    this.over = { layer: index, neuron }
    this.tip.textContent = `${this.tell()}\nclick to explain`
    this.tip.hidden = false
    placeTip(this.tip, this.root.querySelector(".regimes"), event)
    return undefined
  }

  tell() {
    const { layer, neuron } = this.over
    const regime = this.header.regimes[this.code(layer, neuron)]
    return `${this.header.layers[layer].name} · neuron ${neuron}\n${regime ? `${regime.name}: ${regime.reading}` : "not recorded"}`
  }

  isMarked(layer, neuron) {
    return this.keyed && this.over && this.over.layer === layer && this.over.neuron === neuron
  }

  // By keys: the first move finds the chosen tile, or the first one.
  move(by) {
    const start = this.chosen || { layer: this.header.layers[0].index, neuron: 0 }
    const from = this.over || { layer: this.header.layers.findIndex((layer) => layer.index === start.layer), neuron: start.neuron }
    const { count } = this.header.layers[from.layer]
    this.mark(from.layer, this.over ? Math.min(Math.max(from.neuron + by, 0), count - 1) : from.neuron)
  }

  moveLayer(by) {
    const layer = Math.min(Math.max((this.over ? this.over.layer : 0) + by, 0), this.header.layers.length - 1)
    this.mark(layer, this.over ? Math.min(this.over.neuron, this.header.layers[layer].count - 1) : 0)
  }

  mark(layer, neuron) {
    this.over = { layer, neuron }
    this.keyed = true
    this.draw()
    const box = this.canvas.getBoundingClientRect()
    const clientX = box.left + LABEL + ((neuron % this.perRow) + 1) * this.tile
    const clientY = box.top + this.tops[layer] + (Math.floor(neuron / this.perRow) + 1) * this.tile
    this.tip.textContent = `${this.tell()}\nEnter explains it`
    this.tip.hidden = false
    placeTip(this.tip, this.root.querySelector(".regimes"), { clientX, clientY })
  }

  pick() {
    if (!this.over) return
    this.chosen = { layer: this.header.layers[this.over.layer].index, neuron: this.over.neuron }
    this.draw()
    this.trigger("pick", { ...this.chosen, step: this.transport.claim() })
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
