// Colours as numbers: scales, and the colour of a ridge by its sd. Nothing here needs a browser.

import { COLOR_SCALES, LAYERS, SD_NARROW, SD_WIDE } from "./palette.js"

/** @typedef {[number, number, number]} Rgb Red, green and blue, 0 to 255 each. */

/**
 * @param {string} text "#rrggbb"
 * @returns {Rgb}
 */
export function parseHex(text) {
  const channel = (/** @type {number} */ at) => parseInt(text.slice(at, at + 2), 16)
  return [channel(1), channel(3), channel(5)]
}

/**
 * A colour as css and canvases read it.
 * @param {Rgb} color
 * @param {number} alpha opacity, 0 to 1
 */
export const rgba = (color, alpha) => `rgba(${color[0]},${color[1]},${color[2]},${alpha})`

/**
 * The way from one colour to another, in rgb.
 * @param {Rgb} from
 * @param {Rgb} to
 * @param {number} share 0 is `from`, 1 is `to`
 * @returns {Rgb}
 */
export function mix(from, to, share) {
  const channel = (/** @type {0 | 1 | 2} */ k) => from[k] + (to[k] - from[k]) * share
  return [channel(0), channel(1), channel(2)]
}

/**
 * The colour at a share of a scale, whose stops are evenly spaced; what lies outside 0 to 1 gets the end's
 * colour.
 * @param {readonly string[]} stops "#rrggbb", two at least
 * @param {number} share
 * @returns {Rgb}
 */
export function scaleColor(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1)
  const below = Math.min(Math.floor(at), stops.length - 2)
  const [red, green, blue] = mix(parseHex(stops[below]), parseHex(stops[below + 1]), at - below)
  return [Math.round(red), Math.round(green), Math.round(blue)]
}

/**
 * A layer's colour in lines, sequential in depth: `figures/style.py` says the same of figures.
 * @param {number} layer from 0
 * @param {number} depth layers of its run
 */
export const layerColor = (layer, depth) => scaleColor(LAYERS, layer / Math.max(depth - 1, 1))

/**
 * 256 colours of a scale; `from` and `to` cut the ends that a theme's background would swallow.
 * @param {readonly string[]} stops
 * @returns {Rgb[]}
 */
export function colorTable(stops, from = 0, to = 1) {
  return Array.from({ length: 256 }, (_, i) => scaleColor(stops, from + ((to - from) * i) / 255))
}

/**
 * Where an sd stands in a table of 256 colours: logarithmic, wide is 0 and dark, narrow is 255 and bright.
 * @param {number} sd in prior sds
 */
export function sdColorIndex(sd) {
  const share = Math.log(sd / SD_WIDE) / Math.log(SD_NARROW / SD_WIDE)
  return Math.round(Math.min(Math.max(share, 0), 1) * 255)
}

/**
 * Colours of ridges by `sdColorIndex`, as strong as the theme's background asks: as numbers, for areas and
 * for lines.
 * @param {boolean} dark whether the background is
 */
export function ridgeColors(dark) {
  const colors = colorTable(COLOR_SCALES.Viridis, dark ? 0.18 : 0.1, dark ? 1 : 0.92)
  const line = (/** @type {Rgb} */ color) =>
    dark ? mix(color, [255, 255, 255], 0.35) : mix(color, [0, 0, 0], 0.38)
  return {
    colors,
    fills: colors.map((color) => rgba(color, dark ? 0.9 : 0.86)),
    lines: colors.map((color) => rgba(line(color), 0.72)),
  }
}
