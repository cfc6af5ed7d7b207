// How a view comes into a page: by Streamlit's component call, one view an element.

/** @typedef {ShadowRoot | HTMLElement} Root Where a component's markup lies. */
/** @typedef {(name: string, value: unknown) => void} Trigger Tells the server of something that was done. */
/**
 * What Streamlit hands a component.
 * @typedef {{ data?: Uint8Array, parentElement: Root, setTriggerValue: Trigger }} Call
 */

/**
 * @typedef {object} View
 * @property {(bytes: Uint8Array, trigger: Trigger) => void} load
 * @property {() => void} close
 */

/** @type {WeakMap<Root, View>} */
const views = new WeakMap()

/**
 * A component's entry point: one view an element, made at its first payload and kept while later ones are
 * loaded into it.
 * @param {new (root: Root) => View} Kind
 */
export const mounted =
  (Kind) =>
  (/** @type {Call} */ { data, parentElement, setTriggerValue }) => {
    if (!data || !data.byteLength) return undefined
    const view = views.get(parentElement) || new Kind(parentElement)
    views.set(parentElement, view)
    view.load(data, setTriggerValue)
    return () => {
      view.close()
      views.delete(parentElement)
    }
  }

/**
 * A new element that holds a text, as text: it can never become markup.
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
export function element(tag, className, text) {
  const node = document.createElement(tag)
  node.className = className
  if (text !== undefined) node.textContent = text
  return node
}

/**
 * The element of the markup that carries `data-NAME`.
 * @template {Element} T
 * @param {Root} root
 * @param {string} name
 * @param {new () => T} Kind
 * @returns {T}
 */
export function part(root, name, Kind) {
  const found = root.querySelector(`[data-${name}]`)
  if (!(found instanceof Kind)) throw new Error(`the markup has no ${Kind.name} with data-${name}`)
  return found
}
