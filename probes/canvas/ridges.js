// The picture of the replay: one column a layer, one ridge a neuron, and over them the layer in one shape.
// What does not move while it plays is drawn once and laid under the rest.

const SD_WIDE = 1.05, SD_NARROW = 0.1 // ends of the colour scale, prior sds: the limits of exploded and deterministic
const PEAK_ROWS = 5 // a ridge is at most this many rows high
const LANE = 98 // pixels above the ridges: titles and the typical neuron
const TYPICAL = LANE - 6, UNIT = 15 // pixels: where the typical neuron stands, and the height of its prior
const HEADING = 26 // pixels above that for the runs' names, where there are two
const AXIS = 34 // pixels below them
const NARROW = 200 // columns narrower than this write on more lines, and less
const LABELS = 44 // pixels left of a column, for the neurons' names
const MIN_COLUMN = 138 // narrower columns scroll sideways
const FEWEST = 24, POINTS = 56, APART = 3 // points of one curve; pixels between two of them, as far as that

const endedAt = (step) => `ended at step ${formatStep(step)}`

class Ridges {
  constructor(canvas, replay) {
    this.canvas = canvas
    this.replay = replay
    this.still = document.createElement("canvas")
  }

  get header() {
    return this.replay.header
  }

  get theme() {
    return this.replay.theme
  }

  // The picture's size in `width` pixels, with `below` pixels kept free under it.
  layout(width, below) {
    const { layers } = this.header
    this.top = layers.some((layer) => layer.side === 1) ? HEADING : 0
    const rows = Math.max(...layers.map((layer) => layer.neurons.length), 1)
    this.width = Math.max(width, layers.length * MIN_COLUMN)
    this.columnWidth = this.width / layers.length
    const top = this.canvas.getBoundingClientRect().top + window.scrollY
    const room = window.innerHeight - Math.min(top, 330) - this.top - LANE - AXIS - below
    this.pitch = Math.min(Math.max(room / (rows + 1.5), 9), rows < 5 ? 64 : 26)
    this.height = Math.round(this.top + LANE + (rows + 1.5) * this.pitch + AXIS)
    this.range = this.horizontalRange()
    this.changed()
  }

  // Colours of the scale, as strong as the theme's background asks.
  paint() {
    const { dark } = this.theme
    this.colors = colorTable(VIRIDIS, dark ? 0.18 : 0.1, dark ? 1 : 0.92)
    this.fills = this.colors.map((rgb) => rgba(rgb, dark ? 0.9 : 0.86))
    this.lines = this.colors.map((rgb) => rgba(dark ? rgb.map((v) => v + (255 - v) * 0.35) : rgb.map((v) => v * 0.62), 0.72))
  }

  // What does not move is to be drawn anew.
  changed() {
    this.drawn = false
  }

  // One axis for all columns: the prior, and nearly all of what the neurons reach.
  horizontalRange() {
    const reach = []
    const { arrays } = this.replay
    this.header.layers.forEach((_, index) => {
      const mean = arrays[`mean.${index}`], sd = arrays[`sd.${index}`], total = arrays[`total.${index}`]
      for (let i = 0; i < mean.length; i += 3) {
        const value = Math.abs(mean[i]) + 2 * (total[i] || sd[i])
        if (Number.isFinite(value)) reach.push(value)
      }
    })
    reach.sort((a, b) => a - b)
    return Math.min(Math.max(reach[Math.floor(reach.length * 0.99)] || 3, 3.3), 8)
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
    const left = this.x(column, low), right = this.x(column, high)
    const points = Math.min(Math.max(Math.ceil((right - left) / APART), FEWEST), POINTS)
    context.beginPath()
    for (let i = 0; i <= points; i++) {
      const z = low + ((high - low) * i) / points
      const r = (z - mean) / sd
      const y = baseline - height * Math.exp(-0.5 * r * r)
      const x = left + ((right - left) * i) / points
      if (i === 0) context.moveTo(x, y)
      else context.lineTo(x, y)
    }
    if (close) {
      context.lineTo(right, baseline)
      context.lineTo(left, baseline)
      context.closePath()
    }
    return true
  }

  baseline(row) {
    return LANE + (row + 2) * this.pitch
  }

  // The column and row under a pointer; null where there is no ridge.
  at(event) {
    const box = this.canvas.getBoundingClientRect()
    const column = Math.floor((event.clientX - box.left) / this.columnWidth)
    const layer = this.header.layers[column]
    const row = Math.ceil((event.clientY - box.top - this.top - LANE) / this.pitch - 2)
    return !layer || row < 0 || row >= layer.neurons.length ? null : { column, row }
  }

  // Where a ridge stands on the screen.
  placeOf({ column, row }) {
    const box = this.canvas.getBoundingClientRect()
    return { clientX: box.left + this.x(column, 0), clientY: box.top + this.top + this.baseline(row) }
  }

  draw() {
    if (!this.drawn) this.drawStill()
    const context = fitCanvas(this.canvas, this.width, this.height)
    context.drawImage(this.still, 0, 0, this.width, this.height)
    if (this.top) this.drawEnds(context)
    context.save()
    context.translate(0, this.top)
    this.header.layers.forEach((layer, column) => {
      const left = this.x(column, -this.range), right = this.x(column, this.range)
      this.drawState(context, column, left)
      this.drawTypical(context, column, left, right)
      for (let row = 0; row < layer.neurons.length; row++) this.drawRidge(context, layer, column, row)
    })
    context.restore()
  }

