"""The directive `drawn`: Python that is shown, and run, and whose last figure stands under it as SVG.

    ```{drawn} What is seen, in words
    import probes
    ...
    figure = ...
    ```

Blocks of a page share their names. Figures are drawn by plotly's own script in a headless Chromium, once for
each theme; the pages carry the drawings and no script.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from contextlib import chdir
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
INKS = {"light": "#1a1c1e", "dark": "#e6e8ea"}
WIDTH, HEIGHT = 720, 360  # pixels, where a figure says nothing else


class Drawn(SphinxDirective):
    """A block of code and the figure that it calls `figure`; the argument is its alternative text."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The code, and a drawing for each theme. Raises what the code raises: the build fails."""
        code = "\n".join(self.content)
        space = self.env.temp_data.setdefault("drawn_space", {})
        with chdir(ROOT):
            exec(compile(code, f"{self.env.docname}:{self.lineno}", "exec"), space)
        shown = nodes.literal_block(code, code, language="python")
        figure = json.loads(space.pop("figure").to_json())
        folder = Path(self.env.app.outdir) / "_figures"
        images = []
        for theme, ink in INKS.items():
            name = f"{hashlib.sha256(f'{code}{theme}'.encode()).hexdigest()[:16]}.svg"
            to_draw(self.env.app).append((figure, ink, folder / name))
            depth = "../" * self.env.docname.count("/")
            images.append(
                f'<img class="only-{theme} drawn" loading="lazy" alt="{escape(self.arguments[0])}" '
                f'src="{depth}_figures/{name}">'
            )
        return [shown, nodes.raw("", f'<div class="figure-scroll">{"".join(images)}</div>', format="html")]


def to_draw(app: Sphinx) -> list[tuple[dict[str, Any], str, Path]]:
    """Figures that wait to be drawn: plotly's JSON, the colour of its text, the file."""
    if not hasattr(app, "figures_to_draw"):
        app.figures_to_draw = []  # type: ignore[attr-defined]
    return app.figures_to_draw  # type: ignore[attr-defined,no-any-return]


def draw(app: Sphinx, error: Exception | None) -> None:
    """Draw all of them, in one browser."""
    waiting = to_draw(app)
    if error or not waiting:
        return
    sys.path.insert(0, str(ROOT / "tests" / "e2e"))
    import plotly
    from find_browser import chromium

    from probes import palette

    script = Path(os.path.dirname(plotly.__file__)) / "package_data" / "plotly.min.js"
    with chromium() as browser:
        page = browser.new_page()
        page.set_content("<body></body>")
        page.add_script_tag(path=script)
        for figure, ink, file in waiting:
            layout = figure["layout"]
            layout["font"] = {**layout.get("font", {}), "color": ink}
            layout.setdefault("colorway", palette.OKABE_ITO)
            size = {"width": WIDTH, "height": layout.get("height") or HEIGHT, "format": "svg"}
            url = page.evaluate("([figure, size]) => Plotly.toImage(figure, size)", [figure, size])
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(_decoded(url))


def _decoded(url: str) -> bytes:
    from urllib.parse import unquote

    head, _, data = url.partition(",")
    return base64.b64decode(data) if head.endswith("base64") else unquote(data).encode()


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx asks of an extension."""
    app.add_directive("drawn", Drawn)
    app.connect("build-finished", draw)
    return {"parallel_read_safe": False}
