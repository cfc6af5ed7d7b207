"""Formulas of distributions of half precision are evaluated in float32."""

from __future__ import annotations

import pytest
import torch
import torch.distributions as td
from torch.distributions import kl_divergence

from probes.family_moments import FamilyMoments, posterior_kl, prior_parameters, read_distribution
from probes.family_moments.widening import HALF, widened

torch.manual_seed(0)
P, L = torch.rand(64, 3) + 0.3, torch.randn(64, 3, 4) / 4


@pytest.mark.parametrize("dtype", HALF)
def test_the_numbers_are_the_same_and_float32(dtype):
    q = td.Gamma(P.to(dtype), P.flip(0).to(dtype), validate_args=False)
    wide = widened(q)
    assert wide.concentration.dtype == torch.float32
    assert torch.equal(wide.concentration, q.concentration.float())
    assert q.concentration.dtype == dtype, "the model's own stays as it is"
    inside = widened(td.Independent(td.OneHotCategorical(logits=L.to(dtype)), 1))
    assert inside.base_dist.probs.dtype == torch.float32


def test_others_stay_themselves():
    class Own(td.Gamma):
        """May hold a network of half precision."""

    for q in (td.Gamma(P, P), td.Gamma(P.double(), P.double()), Own(P.bfloat16(), P.bfloat16())):
        assert widened(q) is q


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("kind", ["logits", "probs"])
def test_classes_of_half_precision_have_the_kl_of_what_they_add_up_to(dtype, kind):
    """Logarithms of bfloat16 were wrong by 6 % of a small KL, and made a mismatch negative."""
    given = L if kind == "logits" else L.softmax(-1)
    q, p = td.Categorical(**{kind: given.to(dtype)}), td.Categorical(torch.ones(4, dtype=dtype))
    stored = q.logits.double().softmax(-1) if kind == "logits" else q.probs.double()
    exact = kl_divergence(td.Categorical(stored), td.Categorical(torch.ones(4).double())).mean(0)
    read = read_distribution(q)
    found = FamilyMoments("categorical").update(read.parameters, prior_parameters("categorical", p)).result()
    torch.testing.assert_close(found["kl"], exact.float(), rtol=1e-5, atol=1e-7)
    assert (found["mismatch"] >= -1e-7).all()


@pytest.mark.parametrize("dtype", HALF)
def test_closed_forms_are_evaluated_in_float32(dtype):
    q, p = td.Geometric((P / 2).to(dtype)), td.Geometric(torch.full((3,), 0.3, dtype=dtype))
    kl, drawn = posterior_kl(q, p)
    exact = kl_divergence(td.Geometric(q.probs.double()), td.Geometric(p.probs.double().expand(64, 3)))
    torch.testing.assert_close(kl, exact.float(), rtol=1e-4, atol=1e-6)
    assert not drawn


def test_a_students_t_of_half_precision_has_draws():
    q = td.StudentT(torch.full((64, 3), 5.0).half(), P.half(), P.half(), validate_args=False)
    kl, drawn = posterior_kl(q, td.Normal(torch.zeros(3), torch.ones(3)))
    assert drawn
    assert kl.isfinite().all()
