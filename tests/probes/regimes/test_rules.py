"""The rules of the regimes against an independent, row-by-row reading of their table."""

import math

import numpy as np
import pandas as pd
import pytest

import probes
from probes import regimes, schema
from probes.arrays import moments
from probes.families import FAMILIES, family_of
from probes.families.gaussian import GAUSSIAN
from probes.log.check import check

LIVING = {"mean": 0.0, "variance": 0.5, "kl": 0.3, "information": 0.2, "spread": 0.4}
ONE_OF_EACH = [
    ({}, 0),
    ({"kl": math.nan}, 1),
    ({"mean": math.inf}, 1),
    ({"mu2": -math.inf}, 1),
    ({"non_finite": 1.0}, 1),
    ({"clamp_share": 0.11}, 2),
    ({"variance": 1.2}, 3),
    ({"variance": 1.2, "information": 0.001}, 3),
    ({"information": 0.001, "variance": 0.99, "mismatch": 0.002}, 4),
    ({"information": 0.001, "variance": 0.99, "mean": 0.5, "mismatch": 0.005}, 4),
    ({"information": 0.001, "variance": 0.99, "kl": 0.0059}, 4),  # mismatch = kl - information
    ({"information": 0.001, "variance": 0.99, "kl": 0.0061}, 5),
    ({"information": 0.001, "variance": 0.99, "mismatch": 0.002, "rows": 256}, 4),
    ({"information": 0.001, "variance": 0.99, "mismatch": 0.002, "rows": 8}, 4),
    ({"information": 0.002, "variance": 0.99, "mismatch": 0.002, "rows": 8}, 5),  # it may be 0.009
    ({"information": 0.001, "variance": 0.30, "phi": 0.95, "kl": 0.33}, 4),
    ({"information": 0.001, "variance": 0.99, "mean": 0.5}, 5),
    ({"information": 0.001, "variance": 0.99, "phi": 0.95, "kl": 0.40}, 5),
    ({"information": 0.001, "variance": 0.30}, 6),
    ({"information": 3.0, "variance": 0.005}, 7),
    ({"mean": 2.0}, 8),
    ({"mu2": 0.52, "band_high": 0.5}, 8),
    ({"mu2": 0.505, "band_high": 0.5}, 0),
    ({"mu2": 3.0}, 0),
    ({"information": 0.001, "variance": 0.30, "phi": -0.95, "kl": 0.33}, 4),
    ({"variance": 2.0, "spread": 3.0, "mean": 2.0, "prior_variance": 4.0}, 0),
    ({"variance": 2.0, "spread": 3.0, "mean": 3.4, "prior_variance": 4.0}, 8),
    ({"variance": 1.05, "phi": 0.5, "prior_variance": 0.75}, 0),
    ({"active_share": 0.5, "width_spread": 0.021}, 9),
    ({"active_share": 0.1, "width_spread": 0.021}, 9),
    ({"active_share": 0.9, "width_spread": 0.021}, 9),
    ({"active_share": 0.0999, "width_spread": 0.021}, 0),
    ({"active_share": 0.9001, "width_spread": 0.021}, 0),
    ({"active_share": 0.5, "width_spread": 0.019}, 0),
    ({"active_share": 0.5}, 0),
]


@pytest.mark.parametrize(("change", "code"), ONE_OF_EACH)
def test_each_rule(change, code):
    row = LIVING | change
    assert regimes.classify(pd.DataFrame([row])).tolist() == [code]
    assert regimes.classify(pd.DataFrame([row]).astype(np.float32)).tolist() == [code]
    assert regimes.explain(row).startswith(schema.REGIMES[code].name + ":")


def test_rows_do_not_disturb_each_other():
    frame = pd.DataFrame(
        [LIVING | change for change, _ in ONE_OF_EACH], index=np.arange(len(ONE_OF_EACH)) * 3 + 5
    )
    series = regimes.classify(frame)
    assert series.tolist() == [code for _, code in ONE_OF_EACH]
    assert series.dtype == np.int8
    assert series.name == "regime"
    assert series.index.equals(frame.index)


