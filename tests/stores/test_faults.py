"""What a store may do to a reader or a mirror, and other writers to a place: planted, one at a time."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from faulty_store import FaultyStore, Request
from stored import LAYERS, record

import probes
from benchmarks.store_server import environment
from probes import mirror, notes, spool
from probes.errors import RunError, WriteError
from probes.fleet.copies import Copies
from probes.log.check import check
from probes.mirror import Mirror, follow, target_of
from probes.spool import Spool
from probes.storage import object_store, open_folder
from probes.storage.lock import FILE as LOCK_FILE
from probes.storage.lock import Lock

ROUND = 0.1
PAGES = "neurons/000000000000-000000000255.parquet"


@pytest.fixture
def store(
    needs_obstore: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    forget: Callable[[], None],
) -> Iterator[FaultyStore]:
    found = FaultyStore()
    for name, value in environment(found.port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PROBES_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PROBES_MIRROR_SECONDS", str(ROUND))
    yield found
    found.stop()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with probes.Recorder(tmp_path / "run", LAYERS, flush_steps=100) as recorder:
        record(recorder, 0, 300, 100)
    return tmp_path / "run"


URL = "s3://b/runs/one"


def indexed(store: FaultyStore) -> dict[str, object]:
    found: dict[str, object] = json.loads(store.objects["b", "runs/_catalog/one.json"])
    return found


def assert_same(folder: Path) -> None:
    for layer in range(len(LAYERS)):
        here, there = (probes.Run(path).history(layer) for path in (folder, URL))
        pd.testing.assert_frame_equal(here, there, check_exact=True)


# ---- answers


def test_every_second_request_is_refused(store: FaultyStore, run: Path) -> None:
    def refuse(request: Request) -> None:
        if len(store.asked) % 2:
            request.refuse(503, "SlowDown")

    store.fault = refuse
    follow(run, target_of(URL), ROUND)
    assert_same(run)


def test_connections_that_end_without_an_answer(store: FaultyStore, run: Path) -> None:
    left = {"PUT": 3, "GET": 3, "POST": 1}

    def hang_up(request: Request) -> None:
        if left.get(request.method, 0):
            left[request.method] -= 1
            store.answer(request) if request.method == "PUT" and left["PUT"] else request.hang_up()

    store.fault = hang_up
    follow(run, target_of(URL), ROUND)
    assert_same(run)


def test_a_body_that_is_cut_short_is_no_answer(store: FaultyStore, run: Path) -> None:
    follow(run, target_of(URL), ROUND)

    def cut(request: Request) -> None:
        content = store.objects.get((request.bucket, request.key), b"")
        if request.method == "GET" and request.key.endswith((PAGES, "run.json")):
            request.say(200, content, cut=len(content) // 2, Last_Modified="Fri, 27 Nov 2026 10:00:00 GMT")

    store.fault = cut
    object_store._client.cache_clear()
    with pytest.raises(RunError, match="cannot be read"):
        probes.Run(URL)
    with pytest.raises(RunError, match="cannot be read"):
        open_folder(URL).fetch([(PAGES, 0, 10)])


def test_a_file_that_is_replaced_between_its_footer_and_its_pages(store: FaultyStore, run: Path) -> None:
    """Its pages are not taken for those of the file whose footer was read."""
    follow(run, target_of(URL), ROUND)
    opened = probes.Run(URL)
    with probes.Recorder.resume(run, 100) as recorder:
        record(recorder, 101, 300, seed=3)
    other = {path.name: path.read_bytes() for path in (run / "neurons").glob("*.parquet")}
    for (bucket, key), _ in list(store.objects.items()):
        if key.startswith("runs/one/neurons/"):
            del store.objects[bucket, key]
    store.objects |= {("b", f"runs/one/neurons/{name}"): content for name, content in other.items()}
    store.objects["b", "runs/one/run.json"] = (run / "run.json").read_bytes()
    pd.testing.assert_frame_equal(opened.history(0), probes.Run(run).history(0), check_exact=True)


@pytest.mark.parametrize(("listed", "elsewhere"), [("0x{}", '"0x{}"'), ('"{}"', 'W/"{}"'), ("{}", '"{}"')])
def test_a_stamp_is_the_same_however_an_answer_writes_it(
    store: FaultyStore, run: Path, listed: str, elsewhere: str
) -> None:
    """Azure's listing has etags without quotes, its other answers with them; proxies make weak ones."""
    store.tag_listed, store.tag = listed.format, elsewhere.format
    mirroring = Mirror(run, target_of(URL), ROUND)
    mirroring.round()
    store.asked.clear()
    mirroring.round()
    assert store.count("PUT", PAGES) == 0
    assert open_folder(URL).stamp("run.json") == open_folder(URL).listed().stamp("run.json")
    assert_same(run)


