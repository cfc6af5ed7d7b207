// Ridges of distributions per layer, replayed over steps. Reads raw means, sds and aggregate sds;
// every picture is computed here, so playing costs the server nothing.

class Replay {
  constructor(root) {
    this.root = root
    const find = (name) => root.querySelector(`[data-${name}]`)
    this.canvas = find("ridges")
    this.ridges = new Ridges(this.canvas, this)
    this.strip = new Strip(find("strip"), this)
    this.tip = find("tip")
    this.note = find("note")
    this.filled = find("filled")
    this.outlined = find("outlined")
    this.stripTitle = find("striptitle")
    this.colorbar = find("colorbar")
    this.barLabel = find("barlabel")
    this.transport = new Transport(root, () => this.draw(), (step) => this.trigger("cursor", step))
    pickable(this.canvas, find("say"), this, {
      ArrowUp: () => this.move(0, -1), ArrowDown: () => this.move(0, 1), PageUp: () => this.move(-1, 0), PageDown: () => this.move(1, 0),
    })
    find("save").onclick = () => this.save()
    this.resize = new ResizeObserver(() => this.layout())
    this.resize.observe(root.querySelector(".replay"))
    this.draws = 0
  }

  load(bytes, trigger) {
    this.trigger = trigger
    const changed = bytes !== this.bytes
    this.bytes = bytes
    if (changed) {
      const { header, arrays } = unpack(bytes)
      const another = !this.header || this.header.view !== header.view
      this.header = header
      this.arrays = arrays
      this.transport.load(header.steps)
      if (another) this.open()
    }
    this.theme = readTheme(this.root.host || this.root)
    this.ridges.paint()
    this.legend()
    this.layout()
    if (this.wantsPlay) {
      this.wantsPlay = false
      this.transport.play()
    }
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
    const context = this.colorbar.getContext("2d")
    for (let x = 0; x < 96; x++) {
      context.fillStyle = rgba(this.ridges.colors[Math.round((x / 95) * 255)], 1)
      context.fillRect(x, 0, 1, 10)
    }
    this.barLabel.textContent = `sd ${SD_WIDE} to ${SD_NARROW}, log scale`
    this.note.textContent = `height ∝ 1/√sd, at most ${PEAK_ROWS} rows`
    const { input, layers } = this.header
    this.filled.textContent = input === null ? "mean posterior, sd √E[σ²]" : `posterior of probe input ${input}, exact`
    this.outlined.hidden = input !== null
    const second = layers.find((layer) => layer.side === 1)
    this.stripTitle.textContent = "Information per layer, mean over its neurons (nats)" + (second ? ` · dashed: ${second.run}` : "")
  }

  layout() {
    if (!this.header) return
    const width = this.root.querySelector(".replay").clientWidth
    if (!width) return
    this.ridges.layout(width, STRIP_HEIGHT + 62)
    this.strip.layout(width)
    this.transport.show(this.transport.position)
  }

  value(name, row, rows) {
    const array = this.arrays[name], last = this.header.steps.length - 1
    const at = Math.min(this.transport.position, last)
    const low = Math.floor(at), high = Math.min(low + 1, last), part = at - low
    const a = array[low * rows + row], b = array[high * rows + row]
    return part === 0 ? a : a + (b - a) * part
  }

  // A ridge's mean, sd of its mean posterior, and sd of the aggregate.
  moments(column, row) {
    const rows = this.header.layers[column].neurons.length
    return ["mean", "sd", "total"].map((name) => this.value(`${name}.${column}`, row, rows))
  }

  draw() {
    if (!this.theme || !this.ridges.width) return
    this.ridges.draw()
    this.strip.draw()
    this.draws += 1
    this.canvas.dataset.draws = String(this.draws)
    this.canvas.dataset.step = String(this.transport.step)
    this.canvas.setAttribute("aria-label", this.describe())
  }

  describe() {
    const parts = this.header.layers.map((layer, i) =>
      `${this.ridges.top ? `${layer.run}, ` : ""}${layer.name}: median sd ${formatNumber(Math.sqrt(this.value(`median.${i}`, 0, 1)))}`)
    return `Distributions of neurons per layer at step ${formatStep(this.transport.step)}. ${parts.join("; ")}. ` +
      "Space plays, left and right move the step, up and down choose a neuron, page keys a layer, Enter pins it."
  }

  drawColumn(context, layer, column) {
    const { theme } = this
    const left = this.x(column, -this.range), right = this.x(column, this.range)
    const bottom = this.height - this.top - AXIS, rows = layer.neurons.length
    context.textBaseline = "alphabetic"
    this.drawTitle(context, layer, column, left, right)
    this.drawAxis(context, column, left, right, bottom)
    this.drawTypical(context, column, left, right)
    context.lineWidth = 1
    context.strokeStyle = theme.faint
    context.beginPath()
    for (let row = 0; row < rows; row++) {
      const y = Math.round(this.baseline(row)) + 0.5
      context.moveTo(left, y)
      context.lineTo(right, y)
    }
    context.stroke()
    for (let row = 0; row < rows; row++) this.drawRidge(context, layer, column, row)
    this.drawLabels(context, layer, column, left)
  }

  hover(event) {
    const over = this.ridges.at(event)
    if (!over) return this.unhover()
    this.mark(over)
    this.point(event)
  }

  mark(over) {
    this.over = over
    this.ridges.changed()
  }

  // What lies under the pointer, or under the mark that keys move: said beside it.
  point(place) {
    this.tip.textContent = this.tell()
    this.tip.hidden = false
    placeTip(this.tip, this.root.querySelector(".replay"), place)
    if (!this.transport.playing) this.draw()
  }

  tell() {
    const { column, row } = this.over
    const layer = this.header.layers[column]
    const [mean, sd, total] = this.moments(column, row)
    const pinned = layer.pinned.includes(layer.neurons[row])
    const what = this.header.input === null ? `aggregate sd ${formatNumber(total)}` : `probe input ${this.header.input}`
    return `${this.ridges.top ? `${layer.run} · ` : ""}${layer.name} · neuron ${layer.neurons[row]}\n` +
      `mean ${formatNumber(mean)}, sd ${formatNumber(sd)} prior sds\n${what}\nclick or Enter to ${pinned ? "unpin" : "pin"}`
  }

  // By keys: the first move marks the first ridge.
  move(columns, rows) {
    const { layers } = this.header
    const within = (value, count) => Math.min(Math.max(value, 0), count - 1)
    const from = this.over || { column: 0, row: 0 }
    const column = within(from.column + (this.over ? columns : 0), layers.length)
    this.mark({ column, row: within(from.row + (this.over ? rows : 0), layers[column].neurons.length) })
    this.point(this.ridges.placeOf(this.over))
  }

  unhover() {
    this.mark(null)
    this.tip.hidden = true
    if (!this.transport.playing && this.header) this.draw()
  }

  pick() {
    if (!this.over) return
    const layer = this.header.layers[this.over.column]
    this.tip.hidden = true
    this.trigger("pick", { run: layer.run, layer: layer.index, neuron: layer.neurons[this.over.row], step: this.transport.claim() })
  }

  // The picture at the cursor as PNG, on the page's background: made here, nothing is asked of the server.
  save() {
    const strip = this.strip.canvas, picture = document.createElement("canvas")
    picture.width = Math.max(this.canvas.width, strip.width)
    picture.height = this.canvas.height + strip.height
    const context = picture.getContext("2d")
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
