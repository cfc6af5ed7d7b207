// Numbers and steps as text.

/**
 * About three significant digits, a minus sign for a hyphen, a dash for what is not finite.
 * @param {number} value
 */
export function formatNumber(value) {
  if (!Number.isFinite(value)) return "–"
  const size = Math.abs(value)
  if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(1).replace(/^-/, "−")
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3).replace("-", "−")
}

/**
 * A layer's living share in words, as `living_share_of_counts` of probes/diagnostics.py has it: of the neurons
 * whose regime is known, absent where half of them is not.
 * @param {number} living
 * @param {number} unknown
 * @param {number} neurons all of them
 */
export function livingInWords(living, unknown, neurons) {
  const known = neurons - unknown
  if (known <= unknown) return unknown === neurons ? "regimes unknown" : `${formatStep(unknown)} unknown`
  const left = unknown ? `, ${formatStep(unknown)} unknown` : ""
  return `${Math.round((100 * living) / known)} % living${left}`
}

/**
 * Thousands apart.
 * @param {number} step
 */
export const formatStep = (step) => Math.round(step).toLocaleString("en-GB")

/**
 * As short as an axis needs it: 12k, 1.5M.
 * @param {number} step
 */
export function formatShort(step) {
  if (step >= 1e6) return `${+(step / 1e6).toFixed(1)}M`
  return step >= 1e4 ? `${+(step / 1e3).toFixed(1)}k` : formatStep(step)
}

/**
/**
 * A neuron's name: its layer, counted from 1, and its number in the layer: `probes/neuron_names.py`.
 * @param {number} layer from 0
 * @param {number} neuron from 0
 */
export const neuronName = (layer, neuron) => `${layer + 1}:${neuron}`

/**
 * A neuron's name, with that of its layer where that says more.
 * @param {number} layer from 0
 * @param {number} neuron from 0
 * @param {string} layerName
 */
export function fullName(layer, neuron, layerName) {
  const name = neuronName(layer, neuron)
  return layerName === `layer ${layer + 1}` ? name : `${name} · ${layerName}`
}
