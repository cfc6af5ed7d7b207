// probes/canvas/frames.js
function framePosition(steps, step) {
  let low = 0;
  let high = steps.length - 1;
  if (high <= 0 || step <= steps[0]) return 0;
  if (step >= steps[high]) return high;
  while (high - low > 1) {
    const middle = low + high >> 1;
    if (steps[middle] <= step) low = middle;
    else high = middle;
  }
  return low + (step - steps[low]) / (steps[high] - steps[low]);
}
function interpolate(values, position, row = 0, rows = 1) {
  const last = values.length / rows - 1;
  const at = Math.min(position, last);
  const low = Math.floor(at);
  const high = Math.min(low + 1, last);
  const share = at - low;
  const before = values[low * rows + row];
  return share === 0 ? before : before + (values[high * rows + row] - before) * share;
}
function stepTicks(steps, x, gap = 46) {
  const first = steps[0];
  const last = steps[steps.length - 1];
  const wanted = [first];
  for (let decade = 1; decade <= last; decade *= 10) for (const k of [1, 2, 5]) wanted.push(k * decade);
  const ticks = [];
  const end = x(steps.length - 1);
  let before = -Infinity;
  for (const step of wanted.filter((s) => s >= first && s < last).sort((a, b) => a - b)) {
    const at = x(framePosition(steps, step));
    if (at - before < gap || end - at < gap) continue;
    ticks.push({ x: at, step });
    before = at;
  }
  ticks.push({ x: end, step: last });
  return ticks;
}
var EVEN = 0.05;
function scaleName(steps) {
  const last = steps.length - 1;
  const span = steps[last] - steps[0];
  const middle = (steps[Math.floor(last / 2)] + steps[Math.ceil(last / 2)]) / 2;
  const linear = last < 2 || Math.abs(middle - steps[0] - span / 2) <= EVEN * span;
  return linear ? "step" : "step, log scale";
}
var HARDLY = 0.12;
function stillFrames(motion) {
  const known = Array.from(motion).filter(Number.isFinite).sort((a, b) => a - b);
  const much = known[Math.floor(0.9 * known.length)] || 0;
  return Array.from(motion, (moved) => !(moved > HARDLY * much));
}

// probes/canvas/component.js
var views = /* @__PURE__ */ new WeakMap();
var mounted = (Kind) => ({ data, parentElement, setTriggerValue }) => {
  if (!data || !data.byteLength) return void 0;
  const view = views.get(parentElement) || new Kind(parentElement);
  views.set(parentElement, view);
  view.load(data, setTriggerValue);
  return () => {
    view.close();
    views.delete(parentElement);
  };
};
function part(root, name, Kind) {
  const found = root.querySelector(`[data-${name}]`);
  if (!(found instanceof Kind)) throw new Error(`the markup has no ${Kind.name} with data-${name}`);
  return found;
}

// probes/canvas/format.js
function formatNumber(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1).replace(/^-/, "−");
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3).replace("-", "−");
}
var formatStep = (step) => Math.round(step).toLocaleString("en-GB");
function formatShort(step) {
  if (step >= 1e6) return `${+(step / 1e6).toFixed(1)}M`;
  return step >= 1e4 ? `${+(step / 1e3).toFixed(1)}k` : formatStep(step);
}
var neuronName = (layer, neuron) => `${layer + 1}:${neuron}`;
function fullName(layer, neuron, layerName) {
  const name = neuronName(layer, neuron);
  return layerName === `layer ${layer + 1}` ? name : `${name} · ${layerName}`;
}

// probes/canvas/picking.js
function pickable(canvas, live, view, moves) {
  const actions = { ...moves, Enter: () => view.pick(), Escape: () => view.unhover() };
  canvas.onpointermove = (event) => view.hover(event);
  canvas.onpointerleave = () => view.unhover();
  canvas.onclick = (event) => {
    if (!view.over) view.hover(event);
    view.pick();
  };
  canvas.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
    live.textContent = view.over ? view.tell() : "";
  };
  canvas.onblur = () => view.unhover();
}
var TIP = 210;
function showTip(tip, host, place, text) {
  const box = host.getBoundingClientRect();
  tip.textContent = text;
  tip.hidden = false;
  tip.style.left = `${Math.min(place.clientX - box.left + 14, box.width - TIP)}px`;
  tip.style.top = `${place.clientY - box.top + 16}px`;
}
var withinCount = (value, count) => Math.min(Math.max(value, 0), count - 1);

// probes/canvas/payload.js
var TYPES = { uint8: Uint8Array, float16: Uint16Array, float32: Float32Array };
function unpack(bytes) {
  const copy = new Uint8Array(bytes).buffer;
  const length = new DataView(copy).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(copy, 4, length)));
  let offset = 4 + length;
  const arrays = {};
  for (
    const { name, dtype, size } of
    /** @type {ListedArray[]} */
    header.arrays
  ) {
    const raw = new TYPES[dtype](copy, offset, size);
    arrays[name] = raw instanceof Uint16Array ? fromHalf(raw) : raw;
    offset += Math.ceil(raw.byteLength / 4) * 4;
  }
  return { header, arrays };
}
var halves;
function fromHalf(raw) {
  const table = halves || (halves = Float32Array.from({ length: 65536 }, (_, bits) => halfValue(bits)));
  return Float32Array.from(raw, (bits) => table[bits]);
}
function halfValue(bits) {
  const sign = bits & 32768 ? -1 : 1;
  const exponent = bits >> 10 & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction;
}

// probes/canvas/replay_data.js
var MOST = 8;
var LEAST = 3.3;
var ReplayData = class {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    const { header, arrays } = unpack(bytes);
    this.header = /** @type {Header} */
    /** @type {unknown} */
    header;
    this.arrays = arrays;
  }
  /** @param {Series} name @param {number} column */
  series(name, column) {
    return this.arrays[`${name}.${column}`];
  }
  /** @param {Series} name @param {number} column @param {number} position fractional frame index */
  value(name, column, position) {
    return interpolate(this.series(name, column), position);
  }
  /**
   * A ridge's mean, sd of its mean posterior, and sd of the aggregate.
   * @param {number} column
   * @param {number} row
   * @param {number} position fractional frame index
   */
  moments(column, row, position) {
    const at = (name) => this.ofRidge(name, column, row, position);
    return { mean: at("mean"), sd: at("sd"), total: at("total") };
  }
  /**
   * A number of a ridge; NaN where the layer has none of it.
   * @param {string} name @param {number} column @param {number} row @param {number} position
   */
  ofRidge(name, column, row, position) {
    const values = this.arrays[`${name}.${column}`];
    return values ? interpolate(values, position, row, this.header.layers[column].neurons.length) : NaN;
  }
  /** Width in units of the prior's. @param {number} column @param {number} row @param {number} position */
  narrow(column, row, position) {
    return this.ofRidge("narrow", column, row, position);
  }
  /** Whether its ridges' colours say anything. @param {number} column */
  isColored(column) {
    if (!this.header.layers[column].shape) return true;
    return Array.from(this.arrays[`narrow.${column}`] || []).some(Number.isFinite);
  }
  /** The layer's number. @param {number} column @param {number} position */
  typical(column, position) {
    const values = this.arrays[`typical.${column}`];
    return values ? interpolate(values, position) : NaN;
  }
  /** The layer's number at every frame; none known where it has none. @param {number} column */
  typicals(column) {
    return this.arrays[`typical.${column}`] || new Float32Array(this.header.steps.length).fill(NaN);
  }
  /**
   * Parameters of a ridge's density; null where there are none.
   * @param {number} column @param {number} row @param {number} position @param {"inner" | "outer"} which
   */
  parameters(column, row, position, which) {
    const names = this.header.layers[column].shape?.parameters || [];
    if (!names.length || !this.arrays[`${which}.${names[0]}.${column}`]) return null;
    return Object.fromEntries(
      names.map((name) => [name, this.ofRidge(`${which}.${name}`, column, row, position)])
    );
  }
  /**
   * Several numbers of a ridge, such as shares of classes, each on its way between two frames.
   * @param {string} name @param {number} column @param {number} row @param {number} position
   * @param {number} count
   */
  manyOf(name, column, row, position, count) {
    const values = this.arrays[`${name}.${column}`];
    if (!values || !count) return [];
    const all = Math.max(this.header.layers[column].neurons.length, 1) * count;
    return Array.from({ length: count }, (_, i) => interpolate(values, position, row * count + i, all));
  }
  /** @param {number} column @param {number} row @param {number} position */
  bars(column, row, position) {
    return this.manyOf("bars", column, row, position, this.header.layers[column].shape?.classes.length || 0);
  }
  /** @param {number} column @param {number} row @param {number} position */
  heights(column, row, position) {
    return this.manyOf(
      "curve",
      column,
      row,
      Math.floor(position),
      this.header.layers[column].shape?.points || 0
    );
  }
  /** Usage of a code book's codes, as recorded. @param {number} column @param {number} position */
  usage(column, position) {
    const count = this.arrays[`usage.${column}`].length / this.header.steps.length;
    return this.manyOf("usage", column, 0, Math.round(position), count);
  }
  /** How many codes are used. @param {number} column @param {number} position */
  used(column, position) {
    return interpolate(this.arrays[`used.${column}`], Math.round(position));
  }
  /** The highest usage, over most frames: the first may have few picks. @param {number} column */
  mostUsage(column) {
    const values = this.arrays[`usage.${column}`];
    const frames = this.header.steps.length;
    const count = values.length / frames;
    const highest = Array.from({ length: frames }, (_, frame) => {
      let most = 1e-9;
      for (let i = frame * count; i < (frame + 1) * count; i++) most = Math.max(most, values[i] || 0);
      return most;
    }).sort((a, b) => a - b);
    return highest[Math.floor(0.75 * (frames - 1))];
  }
  // How much the ridges move from each frame to the next: the mean change of means and sds, prior sds.
  motion() {
    const frames = this.header.steps.length;
    return Float64Array.from({ length: Math.max(frames - 1, 0) }, (_, frame) => {
      let sum = 0;
      let count = 0;
      this.header.layers.forEach(({ neurons }, column) => {
        for (const name of ["mean", "sd", "narrow"]) {
          const values = this.arrays[`${name}.${column}`];
          if (!values) continue;
          for (let row = 0; row < neurons.length; row++) {
            const at = frame * neurons.length + row;
            const moved = Math.abs(values[at + neurons.length] - values[at]);
            if (!Number.isFinite(moved)) continue;
            sum += moved;
            count += 1;
          }
        }
      });
      return sum / count;
    });
  }
  // Half the width of one axis for all columns, prior sds: the prior, and nearly all that the neurons reach.
  reach() {
    const reached = [];
    this.header.layers.forEach((layer, column) => {
      if (layer.shape) return;
      const [mean, sd, total] = ["mean", "sd", "total"].map((name) => this.arrays[`${name}.${column}`]);
      for (let i = 0; i < mean.length; i += 3) {
        const value = Math.abs(mean[i]) + 2 * (total[i] || sd[i]);
        if (Number.isFinite(value)) reached.push(value);
      }
    });
    reached.sort((a, b) => a - b);
    return Math.min(Math.max(reached[Math.floor(reached.length * 0.99)] || LEAST, LEAST), MOST);
  }
};

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
var LAYERS = ["#626AD8", "#816BDA", "#9E6BDA", "#BB69D9", "#D865D8"];
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
var ALERT = "#D55E00";
var PINNED = "#E69F00";
var SD_WIDE = 1.05;
var SD_NARROW = 0.1;

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
function scaleColor(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(at), stops.length - 2);
  const [red, green, blue] = mix(parseHex(stops[below]), parseHex(stops[below + 1]), at - below);
  return [Math.round(red), Math.round(green), Math.round(blue)];
}
var layerColor = (layer, depth) => scaleColor(LAYERS, layer / Math.max(depth - 1, 1));
function colorTable(stops, from = 0, to = 1) {
  return Array.from({ length: 256 }, (_, i) => scaleColor(stops, from + (to - from) * i / 255));
}
function sdColorIndex(sd) {
  const share = Math.log(sd / SD_WIDE) / Math.log(SD_NARROW / SD_WIDE);
  return Math.round(Math.min(Math.max(share, 0), 1) * 255);
}
function ridgeColors(dark) {
  const colors = colorTable(COLOR_SCALES.Viridis, dark ? 0.18 : 0.1, dark ? 1 : 0.92);
  const line = (color) => dark ? mix(color, [255, 255, 255], 0.35) : mix(color, [0, 0, 0], 0.38);
  return {
    colors,
    fills: colors.map((color) => rgba(color, dark ? 0.9 : 0.86)),
    lines: colors.map((color) => rgba(line(color), 0.72))
  };
}

