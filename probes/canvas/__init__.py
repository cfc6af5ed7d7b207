"""The canvas code once, for the dashboard, the report and notebooks: texts for a page, and payloads to draw.

Sources are the ES modules beside this file; a browser gets their bundles in `dist/` (`make bundles`), one
text
a view: cards, heatmap, regimes, replay, tokens, and report, the script of an exported page.

A payload is a little-endian uint32 (length of the header), the header as JSON padded to a multiple of four
bytes, then the arrays that `header["arrays"]` lists, float32, float16 or uint8, each padded to a multiple of
four. Nothing of a run is ever put into html or js: names travel in the header and are drawn as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_HERE = Path(__file__).parent
_STYLES = {
    "cards": ("cards",),
    "heatmap": ("picture", "heatmap"),
    "regimes": ("picture", "transport", "regimes"),
    "replay": ("picture", "transport", "replay"),
    "tokens": ("tokens",),
}


def script(name: str) -> str:
    """The bundle of a view: an ES module whose default export is the view's entry, if it has one."""
    return _read(f"dist/{name}.js")


def style(name: str) -> str:
    """The css of a view; colours and fonts are the page's, by variables that Streamlit sets:
    `--st-text-color` ...
    """
    return "".join(_read(f"{part}.css") for part in _STYLES[name])


def markup(name: str) -> str:
    """The html that a view works on."""
    return _read(f"{name}.html").replace("<!--transport-->", _read("transport.html"))


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """One message for a view; arrays are sent as uint8, float16 or else as float32, in C order."""
    parts, listed = [], []
    for name, values in arrays.items():
        dtype = values.dtype if values.dtype in (np.uint8, np.float16) else np.float32
        data = np.ascontiguousarray(values, dtype=dtype)
        listed.append({"name": name, "dtype": str(data.dtype), "size": int(data.size)})
        raw = data.tobytes()
        parts.append(raw + b"\0" * (-len(raw) % 4))
    text = json.dumps({**header, "arrays": listed}, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + b"".join(parts)


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
