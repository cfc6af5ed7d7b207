"""Names of files decide what counts; a file appears whole or not at all."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import RunError
from probes.log import segments
from probes.log.segments import Segment
from probes.storage import local
from probes.storage.local import LOCAL, LocalStorage


def test_a_name_is_its_range():
    segment = Segment(3, 258)
    assert segment.name == "000000000003-000000000258.parquet"
    assert segment.span == 256
    assert segments.parse(segment.name) == segment


@pytest.mark.parametrize(
    "name",
    [
        "3-258.parquet",
        "000000000003-000000000258.parquet.tmp",
        ".tmp-000000000003-000000000258.parquet",
        "000000000258-000000000003.parquet",
        "0000000000003-0000000000258.parquet",  # padded further than any writer does
        f"{0:012d}-{2**53 + 1:012d}.parquet",
        "000000000003-000000000258.parquet\n",
        "٠٠٠٠٠٠٠٠٠٠٠٠-٠٠٠٠٠٠٠٠٠٠٠١.parquet",
    ],
)
def test_what_is_no_name_of_a_segment(name):
    assert segments.parse(name) is None


def test_the_largest_number_is_one_that_a_browser_can_tell():
    assert segments.parse(Segment(0, 2**53).name) == Segment(0, 2**53)


def test_a_segment_inside_another_is_its_past():
    names = [Segment(*ends).name for ends in ((0, 9), (10, 19), (0, 19), (20, 29), (25, 29), (40, 49))]
    counted, covered = segments.split_by_coverage([*names, "notes.txt"])
    assert counted == [(0, 19), (20, 29), (40, 49)]
    assert covered == [(0, 9), (10, 19), (25, 29)]
    assert segments.split_by_coverage(reversed(names)) == (counted, covered)
    assert segments.split_by_coverage([]) == ([], [])


ranges = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=6)


@given(st.tuples(st.integers(0, 30), st.integers(0, 12)), ranges)
def test_what_others_leave_uncovered(segment, others):
    """Against sets of numbers; the gaps are as few and as long as can be."""
    segment = Segment(segment[0], segment[0] + segment[1])
    counted, _ = segments.split_by_coverage(Segment(first, first + size).name for first, size in others)
    gaps = segments.uncovered(segment, counted)
    expected = set(range(segment.first, segment.last + 1)) - {
        n for other in counted for n in range(other.first, other.last + 1)
    }
    assert [n for first, last in gaps for n in range(first, last + 1)] == sorted(expected)
    assert all(after[0] > before[1] + 1 for before, after in zip(gaps, gaps[1:], strict=False))


def test_a_folder_is_listed_and_one_that_is_not_there_holds_nothing(tmp_path):
    (tmp_path / Segment(0, 5).name).touch()
    (tmp_path / Segment(2, 4).name).touch()
    assert segments.list_segments(LOCAL, str(tmp_path)) == ([(0, 5)], [(2, 4)])
    assert segments.counted_segments(LOCAL, str(tmp_path)) == [(0, 5)]
    assert segments.list_segments(LOCAL, str(tmp_path / "nowhere")) == ([], [])
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file is not a folder"):
        segments.list_segments(LOCAL, str(tmp_path / "file"))
    with pytest.raises(RunError, match="cannot be listed"):
        segments.list_segments(LOCAL, str(tmp_path / ("x" * 256)))  # longer than a name may be
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(RunError, match="is a link"):
        segments.list_segments(LOCAL, str(tmp_path / "link"))


def test_segments_that_overlap_are_refused_and_neighbours_are_not(tmp_path):
    for segment in (Segment(0, 5), Segment(6, 9)):
        (tmp_path / segment.name).touch()
    assert segments.counted_segments(LOCAL, str(tmp_path)) == [(0, 5), (6, 9)]
    (tmp_path / Segment(9, 12).name).touch()
    with pytest.raises(RunError, match=r"000000000006-000000000009.parquet and 000000000009-0.* overlap"):
        segments.counted_segments(LOCAL, str(tmp_path))


def test_a_file_is_made_durable_before_it_gets_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def renamed(source, target):
        done.append(("rename", str(target)))
        replace(source, target)

    monkeypatch.setattr(local.os, "fsync", synced)
    monkeypatch.setattr(local.os, "replace", renamed)
    path = tmp_path / "new" / "file"
    local.write_text(path, "µ")
    assert path.read_bytes() == "µ".encode()
    temporary = str(path.with_name(".tmp-file"))
    assert done == [("sync", temporary), ("rename", str(path)), ("sync", str(path.parent))]


@pytest.mark.parametrize("error", [OSError("no room"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("before")

    def half(temporary):
        temporary.write_text("hal")
        raise error

    with pytest.raises(type(error)):
        local.write_atomic(path, half)
    assert path.read_text() == "before"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_what_was_left_half_written_is_removed_at_any_depth(tmp_path):
    for name in ("run.json", "neurons/a.parquet", "pyramid/16/a.parquet"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("whole")
        path.with_name(f".tmp-{path.name}").write_text("half")
    LocalStorage(tmp_path).remove_unfinished()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "neurons/a.parquet",
        "pyramid/16/a.parquet",
        "run.json",
    ]
