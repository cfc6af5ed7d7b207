"""A replay as one HTML file to open from disk or to embed: it asks no host, as the report that it is part of.

`assets/replay.html` is the page, a Jinja2 template that escapes what it is given; the payload travels in
base64.
"""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from probes import canvas

ASSETS = Path(__file__).with_name("assets")
TEMPLATES = Environment(
    loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def page(payload: bytes, name: str) -> str:
    """The page as text.

    Parameters
    ----------
    payload
        What the replay draws (`probes.canvas.pack`), without a cursor and without autoplay.
    name
        Of the run, the page's title.
    """
    return TEMPLATES.get_template("replay.html").render(
        name=name,
        replay=parts(payload),
        css=Markup((ASSETS / "report.css").read_text(encoding="utf-8")),
        script=Markup(canvas.script("report")),
    )


def parts(payload: bytes) -> dict[str, Markup]:
    """What a page with a replay holds: `css`, `markup` and `payload` in base64."""
    return {
        "css": Markup(canvas.style("replay")),
        "markup": Markup(canvas.markup("replay")),
        "payload": Markup(base64.b64encode(payload).decode()),
    }
