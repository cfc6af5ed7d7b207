"""Batch statistics against float64 numpy, `torch.distributions` and each other."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from probes import schema
from probes.families.gaussian import GAUSSIAN
from probes.moments import Moments, derive, moments
from probes.persistence import BlockPairs

LIMITS = (0.15, 1.0)


def batch(inputs=96, neurons=7, dimensions=1, seed=0, autoregressive=False):
    """Arguments of `update` for a batch, with the KL from `torch.distributions`."""
    draw = torch.Generator().manual_seed(seed)
    normal = torch.randn(2, inputs, neurons, dimensions, generator=draw)
    scale = torch.rand(2, neurons, dimensions, generator=draw) * 2
    mu, previous_mu = normal * scale[0] + scale[1]
    sigma, previous_sigma = (
        (torch.randn(2, inputs, neurons, dimensions, generator=draw) * 0.5 - 1).exp().clamp(*LIMITS)
    )
    given = {"mu": mu, "sigma": sigma}
    prior = Normal(0.0, 1.0)
    past = torch.zeros(())
    if autoregressive:
        phi = torch.linspace(-0.9, 0.95, neurons)
        s = (1 - phi**2).sqrt()[:, None]
        prior = Normal(phi[:, None] * previous_mu, s.expand_as(mu))
        past = phi[:, None] ** 2 * previous_sigma**2 / (2 * s**2)
        given |= {"phi": phi, "previous_mu": previous_mu, "previous_sigma": previous_sigma}
        given |= {"prior_mu": prior.loc, "prior_sigma": s}
    given["kl"] = (kl_divergence(Normal(mu, sigma), prior) + past).sum(2)
    return given


def cut(given, part):
    return {
        name: value[part] if name not in ("phi", "prior_sigma") else value for name, value in given.items()
    }


def identity_error(result):
    parts = result["information"] + result["mismatch"] + result.get("past", torch.zeros(()))
    return ((result["kl"] - parts).abs() / result["kl"].abs().clamp_min(1)).max().item()


@pytest.mark.parametrize("dimensions", [1, 4])
@pytest.mark.parametrize("autoregressive", [False, True])
def test_kl_is_information_plus_mismatch_plus_past(dimensions, autoregressive):
    for seed in range(5):
        given = batch(dimensions=dimensions, autoregressive=autoregressive, seed=seed)
        result = moments(**given)
        assert ("past" in result) == autoregressive
        assert identity_error(result) < 2e-6
        computed = moments(**{name: value for name, value in given.items() if name != "kl"})
        torch.testing.assert_close(computed["kl"], result["kl"], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(computed["active_share"], result["active_share"])


@pytest.mark.parametrize("dimensions", [1, 4])
def test_against_float64(dimensions):
    given = batch(dimensions=dimensions)
    result = moments(**given, sigma_limits=LIMITS)
    mu, sigma = (given[name].double().numpy() for name in ("mu", "sigma"))
    variance, spread = (sigma**2).mean(0), mu.var(0)
    expected = {
        "mean": mu.mean(0).mean(1),
        "variance": variance.mean(1),
        "spread": spread.mean(1),
        "mu2": (mu**2).mean((0, 2)),
        "information": (0.5 * (np.log(variance + spread) - np.log(sigma**2).mean(0))).sum(1),
        "clamp_share": ((given["sigma"] <= LIMITS[0]) | (given["sigma"] >= LIMITS[1]))
        .double()
        .mean((0, 2))
        .numpy(),
        "active_share": (given["kl"] > 0.01).double().mean(0).numpy(),
        "width_spread": (0.5 * (np.log(variance) - np.log(sigma**2).mean(0))).sum(1),
        "non_finite": np.zeros(7),
        "rows": np.full(7, 96.0),
    }
    assert result.keys() == expected.keys() | {"kl", "mismatch"}
    assert expected["clamp_share"].max() > 0
    for name, value in expected.items():
        np.testing.assert_allclose(result[name].numpy(), value, rtol=1e-5, atol=1e-6, err_msg=name)
        assert result[name].dtype == torch.float32
        assert name in schema.STATISTICS


@pytest.mark.parametrize(
    ("dimensions", "floors"), [(1, [0.0, 0.1115718, 0.3215845]), (4, [0.0, 0.4462871, 1.2863379])]
)
def test_an_input_is_active_where_its_kl_exceeds_the_floor_of_its_prior(dimensions, floors):
    """floor = K/2 ln(1 + phi^2), for phi 0, 0.5, 0.95 as written above. Two KLs lie below floor + 0.01, two
    beyond.
    """
    phi = torch.tensor([0.0, 0.5, 0.95])
    at = torch.tensor(floors)
    kl = torch.stack([at - 0.05, at + 0.0099, at + 0.0101, at + 5]).clamp_min(0)
    mu = torch.zeros(4, 3, dimensions)
    for sign in (1, -1):
        result = moments(mu, mu + 0.5, kl=kl, phi=sign * phi, previous_mu=mu, previous_sigma=mu + 0.5)
        assert result["active_share"].tolist() == [0.5, 0.5, 0.5]
    assert moments(mu, mu + 0.5, kl=kl)["active_share"].tolist() == [0.5, 1.0, 1.0]


def test_a_learned_prior_that_inputs_do_or_do_not_share():
    given = batch(dimensions=2) | {"kl": None}
    m, s = torch.randn(7, 2), torch.rand(7, 2) + 0.5
    shared = moments(given["mu"], given["sigma"], m, s)
    rows = moments(given["mu"], given["sigma"], m.repeat(96, 1, 1), s.repeat(96, 1, 1))
    assert identity_error(shared) < 2e-6
    for name, value in shared.items():
        torch.testing.assert_close(rows[name], value, rtol=1e-4, atol=1e-5, msg=name)
    r = (given["mu"] - m) / s
    torch.testing.assert_close(shared["whitened_mean"], r.mean((0, 2)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shared["prior_variance"], (s * s).mean(1))


@pytest.mark.parametrize("autoregressive", [False, True])
def test_the_same_numbers_whatever_the_batching(autoregressive):
    given = batch(inputs=120, dimensions=2, autoregressive=autoregressive)
    series = torch.arange(120) % 5
    if not autoregressive:
        given["previous_mu"] = given["mu"].roll(1, 0)
    whole = Moments(5, LIMITS).update(**given, series=series).result()
    pool = Moments(5, LIMITS)
    other = Moments(5, LIMITS)
    for first, last, into in [(0, 7, pool), (7, 64, pool), (64, 65, other), (65, 120, other)]:
        into.update(**cut(given, slice(first, last)), series=series[first:last])
    parts = pool.merge(other).result()
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=2e-5, atol=2e-6, msg=name)


@pytest.mark.parametrize("n_series", [1, 5])
@pytest.mark.parametrize("dimensions", [1, 3])
def test_a_batch_of_origins_and_their_predecessors_is_centred_once(dimensions, n_series):
    given = batch(inputs=120, dimensions=dimensions)
    mu = given["mu"] * 1e-2 + 10 * torch.randn(7, dimensions)
    series = torch.arange(60) % n_series
    shared = moments(mu, given["sigma"], previous_mu=mu[60:], series=series, n_series=n_series)
    copied = moments(mu, given["sigma"], previous_mu=mu[60:].clone(), series=series, n_series=n_series)
    assert shared.keys() == copied.keys()
    assert shared.pop("rows").tolist() == [60.0] * 7, "a predecessor is nearly its origin"
    for name, value in shared.items():
        torch.testing.assert_close(value, copied[name], rtol=1e-3, atol=1e-4, msg=name)
    flat = mu.double().reshape(120, -1)
    torch.testing.assert_close(
        shared["spread"], flat.var(0, correction=0).reshape(7, -1).mean(1).float(), rtol=1e-4, atol=0
    )
    levels = torch.nn.functional.one_hot(series).double()
    y, x = (part - levels @ torch.linalg.lstsq(levels, part).solution for part in flat.split(60))
    xy, xx = ((x * other).sum(0).reshape(7, -1).sum(1) for other in (y, x))
    torch.testing.assert_close(shared["persistence"], (xy / xx).float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dimensions", [1, 3])
def test_a_block_of_steps_is_derived_as_each_step_alone(dimensions):
    pools = []
    for seed in range(4):
        given = batch(dimensions=dimensions, autoregressive=True, seed=seed)
        pools.append(Moments(2, LIMITS).update(**given, series=torch.arange(96) % 2))
    kept = [pool.sufficient_statistics() for pool in pools]
    block = derive({name: torch.stack([sums[name] for sums in kept]) for name in kept[0]})
    for step, pool in enumerate(pools):
        alone = pool.result()
        assert alone.keys() == block.keys()
        for name, value in alone.items():
            torch.testing.assert_close(block[name][step], value, rtol=1e-6, atol=1e-7, msg=name)


def test_masked_rows_leave_no_trace():
    given = batch(inputs=40, autoregressive=True)
    series = torch.arange(40) % 2
    mask = torch.rand(40, generator=torch.Generator().manual_seed(2)) < 0.6
    whole = moments(**cut(given, mask), series=series[mask], n_series=2, sigma_limits=LIMITS)
    dirty = {
        name: value
        if name in ("phi", "prior_sigma")
        else torch.where(mask.view(-1, *[1] * (value.dim() - 1)), value, math.nan)
        for name, value in given.items()
    }
    result = moments(**dirty, series=series, n_series=2, mask=mask, sigma_limits=LIMITS)
    for name, value in whole.items():
        torch.testing.assert_close(result[name], value, rtol=2e-5, atol=2e-6, msg=name)
    empty = Moments(sigma_limits=LIMITS).update(given["mu"], given["sigma"])
    before = empty.result()
    after = empty.update(given["mu"], given["sigma"], mask=torch.zeros(40, dtype=torch.bool)).result()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, msg=name)


def test_broken_inputs_are_counted_and_stay_with_their_neuron():
    given = batch()
    given["mu"] = given["mu"].clone()
    given["mu"][3, 2] = math.nan
    given["mu"][5:8, 4] = math.inf
    result = moments(given["mu"], given["sigma"])
    assert result["non_finite"].tolist() == [0, 0, 1, 0, 3, 0, 0]
    finite = torch.stack([result[name] for name in GAUSSIAN.required]).isfinite().all(0)
    assert finite.tolist() == [True, True, False, True, False, True, True]


def test_the_pairs_of_a_split_go_by_blocks_of_time():
    """With a mask, over updates and by merging; a batch's statistics else."""
    given = batch(128)
    mu, sigma, previous = given["mu"], given["sigma"], given["mu"].roll(1, 0)
    block, mask = torch.arange(128) // 16, torch.arange(128) % 5 > 0
    expected = BlockPairs(1, 8).update(mu, previous, mask=mask, block=block).result()
    parts = [Moments(n_blocks=8) for _ in range(2)]
    for part, at in zip(parts, (slice(0, 50), slice(50, 128)), strict=True):
        part.update(mu[at], sigma[at], previous_mu=previous[at], mask=mask[at], block=block[at])
    found = parts[0].merge(parts[1]).result()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    plain = moments(mu, sigma, mask=mask)
    for name, value in plain.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)
    halves = Moments(n_blocks=4).update(mu, sigma, previous_mu=mu[64:], block=block[:64]).result()
    assert halves["rows"].tolist() == [64] * mu.shape[1]
    assert halves["persistence_blocks"].tolist() == [4] * mu.shape[1]
    with pytest.raises(ValueError, match="with and without blocks"):
        Moments().merge(parts[0])
    with pytest.raises(ValueError, match=r"Moments\(n_blocks"):
        Moments().update(mu, sigma, previous_mu=previous, block=block)
    with pytest.raises(ValueError, match="need their block ids"):
        Moments(n_blocks=8).update(mu, sigma, previous_mu=previous)