def by_hand(row):
    """The table of the rules, read one row at a time with all columns there."""
    value = dict(row)
    if not all(math.isfinite(v) for v in value.values()):
        return 1
    contraction = 1 - value["variance"]
    silent = value["information"] < 0.005
    if value["clamp_share"] > 0.10:
        return 2
    if contraction < -0.1:
        return 3
    if value["phi"]:
        if silent and value["kl"] - 0.5 * math.log(1 + value["phi"] ** 2) < 0.02:
            return 4
    elif silent and contraction < 0.05 and value["mismatch"] <= 0.005:
        return 4
    if silent and contraction < 0.05:
        return 5
    if silent:
        return 6
    if contraction > 0.99:
        return 7
    if value["variance"] + value["mu2"] > 4 or value["mu2"] > value["band_high"] * 1.02:
        return 8
    return 9 if 0.1 <= value["active_share"] <= 0.9 and value["width_spread"] > 0.02 else 0


def test_random_rows_against_the_table():
    draw = np.random.default_rng(0)
    n = 5000
    frame = pd.DataFrame(
        {
            "mean": draw.normal(0, 1, n) * draw.choice([0.05, 1, 2], n),
            "variance": draw.choice([0.005, 0.3, 0.97, 1.0, 1.05, 1.3], n) * draw.uniform(0.99, 1.01, n),
            "kl": draw.uniform(0, 0.8, n),
            "information": draw.choice([0.001, 0.004, 0.01, 1], n) * draw.uniform(0.5, 1.5, n),
            "spread": draw.uniform(0, 1, n),
            "mismatch": draw.uniform(0, 0.02, n),
            "width_spread": draw.uniform(0, 0.05, n),
            "clamp_share": draw.choice([0.0, 0.05, 0.2], n, p=[0.8, 0.1, 0.1]),
            "active_share": draw.uniform(0, 1.3, n).clip(0, 1),
            "mu2": draw.uniform(0, 1, n) * draw.choice([1, 5], n),
            "band_high": draw.uniform(0.5, 1.5, n) * draw.choice([1, 5], n),
            "phi": draw.choice([0.0, 0.6, 0.95], n),
        }
    )
    expected = [by_hand(row) for row in frame.to_dict("records")]
    assert regimes.classify(frame).tolist() == expected
    assert set(expected) == {0, 2, 3, 4, 5, 6, 7, 8, 9}


def test_a_wider_fixed_prior_is_what_contraction_is_taken_against():
    at_prior = LIVING | {"variance": 4.0, "spread": 0.0, "information": 0.0, "kl": 0.0, "prior_variance": 4.0}
    assert regimes.classify(pd.DataFrame([at_prior])).tolist() == [4]


def test_latent_dim_scales_the_floor():
    row = LIVING | {"information": 0.001, "phi": 0.95, "kl": 4 * 0.5 * math.log1p(0.95**2) + 0.01, "layer": 1}
    frame = pd.DataFrame([row])
    assert regimes.classify(frame).tolist() == [6]
    assert regimes.classify(frame, latent_dim=4).tolist() == [4]
    assert regimes.classify(frame, latent_dim=[1, 4]).tolist() == [4]
    assert regimes.classify(frame, latent_dim={1: 4}).tolist() == [4]


def test_thresholds_are_parameters():
    frame = pd.DataFrame([LIVING])
    assert regimes.classify(frame, regimes.Thresholds(information=0.25, contraction=0.6)).tolist() == [5]
    assert regimes.classify(
        frame, regimes.Thresholds(information=0.25, contraction=0.6, mismatch=1)
    ).tolist() == [4]
    assert regimes.classify(frame, regimes.Thresholds(energy=0.8)).tolist() == [8]


def test_thresholds_may_be_some_by_name():
    frame = pd.DataFrame([LIVING])
    some = {"information": 0.25, "contraction": 0.6}
    assert regimes.classify(frame, some).tolist() == [5]
    assert regimes.explain(LIVING, some) == regimes.explain(LIVING, regimes.Thresholds(**some))
    with pytest.raises(ValueError, match="thresholds has informations; a limit is one of clamp_share, "):
        regimes.classify(frame, {"informations": 0.25})


def test_limits_in_nats_scale_with_the_dimensions():
    row = LIVING | {
        "information": 0.015,
        "variance": 0.99,
        "mismatch": 0.015,
        "active_share": 0.5,
        "layer": 0,
    }
    row |= {"width_spread": 0.001}
    frame = pd.DataFrame([row])
    assert regimes.classify(frame).tolist() == [0]
    assert regimes.classify(frame, latent_dim=4).tolist() == [4]
    wide = pd.DataFrame([LIVING | {"active_share": 0.5, "width_spread": 0.05}])
    assert regimes.classify(wide).tolist() == [9]
    assert regimes.classify(wide, latent_dim=4).tolist() == [0]


