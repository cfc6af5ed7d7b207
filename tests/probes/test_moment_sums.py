"""Sums over rows: large means, shared rows, masks, no rows at all, and the short way under Normal(0, 1)."""

import math

import pytest
import torch

from probes.moments import Moments, moments


def test_exact_at_a_large_mean_and_a_small_spread():
    draw = torch.Generator().manual_seed(1)
    level = torch.tensor([-1e3, 0.0, 1e3])[:, None]
    noise = torch.randn(256, 3, 1, generator=draw)
    mu = level + 1e-3 * noise
    mu[:16] = level + 4e-3  # the rows that the variance is taken around are far from the others
    expected = mu.double().var(0, correction=0)[:, 0].float()
    pool = Moments()
    for part in mu.split(50):
        pool.update(part, torch.full_like(part, 0.5))
    for result in (moments(mu, torch.full_like(mu, 0.5)), pool.result()):
        torch.testing.assert_close(result["spread"], expected, rtol=1e-4, atol=0)
        torch.testing.assert_close(result["mean"], mu.double().mean(0)[:, 0].float(), rtol=1e-7, atol=1e-7)


def test_a_shared_sigma_equals_its_copies():
    mu, sigma = torch.randn(96, 7, 3), torch.rand(7, 3) + 0.2
    few, many = (moments(mu, value, sigma_limits=(0.15, 1.0)) for value in (sigma, sigma.repeat(96, 1, 1)))
    one = moments(mu, torch.tensor(0.5))
    for name, value in few.items():
        torch.testing.assert_close(many[name], value, rtol=1e-5, atol=5e-6, msg=name)
    torch.testing.assert_close(one["variance"], torch.full((7,), 0.25))


@pytest.mark.parametrize("place", ["leading", "trailing", "scattered", "one left"])
def test_a_mask_leaves_out_rows_wherever_they_are(place):
    """Means of 100 that move by 0.01: what is left out, filled with anything, must not enter any sum."""
    torch.manual_seed(0)
    mask = {
        "leading": torch.arange(64) >= 40,
        "trailing": torch.arange(64) < 24,
        "scattered": torch.rand(64) < 0.3,
        "one left": torch.arange(64) == 50,
    }[place]
    mu = 100 + 0.01 * torch.randn(64, 5, 2, dtype=torch.float64)
    before = 100 + 0.6 * (mu - 100) + 0.008 * torch.randn(64, 5, 2, dtype=torch.float64)
    sigma = torch.rand(64, 5, 2, dtype=torch.float64) + 0.1
    filled = torch.where(mask[:, None, None], mu, torch.nan).float()
    found = moments(filled, sigma.float(), previous_mu=before.float(), mask=mask)
    left = mu.float().double()[mask]
    assert found["rows"].tolist() == [float(mask.sum())] * 5
    if place == "one left":
        torch.testing.assert_close(found["mean"].double(), left.mean(0).mean(-1))
        for name in ("information", "mismatch", "width_spread"):
            assert found[name].isnan().all(), "of one input nothing is known that moves with the input"
        assert (found["spread"] == 0).all()
        return
    torch.testing.assert_close(
        found["spread"].double(), left.var(0, correction=0).mean(-1), rtol=2e-4, atol=1e-9
    )
    assert (found["spread"] >= 0).all()
    assert found["information"].isfinite().all()
    if place != "one left":
        x, y = (v.float().double()[mask] - v.float().double()[mask].mean(0) for v in (before, mu))
        torch.testing.assert_close(
            found["persistence"].double(), (x * y).sum((0, 2)) / (x * x).sum((0, 2)), rtol=1e-3, atol=1e-4
        )


def test_a_mean_that_all_inputs_share_beside_a_width_of_each():
    """A warning is an error here: a buffer of the mean's size must not be given to the widths."""
    sigma = torch.rand(8, 4, 1) + 0.1
    found = moments(torch.zeros(1, 4, 1).expand(8, 4, 1), sigma)
    torch.testing.assert_close(found["variance"], sigma.square().mean(0)[:, 0])
    assert found["spread"].tolist() == [0] * 4


