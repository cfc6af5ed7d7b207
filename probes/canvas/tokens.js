// Texts whose tokens carry a number each, as the colour behind them; in a text that asks for it a token can be
// picked. Built with text nodes only: what a text says can never become markup.

import { mix, parseHex, rgba } from "./color.js"
import { element } from "./component.js"
import { formatNumber } from "./format.js"
import { COLOR_SCALES, OKABE_ITO } from "./palette.js"
import { withinCount } from "./picking.js"
import { readTheme } from "./theme.js"

/** @typedef {import("./color.js").Rgb} Rgb */
/**
 * @typedef {object} Panel
 * @property {string} head
 * @property {string[]} tokens
 * @property {(number | null)[]} shares -1 to 1, of the colours; null: not known
 * @property {string[]} tips what is known of each token
 * @property {number} given tokens at the beginning that were given, not made
 */
/**
 * @typedef {object} Texts
 * @property {Panel[]} panels
 * @property {number | null} chosen token of the first panel
 * @property {boolean} pickable
 * @property {string} title of the numbers, with their unit
 * @property {number} low what share 0, or -1 if there are negative ones, stands for
 * @property {number} high what share 1 stands for
 * @property {boolean} signed
 * @property {boolean} clipped some numbers lie beyond, in the strongest colour
 * @property {number} least pixels: width of a panel
 * @property {string} label the texts in words
 */

const STRONGEST = 0.85 // of a token's colour, over the page's background
const DIVERGING = COLOR_SCALES.diverging
const UNSIGNED = OKABE_ITO[1]

/**
 * The colour behind a token.
 * @param {number | null} share
 * @param {boolean} signed
 * @param {Rgb} background
 * @returns {Rgb}
 */
export function tokenColor(share, signed, background) {
  if (share === null) return background
  const end = signed ? DIVERGING[share < 0 ? 0 : DIVERGING.length - 1] : UNSIGNED
  return mix(background, parseHex(end), STRONGEST * Math.min(Math.abs(share), 1))
}

/**
 * Black or white, whichever is read better on a colour (relative luminance, WCAG).
 * @param {Rgb} color
 */
export function inkOn(color) {
  const [red, green, blue] = color.map((channel) => {
    const value = channel / 255
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff"
}

/**
 * What is shown of a token: white space and the start of a sequence have signs of their own.
 * @param {string} token
 */
export function tokenSign(token) {
  if (token === "") return "▸"
  return token.replace(/\n/g, "↵")
}

/**
 * @param {Panel} panel
 * @param {Texts} data
 * @param {Rgb} background
 * @param {string} id of the panel's tokens
 */
function drawPanel(panel, data, background, id) {
  const text = element("div", "text")
  panel.tokens.forEach((token, t) => {
    const span = element("span", "token", tokenSign(token))
    const color = tokenColor(panel.shares[t], data.signed, background)
    if (panel.shares[t]) {
      span.style.background = rgba(color, 1)
      span.style.color = inkOn(color)
    }
    span.classList.toggle("given", t < panel.given)
    span.classList.toggle("sign", token === "" || token === "\n")
    span.title = panel.tips[t] ?? ""
    span.dataset.t = String(t)
    if (data.pickable) {
      span.id = `${id}-${t}`
      span.setAttribute("role", "option")
      span.setAttribute("aria-label", `${t}: ${panel.tips[t] ?? token}`)
    }
    text.append(span)
    if (token.includes("\n")) text.append(document.createElement("br"))
  })
  return text
}

/**
 * What the ends of the scale stand for, in words: where numbers lie beyond, so much or more.
 * @param {Pick<Texts, "low" | "high" | "signed" | "clipped">} data
 */
export function scaleEnds({ low, high, signed, clipped }) {
  return [
    `${clipped && signed ? "≤ " : ""}${formatNumber(low)}`,
    `${clipped ? "≥ " : ""}${formatNumber(high)}`,
  ]
}

/**
 * @param {Texts} data
 * @param {Rgb} background
 */
function drawScale(data, background) {
  const row = element("div", "scale")
  const bar = document.createElement("i")
  const stops = (data.signed ? [-1, -0.5, 0, 0.5, 1] : [0, 0.5, 1]).map((share) =>
    rgba(tokenColor(share, data.signed, background), 1),
  )
  bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`
  const [low, high] = scaleEnds(data)
  const range = element("span", "range")
  range.append(element("span", "", low), bar, element("span", "", high))
  row.append(element("span", "", data.title), range)
  return row
}

/**
 * @param {HTMLElement} text
 * @param {Texts} data
 * @param {string} id
 * @param {import("./component.js").Trigger} trigger
 */
function makePickable(text, data, id, trigger) {
  const tokens = text.querySelectorAll(".token")
  let at = data.chosen ?? 0
  const mark = () => {
    tokens.forEach((token, t) => {
      token.classList.toggle("chosen", t === at)
      token.setAttribute("aria-selected", String(t === at))
    })
    text.setAttribute("aria-activedescendant", `${id}-${at}`)
  }
  const pick = () => trigger("pick", { t: at })
  text.tabIndex = 0
  text.setAttribute("role", "listbox")
  text.setAttribute("aria-label", `${data.label}. Arrow keys choose a position, Enter takes it.`)
  text.onclick = (event) => {
    const token = event.target instanceof HTMLElement ? event.target.closest(".token") : null
    if (!(token instanceof HTMLElement)) return
    at = Number(token.dataset.t)
    mark()
    pick()
  }
  /** @type {Record<string, number>} */
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, Home: -1e9, End: 1e9 }
  text.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "Enter") pick()
    else if (event.key in moves) {
      at = withinCount(at + moves[event.key], tokens.length)
      mark()
    } else return
    event.preventDefault()
    event.stopPropagation()
  }
  mark()
}

/**
 * @param {{ data: Texts, parentElement: import("./component.js").Root,
 *   setTriggerValue: import("./component.js").Trigger }} call
 */
export default function showTokens({ data, parentElement, setTriggerValue }) {
  const frame = parentElement.querySelector(".tokens")
  if (!(frame instanceof HTMLElement)) return
  const focused = frame.contains(frame.ownerDocument.activeElement) || frame.querySelector(":focus") !== null
  const { background } = readTheme(parentElement)
  frame.style.setProperty("--least", `${data.least}px`)
  const panels = element("div", "panels")
  frame.replaceChildren(panels, drawScale(data, background))
  data.panels.forEach((panel, place) => {
    const id = `token-${place}`
    const box = element("div", data.pickable ? "pickable" : "")
    if (panel.head) box.append(element("div", "head", panel.head))
    const text = drawPanel(panel, data, background, id)
    if (data.pickable) makePickable(text, data, id, setTriggerValue)
    box.append(text)
    panels.append(box)
    if (focused && place === 0) text.focus()
  })
}
