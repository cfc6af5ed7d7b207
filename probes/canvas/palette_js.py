"""The canvas code's colours, written from the figures' into palette.js: `python -m
probes.canvas.palette_js`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from probes import palette
from probes.figures import style
from probes.regimes import Thresholds

FILE = Path(__file__).with_name("palette.js")


def module() -> str:
    """The text of palette.js, as prettier would write it."""
    limits = Thresholds()
    return f"""\
// Written by `make bundles` from the project's palette and scales. Not to be edited.

// Lines that stay apart under colour blindness and on both themes, by their place.
export const OKABE_ITO = {_list(palette.OKABE_ITO)}

// Evenly spaced stops of the layers' hue, from the input to the head.
export const LAYERS = {json.dumps(palette.LAYERS)}

// Evenly spaced stops of the colour scales that the registry of statistics names.
export const COLOR_SCALES = {_scales(style.COLOR_SCALES)}

export const ALERT = {json.dumps(palette.ALERT)}
export const PINNED = {json.dumps(palette.PINNED)}

// Ends of the scale of an sd, in prior sds: the limits of the regimes exploded and deterministic.
export const SD_WIDE = {math.sqrt(1 - limits.exploded):.3g}
export const SD_NARROW = {math.sqrt(1 - limits.deterministic):.3g}
"""


def _list(colors: tuple[str, ...], indent: str = "") -> str:
    lines = "".join(f"{indent}  {json.dumps(color)},\n" for color in colors)
    return f"[\n{lines}{indent}]"


def _scales(scales: Mapping[str, tuple[str, ...]]) -> str:
    entries = "".join(f"  {name}: {_list(stops, '  ')},\n" for name, stops in scales.items())
    return "{\n" + entries + "}"


if __name__ == "__main__":
    FILE.write_text(module(), encoding="utf-8")
