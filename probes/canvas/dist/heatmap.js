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
var PINNED = "#E69F00";

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
function colorTable(stops, from = 0, to = 1) {
  return Array.from({ length: 256 }, (_, i) => scaleColor(stops, from + (to - from) * i / 255));
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
function strokeLine(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
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

// probes/canvas/heatmap_layout.js
var LEFT = 62;
var RIGHT = 96;
var TOP = 14;
var BOTTOM = 42;
function cellColors(name) {
  const stops = (
    /** @type {Record<string, readonly string[]>} */
    COLOR_SCALES[name]
  );
  if (!stops) throw new Error(`no colour scale is called ${name}`);
  return colorTable(stops);
}
function paintCells(cells, colors) {
  const pixels = new Uint8ClampedArray(4 * cells.length);
  cells.forEach((code, i) => {
    if (code === 0) return;
    const [red, green, blue] = colors[Math.round((code - 1) / 254 * 255)];
    pixels.set([red, green, blue, 255], 4 * i);
  });
  return pixels;
}
function cellValue(code, { low, high, log }) {
  const share = (code - 1) / 254;
  return log ? low * (high / low) ** share : low + (high - low) * share;
}
function cellAt(x, y, size, { rows, columns }) {
  const column = Math.floor((x - LEFT) / size.width * columns);
  const row = Math.floor((y - TOP) / size.height * rows);
  return column < 0 || row < 0 || column >= columns || row >= rows ? null : { row, column };
}
function cellPlace({ row, column }, size, { rows, columns }) {
  return {
    x: LEFT + (column + 0.5) / columns * size.width,
    y: TOP + (row + 0.5) / rows * size.height
  };
}

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

// probes/canvas/heatmap.js
var HEIGHT = 420;
var ROW = 18;
var LEAST_HEIGHT = 60;
var PAGE = 10;
var BAR = 220;
var STRIP = 7;
var ALARM = 5;
var Heatmap = class {
  /** @param {import("./component.js").Root} root */
  constructor(root) {
    this.root = root;
    this.frame = part(root, "frame", HTMLElement);
    this.canvas = part(root, "image", HTMLCanvasElement);
    this.tip = part(root, "tip", HTMLElement);
    this.bytes = void 0;
    this.loaded = void 0;
    this.trigger = void 0;
    this.theme = readTheme(root);
    this.over = null;
    this.keyed = false;
    this.chosen = [];
    this.cursor = null;
    this.cells = new Uint8Array();
    this.settled = new Uint8Array();
    this.colors = cellColors("Viridis");
    this.size = { width: 0, height: 0 };
    this.image = document.createElement("canvas");
    pickable(this.canvas, part(root, "say", HTMLElement), this, {
      ArrowLeft: () => this.move(0, -1),
      ArrowRight: () => this.move(0, 1),
      ArrowUp: () => this.move(-1, 0),
      ArrowDown: () => this.move(1, 0),
      PageUp: () => this.move(-PAGE, 0),
      PageDown: () => this.move(PAGE, 0),
      Home: () => this.move(0, -this.header.columns),
      End: () => this.move(0, this.header.columns)
    });
    this.resize = new ResizeObserver(() => this.draw());
    this.resize.observe(this.frame);
  }
  /** @returns {Header} */
  get header() {
    if (!this.loaded) throw new Error("nothing is loaded yet");
    return this.loaded;
  }
  /**
   * @param {Uint8Array} bytes
   * @param {import("./component.js").Trigger} trigger
   */
  load(bytes, trigger) {
    this.trigger = trigger;
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      const { header, arrays } = (
        /** @type {{ header: Header, arrays: Record<string, Uint8Array> }} */
        unpack(bytes)
      );
      if (this.loaded && this.loaded.label !== header.label) this.over = null;
      if (header.revision !== this.loaded?.revision) {
        this.cursor = header.cursor;
        this.chosen = header.chosen;
      }
      this.loaded = header;
      this.cells = arrays.cells;
      this.settled = arrays.settled ?? new Uint8Array();
    }
    this.theme = readTheme(this.root);
    this.paint();
    this.draw();
  }
  // Colours once into an image of one pixel a cell; drawing stretches it.
  paint() {
    const { rows, columns, colors } = this.header;
    this.colors = cellColors(colors);
    this.image.width = columns;
    this.image.height = rows;
    context2d(this.image).putImageData(
      new ImageData(paintCells(this.cells, this.colors), columns, rows),
      0,
      0
    );
  }
  draw() {
    const width = this.frame.clientWidth;
    if (!this.loaded || !width) return;
    const { rows, label } = this.header;
    this.size = { width: width - LEFT - RIGHT, height: Math.min(HEIGHT, Math.max(rows * ROW, LEAST_HEIGHT)) };
    const context = fitCanvas(this.canvas, width, this.size.height + TOP + BOTTOM);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, LEFT, TOP, this.size.width, this.size.height);
    context.font = `11px ${this.theme.font}`;
    context.fillStyle = this.theme.muted;
    this.drawSteps(context);
    this.drawRows(context);
    this.drawRegimes(context);
    this.drawBar(context);
    this.drawChosen(context);
    this.drawAlarms(context);
    this.drawCursor(context);
    if (this.keyed && this.over) this.drawMark(context, this.over);
    this.canvas.setAttribute(
      "aria-label",
      `${label}. Arrow keys choose a cell, Enter takes its neuron and step.`
    );
  }
  /** @param {Context} context */
  drawSteps(context) {
    const { columns, edges } = this.header;
    const bottom = TOP + this.size.height;
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    for (let i = 0; i <= 5; i++) {
      const at = Math.round(columns * i / 5);
      const x = LEFT + this.size.width * at / columns;
      context.fillText(formatShort(edges[Math.min(at, columns - 1)]), x, bottom + 15);
      if (columns === 1) break;
    }
    context.fillText(this.header.columnTitle, LEFT + this.size.width / 2, bottom + 33);
  }
  /** @param {Context} context */
  drawRows(context) {
    const { rows, ranks, order, numbered, rowTitle } = this.header;
    context.textAlign = "right";
    for (let i = 0; i <= 4 && rows > 1; i++) {
      const row = Math.round((rows - 1) * i / 4);
      const { y } = cellPlace({ row, column: 0 }, this.size, this.header);
      context.fillText(formatStep(numbered ? order[row] : (ranks?.[row] ?? row) + 1), LEFT - 12, y + 4);
    }
    context.save();
    context.translate(11, TOP + this.size.height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(rowTitle, 0, 0);
    context.restore();
  }
  /**
   * The regime of each row's neuron at the last step, beside the image.
   * @param {Context} context
   */
  drawRegimes(context) {
    const { rows, regimes } = this.header;
    if (!regimes.length) return;
    const height = this.size.height / rows;
    for (let row = 0; row < rows; row++) {
      context.fillStyle = regimes[this.settled[row]].color;
      context.fillRect(LEFT + this.size.width + 3, TOP + row * height, STRIP, Math.max(height, 1));
    }
  }
  /** @param {Context} context */
  drawBar(context) {
    const x = LEFT + this.size.width + 18;
    const height = Math.min(this.size.height, BAR);
    for (let y = 0; y < height; y++) {
      context.fillStyle = rgba(this.colors[Math.round(255 * (1 - y / (height - 1)))], 1);
      context.fillRect(x, TOP + y, 12, 1.5);
    }
    context.fillStyle = this.theme.muted;
    context.textAlign = "left";
    for (const share of height < 5 * 14 ? [0, 1] : [0, 0.25, 0.5, 0.75, 1]) {
      const down = share === 1 ? 9 : share === 0 ? 0 : 4;
      const value = formatNumber(cellValue(1 + 254 * share, this.header));
      context.fillText(value, x + 18, TOP + height * (1 - share) + down);
    }
    context.fillText(this.header.unit, x - 4, TOP + height + 18, RIGHT - 12);
  }
  /** @param {Context} context */
  drawChosen(context) {
    for (const neuron of this.chosen) {
      const row = this.header.order.indexOf(neuron);
      if (row < 0) continue;
      const { y } = cellPlace({ row, column: 0 }, this.size, this.header);
      context.fillStyle = PINNED;
      context.beginPath();
      context.moveTo(LEFT - 2, y);
      context.lineTo(LEFT - 9, y - 4);
      context.lineTo(LEFT - 9, y + 4);
      context.fill();
    }
  }
  /**
   * A mark above each column that holds an alarm.
   * @param {Context} context
   */
  drawAlarms(context) {
    const { alarms, columns } = this.header;
    for (const { column, color } of alarms) {
      const x = LEFT + this.size.width * (column + 0.5) / columns;
      context.fillStyle = color;
      context.strokeStyle = this.theme.muted;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, TOP - 2);
      context.lineTo(x - ALARM, TOP - 11);
      context.lineTo(x + ALARM, TOP - 11);
      context.closePath();
      context.fill();
      context.stroke();
    }
  }
  /** @param {Context} context */
  drawCursor(context) {
    if (this.cursor === null) return;
    const { edges, columns, columnNames } = this.header;
    const middle = columnNames.length ? 0.5 : 0;
    const x = LEFT + (framePosition(edges, this.cursor) + middle) / columns * this.size.width;
    context.lineWidth = 2;
    context.strokeStyle = this.theme.accent;
    strokeLine(context, x, TOP, x, TOP + this.size.height);
  }
  /**
   * What the keys have chosen: its row and column, in two colours, so that one shows on any cell.
   * @param {Context} context
   * @param {Cell} cell
   */
  drawMark(context, cell) {
    const { x, y } = cellPlace(cell, this.size, this.header);
    const { width, height } = this.size;
    const stroke = (line, color) => {
      context.lineWidth = line;
      context.strokeStyle = color;
      context.strokeRect(LEFT, y - 3, width, 6);
      context.strokeRect(x - 3, TOP, 6, height);
    };
    stroke(3, rgba(this.theme.background, 1));
    stroke(1, rgba(this.theme.text, 1));
  }
  /**
   * By keys: the first move marks the chosen neuron at the cursor, else the first row.
   * @param {number} rows
   * @param {number} columns
   */
  move(rows, columns) {
    const { header, cursor } = this;
    if (this.over) {
      this.over = {
        row: withinCount(this.over.row + rows, header.rows),
        column: withinCount(this.over.column + columns, header.columns)
      };
    } else {
      const column = cursor === null ? Infinity : Math.floor(framePosition(header.edges, cursor));
      const row = Math.max(header.order.indexOf(this.chosen[0]), 0);
      this.over = { row, column: withinCount(column, header.columns) };
    }
    this.keyed = true;
    this.draw();
    const box = this.canvas.getBoundingClientRect();
    const { x, y } = cellPlace(this.over, this.size, header);
    const place = { clientX: box.left + x, clientY: box.top + y };
    showTip(this.tip, this.frame, place, `${this.tell()}
Enter for the exact number`);
  }
  pick() {
    if (!this.over) return;
    const { order, edges } = this.header;
    this.chosen = [order[this.over.row]];
    this.cursor = Math.round(edges[this.over.column]);
    this.draw();
    this.trigger?.("pick", { neuron: this.chosen[0], step: this.cursor });
  }
  unhover() {
    this.over = null;
    this.tip.hidden = true;
    this.unmark();
  }
  unmark() {
    if (!this.keyed) return;
    this.keyed = false;
    this.draw();
  }
  /** @param {MouseEvent} event */
  hover(event) {
    const box = this.canvas.getBoundingClientRect();
    const cell = cellAt(event.clientX - box.left, event.clientY - box.top, this.size, this.header);
    if (!cell) return this.unhover();
    this.over = cell;
    this.unmark();
    showTip(this.tip, this.frame, event, `${this.tell()}
click for the exact number`);
  }
  tell() {
    if (!this.over) return "";
    const { row, column } = this.over;
    const { edges, order, columns, columnTitle, columnNames, title, unit, layer, index, regimes } = this.header;
    const code = this.cells[row * columns + column];
    const first = edges[column];
    const end = edges[column + 1] - 1;
    const named = columnNames.length ? ` “${columnNames[column]}”` : "";
    const steps = end > first ? `${columnTitle}s ${formatStep(first)} to ${formatStep(end)}` : `${columnTitle} ${formatStep(first)}${named}`;
    const about = `${title} about ${formatNumber(cellValue(code, this.header))} ${unit}`;
    const alarm = this.header.alarms.find((found) => found.column === column);
    const said = code ? about : `${title}: no value, ${this.absence(column)}`;
    const regime = regimes.length ? regimes[this.settled[row]].name : "";
    const settled = regime && `${regime} at step ${formatStep(edges[columns] - 1)}`;
    const name = fullName(index, order[row], layer);
    return [name, steps, said, settled, alarm?.text].filter(Boolean).join("\n");
  }
  /** @param {number} column of an empty cell */
  absence(column) {
    const { rows, columns, absent } = this.header;
    for (let row = 0; row < rows; row++) if (this.cells[row * columns + column]) return absent.cell;
    return absent.column;
  }
  close() {
    this.resize.disconnect();
  }
};
var heatmap_default = mounted(Heatmap);
export {
  Heatmap,
  heatmap_default as default
};
