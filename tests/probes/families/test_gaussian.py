"""The Gaussian's formulas against torch's closed forms, the law of a variance, and posteriors at hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import chi2
from torch.distributions import Normal, kl_divergence

from probes.families import family_of
from probes.families.gaussian import GAUSSIAN


def posteriors(rows: int = 64, neurons: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and standard deviations (rows, neurons), each neuron of other sizes."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.1, 1.5, neurons, dtype=torch.float64)
    mean = torch.randn((rows, neurons), generator=generator, dtype=torch.float64) * scale + scale - 0.7
    return mean, (torch.randn(mean.shape, generator=generator, dtype=torch.float64) * 0.4 - 0.5).exp()


def test_information_and_mismatch_are_divergences_from_the_gaussian_of_the_same_moments() -> None:
    mean, sd = posteriors()
    variance, spread = sd.square().mean(0), mean.var(0, correction=0)
    same = Normal(mean.mean(0), (variance + spread).sqrt())
    information = kl_divergence(Normal(mean, sd), same).mean(0)
    mismatch = kl_divergence(same, Normal(torch.zeros(5).double(), torch.ones(5).double()))
    found = GAUSSIAN.information(variance.numpy(), spread.numpy(), sd.square().log().mean(0).numpy())
    np.testing.assert_allclose(found, information, rtol=1e-12)
    found = GAUSSIAN.mismatch(mean.mean(0).numpy(), variance.numpy(), spread.numpy())
    np.testing.assert_allclose(found, mismatch, rtol=1e-12)


def test_the_spread_of_widths_is_of_widths_alone() -> None:
    """Variances 1/4 and 4: their mean is 17/8, and that of their logarithms 0."""
    assert GAUSSIAN.width_spread(np.float64(17 / 8), np.float64(0.0)) == pytest.approx(0.5 * math.log(17 / 8))
    assert GAUSSIAN.width_spread(np.float64(0.3), np.log(0.3)) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("phi", [0.0, 0.6, -0.95])
@pytest.mark.parametrize("latent_dim", [1, 3])
def test_the_floor_is_the_least_that_a_pair_of_one_width_pays(phi: float, latent_dim: int) -> None:
    def paid(log_variance: float) -> float:
        """Of a dimension: mean 0 and this variance, given a predecessor of the same law."""
        ratio = math.exp(log_variance) / (1 - phi**2)
        return 0.5 * (ratio - 1 - math.log(ratio)) + 0.5 * phi**2 * ratio

    least = latent_dim * minimize_scalar(paid, bounds=(-8, 3), options={"xatol": 1e-9}).fun
    assert GAUSSIAN.kl_floor(np.float64(phi), latent_dim) == pytest.approx(least, abs=1e-9)
    assert GAUSSIAN.kl_floor(torch.tensor(phi, dtype=torch.float64), latent_dim).item() == pytest.approx(
        least, abs=1e-9
    )


@pytest.mark.parametrize(("information", "width_spread"), [(0.05, 0.0), (0.8, 0.3)])
@pytest.mark.parametrize("latent_dim", [1, 4])
def test_the_limit_is_that_of_the_law_of_a_variance(
    information: float, width_spread: float, latent_dim: int
) -> None:
    rows = np.array([2.0, 16.0, 300.0, 1.0, np.inf])
    found = GAUSSIAN.information_limit(information, width_spread, rows, latent_dim, 0.98)
    share = np.expm1(2 * (information - width_spread) / latent_dim)  # S / v of each dimension
    growth = (rows[:3] - 1) / chi2.ppf(0.02, rows[:3] - 1)
    limit = latent_dim * 0.5 * np.log1p(share * growth) + width_spread
    np.testing.assert_allclose(found[:3], limit, rtol=1e-10)
    assert np.isnan(found[3])
    assert found[4] == pytest.approx(information)


def test_what_mean_variance_and_kl_leave_open_holds_what_is() -> None:
    mean, sd = posteriors(64, 40)
    variance, spread = sd.square().mean(0), mean.var(0, correction=0)
    widths = GAUSSIAN.width_spread(variance.numpy(), sd.square().log().mean(0).numpy())
    kl = kl_divergence(Normal(mean, sd), Normal(0.0, 1.0)).mean(0)
    given = [value.numpy() for value in (mean.mean(0), variance, kl)]
    true = GAUSSIAN.information(variance.numpy(), spread.numpy(), sd.square().log().mean(0).numpy())

    open_ = np.array(GAUSSIAN.completions(*given, np.full(40, np.nan), 1e-7))  # (ends, 3, neurons)
    for number, value in enumerate((true, spread.numpy(), widths)):
        assert (np.nanmin(open_[:, number], axis=0) <= value + 1e-6).all()
        assert (np.nanmax(open_[:, number], axis=0) >= value - 1e-6).all()
    assert (np.nanmax(open_[:, 1], axis=0) > spread.numpy() + 1e-3).any(), "the spread is left open"

    told = np.array(GAUSSIAN.completions(*given, spread.numpy(), 1e-7))
    np.testing.assert_allclose(told[:, 0], np.broadcast_to(true, told[:, 0].shape), atol=1e-5)
    with np.errstate(invalid="ignore"):
        below = np.array(GAUSSIAN.completions(*given[:2], 0 * given[2], np.full(40, np.nan), 1e-7))
    moved = np.abs(given[0]) > 0.2
    assert np.isnan(below[:, 2][:, moved]).all(), "a mean that is off and a KL of 0 are no posteriors"


def test_the_prior_that_numbers_are_told_against() -> None:
    """Recorded of Normal(2, 3²): mean 5 is whitened 1. An autoregressive prior is Normal(0, 1) at rest."""
    nan = np.nan
    mean, sd = GAUSSIAN.prior(
        mean=np.array([5.0, 5.0, 5.0, nan]),
        whitened_mean=np.array([1.0, nan, 1.0, 1.0]),
        prior_variance=np.array([9.0, 9.0, 9.0, 9.0]),
        phi=np.array([nan, 0.0, 0.6, 0.0]),
    )
    np.testing.assert_allclose(mean, [2.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(sd, [3.0, 3.0, 1.0, 3.0])


def test_a_code_lives_or_is_dead_and_nothing_else() -> None:
    assert family_of({"family": "codes"}).regimes == {0, 1, 4}


def test_of_one_dimension_and_two_per_cent_nothing_needs_to_be_said() -> None:
    rows = np.array([2.0, 16.0, 300.0])
    found = GAUSSIAN.information_limit(0.05, 0.01, rows)
    np.testing.assert_array_equal(found, GAUSSIAN.information_limit(0.05, 0.01, rows, 1, 0.98))
    assert GAUSSIAN.kl_floor(np.float64(0.5)) == pytest.approx(0.5 * math.log(1.25))
