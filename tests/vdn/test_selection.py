"""Which weights are kept, and when training ends."""

from __future__ import annotations

import pytest
import torch

from vdn.selection import Selection


def scores(nll, crps=1.0):
    return {"nll_joint": nll, "crps": crps}


def test_a_lower_likelihood_is_better_and_the_crps_decides_between_equal_ones():
    selection = Selection()
    weights = {"w": torch.zeros(2)}
    assert selection.validated(10, scores(1.0, 0.5), weights)
    weights["w"].add_(1)  # a copy is kept, not what goes on training
    assert not selection.validated(20, scores(1.0, 0.5), weights)
    assert not selection.validated(30, scores(1.1, 0.1), weights)
    assert torch.equal(selection.best["model"]["w"], torch.zeros(2))
    assert selection.validated(40, scores(1.0, 0.4), weights)
    assert selection.best["step"] == 40
    assert torch.equal(selection.best["model"]["w"], torch.ones(2))


def test_no_number_is_never_better():
    selection = Selection(patience=2)
    assert not selection.validated(1, scores(float("nan")), {})
    assert selection.best is None
    assert selection.told(1) == {"which": "last", "step": 1}
    assert selection.validated(2, scores(3.0), {})
    assert not selection.validated(3, scores(float("nan")), {})
    assert selection.told(3) == {"which": "best", "step": 2}


@pytest.mark.parametrize(("patience", "ended"), [(0, None), (2, 40), (3, 50)])
def test_patience_counts_validations_since_the_best(patience, ended):
    selection = Selection(patience)
    for step, nll in zip(range(10, 60, 10), (2.0, 1.0, 1.5, 1.4, 1.3), strict=True):
        selection.validated(step, scores(nll), {})
    assert selection.ended == ended
    selection.validated(60, scores(0.5), {})  # of the step that is done after the end: it may be the best
    assert selection.ended == ended
    assert selection.best["step"] == 60


def test_state_is_taken_up():
    one = Selection(3)
    one.validated(10, scores(2.0, 0.3), {"w": torch.ones(1)})
    one.validated(20, scores(2.5), {})
    two = Selection(3)
    two.restore(one.state(), one.best["model"])
    for step, nll in ((30, 2.1), (40, 2.1)):
        assert one.validated(step, scores(nll), {}) == two.validated(step, scores(nll), {})
    assert one.state() == two.state()
    assert two.ended == 40
