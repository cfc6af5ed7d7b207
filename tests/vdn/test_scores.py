"""Scores against torch.distributions, numerical integration and their definitions."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from vdn.scores import (
    brier,
    coverage,
    energy_score,
    gaussian_crps,
    gaussian_nll,
    mixture_crps,
    mixture_nll,
    pinball,
    pit,
    trajectories,
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


def test_the_energy_score_of_one_number_is_its_crps():
    """Without bias, also at two draws: the mean over many examples of one forecast."""
    generator = torch.Generator().manual_seed(1)
    many = 40_000
    y = torch.full((many, 1), 0.7, dtype=torch.float64)
    mean, scale = torch.full((1, many, 1), 0.2), torch.full((1, many, 1), 1.5)
    exact = gaussian_crps(y[:1], mean[0, :1].double(), scale[0, :1].double()).item()
    for drawn in (
        trajectories(mean, scale, generator),
        trajectories(mean.expand(2, -1, -1), scale, generator),
    ):
        values = energy_score(y, drawn.double(), "none")
        assert values.mean().item() == pytest.approx(exact, abs=4 * values.std().item() / math.sqrt(many))
    centres = torch.tensor([-1.0, 0.5, 2.0])
    draw = centres[torch.randint(3, (8, many, 1), generator=generator)]
    values = energy_score(y, trajectories(draw, torch.full_like(draw, 0.4), generator).double(), "none")
    of_mixture = mixture_crps(y[:1], centres[:, None, None].double(), torch.full((3, 1, 1), 0.4).double())
    assert values.mean().item() == pytest.approx(of_mixture.item(), abs=4 * values.std().item() / many**0.5)


def test_the_energy_score_is_by_hand(monkeypatch):
    y = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    drawn = torch.tensor([[[3.0, 4.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 2.0]], [[0.0, 4.0], [1.0, 1.0]]])
    by_hand = torch.tensor([9 / 3 - (5 + 3 + 4) / 6, 1 / 3 - (1 + 0 + 1) / 6])
    torch.testing.assert_close(energy_score(y, drawn, "none"), by_hand)
    monkeypatch.setattr("vdn.scores.CHUNK_ELEMENTS", 9)  # one example at a time
    torch.testing.assert_close(energy_score(y, drawn), by_hand.mean())
    near = 1e3 + torch.tensor([0.0, 1e-2])[:, None, None].expand(2, 30, 2)
    found = energy_score(torch.full((30, 2), 1e3), near, "none")  # digits that sums of squares lose
    torch.testing.assert_close(found, torch.zeros(30), atol=2e-4, rtol=0)
    with pytest.raises(ValueError, match="at least 2 trajectories"):
        energy_score(y, drawn[:1])


def test_the_energy_score_is_least_for_the_true_law():
    """Shifted, narrowed, widened, and with the dependence left out, which no score of single numbers sees."""
    generator = torch.Generator().manual_seed(2)
    examples, draws = 4_000, 32

    def law(count, shift=0.0, width=1.0, shared=0.8):
        latent = shared**0.5 * torch.randn(count, examples, 1, generator=generator)
        return shift + width * (
            latent + (1 - shared) ** 0.5 * torch.randn(count, examples, 6, generator=generator)
        )

    y = law(1)[0]
    true = energy_score(y, law(draws), "none")
    for wrong in ({"shift": 0.4}, {"width": 0.6}, {"width": 1.6}, {"shared": 0.0}):
        worse = energy_score(y, law(draws, **wrong), "none") - true
        assert worse.mean() > 4 * worse.std() / math.sqrt(examples), wrong
    alike = [
        gaussian_crps(y, torch.zeros(()), torch.ones(())),
        mixture_crps(y, law(draws), torch.tensor(1e-3)),
    ]
    assert alike[0].item() == pytest.approx(alike[1].item(), rel=0.05), "marginals are the same"


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


def test_brier_by_hand():
    assert brier(torch.tensor([[0.7, 0.3]]), torch.tensor([0])).item() == pytest.approx(0.18)
    assert brier(torch.tensor([0.5, 0.5]), torch.tensor([0, 1])).item() == pytest.approx(0.5)
