"""What a file system may lack: locks, syncs of folders, links, room, leave to write. Writing works or says so
in one line; reading needs none of it.
"""

import errno
import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from networks import SiblingVAE
from torch import randn

import probes
from probes.errors import WriteError, obstacle
from probes.extras import MissingPackageError
from probes.log.check import check
from probes.recorder import Recorder, RecorderError
from probes.storage import local, local_folder, open_folder
from probes.storage.local import LocalStorage
from probes.storage.lock import FILE, Lock

LAYERS = [{"name": "z", "neurons": 4}]
ROOT = Path(probes.__file__).parents[1]


def failing(number):
    def call(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    return call


def record(path, steps=range(5), **options):
    with Recorder(path, LAYERS, **options) as recorder:
        for step in steps:
            recorder.record(step, "z", mean=np.zeros(4), variance=np.ones(4), kl=np.zeros(4))
            recorder.scalar(step, "loss", 1.0)


def lacks_locks(monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", failing(number))


# ---- locks


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL", "EIO"])
def test_without_locks_a_run_is_written_and_resumed_and_it_is_said(tmp_path, monkeypatch, name):
    lacks_locks(monkeypatch, getattr(errno, name))
    with pytest.warns(RuntimeWarning, match="run lies on a file system without locks .* start one alone"):
        record(tmp_path / "run")
    with pytest.warns(RuntimeWarning, match="without locks"):
        recorder = Recorder.resume(tmp_path / "run", 2)
    recorder.close()
    assert probes.Run(tmp_path / "run").steps.tolist() == [0, 1, 2]
    assert check(tmp_path / "run") == []


def test_a_run_that_is_there_is_not_begun_anew_without_locks_either(tmp_path, monkeypatch):
    record(tmp_path / "run")
    lacks_locks(monkeypatch, errno.ENOSYS)
    with pytest.warns(RuntimeWarning), pytest.raises(probes.RunError, match="holds a run already"):
        Recorder(tmp_path / "run", LAYERS)


def test_where_there_are_locks_one_writer_holds_a_run_and_a_kill_leaves_it_open(tmp_path):
    code = (
        "import sys, pathlib, os; from probes.storage.lock import Lock; l = Lock(pathlib.Path(sys.argv[1]))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code + "; print('held', flush=True); input()", str(tmp_path)]
    holder = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(probes.RunError, match="is being written by another recorder"):
        Lock(tmp_path)
    holder.kill()
    holder.communicate()
    Lock(tmp_path).release()


def test_what_lies_under_the_name_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / FILE)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / FILE).symlink_to(tmp_path / "elsewhere")
    for name in ("pipe", "link"):  # no reader of the pipe is waited for
        with pytest.raises(WriteError, match=f"{name} cannot be written"):
            Lock(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


# ---- syncs, links


@pytest.mark.parametrize("name", ["EINVAL", "EACCES", "ENOSYS", "EOPNOTSUPP", "EBADF"])
def test_what_cannot_be_synced_is_written_all_the_same(tmp_path, monkeypatch, name):
    number, fsync = getattr(errno, name), os.fsync

    def files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(local.os, "fsync", files_only)
    record(tmp_path / "folders")
    monkeypatch.setattr(local.os, "fsync", failing(number))
    record(tmp_path / "nothing")
    for name in ("folders", "nothing"):
        assert probes.Run(tmp_path / name).steps.tolist() == list(range(5))
        assert check(tmp_path / name) == []


def test_a_folder_that_cannot_be_opened_is_written_all_the_same(tmp_path, monkeypatch):
    """Windows opens no folder, a folder without leave to list neither."""
    opened = os.open

    def files_only(path, *rest, **options):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *rest, **options)

    monkeypatch.setattr(local.os, "open", files_only)
    record(tmp_path / "run")
    assert check(tmp_path / "run") == []


@pytest.mark.parametrize("name", ["EIO", "ENOSPC", "EDQUOT"])
def test_a_sync_that_says_what_was_lost_is_an_error(tmp_path, monkeypatch, name):
    monkeypatch.setattr(local.os, "fsync", failing(getattr(errno, name)))
    with pytest.raises(WriteError, match="run cannot be written: .*"):
        record(tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("name", ["EPERM", "EOPNOTSUPP", "ENOSYS"])
def test_without_hard_links_a_run_begins_once(tmp_path, monkeypatch, name):
    monkeypatch.setattr(local.os, "link", failing(getattr(errno, name)))
    record(tmp_path / "run")
    with pytest.raises(probes.RunError, match="holds a run already"):
        record(tmp_path / "run")
    assert check(tmp_path / "run") == []


# ---- no room, no leave

REMEDIES = {
    "ENOSPC": "the disk is full, free space there",
    "EDQUOT": "your quota there is used up, free space",
    "EROFS": "it is mounted read-only, name a folder that you may write to",
    "EACCES": "name a folder that you may write to",
}


@pytest.mark.parametrize("name", REMEDIES)
@pytest.mark.parametrize("call", ["mkdir", "open", "replace", "link"])
def test_what_is_in_the_way_at_the_start_is_one_line_with_the_remedy(tmp_path, monkeypatch, name, call):
    number = getattr(errno, name)
    monkeypatch.setattr(os, call, failing(number))
    if call in ("link", "replace"):  # the way round a missing link is a rename
        monkeypatch.setattr(os, "link", failing(number))
        monkeypatch.setattr(os, "replace", failing(number))
    with pytest.raises(WriteError, match=REMEDIES[name]) as caught:
        Recorder(tmp_path / "run", LAYERS)
    monkeypatch.undo()
    assert str(tmp_path / "run") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, probes.RunError)
    assert isinstance(caught.value, OSError)
    record(tmp_path / "run")  # nothing is left in the way


@pytest.mark.parametrize("name", REMEDIES)
def test_what_is_in_the_way_later_names_its_remedy(tmp_path, monkeypatch, name):
    recorder = Recorder(tmp_path / "run", LAYERS)
    recorder.record(0, "z", mean=np.zeros(4))
    monkeypatch.setattr(local.os, "replace", failing(getattr(errno, name)))
    with pytest.raises(RecorderError, match=f"{REMEDIES[name]}.*The rows are kept in memory"):
        recorder.flush()
    with pytest.raises(RecorderError, match=f"{REMEDIES[name]}.*What was not written yet is lost"):
        recorder.close()


@pytest.mark.parametrize("name", [*REMEDIES, "EIO"])
@pytest.mark.parametrize("when", ["before the first step", "later"])
def test_a_watched_training_goes_on_whatever_the_disk_says(tmp_path, monkeypatch, name, when):
    model = SiblingVAE()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        recording = probes.watch(model, tmp_path / "run")
        for step in range(6):
            if step == (0 if when == "before the first step" else 3):
                for call in ("mkdir", "replace", "link"):
                    monkeypatch.setattr(os, call, failing(getattr(errno, name)))
            model(randn(4, 6))
            recording.step(step, loss=1.0)
            recording.flush()
        recording.close()
    said = [str(warning.message) for warning in warned if str(tmp_path) in str(warning.message)]
    assert 1 <= len(said) <= 2
    assert os.strerror(getattr(errno, name)) in said[0]
    assert "\n" not in said[0]


def test_a_temporary_file_that_cannot_be_removed_hides_nothing(tmp_path, monkeypatch):
    """A disk that turns read-only refuses the tidying as well; the reason is what is told."""
    monkeypatch.setattr(Path, "unlink", failing(errno.EROFS))
    monkeypatch.setattr(local.os, "replace", failing(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        LocalStorage(tmp_path).put("object", b"content")


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "stdout").symlink_to(os.devnull)
    for name in ("pipe", "stdout"):
        with pytest.raises(WriteError, match=f"{name} is not a file, and is not replaced by one"):
            LocalStorage(tmp_path).put(name, b"content")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert (tmp_path / "stdout").is_symlink()


def test_obstacles_are_one_line():
    assert obstacle(OSError("first\nsecond")) == "first second"
    assert obstacle(MemoryError()) == "MemoryError"
    assert obstacle(OSError(errno.EDQUOT, "x")).endswith("free space or name a folder on another disk")
    with pytest.raises(UnicodeEncodeError) as caught:
        "run\udcff".encode()
    assert obstacle(caught.value) == "run\\udcff has a name that is not UTF-8: rename it"


# ---- reading

READ = """
import os, sys
from pathlib import Path

def refuse(event, arguments):
    write = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & write:
        if isinstance(arguments[0], str) and not arguments[0].startswith(os.devnull):
            raise OSError(30, "Read-only file system", arguments[0])
    if event in ("os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.symlink", "fcntl.flock",
                 "fcntl.lockf", "os.truncate", "os.utime", "os.chmod"):
        raise OSError(30, "Read-only file system", str(arguments))

def no_sync(*_):
    raise OSError(22, "Invalid argument")

sys.dont_write_bytecode = True
sys.modules["filelock"] = None
os.fsync = no_sync
import probes
from probes import export
from probes.__main__ import main
sys.addaudithook(refuse)
folder = sys.argv[1]
(row,) = probes.catalog(folder).to_dict("records")
run = probes.Run(row["path"])
counts = len(run.steps), len(run.history(0)), len(run.scalars()), len(run.layer_summary()), len(run.events())
run.refresh(); run.matrix(0, "mean"); run.alerts()
print(*counts, main(["ls", folder]), main(["show", row["path"]]), main(["check", row["path"]]))
"""


def test_reading_needs_no_lock_no_sync_and_no_leave_to_write(tmp_path):
    record(tmp_path / "runs" / "run", range(300))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / "runs")],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "300 1200 300 300 0 0 0 0"


