"""Slopes over pairs against least squares by hand, and the coverage of their interval."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from probes.persistence import Pairs


def pairs(phi, count=128, series=7, level=3.0, dimensions=1, seed=0):
    """Stationary pairs of as many neurons as phi has entries, each series at its own level: current,
    previous, ids.
    """
    draw = np.random.default_rng(seed)
    ids = np.arange(count) % series
    shape = (count, len(phi), dimensions)
    previous = draw.normal(size=shape)
    phi = np.asarray(phi)[:, None]
    current = phi * previous + np.sqrt(1 - phi**2) * draw.normal(size=shape)
    levels = level * draw.normal(size=(series, *shape[1:]))[ids]
    return torch.tensor(current + levels), torch.tensor(previous + levels), torch.tensor(ids)


def test_against_least_squares_with_a_level_for_each_series():
    current, previous, ids = pairs([0.0, 0.5, 0.95])
    result = Pairs(7).update(current, previous, ids).result()
    levels = np.eye(7)[ids.numpy()]
    for neuron in range(3):
        y = current[:, neuron, 0].numpy()
        design = np.column_stack([previous[:, neuron, 0].numpy(), levels])
        beta, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
        innovation = residual[0] / (128 - 8)
        half = stats.t.ppf(0.975, 120) * math.sqrt(innovation * np.linalg.inv(design.T @ design)[0, 0])
        expected = {
            "persistence": beta[0],
            "persistence_low": beta[0] - half,
            "persistence_high": beta[0] + half,
            "innovation": innovation,
        }
        for name, value in expected.items():
            assert result[name][neuron].item() == pytest.approx(value, rel=2e-5, abs=2e-6), name


@pytest.mark.parametrize(("count", "series"), [(128, 1), (128, 7), (128, 64), (12, 1)])
@pytest.mark.parametrize("phi", [0.0, 0.6, 0.95, 0.99])
def test_the_interval_covers_the_truth(phi, count, series):
    current, previous, ids = pairs(np.full(4000, phi), count, series)
    result = Pairs(series).update(current, previous, ids).result()
    covered = (result["persistence_low"] < phi) & (phi < result["persistence_high"])
    assert 0.93 < covered.float().mean().item() < 0.97


def test_dimensions_that_agree_or_not_never_narrow_the_interval_too_far():
    current, previous, ids = pairs(np.full(2000, 0.6), dimensions=1)
    one = Pairs(7).update(current, previous, ids).result()
    same = Pairs(7).update(current.repeat(1, 1, 4), previous.repeat(1, 1, 4), ids).result()
    for name, value in one.items():
        torch.testing.assert_close(same[name], value, msg=name)
    current, previous, ids = pairs(np.full(2000, 0.6), dimensions=4)
    free = Pairs(7).update(current, previous, ids).result()
    covered = (free["persistence_low"] < 0.6) & (free["persistence_high"] > 0.6)
    assert covered.float().mean().item() > 0.95


def test_the_level_of_a_series_is_not_memory():
    current, previous, ids = pairs(np.zeros(200), level=10.0)
    within = Pairs(7).update(current, previous, ids).result()["persistence"]
    across = Pairs(1).update(current, previous).result()["persistence"]
    assert within.abs().mean().item() < 0.1
    assert across.mean().item() > 0.9


def test_a_large_mean_does_not_swallow_the_slope():
    current, previous, ids = pairs([0.3, 0.9], level=1.0)
    plain = Pairs(7).update(current, previous, ids).result()
    shifted = Pairs(7).update(1e3 + 1e-2 * current, 1e3 + 1e-2 * previous, ids).result()
    torch.testing.assert_close(shifted["persistence"], plain["persistence"], rtol=0, atol=0.01)


def test_undefined_slopes_are_nan():
    still = torch.full((20, 3, 1), 1000.1)
    assert all(value.isnan().all() for value in Pairs().update(still, still).result().values())
    assert Pairs().update(still * 0, still * 0).result()["persistence"].isnan().all()
    current, previous, ids = pairs([0.5], count=8, series=7)
    assert Pairs(7).update(current, previous, ids).result()["persistence"].isnan().all(), (
        "8 pairs, 7 levels, 1 slope"
    )


def column(*values):
    return torch.tensor(values).view(-1, 1, 1)


def test_three_pairs_leave_one_degree_of_freedom():
    """y = 0, 1, 4 on x = 0, 1, 2: slope 4 / 2, residual 26 / 3 - 8. Student's t is good to a per cent from 3
    degrees on.
    """
    result = Pairs().update(column(0.0, 1.0, 4.0), column(0.0, 1.0, 2.0)).result()
    assert result["persistence"].item() == pytest.approx(2)
    assert result["innovation"].item() == pytest.approx(2 / 3, rel=1e-5)
    half = 12.7062 * math.sqrt(2 / 3 / 2)
    assert 2 - result["persistence_low"].item() == pytest.approx(half, rel=0.12)
    assert result["persistence_high"].item() - 2 == pytest.approx(half, rel=0.12)
    assert Pairs().update(column(0.0, 1.0), column(0.0, 2.0)).result()["persistence"].isnan().all()


def test_series_without_a_pair_take_no_degree_of_freedom():
    current, previous, ids = pairs([0.3, 0.8], count=20, series=2)
    few = Pairs(2).update(current, previous, ids).result()
    many = Pairs(50).update(current, previous, ids * 37).result()
    for name, value in few.items():
        torch.testing.assert_close(many[name], value, msg=name)


def test_a_movement_within_the_rounding_of_its_level_is_none():
    """In float32 numbers near 1,000 lie 6e-5 apart: one such step to and fro is arithmetic, ten times 2^-4 is
    not.
    """
    to_and_fro = torch.arange(40.0).view(-1, 1, 1) % 2
    for size, moves in ((2.0**-14, False), (2.0**-4, True)):
        value = 1000 + size * to_and_fro
        slope = Pairs().update(value.roll(1, 0), value).result()["persistence"]
        assert slope.isnan().item() != moves
    assert slope.item() == pytest.approx(-1)


def test_a_line_without_noise_has_an_innovation_of_nought_and_an_interval():
    previous = torch.randn(40, 500, 1, generator=torch.Generator().manual_seed(0))
    result = Pairs().update(0.3 * previous, previous).result()
    assert (result["innovation"] >= 0).all()
    assert result["innovation"].max() < 1e-6
    torch.testing.assert_close(result["persistence_low"], torch.full((500,), 0.3), rtol=0, atol=1e-3)
    torch.testing.assert_close(result["persistence_high"], torch.full((500,), 0.3), rtol=0, atol=1e-3)


def test_bad_calls_name_the_fault():
    current, previous, ids = pairs([0.5])
    with pytest.raises(ValueError, match="at least one series"):
        Pairs(0)
    with pytest.raises(ValueError, match="one shape"):
        Pairs().update(current, previous[:5])
    with pytest.raises(ValueError, match="need their series ids"):
        Pairs(7).update(current, previous)
    with pytest.raises(ValueError, match="series ids have shape"):
        Pairs(7).update(current, previous, ids[:3])
    with pytest.raises(ValueError, match="cannot pool"):
        Pairs(7).merge(Pairs(2))
    with pytest.raises(ValueError, match="no pairs yet"):
        Pairs().result()