// probes/canvas/drawing.js
function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const w = Math.round(width * ratio);
  const h = Math.round(height * ratio);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = context2d(canvas);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
function context2d(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser gives no 2d context for a canvas");
  return context;
}
function fitText(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  const letters = Array.from(text);
  let low = 0;
  let high = letters.length;
  while (high - low > 1) {
    const middle = low + high >> 1;
    if (context.measureText(`${letters.slice(0, middle).join("")}…`).width <= width) low = middle;
    else high = middle;
  }
  return `${letters.slice(0, low).join("")}…`;
}
function strokeLine(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

// probes/canvas/svg_context.js
var ANCHORS = { left: "start", start: "start", center: "middle", right: "end", end: "end" };
var escapeXml = (text) => text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign] || "");
var short = (value) => String(+value.toFixed(2));
function ink(name, style) {
  const parts = /^rgba\(([^)]*),([^,)]*)\)$/.exec(String(style));
  if (!parts) return `${name}="${escapeXml(String(style))}"`;
  const opacity = Number(parts[2]);
  return `${name}="rgb(${parts[1]})"` + (opacity < 1 ? ` ${name}-opacity="${short(opacity)}"` : "");
}
var SvgContext = class {
  /** @param {(font: string, text: string) => TextMetrics} measure how wide a text is: a canvas knows */
  constructor(measure) {
    this.measure = measure;
    this.elements = [];
    this.fillStyle = "#000";
    this.strokeStyle = "#000";
    this.lineWidth = 1;
    this.font = "10px sans-serif";
    this.textAlign = "left";
    this.textBaseline = "alphabetic";
    this.dash = "";
    this.path = "";
    this.origin = { x: 0, y: 0 };
    this.origins = [];
  }
  save() {
    this.origins.push({ ...this.origin });
  }
  restore() {
    this.origin = this.origins.pop() || this.origin;
  }
  /** @param {number} x @param {number} y */
  translate(x, y) {
    this.origin.x += x;
    this.origin.y += y;
  }
  /** @param {number} x @param {number} y */
  point(x, y) {
    return `${short(x + this.origin.x)} ${short(y + this.origin.y)}`;
  }
  beginPath() {
    this.path = "";
  }
  /** @param {number} x @param {number} y */
  moveTo(x, y) {
    this.path += `M${this.point(x, y)}`;
  }
  /** @param {number} x @param {number} y */
  lineTo(x, y) {
    this.path += `L${this.point(x, y)}`;
  }
  closePath() {
    this.path += "Z";
  }
  fill() {
    this.elements.push(`<path d="${this.path}" ${ink("fill", this.fillStyle)}/>`);
  }
  stroke() {
    const dash = this.dash ? ` stroke-dasharray="${this.dash}"` : "";
    this.elements.push(
      `<path d="${this.path}" fill="none" ${ink("stroke", this.strokeStyle)} stroke-width="${short(this.lineWidth)}"${dash}/>`
    );
  }
  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  fillRect(x, y, width, height) {
    const [left, top] = this.point(x, y).split(" ");
    this.elements.push(
      `<rect x="${left}" y="${top}" width="${short(width)}" height="${short(height)}" ${ink("fill", this.fillStyle)}/>`
    );
  }
  /** @param {string} text @param {number} x @param {number} y */
  fillText(text, x, y) {
    const [left, top] = this.point(x, y).split(" ");
    const font = /^(?:(\d+) )?([\d.]+)px (.*)$/.exec(this.font) || ["", "", "10", "sans-serif"];
    const weight = font[1] && font[1] !== "400" ? ` font-weight="${font[1]}"` : "";
    this.elements.push(
      `<text x="${left}" y="${top}" font-family="${escapeXml(font[3])}" font-size="${font[2]}"${weight} text-anchor="${ANCHORS[this.textAlign]}" ${ink("fill", this.fillStyle)}>${escapeXml(text)}</text>`
    );
  }
  /** @param {string} text */
  measureText(text) {
    return this.measure(this.font, text);
  }
  /** @param {number[]} lengths */
  setLineDash(lengths) {
    this.dash = lengths.join(" ");
  }
  /**
   * The whole as a file.
   * @param {number} width
   * @param {number} height
   * @param {string} title
   */
  file(width, height, title) {
    const size = `width="${short(width)}" height="${short(height)}" viewBox="0 0 ${short(width)} ${short(height)}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>
<title>${escapeXml(title)}</title>
${this.elements.join("\n")}
</svg>
`;
  }
};

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

// probes/canvas/replay_export.js
var FILM_TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
var FRAME_RATE = 30;
var BITS = 8e6;
var HOLD_MS = 700;
var SLICE_MS = 100;
var LEAST2 = 1e3;
var PATIENCE_MS = 1e4;
var GAP = 8;
var PAD = 16;
var runNames = (replay) => [
  ...new Set(replay.header.layers.map((layer) => layer.run))
];
function fileStem(replay, steps) {
  return `${runNames(replay).join("-vs-")}-${steps}`.replace(/[^\p{L}\p{N}._-]+/gu, "-");
}
function saveFile(blob, name) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
}
function composed(replay, target) {
  const [ridges, strip] = [replay.ridges.canvas, replay.strip.canvas];
  const [pad, gap] = [PAD, GAP].map((pixels) => Math.round(pixels * (window.devicePixelRatio || 1)));
  const picture = target || document.createElement("canvas");
  if (!target) {
    picture.width = Math.max(ridges.width, strip.width) + 2 * pad;
    picture.height = ridges.height + gap + strip.height + 2 * pad;
  }
  const context = context2d(picture);
  context.fillStyle = rgba(replay.theme.background, 1);
  context.fillRect(0, 0, picture.width, picture.height);
  context.drawImage(ridges, pad, pad);
  context.drawImage(strip, pad, pad + ridges.height + gap);
  return picture;
}
function savePng(replay) {
  const name = `${fileStem(replay, `step-${replay.transport.step}`)}.png`;
  composed(replay).toBlob((blob) => blob && saveFile(blob, name), "image/png");
}
function drawSvg(replay) {
  const { ridges, strip, theme } = replay;
  const measuring = context2d(document.createElement("canvas"));
  const svg = new SvgContext((font, text) => {
    measuring.font = font;
    return measuring.measureText(text);
  });
  const colors = ridges.colors;
  replay.theme = PAPER;
  ridges.colors = ridgeColors(false);
  try {
    ridges.placeHeading(svg);
    const { width, height } = ridges.layout;
    const size = { width: width + 2 * PAD, height: height + GAP + strip.height + 2 * PAD };
    svg.fillStyle = rgba(PAPER.background, 1);
    svg.fillRect(0, 0, size.width, size.height);
    svg.translate(PAD, PAD);
    ridges.paintStill(svg);
    ridges.paintMoving(svg);
    svg.translate(0, height + GAP);
    strip.paintStill(svg);
    strip.paintMoving(svg);
    const title = `Replay of ${runNames(replay).join(" and ")}, step ${formatStep(replay.transport.step)}`;
    return svg.file(size.width, size.height, title);
  } finally {
    replay.theme = theme;
    ridges.colors = colors;
    replay.layout();
  }
}
function saveSvg(replay) {
  const name = `${fileStem(replay, `step-${replay.transport.step}`)}.svg`;
  saveFile(new Blob([drawSvg(replay)], { type: "image/svg+xml" }), name);
}
var canFilm = () => typeof MediaRecorder !== "undefined" && FILM_TYPES.some((type) => MediaRecorder.isTypeSupported(type));
var Film = class {
  /**
   * @param {Replay} replay
   * @param {() => void} ended
   */
  constructor(replay, ended) {
    this.replay = replay;
    this.canvas = composed(replay);
    const parts = [];
    this.bytes = 0;
    const mimeType = FILM_TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.recorder = new MediaRecorder(this.canvas.captureStream(FRAME_RATE), {
      mimeType,
      videoBitsPerSecond: BITS
    });
    this.recorder.ondataavailable = (event) => {
      parts.push(event.data);
      this.bytes += event.data.size;
    };
    this.recorder.onstop = () => {
      const { steps, step } = replay.transport;
      const name = `${fileStem(replay, `steps-${steps[0]}-${step}`)}.webm`;
      saveFile(new Blob(parts, { type: "video/webm" }), name);
      ended();
    };
    this.recorder.start(SLICE_MS);
  }
  // What is seen now is its next picture.
  add() {
    composed(this.replay, this.canvas);
    if (this.replay.transport.playing || this.ending) return;
    const began = performance.now();
    this.ending = setInterval(() => {
      const waited = performance.now() - began;
      composed(this.replay, this.canvas);
      if (waited < HOLD_MS || this.bytes < LEAST2 && waited < PATIENCE_MS) return;
      clearInterval(this.ending);
      this.recorder.stop();
    }, SLICE_MS);
  }
};

// probes/canvas/ridge_layout.js
var PEAK_ROWS = 5;
var LANE = 98;
var TYPICAL = LANE - 6;
var LABELS = 54;
var MARGIN = 12;
var HEADING = 26;
var AXIS = 34;
var MIN_COLUMN = 150;
var LEAST_PITCH = 13;
var MOST_PITCH = 44;
var FEW_ROWS = 5;
var MOST_PITCH_OF_FEW = 64;
var WIDE_RANGE = 5;
var LEAST_TICK = 18;
var TAILS = 3.6;
var LIFT = 0.75;
var FEWEST = 24;
var POINTS = 56;
var APART = 3;
var RidgeLayout = class {
  /**
   * @param {object} size
   * @param {number} size.columns
   * @param {number} size.rows of the longest column
   * @param {number} size.width that there is
   * @param {number} size.room height that there is; more is taken where rows would come too close
   * @param {number} size.range half the width of the axis, prior sds
   * @param {(Axis | undefined)[]} [size.axes] of columns that have one of their own
   * @param {number} [size.top] height of what stands above the columns
   * @param {number} [size.leastPitch] between two rows
   */
  constructor({ columns, rows, width, room, range, axes = [], top = 0, leastPitch = LEAST_PITCH }) {
    this.top = top;
    this.axes = axes;
    this.axisHeight = AXIS;
    this.width = Math.max(width, columns * MIN_COLUMN);
    this.columnWidth = this.width / columns;
    this.range = range;
    const pitch = (room - this.top - LANE - AXIS) / (rows + 1.5);
    this.pitch = Math.min(Math.max(pitch, leastPitch), rows < FEW_ROWS ? MOST_PITCH_OF_FEW : MOST_PITCH);
    this.height = Math.round(this.top + LANE + (rows + 1.5) * this.pitch + AXIS);
  }
  /** @param {number} column */
  axis(column) {
    return this.axes[column] || { low: -this.range, high: this.range };
  }
  /** @param {number} column @param {number} z in prior sds, or in the unit of the column's own axis */
  x(column, z) {
    const { low, high } = this.axis(column);
    const width = this.columnWidth - LABELS - MARGIN;
    return column * this.columnWidth + LABELS + (z - low) / (high - low) * width;
  }
  /**
   * Both ends of a column's axis.
   * @param {number} column
   * @returns {[number, number]}
   */
  ends(column) {
    const { low, high } = this.axis(column);
    return [this.x(column, low), this.x(column, high)];
  }
  // Whole prior sds that the axis is marked at: every second one where they would come too close.
  ticks() {
    const [left, right] = this.ends(0);
    const apart = (right - left) / (2 * this.range);
    const close = [1, 2, 4].find((step) => step * apart >= LEAST_TICK) || 4;
    const every = Math.max(close, this.range > WIDE_RANGE ? 2 : 1);
    const last = Math.floor(this.range / every) * every;
    return Array.from({ length: 2 * last / every + 1 }, (_, i) => i * every - last);
  }
  /** @param {number} row */
  baseline(row) {
    return LANE + (row + 2) * this.pitch;
  }
  /**
   * Height of a ridge: inverse to the root of its sd, one row for the prior, cut where it would cover others.
   * @param {number} sd prior sds
   */
  peak(sd) {
    return Math.min(0.95 * this.pitch / Math.sqrt(sd), PEAK_ROWS * this.pitch);
  }
  /**
   * The ridge at a place of the picture; null where there is none.
   * @param {number} x
   * @param {number} y
   * @param {readonly { neurons: readonly number[] }[]} layers
   * @returns {Ridge | null}
   */
  at(x, y, layers) {
    const column = Math.floor(x / this.columnWidth);
    const row = Math.ceil((y - this.top - LANE) / this.pitch - 2);
    const layer = layers[column];
    return !layer || row < 0 || row >= layer.neurons.length ? null : { column, row };
  }
  /**
   * The outline of a Gaussian as a path, as far as the axis reaches; false where none of it lies there.
   * @param {Path} path
   * @param {number} column
   * @param {number} baseline
   * @param {number} mean prior sds
   * @param {number} sd prior sds
   * @param {number} height of its peak
   * @param {boolean} area whether it goes down to the baseline at both ends, for filling
   */
  bell(path, column, baseline, mean, sd, height, area) {
    const tails = Math.min(TAILS, Math.sqrt(2 * Math.log(Math.max(height / LIFT, 1))));
    const low = Math.max(mean - tails * sd, -this.range);
    const high = Math.min(mean + tails * sd, this.range);
    if (low >= high) return false;
    const left = this.x(column, low);
    const right = this.x(column, high);
    const points = Math.min(Math.max(Math.ceil((right - left) / APART), FEWEST), POINTS);
    path.beginPath();
    if (area) path.moveTo(left, baseline);
    for (let i = 0; i <= points; i++) {
      const share = i / points;
      const r = (low + (high - low) * share - mean) / sd;
      const x = left + (right - left) * share;
      const y = baseline - height * Math.exp(-0.5 * r * r);
      if (i === 0 && !area) path.moveTo(x, y);
      else path.lineTo(x, y);
    }
    if (area) path.lineTo(right, baseline);
    return true;
  }
};