def test_offsets_that_cancel_over_dimensions_are_no_death():
    """Means of +1 and -1: their average is 0, what they cost is not."""
    row = LIVING | {"information": 0.0, "variance": 1.0, "spread": 0.0, "mean": 0.0, "kl": 1.0}
    assert regimes.classify(pd.DataFrame([row]), latent_dim=2).tolist() == [5]
    loud = LIVING | {"mean": 0.0, "mu2": 9.2, "kl": 9.4}
    assert regimes.classify(pd.DataFrame([loud]), latent_dim=2).tolist() == [8]


def test_energy_is_around_the_mean_of_the_prior():
    """A neuron that follows a prior of mean 5 is not loud."""
    row = LIVING | {"mean": 5.1, "mu2": 26.3, "whitened_mean": 0.1, "prior_variance": 1.0}
    assert regimes.classify(pd.DataFrame([row, row | {"mu2": 35.0}])).tolist() == [0, 8]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kl": 0.004, "variance": 0.99}, 4),
        ({"kl": 0.006, "variance": 0.99}, 0),
        ({"kl": 0.004, "variance": 0.90}, 6),
        ({"kl": 0.001, "variance": 0.90}, 11),  # no Gaussian posteriors have so small a KL
        ({"kl": 0.00268, "variance": 0.90}, 6),
        ({"kl": 0.5, "variance": 1.0, "mean": 1.0}, 5),
        ({"kl": 0.505, "variance": 1.0, "mean": 1.0}, 11),  # the information is 0.00498 or 0.005
        ({"kl": 0.52, "variance": 1.0, "mean": 1.0}, 0),
        ({"kl": 3.0, "variance": 0.005}, 7),
        ({"kl": 3.0, "variance": 0.25}, 11),  # it may be over-energetic
        ({"kl": 3.0, "variance": 0.25, "spread": 3.0}, 0),
        ({"kl": 3.0, "variance": 0.25, "mu2": 4.0}, 8),
        ({"kl": 0.004, "variance": 0.90, "latent_dim": 2}, 11),
        ({"kl": 0.5, "variance": 0.90, "latent_dim": 2, "mismatch": 0.1}, 0),
        ({"kl": 0.5, "variance": 0.90, "latent_dim": 2, "mismatch": 0.4999}, 6),
        ({"kl": 1.0, "variance": 0.99, "phi": 0.95, "mismatch": 0.1, "past": 0.4}, 0),
        ({"kl": 1.0, "variance": 1.0, "prior_variance": 4.0}, 11),
        ({"kl": 1.0, "variance": 2.0}, 3),
        ({"kl": 0.006, "variance": 0.99, "latent_dim": 2}, 4),
        ({"kl": 0.004, "variance": 0.99, "phi": 0.95}, 11),
        ({"kl": 0.004, "variance": 0.99, "rows": 1.0, "information": math.nan}, 0),  # of one input
    ],
)
def test_without_information_a_neuron_that_pays_nothing_is_dead(change, code):
    """What is recorded by hand, mean, variance and KL alone: kl = information + mismatch bounds both."""
    change = dict(change)
    latent_dim = change.pop("latent_dim", 1)
    row = {"mean": 0.0, **change}
    assert regimes.classify(pd.DataFrame([row]), latent_dim=latent_dim).tolist() == [code]
    assert regimes.explain(row, latent_dim=latent_dim).startswith(schema.REGIMES[code].name)


@pytest.mark.parametrize("inputs", [2, 3, 8, 128])
def test_a_neuron_that_moves_is_not_taken_for_dead_by_a_small_batch(inputs):
    """Gaussian means that hold 0.01 nats: at most 2 % false deaths, whatever the batch."""
    draw = np.random.default_rng(inputs)
    spread = draw.normal(0, math.sqrt(math.expm1(2 * 0.01)), (inputs, 4000)).var(axis=0)
    information = 0.5 * np.log1p(spread)
    columns = {"information": information, "variance": np.ones(4000), "mismatch": np.zeros(4000)}
    known = regimes.codes(columns | {"rows": np.full(4000, float(inputs))})
    assert (known == 4).mean() <= 0.02
    if inputs < 10:
        assert (regimes.codes(columns) == 4).mean() > 0.1, "without `rows` the batch is taken as unlimited"


