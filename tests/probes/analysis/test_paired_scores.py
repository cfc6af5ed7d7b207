"""Paired differences against scores computed by hand, how often intervals cover, what cannot be paired."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from probes.analysis.paired_scores import (
    UnpairedError,
    difference_of_proportions,
    paired_answers,
    paired_differences,
    point_scores,
)

INPUTS, HORIZON = 12, 3


def forecasts(shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Forecasts of the same targets, off by `shift`; two inputs a block."""
    targets = np.random.default_rng(0).standard_normal(INPUTS * HORIZON)
    noise = np.random.default_rng(seed + 1).standard_normal(INPUTS * HORIZON)
    inputs = np.repeat(np.arange(INPUTS), HORIZON)
    return pd.DataFrame(
        {
            "input": inputs,
            "horizon": np.tile(np.arange(HORIZON), INPUTS),
            "y": targets,
            "mean": targets + shift + 0.1 * noise,
            "latent_variance": 0.1,
            "observation_variance": 0.4,
            "block": inputs // 2,
        }
    )


def test_point_scores_are_those_of_the_gaussian() -> None:
    table = forecasts(0.5)
    found = point_scores(table)
    expected = -stats.norm.logpdf(table["y"], table["mean"], np.sqrt(0.5))
    np.testing.assert_allclose(found["nll"], expected)
    draws = np.random.default_rng(2).standard_normal((2, 200_000)) * np.sqrt(0.5) + table["mean"][0]
    crps = np.abs(draws - table["y"][0]).mean() - np.abs(draws[0] - draws[1]).mean() / 2
    assert found["crps"][0] == pytest.approx(crps, rel=0.02)


def test_a_difference_has_the_interval_of_its_block_means() -> None:
    worse, reference = forecasts(0.6, seed=3), forecasts()
    found = paired_differences(worse, reference).loc["nll"]
    each = point_scores(worse)["nll"] - point_scores(reference)["nll"]
    blocks = each.groupby(worse["block"]).mean()
    assert found["difference"] == pytest.approx(each.mean())
    assert found["value"] - found["reference"] == pytest.approx(found["difference"])
    width = stats.t.ppf(0.975, len(blocks) - 1) * blocks.std(ddof=1) / np.sqrt(len(blocks))
    assert found["half_width"] == pytest.approx(width)
    assert found[["points", "blocks"]].tolist() == [36, 6]


def test_rows_in_another_order_are_paired_by_input_and_horizon() -> None:
    shuffled = forecasts(0.2).sample(frac=1, random_state=0)
    assert paired_differences(shuffled, forecasts(0.2))["difference"].abs().max() < 1e-12


def test_other_targets_are_not_paired() -> None:
    other = forecasts().assign(y=lambda rows: rows["y"] + 1)
    with pytest.raises(UnpairedError, match="of other targets"):
        paired_differences(other, forecasts())
    with pytest.raises(UnpairedError, match="of other targets"):
        paired_differences(forecasts().head(6), forecasts())
    with pytest.raises(UnpairedError, match="no forecasts of single test points"):
        paired_differences(forecasts(), pd.DataFrame())


def test_a_latent_part_of_one_draw_counts_as_none() -> None:
    single = forecasts().assign(latent_variance=np.nan)
    assert np.isfinite(point_scores(single)["nll"]).all()


def answered(count: int = 40, seed: int = 0, split: str = "test") -> pd.DataFrame:
    """Answers of a classifier to the same examples."""
    classes = np.random.default_rng(9).integers(0, 4, count)
    likelihood = np.random.default_rng(seed).uniform(0.1, 1, count).astype(np.float32)
    named = np.where(likelihood > 0.4, classes, (classes + 1) % 4)
    return pd.DataFrame(
        {"step": 7, "split": split, "input": np.arange(count), "y": classes, "predicted": named}
        | {"likelihood": likelihood, "confidence": 0.5}
    )


def test_answers_are_paired_by_example() -> None:
    mine, theirs = answered(seed=1), answered(seed=2)
    found = paired_answers(mine, theirs)
    each = np.log(theirs["likelihood"].to_numpy(float)) - np.log(mine["likelihood"].to_numpy(float))
    expected = stats.ttest_1samp(each, 0).confidence_interval(0.95)
    assert found.loc["nll", "difference"] == pytest.approx(each.mean())
    assert found.loc["nll", ["low", "high"]].tolist() == pytest.approx([expected.low, expected.high])
    right, there = (table["predicted"] == table["y"] for table in (mine, theirs))
    assert found.loc["accuracy", "difference"] == pytest.approx(right.mean() - there.mean())
    assert found["answers"].tolist() == [40, 40]
    assert set(found["split"]) == {"test"}


