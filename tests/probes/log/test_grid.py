"""Files of rows (layer, neuron, step): found by their footers, read by neuron, refused where they do not
fit.
"""

import gc
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_blocks import block, code, write_segment
from remote_memory import RemoteMemory

from probes.errors import RunError
from probes.log import grid
from probes.log.blocks import REGIME, ColumnBlock, write_column_blocks, write_layers
from probes.log.grid import GridFile, Level
from probes.log.segments import Segment
from probes.storage.local import LOCAL, LocalStorage

WIDTHS = [70, 3]


def open_segment(folder, blocks, widths=WIDTHS):
    return GridFile(LOCAL, str(folder / write_segment(folder, blocks).name), widths)


def test_a_file_knows_its_layers_columns_and_steps(tmp_path):
    file = open_segment(tmp_path, [block(0, [2, 5, 6], 70, mu2=[True, False, True]), block(1, [5], 3)])
    assert file.layers == [0, 1]
    assert file.columns == [REGIME, "kl", "mu2"]
    assert [file.count(layer) for layer in (0, 1, 2)] == [3, 1, 0]
    assert file.steps(0).tolist() == [2, 5, 6]
    assert file.steps(1).tolist() == [5]
    assert file.steps(2).tolist() == []
    assert not file.steps(0).flags.writeable
    assert [file.may_lack(column) for column in ("kl", "mu2", "spread")] == [False, True, True]


def test_a_row_group_is_64_neurons_at_all_steps(tmp_path):
    file = open_segment(tmp_path, [block(0, [2, 5, 6], 70, mu2=[True, False, True]), block(1, [5], 3)])
    second = file.block(0, 1)
    assert second.columns["kl"].tolist() == [[code(0, n, s) for s in (2, 5, 6)] for n in range(64, 70)]
    assert second.columns[REGIME].tolist() == [[0, 9, 0]] * 6
    assert second.present["mu2"].tolist() == [True, False, True]
    only = file.block(1, 0, ["kl", "unheard_of"])
    assert list(only.columns) == ["kl"]
    assert only.columns["kl"].tolist() == [[code(1, n, 5)] for n in range(3)]


def test_a_file_that_was_closed_is_opened_again(tmp_path):
    file = open_segment(tmp_path, [block(1, [5], 3)])
    file.close()
    assert file.block(1, 0).columns["kl"].tolist() == [[code(1, n, 5)] for n in range(3)]
    file.close()


def test_a_column_that_is_absent_throughout_is_nan(tmp_path):
    lacking = block(0, [1, 2], 70, mu2=[False, False])
    file = open_segment(tmp_path, [lacking, block(1, [1], 3)])
    found = file.block(0, 0, ["mu2"])
    assert found.columns["mu2"].dtype == np.float32
    assert found.present["mu2"].tolist() == [False, False]


@pytest.mark.parametrize(
    ("widths", "words"),
    [
        ([71, 3], "layer 0 does not hold 71 neurons"),
        ([69, 3], "layer 0 does not hold 69 neurons"),
        ([70, 4], "layer 1 does not hold 4 neurons"),
        ([70], "layer 1 is doubled or not in the manifest"),
    ],
)
def test_a_file_of_other_widths_is_refused(tmp_path, widths, words):
    with pytest.raises(RunError, match=words):
        open_segment(tmp_path, [block(0, [2, 5], 70), block(1, [2, 5], 3)], widths)


def test_a_layer_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(RunError, match="row group 1: layer 1 is doubled"):
        open_segment(tmp_path, [block(1, [5], 3), block(1, [5], 3)])


def test_a_row_group_of_two_layers_is_refused(tmp_path):
    """Of one neuron each: as many rows as the first has at two steps, from its first neuron to its last."""
    path = tmp_path / Segment(5, 5).name
    write_layers(LOCAL, str(path), [block(0, [5], 1), block(1, [5], 1)], "full")
    pq.write_table(pq.ParquetFile(path).read(), path)
    with pytest.raises(RunError, match="row group 0: layer 0 is doubled"):
        GridFile(LOCAL, str(path), [1, 1])


def test_neurons_with_the_wrong_numbers_are_refused(tmp_path):
    """As many rows as there should be, of neurons 1 to 3 instead of 0 to 2."""
    write_column_blocks(
        LOCAL, str(tmp_path / Segment(1, 1).name), [(1, block(0, [1], 3))], [REGIME, "kl"], set(), "full"
    )
    with pytest.raises(RunError, match="does not hold 3 neurons"):
        GridFile(LOCAL, str(tmp_path / Segment(1, 1).name), [3])


def test_neurons_that_leave_one_out_are_refused(tmp_path):
    """The last of 66 neurons has the number 66: one is left out on the way, as no count of rows shows."""
    pieces = [(0, block(0, [1], 64)), (65, block(0, [1], 2))]
    write_column_blocks(LOCAL, str(tmp_path / Segment(1, 1).name), pieces, [REGIME, "kl"], set(), "full")
    with pytest.raises(RunError, match="does not hold 66 neurons"):
        GridFile(LOCAL, str(tmp_path / Segment(1, 1).name), [66])


