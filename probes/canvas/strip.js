// The strip under the replay: the run's score and each layer's contraction over the frames, ticks for what was
// done, the cursor. Drag to scrub.

import { fitCanvas, fitText, strokeLine } from "./drawing.js"
import { formatNumber, formatShort } from "./format.js"
import { framePosition, stepTicks } from "./frames.js"
import { layerColor, rgba } from "./color.js"
import { ALERT } from "./palette.js"

/** @typedef {import("./drawing.js").Brush} Brush */
/** @typedef {{ top: number, bottom: number, low: number, high: number }} Band where values stand */

export const STRIP_HEIGHT = 148
const TITLE = 16 // over a band, for what it shows
const SCORE = { top: TITLE, bottom: 50 }
const CONTRACTION = { top: 50 + TITLE + 4, bottom: STRIP_HEIGHT - 24 }
const LEFT = 54
const RIGHT = 64
const LEAST_SPAN = 0.05 // of contraction: less fills no band
const LINE = 12 // pixels between the names at its right
const TOKENS = 22 // pixels under the strip: what stands at the positions around the cursor
const TOKEN = 10 // pixels that one takes, at least
const OUTLIERS = 0.02 // share of a score's values that may lie above its band

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

/**
 * Least and greatest of what a band shows; a score's few highest values are cut, which are its first.
 * @param {number[]} values
 */
export function scoreRange(values) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b)
  const low = known[0]
  const high = known[Math.floor((1 - OUTLIERS) * (known.length - 1))]
  return high > low ? { low, high } : { low: low - 0.5, high: low + 0.5 }
}

