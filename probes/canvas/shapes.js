// Distributions beside the Gaussian as numbers: densities by family, and where a curve of one is to be taken.
// Parameters are named as `torch.distributions` names them. Nothing here needs a browser.

/** @typedef {Record<string, number>} Parameters of one member of a family */

const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]
const HALF_LOG_TWO_PI = 0.5 * Math.log(2 * Math.PI)
const EVEN = 56 // points over the axis
const AROUND = 32 // and around the mean, where a narrow one has its mass
const SDS = 4 // so far to both sides of the mean
const MORE_ROOM = 60 // pixels that are kept free for how many classes share the last bar
const INSET = 0.004 // of the axis: at its very end a density may be infinite

/**
 * Logarithm of the gamma function, for x > 0: Lanczos 1964.
 * @param {number} x
 * @returns {number}
 */
export function logGamma(x) {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  const t = x + 6.5
  const sum = LANCZOS.reduce((total, c, i) => total + (i ? c / (x - 1 + i) : c), 0)
  return HALF_LOG_TWO_PI + (x - 0.5) * Math.log(t) - t + Math.log(sum)
}

/**
 * Logarithm of the modified Bessel function I0, for x >= 0: Abramowitz & Stegun 9.8.1 and 9.8.2.
 * @param {number} x
 */
export function logBessel0(x) {
  const horner = (/** @type {number[]} */ c, /** @type {number} */ t) => c.reduceRight((s, a) => s * t + a, 0)
  if (x < 3.75) {
    const t = (x / 3.75) ** 2
    return Math.log(horner([1, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813], t))
  }
  const c = [
    0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633,
    0.00392377,
  ]
  return x - 0.5 * Math.log(x) + Math.log(horner(c, 3.75 / x))
}

/** @type {Record<string, (p: Parameters, z: number) => number>} family -> logarithm of its density at z */
const LOG_DENSITIES = {
  beta: ({ concentration1: a, concentration0: b }, z) =>
    z < 0 || z > 1
      ? -Infinity
      : (a - 1) * Math.log(z) + (b - 1) * Math.log1p(-z) + logGamma(a + b) - logGamma(a) - logGamma(b),
  gamma: ({ concentration: a, rate }, z) =>
    z <= 0 ? -Infinity : a * Math.log(rate) + (a - 1) * Math.log(z) - rate * z - logGamma(a),
  inverse_gamma: ({ concentration: a, rate }, z) =>
    z <= 0 ? -Infinity : a * Math.log(rate) - (a + 1) * Math.log(z) - rate / z - logGamma(a),
  exponential: ({ rate }, z) => (z < 0 ? -Infinity : Math.log(rate) - rate * z),
  laplace: ({ loc, scale }, z) => -Math.abs(z - loc) / scale - Math.log(2 * scale),
  student_t: ({ df, loc, scale }, z) =>
    logGamma((df + 1) / 2) -
    logGamma(df / 2) -
    0.5 * Math.log(df * Math.PI) -
    Math.log(scale) -
    ((df + 1) / 2) * Math.log1p(((z - loc) / scale) ** 2 / df),
  von_mises: ({ loc, concentration: k }, z) => k * Math.cos(z - loc) - Math.log(2 * Math.PI) - logBessel0(k),
  poisson: ({ rate }, z) =>
    z < 0 ? -Infinity : Math.floor(z) * Math.log(rate) - rate - logGamma(Math.floor(z) + 1),
  gaussian: ({ loc, scale }, z) => -0.5 * ((z - loc) / scale) ** 2 - Math.log(scale) - HALF_LOG_TWO_PI,
}

/**
 * Density of a member of a family at z; of counts the probability of the whole number at or below z. NaN where
 * a parameter is none.
 * @param {string} family
 * @param {Parameters} parameters
 * @param {number} z
 */
export function density(family, parameters, z) {
  return Math.exp(LOG_DENSITIES[family](parameters, z))
}

/**
 * Where a curve is taken: evenly over the axis, closer around the mean; of counts at both sides of each step.
 * @param {object} axis
 * @param {number} axis.low
 * @param {number} axis.high
 * @param {boolean} [axis.counts]
 * @param {number} mean
 * @param {number} sd
 */
