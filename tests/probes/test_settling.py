"""Settled regimes against a reading of their rule one record at a time."""

import numpy as np
import pytest

from probes import schema
from probes.settling import UNKNOWN, Settling, settle


def by_hand(codes):
    """The rule, record by record, with the whole past at hand."""
    settled, result = None, []
    for at, code in enumerate(codes):
        window = codes[max(0, at - 4) : at + 1]
        agrees = any(raw == settled or (settled == 10 and raw == 4) for raw in window)
        if settled is None:
            settled = 10 if code == 4 else code
        elif code == 1:
            settled = 1
        elif settled == 1 or (len(window) == 5 and not agrees):
            finite = [raw for raw in window if raw != 1]
            latest = {raw: place for place, raw in enumerate(finite)}
            settled = max(latest, key=lambda raw: (finite.count(raw), latest[raw]))
        result.append(settled)
    return result


@pytest.mark.parametrize("seed", range(8))
def test_against_the_rule_by_hand(seed):
    draw = np.random.default_rng(seed)
    codes = draw.choice([0, 1, 3, 4, 5, 9], p=draw.dirichlet(np.full(6, 0.5)), size=(60, 80)).astype(np.int8)
    expected = [by_hand(row) for row in codes.tolist()]
    assert settle(codes).tolist() == expected
    cut = int(draw.integers(1, 79))
    first = Settling(60).update(codes[:, :cut])
    rest = Settling.resumed(first[:, -1], codes[:, max(cut - 4, 0) : cut]).update(codes[:, cut:])
    assert np.concatenate([first, rest], axis=1).tolist() == expected, "as stored, a resumed run goes on"


def test_a_neuron_that_never_leaves_its_prior_is_told_from_one_that_came_back():
    stays, returns = [4] * 20, [4] * 5 + [0] * 6 + [4] * 9
    found = settle(np.array([stays, returns], np.int8)).tolist()
    assert found[0] == [schema.AT_PRIOR] * 20
    assert found[1] == [schema.AT_PRIOR] * 9 + [0] * 6 + [schema.DEAD] * 5


def test_one_record_of_another_kind_moves_nothing_and_a_broken_one_shows_at_once():
    assert settle(np.array([[0, 0, 9, 0, 0, 9, 9, 0]], np.int8)).tolist() == [[0] * 8]
    assert settle(np.array([[0, 0, 1, 0, 1, 1, 4]], np.int8)).tolist() == [[0, 0, 1, 0, 1, 1, 4]]


def test_records_of_too_few_inputs_leave_a_neuron_as_it_was():
    codes = np.array([[UNKNOWN, 4, 0, 0, UNKNOWN, UNKNOWN, 0, 0, 0, UNKNOWN]], np.int8)
    assert settle(codes).tolist() == [[10, 10, 10, 10, 10, 10, 10, 10, 0, 0]]


def test_a_settled_regime_is_among_the_last_five_records():
    draw = np.random.default_rng(0)
    codes = draw.choice([0, 4, 5, 8, 9], size=(200, 100)).astype(np.int8)
    found = np.where(settle(codes) == schema.AT_PRIOR, schema.DEAD, settle(codes))
    windows = np.lib.stride_tricks.sliding_window_view(codes, 5, axis=1)
    assert (windows == found[:, 4:, None]).any(axis=2).all()
    moves = np.diff(found, axis=1) != 0
    assert moves.mean() < 0.12 < np.diff(codes, axis=1).astype(bool).mean()
