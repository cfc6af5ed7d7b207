// Put into a page before its own scripts run: `audit` measures what a keyboard reaches and how readable texts are.
(() => {
  const READABLE = 4.5, LARGE = 3 // WCAG 2.2 AA: contrast of text, and of large text and of icons
  const SMALL = 64 // pixels: a slider's thumb, whose number stands above it
  const SAMPLES = ["■", "–"] // a sample of a regime's colour, outlined and beside its name; the mark of a missing number

  const parent = (e) => e.parentElement || (e.getRootNode() instanceof ShadowRoot ? e.getRootNode().host : null)
  const lineage = (e) => { const all = []; for (let n = e; n; n = parent(n)) all.push(n); return all }
  const visible = (e) => {
    const box = e.getBoundingClientRect()
    return box.width > 1 && box.height > 1 && e.checkVisibility({ visibilityProperty: true })
  }
  // All elements in the order of the flattened document.
  function* elements(root = document.body) {
    for (const e of root.children) {
      yield e
      if (e.shadowRoot) yield* elements(e.shadowRoot)
      yield* elements(e)
    }
  }
  const where = (e) => {
    const named = e.closest("[data-testid]")
    return `${named ? named.dataset.testid : e.getRootNode().host?.className || ""} <${e.tagName.toLowerCase()}>`
  }

  // ---- colours

  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true })
  const parsed = new Map() // a page has few colours and asks for each thousands of times
  const parse = (text) => {
    if (!parsed.has(text)) {
      probe.clearRect(0, 0, 1, 1)
      probe.fillStyle = text
      probe.fillRect(0, 0, 1, 1)
      const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data
      parsed.set(text, [r, g, b, a / 255])
    }
    return [...parsed.get(text)]
  }
  const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3])).concat(1)
  const luminance = (color) => {
    const [r, g, b] = color.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const contrast = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x)
    return (high + 0.05) / (low + 0.05)
  }
  // What lies behind the middle of a box: the backgrounds of its ancestors, but for small ones that it floats outside of.
  const behind = (e, box) => {
    const x = box.x + box.width / 2, y = box.y + box.height / 2
    const layers = []
    for (const n of lineage(e)) {
      const own = n.getBoundingClientRect()
      const outside = x < own.left || x > own.right || y < own.top || y > own.bottom
      if (outside && Math.max(own.width, own.height) < SMALL) continue
      const color = parse(getComputedStyle(n).backgroundColor)
      if (color[3] > 0) layers.push(color)
      if (color[3] === 1) break
    }
    return layers.reverse().reduce((back, front) => over(front, back), [255, 255, 255, 1])
  }
  const opacity = (e) => lineage(e).reduce((all, n) => all * Number(getComputedStyle(n).opacity), 1)

  // What is written on canvases: one example a canvas, font and colour, with the pixel that was under it.
  let written = new Map()
  const prototype = CanvasRenderingContext2D.prototype, fillText = prototype.fillText
  prototype.fillText = function (text, x, y, ...rest) {
    const key = [this.font, this.fillStyle, this.globalAlpha, JSON.stringify(Object.keys(this.canvas.dataset))].join()
    if (!written.has(key) && this.canvas.isConnected && !SAMPLES.includes(text)) {
      const width = Math.min(this.measureText(text).width, rest[0] || Infinity)
      const along = this.textAlign === "center" ? 0 : this.textAlign === "right" ? -width / 2 : width / 2
      const down = { alphabetic: -3, middle: 0 }[this.textBaseline] ?? 5
      const at = this.getTransform().transformPoint({ x: x + along, y: y + down })
      const under = this.getImageData(Math.round(at.x), Math.round(at.y), 1, 1).data
      written.set(key, { text, font: this.font, fill: this.fillStyle, alpha: this.globalAlpha, under, canvas: this.canvas })
    }
    return fillText.call(this, text, x, y, ...rest)
  }

  function unreadable() {
    const found = new Map()
    const judge = (text, color, back, size, bold, place, icon = false) => {
      if (color[3] < 0.05) return // not shown now
      const ratio = contrast(over(color, back), back)
      const enough = icon || size >= 24 || (bold && size >= 18.66) ? LARGE : READABLE
      if (ratio < enough) found.set(`${place} ${color}`, `“${text.slice(0, 40)}” ${ratio.toFixed(2)} : 1 in ${place}`)
    }
    const disabled = (e) => lineage(e).some((n) => n.matches(":disabled, [aria-disabled=true], [disabled]"))
    for (const e of elements()) {
      if (!visible(e) || disabled(e)) continue
      const style = getComputedStyle(e), drawing = e instanceof SVGElement
      if (e.placeholder && !e.value) {
        const hint = getComputedStyle(e, "::placeholder")
        const color = parse(hint.color)
        color[3] *= Number(hint.opacity) * opacity(e)
        judge(e.placeholder, color, behind(e, e.getBoundingClientRect()), parseFloat(hint.fontSize), false, where(e))
      }
      for (const node of e.childNodes) {
        const text = node.nodeType === Node.TEXT_NODE ? node.textContent.trim() : ""
        if (!text || SAMPLES.includes(text) || ["STYLE", "SCRIPT", "OPTION"].includes(e.tagName)) continue
        const color = parse(drawing ? style.fill : style.color)
        color[3] *= opacity(e) * (drawing ? Number(style.fillOpacity) : 1)
        const back = behind(drawing ? e.ownerSVGElement.parentElement : e, e.getBoundingClientRect())
        const icon = e.dataset.testid === "stIconMaterial"
        judge(text, color, back, parseFloat(style.fontSize), Number(style.fontWeight) >= 700, where(e), icon)
      }
    }
    for (const { text, font, fill, alpha, under, canvas } of written.values()) {
      if (!canvas.isConnected) continue
      const color = parse(fill)
      color[3] *= alpha * opacity(canvas)
      const back = over([...under.slice(0, 3), under[3] / 255], behind(canvas, canvas.getBoundingClientRect()))
      judge(text, color, back, parseFloat(font.match(/([\d.]+)px/)[1]), /\b(bold|[789]00)\b/.test(font), where(canvas))
    }
    return [...found.values()]
  }

  // ---- keyboard

  const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex]"
  const focusable = (e) => e.matches(CONTROLS) && e.tabIndex >= 0 && !e.disabled && (visible(e) || e.matches("[type=range]"))
  const focused = () => {
    let e = document.activeElement
    while (e && e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement
    return e && e !== document.body && e !== document.documentElement ? e : null
  }
  // How an element looks, with what surrounds it: a ring may be drawn by either.
  const look = (e) => {
    const near = lineage(e).slice(0, 7)
    if (near[1]) near.push(...near[1].children)
    return near.map((n) => { const s = getComputedStyle(n); return [s.outline, s.boxShadow, s.borderColor, s.backgroundColor] }).join()
  }
  const visited = [], looks = new Map() // how each looked while it had the focus
  const frame = () => new Promise((then) => requestAnimationFrame(then))
  // Call after each press of Tab: whether the end of the page is reached. A ring is looked at once it is drawn.
  async function step() {
    await frame()
    const e = focused()
    if (e && !looks.has(e)) {
      visited.push(e)
      looks.set(e, look(e))
    }
    return e === null
  }
  // Call at the end of the page, when nothing has the focus.
  function walked() {
    const label = (e) => `${where(e)} “${(e.getAttribute("aria-label") || e.textContent).trim().slice(0, 60)}”`
    // Of a group of choices Tab reaches one, arrows the others.
    const byArrows = (e) => e.role === "radio" && [...e.closest("[role=radiogroup]")?.querySelectorAll("[role=radio]") || []].some((r) => visited.includes(r))
    const all = [...elements()].filter((e) => focusable(e) && (visited.includes(e) || !byArrows(e)))
    const known = visited.filter((e) => all.includes(e)), order = all.filter((e) => known.includes(e))
    const out = known.findIndex((e, i) => e !== order[i])
    const grid = (e) => /^(data-grid-canvas|glide-cell-)/.test(e.dataset.testid || "") // its canvas draws the ring of its cell
    return {
      stops: visited.length,
      missed: all.filter((e) => !visited.includes(e)).map(label),
      disordered: out < 0 ? [] : [label(known[out])],
      ringless: visited.filter((e) => e.isConnected && !grid(e) && looks.get(e) === look(e)).map(label),
    }
  }

  window.audit = { unreadable, forget: () => { written = new Map() }, step, walked }
})()
