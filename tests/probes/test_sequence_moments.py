"""Statistics paid and held against float64, masks, pooling, and the regimes that they give."""

import numpy as np
import pandas as pd
import pytest
import torch

from probes import regimes, schema
from probes.effective_rows import EffectiveRows
from probes.sequence_moments import SequenceMoments

R, T, N, K = 6, 9, 4, 2
PHI = torch.tensor([0.3, 0.6, 0.9, 0.99])


def given(seed=0):
    torch.manual_seed(seed)
    shape = (R, T, N, K)
    gate, target = torch.rand(shape), torch.randn(shape)
    s2 = ((1 - PHI) * (1 + PHI))[:, None]
    sigma = s2.sqrt() * (-torch.rand(shape)).exp()
    mean, variance = [torch.zeros(R, N, K)], [torch.ones(R, N, K)]
    z = [torch.randn(R, N, K)]
    for t in range(T):
        keep = 1 - gate[:, t]
        mean.append(keep * mean[-1] + gate[:, t] * target[:, t])
        variance.append(keep**2 * variance[-1] + sigma[:, t] ** 2)
        z.append(keep * z[-1] + gate[:, t] * target[:, t] + sigma[:, t] * torch.randn(R, N, K))
    m, v, z = (torch.stack(part, 1) for part in (mean, variance, z))
    past = 0.5 * (1 - gate - PHI[:, None]) ** 2 * v[:, :-1] / s2
    r, w = (m[:, 1:] - PHI[:, None] * m[:, :-1]) / s2.sqrt(), sigma**2 / s2
    kl = (0.5 * (r**2 + w - 1 - w.log()) + past).sum(-1)
    return {
        "mean": m[:, 1:], "variance": v[:, 1:], "previous_mean": m[:, :-1].clone(), "sigma": sigma,
        "phi": PHI,
        "past": past, "z": z[:, 1:], "previous_z": z[:, :-1].clone(), "gate": gate, "kl": kl,
    }  # fmt: skip


def update(pool, values, mask=None, rows=slice(None)):
    cut = {name: value if name == "phi" else value[rows] for name, value in values.items()}
    return pool.update(
        cut.pop("mean"),
        cut.pop("variance"),
        cut.pop("previous_mean"),
        **cut,
        mask=None if mask is None else mask[rows],
    )


def oracle(values, mask):
    """In float64, over the positions that count."""
    at = {name: value.double().numpy()[mask] for name, value in values.items() if name != "phi"}
    phi = PHI.double().numpy()[:, None]
    s2 = 1 - phi**2
    r, w = (at["mean"] - phi * at["previous_mean"]) / np.sqrt(s2), at["sigma"] ** 2 / s2

    def split(mean, variance):
        total = variance.mean(0) + mean.var(0)
        information = 0.5 * (np.log(total) - np.log(variance).mean(0))
        mismatch = 0.5 * (total + mean.mean(0) ** 2 - 1 - np.log(total))
        return information.sum(-1), mismatch.sum(-1)

    paid, held = split(r, w), split(at["mean"], at["variance"])
    return {
        "information": paid[0], "mismatch": paid[1], "held_information": held[0], "held_mismatch": held[1],
        "past": at["past"].mean(0).sum(-1), "kl": at["kl"].mean(0), "gate": at["gate"].mean((0, 2)),
        "mean": at["mean"].mean((0, 2)), "variance": at["variance"].mean((0, 2)),
        "spread": at["mean"].var(0).mean(-1), "phi": PHI.numpy(),
    }  # fmt: skip


@pytest.mark.parametrize("masked", [False, True])
def test_against_float64_and_the_identity(masked):
    values = given()
    mask = torch.ones(R, T, dtype=torch.bool)
    if masked:
        mask[1, 4:], mask[5] = False, False
        for value in values.values():  # whatever stands there
            if value.shape[:2] == (R, T):
                value[~mask] = torch.nan
    found = update(SequenceMoments(), values, mask).result()
    for name, expected in oracle(values, mask.numpy()).items():
        np.testing.assert_allclose(found[name], expected, rtol=2e-4, atol=1e-5, err_msg=name)
    paid = found["information"] + found["mismatch"] + found["past"]
    torch.testing.assert_close(found["kl"], paid, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(found["rows"], EffectiveRows().update(values["mean"], mask).result())
    assert (found["rows"] <= mask.sum()).all()
    assert found["non_finite"].tolist() == [0] * N


def test_pooled_the_same_however_cut():
    values = given()
    whole = update(SequenceMoments(), values).result()
    parts = SequenceMoments()
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        update(parts, values, rows=rows)
    for name, value in parts.result().items():
        torch.testing.assert_close(value, whole[name], rtol=1e-3, atol=1e-4, equal_nan=True)


def test_the_slope_is_that_of_the_draws():
    values = given()
    found = update(SequenceMoments(), values).result()["persistence"]
    z, before = (values[name].double().flatten(0, 1) for name in ("z", "previous_z"))
    z, before = z - z.mean(0), before - before.mean(0)
    np.testing.assert_allclose(found, (z * before).sum((0, 2)) / before.square().sum((0, 2)), rtol=1e-3)


def test_what_is_held_makes_the_regime():
    """A slow neuron pays little at each position and knows much: it lives. A narrow one is no point yet."""
    row = {
        "mean": 0.0, "variance": 0.005, "kl": 0.01, "information": 0.001, "mismatch": 0.001, "past": 0.008,
        "spread": 0.9, "phi": 0.99, "rows": 2048.0, "held_information": 1.2, "held_mismatch": 0.01,
        "active_share": 1.0, "width_spread": 0.0, "prior_variance": 0.02, "mu2": 0.9,
    }  # fmt: skip

    def regime(**changes):
        frame = pd.DataFrame([{**row, **changes}])
        return schema.REGIMES[int(regimes.classify(frame).iloc[0])].name

    assert regime() == "living"
    assert regime(held_information=np.nan) != "living"  # by what it pays
    assert regime(variance=0.00005) == "deterministic"  # c > 0.9999
    at_prior = {
        "variance": 0.999,
        "held_information": 1e-4,
        "held_mismatch": 1e-4,
        "spread": 1e-4,
        "mu2": 1e-4,
    }
    assert regime(**at_prior) == "dead"
    assert "dead: " in regimes.explain({**row, **at_prior})


def test_the_floor_of_a_carried_state_is_zero():
    columns = {"kl": np.array([0.1]), "phi": np.array([0.9])}
    assert schema.evaluate("kl_above_floor", columns)[0] == pytest.approx(0.1 - 0.5 * np.log1p(0.81))
    held = columns | {"held_information": np.array([0.3])}
    assert schema.evaluate("kl_above_floor", held)[0] == pytest.approx(0.1)
    variance = {"variance": np.array([0.2]), "held_information": np.array([0.3])}
    assert schema.evaluate("held_variance", variance)[0] == pytest.approx(0.2)