def test_what_mean_variance_and_kl_say_holds_for_any_gaussian_posteriors():
    """Of 2,000 neurons whose information is known: without it a regime is the right one, or unknown."""
    random = np.random.default_rng(0)
    neurons, inputs = 2000, 64
    mu = random.normal(size=(inputs, neurons)) * 10 ** random.uniform(-3, 0.5, neurons)
    mu += random.choice([0.0, 0.3, 1.0], neurons)
    log_sigma = random.normal(size=(inputs, neurons)) * 10 ** random.uniform(-4, -0.5, neurons)
    sigma = np.exp(log_sigma) * random.choice([0.05, 0.5, 0.9, 1.0], neurons)
    whole = pd.DataFrame(moments(mu, sigma))
    right = regimes.classify(whole.drop(columns=["rows", "active_share"]))
    assert {0, 4, 5, 6, 7, 8} <= set(right)
    for known, most in ((["mean", "variance", "kl"], 0.25), (["mean", "variance", "kl", "spread"], 0.02)):
        found = regimes.classify(whole[known])
        assert (found == schema.UNKNOWN).mean() < most
        told = found != schema.UNKNOWN
        assert (found[told] == right[told]).all(), pd.crosstab(found, right)


def test_a_recorder_claims_no_life_that_it_was_not_told(tmp_path):
    """Two dimensions and a KL that any split fits: unknown; counts, buckets and check know it."""
    with probes.Recorder(tmp_path / "run", [{"name": "z", "neurons": 3, "latent_dim": 2}]) as recorder:
        for step in range(300):
            recorder.record(step, "z", mean=[0.0, 0.0, 1.0], variance=[1.0, 0.5, 1.0], kl=[0.0, 0.7, 1.0])
    run = probes.Run(tmp_path / "run")
    assert run.at(299)["regime"].tolist() == [4, 11, 11]
    assert run.layer_summary().iloc[-1][["settled_10", "settled_11"]].tolist() == [1, 2]
    assert run.history("z", 1, ["regime"], max_points=20)["regime"].unique().tolist() == [11]
    assert run.manifest["living_share"] == [None]  # of two of three nothing is known
    assert check(tmp_path / "run") == []


def test_an_offset_is_told_from_life_within_the_rounding_of_ten_bits(tmp_path):
    mean = np.linspace(1, 4, 50)
    layers = [{"name": "z", "neurons": 50}]
    for precision, codes in (("full", {5}), ("10bit", {5, 11})):
        with probes.Recorder(tmp_path / precision, layers, precision=precision) as recorder:
            recorder.record(0, "z", mean=mean, variance=np.ones(50), kl=mean**2 / 2)
        assert set(probes.Run(tmp_path / precision).at(0)["regime"]) <= codes | {8}


