"""Colours: spelt out in one place, apart where they have to be, faded as fills need them."""

from __future__ import annotations

import re
import tomllib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from color_vision import VISIONS, apart, ciede2000, contrast, lab

from probes import palette
from probes.figures import style
from probes.schema import REGIMES

PROBES = Path(palette.__file__).parent
THEME = tomllib.loads((PROBES.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
LIGHT, DARK = (THEME[name]["backgroundColor"] for name in ("light", "dark"))
LAYERS = [style.layer_color(layer, 9) for layer in range(9)]
KL = [palette.KL, *palette.KL_PARTS.values()]
OTHERS = {"neurons": palette.OKABE_ITO, "layers": LAYERS}
SEEN = 11  # CIEDE2000 at which two colours are told apart at a glance, not side by side


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


def test_a_colour_fades() -> None:
    assert palette.translucent("#0072B2", 0.5) == "rgba(0, 114, 178, 0.5)"


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_those_of_the_published_pairs(
    one: tuple[float, ...], other: tuple[float, ...], difference: float
) -> None:
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(difference, abs=1e-4)


@pytest.mark.parametrize("other", OTHERS)
def test_kl_and_its_parts_are_not_taken_for_neurons_or_layers(other: str) -> None:
    near = {(mine, theirs): apart(mine, theirs) for mine in KL for theirs in OTHERS[other]}
    assert {pair: value for pair, value in near.items() if value < SEEN + 3} == {}


@pytest.mark.parametrize("vision", VISIONS)
def test_the_parts_of_the_kl_are_told_apart_by_everybody(vision: str) -> None:
    near = {pair: apart(*pair, vision) for pair in combinations(palette.KL_PARTS.values(), 2)}
    assert {pair: value for pair, value in near.items() if value < SEEN} == {}


def test_layers_and_loss_terms_are_not_taken_for_neurons() -> None:
    near = {
        (mine, theirs): apart(mine, theirs)
        for mine in (*LAYERS, *palette.LOSS_TERMS)
        for theirs in palette.OKABE_ITO
    }
    assert {pair: value for pair, value in near.items() if value < SEEN} == {}
    lightness = [lab(color)[0] for color in palette.LAYERS]
    assert lightness == sorted(lightness), "the order of layers is seen without hues too"


@pytest.mark.parametrize(
    ("name", "colors", "dark"), [("layers", LAYERS, 4), ("KL", KL, 3.5), ("curves", palette.CURVES, 4)]
)
def test_lines_stand_out_on_both_pages(name: str, colors: list[str], dark: float) -> None:
    assert min(contrast(color, LIGHT) for color in colors) >= 3, name
    assert min(contrast(color, DARK) for color in colors) >= dark, name


def test_ordered_values_are_seen_on_both_pages_and_their_order_without_hues() -> None:
    colors = [style.ordered_color(place, 6) for place in range(6)]
    assert (colors[0], colors[-1]) == (palette.ORDERED[0], palette.ORDERED[-1])
    assert min(contrast(color, DARK) for color in colors) >= 3.4
    assert min(contrast(color, LIGHT) for color in colors) >= 2.2  # as the lightest of the neurons'
    lightness = [lab(color)[0] for color in colors]
    assert lightness == sorted(lightness)
    assert min(apart(*pair) for pair in zip(colors, colors[1:], strict=False)) >= SEEN
