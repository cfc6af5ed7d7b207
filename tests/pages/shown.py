"""What a page shows, read from AppTest as a browser would read it."""

from __future__ import annotations

import base64
import json
from html import unescape
from typing import Any

import numpy as np
import payloads
from streamlit.testing.v1 import AppTest

HALF = 2**-11
"""Relative error of a number in half precision, in which the replay's ridges are sent."""


def texts(app: AppTest) -> str:
    """All that a page says in words, without Markdown's escapes."""
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.subheader)
    said = "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")
    return "\n".join([said, *(unescape(element.proto.body) for element in app.get("html"))])


def query(app: AppTest, key: str) -> str:
    """A query key's value; AppTest gives a list or a string, depending on who set it."""
    value = app.query_params[key]
    return value if isinstance(value, str) else value[-1]


def figures(app: AppTest) -> list[dict[str, Any]]:
    """Figures as plotly's JSON, in the page's order."""
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def numbers(values: Any) -> np.ndarray:
    """An array of a figure, which plotly sends as bytes or as a list with gaps."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.array([value for value in values if value is not None], float)


def component(app: AppTest, key: str) -> Any:
    """The message of the one canvas component of this name."""
    [element] = [e for e in app.get("bidi_component") if e.proto.component_name == f"neurons_{key}"]
    return element.proto


def cards(app: AppTest) -> dict[str, dict[str, Any]]:
    """Summary cards by their label."""
    return {card["label"]: card for card in json.loads(component(app, "cards").json)["cards"]}


def unpack(app: AppTest, key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a canvas component's payload."""
    return payloads.unpack(component(app, key).bytes)
