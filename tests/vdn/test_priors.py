"""Local KL, floor and past of the priors against torch.distributions, Monte Carlo and quadrature."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Normal, kl_divergence

from vdn.priors import (
    AutoregressivePrior,
    StandardNormalPrior,
    ar_penalty,
    ar_sigma_from_band,
    gaussian_kl,
    kl_floor,
)

SHAPE = (6, 5, 4)  # (B, N, K)


@pytest.fixture
def posterior():
    generator = torch.Generator().manual_seed(0)
    mu = torch.randn(SHAPE, dtype=torch.float64, generator=generator)
    log_sigma = 0.5 * torch.randn(SHAPE, dtype=torch.float64, generator=generator)
    return mu, log_sigma.exp(), log_sigma


def test_gaussian_kl_is_torchs(posterior):
    mu, sigma, _ = posterior
    m, s = torch.tensor(0.3, dtype=torch.float64), torch.tensor(1.7, dtype=torch.float64)
    torch.testing.assert_close(gaussian_kl(mu, sigma, m, s), kl_divergence(Normal(mu, sigma), Normal(m, s)))


def test_gaussian_kl_by_quadrature():
    q, p = stats.norm(0.7, 0.4), stats.norm(-0.2, 1.3)
    exact, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -5, 6)
    one = [torch.tensor(value, dtype=torch.float64) for value in (0.7, 0.4, -0.2, 1.3)]
    assert gaussian_kl(*one).item() == pytest.approx(exact, abs=1e-10)


def test_standard_prior_sums_over_dimensions(posterior):
    mu, sigma, log_sigma = posterior
    local = StandardNormalPrior()(mu, sigma, log_sigma)
    torch.testing.assert_close(local.kl, kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)).sum(-1))
    assert local.past is local.phi is None


def test_autoregressive_kl_is_the_expectation_over_the_past(posterior):
    mu, sigma, log_sigma = posterior
    before_mu, before_sigma = mu.roll(1, 0), sigma.roll(2, 0)
    prior = AutoregressivePrior(SHAPE[1], torch.tensor([0.0, 0.3, -0.6, 0.9, 0.95])).double()
    local = prior(mu, sigma, log_sigma, (before_mu, before_sigma))
    phi = prior.phi[:, None]
    torch.manual_seed(1)
    z = Normal(before_mu, before_sigma).sample((100_000,))
    draws = kl_divergence(Normal(mu, sigma), Normal(phi * z, (1 - phi**2).sqrt())).sum(-1)
    error = draws.std(0) / len(draws) ** 0.5
    assert ((local.kl - draws.mean(0)).abs() < 5 * error + 1e-9).all()
    at_mean = kl_divergence(Normal(mu, sigma), Normal(local.prior_mu, local.prior_sigma)).sum(-1)
    torch.testing.assert_close(local.kl, at_mean + local.past)


def test_pairs_put_predecessors_under_the_stationary_prior(posterior):
    mu, sigma, log_sigma = posterior
    prior = AutoregressivePrior(SHAPE[1], 0.6).double()
    both = prior(mu, sigma, log_sigma, "pairs")
    half = SHAPE[0] // 2
    first = prior(mu[:half], sigma[:half], log_sigma[:half], (mu[half:], sigma[half:]))
    torch.testing.assert_close(both.kl[:half], first.kl)
    torch.testing.assert_close(both.past[:half], first.past)
    torch.testing.assert_close(
        both.kl[half:], kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)).sum(-1)[half:]
    )
    assert (both.past[half:] == 0).all()
    with pytest.raises(ValueError, match="5 rows cannot be halved"):
        prior(mu[:5], sigma[:5], log_sigma[:5], "pairs")


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.6, 0.95])
def test_floor_is_the_least_kl_of_one_law(phi):
    """Over all Gaussian laws Normal(0, sigma^2) of both posteriors, found numerically."""
    prior = AutoregressivePrior(1, phi).double()
    sigma = torch.linspace(0.01, 3, 30_000, dtype=torch.float64).reshape(-1, 1, 1)
    kl = prior(torch.zeros_like(sigma), sigma, sigma.log(), (torch.zeros_like(sigma), sigma)).kl
    assert kl.min().item() == pytest.approx(0.5 * np.log1p(phi**2), abs=1e-6)
    assert kl_floor(prior.phi).item() == pytest.approx(kl.min().item(), abs=1e-6)


def test_phi_is_checked_and_learned_on_request():
    with pytest.raises(ValueError, match=r"\(-1, 1\)"):
        AutoregressivePrior(3, 1.0)
    assert not AutoregressivePrior(3, 0.5).raw_phi.requires_grad
    assert AutoregressivePrior(3, 0.5, learned=True).raw_phi.requires_grad


def test_published_penalty():
    cur, prev = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -1.0])
    assert ar_penalty(cur, prev, phi=0.5, ar_sigma=0.2).item() == pytest.approx(
        (0.75**2 + 2.5**2) / 2 / (2 * 0.04)
    )
    low, high = torch.tensor([0.8, 0.08]), torch.tensor([1.6, 0.16])
    assert ar_sigma_from_band(low, high) == pytest.approx(
        0.8 * np.sqrt(np.sqrt([0.8 * 1.6, 0.08 * 0.16]).mean())
    )
    assert ar_sigma_from_band(low * 1e-6, high * 1e-6) == 0.03
    assert ar_sigma_from_band(low * 1e6, high * 1e6) == 1.0
