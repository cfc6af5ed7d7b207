"""Small files become larger ones: when, which, with the same rows; what was compacted is deleted one batch
later.
"""

import numpy as np
import pyarrow as pa
import pytest
from log_blocks import block, code, write_segment
from log_truth import Truth, assert_same, fill

import probes
from probes.log import blocks, compaction, rows
from probes.log.blocks import REGIME, buckets
from probes.log.compaction import (
    CachedSegment,
    Compactor,
    PyramidBuilder,
    compact_segments,
    due,
    stack_neurons,
)
from probes.log.grid import GridFile
from probes.log.segments import Segment
from probes.recorder import Recorder
from probes.storage.local import LOCAL, LocalStorage

LAYER = [{"name": "only", "neurons": 3}]
WIDTHS = [70, 3]


def test_a_block_is_the_same_file_whether_it_was_cached_or_not(tmp_path, monkeypatch):
    for name, most in (("cached", compaction.CACHE_BYTES), ("not", 0)):
        monkeypatch.setattr(compaction, "CACHE_BYTES", most)
        truth = Truth([{"name": "wide", "neurons": 70}, {"name": "narrow", "neurons": 3}])
        rng = np.random.default_rng(0)
        with Recorder(tmp_path / name, truth.layers, flush_steps=1000) as recorder:
            for start in range(0, 540, 9):  # 28 segments a block: 16 of them are compacted early
                fill(recorder, truth, list(range(start, start + 9)), rng)
                recorder.flush()
        assert_same(probes.Run(tmp_path / name), truth)
    files = sorted(
        path.relative_to(tmp_path / "cached") for path in (tmp_path / "cached").glob("[nlp]*/**/*.parquet")
    )
    assert len(files) == 3 + 1 + 2 * 1
    for file in files:
        assert (tmp_path / "cached" / file).read_bytes() == (tmp_path / "not" / file).read_bytes(), file


