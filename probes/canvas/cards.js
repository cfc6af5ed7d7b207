// A row of cards, built with text nodes only: what a run is called can never become markup.

import { element } from "./component.js"
import { sparkPoints } from "./spark.js"

/**
 * @typedef {object} Card
 * @property {string} label
 * @property {string} value
 * @property {string} [unit]
 * @property {string} [note]
 * @property {string} [help]
 * @property {boolean} [bad]
 * @property {(number | null)[]} [spark]
 */

const SVG = "http://www.w3.org/2000/svg"

/** @param {(number | null)[]} values two known ones at least */
function spark(values) {
  const points = sparkPoints(values)
  const svg = document.createElementNS(SVG, "svg")
  svg.setAttribute("viewBox", "0 0 100 34")
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("aria-hidden", "true")
  const add = (/** @type {string} */ name, /** @type {string} */ d) => {
    const path = document.createElementNS(SVG, "path")
    path.setAttribute("class", name)
    path.setAttribute("d", d)
    svg.appendChild(path)
  }
  const first = points[0].split(",")[0]
  const last = points[points.length - 1].split(",")[0]
  add("area-path", `M${points.join("L")}L${last},34L${first},34Z`)
  add("line-path", `M${points.join("L")}`)
  return svg
}

/** @param {{ data: { cards: Card[] }, parentElement: import("./component.js").Root }} call */
export default function showCards({ data, parentElement }) {
  const row = parentElement.querySelector(".cards")
  if (!row) return
  row.replaceChildren()
  for (const item of data.cards) {
    const card = element("div", item.bad ? "card bad" : "card")
    card.setAttribute("role", "listitem")
    card.setAttribute("aria-label", [item.label, item.value, item.unit, item.note].filter(Boolean).join(" "))
    if (item.help) card.title = item.help
    card.appendChild(element("div", "label", item.label))
    const line = element("div", "line")
    line.append(element("span", "value", item.value), element("span", "unit", item.unit || ""))
    card.append(line, element("div", "note", item.note || ""))
    if (item.spark && item.spark.filter((value) => value !== null).length > 1)
      card.appendChild(spark(item.spark))
    row.appendChild(card)
  }
}