// probes/canvas/replay_heading.js
var LINE = 18;
var FIRST = 14;
var GAP2 = 14;
var SIGN = 18;
var STEP = 176;
var BAR = 72;
function meanOf(gaussian, input) {
  if (input !== null) return `posterior of probe input ${input}, exact`;
  return gaussian ? "mean posterior, sd √E[σ²]" : "mean posterior";
}
function colorsSay(gaussian, others) {
  const scale = `${SD_WIDE} to ${SD_NARROW}, log scale`;
  return others ? `${gaussian ? "sd, or " : ""}√(1 − contraction) ${scale}` : `sd ${scale}`;
}
var Heading = class {
  /** @param {Replay} replay */
  constructor(replay) {
    this.replay = replay;
    this.width = 0;
    this.height = 0;
    this.placed = [];
  }
  /** @returns {Item[]} */
  items() {
    const { header, theme, ridges } = this.replay;
    const { input, layers, trail, chosen, along } = header;
    const earlier = along ? "earlier positions" : "earlier steps";
    const line = (dash, style) => {
      return (context, x, y) => {
        context.strokeStyle = style;
        context.lineWidth = 1.5;
        context.setLineDash(dash);
        context.beginPath();
        for (let i = 0; i <= 14; i++) {
          const at = y - 10 * Math.exp(-((i - 7) ** 2) / 14);
          if (i) context.lineTo(x + i, at);
          else context.moveTo(x, at);
        }
        context.stroke();
        context.setLineDash([]);
      };
    };
    const gaussian = layers.some((layer) => !layer.shape);
    const shapes = layers.flatMap((layer) => layer.shape || []);
    const legends = [...new Set(shapes.map((shape) => shape.legend))].filter(Boolean);
    const primed = gaussian || shapes.some((shape) => shape.prior || shape.priorBars);
    const curved = gaussian || shapes.some((shape) => shape.kind !== "book" && shape.kind !== "bars");
    const trailed = gaussian || shapes.some((shape) => shape.kind === "density");
    const colored = layers.some((_, column) => this.replay.data.isColored(column));
    const items = [
      { text: ridges.twofold ? "" : layers[0].run, sign: 0, strong: true },
      { text: chosen, sign: 0 },
      {
        text: along ? "belief Normal(m, V)" : curved || input !== null ? meanOf(gaussian, input) : "",
        sign: SIGN,
        draw: (context, x, y) => {
          context.fillStyle = COLOR_SCALES.Viridis[4];
          context.fillRect(x, y - 9, 14, 10);
        }
      },
      {
        text: input === null && gaussian && !along ? "aggregate, variance E[σ²] + Var[μ]" : "",
        sign: SIGN,
        draw: line([], rgba(theme.text, 0.8))
      },
      ...legends.map((text) => ({ text, sign: 0 })),
      { text: primed ? "prior" : "", sign: SIGN, draw: line([4, 3], rgba(theme.text, 0.62)) },
      { text: trail && trailed ? earlier : "", sign: SIGN, draw: line([], rgba(theme.text, 0.3)) },
      { text: layers.some((layer) => layer.informative !== null) ? "◆ most informative" : "", sign: 0 },
      {
        text: colored ? colorsSay(gaussian, shapes.length > 0) : "",
        sign: BAR + 5,
        draw: (context, x, y) => {
          for (let i = 0; i < BAR; i += 2) {
            context.fillStyle = rgba(ridges.colors.colors[Math.round(i / BAR * 255)], 1);
            context.fillRect(x + i, y - 9, 2, 10);
          }
        }
      },
      {
        text: curved ? `height ∝ ${shapes.length ? "√density" : "1/√sd"}, at most ${PEAK_ROWS} rows` : "",
        sign: 0
      }
    ];
    return items.filter((item) => item.text);
  }
  /** @param {Item} item */
  font(item) {
    return item.strong ? `600 14px ${this.replay.theme.font}` : `12px ${this.replay.theme.font}`;
  }
  /**
   * Break into lines that fit a width in pixels.
   * @param {number} width
   * @param {Pick<Brush, "font" | "measureText">} context that measures
   */
  resize(width, context) {
    this.width = width;
    this.placed = [];
    let [x, y] = [0, FIRST];
    for (const item of this.items()) {
      context.font = this.font(item);
      const length = item.sign + context.measureText(item.text).width;
      const room = () => width - (y === FIRST ? STEP : 0);
      if ((x > 0 || y === FIRST && !item.strong) && x + length > room()) [x, y] = [0, y + LINE];
      const text = fitText(context, item.text, room() - item.sign);
      this.placed.push({ item: { ...item, text }, x, y });
      x += Math.min(length, room()) + GAP2;
    }
    this.height = y + 12;
  }
  /** @param {Brush} context */
  paintStill(context) {
    context.textAlign = "left";
    for (const { item, x, y } of this.placed) {
      item.draw?.(context, x, y);
      context.font = this.font(item);
      context.fillStyle = item.strong ? rgba(this.replay.theme.text, 1) : this.replay.theme.muted;
      context.fillText(item.text, x + item.sign, y);
    }
  }
  /** @param {Brush} context */
  paintMoving(context) {
    const { theme, transport } = this.replay;
    context.textAlign = "right";
    context.font = `600 14px ${theme.font}`;
    context.fillStyle = rgba(theme.text, 1);
    const last = transport.steps[transport.last];
    context.fillText(`${transport.said} of ${formatStep(last)}`, this.width - 8, FIRST);
  }
};

// probes/canvas/shapes.js
var LANCZOS = [
  0.9999999999998099,
  676.5203681218851,
  -1259.1392167224028,
  771.3234287776531,
  -176.6150291621406,
  12.507343278686905,
  -0.13857109526572012,
  9984369578019572e-21,
  15056327351493116e-23
];
var HALF_LOG_TWO_PI = 0.5 * Math.log(2 * Math.PI);
var EVEN2 = 56;
var AROUND = 32;
var SDS = 4;
var MORE_ROOM = 60;
var INSET = 4e-3;
function logGamma(x) {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const t = x + 6.5;
  const sum = LANCZOS.reduce((total, c, i) => total + (i ? c / (x - 1 + i) : c), 0);
  return HALF_LOG_TWO_PI + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}
function logBessel0(x) {
  const horner = (c2, t) => c2.reduceRight((s, a) => s * t + a, 0);
  if (x < 3.75) {
    const t = (x / 3.75) ** 2;
    return Math.log(horner([1, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 45813e-7], t));
  }
  const c = [
    0.39894228,
    0.01328592,
    225319e-8,
    -157565e-8,
    916281e-8,
    -0.02057706,
    0.02635537,
    -0.01647633,
    392377e-8
  ];
  return x - 0.5 * Math.log(x) + Math.log(horner(c, 3.75 / x));
}
var LOG_DENSITIES = {
  beta: ({ concentration1: a, concentration0: b }, z) => z < 0 || z > 1 ? -Infinity : (a - 1) * Math.log(z) + (b - 1) * Math.log1p(-z) + logGamma(a + b) - logGamma(a) - logGamma(b),
  gamma: ({ concentration: a, rate }, z) => z <= 0 ? -Infinity : a * Math.log(rate) + (a - 1) * Math.log(z) - rate * z - logGamma(a),
  inverse_gamma: ({ concentration: a, rate }, z) => z <= 0 ? -Infinity : a * Math.log(rate) - (a + 1) * Math.log(z) - rate / z - logGamma(a),
  exponential: ({ rate }, z) => z < 0 ? -Infinity : Math.log(rate) - rate * z,
  laplace: ({ loc, scale }, z) => -Math.abs(z - loc) / scale - Math.log(2 * scale),
  student_t: ({ df, loc, scale }, z) => logGamma((df + 1) / 2) - logGamma(df / 2) - 0.5 * Math.log(df * Math.PI) - Math.log(scale) - (df + 1) / 2 * Math.log1p(((z - loc) / scale) ** 2 / df),
  von_mises: ({ loc, concentration: k }, z) => k * Math.cos(z - loc) - Math.log(2 * Math.PI) - logBessel0(k),
  poisson: ({ rate }, z) => z < 0 ? -Infinity : Math.floor(z) * Math.log(rate) - rate - logGamma(Math.floor(z) + 1),
  gaussian: ({ loc, scale }, z) => -0.5 * ((z - loc) / scale) ** 2 - Math.log(scale) - HALF_LOG_TWO_PI
};
function density(family, parameters, z) {
  return Math.exp(LOG_DENSITIES[family](parameters, z));
}
function places({ low, high, counts = false }, mean, sd) {
  if (counts) {
    const whole = Array.from({ length: Math.max(Math.round(high - low), 1) }, (_, i) => Math.round(low) + i);
    return whole.flatMap((count) => [count, count + 1 - 1e-9]);
  }
  const inset = INSET * (high - low);
  const [from, to] = [low + inset, high - inset];
  const even = Array.from({ length: EVEN2 }, (_, i) => from + (to - from) * i / (EVEN2 - 1));
  const near = Array.from({ length: AROUND }, (_, i) => mean + SDS * sd * (2 * i / (AROUND - 1) - 1));
  return [...even, ...near.filter((z) => z > from && z < to)].sort((a, b) => a - b);
}
function curve(family, parameters, at) {
  if (!Object.values(parameters).every(Number.isFinite)) return [];
  const points = at.map((z) => (
    /** @type {[number, number]} */
    [z, density(family, parameters, z)]
  ));
  return points.filter(([, height]) => Number.isFinite(height));
}
var peakOf = (points) => points.reduce((most, [, height]) => Math.max(most, height), 0);
function axisTicks({ support, low, high, classes = [], more = 0 }, room) {
  if (support === "classes") {
    const every2 = Math.max(Math.ceil(classes.length * 22 / Math.max(room, 1)), 1);
    const last = classes.length - 1;
    const slot = room / Math.max(classes.length, 1);
    const beside = (i) => more > 0 && (last - i) * slot < MORE_ROOM;
    const shown = (i) => beside(i) ? i === last : i % every2 === 0;
    return classes.map((text, i) => ({ z: i + 0.5, text })).filter((_, i) => shown(i));
  }
  if (support === "circle") {
    return [-1, -0.5, 0, 0.5, 1].map((share, i) => ({
      z: share * Math.PI,
      text: ["−π", "−π/2", "0", "π/2", "π"][i]
    }));
  }
  const rough = (high - low) / Math.max(Math.min(room / 40, 6), 2);
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * decade).find((size) => size >= rough) || decade;
  const every = support === "counts" ? Math.max(Math.round(step), 1) : step;
  const first = Math.ceil(low / every - 1e-9);
  const digits = Math.max(-Math.floor(Math.log10(every) + 1e-9), 0);
  return Array.from({ length: Math.floor(high / every + 1e-9) - first + 1 }, (_, i) => {
    const z = (first + i) * every;
    const text = Math.abs(z) >= 1e5 ? z.toExponential(0) : z.toFixed(digits);
    return { z: support === "counts" ? z + 0.5 : z, text: text.replace("-", "−") };
  }).filter(({ z }) => z >= low && z <= high);
}
function binned(shares, most) {
  const every = Math.ceil(shares.length / Math.max(most, 1));
  return Array.from({ length: Math.ceil(shares.length / every) }, (_, bin) => {
    const part2 = Array.from(shares).slice(bin * every, (bin + 1) * every);
    return part2.reduce((sum, share) => sum + share, 0) / part2.length;
  });
}

