"""Tasks: splits own their targets, scaling sees the training rows alone, predecessors lie where they should,
bad files speak.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vdn.config import Config, resolve
from vdn.data import SPLITS, DataError, ForecastTask, forecast_task, load, read_table, row_task, split_ends
from vdn.evaluate import baselines


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
        (pd.DataFrame({"a": np.arange(9.0)}), {}, "no room"),
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


def test_embedded_data_and_their_naive_forecasts():
    task = load(resolve(Config()))
    assert task.values.shape == (12, 8730)
    x = task.batch("test", torch.arange(50))
    naive = baselines(task, "test")
    assert set(naive) == {"last_value", "seasonal_naive"}
    batch = task.batch("test", torch.arange(task.count("test")))
    assert naive["last_value"]["mse"] == pytest.approx(
        (batch.y - batch.x[:, -1:]).square().mean().item(), rel=1e-4
    )
    assert naive["seasonal_naive"]["mse"] == pytest.approx(
        (batch.y - batch.x[:, -24:]).square().mean().item(), rel=1e-4
    )
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
    assert set(baselines(digits, "test")) == {"class_shares"}
    assert baselines(diabetes, "test")["training_mean"]["mse"] == pytest.approx(1, abs=0.4)
    counted = load(resolve(Config(data="diabetes", split_rows="200,100,50")))
    assert [counted.count(split) for split in SPLITS] == [200, 100, 50]
    with pytest.raises(DataError, match="without any"):
        row_task("diabetes", "0.0001,0.5,0.4999")
    with pytest.raises(ValueError, match="predecessors"):
        digits.batch("train", torch.arange(2), pairs=True)
