"""Reading: slices, levels and summaries against numpy on the raw rows; other readers see the same rows."""

import json
import shutil
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from log_truth import Truth, assert_same, fill, raw_frame, simple_run

import probes
from probes.log import levels
from probes.log.summaries import QUANTILES
from probes.recorder import Recorder
from probes.schema import SEVERITY


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """1,100 irregular steps, an optional statistic at every third, a resume: blocks of 256, 256, 88 | 256,
    244 steps.
    """
    path = tmp_path_factory.mktemp("long") / "run"
    truth = Truth([{"name": "wide", "neurons": 70}, {"name": "narrow", "neurons": 3}])
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.integers(1, 4, 1100)).tolist()
    with Recorder(path, truth.layers, flush_steps=100) as recorder:
        fill(recorder, truth, steps[:600], rng)
    with Recorder.resume(path, steps[599], flush_steps=100) as recorder:
        fill(recorder, truth, steps[600:], rng)
    return probes.Run(path), truth


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


def test_layer_summary_against_numpy(long_run):
    run, truth = long_run
    summary = run.layer_summary()
    assert summary[["step", "layer"]].to_numpy().tolist() == [
        [s, layer] for s in truth.steps(0) for layer in (0, 1)
    ]
    for layer in (0, 1):
        mine = summary[summary["layer"] == layer]
        for name in ("mean", "persistence"):
            raw = truth.array(layer, name)
            np.testing.assert_allclose(mine[f"{name}_mean"], raw.mean(axis=0), rtol=1e-6)
            for kind, quantile in QUANTILES.items():
                np.testing.assert_allclose(
                    mine[f"{name}_{kind}"], np.quantile(raw, quantile, axis=0), rtol=1e-6
                )
        counts = (
            run.history(layer, statistics=["regime"]).groupby(["step", "regime"]).size().unstack(fill_value=0)
        )
        for code in range(10):
            assert (mine[f"regime_{code}"].to_numpy() == np.asarray(counts.get(code, 0))).all()


def test_summary_of_broken_neurons_is_over_the_rest(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 5}]) as recorder:
        recorder.record(0, 0, mean=[1, np.nan, 3, np.inf, 2])
        recorder.record(1, 0, mean=np.full(5, np.nan))
    run = probes.Run(tmp_path / "run")
    summary = run.layer_summary()
    assert summary[["mean_mean", "mean_p50", "regime_1"]].iloc[0].tolist() == [2, 2, 2]
    assert np.isnan(summary["mean_p05"].iloc[1])
    np.testing.assert_array_equal(run.at(0)["mean"], np.array([1, np.nan, 3, np.inf, 2], np.float32))
    values, _ = run.matrix(0, "mean", max_columns=1)
    assert np.isnan(values[:, 0]).tolist() == [True] * 5


def test_what_is_derived_and_missing_is_computed(long_run, tmp_path):
    """A writer killed between the rows and their summaries: the reader answers the same."""
    run, truth = long_run
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    shutil.rmtree(copy / "pyramid")
    for part in sorted((copy / "layers").iterdir())[1:]:
        part.unlink()
    bare = probes.Run(copy)
    pd.testing.assert_frame_equal(bare.layer_summary(), run.layer_summary())
    np.testing.assert_array_equal(bare.steps, run.steps)
    for columns in (1100, 200, 5, 2):
        for mine, reference in zip(bare.matrix(0, "kl", columns), run.matrix(0, "kl", columns), strict=True):
            np.testing.assert_allclose(mine, reference, rtol=1e-6)


def test_an_empty_run(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 2}]):
        run = probes.Run(tmp_path / "run")
        assert run.status == "running"
        assert run.steps.size == run.statistics.__len__() == 0
        for frame in (
            run.history(0),
            run.layer_summary(),
            run.scalars(),
            run.events(),
            run.regimes(),
            run.probe(),
            run.evaluation(),
        ):
            assert frame.empty
        with pytest.raises(probes.RunError, match="no steps yet"):
            run.at(0)


def test_a_heartbeat_that_stopped_and_a_clock_that_jumped(tmp_path):
    run, _ = simple_run(tmp_path / "run", steps=2)
    for offset in (-31, 31, 3600):
        text = (tmp_path / "run" / "run.json").read_text()
        data = json.loads(text) | {"status": "running", "heartbeat": time.time() + offset}
        (tmp_path / "run" / "run.json").write_text(json.dumps(data))
        run.refresh()
        assert run.status == "crashed"


def manifest_with(path, **changes):
    """run.json with other values; no other file is touched."""
    file = path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("status", ["finished", "interrupted", "crashed"])
def test_a_run_that_ends_without_a_further_file_is_news(tmp_path, status):
    simple_run(tmp_path / "run", steps=2)
    manifest_with(tmp_path / "run", status="running", heartbeat=time.time())
    run = probes.Run(tmp_path / "run")
    manifest_with(tmp_path / "run", heartbeat=time.time())
    assert not run.refresh(), "a heartbeat alone is nothing new"
    manifest_with(tmp_path / "run", status=status)
    assert run.refresh()
    assert run.status == status
    assert not run.refresh()