// probes/canvas/ridge_shapes.js
var FULL = 0.95;
var EVEN3 = 0.5;
var BAR_ROWS = 1.6;
var EVEN_BAR = 0.6;
var WIDEST_BAR = 56;
var GAP3 = 0.16;
var LEAST_BAR = 2;
var OVERHANG = 10;
var DEAD = 3;
var RidgeShapes = class {
  /** @param {import("./ridges.js").Ridges} ridges */
  constructor(ridges) {
    this.ridges = ridges;
  }
  get layout() {
    return this.ridges.layout;
  }
  get theme() {
    return this.ridges.theme;
  }
  get data() {
    return this.ridges.replay.data;
  }
  get position() {
    return this.ridges.replay.transport.position;
  }
  /** @param {Brush} context @param {Shape} shape @param {number} column */
  drawAxis(context, shape, column) {
    const { theme, layout } = this;
    const [left, right] = layout.ends(column);
    const bottom = layout.height - layout.top - layout.axisHeight;
    context.font = `11px ${theme.font}`;
    context.textAlign = "center";
    context.lineWidth = 1;
    for (const { z, text } of axisTicks(shape, right - left)) {
      const x = Math.round(layout.x(column, z)) + 0.5;
      if (shape.kind === "curve" || shape.kind === "density") {
        context.strokeStyle = z === 0 ? rgba(theme.text, 0.22) : theme.faint;
        strokeLine(context, x, LANE - 6, x, bottom);
      }
      context.fillStyle = theme.muted;
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.min(x, right + OVERHANG - half), bottom + 14);
    }
    context.fillStyle = theme.muted;
    const title = context.measureText(shape.axis).width <= right - left ? shape.axis : shape.title;
    context.fillText(fitText(context, title, right - left), (left + right) / 2, bottom + 29);
  }
  /**
   * What stands where other layers show their typical neuron: the family, and its number of the whole layer.
   * @param {Brush} context @param {Shape} shape @param {number} column
   */
  drawTypical(context, shape, column) {
    const { theme, layout } = this;
    const [left, right] = layout.ends(column);
    context.strokeStyle = rgba(theme.text, 0.3);
    context.lineWidth = 1;
    strokeLine(context, left, TYPICAL + 0.5, right, TYPICAL + 0.5);
    context.fillStyle = theme.muted;
    context.font = `11px ${theme.font}`;
    context.textAlign = "left";
    context.fillText(fitText(context, shape.label, right - left), left, TYPICAL - 20);
    const typical = this.data.typical(column, this.position);
    if (!Number.isFinite(typical)) return;
    const [, short2 = ""] = shape.typical.split(/ (.*)/s);
    const words = [shape.typical, short2].map((said) => `${said} ${formatNumber(typical)}`);
    const fits = words.find((said) => context.measureText(said).width <= right - left) ?? words[0];
    context.fillText(fitText(context, fits, right - left), left, TYPICAL - 6);
  }
  /**
   * @param {Brush} context
   * @param {Points} points pixels
   * @param {number} baseline
   * @param {boolean} area whether it goes down to the baseline at both ends
   */
  path(context, points, baseline, area) {
    if (points.length < 2) return false;
    context.beginPath();
    if (area) context.moveTo(points[0][0], baseline);
    points.forEach(([x, y], i) => i || area ? context.lineTo(x, y) : context.moveTo(x, y));
    if (area) context.lineTo(points[points.length - 1][0], baseline);
    return true;
  }
  /**
   * A curve in pixels, its peak as high as the root of how far it stands over the reference.
   * @param {Shape} shape @param {number} column @param {number} baseline @param {Points} points
   */
  placed(shape, column, baseline, points) {
    const { layout } = this;
    const peak = peakOf(points);
    if (!(peak > 0)) return [];
    const row = shape.support === "unit" || shape.support === "circle" ? EVEN3 : FULL;
    const most = Math.min(row * Math.sqrt(peak / this.reference(shape)), PEAK_ROWS) * layout.pitch;
    return points.map(
      ([z, height]) => (
        /** @type {[number, number]} */
        [layout.x(column, z), baseline - most * height / peak]
      )
    );
  }
  /** Density that is a row high: the prior's peak; where none is known that of an even spread. @param {Shape} shape */
  reference(shape) {
    const prior = this.priorCurve(shape);
    return prior.length ? peakOf(prior) : 1 / (shape.high - shape.low);
  }
  /** @param {Shape} shape @returns {Points} */
  priorCurve(shape) {
    if (!shape.prior) return [];
    const middle = (shape.low + shape.high) / 2;
    return curve(shape.family, shape.prior, places(axisOf(shape), middle, (shape.high - shape.low) / 8));
  }
  /**
   * The curve of a ridge at a frame: of its own mean posterior, or of the aggregate.
   * @param {Shape} shape @param {number} column @param {number} row @param {number} position
   * @param {"inner" | "outer"} which
   * @returns {Points}
   */
  curveOf(shape, column, row, position, which) {
    if (shape.kind === "curve") {
      if (which === "outer") return [];
      const heights = this.data.heights(column, row, position);
      return heights.map(
        (height, i) => (
          /** @type {[number, number]} */
          [
            shape.low + (shape.high - shape.low) * i / (heights.length - 1),
            height
          ]
        )
      ).filter(([, height]) => Number.isFinite(height));
    }
    const parameters = this.data.parameters(column, row, position, which);
    if (!parameters) return [];
    const { mean, sd } = this.data.moments(column, row, position);
    return curve(shape.family, parameters, places(axisOf(shape), mean, sd));
  }
  /** @param {Brush} context @param {Shape} shape @param {number} column @param {number} row */
  dashedPrior(context, shape, column, row, alpha = 0.4) {
    const baseline = this.layout.baseline(row);
    context.setLineDash([4, 3]);
    context.lineWidth = 1.25;
    context.strokeStyle = rgba(this.theme.text, alpha);
    if (shape.kind === "bars") this.dashedBars(context, shape, column, baseline);
    else if (this.path(context, this.placed(shape, column, baseline, this.priorCurve(shape)), baseline, false))
      context.stroke();
    context.setLineDash([]);
  }
  /** Where a class's bar stands, pixels. @param {number} column @param {number} place */
  barPlace(column, place) {
    const [left, right] = [this.layout.x(column, place), this.layout.x(column, place + 1)];
    const slot = right - left;
    const width = Math.max(Math.min(slot - Math.min(GAP3 * slot, 3), Math.max(WIDEST_BAR, slot / 3)), 1);
    return { from: left + (slot - width) / 2, width };
  }
  /** In pixels; what several classes share is cut. @param {Shape} shape @param {number} share */
  barHeight(shape, share) {
    const even = 1 / Math.max(shape.classes.length + shape.more - (shape.more ? 1 : 0), 1);
    const rows = Math.min(BAR_ROWS, EVEN_BAR * shape.tallest / even);
    return rows * this.layout.pitch * Math.min(share / shape.tallest, 1);
  }
  /** @param {Brush} context @param {Shape} shape @param {number} column @param {number} baseline */
  dashedBars(context, shape, column, baseline) {
    shape.priorBars?.forEach((share, i) => {
      const y = baseline - this.barHeight(shape, share);
      const { from, width } = this.barPlace(column, i);
      strokeLine(context, from, y, from + width, y);
    });
  }
  /** What a ridge stands on. @param {Brush} context @param {Shape} shape @param {number} column @param {number} row */
  drawPast(context, shape, column, row) {
    const { layout } = this;
    const y = layout.baseline(row);
    const [left, right] = layout.ends(column);
    context.lineWidth = 1;
    context.strokeStyle = this.theme.baseline;
    strokeLine(context, left, Math.round(y) + 0.5, right, Math.round(y) + 0.5);
    this.dashedPrior(context, shape, column, row);
    if (shape.kind !== "density") return;
    const frames = this.ridges.trailFrames();
    context.lineWidth = 1;
    frames.forEach((frame, i) => {
      const points = this.placed(shape, column, y, this.curveOf(shape, column, row, frame, "inner"));
      if (!this.path(context, points, y, false)) return;
      context.strokeStyle = rgba(this.theme.text, 0.14 + 0.2 * i / frames.length);
      context.stroke();
    });
  }
  /** @param {Brush} context @param {Layer} layer @param {number} column @param {number} row */
  drawRidge(context, layer, column, row) {
    const shape = (
      /** @type {Shape} */
      layer.shape
    );
    const { theme, layout } = this;
    const y = layout.baseline(row);
    const marked = layer.pinned.includes(layer.neurons[row]);
    const hovered = this.ridges.isOver(column, row);
    const { fill, line } = this.colors(column, row);
    const edge = marked ? PINNED : hovered ? theme.accent : line;
    const strong = marked || hovered;
    if (shape.kind === "bars") {
      if (this.drawBars(context, shape, column, row, y, fill, strong ? edge : null)) {
        this.dashedPrior(context, shape, column, row, strong ? 0.62 : 0.4);
        return;
      }
    } else {
      const points = this.placed(shape, column, y, this.curveOf(shape, column, row, this.position, "inner"));
      if (this.path(context, points, y, true)) {
        context.fillStyle = fill;
        context.fill();
        context.lineWidth = strong ? 2 : 1;
        context.strokeStyle = strong ? edge : rgba(theme.background, 0.75);
        context.stroke();
        const outer = this.curveOf(shape, column, row, this.position, "outer");
        if (this.path(context, this.placed(shape, column, y, outer), y, false)) {
          context.strokeStyle = edge;
          context.stroke();
        }
        if (strong) this.dashedPrior(context, shape, column, row, 0.62);
        this.drawOutside(context, shape, column, row, y);
        return;
      }
      if (this.drawReach(context, shape, column, row, y, edge)) return;
    }
    context.fillStyle = theme.muted;
    context.font = `11px ${theme.font}`;
    context.textAlign = "center";
    const [left, right] = layout.ends(column);
    context.fillText(fitText(context, "not stored at this step", right - left), (left + right) / 2, y - 2);
  }
  /** Where it lies beyond the axis: its mean. @param {Brush} context @param {Shape} shape @param {number} column
   * @param {number} row @param {number} y */
  drawOutside(context, shape, column, row, y) {
    const { mean } = this.data.moments(column, row, this.position);
    if (!(mean > shape.high || mean < shape.low)) return;
    const [left, right] = this.layout.ends(column);
    const above = mean > shape.high;
    context.fillStyle = this.theme.muted;
    context.font = `11px ${this.theme.font}`;
    context.textAlign = above ? "right" : "left";
    const text = formatNumber(mean);
    context.fillText(above ? `${text} ▸` : `◂ ${text}`, above ? right : left, y - 2);
  }
  /** Mean and sd alone, where no draws are stored. @param {Brush} context @param {Shape} shape @param {number} column
   * @param {number} row @param {number} y @param {string} color */
  drawReach(context, shape, column, row, y, color) {
    const { mean, sd } = this.data.moments(column, row, this.position);
    if (!Number.isFinite(mean)) return false;
    const { layout } = this;
    const inside = (z) => layout.x(column, Math.min(Math.max(z, shape.low), shape.high));
    context.fillStyle = color;
    if (sd > 0) context.fillRect(inside(mean - sd), y - 5, inside(mean + sd) - inside(mean - sd), 3);
    context.fillRect(inside(mean) - 1, y - 8, 2, 9);
    return true;
  }
  /**
   * @param {Brush} context @param {Shape} shape @param {number} column @param {number} row @param {number} y
   * @param {string} fill
   * @param {string | null} edge
   */
  drawBars(context, shape, column, row, y, fill, edge) {
    const shares = this.data.bars(column, row, this.position);
    if (!shares.length || !Number.isFinite(shares[0])) return false;
    shares.forEach((share, i) => {
      const { from, width } = this.barPlace(column, i);
      const height = this.barHeight(shape, share);
      context.fillStyle = i >= shape.classes.length - (shape.more ? 1 : 0) ? this.theme.faint : fill;
      context.fillRect(from, y - height, width, height);
      if (!edge) return;
      context.fillStyle = edge;
      context.fillRect(from, y - height - 1, width, 2);
    });
    return true;
  }
  /** By how far it has contracted, as Gaussians by their sd; grey where there is no prior. @param {number} column
   * @param {number} row */
  colors(column, row) {
    const narrow = this.data.narrow(column, row, this.position);
    if (!Number.isFinite(narrow))
      return { fill: rgba(this.theme.text, 0.32), line: rgba(this.theme.text, 0.55) };
    const index = sdColorIndex(Math.max(narrow, 1e-3));
    return { fill: this.ridges.colors.fills[index], line: this.ridges.colors.lines[index] };
  }
  /** A code book: usage of each code, most used first at the last step; codes without a use are marked.
   * @param {Brush} context @param {Layer} layer @param {number} column */
  drawBook(context, layer, column) {
    const { theme, layout } = this;
    const shape = (
      /** @type {Shape} */
      layer.shape
    );
    const [left, right] = layout.ends(column);
    const top = LANE + 40;
    const baseline = layout.height - layout.top - layout.axisHeight - 8;
    const usage = this.data.usage(column, this.position);
    if (!usage.length || !Number.isFinite(usage[0])) return;
    const bars = binned(usage, (right - left) / LEAST_BAR);
    const most = this.data.mostUsage(column);
    const height = (share) => (baseline - top) * Math.min(share / most, 1);
    const width = (right - left) / bars.length;
    const gap = Math.min(GAP3 * width, 3);
    bars.forEach((share, i) => {
      const x = left + i * width + gap / 2;
      context.fillStyle = share > 0 ? this.ridges.colors.fills[150] : ALERT;
      if (share > 0) context.fillRect(x, baseline - height(share), Math.max(width - gap, 1), height(share));
      else context.fillRect(x, baseline + 1, Math.max(width - gap, 1), DEAD);
    });
    context.strokeStyle = rgba(theme.text, 0.3);
    context.lineWidth = 1;
    strokeLine(context, left, baseline + 0.5, right, baseline + 0.5);
    context.setLineDash([4, 3]);
    context.strokeStyle = rgba(theme.text, 0.62);
    const even = baseline - height(1 / layer.count);
    strokeLine(context, left, even, right, even);
    context.setLineDash([]);
    context.fillStyle = theme.muted;
    context.font = `11px ${theme.font}`;
    context.textAlign = "right";
    context.fillText("all alike", right, even - 4);
    const used = this.data.used(column, this.position);
    context.textAlign = "left";
    context.fillStyle = rgba(theme.text, 1);
    context.font = `600 12px ${theme.font}`;
    const said = `${formatStep(used)} of ${formatStep(layer.count)} used`;
    context.fillText(fitText(context, said, right - left), left, LANE + 14);
    context.fillStyle = theme.muted;
    context.font = `11px ${theme.font}`;
    context.fillText(fitText(context, shape.window, right - left), left, LANE + 29);
  }
};
var axisOf = ({ low, high, support }) => ({ low, high, counts: support === "counts" });

