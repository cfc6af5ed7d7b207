"""Slopes of a split by blocks of time: coverage, the formulas by hand, and what no interval is given."""

import math

import numpy as np
import pytest
import torch
from planted_pairs import column, pairs
from scipy import stats
from scipy.signal import lfilter

from probes.persistence import BlockPairs, Pairs


def windows(neurons, length=1728, series=3, horizon=24, seed=0, window=48):
    """A split as evaluated: means of `window` values of AR(1) series, half of whose noise is shared, at every
    origin and `horizon` before; a replicate for each neuron. Current, previous, series, block of each pair.
    """
    draw = np.random.default_rng(seed)
    shape = (length + window + horizon + 200, series, neurons)
    noise = draw.normal(size=shape) + draw.normal(size=(shape[0], 1, neurons))
    value = lfilter([1], [1, -0.9], noise, axis=0)[200:]
    mean = lfilter(np.ones(window), [1], value, axis=0)[window:]
    current, previous = mean[horizon:], mean[:-horizon]
    ids = torch.arange(series).repeat(length)
    block = torch.arange(length).repeat_interleave(series) // (2 * horizon)
    rows = (torch.tensor(part.reshape(-1, neurons, 1)) for part in (current, previous))
    return *rows, ids, block


def test_blocks_of_time_cover_the_slope_of_overlapping_windows():
    """The long-run slope of a mean of 48 values of AR(1) at 24 positions apart, by its covariances. Taken for
    independent, the pairs' interval covers a fifth.
    """
    current, previous, ids, block = windows(400)
    lags = np.arange(-47, 48)
    triangle = 48 - np.abs(lags)
    phi = (triangle @ 0.9 ** np.abs(lags + 24)) / (triangle @ 0.9 ** np.abs(lags))
    found = BlockPairs(3, 36).update(current, previous, ids, block=block).result()
    assert found["persistence_blocks"].tolist() == [36] * 400
    covered = (found["persistence_low"] < phi) & (phi < found["persistence_high"])
    assert 0.90 < covered.float().mean() < 0.97
    naive = Pairs(3).update(current, previous, ids).result()
    assert ((naive["persistence_low"] < phi) & (phi < naive["persistence_high"])).float().mean() < 0.4
    torch.testing.assert_close(found["persistence"], naive["persistence"], rtol=0, atol=1e-5)
    torch.testing.assert_close(found["innovation"], naive["innovation"], rtol=1e-4, atol=0)


def blocks_by_hand(current, previous, ids, block):
    y, x = (value.numpy().astype(float).copy() for value in (current, previous))
    for one in np.unique(ids):
        for value in (y, x):
            value[ids == one] -= value[ids == one].mean(0)
    total = (x * x).sum((0, 2))
    slope = (x * y).sum((0, 2)) / total
    score = (x * (y - slope[:, None] * x)).sum(2)
    count = len(np.unique(block))
    sums = np.array([score[block == one].sum(0) for one in np.unique(block)])
    half = stats.t.ppf(0.975, count - 1) * np.sqrt(count / (count - 1) * (sums**2).sum(0)) / total
    return slope, half


@pytest.mark.parametrize("dimensions", [1, 3])
def test_blocks_against_the_formulas_whatever_the_order_and_the_cuts(dimensions):
    current, previous, ids = pairs([0.0, 0.5, 0.95], 300, 4, dimensions=dimensions)
    block = torch.arange(300) // 27
    mask = torch.rand(300, generator=torch.Generator().manual_seed(1)) < 0.8
    current[~mask] = torch.nan
    slope, half = blocks_by_hand(current[mask], previous[mask], ids[mask].numpy(), block[mask].numpy())
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    cut = BlockPairs(4, 20)
    for part in order.split(70):
        other = BlockPairs(4, 20).update(
            current[part], previous[part], ids[part], mask[part], block=block[part]
        )
        cut.merge(other)
    found = cut.result()
    np.testing.assert_allclose(found["persistence"], slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["persistence_low"], slope - half, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["persistence_high"], slope + half, rtol=1e-4, atol=1e-6)
    assert found["persistence_blocks"].tolist() == [12] * 3, "of 20 that there could be"


