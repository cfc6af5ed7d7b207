"""Positions of sequences are worth fewer independent inputs, so that limits drawn from them hold."""

import numpy as np
import pytest
import torch

from probes.effective_rows import EffectiveRows
from probes.families.gaussian import GAUSSIAN
from probes.regimes import Thresholds

B, T, N = 32, 64, 1500


def autoregression(phi, seed=0, sequences=B, neurons=N):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(sequences, T, neurons, 1, generator=generator)
    x = [noise[:, 0]]
    for t in range(1, T):
        x.append(phi * x[-1] + (1 - phi**2) ** 0.5 * noise[:, t])
    return torch.stack(x, 1)


def falsely_dead(course, rows):
    """Share of neurons below the limit of rule 4 that tell exactly as much: 0.02 are to be."""
    told = 2 * (Thresholds().information)
    spread = course.flatten(0, 1)[..., 0].double().var(0, correction=0).numpy() * np.expm1(told)
    information = 0.5 * np.log1p(spread)
    return float((GAUSSIAN.information_limit(information, 0.0, rows) < told / 2).mean())


@pytest.mark.parametrize(("phi", "most"), [(0.0, 0.03), (0.5, 0.035), (0.9, 0.045), (0.99, 0.045)])
def test_neurons_at_the_limit_are_called_dead_as_rarely_as_is_said(phi, most):
    """Of positions as rows it is 0.02, 0.06, 0.28 and 0.45."""
    course = autoregression(phi)
    rows = EffectiveRows().update(course).result().numpy()
    assert falsely_dead(course, rows) <= most
    if phi >= 0.9:
        assert falsely_dead(course, np.full(N, float(B * T))) > 0.2


def test_what_tells_nothing_is_still_dead():
    course = autoregression(0.99)
    rows = EffectiveRows().update(course).result().numpy()
    assert (GAUSSIAN.information_limit(np.full(N, 1e-4), 0.0, rows) < Thresholds().information).all()


@pytest.mark.parametrize("phi", [0.0, 0.7, 0.9])
def test_the_number_is_that_of_the_formula(phi):
    found = EffectiveRows().update(autoregression(phi, sequences=200, neurons=300)).result()
    exact = 200 * T * (1 - phi**2) / (1 + phi**2)
    assert found.median().item() == pytest.approx(exact, rel=0.12)
    assert found.max() <= 200 * T


def test_a_slow_part_below_a_fast_one_is_noticed():
    """Memory that is no first-order autoregression's: lag 1 alone would say 1,280."""
    course = 0.7 * autoregression(0.0) + 0.714 * autoregression(0.97, seed=1)
    rows = EffectiveRows().update(course).result()
    assert rows.mean() < 500
    assert falsely_dead(course / course.var().sqrt(), rows.numpy()) < 0.09


def test_the_same_however_cut_and_whatever_is_masked():
    course = 40 + autoregression(0.8, neurons=5)
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[3, 40:], mask[7] = False, False
    course[~mask] = torch.nan
    whole = EffectiveRows().update(course, mask).result()
    parts = EffectiveRows()
    for rows in (slice(0, 4), slice(4, 20), slice(20, B)):
        parts.update(course[rows], mask[rows])
    torch.testing.assert_close(parts.result(), whole, rtol=1e-3, atol=1e-2)
    kept = torch.cat([course[:3], course[4:7], course[8:]])
    torch.testing.assert_close(EffectiveRows().update(kept).result(), whole, rtol=0.1, atol=10)


def test_draws_of_one_sequence_are_one():
    course = autoregression(0.5, neurons=3)
    once = EffectiveRows().update(course).result()
    torch.testing.assert_close(EffectiveRows().update(course.repeat_interleave(4, 0), draws=4).result(), once)


def test_what_does_not_move_is_counted():
    assert EffectiveRows().update(torch.ones(4, 6, 2, 1)).result().tolist() == [24, 24]
    assert EffectiveRows().update(torch.randn(9, 1, 2, 1)).result().tolist() == [9, 9]
    with pytest.raises(ValueError, match="no sequences"):
        EffectiveRows().result()


def test_position_by_position_is_the_same_as_at_once():
    course = 40 + autoregression(0.8, neurons=5)
    mask = torch.rand(B, T, generator=torch.Generator().manual_seed(1)) < 0.8
    course[~mask] = torch.nan
    by_position = EffectiveRows()
    for t in range(T):
        by_position.extend(course[:, t : t + 1], mask[:, t : t + 1])
    whole = EffectiveRows().update(course, mask).result()
    torch.testing.assert_close(by_position.result(), whole, rtol=1e-3, atol=1e-2)
    in_pieces = EffectiveRows()
    for piece in (slice(0, 1), slice(1, 40), slice(40, T)):
        in_pieces.extend(course[:, piece], mask[:, piece])
    torch.testing.assert_close(in_pieces.result(), whole, rtol=1e-3, atol=1e-2)


def test_another_number_of_rows_begins_new_sequences():
    course = autoregression(0.9, sequences=8, neurons=3)
    found = EffectiveRows()
    for rows in (slice(0, 5), slice(5, 8)):
        for t in range(T):
            found.extend(course[rows, t : t + 1])
    torch.testing.assert_close(found.result(), EffectiveRows().update(course).result(), rtol=1e-3, atol=1e-2)


def test_a_whole_batch_of_sequences_after_another_is_no_continuation():
    first, second = autoregression(0.9, neurons=3), autoregression(0.9, seed=1, neurons=3)
    both = EffectiveRows().update(first).update(second).result()
    torch.testing.assert_close(
        both, EffectiveRows().update(torch.cat([first, second])).result(), rtol=1e-3, atol=1
    )