def test_a_run_that_falls_silent_is_news_once(tmp_path, monkeypatch):
    """Nothing changes on the disk: its writer was killed, and the heartbeat grows old."""
    simple_run(tmp_path / "run", steps=2)
    manifest_with(tmp_path / "run", status="running", heartbeat=time.time())
    run = probes.Run(tmp_path / "run")
    assert run.status == "running"
    assert not run.refresh()
    later = time.time() + 31
    monkeypatch.setattr(time, "time", lambda: later)
    assert run.refresh()
    assert run.status == "crashed"
    assert not run.refresh()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no run.json"),
        ("{", "not readable as JSON"),
        ("[]", "no format version"),
        ('{"format": "2.0"}', "format 2.0, this reader knows 1"),
        ('{"format": "1.9", "layers": []}', "at least one layer"),
        ('{"format": "1.0", "layers": [{"name": "a", "neurons": "many"}]}', "run.json"),
    ],
)
def test_what_is_not_a_run(tmp_path, text, words):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(probes.RunError, match=words):
        probes.Run(tmp_path)


def test_a_newer_minor_version_with_further_columns_is_read(tmp_path):
    simple_run(tmp_path / "run", steps=3)
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "1.7", "unheard_of": {"a": 1}}))
    assert probes.Run(tmp_path / "run").steps.size == 3


def test_a_truncated_file_is_one_clear_error(tmp_path):
    run, _ = simple_run(tmp_path / "run", steps=3)
    part = next((tmp_path / "run" / "neurons").iterdir())
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(probes.RunError, match="not a readable Parquet file .*probes check"):
        run.history(0)


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


def growing(path):
    """A recorder of one layer, and a function that writes a step with a loss."""
    recorder = Recorder(path, [{"name": "a", "neurons": 3}])

    def write(step, value=0.5):
        recorder.record(step, 0, mean=[value] * 3, variance=[1.0] * 3)
        recorder.scalar(step, "loss", value)
        recorder.flush()

    return recorder, write


def test_extents_grow_with_rows_and_with_nothing_else(tmp_path):
    recorder, write = growing(tmp_path / "run")
    run = probes.Run(tmp_path / "run")
    assert [run.extent(name) for name in ("neurons", "scalars", "probe")] == [-1, 0, 0]
    for step in range(5):
        write(step)
    assert run.extent("neurons") == -1, "not refreshed yet"
    run.refresh()
    assert [run.extent(name) for name in ("neurons", "scalars", "probe")] == [4, 5, 0]
    recorder.close()
    run.refresh()
    assert [run.extent(name) for name in ("neurons", "scalars", "probe")] == [4, 5, 0], "compacted"
    with pytest.raises(KeyError):
        run.extent("nothing")


def test_a_snapshot_stays_while_its_run_is_refreshed(tmp_path):
    recorder, write = growing(tmp_path / "run")
    for step in range(3):
        write(step)
    run = probes.Run(tmp_path / "run")
    before = run.snapshot()
    write(3)
    assert run.refresh()
    after = run.snapshot()
    assert before.steps.tolist() == before.history(0)["step"].unique().tolist() == [0, 1, 2]
    assert after.steps.tolist() == run.steps.tolist() == [0, 1, 2, 3]
    assert len(before.scalars()) == 3
    assert len(before.layer_summary()) == 3
    recorder.close()
    run.refresh()
    assert before.history(0)["step"].unique().tolist() == [0, 1, 2], "its files are open still"


def test_the_identity_is_another_once_a_run_is_resumed_or_replaced(tmp_path):
    recorder, write = growing(tmp_path / "run")
    write(1)
    run = probes.Run(tmp_path / "run")
    found = [run.identity]
    write(2)
    run.refresh()
    recorder.close()
    run.refresh()
    assert [run.identity] == found, "written on and finished"
    Recorder.resume(tmp_path / "run", 1).close()
    run.refresh()
    found.append(run.identity)
    shutil.rmtree(tmp_path / "run")
    growing(tmp_path / "run")[0].close()
    found.append(probes.Run(tmp_path / "run").identity)
    assert len(set(found)) == 3


def test_a_reader_sees_what_a_resumed_run_holds_under_the_names_of_before(tmp_path):
    """As many steps and rows as were set aside: the files are called what those were called."""
    layer = [{"name": "only", "neurons": 2}]
    with Recorder(tmp_path / "run", layer) as recorder:
        for step in range(4):
            recorder.record(step, 0, mean=[step, step])
            recorder.scalar(step, "nll", step)
    run = probes.Run(tmp_path / "run")
    before = run.snapshot()
    assert run.history(0, 0)["mean"].tolist() == run.scalars()["value"].tolist() == [0, 1, 2, 3]
    with Recorder.resume(tmp_path / "run", -1) as recorder:
        for step in range(4):
            recorder.record(step, 0, mean=[step + 10, step + 10])
            recorder.scalar(step, "nll", step + 10)
    assert run.refresh()
    assert run.history(0, 0)["mean"].tolist() == run.scalars()["value"].tolist() == [10, 11, 12, 13]
    assert run.layer_summary()["mean_mean"].tolist() == [10, 11, 12, 13]
    assert before.history(0, 0)["mean"].tolist() == [0, 1, 2, 3], "its files are open still"
    assert not run.refresh()


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


def test_a_step_that_no_file_holds_has_the_same_columns_whatever_was_read_before(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 3}]) as recorder:
        recorder.record(1, 0, mean=[0.0] * 3)
        for step in (1, 2):
            recorder.predictions(step, pd.DataFrame({"input": [0], "y": [1.0]}))
            recorder.flush()
        run = probes.Run(tmp_path / "run")
        before = run.predictions(7)
        assert run.predictions()["step"].tolist() == [2]  # now the files' steps are known
        pd.testing.assert_frame_equal(run.predictions(7), before)
        assert list(before) == ["step", "input", "y"]
        assert run.predictions(1)["step"].tolist() == [1]


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
