// What is drawn on a canvas can be picked: by pointer, and by a mark that keys move while the canvas has the
// focus.

/**
 * @typedef {object} Pickable
 * @property {unknown} over what the pointer or the mark is on, null where there is nothing
 * @property {(event: MouseEvent) => void} hover
 * @property {() => void} unhover
 * @property {() => void} pick
 * @property {() => string} tell what it is on, in words
 */

/** @typedef {{ clientX: number, clientY: number }} Place A place in the window, pixels. */

/**
 * Enter picks, Escape takes the mark away; other keys go on to the transport.
 * @param {HTMLCanvasElement} canvas
 * @param {Element} live where screen readers announce what the mark is on
 * @param {Pickable} view
 * @param {Record<string, () => void>} moves a key's name and what it does with the mark
 */
export function pickable(canvas, live, view, moves) {
  /** @type {Record<string, () => void>} */
  const actions = { ...moves, Enter: () => view.pick(), Escape: () => view.unhover() }
  canvas.onpointermove = (event) => view.hover(event)
  canvas.onpointerleave = () => view.unhover()
  canvas.onclick = (event) => {
    // what was named; a click's place is in whole pixels and may lie in the next row
    if (!view.over) view.hover(event)
    view.pick()
  }
  canvas.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const action = actions[event.key]
    if (!action) return
    event.preventDefault()
    event.stopPropagation()
    action()
    live.textContent = view.over ? view.tell() : ""
  }
  canvas.onblur = () => view.unhover()
}

const TIP = 210 // pixels: as wide as a tip gets

/**
 * A text beside a place, inside the element that holds it.
 * @param {HTMLElement} tip
 * @param {Element} host
 * @param {Place} place
 * @param {string} text
 */
export function showTip(tip, host, place, text) {
  const box = host.getBoundingClientRect()
  tip.textContent = text
  tip.hidden = false
  tip.style.left = `${Math.min(place.clientX - box.left + 14, box.width - TIP)}px`
  tip.style.top = `${place.clientY - box.top + 16}px`
}

/**
 * @param {number} value
 * @param {number} count
 */
export const withinCount = (value, count) => Math.min(Math.max(value, 0), count - 1)
