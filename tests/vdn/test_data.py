"""Tasks: splits own their targets, scaling sees the training rows alone, predecessors lie where they should,
bad files speak.
"""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import Run
from vdn.config import Config, from_dict, resolve
from vdn.data import (
    SPLITS,
    DataError,
    ForecastTask,
    forecast_task,
    identity,
    index_batches,
    load,
    load_known,
    read_table,
    row_task,
    split_ends,
)
from vdn.evaluate import evaluate
from vdn.train import resume, train
from vdn.trainer import CHECKPOINT


@pytest.fixture
def csv(tmp_path):
    def write(frame, name="series.csv"):
        path = tmp_path / name
        frame.to_csv(path, index=False)
        return path

    return write


def counting(rows=200, series=2):
    """Series whose value is their row number plus 1000 times the series'."""
    values = torch.arange(rows).float() + 1000 * torch.arange(series)[:, None]
    return ForecastTask(values, ["a", "b"], (140, 160, 200), window=10, horizon=4, stride=3, season=5)


def test_windows_targets_and_predecessors():
    task = counting()
    for split in SPLITS:
        batch = task.batch(split, torch.arange(task.count(split)), pairs=True)
        half = task.count(split)
        assert batch.series.shape == (half,)
        torch.testing.assert_close(batch.x[:half] - 3, batch.x[half:])
        torch.testing.assert_close(batch.y[:, 0], batch.x[:, -1] + 1)
        torch.testing.assert_close(batch.x[:, 0] // 1000, batch.series.repeat(2).float())
        alone = task.batch(split, torch.arange(half))
        assert alone.series is None
        assert torch.equal(alone.x, batch.x[:half])


def test_no_target_of_one_split_lies_in_another():
    task = counting()
    seen = {
        split: set((task.batch(split, torch.arange(task.count(split))).y % 1000).flatten().int().tolist())
        for split in SPLITS
    }
    assert seen["train"] <= set(range(140))
    assert seen["validation"] == set(range(140, 160))
    assert seen["test"] == set(range(160, 200))
    paired = task.batch("train", torch.arange(task.count("train")), pairs=True)
    assert paired.y.max() % 1000 < 140


@settings(max_examples=40, deadline=None)
@given(st.integers(60, 300), st.integers(1, 12), st.integers(1, 6), st.integers(1, 9))
def test_every_origin_is_counted_once(rows, window, horizon, stride):
    ends = split_ends(rows, "0.6,0.2,0.2")
    try:
        task = ForecastTask(torch.zeros(2, rows), ["a", "b"], ends, window, horizon, stride, 1)
    except DataError:
        return
    for split in SPLITS:
        series, origin = task.locate(split, torch.arange(task.count(split)))
        assert len({*zip(series.tolist(), origin.tolist(), strict=True)}) == task.count(split)
        assert origin.min() - stride - window >= 0
        assert origin.max() + horizon <= task.ends[SPLITS.index(split)]


def test_scaling_sees_the_training_rows_alone(csv):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "date": pd.date_range("2020", periods=300, freq="h"),
            "a": rng.normal(5, 2, 300),
            "b": rng.normal(-1, 9, 300),
        }
    )
    frame.loc[210:, "a"] += 100
    task = forecast_task(csv(frame), 10, 4, 2, 5)
    assert task.names == ["a", "b"]
    train = task.values[:, : task.ends[0]]
    torch.testing.assert_close(train.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(1, correction=0), torch.ones(2))
    expected = (frame["a"] - frame["a"][:210].mean()) / frame["a"][:210].std(ddof=0)
    np.testing.assert_allclose(task.values[0].numpy(), expected, rtol=1e-5, atol=1e-5)


NO_NUMBERS = (("nan,0.1,0.2", ""), ("0.7,inf,0.2", ""), ("", "inf,1,1"))


def test_splits():
    assert split_ends(100, "0.7,0.1,0.2") == (70, 80, 100)
    assert split_ends(17420, "", "8640,2880,2880") == (8640, 11520, 14400)
    for split, counts in (
        ("0.7,0.3", ""),
        ("0.7,0.2,0.2", ""),
        ("a,b,c", ""),
        ("0.5,0,0.5", ""),
        ("", "80,20,20"),
        *NO_NUMBERS,
    ):
        with pytest.raises(DataError, match="split"):
            split_ends(100, split, counts)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (pd.DataFrame({"date": ["x"] * 60, "name": ["y"] * 60}), {}, "no column of numbers"),
        (pd.DataFrame({"a": [1.0, np.nan] * 30}), {}, "'a' .* gap at data row 2"),
        (pd.DataFrame({"a": [1.0] * 60}), {}, "constant"),
        (pd.DataFrame({"a": np.arange(9.0)}), {}, r"no room .*--window, --horizon, --stride"),
        (pd.DataFrame({"a": np.arange(60.0)}), {"columns": "b"}, "no column 'b'"),
        (pd.DataFrame({"a": np.arange(60.0), "b": ["x"] * 60}), {"columns": "a,b"}, "'b' .* numbers"),
        (pd.DataFrame({"a": np.arange(60.0)}), {"season": 11}, "season"),
        (pd.DataFrame({"a": np.arange(60.0)}), {"stride": 0}, "stride"),
    ],
)
def test_data_that_cannot_be_used_says_why(csv, frame, options, message):
    with pytest.raises(DataError, match=message):
        forecast_task(csv(frame), **{"window": 10, "horizon": 4, "stride": 2, "season": 5, **options})


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "absent.csv")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(empty)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match=r"cannot be read|no column of numbers"):
        read_table(binary)


