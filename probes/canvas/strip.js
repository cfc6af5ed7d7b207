// The strip under the replay: each layer's information over the frames, ticks for what was done, the cursor.
// Drag to scrub.

import { fitCanvas, fitText, strokeLine } from "./drawing.js"
import { formatNumber, formatShort, formatStep } from "./format.js"
import { framePosition, stepTicks } from "./frames.js"
import { ALERT, OKABE_ITO } from "./palette.js"

/** @typedef {CanvasRenderingContext2D} Context */

export const STRIP_HEIGHT = 92
const TOP = 8
const BOTTOM = STRIP_HEIGHT - 24
const LEFT = 46
const RIGHT = 64
const NOTHING = 1e-6 // nats: less is rounding
const LINE = 12 // pixels between the names at its right

/**
 * Heights for names beside each other's lines: pushed down from the first on, then up from the last as far as
 * there is room.
 * @param {number[]} heights that the lines end at, from the top
 * @param {number} lowest
 */
export function spreadApart(heights, lowest, apart = LINE) {
  const placed = [...heights]
  for (let i = 1; i < placed.length; i++) placed[i] = Math.max(placed[i], placed[i - 1] + apart)
  let below = lowest + apart
  for (let i = placed.length - 1; i >= 0; i--) below = placed[i] = Math.min(placed[i], below - apart)
  return placed
}

export class Strip {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./replay.js").Replay} replay
   */
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
    canvas.onpointerup = () => {
      dragging = false
    }
  }

  /** @param {number} position fractional frame index */
  x(position) {
    const last = Math.max(this.replay.header.steps.length - 1, 1)
    return LEFT + (position / last) * (this.width - LEFT - RIGHT)
  }

  /** @param {number} width pixels */
  resize(width) {
    this.width = width
    this.drawStill()
  }

  draw() {
    const context = fitCanvas(this.canvas, this.width, STRIP_HEIGHT)
    context.drawImage(this.still, 0, 0, this.width, STRIP_HEIGHT)
    const at = this.x(this.replay.transport.position)
    context.strokeStyle = this.replay.theme.accent
    context.lineWidth = 2
    strokeLine(context, at, TOP - 6, at, BOTTOM)
    this.canvas.setAttribute("aria-label", this.describe())
  }

  drawStill() {
    const { theme, header, data } = this.replay
    const context = fitCanvas(this.still, this.width, STRIP_HEIGHT)
    let high = 0
    header.layers.forEach((_, column) => {
      for (const value of data.series("information", column)) if (value > high) high = value
    })
    if (high < NOTHING) high = 1
    const y = (/** @type {number} */ value) => BOTTOM - (Math.max(value, 0) / high) * (BOTTOM - TOP)
    context.font = `11px ${theme.font}`
    context.fillStyle = theme.muted
    context.textAlign = "right"
    context.fillText("0", 38, BOTTOM + 3)
    context.fillText(formatNumber(high), 38, TOP + 6)
    context.strokeStyle = theme.faint
    const end = this.x(header.steps.length - 1)
    for (const value of [0, high]) strokeLine(context, this.x(0), y(value) + 0.5, end, y(value) + 0.5)
    context.textAlign = "center"
    for (const tick of stepTicks(header.steps, (position) => this.x(position))) {
      context.fillText(formatShort(tick.step), tick.x, STRIP_HEIGHT - 8)
    }
    context.textAlign = "left"
    context.fillText("step", this.width - 34, STRIP_HEIGHT - 8)
    this.drawSeries(context, y)
    this.drawEvents(context)
  }

  describe() {
    const { header, transport } = this.replay
    const now = header.layers.map(
      (layer, column) => `${layer.name} ${formatNumber(this.replay.value("information", column))}`,
    )
    const alerts = header.events.filter((event) => event.alert).length
    return (
      "Information of each layer over steps, in nats. " +
      `At step ${formatStep(transport.step)}: ${now.join(", ")}. ` +
      `Ticks at ${header.events.length - alerts} interventions and ${alerts} alerts.`
    )
  }

  /** @param {Context} context @param {(value: number) => number} y */
  drawSeries(context, y) {
    const { header, data } = this.replay
    /** @type {{ y: number, name: string, color: string }[]} */
    const ends = []
    header.layers.forEach((layer, column) => {
      const values = data.series("information", column)
      const color = OKABE_ITO[layer.index % OKABE_ITO.length]
      context.strokeStyle = color
      context.lineWidth = 1.75
      context.setLineDash(layer.side ? [4, 3] : [])
      context.beginPath()
      let open = false
      values.forEach((/** @type {number} */ value, /** @type {number} */ i) => {
        const known = Number.isFinite(value)
        if (known && open) context.lineTo(this.x(i), y(value))
        else if (known) context.moveTo(this.x(i), y(value))
        open = known
      })
      context.stroke()
      const last = values[values.length - 1]
      if (Number.isFinite(last) && !layer.side)
        ends.push({ y: Math.max(y(last), 10), name: layer.name, color })
    })
    context.setLineDash([])
    ends.sort((a, b) => a.y - b.y)
    this.drawNames(context, ends)
  }

  /** @param {Context} context @param {{ y: number, name: string, color: string }[]} ends from the top */
  drawNames(context, ends) {
    const { theme } = this.replay
    const heights = spreadApart(
      ends.map((end) => end.y),
      STRIP_HEIGHT - 26,
    )
    context.font = `600 11px ${theme.font}`
    context.textAlign = "left"
    ends.forEach(({ name, color }, i) => {
      context.fillStyle = color
      context.fillRect(this.width - 59, heights[i] - 4, 8, 3)
      context.fillStyle = theme.muted
      context.fillText(fitText(context, name, 48), this.width - 48, heights[i] + 1)
    })
  }

  /** @param {Context} context */
  drawEvents(context) {
    const { header, theme } = this.replay
    for (const event of header.events) {
      const x = this.x(framePosition(header.steps, event.step))
      context.fillStyle = event.alert ? ALERT : theme.muted
      context.beginPath()
      context.moveTo(x - 4, BOTTOM + 1)
      context.lineTo(x + 4, BOTTOM + 1)
      context.lineTo(x, BOTTOM - 6)
      context.closePath()
      context.fill()
    }
  }

  /** @param {PointerEvent} event */
  seekAt(event) {
    const { transport } = this.replay
    const at = event.clientX - this.canvas.getBoundingClientRect().left
    const share = (at - this.x(0)) / (this.x(transport.last) - this.x(0))
    transport.seek(Math.min(Math.max(share, 0), 1) * transport.last)
  }
}
