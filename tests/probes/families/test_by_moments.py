"""Members by their moments have them, and what is no member's moments gives none."""

from __future__ import annotations

import numpy as np
import pytest

from probes.families.by_moments import CENTRAL, central, matched, moments_of, standard_deviation
from probes.families.densities import density

CASES = {
    "beta": (0.3, 0.01),
    "gamma": (2.0, 0.5),
    "inverse_gamma": (1.0, 0.2),
    "exponential": (0.5, 0.25),
    "poisson": (3.0, 3.0),
    "von_mises": (0.4, 0.3),
    "laplace": (-1.0, 2.0),
}


@pytest.mark.parametrize("family", CASES)
def test_a_member_by_its_moments_has_them(family: str) -> None:
    mean, variance = CASES[family]
    found = matched(family, [mean, np.nan], [variance, 1.0])
    assert found is not None
    again = moments_of(family, found)
    assert np.allclose([again[0][0], again[1][0]], [mean, variance], rtol=1e-9)
    assert all(np.isnan(values[1]) for values in found.values())


def test_moments_that_no_member_has_give_none() -> None:
    assert np.isnan(matched("beta", 0.5, 0.3)["concentration1"])  # type: ignore[index]
    assert np.isnan(matched("gamma", -1.0, 1.0)["rate"])  # type: ignore[index]
    assert matched("student_t", 0.0, 1.0) is None
    assert matched("samples", 0.0, 1.0) is None


def test_a_circle_without_direction_is_even() -> None:
    found = matched("von_mises", 0.0, 1.0)
    assert found is not None
    assert found["concentration"] < 1e-6


def test_moments_that_do_not_exist_are_none() -> None:
    mean, variance = moments_of("student_t", {"df": [1.0, 1.5, 5.0], "loc": [0.5] * 3, "scale": [2.0] * 3})
    assert np.isnan(mean).tolist() == [True, False, False]
    assert np.isnan(variance).tolist() == [True, True, False]
    assert variance[2] == pytest.approx(4 * 5 / 3)
    mean, variance = moments_of("inverse_gamma", {"concentration": [0.5, 1.5], "rate": [1.0, 1.0]})
    assert np.isnan(mean[0])
    assert mean[1] == pytest.approx(2.0)
    assert np.isnan(variance).all()


INSIDE = {"beta": (0, 1), "dirichlet": (0, 1), "gamma": (0, np.inf), "inverse_gamma": (0, np.inf),
          "exponential": (0, np.inf), "poisson": (0, np.inf)}  # fmt: skip


@pytest.mark.parametrize("family", INSIDE)
def test_a_band_stays_within_the_support_however_wide(family: str) -> None:
    """Where mean - sd lies below 0: mean 0.2, sd 0.35."""
    low, high = central(family, [0.2, 0.2], [0.35**2, np.nan])
    ends = INSIDE[family]
    assert ends[0] <= low[0] < 0.2 < high[0] <= ends[1]
    assert np.isnan([low[1], high[1]]).all()


def test_a_band_of_no_variance_is_its_mean_and_of_a_negative_one_there_is_none() -> None:
    low, high = central("beta", [0.3, 0.3], [0.0, -0.1])
    assert (low[0], high[0]) == (0.3, 0.3)
    assert np.isnan([low[1], high[1]]).all()


@pytest.mark.parametrize("family", [name for name in CASES if name not in ("exponential", "poisson")])
def test_a_band_holds_its_share_of_the_mass(family: str) -> None:
    mean, variance = CASES[family]
    low, high = central(family, mean, variance)
    z = np.linspace(float(low), float(high), 20_001)
    found = matched(family, mean, variance)
    assert found is not None
    assert np.trapezoid(density(family, found, z), z) == pytest.approx(CENTRAL, abs=2e-4)


def test_a_band_of_a_normal_like_member_is_mean_and_sd() -> None:
    for family, mean, variance in (("gamma", 1e4, 1.0), ("von_mises", 0.3, 1e-4), ("generic", -2.0, 4.0)):
        sd = float(standard_deviation(family, variance))
        assert np.allclose(central(family, mean, variance), (mean - sd, mean + sd), rtol=2e-3, atol=2e-3 * sd)


def test_an_angles_deviation_is_the_circular_one_and_its_band_at_most_the_circle() -> None:
    draws = np.random.default_rng(0).vonmises(0.0, 2.0, 100_000)
    length = np.abs(np.exp(1j * draws).mean())
    assert standard_deviation("von_mises", 1 - length) == pytest.approx(np.sqrt(-2 * np.log(length)))
    low, high = central("von_mises", 0.0, 1 - length)
    assert np.mean((draws > low) & (draws < high)) == pytest.approx(CENTRAL, abs=0.005)
    assert np.ptp(central("von_mises", 2.0, 1.0)) == pytest.approx(CENTRAL * 2 * np.pi, rel=1e-3)
    assert standard_deviation("gamma", 4.0) == 2.0
