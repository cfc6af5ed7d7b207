"""Slopes over pairs and their intervals against the formulas by hand, and what the intervals cover."""

import math

import numpy as np
import pytest
import torch
from planted_pairs import column, pairs
from scipy import stats

from probes.persistence import Pairs, slopes


def by_hand(current, previous, ids):
    """Slope, half width of its interval and innovation, (N,) each, in float64: HC1 by pairs over all
    dimensions, t with 1 / Σ a² degrees of freedom.
    """
    y, x = (value.numpy().astype(float).copy() for value in (current, previous))
    for one in np.unique(ids):
        for value in (y, x):
            value[ids == one] -= value[ids == one].mean(0)
    squares = (x * x).sum(-1)
    total = squares.sum(0)
    slope = (x * y).sum((0, 2)) / total
    error = y - slope[:, None] * x
    residual = len(y) - len(np.unique(ids)) - 1
    freedom = total**2 / (squares**2).sum(0)
    variance = ((x * error).sum(-1) ** 2).sum(0) * len(y) / residual / total**2
    half = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    return slope, half, (error * error).sum((0, 2)) / residual / y.shape[2]


@pytest.mark.parametrize("dimensions", [1, 3])
def test_against_the_formulas_by_hand(dimensions):
    current, previous, ids = pairs([0.0, 0.5, 0.95], dimensions=dimensions)
    result = Pairs(7).update(current, previous, ids).result()
    slope, half, innovation = by_hand(current, previous, ids.numpy())
    expected = {
        "persistence": slope,
        "persistence_low": slope - half,
        "persistence_high": slope + half,
        "innovation": innovation,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=2e-5, atol=4e-6, err_msg=name)


def widths(kind, count, neurons, draw):
    """How much each pair of each neuron moves, (P, N, 1)."""
    if kind == "lognormal":
        return np.exp(0.8 * draw.normal(size=(count, neurons, 1)))
    return draw.random((count, neurons, 1)) < {"half": 0.5, "quarter": 0.25}.get(kind, 1.1)


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.95])
@pytest.mark.parametrize(
    ("kind", "least", "series", "dimensions", "count"),
    [
        ("even", 93, 7, 1, 128),
        ("even", 93, 64, 1, 128),
        ("even", 93, 1, 1, 128),
        ("even", 93, 7, 8, 128),
        ("even", 92.5, 1, 1, 12),
        ("half", 93, 7, 1, 128),
        ("half", 93, 7, 2, 128),
        ("quarter", 91, 7, 1, 128),
        ("quarter", 91, 7, 8, 128),
        ("lognormal", 90.5, 7, 1, 128),
        ("t4", 93, 7, 1, 128),
    ],
)
def test_the_interval_covers_the_truth(kind, least, series, dimensions, count, phi):
    """Per cent of 2,000 neurons; the interval of one noise for all pairs covers 83 of half-mixed ones, 67 of
    quarter-mixed, 60 of lognormal widths.
    """
    draw = np.random.default_rng(0)
    ids = np.arange(count) % series
    shape = (count, 2000 if dimensions < 8 else 1000, dimensions)
    noise = (
        (lambda: draw.standard_t(4, shape) / 2**0.5) if kind == "t4" else (lambda: draw.normal(size=shape))
    )
    previous = noise()
    current = phi * previous + np.sqrt(1 - phi**2) * noise()
    width = widths(kind, *shape[:2], draw)
    level = 3 * draw.normal(size=(series, *shape[1:]))[ids]
    result = (
        Pairs(series)
        .update(*(torch.tensor(width * value + level) for value in (current, previous)), torch.tensor(ids))
        .result()
    )
    known = ~result["persistence_low"].isnan()
    covered = ((result["persistence_low"] < phi) & (phi < result["persistence_high"]))[known]
    assert known.float().mean() > (0.95 if count > 100 else 0.9)
    assert least < 100 * covered.float().mean().item() < 97


def test_a_pair_counts_once_however_many_dimensions_repeat_it():
    current, previous, ids = pairs(np.full(200, 0.6), dimensions=1)
    one = Pairs(7).update(current, previous, ids).result()
    same = Pairs(7).update(current.repeat(1, 1, 4), previous.repeat(1, 1, 4), ids).result()
    for name, value in one.items():
        torch.testing.assert_close(same[name], value, msg=name)


@pytest.mark.parametrize("series", [1, 5])
def test_micro_batches_give_the_interval_of_the_whole(series):
    """With means and series of their own, masks in some, and by merging."""
    current, previous, ids = pairs([0.0, 0.6, 0.95], 120, series, dimensions=2)
    ids = torch.arange(120) * series // 120  # micro-batches hold different series
    mask = torch.rand(120, generator=torch.Generator().manual_seed(0)) < 0.7
    mask[80:] = True
    whole = Pairs(series).update(current, previous, ids, mask).result()
    parts = [
        Pairs(series).update(current[a:b], previous[a:b], ids[a:b], None if a == 80 else mask[a:b])
        for a, b in ((0, 50), (50, 80), (80, 120))
    ]
    merged = Pairs(series).merge(parts[0]).merge(parts[1]).merge(parts[2])
    updated = Pairs(series)
    for a, b in ((0, 50), (50, 80), (80, 120)):
        updated.update(current[a:b], previous[a:b], ids[a:b], mask[a:b])
    for found in (merged.result(), updated.result(), merged.result()):
        for name, value in whole.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)
    slope, half, _ = by_hand(current[mask], previous[mask], ids[mask].numpy())
    np.testing.assert_allclose(whole["persistence_high"], slope + half, rtol=1e-4)


