// Play, pause, scrub, speed, keys: one cursor over frames. Works on the controls of transport.html.
// Nothing is sent to the server while it plays; `settle` is called once the cursor rests.

import { part } from "./component.js"
import { formatShort, formatStep } from "./format.js"
import { framePosition, scaleName, stepTicks } from "./frames.js"

const SECONDS = 10 // the whole run at speed 1
const SLOWEST = 4 // frames a second: a run of few frames does not crawl
const HURRY = 10 // times faster over frames in which nothing moves
export const SKIP = "skip" // the speed that does so
const OUTSIDE = ["k", "Home", "End", "[", "]"] // keys that a button or a link of the page does not use itself
const SETTLE_MS = 300 // a scrub has ended when nothing moved for this long

export class Transport {
  /**
   * @param {import("./component.js").Root} root
   * @param {() => void} draw called at each move of the cursor
   * @param {(step: number) => void} settle
   * @param {boolean} pageKeys whether keys work wherever the focus is on the page, or within `root` alone
   */
  constructor(root, draw, settle, pageKeys = true) {
    this.root = root
    this.draw = draw
    this.settle = settle
    this.pageKeys = pageKeys
    this.position = 0
    this.playing = false
    this.next = 0 // of the browser's frames, the one that plays on
    /** @type {number[]} */
    this.steps = [0]
    /** @type {string[]} what stands at each position, of a replay along a sequence */
    this.names = []
    /** @type {boolean[]} */
    this.still = []
    /** @type {(speed: string) => void} told of another speed */
    this.changed = () => {}
    /** @type {Record<string, (event: KeyboardEvent) => void>} a key's name and what it does */
    this.actions = {
      " ": () => this.toggle(),
      k: () => this.toggle(),
      ArrowLeft: (event) => this.nudge(event.shiftKey ? -10 : -1),
      ArrowRight: (event) => this.nudge(event.shiftKey ? 10 : 1),
      Home: () => this.seek(0),
      End: () => this.seek(this.last),
      "[": () => this.faster(-1),
      "]": () => this.faster(1),
    }
    this.button = part(root, "play", HTMLButtonElement)
    this.scrub = part(root, "scrub", HTMLInputElement)
    this.speed = part(root, "speed", HTMLSelectElement)
    this.readout = part(root, "readout", HTMLOutputElement)
    this.ticks = part(root, "ticks", HTMLElement)
    this.speed.onchange = () => this.changed(this.speed.value)
    this.resize = new ResizeObserver(() => this.label())
    this.resize.observe(this.ticks)
    this.button.onclick = () => this.toggle()
    part(root, "back", HTMLButtonElement).onclick = () => this.nudge(-1)
    part(root, "forward", HTMLButtonElement).onclick = () => this.nudge(1)
    this.scrub.oninput = () => this.seek(Number(this.scrub.value))
    this.onKey = (/** @type {KeyboardEvent} */ event) => this.key(event)
    this.onKeyUp = (/** @type {KeyboardEvent} */ event) => this.keyUp(event)
    document.addEventListener("keydown", this.onKey)
    document.addEventListener("keyup", this.onKeyUp)
  }

  /**
   * The cursor keeps its step; at the end of a run that has grown it stays at the end.
   * @param {number[]} steps of the frames
   * @param {boolean[]} still frames that the speed "skip" hurries over
   * @param {string[]} names what stands at each frame, where frames are positions of a sequence
   */
  load(steps, still = [], names = []) {
    this.still = still
    this.names = names
    const step = this.position >= this.last && this.last > 0 ? steps[steps.length - 1] : this.step
    this.steps = steps
    this.scrub.max = String(steps.length - 1)
    this.scrub.disabled = this.button.disabled = steps.length < 2
    const position = framePosition(steps, step)
    this.position = this.playing ? position : Math.round(position)
    this.label()
  }

  // The slider's scale: frames are not evenly spaced in step.
  label() {
    part(this.root, "scale", HTMLElement).textContent = this.names.length ? this.unit : scaleName(this.steps)
    const width = this.ticks.clientWidth
    if (!width || this.last < 1) return this.ticks.replaceChildren()
    const ticks = stepTicks(this.steps, (position) => (position / this.last) * width)
    this.ticks.replaceChildren(
      ...ticks.map(({ x, step }) => {
        const mark = document.createElement("span")
        mark.textContent = formatShort(step)
        mark.style.left = `${x}px`
        return mark
      }),
    )
  }

