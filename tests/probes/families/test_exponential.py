"""Closed forms against integrals of the densities themselves and against scipy.stats, in float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, special, stats

from probes.families.densities import density
from probes.families.exponential import EXPONENTIAL, NUMPY
from probes.families.moments_only import MOMENTS_ONLY

LEAST = 1e-200
"""Densities below it count as 0: their ratios are none of this arithmetic."""
RANGES = {
    "beta": {"concentration1": (0.3, 60.0), "concentration0": (0.3, 60.0)},
    "gamma": {"concentration": (0.3, 60.0), "rate": (0.05, 20.0)},
    "inverse_gamma": {"concentration": (2.5, 60.0), "rate": (0.05, 20.0)},
    "exponential": {"rate": (0.02, 50.0)},
    "poisson": {"rate": (1e-3, 200.0)},
    "von_mises": {"loc": (-3.0, 3.0), "concentration": (1e-3, 80.0)},
    "laplace": {"loc": (-3.0, 3.0), "scale": (0.05, 5.0)},
    "student_t": {"df": (5.0, 60.0), "loc": (-3.0, 3.0), "scale": (0.05, 5.0)},
}
SCIPY = {
    "beta": lambda p: stats.beta(p["concentration1"], p["concentration0"]),
    "gamma": lambda p: stats.gamma(p["concentration"], scale=1 / p["rate"]),
    "inverse_gamma": lambda p: stats.invgamma(p["concentration"], scale=p["rate"]),
    "exponential": lambda p: stats.expon(scale=1 / p["rate"]),
    "poisson": lambda p: stats.poisson(p["rate"]),
    "laplace": lambda p: stats.laplace(p["loc"], p["scale"]),
    "student_t": lambda p: stats.t(p["df"], p["loc"], p["scale"]),
}


def drawn(family, seed, count=1):
    draw = np.random.default_rng(seed)
    return {
        name: draw.uniform(*ends, count) if ends[0] < 0 else np.exp(draw.uniform(*np.log(ends), count))
        for name, ends in RANGES[family].items()
    }


def nodes(family):
    """Points over the support and their weights: the trapezoidal rule after a map that tames both ends."""
    u, weights = np.linspace(-1, 1, 8001), 1 / 4000
    if family == "poisson":
        return np.arange(2000.0), np.ones(2000)
    if family == "von_mises":
        return np.linspace(-np.pi, np.pi, 4000, endpoint=False), np.full(4000, 2 * np.pi / 4000)
    if family == "beta":
        x = 40 * u
        z = special.expit(x)
        return z, 40 * weights * special.expit(x) * special.expit(-x)
    if family in ("gamma", "inverse_gamma", "exponential"):
        z = np.exp(60 * u)
        return z, 60 * weights * z
    z = np.sinh(45 * u)
    return z, 45 * weights * np.cosh(45 * u)


def mean_under(family, parameters, value):
    z, weights = nodes(family)
    q = density(family, parameters, z)[0]
    with np.errstate(all="ignore"):
        terms = q * value(z) * weights
    return np.nansum(np.where(q > 0, terms, 0))


def moments_of(family, parameters, prior=None):
    if family in MOMENTS_ONLY:
        return MOMENTS_ONLY[family](NUMPY, parameters, prior)
    kind = EXPONENTIAL[family]
    t = kind.statistics(NUMPY, parameters)
    score = kind.score(NUMPY, parameters, t)
    base = kind.base(NUMPY, parameters)
    found = {"entropy": -score - (0 if base is None else base), "t": t}
    found |= {"mean": kind.mean(NUMPY, parameters), "variance": kind.variance(NUMPY, parameters, t)}
    return found if prior is None else found | {"kl": score - kind.score(NUMPY, prior, t)}


@pytest.mark.parametrize("family", sorted(RANGES.keys() - {"laplace"}))
def test_entropy_and_kl_are_integrals_of_the_densities(family):
    for seed in range(8):
        own, prior = drawn(family, seed), drawn(family, 100 + seed)
        found = moments_of(family, own, prior)

        def log_density(p, z):
            with np.errstate(divide="ignore"):
                return np.log(density(family, p, z)[0])

        entropy = -mean_under(family, own, lambda z, p=own: log_density(p, z))
        np.testing.assert_allclose(found["entropy"][0], entropy, rtol=1e-6, atol=2e-8)
        if family != "student_t":  # which has none
            # densities that underflow: their logarithm is that of the family's formula at a point's T
            kl = -entropy - mean_under(family, own, lambda z, p=prior: log_of(family, p, z))
            np.testing.assert_allclose(found["kl"][0], kl, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("family", ["beta", "gamma", "von_mises", "poisson", "exponential"])
def test_information_is_that_of_row_and_draw_and_the_mixtures_distance_from_its_family(family):
    """Both by integrals over the mixture of six rows."""
    kind = EXPONENTIAL[family]
    for seed in range(3):
        rows = drawn(family, seed, 6)
        if family == "beta":  # mass closer to 1 than float64 has numbers is not integrated
            rows = {name: value + 0.7 for name, value in rows.items()}
        t = kind.statistics(NUMPY, rows)
        mean = tuple(one.mean(keepdims=True) for one in t)
        match = kind.match(mean)
        information = kind.score(NUMPY, rows, t).mean() - kind.score(NUMPY, match, mean)[0]
        z, weights = nodes(family)
        each = np.stack([density(family, {n: v[[b]] for n, v in rows.items()}, z)[0] for b in range(6)])
        mixture = each.mean(0)
        with np.errstate(all="ignore"):
            mutual = np.nansum(np.where(each > LEAST, each * np.log(each / mixture), 0) * weights) / 6
            apart = np.log(mixture) - log_of(family, {n: v[:, None] for n, v in match.items()}, z)[0]
            distance = np.nansum(np.where(mixture > LEAST, mixture * apart, 0) * weights)
        assert 0 < mutual < np.log(6)
        assert distance > 0
        np.testing.assert_allclose(information, mutual + distance, rtol=1e-6, atol=1e-7)


def test_kl_of_a_laplace_is_the_integral_between_its_kinks():
    for seed in range(8):
        own, prior = drawn("laplace", seed), drawn("laplace", 100 + seed)
        ends = sorted([own["loc"][0], prior["loc"][0]])
        kinks = [ends[0] - 60 * own["scale"][0], *ends, ends[1] + 60 * own["scale"][0]]

        def term(z, q=own, p=prior):
            log_q = log_of("laplace", q, z)[0]
            return np.exp(log_q) * (log_q - log_of("laplace", p, z)[0])

        kl = sum(integrate.quad(term, a, b, limit=200)[0] for a, b in pairwise(kinks))
        np.testing.assert_allclose(moments_of("laplace", own, prior)["kl"][0], kl, rtol=1e-7, atol=1e-9)


def log_of(family, p, z):
    """Logarithm of a density where the density itself underflows."""
    from probes.families.densities import _LOG_DENSITIES

    with np.errstate(all="ignore"):
        return _LOG_DENSITIES[family](z, **p)


@pytest.mark.parametrize("family", SCIPY)
def test_mean_variance_and_entropy_are_those_of_scipy(family):
    own = drawn(family, 3, 200)
    found, expected = moments_of(family, own), SCIPY[family](own)
    np.testing.assert_allclose(found["mean"], expected.mean(), rtol=1e-10)
    np.testing.assert_allclose(found["variance"], expected.var(), rtol=1e-10)
    if family != "poisson":  # scipy sums a few terms
        np.testing.assert_allclose(found["entropy"], expected.entropy(), rtol=1e-8, atol=1e-8)


def test_expectations_of_t_are_integrals():
    of = {
        "beta": (np.log, lambda z: np.log1p(-z)),
        "gamma": (np.log, lambda z: z),
        "inverse_gamma": (np.log, lambda z: 1 / z),
        "von_mises": (np.cos, np.sin),
        "exponential": (lambda z: z,),
        "poisson": (lambda z: z,),
    }
    for family, functions in of.items():
        for seed in range(5):
            own = drawn(family, seed)
            t = moments_of(family, own)["t"]
            expected = [mean_under(family, own, function) for function in functions]
            np.testing.assert_allclose([one[0] for one in t], expected, rtol=1e-6, atol=1e-8)


def test_a_dirichlet_of_two_is_a_beta_and_of_many_that_of_scipy():
    draw = np.random.default_rng(5)
    alpha = np.exp(draw.uniform(-1, 4, (20, 2)))
    beta = {"concentration1": alpha[:, 0], "concentration0": alpha[:, 1]}
    prior, prior_beta = (
        {"concentration": np.array([2.0, 0.5])},
        {"concentration1": 2.0, "concentration0": 0.5},
    )
    pair = moments_of("dirichlet", {"concentration": alpha}, prior), moments_of("beta", beta, prior_beta)
    for name in ("kl", "entropy"):
        np.testing.assert_allclose(pair[0][name], pair[1][name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(pair[0]["variance"][:, 0], pair[1]["variance"], rtol=1e-12)
    many = np.exp(draw.uniform(-1, 4, 12))
    found = moments_of("dirichlet", {"concentration": many})
    np.testing.assert_allclose(found["entropy"], stats.dirichlet(many).entropy(), rtol=1e-10)
    np.testing.assert_allclose(found["variance"], stats.dirichlet(many).var(), rtol=1e-10)


def test_entropy_of_a_poisson_from_nearly_0_to_a_million():
    rates = np.concatenate([np.geomspace(1e-8, 1e3, 60), [15.999, 16.0, 16.001]])
    found = moments_of("poisson", {"rate": rates})["entropy"]
    z = np.arange(3000.0)
    log_q = special.xlogy(z, rates[:, None]) - rates[:, None] - special.gammaln(z + 1)
    np.testing.assert_allclose(found, -(np.exp(log_q) * log_q).sum(1), rtol=1e-8, atol=2e-8)
    million = moments_of("poisson", {"rate": np.array([1e6])})["entropy"]
    np.testing.assert_allclose(million, 0.5 * np.log(2 * np.pi * np.e * 1e6) - 1 / 12e6, atol=1e-8)
    assert moments_of("poisson", {"rate": np.array([0.0])})["entropy"] == 0


def test_a_student_has_moments_only_where_they_exist():
    own = {"df": np.array([0.5, 1.5, 2.0, 2.5]), "loc": np.zeros(4), "scale": np.ones(4)}
    found = moments_of("student_t", own)
    assert np.isnan(found["mean"]).tolist() == [True, False, False, False]
    assert found["variance"][3] == 5
    assert not np.isfinite(found["variance"][:3]).any()


def test_an_inverse_gamma_has_moments_only_where_they_exist():
    """Without a division by zero at the edge, which numpy would warn of."""
    own = {"concentration": np.array([0.5, 1.0, 1.5, 2.0, 3.0]), "rate": np.full(5, 2.0)}
    found = moments_of("inverse_gamma", own)
    assert found["mean"].tolist() == [np.inf, np.inf, 4.0, 2.0, 1.0]
    assert found["variance"].tolist() == [np.inf, np.inf, np.inf, np.inf, 1.0]


def test_classes_that_never_happen_cost_nothing_and_those_that_cannot_are_infinite():
    certain = {"probability": np.array([[1.0, 0.0, 0.0]])}
    found = moments_of("categorical", certain, {"probability": np.array([0.5, 0.5, 0.0])})
    assert found["entropy"] == 0
    np.testing.assert_allclose(found["kl"], np.log(2))
    with np.errstate(divide="ignore"):
        assert moments_of("categorical", certain, {"probability": np.array([0.0, 0.5, 0.5])})["kl"] == np.inf
    logits = np.array([1e4, -1e4, 0.0, 30.0])
    own = {"probability": special.expit(logits), "logits": logits}
    prior = {"probability": np.array(0.5), "logits": np.array(0.0)}
    found = moments_of("bernoulli", own, prior)
    assert np.isfinite(found["kl"]).all()
    np.testing.assert_allclose(found["kl"][:3], np.log(2) * np.array([1, 1, 0]), atol=1e-15)
