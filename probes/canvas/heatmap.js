// Neuron x step image of one statistic: one byte a cell (0 = not recorded, 1..255 = the colour scale), coloured here.

const LEFT = 62, RIGHT = 96, TOP = 8, BOTTOM = 42
const HEIGHT = 420
const ROWS = 10 // that a page key moves

class Heatmap {
  constructor(root) {
    this.root = root
    this.canvas = root.querySelector("[data-image]")
    this.tip = root.querySelector("[data-tip]")
    pickable(this.canvas, root.querySelector("[data-say]"), this, {
      ArrowLeft: () => this.move(0, -1), ArrowRight: () => this.move(0, 1), ArrowUp: () => this.move(-1, 0), ArrowDown: () => this.move(1, 0),
      PageUp: () => this.move(-ROWS, 0), PageDown: () => this.move(ROWS, 0),
      Home: () => this.move(0, -this.header.columns), End: () => this.move(0, this.header.columns),
    })
    this.resize = new ResizeObserver(() => this.draw())
    this.resize.observe(root.querySelector(".heatmap"))
  }

  load(bytes, trigger) {
    this.trigger = trigger
    if (bytes !== this.bytes) {
      this.bytes = bytes
      const { header, arrays } = unpack(bytes)
      if (this.header && this.header.label !== header.label) this.over = null
      const { told, cursor, chosen } = header
      if (told !== this.told) Object.assign(this, { told, cursor, chosen }) // else it knows better
      this.header = header
      this.cells = arrays.cells
    }
    this.theme = readTheme(this.root.host || this.root)
    this.paint()
    this.draw()
  }

  // Colours once into an image of one pixel a cell; drawing stretches it.
  paint() {
    const { rows, columns, colors } = this.header
    const table = colorTable(SCALES[colors])
    const image = new ImageData(columns, rows)
    for (let i = 0; i < this.cells.length; i++) {
      if (this.cells[i] === 0) continue
      const [r, g, b] = table[Math.round(((this.cells[i] - 1) / 254) * 255)]
      image.data.set([r, g, b, 255], 4 * i)
    }
    this.image = document.createElement("canvas")
    this.image.width = columns
    this.image.height = rows
    this.image.getContext("2d").putImageData(image, 0, 0)
    this.table = table
  }

  value(code) {
    const { low, high, log } = this.header
    const part = (code - 1) / 254
    return log ? low * (high / low) ** part : low + (high - low) * part
  }

  draw() {
    if (!this.header || !this.theme) return
    const width = this.root.querySelector(".heatmap").clientWidth
    if (!width) return
    const { rows, columns, edges, order } = this.header
    this.size = { width: width - LEFT - RIGHT, height: Math.min(HEIGHT, Math.max(rows * 18, 60)) }
    const context = fitCanvas(this.canvas, width, this.size.height + TOP + BOTTOM)
    context.imageSmoothingEnabled = false
    context.drawImage(this.image, LEFT, TOP, this.size.width, this.size.height)
    const { theme } = this
    context.font = `11px ${theme.font}`
    context.fillStyle = theme.muted
    context.strokeStyle = theme.accent
    this.axes(context, edges, columns, rows)
    for (const neuron of this.chosen) {
      const row = order.indexOf(neuron)
      if (row < 0) continue
      const y = TOP + ((row + 0.5) / rows) * this.size.height
      context.fillStyle = "#E69F00"
      context.beginPath()
      context.moveTo(LEFT - 2, y)
      context.lineTo(LEFT - 9, y - 4)
      context.lineTo(LEFT - 9, y + 4)
      context.fill()
    }
    if (this.cursor !== null) {
      const x = this.stepX(this.cursor)
      context.lineWidth = 2
      context.strokeStyle = theme.accent
      context.beginPath()
      context.moveTo(x, TOP)
      context.lineTo(x, TOP + this.size.height)
      context.stroke()
    }
    if (this.keyed && this.over) this.drawMark(context)
    this.canvas.setAttribute("aria-label", `${this.header.label}. Arrow keys choose a cell, Enter takes its neuron and step.`)
  }

  // What the keys have chosen: its row and column, in two colours, so that one shows on any cell.
  drawMark(context) {
    const { x, y } = this.place(this.over)
    for (const [width, colour] of [[3, rgba(this.theme.background, 1)], [1, rgba(this.theme.text, 1)]]) {
      context.lineWidth = width
      context.strokeStyle = colour
      context.strokeRect(LEFT, y - 3, this.size.width, 6)
      context.strokeRect(x - 3, TOP, 6, this.size.height)
    }
  }

  place({ row, column }) {
    const { rows, columns } = this.header
    return { x: LEFT + ((column + 0.5) / columns) * this.size.width, y: TOP + ((row + 0.5) / rows) * this.size.height }
  }