// probes/canvas/ridges.js
var UNIT = 15;
var TALLEST_TYPICAL = 54;
var NARROW = 200;
var FIRST_LANE = 215;
var TALLEST_MARK = 22;
var BOOK_ROWS = 7;
var TRAIL = 6;
var endedAt = (step) => `ended at step ${formatStep(step)}`;
var rowsOf = (layer) => layer.shape?.kind === "book" ? BOOK_ROWS : layer.neurons.length;
var Ridges = class {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./replay.js").Replay} replay
   */
  constructor(canvas, replay) {
    this.canvas = canvas;
    this.replay = replay;
    this.still = document.createElement("canvas");
    this.heading = new Heading(replay);
    this.shapes = new RidgeShapes(this);
    this.drawn = false;
    this.passed = 0;
    this.colors = ridgeColors(false);
    this.layout = new RidgeLayout({ columns: 1, rows: 1, width: 0, room: 0, range: 1 });
  }
  get layers() {
    return this.replay.header.layers;
  }
  get theme() {
    return this.replay.theme;
  }
  /** Two runs beside each other. */
  get twofold() {
    return this.layers.some((layer) => layer.side === 1);
  }
  /**
   * The picture's size in `width` pixels, with `below` pixels of the window kept free under it.
   * @param {number} width
   * @param {number} below
   * @param {number | undefined} leastPitch pixels between two rows
   * @param {number} [above] pixels of the window that are taken above it
   */
  resize(width, below, leastPitch, above = FIRST_LANE) {
    this.heading.resize(width, context2d(this.canvas));
    this.layout = new RidgeLayout({
      columns: this.layers.length,
      rows: Math.max(...this.layers.map(rowsOf), 1),
      width,
      room: window.innerHeight - above - below,
      range: this.replay.data.reach(),
      axes: this.layers.map((layer) => layer.shape || void 0),
      top: this.heading.height + (this.twofold ? HEADING : 0),
      leastPitch
    });
    this.changed();
  }
  /**
   * The heading as wide as its texts come out in another font; what stands under it moves.
   * @param {Context} context that measures
   */
  placeHeading(context) {
    const before = this.heading.height;
    this.heading.resize(this.heading.width, context);
    this.layout.top += this.heading.height - before;
    this.layout.height += this.heading.height - before;
  }
  paint() {
    this.colors = ridgeColors(this.theme.dark);
    this.changed();
  }
  // What does not move is to be drawn anew.
  changed() {
    this.drawn = false;
  }
  /**
   * The ridge under a pointer; null where there is none.
   * @param {MouseEvent} event
   */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.layout.at(event.clientX - box.left, event.clientY - box.top, this.layers);
  }
  /**
   * Where a ridge stands in the window.
   * @param {import("./ridge_layout.js").Ridge} ridge
   * @returns {import("./picking.js").Place}
   */
  placeOf({ column, row }) {
    const { layout } = this;
    const box = this.canvas.getBoundingClientRect();
    return {
      clientX: box.left + (layout.ends(column)[0] + layout.ends(column)[1]) / 2,
      clientY: box.top + layout.top + layout.baseline(row)
    };
  }
  draw() {
    const { width, height } = this.layout;
    const passed = this.trailFrames().length;
    if (!this.drawn || passed !== this.passed) this.paintStill(fitCanvas(this.still, width, height));
    this.drawn = true;
    this.passed = passed;
    const context = fitCanvas(this.canvas, width, height);
    context.drawImage(this.still, 0, 0, width, height);
    this.paintMoving(context);
  }
  /**
   * What stays as it is while it plays.
   * @param {Context} context
   */
  paintStill(context) {
    this.heading.paintStill(context);
    if (this.twofold) this.drawRuns(context);
    context.save();
    context.translate(0, this.layout.top);
    this.layers.forEach((layer, column) => {
      context.textBaseline = "alphabetic";
      this.drawTitle(context, layer, column);
      if (layer.shape) this.shapes.drawAxis(context, layer.shape, column);
      else this.drawAxis(context, column);
      this.drawLabels(context, layer, column);
      layer.neurons.forEach((_, row) => {
        if (layer.shape) this.shapes.drawPast(context, layer.shape, column, row);
        else this.drawPast(context, column, row);
      });
    });
    context.restore();
  }
  /** @param {Context} context */
  paintMoving(context) {
    this.heading.paintMoving(context);
    if (this.twofold) this.drawEnds(context);
    context.save();
    context.translate(0, this.layout.top);
    this.layers.forEach((layer, column) => {
      this.drawState(context, column);
      if (layer.shape) this.shapes.drawTypical(context, layer.shape, column);
      else this.drawTypical(context, column);
      if (layer.shape?.kind === "book") this.shapes.drawBook(context, layer, column);
      for (let row = 0; row < layer.neurons.length; row++) {
        if (layer.shape) this.shapes.drawRidge(context, layer, column, row);
        else this.drawRidge(context, layer, column, row);
      }
    });
    context.restore();
  }
  // Frames of the trail that lie behind the cursor.
  trailFrames() {
    const { header, transport } = this.replay;
    if (!header.trail) return [];
    const frames = Array.from({ length: TRAIL }, (_, i) => Math.round(i / TRAIL * transport.last));
    return [...new Set(frames)].filter((frame) => frame < transport.position);
  }
  /** @param {number} column @param {number} row */
  isOver(column, row) {
    const { over } = this.replay;
    return over !== null && over.column === column && over.row === row;
  }
  // Where the columns of a run lie, with its name and its last step.
  sides() {
    const { columnWidth } = this.layout;
    return [0, 1].map((side) => {
      const mine = this.layers.filter((layer) => layer.side === side);
      const left = this.layers.indexOf(mine[0]) * columnWidth;
      return { side, run: mine[0].run, last: mine[0].last, left, width: mine.length * columnWidth };
    });
  }
  /**
   * Two runs: each one's name over its columns, a line between them.
   * @param {Context} context
   */
  drawRuns(context) {
    const { steps } = this.replay.header;
    for (const { side, run, last, left, width } of this.sides()) {
      context.textAlign = "left";
      context.font = `12px ${this.theme.font}`;
      const ends = last < steps[steps.length - 1] ? context.measureText(endedAt(last)).width + 10 : 0;
      context.font = `600 14px ${this.theme.font}`;
      const y = this.heading.height;
      context.fillStyle = this.theme.accent;
      context.fillText(fitText(context, run, width - LABELS - ends - 8), left + LABELS, y + 14);
      context.fillStyle = this.theme.faint;
      context.fillRect(left + LABELS, y + 20, width - LABELS - 6, 1);
      if (side) context.fillRect(left + 4, y, 1, this.layout.height - y);
    }
  }
  /**
   * And where one has ended at the cursor's step.
   * @param {Context} context
   */
  drawEnds(context) {
    context.textAlign = "right";
    context.font = `12px ${this.theme.font}`;
    context.fillStyle = this.theme.muted;
    for (const { last, left, width } of this.sides()) {
      if (this.replay.transport.step > last) {
        context.fillText(endedAt(last), left + width - 8, this.heading.height + 14);
      }
    }
  }
  /** @param {Context} context @param {Layer} layer @param {number} column */
  drawTitle(context, layer, column) {
    const { theme } = this;
    const [left, right] = this.layout.ends(column);
    const shown = layer.neurons.length;
    const narrow = this.layout.columnWidth < NARROW;
    const whole = formatStep(layer.count);
    const ofAll = narrow ? `${shown}/${layer.count}` : `${shown} of ${whole}`;
    const count = layer.shape?.kind === "book" ? `${whole} codes` : ofAll;
    context.fillStyle = theme.muted;
    context.font = `12px ${theme.font}`;
    context.textAlign = "right";
    context.fillText(count, right, 15);
    const room = right - left - context.measureText(count).width - 8;
    context.textAlign = "left";
    context.fillStyle = rgba(theme.text, 1);
    context.font = `600 14px ${theme.font}`;
    context.fillText(fitText(context, layer.name, room), left, 15);
  }
  /**
   * What the layer has come to at the cursor, in numbers.
   * @param {Context} context
   * @param {number} column
   */
  drawState(context, column) {
    const [left, right] = this.layout.ends(column);
    context.textAlign = "left";
    context.fillStyle = this.theme.muted;
    context.font = `12px ${this.theme.font}`;
    const living = this.replay.value("living", column);
    const contraction = this.replay.value("contraction", column);
    const lines = Number.isFinite(contraction) ? [`contraction ${formatNumber(contraction)}`] : [];
    if (Number.isFinite(living)) lines.push(`living ${Math.round(100 * living)} %`);
    const line = lines.join("  ·  ");
    const fits = this.layout.columnWidth >= NARROW && context.measureText(line).width <= right - left;
    if (fits) context.fillText(line, left, 33);
    else lines.forEach((words, i) => context.fillText(words, left, 31 + 15 * i));
  }
  /** @param {Context} context @param {number} column */
  drawAxis(context, column) {
    const { theme, layout } = this;
    const [left, right] = layout.ends(column);
    const bottom = layout.height - layout.top - AXIS;
    context.font = `11px ${theme.font}`;
    context.textAlign = "center";
    for (const z of layout.ticks()) {
      const x = Math.round(layout.x(column, z)) + 0.5;
      context.strokeStyle = z === 0 ? rgba(theme.text, 0.22) : theme.faint;
      context.lineWidth = 1;
      strokeLine(context, x, LANE - 6, x, bottom);
      context.fillStyle = theme.muted;
      context.fillText(String(z).replace("-", "−"), x, bottom + 14);
    }
    context.fillText("z (prior sd)", (left + right) / 2, bottom + 29);
  }
  /**
   * The layer in one shape: a bell as wide as its median neuron, on the prior that it started from.
   * @param {Context} context
   * @param {number} column
   */
  drawTypical(context, column) {
    const { theme, layout } = this;
    const [left, right] = layout.ends(column);
    const variance = this.replay.value("median", column);
    context.strokeStyle = rgba(theme.text, 0.3);
    context.lineWidth = 1;
    strokeLine(context, left, TYPICAL + 0.5, right, TYPICAL + 0.5);
    if (variance > 0) {
      const sd = Math.sqrt(variance);
      if (layout.bell(context, column, TYPICAL, 0, sd, Math.min(UNIT / Math.sqrt(sd), TALLEST_TYPICAL), true)) {
        context.fillStyle = this.colors.fills[sdColorIndex(sd)];
        context.fill();
      }
      context.fillStyle = theme.muted;
      context.font = `11px ${theme.font}`;
      context.textAlign = "right";
      context.fillText(`median sd ${formatNumber(sd)}`, right, TYPICAL - 30);
    }
    this.dashedPrior(context, column, TYPICAL, UNIT);
    context.fillStyle = theme.muted;
    context.font = `11px ${theme.font}`;
    context.textAlign = "left";
    if (layout.columnWidth >= NARROW) context.fillText("prior sd 1", left, TYPICAL - 30);
  }
  /**
   * @param {Context} context
   * @param {number} column
   * @param {number} baseline
   * @param {number} height
   * @param {number} [alpha]
   */
  dashedPrior(context, column, baseline, height, alpha = 0.62) {
    context.setLineDash([4, 3]);
    context.lineWidth = 1.25;
    context.strokeStyle = rgba(this.theme.text, alpha);
    if (this.layout.bell(context, column, baseline, 0, 1, height, false)) context.stroke();
    context.setLineDash([]);
  }
  /**
   * What a ridge stands on and is compared with: its baseline, its prior, its own shapes at earlier steps.
   * @param {Context} context
   * @param {number} column
   * @param {number} row
   */
  drawPast(context, column, row) {
    const { layout } = this;
    const y = layout.baseline(row);
    const [left, right] = layout.ends(column);
    if (this.replay.isSelected(column, row)) {
      const height = Math.min(layout.pitch, TALLEST_MARK);
      context.fillStyle = this.theme.faint;
      context.fillRect(left - LABELS, y - height + 4, right - left + LABELS, height);
    }
    context.lineWidth = 1;
    context.strokeStyle = this.theme.baseline;
    strokeLine(context, left, Math.round(y) + 0.5, right, Math.round(y) + 0.5);
    this.dashedPrior(context, column, y, layout.peak(1), 0.4);
    const frames = this.trailFrames();
    context.lineWidth = 1;
    frames.forEach((frame, i) => {
      const { mean, sd } = this.replay.data.moments(column, row, frame);
      if (!(sd > 0) || !layout.bell(context, column, y, mean, sd, layout.peak(sd), false)) return;
      context.strokeStyle = rgba(this.theme.text, 0.14 + 0.2 * i / TRAIL);
      context.stroke();
    });
  }
  /** @param {Context} context @param {Layer} layer @param {number} column @param {number} row */
  drawRidge(context, layer, column, row) {
    const { theme, layout, colors } = this;
    const { mean, sd, total } = this.replay.moments(column, row);
    const y = layout.baseline(row);
    const marked = layer.pinned.includes(layer.neurons[row]);
    const selected = this.replay.isSelected(column, row);
    const hovered = this.isOver(column, row) || selected;
    if (!(sd > 0) || !Number.isFinite(mean)) {
      context.fillStyle = theme.muted;
      context.font = `11px ${theme.font}`;
      context.textAlign = "center";
      context.fillText("no distribution at this step", layout.x(column, 0), y - 2);
      return;
    }
    const color = sdColorIndex(sd);
    if (hovered || marked) this.dashedPrior(context, column, y, layout.peak(1));
    if (layout.bell(context, column, y, mean, sd, layout.peak(sd), true)) {
      context.fillStyle = colors.fills[color];
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = rgba(theme.background, 0.75);
      context.stroke();
    }
    if (total > 0 && layout.bell(context, column, y, mean, total, layout.peak(total), false)) {
      context.lineWidth = hovered || marked ? 2 : 1;
      context.strokeStyle = marked ? PINNED : hovered ? theme.accent : colors.lines[color];
      context.stroke();
    }
    if (Math.abs(mean) > layout.range) this.drawOutside(context, column, y, mean);
  }
  /** @param {Context} context @param {number} column @param {number} y @param {number} mean */
  drawOutside(context, column, y, mean) {
    const x = this.layout.x(column, Math.sign(mean) * this.layout.range);
    context.fillStyle = this.theme.muted;
    context.font = `11px ${this.theme.font}`;
    context.textAlign = mean > 0 ? "right" : "left";
    context.fillText(mean > 0 ? `${formatNumber(mean)} ▸` : `◂ ${formatNumber(mean)}`, x, y - 2);
  }
  /** @param {Context} context @param {Layer} layer @param {number} column */
  drawLabels(context, layer, column) {
    const { theme, layout } = this;
    const [left] = layout.ends(column);
    context.textAlign = "right";
    layer.neurons.forEach((neuron, row) => {
      const marked = layer.pinned.includes(neuron);
      const hovered = this.isOver(column, row) || this.replay.isSelected(column, row);
      const sign = neuron === layer.informative ? "◆ " : "";
      context.font = `${marked || hovered ? 600 : 400} 11px ${theme.font}`;
      context.fillStyle = marked ? theme.pinned : hovered ? theme.accent : theme.muted;
      context.fillText(sign + neuronName(layer.index, neuron), left - 6, layout.baseline(row) + 1);
    });
  }
};

