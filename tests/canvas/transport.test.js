import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

// As much of a browser as the controls ask for.
class Part extends EventTarget {
  style = { setProperty() {} }
  clientWidth = 0
  selectedIndex = 1
  options = [0.5, 1, 2]
  value = "1"
  setAttribute() {}
  replaceChildren() {}
}
const kinds = [
  "HTMLElement",
  "HTMLButtonElement",
  "HTMLInputElement",
  "HTMLSelectElement",
  "HTMLOutputElement",
]
const root = { querySelector: () => new Part() }
/** @type {Map<number, (now: number) => void>} */
const frames = new Map()
let asked = 0
Object.assign(
  globalThis,
  Object.fromEntries(kinds.map((kind) => [kind, Part])),
  { document: new EventTarget() },
  {
    ResizeObserver: class {
      observe() {}
      disconnect() {}
    },
  },
  {
    requestAnimationFrame: (/** @type {(now: number) => void} */ tick) => frames.set(++asked, tick) && asked,
    cancelAnimationFrame: (/** @type {number} */ id) => frames.delete(id),
  },
)
const { Transport } = await import("../../probes/canvas/transport.js")

/** @param {() => void} [draw] */
const made = (draw = () => {}) => new Transport(/** @type {any} */ (root), draw, () => {})

/** @param {number} milliseconds from now */
function browserDraws(milliseconds) {
  const waiting = [...frames.values()]
  frames.clear()
  for (const tick of waiting) tick(performance.now() + milliseconds)
}

beforeEach(() => frames.clear())

test("played again at once, it plays at its speed and not at twice that", () => {
  let draws = 0
  const transport = made(() => (draws += 1))
  transport.load(Array.from({ length: 1001 }, (_, i) => i))
  transport.play()
  transport.pause()
  transport.show(0)
  transport.play() // before the browser has drawn: as a film begins while the replay plays
  draws = 0
  browserDraws(100)
  assert.equal(draws, 1)
  assert.equal(frames.size, 1)
  assert.ok(transport.position > 8 && transport.position < 12, `1000 frames in 10 s: ${transport.position}`)
})

test("closed, it draws no more", () => {
  let draws = 0
  const transport = made(() => (draws += 1))
  transport.load([0, 1, 2])
  transport.play()
  transport.close()
  draws = 0
  browserDraws(100)
  assert.equal(draws, 0)
  assert.equal(frames.size, 0)
})

test("along a sequence it says what stands at its frame", () => {
  const transport = made()
  transport.load([4, 5, 6], [], ["a", "b", "c"])
  transport.show(1.2)
  assert.equal(transport.said, "t 5 “b”")
  assert.equal(transport.step, 5)
})
