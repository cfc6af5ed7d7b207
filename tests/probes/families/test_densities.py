"""Densities against torch.distributions, and grids against the mass that they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.distributions as td
from scipy import stats
from scipy.integrate import trapezoid

from probes.families import FAMILIES
from probes.families.densities import classes, density, quantile, support_grid

CASES = {
    "gaussian": (td.Normal, {"loc": "mu", "scale": "sigma"}, {"mu": (-3.0, 3.0), "sigma": (0.01, 5.0)}),
    "beta": (td.Beta, {}, {"concentration1": (0.05, 400.0), "concentration0": (0.05, 400.0)}),
    "gamma": (td.Gamma, {}, {"concentration": (0.05, 400.0), "rate": (0.01, 50.0)}),
    "inverse_gamma": (td.InverseGamma, {}, {"concentration": (1.0, 400.0), "rate": (0.01, 50.0)}),
    "exponential": (td.Exponential, {}, {"rate": (0.01, 50.0)}),
    "poisson": (td.Poisson, {}, {"rate": (1e-8, 1e3)}),
    "von_mises": (td.VonMises, {}, {"loc": (-3.0, 3.0), "concentration": (1e-3, 400.0)}),
    "laplace": (td.Laplace, {}, {"loc": (-3.0, 3.0), "scale": (0.01, 5.0)}),
    "student_t": (td.StudentT, {}, {"df": (0.5, 40.0), "loc": (-3.0, 3.0), "scale": (0.01, 5.0)}),
}


def drawn(ranges, seed, count=20):
    draw = np.random.default_rng(seed)
    return {
        name: draw.uniform(*ends, count) if ends[0] < 0 else np.exp(draw.uniform(*np.log(ends), count))
        for name, ends in ranges.items()
    }


def of_torch(family, parameters):
    kind, names, _ = CASES[family]
    inverse = {own: theirs for theirs, own in names.items()}
    return kind(**{inverse.get(n, n): torch.as_tensor(v)[:, None] for n, v in parameters.items()})


@pytest.mark.parametrize("family", CASES)
def test_a_density_is_that_of_torch(family):
    parameters = drawn(CASES[family][2], 1)
    z = support_grid(family, parameters, 50)
    if family in ("gamma", "inverse_gamma"):
        z = z[z > 0]
    expected = of_torch(family, parameters).log_prob(torch.as_tensor(z)).exp().numpy()
    np.testing.assert_allclose(
        density(family, parameters, z), expected, rtol=1e-6, atol=1e-12
    )  # torch's Bessel


@pytest.mark.parametrize("family", CASES)
def test_a_grid_holds_the_mass_of_each_posterior(family):
    for seed in range(5):
        parameters = drawn(CASES[family][2], seed, 1)
        if family == "beta":  # what is beyond its edges is not drawn
            parameters = {name: value + 1 for name, value in parameters.items()}
        if family == "gamma":  # infinite at 0
            parameters["concentration"] += 1
        z = support_grid(family, parameters, 20_001)
        mass = density(family, parameters, z)[0]
        total = mass.sum() if family == "poisson" else trapezoid(mass, z)
        assert 0.985 < total < 1.001
        assert (np.diff(z) > 0).all()


def test_components_of_a_dirichlet_are_betas():
    alpha = np.array([[0.5, 2.0, 7.5], [1.0, 1.0, 1.0]])
    z = support_grid("dirichlet", {"concentration": alpha}, 30)
    found = density("dirichlet", {"concentration": alpha}, z)
    assert found.shape == (2, 3, 30)
    expected = td.Beta(torch.tensor(7.5), torch.tensor(2.5)).log_prob(torch.as_tensor(z)).exp()
    np.testing.assert_allclose(found[0, 2], expected, rtol=1e-6)


def test_outside_its_support_a_density_is_0_and_counts_lie_on_whole_numbers():
    assert density("beta", {"concentration1": 2.0, "concentration0": 2.0}, [-0.5, 1.5]).tolist() == [0, 0]
    assert density("gamma", {"concentration": 2.0, "rate": 1.0}, [-1.0]).tolist() == [0]
    assert density("inverse_gamma", {"concentration": 2.0, "rate": 1.0}, [0.0]).tolist() == [0]
    assert density("poisson", {"rate": 3.0}, [0.5])[0] == 0
    assert support_grid("poisson", {"rate": [0.0, 1e-8]}).tolist() == [0]
    assert len(support_grid("poisson", {"rate": [1e6]}, 100)) == 100


def test_extreme_parameters_give_numbers():
    z = support_grid("beta", {"concentration1": [1e-3], "concentration0": [1e6]})
    assert np.isfinite(density("beta", {"concentration1": [1e-3], "concentration0": [1e6]}, z)).all()
    for concentration in (0.0, 1e-6, 1e6):
        found = density("von_mises", {"loc": [0.0], "concentration": [concentration]}, [0.0, 1.0])
        assert np.isfinite(found).all()


def test_classes_and_what_has_no_density():
    assert classes("bernoulli", {"probability": [0.25, 1.0]}).tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert classes("categorical", {"probability": [[0.25, 0.75]]}).tolist() == [[0.25, 0.75]]
    with pytest.raises(ValueError, match="no classes"):
        classes("beta", {})
    for family in FAMILIES.keys() - CASES.keys() - {"gaussian_full", "gaussian_unknown_prior", "dirichlet"}:
        with pytest.raises(ValueError, match="no density"):
            density(family, {"sample": [0.0]}, [0.0])
    with pytest.raises(ValueError, match="finite"):
        support_grid("gaussian", {"mu": [np.nan], "sigma": [1.0]})


QUANTILES = {
    "gaussian": lambda p: stats.norm(p["mu"], p["sigma"]),
    "gaussian_full": lambda p: stats.norm(p["mu"], p["sigma"]),
    "beta": lambda p: stats.beta(p["concentration1"], p["concentration0"]),
    "gamma": lambda p: stats.gamma(p["concentration"], scale=1 / p["rate"]),
    "inverse_gamma": lambda p: stats.invgamma(p["concentration"], scale=p["rate"]),
    "exponential": lambda p: stats.expon(scale=1 / p["rate"]),
    "laplace": lambda p: stats.laplace(p["loc"], p["scale"]),
    "student_t": lambda p: stats.t(p["df"], p["loc"], p["scale"]),
}


@pytest.mark.parametrize("family", QUANTILES)
@pytest.mark.parametrize("share", [0.005, 0.3, 0.5, 0.8, 0.995])
def test_quantiles_are_those_of_scipy(family, share):
    parameters = drawn(CASES[family.removesuffix("_full")][2], 7)
    expected = QUANTILES[family](parameters).ppf(share)
    np.testing.assert_allclose(quantile(family, share, parameters), expected, rtol=1e-7, atol=1e-9)


def test_quantiles_of_counts_lie_between_two_and_of_none_at_0():
    rates = np.array([0.0, 1e-8, 0.7, 30.0, 900.0])
    for share in (0.005, 0.5, 0.995):
        found = quantile("poisson", share, {"rate": rates})
        np.testing.assert_array_less(np.abs(found[1:] - stats.poisson(rates[1:]).ppf(share)), 1 + 1e-9)
        assert found[0] == 0


@pytest.mark.parametrize("share", [0.005, 0.3, 0.5, 0.8, 0.995])
def test_quantiles_of_an_angle_hold_their_share_of_the_circle(share):
    """Beyond a concentration of 1,000 they are a normal's."""
    kappa = np.array([1e-4, 0.02, 1.0, 40.0, 900.0, 1e5])
    loc = np.array([0.0, 2.0, -1.0, 0.5, 3.0, -2.0])
    found = quantile("von_mises", share, {"loc": loc, "concentration": kappa})
    held = stats.vonmises(kappa).cdf(found - loc)
    np.testing.assert_allclose(held, share, atol=2e-3)


