// What every canvas component needs: unpacking the payload, the theme's colours, colour scales, crisp canvases.
// Joined in front of each component's own file by components.py, so nothing here is exported.

const OKABE_ITO = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A000", "#7F7F7F"]

const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"]
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"]
const DIVERGING = ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#8c0d25"]
const SCALES = { Viridis: VIRIDIS, Cividis: CIVIDIS, diverging: DIVERGING }

// Payload: uint32 header length, JSON padded to a multiple of 4, then the arrays that the header's `arrays` lists.
function unpack(bytes) {
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  const length = new DataView(buffer).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)))
  let offset = 4 + length
  const arrays = {}
  for (const { name, dtype, size } of header.arrays) {
    const Type = { uint8: Uint8Array, float16: Uint16Array, float32: Float32Array }[dtype]
    const raw = new Type(buffer, offset, size)
    arrays[name] = dtype === "float16" ? fromHalf(raw) : raw
    offset += Math.ceil((size * Type.BYTES_PER_ELEMENT) / 4) * 4
  }
  return { header, arrays }
}

// IEEE binary16 -> float32: not every browser has Float16Array. A table of all 65,536 values costs less than the bits.
function fromHalf(raw) {
  const table = fromHalf.table || (fromHalf.table = Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023
    if (exponent === 31) return fraction ? NaN : sign * Infinity
    return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction
  }))
  return Float32Array.from(raw, (bits) => table[bits])
}

function parseColor(text) {
  const probe = parseColor.context || (parseColor.context = document.createElement("canvas").getContext("2d"))
  probe.fillStyle = "#000"
  probe.fillStyle = text
  const value = probe.fillStyle
  if (value.startsWith("#")) return [1, 3, 5].map((i) => parseInt(value.slice(i, i + 2), 16))
  return value.match(/[\d.]+/g).slice(0, 3).map(Number)
}

const rgba = (rgb, alpha) => `rgba(${rgb[0]},${rgb[1]},${rgb[2]},${alpha})`

function readTheme(root) {
  const style = getComputedStyle(root)
  const get = (name, fallback) => style.getPropertyValue(name).trim() || fallback
  const text = parseColor(get("--st-text-color", "#222"))
  const background = parseColor(get("--st-background-color", "#fff"))
  const dark = background[0] + background[1] + background[2] < 384
  return {
    text, background,
    accent: get("--st-primary-color", "#0b6b9c"),
    muted: rgba(text, 0.66),
    faint: rgba(text, 0.13),
    pinned: dark ? OKABE_ITO[1] : "#8f5c00", // the orange of pinned ridges as text: 2.2 : 1 on white
    font: get("--st-font", "sans-serif"),
    dark,
  }
}

function scaleColor(stops, t) {
  const x = Math.min(Math.max(t, 0), 1) * (stops.length - 1)
  const i = Math.min(Math.floor(x), stops.length - 2)
  const a = parseColor(stops[i]), b = parseColor(stops[i + 1])
  return a.map((v, k) => Math.round(v + (b[k] - v) * (x - i)))
}

// 256 colours; `from` and `to` cut the ends that a theme's background would swallow.
function colorTable(stops, from = 0, to = 1) {
  return Array.from({ length: 256 }, (_, i) => scaleColor(stops, from + ((to - from) * i) / 255))
}

function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1
  const w = Math.round(width * ratio), h = Math.round(height * ratio)
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w
    canvas.height = h
    canvas.style.width = `${width}px`
    canvas.style.height = `${height}px`
  }
  const context = canvas.getContext("2d")
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.clearRect(0, 0, width, height)
  return context
}

// Text as long as fits a width: where it does not, its end gives way to an ellipsis.
function fitText(context, text, width) {
  if (context.measureText(text).width <= width) return text
  const letters = Array.from(text)
  let low = 0, high = letters.length
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (context.measureText(`${letters.slice(0, middle).join("")}…`).width <= width) low = middle
    else high = middle
  }
  return `${letters.slice(0, low).join("")}…`
}

function formatNumber(value) {
  if (!Number.isFinite(value)) return "–"
  const size = Math.abs(value)
  if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(1)
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3).replace("-", "−")
}

const formatStep = (step) => Math.round(step).toLocaleString("en-GB")

function formatShort(step) {
  return step >= 1e6 ? `${+(step / 1e6).toFixed(1)}M` : step >= 1e4 ? `${+(step / 1e3).toFixed(1)}k` : formatStep(step)
}

// Frame positions of the steps 0, 1, 2, 5, 10 ... that the frames span, at least `gap` pixels apart.
function stepTicks(steps, x, gap = 46) {
  const first = steps[0], last = steps[steps.length - 1]
  const wanted = [first]
  for (let decade = 1; decade <= last; decade *= 10) for (const k of [1, 2, 5]) wanted.push(k * decade)
  const ticks = []
  const end = x(steps.length - 1)
  for (const step of wanted.filter((s) => s >= first && s < last).sort((a, b) => a - b)) {
    const at = x(framePosition(steps, step))
    if ((!ticks.length || at - ticks[ticks.length - 1].x >= gap) && end - at >= gap) ticks.push({ x: at, step })
  }
  ticks.push({ x: end, step: last })
  return ticks
}

// Fractional frame index of a step: the frames' steps increase, so bisect and interpolate.
function framePosition(steps, step) {
  let low = 0, high = steps.length - 1
  if (high <= 0 || step <= steps[0]) return 0
  if (step >= steps[high]) return high
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (steps[middle] <= step) low = middle
    else high = middle
  }
  return low + (step - steps[low]) / (steps[high] - steps[low])
}

const views = new WeakMap()

// A component's entry point: one view an element, made at its first payload and kept while later ones are loaded into it.
const mounted = (View) => ({ data, parentElement, setTriggerValue }) => {
  if (!data || !data.byteLength) return undefined
  if (!views.has(parentElement)) views.set(parentElement, new View(parentElement))
  const view = views.get(parentElement)
  view.load(data, setTriggerValue)
  return () => {
    view.close()
    views.delete(parentElement)
  }
}

// What is drawn on a canvas can be picked: by pointer, and by a mark that keys move while the canvas has the focus.
// `view` has hover(event), unhover(), pick(), tell() and `over`, what the pointer or the mark is on; `moves` is key -> function,
// Enter picks, Escape takes the mark away. What the mark is on is said in `live`, where screen readers announce it. Other keys
// go on to the transport.
function pickable(canvas, live, view, moves) {
  canvas.onpointermove = (event) => view.hover(event)
  canvas.onpointerleave = () => view.unhover()
  canvas.onclick = (event) => { view.hover(event); view.pick() }
  canvas.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const action = { ...moves, Enter: () => view.pick(), Escape: () => view.unhover() }[event.key]
    if (!action) return
    event.preventDefault()
    event.stopPropagation()
    action()
    live.textContent = view.over ? view.tell() : ""
  }
  canvas.onblur = () => view.unhover()
}

const TIP = 210 // pixels: as wide as a tip gets

// A tip beside the pointer, inside its host.
function placeTip(tip, host, event) {
  const box = host.getBoundingClientRect()
  tip.style.left = `${Math.min(event.clientX - box.left + 14, box.width - TIP)}px`
  tip.style.top = `${event.clientY - box.top + 16}px`
}