const capital = (/** @type {string} */ text) => text.charAt(0).toUpperCase() + text.slice(1)

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

  // Sides whose score is drawn: a run may lack the first one's.
  scored() {
    const { header, data } = this.replay
    if (header.score === null) return []
    const sides = header.layers.some((layer) => layer.side === 1) ? [0, 1] : [0]
    return sides.filter((side) => data.series("score", side)?.some(Number.isFinite))
  }

  get height() {
    return STRIP_HEIGHT - this.missing + this.tokens
  }

  // Less than STRIP_HEIGHT where no score stands over the contraction.
  get missing() {
    return this.scored().length ? 0 : SCORE.bottom
  }

  // Height of what stands at the positions, along a sequence.
  get tokens() {
    return this.replay.transport.names.length ? TOKENS : 0
  }

  /** @param {number} width pixels */
  resize(width) {
    this.width = width
    this.paintStill(fitCanvas(this.still, width, this.height))
  }

  draw() {
    const context = fitCanvas(this.canvas, this.width, this.height)
    context.drawImage(this.still, 0, 0, this.width, this.height)
    this.paintMoving(context)
    this.canvas.setAttribute("aria-label", this.describe())
  }

  /**
   * The cursor, which alone moves.
   * @param {Brush} context
   */
  paintMoving(context) {
    const at = this.x(this.replay.transport.position)
    context.strokeStyle = this.replay.theme.accent
    context.lineWidth = 2
    strokeLine(context, at, TITLE - 6, at, CONTRACTION.bottom - this.missing)
    if (this.tokens) this.drawTokens(context, at)
  }

  /**
   * What stands at the positions around the cursor, its own under it.
   * @param {Brush} context
   * @param {number} at of the cursor
   */
  drawTokens(context, at) {
    const { theme, transport } = this.replay
    const { names } = transport
    const now = Math.round(transport.position)
    const y = this.height - 6
    context.textAlign = "center"
    for (const way of [-1, 1]) {
      let x = at
      for (let t = now; t >= 0 && t < names.length; t += way) {
        context.font = `${t === now ? 600 : 400} 13px ${theme.font}`
        const half = Math.max(context.measureText(names[t]).width + 3, TOKEN) / 2
        if (t !== now) x += way * half
        if (x < half || x > this.width - half) break
        context.fillStyle = t === now ? theme.accent : theme.muted
        if (t !== now || way > 0) context.fillText(names[t], x, y)
        x += way * half
      }
    }
  }

  /** @param {Brush} context */
  paintStill(context) {
    const { theme, header } = this.replay
    const bands = this.bands()
    this.drawEvents(context, bands)
    for (const band of bands) this.drawBand(context, band)
    context.fillStyle = theme.muted
    context.font = `11px ${theme.font}`
    context.textAlign = "center"
    const y = this.height - this.tokens - 8
    for (const tick of stepTicks(header.steps, (position) => this.x(position))) {
      context.fillText(formatShort(tick.step), tick.x, y)
    }
    context.textAlign = "left"
    context.fillText(this.replay.transport.unit, this.width - 34, y)
  }

  // Whether some layer's contraction is known: else the strip shows the layers' own numbers.
  get contracted() {
    const { header, data } = this.replay
    return header.layers.some((_, column) => data.series("contraction", column).some(Number.isFinite))
  }

  // What those numbers say; nothing where contraction is shown.
  get typical() {
    if (this.contracted) return ""
    return this.replay.header.layers.find((layer) => layer.shape)?.shape?.typical || ""
  }

  bands() {
    const { header, data } = this.replay
    const scored = this.scored()
    const bands = []
    if (scored.length) {
      const lines = scored.map((side) => ({
        values: data.series("score", side),
        color: this.replay.theme.muted,
        name: "",
        side,
      }))
      const range = scoreRange(lines.flatMap((line) => [...line.values]))
      bands.push({ ...SCORE, ...range, title: String(header.score), lines })
    }
    const { contracted, typical } = this
    const lines = header.layers.map((layer, column) => ({
      values: (contracted ? data.series("contraction", column) : data.typicals(column)).map((value, frame) =>
        header.steps[frame] > layer.last ? NaN : value,
      ),
      color: rgba(layerColor(layer.index, layer.depth), 1),
      name: layer.name,
      side: layer.side,
    }))
    const known = lines.flatMap((line) => [...line.values].filter(Number.isFinite))
    const least = Math.min(0, ...known)
    const low = contracted && least >= -LEAST_SPAN ? 0 : least
    const most = Math.max(low, ...known)
    bands.push({
      top: CONTRACTION.top - this.missing,
      bottom: CONTRACTION.bottom - this.missing,
      low,
      high: contracted || most === low ? Math.max(low + LEAST_SPAN, most) : most,
      title: contracted ? "Contraction, mean over each layer (0 prior, 1 point)" : capital(typical),
      lines,
    })
    const second = header.layers.find((layer) => layer.side === 1)
    if (second) bands[0].title += ` · dashed: ${second.run}`
    return bands
  }

  describe() {
    const { header, transport } = this.replay
    const { contracted } = this
    const value = (/** @type {number} */ column) =>
      contracted
        ? this.replay.value("contraction", column)
        : this.replay.data.typical(column, transport.position)
    const now = header.layers.map((layer, column) => `${layer.name} ${formatNumber(value(column))}`)
    const score = this.scored().length
      ? `${header.score} ${formatNumber(this.replay.value("score", 0))}. `
      : ""
    const alerts = header.events.filter((event) => event.alert).length
    return (
      `${contracted ? "Contraction" : capital(this.typical) || "Numbers"} of each layer over ${transport.unit === "t" ? "positions" : "steps"}. ` +
      `At ${transport.said}: ${now.join(", ")}. ${score}` +
      `Ticks at ${header.events.length - alerts} interventions and ${alerts} alerts.`
    )
  }

  /** @param {Brush} context @param {ReturnType<Strip["bands"]>[0]} band */
  drawBand(context, band) {
    const { theme, header } = this.replay
    const { top, bottom, low, high, lines } = band
    const y = (/** @type {number} */ value) =>
      bottom - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (bottom - top)
    context.font = `11px ${theme.font}`
    context.fillStyle = theme.muted
    context.textAlign = "left"
    context.fillText(fitText(context, band.title, this.width - LEFT), LEFT, top - 5)
    context.textAlign = "right"
    context.fillText(formatNumber(low), LEFT - 8, bottom + 3)
    context.fillText(formatNumber(high), LEFT - 8, top + 6)
    context.strokeStyle = theme.faint
    context.lineWidth = 1
    const end = this.x(header.steps.length - 1)
    for (const value of low < 0 && high > 0 ? [low, 0, high] : [low, high])
      strokeLine(context, LEFT, y(value) + 0.5, end, y(value) + 0.5)
    /** @type {{ y: number, name: string, color: string }[]} */
    const ends = []
    for (const { values, color, name, side } of lines) {
      context.strokeStyle = color
      context.lineWidth = 1.75
      context.setLineDash(side ? [4, 3] : [])
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
      if (name && Number.isFinite(last) && !side) ends.push({ y: y(last), name, color })
    }
    context.setLineDash([])
    ends.sort((a, b) => a.y - b.y)
    this.drawNames(context, ends, bottom)
  }

  /**
   * @param {Brush} context
   * @param {{ y: number, name: string, color: string }[]} ends from the top
   * @param {number} bottom
   */
  drawNames(context, ends, bottom) {
    const { theme } = this.replay
    const heights = spreadApart(
      ends.map((end) => end.y),
      bottom,
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

  /** @param {Brush} context @param {Band[]} bands */
  drawEvents(context, bands) {
    const { header, theme } = this.replay
    const bottom = bands[bands.length - 1].bottom
    for (const event of header.events) {
      const x = this.x(framePosition(header.steps, event.step))
      context.lineWidth = 1
      context.strokeStyle = event.alert ? `${ALERT}55` : theme.faint
      for (const band of bands) strokeLine(context, x, band.top, x, band.bottom)
      context.fillStyle = event.alert ? ALERT : theme.muted
      context.beginPath()
      context.moveTo(x - 4, bottom + 1)
      context.lineTo(x + 4, bottom + 1)
      context.lineTo(x, bottom - 6)
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