def test_the_split_that_both_have_is_paired() -> None:
    both = pd.concat([answered(20, split="validation"), answered(seed=3)])
    assert set(paired_answers(both, answered(20, 4, "validation"))["split"]) == {"validation"}
    assert set(paired_answers(both, both)["split"]) == {"test"}


def test_answers_to_other_examples_are_not_paired() -> None:
    other = answered().assign(y=lambda rows: (rows["y"] + 1) % 4)
    for table in (other, answered(20), answered(split="train")):
        with pytest.raises(UnpairedError, match="to other examples"):
            paired_answers(answered(), table)
    with pytest.raises(UnpairedError, match="no answers to single examples"):
        paired_answers(answered(), pd.DataFrame())


def test_a_right_class_given_no_probability_leaves_no_interval() -> None:
    found = paired_answers(answered(seed=1).assign(likelihood=0.0), answered(seed=2)).loc["nll"]
    assert found["value"] == np.inf
    assert not np.isfinite(found[["low", "high"]].to_numpy(float)).any()


def test_the_interval_of_proportions_is_the_published_one() -> None:
    right = np.repeat([True, True, False, False], [794, 150, 86, 570])  # Agresti & Min 2005: approval ratings
    other = np.repeat([True, False, True, False], [794, 150, 86, 570])
    found = difference_of_proportions(right, other)
    wald = stats.norm.ppf(0.975) * np.sqrt((150 + 86) - (150 - 86) ** 2 / 1600) / 1600
    assert found.value == pytest.approx(0.04)
    assert (found.low, found.high) == pytest.approx((0.04 - wald, 0.04 + wald), abs=2e-4)
    same = difference_of_proportions(right, right)
    assert same.low < same.value == 0 < same.high


@pytest.mark.parametrize("count", [60, 361, 512])
@pytest.mark.parametrize(
    ("base", "gained", "lost"), [(0.9, 0.03, 0.02), (0.6, 0.15, 0.05), (0.97, 0.005, 0.005)]
)
def test_the_interval_of_accuracy_covers_as_often_as_it_says(
    count: int, base: float, gained: float, lost: float
) -> None:
    random = np.random.default_rng(count)
    cells = random.choice(4, (2000, count), p=[base - lost, gained, lost, 1 - base - gained])
    truth, covered = gained - lost, 0
    for one in cells:
        found = difference_of_proportions(np.isin(one, (0, 1)), np.isin(one, (0, 2)))
        covered += found.low <= truth <= found.high
    assert covered / len(cells) > 0.935


def test_the_interval_of_the_nll_covers_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(5), 0
    truth = 1 / 8 - 1 / 9  # mean -ln of Beta(8, 1) is 1/8
    for _ in range(400):
        shared = random.uniform(size=200)
        mine, theirs = (
            answered(200).assign(
                likelihood=np.where(random.uniform(size=200) < 0.5, shared, own) ** (1 / power)
            )
            for power, own in ((8, random.uniform(size=200)), (9, random.uniform(size=200)))
        )
        found = paired_answers(mine, theirs).loc["nll"]
        covered += found["low"] <= truth <= found["high"]
    assert covered / 400 == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("df", [3.0, 6.5])
def test_students_forecasts_are_scored_as_students(df: float) -> None:
    """Against SciPy's density and the integral that defines the CRPS; rows without df stay Gaussian."""
    table = forecasts().iloc[:6].assign(latent_variance=0.0, observation_variance=0.49)
    table = table.assign(df=[df] * 5 + [np.nan])
    found, gaussian = point_scores(table), point_scores(table.drop(columns="df"))
    scale = 0.7 * np.sqrt((df - 2) / df)
    for row in range(5):
        law = stats.t(df, table["mean"].iloc[row], scale)
        y = table["y"].iloc[row]
        assert found["nll"].iloc[row] == pytest.approx(-law.logpdf(y))
        below = integrate.quad(lambda x, law=law: law.cdf(x) ** 2, -np.inf, y)[0]
        above = integrate.quad(lambda x, law=law: law.sf(x) ** 2, y, np.inf)[0]
        assert found["crps"].iloc[row] == pytest.approx(below + above, rel=1e-5)
    assert found.iloc[5].equals(gaussian.iloc[5])
