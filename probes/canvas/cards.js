// A row of cards, built with text nodes only: what a run is called can never become markup.

const SVG = "http://www.w3.org/2000/svg"

function element(tag, className, text) {
  const node = document.createElement(tag)
  node.className = className
  if (text !== undefined) node.textContent = text
  return node
}

function spark(values) {
  const known = values.filter((v) => v !== null)
  const low = Math.min(...known), high = Math.max(...known)
  const y = (v) => (high === low ? 16 : 30 - (26 * (v - low)) / (high - low))
  const points = values.map((v, i) => (v === null ? null : `${((100 * i) / Math.max(values.length - 1, 1)).toFixed(2)},${y(v).toFixed(2)}`)).filter(Boolean)
  const svg = document.createElementNS(SVG, "svg")
  svg.setAttribute("viewBox", "0 0 100 34")
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("aria-hidden", "true")
  const add = (name, d) => {
    const path = document.createElementNS(SVG, "path")
    path.setAttribute("class", name)
    path.setAttribute("d", d)
    svg.appendChild(path)
  }
  const first = points[0].split(",")[0], last = points[points.length - 1].split(",")[0]
  add("area-path", `M${points.join("L")}L${last},34L${first},34Z`)
  add("line-path", `M${points.join("L")}`)
  return svg
}

export default function (component) {
  const { data, parentElement } = component
  const row = parentElement.querySelector(".cards")
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
    if (item.spark && item.spark.filter((v) => v !== null).length > 1) card.appendChild(spark(item.spark))
    row.appendChild(card)
  }
}
