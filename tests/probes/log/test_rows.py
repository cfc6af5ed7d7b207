"""Tables of plain rows: gathered, written, read by step."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from remote_memory import RemoteMemory

from probes.errors import RunError
from probes.log import opening, rows
from probes.log.segments import Segment
from probes.storage.local import LOCAL, LocalStorage


def scalars(*steps, name="nll"):
    return rows.gather("scalars", [[(step, None, 0.5 * step, "train", name, 10.0 * step) for step in steps]])


def predictions(steps):
    return pa.table({"step": pa.array(steps, pa.int64()), "y": pa.array(np.arange(len(steps)), pa.float64())})


def test_tuples_become_the_columns_of_their_folder():
    table = rows.gather("events", [[(1, None, "phase", None, None, "x")], [(2, 0, "push", 3, 0.5, "")]])
    assert table.schema == rows.SCHEMAS["events"]
    assert table.to_pylist()[1] == {
        "step": 2,
        "layer": 0,
        "kind": "push",
        "neuron": 3,
        "value": 0.5,
        "text": "",
    }
    assert table["layer"].to_pylist() == [None, 0]


@pytest.mark.parametrize("row", [(1, None, "phase", None, None), (1, None, "phase", None, None, "x", 7)])
def test_a_row_of_more_or_fewer_values_than_its_folder_has_columns_is_no_row(row):
    with pytest.raises(ValueError, match=r"zip\(\) argument"):
        rows.gather("events", [[row]])


def test_tables_below_each_other_lack_what_one_lacks():
    table = rows.join([pa.table({"step": [1]}), pa.table({"step": [2], "y": pa.array([0.5])})])
    assert table.to_pydict() == {"step": [1, 2], "y": [None, 0.5]}
    assert table.schema.field("y").nullable


def test_evaluations_have_their_columns_in_the_registrys_order():
    keys = {"step": [1], "split": ["test"], "layer": [0], "neuron": [0]}
    table = rows.gather(
        "evaluation", [pa.table(keys | {"kl": [1.0], "mean": [2.0]}), pa.table({"mean": [3.0], **keys})]
    )
    assert table.column_names == ["step", "split", "layer", "neuron", "mean", "kl"]
    assert table["kl"].to_pylist() == [1.0, None]


def test_a_file_is_what_the_format_says(tmp_path):
    keys = pa.table(
        {
            "step": [1, 2],
            "layer": [0, 0],
            "neuron": [0, 1],
            "input": [0, 0],
            "mu": [0.5, 1.5],
            "sigma": [1.0, 1.0],
        }
    )
    table = keys.cast(rows.SCHEMAS["probe"])
    path = tmp_path / "probe" / Segment(0, 1).name
    rows.write_rows(LOCAL, str(path), table, "full")
    assert pq.read_table(path).to_pydict() == table.to_pydict()
    column = {pq.read_metadata(path).row_group(0).column(i).path_in_schema: i for i in range(6)}
    group = pq.read_metadata(path).row_group(0)
    assert group.column(column["step"]).statistics.max == 2
    assert group.column(column["neuron"]).statistics.max == 1
    assert not group.column(column["input"]).is_stats_set
    assert "BYTE_STREAM_SPLIT" in group.column(column["mu"]).encodings
    assert group.column(column["neuron"]).has_dictionary_page


def test_row_groups_let_a_step_be_read_alone_and_summaries_are_one(tmp_path):
    table = predictions(np.arange(2 * rows.ROW_GROUP_ROWS + 1))
    rows.write_rows(LocalStorage(tmp_path), "predictions/a.parquet", table, "full")
    rows.write_rows(LocalStorage(tmp_path), "layers/a.parquet", table, "full")
    assert pq.read_metadata(tmp_path / "predictions" / "a.parquet").num_row_groups == 3
    assert pq.read_metadata(tmp_path / "layers" / "a.parquet").num_row_groups == 1


def test_rounding_leaves_gaps_and_other_types():
    table = pa.table(
        {
            "a": pa.array([1 + 2**-11, None, 1 + 3 * 2**-11], pa.float32()),
            "b": pa.array([1 + 2**-11] * 3),
            "c": [1, 2, 3],
        }
    )
    rounded = rows.rounded(table)
    assert rounded["a"].to_pylist() == [1.0, None, 1 + 2 * 2**-10]
    assert rounded["b"].to_pylist() == [1 + 2**-11] * 3
    assert rounded.schema == table.schema


def test_a_file_is_read_whole_and_in_batches(tmp_path, monkeypatch):
    storage, path = LocalStorage(tmp_path), "predictions/a.parquet"
    table = predictions(np.arange(5 * rows.ROW_GROUP_ROWS))
    rows.write_rows(storage, path, table, "full")
    assert rows.read_whole(storage, path).equals(table)
    with pytest.raises(RunError, match="unpacks to too much"):
        rows.read_whole(storage, path, limit=table.nbytes - 1)
    monkeypatch.setattr(rows, "BATCH_ROWS", 2 * rows.ROW_GROUP_ROWS)
    batches = list(rows.read_batches(storage, path))
    assert [batch.num_rows // rows.ROW_GROUP_ROWS for batch in batches] == [2, 2, 1]
    assert pa.concat_tables(batches).equals(table)


def test_no_batch_has_more_rows_than_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ROW_GROUP_ROWS", 1)
    monkeypatch.setattr(rows, "BATCH_ROWS", 2)
    storage = LocalStorage(tmp_path)
    rows.write_rows(storage, "predictions/a.parquet", predictions(np.arange(7)), "full")
    assert [batch.num_rows for batch in rows.read_batches(storage, "predictions/a.parquet")] == [2, 2, 2, 1]


class Folder:
    """A folder of predictions and its reader."""

    def __init__(self, root):
        self.root = root / "predictions"
        self.rows = 0
        self.table = rows.Table(LOCAL, str(self.root), [2])

    def add(self, steps, group=None):
        segment = Segment(self.rows, self.rows + len(steps) - 1)
        rows.write_rows(LOCAL, str(self.root / segment.name), predictions(steps), "full")
        self.rows = segment.last + 1
        return self.root / segment.name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ROW_GROUP_ROWS", 4)
    return Folder(tmp_path)


def test_rows_in_order_of_arrival_and_those_of_a_step(folder):
    folder.add([1, 1, 1, 1, 2, 2, 5])
    folder.add([5, 3])
    assert folder.table.read().num_rows == 0  # not listed yet
    folder.table.refresh()
    assert folder.table.read()["step"].to_pylist() == [1, 1, 1, 1, 2, 2, 5, 5, 3]
    assert folder.table.read(["y"]).column_names == ["y"]
    for step, count in ((1, 4), (2, 2), (3, 1), (4, 0), (5, 2)):
        assert folder.table.read(step=step)["step"].to_pylist() == [step] * count
    assert folder.table.steps().tolist() == [1, 2, 3, 5]


def test_steps_are_read_from_limits_where_those_leave_nothing_open(folder, monkeypatch):
    """Groups of one step each are not read; a group of several is."""
    folder.add([1] * 4 + [2] * 4)
    folder.table.refresh()
    read = []
    real = opening.read
    monkeypatch.setattr(
        opening,
        "read",
        lambda *arguments, **named: read.append(list(arguments[1])) or real(*arguments, **named),
    )
    assert folder.table.steps().tolist() == [1, 2]
    assert read == []
    folder.add([3, 4, 3, 4, 9, 9, 9, 9])
    folder.table.refresh()
    assert folder.table.steps().tolist() == [1, 2, 3, 4, 9]
    assert read == [[0]]


def test_what_is_known_is_not_read_again_and_what_is_gone_is_forgotten(folder, monkeypatch):
    first = folder.add([1, 2])
    folder.table.refresh()
    before = folder.table.read()
    opened = []
    real = opening.open_parquet
    monkeypatch.setattr(opening, "open_parquet", lambda path, *rest: opened.append(path) or real(path, *rest))
    folder.table.refresh()
    assert folder.table.read().equals(before)
    assert opened == []
    second = folder.add([3])
    folder.table.refresh()
    assert folder.table.read()["step"].to_pylist() == [1, 2, 3]
    assert opened == [str(second)]
    first.unlink()
    folder.table.refresh()
    assert folder.table.read()["step"].to_pylist() == [3]


@pytest.mark.parametrize("columns", [None, ["y"]])
def test_files_of_a_store_are_fetched_together_and_once(folder, columns):
    folder.add([1, 2])
    folder.add([3])
    storage = RemoteMemory.copy_of(folder.root.parent)
    table = rows.Table(storage, "predictions", [2])
    table.refresh()
    expected = [0, 1, 0]
    for _ in range(2):
        assert table.read(columns)["y"].to_pylist() == expected
        assert (storage.requests["fetch"], storage.requests["range"]) == (2, 0)
    assert table.read(columns, step=3)["y"].to_pylist() == [0]
    assert storage.requests["fetch"] == 4  # a step's are not kept; which files hold it is not known yet


def test_an_empty_folder_has_the_columns_of_its_kind(tmp_path):
    for name, schema in rows.SCHEMAS.items():
        table = rows.Table(LocalStorage(tmp_path), name, [2])
        table.refresh()
        assert table.read().schema == schema
        assert table.steps().tolist() == []
    layers = rows.Table(LocalStorage(tmp_path), "layers", [2])
    assert layers.read(["step"]).column_names == ["step"]


def test_a_file_with_more_rows_than_its_name_promises_is_refused(tmp_path):
    storage = LocalStorage(tmp_path)
    rows.write_rows(storage, f"predictions/{Segment(0, 1).name}", predictions([1, 1, 2]), "full")
    table = rows.Table(storage, "predictions", [2])
    table.refresh()
    with pytest.raises(RunError, match="holds 3 rows, its name promises 2 at most"):
        table.read()


def test_files_whose_columns_do_not_go_together_are_refused(tmp_path):
    storage = LocalStorage(tmp_path)
    rows.write_rows(storage, f"predictions/{Segment(0, 0).name}", predictions([1]), "full")
    text = pa.table({"step": pa.array([2], pa.int64()), "y": ["a"]})
    rows.write_rows(storage, f"predictions/{Segment(1, 1).name}", text, "full")
    table = rows.Table(storage, "predictions", [2])
    table.refresh()
    with pytest.raises(RunError, match="columns of different types"):
        table.read()


def test_steps_that_are_all_null_are_refused_and_not_stumbled_over(folder):
    """A row group of nulls has statistics without limits."""
    folder.add([1, 1, 1, 1])
    folder.add([None, None, None, None])
    folder.table.refresh()
    for ask in (folder.table.steps, lambda: folder.table.read(step=1)):
        with pytest.raises(RunError, match="step"):
            ask()


@pytest.mark.parametrize("limits", [["step", "layer", "neuron"], ["step"]], ids=["limits", "written before"])
def test_of_a_layer_or_its_neurons_only_those_rows_are_given(tmp_path, monkeypatch, limits):
    """5,000 neurons of the first layer and 3 of the second, 8 inputs, in row groups of 64 neurons."""
    monkeypatch.setattr(rows, "ROW_GROUP_ROWS", 512)
    write = rows.checksummed_writer
    monkeypatch.setattr(
        rows, "checksummed_writer", lambda *a, **more: write(*a, **(more | {"write_statistics": limits}))
    )
    count = np.array([5000, 3])
    neuron = np.concatenate([np.repeat(np.arange(width), 8) for width in count])
    layer = np.repeat([0, 1], 8 * count)
    whole = {"step": np.full(len(layer), 7), "layer": layer, "neuron": neuron}
    whole |= {"input": np.tile(np.arange(8), count.sum()), "mu": neuron + layer / 2, "sigma": neuron * 0 + 1}
    table = pa.table(whole).cast(rows.SCHEMAS["probe"])
    storage = LocalStorage(tmp_path)
    rows.write_rows(storage, f"probe/{Segment(0, len(layer) - 1).name}", table, "full")
    reader = rows.Table(storage, "probe", count.tolist())
    reader.refresh()
    read = opening.read
    groups = []
    monkeypatch.setattr(rows.opening, "read", lambda f, g, *more: groups.extend(g) or read(f, g, *more))
    kept = (layer == 0) & np.isin(neuron, [3, 70, 4999])
    found = reader.read(step=7, layer=0, neurons=np.array([3, 70, 4999]))
    assert found.to_pydict() == table.filter(pa.array(kept)).to_pydict()
    groups.clear()
    assert reader.read(step=7, layer=1).to_pydict() == table.filter(pa.array(layer == 1)).to_pydict()
    assert len(groups) == (1 if "layer" in limits else 79)
    groups.clear()
    one = reader.read(step=7, layer=0, neurons=np.array([70]))
    assert one["neuron"].to_pylist() == [70] * 8
    assert groups == ([1, 78] if "neuron" in limits else list(range(79)))  # the last holds both layers
    assert reader.read(step=8, layer=0).num_rows == 0


def test_what_is_too_large_to_be_read_at_once_is_written_as_several_files(monkeypatch):
    table = rows.gather("scalars", [[(step, None, 0.0, "train", "x", 0.0) for step in range(10)]])
    monkeypatch.setattr(rows, "FILE_ROWS", 4)
    parts = rows.parts("scalars", [table])
    assert [part.num_rows for part in parts] == [4, 4, 2]
    assert pa.concat_tables(parts)["step"].to_pylist() == list(range(10))


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (pa.uint8(), pa.int64()),
        (pa.uint32(), pa.int64()),
        (pa.uint64(), pa.float64()),
        (pa.int8(), pa.int8()),
        (pa.int64(), pa.int64()),
        (pa.float16(), pa.float16()),
        (pa.float32(), pa.float32()),
        (pa.bool_(), pa.bool_()),
        (pa.string(), pa.string()),
        (pa.large_string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.large_string()), pa.string()),
        (pa.dictionary(pa.int8(), pa.int32()), pa.int32()),
        (pa.null(), pa.float64()),
    ],
    ids=str,
)
def test_what_a_column_of_predictions_is_stored_as(kind, stored):
    frame = pa.table({"x": pa.nulls(2, kind)}).to_pandas(types_mapper=pd.ArrowDtype)
    table, known = rows.prediction_table(7, frame, None)
    assert table["step"].to_pylist() == [7, 7]
    assert table.schema.field("x").type == known.field("x").type == stored


def test_unsigned_numbers_are_kept_as_far_as_float64_tells_them_apart():
    table, _ = rows.prediction_table(0, pd.DataFrame({"x": np.array([2**53, 3], np.uint64)}), None)
    assert table["x"].to_pylist() == [2.0**53, 3.0]
    with pytest.raises(ValueError, match=r"predictions: column `x` holds integers beyond 2\^53, .* as text"):
        rows.prediction_table(0, pd.DataFrame({"x": np.array([2**63, 3], np.uint64)}), None)


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.timestamp("s"), pa.list_(pa.int8()), pa.decimal128(5)], ids=str
)
def test_what_predictions_do_not_hold_is_named(kind):
    frame = pa.table({"x": pa.nulls(2, kind)}).to_pandas(types_mapper=pd.ArrowDtype)
    with pytest.raises(
        ValueError, match=f"column `x` is {re.escape(str(kind))}; numbers, texts and bools are stored"
    ):
        rows.prediction_table(0, frame, None)


def test_columns_of_predictions_are_of_one_kind_throughout():
    _, known = rows.prediction_table(0, pd.DataFrame({"a": [1], "b": [True], "c": ["x"], "d": [None]}), None)
    assert known.names == ["a", "b", "c", "d"]
    table, more = rows.prediction_table(1, pd.DataFrame({"a": [0.5], "c": [None], "e": [2]}), known)
    assert more.names == ["a", "b", "c", "d", "e"]
    assert more.field("a").type == pa.int64(), "as it was first"
    assert table.schema.field("c").type == pa.string(), "nothing is of the kind that it was"
    for wrong in ({"a": [True]}, {"a": ["1"]}, {"b": [1]}, {"c": [0.5]}, {"d": ["x"]}):
        with pytest.raises(ValueError, match=rf"column `{next(iter(wrong))}` is \w+, and was \w+ before"):
            rows.prediction_table(2, pd.DataFrame(wrong), known)


def test_tables_below_each_other_take_the_wider_type():
    table = rows.join([pa.table({"a": [1], "b": ["x"]}), pa.table({"a": [0.5], "b": [None]})])
    assert table.to_pydict() == {"a": [1.0, 0.5], "b": ["x", None]}
    assert table.schema.field("a").type == pa.float64()
    with pytest.raises(pa.ArrowException):
        rows.join([pa.table({"a": [1]}), pa.table({"a": ["x"]})])