// probes/canvas/strip.js
var STRIP_HEIGHT = 148;
var TITLE = 16;
var SCORE = { top: TITLE, bottom: 50 };
var CONTRACTION = { top: 50 + TITLE + 4, bottom: STRIP_HEIGHT - 24 };
var LEFT = 54;
var RIGHT = 64;
var LEAST_SPAN = 0.05;
var LINE2 = 12;
var TOKENS = 22;
var TOKEN = 10;
var OUTLIERS = 0.02;
function spreadApart(heights, lowest, apart = LINE2) {
  const placed = [...heights];
  for (let i = 1; i < placed.length; i++) placed[i] = Math.max(placed[i], placed[i - 1] + apart);
  let below = lowest + apart;
  for (let i = placed.length - 1; i >= 0; i--) below = placed[i] = Math.min(placed[i], below - apart);
  return placed;
}
function scoreRange(values) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b);
  const low = known[0];
  const high = known[Math.floor((1 - OUTLIERS) * (known.length - 1))];
  return high > low ? { low, high } : { low: low - 0.5, high: low + 0.5 };
}
var capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
var Strip = class {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./replay.js").Replay} replay
   */
  constructor(canvas, replay) {
    this.canvas = canvas;
    this.replay = replay;
    this.still = document.createElement("canvas");
    this.width = 0;
    let dragging = false;
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      dragging = true;
      this.seekAt(event);
    };
    canvas.onpointermove = (event) => dragging && this.seekAt(event);
    canvas.onpointerup = () => {
      dragging = false;
    };
  }
  /** @param {number} position fractional frame index */
  x(position) {
    const last = Math.max(this.replay.header.steps.length - 1, 1);
    return LEFT + position / last * (this.width - LEFT - RIGHT);
  }
  // Sides whose score is drawn: a run may lack the first one's.
  scored() {
    const { header, data } = this.replay;
    if (header.score === null) return [];
    const sides = header.layers.some((layer) => layer.side === 1) ? [0, 1] : [0];
    return sides.filter((side) => data.series("score", side)?.some(Number.isFinite));
  }
  get height() {
    return STRIP_HEIGHT - this.missing + this.tokens;
  }
  // Less than STRIP_HEIGHT where no score stands over the contraction.
  get missing() {
    return this.scored().length ? 0 : SCORE.bottom;
  }
  // Height of what stands at the positions, along a sequence.
  get tokens() {
    return this.replay.transport.names.length ? TOKENS : 0;
  }
  /** @param {number} width pixels */
  resize(width) {
    this.width = width;
    this.paintStill(fitCanvas(this.still, width, this.height));
  }
  draw() {
    const context = fitCanvas(this.canvas, this.width, this.height);
    context.drawImage(this.still, 0, 0, this.width, this.height);
    this.paintMoving(context);
    this.canvas.setAttribute("aria-label", this.describe());
  }
  /**
   * The cursor, which alone moves.
   * @param {Brush} context
   */
  paintMoving(context) {
    const at = this.x(this.replay.transport.position);
    context.strokeStyle = this.replay.theme.accent;
    context.lineWidth = 2;
    strokeLine(context, at, TITLE - 6, at, CONTRACTION.bottom - this.missing);
    if (this.tokens) this.drawTokens(context, at);
  }
  /**
   * What stands at the positions around the cursor, its own under it.
   * @param {Brush} context
   * @param {number} at of the cursor
   */
  drawTokens(context, at) {
    const { theme, transport } = this.replay;
    const { names } = transport;
    const now = Math.round(transport.position);
    const y = this.height - 6;
    context.textAlign = "center";
    for (const way of [-1, 1]) {
      let x = at;
      for (let t = now; t >= 0 && t < names.length; t += way) {
        context.font = `${t === now ? 600 : 400} 13px ${theme.font}`;
        const half = Math.max(context.measureText(names[t]).width + 3, TOKEN) / 2;
        if (t !== now) x += way * half;
        if (x < half || x > this.width - half) break;
        context.fillStyle = t === now ? theme.accent : theme.muted;
        if (t !== now || way > 0) context.fillText(names[t], x, y);
        x += way * half;
      }
    }
  }
  /** @param {Brush} context */
  paintStill(context) {
    const { theme, header } = this.replay;
    const bands = this.bands();
    this.drawEvents(context, bands);
    for (const band of bands) this.drawBand(context, band);
    context.fillStyle = theme.muted;
    context.font = `11px ${theme.font}`;
    context.textAlign = "center";
    const y = this.height - this.tokens - 8;
    for (const tick of stepTicks(header.steps, (position) => this.x(position))) {
      context.fillText(formatShort(tick.step), tick.x, y);
    }
    context.textAlign = "left";
    context.fillText(this.replay.transport.unit, this.width - 34, y);
  }
  // Whether some layer's contraction is known: else the strip shows the layers' own numbers.
  get contracted() {
    const { header, data } = this.replay;
    return header.layers.some((_, column) => data.series("contraction", column).some(Number.isFinite));
  }
  // What those numbers say; nothing where contraction is shown.
  get typical() {
    if (this.contracted) return "";
    return this.replay.header.layers.find((layer) => layer.shape)?.shape?.typical || "";
  }
  bands() {
    const { header, data } = this.replay;
    const scored = this.scored();
    const bands = [];
    if (scored.length) {
      const lines2 = scored.map((side) => ({
        values: data.series("score", side),
        color: this.replay.theme.muted,
        name: "",
        side
      }));
      const range = scoreRange(lines2.flatMap((line) => [...line.values]));
      bands.push({ ...SCORE, ...range, title: String(header.score), lines: lines2 });
    }
    const { contracted, typical } = this;
    const lines = header.layers.map((layer, column) => ({
      values: (contracted ? data.series("contraction", column) : data.typicals(column)).map(
        (value, frame) => header.steps[frame] > layer.last ? NaN : value
      ),
      color: rgba(layerColor(layer.index, layer.depth), 1),
      name: layer.name,
      side: layer.side
    }));
    const known = lines.flatMap((line) => [...line.values].filter(Number.isFinite));
    const least = Math.min(0, ...known);
    const low = contracted && least >= -LEAST_SPAN ? 0 : least;
    const most = Math.max(low, ...known);
    bands.push({
      top: CONTRACTION.top - this.missing,
      bottom: CONTRACTION.bottom - this.missing,
      low,
      high: contracted || most === low ? Math.max(low + LEAST_SPAN, most) : most,
      title: contracted ? "Contraction, mean over each layer (0 prior, 1 point)" : capital(typical),
      lines
    });
    const second = header.layers.find((layer) => layer.side === 1);
    if (second) bands[0].title += ` · dashed: ${second.run}`;
    return bands;
  }
  describe() {
    const { header, transport } = this.replay;
    const { contracted } = this;
    const value = (column) => contracted ? this.replay.value("contraction", column) : this.replay.data.typical(column, transport.position);
    const now = header.layers.map((layer, column) => `${layer.name} ${formatNumber(value(column))}`);
    const score = this.scored().length ? `${header.score} ${formatNumber(this.replay.value("score", 0))}. ` : "";
    const alerts = header.events.filter((event) => event.alert).length;
    return `${contracted ? "Contraction" : capital(this.typical) || "Numbers"} of each layer over ${transport.unit === "t" ? "positions" : "steps"}. At ${transport.said}: ${now.join(", ")}. ${score}Ticks at ${header.events.length - alerts} interventions and ${alerts} alerts.`;
  }
  /** @param {Brush} context @param {ReturnType<Strip["bands"]>[0]} band */
  drawBand(context, band) {
    const { theme, header } = this.replay;
    const { top, bottom, low, high, lines } = band;
    const y = (value) => bottom - (Math.min(Math.max(value, low), high) - low) / (high - low) * (bottom - top);
    context.font = `11px ${theme.font}`;
    context.fillStyle = theme.muted;
    context.textAlign = "left";
    context.fillText(fitText(context, band.title, this.width - LEFT), LEFT, top - 5);
    context.textAlign = "right";
    context.fillText(formatNumber(low), LEFT - 8, bottom + 3);
    context.fillText(formatNumber(high), LEFT - 8, top + 6);
    context.strokeStyle = theme.faint;
    context.lineWidth = 1;
    const end = this.x(header.steps.length - 1);
    for (const value of low < 0 && high > 0 ? [low, 0, high] : [low, high])
      strokeLine(context, LEFT, y(value) + 0.5, end, y(value) + 0.5);
    const ends = [];
    for (const { values, color, name, side } of lines) {
      context.strokeStyle = color;
      context.lineWidth = 1.75;
      context.setLineDash(side ? [4, 3] : []);
      context.beginPath();
      let open = false;
      values.forEach((value, i) => {
        const known = Number.isFinite(value);
        if (known && open) context.lineTo(this.x(i), y(value));
        else if (known) context.moveTo(this.x(i), y(value));
        open = known;
      });
      context.stroke();
      const last = values[values.length - 1];
      if (name && Number.isFinite(last) && !side) ends.push({ y: y(last), name, color });
    }
    context.setLineDash([]);
    ends.sort((a, b) => a.y - b.y);
    this.drawNames(context, ends, bottom);
  }
  /**
   * @param {Brush} context
   * @param {{ y: number, name: string, color: string }[]} ends from the top
   * @param {number} bottom
   */
  drawNames(context, ends, bottom) {
    const { theme } = this.replay;
    const heights = spreadApart(
      ends.map((end) => end.y),
      bottom
    );
    context.font = `600 11px ${theme.font}`;
    context.textAlign = "left";
    ends.forEach(({ name, color }, i) => {
      context.fillStyle = color;
      context.fillRect(this.width - 59, heights[i] - 4, 8, 3);
      context.fillStyle = theme.muted;
      context.fillText(fitText(context, name, 48), this.width - 48, heights[i] + 1);
    });
  }
  /** @param {Brush} context @param {Band[]} bands */
  drawEvents(context, bands) {
    const { header, theme } = this.replay;
    const bottom = bands[bands.length - 1].bottom;
    for (const event of header.events) {
      const x = this.x(framePosition(header.steps, event.step));
      context.lineWidth = 1;
      context.strokeStyle = event.alert ? `${ALERT}55` : theme.faint;
      for (const band of bands) strokeLine(context, x, band.top, x, band.bottom);
      context.fillStyle = event.alert ? ALERT : theme.muted;
      context.beginPath();
      context.moveTo(x - 4, bottom + 1);
      context.lineTo(x + 4, bottom + 1);
      context.lineTo(x, bottom - 6);
      context.closePath();
      context.fill();
    }
  }
  /** @param {PointerEvent} event */
  seekAt(event) {
    const { transport } = this.replay;
    const at = event.clientX - this.canvas.getBoundingClientRect().left;
    const share = (at - this.x(0)) / (this.x(transport.last) - this.x(0));
    transport.seek(Math.min(Math.max(share, 0), 1) * transport.last);
  }
};