def test_embedded_data():
    task = load(resolve(Config()))
    assert task.values.shape == (12, 8730)
    x = task.batch("test", torch.arange(50))
    assert x.x.shape == (50, 168)
    assert x.y.shape == (50, 24)


def test_rows():
    digits, diabetes = row_task("digits", "0.7,0.1,0.2"), row_task("diabetes", "0.7,0.1,0.2")
    assert (digits.inputs, digits.outputs, digits.kind) == (64, 10, "classification")
    assert (diabetes.inputs, diabetes.outputs, diabetes.kind) == (10, 1, "regression")
    assert sum(digits.count(split) for split in SPLITS) == 1797
    train = diabetes.batch("train", torch.arange(diabetes.count("train")))
    torch.testing.assert_close(train.x.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.y.std(correction=0), torch.tensor(1.0))
    assert digits.x.isfinite().all()
    counted = load(resolve(Config(data="diabetes", split_rows="200,100,50")))
    assert [counted.count(split) for split in SPLITS] == [200, 100, 50]
    with pytest.raises(DataError, match="without any"):
        row_task("diabetes", "0.0001,0.5,0.4999")
    with pytest.raises(ValueError, match="predecessors"):
        digits.batch("train", torch.arange(2), pairs=True)


def test_what_is_constant_is_told_by_its_own_size(csv):
    small = {"window": 10, "horizon": 4, "stride": 2, "season": 5}
    wave = np.sin(np.arange(60.0))
    for frame in ({"a": 3e-10 * wave}, {"a": 1e9 + wave}, {"a": 1e-300 * (2 + wave)}):
        task = forecast_task(csv(pd.DataFrame(frame)), **small)
        assert abs(np.corrcoef(task.values[0], wave)[0, 1]) > 0.999
    for value in (5.0, 0.0, 123456789012.3, 1e-300):
        with pytest.raises(DataError, match="'b' .* constant"):
            forecast_task(csv(pd.DataFrame({"a": wave, "b": value})), **small)


SMALL = {"window": 12, "horizon": 4, "stride": 4, "season": 12, "layers": 1, "neurons": 4, "steps": 3}
SMALL |= {"threads": 1, "test_draws": 2, "probe_times": 1, "probe_inputs": 4, "probe_sequence": 4}


def trained(folder, **settings):
    config = resolve(from_dict(SMALL | settings))
    train(config, folder)
    return folder


