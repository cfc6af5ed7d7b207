import assert from "node:assert/strict"
import { test } from "node:test"

import { SvgContext } from "../../probes/canvas/svg_context.js"

const measure = () => /** @type {TextMetrics} */ ({ width: 10 })

test("what is drawn comes out as elements, moved and inked as on a canvas", () => {
  const svg = new SvgContext(measure)
  svg.save()
  svg.translate(10, 20)
  svg.beginPath()
  svg.moveTo(0, 0)
  svg.lineTo(1.005, 2)
  svg.fillStyle = "rgba(1,2,3,0.5)"
  svg.fill()
  svg.strokeStyle = "#0b6b9c"
  svg.lineWidth = 1.25
  svg.setLineDash([4, 3])
  svg.stroke()
  svg.restore()
  svg.fillStyle = "rgba(4,5,6,1)"
  svg.fillRect(1, 2, 3, 4)
  assert.deepEqual(svg.elements, [
    '<path d="M10 20L11 22" fill="rgb(1,2,3)" fill-opacity="0.5"/>',
    '<path d="M10 20L11 22" fill="none" stroke="#0b6b9c" stroke-width="1.25" stroke-dasharray="4 3"/>',
    '<rect x="1" y="2" width="3" height="4" fill="rgb(4,5,6)"/>',
  ])
})

test("text keeps its font and its side, and no name of a run can leave it", () => {
  const svg = new SvgContext(measure)
  svg.font = '600 14px "Source Sans", sans-serif'
  svg.textAlign = "right"
  svg.fillText('<script>"&', 5, 6)
  assert.equal(
    svg.elements[0],
    '<text x="5" y="6" font-family="&quot;Source Sans&quot;, sans-serif" font-size="14" font-weight="600" ' +
      'text-anchor="end" fill="#000">&lt;script&gt;&quot;&amp;</text>',
  )
  assert.match(
    svg.file(10, 20, "a < b"),
    /^<svg xmlns="[^"]*" width="10" height="20".*<title>a &lt; b<\/title>/s,
  )
})