  // What frames are: steps of training, or positions of a sequence.
  get unit() {
    return this.names.length ? "t" : "step"
  }

  // Where the cursor is, in words.
  get said() {
    const name = this.names.length ? ` “${this.names[this.frame]}”` : ""
    return `${this.unit} ${formatStep(this.step)}${name}`
  }

  // The frame that is nearest.
  get frame() {
    return Math.min(Math.round(this.position), this.last)
  }

  get step() {
    return this.steps[this.frame]
  }

  get last() {
    return this.steps.length - 1
  }

  /** @param {number} position fractional frame index */
  show(position) {
    this.position = Math.min(Math.max(position, 0), this.last)
    this.scrub.value = String(Math.round(this.position))
    this.scrub.style.setProperty("--done", `${(100 * this.position) / Math.max(this.last, 1)}%`)
    this.scrub.setAttribute("aria-valuetext", this.said)
    this.readout.textContent = `${this.said} / ${formatStep(this.steps[this.last])}`
    this.draw()
  }

  /** @param {number} position frame index */
  seek(position) {
    this.pause()
    this.show(Math.round(position))
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.settle(this.step), SETTLE_MS)
  }

  // The step at rest, for a message about something else. The cursor's own is not sent then: of two that
  // reach the server while it is busy, it keeps the later one alone. Null while playing.
  claim() {
    clearTimeout(this.timer)
    return this.playing ? null : this.step
  }

  /** @param {number} frames */
  nudge(frames) {
    this.seek(Math.round(this.position) + frames)
  }

  toggle() {
    if (this.playing) this.seek(this.position)
    else this.play()
  }

  play() {
    if (this.last < 1) return
    clearTimeout(this.timer)
    if (this.position >= this.last) this.position = 0
    this.playing = true
    this.button.setAttribute("aria-pressed", "true")
    this.button.setAttribute("aria-label", "Pause")
    const rate = Math.max(this.last / SECONDS, SLOWEST)
    let before = performance.now()
    const tick = (/** @type {number} */ now) => {
      if (!this.playing) return
      const next = this.position + ((now - before) / 1000) * rate * this.pace()
      before = now
      if (next >= this.last) {
        this.pause()
        this.show(this.last)
        this.settle(this.step)
        return
      }
      this.show(next)
      this.next = requestAnimationFrame(tick)
    }
    cancelAnimationFrame(this.next)
    this.next = requestAnimationFrame(tick)
  }

  // How many times faster than speed 1.
  pace() {
    if (this.speed.value !== SKIP) return Number(this.speed.value)
    return this.still[Math.floor(this.position)] ? HURRY : 1
  }

  pause() {
    this.playing = false
    this.button.setAttribute("aria-pressed", "false")
    this.button.setAttribute("aria-label", "Play")
  }

  /** @param {number} direction */
  faster(direction) {
    const index = this.speed.selectedIndex + direction
    if (index < 0 || index >= this.speed.options.length) return
    this.speed.selectedIndex = index
    this.changed(this.speed.value)
  }

  /**
   * Keys work unless the focus is where they mean something else: in a field, in a menu, in a control of the
   * page.
   * @param {KeyboardEvent} event
   */
  key(event) {
    const action = this.actions[event.key]
    if (!action || event.ctrlKey || event.metaKey || event.altKey || !this.hears(event)) return
    event.preventDefault()
    action(event)
  }

  /** @param {KeyboardEvent} event */
  hears(event) {
    const target = event.composedPath()[0]
    if (!(target instanceof HTMLElement) || isField(target)) return false
    if (event.composedPath().includes(this.root)) return !target.closest("[data-menu]")
    if (!this.pageKeys) return false
    return target === document.body || (target.matches("button, a") && OUTSIDE.includes(event.key))
  }

  /**
   * A button is pressed when the space bar comes up: here it has played already.
   * @param {KeyboardEvent} event
   */
  keyUp(event) {
    const target = event.composedPath()[0]
    if (event.key === " " && target instanceof HTMLButtonElement && this.hears(event)) event.preventDefault()
  }

  close() {
    this.pause()
    cancelAnimationFrame(this.next)
    clearTimeout(this.timer)
    this.resize.disconnect()
    document.removeEventListener("keydown", this.onKey)
    document.removeEventListener("keyup", this.onKeyUp)
  }
}

/**
 * Whether keys are typed into it, or choose in it.
 * @param {HTMLElement} element
 */
function isField(element) {
  if (element instanceof HTMLInputElement) return element.type !== "range"
  return element.isContentEditable || element.matches("select, textarea")
}