@pytest.mark.parametrize(("steps", "sound"), [(256, True), (257, False)])
def test_a_file_has_256_steps_at_most(tmp_path, steps, sound):
    if sound:
        assert open_segment(tmp_path, [block(1, range(steps), 3)]).count(1) == steps
    else:
        with pytest.raises(RunError, match="layer 1 has 257 steps, a file has 1 to 256"):
            open_segment(tmp_path, [block(1, range(steps), 3)])


@pytest.mark.parametrize("segment", [Segment(3, 9), Segment(2, 8), Segment(10, 12)])
def test_steps_that_the_name_does_not_promise_are_refused(tmp_path, segment):
    write_layers(LOCAL, str(tmp_path / segment.name), [block(1, [2, 9], 3)], "full")
    file = GridFile(LOCAL, str(tmp_path / segment.name), WIDTHS)
    with pytest.raises(RunError, match="holds steps 2 to 9, its name promises others"):
        file.steps(1)


def test_steps_that_do_not_increase_are_refused(tmp_path):
    whole = block(1, [2, 9], 3)
    write_layers(
        LOCAL, str(tmp_path / Segment(2, 9).name), [ColumnBlock(1, np.array([9, 2]), whole.columns)], "full"
    )
    with pytest.raises(RunError, match="steps of layer 1 do not increase"):
        GridFile(LOCAL, str(tmp_path / Segment(2, 9).name), WIDTHS).steps(1)


def changed(path, change):
    table = change(pq.ParquetFile(path).read())
    pq.write_table(table, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop_columns("layer"), "column 'layer' is missing"),
        (lambda t: t.drop_columns(REGIME), "column 'regime' is missing"),
        (lambda t: t.set_column(0, "step", t["step"].cast(pa.int32())), "column 'step' is int32, not int64"),
        (lambda t: t.set_column(4, "kl", t["kl"].cast(pa.float64())), "column 'kl' is double, not float"),
    ],
)
def test_columns_of_another_kind_are_refused(tmp_path, change, words):
    path = tmp_path / write_segment(tmp_path, [block(1, [1], 3)]).name
    changed(path, change)
    with pytest.raises(RunError, match=words):
        GridFile(LOCAL, str(path), WIDTHS)
    assert grid.schema_fault(pq.read_schema(path)) is not None


def test_rows_without_a_regime_are_refused(tmp_path):
    path = tmp_path / write_segment(tmp_path, [block(1, [1], 3)]).name
    changed(path, lambda t: t.set_column(3, pa.field(REGIME, pa.int8()), pa.array([0, None, 0], pa.int8())))
    with pytest.raises(RunError, match="without a regime"):
        GridFile(LOCAL, str(path), WIDTHS).block(1, 0)


def test_a_footer_without_limits_of_the_keys_is_refused(tmp_path):
    path = tmp_path / write_segment(tmp_path, [block(1, [1], 3)]).name
    pq.write_table(pq.ParquetFile(path).read(), path, write_statistics=False)
    with pytest.raises(RunError, match="no range of `layer` in its footer"):
        GridFile(LOCAL, str(path), WIDTHS)


@pytest.fixture
def level(tmp_path):
    """Steps 0 to 9 with mu2 at every second and without layer 1; steps 20 to 29 with layer 1 and without
    mu2.
    """
    write_segment(tmp_path, [block(0, range(10), 70, mu2=[step % 2 == 0 for step in range(10)])])
    write_segment(tmp_path, [block(0, range(20, 30), 70), block(1, range(20, 30, 3), 3)])
    found = Level(LOCAL, str(tmp_path), WIDTHS)
    found.refresh()
    return found


def test_a_level_counts_and_cuts_its_steps(level):
    assert level.count(0) == 20
    assert level.count(1) == 4
    assert level.steps(0, 8, 21).tolist() == [8, 9, 20, 21]
    assert level.steps(1, 0, 99).tolist() == [20, 23, 26, 29]
    assert level.steps(0, 10, 19).tolist() == []
    assert level.overlapping(9, 20) == [(0, 9), (20, 29)]
    assert level.overlapping(10, 19) == []


def test_a_level_reads_chosen_neurons_columns_and_steps(level):
    neurons = np.array([3, 64, 69])
    found = level.read(0, neurons, ["kl", "mu2", REGIME], 8, 21)
    assert found.steps.tolist() == [8, 9, 20, 21]
    assert found.columns["kl"].tolist() == [[code(0, n, s) for s in (8, 9, 20, 21)] for n in neurons]
    assert found.columns[REGIME].tolist() == [[0, 9, 0, 9]] * 3
    np.testing.assert_array_equal(
        found.columns["mu2"], np.float32([[code(0, n, 8) + 0.5, np.nan, np.nan, np.nan] for n in neurons])
    )
    assert found.present["mu2"].tolist() == [True, False, False, False]
    assert "kl" not in found.present


