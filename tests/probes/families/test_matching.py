"""q~ has the expectations that it was asked for, from the sparsest member to nearly a point."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from probes.families import matching

GRADIENT = 1e-10
"""Of the likelihood: how far E[T] of what is found may lie from what was asked for, relative to its size."""


def of_dirichlet(alpha):
    return special.digamma(alpha) - special.digamma(alpha.sum(-1, keepdims=True))


@pytest.mark.parametrize("components", [2, 3, 64])
@pytest.mark.parametrize("ends", [(1e-3, 1e-2), (1e-3, 1e3), (0.5, 5.0), (1e5, 1e6)])
def test_a_dirichlet_is_found_again(components, ends):
    draw = np.random.default_rng(components)
    alpha = np.exp(draw.uniform(*np.log(ends), (300, components)))
    wanted = of_dirichlet(alpha)
    found = matching.dirichlet_match(wanted)
    assert (np.abs(of_dirichlet(found) - wanted) <= GRADIENT * np.maximum(1, np.abs(wanted))).all()
    np.testing.assert_allclose(found, alpha, rtol=1e-6)


def test_a_mixture_of_sparse_dirichlets_has_its_match():
    """Averages over rows are no member's own: a plain Newton step from the mean leaves the domain here."""
    draw = np.random.default_rng(0)
    alpha = np.where(draw.random((50, 256, 64)) < 0.05, 50.0, 1e-3)
    wanted = of_dirichlet(alpha).mean(1)
    found = matching.dirichlet_match(wanted)
    assert (found > 0).all()
    assert (np.abs(of_dirichlet(found) - wanted) <= GRADIENT * np.abs(wanted)).all()


def test_a_gamma_is_found_again():
    k = np.exp(np.random.default_rng(1).uniform(np.log(1e-4), np.log(1e8), 5000))
    gap = np.log(k) - special.digamma(k)
    found = matching.gamma_match(gap)
    assert (np.abs(np.log(found) - special.digamma(found) - gap) <= GRADIENT * np.maximum(1, gap)).all()
    np.testing.assert_allclose(found[k < 1e5], k[k < 1e5], rtol=1e-8)


def test_a_von_mises_is_found_again():
    k = np.exp(np.random.default_rng(2).uniform(np.log(1e-6), np.log(1e6), 5000))
    length = special.i1e(k) / special.i0e(k)
    found = matching.von_mises_match(length)
    assert (np.abs(special.i1e(found) / special.i0e(found) - length) <= 1e-13).all()
    np.testing.assert_allclose(found[k < 1e3], k[k < 1e3], rtol=1e-8)
    assert matching.von_mises_match(np.array([0.0]))[0] < 1e-15


def test_what_is_no_members_gives_no_loop_and_no_number_where_there_is_none():
    for match in (matching.gamma_match, matching.von_mises_match):
        assert np.isnan(match(np.array([np.nan, 0.5]))).tolist() == [True, False]
        assert np.isfinite(match(np.array([0.0, 1.0]))).all()
    found = matching.dirichlet_match(np.array([[np.nan, -1.0], [-0.5, -1.5]]))
    assert np.isnan(found[0]).any()
    assert np.isfinite(found[1]).all()
    assert np.isfinite(matching.gamma_match(np.array([-1e-17]))).all(), "below 0 by rounding: a point"


def test_steps_are_few():
    """The cost of a record: a bracket that is halved to its end takes fifty."""
    counted = []

    def function(x):
        counted.append(len(x))
        return 0.3 - np.tanh(x), -1 / np.cosh(x) ** 2, matching.ROUNDING

    found = matching.root(function, np.full(9, -50.0), np.full(9, 50.0), np.linspace(-5, 5, 9))
    np.testing.assert_allclose(found, np.arctanh(0.3), rtol=1e-14)
    assert len(counted) < 20


def test_the_slope_is_trigamma():
    x = np.exp(np.random.default_rng(3).uniform(-14, 34, 10_000))
    np.testing.assert_allclose(matching.trigamma(x), special.zeta(2.0, x), rtol=1e-9)
    np.testing.assert_allclose(matching.inverse_digamma(special.digamma(x)), x, rtol=1e-12)
