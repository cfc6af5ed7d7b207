"""What every storage promises, and what a local folder promises beside it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from memory import MemoryStorage
from pyarrow import fs as pafs

from probes.errors import RunError
from probes.storage import Storage, local, open_folder
from probes.storage.arrow import ArrowStorage
from probes.storage.local import LocalStorage

FILES = {"run.json": b"{}", "neurons/one": b"first", "neurons/two": b"0123456789", "pyramid/16/a": b""}


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return LocalStorage(tmp_path) if request.param == "local" else MemoryStorage()


@pytest.fixture(params=["local", "memory", "arrow"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    storage = MemoryStorage() if request.param == "memory" else LocalStorage(tmp_path)
    for path, content in FILES.items():
        storage.put(path, content)
    if request.param == "arrow":
        return ArrowStorage(pafs.LocalFileSystem(), str(tmp_path), "store://runs")
    return storage


# ---- every storage


def test_reading(filled: Storage) -> None:
    assert [(e.name, e.size, e.is_folder) for e in filled.entries()] == [
        ("neurons", None, True),
        ("pyramid", None, True),
        ("run.json", 2, False),
    ]
    one, two = filled.entries("neurons")
    assert (one.name, one.size, two.name, two.size) == ("one", 5, "two", 10)
    assert filled.stamp("neurons/one") == one.stamp != two.stamp == filled.stamp("neurons/two")
    assert filled.entries("nowhere") == []
    assert filled.stamp("nowhere") is None
    assert filled.read("neurons/two", 10) == b"0123456789"
    with filled.open("neurons/two") as file:
        assert (file.size(), file.read_at(3, 5)) == (10, b"567")
        file.seek(8)
        assert file.read() == b"89"
    inner = filled.within("pyramid").within("16")
    assert inner.root == f"{filled.root}/pyramid/16"
    assert inner.address("a") == filled.address("pyramid/16/a") == f"{filled.root}/pyramid/16/a"
    assert [entry.name for entry in inner.entries()] == ["a"]
    assert inner.read("a", 0) == b""


def test_what_is_not_there_or_too_large(filled: Storage) -> None:
    for read in (
        lambda: filled.read("neurons/none", 9),
        lambda: filled.open("neurons/none"),
    ):
        with pytest.raises(FileNotFoundError):
            read()
    with pytest.raises(RunError, match="neurons/two has 0 MB, a file of its kind has at most 0 MB; restore"):
        filled.read("neurons/two", 9)


def test_writing(storage: Storage) -> None:
    storage.put("a/b/object", b"old")
    before = storage.stamp("a/b/object")
    storage.put("a/b/object", lambda path: path.write_bytes(b"new"))
    assert storage.read("a/b/object", 9) == b"new"
    assert storage.stamp("a/b/object") != before
    assert storage.put_if_absent("a/b/object", b"third") is False
    assert storage.put_if_absent("a/c/object", b"fourth") is True
    storage.move("a/b/object", "d/moved")
    assert (storage.stamp("a/b/object"), storage.read("d/moved", 9)) == (None, b"new")
    storage.delete("d/moved")
    storage.delete("d/moved")
    assert [entry.name for entry in storage.entries("d")] == []
    assert storage.read("a/c/object", 9) == b"fourth"
    storage.remove_unfinished()
    assert [entry.name for entry in storage.entries("a/c")] == ["object"]


def test_a_put_that_fails_changes_nothing(storage: Storage) -> None:
    storage.put("folder/object", b"old")

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        storage.put("folder/object", fail)
    assert storage.read("folder/object", 9) == b"old"
    assert [entry.name for entry in storage.entries("folder")] == ["object"]


# ---- a local folder


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "run")
    storage.put("neurons/object", b"content")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "run" / "neurons" / "object")
    os.mkfifo(tmp_path / "run" / "pipe")
    (tmp_path / "run" / "away").symlink_to(tmp_path / "run" / "neurons")
    (tmp_path / "run" / "deep").mkdir()
    for path, words in (("link", "is a link"), ("pipe", "is not a file"), ("neurons", "is not a file")):
        with pytest.raises(RunError, match=f"{path} {words}"):
            storage.open(path)
        with pytest.raises(RunError, match=f"{path} {words}"):
            storage.read(path, 100)
    with pytest.raises(RunError, match="away is a link"):
        storage.entries("away")
    with pytest.raises(RunError, match="away is a link"):
        storage.entries("away/deep")
    with pytest.raises(RunError, match="object is not a folder"):
        storage.entries("neurons/object")
    # the folder itself may be reached by one
    (tmp_path / "shortcut").symlink_to(tmp_path / "run")
    assert LocalStorage(tmp_path / "shortcut").read("neurons/object", 9) == b"content"


def test_a_folder_that_leads_out_is_not_within(tmp_path: Path) -> None:
    for folder in ("runs/one", "elsewhere/secret"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "runs" / "alias").symlink_to(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "out").symlink_to(tmp_path / "elsewhere" / "secret")
    runs = LocalStorage(tmp_path / "runs")
    assert runs.within("alias").root == str(tmp_path / "runs" / "alias")
    with pytest.raises(RunError, match="out is a link that leaves its folder of runs: name .*elsewhere as a"):
        runs.within("out")


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put("neurons/object", b"content")
    (tmp_path / "neurons" / f"{local.TEMPORARY}object").write_bytes(b"half")
    storage.remove_unfinished()
    assert [entry.name for entry in storage.entries("neurons")] == ["object"]


def test_an_object_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def note(name: str, call: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments: (done.append(name), call(*arguments))[1]

    monkeypatch.setattr(os, "fsync", note("fsync", fsync))
    monkeypatch.setattr(os, "replace", note("replace", replace))
    monkeypatch.setattr(os, "link", note("link", link))
    storage = LocalStorage(tmp_path)
    storage.put("one", b"content")
    storage.put_if_absent("two", b"content")
    storage.move("one", "folder/one")
    assert done == ["fsync", "replace", "fsync", "fsync", "link", "fsync", "replace", "fsync", "fsync"]


def test_put_if_absent_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    storage = LocalStorage(tmp_path)
    assert storage.put_if_absent("object", b"first") is True
    assert storage.put_if_absent("object", b"second") is False
    assert [(entry.name, entry.size) for entry in storage.entries()] == [("object", 5)]
    assert storage.read("object", 9) == b"first"
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        storage.put_if_absent("other", b"third")
    assert storage.names() == ["object"]


def test_a_file_that_vanishes_while_its_folder_is_listed(tmp_path: Path) -> None:
    LocalStorage(tmp_path).put("object", b"content")
    with os.scandir(tmp_path) as found:
        (item,) = found
        (tmp_path / "object").unlink()
        assert local._entry(item) is None


# ---- opening


def test_a_folder_is_opened_by_path_uri_or_storage(tmp_path: Path) -> None:
    assert isinstance(open_folder(tmp_path), LocalStorage)
    assert open_folder(f"file://{tmp_path}").root == open_folder(str(tmp_path)).root == str(tmp_path)
    storage = MemoryStorage()
    assert open_folder(storage) is storage
    with pytest.raises(RunError, match="nowhere://runs names no store that can be read"):
        open_folder("nowhere://runs")


def test_a_store_of_arrow_is_only_read(tmp_path: Path) -> None:
    store = ArrowStorage(pafs.LocalFileSystem(), str(tmp_path), "store://runs")
    for write in (
        lambda: store.put("object", b""),
        lambda: store.put_if_absent("object", b""),
        lambda: store.move("object", "other"),
        lambda: store.delete("object"),
        store.remove_unfinished,
    ):
        with pytest.raises(RunError, match=r"store://runs\S* cannot be written: .* write to a local folder"):
            write()