BY_FAMILY = [
    ("categorical", {"information": 0.4, "mismatch": 0.1, "kl": 0.5, "entropy": 1.0}, 0),
    ("categorical", {"information": 0.001, "mismatch": 0.001, "kl": 0.002, "entropy": 1.38}, 4),
    ("categorical", {"information": 0.001, "kl": 0.002, "entropy": 1.38}, 4),  # mismatch = kl - information
    ("categorical", {"information": 0.4, "kl": 0.002, "entropy": 1.0}, 4),  # a prior by row, and equal to it
    ("categorical", {"information": 0.001, "mismatch": 0.02, "kl": 0.021, "entropy": 1.37}, 5),
    ("categorical", {"information": 0.001, "mismatch": 0.7, "kl": 0.7, "entropy": 0.7}, 6),
    ("categorical", {"information": 1.38, "mismatch": 0.0, "kl": 1.38, "entropy": 0.0}, 0),  # no 7 of classes
    ("categorical", {"information": 0.001, "mismatch": 0.7, "kl": 0.7, "entropy": math.nan}, 1),
    ("categorical", {"information": 0.4, "mismatch": 0.1, "kl": math.inf, "entropy": 1.0}, 1),
    ("categorical", {"information": 0.4, "kl": 0.5, "entropy": 1.0, "non_finite": 2.0}, 1),
    ("bernoulli", {"information": 0.3, "kl": 0.3, "entropy": 0.3, "variance": 0.2, "active_share": 0.5}, 0),
    ("codes", {"usage": 0.0, "information": 0.0}, 4),
    ("codes", {"usage": 1.0, "information": 0.0}, 0),  # the only one: it tells nothing, and lives
    ("codes", {"usage": 0.2, "information": 0.3, "kl": math.nan, "mean": math.nan}, 0),
    ("codes", {"usage": math.nan, "information": math.nan}, 11),  # nothing was picked yet
    ("beta", {"mean": 0.5, "variance": 0.01, "kl": 0.5, "information": 0.4, "prior_variance": 0.083}, 0),
    ("beta", {"mean": 0.5, "variance": 0.083, "kl": 0.001, "information": 0.0, "prior_variance": 0.083}, 4),
    ("beta", {"mean": 0.6, "variance": 0.082, "kl": 0.03, "information": 0.0, "prior_variance": 0.083}, 5),
    ("beta", {"mean": 0.9, "variance": 0.01, "kl": 0.9, "information": 0.0, "prior_variance": 0.083}, 6),
    ("beta", {"mean": 0.5, "variance": 1e-4, "kl": 4.0, "information": 3.0, "prior_variance": 0.083}, 7),
    (
        "beta",
        {"mean": 0.5, "variance": 0.2, "kl": 0.5, "information": 0.4, "prior_variance": 0.083},
        0,
    ),  # no 3
    ("beta", {"mean": 0.6, "variance": 0.082, "kl": 0.03, "information": 0.0}, 5),  # no contraction is known
    (
        "gamma",
        {"mean": 9.0, "variance": 20.0, "kl": 0.5, "information": 0.4, "prior_variance": 50.0},
        0,
    ),  # no 8
    ("poisson", {"mean": 0.5, "variance": 0.5, "kl": 0.3, "information": 0.2, "entropy": math.nan}, 0),
    ("student_t", {"mean": 0.0, "variance": math.inf, "kl": 0.3}, 11),
    ("student_t", {"mean": 0.0, "variance": math.inf, "kl": 0.001}, 4),
    ("inverse_gamma", {"mean": math.inf, "variance": math.inf, "kl": 0.5, "information": 0.4}, 0),
    ("laplace", {"mean": 0.0, "variance": 2.0, "kl": 0.001, "information": 0.0005, "mismatch": math.nan}, 4),
    ("laplace", {"mean": 0.0, "variance": 1.0, "kl": 0.3, "information": 0.2, "mismatch": math.nan}, 0),
    ("generic", {"kl": 0.3, "kl_error": 0.1}, 11),
    ("samples", {"mean": 0.0, "variance": 0.2, "spread": 0.3}, 11),
    ("samples", {"mean": 0.0, "variance": math.nan, "spread": math.nan}, 11),  # one draw a row
    ("samples", {"mean": math.nan, "variance": 0.2, "spread": 0.3}, 1),
]


@pytest.mark.parametrize(("family", "row", "code"), BY_FAMILY)
def test_each_rule_of_other_families(family, row, code):
    of = family_of({"family": family, "prior": "unknown" if family == "samples" else "given"})
    row = row | ({"prior_entropy": math.log(4)} if of.by_entropy else {})
    arrays = {name: np.array([value], np.float32) for name, value in row.items()}
    assert regimes.codes(arrays, family=of).tolist() == [code]
    assert regimes.classify(pd.DataFrame([row]), family=of).tolist() == [code]
    assert regimes.explain(row, family=of).startswith(schema.REGIMES[code].name)


@pytest.mark.parametrize("family", [name for name in FAMILIES if not name.startswith("gaussian")])
def test_of_other_families_nothing_is_known_without_a_prior_or_a_statistic(family):
    unknown = family_of({"family": family, "prior": "unknown"})
    told = {"kl": 0.3, "information": 0.001, "mismatch": 0.299, "mean": 0.2, "variance": 3.0, "entropy": 0.1}
    frame = pd.DataFrame([told])
    assert regimes.classify(frame, family=unknown).tolist() == [11]
    nothing = pd.DataFrame([dict.fromkeys(told, math.nan)])
    known = family_of({"family": family, "prior": "given"})
    required = [name for name in known.required if name in told and family != "codes"]
    assert regimes.classify(nothing, family=known).tolist() == [1 if required else 11]
    absent = pd.DataFrame({name: pd.array([None], dtype="Float32") for name in told})
    assert regimes.classify(absent, family=known).tolist() == [11]


def test_a_few_rows_prove_no_collapse_of_classes():
    of = family_of({"family": "categorical", "prior": "given"})
    row = {"kl": 0.001, "entropy": 1.0, "prior_entropy": 1.1, "rows": 1.0, "information": math.nan}
    assert regimes.classify(pd.DataFrame([row]), family=of).tolist() == [0]


