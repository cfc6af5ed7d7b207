// The numbers of a heatmap: which cell lies where, what a cell's byte stands for and which colour it has.

import { colorTable } from "./color.js"
import { COLOR_SCALES } from "./palette.js"

/** @typedef {{ row: number, column: number }} Cell */
/** @typedef {{ width: number, height: number }} Size Of the image, pixels. */
/** @typedef {{ rows: number, columns: number }} Grid */

// Pixels around the image.
export const LEFT = 62
export const RIGHT = 96
export const TOP = 14
export const BOTTOM = 42

/**
 * 256 colours of a statistic's scale.
 * @param {string} name as the registry of statistics names it
 */
export function cellColors(name) {
  const stops = /** @type {Record<string, readonly string[]>} */ (COLOR_SCALES)[name]
  if (!stops) throw new Error(`no colour scale is called ${name}`)
  return colorTable(stops)
}

/**
 * Bytes of an image, four a cell: 0 is transparent (not recorded), 1 to 255 run over the colours.
 * @param {Uint8Array} cells
 * @param {import("./color.js").Rgb[]} colors
 */
export function paintCells(cells, colors) {
  const pixels = new Uint8ClampedArray(4 * cells.length)
  cells.forEach((code, i) => {
    if (code === 0) return
    const [red, green, blue] = colors[Math.round(((code - 1) / 254) * 255)]
    pixels.set([red, green, blue, 255], 4 * i)
  })
  return pixels
}

/**
 * What a byte stands for, about.
 * @param {number} code 1 to 255
 * @param {{ low: number, high: number, log: boolean }} scale
 */
export function cellValue(code, { low, high, log }) {
  const share = (code - 1) / 254
  return log ? low * (high / low) ** share : low + (high - low) * share
}

/**
 * The cell at a place of the canvas; null beside the image.
 * @param {number} x
 * @param {number} y
 * @param {Size} size
 * @param {Grid} grid
 * @returns {Cell | null}
 */
export function cellAt(x, y, size, { rows, columns }) {
  const column = Math.floor(((x - LEFT) / size.width) * columns)
  const row = Math.floor(((y - TOP) / size.height) * rows)
  return column < 0 || row < 0 || column >= columns || row >= rows ? null : { row, column }
}

/**
 * The middle of a cell on the canvas.
 * @param {Cell} cell
 * @param {Size} size
 * @param {Grid} grid
 */
export function cellPlace({ row, column }, size, { rows, columns }) {
  return {
    x: LEFT + ((column + 0.5) / columns) * size.width,
    y: TOP + ((row + 0.5) / rows) * size.height,
  }
}