def test_pairs_that_are_masked_leave_no_trace():
    """With their rows of mu, which stay; also where the predecessors are the batch's own second half."""
    given = batch(inputs=120, dimensions=2)
    mu, series = given["mu"], torch.arange(60) % 3
    pair_mask = torch.rand(60, generator=torch.Generator().manual_seed(3)) < 0.6
    chosen = {"previous_mu": mu[60:][pair_mask], "series": series[pair_mask]}
    order = torch.cat([torch.arange(60)[pair_mask], torch.arange(60)[~pair_mask], torch.arange(60, 120)])
    expected = moments(mu[order], given["sigma"][order], **chosen, n_series=3)
    for previous in (mu[60:], mu[60:].clone()):
        result = moments(
            mu, given["sigma"], previous_mu=previous, series=series, pair_mask=pair_mask, n_series=3
        )
        for name, value in expected.items():
            torch.testing.assert_close(result[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_prior_may_be_told_by_its_width_or_its_mean_alone():
    given = batch(dimensions=2)
    width, level = torch.rand(7, 2) + 0.5, torch.randn(7, 2)
    by_width = moments(given["mu"], given["sigma"], None, width)
    torch.testing.assert_close(by_width["whitened_mean"], (given["mu"] / width).mean((0, 2)))
    torch.testing.assert_close(by_width["prior_variance"], width.square().mean(1))
    by_mean = moments(given["mu"], given["sigma"], level)
    torch.testing.assert_close(by_mean["whitened_mean"], (given["mu"] - level).mean((0, 2)))
    assert by_mean["prior_variance"].tolist() == [1.0] * 7
    for result, prior in ((by_width, Normal(0.0, width)), (by_mean, Normal(level, 1.0))):
        kl = kl_divergence(Normal(given["mu"], given["sigma"]), prior).sum(2).mean(0)
        torch.testing.assert_close(result["kl"], kl, rtol=1e-5, atol=1e-5)


def test_a_pool_that_has_seen_nothing_takes_up_another():
    given = batch(dimensions=3) | {"previous_mu": batch(dimensions=3, seed=1)["mu"]}
    other = Moments().update(**given)
    for pool in (
        Moments().merge(other),
        Moments().merge(Moments()).merge(other),
        Moments().update(**given).merge(Moments()),
    ):
        for name, value in other.result().items():
            torch.testing.assert_close(pool.result()[name], value, msg=name)


@pytest.mark.parametrize("plain", [True, False])
def test_a_batch_without_rows_changes_nothing(plain):
    """The last of an epoch, on one of several workers."""
    given = batch(dimensions=2)
    shared = {"prior_mu": torch.zeros(2), "prior_sigma": torch.ones(2)}

    def pooled(*sizes):
        found = Moments(sigma_limits=None if plain else LIMITS)
        for size in sizes:
            mu, sigma = given["mu"][:size], given["sigma"][:size]
            found = found.update_plain(mu, sigma) if plain else found.update(mu, sigma, **shared)
        return found.result()

    whole = pooled(96)
    for sizes in ((0, 96), (96, 0), (0, 0, 96)):
        for name, value in pooled(*sizes).items():
            torch.testing.assert_close(value, whole[name], rtol=0, atol=0, msg=name)


def test_autocast_and_gradients_are_left_alone():
    given = batch()
    given["mu"].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        cast = moments(**given)
    for name, value in moments(**given).items():
        assert torch.equal(cast[name], value), name
        assert not value.requires_grad


def test_bad_calls_name_the_fault():
    given = batch(autoregressive=True)
    with pytest.raises(ValueError, match=r"mu is \(B, N, K\)"):
        moments(given["mu"][:, :, 0], given["sigma"])
    with pytest.raises(ValueError, match="does not fit"):
        moments(given["mu"], given["sigma"][:, :3])
    for shape in ((7,), (96, 7, 1), (97, 7), (96, 8), (7, 96), (1, 7), (96, 1)):  # some of which would fit
        with pytest.raises(ValueError, match=r"one KL an input and neuron is \(96, 7\)"):
            moments(given["mu"], given["sigma"], kl=torch.zeros(shape))
    with pytest.raises(ValueError, match="previous_mu and previous_sigma"):
        moments(given["mu"], given["sigma"], phi=given["phi"])
    for left_out in ("previous_mu", "previous_sigma"):
        with pytest.raises(ValueError, match="previous_mu and previous_sigma"):
            moments(**{name: value for name, value in given.items() if name != left_out})
    fewer = {name: given[name][1:] for name in ("previous_mu", "previous_sigma")}
    with pytest.raises(ValueError, match="previous_mu and previous_sigma"):
        moments(**(given | fewer))
    with pytest.raises(ValueError, match="cannot be pooled"):
        Moments().update(**given).update(given["mu"], given["sigma"])
    with pytest.raises(ValueError, match="updates with and without past, phi"):
        Moments().update(given["mu"], given["sigma"]).update(**given)
    with pytest.raises(ValueError, match="no batch yet"):
        Moments().result()


def test_the_spread_of_widths_is_the_gap_of_jensen():
    """Half of the inputs at sd 1, half at 0.2: ln((1 + 0.04)/2)/2 - (ln 1 + ln 0.04)/4."""
    sigma = torch.tensor([1.0, 0.2]).repeat(16)[:, None, None]
    found = moments(torch.zeros(32, 1, 1), sigma)
    expected = 0.5 * math.log(0.52) - 0.25 * math.log(0.04)
    assert found["width_spread"].item() == pytest.approx(expected, rel=1e-5)
    assert found["information"].item() == pytest.approx(expected, rel=1e-5)
