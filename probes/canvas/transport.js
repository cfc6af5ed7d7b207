// Play, pause, scrub, speed, keys: one cursor over frames. Works on the controls of transport.html.
// Nothing is sent to the server while it plays; `settle` is called once the cursor rests.

const SECONDS = 10 // the whole run at speed 1
const SLOWEST = 4 // frames a second: a run of few frames does not crawl
const SETTLE_MS = 300 // a scrub has ended when nothing moved for this long

class Transport {
  constructor(root, draw, settle) {
    this.root = root
    this.draw = draw
    this.settle = settle
    this.position = 0
    this.playing = false
    this.steps = [0]
    this.find = (name) => root.querySelector(`[data-${name}]`)
    this.button = this.find("play")
    this.scrub = this.find("scrub")
    this.speed = this.find("speed")
    this.readout = this.find("readout")
    this.button.onclick = () => this.toggle()
    this.find("back").onclick = () => this.nudge(-1)
    this.find("forward").onclick = () => this.nudge(1)
    this.scrub.oninput = () => this.seek(Number(this.scrub.value))
    this.onKey = (event) => this.key(event)
    document.addEventListener("keydown", this.onKey)
  }

  // The cursor keeps its step; at the end of a run that has grown it stays at the end.
  load(steps) {
    const step = this.position >= this.last && this.last > 0 ? steps[steps.length - 1] : this.step
    this.steps = steps
    this.scrub.max = String(steps.length - 1)
    this.scrub.disabled = this.button.disabled = steps.length < 2
    this.position = this.playing ? framePosition(steps, step) : Math.round(framePosition(steps, step))
  }

  get step() {
    return this.steps[Math.min(Math.round(this.position), this.steps.length - 1)]
  }

  get last() {
    return this.steps.length - 1
  }

  show(position) {
    this.position = Math.min(Math.max(position, 0), this.last)
    this.scrub.value = String(Math.round(this.position))
    this.scrub.style.setProperty("--done", `${(100 * this.position) / Math.max(this.last, 1)}%`)
    this.scrub.setAttribute("aria-valuetext", `step ${formatStep(this.step)}`)
    this.readout.textContent = `step ${formatStep(this.step)} / ${formatStep(this.steps[this.last])}`
    this.draw(this.position)
  }

  seek(position) {
    this.pause()
    this.show(Math.round(position))
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.settle(this.step), SETTLE_MS)
  }

  // The step at rest, for a message about something else. The cursor's own is not sent then: of two that reach the server
  // while it is busy, it keeps the later one alone. Null while playing.
  claim() {
    clearTimeout(this.timer)
    return this.playing ? null : this.step
  }

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
    const tick = (now) => {
      if (!this.playing) return
      const next = this.position + ((now - before) / 1000) * rate * Number(this.speed.value)
      before = now
      if (next >= this.last) {
        this.pause()
        this.show(this.last)
        this.settle(this.step)
        return
      }
      this.show(next)
      requestAnimationFrame(tick)
    }
    requestAnimationFrame(tick)
  }

  pause() {
    this.playing = false
    this.button.setAttribute("aria-pressed", "false")
    this.button.setAttribute("aria-label", "Play")
  }

  faster(direction) {
    const index = this.speed.selectedIndex + direction
    if (index >= 0 && index < this.speed.options.length) this.speed.selectedIndex = index
  }

  // Keys work wherever the focus is, unless it is in a control that uses them itself.
  key(event) {
    const target = event.composedPath()[0]
    const tag = target.tagName || ""
    const inside = event.composedPath().includes(this.root)
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (!inside && target !== document.body) return
    if (tag === "SELECT" || (tag === "BUTTON" && (event.key === " " || event.key === "Enter"))) return
    const action = {
      " ": () => this.toggle(), k: () => this.toggle(),
      ArrowLeft: () => this.nudge(event.shiftKey ? -10 : -1), ArrowRight: () => this.nudge(event.shiftKey ? 10 : 1),
      Home: () => this.seek(0), End: () => this.seek(this.last),
      "[": () => this.faster(-1), "]": () => this.faster(1),
    }[event.key]
    if (!action) return
    event.preventDefault()
    action()
  }

  close() {
    this.playing = false
    clearTimeout(this.timer)
    document.removeEventListener("keydown", this.onKey)
  }
}
