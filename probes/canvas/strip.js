// The strip under the replay: each layer's information over the frames, ticks for what was done, the cursor. Drag to scrub.

const STRIP_HEIGHT = 92, TOP_OF_STRIP = 8, BOTTOM_OF_STRIP = STRIP_HEIGHT - 24
const NOTHING = 1e-6 // nats: less is rounding
const LINE = 12 // pixels between the names at its right

class Strip {
  constructor(canvas, replay) {
    this.canvas = canvas
    this.replay = replay
    this.still = document.createElement("canvas") // all but the cursor, which alone moves
    this.width = 0
    let dragging = false
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId)
      dragging = true
      this.seekAt(event)
    }
    canvas.onpointermove = (event) => dragging && this.seekAt(event)
    canvas.onpointerup = () => { dragging = false }
  }

  x(position) {
    return 46 + (position / Math.max(this.replay.header.steps.length - 1, 1)) * (this.width - 46 - 64)
  }

  layout(width) {
    this.width = width
    this.drawStill()
  }

  draw() {
    const context = fitCanvas(this.canvas, this.width, STRIP_HEIGHT)
    context.drawImage(this.still, 0, 0, this.width, STRIP_HEIGHT)
    const at = this.x(this.replay.transport.position)
    context.strokeStyle = this.replay.theme.accent
    context.lineWidth = 2
    context.beginPath()
    context.moveTo(at, TOP_OF_STRIP - 6)
    context.lineTo(at, BOTTOM_OF_STRIP)
    context.stroke()
    this.canvas.setAttribute("aria-label", this.describe())
  }

  drawStill() {
    const { theme, header } = this.replay
    const context = fitCanvas(this.still, this.width, STRIP_HEIGHT)
    const top = TOP_OF_STRIP, bottom = BOTTOM_OF_STRIP
    let high = 0
    header.layers.forEach((_, i) => this.replay.arrays[`information.${i}`].forEach((v) => { if (v > high) high = v }))
    if (high < NOTHING) high = 1
    const y = (value) => bottom - (Math.max(value, 0) / high) * (bottom - top)
    context.font = `11px ${theme.font}`
    context.fillStyle = theme.muted
    context.textAlign = "right"
    context.fillText("0", 38, bottom + 3)
    context.fillText(formatNumber(high), 38, top + 6)
    context.strokeStyle = theme.faint
    context.beginPath()
    for (const v of [0, high]) {
      context.moveTo(this.x(0), y(v) + 0.5)
      context.lineTo(this.x(header.steps.length - 1), y(v) + 0.5)
    }
    context.stroke()
    context.textAlign = "center"
    for (const tick of stepTicks(header.steps, (p) => this.x(p))) context.fillText(formatShort(tick.step), tick.x, STRIP_HEIGHT - 8)
    context.textAlign = "left"
    context.fillText("step", this.width - 34, STRIP_HEIGHT - 8)
    this.drawSeries(context, y)
    this.drawEvents(context, top, bottom)
  }

  describe() {
    const { header, transport } = this.replay
    const now = header.layers.map((layer, i) => `${layer.name} ${formatNumber(this.replay.value(`information.${i}`, 0, 1))}`)
    const alerts = header.events.filter((event) => event.alert).length
    return `Information of each layer over steps, in nats. At step ${formatStep(transport.step)}: ${now.join(", ")}. ` +
      `Ticks at ${header.events.length - alerts} interventions and ${alerts} alerts.`
  }

  drawSeries(context, y) {
    const { header, theme } = this.replay
    const ends = []
    header.layers.forEach((layer, index) => {
      const values = this.replay.arrays[`information.${index}`]
      context.strokeStyle = OKABE_ITO[layer.index % OKABE_ITO.length]
      context.lineWidth = 1.75
      context.setLineDash(layer.side ? [4, 3] : [])
      context.beginPath()
      let open = false
      values.forEach((value, i) => {
        if (!Number.isFinite(value)) { open = false; return }
        if (open) context.lineTo(this.x(i), y(value))
        else context.moveTo(this.x(i), y(value))
        open = true
      })
      context.stroke()
      const last = values[values.length - 1]
      if (Number.isFinite(last) && !layer.side) ends.push({ y: Math.max(y(last), 10), name: layer.name, color: context.strokeStyle })
    })
    context.setLineDash([])
    ends.sort((a, b) => a.y - b.y)
    // Names apart from each other: pushed down from the first on, then up from the last as far as there is room.
    ends.forEach((end, i) => { if (i) end.y = Math.max(end.y, ends[i - 1].y + LINE) })
    ends.reduceRight((below, end) => (end.y = Math.min(end.y, below - LINE)), STRIP_HEIGHT - 26 + LINE)
    context.font = `600 11px ${theme.font}`
    context.textAlign = "left"
    for (const end of ends) {
      context.fillStyle = end.color
      context.fillRect(this.width - 59, end.y - 4, 8, 3)
      context.fillStyle = theme.muted
      context.fillText(fitText(context, end.name, 48), this.width - 48, end.y + 1)
    }
  }

  drawEvents(context, top, bottom) {
    for (const event of this.replay.header.events) {
      const x = this.x(framePosition(this.replay.header.steps, event.step))
      context.fillStyle = event.alert ? "#D55E00" : this.replay.theme.muted
      context.beginPath()
      context.moveTo(x - 4, bottom + 1)
      context.lineTo(x + 4, bottom + 1)
      context.lineTo(x, bottom - 6)
      context.closePath()
      context.fill()
    }
  }

  seekAt(event) {
    const at = event.clientX - this.canvas.getBoundingClientRect().left
    const share = (at - this.x(0)) / (this.x(this.replay.header.steps.length - 1) - this.x(0))
    this.replay.transport.seek(Math.min(Math.max(share, 0), 1) * this.replay.transport.last)
  }
}

