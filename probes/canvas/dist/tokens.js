// probes/canvas/palette.js
var OKABE_ITO = [
  "#0072B2",
  "#E69F00",
  "#009E73",
  "#CC79A7",
  "#56B4E9",
  "#D55E00",
  "#B8A000",
  "#7F7F7F"
];
var COLOR_SCALES = {
  Viridis: [
    "#440154",
    "#482878",
    "#3e4989",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725"
  ],
  Cividis: [
    "#00224e",
    "#123570",
    "#3b496c",
    "#575d6d",
    "#707173",
    "#8a8678",
    "#a59c74",
    "#c3b369",
    "#e1cc55",
    "#fee838"
  ],
  diverging: [
    "#2166ac",
    "#4393c3",
    "#92c5de",
    "#d1e5f0",
    "#f7f7f7",
    "#fddbc7",
    "#f4a582",
    "#d6604d",
    "#b2182b"
  ]
};

// probes/canvas/color.js
function parseHex(text) {
  const channel = (at) => parseInt(text.slice(at, at + 2), 16);
  return [channel(1), channel(3), channel(5)];
}
var rgba = (color, alpha) => `rgba(${color[0]},${color[1]},${color[2]},${alpha})`;
function mix(from, to, share) {
  const channel = (k) => from[k] + (to[k] - from[k]) * share;
  return [channel(0), channel(1), channel(2)];
}

// probes/canvas/component.js
function element(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  if (text !== void 0) node.textContent = text;
  return node;
}

// probes/canvas/format.js
function formatNumber(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1).replace(/^-/, "−");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3).replace("-", "−");
}

// probes/canvas/picking.js
var withinCount = (value, count) => Math.min(Math.max(value, 0), count - 1);

// probes/canvas/theme.js
var probe = null;
function parseColor(text) {
  probe = probe || document.createElement("canvas").getContext("2d");
  if (!probe) return [0, 0, 0];
  probe.fillStyle = "#000";
  probe.fillStyle = text;
  const value = probe.fillStyle;
  const channels = value.startsWith("#") ? [1, 3, 5].map((i) => parseInt(value.slice(i, i + 2), 16)) : (value.match(/[\d.]+/g) || []).slice(0, 3).map(Number);
  return (
    /** @type {Rgb} */
    channels
  );
}
var PRINTED_TEXT = (
  /** @type {Rgb} */
  [23, 32, 42]
);
var PAPER = {
  text: PRINTED_TEXT,
  background: [255, 255, 255],
  accent: "#0b6b9c",
  muted: rgba(PRINTED_TEXT, 0.72),
  faint: rgba(PRINTED_TEXT, 0.13),
  baseline: rgba(PRINTED_TEXT, 0.3),
  pinned: "#8f5c00",
  font: "Helvetica, Arial, sans-serif",
  dark: false
};
function readTheme(root) {
  const style = getComputedStyle(root instanceof ShadowRoot ? root.host : root);
  const get = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  const text = parseColor(get("--st-text-color", "#222"));
  const background = parseColor(get("--st-background-color", "#fff"));
  const dark = background[0] + background[1] + background[2] < 384;
  return {
    text,
    background,
    accent: get("--st-primary-color", "#0b6b9c"),
    muted: rgba(text, 0.66),
    faint: rgba(text, 0.13),
    baseline: rgba(text, 0.3),
    pinned: dark ? OKABE_ITO[1] : "#8f5c00",
    // the orange of pinned ridges as text: 2.2 : 1 on white
    font: get("--st-font", "sans-serif"),
    dark
  };
}

