import assert from "node:assert/strict"
import { test } from "node:test"

import { decodeBase64, unpack } from "../../probes/canvas/payload.js"
import { ReplayData } from "../../probes/canvas/replay_data.js"
import { payload } from "./payloads.js"

test("arrays of all three types come back, at any offset of the message", () => {
  // 1, -2, the least above 0, infinity, NaN
  const half = new Uint16Array([0x3c00, 0xc000, 0x0001, 0x7c00, 0x7e00])
  const packed = payload(
    { word: "ü" },
    { bytes: new Uint8Array([1, 2, 3]), half, floats: new Float32Array([0.5, NaN]) },
  )
  const moved = new Uint8Array(packed.length + 3)
  moved.set(packed, 3)
  const { header, arrays } = unpack(moved.subarray(3))
  assert.equal(/** @type {{ word: string }} */ (/** @type {unknown} */ (header)).word, "ü")
  assert.deepEqual([...arrays.bytes], [1, 2, 3])
  assert.deepEqual([...arrays.floats], [0.5, NaN])
  assert.deepEqual([...arrays.half], [1, -2, 2 ** -24, Infinity, NaN])
})

test("base64 is read as bytes", () => {
  assert.deepEqual([...decodeBase64("AAH/")], [0, 1, 255])
})

test("moments and series are read at the cursor, and the axis holds what ridges reach", () => {
  const data = new ReplayData(
    payload(
      { layers: [{ name: "one", neurons: [4, 9] }], steps: [0, 10] },
      {
        "mean.0": new Float32Array([0, 1, 2, 5]),
        "sd.0": new Float32Array([1, 1, 0.5, 0.5]),
        "total.0": new Float32Array([1, 1, NaN, 0.5]),
        "contraction.0": new Float32Array([0, 3]),
      },
    ),
  )
  assert.deepEqual(data.moments(0, 1, 0.5), { mean: 3, sd: 0.75, total: 0.75 })
  assert.equal(data.value("contraction", 0, 1 / 3), 1)
  assert.equal(data.reach(), 6)
})
