// What Python's `probes.canvas.pack` writes, read: uint32 header length, JSON padded to a multiple of 4, then
// the arrays that the header's `arrays` lists, little-endian, each padded to a multiple of 4.

/** @typedef {{ name: string, dtype: "uint8" | "float16" | "float32", size: number }} ListedArray */

const TYPES = { uint8: Uint8Array, float16: Uint16Array, float32: Float32Array }

/**
 * @template Header
 * @param {Uint8Array} bytes
 * @returns {{ header: Header & { arrays: ListedArray[] }, arrays: Record<string, Uint8Array | Float32Array>
 * }}
 */
export function unpack(bytes) {
  const copy = new Uint8Array(bytes).buffer // arrays of floats begin at multiples of four of their own buffer
  const length = new DataView(copy).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(copy, 4, length)))
  let offset = 4 + length
  /** @type {Record<string, Uint8Array | Float32Array>} */
  const arrays = {}
  for (const { name, dtype, size } of /** @type {ListedArray[]} */ (header.arrays)) {
    const raw = new TYPES[dtype](copy, offset, size)
    arrays[name] = raw instanceof Uint16Array ? fromHalf(raw) : raw
    offset += Math.ceil(raw.byteLength / 4) * 4
  }
  return { header, arrays }
}

/** @type {Float32Array | undefined} */
let halves

/**
 * IEEE binary16 to float32: not every browser has Float16Array. A table of all 65,536 values costs less than
 * the bits.
 * @param {Uint16Array} raw
 */
function fromHalf(raw) {
  const table = halves || (halves = Float32Array.from({ length: 65536 }, (_, bits) => halfValue(bits)))
  return Float32Array.from(raw, (bits) => table[bits])
}

/** @param {number} bits */
function halfValue(bits) {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction
}

/**
 * The bytes of a base64 text, as pages hold a payload that no server sends.
 * @param {string} text
 */
export const decodeBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