EDGES = regimes.Thresholds(
    clamp_share=0.5, exploded=-0.5, information=0.25, contraction=0.5, mismatch=0.25, kl_above_floor=0.25,
    deterministic=0.875, deterministic_held=0.9375, energy=4.0, band_tolerance=0.25, width_spread=0.25,
)  # fmt: skip
"""Limits that float32 holds exactly."""
SILENT = {"information": 0.125, "mismatch": 0.125}
AT_EDGES = [
    ({"clamp_share": 0.5}, 0, {"clamp_share": 0.501}, 2),
    ({"variance": 1.5}, 0, {"variance": 1.501}, 3),
    ({"information": 0.25, "mismatch": 0.125, "variance": 0.75}, 0, SILENT | {"variance": 0.75}, 4),
    (SILENT | {"mismatch": 0.25, "variance": 0.75}, 4, SILENT | {"mismatch": 0.251, "variance": 0.75}, 5),
    (SILENT | {"variance": 0.5}, 6, SILENT | {"variance": 0.501}, 4),
    ({"variance": 0.125}, 0, {"variance": 0.124}, 7),
    (
        {"variance": 0.124, "held_information": 1.0, "held_mismatch": 1.0},
        0,
        {"variance": 0.0624, "held_information": 1.0, "held_mismatch": 1.0},
        7,
    ),
    ({"variance": 0.5, "mu2": 3.5}, 0, {"variance": 0.5, "mu2": 3.501}, 8),
    ({"mu2": 1.25, "band_high": 1.0}, 0, {"mu2": 1.251, "band_high": 1.0}, 8),
    ({"active_share": 0.5, "width_spread": 0.25}, 0, {"active_share": 0.5, "width_spread": 0.251}, 9),
    ({"variance": 0.0}, 7, {"variance": -1e-9}, 1),
    ({"non_finite": 0.0}, 0, {"non_finite": 0.5}, 1),
    ({"non_finite": -0.5}, 0, {"non_finite": 1e-9}, 1),
]


@pytest.mark.parametrize(("at", "code", "beyond", "other"), AT_EDGES)
def test_a_limit_itself_is_on_the_side_that_its_rule_says(at, code, beyond, other):
    living = {"mean": 0.0, "variance": 0.75, "kl": 1.0, "information": 0.5, "spread": 0.5, "mismatch": 0.5}
    frame = pd.DataFrame([living | at, living | beyond])
    assert regimes.classify(frame, EDGES).tolist() == [code, other]


def test_limits_of_the_floor_and_of_a_kl_alone():
    phi = 0.5
    floor = GAUSSIAN.kl_floor(np.float64(phi))
    row = LIVING | {"information": 0.1, "variance": 0.9, "phi": phi}
    frame = pd.DataFrame([row | {"kl": floor + 0.249}, row | {"kl": floor + 0.251}])
    assert regimes.classify(frame, EDGES).tolist() == [4, 5]
    frame = pd.DataFrame([{"mean": 0.0, "variance": 0.9, "kl": kl} for kl in (0.249, 0.25)])
    assert regimes.classify(frame, EDGES).tolist() == [4, 11]
    of_two = [{"mean": 0.0, "variance": 0.9, "kl": kl} for kl in (0.499, 0.501)]
    assert regimes.classify(pd.DataFrame(of_two), EDGES, latent_dim=2).tolist() == [4, 11]


def test_limits_of_other_families_are_on_the_sides_that_their_rules_say():
    beta = family_of({"family": "beta", "prior": "given"})
    row = {"mean": 0.5, "variance": 0.75, "prior_variance": 1.0, "kl": 0.5, "information": 0.5}
    pairs = [
        ({"information": 0.25, "mismatch": 0.0}, 0),
        ({"information": 0.249, "mismatch": 0.25}, 4),
        ({"information": 0.249, "mismatch": 0.251}, 5),
        ({"information": 0.249, "mismatch": 0.251, "variance": 0.5}, 6),
        ({"information": 0.125, "kl": 0.375}, 4),  # the KL less the information
        ({"information": 0.125, "kl": 0.376}, 5),
        ({"kl": 0.25}, 0),
        ({"kl": 0.249}, 4),
        ({"variance": 0.125}, 0),
        ({"variance": 0.124}, 7),
    ]
    frame = pd.DataFrame([row | change for change, _ in pairs])
    assert regimes.classify(frame, EDGES, family=beta).tolist() == [code for _, code in pairs]
