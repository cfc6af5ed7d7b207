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

// probes/canvas/color.js
var rgba = (color, alpha) => `rgba(${color[0]},${color[1]},${color[2]},${alpha})`;

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

// probes/canvas/format.js
function livingInWords(living, unknown, neurons) {
  const known = neurons - unknown;
  if (known <= unknown) return unknown === neurons ? "regimes unknown" : `${formatStep(unknown)} unknown`;
  const left = unknown ? `, ${formatStep(unknown)} unknown` : "";
  return `${Math.round(100 * living / known)} % living${left}`;
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

// probes/canvas/tile_layout.js
var LABEL = 96;
var GAP = 12;
var NAME = 36;
var HEAD = 4;
var LARGEST = 18;
var SMALLEST = 2;
var TALLEST = 150;
var ALL = 480;
var LEAST_HEIGHT = 40;
var TileLayout = class {
  /**
   * @param {number[]} counts neurons of each layer
   * @param {number} width that there is
   */
  constructor(counts, width) {
    this.counts = counts;
    this.width = width;
    const room = width - LABEL;
    const most = Math.max(...counts, 1);
    const tallest = Math.min(TALLEST, Math.max(ALL / counts.length, NAME));
    this.perRow = 8;
    const side = () => Math.min(room / this.perRow, LARGEST);
    const tooWide = () => room / this.perRow > 1.5 * LARGEST;
    const tooTall = () => Math.ceil(most / this.perRow) * side() > tallest && side() > SMALLEST;
    while (this.perRow < most && (tooWide() || tooTall())) this.perRow *= 2;
    this.side = side();
    let y = HEAD;
    this.tops = counts.map((count) => {
      const top = y;
      y += Math.max(Math.ceil(count / this.perRow) * this.side, NAME) + GAP;
      return top;
    });
    this.height = Math.max(y, LEAST_HEIGHT);
  }
  /**
   * The upper left corner of a tile.
   * @param {number} layer
   * @param {number} neuron or its rank, where tiles are sorted
   */
  place(layer, neuron) {
    return {
      x: LABEL + neuron % this.perRow * this.side,
      y: this.tops[layer] + Math.floor(neuron / this.perRow) * this.side
    };
  }
  /**
   * The tile at a place, `neuron` a rank where tiles are sorted; null where there is none.
   * @param {number} x
   * @param {number} y
   * @returns {{ layer: number, neuron: number } | null}
   */
  at(x, y) {
    const layer = this.tops.findLastIndex((top) => y >= top);
    const column = Math.floor((x - LABEL) / this.side);
    if (layer < 0 || column < 0 || column >= this.perRow) return null;
    const neuron = Math.floor((y - this.tops[layer]) / this.side) * this.perRow + column;
    return neuron < this.counts[layer] ? { layer, neuron } : null;
  }
};
function sortedTiles(codes, key) {
  const keys = Array.from(codes, key);
  return keys.map((_, neuron) => neuron).sort((a, b) => keys[a] - keys[b] || a - b);
}

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

// probes/canvas/regimes.js
var NEAR = 90;
var LEAST_ALARM = 4;
var SEPARATE = 5;
var Regimes = class {
  /** @param {import("./component.js").Root} root */
  constructor(root) {
    this.root = root;
    this.frame = part(root, "frame", HTMLElement);
    this.canvas = part(root, "map", HTMLCanvasElement);
    this.tip = part(root, "tip", HTMLElement);
    this.bytes = void 0;
    this.loaded = void 0;
    this.trigger = void 0;
    this.theme = readTheme(root);
    this.layout = new TileLayout([], 0);
    this.neurons = [];
    this.ranks = [];
    this.over = null;
    this.keyed = false;
    this.chosen = null;
    this.counts = [];
    this.arrays = {};
    this.transport = new Transport(
      root,
      () => this.draw(),
      (step) => this.trigger?.("cursor", step)
    );
    pickable(this.canvas, part(root, "say", HTMLElement), this, {
      ArrowLeft: () => this.move(-1),
      ArrowRight: () => this.move(1),
      ArrowUp: () => this.move(-this.layout.perRow),
      ArrowDown: () => this.move(this.layout.perRow),
      PageUp: () => this.moveLayer(-1),
      PageDown: () => this.moveLayer(1)
    });
    this.resize = new ResizeObserver(() => this.fit());
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
      const { header, arrays } = (
        /** @type {{ header: Header, arrays: Record<string, Uint8Array> }} */
        unpack(bytes)
      );
      const news = this.loaded?.revision !== header.revision;
      this.bytes = bytes;
      this.loaded = header;
      this.arrays = arrays;
      this.transport.load(header.steps);
      if (news) {
        const { steps, cursor } = header;
        this.chosen = header.chosen;
        this.transport.position = cursor === null ? steps.length - 1 : Math.round(framePosition(steps, cursor));
      }
      this.legend();
    }
    this.theme = readTheme(this.root);
    this.fit();
  }
  legend() {
    const row = part(this.root, "legend", HTMLElement);
    row.replaceChildren();
    const ever = /* @__PURE__ */ new Set();
    for (const codes of Object.values(this.arrays))
      for (let i = 0; i < codes.length; i++) ever.add(codes[i] & 15).add(codes[i] >> 4);
    this.counts = this.header.regimes.map((regime, code) => {
      const entry = document.createElement("span");
      entry.setAttribute("role", "listitem");
      entry.title = `${regime.rule}: ${regime.reading}`;
      const swatch = document.createElement("i");
      swatch.style.background = regime.color;
      const text = document.createElement("b");
      entry.append(swatch, document.createTextNode(regime.name), text);
      if (ever.has(code)) row.appendChild(entry);
      return { entry, text };
    });
  }
  fit() {
    const width = this.frame.clientWidth;
    if (!this.loaded || !width) return;
    const counts = this.header.layers.map((layer) => layer.count);
    this.layout = new TileLayout(counts, width);
    this.transport.show(this.transport.position);
  }
  // Regimes whose colour is all but that of the page get an outline: black tiles in the dark theme.
  faint() {
    const { background } = this.theme;
    return this.header.regimes.map((regime) => {
      const color = parseColor(regime.color);
      return color.reduce((sum, value, i) => sum + Math.abs(value - background[i]), 0) < NEAR;
    });
  }
  /** @param {number} layer @param {number} neuron */
  byte(layer, neuron) {
    const frame = Math.round(this.transport.position);
    return this.arrays[`regime.${layer}`][frame * this.header.layers[layer].count + neuron];
  }
  /** @param {number} layer @param {number} neuron */
  code(layer, neuron) {
    return this.byte(layer, neuron) & 15;
  }
  /**
   * The most severe regime of single steps since the frame before; 0 for none.
   * @param {number} layer @param {number} neuron
   */
  alarm(layer, neuron) {
    return this.byte(layer, neuron) >> 4;
  }
  // Tiles of a layer in order of the regimes at the cursor: living first, then by code.
  sort() {
    const { header } = this;
    this.neurons = this.ranks = [];
    if (!header.sorted) return;
    const key = (code) => code - (header.regimes[code]?.living ? 100 : 0);
    this.neurons = header.layers.map(
      (layer, index) => sortedTiles(
        Array.from({ length: layer.count }, (_, neuron) => this.code(index, neuron)),
        key
      )
    );
    this.ranks = this.neurons.map((neurons) => {
      const ranks = new Array(neurons.length);
      neurons.forEach((neuron, rank) => ranks[neuron] = rank);
      return ranks;
    });
  }
  /**
   * Where a neuron's tile stands among those of its layer.
   * @param {number} layer @param {number} neuron
   */
  rank(layer, neuron) {
    return this.ranks[layer]?.[neuron] ?? neuron;
  }
  /**
   * The neuron whose tile stands there.
   * @param {number} layer @param {number} rank
   */
  neuronAt(layer, rank) {
    return this.neurons[layer]?.[rank] ?? rank;
  }
  /** @param {number} layer @param {number} neuron */
  place(layer, neuron) {
    return this.layout.place(layer, this.rank(layer, neuron));
  }
  draw() {
    if (!this.loaded || !this.layout.width) return;
    const { header } = this;
    this.sort();
    const context = fitCanvas(this.canvas, this.layout.width, this.layout.height);
    const faint = this.faint();
    const totals = header.regimes.map(() => 0);
    header.layers.forEach((layer, index) => {
      let [living, untold] = [0, 0];
      for (let neuron = 0; neuron < layer.count; neuron++) {
        const code = this.code(index, neuron);
        const regime = header.regimes[code];
        if (!regime) continue;
        totals[code] += 1;
        living += regime.living ? 1 : 0;
        untold += regime.name === "unknown" ? 1 : 0;
        this.drawTile(context, index, neuron, regime.color, faint[code]);
        const alarm = this.alarm(index, neuron);
        if (alarm && alarm !== code) this.drawAlarm(context, index, neuron, header.regimes[alarm].color);
      }
      context.globalAlpha = 1;
      this.drawName(context, index, livingInWords(living, untold, layer.count));
    });
    this.counts.forEach(({ entry, text }, code) => {
      text.textContent = formatStep(totals[code]);
      entry.toggleAttribute("data-none", totals[code] === 0);
    });
    this.canvas.dataset.step = String(this.transport.step);
    this.canvas.setAttribute("aria-label", this.describe(totals));
  }
  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} index of the layer
   * @param {number} neuron
   * @param {string} color
   * @param {boolean} faint whether the page's background would swallow it
   */
  drawTile(context, index, neuron, color, faint) {
    const { theme } = this;
    const { side } = this.layout;
    const { x, y } = this.place(index, neuron);
    const inset = side > SEPARATE ? 1 : 0;
    const chosen = this.isChosen(this.header.layers[index].index, neuron);
    context.fillStyle = color;
    context.globalAlpha = chosen ? 1 : 0.88;
    context.fillRect(x, y, side - inset, side - inset);
    if (faint && inset) {
      context.strokeStyle = theme.muted;
      context.lineWidth = 1;
      context.strokeRect(x + 0.5, y + 0.5, side - 2, side - 2);
    }
    if (chosen) {
      context.globalAlpha = 1;
      context.strokeStyle = rgba(theme.text, 1);
      context.lineWidth = 2;
      context.strokeRect(x - 1, y - 1, side + 1, side + 1);
    }
    if (this.isMarked(index, neuron)) {
      context.globalAlpha = 1;
      context.strokeStyle = theme.accent;
      context.lineWidth = 2;
      context.strokeRect(x - 2, y - 2, side + 3, side + 3);
    }
  }
  /**
   * A corner in the colour of what alarmed, on a rim that sets it apart from its tile.
   * @param {CanvasRenderingContext2D} context
   * @param {number} index of the layer
   * @param {number} neuron
   * @param {string} color
   */
  drawAlarm(context, index, neuron, color) {
    const { x, y } = this.place(index, neuron);
    const size = Math.max(this.layout.side * 0.55, LEAST_ALARM);
    const right = x + this.layout.side - (this.layout.side > SEPARATE ? 1 : 0);
    context.globalAlpha = 1;
    for (
      const [reach, fill] of
      /** @type {[number, string][]} */
      [
        [size + 1.5, rgba(this.theme.background, 1)],
        [size, color]
      ]
    ) {
      context.fillStyle = fill;
      context.beginPath();
      context.moveTo(right - reach, y);
      context.lineTo(right, y);
      context.lineTo(right, y + reach);
      context.fill();
    }
  }
  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} index of the layer
   * @param {string} state how many of its neurons live
   */
  drawName(context, index, state) {
    const { theme, layout } = this;
    context.fillStyle = rgba(theme.text, 1);
    context.font = `600 13px ${theme.font}`;
    context.textBaseline = "top";
    context.textAlign = "left";
    const name = fitText(context, this.header.layers[index].name, LABEL - 10);
    context.fillText(name, 0, layout.tops[index] + 1);
    context.fillStyle = theme.muted;
    context.font = `12px ${theme.font}`;
    context.fillText(state, 0, layout.tops[index] + 19);
  }
  /** @param {number[]} totals neurons in each regime */
  describe(totals) {
    const { regimes, layers } = this.header;
    const found = regimes.map(({ name }, code) => ({ name, count: totals[code] })).filter(({ count }) => count);
    const said = found.map(({ name, count }) => `${count} ${name}`).join(", ");
    return `Regime of every neuron at step ${formatStep(this.transport.step)}: ${said}, in ${layers.length} ${layers.length === 1 ? "layer" : "layers"}. Arrow keys choose a tile, page keys a layer, Enter explains it.`;
  }
  /** @param {number} layer its index in the run @param {number} neuron */
  isChosen(layer, neuron) {
    const { chosen } = this;
    return chosen !== null && chosen.layer === layer && chosen.neuron === neuron;
  }
  /** @param {number} layer its place in the map @param {number} neuron */
  isMarked(layer, neuron) {
    return this.keyed && this.over !== null && this.over.layer === layer && this.over.neuron === neuron;
  }
  /** @param {MouseEvent} event */
  hover(event) {
    const box = this.canvas.getBoundingClientRect();
    const tile = this.layout.at(event.clientX - box.left, event.clientY - box.top);
    if (!tile) return this.unhover();
    this.over = { layer: tile.layer, neuron: this.neuronAt(tile.layer, tile.neuron) };
    showTip(this.tip, this.frame, event, `${this.tell()}
click to explain`);
  }
  tell() {
    if (!this.over) return "";
    const { layer, neuron } = this.over;
    const regime = this.header.regimes[this.code(layer, neuron)];
    const said = regime ? `${regime.name}: ${regime.reading}` : "not recorded";
    const alarm = this.alarm(layer, neuron);
    const also = alarm ? `
${this.header.regimes[alarm].name} at a step since the frame before` : "";
    return `${fullName(layer, neuron, this.header.layers[layer].name)}
${said}${also}`;
  }
  /**
   * By keys: the first move finds the chosen tile, or the first one.
   * @param {number} by neurons
   */
  move(by) {
    const { layers } = this.header;
    const { layer, neuron } = this.over || this.start();
    const next = withinCount(this.rank(layer, neuron) + by, layers[layer].count);
    this.mark(layer, this.over ? this.neuronAt(layer, next) : neuron);
  }
  /** @returns {Tile} */
  start() {
    const { chosen } = this;
    const layer = chosen ? this.header.layers.findIndex(({ index }) => index === chosen.layer) : 0;
    return { layer, neuron: chosen ? chosen.neuron : 0 };
  }
  /** @param {number} by layers */
  moveLayer(by) {
    const { layers } = this.header;
    const layer = withinCount((this.over ? this.over.layer : 0) + by, layers.length);
    this.mark(layer, this.over ? withinCount(this.over.neuron, layers[layer].count) : 0);
  }
  /** @param {number} layer @param {number} neuron */
  mark(layer, neuron) {
    this.over = { layer, neuron };
    this.keyed = true;
    this.draw();
    const box = this.canvas.getBoundingClientRect();
    const { x, y } = this.place(layer, neuron);
    const place = { clientX: box.left + x + this.layout.side, clientY: box.top + y + this.layout.side };
    showTip(this.tip, this.frame, place, `${this.tell()}
Enter explains it`);
  }
  pick() {
    if (!this.over) return;
    this.chosen = { layer: this.header.layers[this.over.layer].index, neuron: this.over.neuron };
    this.draw();
    this.trigger?.("pick", { ...this.chosen, step: this.transport.claim() });
  }
  unhover() {
    this.over = null;
    this.tip.hidden = true;
    if (!this.keyed) return;
    this.keyed = false;
    this.draw();
  }
  close() {
    this.transport.close();
    this.resize.disconnect();
  }
};
var regimes_default = mounted(Regimes);
export {
  Regimes,
  regimes_default as default
};