@pytest.mark.parametrize("inputs", [0, 1, 5])
def test_what_is_not_there_is_no_number(inputs, recwarn):
    """No input, one, or all left out: null where nothing is known, never a wrong number or a warning."""
    mu, sigma = torch.randn(inputs, 3, 2), torch.rand(inputs, 3, 2) + 0.1
    whole = moments(mu, sigma)
    masked = moments(mu, sigma, mask=torch.zeros(inputs, dtype=torch.bool))
    known = {"non_finite", "rows"} | (set(whole) if inputs > 1 else set())
    known |= {"mean", "variance", "kl", "mu2", "active_share", "spread"} if inputs else set()
    for name, value in whole.items():
        assert value.isfinite().all() == (name in known), name
        assert masked[name].isfinite().all() == (name in ("non_finite", "rows")), name
    assert masked["rows"].tolist() == [0.0] * 3
    assert not recwarn.list


def test_a_mean_that_inputs_share_beside_widths_that_they_do_not(recwarn):
    found = moments(torch.zeros(1, 4, 1).expand(8, 4, 1), torch.rand(8, 4, 1) + 0.1)
    assert (found["spread"] == 0).all()
    assert (found["width_spread"] > 0).all()
    assert not recwarn.list


@pytest.mark.parametrize("inputs", [1, 2, 96, 3000])
@pytest.mark.parametrize("dimensions", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_sums_are_those_of_an_update(inputs, dimensions, dtype, monkeypatch):
    """Of one part or of several, with a log variance or sigma."""
    draw = torch.Generator().manual_seed(0)
    mu, log_sd = torch.randn(2, inputs, 7, dimensions, generator=draw)
    mu, log_variance = (2 * mu + 1).to(dtype), (log_sd - 2).clamp(-3.8, 0).to(dtype)
    log_sigma = log_variance.float() / 2
    expected = Moments().update(mu, log_sigma.exp(), log_sigma=log_sigma).result()
    for part in (1 << 16, 2000):
        monkeypatch.setattr("probes.moment_sums.PART", part)
        for found in (
            Moments().update_plain(mu, log_variance=log_variance),
            Moments().update_plain(mu, log_sigma.exp(), log_sigma=log_sigma),
            Moments().update_plain(mu, log_sigma.exp()),
        ):
            result = found.result()
            assert result.keys() == expected.keys()
            for name, value in expected.items():
                torch.testing.assert_close(
                    result[name], value, rtol=2e-5, atol=5e-6, equal_nan=True, msg=name
                )


def test_plain_sums_near_the_prior_and_without_rows():
    """KL of 1.5e-6 nats, to 1e-8; none without inputs; what is not finite stays with its neuron."""
    draw = torch.Generator().manual_seed(0)
    mu, log_variance = (1e-3 * torch.randn(256, 50, 1, generator=draw) * size for size in (1, 2))
    truth = 0.5 * (mu.double() ** 2 + log_variance.double().exp() - 1 - log_variance.double()).mean(0)[:, 0]
    found = Moments().update_plain(mu, log_variance=log_variance).result()
    torch.testing.assert_close(found["kl"].double(), truth, rtol=0, atol=1e-8)
    assert Moments().update_plain(mu[:0], mu[:0] + 1).result()["kl"].isnan().all()
    mu[3, 2], mu[5:8, 4] = math.nan, math.inf
    found = Moments().update_plain(mu, log_variance=log_variance).result()
    assert found["non_finite"].nonzero()[:, 0].tolist() == [2, 4]
    assert found["non_finite"][[2, 4]].tolist() == [1, 3]
    assert found["kl"].isfinite().sum() == 48


def test_plain_sums_want_one_scale_of_the_shape_of_the_mean():
    mu = torch.zeros(4, 3, 1)
    with pytest.raises(ValueError, match="give sigma or log_variance"):
        Moments().update_plain(mu)
    with pytest.raises(ValueError, match="give sigma or log_variance"):
        Moments().update_plain(mu, mu + 1, log_variance=mu)
    with pytest.raises(ValueError, match="have one shape"):
        Moments().update_plain(mu, torch.ones(3, 1))


@pytest.mark.parametrize("plain", [True, False])
def test_what_all_inputs_share_spreads_by_no_less_than_nothing(plain):
    """A mean of squares less the square of a mean is below 0 by rounding, of some numbers of rows."""
    level = torch.rand(1, 500, 1, generator=torch.Generator().manual_seed(0))
    for rows in range(1, 40):
        mu, sigma = level.repeat(rows, 1, 1), torch.ones(rows, 500, 1)
        found = Moments().update_plain(mu, sigma) if plain else Moments().update(mu, sigma)
        assert (found.result()["spread"] >= 0).all(), rows
