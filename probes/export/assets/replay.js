// The report's replay: ridges of distributions per layer on one canvas, from base64 of float32.
"use strict"

const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"]
const SECONDS = 10 // the whole run at speed 1
const PITCH = 17, TOP = 62, BOTTOM = 36, LABELS = 46, MIN_COLUMN = 150, NARROW = 140 // pixels
const PEAK_ROWS = 5 // a ridge is at most this many rows high
const POINTS = 48 // of a curve
const SD_WIDE = 1.05, SD_NARROW = 0.1 // ends of the colour scale

function floats(text) {
  return new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer)
}

class Replay {
  constructor(root, data) {
    const find = (name) => root.querySelector(`[data-${name}]`)
    this.canvas = find("canvas")
    this.scrub = find("scrub")
    this.button = find("play")
    this.speed = find("speed")
    this.readout = find("step")
    this.steps = data.steps
    this.layers = data.layers.map((layer) => ({
      ...layer, mean: floats(layer.mean), variance: floats(layer.variance), spread: floats(layer.spread),
    }))
    this.range = this.reach()
    this.last = this.steps.length - 1
    this.at = this.last
    this.scrub.max = this.last
    this.scrub.disabled = this.button.disabled = this.last < 1
    this.button.onclick = () => (this.playing ? this.pause() : this.play())
    this.scrub.oninput = () => { this.pause(); this.show(Number(this.scrub.value)) }
    this.canvas.onkeydown = (event) => this.key(event)
    new ResizeObserver(() => this.draw()).observe(root)
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches
    this.show(this.last)
    new IntersectionObserver((seen, observer) => {
      if (!seen[0].isIntersecting) return
      observer.disconnect()
      if (!still) this.play()
    }, { threshold: 0.4 }).observe(this.canvas)
  }

  reach() {
    const values = []
    for (const layer of this.layers) {
      for (let i = 0; i < layer.mean.length; i += 3) {
        const value = Math.abs(layer.mean[i]) + 2 * Math.sqrt(layer.variance[i] + (layer.spread[i] || 0))
        if (Number.isFinite(value)) values.push(value)
      }
    }
    values.sort((a, b) => a - b)
    return Math.min(Math.max(values[Math.floor(values.length * 0.99)] || 3, 3.3), 8)
  }

  play() {
    if (this.last < 1) return
    if (this.at >= this.last) this.at = 0
    this.playing = true
    this.button.textContent = "❚❚"
    this.button.setAttribute("aria-label", "Pause")
    let before = performance.now()
    const tick = (now) => {
      if (!this.playing) return
      const next = this.at + ((now - before) / 1000) * (this.last / SECONDS) * Number(this.speed.value)
      before = now
      if (next >= this.last) { this.pause(); this.show(this.last); return }
      this.show(next)
      requestAnimationFrame(tick)
    }
    requestAnimationFrame(tick)
  }

  pause() {
    this.playing = false
    this.button.textContent = "▶"
    this.button.setAttribute("aria-label", "Play")
  }