// probes/canvas/transport.js
var SECONDS = 10;
var SLOWEST = 4;
var HURRY = 10;
var SKIP = "skip";
var OUTSIDE = ["k", "Home", "End", "[", "]"];
var SETTLE_MS = 300;
var Transport = class {
  /**
   * @param {import("./component.js").Root} root
   * @param {() => void} draw called at each move of the cursor
   * @param {(step: number) => void} settle
   * @param {boolean} pageKeys whether keys work wherever the focus is on the page, or within `root` alone
   */
  constructor(root, draw, settle, pageKeys = true) {
    this.root = root;
    this.draw = draw;
    this.settle = settle;
    this.pageKeys = pageKeys;
    this.position = 0;
    this.playing = false;
    this.next = 0;
    this.steps = [0];
    this.names = [];
    this.still = [];
    this.changed = () => {
    };
    this.actions = {
      " ": () => this.toggle(),
      k: () => this.toggle(),
      ArrowLeft: (event) => this.nudge(event.shiftKey ? -10 : -1),
      ArrowRight: (event) => this.nudge(event.shiftKey ? 10 : 1),
      Home: () => this.seek(0),
      End: () => this.seek(this.last),
      "[": () => this.faster(-1),
      "]": () => this.faster(1)
    };
    this.button = part(root, "play", HTMLButtonElement);
    this.scrub = part(root, "scrub", HTMLInputElement);
    this.speed = part(root, "speed", HTMLSelectElement);
    this.readout = part(root, "readout", HTMLOutputElement);
    this.ticks = part(root, "ticks", HTMLElement);
    this.speed.onchange = () => this.changed(this.speed.value);
    this.resize = new ResizeObserver(() => this.label());
    this.resize.observe(this.ticks);
    this.button.onclick = () => this.toggle();
    part(root, "back", HTMLButtonElement).onclick = () => this.nudge(-1);
    part(root, "forward", HTMLButtonElement).onclick = () => this.nudge(1);
    this.scrub.oninput = () => this.seek(Number(this.scrub.value));
    this.onKey = (event) => this.key(event);
    this.onKeyUp = (event) => this.keyUp(event);
    document.addEventListener("keydown", this.onKey);
    document.addEventListener("keyup", this.onKeyUp);
  }
  /**
   * The cursor keeps its step; at the end of a run that has grown it stays at the end.
   * @param {number[]} steps of the frames
   * @param {boolean[]} still frames that the speed "skip" hurries over
   * @param {string[]} names what stands at each frame, where frames are positions of a sequence
   */
  load(steps, still = [], names = []) {
    this.still = still;
    this.names = names;
    const step = this.position >= this.last && this.last > 0 ? steps[steps.length - 1] : this.step;
    this.steps = steps;
    this.scrub.max = String(steps.length - 1);
    this.scrub.disabled = this.button.disabled = steps.length < 2;
    const position = framePosition(steps, step);
    this.position = this.playing ? position : Math.round(position);
    this.label();
  }
  // The slider's scale: frames are not evenly spaced in step.
  label() {
    part(this.root, "scale", HTMLElement).textContent = this.names.length ? this.unit : scaleName(this.steps);
    const width = this.ticks.clientWidth;
    if (!width || this.last < 1) return this.ticks.replaceChildren();
    const ticks = stepTicks(this.steps, (position) => position / this.last * width);
    this.ticks.replaceChildren(
      ...ticks.map(({ x, step }) => {
        const mark = document.createElement("span");
        mark.textContent = formatShort(step);
        mark.style.left = `${x}px`;
        return mark;
      })
    );
  }
  // What frames are: steps of training, or positions of a sequence.
  get unit() {
    return this.names.length ? "t" : "step";
  }
  // Where the cursor is, in words.
  get said() {
    const name = this.names.length ? ` “${this.names[this.frame]}”` : "";
    return `${this.unit} ${formatStep(this.step)}${name}`;
  }
  // The frame that is nearest.
  get frame() {
    return Math.min(Math.round(this.position), this.last);
  }
  get step() {
    return this.steps[this.frame];
  }
  get last() {
    return this.steps.length - 1;
  }
  /** @param {number} position fractional frame index */
  show(position) {
    this.position = Math.min(Math.max(position, 0), this.last);
    this.scrub.value = String(Math.round(this.position));
    this.scrub.style.setProperty("--done", `${100 * this.position / Math.max(this.last, 1)}%`);
    this.scrub.setAttribute("aria-valuetext", this.said);
    this.readout.textContent = `${this.said} / ${formatStep(this.steps[this.last])}`;
    this.draw();
  }
  /** @param {number} position frame index */
  seek(position) {
    this.pause();
    this.show(Math.round(position));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(this.step), SETTLE_MS);
  }
  // The step at rest, for a message about something else. The cursor's own is not sent then: of two that
  // reach the server while it is busy, it keeps the later one alone. Null while playing.
  claim() {
    clearTimeout(this.timer);
    return this.playing ? null : this.step;
  }
  /** @param {number} frames */
  nudge(frames) {
    this.seek(Math.round(this.position) + frames);
  }
  toggle() {
    if (this.playing) this.seek(this.position);
    else this.play();
  }
  play() {
    if (this.last < 1) return;
    clearTimeout(this.timer);
    if (this.position >= this.last) this.position = 0;
    this.playing = true;
    this.button.setAttribute("aria-pressed", "true");
    this.button.setAttribute("aria-label", "Pause");
    const rate = Math.max(this.last / SECONDS, SLOWEST);
    let before = performance.now();
    const tick = (now) => {
      if (!this.playing) return;
      const next = this.position + (now - before) / 1e3 * rate * this.pace();
      before = now;
      if (next >= this.last) {
        this.pause();
        this.show(this.last);
        this.settle(this.step);
        return;
      }
      this.show(next);
      this.next = requestAnimationFrame(tick);
    };
    cancelAnimationFrame(this.next);
    this.next = requestAnimationFrame(tick);
  }
  // How many times faster than speed 1.
  pace() {
    if (this.speed.value !== SKIP) return Number(this.speed.value);
    return this.still[Math.floor(this.position)] ? HURRY : 1;
  }
  pause() {
    this.playing = false;
    this.button.setAttribute("aria-pressed", "false");
    this.button.setAttribute("aria-label", "Play");
  }
  /** @param {number} direction */
  faster(direction) {
    const index = this.speed.selectedIndex + direction;
    if (index < 0 || index >= this.speed.options.length) return;
    this.speed.selectedIndex = index;
    this.changed(this.speed.value);
  }
  /**
   * Keys work unless the focus is where they mean something else: in a field, in a menu, in a control of the
   * page.
   * @param {KeyboardEvent} event
   */
  key(event) {
    const action = this.actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey || !this.hears(event)) return;
    event.preventDefault();
    action(event);
  }
  /** @param {KeyboardEvent} event */
  hears(event) {
    const target = event.composedPath()[0];
    if (!(target instanceof HTMLElement) || isField(target)) return false;
    if (event.composedPath().includes(this.root)) return !target.closest("[data-menu]");
    if (!this.pageKeys) return false;
    return target === document.body || target.matches("button, a") && OUTSIDE.includes(event.key);
  }
  /**
   * A button is pressed when the space bar comes up: here it has played already.
   * @param {KeyboardEvent} event
   */
  keyUp(event) {
    const target = event.composedPath()[0];
    if (event.key === " " && target instanceof HTMLButtonElement && this.hears(event)) event.preventDefault();
  }
  close() {
    this.pause();
    cancelAnimationFrame(this.next);
    clearTimeout(this.timer);
    this.resize.disconnect();
    document.removeEventListener("keydown", this.onKey);
    document.removeEventListener("keyup", this.onKeyUp);
  }
};
function isField(element) {
  if (element instanceof HTMLInputElement) return element.type !== "range";
  return element.isContentEditable || element.matches("select, textarea");
}

