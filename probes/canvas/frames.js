// Steps and frames: a frame is drawn from one recorded step or a mean of several, and a position lies on or
// between frames.

/**
 * Fractional frame index of a step: the frames' steps increase, so bisect and interpolate.
 * @param {ArrayLike<number>} steps of the frames
 * @param {number} step
 */
export function framePosition(steps, step) {
  let low = 0
  let high = steps.length - 1
  if (high <= 0 || step <= steps[0]) return 0
  if (step >= steps[high]) return high
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (steps[middle] <= step) low = middle
    else high = middle
  }
  return low + (step - steps[low]) / (steps[high] - steps[low])
}

/**
 * A number at a position, linear between two frames; not finite where one of the two is not.
 * @param {ArrayLike<number>} values (frames, rows) in C order
 * @param {number} position fractional frame index
 */
export function interpolate(values, position, row = 0, rows = 1) {
  const last = values.length / rows - 1
  const at = Math.min(position, last)
  const low = Math.floor(at)
  const high = Math.min(low + 1, last)
  const share = at - low
  const before = values[low * rows + row]
  return share === 0 ? before : before + (values[high * rows + row] - before) * share
}

/**
 * Ticks at the steps 0, 1, 2, 5, 10 ... that the frames span, at least `gap` pixels apart, and at the last
 * step.
 * @param {ArrayLike<number>} steps of the frames
 * @param {(position: number) => number} x where a position stands, pixels
 */
export function stepTicks(steps, x, gap = 46) {
  const first = steps[0]
  const last = steps[steps.length - 1]
  const wanted = [first]
  for (let decade = 1; decade <= last; decade *= 10) for (const k of [1, 2, 5]) wanted.push(k * decade)
  const ticks = []
  const end = x(steps.length - 1)
  let before = -Infinity
  for (const step of wanted.filter((s) => s >= first && s < last).sort((a, b) => a - b)) {
    const at = x(framePosition(steps, step))
    if (at - before < gap || end - at < gap) continue
    ticks.push({ x: at, step })
    before = at
  }
  ticks.push({ x: end, step: last })
  return ticks
}

const EVEN = 0.05 // share of the span by which the middle frame of a linear scale may be off

/**
 * How an axis of frames is scaled, in words: frames are log-spaced in step where there are more steps than
 * frames.
 * @param {ArrayLike<number>} steps of the frames
 */
export function scaleName(steps) {
  const last = steps.length - 1
  const span = steps[last] - steps[0]
  const middle = (steps[Math.floor(last / 2)] + steps[Math.ceil(last / 2)]) / 2
  const linear = last < 2 || Math.abs(middle - steps[0] - span / 2) <= EVEN * span
  return linear ? "step" : "step, log scale"
}

const HARDLY = 0.12 // of what moves most: where less moves there is nothing to see

/**
 * Which frames hardly move towards the next: of each, whether a replay may hurry over it.
 * @param {ArrayLike<number>} motion of each frame to the next; not finite where it is not known
 * @returns {boolean[]}
 */
export function stillFrames(motion) {
  const known = Array.from(motion)
    .filter(Number.isFinite)
    .sort((a, b) => a - b)
  const much = known[Math.floor(0.9 * known.length)] || 0
  return Array.from(motion, (moved) => !(moved > HARDLY * much))
}
