// The replay's picture taken away: as PNG and as a film of what is seen, as SVG on white for print. All of it is
// made in the browser.

import { ridgeColors, rgba } from "./color.js"
import { context2d } from "./drawing.js"
import { formatStep } from "./format.js"
import { SvgContext } from "./svg_context.js"
import { PAPER } from "./theme.js"

/** @typedef {import("./replay.js").Replay} Replay */

const FILM_TYPES = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"]
const FRAME_RATE = 30
const BITS = 8e6 // a second: thin lines stay sharp
const HOLD_MS = 700 // the last picture is held for so long
const SLICE_MS = 100 // between two looks at what has been recorded
const LEAST = 1000 // bytes: less holds no picture yet, on a machine that is busy
const PATIENCE_MS = 10_000 // in which it must have come
const GAP = 8 // pixels between ridges and strip
const PAD = 16 // pixels around a picture

const runNames = (/** @type {Replay} */ replay) => [
  ...new Set(replay.header.layers.map((layer) => layer.run)),
]

/**
 * What stands in a file's name: runs and where the cursor is.
 * @param {Replay} replay
 * @param {string} steps
 */
export function fileStem(replay, steps) {
  return `${runNames(replay).join("-vs-")}-${steps}`.replace(/[^\p{L}\p{N}._-]+/gu, "-")
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function saveFile(blob, name) {
  const link = document.createElement("a")
  link.download = name
  link.href = URL.createObjectURL(blob)
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/**
 * Ridges and strip as they are seen, on the page's background.
 * @param {Replay} replay
 * @param {HTMLCanvasElement} [target] one that is drawn on anew, in its own size
 */
export function composed(replay, target) {
  const [ridges, strip] = [replay.ridges.canvas, replay.strip.canvas]
  const [pad, gap] = [PAD, GAP].map((pixels) => Math.round(pixels * (window.devicePixelRatio || 1)))
  const picture = target || document.createElement("canvas")
  if (!target) {
    picture.width = Math.max(ridges.width, strip.width) + 2 * pad
    picture.height = ridges.height + gap + strip.height + 2 * pad
  }
  const context = context2d(picture)
  context.fillStyle = rgba(replay.theme.background, 1)
  context.fillRect(0, 0, picture.width, picture.height)
  context.drawImage(ridges, pad, pad)
  context.drawImage(strip, pad, pad + ridges.height + gap)
  return picture
}

/** @param {Replay} replay */
export function savePng(replay) {
  const name = `${fileStem(replay, `step-${replay.transport.step}`)}.png`
  composed(replay).toBlob((blob) => blob && saveFile(blob, name), "image/png")
}

/**
 * The same scene as a vector drawing.
 * @param {Replay} replay
 */
export function drawSvg(replay) {
  const { ridges, strip, theme } = replay
  const measuring = context2d(document.createElement("canvas"))
  const svg = new SvgContext((font, text) => {
    measuring.font = font
    return measuring.measureText(text)
  })
  const colors = ridges.colors
  replay.theme = PAPER
  ridges.colors = ridgeColors(false)
  try {
    ridges.placeHeading(svg)
    const { width, height } = ridges.layout
    const size = { width: width + 2 * PAD, height: height + GAP + strip.height + 2 * PAD }
    svg.fillStyle = rgba(PAPER.background, 1)
    svg.fillRect(0, 0, size.width, size.height)
    svg.translate(PAD, PAD)
    ridges.paintStill(svg)
    ridges.paintMoving(svg)
    svg.translate(0, height + GAP)
    strip.paintStill(svg)
    strip.paintMoving(svg)
    const title = `Replay of ${runNames(replay).join(" and ")}, step ${formatStep(replay.transport.step)}`
    return svg.file(size.width, size.height, title)
  } finally {
    replay.theme = theme
    ridges.colors = colors
    replay.layout() // its texts are as wide as before
  }
}

/** @param {Replay} replay */
export function saveSvg(replay) {
  const name = `${fileStem(replay, `step-${replay.transport.step}`)}.svg`
  saveFile(new Blob([drawSvg(replay)], { type: "image/svg+xml" }), name)
}

/** Whether this browser can record a canvas as WebM. */
export const canFilm = () =>
  typeof MediaRecorder !== "undefined" && FILM_TYPES.some((type) => MediaRecorder.isTypeSupported(type))

// A film of the replay from the first frame on, at the chosen speed; it ends with the replay, or when it is
// paused.
export class Film {
  /**
   * @param {Replay} replay
   * @param {() => void} ended
   */
  constructor(replay, ended) {
    this.replay = replay
    this.canvas = composed(replay)
    /** @type {Blob[]} */
    const parts = []
    this.bytes = 0
    const mimeType = FILM_TYPES.find((type) => MediaRecorder.isTypeSupported(type))
    this.recorder = new MediaRecorder(this.canvas.captureStream(FRAME_RATE), {
      mimeType,
      videoBitsPerSecond: BITS,
    })
    this.recorder.ondataavailable = (event) => {
      parts.push(event.data)
      this.bytes += event.data.size
    }
    this.recorder.onstop = () => {
      const { steps, step } = replay.transport
      const name = `${fileStem(replay, `steps-${steps[0]}-${step}`)}.webm`
      saveFile(new Blob(parts, { type: "video/webm" }), name)
      ended()
    }
    this.recorder.start(SLICE_MS)
  }

  // What is seen now is its next picture.
  add() {
    composed(this.replay, this.canvas)
    if (this.replay.transport.playing || this.ending) return
    const began = performance.now()
    this.ending = setInterval(() => {
      const waited = performance.now() - began
      composed(this.replay, this.canvas)
      if (waited < HOLD_MS || (this.bytes < LEAST && waited < PATIENCE_MS)) return
      clearInterval(this.ending)
      this.recorder.stop()
    }, SLICE_MS)
  }
}