def test_a_run_knows_the_file_that_it_was_trained_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "wave.csv"
    text = "date,load\n" + "".join(f"{i},{np.sin(i / 5):.4f}\n" for i in range(400))
    file.write_text(text)
    run = trained(tmp_path / "run", data="csv:wave.csv")
    kept = Run(run).config["data_file"]
    assert kept["path"] == str(file)
    assert kept["bytes"] == len(text)
    assert kept["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (kept["rows"], kept["series"]) == (400, 1)
    assert "left out: date (counts the rows)" in kept["read"]
    before = evaluate(run)["model"]["mse"]

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert evaluate(run)["model"]["mse"] == before  # by the path that it was read from
    moved = file.rename(tmp_path / "moved.csv")
    for act in (evaluate, resume):
        with pytest.raises(DataError, match=r"no such file: .*400 rows of 1 series, .*--data csv:PATH"):
            act(run)
    assert evaluate(run, data=f"csv:{moved}")["model"]["mse"] == before

    moved.write_text(text + "400,0.5\n")
    for act in (evaluate, resume):
        with pytest.raises(DataError, match=r"has changed since .*: 400 rows .* 401 rows .*--changed-data"):
            act(run, data=f"csv:{moved}")
    assert evaluate(run, data=str(moved), changed=True)["model"]["mse"] != before


def test_a_relative_file_of_another_folder_is_not_taken_for_the_runs_own(tmp_path, monkeypatch):
    text = "load\n" + "".join(f"{np.sin(i / 5):.4f}\n" for i in range(400))
    for folder, more in (("a", ""), ("b", "0.5\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "wave.csv").write_text(text + more)
    monkeypatch.chdir(tmp_path / "a")
    run = trained(tmp_path / "run", data="csv:wave.csv")
    before = evaluate(run)["model"]["mse"]
    monkeypatch.chdir(tmp_path / "b")
    assert evaluate(run)["model"]["mse"] == before


def test_runs_without_a_file_or_of_before_are_evaluated_as_ever(tmp_path):
    digits = trained(tmp_path / "digits", data="digits", window=None, horizon=None)
    assert Run(digits).config["data_file"] == {}
    evaluate(digits)
    with pytest.raises(DataError, match="trained on digits, which is no file"):
        evaluate(digits, data="csv:x.csv")
    file = tmp_path / "wave.csv"
    file.write_text("load\n" + "".join(f"{np.sin(i / 5):.4f}\n" for i in range(400)))
    run = trained(tmp_path / "run", data=f"csv:{file}")
    state = torch.load(run / CHECKPOINT, weights_only=True)
    del state["data"]
    torch.save(state, run / CHECKPOINT)
    evaluate(run)


WAVE = [f"{np.sin(i / 5):.4f}" for i in range(60)]
DAYS = [f"2020-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(60)]


@pytest.mark.parametrize(
    ("text", "names", "first"),
    [
        ("\n".join(f"{v},{i}5" for i, v in enumerate(WAVE)), [WAVE[0], "05"], [float(WAVE[1]), 15]),
        (",load\n" + "\n".join(f"{i},{v}" for i, v in enumerate(WAVE)), ["Unnamed: 0", "load"], [0, 0]),
        ("date,load\n" + "\n".join(f"{d},{v}" for d, v in zip(DAYS[::-1], WAVE, strict=True)), ["load"], [0]),
        (
            "date,load\n" + "\n".join(f"{d},{v}" for d, v in zip(DAYS[:30] * 2, WAVE, strict=True)),
            ["load"],
            [0],
        ),
        ("date,load,p\n" + "\n".join(f"{i},{v if i else '?'},{v}" for i, v in enumerate(WAVE)), ["p"], [0]),
        ("date,load\n" + "\n".join(f"{i},{1e11 + i % 2 * 1e-5!r}" for i in range(60)), ["load"], [1e11]),
    ],
    ids=["no header", "an index", "newest first", "days that repeat", "a cell of text", "a large constant"],
)
def test_a_run_without_a_record_of_its_file_reads_it_as_it_did(tmp_path, text, names, first):
    (tmp_path / "old.csv").write_text(text + "\n")
    sizes = {"window": 10, "horizon": 4, "stride": 2, "season": 5}
    config = resolve(from_dict({"data": f"csv:{tmp_path / 'old.csv'}"} | sizes))
    _, task = load_known(config, {})
    assert task.names == names
    read = pd.read_csv(tmp_path / "old.csv")[names].to_numpy(np.float64)
    train = read[: task.ends[0]]
    np.testing.assert_array_equal(task.values.T, ((read - train.mean(0)) / train.std(0)).astype(np.float32))
    np.testing.assert_array_equal(read[0], first)
    assert identity(config, task) == {}  # resumed, it still reads so


def test_another_reading_of_the_same_file_is_another_data_set(tmp_path):
    file = tmp_path / "wave.csv"
    file.write_text("load;price\n" + "".join(f"{np.sin(i / 5):.4f};{i % 7}.5\n" for i in range(400)))
    run = trained(tmp_path / "run", data=f"csv:{file}")
    before = evaluate(run)["model"]["mse"]
    assert evaluate(run, reading={"columns": ""})["model"]["mse"] == before
    with pytest.raises(
        DataError, match=r"--columns 'price' is not how the run read its data \(--columns ''\)"
    ):
        evaluate(run, reading={"columns": "price"})
    assert evaluate(run, changed=True, reading={"columns": "price"})["model"]["mse"] != before
    file.write_text(file.read_text().replace(".", ","))
    changed = evaluate(run, changed=True, reading={"decimal": ","})["model"]["mse"]
    assert changed == before  # the numbers are the same


def test_a_twin_whose_file_is_gone_costs_a_run_no_scores(tmp_path, caplog):
    file = tmp_path / "wave.csv"
    text = "load\n" + "".join(f"{np.sin(i / 5):.4f}\n" for i in range(400))
    file.write_text(text)
    trained(tmp_path / "twin", data=f"csv:{file}", twin=True)
    file.write_text(text + "0.5\n")
    summary = train(resolve(from_dict(SMALL | {"data": f"csv:{file}"})), tmp_path / "run")
    assert summary["status"] == "finished"
    assert summary["twin"] is None
    assert summary["model"]["mse"] > 0
    assert "is left out: " in caplog.text


def test_index_batches_cover_a_split_or_spread_over_it(small):
    task = load(resolve(from_dict(small)))
    count = task.count("test")
    assert torch.equal(torch.cat(list(index_batches(task, "test", 4))), torch.arange(count))
    some = torch.cat(list(index_batches(task, "test", 4, limit=10)))
    assert len(some) == 10
    assert (some.diff() > 0).all()
    assert some[-1] > 0.8 * count
