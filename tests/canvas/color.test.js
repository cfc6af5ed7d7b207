import assert from "node:assert/strict"
import { test } from "node:test"

import {
  colorTable,
  parseHex,
  rgba,
  ridgeColors,
  scaleColor,
  sdColorIndex,
} from "../../probes/canvas/color.js"
import { COLOR_SCALES, SD_NARROW, SD_WIDE } from "../../probes/canvas/palette.js"

const { Viridis } = COLOR_SCALES

test("a wide sd is dark and a narrow one bright, logarithmically", () => {
  assert.equal(sdColorIndex(SD_WIDE), 0)
  assert.equal(sdColorIndex(SD_NARROW), 255)
  assert.equal(sdColorIndex(Math.sqrt(SD_WIDE * SD_NARROW)), 128)
  assert.equal(sdColorIndex(4), 0)
  assert.equal(sdColorIndex(0.001), 255)
})

test("the colour of an sd of 0.2 is pinned in both themes", () => {
  const at = sdColorIndex(0.2)
  assert.deepEqual(ridgeColors(false).colors[at], [59, 186, 117])
  assert.equal(ridgeColors(false).fills[at], "rgba(59,186,117,0.86)")
  assert.deepEqual(ridgeColors(true).colors[at], [100, 202, 94])
})

test("brighter means more certain: luminance rises as the sd falls", () => {
  const brightness = (/** @type {number} */ sd, /** @type {boolean} */ dark) => {
    const [red, green, blue] = ridgeColors(dark).colors[sdColorIndex(sd)]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const sds = [1.05, 0.8, 0.6, 0.45, 0.3, 0.2, 0.15, 0.1]
  for (const dark of [false, true]) {
    for (let i = 1; i < sds.length; i++) assert(brightness(sds[i], dark) > brightness(sds[i - 1], dark))
  }
})

test("a scale goes through its stops and holds its ends", () => {
  Viridis.forEach((stop, i) => assert.deepEqual(scaleColor(Viridis, i / 9), parseHex(stop)))
  assert.deepEqual(scaleColor(Viridis, -1), parseHex(Viridis[0]))
  assert.deepEqual(scaleColor(Viridis, 2), parseHex(Viridis[9]))
  assert.deepEqual(scaleColor(["#000000", "#ffffff"], 0.5), [128, 128, 128])
})

test("a table cuts the ends that it is told to", () => {
  assert.equal(colorTable(Viridis).length, 256)
  assert.deepEqual(colorTable(Viridis, 0.1, 0.9)[0], scaleColor(Viridis, 0.1))
  assert.deepEqual(colorTable(Viridis, 0.1, 0.9)[255], scaleColor(Viridis, 0.9))
  assert.equal(rgba([1, 2, 3], 0.5), "rgba(1,2,3,0.5)")
})