@pytest.mark.parametrize(
    ("family", "parameters", "inside", "outside"),
    [
        ("beta", {"concentration1": 1.0, "concentration0": 1.0}, [0.0, 0.5, 1.0], [-1e-9, 1 + 1e-9]),
        ("exponential", {"rate": 2.0}, [0.0, 1.0], [-1e-9]),
        ("gamma", {"concentration": 1.0, "rate": 2.0}, [0.0, 1.0], [-1e-9]),
        ("poisson", {"rate": 2.0}, [0.0, 1.0], [-1.0, 0.5]),
        ("von_mises", {"loc": 0.0, "concentration": 1.0}, [-np.pi, np.pi], [-3.2, 3.2]),
        ("laplace", {"loc": 0.0, "scale": 1.0}, [-30.0, 30.0], []),
    ],
)
def test_a_support_has_its_ends(family, parameters, inside, outside):
    assert (density(family, parameters, inside) > 0).all()
    assert (density(family, parameters, outside) == 0).all()


def test_a_grid_reaches_where_it_is_said_to():
    """[0, 1] but for a thousandth, a circle whole, counts one by one; else from 0.5 % to 99.5 %."""
    beta = support_grid("beta", {"concentration1": [2.0], "concentration0": [2.0]}, 5)
    np.testing.assert_allclose(beta, [1e-3, 0.2505, 0.5, 0.7495, 1 - 1e-3])
    circle = support_grid("von_mises", {"loc": [0.0], "concentration": [1.0]}, 3)
    np.testing.assert_allclose(circle, [-np.pi, 0, np.pi])
    counts = support_grid("poisson", {"rate": [4.0, 9.0]})
    assert counts.tolist() == list(range(int(stats.poisson(4).ppf(0.005)), int(counts[-1]) + 1))
    assert stats.poisson(9).cdf(counts[-1]) > 0.99
    normal = support_grid("gaussian", {"mu": [0.0, 5.0, np.nan], "sigma": [1.0, 2.0, 1.0]})
    assert len(normal) == 200
    np.testing.assert_allclose(normal[[0, -1]], [stats.norm.ppf(0.005), 5 + 2 * stats.norm.ppf(0.995)])


def test_what_has_no_quantiles_is_told_which_have():
    with pytest.raises(ValueError, match="a categorical has no quantiles; known are gaussian, "):
        quantile("categorical", 0.5, {"probability": [1.0]})
    with pytest.raises(ValueError, match="a categorical has no density: it is of classes"):
        support_grid("categorical", {"probability": [1.0]})
    with pytest.raises(ValueError, match="a samples has no density: it is of draws"):
        support_grid("samples", {"sample": [1.0]})
    with pytest.raises(ValueError, match="no posterior of these has finite mu, sigma"):
        support_grid("gaussian", {"mu": [np.nan], "sigma": [1.0]})
