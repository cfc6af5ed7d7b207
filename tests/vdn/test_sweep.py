"""Sweeps: the plan, means and paired intervals against SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vdn.__main__ import sweep_table
from vdn.config import ConfigError
from vdn.sweep import Job, paired_interval, plan, summarise


def test_plan_is_every_combination(tmp_path):
    jobs = plan(["beta=0.1,0.2", "pool=mean,sum"], "0,5", tmp_path)
    assert len(jobs) == 8
    assert len({job.folder for job in jobs}) == 8
    assert jobs[0].name == "beta=0.1 pool=mean"
    command = jobs[0].command(["--neurons=4"])
    assert command[3:] == [
        *("train", "--neurons=4", "--beta=0.1", "--pool=mean"),
        *("--seed", "0", "--out", str(jobs[0].folder)),
    ]
    assert [job.name for job in plan([], "1", tmp_path)] == ["default"]


def test_switches_are_settings_of_a_grid(tmp_path):
    jobs = plan(["twin=false,true", "sigma-init=0.5"], "0", tmp_path)
    assert [job.settings for job in jobs] == [[word, "--sigma-init=0.5"] for word in ("--no-twin", "--twin")]
    assert jobs[0].name == "twin=false sigma_init=0.5"


@pytest.mark.parametrize(
    ("grid", "seeds", "message"),
    [
        (["beta"], "0", "--grid"),
        (["beta="], "0", "--grid"),
        ([], "a", "--seeds"),
        ([], "0,0", "two runs"),
        (["beta=1,1"], "0", "two runs"),
        (["beta=1", "lr=1", "beta=2"], "0", "beta twice"),
        (["bta=1"], "0", "did you mean beta"),
        (["seed=1,2"], "0", "--seeds 1,2"),
        (["twin=yes"], "0", "true or false"),
    ],
)
def test_bad_plans(tmp_path, grid, seeds, message):
    with pytest.raises(ConfigError, match=message):
        plan(grid, seeds, tmp_path)


def test_paired_interval_is_students():
    differences = np.random.default_rng(0).normal(0.3, 1, 7)
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    mean, half = paired_interval(differences)
    assert (mean - half, mean + half) == pytest.approx((interval.low, interval.high))


def test_summary_pairs_by_seed(tmp_path):
    first, second = ((("beta", value),) for value in ("1", "2"))
    results = {Job(first, seed, tmp_path): {"mse": 1.0 + seed} for seed in range(3)}
    results |= {Job(second, seed, tmp_path): {"mse": 1.5 + seed} for seed in (2, 1)}
    one, two = summarise(results, ["mse"])
    assert one["mse"] == (2.0, 1.0)
    assert one["difference_mse"] is None
    assert two["n"] == 2
    assert two["difference_mse"] == pytest.approx((0.5, 0))


def test_a_score_that_some_points_lack_is_theirs_alone(tmp_path):
    """A twin has no rate."""
    points = ((("twin", "false"),), (("twin", "true"),))
    results = {Job(points[0], seed, tmp_path): {"mse": 1.0 + seed, "rate": 2.0} for seed in range(2)}
    results |= {Job(points[1], seed, tmp_path): {"mse": 2.0 + seed} for seed in range(2)}
    one, two = summarise(results, ["mse", "rate"])
    assert one["rate"] == (2.0, 0.0)
    assert np.isnan(two["rate"]).all()
    assert two["difference_rate"] is None
    assert two["difference_mse"] == pytest.approx((1.0, 0))
    cells = [list(column.cells) for column in sweep_table([one, two], ["mse", "rate"]).columns]
    assert cells[5:7] == [["2.0000", ""], ["0.0000", ""]]


def test_scores_of_other_data_are_not_compared(tmp_path):
    results = {}
    for data in ("digits", "diabetes"):
        for beta in ("0.1", "0.2"):
            for seed in range(2):
                point = (("data", data), ("beta", beta))
                results[Job(point, seed, tmp_path)] = {"mse": float(beta) + seed}
    rows = {row["point"]: row["difference_mse"] for row in summarise(results, ["mse"])}
    assert rows.pop("data=digits beta=0.2") == pytest.approx((0.1, 0))
    assert set(rows.values()) == {None}


def test_differences_of_a_sweep_are_over_time_and_seeds_where_scores_by_origin_are_stored(tmp_path):
    generator = np.random.default_rng(0)
    jobs = [Job((("beta", value),), seed, tmp_path) for value in ("1", "2") for seed in range(2)]
    keys = {"step": 0, "split": "test", "origin": np.arange(300), "span": 5, "target": 0.0}
    origins = {
        job: pd.DataFrame({**keys, "crps": generator.normal(size=300) + 10 * (job.name == "beta=2")})
        for job in jobs
    }
    results = {job: {"crps": float(origins[job]["crps"].mean()), "rate": 1.0} for job in jobs}
    one, two = summarise(results, ["crps", "rate"], origins)
    assert one["difference_crps"] is None
    mean, half = two["difference_crps"]
    assert mean == pytest.approx(10, abs=0.3)
    assert 0 < half < 2
    assert "2 trainings each, paired by seed" in two["over"]
    assert two["difference_rate"] == (0, 0), "over seeds alone"
    alone = [job for job in jobs if job.seed == 0]
    _, two = summarise({job: results[job] for job in alone}, ["crps", "rate"], origins)
    assert two["difference_crps"][1] > 0
    assert two["difference_rate"] is None
    assert "other seeds may differ more" in two["over"]
