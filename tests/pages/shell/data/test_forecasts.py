"""Which forecasts are shown at first."""

from __future__ import annotations

import pytest

from pages.shell.data import forecasts


@pytest.mark.parametrize(
    ("taken", "cursor", "shown"),
    [
        ([0, 13, 207, 2999], 2999, [0, 13, 207, 2999]),
        ([0, 13, 207, 2999], 300, [0, 13, 207]),
        ([5, 9], 3, [5]),
        ([0, 1, 2, 4, 8, 16, 32, 64], 64, [0, 8, 32, 64]),
    ],
)
def test_steps_of_forecasts_are_all_if_few_else_the_first_and_late_ones(
    taken: list[int], cursor: int, shown: list[int]
) -> None:
    assert forecasts.spread_steps(taken, cursor, 4) == shown
