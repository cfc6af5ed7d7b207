"""Rows of neurons: slices, levels and images against numpy on the raw rows; other readers see the same."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from log_truth import assert_same, raw_frame

import probes
from probes.log import levels
from probes.recorder import Recorder
from probes.schema import SEVERITY


def bucket_starts(width):
    """Positions of the first recorded step of each bucket: buckets begin anew with every block and
    segment.
    """
    starts, at = [], 0
    for block in (256, 256, 88, 256, 244):
        starts += range(at, at + block, width)
        at += block
    return np.array(starts)


def reduce_at(values, starts, how):
    """nan-ignoring reduction of (N, T) over the buckets that begin at `starts`."""
    ends = np.append(starts[1:], values.shape[1])
    return np.stack([how(values[:, a:b], axis=1) for a, b in zip(starts, ends, strict=True)], axis=1)


def test_everything_comes_back(long_run):
    assert_same(*long_run)


def test_history_slices(long_run):
    run, truth = long_run
    steps = np.array(truth.steps(0))
    first, last = int(steps[300]), int(steps[700])
    frame = run.history("wide", [69, 0, 65], ["kl", "mean"], steps=(first, last))
    assert list(frame.columns) == ["step", "layer", "neuron", "kl", "mean"]
    assert frame["neuron"].unique().tolist() == [0, 65, 69]
    np.testing.assert_array_equal(frame["step"].unique(), steps[300:701])
    np.testing.assert_array_equal(frame.query("neuron == 65")["kl"], truth.array(0, "kl")[65, 300:701])
    gap = next(step for step in range(first, last) if step not in steps)
    assert run.history(1, 2, steps=(gap, gap)).empty
    assert frame.dtypes["step"] == np.int64
    assert frame.dtypes["kl"] == np.float32


def test_at_one_step(long_run):
    run, truth = long_run
    steps = truth.steps(0)
    frame = run.at(steps[512])
    assert frame[["layer", "neuron"]].to_numpy().tolist() == [[0, n] for n in range(70)] + [
        [1, n] for n in range(3)
    ]
    np.testing.assert_array_equal(frame["spread"][:70], truth.array(0, "spread")[:, 512])
    assert run.at(steps[512], "narrow").shape[0] == 3
    missing = next(s for s in range(steps[0], steps[-1]) if s not in steps)
    with pytest.raises(probes.RunError, match=f"step {missing} is not recorded; the nearest are"):
        run.at(missing)
    assert run.regimes()["step"].unique().tolist() == [steps[-1]]
    with pytest.raises(probes.RunError, match="does not hold"):
        run.at(steps[0], statistics=["nope"])


@pytest.mark.parametrize("statistic", ["mean", "persistence"])
@pytest.mark.parametrize(
    ("reduce", "how"),
    [("mean", np.nanmean), ("min", np.nanmin), ("max", np.nanmax)],
    ids=["mean", "min", "max"],
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:All-NaN")
def test_matrix_at_every_level(long_run, statistic, reduce, how):
    run, truth = long_run
    steps, raw = np.array(truth.steps(0)), truth.array(0, statistic)
    end = steps[-1] + 1

    values, edges = run.matrix(0, statistic, max_columns=1100, reduce=reduce)
    np.testing.assert_array_equal(values, raw)
    np.testing.assert_array_equal(edges, np.append(steps, end))

    # 71 buckets of 16 steps fill an image of 100 columns well, and one of 1,099 so badly that raw steps are
    # merged instead.
    for columns, starts in (
        (1099, np.arange(0, 1100, 2)),
        (100, bucket_starts(16)),
        (40, bucket_starts(16)[::2]),
        (5, bucket_starts(256)),
    ):
        values, edges = run.matrix(0, statistic, max_columns=columns, reduce=reduce)
        np.testing.assert_array_equal(edges, np.append(steps[starts], end))
        np.testing.assert_allclose(values, reduce_at(raw, starts, how), rtol=1e-6)

    values, edges = run.matrix(0, statistic, max_columns=2, reduce=reduce)
    starts = bucket_starts(256)[::3]
    np.testing.assert_array_equal(edges, np.append(steps[starts], end))
    np.testing.assert_allclose(values, reduce_at(raw, starts, how), rtol=1e-6)


def test_an_image_is_not_filled_better_at_any_price(long_run, monkeypatch):
    run, truth = long_run
    monkeypatch.setattr(levels, "MAX_FINER_CELLS", 1100 * 70 - 1)
    _, edges = run.matrix(0, "mean", max_columns=1099)
    np.testing.assert_array_equal(edges[:-1], np.array(truth.steps(0))[bucket_starts(16)])


def test_matrix_of_some_steps_has_their_columns_at_the_finest_level_that_fits(long_run):
    run, truth = long_run
    steps, raw = np.array(truth.steps(0)), truth.array(0, "mean")
    first, last = steps[300], steps[700]
    values, edges = run.matrix(0, "mean", max_columns=401, steps=(first, last))
    np.testing.assert_array_equal(values, raw[:, 300:701])
    np.testing.assert_array_equal(edges, np.append(steps[300:701], last + 1))
    whole, all_edges = run.matrix(0, "mean", max_columns=100)
    values, edges = run.matrix(0, "mean", max_columns=40, steps=(first, last))
    kept = np.flatnonzero((all_edges[1:] > first) & (all_edges[:-1] <= last))
    np.testing.assert_array_equal(values, whole[:, kept])
    np.testing.assert_array_equal(edges, np.append(all_edges[kept], last + 1))
    values, edges = run.matrix(0, "mean", steps=(steps[-1] + 1, steps[-1] + 9))
    assert values.shape == (70, 0)


def test_matrix_of_regimes_and_of_nonsense(long_run):
    run, _ = long_run
    values, edges = run.matrix("wide", "regime", max_columns=100)
    exact = run.history(0, statistics=["regime"])["regime"].to_numpy().reshape(-1, 70).T
    rank = np.argsort(SEVERITY)
    worst = np.minimum.reduceat(rank[exact], bucket_starts(16), axis=1)
    np.testing.assert_array_equal(values, np.array(SEVERITY)[worst])
    assert values.dtype == np.int8
    settled, _ = run.matrix("wide", "settled", max_columns=100)
    exact = run.history(0, statistics=["settled"])["settled"].to_numpy().reshape(-1, 70).T
    np.testing.assert_array_equal(settled, exact[:, np.append(bucket_starts(16)[1:], 1100) - 1])
    assert settled.dtype == np.int8
    for array in (values, edges, run.steps):
        assert not array.flags.writeable
    for arguments in ((0, "nope"), (5, "mean"), ("nope", "mean"), (0, "mean", 0), (0, "mean", 10, "median")):
        with pytest.raises(probes.RunError):
            run.matrix(*arguments)


def test_history_with_few_points_comes_from_the_pyramid(long_run):
    run, truth = long_run
    steps, raw = np.array(truth.steps(0)), truth.array(0, "kl")[5]
    for points, width in ((1000, 1), (70, 16), (5, 256)):
        frame = run.history(0, 5, ["kl"], max_points=points)
        starts = np.arange(1100) if width == 1 else bucket_starts(width)
        np.testing.assert_array_equal(frame["step"], steps[starts])
        for column, how in (("kl", np.mean), ("kl_min", np.min), ("kl_max", np.max)):
            np.testing.assert_allclose(frame[column], reduce_at(raw[None], starts, how)[0], rtol=1e-6)
    inside = run.history(0, 5, ["kl"], steps=(int(steps[20]), int(steps[40])), max_points=2)["step"].tolist()
    assert inside == steps[[16, 32]].tolist()  # buckets that overlap the range


def test_pandas_polars_and_duckdb_see_the_same_rows(long_run):
    run, _ = long_run
    folder = f"{run.path}/neurons"
    by_pandas = pd.read_parquet(folder)
    by_polars = pl.read_parquet(f"{folder}/*.parquet")
    by_duckdb = duckdb.sql(f"from '{folder}/*.parquet'").fetchnumpy()
    keys = ["step", "layer", "neuron"]
    expected = pd.concat([run.history(0), run.history(1)]).sort_values(keys, ignore_index=True)
    for frame in (
        by_pandas,
        pd.DataFrame(by_polars.to_dict(as_series=False)),
        pd.DataFrame(
            {k: np.ma.filled(v, np.nan) if v.dtype.kind == "f" else v for k, v in by_duckdb.items()}
        ),
    ):
        ordered = frame.sort_values(keys, ignore_index=True)[expected.columns].astype(
            expected.dtypes.to_dict()
        )
        pd.testing.assert_frame_equal(ordered, expected)
    pd.testing.assert_frame_equal(raw_frame(Path(run.path))[expected.columns], expected)


def test_a_step_that_another_layer_has_is_told_by_the_layers_own(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "often", "neurons": 1}, {"name": "seldom", "neurons": 1}]) as r:
        for step in range(5):
            r.record(step, "often", mean=[0])
            if step in (0, 4):
                r.record(step, "seldom", mean=[0])
    with pytest.raises(
        probes.RunError, match=r"step 2 of layer 'seldom' is not recorded; the nearest are \[0, 4\]"
    ):
        probes.Run(tmp_path / "run").at(2, "seldom")


def test_a_neuron_that_explodes_for_one_step_shows_at_any_width(tmp_path):
    """20 single steps among 20,480, each in a column of its own, at 300 columns and more."""
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 3}]) as recorder:
        for start in range(0, 20480, 256):
            steps = np.arange(start, start + 256)
            variance = np.full((256, 3), 0.5)
            variance[steps % 1000 == 500, 1] = 2.0
            same = {name: np.full((256, 3), 0.3) for name in ("mean", "kl", "information", "spread")}
            recorder.record_block(steps, 0, same | {"variance": variance})
    run = probes.Run(tmp_path / "run")
    for columns in (300, 1000, 2000):
        values, edges = run.matrix("a", "regime", max_columns=columns)
        marked = np.flatnonzero((values == 3).any(axis=0))
        assert marked.size == 20
        assert (values[[0, 2]] == 0).all()
        assert [any(step % 1000 == 500 for step in range(*edges[at : at + 2])) for at in marked] == [
            True
        ] * 20
        assert (run.matrix("a", "settled", max_columns=columns)[0] == 0).all(), "none of them lasted"
