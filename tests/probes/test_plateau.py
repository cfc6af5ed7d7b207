"""Progress of a validation curve: plateaus that are found, improvement among noise that is not one."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import alerts as planted
from probes import plateau

K = np.arange(40.0)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize(
    ("slope", "sd"), [(0.001, 0.005), (0.001, 0.01), (0.002, 0.01), (0.005, 0.02), (0.005, 0.05)]
)
@pytest.mark.parametrize("start", [1.0, 0.02])
def test_a_steadily_improving_noisy_curve_makes_progress(
    slope: float, sd: float, start: float, correlation: float
) -> None:
    """The best value so far called 29 to 79 % of the first four a stall; measured here: at most 2 %."""
    random = np.random.default_rng(0)
    curves = (planted.curve(random, start - slope * K, sd, correlation) for _ in range(20))
    assert sum(bool(plateau.stalls(curve)) for curve in curves) <= 2


@pytest.mark.parametrize("level", [1.0, 0.0, -3.0])
def test_a_plateau_is_found_whatever_its_value(level: float) -> None:
    """Relative to the best value no gain is small where that crosses 0."""
    shape = level + np.where(np.arange(80) < 15, np.exp(-np.arange(80) / 5) / 2, 0)
    random = np.random.default_rng(0)
    for sd, delay in ((0.0025, 20), (0.005, 64)):
        for _ in range(10):
            found = plateau.stalls(planted.curve(random, shape, sd, 0.0))
            assert found
            assert 15 < found[0] <= 15 + delay


def test_a_curve_that_never_falls_or_rises_again_is_found() -> None:
    random = np.random.default_rng(0)
    flat = [plateau.stalls(planted.curve(random, np.ones(80), 0.01, 0.0)) for _ in range(10)]
    assert sum(bool(found) for found in flat) >= 9
    k = np.arange(80)
    rising = np.exp(-k / 5) / 2 + 0.004 * np.maximum(k - 15, 0)
    assert all(plateau.stalls(planted.curve(random, rising, 0.01, 0.0)) for _ in range(10))


def test_constants_and_few_values() -> None:
    assert plateau.stalls(np.ones(9)) == []
    assert plateau.stalls(np.array([])) == []
    assert plateau.stalls(np.ones(50)) == [9], "once"


def test_a_small_but_certain_gain_across_zero_is_progress() -> None:
    assert plateau.stalls(np.r_[np.linspace(1, 0.0005, 20), np.linspace(0, -0.001, 20)]) == []


def test_a_second_stall_is_told_after_progress() -> None:
    curve = np.r_[np.linspace(1, 0.5, 15), np.full(15, 0.5), np.linspace(0.5, 0.1, 15), np.full(30, 0.1)]
    first, second = plateau.stalls(curve)
    assert 15 < first < 30
    assert second > 45


def test_a_longer_curve_has_the_same_stalls() -> None:
    random = np.random.default_rng(0)
    curve = planted.curve(
        random, np.where(np.arange(300) < 50, np.exp(-np.arange(300) / 15), 0.0), 0.002, 0.3
    )
    whole = plateau.stalls(curve)
    assert whole
    for k in range(0, 300, 23):
        assert plateau.stalls(curve[:k]) == [place for place in whole if place < k]