def test_what_marks_a_folder_is_no_file(store: FaultyStore, run: Path) -> None:
    """Consoles and other tools put an empty object of a folder's name, with `/` after it or without."""
    follow(run, target_of(URL), ROUND)
    shutil.rmtree(run)
    for key in ("runs/", "runs/one/", "runs/one/neurons/", "runs/one/pyramid"):
        store.objects["b", key] = b""
    folder = open_folder(URL)
    for entries in (folder.entries(), folder.listed().entries()):
        folders = {entry.name for entry in entries if entry.is_folder}
        assert folders == {"layers", "neurons", "pyramid", "scalars"}
        assert len({entry.name for entry in entries}) == len(entries)
    assert probes.catalog("s3://b/runs")["name"].tolist() == ["run"]
    spooled = Spool(URL)
    spooled.fetch()
    assert_same(spooled.folder)


def test_an_object_that_no_run_has_is_named(store: FaultyStore, run: Path) -> None:
    follow(run, target_of(URL), ROUND)
    store.objects["b", "runs//odd"] = b""
    with pytest.raises(RunError, match=r'Path "runs//" .*give it another'):
        probes.catalog("s3://b/runs")


def test_a_bucket_that_is_gone(store: FaultyStore, run: Path) -> None:
    def refuse(request: Request) -> None:
        request.refuse(404, "NoSuchBucket", "The specified bucket does not exist")

    store.fault = refuse
    with pytest.raises(WriteError, match=r"^s3://b/runs/one/object cannot be written: .*does not exist$"):
        open_folder(URL).put("object", b"")


@pytest.mark.parametrize("url", ["s3://b/a//b", "s3://b/./b", "s3://b/../b", "s3://b/a\x07b"])
def test_a_place_that_no_object_can_have(needs_obstore: None, url: str) -> None:
    for call in (open_folder, target_of, lambda url: probes.Recorder(url, LAYERS), probes.Run):
        with pytest.raises(RunError, match="has a part that is empty"):
            call(url)