// probes/canvas/replay.js
var MARGIN2 = 46;
var Replay = class {
  /**
   * @param {import("./component.js").Root} root
   * @param {object} [page] how the page around it differs from the dashboard's
   * @param {boolean} [page.pageKeys] whether keys work wherever the focus is on the page
   * @param {number} [page.leastPitch] pixels between two ridges, at least, however low the window is
   */
  constructor(root, { pageKeys = true, leastPitch } = {}) {
    this.root = root;
    this.leastPitch = leastPitch;
    this.frame = part(root, "frame", HTMLElement);
    this.canvas = part(root, "ridges", HTMLCanvasElement);
    this.tip = part(root, "tip", HTMLElement);
    this.over = null;
    this.draws = 0;
    this.wantsPlay = false;
    this.closed = new AbortController();
    this.bytes = void 0;
    this.loaded = void 0;
    this.theme = readTheme(root);
    this.trigger = void 0;
    this.ridges = new Ridges(this.canvas, this);
    this.strip = new Strip(part(root, "strip", HTMLCanvasElement), this);
    this.transport = new Transport(
      root,
      () => this.draw(),
      (step) => this.trigger?.("cursor", step),
      pageKeys
    );
    pickable(this.canvas, part(root, "say", HTMLElement), this, {
      ArrowUp: () => this.move(0, -1),
      ArrowDown: () => this.move(0, 1),
      PageUp: () => this.move(-1, 0),
      PageDown: () => this.move(1, 0)
    });
    this.transport.speed.add(new Option("skip still", SKIP));
    this.transport.changed = (speed) => this.trigger?.("speed", speed);
    this.transport.actions.f = () => this.fillScreen();
    const screen = part(root, "fullscreen", HTMLButtonElement);
    screen.onclick = () => this.fillScreen();
    this.frame.onfullscreenchange = () => {
      screen.textContent = this.fillsScreen ? "Leave full screen" : "Full screen";
    };
    this.exports();
    this.resize = new ResizeObserver(() => this.layout());
    this.resize.observe(this.frame);
  }
  /** Of the payload that was loaded. @returns {ReplayData} */
  get data() {
    if (!this.loaded) throw new Error("nothing is loaded yet");
    return this.loaded;
  }
  get header() {
    return this.data.header;
  }
  /**
   * @param {Uint8Array} bytes
   * @param {import("./component.js").Trigger} [trigger] without one nothing can be picked
   */
  load(bytes, trigger) {
    this.trigger = trigger;
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      const { view, speed } = this.loaded?.header || {};
      this.loaded = new ReplayData(bytes);
      this.transport.load(this.header.steps, stillFrames(this.data.motion()), this.header.along);
      if (speed !== this.header.speed) this.transport.speed.value = this.header.speed;
      if (view !== this.header.view) this.open();
    }
    this.canvas.toggleAttribute("data-picks", trigger !== void 0);
    this.repaint();
    if (this.wantsPlay) {
      this.wantsPlay = false;
      this.transport.play();
    }
  }
  // In the colours that the page has now.
  repaint() {
    this.theme = readTheme(this.root);
    this.ridges.paint();
    this.layout();
  }
  // A linked step opens at rest on it; else the story starts at its beginning and plays.
  open() {
    const { cursor, steps, autoplay } = this.header;
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.transport.pause();
    if (cursor !== null) this.transport.position = Math.round(framePosition(steps, cursor));
    else this.transport.position = autoplay && !still ? 0 : steps.length - 1;
    this.wantsPlay = autoplay && cursor === null && !still && steps.length > 1;
  }
  layout() {
    const style = getComputedStyle(this.frame);
    const width = this.frame.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    if (!this.loaded || !(width > 0)) return;
    const below = this.strip.height + MARGIN2;
    if (this.fillsScreen) this.ridges.resize(width, below, this.leastPitch, this.canvas.offsetTop);
    else this.ridges.resize(width, below, this.leastPitch);
    this.strip.resize(width);
    this.transport.show(this.transport.position);
  }
  get fillsScreen() {
    return this.frame.matches(":fullscreen");
  }
  fillScreen() {
    if (this.fillsScreen) document.exitFullscreen();
    else this.frame.requestFullscreen();
  }
  // The menu: it closes when something was chosen, on Escape, and when the focus goes elsewhere.
  exports() {
    const menu = part(this.root, "menu", HTMLDetailsElement);
    const close = () => {
      menu.open = false;
    };
    const item = (name, save) => {
      part(this.root, name, HTMLButtonElement).onclick = () => {
        close();
        save();
      };
    };
    item("svg", () => saveSvg(this));
    item("png", () => savePng(this));
    item("webm", () => this.record());
    part(this.root, "webm", HTMLButtonElement).hidden = !canFilm();
    part(this.root, "stop", HTMLButtonElement).onclick = () => this.transport.seek(this.transport.position);
    menu.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      close();
      menu.querySelector("summary")?.focus();
    };
    menu.addEventListener("focusout", (event) => {
      if (!menu.contains(
        /** @type {Node | null} */
        event.relatedTarget
      )) close();
    });
  }
  // A film from the first frame to the last.
  record() {
    const stop = part(this.root, "stop", HTMLButtonElement);
    this.transport.pause();
    this.transport.show(0);
    this.transport.play();
    if (!this.transport.playing) return;
    stop.hidden = false;
    this.film = new Film(this, () => {
      this.film = void 0;
      stop.hidden = true;
    });
  }
  /**
   * A layer's number at the cursor.
   * @param {import("./replay_data.js").Series} name
   * @param {number} column
   */
  value(name, column) {
    return this.data.value(name, column, this.transport.position);
  }
  /** @param {number} column @param {number} row */
  moments(column, row) {
    return this.data.moments(column, row, this.transport.position);
  }
  draw() {
    if (!this.loaded || !this.ridges.layout.width) return;
    this.ridges.draw();
    this.strip.draw();
    this.film?.add();
    this.draws += 1;
    this.canvas.dataset.draws = String(this.draws);
    this.canvas.dataset.step = String(this.transport.step);
    this.canvas.setAttribute("aria-label", this.describe());
  }
  describe() {
    const layers = this.header.layers.map((layer, column) => {
      const run = this.ridges.twofold ? `${layer.run}, ` : "";
      if (layer.shape)
        return `${run}${layer.name}: ${layer.shape.label}, ${this.tellLayer(layer.shape, column)}`;
      return `${run}${layer.name}: median sd ${formatNumber(Math.sqrt(this.value("median", column)))}`;
    });
    const { input, chosen } = this.header;
    const what = input === null ? "Distributions" : `Exact posteriors of probe input ${input}`;
    return `${what} of neurons per layer at ${this.transport.said}, ${chosen}. ${layers.join("; ")}. Space plays, left and right move the step, up and down choose a neuron, page keys a layer` + (this.trigger ? ", Enter selects it." : ".");
  }
  /** @param {MouseEvent} event */
  hover(event) {
    const over = this.ridges.at(event);
    if (!over) return this.unhover();
    this.mark(over);
    this.point(event);
  }
  /** @param {import("./ridge_layout.js").Ridge | null} over */
  mark(over) {
    this.over = over;
    this.ridges.changed();
  }
  /**
   * What lies under the pointer, or under the mark that keys move: said beside it.
   * @param {import("./picking.js").Place} place
   */
  point(place) {
    showTip(this.tip, this.frame, place, this.tell());
    if (!this.transport.playing) this.draw();
  }
  tell() {
    if (!this.over) return "";
    const { column, row } = this.over;
    const { layers, input } = this.header;
    const layer = layers[column];
    const run = this.ridges.twofold ? `${layer.run} · ` : "";
    const words = [
      run + fullName(layer.index, layer.neurons[row], layer.name),
      ...layer.shape ? this.tellShape(layer.shape, column, row) : this.tellGaussian(column, row)
    ];
    if (input !== null) words.push(`probe input ${input}`);
    if (layer.pinned.includes(layer.neurons[row])) words.push("pinned");
    if (this.trigger) words.push(this.isSelected(column, row) ? "selected" : "click or Enter to select");
    return words.join("\n");
  }
  /** @param {number} column @param {number} row */
  tellGaussian(column, row) {
    const { mean, sd, total } = this.moments(column, row);
    const words = [`mean ${formatNumber(mean)}, sd ${formatNumber(sd)} prior sds`];
    if (this.header.along) words.push(this.transport.said);
    else if (this.header.input === null) words.push(`aggregate sd ${formatNumber(total)}`);
    return words;
  }
  /** @param {import("./replay_data.js").Shape} shape @param {number} column @param {number} row */
  tellShape(shape, column, row) {
    const { position } = this.transport;
    const words = [shape.label];
    const { mean, sd } = this.moments(column, row);
    if (Number.isFinite(mean)) words.push(`mean ${formatNumber(mean)}, sd ${formatNumber(sd)}`);
    const entropy = this.data.ofRidge("entropy", column, row, position);
    if (Number.isFinite(entropy)) words.push(`entropy ${formatNumber(entropy)} nats`);
    const shares = this.data.bars(column, row, position);
    const first = shares.indexOf(Math.max(...shares));
    if (first >= 0) words.push(`most: ${shape.classes[first]}, ${formatNumber(100 * shares[first])} %`);
    return words;
  }
  /** @param {import("./replay_data.js").Shape} shape @param {number} column */
  tellLayer(shape, column) {
    const { position } = this.transport;
    if (shape.kind === "book") return `${Math.round(this.data.used(column, position))} codes used`;
    return `${shape.typical} ${formatNumber(this.data.typical(column, position))}`;
  }
  /**
   * By keys: the first move marks the first ridge.
   * @param {number} columns
   * @param {number} rows
   */
  move(columns, rows) {
    const { layers } = this.header;
    const from = this.over || { column: 0, row: 0 };
    const column = withinCount(from.column + (this.over ? columns : 0), layers.length);
    if (!layers[column].neurons.length) return;
    const row = withinCount(from.row + (this.over ? rows : 0), layers[column].neurons.length);
    this.mark({ column, row });
    this.point(this.ridges.placeOf({ column, row }));
  }
  unhover() {
    this.mark(null);
    this.tip.hidden = true;
    if (!this.transport.playing) this.draw();
  }
  /** @param {number} column @param {number} row */
  isSelected(column, row) {
    const layer = this.header.layers[column];
    return layer.selected === layer.neurons[row];
  }
  // Seen at once, and known to the page, which then offers what can be done with it.
  pick() {
    if (!this.over || !this.trigger) return;
    const layer = this.header.layers[this.over.column];
    const neuron = layer.neurons[this.over.row];
    for (const other of this.header.layers) other.selected = other === layer ? neuron : null;
    this.ridges.changed();
    this.tip.hidden = true;
    if (!this.transport.playing) this.draw();
    this.trigger("pick", { run: layer.run, layer: layer.index, neuron, step: this.transport.claim() });
  }
  close() {
    this.closed.abort();
    this.transport.close();
    this.resize.disconnect();
  }
};
var replay_default = mounted(Replay);

// probes/canvas/standalone.js
var SEEN = 0.4;
var PITCH = 17;
function showReplay(host, content, payload) {
  const root = host.attachShadow({ mode: "open" });
  root.append(content);
  const replay = new Replay(root, { pageKeys: false, leastPitch: PITCH });
  replay.load(payload);
  const { signal } = replay.closed;
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", () => replay.repaint(), { signal });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (replay.header.cursor === null && !still) playOnceSeen(replay, signal);
  return replay;
}
function playOnceSeen(replay, signal) {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries[0].isIntersecting) return;
      observer.disconnect();
      replay.transport.play();
    },
    { threshold: SEEN }
  );
  observer.observe(replay.canvas);
  signal.addEventListener("abort", () => observer.disconnect());
}

// probes/canvas/notebook.js
function render({ model, el }) {
  const host = document.createElement("div");
  host.className = "vdn-replay";
  el.append(host);
  const content = document.createRange().createContextualFragment(model.get("_content"));
  const sent = model.get("_payload");
  const replay = showReplay(host, content, new Uint8Array(sent.buffer, sent.byteOffset, sent.byteLength));
  const { transport } = replay;
  transport.settle = (step) => {
    model.set("step", step);
    model.save_changes();
  };
  const follow = () => {
    const step = model.get("step");
    if (!transport.playing && step !== transport.step) transport.seek(framePosition(transport.steps, step));
  };
  model.on("change:step", follow);
  const shown = new ResizeObserver(() => replay.repaint());
  shown.observe(host);
  const themes = new MutationObserver(() => replay.repaint());
  themes.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-name"] });
  return () => {
    model.off("change:step", follow);
    themes.disconnect();
    shown.disconnect();
    replay.close();
  };
}
var notebook_default = { render };
export {
  notebook_default as default
};
