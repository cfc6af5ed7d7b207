"""Scores against torch.distributions, numerical integration and their definitions."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from vdn.scores import (
    coverage,
    gaussian_crps,
    gaussian_nll,
    mixture_crps,
    mixture_nll,
    pinball,
    pit,
    widened_for_draws,
)

S, B, H = 5, 4, 3


@pytest.fixture
def forecast():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(S, B, H, dtype=torch.float64, generator=generator)
    scale = torch.rand(S, B, H, dtype=torch.float64, generator=generator) + 0.2
    return torch.randn(B, H, dtype=torch.float64, generator=generator), mean, scale


def mixture_cdf(x, mean, scale):
    return stats.norm.cdf(x, mean, scale).mean()


def crps_by_integration(y, mean, scale):
    low, _ = integrate.quad(lambda x: mixture_cdf(x, mean, scale) ** 2, -15, y, limit=200)
    high, _ = integrate.quad(lambda x: (1 - mixture_cdf(x, mean, scale)) ** 2, y, 15, limit=200)
    return low + high


def test_nll(forecast):
    y, mean, scale = forecast
    torch.testing.assert_close(
        gaussian_nll(y, mean[0], scale[0], "none"), -torch.distributions.Normal(mean[0], scale[0]).log_prob(y)
    )
    log_p = torch.distributions.Normal(mean, scale).log_prob(y)
    marginal = -log_p.exp().mean(0).log()
    joint = -log_p.sum(-1).exp().mean(0).log() / H
    torch.testing.assert_close(mixture_nll(y, mean, scale, "marginal", "none"), marginal)
    torch.testing.assert_close(mixture_nll(y, mean, scale, "joint", "none"), joint)
    torch.testing.assert_close(mixture_nll(y, mean, scale), joint.mean())


def test_crps_by_integration(forecast):
    y, mean, scale = forecast
    exact = torch.tensor(
        [
            [
                crps_by_integration(y[b, h].item(), mean[:, b, h].numpy(), scale[:, b, h].numpy())
                for h in range(H)
            ]
            for b in range(B)
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(mixture_crps(y, mean, scale, "none"), exact, atol=1e-7, rtol=0)
    torch.testing.assert_close(
        mixture_crps(y, mean[:1], scale[:1], "none"), gaussian_crps(y, mean[0], scale[0], "none")
    )
    torch.testing.assert_close(
        gaussian_crps(y, mean[0], scale[0]), gaussian_crps(y, mean[0], scale[0], "none").mean()
    )


def test_crps_is_the_mean_over_quantile_levels_of_twice_pinball(forecast):
    y, mean, scale = forecast
    taus = (np.arange(20_000) + 0.5) / 20_000
    by_quantiles = 2 * pinball(y, mean[0], scale[0], taus.tolist(), "none").mean(0)
    torch.testing.assert_close(by_quantiles, gaussian_crps(y, mean[0], scale[0], "none"), atol=1e-4, rtol=0)


def test_crps_in_chunks_is_the_same(forecast, monkeypatch):
    y, mean, scale = forecast
    whole = mixture_crps(y, mean, scale, "none")
    monkeypatch.setattr("vdn.scores.CHUNK_ELEMENTS", 30)
    torch.testing.assert_close(mixture_crps(y, mean, scale, "none"), whole)


def test_pit_and_coverage_of_a_mixture_follow_its_own_law():
    """y drawn from the mixture itself: PIT uniform, intervals hold their level."""
    generator = torch.Generator().manual_seed(3)
    mean = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)[:, None, None].expand(3, 20_000, 1)
    scale = torch.tensor([0.3, 1.0, 0.2], dtype=torch.float64)[:, None, None].expand(3, 20_000, 1)
    draw = torch.randint(3, (20_000,), generator=generator)
    rows = torch.arange(20_000)
    y = (
        mean[draw, rows]
        + scale[draw, rows] * torch.randn(20_000, 1, dtype=torch.float64, generator=generator)
    ).double()
    u = pit(y, mean, scale)
    assert u.shape == y.shape
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > 0.01
    for level in (0.5, 0.8, 0.95):
        error = math.sqrt(level * (1 - level) / 20_000)
        assert abs(coverage(y, mean, scale, level).item() - level) < 4 * error


def test_pit_and_coverage_of_one_forecast(forecast):
    y, mean, scale = forecast
    torch.testing.assert_close(
        pit(y, mean[0], scale[0]), torch.distributions.Normal(mean[0], scale[0]).cdf(y)
    )
    low, high = stats.norm.interval(0.8, mean[0].numpy(), scale[0].numpy())
    inside = (y.numpy() >= low) & (y.numpy() <= high)
    assert (coverage(y, mean[0], scale[0], 0.8, "none").numpy() == inside).all()


def test_wrong_arguments_name_themselves(forecast):
    y, mean, scale = forecast
    with pytest.raises(ValueError, match="level"):
        coverage(y, mean, scale, 80)
    with pytest.raises(ValueError, match="kind"):
        mixture_nll(y, mean, scale, "both")
    with pytest.raises(ValueError, match="reduction"):
        gaussian_nll(y, mean[0], scale[0], "sum")
    with pytest.raises(ValueError, match="taus"):
        pinball(y, mean[0], scale[0], [0.0])


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_pit_of_few_draws_is_uniform_once_they_are_widened(share):
    """Targets from the law that the draws are of, of whose variance `share` is latent."""
    generator = torch.Generator().manual_seed(5)
    shape, draws = (20_000, 1), 8
    latent = share**0.5 * torch.randn((draws + 1, *shape), generator=generator)
    scale = torch.full(shape, (1 - share) ** 0.5)
    y = latent[0] + scale * torch.randn(shape, generator=generator)
    exact = pit(y, widened_for_draws(latent[1:]), scale)
    plain = pit(y, latent[1:], scale)
    for level in (0.5, 0.8, 0.95):
        held = ((exact - 0.5).abs() <= level / 2).float().mean().item()
        assert held == pytest.approx(level, abs=0.012)
    narrow = ((plain - 0.5).abs() <= 0.4).float().mean().item()
    assert narrow < 0.8 - 0.05 * share
    wide = widened_for_draws(latent[1:])
    assert torch.allclose(wide.mean(0), latent[1:].mean(0), atol=1e-6)
    assert wide.var(0, correction=0).mean() == pytest.approx(share * 9 / 8, rel=0.03)
    assert torch.equal(widened_for_draws(latent[:1]), latent[:1])
