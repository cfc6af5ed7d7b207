// What stands over the ridges: the run, which neurons are shown, and how to read them, so that a picture that
// is taken away explains itself.

import { rgba } from "./color.js"
import { fitText } from "./drawing.js"
import { formatStep } from "./format.js"
import { COLOR_SCALES, SD_NARROW, SD_WIDE } from "./palette.js"
import { PEAK_ROWS } from "./ridge_layout.js"

/** @typedef {import("./drawing.js").Brush} Brush */
/** @typedef {import("./replay.js").Replay} Replay */
/**
 * @typedef {object} Item
 * @property {string} text
 * @property {number} sign width of the sign before it
 * @property {boolean} [strong]
 * @property {(context: Brush, x: number, y: number) => void} [draw] the sign, from its left end on the text's
 * line
 */

const LINE = 18 // pixels between two lines
const FIRST = 14 // the first line's baseline
const GAP = 14 // between two items
const SIGN = 18 // as wide as a sign
const STEP = 176 // kept free at the right of the first line, for the step
const BAR = 72 // as long as the scale of colours

/** @param {boolean} gaussian @param {number | null} input */
function meanOf(gaussian, input) {
  if (input !== null) return `posterior of probe input ${input}, exact`
  return gaussian ? "mean posterior, sd √E[σ²]" : "mean posterior"
}

/** @param {boolean} gaussian @param {boolean} others */
function colorsSay(gaussian, others) {
  const scale = `${SD_WIDE} to ${SD_NARROW}, log scale`
  return others ? `${gaussian ? "sd, or " : ""}√(1 − contraction) ${scale}` : `sd ${scale}`
}

export class Heading {
  /** @param {Replay} replay */
  constructor(replay) {
    this.replay = replay
    this.width = 0
    this.height = 0
    /** @type {{ item: Item, x: number, y: number }[]} */
    this.placed = []
  }

  /** @returns {Item[]} */
  items() {
    const { header, theme, ridges } = this.replay
    const { input, layers, trail, chosen, along } = header
    const earlier = along ? "earlier positions" : "earlier steps"
    const line = (/** @type {number[]} */ dash, /** @type {string} */ style) => {
      return (/** @type {Brush} */ context, /** @type {number} */ x, /** @type {number} */ y) => {
        context.strokeStyle = style
        context.lineWidth = 1.5
        context.setLineDash(dash)
        context.beginPath()
        for (let i = 0; i <= 14; i++) {
          const at = y - 10 * Math.exp(-((i - 7) ** 2) / 14)
          if (i) context.lineTo(x + i, at)
          else context.moveTo(x, at)
        }
        context.stroke()
        context.setLineDash([])
      }
    }
    const gaussian = layers.some((layer) => !layer.shape)
    const shapes = layers.flatMap((layer) => layer.shape || [])
    const legends = [...new Set(shapes.map((shape) => shape.legend))].filter(Boolean)
    const primed = gaussian || shapes.some((shape) => shape.prior || shape.priorBars)
    const curved = gaussian || shapes.some((shape) => shape.kind !== "book" && shape.kind !== "bars")
    const trailed = gaussian || shapes.some((shape) => shape.kind === "density")
    const colored = layers.some((_, column) => this.replay.data.isColored(column))
    const items = [
      { text: ridges.twofold ? "" : layers[0].run, sign: 0, strong: true },
      { text: chosen, sign: 0 },
      {
        text: along ? "belief Normal(m, V)" : curved || input !== null ? meanOf(gaussian, input) : "",
        sign: SIGN,
        draw: (/** @type {Brush} */ context, /** @type {number} */ x, /** @type {number} */ y) => {
          context.fillStyle = COLOR_SCALES.Viridis[4]
          context.fillRect(x, y - 9, 14, 10)
        },
      },
      {
        text: input === null && gaussian && !along ? "aggregate, variance E[σ²] + Var[μ]" : "",
        sign: SIGN,
        draw: line([], rgba(theme.text, 0.8)),
      },
      ...legends.map((text) => ({ text, sign: 0 })),
      { text: primed ? "prior" : "", sign: SIGN, draw: line([4, 3], rgba(theme.text, 0.62)) },
      { text: trail && trailed ? earlier : "", sign: SIGN, draw: line([], rgba(theme.text, 0.3)) },
      { text: layers.some((layer) => layer.informative !== null) ? "◆ most informative" : "", sign: 0 },
      {
        text: colored ? colorsSay(gaussian, shapes.length > 0) : "",
        sign: BAR + 5,
        draw: (/** @type {Brush} */ context, /** @type {number} */ x, /** @type {number} */ y) => {
          for (let i = 0; i < BAR; i += 2) {
            context.fillStyle = rgba(ridges.colors.colors[Math.round((i / BAR) * 255)], 1)
            context.fillRect(x + i, y - 9, 2, 10)
          }
        },
      },
      {
        text: curved ? `height ∝ ${shapes.length ? "√density" : "1/√sd"}, at most ${PEAK_ROWS} rows` : "",
        sign: 0,
      },
    ]
    return items.filter((item) => item.text)
  }

  /** @param {Item} item */
  font(item) {
    return item.strong ? `600 14px ${this.replay.theme.font}` : `12px ${this.replay.theme.font}`
  }

  /**
   * Break into lines that fit a width in pixels.
   * @param {number} width
   * @param {Pick<Brush, "font" | "measureText">} context that measures
   */
  resize(width, context) {
    this.width = width
    this.placed = []
    let [x, y] = [0, FIRST]
    for (const item of this.items()) {
      context.font = this.font(item)
      const length = item.sign + context.measureText(item.text).width
      const room = () => width - (y === FIRST ? STEP : 0)
      if ((x > 0 || (y === FIRST && !item.strong)) && x + length > room()) [x, y] = [0, y + LINE]
      const text = fitText(context, item.text, room() - item.sign)
      this.placed.push({ item: { ...item, text }, x, y })
      x += Math.min(length, room()) + GAP
    }
    this.height = y + 12
  }

  /** @param {Brush} context */
  paintStill(context) {
    context.textAlign = "left"
    for (const { item, x, y } of this.placed) {
      item.draw?.(context, x, y)
      context.font = this.font(item)
      context.fillStyle = item.strong ? rgba(this.replay.theme.text, 1) : this.replay.theme.muted
      context.fillText(item.text, x + item.sign, y)
    }
  }

  /** @param {Brush} context */
  paintMoving(context) {
    const { theme, transport } = this.replay
    context.textAlign = "right"
    context.font = `600 14px ${theme.font}`
    context.fillStyle = rgba(theme.text, 1)
    const last = transport.steps[transport.last]
    context.fillText(`${transport.said} of ${formatStep(last)}`, this.width - 8, FIRST)
  }
}
