"""Logits of classes give the numbers of the probabilities and logits that they are normalised to."""

from __future__ import annotations

import pytest
import torch

from probes.family_moments import FamilyMoments, class_sums, default_prior
from probes.family_moments.class_logits import ClassLogits, first_of

torch.manual_seed(0)
RAW = 3 * torch.randn(100, 4, 3) + 7
NORMAL = {"probability": RAW.softmax(-1), "logits": RAW.log_softmax(-1)}
PRIORS = {
    "uniform": {"probability": torch.full((3,), 1 / 3)},
    "of each neuron": {"probability": torch.rand(4, 3).softmax(-1)},
    "by row": {"probability": torch.rand(100, 4, 3).softmax(-1)},
    "none": None,
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("prior", PRIORS)
def test_sums_are_those_of_what_is_normalised(prior, masked, monkeypatch):
    monkeypatch.setattr(class_sums, "PART", 7 * 4 * 3)  # of numbers: 7 rows
    mask = torch.arange(100) % 3 > 0 if masked else None
    found, known = (
        FamilyMoments("categorical", prior_by_row=prior == "by row").update(one, PRIORS[prior], mask=mask)
        for one in (ClassLogits(RAW), NORMAL)
    )
    expected = known.sufficient_statistics()
    assert found.sufficient_statistics().keys() == expected.keys()
    for name, value in found.sufficient_statistics().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)


def test_classes_that_never_are_and_rows_that_are_no_numbers():
    raw = RAW.clone()
    raw[:, 0, 1] = -torch.inf
    raw[3, 2] = torch.nan
    found = FamilyMoments("categorical").update(ClassLogits(raw), PRIORS["uniform"]).result()
    assert found["non_finite"].tolist() == [0, 0, 1, 0]
    assert found["kl"].isnan().tolist() == [False, False, True, False]
    two = RAW[:, 0, ::2].log_softmax(-1)
    torch.testing.assert_close(found["kl"][0], (two.exp() * (two + torch.tensor(3.0).log())).sum(-1).mean())


def test_nothing_is_normalised_before_somebody_asks():
    raw = ClassLogits(RAW)
    default_prior("categorical", raw)
    FamilyMoments("categorical").update(raw, PRIORS["uniform"])
    assert first_of(raw) is RAW
    assert raw._known == {}
    assert set(raw) == NORMAL.keys()
    assert len(raw) == 2
    assert "index" not in raw
    assert raw.get("index") is None
    for name, value in NORMAL.items():
        torch.testing.assert_close(raw[name], value)