  key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (event.key === " ") this.button.click()
    else if (move) { this.pause(); this.show(Math.round(this.at) + move * (event.shiftKey ? 10 : 1)) }
    else return
    event.preventDefault()
  }

  show(at) {
    this.at = Math.min(Math.max(at, 0), this.last)
    const step = this.steps[Math.round(this.at)]
    this.scrub.value = Math.round(this.at)
    this.scrub.setAttribute("aria-valuetext", `step ${step}`)
    this.readout.textContent = `step ${step.toLocaleString("en-GB")} / ${this.steps[this.last].toLocaleString("en-GB")}`
    this.canvas.dataset.step = step
    this.canvas.setAttribute("aria-label", `Distributions of neurons in ${this.layers.length} layers at step ${step}`)
    this.draw()
  }

  draw() {
    const width = Math.max(this.canvas.parentElement.clientWidth, this.layers.length * MIN_COLUMN)
    const rows = Math.max(...this.layers.map((layer) => layer.neurons.length))
    const height = TOP + (rows + 2) * PITCH + BOTTOM, ratio = devicePixelRatio || 1
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio)
      this.canvas.height = Math.round(height * ratio)
      this.canvas.style.width = `${width}px`
      this.canvas.style.height = `${height}px`
    }
    const style = getComputedStyle(document.documentElement)
    this.colors = Object.fromEntries(["text", "muted", "line", "panel", "prior"].map((n) => [n, style.getPropertyValue(`--${n}`)]))
    const context = this.canvas.getContext("2d")
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    const column = width / this.layers.length
    this.layers.forEach((layer, i) => this.column(context, layer, i * column + LABELS, (i + 1) * column - 12, height))
  }

  column(context, layer, left, right, height) {
    const { colors } = this
    const x = (z) => left + ((z + this.range) / (2 * this.range)) * (right - left)
    context.font = "600 14px system-ui, sans-serif"
    context.fillStyle = colors.text
    context.textAlign = "left"
    context.fillText(layer.name, left, 16, right - left)
    context.font = "12px system-ui, sans-serif"
    context.fillStyle = colors.muted
    context.fillText(`${layer.neurons.length} of ${layer.count}`, left, 33, right - left)
    context.textAlign = "center"
    for (let z = -Math.floor(this.range); z <= this.range; z++) {
      if ((this.range > 5 || right - left < NARROW) && z % 2) continue
      context.strokeStyle = colors.line
      context.lineWidth = z === 0 ? 1.5 : 0.75
      context.beginPath()
      context.moveTo(x(z), TOP - 16)
      context.lineTo(x(z), height - BOTTOM)
      context.stroke()
      context.fillText(String(z).replace("-", "−"), x(z), height - BOTTOM + 14)
    }
    context.fillText("z (prior sd)", (left + right) / 2, height - 5)
    context.setLineDash([4, 3])
    this.bell(context, x, TOP, 0, 1, 0.95 * PITCH, colors.prior, null)
    context.setLineDash([])
    layer.neurons.forEach((neuron, row) => this.ridge(context, layer, x, row, neuron, left))
  }

  ridge(context, layer, x, row, neuron, left) {
    const rows = layer.neurons.length, low = Math.floor(this.at), high = Math.min(low + 1, this.last), part = this.at - low
    const value = (name) => {
      const a = layer[name][low * rows + row], b = layer[name][high * rows + row]
      return part === 0 ? a : a + (b - a) * part
    }
    const y = TOP + (row + 2) * PITCH, mean = value("mean"), variance = value("variance"), spread = value("spread")
    context.font = "11px system-ui, sans-serif"
    context.fillStyle = this.colors.muted
    context.textAlign = "right"
    context.fillText(`n${neuron}`, left - 6, y + 1)
    if (!(variance > 0) || !Number.isFinite(mean)) return
    const sd = Math.sqrt(variance)
    const share = Math.log(sd / SD_WIDE) / Math.log(SD_NARROW / SD_WIDE)
    const color = VIRIDIS[Math.round(Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 2)) + 1]
    this.bell(context, x, y, mean, sd, this.peak(sd), this.colors.panel, color)
    if (spread >= 0) this.bell(context, x, y, mean, Math.sqrt(variance + spread), this.peak(Math.sqrt(variance + spread)), this.colors.text, null)
  }

  peak(sd) {
    return Math.min((0.95 * PITCH) / Math.sqrt(sd), PEAK_ROWS * PITCH)
  }

  bell(context, x, y, mean, sd, height, stroke, fill) {
    const low = Math.max(mean - 3.6 * sd, -this.range), high = Math.min(mean + 3.6 * sd, this.range)
    if (low >= high) return
    context.beginPath()
    for (let i = 0; i <= POINTS; i++) {
      const z = low + ((high - low) * i) / POINTS
      context.lineTo(x(z), y - height * Math.exp(-0.5 * ((z - mean) / sd) ** 2))
    }
    if (fill) {
      context.closePath()
      context.globalAlpha = 0.88
      context.fillStyle = fill
      context.fill()
    }
    context.globalAlpha = fill ? 1 : 0.6
    context.lineWidth = 1
    context.strokeStyle = stroke
    context.stroke()
    context.globalAlpha = 1
  }
}
