// Where the tiles of the regime map stand: square, as many in a row as a round number of neurons, so that
// each row starts at a neuron that one can name. Pixels.

export const LABEL = 96 // left of the tiles, for the layers' names
const GAP = 12 // between layers
const NAME = 36 // height of a layer's name and living share
const HEAD = 4
const LARGEST = 18 // side of a tile
const SMALLEST = 2 // below it, rows are not made longer
const TALLEST = 150 // height of a layer, and of all, while tiles stay visible
const ALL = 480
const LEAST_HEIGHT = 40

export class TileLayout {
  /**
   * @param {number[]} counts neurons of each layer
   * @param {number} width that there is
   */
  constructor(counts, width) {
    this.counts = counts
    this.width = width
    const room = width - LABEL
    const most = Math.max(...counts, 1)
    const tallest = Math.min(TALLEST, Math.max(ALL / counts.length, NAME))
    this.perRow = 8
    const side = () => Math.min(room / this.perRow, LARGEST)
    const tooWide = () => room / this.perRow > 1.5 * LARGEST
    const tooTall = () => Math.ceil(most / this.perRow) * side() > tallest && side() > SMALLEST
    while (this.perRow < most && (tooWide() || tooTall())) this.perRow *= 2
    this.side = side()
    let y = HEAD
    this.tops = counts.map((count) => {
      const top = y
      y += Math.max(Math.ceil(count / this.perRow) * this.side, NAME) + GAP
      return top
    })
    this.height = Math.max(y, LEAST_HEIGHT)
  }

  /**
   * The upper left corner of a tile.
   * @param {number} layer
   * @param {number} neuron or its rank, where tiles are sorted
   */
  place(layer, neuron) {
    return {
      x: LABEL + (neuron % this.perRow) * this.side,
      y: this.tops[layer] + Math.floor(neuron / this.perRow) * this.side,
    }
  }

  /**
   * The tile at a place, `neuron` a rank where tiles are sorted; null where there is none.
   * @param {number} x
   * @param {number} y
   * @returns {{ layer: number, neuron: number } | null}
   */
  at(x, y) {
    const layer = this.tops.findLastIndex((top) => y >= top)
    const column = Math.floor((x - LABEL) / this.side)
    if (layer < 0 || column < 0 || column >= this.perRow) return null
    const neuron = Math.floor((y - this.tops[layer]) / this.side) * this.perRow + column
    return neuron < this.counts[layer] ? { layer, neuron } : null
  }
}

/**
 * Neurons by the regime they are in, those that live first; of one regime in order of their numbers.
 * @param {ArrayLike<number>} codes of the neurons
 * @param {(code: number) => number} key regimes are sorted by
 * @returns {number[]} neurons by rank
 */
export function sortedTiles(codes, key) {
  const keys = Array.from(codes, key)
  return keys.map((_, neuron) => neuron).sort((a, b) => keys[a] - keys[b] || a - b)
}
