"""Risk-coverage where it is known which uncertainty orders the errors."""

import numpy as np
import pytest
import torch
from linear_subject import examples, linear, squared

from probes.experiments.risk_coverage import measure, risk_coverage
from probes.experiments.uncertainty import of_inputs, variances


def test_uncertainties_of_a_linear_network_are_the_closed_forms():
    x, _ = examples(6)
    found = of_inputs(linear(scale=0.7).respond(x, 6000, 0))
    np.testing.assert_allclose(found["latent variance"], 0.25 * 5.34, rtol=0.08)
    np.testing.assert_allclose(found["output variance"], 0.49, rtol=1e-5)
    np.testing.assert_allclose(found["total variance"], found["latent variance"] + 0.49, rtol=1e-5)
    own = 2 * (0.5 * (x[:, :4] ** 2 + 0.25 - 1) + np.log(2)).sum(1)
    np.testing.assert_allclose(found["internal KL"], own, rtol=1e-5)


def test_variances_of_class_probabilities_sum_to_that_of_the_class():
    logits = torch.randn((50, 7, 3), generator=torch.Generator().manual_seed(0))
    latent, output = variances(type(linear().respond(torch.zeros(1, 4), 1, 0).forecast)(logits, None))
    mean = logits.softmax(-1).mean(0)
    np.testing.assert_allclose(49 / 50 * latent + output, (mean * (1 - mean)).sum(-1), rtol=1e-5)


def test_the_latent_variance_of_few_draws_is_not_too_small_and_that_of_one_is_not_told():
    x, _ = examples(2000)
    for draws in (2, 8):
        latent = of_inputs(linear(scale=0.7).respond(x, draws, 0))["latent variance"].mean()
        assert latent == pytest.approx(0.25 * 5.34, rel=0.06)  # 1/S instead of 1/(S - 1): 0.5 and 0.88 of it
    single = of_inputs(linear(scale=0.7).respond(x, 1, 0))
    assert np.isnan(single["latent variance"]).all()
    areas = risk_coverage({"squared": np.arange(2000.0)}, single, repeats=5)["areas"].set_index("uncertainty")
    assert areas.loc[["latent variance", "total variance"], ["value", "low", "gain"]].isna().all(axis=None)
    assert areas.loc["output variance", "value"] > 0


def orders(count=2000, seed=0):
    draw = np.random.default_rng(seed)
    sd = draw.gamma(2, size=count)
    errors = {"squared": (sd * draw.normal(size=count)) ** 2}
    return errors, {"output variance": sd**2, "internal KL": draw.normal(size=count), "latent variance": -sd}


def test_what_knows_the_error_lies_between_the_oracle_and_chance_and_chance_gains_nothing():
    tables = risk_coverage(*orders())
    areas = tables["areas"].set_index("uncertainty")
    good, blind, wrong, oracle = (
        areas.loc[name] for name in ("output variance", "internal KL", "latent variance", "oracle")
    )
    assert oracle["value"] < good["low"] < good["value"] < good["high"] < blind["mean"] < wrong["low"]
    assert blind["low"] < blind["mean"] < blind["high"]
    assert good["gain"] == good["gain_low"] == good["gain_high"] == 0
    assert blind["gain_high"] < 0 < oracle["gain_low"]
    curves = tables["curves"]
    ends = curves[curves["coverage"] == 1]
    np.testing.assert_allclose(ends["risk"], orders()[0]["squared"].mean())
    assert curves.groupby("uncertainty").size().unique() == [100]


def test_the_interval_of_the_area_covers_it():
    truth = risk_coverage(*orders(200_000), repeats=2)["areas"].set_index("uncertainty")["value"][
        "output variance"
    ]
    hits = []
    for seed in range(1, 61):
        row = (
            risk_coverage(*orders(400, seed), repeats=100)["areas"]
            .set_index("uncertainty")
            .loc["output variance"]
        )
        hits.append(row["low"] < truth < row["high"])
    assert 0.83 < np.mean(hits) <= 1


def test_measuring_takes_every_input_once_and_tells_progress():
    x, y = examples(300)
    seen = []
    errors, found = measure(
        linear(), x, y, {"squared": squared}, progress=lambda done, total: seen.append((done, total))
    )
    assert errors["squared"].shape == found["internal KL"].shape == (300,)
    assert seen == [(256, 300), (300, 300)]
    assert errors["squared"].mean() == pytest.approx(0.25 * 5.34 / 16, rel=0.3)
