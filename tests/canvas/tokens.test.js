import assert from "node:assert/strict"
import { test } from "node:test"
import { inkOn, scaleEnds, tokenColor, tokenSign } from "../../probes/canvas/tokens.js"

test("white space and the start of a sequence have signs", () => {
  assert.equal(tokenSign(""), "▸")
  assert.equal(tokenSign("\n"), "↵")
  assert.equal(tokenSign("a"), "a")
})

test("a token without a number has the page's background, and both signs their own hue", () => {
  const background = /** @type {[number, number, number]} */ ([255, 255, 255])
  assert.deepEqual(tokenColor(null, false, background), background)
  assert.deepEqual(tokenColor(0, true, background), background)
  const [red, , blue] = tokenColor(1, true, background)
  assert.ok(red > blue)
  const negative = tokenColor(-1, true, background)
  assert.ok(negative[2] > negative[0])
  assert.deepEqual(tokenColor(3, false, background), tokenColor(1, false, background))
})

test("text is black on bright and white on dark colours", () => {
  assert.equal(inkOn([255, 255, 255]), "#000")
  assert.equal(inkOn([10, 20, 60]), "#fff")
})

test("the scale says where numbers lie beyond its ends", () => {
  assert.deepEqual(scaleEnds({ low: 0, high: 6.5, signed: false, clipped: true }), ["0.000", "≥ 6.50"])
  assert.deepEqual(scaleEnds({ low: -2, high: 2, signed: true, clipped: true }), ["≤ −2.00", "≥ 2.00"])
  assert.deepEqual(scaleEnds({ low: -2, high: 2, signed: true, clipped: false }), ["−2.00", "2.00"])
})