  // By keys: the first move marks the chosen neuron at the cursor, else the first row.
  move(rows, columns) {
    const { cursor, chosen } = this
    const { order, edges } = this.header
    if (this.over) {
      const within = (value, count) => Math.min(Math.max(value, 0), count - 1)
      this.over = { row: within(this.over.row + rows, this.header.rows), column: within(this.over.column + columns, this.header.columns) }
    } else {
      const column = cursor === null ? this.header.columns - 1 : Math.floor(framePosition(edges, cursor))
      this.over = { row: Math.max(order.indexOf(chosen[0]), 0), column: Math.min(column, this.header.columns - 1) }
    }
    this.keyed = true
    this.draw()
    const box = this.canvas.getBoundingClientRect(), { x, y } = this.place(this.over)
    this.tip.textContent = `${this.tell()}\nEnter for the exact number`
    this.tip.hidden = false
    placeTip(this.tip, this.root.querySelector(".heatmap"), { clientX: box.left + x, clientY: box.top + y })
  }

  pick() {
    if (!this.over) return
    this.chosen = [this.header.order[this.over.row]]
    this.cursor = Math.round(this.header.edges[this.over.column])
    this.draw()
    this.trigger("pick", { neuron: this.chosen[0], step: this.cursor })
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

  stepX(step) {
    return LEFT + (framePosition(this.header.edges, step) / this.header.columns) * this.size.width
  }

  axes(context, edges, columns, rows) {
    const { theme } = this
    const bottom = TOP + this.size.height
    context.textAlign = "center"
    context.textBaseline = "alphabetic"
    for (let i = 0; i <= 5; i++) {
      const at = Math.round((columns * i) / 5)
      context.fillText(formatShort(edges[Math.min(at, columns - 1)]), LEFT + (this.size.width * at) / columns, bottom + 15)
      if (columns === 1) break
    }
    context.fillText("step", LEFT + this.size.width / 2, bottom + 33)
    context.textAlign = "right"
    for (let i = 0; i <= 4 && rows > 1; i++) {
      const row = Math.round(((rows - 1) * i) / 4)
      context.fillText(formatStep(this.header.ticks[row]), LEFT - 12, TOP + ((row + 0.5) / rows) * this.size.height + 4)
    }
    context.save()
    context.translate(11, TOP + this.size.height / 2)
    context.rotate(-Math.PI / 2)
    context.textAlign = "center"
    context.fillText(this.header.rowTitle, 0, 0)
    context.restore()
    const x = LEFT + this.size.width + 18, height = Math.min(this.size.height, 220)
    for (let y = 0; y < height; y++) {
      context.fillStyle = rgba(this.table[Math.round(255 * (1 - y / (height - 1)))], 1)
      context.fillRect(x, TOP + y, 12, 1.5)
    }
    context.fillStyle = theme.muted
    context.textAlign = "left"
    for (const part of height < 5 * 14 ? [0, 1] : [0, 0.25, 0.5, 0.75, 1]) {
      context.fillText(formatNumber(this.value(1 + 254 * part)), x + 18, TOP + height * (1 - part) + (part === 1 ? 9 : part === 0 ? 0 : 4))
    }
    context.fillText(this.header.unit, x - 4, TOP + height + 18, RIGHT - 12)
  }

  cell(event) {
    const box = this.canvas.getBoundingClientRect()
    const column = Math.floor(((event.clientX - box.left - LEFT) / this.size.width) * this.header.columns)
    const row = Math.floor(((event.clientY - box.top - TOP) / this.size.height) * this.header.rows)
    if (column < 0 || row < 0 || column >= this.header.columns || row >= this.header.rows) return null
    return { row, column }
  }

  hover(event) {
    const cell = this.cell(event)
    if (!cell) return this.unhover()
    this.over = cell
    this.unmark()
    this.tip.hidden = false
    this.tip.textContent = `${this.tell()}\nclick for the exact number`
    placeTip(this.tip, this.root.querySelector(".heatmap"), event)
    return undefined
  }

  tell() {
    const { over: cell } = this
    const { edges, order, columns, title, unit, layer } = this.header
    const code = this.cells[cell.row * columns + cell.column]
    const first = edges[cell.column], end = edges[cell.column + 1] - 1
    const steps = end > first ? `steps ${formatStep(first)} to ${formatStep(end)}` : `step ${formatStep(first)}`
    const value = code ? `${title} about ${formatNumber(this.value(code))} ${unit}` : `${title} not recorded`
    return `${layer} · neuron ${order[cell.row]}\n${steps}\n${value}`
  }

  close() {
    this.resize.disconnect()
  }
}

export default mounted(Heatmap)
