// What a replay holds, and its numbers at any position between the frames.

import { interpolate } from "./frames.js"
import { unpack } from "./payload.js"

/**
 * One column.
 * @typedef {object} Layer
 * @property {string} name
 * @property {number} index its place in the run, from 0
 * @property {number} depth layers of the run
 * @property {number[]} neurons the shown ones, a ridge each
 * @property {number[]} pinned
 * @property {number | null} informative the neuron that holds most of its input
 * @property {number} count all neurons of the layer
 * @property {string} run
 * @property {0 | 1} side 1: of the second run
 * @property {number} last the run's last step
 */

/**
 * @typedef {object} Header
 * @property {string} view changes when another run is shown
 * @property {Layer[]} layers
 * @property {number[]} steps of the frames, increasing
 * @property {number | null} cursor the step that it opens on
 * @property {boolean} autoplay whether it opens playing where no cursor is given
 * @property {number | null} input the probe input whose posteriors are shown, null: the batch's moments
 * @property {string} chosen how the neurons were chosen, in words
 * @property {boolean} trail whether earlier steps stand behind the present one
 * @property {string} speed that it plays at, as the control names it
 * @property {string | null} score what stands over the strip, null: nothing
 * @property {{ step: number, alert: boolean }[]} events
 * @property {string[]} [along] what stands at each frame, where frames are positions of a sequence
 */

/**
 * Of a ridge, in prior sds: its mean, the sd of its mean posterior, the sd of the aggregate.
 * @typedef {"mean" | "sd" | "total"} Moment
 */
/**
 * Of a layer: the median of the variances, contraction, the share of living neurons; of a run: its score.
 * @typedef {"median" | "contraction" | "living" | "score"} Series
 */

const MOST = 8 // prior sds: what lies further out is written at the edge
const LEAST = 3.3 // prior sds: the prior itself

export class ReplayData {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    const { header, arrays } = unpack(bytes)
    this.header = /** @type {Header} */ (/** @type {unknown} */ (header))
    this.arrays = arrays
  }

  /** @param {Series} name @param {number} column */
  series(name, column) {
    return this.arrays[`${name}.${column}`]
  }

  /** @param {Series} name @param {number} column @param {number} position fractional frame index */
  value(name, column, position) {
    return interpolate(this.series(name, column), position)
  }

  /**
   * A ridge's mean, sd of its mean posterior, and sd of the aggregate.
   * @param {number} column
   * @param {number} row
   * @param {number} position fractional frame index
   */
  moments(column, row, position) {
    const rows = this.header.layers[column].neurons.length
    const at = (/** @type {Moment} */ name) =>
      interpolate(this.arrays[`${name}.${column}`], position, row, rows)
    return { mean: at("mean"), sd: at("sd"), total: at("total") }
  }

  // How much the ridges move from each frame to the next: the mean change of means and sds, prior sds.
  motion() {
    const frames = this.header.steps.length
    return Float64Array.from({ length: Math.max(frames - 1, 0) }, (_, frame) => {
      let sum = 0
      let count = 0
      this.header.layers.forEach(({ neurons }, column) => {
        for (const name of ["mean", "sd"]) {
          const values = this.arrays[`${name}.${column}`]
          for (let row = 0; row < neurons.length; row++) {
            const at = frame * neurons.length + row
            const moved = Math.abs(values[at + neurons.length] - values[at])
            if (!Number.isFinite(moved)) continue
            sum += moved
            count += 1
          }
        }
      })
      return sum / count
    })
  }

  // Half the width of one axis for all columns, prior sds: the prior, and nearly all that the neurons reach.
  reach() {
    /** @type {number[]} */
    const reached = []
    this.header.layers.forEach((_, column) => {
      const [mean, sd, total] = ["mean", "sd", "total"].map((name) => this.arrays[`${name}.${column}`])
      for (let i = 0; i < mean.length; i += 3) {
        const value = Math.abs(mean[i]) + 2 * (total[i] || sd[i])
        if (Number.isFinite(value)) reached.push(value)
      }
    })
    reached.sort((a, b) => a - b)
    return Math.min(Math.max(reached[Math.floor(reached.length * 0.99)] || LEAST, LEAST), MOST)
  }
}
