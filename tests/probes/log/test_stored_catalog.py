"""The catalog of a folder of runs in a store: one listing where there is an index, which may be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from log_truth import simple_run
from remote_memory import RemoteMemory

import probes
from probes import notes
from probes.errors import RunError
from probes.log import stored_catalog
from probes.storage.local import LocalStorage


@pytest.fixture(autouse=True)
def forgotten() -> None:
    stored_catalog._looks.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        simple_run(tmp_path / "runs" / name, steps=3)
    notes.write(tmp_path / "runs" / "two", ["kept"], "a text")
    return tmp_path / "runs"


def indexed(folder: Path) -> RemoteMemory:
    stored = RemoteMemory.copy_of(folder, "memory/runs")
    for name in ("one", "two"):
        run = LocalStorage(folder / name)
        entry = stored_catalog.index_entry(run, json.loads((folder / name / "run.json").read_text()))
        stored.put(stored_catalog.index_path(name), entry)
    stored.requests.clear()
    return stored


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="path").sort_values("name", ignore_index=True)


def test_with_an_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = indexed(folder)
    found = probes.catalog(stored)
    pd.testing.assert_frame_equal(plain(found), plain(probes.catalog(folder)))
    assert stored.requests["list"] == 1
    assert stored.requests["get"] == 2
    stored.requests.clear()
    pd.testing.assert_frame_equal(probes.catalog(stored), found)
    assert stored.requests == {"list": 1}
    monkeypatch.setattr(stored_catalog, "NAMES_SECONDS", -1.0)
    stored.requests.clear()
    probes.catalog(stored)
    assert stored.requests == {"list": 2}  # which runs there are is looked at now and then


def test_without_an_index(folder: Path) -> None:
    stored = RemoteMemory.copy_of(folder, "memory/runs")
    pd.testing.assert_frame_equal(plain(probes.catalog(stored)), plain(probes.catalog(folder)))
    stored.requests.clear()
    probes.catalog(stored)
    assert stored.requests == {"list": 2}


def test_a_run_that_is_gone_leaves_with_the_next_listing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = indexed(folder)
    assert len(probes.catalog(stored)) == 2
    for path in [path for path in stored._objects if path.startswith("one/")]:
        stored.delete(path)
    monkeypatch.setattr(stored_catalog, "NAMES_SECONDS", -1.0)
    assert probes.catalog(stored)["name"].tolist() == ["two"]


@pytest.mark.parametrize(
    "entry", [b"", b"[]", b"{}", b'{"run": 3}', b'{"run": {"format": "1.2", "layers": 7}}']
)
def test_of_an_entry_that_is_none_the_run_is_asked(folder: Path, entry: bytes) -> None:
    stored = indexed(folder)
    stored.put(stored_catalog.index_path("one"), entry)
    pd.testing.assert_frame_equal(plain(probes.catalog(stored)), plain(probes.catalog(folder)))


def test_of_an_entry_that_is_too_large_the_run_is_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold a manifest and notes, each as large as a file of JSON is."""
    stored = indexed(folder)
    most = max(len(stored.read(f"{name}/run.json", 2**20)) for name in ("one", "two"))
    monkeypatch.setattr(stored_catalog, "JSON_BYTES", most)
    path = stored_catalog.index_path("one")
    entry = stored.read(path, 2**20).replace(b'"name": "one"', b'"name": "own"')
    for size, name in ((2 * most, "own"), (2 * most + 1, "one")):
        stored.put(path, entry.ljust(size))
        assert sorted(probes.catalog(stored)["name"]) == sorted([name, "two"])


def test_what_is_broken_is_a_row_with_its_reason(folder: Path) -> None:
    stored = RemoteMemory.copy_of(folder, "memory/runs")
    stored.put("three/run.json", b"none")
    stored.put("two/notes.json", b"none")
    rows = probes.catalog(stored).set_index("path")
    assert "not readable as JSON" in rows.loc["memory/runs/three", "error"]
    assert "not readable as JSON" in rows.loc["memory/runs/two", "notes_error"]
    assert rows.loc["memory/runs/three", "status"] == "unreadable"


def test_a_folder_of_folders(folder: Path, tmp_path: Path) -> None:
    stored = RemoteMemory.copy_of(tmp_path, "memory")
    assert probes.catalog(stored).empty
    assert {row["name"] for row in probes.catalog_rows(stored, nested=True)} == {"one", "two"}


def test_nothing_there() -> None:
    with pytest.raises(RunError, match="memory holds nothing"):
        probes.catalog(RemoteMemory())
