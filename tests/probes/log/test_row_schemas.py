"""Columns and keys that are not those of a table of the run are refused by name."""

import pyarrow as pa
import pytest

from probes.errors import RunError
from probes.log import row_schemas


def scalars(*steps):
    known = {"time": 0.0, "split": "train", "name": "nll", "value": 1.0}
    return pa.Table.from_pylist([{"step": step} | known for step in steps], row_schemas.SCHEMAS["scalars"])


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (
            "scalars",
            lambda t: t.drop_columns("split"),
            "lacks the column `split`: this is not a file of `scalars/`",
        ),
        (
            "scalars",
            lambda t: t.set_column(0, "step", t["step"].cast(pa.int32())),
            "column `step` is int32, not int64",
        ),
        (
            "scalars",
            lambda t: t.append_column("x", pa.array([b"1"] * t.num_rows)),
            "column `x` is binary, which",
        ),
    ],
)
def test_columns_that_a_folder_does_not_hold_are_refused(name, change, words):
    with pytest.raises(RunError, match=words):
        row_schemas.check_columns(change(scalars(1, 2)).schema, name, "file")


def test_columns_beyond_those_that_are_always_there():
    row_schemas.check_columns(scalars(1).append_column("more", pa.array([True])).schema, "scalars", "file")
    layers = row_schemas.LAYER_COLUMNS.append(pa.field("kl_mean", pa.float32()))
    row_schemas.check_columns(layers, "layers", "file")
    with pytest.raises(RunError, match="column `x` is int64, which `layers/` does not hold"):
        row_schemas.check_columns(layers.append(pa.field("x", pa.int64())), "layers", "file")
    row_schemas.check_columns(layers.append(pa.field("settled_10", pa.int32())), "layers", "file")
    evaluation = row_schemas.SCHEMAS["evaluation"]
    with pytest.raises(RunError, match="column `x` is string, which `evaluation/` does not hold"):
        row_schemas.check_columns(evaluation.append(pa.field("x", pa.string())), "evaluation", "file")


def keyed(**columns):
    full = {"step": [1], "layer": [0], "kind": ["x"], "neuron": [0], "value": [None], "text": [""]} | columns
    return pa.table(full, schema=row_schemas.SCHEMAS["events"])


@pytest.mark.parametrize(
    "columns",
    [
        {"layer": [None], "neuron": [None]},
        {"layer": [1], "neuron": [4]},
        {"step": [2**53]},
        {"step": [-(2**53)]},
    ],
)
def test_keys_that_the_run_has(columns):
    row_schemas.check_keys(keyed(**columns), "events", "file", [2, 5])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"layer": [2]}, "names layer 2, which the run does not have"),
        ({"layer": [-1]}, "names layer -1"),
        ({"neuron": [2]}, "names a neuron that its layer does not have"),
        ({"neuron": [-1]}, "names a neuron"),
        ({"layer": [1], "neuron": [5]}, "names a neuron"),
        ({"step": [2**53 + 1]}, "names step 9007199254740993"),
        ({"step": [-(2**53) - 1]}, "names step -9007199254740993"),
    ],
)
def test_keys_that_the_run_does_not_have_are_refused(columns, words):
    with pytest.raises(RunError, match=words):
        row_schemas.check_keys(keyed(**columns), "events", "file", [2, 5])


def test_a_key_without_a_value_is_refused():
    table = pa.table({"step": pa.array([1, None], pa.int64()), "y": [0.0, 1.0]})
    with pytest.raises(RunError, match="column `step` has gaps"):
        row_schemas.check_keys(table, "predictions", "file", [2])


def test_a_class_or_index_beyond_all_limits_is_refused():
    arrays = [pa.array([0]), pa.array([0], pa.int16()), pa.array([0], pa.int32())]
    for number in (-1, 2**30):
        table = pa.Table.from_arrays(
            [*arrays, pa.array([number], pa.int32()), pa.array([1.0], pa.float32())],
            schema=row_schemas.SCHEMAS["classes"],
        )
        with pytest.raises(RunError, match=f"names class {number}, which the run does not have"):
            row_schemas.check_keys(table, "classes", "file", [2])


def test_a_table_has_a_name_that_runs_have():
    for name in ("neurons", "pyramid/16", "pyramid/256", "layers", *row_schemas.SCHEMAS):
        assert row_schemas.known_table(name) == name
        assert row_schemas.lasting_columns(name).names[0] == "step"
    assert row_schemas.lasting_columns("neurons").names == ["step", "layer", "neuron", "regime", "settled"]
    assert row_schemas.lasting_columns("layers").names == [
        "step",
        "layer",
        *(f"regime_{code}" for code in range(10)),
    ]
    for name in ("pyramid", "pyramid/17", "inputs/", ""):
        with pytest.raises(
            KeyError, match=f"a run has no table '{name}'; its tables are neurons, pyramid/16,"
        ):
            row_schemas.known_table(name)


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({"index": [0, 2**20 - 1]}, None),
        ({"index": [2**20]}, "index 1048576"),
        ({"index": [-1, 5]}, "index -1"),
        ({"class": [2**20 - 1]}, None),
        ({"class": [0, 2**20]}, "class 1048576"),
        ({"input": [0, 2**31 - 1]}, None),
        ({"input": [-1]}, "input -1"),
        ({"t": [0]}, None),
        ({"t": [3, -2]}, "t -2"),
        ({"layer": [0, 1]}, None),
        ({"layer": [0, 2]}, "layer 2"),
        ({"input": [0.5]}, None),
    ],
)
def test_each_key_has_its_range(schema, wrong):
    table = pa.table(schema)
    if wrong is None:
        row_schemas.check_keys(table, "predictions", "file", [2, 5])
        return
    with pytest.raises(RunError, match=f"file names {wrong}, which the run does not have"):
        row_schemas.check_keys(table, "predictions", "file", [2, 5])
