"""kl = information + mismatch in float64, whatever the batching, and null where there is no number."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.distributions as td

from probes import schema
from probes.families import FAMILIES
from probes.families.exponential import EXPONENTIAL, NUMPY
from probes.family_moments import (
    FamilyMoments,
    default_prior,
    derive_family,
    posterior_kl,
    read_distribution,
)
from probes.family_moments.pooling import TORCH, derived

ROWS, NEURONS, CLASSES = 60, 5, 4
KINDS = {
    "categorical": (td.Categorical, ("logits",)),
    "bernoulli": (td.Bernoulli, ("logits",)),
    "beta": (td.Beta, ("concentration1", "concentration0")),
    "gamma": (td.Gamma, ("concentration", "rate")),
    "inverse_gamma": (td.InverseGamma, ("concentration", "rate")),
    "dirichlet": (td.Dirichlet, ("concentration",)),
    "exponential": (td.Exponential, ("rate",)),
    "poisson": (td.Poisson, ("rate",)),
    "von_mises": (td.VonMises, ("loc", "concentration")),
    "laplace": (td.Laplace, ("loc", "scale")),
}
EXTREME = {
    "categorical": {"logits": (-1e4, 1e4)},
    "bernoulli": {"logits": (-1e4, 1e4)},
    "beta": {"concentration1": (1e-3, 1e6), "concentration0": (1e-3, 1e6)},
    "gamma": {"concentration": (1e-3, 1e6), "rate": (1e-3, 1e6)},
    "inverse_gamma": {"concentration": (1e-3, 1e6), "rate": (1e-3, 1e6)},
    "dirichlet": {"concentration": (1e-3, 1e3)},
    "exponential": {"rate": (1e-8, 1e6)},
    "poisson": {"rate": (1e-8, 1e6)},
    "von_mises": {"loc": (-math.pi, math.pi), "concentration": (1e-6, 1e6)},
}
ORDINARY = {"logits": (-3.0, 3.0), "loc": (-2.0, 2.0)}


def made(family, shape, seed, ends=None):
    """A distribution of a family, of random parameters, in float64."""
    draw = torch.Generator().manual_seed(seed)
    kind, names = KINDS[family]
    shape = (*shape, CLASSES) if family in ("categorical", "dirichlet") else shape
    parameters = {}
    for name in names:
        low, high = (ends or {}).get(name, ORDINARY.get(name, (0.2, 5.0)))
        u = torch.rand(shape, generator=draw, dtype=torch.float64)
        parameters[name] = (
            low + u * (high - low) if low < 0 else low * (torch.tensor(high / low, dtype=u.dtype) ** u)
        )
    return kind(**parameters)


def moments(posterior, prior=None, **given):
    read = read_distribution(posterior)
    return FamilyMoments(read.family, prior_by_row=given.pop("prior_by_row", False)).update(
        read.parameters, None if prior is None else read_distribution(prior).parameters, **given
    )


def double(pool):
    return derived(pool.family, pool.sufficient_statistics())


@pytest.mark.parametrize("family", EXPONENTIAL)
def test_kl_is_information_plus_mismatch_and_that_of_torch(family):
    for seed in range(4):
        q, p = made(family, (ROWS, NEURONS), seed), made(family, (NEURONS,), 50 + seed)
        found = double(moments(q, p))
        apart = (found["kl"] - found["information"] - found["mismatch"]).abs()
        assert (apart <= 1e-8 * found["kl"].clamp_min(1)).all()
        if family != "von_mises":  # torch has none
            expected = td.kl_divergence(q, p.expand(q.batch_shape)).mean(0)
            torch.testing.assert_close(found["kl"], expected, rtol=1e-9, atol=1e-9)
        assert (found["information"] > 0).all()
        assert (found["mismatch"] > 0).all()


@pytest.mark.parametrize("family", EXPONENTIAL)
def test_the_two_parts_are_the_divergences_that_they_are_named_after(family):
    """information = E KL(q_b ‖ q~) and mismatch = KL(q~ ‖ p), each from q~ itself."""
    kind = EXPONENTIAL[family]
    q, p = made(family, (ROWS, NEURONS), 1), made(family, (NEURONS,), 2)
    own, prior = ({n: v.numpy() for n, v in read_distribution(x).parameters.items()} for x in (q, p))
    t = kind.statistics(NUMPY, own)
    match = kind.match(tuple(value.mean(0) for value in t))
    t_match = kind.statistics(NUMPY, match)
    for one, mean in zip(t_match, t, strict=True):
        np.testing.assert_allclose(one, mean.mean(0), rtol=1e-10, atol=1e-10)
    found = double(moments(q, p))
    information = (kind.score(NUMPY, own, t) - kind.score(NUMPY, match, t)).mean(0)
    mismatch = kind.score(NUMPY, match, t_match) - kind.score(NUMPY, prior, t_match)
    np.testing.assert_allclose(found["information"], information, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found["mismatch"], mismatch, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("family", EXTREME)
def test_the_identity_at_extreme_parameters(family):
    for seed in range(4):
        q = made(family, (ROWS, NEURONS), seed, EXTREME[family])
        p = made(family, (NEURONS,), 50 + seed, None)
        found = double(moments(q, p))
        for name, value in found.items():
            if name not in ("mean", "variance", "spread", "prior_variance"):
                assert value.isfinite().all(), name
        apart = (found["kl"] - found["information"] - found["mismatch"]).abs()
        assert (apart <= 1e-8 * found["kl"].abs().clamp_min(1)).all()
        assert (found["information"] >= -1e-8).all()
        assert (found["mismatch"] >= -1e-8 * found["kl"].clamp_min(1)).all()


def test_a_sparse_dirichlet_of_many_components():
    draw = np.random.default_rng(0)
    alpha = np.where(draw.random((ROWS, 3, 64)) < 0.05, 30.0, 1e-3)
    pool = FamilyMoments("dirichlet").update(
        {"concentration": torch.tensor(alpha)}, {"concentration": torch.full((64,), 1e-3)}
    )
    found = double(pool)
    torch.testing.assert_close(found["kl"], found["information"] + found["mismatch"], rtol=1e-9, atol=1e-9)
    expected = td.kl_divergence(
        td.Dirichlet(torch.tensor(alpha)),
        td.Dirichlet(torch.full((ROWS, 3, 64), 1e-3, dtype=torch.float32).double()),
    )
    torch.testing.assert_close(found["kl"], expected.mean(0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", EXPONENTIAL)
def test_rows_that_are_all_one_tell_nothing(family):
    for ends in (None, EXTREME[family]):
        one = made(family, (NEURONS,), 3, ends)
        p = made(family, (NEURONS,), 4)
        found = double(moments(one.expand((ROWS, NEURONS)), p))
        size = found["kl"].abs().clamp_min(1)
        assert (found["information"].abs() <= 1e-8 * size).all()
        assert ((found["kl"] - found["mismatch"]).abs() <= 1e-8 * size).all()


@pytest.mark.parametrize("family", KINDS)
def test_the_same_numbers_whatever_the_batching(family):
    q, p = made(family, (ROWS, NEURONS), 5), made(family, (NEURONS,), 6)
    own, prior = read_distribution(q).parameters, read_distribution(p).parameters
    whole = double(FamilyMoments(family).update(own, prior))

    def part(first, last):
        return {name: value[first:last] for name, value in own.items()}

    left, right = FamilyMoments(family), FamilyMoments(family)
    left.update(part(30, 37), prior).update(part(0, 1), prior)
    right.update(part(37, 60), prior).update(part(20, 20), prior).update(part(1, 30), prior)
    for pool in (FamilyMoments(family).merge(right).merge(left), left.merge(right)):
        found = double(pool)
        assert found.keys() == whole.keys()
        for name, value in whole.items():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-10, equal_nan=True, msg=name)


@pytest.mark.parametrize("family", KINDS)
def test_masked_rows_leave_no_trace_and_blocks_are_derived_as_steps_alone(family):
    q, p = made(family, (ROWS, NEURONS), 7), made(family, (NEURONS,), 8)
    own, prior = read_distribution(q).parameters, read_distribution(p).parameters
    mask = torch.rand(ROWS, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[0] = False
    whole = FamilyMoments(family).update({n: v[mask] for n, v in own.items()}, prior).result()
    dirty = {n: torch.where(mask.reshape(-1, *(1,) * (v.dim() - 1)), v, math.nan) for n, v in own.items()}
    rows = {n: v.expand(own[n].shape).clone() for n, v in prior.items()}
    for given in (prior, rows):
        found = FamilyMoments(family).update(dirty, given, mask=mask).result()
        for name, value in whole.items():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, equal_nan=True, msg=name)
    pools = [
        FamilyMoments(family).update({n: v[at : at + 20] for n, v in own.items()}, prior) for at in (0, 20)
    ]
    kept = [pool.sufficient_statistics() for pool in pools]
    block = derive_family(family, {name: torch.stack([sums[name] for sums in kept]) for name in kept[0]})
    for step, pool in enumerate(pools):
        for name, value in pool.result().items():
            torch.testing.assert_close(
                block[name][step], value, rtol=1e-6, atol=1e-7, equal_nan=True, msg=name
            )
            assert name in schema.STATISTICS
            assert value.dtype == torch.float32
            assert value.shape == (NEURONS,)


@pytest.mark.parametrize("family", KINDS)
def test_a_batch_of_one_of_none_and_of_all_masked(family):
    q, p = made(family, (2, NEURONS), 9), made(family, (NEURONS,), 10)
    own, prior = read_distribution(q).parameters, read_distribution(p).parameters
    one = FamilyMoments(family).update({n: v[:1] for n, v in own.items()}, prior).result()
    assert one["kl"].isfinite().all()
    assert one["information"].isnan().all()
    if "mismatch" in one:
        assert one["mismatch"].isnan().all()
    assert one["rows"].tolist() == [1] * NEURONS
    if "spread" in one:
        assert (one["spread"].nan_to_num(0).abs() < 1e-6).all()
    for given, mask in (({n: v[:0] for n, v in own.items()}, None), (own, torch.zeros(2, dtype=torch.bool))):
        pool = FamilyMoments(family).update(given, prior, mask=mask)
        none = pool.result()
        assert none.keys() == one.keys()
        for name, value in none.items():
            assert (value == 0).all() if name in ("rows", "non_finite") else value.isnan().all(), name
        again = pool.update(own, prior).result()
        for name, value in FamilyMoments(family).update(own, prior).result().items():
            torch.testing.assert_close(again[name], value, equal_nan=True, msg=name)


@pytest.mark.parametrize("family", EXPONENTIAL)
def test_priors_by_row_leave_the_information_and_no_mismatch(family):
    q, p = made(family, (ROWS, NEURONS), 11), made(family, (ROWS, NEURONS), 12)
    found = double(moments(q, p, prior_by_row=True))
    assert "mismatch" not in found
    without = double(moments(q))
    assert not {"kl", "mismatch", "active_share"} & without.keys()
    shared = double(moments(q, made(family, (NEURONS,), 13)))
    for other in (without, shared):
        torch.testing.assert_close(found["information"], other["information"], rtol=1e-9, atol=1e-9)
    if family != "von_mises":
        torch.testing.assert_close(found["kl"], td.kl_divergence(q, p).mean(0), rtol=1e-9, atol=1e-9)
    unsaid = double(moments(q, p))
    assert unsaid["mismatch"].isnan().all(), "rows have priors of their own, which nobody said"
    torch.testing.assert_close(unsaid["kl"], found["kl"])


def test_a_prior_that_changes_between_batches_of_a_step_has_no_mismatch():
    q = made("beta", (ROWS, NEURONS), 1)
    own = read_distribution(q).parameters
    one, other = (read_distribution(made("beta", (NEURONS,), seed)).parameters for seed in (2, 3))
    other = {n: torch.where(torch.arange(NEURONS) == 2, v, one[n]) for n, v in other.items()}
    found = FamilyMoments("beta").update(own, one).update(own, other).result()
    assert found["mismatch"].isnan().tolist() == [False, False, True, False, False]


def test_information_of_classes_is_that_between_row_and_class():
    """H(mean) − mean H, at most ln B; and a mixture of certain rows is told apart whole."""
    probability = torch.eye(3, dtype=torch.float64).repeat(4, 1)[:, None]
    prior = default_prior("categorical", {"probability": probability})
    found = double(FamilyMoments("categorical").update({"probability": probability}, prior))
    torch.testing.assert_close(found["information"], torch.tensor([math.log(3)], dtype=torch.float64))
    torch.testing.assert_close(found["perplexity"], torch.tensor([3.0], dtype=torch.float64))
    assert found["mismatch"].abs().max() < 1e-12
    assert found["entropy"].abs().max() == 0
    torch.testing.assert_close(found["prior_entropy"], torch.tensor([math.log(3)], dtype=torch.float64))
    q = td.Categorical(logits=torch.randn(6, 2, 9, generator=torch.Generator().manual_seed(0)))
    found = moments(q, td.Categorical(logits=torch.zeros(9))).result()
    expected = td.Categorical(q.probs.mean(0)).entropy() - q.entropy().mean(0)
    torch.testing.assert_close(found["information"], expected, rtol=1e-5, atol=1e-6)
    assert (found["information"] <= math.log(6)).all()


def test_probabilities_of_exactly_0_and_1_and_huge_logits():
    for logits in (torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([[0.0, 0.0, -math.inf]])):
        q = td.Categorical(logits=logits.expand(4, 1, 3), validate_args=False)
        found = moments(q, td.Categorical(logits=torch.zeros(3))).result()
        for name, value in found.items():
            assert value.isfinite().all(), name
        assert found["information"].abs().max() < 1e-6
    sure = (
        FamilyMoments("bernoulli")
        .update({"probability": torch.tensor([[0.0, 1.0], [1.0, 1.0]])}, {"probability": torch.tensor(0.5)})
        .result()
    )
    torch.testing.assert_close(sure["information"], torch.tensor([math.log(2), 0.0]))
    torch.testing.assert_close(sure["kl"], torch.tensor([math.log(2)] * 2))


def test_logarithms_of_a_prior_that_underflows_are_its_logits():
    far = td.Categorical(logits=torch.tensor([-200.0, 0.0, 0.0]))  # underflows in float32
    q = td.Categorical(probs=torch.tensor([0.5, 0.25, 0.25]).expand(4, 1, 3))
    expected = (q.probs * (q.logits - far.logits)).sum(-1).mean(0)  # torch.kl_divergence says infinite
    assert expected > 90
    torch.testing.assert_close(moments(q, far).result()["kl"], expected)


def test_a_class_that_the_prior_forbids_is_no_finite_kl():
    probability = torch.tensor([[[0.5, 0.5, 0.0]], [[0.5, 0.0, 0.5]]])
    forbids = {"probability": torch.tensor([0.5, 0.5, 0.0])}
    found = FamilyMoments("categorical").update({"probability": probability}, forbids).result()
    assert found["non_finite"].tolist() == [1]
    assert not found["kl"].isfinite().any()


def test_a_row_that_is_no_number_is_counted_in_its_neuron_alone():
    q = made("gamma", (ROWS, NEURONS), 1)
    own = dict(read_distribution(q).parameters)
    own["rate"] = own["rate"].clone()
    own["rate"][3, 1] = math.nan
    found = FamilyMoments("gamma").update(own, read_distribution(made("gamma", (NEURONS,), 2)).parameters)
    result = found.result()
    assert result["non_finite"].tolist() == [0, 1, 0, 0, 0]
    for name in FAMILIES["gamma"].required:
        assert result[name].isnan().tolist() == [False, True, False, False, False]


def test_mean_variance_and_spread_are_those_of_the_posteriors():
    for family in ("beta", "gamma", "exponential", "poisson", "laplace"):
        q = made(family, (ROWS, NEURONS), 14)
        found = double(moments(q, made(family, (NEURONS,), 15)))
        torch.testing.assert_close(found["mean"], q.mean.mean(0))
        torch.testing.assert_close(found["variance"], q.variance.mean(0))
        torch.testing.assert_close(found["spread"], q.mean.var(0, correction=0))
        torch.testing.assert_close(found["prior_variance"], made(family, (NEURONS,), 15).variance)
        if family != "poisson":  # torch has none
            torch.testing.assert_close(found["entropy"], q.entropy().mean(0), rtol=1e-9, atol=1e-9)
    q = made("dirichlet", (ROWS, NEURONS), 16)
    found = double(moments(q))
    torch.testing.assert_close(found["variance"], q.variance.mean((0, 2)))
    torch.testing.assert_close(found["spread"], q.mean.var(0, correction=0).mean(-1))


def test_angles_have_a_direction_and_a_circular_variance():
    loc = torch.tensor([[math.pi - 0.1, 0.0], [-math.pi + 0.1, math.pi / 2]], dtype=torch.float64)
    q = td.VonMises(loc, torch.full((2, 2), 50.0, dtype=torch.float64))
    found = double(moments(q, td.VonMises(torch.zeros(2), torch.zeros(2).double() + 1e-9)))
    torch.testing.assert_close(found["mean"].abs()[0], torch.tensor(math.pi, dtype=torch.float64))
    torch.testing.assert_close(found["mean"][1], torch.tensor(math.pi / 4, dtype=torch.float64))
    of_all = 1 - torch.complex(loc.cos(), loc.sin()).mean(0).abs() * (1 - found["variance"])
    torch.testing.assert_close(found["variance"] + found["spread"], of_all)
    torch.testing.assert_close(found["prior_variance"], torch.ones(2).double(), atol=1e-8, rtol=0)


@pytest.mark.parametrize("df", [0.5, 1.5, 2.0])
def test_a_student_without_a_variance_has_no_information(df):
    parameters = {"df": torch.full((8, 2), df), "loc": torch.randn(8, 2), "scale": torch.ones(8, 2)}
    found = FamilyMoments("student_t").update(parameters, kl=torch.ones(8, 2), estimated=True).result()
    assert found["variance"].isnan().all()
    assert found["information"].isnan().all()
    assert found["mean"].isnan().all() == (df <= 1)
    assert found["entropy"].isfinite().all()
    assert found["kl"].tolist() == [1, 1]
    assert FamilyMoments("student_t").update(parameters).result()["non_finite"].tolist() == [0, 0]
    parameters["df"][:] = 4.0
    found = FamilyMoments("student_t").update(parameters).result()
    spread = parameters["loc"].double().var(0, correction=0)
    torch.testing.assert_close(found["information"], (0.5 * (1 + spread / 2).log()).float())
    parameters["df"][0, 0] = 2.0
    found = FamilyMoments("student_t").update(parameters).result()
    assert found["information"].isnan().tolist() == [True, False]


def test_a_cauchy_has_its_entropy_and_kl_alone():
    q = td.Cauchy(torch.randn(8, 2), torch.ones(8, 2))
    p = td.Cauchy(torch.zeros(2), torch.ones(2))
    read = read_distribution(q)
    assert read.family == "generic"
    kl, estimated = posterior_kl(q, p)
    assert not estimated
    found = FamilyMoments("generic").update(read.parameters, kl=kl).result()
    for name in ("mean", "variance", "information", "spread"):
        assert found[name].isnan().all()
    torch.testing.assert_close(found["kl"], kl.mean(0))
    torch.testing.assert_close(found["entropy"], q.entropy().mean(0))


def test_sums_of_half_precision_and_under_autocast_are_those_of_float32():
    logits = torch.randn(64, 3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        inside = moments(td.Categorical(logits=logits), td.Categorical(logits=torch.zeros(5))).result()
    outside = moments(td.Categorical(logits=logits), td.Categorical(logits=torch.zeros(5))).result()
    for name, value in outside.items():
        torch.testing.assert_close(inside[name], value, msg=name)
    half = {"rate": torch.rand(64, 3).bfloat16() + 1}
    found = FamilyMoments("exponential").update(half, {"rate": torch.ones(3).bfloat16()}).result()
    exact = FamilyMoments("exponential").update({"rate": half["rate"].double()}, {"rate": torch.ones(3)})
    torch.testing.assert_close(found["kl"], exact.result()["kl"])


def test_what_weights_share_has_no_rows():
    one = {"rate": torch.ones(1, 3)}
    found = FamilyMoments("exponential").update(one, one, shared=True).result()
    assert "rows" not in found
    assert found["information"].tolist() == [0, 0, 0]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="known are.*beta"):
        FamilyMoments("codes")
    with pytest.raises(ValueError, match="rate is missing"):
        FamilyMoments("gamma").update({"concentration": torch.ones(2, 3)})
    with pytest.raises(ValueError, match="prior of a gamma has.*rate is missing"):
        FamilyMoments("gamma").update(
            {"concentration": torch.ones(2, 3), "rate": torch.ones(2, 3)}, {"concentration": torch.ones(3)}
        )
    with pytest.raises(ValueError, match=r"\(B, N, C\)"):
        FamilyMoments("dirichlet").update({"concentration": torch.ones(2, 3)})
    with pytest.raises(ValueError, match="does not fit"):
        FamilyMoments("exponential").update({"rate": torch.ones(2, 3)}, {"rate": torch.ones(4)})
    with pytest.raises(ValueError, match="one KL an input"):
        FamilyMoments("exponential").update({"rate": torch.ones(2, 3)}, kl=torch.ones(2))
    with pytest.raises(ValueError, match="update first"):
        FamilyMoments("exponential").result()
    with pytest.raises(ValueError, match="same arguments"):
        FamilyMoments("exponential").update({"rate": torch.ones(2, 3)}).update(
            {"rate": torch.ones(2, 3)}, {"rate": torch.ones(3)}
        )
    with pytest.raises(ValueError, match="pooled"):
        FamilyMoments("exponential").merge(FamilyMoments("poisson"))


@pytest.mark.parametrize("family", EXTREME)
def test_functions_of_torch_are_those_of_scipy_at_extreme_parameters(family):
    kind = EXPONENTIAL[family]
    q = read_distribution(made(family, (ROWS, NEURONS), 20, EXTREME[family])).parameters
    q = {name: value for name, value in q.items() if name != "logits"}
    own = {name: value.numpy() for name, value in q.items()}
    with np.errstate(all="ignore"):
        t, t_numpy = kind.statistics(TORCH, q), kind.statistics(NUMPY, own)
        for one, other in zip(t, t_numpy, strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=1e-12, atol=1e-13)
        score = kind.score(TORCH, q, t).numpy()
        np.testing.assert_allclose(score, kind.score(NUMPY, own, t_numpy), rtol=1e-8, atol=2e-8)


@pytest.mark.parametrize(
    ("family", "name", "wrong"),
    [("poisson", "rate", -1.0), ("von_mises", "concentration", -1.0), ("bernoulli", "probability", 1.5)],
)
def test_numbers_that_no_member_has_are_none(family, name, wrong):
    """Of distributions that were not validated; their formulas give numbers all the same."""
    names = FAMILIES[family].parameters
    parameters = {one: torch.full((8, 2), 0.4) for one in names}
    parameters[name][3, 1] = wrong
    prior = {one: torch.full((2,), 0.5) for one in names}
    found = FamilyMoments(family).update(parameters, prior).result()
    assert found["kl"].isnan().tolist() == [False, True]
    assert found["non_finite"].tolist() == [0, 1]
    masked = FamilyMoments(family).update(parameters, prior, mask=torch.arange(8) != 3).result()
    assert masked["kl"].isfinite().all()


def test_a_negative_probability_of_a_class_is_none():
    probability = torch.full((8, 2, 4), 0.25)
    probability[3, 1] = torch.tensor([-0.25, 0.75, 0.25, 0.25])
    found = FamilyMoments("categorical").update(
        {"probability": probability}, {"probability": torch.full((4,), 0.25)}
    )
    assert found.result()["kl"].isnan().tolist() == [False, True]