def test_a_large_mean_does_not_swallow_the_interval():
    """1e3 ± 1e-3 in float32 is rounded to a sixteenth of the spread: the oracle gets the same numbers."""
    current, previous, ids = pairs([0.3, 0.9], level=1.0)
    current, previous = ((1e3 + 1e-3 * value).float() for value in (current, previous))
    slope, half, _ = by_hand(current, previous, ids.numpy())
    whole = Pairs(7).update(current, previous, ids)
    halves = (
        Pairs(7).update(current[:50], previous[:50], ids[:50]).update(current[50:], previous[50:], ids[50:])
    )
    for found in (whole.result(), halves.result()):
        np.testing.assert_allclose(found["persistence"], slope, atol=1e-3)
        np.testing.assert_allclose(
            (found["persistence_high"] - found["persistence_low"]) / 2, half, rtol=5e-3
        )


@pytest.mark.parametrize("size", [1e-15, 1e-9, 1e9])
def test_the_interval_of_a_movement_of_any_size(size):
    current, previous, ids = pairs([0.3, 0.9], level=0.0)
    found = Pairs(7).update(size * current, size * previous, ids).result()
    expected = Pairs(7).update(current, previous, ids).result()
    for name in ("persistence", "persistence_low", "persistence_high"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_one_pair_that_carries_the_slope_gives_none_an_interval():
    current, previous, ids = pairs([0.5, 0.5], count=40, series=1)
    previous[7, 0] = 1e3
    found = Pairs().update(current, previous).result()
    assert found["persistence"].isfinite().all()
    assert found["persistence_low"].isnan().tolist() == [True, False]
    assert found["persistence_high"].isnan().tolist() == [True, False]


def test_sixteen_bits_of_autocast_stay_out():
    current, previous, ids = (value.float() if value.is_floating_point() else value for value in pairs([0.5]))
    expected = Pairs(7).update(current, previous, ids).result()
    with torch.autocast("cpu", torch.bfloat16):
        found = Pairs(7).update(current[:60], previous[:60], ids[:60])
        found = found.update(current[60:], previous[60:], ids[60:]).result()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_slopes_of_stacked_steps_are_those_of_each():
    steps = [Pairs(7).update(*pairs([0.2, 0.8], dimensions=2, seed=seed)) for seed in range(3)]
    kept = [step.sufficient_statistics() for step in steps]
    found = slopes({name: torch.stack([row[name] for row in kept]) for name in kept[0]})
    for index, step in enumerate(steps):
        for name, value in step.result().items():
            torch.testing.assert_close(found[name][index], value, msg=name)


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


def test_sums_for_a_pool_are_around_the_means_and_name_both():
    y, x, _ = pairs([0.5, 0.9], count=40, series=1, level=1e3, dimensions=2)
    found = Pairs().update(y[:25], x[:25]).update(y[25:], x[25:]).poolable()
    assert found["pairs"] == 40
    np.testing.assert_allclose(found["y"], y.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found["x"], x.mean(0), rtol=1e-6)
    y, x = (value.numpy() - value.numpy().mean(0) for value in (y, x))
    u, w = (x * y).sum(2), (x * x).sum(2)
    wide = {"u": u[..., None], "w": w[..., None], "x": x, "y": y}
    for name in ("xx", "xy", "yy", "ux", "uy", "wx", "wy"):
        expected = (wide[name[0]] * wide[name[1]]).sum(0)
        np.testing.assert_allclose(found[f"pair_{name}"], expected, rtol=1e-3, atol=5e-3, err_msg=name)
    for name, expected in (("uu", u * u), ("uw", u * w), ("ww", w * w)):
        np.testing.assert_allclose(found[f"pair_{name}"], expected.sum(0), rtol=1e-3, err_msg=name)
    with pytest.raises(ValueError, match="no pairs yet"):
        Pairs().poolable()
    several = Pairs(2).update(torch.zeros(2, 1, 1), torch.zeros(2, 1, 1), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="pairs of 2 series"):
        several.poolable()


def test_undefined_slopes_are_nan():
    still = torch.full((20, 3, 1), 1000.1)
    assert all(value.isnan().all() for value in Pairs().update(still, still).result().values())
    assert Pairs().update(still * 0, still * 0).result()["persistence"].isnan().all()
    current, previous, ids = pairs([0.5], count=8, series=7)
    assert Pairs(7).update(current, previous, ids).result()["persistence"].isnan().all(), (
        "8 pairs, 7 levels, 1 slope"
    )


def test_three_pairs_leave_one_residual_degree_of_freedom():
    """y = 0, 1, 4 on x = 0, 1, 2: slope 4 / 2, residuals 1/3, -2/3, 1/3, scores -1/3, 0, 1/3; two pairs carry
    it.
    """
    result = Pairs().update(column(0.0, 1.0, 4.0), column(0.0, 1.0, 2.0)).result()
    assert result["persistence"].item() == pytest.approx(2)
    assert result["innovation"].item() == pytest.approx(2 / 3, rel=1e-5)
    half = 4.302653 * math.sqrt(3 * 2 / 9) / 2
    assert 2 - result["persistence_low"].item() == pytest.approx(half, rel=1e-4)
    assert result["persistence_high"].item() - 2 == pytest.approx(half, rel=1e-4)
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
