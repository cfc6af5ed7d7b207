"""Members by their moments have them, and what is no member's moments gives none."""

from __future__ import annotations

import numpy as np
import pytest

from probes.families.by_moments import matched, moments_of

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
    _, variance = moments_of("student_t", {"df": [1.5, 3.0], "loc": [0.0, 0.0], "scale": [1.0, 1.0]})
    assert np.isnan(variance[0])
    assert variance[1] == pytest.approx(3.0)
    mean, variance = moments_of("inverse_gamma", {"concentration": [0.5, 1.5], "rate": [1.0, 1.0]})
    assert np.isnan(mean[0])
    assert mean[1] == pytest.approx(2.0)
    assert np.isnan(variance).all()
