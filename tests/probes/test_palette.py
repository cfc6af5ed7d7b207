"""Colours: spelt out in one place, apart where they have to be, faded as fills need them."""

from __future__ import annotations

import re
from pathlib import Path

from probes import palette
from probes.schema import REGIMES

PROBES = Path(palette.__file__).parent


def test_colours_are_spelt_out_in_the_palette_alone() -> None:
    spelt = re.compile(r"""["']#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})["']|rgba?\(\s*[1-9]""")
    found = {
        str(path.relative_to(PROBES)): spelt.findall(path.read_text(encoding="utf-8"))
        for path in PROBES.rglob("*.py")
        if path.name != "palette.py"
    }
    assert {name: colors for name, colors in found.items() if colors} == {}


def test_names_are_hex_and_lines_and_regimes_stay_apart() -> None:
    assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in palette.OKABE_ITO)
    assert len(set(palette.OKABE_ITO)) == len(palette.OKABE_ITO) == 8
    assert len({regime.color for regime in REGIMES}) == len(REGIMES)
    assert palette.OKABE_ITO is palette.OKABE_ITO


def test_a_colour_fades() -> None:
    assert palette.translucent("#0072B2", 0.5) == "rgba(0, 114, 178, 0.5)"
