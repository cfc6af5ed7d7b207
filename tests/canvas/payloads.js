// Payloads as Python's `probes.canvas.pack` writes them.

/**
 * @param {object} header
 * @param {Record<string, Uint8Array | Uint16Array | Float32Array>} arrays Uint16Array: the bits of float16
 */
export function payload(header, arrays) {
  const dtype = (/** @type {ArrayBufferView} */ values) =>
    values instanceof Uint8Array ? "uint8" : values instanceof Uint16Array ? "float16" : "float32"
  const listed = Object.entries(arrays).map(([name, values]) => ({
    name,
    dtype: dtype(values),
    size: values.length,
  }))
  const text = new TextEncoder().encode(JSON.stringify({ ...header, arrays: listed }))
  const parts = [Uint8Array.from([...text, ...Array(-text.length & 3).fill(32)])]
  for (const values of Object.values(arrays)) {
    const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    parts.push(Uint8Array.from([...raw, ...Array(-raw.length & 3).fill(0)]))
  }
  const length = new Uint8Array(Uint32Array.of(parts[0].length).buffer)
  return Uint8Array.from([length, ...parts].flatMap((part) => [...part]))
}