// probes/canvas/tokens.js
var STRONGEST = 0.85;
var DIVERGING = COLOR_SCALES.diverging;
var UNSIGNED = OKABE_ITO[1];
function tokenColor(share, signed, background) {
  if (share === null) return background;
  const end = signed ? DIVERGING[share < 0 ? 0 : DIVERGING.length - 1] : UNSIGNED;
  return mix(background, parseHex(end), STRONGEST * Math.min(Math.abs(share), 1));
}
function inkOn(color) {
  const [red, green, blue] = color.map((channel) => {
    const value = channel / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}
function tokenSign(token) {
  if (token === "") return "▸";
  return token.replace(/\n/g, "↵");
}
function drawPanel(panel, data, background, id) {
  const text = element("div", "text");
  panel.tokens.forEach((token, t) => {
    const span = element("span", "token", tokenSign(token));
    const color = tokenColor(panel.shares[t], data.signed, background);
    if (panel.shares[t]) {
      span.style.background = rgba(color, 1);
      span.style.color = inkOn(color);
    }
    span.classList.toggle("given", t < panel.given);
    span.classList.toggle("sign", token === "" || token === "\n");
    span.title = panel.tips[t] ?? "";
    span.dataset.t = String(t);
    if (data.pickable) {
      span.id = `${id}-${t}`;
      span.setAttribute("role", "option");
      span.setAttribute("aria-label", `${t}: ${panel.tips[t] ?? token}`);
    }
    text.append(span);
    if (token.includes("\n")) text.append(document.createElement("br"));
  });
  return text;
}
function scaleEnds({ low, high, signed, clipped }) {
  return [
    `${clipped && signed ? "≤ " : ""}${formatNumber(low)}`,
    `${clipped ? "≥ " : ""}${formatNumber(high)}`
  ];
}
function drawScale(data, background) {
  const row = element("div", "scale");
  const bar = document.createElement("i");
  const stops = (data.signed ? [-1, -0.5, 0, 0.5, 1] : [0, 0.5, 1]).map(
    (share) => rgba(tokenColor(share, data.signed, background), 1)
  );
  bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  const [low, high] = scaleEnds(data);
  const range = element("span", "range");
  range.append(element("span", "", low), bar, element("span", "", high));
  row.append(element("span", "", data.title), range);
  return row;
}
function makePickable(text, data, id, trigger) {
  const tokens = text.querySelectorAll(".token");
  let at = data.chosen ?? 0;
  const mark = () => {
    tokens.forEach((token, t) => {
      token.classList.toggle("chosen", t === at);
      token.setAttribute("aria-selected", String(t === at));
    });
    text.setAttribute("aria-activedescendant", `${id}-${at}`);
  };
  const pick = () => trigger("pick", { t: at });
  text.tabIndex = 0;
  text.setAttribute("role", "listbox");
  text.setAttribute("aria-label", `${data.label}. Arrow keys choose a position, Enter takes it.`);
  text.onclick = (event) => {
    const token = event.target instanceof HTMLElement ? event.target.closest(".token") : null;
    if (!(token instanceof HTMLElement)) return;
    at = Number(token.dataset.t);
    mark();
    pick();
  };
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, Home: -1e9, End: 1e9 };
  text.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter") pick();
    else if (event.key in moves) {
      at = withinCount(at + moves[event.key], tokens.length);
      mark();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  mark();
}
function showTokens({ data, parentElement, setTriggerValue }) {
  const frame = parentElement.querySelector(".tokens");
  if (!(frame instanceof HTMLElement)) return;
  const focused = frame.contains(frame.ownerDocument.activeElement) || frame.querySelector(":focus") !== null;
  const { background } = readTheme(parentElement);
  frame.style.setProperty("--least", `${data.least}px`);
  const panels = element("div", "panels");
  frame.replaceChildren(panels, drawScale(data, background));
  data.panels.forEach((panel, place) => {
    const id = `token-${place}`;
    const box = element("div", data.pickable ? "pickable" : "");
    if (panel.head) box.append(element("div", "head", panel.head));
    const text = drawPanel(panel, data, background, id);
    if (data.pickable) makePickable(text, data, id, setTriggerValue);
    box.append(text);
    panels.append(box);
    if (focused && place === 0) text.focus();
  });
}
export {
  showTokens as default,
  inkOn,
  scaleEnds,
  tokenColor,
  tokenSign
};
