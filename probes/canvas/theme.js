// The page's colours, as the css variables say them that Streamlit sets and other pages can.

import { rgba } from "./color.js"
import { OKABE_ITO } from "./palette.js"

/** @typedef {import("./color.js").Rgb} Rgb */

/** @type {CanvasRenderingContext2D | null} */
let probe = null

/**
 * Any css colour as numbers: the browser reads it.
 * @param {string} text
 * @returns {Rgb}
 */
export function parseColor(text) {
  probe = probe || document.createElement("canvas").getContext("2d")
  if (!probe) return [0, 0, 0]
  probe.fillStyle = "#000"
  probe.fillStyle = text
  const value = probe.fillStyle
  const channels = value.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(value.slice(i, i + 2), 16))
    : (value.match(/[\d.]+/g) || []).slice(0, 3).map(Number)
  return /** @type {Rgb} */ (channels)
}

/** @typedef {ReturnType<typeof readTheme>} Theme */

const PRINTED_TEXT = /** @type {Rgb} */ ([23, 32, 42])

/**
 * Of pictures for print: dark on white, whatever the page's theme is.
 * @type {Theme}
 */
export const PAPER = {
  text: PRINTED_TEXT,
  background: [255, 255, 255],
  accent: "#0b6b9c",
  muted: rgba(PRINTED_TEXT, 0.72),
  faint: rgba(PRINTED_TEXT, 0.13),
  baseline: rgba(PRINTED_TEXT, 0.3),
  pinned: "#8f5c00",
  font: "Helvetica, Arial, sans-serif",
  dark: false,
}

/** @param {ShadowRoot | Element} root where a component's markup lies */
export function readTheme(root) {
  const style = getComputedStyle(root instanceof ShadowRoot ? root.host : root)
  const get = (/** @type {string} */ name, /** @type {string} */ fallback) =>
    style.getPropertyValue(name).trim() || fallback
  const text = parseColor(get("--st-text-color", "#222"))
  const background = parseColor(get("--st-background-color", "#fff"))
  const dark = background[0] + background[1] + background[2] < 384
  return {
    text,
    background,
    accent: get("--st-primary-color", "#0b6b9c"),
    muted: rgba(text, 0.66),
    faint: rgba(text, 0.13),
    baseline: rgba(text, 0.3),
    pinned: dark ? OKABE_ITO[1] : "#8f5c00", // the orange of pinned ridges as text: 2.2 : 1 on white
    font: get("--st-font", "sans-serif"),
    dark,
  }
}
