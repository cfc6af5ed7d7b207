import assert from "node:assert/strict"
import { test } from "node:test"

import { fitText } from "../../probes/canvas/drawing.js"
import { formatNumber, formatShort, formatStep, fullName, livingInWords } from "../../probes/canvas/format.js"
import { sparkPoints } from "../../probes/canvas/spark.js"

test("numbers have about three digits, a true minus, a dash where there is none", () => {
  const said = [0, 0.1234, 1.234, 12.34, 123.4, -0.5, 0.00012, 123456, NaN, Infinity].map(formatNumber)
  assert.equal(formatNumber(-0.00037), "−3.7e-4")
  assert.deepEqual(said, ["0.000", "0.123", "1.23", "12.3", "123", "−0.500", "1.2e-4", "1.2e+5", "–", "–"])
})

test("a living share is of the neurons whose regime is known", () => {
  assert.equal(livingInWords(3, 0, 4), "75 % living")
  assert.equal(livingInWords(3, 2, 8), "50 % living, 2 unknown")
  assert.equal(livingInWords(0, 2, 3), "2 unknown")
  assert.equal(livingInWords(0, 3, 3), "regimes unknown")
})

test("steps are whole, thousands apart, short on axes", () => {
  assert.equal(formatStep(1234567.4), "1,234,567")
  assert.deepEqual([999, 9999, 12345, 1.5e6].map(formatShort), ["999", "9,999", "12.3k", "1.5M"])
})

test("a neuron's layer counts from 1, and is named where its name says more", () => {
  assert.equal(fullName(1, 17, "layer 2"), "2:17")
  assert.equal(fullName(0, 3, "encoder"), "1:3 · encoder")
})

test("text that does not fit ends in an ellipsis", () => {
  const context = {
    measureText: (/** @type {string} */ text) => /** @type {TextMetrics} */ ({ width: [...text].length }),
  }
  assert.equal(fitText(context, "layer", 5), "layer")
  assert.equal(fitText(context, "a long name", 6), "a lon…")
})

test("a spark line leaves out what is unknown, and lies in the middle where all is the same", () => {
  assert.deepEqual(sparkPoints([0, null, 2]), ["0.00,30.00", "100.00,4.00"])
  assert.deepEqual(sparkPoints([3, 3]), ["0.00,16.00", "100.00,16.00"])
})
