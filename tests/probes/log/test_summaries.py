"""Summaries of a layer against numpy, over the finite values alone."""

import numpy as np
import pyarrow as pa
import pytest

from probes.log.blocks import REGIME, ColumnBlock
from probes.log.summaries import KINDS, QUANTILES, summarise, summary_over_neurons


def test_the_kinds_are_the_mean_and_five_quantiles():
    assert KINDS == ("mean", "p05", "p25", "p50", "p75", "p95")
    assert QUANTILES == {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


@pytest.mark.parametrize("neurons", [1, 2, 5, 21, 64])
def test_quantiles_are_those_of_the_finite_neurons(neurons):
    values = np.random.default_rng(neurons).normal(size=(neurons, 9)).astype(np.float32)
    values[0, 3] = np.nan
    values[neurons // 2, 4] = np.inf
    values[-1, 5] = -np.inf
    found = summary_over_neurons(values)
    for step in range(9):
        finite = values[np.isfinite(values[:, step]), step].astype(np.float64)
        for kind in KINDS:
            if not finite.size:
                assert np.isnan(found[kind][step])
                continue
            expected = finite.mean() if kind == "mean" else np.quantile(finite, QUANTILES[kind])
            assert found[kind][step] == pytest.approx(expected, rel=1e-6, abs=1e-7), (kind, step)
    assert all(array.dtype == np.float32 for array in found.values())


def test_by_hand():
    found = summary_over_neurons(np.array([[0.0], [10.0], [20.0], [30.0], [np.nan]], np.float32))
    assert {kind: array[0] for kind, array in found.items()} == pytest.approx(
        {"mean": 15, "p05": 1.5, "p25": 7.5, "p50": 15, "p75": 22.5, "p95": 28.5}
    )


def test_large_numbers_do_not_overflow_the_mean():
    assert summary_over_neurons(np.full((4, 1), 3e38, np.float32))["mean"][0] == np.float32(3e38)


def block(layer, steps, columns, **present):
    return ColumnBlock(
        layer,
        np.array(steps),
        {n: np.array(v) for n, v in columns.items()},
        {n: np.array(p) for n, p in present.items()},
    )


def test_rows_are_sorted_and_what_a_layer_lacks_is_null():
    first = block(0, [1, 3], {"kl": np.float32([[1, 2], [3, 4]]), REGIME: np.int8([[0, 4], [0, 9]])})
    second = block(
        1,
        [1, 2],
        {"kl": np.float32([[5, 6]]), "mu2": np.float32([[7, 8]]), REGIME: np.int8([[1, 4]])},
        mu2=[True, False],
    )
    table = summarise([first, second])
    assert table["step"].to_pylist() == [1, 1, 2, 3]
    assert table["layer"].to_pylist() == [0, 1, 1, 0]
    assert table["kl_mean"].to_pylist() == [2, 5, 6, 3]
    assert table["kl_p50"].to_pylist() == [2, 5, 6, 3]
    assert table["mu2_mean"].to_pylist() == [None, 7, None, None]
    assert table["regime_0"].to_pylist() == [2, 0, 0, 0]
    assert table["regime_4"].to_pylist() == [0, 0, 1, 1]
    assert table["regime_9"].to_pylist() == [0, 0, 0, 1]
    assert table["regime_1"].to_pylist() == [0, 1, 0, 0]
    assert [table.schema.field(name).nullable for name in ("kl_mean", "mu2_p05", "regime_0")] == [
        False,
        True,
        False,
    ]
    assert table.schema.field("step").type == pa.int64()
    assert table.schema.field("regime_9").type == pa.int32()
    names = table.column_names
    assert names.index("kl_mean") < names.index("mu2_mean") < names.index("regime_0")
    assert REGIME not in names
