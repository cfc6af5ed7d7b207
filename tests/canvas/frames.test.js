import assert from "node:assert/strict"
import { test } from "node:test"

import { framePosition, interpolate, scaleName, stepTicks, stillFrames } from "../../probes/canvas/frames.js"

const STEPS = [0, 1, 2, 5, 10, 100]

test("a step lies on its frame or between two, and never outside", () => {
  STEPS.forEach((step, frame) => assert.equal(framePosition(STEPS, step), frame))
  assert.equal(framePosition(STEPS, 55), 4.5)
  assert.equal(framePosition(STEPS, -3), 0)
  assert.equal(framePosition(STEPS, 1e9), 5)
  assert.equal(framePosition([7], 9), 0)
})

test("numbers between frames are on the straight line, and row by row", () => {
  const values = [0, 10, 4, 30, 8, 50] // three frames of two rows
  assert.equal(interpolate(values, 1, 0, 2), 4)
  assert.equal(interpolate(values, 0.25, 0, 2), 1)
  assert.equal(interpolate(values, 1.5, 1, 2), 40)
  assert.equal(interpolate(values, 9, 1, 2), 50, "beyond the end the last frame holds")
})

test("a frame that was not recorded spreads to neither side of itself", () => {
  const values = [1, NaN, 3]
  assert.equal(interpolate(values, 0), 1)
  assert(Number.isNaN(interpolate(values, 0.5)))
  assert.equal(interpolate(values, 2), 3)
})

test("ticks are round steps apart from each other, and the last step", () => {
  const ticks = stepTicks(STEPS, (position) => position * 30)
  assert.deepEqual(
    ticks.map((tick) => tick.step),
    [0, 2, 100],
  )
  for (let i = 1; i < ticks.length; i++) assert(ticks[i].x - ticks[i - 1].x >= 46)
  assert.deepEqual(
    stepTicks([3], () => 0),
    [{ x: 0, step: 3 }],
  )
})

test("a scale is called logarithmic where its middle lies far from halfway", () => {
  const steps = Array.from({ length: 200 }, (_, i) => i)
  assert.equal(scaleName(steps), "step")
  assert.equal(scaleName(steps.map((i) => Math.round(1.05 ** i))), "step, log scale")
  assert.equal(scaleName([7]), "step")
})

test("frames that hardly move are found by what moves most", () => {
  const still = stillFrames([0, 0.001, 0.5, 1, 1, 0.9, NaN, 0.01])
  assert.deepEqual(still, [true, true, false, false, false, false, true, true])
  assert.deepEqual(stillFrames([]), [])
})