def test_a_large_file_is_put_in_parts_and_once(
    store: FaultyStore, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PUT of one part ends after 60 s, or at 5 GB; one of several is seen when all are there."""
    monkeypatch.setattr(object_store, "PART_BYTES", 5 * 2**20)
    content = os.urandom(12 * 2**20)
    (run / "large.bin").write_bytes(content)
    seen = []

    def look(request: Request) -> None:
        seen.append("partNumber" in request.query and ("b", "runs/one/large.bin") in store.objects)

    store.fault = look
    follow(run, target_of(URL), ROUND)
    assert not any(seen)
    assert store.objects["b", "runs/one/large.bin"] == content
    assert store.count("PUT", "large.bin") == 3
    store.asked.clear()
    follow(run, target_of(URL), ROUND)  # one that knows nothing
    assert store.count("PUT", "large.bin") == 0


def test_a_mirror_that_is_killed_while_it_puts_parts(
    store: FaultyStore, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PART_BYTES", 5 * 2**20)
    (run / "large.bin").write_bytes(os.urandom(12 * 2**20))

    def refuse(request: Request) -> None:
        if request.query.get("partNumber") == "3":
            request.refuse(400, "EntityTooSmall")

    store.fault = refuse
    with pytest.raises(WriteError, match=r"large\.bin cannot be written"):
        Mirror(run, target_of(URL), ROUND).round()
    assert ("b", "runs/one/large.bin") not in store.objects
    assert probes.Run(URL).status == "running"  # not finished: the store has not all of it
    store.fault = None
    follow(run, target_of(URL), ROUND)
    assert store.objects["b", "runs/one/large.bin"] == (run / "large.bin").read_bytes()
    assert probes.Run(URL).status == "finished"


# ---- a place and those who write there


def test_two_that_begin_at_once(store: FaultyStore, tmp_path: Path) -> None:
    """Both find the place empty; one has it, and of the other no file is put."""
    recorders = [probes.Recorder(tmp_path / name, LAYERS) for name in ("a", "b")]
    for seed, recorder in enumerate(recorders):
        record(recorder, 0, 100, seed=5 * seed)
        recorder.flush()
    states = [json.loads((tmp_path / name / "run.json").read_bytes()) for name in ("a", "b")]
    for name, state in zip(("a", "b"), states, strict=True):  # as two machines say it within a second
        state["created"] = states[0]["created"]
        (tmp_path / name / "run.json").write_text(json.dumps(state))
    both = [Mirror(tmp_path / name, target_of(URL), ROUND) for name in ("a", "b")]

    def second(request: Request) -> None:
        if request.method == "PUT":  # its listing was answered
            store.fault = None
            both[1].round()

    store.fault = second
    with pytest.raises(RunError, match="holds another run"):
        both[0].round()
    assert_same(tmp_path / "b")
    assert sum(key.startswith("runs/one/neurons/") for _, key in store.objects) == 1
    both[1].round()
    for recorder in recorders:
        recorder.close()


def test_a_job_that_was_started_again_elsewhere(store: FaultyStore, tmp_path: Path) -> None:
    """The machine that was given up for lost still runs: it stops, and the run is that of the new one."""
    lost = probes.Recorder(tmp_path / "lost", LAYERS, flush_steps=10)
    record(lost, 0, 100, 10)
    lost.flush()
    first = Mirror(tmp_path / "lost", target_of(URL), ROUND)
    first.round()
    spooled = Spool(URL)
    spooled.fetch()
    resumed = probes.Recorder.resume(spooled.folder, 79, flush_steps=10)
    record(resumed, 80, 120, 10, seed=5)
    resumed.flush()
    again = Mirror(spooled.folder, target_of(URL), ROUND)
    again.round()
    record(lost, 100, 150, 10)
    lost.flush()
    before = dict(store.objects)
    for _ in range(2):
        with pytest.raises(RunError, match="resumed elsewhere"):
            first.round()
    assert store.objects == before
    record(resumed, 120, 140, 10, seed=5)
    resumed.close()
    again.round()
    assert_same(spooled.folder)
    lost.close()


def test_a_store_without_conditional_puts(store: FaultyStore, run: Path) -> None:
    def refuse(request: Request) -> None:
        if request.headers.get("If-None-Match"):
            request.refuse(501, "NotImplemented", "A header implies functionality that is not implemented")

    store.fault = refuse
    follow(run, target_of(URL), ROUND)
    assert_same(run)


def test_a_mirror_that_is_killed_before_the_row_of_the_index(
    store: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of runs would say for ever that the run is under way."""
    recorder = probes.Recorder(tmp_path / "run", LAYERS)
    record(recorder, 0, 50)
    recorder.flush()
    Mirror(tmp_path / "run", target_of(URL), ROUND).round()
    recorder.close()

    def killed(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mirror.stored_catalog, "index_entry", killed)
        with pytest.raises(KeyboardInterrupt):
            Mirror(tmp_path / "run", target_of(URL), ROUND).round()
    assert probes.Run(URL).status == "finished"
    follow(tmp_path / "run", target_of(URL), ROUND)
    assert probes.catalog("s3://b/runs")["status"].tolist() == ["finished"]


def test_notes_of_a_run_that_has_ended_reach_the_index(store: FaultyStore, run: Path) -> None:
    follow(run, target_of(URL), ROUND)
    notes.write(run, ["good"], "as planned")
    follow(run, target_of(URL), ROUND)
    assert indexed(store)["notes"] == json.loads((run / notes.NAME).read_bytes())
    assert probes.catalog("s3://b/runs")["notes"].tolist() == ["as planned"]


# ---- the run's own folder


def test_a_file_that_no_object_can_be_named_as_keeps_nothing_back(store: FaultyStore, run: Path) -> None:
    (run / "odd\x07name.txt").write_text("a")
    with open(os.fsencode(run) + b"/latin\xff.txt", "w", encoding="utf-8") as file:
        file.write("b")
    said: list[str] = []
    follow(run, target_of(URL), ROUND, said.append)
    assert_same(run)
    assert said[-1] == mirror.COMPLETE
    assert [line for line in said if "is left out" in line] == [
        r"latin\udcff.txt is left out: no object can have this name; rename it",
        "odd\x07name.txt is left out: no object can have this name; rename it",
    ]


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid"), reason="permissions")
def test_a_file_that_cannot_be_read_is_told_and_the_mirror_goes_on(
    store: FaultyStore, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing, real = [True], Mirror._put

    def put(self: Mirror, path: str) -> None:
        if path == "locked.txt" and refusing:
            refusing.clear()
            raise PermissionError(13, "Permission denied", path)
        real(self, path)

    monkeypatch.setattr(Mirror, "_put", put)
    (run / "locked.txt").write_text("a")
    said: list[str] = []
    follow(run, target_of(URL), ROUND, said.append)
    assert "Permission denied" in said[0]
    assert said[-1] == mirror.COMPLETE


def test_a_mirror_that_dies_at_once_is_started_ever_less_often(
    needs_obstore: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBES_SPOOL", str(tmp_path))
    began: list[float] = []

    class Dead:
        returncode, stdout = 1, ()

        def __enter__(self) -> Dead:
            began.append(time.monotonic())
            return self

        def __exit__(self, *_: object) -> None:
            return None

    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 8:
            kept._complete.set()

    kept = Spool("s3://b/runs/dying")
    monkeypatch.setattr(kept, "_started", Dead)
    monkeypatch.setattr(spool.time, "sleep", pause)
    kept._keep()
    assert len(began) == 8
    assert paused == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_writer_is_not_kept_out_by_a_mirror_that_looks_for_one(run: Path) -> None:
    held = Lock(run, LOCK_FILE)
    threading.Timer(0.01, held.release).start()
    Lock(run, LOCK_FILE).release()
    held = Lock(run, LOCK_FILE)
    with pytest.raises(RunError, match="is being written by another recorder"):
        Lock(run, LOCK_FILE)
    held.release()


# ---- answers that are none


def say_what_is_stored(request: Request, status: int, start: int, stop: int, told: str = "") -> None:
    """Answer a GET with some bytes of the object, whatever was asked for."""
    content = request.server.objects[request.bucket, request.key]
    where = {"Content_Range": told or f"bytes {start}-{stop - 1}/{len(content)}"} if status == 206 else {}
    tag = request.server.tag(request.server.digest(content))
    request.say(status, content[start:stop], ETag=tag, Last_Modified="Fri, 27 Nov 2026 10:00:00 GMT", **where)


@pytest.mark.parametrize("fault", ["200", "another range", "other bytes under the right range"])
def test_what_is_not_the_range_that_was_asked_for_is_refused(
    store: FaultyStore, run: Path, forget: Callable[[], None], fault: str
) -> None:
    follow(run, target_of(URL), ROUND)
    forget()

    def plant(request: Request) -> None:
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range") or ""):
            start, stop = int(found[1]), int(found[2]) + 1
            size = len(store.objects[request.bucket, request.key])
            if fault == "200":
                say_what_is_stored(request, 200, 0, size)
            elif fault == "another range":
                say_what_is_stored(request, 206, start + 1, stop)
            else:
                stop = min(stop, size)
                told = f"bytes {start}-{stop - 2}/{size}"
                say_what_is_stored(request, 206, start + 1, stop, told)

    store.fault = plant
    with pytest.raises(RunError, match=re.escape(PAGES)):
        probes.Run(URL).history(0)


def test_a_page_in_the_place_of_a_listing_is_no_run_without_rows(
    store: FaultyStore, run: Path, forget: Callable[[], None]
) -> None:
    """A proxy or a sign-in page says 200 to everything: read as XML, it lists nothing."""
    follow(run, target_of(URL), ROUND)
    forget()
    opened = probes.Run(URL)

    def sign_in(request: Request) -> None:
        if not request.key:
            request.say(200, b"<html>Sign in to the network</html>")

    store.fault = sign_in
    for ask in (opened.refresh, lambda: probes.Run(URL)):
        with pytest.raises(RunError, match=r"listed without the run\.json"):
            ask()
    assert any("listed without" in finding.what for finding in check(URL))
    copies = Copies()
    with pytest.raises(RunError, match=r"listed without the run\.json"):
        copies.listing(URL)
    copies.close()


def test_the_second_page_of_a_listing_that_is_refused_leaves_no_half_of_it(
    store: FaultyStore, run: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]
) -> None:
    follow(run, target_of(URL), ROUND)
    forget()
    listing = store._listing
    more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>next</NextContinuationToken>"
    monkeypatch.setattr(
        store, "_listing", lambda asked: listing(asked).replace(b"<IsTruncated>false</IsTruncated>", more)
    )
    store.fault = lambda asked: "continuation-token" in asked.query and asked.refuse(403, "AccessDenied")
    with pytest.raises(RunError, match="cannot be listed"):
        probes.Run(URL)


def test_a_run_that_is_deleted_while_it_is_read(store: FaultyStore, run: Path) -> None:
    follow(run, target_of(URL), ROUND)
    opened = probes.Run(URL)
    store.objects.clear()
    for ask in (lambda: opened.history(0), opened.scalars, opened.refresh, lambda: probes.Run(URL)):
        with pytest.raises(RunError, match="holds no run"):
            ask()


@pytest.mark.parametrize(
    "url", ["s3://b/a b/ü+%41&=,(1)", "s3://b/~x/%2F..y/'q'", "s3://b/日本/🙂"], ids=["a", "b", "c"]
)
def test_a_place_with_letters_that_urls_escape(
    store: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, forget: Callable[[], None]
) -> None:
    """And a spool whose folder has a space."""
    monkeypatch.setenv("PROBES_SPOOL", str(tmp_path / "spool of mine"))
    with probes.Recorder(url, LAYERS) as recorder:
        record(recorder, 0, 3)
    forget()
    assert ("b", f"{url.removeprefix('s3://b/')}/run.json") in store.objects
    assert probes.Run(url).steps.tolist() == [0, 1, 2]
    assert probes.catalog(url.rpartition("/")[0])["path"].tolist() == [url]


# ---- what an error holds


def test_no_error_holds_a_secret(
    store: FaultyStore, run: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[], None]
) -> None:
    """Not in what it was raised from either, nor in the variables of the frames that it passed."""
    follow(run, target_of(URL), ROUND)
    secret = "planted-secret-key"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    store.fault = lambda asked: asked.refuse(403, "SignatureDoesNotMatch", f"{secret} is not the key")
    for ask in (
        lambda: probes.Run(URL),
        lambda: probes.catalog("s3://b/runs"),
        lambda: open_folder(URL).put("a", b""),
    ):
        with pytest.raises((RunError, WriteError)) as raised:
            ask()
        shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        seen: BaseException | None = raised.value
        while seen is not None:
            assert secret not in f"{seen}{seen!r}"
            seen = seen.__cause__ or seen.__context__
        ours = [frame for frame in shown.stack if f"{os.sep}probes{os.sep}" in frame.filename]
        assert ours
        assert not [
            frame.name for frame in ours if "tests" not in frame.filename and secret in str(frame.locals)
        ]
    client = open_folder(URL)
    assert secret not in f"{client!r}{vars(client)!r}"


# ---- resumed


def test_a_spool_that_was_left_behind_is_not_gone_on_with(
    store: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store would take nothing of it: said before the training, not after."""
    with probes.Recorder(URL, LAYERS) as recorder:
        record(recorder, 0, 3)
    first = os.environ["PROBES_SPOOL"]
    monkeypatch.setenv("PROBES_SPOOL", str(tmp_path / "elsewhere"))
    with probes.Recorder.resume(URL, 2) as recorder:
        record(recorder, 3, 5)
    monkeypatch.setenv("PROBES_SPOOL", first)
    with pytest.raises(RunError, match="was resumed elsewhere"):
        probes.Recorder.resume(URL, 2)
    shutil.rmtree(spool.spool_folder(URL))  # what the message says
    with probes.Recorder.resume(URL, 4) as recorder:
        record(recorder, 5, 6)
    assert probes.Run(URL).steps.tolist() == list(range(6))


def test_a_disk_that_fills_while_a_run_is_fetched(
    store: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and no half manifest stays in the way of the next resume."""
    with probes.Recorder(URL, LAYERS) as recorder:
        record(recorder, 0, 3)
    monkeypatch.setenv("PROBES_SPOOL", str(tmp_path / "elsewhere"))
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        write(path, content[:50])
        if b'"segments"' in content:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(WriteError, match="the disk is full"):
            probes.Recorder.resume(URL, 2)
    with probes.Recorder.resume(URL, 2) as recorder:
        record(recorder, 3, 5)
    assert probes.Run(URL).steps.tolist() == list(range(5))
