"""Sums of classes part by part are those of all rows at once, in float64."""

import pytest
import torch

from probes.family_moments import FamilyMoments, class_sums


def reference(q, p):
    """Mean KL, mean Σ q ln q and mean q over rows, in float64."""
    q, p = q.double(), p.double()
    terms = torch.special.xlogy(q, q)
    return (terms - q * p.log()).sum(-1).mean(0), terms.sum(-1).mean(0), q.mean(0)


@pytest.mark.parametrize("rows", [1, 7, 64, 100])
@pytest.mark.parametrize("one_for_all", [True, False])
def test_sums_are_those_of_float64_whatever_the_parts(rows, one_for_all, monkeypatch):
    monkeypatch.setattr(class_sums, "PART", 5 * 4 * 3)  # of numbers: 5 rows
    torch.manual_seed(0)
    q = torch.randn(rows, 4, 3).softmax(-1)
    p = torch.rand(3 if one_for_all else (4, 3)).softmax(-1)
    found = FamilyMoments("categorical").update({"probability": q}, {"probability": p})
    sums = found.sufficient_statistics()
    for name, expected in zip(("kl", "score", "t0"), reference(q, p), strict=True):
        torch.testing.assert_close(sums[name], expected, rtol=1e-6, atol=5e-8)
    assert sums["rows"] == rows


def test_the_kl_near_the_prior_keeps_its_digits():
    """Σ q ln q − Σ q ln p of two numbers near ln 32 would be off by a tenth of it."""
    torch.manual_seed(0)
    q = (1e-3 * torch.randn(256, 32, 32)).softmax(-1)
    p = torch.full((32,), 1 / 32)
    found = FamilyMoments("categorical").update({"probability": q}, {"probability": p}).result()["kl"]
    expected = reference(q, p)[0]
    assert expected.max() < 1e-6
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-10)


def test_a_class_without_probability_costs_nothing_and_one_that_the_prior_lacks_is_infinite():
    logits = torch.tensor([[[0.0, -torch.inf], [0.0, 0.0]]]).log_softmax(-1).repeat(4, 1, 1)
    own = {"probability": logits.exp(), "logits": logits}
    uniform = FamilyMoments("categorical").update(own, {"probability": torch.full((2,), 0.5)})
    torch.testing.assert_close(uniform.result()["kl"], torch.tensor([2.0, 1.0]).log())
    lacking = FamilyMoments("categorical").update(own, {"probability": torch.tensor([1.0, 0.0])})
    assert lacking.result()["non_finite"].tolist() == [0, 4]


def test_masked_batches_are_pooled_with_whole_ones():
    torch.manual_seed(0)
    q, p = torch.randn(12, 4, 3).softmax(-1), {"probability": torch.full((3,), 1 / 3)}
    mask = torch.arange(12) < 8
    halves = FamilyMoments("categorical").update({"probability": q[:8]}, p)
    halves.update({"probability": q}, p, mask=mask)
    once = FamilyMoments("categorical").update({"probability": q[:8]}, p).result()
    for name, value in halves.result().items():
        expected = 2 * once[name] if name == "rows" else once[name]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
