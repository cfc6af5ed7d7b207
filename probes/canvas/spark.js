// The line of a card: a series in a box of 100 by 34.

/**
 * Points "x,y" of the known values of a series, from left to right; flat in the middle where all are the
 * same.
 * @param {(number | null)[]} values
 */
export function sparkPoints(values) {
  const known = values.filter((value) => value !== null)
  const low = Math.min(...known)
  const high = Math.max(...known)
  const y = (/** @type {number} */ value) => (high === low ? 16 : 30 - (26 * (value - low)) / (high - low))
  return values.flatMap((value, i) =>
    value === null
      ? []
      : [`${((100 * i) / Math.max(values.length - 1, 1)).toFixed(2)},${y(value).toFixed(2)}`],
  )
}