  drawStill() {
    const context = fitCanvas(this.still, this.width, this.height)
    if (this.top) this.drawRuns(context)
    context.save()
    context.translate(0, this.top)
    this.header.layers.forEach((layer, column) => {
      const left = this.x(column, -this.range), right = this.x(column, this.range)
      context.textBaseline = "alphabetic"
      this.drawTitle(context, layer, left, right)
      this.drawAxis(context, column, left, right, this.height - this.top - AXIS)
      this.drawLines(context, layer, left, right)
      this.drawLabels(context, layer, column, left)
    })
    context.restore()
    this.drawn = true
  }

  isOver(column, row) {
    const { over } = this.replay
    return over && over.column === column && over.row === row
  }

  // Where the columns of a run lie, with its name and its last step.
  sides() {
    return [0, 1].map((side) => {
      const mine = this.header.layers.filter((layer) => layer.side === side)
      const first = this.header.layers.indexOf(mine[0])
      return { side, run: mine[0].run, last: mine[0].last, left: first * this.columnWidth, width: mine.length * this.columnWidth }
    })
  }

  // Two runs: each one's name over its columns, a line between them.
  drawRuns(context) {
    const { steps } = this.header
    for (const { side, run, last, left, width } of this.sides()) {
      context.textAlign = "left"
      context.font = `12px ${this.theme.font}`
      const ends = last < steps[steps.length - 1] ? context.measureText(endedAt(last)).width + 10 : 0
      context.font = `600 14px ${this.theme.font}`
      context.fillStyle = this.theme.accent
      context.fillText(fitText(context, run, width - LABELS - ends - 8), left + LABELS, 14)
      context.fillStyle = this.theme.faint
      context.fillRect(left + LABELS, 20, width - LABELS - 6, 1)
      if (side) context.fillRect(left + 4, 0, 1, this.height)
    }
  }

  // And where one has ended at the cursor's step.
  drawEnds(context) {
    context.textAlign = "right"
    context.font = `12px ${this.theme.font}`
    context.fillStyle = this.theme.muted
    for (const { last, left, width } of this.sides()) {
      if (this.replay.transport.step > last) context.fillText(endedAt(last), left + width - 8, 14)
    }
  }

  drawTitle(context, layer, left, right) {
    const { theme } = this
    const count = this.columnWidth < NARROW ? `${layer.neurons.length}/${layer.count}` : `${layer.neurons.length} of ${formatStep(layer.count)}`
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

  // What the layer has come to at the cursor, in numbers.
  drawState(context, column, left) {
    context.textAlign = "left"
    context.fillStyle = this.theme.muted
    context.font = `12px ${this.theme.font}`
    const living = this.replay.value(`living.${column}`, 0, 1), contraction = this.replay.value(`contraction.${column}`, 0, 1)
    const line = [`contraction ${formatNumber(contraction)}`]
    if (Number.isFinite(living)) line.push(`living ${Math.round(100 * living)} %`)
    if (this.columnWidth < NARROW) line.forEach((part, i) => context.fillText(part, left, 31 + 15 * i))
    else context.fillText(line.join("  ·  "), left, 33)
  }

  drawLines(context, layer, left, right) {
    context.lineWidth = 1
    context.strokeStyle = this.theme.faint
    context.beginPath()
    layer.neurons.forEach((_, row) => {
      const y = Math.round(this.baseline(row)) + 0.5
      context.moveTo(left, y)
      context.lineTo(right, y)
    })
    context.stroke()
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
    const variance = this.replay.value(`median.${column}`, 0, 1)
        context.strokeStyle = rgba(theme.text, 0.3)
    context.lineWidth = 1
    context.beginPath()
    context.moveTo(left, TYPICAL + 0.5)
    context.lineTo(right, TYPICAL + 0.5)
    context.stroke()
    if (variance > 0) {
      const sd = Math.sqrt(variance)
      if (this.bell(context, column, TYPICAL, 0, sd, Math.min(UNIT / Math.sqrt(sd), 54), true)) {
        context.fillStyle = this.fills[this.colorIndex(sd)]
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
    if (this.columnWidth >= NARROW) context.fillText("prior sd 1", left, TYPICAL - 30)
  }

  dashedPrior(context, column, baseline, height) {
    context.setLineDash([4, 3])
    context.lineWidth = 1.25
    context.strokeStyle = rgba(this.theme.text, 0.62)
    if (this.bell(context, column, baseline, 0, 1, height, false)) context.stroke()
    context.setLineDash([])
  }

  drawRidge(context, layer, column, row) {
    const [mean, sd, total] = this.replay.moments(column, row)
    const y = this.baseline(row)
    const marked = layer.pinned.includes(layer.neurons[row])
    const hovered = this.isOver(column, row)
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
      context.fillStyle = this.fills[color]
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
      const hovered = this.isOver(column, row)
      if (row % every && !marked && !hovered) return
      context.font = `${marked || hovered ? 600 : 400} ${size}px ${this.theme.font}`
      context.fillStyle = marked ? this.theme.pinned : hovered ? this.theme.accent : this.theme.muted
      context.fillText(`n${neuron}`, left - 6, this.baseline(row) + 1)
    })
  }
}
