// probes/canvas/component.js
function element(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== void 0) node.textContent = text;
  return node;
}

// probes/canvas/spark.js
function sparkPoints(values) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const y = (value) => high === low ? 16 : 30 - 26 * (value - low) / (high - low);
  return values.flatMap(
    (value, i) => value === null ? [] : [`${(100 * i / Math.max(values.length - 1, 1)).toFixed(2)},${y(value).toFixed(2)}`]
  );
}

// probes/canvas/cards.js
var SVG = "http://www.w3.org/2000/svg";
function spark(values) {
  const points = sparkPoints(values);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 34");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const add = (name, d) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", d);
    svg.appendChild(path);
  };
  const first = points[0].split(",")[0];
  const last = points[points.length - 1].split(",")[0];
  add("area-path", `M${points.join("L")}L${last},34L${first},34Z`);
  add("line-path", `M${points.join("L")}`);
  return svg;
}
function showCards({ data, parentElement }) {
  const row = parentElement.querySelector(".cards");
  if (!row) return;
  row.replaceChildren();
  for (const item of data.cards) {
    const card = element("div", item.bad ? "card bad" : "card");
    card.setAttribute("role", "listitem");
    card.setAttribute("aria-label", [item.label, item.value, item.unit, item.note].filter(Boolean).join(" "));
    if (item.help) card.title = item.help;
    card.appendChild(element("div", "label", item.label));
    const line = element("div", "line");
    line.append(element("span", "value", item.value), element("span", "unit", item.unit || ""));
    card.append(line, element("div", "note", item.note || ""));
    if (item.spark && item.spark.filter((value) => value !== null).length > 1)
      card.appendChild(spark(item.spark));
    row.appendChild(card);
  }
}
export {
  showCards as default
};
