"""Shares of a batch, added up, against the batch: no process is started here."""

import numpy as np
import pytest
import torch

from probes.family_moments import FamilyMoments, SampleMoments
from probes.moments import Moments, derive
from probes.watching.family_pools import derive_sums
from probes.watching.rank_sums import first_pass, means_of, pooled, second_pass

SIZES = (5, 40, 0, 17)
"""Rows of four shares, of which one is empty."""


def added(parts):
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def of_all(family, shares):
    """Statistics of all shares' rows, at one step."""
    sums = [{name: value[None] for name, value in share.poolable().items()} for share in shares]
    first = added([first_pass(one) for one in sums])
    second = added([second_pass(one, means_of(first)) for one in sums])
    found = derive_sums(family, pooled(family, first, second))
    return {name: value[0].numpy() for name, value in found.items()}


def assert_same(found, expected, tolerance=2e-6):
    assert set(found) == set(expected)
    for name, values in expected.items():
        scale = max(1.0, np.nanmax(np.abs(values.numpy()), initial=0.0))
        np.testing.assert_allclose(found[name], values, rtol=tolerance, atol=tolerance * scale, err_msg=name)


def cut(*tensors, axis=0):
    """Of each share its rows of each tensor."""
    return zip(*(tensor.split(SIZES, axis) for tensor in tensors), strict=True)


def gaussian(dimensions, level=0.0):
    torch.manual_seed(0)
    rows = sum(SIZES)
    mu = torch.randn(rows, 6, dimensions) * torch.tensor([1, 0.1, 3, 1, 1, 1])[:, None] + level
    sigma = torch.rand(rows, 6, dimensions) + 0.1
    order = mu[:, :1, :1].argsort(0).flatten()  # shares that differ in their means
    return mu[order], sigma[order], (0.7 * mu + 0.3 * torch.randn_like(mu))[order], torch.rand(rows) > 0.2


@pytest.mark.parametrize("level", [0.0, 1000.0])
def test_gaussians_with_masks_priors_and_pairs(level):
    mu, sigma, previous, mask = gaussian(1, level)
    whole = Moments().update(mu, sigma, 0.3, 1.5, previous_mu=previous, mask=mask)
    shares = [
        Moments().update(m, s, 0.3, 1.5, previous_mu=p, mask=k)
        for m, s, p, k in cut(mu, sigma, previous, mask)
    ]
    assert_same(of_all("gaussian", shares), derive(whole.sufficient_statistics()), 5e-6)


def test_the_interval_of_a_slope_over_several_dimensions_is_there_or_null():
    """Shares with one mean: the interval is that of all pairs. Shares that differ: there is none."""
    mu, sigma, previous, _ = gaussian(3)
    means = torch.stack([part.mean(0) for part, *_ in cut(mu) if len(part)])
    assert means.std(0).max() > 0.1
    shares = [Moments().update(m, s, previous_mu=p) for m, s, p in cut(mu, sigma, previous)]
    found = of_all("gaussian", shares)
    assert np.isnan(found["persistence_low"]).any()
    assert np.isfinite(found["persistence"]).all()
    twice = [Moments().update(mu, sigma, previous_mu=previous) for _ in range(2)]
    whole = Moments().update(*(torch.cat([one, one]) for one in (mu, sigma)),
                             previous_mu=torch.cat([previous, previous]))  # fmt: skip
    assert_same(of_all("gaussian", twice), derive(whole.sufficient_statistics()), 5e-6)


FAMILIES = {
    "categorical": {"probability": torch.rand(62, 6, 4) + 0.1},
    "bernoulli": {"probability": torch.rand(62, 6)},
    "dirichlet": {"concentration": torch.rand(62, 6, 4) + 0.3},
    "gamma": {"concentration": torch.rand(62, 6) + 0.5, "rate": torch.rand(62, 6) + 0.5},
    "beta": {"concentration1": torch.rand(62, 6) + 0.5, "concentration0": torch.rand(62, 6) + 0.5},
    "von_mises": {"loc": torch.randn(62, 6), "concentration": torch.rand(62, 6) + 0.5},
    "laplace": {"loc": torch.randn(62, 6), "scale": torch.rand(62, 6) + 0.5},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family):
    parameters = dict(FAMILIES[family])
    if family == "categorical":
        parameters["probability"] = parameters["probability"] / parameters["probability"].sum(-1, True)
    prior = {name: value[:1] for name, value in parameters.items()}
    whole = FamilyMoments(family).update(parameters, prior)
    shares = [
        FamilyMoments(family).update(dict(zip(parameters, own, strict=True)), prior)
        for own in cut(*parameters.values())
    ]
    assert_same(of_all(family, shares), whole.result())


def test_priors_that_differ_between_shares_leave_no_mismatch():
    parameters = {"concentration": torch.rand(62, 6) + 0.5, "rate": torch.rand(62, 6) + 0.5}
    shares = []
    for at, own in enumerate(cut(*parameters.values())):
        prior = {"concentration": torch.ones(1, 6), "rate": torch.ones(1, 6)}
        prior["rate"][0, 2] += 0.1 * at
        shares.append(FamilyMoments("gamma").update(dict(zip(parameters, own, strict=True)), prior))
    assert np.isnan(of_all("gamma", shares)["mismatch"]).tolist() == [at == 2 for at in range(6)]


def test_draws_with_log_densities():
    torch.manual_seed(0)
    draws, log_q, log_prior = (torch.randn(4, sum(SIZES), 6) for _ in range(3))
    whole = SampleMoments().update(draws, log_q, log_prior)
    shares = [SampleMoments().update(*own) for own in cut(draws, log_q, log_prior, axis=1)]
    assert_same(of_all("samples", shares), whole.statistics())


def test_what_is_counted_travels_with_the_means_so_that_a_gaussian_takes_two_additions():
    mu, sigma, _, _ = gaussian(1)
    sums = {name: value[None] for name, value in Moments().update(mu, sigma).poolable().items()}
    sums |= {"seen": torch.ones(1, dtype=torch.float64)}
    first = first_pass(sums)
    assert {value.dtype for value in first.values()} == {torch.float64}
    assert {"count", "seen"} <= set(first)
    assert {value.dtype for value in second_pass(sums, means_of(first)).values()} == {torch.float32}
