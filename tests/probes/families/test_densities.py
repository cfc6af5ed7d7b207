"""Densities against torch.distributions, and grids against the mass that they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.distributions as td
from scipy.integrate import trapezoid

from probes.families import FAMILIES
from probes.families.densities import classes, density, support_grid

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