def test_a_slow_run_does_not_pile_up_small_files(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        for step in range(60):
            recorder.record(step, 0, mean=np.full(3, step))
            recorder.flush()
        recorder.flush()  # deletes what the one before has compacted
        for folder in ("neurons", "layers"):
            assert len(list((tmp_path / "run" / folder).glob("*.parquet"))) <= 2 * 16
    assert probes.Run(tmp_path / "run").history(0, 0)["mean"].tolist() == list(range(60))


@pytest.mark.parametrize(
    ("sizes", "number"),
    [
        ([], 0),
        ([1] * 15, 0),
        ([1] * 16, 16),
        ([16] + [1] * 15, 0),
        ([16] + [1] * 16, 16),  # the larger one stays
        ([16] * 15 + [1] * 15, 0),
        ([16] * 14 + [10] * 16, 30),  # 384 in all: a full block
        ([16] * 16, 16),
        ([200, 55], 0),
        ([200, 56], 2),
        ([200, 100], 2),
        ([15] * 15, 0),
        ([100] + [2] * 16, 16),
    ],
)
def test_what_is_compacted_when(sizes, number):
    """All of it when it fills a block of 256, else the newest 16 or more of less than 16 steps each."""
    assert due(sizes, 256) == number


@pytest.mark.parametrize("full", [256, 65_536])
@pytest.mark.parametrize("size", [1, 3, 17, 50])
def test_a_tail_stays_below_two_times_sixteen_files(full, size):
    """However small the flushes are, of a block and of a table."""
    tail, longest = [], 0
    for _ in range(20_000 // size):
        tail.append(size)
        number = due(tail, full)
        if number:
            tail[-number:] = [sum(tail[-number:])]
            if tail[0] >= full:
                tail.clear()
        longest = max(longest, len(tail))
    assert longest <= 2 * 16


@pytest.mark.parametrize("size", [1, 3, 17, 50])
def test_a_row_of_a_block_is_rewritten_thrice_at_most(size):
    tail, rewritten, blocks = [], 0, 0
    while blocks < 20:
        tail.append(min(size, 256 - sum(tail)))
        number = due(tail, 256)
        rewritten += sum(tail[-number:]) if number else 0
        if number:
            tail[-number:] = [sum(tail[-number:])]
        if tail == [256]:
            blocks += 1
            tail.clear()
    assert rewritten <= 3 * 256 * blocks


def test_which_folders_hold_row_groups_of_neurons():
    assert [
        name for name in ("neurons", "pyramid/16", "pyramid/256", "layers", "scalars") if blocks.is_grid(name)
    ] == [
        "neurons",
        blocks.pyramid_name(16),
        blocks.pyramid_name(256),
    ]


def kl_of(path, layer, widths=WIDTHS):
    """steps, and (N, T) numbers of a layer of a file."""
    file = GridFile(LOCAL, str(path), widths)
    groups = [file.block(layer, group).columns["kl"] for group in range(-(-widths[layer] // 64))]
    steps = file.steps(layer)
    file.close()
    return steps.tolist(), np.concatenate(groups)


@pytest.mark.parametrize("cached", [True, False])
def test_segments_become_one_with_the_same_rows(tmp_path, cached):
    """The second layer is missing in the first segment, a statistic in the second."""
    storage, folder = LocalStorage(tmp_path), tmp_path / "neurons"
    blocks = [[block(0, [1, 2], 70, mu2=[True, False])], [block(0, [3, 7], 70), block(1, [3], 3)]]
    segments = [write_segment(folder, piece) for piece in blocks]
    seen = []
    memory = {}
    if cached:
        memory = {s: CachedSegment(piece) for s, piece in zip(segments, blocks, strict=True)}
        (folder / segments[0].name).write_bytes(b"is not read")
    compacted = compact_segments(
        storage,
        "neurons",
        segments,
        "full",
        WIDTHS,
        lambda first, piece: seen.append((piece.layer, first)),
        memory,
    )
    assert compacted == Segment(1, 7)
    assert seen == [(0, 0), (0, 64), (1, 0)]
    steps, kl = kl_of(folder / compacted.name, 0)
    assert steps == [1, 2, 3, 7]
    assert kl.tolist() == [[code(0, n, s) for s in steps] for n in range(70)]
    assert kl_of(folder / compacted.name, 1) == (
        [3],
        pytest.approx(np.array([[code(1, n, 3)] for n in range(3)])),
    )
    file = GridFile(LOCAL, str(folder / compacted.name), WIDTHS)
    assert file.block(0, 0, ["mu2"]).present["mu2"].tolist() == [True, False, False, False]
    assert (folder / segments[0].name).exists()


def test_one_segment_alone_is_seen_and_not_rewritten(tmp_path):
    segment = write_segment(tmp_path / "neurons", [block(0, [1], 70)])
    before = (tmp_path / "neurons" / segment.name).stat().st_mtime_ns
    seen = []
    assert (
        compact_segments(
            LocalStorage(tmp_path),
            "neurons",
            [segment],
            "full",
            WIDTHS,
            lambda first, piece: seen.append(first),
        )
        == segment
    )
    assert seen == [0, 64]
    assert (tmp_path / "neurons" / segment.name).stat().st_mtime_ns == before


def write_events(storage, first, count):
    table = rows.gather("events", [[(first + i, None, "x", None, None, "") for i in range(count)]])
    segment = Segment(first, first + count - 1)
    rows.write_rows(storage, f"events/{segment.name}", table, "full")
    return segment


def test_tables_are_compacted_by_their_rows(tmp_path):
    storage = LocalStorage(tmp_path)
    compacted = compact_segments(
        storage, "events", [write_events(storage, 0, 2), write_events(storage, 2, 3)], "full", WIDTHS
    )
    assert compacted == Segment(0, 4)
    assert rows.read_whole(storage, f"events/{compacted.name}")["step"].to_pylist() == [0, 1, 2, 3, 4]


def test_a_compactor_compacts_sixteen_and_then_gives_their_names_to_be_deleted(tmp_path):
    storage = LocalStorage(tmp_path)
    compactor = Compactor(storage, "events", "full", WIDTHS)
    assert compactor.empty
    written = []
    for number in range(16):
        written.append(write_events(storage, number, 1))
        compactor.add(written[-1], 1)
        compactor.compact()
        assert bool(compactor.take_obsolete()) == (number == 15)
    assert compactor.take_obsolete() == []  # given once
    assert not compactor.empty
    assert sorted(path.name for path in (tmp_path / "events").iterdir()) == sorted(
        [Segment(0, 15).name, *(segment.name for segment in written)]
    )


def test_obsolete_is_what_was_compacted_and_not_what_came_of_it(tmp_path):
    storage = LocalStorage(tmp_path)
    compactor = Compactor(storage, "events", "full", WIDTHS)
    for number in range(3):
        compactor.add(write_events(storage, number, 1), 1)
    assert compactor.compact_all() == Segment(0, 2)
    assert compactor.take_obsolete() == [f"events/{Segment(number, number).name}" for number in range(3)]
    assert compactor.compact_all() == Segment(0, 2)  # one alone stays
    assert compactor.take_obsolete() == []


def test_a_full_file_leaves_its_compactor(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "FULL_ROWS", 6)
    storage = LocalStorage(tmp_path)
    compactor = Compactor(storage, "events", "full", WIDTHS)
    for number in range(3):
        compactor.add(write_events(storage, 2 * number, 2), 2)
    compactor.compact()
    assert compactor.empty
    compactor.add(write_events(storage, 6, 1), 1)
    assert compactor.compact_all() == Segment(6, 6)


def test_what_is_cached_is_bounded(tmp_path, monkeypatch):
    compactor = Compactor(LocalStorage(tmp_path), "neurons", "full", WIDTHS)
    piece = [block(0, range(4), 70)]
    size = CachedSegment(piece).nbytes
    assert size == 70 * 4 * (4 + 1)
    monkeypatch.setattr(compaction, "CACHE_BYTES", 2 * size)
    for number in range(2):
        compactor.add(Segment(number, number), 4, piece)
    assert all(item.cached for item in compactor._tail)
    compactor.add(Segment(2, 2), 4, piece)
    assert not any(item.cached for item in compactor._tail)


def test_what_is_cached_reads_like_its_file(tmp_path):
    blocks = [block(0, [1, 2], 70, mu2=[True, False]), block(1, [2], 3)]
    segment = write_segment(tmp_path, blocks)
    file, cached = GridFile(LOCAL, str(tmp_path / segment.name), WIDTHS), CachedSegment(blocks)
    assert cached.layers == file.layers
    assert cached.columns == file.columns
    assert (
        [cached.may_lack(name) for name in ("kl", "mu2")]
        == [file.may_lack(name) for name in ("kl", "mu2")]
        == [False, True]
    )
    for layer, group in ((0, 0), (0, 1), (1, 0)):
        ours, theirs = cached.block(layer, group), file.block(layer, group)
        assert ours.steps.tolist() == theirs.steps.tolist()
        for name in ("kl", REGIME):
            np.testing.assert_array_equal(ours.columns[name], theirs.columns[name])


def test_a_pyramid_is_collected_from_row_groups(tmp_path):
    whole = block(0, range(40), 70)
    builder = PyramidBuilder([16, 256])
    for first in (0, 64):
        columns = {name: values[first : first + 64] for name, values in whole.columns.items()}
        builder.visit(first, type(whole)(0, whole.steps, columns))
    sizes = builder.write(LocalStorage(tmp_path), Segment(0, 39), "full")
    assert sizes == {"pyramid/16": 3, "pyramid/256": 1}
    steps, kl = kl_of(tmp_path / "pyramid" / "16" / Segment(0, 39).name, 0)
    assert steps == [0, 16, 32]
    np.testing.assert_array_equal(kl, buckets(whole, 16).columns["kl"])


def test_row_groups_become_a_layer_again():
    whole = block(0, [1, 2], 70, mu2=[True, False])
    groups = [CachedSegment([whole]).block(0, group) for group in (0, 1)]
    stacked = stack_neurons(groups)
    for name, values in whole.columns.items():
        np.testing.assert_array_equal(stacked.columns[name], values)
    assert stacked.present["mu2"].tolist() == [True, False]
    assert stack_neurons(groups[:1]) is groups[0]


def test_a_compaction_that_fails_can_be_done_again(tmp_path, monkeypatch):
    storage = LocalStorage(tmp_path)
    compactor = Compactor(storage, "events", "full", WIDTHS)
    for number in range(2):
        compactor.add(write_events(storage, number, 1), 1)

    def full(*arguments):
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "write_rows", full)
        with pytest.raises(OSError, match="no room"):
            compactor.compact_all()
    assert compactor.take_obsolete() == []
    assert compactor.compact_all() == Segment(0, 1)
    assert pa.concat_tables([rows.read_whole(storage, f"events/{Segment(0, 1).name}")]).num_rows == 2