def test_a_link_round_in_a_circle_is_listed(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_bytes(b"x")
    assert [(entry.name, entry.is_folder) for entry in LocalStorage(tmp_path).entries()] == [
        ("file", False),
        ("loop", False),
    ]
    with pytest.raises(probes.RunError, match="loop is a link"):
        LocalStorage(tmp_path).open("loop")


# ---- where

STORES = ["s3://bucket/run", "gs://bucket/run", "S3://b/r", "az://container/run"]
URIS = ["hdfs://host/run", "file:///tmp/run", "memory://run"]


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_store_is_not_written_to(tmp_path, monkeypatch, uri, kind):
    """`Path` takes `//` for `/`, and would make a folder called `s3:`."""
    monkeypatch.chdir(tmp_path)
    words = "cannot be written: name a local folder"
    for start in (
        lambda: Recorder(kind(uri), LAYERS),
        lambda: Recorder.resume(kind(uri), 1),
        lambda: probes.watch(SiblingVAE(), kind(uri)),
    ):
        with pytest.raises(probes.RunError, match=words):
            start()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", STORES)
@pytest.mark.parametrize("kind", [str, Path])
def test_an_object_store_needs_its_extra(tmp_path, monkeypatch, uri, kind):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    for start in (
        lambda: probes.Run(kind(uri)),
        lambda: probes.catalog(kind(uri)),
        lambda: Recorder(kind(uri), LAYERS),
        lambda: Recorder.resume(kind(uri), 1),
        lambda: probes.watch(SiblingVAE(), kind(uri)),
    ):
        with pytest.raises(MissingPackageError, match=r"needs obstore, .*pip install 'vdn-probes\[store\]'"):
            start()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["s3://key:secret@bucket/run", "s3://key:sec/ret@bucket", "s3://key:secret/run", "az://c/r?sig=secret"],
)
def test_a_url_with_credentials_is_refused_without_them(url):
    for start in (lambda: open_folder(url), lambda: Recorder(url, LAYERS), lambda: local_folder(url)):
        with pytest.raises(probes.RunError) as raised:
            start()
        assert not any(word in str(raised.value) for word in ("secret", "sec/ret"))


@pytest.mark.parametrize(
    "path", ["C:\\runs\\run", "C:/runs/run", "C://runs//run", "\\\\server\\share", "a:b"]
)
def test_a_drive_is_no_store(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_folder(path), LocalStorage)
    assert local_folder(path) == Path(path)
    record(path)
    run = probes.Run(path)
    assert run.steps.tolist() == list(range(5))
    (row,) = probes.catalog(Path(path).parent).to_dict("records")
    assert row["error"] is None


def test_a_name_that_no_file_can_have_is_said(tmp_path):
    with pytest.raises(probes.RunError, match="NUL character"):
        Recorder(f"{tmp_path}/a\0b", LAYERS)
    with pytest.raises(WriteError, match="shorten the name"):
        Recorder(tmp_path / ("a" * 300), LAYERS)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(WriteError, match="name a folder"):
            Recorder(path, LAYERS)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "loop", tmp_path / "loop" / "run"):
        with pytest.raises(WriteError, match="cannot be written"):
            Recorder(path, LAYERS)
