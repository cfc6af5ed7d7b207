"""Posteriors that are known by draws: variance within and spread between, without the draws' own noise."""

from __future__ import annotations

import pytest
import torch

from probes import schema
from probes.families import FAMILIES
from probes.family_moments import SampleMoments, derive_family


def draws(count, rows, neurons, seed=0, sd=1.0):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(rows, neurons, generator=generator, dtype=torch.float64)
    widths = 0.2 + torch.rand(rows, neurons, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, rows, neurons, generator=generator, dtype=torch.float64)
    return sd * mean, widths, sd * mean + widths * noise


@pytest.mark.parametrize("count", [2, 5])
def test_variance_and_spread_have_no_bias(count):
    """Of 4,000 batches of 6 rows, whose widths differ: averages within four standard errors of the truth."""
    generator = torch.Generator().manual_seed(count)
    mean, widths = torch.randn(6, 1, generator=generator), 0.2 + torch.rand(6, 1, generator=generator)
    noise = torch.randn(count, 6, 4000, generator=generator)
    found = SampleMoments().update(mean + widths * noise).statistics()
    for name, truth in (("variance", (widths**2).mean()), ("spread", mean.var(correction=0))):
        error = found[name].std() / 4000**0.5
        assert abs(found[name].mean() - truth) < 4 * error, name
    alike = SampleMoments().update(noise).statistics()["spread"]
    assert (alike < 0).any(), "rows that do not differ: as often below 0 as above"
    assert abs(alike.mean()) < 4 * alike.std() / 4000**0.5


def test_members_that_differ_everywhere_by_the_same_spread_no_rows():
    """An ensemble's draws are common to all rows: how they differ is no noise of the rows' means."""
    torch.manual_seed(0)
    rows, members = torch.randn(64, 3), 5 * torch.randn(4, 1, 3)
    found = SampleMoments().update(rows + members).statistics()
    torch.testing.assert_close(found["spread"], rows.var(0, correction=0), rtol=1e-4, atol=1e-5)
    halves = SampleMoments().update((rows + members)[:, :20])
    halves.merge(SampleMoments().update((rows + members)[:, 20:]))
    torch.testing.assert_close(halves.statistics()["spread"], found["spread"], rtol=1e-4, atol=1e-5)


def test_the_same_numbers_whatever_the_batching():
    _, _, z = draws(4, 50, 3)
    log_q, log_prior = torch.randn(2, 4, 50, 3, dtype=torch.float64)
    whole = SampleMoments().update(z, log_q, log_prior).statistics()
    pool, other = SampleMoments(), SampleMoments()
    for first, last, into in ((0, 1, pool), (1, 30, other), (30, 50, pool)):
        part = slice(first, last)
        into.update(z[:, part], log_q[:, part], log_prior[:, part])
    found = pool.merge(other).statistics()
    assert found.keys() == whole.keys() <= schema.STATISTICS.keys()
    for name, value in whole.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)
    block = derive_family(
        "samples", {n: torch.stack([v, v]) for n, v in pool.sufficient_statistics().items()}
    )
    torch.testing.assert_close(block["spread"][1], found["spread"])


def test_masked_rows_leave_no_trace():
    _, _, z = draws(4, 30, 3)
    mask = torch.arange(30) % 3 != 0
    dirty = torch.where(mask[:, None], z, torch.nan)
    whole, found = SampleMoments().update(z[:, mask]), SampleMoments().update(dirty, mask=mask)
    for name, value in whole.statistics().items():
        torch.testing.assert_close(found.statistics()[name], value, msg=name)


def test_exact_at_a_large_mean_and_a_small_spread():
    mean, widths, z = draws(8, 200, 3, sd=1e-2)
    found = SampleMoments().update((z * 1e-2 + 1e3).double()).statistics()
    torch.testing.assert_close(found["variance"], (widths * 1e-2).square().mean(0).float(), rtol=0.2, atol=0)
    assert (found["spread"].abs() < 1e-5).all()


def test_kl_is_given_by_log_densities_alone():
    _, _, z = draws(3, 40, 2)
    log_q, log_prior = torch.randn(2, 3, 40, 2)
    found = SampleMoments().update(z, log_q, log_prior).statistics()
    by_row = (log_q - log_prior).mean(0)
    torch.testing.assert_close(found["kl"], by_row.mean(0))
    torch.testing.assert_close(found["kl_error"], by_row.std(0) / 40**0.5)
    assert not {"kl", "kl_error"} & SampleMoments().update(z).statistics().keys()
    joint = SampleMoments().update(z, log_q.sum(2), log_prior.sum(2)).statistics()
    assert "kl" not in joint
    torch.testing.assert_close(joint["joint_kl"], (log_q - log_prior).sum(2).mean())


def test_one_draw_has_no_width_and_one_row_no_spread():
    one = SampleMoments().update(torch.randn(1, 5, 2)).statistics()
    assert one["variance"].isnan().all()
    assert one["spread"].isnan().all()
    for name in FAMILIES["samples"].required:
        assert one[name].isfinite().all(), "a number that is never there is not broken"
    row = SampleMoments().update(torch.randn(5, 1, 2)).statistics()
    assert row["variance"].isfinite().all()
    assert row["spread"].isnan().all()
    none = SampleMoments().update(torch.randn(5, 0, 2)).statistics()
    assert none["mean"].isnan().all()
    assert none["rows"].tolist() == [0, 0]


def test_a_row_that_is_no_number_is_counted_in_its_neuron_alone():
    z = torch.randn(3, 5, 2)
    z[1, 2, 0] = torch.inf
    found = SampleMoments().update(z).statistics()
    assert found["non_finite"].tolist() == [1, 0]
    assert found["mean"].isfinite().tolist() == [False, True]


def test_bad_arguments_are_named():
    z = torch.randn(3, 5, 2)
    with pytest.raises(ValueError, match=r"\(S, B, N\)"):
        SampleMoments().update(z[0])
    with pytest.raises(ValueError, match="both log densities"):
        SampleMoments().update(z, z)
    with pytest.raises(ValueError, match="log densities are"):
        SampleMoments().update(z, z[:, :2], z[:, :2])
    with pytest.raises(ValueError, match="draws a row"):
        SampleMoments().update(z).update(z[:2])
    with pytest.raises(ValueError, match="update first"):
        SampleMoments().statistics()
