// Fill the report's places: figures by plotly, the replay by its canvas; follow the system's light or dark theme.
const read = (id) => JSON.parse(document.getElementById(id).textContent)
const textColor = () => getComputedStyle(document.documentElement).getPropertyValue("--text").trim()

const figures = read("figures")
const places = [...document.querySelectorAll("[data-figure]")].filter((place) => figures[place.dataset.figure])
for (const place of places) {
  const { data, layout } = figures[place.dataset.figure]
  place.setAttribute("role", "img")
  place.setAttribute("aria-label", (layout.meta && layout.meta.alt) || place.dataset.figure)
  layout.font = { ...layout.font, color: textColor() }
  Plotly.newPlot(place, data, layout, { displaylogo: false, responsive: true })
}

const replayData = read("replay-data")
const replay = replayData && replayData.layers.length ? new Replay(document.querySelector(".replay"), replayData) : null

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const place of places) Plotly.relayout(place, { "font.color": textColor() })
  if (replay) replay.draw()
})
