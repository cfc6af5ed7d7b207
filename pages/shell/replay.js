// Ridges of distributions per layer, replayed over steps. Reads raw means, sds and aggregate sds;
// every picture is computed here, so playing costs the server nothing.

const SD_WIDE = 1.05, SD_NARROW = 0.1 // ends of the colour scale, prior sds: the limits of exploded and deterministic
const PEAK_ROWS = 5 // a ridge is at most this many rows high
const LANE = 98 // pixels above the ridges: titles and the typical neuron
const HEADING = 26 // pixels above that for the runs' names, where there are two
const AXIS = 34 // pixels below them
const NARROW = 200 // columns narrower than this write on more lines, and less
const LABELS = 44 // pixels left of a column, for the neurons' names
const MIN_COLUMN = 138 // narrower columns scroll sideways
const POINTS = 56 // points of one curve

class Replay {
  constructor(root) {
    this.root = root
    const find = (name) => root.querySelector(`[data-${name}]`)
    this.canvas = find("ridges")
    this.strip = new Strip(find("strip"), this)
    this.tip = find("tip")
    this.note = find("note")
    this.filled = find("filled")
    this.outlined = find("outlined")
    this.stripTitle = find("striptitle")
    this.colorbar = find("colorbar")
    this.barLabel = find("barlabel")
    this.transport = new Transport(root, () => this.draw(), (step) => this.trigger("cursor", step))
    this.canvas.onpointermove = (event) => this.hover(event)
    this.canvas.onpointerleave = () => this.unhover()
    this.canvas.onclick = (event) => { this.hover(event); this.pick() }
    byKeys(this.canvas, find("say"), {
      moves: {
        ArrowUp: () => this.move(0, -1), ArrowDown: () => this.move(0, 1), PageUp: () => this.move(-1, 0), PageDown: () => this.move(1, 0),
      },
      say: () => (this.over ? this.tell() : ""),
      pick: () => this.pick(),
      leave: () => this.unhover(),
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
    const table = colorTable(VIRIDIS, this.theme.dark ? 0.18 : 0.1, this.theme.dark ? 1 : 0.92)
    this.colors = table
    this.css = table.map((rgb) => rgba(rgb, this.theme.dark ? 0.9 : 0.86))
    this.lines = table.map((rgb) => rgba(this.theme.dark ? rgb.map((v) => v + (255 - v) * 0.35) : rgb.map((v) => v * 0.62), 0.72))
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
      context.fillStyle = rgba(this.colors[Math.round((x / 95) * 255)], 1)
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
    const columns = this.header.layers.length
    this.top = this.header.layers.some((layer) => layer.side === 1) ? HEADING : 0
    const rows = Math.max(...this.header.layers.map((layer) => layer.neurons.length), 1)
    this.width = Math.max(width, columns * MIN_COLUMN)
    this.columnWidth = this.width / columns
    const top = this.canvas.getBoundingClientRect().top + window.scrollY
    const room = window.innerHeight - Math.min(top, 330) - this.top - LANE - AXIS - STRIP_HEIGHT - 62
    this.pitch = Math.min(Math.max(room / (rows + 1.5), 9), rows < 5 ? 64 : 26)
    this.height = Math.round(this.top + LANE + (rows + 1.5) * this.pitch + AXIS)
    this.strip.width = width
    this.range = this.horizontalRange()
    this.transport.show(this.transport.position)
  }

  // One axis for all columns: the prior, and nearly all of what the neurons reach.
  horizontalRange() {
    const reach = []
    this.header.layers.forEach((layer, index) => {
      const mean = this.arrays[`mean.${index}`], sd = this.arrays[`sd.${index}`], total = this.arrays[`total.${index}`]
      for (let i = 0; i < mean.length; i += 3) {
        const value = Math.abs(mean[i]) + 2 * (total[i] || sd[i])
        if (Number.isFinite(value)) reach.push(value)
      }
    })
    reach.sort((a, b) => a - b)
    return Math.min(Math.max(reach[Math.floor(reach.length * 0.99)] || 3, 3.3), 8)
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

  colorIndex(sd) {
    const t = Math.log(sd / SD_WIDE) / Math.log(SD_NARROW / SD_WIDE)
    return Math.round(Math.min(Math.max(t, 0), 1) * 255)
  }

  peak(sd) {
    return Math.min((0.95 * this.pitch) / Math.sqrt(sd), PEAK_ROWS * this.pitch)
  }

  x(column, value) {
    const left = column * this.columnWidth + LABELS
    const width = this.columnWidth - LABELS - 12
    return left + ((value + this.range) / (2 * this.range)) * width
  }

  bell(context, column, baseline, mean, sd, height, close) {
    const low = Math.max(mean - 3.6 * sd, -this.range), high = Math.min(mean + 3.6 * sd, this.range)
    if (low >= high) return false
    context.beginPath()
    for (let i = 0; i <= POINTS; i++) {
      const z = low + ((high - low) * i) / POINTS
      const r = (z - mean) / sd
      const y = baseline - height * Math.exp(-0.5 * r * r)
      if (i === 0) context.moveTo(this.x(column, z), y)
      else context.lineTo(this.x(column, z), y)
    }
    if (close) {
      context.lineTo(this.x(column, high), baseline)
      context.lineTo(this.x(column, low), baseline)
      context.closePath()
    }
    return true
  }

  baseline(row) {
    return LANE + (row + 2) * this.pitch
  }

  draw() {
    if (!this.theme || !this.width) return
    const context = fitCanvas(this.canvas, this.width, this.height)
    if (this.top) this.drawRuns(context)
    context.save()
    context.translate(0, this.top)
    this.header.layers.forEach((layer, column) => this.drawColumn(context, layer, column))
    context.restore()
    this.strip.draw()
    this.draws += 1
    this.canvas.dataset.draws = String(this.draws)
    this.canvas.dataset.step = String(this.transport.step)
    this.canvas.setAttribute("aria-label", this.describe())
  }

  describe() {
    const parts = this.header.layers.map((layer, i) =>
      `${this.top ? `${layer.run}, ` : ""}${layer.name}: median sd ${formatNumber(Math.sqrt(this.value(`median.${i}`, 0, 1)))}`)
    return `Distributions of neurons per layer at step ${formatStep(this.transport.step)}. ${parts.join("; ")}. ` +
      "Space plays, left and right move the step, up and down choose a neuron, page keys a layer, Enter pins it."
  }

  // Two runs: each one's name over its columns, a line between them, and where one has ended.
  drawRuns(context) {
    const { theme } = this
    const { layers } = this.header
    for (const side of [0, 1]) {
      const first = layers.findIndex((layer) => layer.side === side)
      const count = layers.filter((layer) => layer.side === side).length
      const left = first * this.columnWidth, width = count * this.columnWidth
      const { run, last } = layers[first]
      context.textAlign = "left"
      context.font = `600 14px ${theme.font}`
      context.fillStyle = theme.accent
      context.fillText(run, left + LABELS, 14, width - LABELS - 130)
      const taken = Math.min(context.measureText(run).width, width - LABELS - 130)
      context.font = `12px ${theme.font}`
      context.fillStyle = theme.muted
      if (this.transport.step > last) context.fillText(`ended at step ${formatStep(last)}`, left + LABELS + taken + 10, 14)
      context.fillStyle = theme.faint
      context.fillRect(left + LABELS, 20, width - LABELS - 6, 1)
      if (side) context.fillRect(left + 4, 0, 1, this.height)
    }
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

  drawTitle(context, layer, column, left, right) {
    const { theme } = this
    context.textAlign = "left"
    context.fillStyle = rgba(theme.text, 1)
    context.font = `600 14px ${theme.font}`
    context.fillText(layer.name, left, 15, right - left)
    context.fillStyle = theme.muted
    context.font = `12px ${theme.font}`
    const living = this.value(`living.${column}`, 0, 1), contraction = this.value(`contraction.${column}`, 0, 1)
    const line = [`contraction ${formatNumber(contraction)}`]
    if (Number.isFinite(living)) line.push(`living ${Math.round(100 * living)} %`)
    if (this.columnWidth < NARROW) line.forEach((part, i) => context.fillText(part, left, 31 + 15 * i, right - left))
    else context.fillText(line.join("  ·  "), left, 33, right - left)
    context.textAlign = "right"
    context.fillText(this.columnWidth < NARROW ? `${layer.neurons.length}/${layer.count}` : `${layer.neurons.length} of ${formatStep(layer.count)}`, right, 15)
  }

  drawAxis(context, column, left, right, bottom) {
    const { theme } = this
    context.font = `11px ${theme.font}`
    context.textAlign = "center"
    const every = this.range > 5 ? 2 : 1
    for (let z = -Math.floor(this.range); z <= this.range; z++) {
      if (z % every) continue
      const x = Math.round(this.x(column, z)) + 0.5
      context.strokeStyle = z === 0 ? rgba(theme.text, 0.22) : theme.faint
      context.lineWidth = 1
      context.beginPath()
      context.moveTo(x, LANE - 6)
      context.lineTo(x, bottom)
      context.stroke()
      context.fillStyle = theme.muted
      context.fillText(String(z).replace("-", "−"), x, bottom + 14)
    }
    context.fillText("z (prior sd)", (left + right) / 2, bottom + 29)
  }

  // The layer in one shape: a bell as wide as its median neuron, on the prior that it started from.
  drawTypical(context, column, left, right) {
    const { theme } = this
    const variance = this.value(`median.${column}`, 0, 1)
    const base = LANE - 6, unit = 15
    context.strokeStyle = rgba(theme.text, 0.3)
    context.lineWidth = 1
    context.beginPath()
    context.moveTo(left, base + 0.5)
    context.lineTo(right, base + 0.5)
    context.stroke()
    if (variance > 0) {
      const sd = Math.sqrt(variance)
      if (this.bell(context, column, base, 0, sd, Math.min(unit / Math.sqrt(sd), 54), true)) {
        context.fillStyle = this.css[this.colorIndex(sd)]
        context.fill()
      }
      context.fillStyle = theme.muted
      context.font = `11px ${theme.font}`
      context.textAlign = "right"
      context.fillText(`median sd ${formatNumber(sd)}`, right, base - 30)
    }
    this.dashedPrior(context, column, base, unit)
    context.fillStyle = theme.muted
    context.font = `11px ${theme.font}`
    context.textAlign = "left"
    if (this.columnWidth >= NARROW) context.fillText("prior sd 1", left, base - 30)
  }

  dashedPrior(context, column, baseline, height) {
    context.setLineDash([4, 3])
    context.lineWidth = 1.25
    context.strokeStyle = rgba(this.theme.text, 0.62)
    if (this.bell(context, column, baseline, 0, 1, height, false)) context.stroke()
    context.setLineDash([])
  }

  drawRidge(context, layer, column, row) {
    const [mean, sd, total] = this.moments(column, row)
    const y = this.baseline(row)
    const marked = layer.pinned.includes(layer.neurons[row])
    const hovered = this.over && this.over.column === column && this.over.row === row
    if (!(sd > 0) || !Number.isFinite(mean)) {
      context.fillStyle = this.theme.muted
      context.font = `10px ${this.theme.font}`
      context.textAlign = "center"
      context.fillText("no distribution at this step", this.x(column, 0), y - 2)
      return
    }
    const color = this.colorIndex(sd)
    if (hovered || marked) this.dashedPrior(context, column, y, this.peak(1))
    if (this.bell(context, column, y, mean, sd, this.peak(sd), true)) {
      context.fillStyle = this.css[color]
      context.fill()
      context.lineWidth = 1
      context.strokeStyle = rgba(this.theme.background, 0.75)
      context.stroke()
    }
    if (total > 0 && this.bell(context, column, y, mean, total, this.peak(total), false)) {
      context.lineWidth = hovered || marked ? 2 : 1
      context.strokeStyle = marked ? "#E69F00" : hovered ? this.theme.accent : this.lines[color]
      context.stroke()
    }
    if (Math.abs(mean) > this.range) this.drawOutside(context, column, y, mean)
  }

  drawOutside(context, column, y, mean) {
    const x = this.x(column, Math.sign(mean) * this.range)
    context.fillStyle = this.theme.muted
    context.font = `10px ${this.theme.font}`
    context.textAlign = mean > 0 ? "right" : "left"
    context.fillText(mean > 0 ? `${formatNumber(mean)} ▸` : `◂ ${formatNumber(mean)}`, x, y - 2)
  }

  drawLabels(context, layer, column, left) {
    const size = Math.min(11, this.pitch - 1)
    const every = this.pitch < 9 ? 2 : 1
    context.textAlign = "right"
    layer.neurons.forEach((neuron, row) => {
      const marked = layer.pinned.includes(neuron)
      const hovered = this.over && this.over.column === column && this.over.row === row
      if (row % every && !marked && !hovered) return
      context.font = `${marked || hovered ? 600 : 400} ${size}px ${this.theme.font}`
      context.fillStyle = marked ? this.theme.pinned : hovered ? this.theme.accent : this.theme.muted
      context.fillText(`n${neuron}`, left - 6, this.baseline(row) + 1)
    })
  }

  hover(event) {
    const box = this.canvas.getBoundingClientRect()
    const column = Math.floor((event.clientX - box.left) / this.columnWidth)
    const layer = this.header.layers[column]
    const row = Math.ceil((event.clientY - box.top - this.top - LANE) / this.pitch - 2)
    if (!layer || row < 0 || row >= layer.neurons.length) return this.unhover()
    this.over = { column, row }
    this.point(event)
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
    return `${this.top ? `${layer.run} · ` : ""}${layer.name} · neuron ${layer.neurons[row]}\n` +
      `mean ${formatNumber(mean)}, sd ${formatNumber(sd)} prior sds\n${what}\nclick or Enter to ${pinned ? "unpin" : "pin"}`
  }

  // By keys: the first move marks the first ridge.
  move(columns, rows) {
    const { layers } = this.header
    const within = (value, count) => Math.min(Math.max(value, 0), count - 1)
    const from = this.over || { column: 0, row: 0 }
    const column = within(from.column + (this.over ? columns : 0), layers.length)
    this.over = { column, row: within(from.row + (this.over ? rows : 0), layers[column].neurons.length) }
    const box = this.canvas.getBoundingClientRect()
    this.point({ clientX: box.left + this.x(column, 0), clientY: box.top + this.top + this.baseline(this.over.row) })
  }

  unhover() {
    this.over = null
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
