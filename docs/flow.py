"""Draws docs/flow.svg: how rows get from many machines to one answer. python docs/flow.py

One picture for both themes: an SVG that follows the reader's.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "flow.svg"
WIDTH, HEIGHT = 960, 330
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.small { font-size: 11.5px; fill: #59636e; }
rect { fill: #f6f8fa; stroke: #8c959f; }
path { stroke: #59636e; fill: none; stroke-width: 1.4; }
marker path { fill: #59636e; stroke: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .small { fill: #b0b8c1; }
  rect { fill: #1c2129; stroke: #6e7681; }
  path { stroke: #b0b8c1; }
  marker path { fill: #b0b8c1; }
}
"""
BOX_W, BOX_H = 196, 74
BOXES = {
    "sweep": (12, 20, "vdn sweep", ("local, Ray or submitit:", "a killed job goes on")),
    "ranks": (12, 226, "Several ranks", ("sums are reduced,", "rank 0 writes one run")),
    "run": (262, 123, "A run", ("every row in neurons/,", "at its end a summary")),
    "mirror": (512, 20, "Object store", ("a spool and its mirror;", "read where it lies")),
    "compact": (512, 226, "probes fleet compact", ("large files with the", "settings as columns")),
    "fleet": (752, 123, "probes.fleet", ("SQL by DuckDB, or", "by Daft on Ray")),
}  # fmt: skip
"""Name -> left, top, head, lines."""
ARROWS = (("sweep", "run"), ("ranks", "run"), ("run", "mirror"), ("run", "compact"), ("run", "fleet"),
          ("mirror", "fleet"), ("compact", "fleet"))  # fmt: skip


def drawn() -> str:
    """The picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img"'
        ' aria-label="Sweeps and ranks write runs, of which a fleet asks">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
        ' orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>',
    ]
    for begin, end in ARROWS:
        x, y = BOXES[begin][0] + BOX_W, BOXES[begin][1] + BOX_H / 2
        to_x, to_y = BOXES[end][0] - 3, BOXES[end][1] + BOX_H / 2
        middle = (x + to_x) / 2
        parts.append(
            f'<path d="M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}" marker-end="url(#end)"/>'
        )
    label = f'<text class="small" x="{BOXES["mirror"][0] + BOX_W / 2}" y="153" text-anchor="middle">'
    parts.append(f"{label}summaries, rows</text>")
    for left, top, head, lines in BOXES.values():
        parts.append(f'<rect x="{left}" y="{top}" width="{BOX_W}" height="{BOX_H}" rx="6"/>')
        parts.append(f'<text class="head" x="{left + 12}" y="{top + 24}">{escape(head)}</text>')
        for at, line in enumerate(lines):
            parts.append(
                f'<text class="small" x="{left + 12}" y="{top + 44 + 17 * at}">{escape(line)}</text>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(drawn(), "utf-8")
