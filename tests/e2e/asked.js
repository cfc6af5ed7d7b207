// Put into a page before its own scripts run: `asked.busy()`, whether the server still owes a run of the page that was
// asked for. The page says itself that a script runs only once the server has begun it.
(() => {
  const RERUN = 0x5a // how a BackMsg with rerun_script begins
  const NEW_SESSION = 4, SCRIPT_FINISHED = 6 // fields of a ForwardMsg: a run begins, and ends
  const FOR_ANOTHER = 2 // a run that ended because the next one was asked for
  const QUIET_MS = 250 // since a key, a click, a word of the server: a table waits before it tells of a tick
  const DROPPED_MS = 10_000 // a part of the page that is gone asks for a run that never begins
  let state = "idle", last = 0

  // The fields of a message and, of those that are numbers, their values.
  function fields(bytes) {
    const found = new Map()
    let at = 0
    const number = () => {
      let value = 0
      for (let shift = 1; ; shift *= 128) {
        const byte = bytes[at++]
        value += (byte & 127) * shift
        if (!(byte & 128)) return value
      }
    }
    while (at < bytes.length) {
      const tag = number(), kind = tag & 7
      const value = number() // Streamlit's outermost fields are numbers, texts and messages
      if (kind === 2) at += value
      found.set(tag >> 3, value)
    }
    return found
  }
  function heard(event) {
    last = performance.now()
    if (!(event.data instanceof ArrayBuffer)) return
    const message = fields(new Uint8Array(event.data))
    if (message.has(NEW_SESSION)) state = "running"
    else if (state === "running" && message.has(SCRIPT_FINISHED) && message.get(SCRIPT_FINISHED) !== FOR_ANOTHER) state = "idle"
  }
  const send = WebSocket.prototype.send, known = new WeakSet()
  WebSocket.prototype.send = function (data) {
    if (!known.has(this)) {
      known.add(this)
      this.addEventListener("message", heard)
    }
    if (data instanceof Uint8Array && data[0] === RERUN) [state, last] = ["asked", performance.now()]
    return send.call(this, data)
  }
  for (const kind of ["click", "keydown", "input"]) {
    addEventListener(kind, () => { if (state !== "asked") last = performance.now() }, true)
  }
  window.asked = {
    busy: () => performance.now() - last < (state === "asked" ? DROPPED_MS : QUIET_MS) || state === "running",
  }
})()