def test_a_level_of_a_layer_that_a_file_lacks(level):
    found = level.read(1, np.array([2]), ["kl"], 0, 99)
    assert found.columns["kl"].tolist() == [[code(1, 2, s) for s in (20, 23, 26, 29)]]


def is_open(path):
    """Whether this process has a descriptor of a file, deleted or not."""
    found = {os.path.realpath(item) for item in Path("/proc/self/fd").iterdir()}
    return not found.isdisjoint({str(path), f"{path} (deleted)"})


def test_a_level_forgets_files_that_are_gone_and_keeps_the_others(level, tmp_path):
    kept, gone = (level.file(segment) for segment in level.segments)
    path = tmp_path / Segment(20, 29).name
    path.unlink()
    write_segment(tmp_path, [block(0, range(20, 40), 70)])
    level.refresh()
    assert level.segments == [(0, 9), (20, 39)]
    assert level.file(Segment(0, 9)) is kept
    assert gone.block(0, 0, ["kl"]).steps.tolist() == [*range(20, 30)]  # whoever holds it still reads it
    assert is_open(path)
    del gone
    gc.collect()
    assert not is_open(path)
    assert level.steps(0, 0, 99).tolist() == [*range(10), *range(20, 40)]
    assert set(level._files) == set(level._open) == {(0, 9), (20, 39)}


def test_only_so_many_files_are_open_and_the_oldest_is_closed_first(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "MAX_OPEN", 2)
    for step in range(4):
        write_segment(tmp_path, [block(1, [step], 3)])
    level = Level(LOCAL, str(tmp_path), WIDTHS)
    level.refresh()
    files = [level.file(segment) for segment in level.segments]
    assert [file._file.closed for file in files] == [True, True, False, False]
    files[2].steps(1)
    assert level.file(level.segments[2]) is files[2]  # used again: it is the newest now
    level.file(level.segments[0])
    files[0].steps(1)
    assert [file._file.closed for file in files] == [False, True, False, True]
    assert level.read(1, np.array([0]), ["kl"], 0, 9).columns["kl"].tolist() == [
        [code(1, 0, s) for s in range(4)]
    ]


ASKED = {
    "steps counted": lambda level: level.count(0),
    "steps": lambda level: level.steps(0, 3, 25).tolist(),
    "rows": lambda level: level.read(0, np.array([3, 66]), ["kl"], 3, 25).columns["kl"].tolist(),
    "whole files": lambda level: level.fetch_whole(3, 25),
}


def noted(storage):
    """A list that grows by a number of files with each `fetch` of the storage."""
    fetch, found = storage.fetch, []

    def noting(wanted):
        files = {path for path, _, _ in wanted}
        found.extend([len(files)] if files else [])
        fetch(wanted)

    storage.fetch = noting
    return found


@pytest.mark.parametrize(
    ("asked", "rounds"),
    [("steps counted", [4]), ("steps", [3, 3]), ("rows", [3, 3]), ("whole files", [3])],
)
def test_files_of_a_store_are_fetched_together_and_those_of_a_disk_are_not(tmp_path, asked, rounds):
    """Of four files, three of which hold what is asked for: a round of requests for all footers, another for
    what is read.
    """
    (tmp_path / "neurons").mkdir()
    for first in range(0, 40, 10):
        write_segment(tmp_path / "neurons", [block(0, range(first, first + 10), 70)])
    answers = []
    for storage, expected in ((LocalStorage(tmp_path), []), (RemoteMemory.copy_of(tmp_path), rounds)):
        level, fetched = Level(storage, "neurons", WIDTHS), noted(storage)
        level.refresh()
        answers.append(ASKED[asked](level))
        assert fetched == expected
    assert answers[0] == answers[1]
    assert storage.requests["range"] == 0  # nothing was read that was not fetched before


@pytest.mark.parametrize(("spare", "rounds"), [(0, [4, 3, 1]), (-1, [4, 2, 2])])
def test_what_is_fetched_of_a_store_at_once_has_a_limit(tmp_path, monkeypatch, spare, rounds):
    """Of four files three go together where the limit is what they take, and two where it is a byte less."""
    (tmp_path / "neurons").mkdir()
    for first in range(10, 50, 10):
        write_segment(tmp_path / "neurons", [block(0, range(first, first + 10), 70)])
    storage = RemoteMemory.copy_of(tmp_path)
    level = Level(storage, "neurons", WIDTHS)
    level.refresh()
    of_three = [one for found in level.segments[:3] for one in level.file(found).ranges(0, [0], ["kl"])]
    size = sum(stop - start for _, start, stop in of_three)
    monkeypatch.setattr(grid, "FETCHED_BYTES", size + spare)
    level = Level(storage, "neurons", WIDTHS)
    level.refresh()
    fetched = noted(storage)
    found = level.read(0, np.array([3]), ["kl"], 0, 99)
    assert fetched == rounds
    assert found.columns["kl"].tolist() == [[code(0, 3, step) for step in range(10, 50)]]
