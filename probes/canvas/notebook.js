// The replay as a widget of a notebook: `anywidget` calls `render` with the traits of probes/notebook/replay.py.

import { framePosition } from "./frames.js"
import { showReplay } from "./standalone.js"

/**
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: unknown) => void} set
 * @property {() => void} save_changes
 * @property {(event: string, heard: () => void) => void} on
 * @property {(event: string, heard: () => void) => void} off
 */

/** @param {{ model: Model, el: HTMLElement }} view */
function render({ model, el }) {
  const host = document.createElement("div")
  host.className = "vdn-replay"
  el.append(host)
  const content = document.createRange().createContextualFragment(model.get("_content"))
  const sent = model.get("_payload")
  const replay = showReplay(host, content, new Uint8Array(sent.buffer, sent.byteOffset, sent.byteLength))
  const { transport } = replay
  transport.settle = (step) => {
    model.set("step", step)
    model.save_changes()
  }
  const follow = () => {
    const step = model.get("step")
    if (!transport.playing && step !== transport.step) transport.seek(framePosition(transport.steps, step))
  }
  model.on("change:step", follow)
  // It is put into the page only after this, and has no colours before.
  const shown = new ResizeObserver(() => replay.repaint())
  shown.observe(host)
  // A notebook says its theme by attributes of the page.
  const themes = new MutationObserver(() => replay.repaint())
  themes.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-name"] })
  return () => {
    model.off("change:step", follow)
    themes.disconnect()
    shown.disconnect()
    replay.close()
  }
}

export default { render }
