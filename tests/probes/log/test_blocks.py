"""Blocks, buckets of steps, rounded mantissas and their files: against numbers by hand and numpy."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.log.blocks import (
    REGIME,
    ColumnBlock,
    buckets,
    buckets_at,
    column_rank,
    concatenate,
    filled,
    neuron_groups,
    presence,
    round_mantissa,
    write_column_blocks,
    write_layers,
)
from probes.storage.local import LOCAL

NAN = float("nan")


def block(steps, columns, layer=0, **present):
    arrays = {
        name: np.array(values, np.int8 if name == REGIME else np.float32) for name, values in columns.items()
    }
    return ColumnBlock(
        layer, np.array(steps, np.int64), arrays, {name: np.array(mask) for name, mask in present.items()}
    )


def test_both_ends_of_a_range_belong_to_it():
    whole = block([2, 4, 6, 8], {"kl": [[1, 2, 3, 4]], "mu2": [[5, 6, 7, 8]]}, mu2=[True, False, True, False])
    cut = whole.between(4, 6)
    assert cut.steps.tolist() == [4, 6]
    assert cut.columns["kl"].tolist() == [[2, 3]]
    assert cut.present["mu2"].tolist() == [False, True]
    assert whole.between(3, 3).steps.size == 0
    assert whole.between(0, 99).steps.tolist() == [2, 4, 6, 8]


def test_columns_stand_in_the_registrys_order():
    names = ["mu2_max", "unheard_of", "kl", "mean", REGIME, "kl_min", "mean_max"]
    assert sorted(names, key=column_rank) == [
        REGIME,
        "mean",
        "mean_max",
        "kl",
        "kl_min",
        "mu2_max",
        "unheard_of",
    ]


def test_blocks_one_after_the_other():
    first = block([1, 2], {"kl": [[1, 2], [3, 4]]}, layer=3)
    second = block([5], {"kl": [[6], [7]], "mu2": [[8], [9]]}, layer=3)
    both = concatenate([first, second])
    assert both.layer == 3
    assert both.steps.tolist() == [1, 2, 5]
    assert both.columns["kl"].tolist() == [[1, 2, 6], [3, 4, 7]]
    assert "kl" not in both.present
    assert both.present["mu2"].tolist() == [False, False, True]
    np.testing.assert_array_equal(filled(both, "mu2"), np.float32([[NAN, NAN, 8], [NAN, NAN, 9]]))
    np.testing.assert_array_equal(filled(both, "spread"), np.full((2, 3), np.nan, np.float32))
    assert presence(both, "spread").tolist() == [False] * 3
    assert presence(both, "kl").tolist() == [True] * 3
    assert concatenate([first]) is first


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=50))
def test_ten_bits_round_within_their_bound(values):
    given_values = np.array(values, np.float32)
    rounded = round_mantissa(given_values)
    finite = np.isfinite(given_values)
    np.testing.assert_array_equal(rounded[~finite], given_values[~finite])
    assert (
        np.abs(rounded[finite].astype(float) - given_values[finite])
        <= np.abs(given_values[finite].astype(float)) * 2**-11
    ).all()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 + 2**-10, 1 + 2**-10),  # has ten bits
        (1 + 2**-11, 1.0),  # half way: to the even one below
        (1 + 3 * 2**-11, 1 + 2 * 2**-10),  # half way: to the even one above
        (1 + 2**-11 + 2**-20, 1 + 2**-10),
        (2 - 2**-12, 2.0),  # over a power of two
        (-(1 + 3 * 2**-11), -(1 + 2 * 2**-10)),
        (np.finfo(np.float32).max, np.finfo(np.float32).max),  # would round to infinity
        (-np.finfo(np.float32).max, -np.finfo(np.float32).max),
        (2.0**-140, 2.0**-140),  # subnormal
        (0.0, 0.0),
        (np.inf, np.inf),
        (-np.inf, -np.inf),
    ],
)
def test_ten_bits_by_hand(value, expected):
    assert round_mantissa(np.array([value], np.float32))[0] == np.float32(expected)


def test_ten_bits_leave_nan_and_the_sign_of_zero():
    rounded = round_mantissa(np.array([np.nan, -0.0], np.float32))
    assert np.isnan(rounded[0])
    assert np.signbit(rounded[1])


def test_buckets_by_hand():
    whole = block(
        [1, 2, 3, 5, 8],
        {REGIME: [[0, 4, 6, 9, 7]], "kl": [[1, 2, 6, 10, 4]], "mu2": [[3, 0, 5, 0, 0]]},
        mu2=[True, False, True, False, False],
    )
    found = buckets(whole, 2)
    assert found.steps.tolist() == [1, 3, 8]
    assert found.columns[REGIME].tolist() == [[4, 6, 7]]  # the most severe
    assert found.columns["kl"].tolist() == [[1.5, 8, 4]]
    assert found.columns["kl_min"].tolist() == [[1, 6, 4]]
    assert found.columns["kl_max"].tolist() == [[2, 10, 4]]
    assert found.columns["mu2"][0, :2].tolist() == [3, 5]  # over the steps at which it was taken
    assert found.columns["mu2_min"][0, :2].tolist() == [3, 5]
    assert found.columns["mu2_max"][0, :2].tolist() == [3, 5]
    for kind in ("mu2", "mu2_min", "mu2_max"):
        assert found.present[kind].tolist() == [True, True, False]
    assert "kl" not in found.present


def test_a_neuron_that_is_broken_at_one_step_is_broken_in_its_bucket_alone():
    found = buckets(block([0, 1, 2, 3], {"kl": [[1, NAN, 1, 1], [2, 2, 2, 2]]}), 2)
    for kind in ("kl", "kl_min", "kl_max"):
        assert np.isnan(found.columns[kind]).tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("width", [1, 7, 16, 64, 65, 200])
def test_buckets_of_any_width_are_those_of_numpy(width):
    """Short and long buckets take two ways to one answer."""
    values = np.random.default_rng(width).normal(size=(3, 130)).astype(np.float32)
    found = buckets(block(np.arange(130), {"kl": values}), width)
    pieces = [values[:, start : start + width].astype(np.float64) for start in range(0, 130, width)]
    np.testing.assert_allclose(
        found.columns["kl"], np.stack([p.mean(1) for p in pieces], 1), rtol=1e-6, atol=1e-8
    )
    np.testing.assert_array_equal(
        found.columns["kl_min"], np.stack([p.min(1) for p in pieces], 1).astype(np.float32)
    )
    np.testing.assert_array_equal(
        found.columns["kl_max"], np.stack([p.max(1) for p in pieces], 1).astype(np.float32)
    )
    assert found.steps.tolist() == list(range(0, 130, width))


def test_buckets_begin_where_they_are_told_to():
    found = buckets_at(block([0, 1, 2, 3, 4], {"kl": [[1, 3, 5, 7, 9]]}), np.array([0, 1, 4]))
    assert found.steps.tolist() == [0, 1, 4]
    assert found.columns["kl"].tolist() == [[1, 5, 9]]


def test_a_mean_of_large_numbers_is_finite():
    found = buckets(block([0, 1], {"kl": [[3e38, 3e38]]}), 2)
    assert found.columns["kl"][0, 0] == np.float32(3e38)


@pytest.mark.parametrize("neurons", [1, 63, 64, 65, 128, 150])
def test_row_groups_of_a_layer(neurons):
    groups = list(neuron_groups(neurons))
    assert [n for start, stop in groups for n in range(start, stop)] == list(range(neurons))
    assert all(stop - start == 64 for start, stop in groups[:-1])


@pytest.mark.parametrize("precision", ["full", "10bit"])
def test_a_file_of_layers_is_what_the_format_says(tmp_path, precision):
    wide = block(
        [4, 9],
        {REGIME: np.zeros((70, 2)), "kl": np.arange(140).reshape(70, 2), "mu2": np.ones((70, 2))},
        mu2=[True, False],
    )
    narrow = block([4], {REGIME: [[9]], "kl": [[7]]}, layer=1)
    path = tmp_path / "neurons" / "file.parquet"
    write_layers(LOCAL, str(path), [wide, narrow], precision)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [128, 12, 1]
    columns = {
        metadata.row_group(0).column(i).path_in_schema: metadata.row_group(0).column(i) for i in range(6)
    }
    assert list(columns) == ["step", "layer", "neuron", REGIME, "kl", "mu2"]
    assert columns["kl"].compression == {"full": "LZ4", "10bit": "ZSTD"}[precision]
    assert "BYTE_STREAM_SPLIT" in columns["kl"].encodings
    assert not columns["kl"].is_stats_set
    assert (columns["neuron"].statistics.min, columns["neuron"].statistics.max) == (0, 63)
    schema = pq.read_schema(path)
    assert [schema.field(name).nullable for name in schema.names] == [False, False, False, False, False, True]
    assert schema.field("kl").type == pa.float32()
    table = pq.read_table(path).to_pandas()
    assert table["layer"].tolist() == [0] * 140 + [1]
    assert table["neuron"].tolist() == [n for n in range(70) for _ in range(2)] + [0]
    assert table["step"].tolist() == [4, 9] * 70 + [4]
    assert table["kl"].tolist() == [*range(140), 7]
    assert table["mu2"].isna().tolist() == [False, True] * 70 + [True]


def test_blocks_are_written_with_the_numbers_of_their_neurons(tmp_path):
    pieces = [(0, block([1], {REGIME: np.zeros((64, 1))})), (64, block([1], {REGIME: np.ones((2, 1))}))]
    write_column_blocks(LOCAL, str(tmp_path / "file.parquet"), iter(pieces), [REGIME], set(), "full")
    table = pq.read_table(tmp_path / "file.parquet")
    assert table["neuron"].to_pylist() == list(range(66))
    assert table[REGIME].to_pylist() == [0] * 64 + [1] * 2
