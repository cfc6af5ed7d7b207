// What is drawn on a canvas, as SVG: the part of a 2d context that the pictures use, written down as elements.

/** @typedef {import("./drawing.js").Brush} Brush */
/** @typedef {{ style: string, opacity: string }} Ink */

const ANCHORS = { left: "start", start: "start", center: "middle", right: "end", end: "end" }

/** @param {string} text */
export const escapeXml = (text) =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign] || "")

const short = (/** @type {number} */ value) => String(+value.toFixed(2))

/**
 * A colour as attributes: programs for vector graphics do not all read rgba().
 * @param {string} name fill or stroke
 * @param {Brush["fillStyle"]} style
 */
function ink(name, style) {
  const parts = /^rgba\(([^)]*),([^,)]*)\)$/.exec(String(style))
  if (!parts) return `${name}="${escapeXml(String(style))}"`
  const opacity = Number(parts[2])
  return `${name}="rgb(${parts[1]})"` + (opacity < 1 ? ` ${name}-opacity="${short(opacity)}"` : "")
}

/** @implements {Brush} */
export class SvgContext {
  /** @param {(font: string, text: string) => TextMetrics} measure how wide a text is: a canvas knows */
  constructor(measure) {
    this.measure = measure
    /** @type {string[]} */
    this.elements = []
    /** @type {Brush["fillStyle"]} */
    this.fillStyle = "#000"
    /** @type {Brush["strokeStyle"]} */
    this.strokeStyle = "#000"
    this.lineWidth = 1
    this.font = "10px sans-serif"
    /** @type {CanvasTextAlign} */
    this.textAlign = "left"
    /** @type {CanvasTextBaseline} */
    this.textBaseline = "alphabetic"
    this.dash = ""
    this.path = ""
    this.origin = { x: 0, y: 0 }
    /** @type {{ x: number, y: number }[]} */
    this.origins = []
  }

  save() {
    this.origins.push({ ...this.origin })
  }

  restore() {
    this.origin = this.origins.pop() || this.origin
  }

  /** @param {number} x @param {number} y */
  translate(x, y) {
    this.origin.x += x
    this.origin.y += y
  }

  /** @param {number} x @param {number} y */
  point(x, y) {
    return `${short(x + this.origin.x)} ${short(y + this.origin.y)}`
  }

  beginPath() {
    this.path = ""
  }

  /** @param {number} x @param {number} y */
  moveTo(x, y) {
    this.path += `M${this.point(x, y)}`
  }

  /** @param {number} x @param {number} y */
  lineTo(x, y) {
    this.path += `L${this.point(x, y)}`
  }

  closePath() {
    this.path += "Z"
  }

  fill() {
    this.elements.push(`<path d="${this.path}" ${ink("fill", this.fillStyle)}/>`)
  }

  stroke() {
    const dash = this.dash ? ` stroke-dasharray="${this.dash}"` : ""
    this.elements.push(
      `<path d="${this.path}" fill="none" ${ink("stroke", this.strokeStyle)} stroke-width="${short(this.lineWidth)}"${dash}/>`,
    )
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  fillRect(x, y, width, height) {
    const [left, top] = this.point(x, y).split(" ")
    this.elements.push(
      `<rect x="${left}" y="${top}" width="${short(width)}" height="${short(height)}" ${ink("fill", this.fillStyle)}/>`,
    )
  }

  /** @param {string} text @param {number} x @param {number} y */
  fillText(text, x, y) {
    const [left, top] = this.point(x, y).split(" ")
    const font = /^(?:(\d+) )?([\d.]+)px (.*)$/.exec(this.font) || ["", "", "10", "sans-serif"]
    const weight = font[1] && font[1] !== "400" ? ` font-weight="${font[1]}"` : ""
    this.elements.push(
      `<text x="${left}" y="${top}" font-family="${escapeXml(font[3])}" font-size="${font[2]}"${weight} ` +
        `text-anchor="${ANCHORS[this.textAlign]}" ${ink("fill", this.fillStyle)}>${escapeXml(text)}</text>`,
    )
  }

  /** @param {string} text */
  measureText(text) {
    return this.measure(this.font, text)
  }

  /** @param {number[]} lengths */
  setLineDash(lengths) {
    this.dash = lengths.join(" ")
  }

  /**
   * The whole as a file.
   * @param {number} width
   * @param {number} height
   * @param {string} title
   */
  file(width, height, title) {
    const size = `width="${short(width)}" height="${short(height)}" viewBox="0 0 ${short(width)} ${short(height)}"`
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n<title>${escapeXml(title)}</title>\n` +
      `${this.elements.join("\n")}\n</svg>\n`
    )
  }
}
