"""Deleting moves a run aside whole, and never one that is being written."""

import pytest

from probes import Recorder, catalog
from probes.errors import RunError
from probes.trash import FOLDER, move_to_trash


def run(path):
    Recorder(path, [{"name": "one", "neurons": 2}]).close()
    return path


def test_a_run_is_moved_beside_the_others_and_can_be_moved_back(tmp_path):
    path = run(tmp_path / "one")
    held = sorted(item.name for item in path.iterdir())
    moved = move_to_trash(path)
    assert moved == tmp_path / FOLDER / "one"
    assert sorted(item.name for item in moved.iterdir()) == held
    assert catalog(tmp_path).empty
    moved.rename(path)
    assert catalog(tmp_path)["name"].tolist() == ["one"]


def test_two_runs_of_one_name_are_both_kept(tmp_path):
    first = move_to_trash(run(tmp_path / "one"))
    second = move_to_trash(run(tmp_path / "one"))
    assert first != second
    assert first.is_dir()
    assert second.is_dir()


def test_a_live_run_and_what_is_no_run_stay(tmp_path):
    with (
        Recorder(tmp_path / "live", [{"name": "one", "neurons": 2}]),
        pytest.raises(RunError, match="live is being written"),
    ):
        move_to_trash(tmp_path / "live")
    (tmp_path / "other").mkdir()
    with pytest.raises(RunError, match="holds no run"):
        move_to_trash(tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["live", "other"]


def test_a_run_that_cannot_be_read_can_be_deleted(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert (move_to_trash(tmp_path / "broken") / "run.json").read_text() == "{"


def test_of_a_link_the_link_is_moved(tmp_path):
    run(tmp_path / "one")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert move_to_trash(tmp_path / "link").is_symlink()
    assert (tmp_path / "one" / "run.json").is_file()
