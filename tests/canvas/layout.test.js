import assert from "node:assert/strict"
import { test } from "node:test"

import { colorTable, parseHex } from "../../probes/canvas/color.js"
import {
  LEFT,
  TOP,
  cellAt,
  cellColors,
  cellPlace,
  cellValue,
  paintCells,
} from "../../probes/canvas/heatmap_layout.js"
import { COLOR_SCALES } from "../../probes/canvas/palette.js"
import { LABELS, PEAK_ROWS, RidgeLayout } from "../../probes/canvas/ridge_layout.js"
import { scoreRange, spreadApart } from "../../probes/canvas/strip.js"
import { TileLayout, sortedTiles } from "../../probes/canvas/tile_layout.js"

const LAYERS = [{ neurons: [0, 1, 2, 3, 4, 5] }, { neurons: [7, 8] }]
const ridges = (more = {}) =>
  new RidgeLayout({ columns: 2, rows: 6, width: 800, room: 500, range: 4, ...more })

/** A path that keeps its points. */
function trace() {
  /** @type {[number, number][]} */
  const points = []
  const add = (/** @type {number} */ x, /** @type {number} */ y) => void points.push([x, y])
  return { points, beginPath() {}, moveTo: add, lineTo: add, closePath() {} }
}

test("a ridge is found where it stands, and nowhere else", () => {
  for (const layout of [ridges(), ridges({ top: 26 })]) {
    for (const [column, row] of [
      [0, 0],
      [0, 5],
      [1, 1],
    ]) {
      const y = layout.top + layout.baseline(row) - layout.pitch / 2
      const found = layout.at(layout.x(column, 0), y, LAYERS)
      assert(found !== null && found.column === column && found.row === row)
    }
    assert.equal(layout.at(layout.x(1, 0), layout.top + layout.baseline(4), LAYERS), null, "a shorter column")
    assert.equal(layout.at(layout.x(0, 0), 5, LAYERS), null, "above the first")
    assert.equal(layout.at(900, layout.baseline(0), LAYERS), null, "right of the last")
  }
})

test("rows share the room, but never come too close; narrow columns scroll", () => {
  assert.equal(ridges().pitch, 44)
  assert.equal(ridges({ rows: 3 }).pitch, 64)
  assert.equal(ridges({ rows: 60 }).pitch, 13, "the neurons' names are 11 pixels high")
  assert.equal(ridges({ rows: 60, leastPitch: 17 }).pitch, 17)
  assert.equal(ridges({ columns: 8 }).width, 8 * 150)
  const fitted = ridges({ rows: 24 })
  assert(Math.abs(fitted.height - 500) <= 1)
})

test("the axis is the same in all columns, with the prior's mean in the middle", () => {
  const layout = ridges()
  const [left, right] = layout.ends(1)
  assert.equal(left, 400 + LABELS)
  assert.equal(layout.x(1, 0), (left + right) / 2)
  assert.equal(layout.x(1, 2) - layout.x(1, 0), layout.x(0, 2) - layout.x(0, 0))
})

test("marks of the axis are whole sds, the prior's mean among them, and never too close", () => {
  assert.deepEqual(ridges({ range: 3.4 }).ticks(), [-3, -2, -1, 0, 1, 2, 3])
  assert.deepEqual(ridges({ range: 5.5 }).ticks(), [-4, -2, 0, 2, 4])
  assert.deepEqual(ridges({ range: 3.4, columns: 6 }).ticks(), [-2, 0, 2])
})

test("narrow ridges are high: by the root of the sd, up to a limit", () => {
  const layout = ridges()
  assert.equal(layout.peak(1), 0.95 * layout.pitch)
  assert(Math.abs(layout.peak(0.25) - 2 * layout.peak(1)) < 1e-9)
  assert.equal(layout.peak(1e-4), PEAK_ROWS * layout.pitch)
})

test("a bell peaks at its mean, one sd away it has fallen to e^-1/2, and it ends with the axis", () => {
  const layout = ridges()
  const { points, ...path } = trace()
  assert(layout.bell(path, 0, 100, 0.5, 1, 20, false))
  assert(
    points.every(([, y]) => y < 99.5),
    "an outline leaves its baseline to be seen",
  )
  const top = points.reduce((best, point) => (point[1] < best[1] ? point : best))
  assert(Math.abs(top[0] - layout.x(0, 0.5)) < 5)
  assert(Math.abs(top[1] - 80) < 0.2)
  for (const [x, y] of points) {
    const z = (x - layout.x(0, 0)) / (layout.x(0, 1) - layout.x(0, 0))
    assert(Math.abs(100 - y - 20 * Math.exp(-0.5 * (z - 0.5) ** 2)) < 1e-6)
  }
  const [left, right] = layout.ends(0)
  const wide = trace()
  layout.bell(wide, 0, 100, 3, 2, 20, true)
  assert(wide.points.every(([x]) => x >= left && x <= right + 1e-9))
  assert.equal(wide.points[0]?.[1], 100, "an area begins on its baseline")
  assert.equal(wide.points.at(-1)?.[1], 100, "and ends there")
  assert.equal(layout.bell(trace(), 0, 100, 40, 1, 20, false), false, "outside the axis")
})

