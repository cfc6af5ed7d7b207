"""The cards of Health: what is rounding is shown as 0, what is missing as missing, and nobody is blamed
without cause.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pages.shell.data.summary_cards import layer_cards


def cards(information: float, unknown: int = 0, **settings: bool) -> dict[str, dict[str, object]]:
    """The cards of a network of which 10 % live and that pays 12 nats, by their labels."""
    row = {
        "living_share": 0.1, "unknown": float(unknown), "rate": 12.0, "information": information,
        "contraction": 0.9,
    }  # fmt: skip
    curves = pd.DataFrame(row, index=[0])
    return {str(card["label"]): card for card in layer_cards(curves, 0, **settings)}


@pytest.mark.parametrize(
    ("information", "shown"), [(1.19e-7, "0"), (-1e-5, "0"), (2e-4, "0.0002"), (3.0, "3")]
)
def test_information_that_float32_leaves_of_a_difference_is_nothing(information: float, shown: str) -> None:
    assert cards(information)["Information"]["value"] == shown


def test_information_that_was_not_recorded_has_no_card() -> None:
    assert "Information" not in cards(np.nan)


def test_a_low_living_share_is_bad_unless_nothing_is_expected_to_live() -> None:
    assert cards(1.0)["Living neurons"]["bad"] is True
    assert cards(1.0, judged=False)["Living neurons"]["bad"] is False


def test_neurons_that_the_living_share_leaves_out_are_said() -> None:
    assert cards(1.0)["Living neurons"]["note"] == "living or mixed"
    assert cards(1.0, unknown=1200)["Living neurons"]["note"] == "living or mixed; 1,200 unknown not counted"
