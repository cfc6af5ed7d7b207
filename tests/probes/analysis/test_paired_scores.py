"""Paired differences against scores computed by hand, and what cannot be paired."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from probes.analysis.paired_scores import UnpairedError, paired_differences, point_scores

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