export function places({ low, high, counts = false }, mean, sd) {
  if (counts) {
    const whole = Array.from({ length: Math.max(Math.round(high - low), 1) }, (_, i) => Math.round(low) + i)
    return whole.flatMap((count) => [count, count + 1 - 1e-9])
  }
  const inset = INSET * (high - low)
  const [from, to] = [low + inset, high - inset]
  const even = Array.from({ length: EVEN }, (_, i) => from + ((to - from) * i) / (EVEN - 1))
  const near = Array.from({ length: AROUND }, (_, i) => mean + SDS * sd * ((2 * i) / (AROUND - 1) - 1))
  return [...even, ...near.filter((z) => z > from && z < to)].sort((a, b) => a - b)
}

/**
 * A curve as points [z, density]; empty where it cannot be told.
 * @param {string} family
 * @param {Parameters} parameters
 * @param {number[]} at
 * @returns {[number, number][]}
 */
export function curve(family, parameters, at) {
  if (!Object.values(parameters).every(Number.isFinite)) return []
  const points = at.map((z) => /** @type {[number, number]} */ ([z, density(family, parameters, z)]))
  return points.filter(([, height]) => Number.isFinite(height))
}

/**
 * The highest of a curve's points.
 * @param {readonly (readonly [number, number])[]} points
 */
export const peakOf = (points) => points.reduce((most, [, height]) => Math.max(most, height), 0)

/**
 * Round marks of an axis, few, with their texts.
 * @param {object} axis
 * @param {string} axis.support as `probes/families` names it
 * @param {number} axis.low
 * @param {number} axis.high
 * @param {string[]} [axis.classes]
 * @param {number} [axis.more] classes that share the last one
 * @param {number} room pixels that the axis is long
 * @returns {{ z: number, text: string }[]}
 */
export function axisTicks({ support, low, high, classes = [], more = 0 }, room) {
  if (support === "classes") {
    const every = Math.max(Math.ceil((classes.length * 22) / Math.max(room, 1)), 1)
    const last = classes.length - 1
    const slot = room / Math.max(classes.length, 1)
    const beside = (/** @type {number} */ i) => more > 0 && (last - i) * slot < MORE_ROOM
    const shown = (/** @type {number} */ i) => (beside(i) ? i === last : i % every === 0)
    return classes.map((text, i) => ({ z: i + 0.5, text })).filter((_, i) => shown(i))
  }
  if (support === "circle") {
    return [-1, -0.5, 0, 0.5, 1].map((share, i) => ({
      z: share * Math.PI,
      text: ["−π", "−π/2", "0", "π/2", "π"][i],
    }))
  }
  const rough = (high - low) / Math.max(Math.min(room / 40, 6), 2)
  const decade = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((k) => k * decade).find((size) => size >= rough) || decade
  const every = support === "counts" ? Math.max(Math.round(step), 1) : step
  const first = Math.ceil(low / every - 1e-9)
  const digits = Math.max(-Math.floor(Math.log10(every) + 1e-9), 0)
  return Array.from({ length: Math.floor(high / every + 1e-9) - first + 1 }, (_, i) => {
    const z = (first + i) * every
    const text = Math.abs(z) >= 1e5 ? z.toExponential(0) : z.toFixed(digits)
    return { z: support === "counts" ? z + 0.5 : z, text: text.replace("-", "−") }
  }).filter(({ z }) => z >= low && z <= high)
}

/**
 * Heights of bars that stand for more classes than there is room for pixels: neighbours share one, their mean.
 * @param {ArrayLike<number>} shares
 * @param {number} most
 */
export function binned(shares, most) {
  const every = Math.ceil(shares.length / Math.max(most, 1))
  return Array.from({ length: Math.ceil(shares.length / every) }, (_, bin) => {
    const part = Array.from(shares).slice(bin * every, (bin + 1) * every)
    return part.reduce((sum, share) => sum + share, 0) / part.length
  })
}
