// Crisp canvases, and text that fits.

/**
 * What pictures are drawn with: a canvas's context, or one that writes SVG.
 * @typedef {Pick<CanvasRenderingContext2D, "fillStyle" | "strokeStyle" | "lineWidth" | "font" | "textAlign" |
 * "textBaseline" | "save" | "restore" | "translate" | "beginPath" | "moveTo" | "lineTo" | "closePath" |
 * "fillRect" | "fillText" | "measureText" | "setLineDash"> & { fill(): void, stroke(): void }} Brush
 */

/**
 * The canvas in a size in css pixels, sharp on any screen and empty; coordinates of its context are css
 * pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
export function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1
  const w = Math.round(width * ratio)
  const h = Math.round(height * ratio)
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w
    canvas.height = h
    canvas.style.width = `${width}px`
    canvas.style.height = `${height}px`
  }
  const context = context2d(canvas)
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.clearRect(0, 0, width, height)
  return context
}

/** @param {HTMLCanvasElement} canvas */
export function context2d(canvas) {
  const context = canvas.getContext("2d")
  if (!context) throw new Error("this browser gives no 2d context for a canvas")
  return context
}

/**
 * Text as long as fits a width in pixels: where it does not, its end gives way to an ellipsis.
 * @param {Pick<CanvasRenderingContext2D, "measureText">} context
 * @param {string} text
 * @param {number} width
 */
export function fitText(context, text, width) {
  if (context.measureText(text).width <= width) return text
  const letters = Array.from(text)
  let low = 0
  let high = letters.length
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (context.measureText(`${letters.slice(0, middle).join("")}…`).width <= width) low = middle
    else high = middle
  }
  return `${letters.slice(0, low).join("")}…`
}

/**
 * A straight line from one point to another, in the context's own stroke.
 * @param {Pick<Brush, "beginPath" | "moveTo" | "lineTo" | "stroke">} context
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
export function strokeLine(context, x0, y0, x1, y1) {
  context.beginPath()
  context.moveTo(x0, y0)
  context.lineTo(x1, y1)
  context.stroke()
}