test("a cell of the heatmap is found where it is drawn", () => {
  const grid = { rows: 7, columns: 40 }
  const size = { width: 640, height: 126 }
  for (const cell of [
    { row: 0, column: 0 },
    { row: 6, column: 39 },
    { row: 3, column: 20 },
  ]) {
    const { x, y } = cellPlace(cell, size, grid)
    assert.deepEqual(cellAt(x, y, size, grid), cell)
  }
  assert.deepEqual(cellAt(LEFT, TOP, size, grid), { row: 0, column: 0 })
  assert.deepEqual(cellAt(LEFT + 639, TOP + 125, size, grid), { row: 6, column: 39 })
  assert.equal(cellAt(LEFT + 5, TOP - 1, size, grid), null)
  assert.equal(cellAt(LEFT - 1, TOP + 5, size, grid), null)
  assert.equal(cellAt(80, 400, size, grid), null)
})

test("a cell's byte is a value of its scale and a colour of its table; 0 is nothing", () => {
  assert.equal(cellValue(1, { low: 2, high: 4, log: false }), 2)
  assert.equal(cellValue(128, { low: 2, high: 4, log: false }), 3)
  assert.equal(cellValue(255, { low: 1, high: 100, log: true }), 100)
  assert(Math.abs(cellValue(128, { low: 1, high: 100, log: true }) - 10) < 1e-9)
  assert.deepEqual(
    [...paintCells(new Uint8Array([0, 1, 255]), cellColors("Cividis"))],
    [...[0, 0, 0, 0], ...parseHex(COLOR_SCALES.Cividis[0]), 255, ...parseHex(COLOR_SCALES.Cividis[9]), 255],
  )
})

test("colours of heatmaps are pinned: the lowest value is the scale's first colour", () => {
  assert.deepEqual(cellColors("Viridis"), colorTable(COLOR_SCALES.Viridis))
  assert.deepEqual(cellColors("Cividis")[0], [0, 34, 78])
  assert.deepEqual(cellColors("Cividis")[255], [254, 232, 56])
  assert.deepEqual(cellColors("Viridis")[0], [68, 1, 84])
  assert.deepEqual(cellColors("Viridis")[255], [253, 231, 37])
  assert.deepEqual(cellColors("diverging")[0], [33, 102, 172], "negative is blue")
  assert.deepEqual(cellColors("diverging")[255], [178, 24, 43], "positive is red")
  assert.throws(() => cellColors("Rainbow"), /Rainbow/)
})

test("rows of tiles begin at round numbers of neurons, and a tile is found where it stands", () => {
  for (const [counts, width] of /** @type {[number[], number][]} */ ([
    [[64, 64, 8], 620],
    [[4096], 900],
    [[1], 300],
  ])) {
    const layout = new TileLayout(counts, width)
    assert.equal(layout.perRow % 8, 0)
    counts.forEach((count, layer) => {
      for (const neuron of [0, count - 1]) {
        const { x, y } = layout.place(layer, neuron)
        assert.deepEqual(layout.at(x + layout.side / 2, y + layout.side / 2), { layer, neuron })
      }
    })
    assert.equal(layout.at(50, layout.tops[0] + 3), null, "on the name")
    assert.equal(layout.at(width - 2, layout.height - 1), null, "below the last")
  }
})

test("names beside the strip stand apart, in order, and none below the lowest", () => {
  assert.deepEqual(spreadApart([10, 12, 50], 66), [10, 22, 50])
  assert.deepEqual(spreadApart([60, 62, 64], 66), [42, 54, 66])
  assert.deepEqual(spreadApart([], 66), [])
})

test("a score's first values, far above the rest, do not flatten it", () => {
  const values = Array.from({ length: 101 }, (_, i) => (i ? 3 - i / 100 : 1e4))
  assert.deepEqual(scoreRange([...values, NaN]), { low: 2, high: 2.98 })
  assert.deepEqual(scoreRange([4]), { low: 3.5, high: 4.5 })
})

test("sorted tiles keep every neuron once, those of one regime in order of their numbers", () => {
  const codes = [4, 0, 6, 0, 4]
  assert.deepEqual(
    sortedTiles(codes, (code) => code),
    [1, 3, 0, 4, 2],
  )
  assert.deepEqual(
    sortedTiles([], (code) => code),
    [],
  )
})
