import assert from "node:assert/strict"
import { test } from "node:test"

import { ReplayData } from "../../probes/canvas/replay_data.js"
import {
  axisTicks,
  binned,
  curve,
  density,
  logBessel0,
  logGamma,
  peakOf,
  places,
} from "../../probes/canvas/shapes.js"
import { payload } from "./payloads.js"

const near = (/** @type {number} */ found, /** @type {number} */ wanted, relative = 1e-5) =>
  assert(Math.abs(found - wanted) <= relative * Math.max(Math.abs(wanted), 1e-6), `${found} is not ${wanted}`)

/**
 * A density's mass by the trapezoidal rule.
 * @param {string} family @param {Record<string, number>} p @param {number} low @param {number} high
 */
function mass(family, p, low, high, points = 20001) {
  const step = (high - low) / (points - 1)
  let sum = 0
  for (let i = 0; i < points; i++)
    sum += (i === 0 || i === points - 1 ? 0.5 : 1) * density(family, p, low + i * step)
  return sum * step
}

test("special functions are those of tables", () => {
  near(logGamma(0.5), Math.log(Math.sqrt(Math.PI)))
  near(logGamma(10), Math.log(362880))
  near(logGamma(0.1), 2.252712651734206)
  near(logBessel0(1), Math.log(1.2660658777520084), 1e-6)
  near(logBessel0(10), Math.log(2815.716628466254), 1e-6)
})

test("every density has the mass 1 on its support and nothing outside", () => {
  const cases = /** @type {[string, Record<string, number>, number, number][]} */ ([
    ["beta", { concentration1: 3, concentration0: 5 }, 0, 1],
    ["gamma", { concentration: 3, rate: 2 }, 0, 30],
    ["inverse_gamma", { concentration: 5, rate: 4 }, 1e-9, 80],
    ["exponential", { rate: 0.7 }, 0, 60],
    ["laplace", { loc: 1, scale: 0.5 }, -30, 30],
    ["student_t", { df: 5, loc: 1, scale: 0.5 }, -60, 60],
    ["von_mises", { loc: 1, concentration: 4 }, -Math.PI, Math.PI],
    ["gaussian", { loc: 1, scale: 2 }, -20, 20],
  ])
  for (const [family, p, low, high] of cases) near(mass(family, p, low, high), 1, 1e-3)
  for (const family of ["beta", "gamma", "inverse_gamma", "exponential"]) {
    const p = { concentration: 2, concentration1: 2, concentration0: 2, rate: 1 }
    assert.equal(density(family, p, -0.1), 0, family)
  }
  assert.equal(density("beta", { concentration1: 2, concentration0: 2 }, 1.1), 0)
})

test("a Poisson is a staircase of its probabilities", () => {
  const p = { rate: 3 }
  near(density("poisson", p, 2), (9 / 2) * Math.exp(-3))
  assert.equal(density("poisson", p, 2.9), density("poisson", p, 2))
  const at = places({ low: 0, high: 6, counts: true }, 3, 2)
  assert.deepEqual(
    at.map((z) => Math.floor(z)),
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
  )
})

test("a narrow density is seen on a wide axis; what cannot be told is no curve", () => {
  const p = { concentration1: 5000, concentration0: 5000 }
  const points = curve("beta", p, places({ low: 0, high: 1 }, 0.5, 0.005))
  near(peakOf(points), density("beta", p, 0.5), 0.05)
  assert.deepEqual(curve("beta", { concentration1: NaN, concentration0: 2 }, [0.5]), [])
})

test("axes are marked by what they are of", () => {
  const texts = (/** @type {Parameters<typeof axisTicks>[0]} */ axis, room = 300) =>
    axisTicks(axis, room).map(({ text }) => text)
  assert.deepEqual(texts({ support: "circle", low: -Math.PI, high: Math.PI }), [
    "−π",
    "−π/2",
    "0",
    "π/2",
    "π",
  ])
  assert.deepEqual(texts({ support: "unit", low: 0, high: 1 }), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
  assert.deepEqual(texts({ support: "counts", low: 0, high: 5 }), ["0", "1", "2", "3", "4"])
  const classes = ["3", "0", "2", "1", "5", "4", "9", "95 more"]
  const shown = texts({ support: "classes", low: 0, high: 8, classes, more: 95 })
  assert.equal(shown.at(-1), "95 more")
  assert(!shown.includes("9"), "what stands beside it would touch it")
  const few = texts({ support: "classes", low: 0, high: 8, classes: classes.slice(0, 7) }, 60)
  assert(few.length <= 3)
})

test("codes that share a bar show their mean", () => {
  assert.deepEqual(binned([1, 3, 5, 7, 9], 3), [2, 6, 9])
  assert.deepEqual(binned([1, 2], 10), [1, 2])
})

test("a layer of another family is read by its own arrays, and does not move the Gaussians' axis", () => {
  const shape = { kind: "density", parameters: ["rate"], classes: [], points: 0 }
  const header = {
    layers: [
      { neurons: [0], name: "z" },
      { neurons: [4, 7], name: "c", shape },
      { neurons: [], name: "book", shape: { kind: "book", parameters: [], classes: [] } },
    ],
    steps: [0, 10],
  }
  const data = new ReplayData(
    payload(header, {
      "mean.0": Float32Array.of(0, 0),
      "sd.0": Float32Array.of(1, 1),
      "total.0": Float32Array.of(1, 1),
      "inner.rate.1": Float32Array.of(1, 2, 3, 4),
      "mean.1": Float32Array.of(90, 90, 90, 90),
      "sd.1": Float32Array.of(9, 9, 9, 9),
      "usage.2": Float32Array.of(0.5, 0.5, 0, 1, 0, 0),
      "used.2": Float32Array.of(2, 1),
    }),
  )
  assert.equal(data.reach(), 3.3)
  assert.deepEqual(data.parameters(1, 1, 0.5, "inner"), { rate: 3 })
  assert.equal(data.parameters(1, 1, 0.5, "outer"), null)
  assert(Number.isNaN(data.moments(1, 0, 0).total))
  assert.deepEqual(data.usage(2, 1), [1, 0, 0])
  assert.equal(data.used(2, 0.9), 1)
})
