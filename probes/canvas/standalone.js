// A replay where no server draws it anew: in a report, in a notebook.

import { Replay } from "./replay.js"

const SEEN = 0.4 // share of the picture in view at which it begins to play
const PITCH = 17 // pixels between two ridges: such a page scrolls, so the picture needs not fit the window

/**
 * Show a payload in an element, in a shadow of its own: at its cursor; without one at the last step, and from
 * the beginning once it comes into view.
 * @param {HTMLElement} host says the colours by the css variables that `theme.js` reads
 * @param {Node} content style and markup of the replay
 * @param {Uint8Array} payload whose header has no autoplay
 */
export function showReplay(host, content, payload) {
  const root = host.attachShadow({ mode: "open" })
  root.append(content)
  const replay = new Replay(root, { pageKeys: false, leastPitch: PITCH })
  replay.load(payload)
  const { signal } = replay.closed
  const scheme = matchMedia("(prefers-color-scheme: dark)")
  scheme.addEventListener("change", () => replay.repaint(), { signal })
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches
  if (replay.header.cursor === null && !still) playOnceSeen(replay, signal)
  return replay
}

/** @param {Replay} replay @param {AbortSignal} signal when it is closed */
function playOnceSeen(replay, signal) {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries[0].isIntersecting) return
      observer.disconnect()
      replay.transport.play()
    },
    { threshold: SEEN },
  )
  observer.observe(replay.canvas)
  signal.addEventListener("abort", () => observer.disconnect())
}
