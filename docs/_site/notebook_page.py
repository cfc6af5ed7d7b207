"""Notebooks as pages of the site, as they were executed: their texts, code and outputs; nothing is run.

Plotly's figures are drawn as those of the gallery, once for each theme; a widget stands as the picture
that the notebook keeps beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FIGURE = "application/vnd.plotly.v1+json"
PICTURES = ("text/html", "image/svg+xml")  # that go into the page as they are
STYLE = re.compile(r"<style.*?</style>", re.DOTALL)  # of a frame's table: the site has its own


def page(notebook: dict[str, Any], draw: Callable[[dict[str, Any], str], str]) -> str:
    """A notebook as a page of Markdown; `draw` takes a figure and the heading above it, and gives HTML.

    Raises
    ------
    ValueError
        Where an output is of no known kind: it would be missing from the page.
    """
    parts, heading = [], ""
    for number, cell in enumerate(notebook["cells"], 1):
        text = "".join(cell["source"])
        if cell["cell_type"] != "code":
            heading = (re.findall(r"^#+ (.*)$", text, re.MULTILINE) or [heading])[-1]
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            known = [kind for kind in (FIGURE, *PICTURES, "text/plain") if kind in data]
            if not known:
                raise ValueError(
                    f"cell {number}: an output {sorted(data) or output['output_type']}, of which a page of "
                    "the site shows none: execute the notebook anew (make notebook)"
                )
            value = data[known[0]]
            shown = value if isinstance(value, dict) else "".join(value)
            if known[0] == FIGURE:
                parts.append(_raw(draw(shown, heading)))
            elif known[0] in PICTURES:
                parts.append(_raw(f'<div class="figure-scroll">{STYLE.sub("", shown)}</div>'))
            else:
                parts.append(f"```text\n{shown}\n```")
    return "\n\n".join(parts)


def _raw(html: str) -> str:
    return f"``````{{raw}} html\n{html}\n``````"


def as_markdown(app: Sphinx, name: str, source: list[str]) -> None:
    """Sphinx has read the file of a page: a notebook's JSON becomes its Markdown."""
    if Path(app.env.doc2path(name)).suffix != ".ipynb":
        return
    from drawn_figures import INKS, to_draw

    def draw(figure: dict[str, Any], heading: str) -> str:
        images = []
        for theme, ink in INKS.items():
            file = hashlib.sha256(f"{json.dumps(figure)}{theme}".encode()).hexdigest()[:16] + ".svg"
            to_draw(app).append((figure, ink, Path(app.outdir) / "_figures" / file))
            images.append(
                f'<img class="only-{theme} drawn" loading="lazy" alt="{escape(heading)}" '
                f'src="_figures/{file}">'
            )
        return f'<div class="figure-scroll">{"".join(images)}</div>'

    source[0] = page(json.loads(source[0]), draw)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx asks of an extension."""
    app.add_source_suffix(".ipynb", "markdown")
    app.connect("source-read", as_markdown)
    return {"parallel_read_safe": False}
