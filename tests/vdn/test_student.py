"""Student's t against SciPy and torch.distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from vdn.scores import coverage, mixture_crps, mixture_nll, pit
from vdn.student import scale_of, student_cdf, student_nll, student_noise, student_quantile

DFS = (2.1, 3.0, 5.5, 40.0)


def forecasts(draws=5):
    source = torch.Generator().manual_seed(1)
    mean = torch.randn(draws, 3, 4, generator=source, dtype=torch.float64)
    sd = 0.2 + torch.rand(draws, 3, 4, generator=source, dtype=torch.float64)
    return torch.randn(3, 4, generator=source, dtype=torch.float64) * 2, mean, sd


@pytest.mark.parametrize("df", DFS)
def test_the_density_is_that_of_torch_and_its_sd_is_the_sd(df):
    y, mean, sd = forecasts()
    number = torch.tensor(df, dtype=torch.float64)
    scale = scale_of(sd, number)
    known = torch.distributions.StudentT(number, mean, scale)
    torch.testing.assert_close(known.stddev, sd)
    torch.testing.assert_close(student_nll(y, mean, sd, number), -known.log_prob(y))
    log_p = known.log_prob(y)
    joint = math.log(len(mean)) - torch.logsumexp(log_p.sum(-1), 0)
    torch.testing.assert_close(mixture_nll(y, mean, sd, "joint", df=number), joint.mean() / 4)
    marginal = math.log(len(mean)) - torch.logsumexp(log_p, 0)
    torch.testing.assert_close(mixture_nll(y, mean, sd, "marginal", "none", number), marginal)


def test_the_gradient_reaches_the_degrees_of_freedom():
    y, mean, sd = forecasts()
    df = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    mixture_nll(y, mean, sd, df=df).backward()
    with torch.no_grad():
        step = 1e-5
        up, down = (mixture_nll(y, mean, sd, df=df + side * step) for side in (1, -1))
    assert df.grad.item() == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-6)


@pytest.mark.parametrize("df", DFS)
def test_probabilities_and_quantiles_are_those_of_scipy(df):
    y, mean, sd = forecasts()
    number = torch.tensor(df, dtype=torch.float64)
    known = stats.t(df, mean.numpy(), sd.numpy() * math.sqrt((df - 2) / df))
    below = known.cdf(y.numpy())
    np.testing.assert_allclose(pit(y, mean, sd, number), below.mean(0), rtol=1e-12)
    for level in (0.5, 0.8, 0.95):
        inside = np.abs(below.mean(0) - 0.5) <= level / 2
        np.testing.assert_array_equal(coverage(y, mean, sd, level, "none", number), inside)
    levels = torch.tensor([0.001, 0.1, 0.5, 0.9], dtype=torch.float64)
    u = student_quantile(levels, number)
    torch.testing.assert_close(student_cdf(u, number), levels)


def test_with_many_degrees_of_freedom_it_is_the_gaussian():
    y, mean, sd = forecasts()
    many = torch.tensor(1e6, dtype=torch.float64)
    torch.testing.assert_close(mixture_nll(y, mean, sd, df=many), mixture_nll(y, mean, sd), rtol=1e-4, atol=0)
    torch.testing.assert_close(pit(y, mean, sd, many), pit(y, mean, sd), rtol=0, atol=1e-5)
    crps = mixture_crps(y, mean, sd, "none", many)
    torch.testing.assert_close(crps, mixture_crps(y, mean, sd, "none"), rtol=0.03, atol=0)


def quadrature(y, mean, sd, df):
    """CRPS of one mixture by its definition: the integral of (F(x) - 1[y <= x])^2."""
    parts = stats.t(df, mean, sd * math.sqrt((df - 2) / df))
    below = integrate.quad(lambda x: parts.cdf(x).mean() ** 2, -np.inf, y, epsabs=1e-9, limit=200)[0]
    above = integrate.quad(lambda x: parts.sf(x).mean() ** 2, y, np.inf, epsabs=1e-9, limit=200)[0]
    return below + above


@pytest.mark.parametrize("draws", [1, 5, 64])
@pytest.mark.parametrize("df", [3.0, 8.0])
def test_the_crps_is_the_integral_of_its_definition(draws, df):
    y, mean, sd = forecasts(draws)
    found = mixture_crps(y, mean, sd, "none", torch.tensor(df, dtype=torch.float64))
    known = [
        quadrature(y[i, j].item(), mean[:, i, j].numpy(), sd[:, i, j].numpy(), df)
        for i in range(3)
        for j in range(4)
    ]
    np.testing.assert_allclose(found.flatten(), known, rtol=0.03)
    assert found.mean().item() == pytest.approx(np.mean(known), rel=5e-3)


@pytest.mark.parametrize("draws", [1, 8, 64])
def test_the_mean_crps_does_not_depend_on_how_many_points_stand_for_a_forecast(draws, monkeypatch):
    source = torch.Generator().manual_seed(2)
    mean = 0.5 * torch.randn(draws, 100, 4, generator=source)
    sd = 0.3 + 0.4 * torch.rand(draws, 100, 4, generator=source)
    y, df = torch.randn(100, 4, generator=source), torch.tensor(5.0)
    few = mixture_crps(y, mean, sd, df=df)
    monkeypatch.setattr("vdn.scores.STUDENT_POINTS", 8192)
    assert few.item() == pytest.approx(mixture_crps(y, mean, sd, df=df).item(), rel=1e-3)


def test_equal_draws_are_one_forecast():
    y, mean, sd = (part.float() for part in forecasts(1))
    df = torch.tensor(4.0)
    alone, many = (mixture_crps(y, mean.expand(n, -1, -1), sd.expand(n, -1, -1), "none", df) for n in (1, 64))
    torch.testing.assert_close(alone, many, rtol=2e-3, atol=0)


@pytest.mark.parametrize("df", [3.0, 8.0, 200.0])
def test_draws_are_of_the_law(df):
    draws = student_noise((40_000,), torch.tensor(df), torch.zeros(()), torch.Generator().manual_seed(0))
    law = stats.t(df, scale=math.sqrt(1 - 2 / df))
    assert stats.kstest(draws.double().numpy(), law.cdf).pvalue > 1e-3
    assert torch.isfinite(draws).all()