def test_blocks_bear_a_large_mean():
    current, previous, ids = pairs([0.3, 0.9], level=1.0)
    current, previous = ((1e3 + 1e-3 * value).float() for value in (current, previous))
    block = torch.arange(128) // 8
    slope, half = blocks_by_hand(current, previous, ids.numpy(), block.numpy())
    found = BlockPairs(7, 16).update(current, previous, ids, block=block).result()
    np.testing.assert_allclose(found["persistence"], slope, atol=1e-4)
    np.testing.assert_allclose((found["persistence_high"] - found["persistence_low"]) / 2, half, rtol=1e-3)


def test_an_interval_needs_two_blocks_that_carry_the_slope():
    current, previous, ids = pairs([0.5, 0.5], 60, 1)
    one = BlockPairs(1, 3).update(current, previous, block=torch.ones(60, dtype=torch.int64)).result()
    assert one["persistence"].isfinite().all()
    assert one["persistence_low"].isnan().all()
    assert one["persistence_blocks"].tolist() == [1, 1]
    for value in (current, previous):
        value[20:, 0] *= 1e-3  # moves in the first block alone
    three = BlockPairs(1, 3).update(current, previous, block=torch.arange(60) // 20).result()
    assert three["persistence_low"].isnan().tolist() == [True, False]
    nothing = BlockPairs(1, 3).update(current[:0], previous[:0], block=torch.arange(0)).result()
    assert all(value.isnan().all() for name, value in nothing.items() if name != "persistence_blocks")


def test_of_one_series_ids_are_not_asked_for_and_not_looked_at():
    """A loop may hand its ids on to statistics of all series as one."""
    current, previous, ids = pairs([0.3, 0.9])
    block = torch.arange(128) // 8
    for expected, found in (
        (Pairs().update(current, previous), Pairs().update(current, previous, ids)),
        (
            BlockPairs(1, 16).update(current, previous, block=block),
            BlockPairs(1, 16).update(current, previous, ids, block=block),
        ),
    ):
        for name, value in expected.result().items():
            torch.testing.assert_close(found.result()[name], value, rtol=0, atol=0, msg=name)


def test_two_blocks_leave_one_degree_of_freedom():
    """y = x + e with e = 1, -1 | -1, 1 and x = 1, -1 | 1, -1: scores 2 and -2 of Σ x² = 4."""
    x, y = column(1.0, -1.0, 1.0, -1.0), column(2.0, -2.0, 0.0, 0.0)
    result = BlockPairs(1, 2).update(y, x, block=torch.tensor([0, 0, 1, 1])).result()
    assert result["persistence"].item() == pytest.approx(1)
    half = math.tan(0.475 * math.pi) * math.sqrt(2 * (2**2 + 2**2)) / 4
    assert result["persistence_high"].item() - 1 == pytest.approx(half, rel=1e-5)


def test_bad_blocks_name_the_fault():
    current, previous, ids = pairs([0.5])
    block = torch.arange(128) // 32
    with pytest.raises(ValueError, match="at least one block of time"):
        BlockPairs(1, 0)
    with pytest.raises(ValueError, match="need their block ids"):
        BlockPairs(7, 4).update(current, previous, ids, block=None)
    with pytest.raises(ValueError, match="block ids have shape"):
        BlockPairs(7, 4).update(current, previous, ids, block=block[:5])
    with pytest.raises(ValueError, match="block ids are 0 to 1, got 0 to 3"):
        BlockPairs(7, 2).update(current, previous, ids, block=block)
    with pytest.raises(ValueError, match="series ids are 0 to 5, got 0 to 6"):
        BlockPairs(6, 4).update(current, previous, ids, block=block)
    with pytest.raises(ValueError, match="cannot pool"):
        BlockPairs(7, 4).merge(BlockPairs(7, 5))
    with pytest.raises(ValueError, match="no pairs yet"):
        BlockPairs(7, 4).result()
