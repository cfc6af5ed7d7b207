// The script of a run's report: its figures by plotly, its replay by the dashboard's canvas; both follow the
// system's theme.

import { decodeBase64 } from "./payload.js"
import { showReplay } from "./standalone.js"

/**
 * What the page's own script of plotly offers.
 * @typedef {object} Plotly
 * @property {(place: Element, data: unknown, layout: unknown, config: unknown) => void} newPlot
 * @property {(place: Element, change: unknown) => void} relayout
 */

/** @param {string} id */
const content = (id) => document.getElementById(id)?.textContent || ""

const textColor = () => getComputedStyle(document.documentElement).getPropertyValue("--text").trim()

function showFigures() {
  const figures = JSON.parse(content("figures"))
  /** @type {NodeListOf<HTMLElement>} */
  const found = document.querySelectorAll("[data-figure]")
  const places = [...found].filter((place) => figures[place.dataset.figure || ""])
  if (!places.length) return
  const plotly = /** @type {{ Plotly: Plotly }} */ (/** @type {unknown} */ (globalThis)).Plotly
  for (const place of places) {
    const { data, layout } = figures[place.dataset.figure || ""]
    place.setAttribute("role", "img")
    place.setAttribute("aria-label", layout.meta?.alt || place.dataset.figure)
    layout.font = { ...layout.font, color: textColor() }
    plotly.newPlot(place, data, layout, { displaylogo: false, responsive: true })
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const place of places) plotly.relayout(place, { "font.color": textColor() })
  })
}

function showRun() {
  const payload = content("replay-payload")
  const host = document.querySelector("[data-replay]")
  const template = document.querySelector("template[data-replay-content]")
  if (!payload || !(host instanceof HTMLElement) || !(template instanceof HTMLTemplateElement)) return
  showReplay(host, template.content.cloneNode(true), decodeBase64(payload))
}

showFigures()
showRun()
