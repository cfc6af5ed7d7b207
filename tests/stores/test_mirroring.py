"""What is recorded into a store: nothing is lost by kills, outages, a full disk, a resume, a move."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from failing_disk import FailingDisk
from networks import SiblingVAE
from stored import LAYERS, record
from torch import randn

import probes
from benchmarks.store_server import Proxy, Server, mirrors
from probes import mirror, spool
from probes.errors import RunError
from probes.log import manifest
from probes.log.check import check
from probes.mirror import Mirror, follow, target_of
from probes.recorder import RecorderError
from probes.spool import spool_folder
from probes.storage import object_store, open_folder
from probes.storage.lock import Lock
from probes.storage.object_store import ListedObjects

KILLS = int(os.environ.get("STORE_KILLS", "5"))  # a soak sets more
READINGS = int(os.environ.get("STORE_READINGS", "25"))
ROUND = 1.0


def objects(url: str) -> dict[str, int | None]:
    """Path -> size of all that the store has of a run."""
    listing = open_folder(url).listed()
    assert isinstance(listing, ListedObjects)
    return {path: entry.size for path, entry in listing.objects.items()}


def files(folder: Path) -> dict[str, int]:
    """The same of a folder, but for what belongs to its processes."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.stat().st_size for name, path in found.items() if not path.name.startswith(".")}


def assert_mirrored(url: str, folder: Path) -> None:
    """Every file that counts is the same here and there, and so are the answers."""
    for table in probes.log.rows.TABLES:
        local = {Path(path).name: Path(path).read_bytes() for path in probes.Run(folder).files(table)}
        stored = [path.rpartition("/")[2] for path in probes.Run(url).files(table)]
        assert stored == list(local), table
        for name, content in local.items():
            assert open_folder(url).read(f"{table}/{name}", 2**30) == content, name
    for layer in range(len(LAYERS)):
        here, there = (probes.Run(path).history(layer) for path in (folder, url))
        pd.testing.assert_frame_equal(here, there, check_exact=True)


def errors(url: str) -> list[object]:
    return [finding for finding in check(url) if finding.level == "error"]


def eventually(said: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_recorded_run_lies_in_the_store(url: str) -> None:
    with probes.Recorder(url, LAYERS, {"seed": 1}, flush_seconds=0.2) as recorder:
        assert recorder.path == spool_folder(url)
        record(recorder, 0, 200, 20)
        eventually(lambda: open_folder(url).stamp("run.json") is not None)
        live = probes.Run(url)
        assert live.status == "running"
        assert live.steps.tolist() == list(range(live.steps.size))
        record(recorder, 200, 300, 20)
    run = probes.Run(url)
    assert (run.status, run.name, run.steps.size) == ("finished", url.rpartition("/")[2], 300)
    assert_mirrored(url, recorder.path)
    assert errors(url) == []
    eventually(lambda: objects(url).keys() - files(recorder.path).keys() == {"footers.zst"})
    assert files(recorder.path).keys() <= objects(url).keys()
    with pytest.raises(RunError, match="holds a run already: continue it with Recorder.resume"):
        probes.Recorder(url, LAYERS)


def test_a_watched_run_lies_in_the_store(url: str) -> None:
    model = SiblingVAE()
    with probes.watch(model, url) as watching:
        for step in range(3):
            model(randn(8, 6))
            watching.step(step, loss=1.0)
    assert probes.Run(url).steps.size == 3
    with pytest.raises(RunError, match="holds a run already"):
        probes.watch(model, url)


# ---- a round


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with probes.Recorder(tmp_path / "run", LAYERS, flush_steps=100) as recorder:
        record(recorder, 0, 300, 100)
    return tmp_path / "run"


def test_a_large_file_in_parts_is_put_once(
    run: Path, url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's etag of it is the one that is reckoned with."""
    monkeypatch.setattr(object_store, "PART_BYTES", 5 * 2**20)
    (run / "large.bin").write_bytes(os.urandom(11 * 2**20))
    for puts in (3, 0):
        proxy.clear()
        Mirror(run, target_of(url), ROUND).round()
        assert sum(one.method == "PUT" and "large.bin" in one.path for one in proxy.requests) == puts
    assert open_folder(url).read("large.bin", 2**30) == (run / "large.bin").read_bytes()


def test_each_file_is_put_once_the_manifest_last(run: Path, url: str, proxy: Proxy) -> None:
    mirroring = Mirror(run, target_of(url), ROUND)
    proxy.clear()
    assert mirroring.round() == "finished"
    name = url.removeprefix("s3:/")
    first, *put = [one.path.removeprefix(f"{name}/") for one in proxy.requests if one.method == "PUT"]
    assert first == "run.json"  # of no rows: the place is taken
    assert Counter(put).most_common(1)[0][1] == 1
    assert put[-2:] == ["run.json", f"/runs/_catalog/{url.rpartition('/')[2]}.json"]
    folders = list(dict.fromkeys(path.rpartition("/")[0] for path in put))
    assert folders.index("scalars") < folders.index("neurons") < folders.index("pyramid/16")
    for again in (mirroring, Mirror(run, target_of(url), ROUND)):  # also one that knows nothing
        proxy.clear()
        again.round()
        assert [one.path for one in proxy.requests if one.method == "PUT"] == []


def test_what_is_covered_stays_for_a_round(tmp_path: Path, url: str) -> None:
    recorder = probes.Recorder(tmp_path / "run", LAYERS, flush_steps=10)
    record(recorder, 0, 100, 10)
    recorder.flush()
    mirroring = Mirror(tmp_path / "run", target_of(url), ROUND)
    mirroring.round()
    before = {path for path in objects(url) if path.startswith("neurons/")}
    record(recorder, 100, 256, 10)
    recorder.close()
    mirroring.round()
    covered = before - files(tmp_path / "run").keys()
    assert covered
    assert covered <= objects(url).keys()
    mirroring.round()
    assert covered <= objects(url).keys()
    assert mirroring.waiting
    time.sleep(ROUND)
    mirroring.round()
    assert not covered & objects(url).keys()
    assert not mirroring.waiting
    assert_mirrored(url, tmp_path / "run")


def test_a_run_in_a_store_lives_as_long_as_its_mirror_takes(url: str, tmp_path: Path) -> None:
    recorder = probes.Recorder(tmp_path / "run", LAYERS)
    Mirror(tmp_path / "run", target_of(url), 60.0).round()
    told = manifest.read(open_folder(url))
    assert told["mirror_seconds"] == 60.0
    for age, status in ((100.0, "running"), (400.0, "crashed")):
        assert manifest.status(told | {"heartbeat": time.time() - age}) == status
    recorder.close()


def test_another_run_is_not_written_over(run: Path, url: str, tmp_path: Path) -> None:
    follow(run, target_of(url), ROUND)
    before = objects(url)
    time.sleep(1.1)  # a manifest says when the run began to the second
    with probes.Recorder(tmp_path / "other", LAYERS) as recorder:
        record(recorder, 0, 50)
    with pytest.raises(RunError, match="holds another run"):
        follow(tmp_path / "other", target_of(url), ROUND)
    assert objects(url) == before


def test_rows_that_a_resume_set_aside_are_not_in_the_store(run: Path, url: str) -> None:
    mirroring = Mirror(run, target_of(url), ROUND)
    mirroring.round()
    with probes.Recorder.resume(run, 270) as recorder:
        record(recorder, 271, 290, seed=5)
    mirroring.round()
    assert probes.Run(url).steps.tolist() == list(range(290))
    assert_mirrored(url, run)
    assert any(path.startswith("superseded/") for path in objects(url))
    assert errors(url) == []


@pytest.mark.parametrize("cut", range(0, 12, 2))
def test_a_mirror_that_dies_within_a_resumed_round(
    run: Path, url: str, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was done of it, what is read is a state that the run was in, and the next mirror goes on."""
    first = probes.Run(run).history(0)
    Mirror(run, target_of(url), ROUND).round()
    with probes.Recorder.resume(run, 270) as recorder:
        record(recorder, 271, 600, seed=5)
    target, left = target_of(url), [cut]

    def count(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return call(*arguments)

        return counted

    for name in ("put", "put_stamped", "delete"):
        monkeypatch.setattr(target, name, count(getattr(target, name)))
    with pytest.raises(KeyboardInterrupt):
        Mirror(run, target, ROUND).round()
    found, last = probes.Run(url).history(0), probes.Run(run).history(0)
    until = found["step"].max()
    states = [state[state["step"] <= until].reset_index(drop=True) for state in (first, last)]
    assert any(found.equals(state) for state in states)
    Mirror(run, target_of(url), ROUND).round()
    assert_mirrored(url, run)


def test_a_mirror_ends_with_its_folder(run: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Mirror, "round", lambda self: (run / "run.json").unlink() or manifest.read(self._local)
    )
    with pytest.raises(RunError, match="holds no run any more: there is nothing to mirror"):
        follow(run, target_of(url), ROUND)


def test_a_run_is_left_when_its_writer_has_let_go_of_it(run: Path) -> None:
    """The summary of the neurons is written after the final status, and is to be in the store too."""
    lock = Lock(run)
    assert not mirror._is_left(run)
    lock.release()
    assert mirror._is_left(run)
    with probes.Recorder.resume(run, 290):
        assert not mirror._is_left(run)


# ---- what may happen


WRITER = """
import sys, time
import numpy as np
from probes import Recorder
from stored import LAYERS, record
url, start = sys.argv[1], int(sys.argv[2])
fast = {"flush_seconds": 0.1}
recorder = Recorder.resume(url, start - 1, **fast) if start else Recorder(url, LAYERS, **fast)
print("ready", flush=True)
for step in range(start, 10**9):
    record(recorder, step, step + 1)
    time.sleep(0.002)
"""


def begin(url: str, step: int) -> subprocess.Popen[str]:
    here = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, str(step)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": here},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


class Reader(threading.Thread):
    """Reads a run again and again; what is wrong is in `wrong`."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.count, self.wrong = url, 0, list[str]()
        self.ended = threading.Event()
        self.largest = 0

    def run(self) -> None:
        while not self.ended.wait(0.1):
            try:
                run = probes.Run(self.url)
                steps = run.steps
                frame = run.history(1, [2], ["information", "mismatch", "kl"])
            except RunError as error:
                if "holds no run" not in str(error):
                    self.wrong.append(str(error))
                continue
            rows = frame["step"].to_numpy()
            information = np.abs(np.sin(0.1 * rows + 2)).astype(np.float32)
            if steps.tolist() != list(range(steps.size)) or not set(steps) >= set(rows):
                self.wrong.append(f"steps {steps}")
            if not np.array_equal(frame["information"].to_numpy(), information):
                self.wrong.append(f"rows up to {rows.max()}")
            self.count += 1
            self.largest = max(self.largest, steps.size)


@pytest.fixture
def reader(url: str) -> Iterator[Reader]:
    found = Reader(url)
    found.start()
    yield found
    found.ended.set()
    found.join()


def test_kills_of_writer_and_mirror(url: str, reader: Reader) -> None:
    rng = np.random.default_rng(20261127)
    folder, step = spool_folder(url), 0
    for kill in range(KILLS):
        writer = begin(url, step)
        if not kill:
            eventually(lambda: open_folder(url).stamp("run.json") is not None)
        time.sleep(rng.uniform(0.3, 1.5))
        for process in mirrors(folder):
            os.kill(process, signal.SIGKILL)
        if kill % 2:
            time.sleep(rng.uniform(0.0, 2.0))  # the writer starts another
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        step = int(probes.Run(folder).steps.size)
    eventually(lambda: reader.count >= READINGS, 60.0 + READINGS)
    with probes.Recorder.resume(url, step - 1) as recorder:
        record(recorder, step, step + 20)
    reader.ended.set()
    reader.join()
    assert reader.wrong == []
    assert reader.largest > 0
    for process in mirrors(folder):  # of writers that were killed: each waits for the one before it
        os.kill(process, signal.SIGKILL)
    assert probes.Run(url).steps.size == step + 20
    assert_mirrored(url, folder)
    assert errors(url) == []


def test_an_outage_loses_nothing(url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "WAIT_SECONDS", 0.5)
    recorder = probes.Recorder(url, LAYERS, flush_seconds=0.1)
    record(recorder, 0, 50, 10)
    eventually(lambda: open_folder(url).stamp("run.json") is not None)
    proxy.refusing = True
    record(recorder, 50, 300, 10)
    with pytest.warns(RuntimeWarning, match=r"has not all of the run yet.*`probes mirror \S+ s3://"):
        recorder.close()
    proxy.refusing = False
    follow(recorder.path, target_of(url), ROUND)  # after the one that is at work, or instead of it
    assert probes.Run(url).steps.size == 300
    assert_mirrored(url, recorder.path)


def test_a_store_that_is_away_at_the_start(url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.refusing = True
    with pytest.warns(RuntimeWarning, match="recording goes on in"):
        recorder = probes.Recorder(url, LAYERS)
    record(recorder, 0, 20)
    proxy.refusing = False
    recorder.close()
    assert_mirrored(url, recorder.path)


def test_a_server_that_is_restarted(url: str, server: Server) -> None:
    recorder = probes.Recorder(url, LAYERS, flush_seconds=0.1)
    record(recorder, 0, 100, 10)
    eventually(lambda: open_folder(url).stamp("run.json") is not None)
    server.stop()
    record(recorder, 100, 200, 10)
    server.start()
    record(recorder, 200, 300, 10)
    recorder.close()
    assert_mirrored(url, recorder.path)


def test_a_full_spool(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FailingDisk(monkeypatch)
    recorder = probes.Recorder(url, LAYERS, flush_seconds=0.1, strict=False)
    record(recorder, 0, 100, 10)
    recorder.flush()
    disk.full = True
    with pytest.warns(RuntimeWarning, match="The rows are kept in memory and tried again"):  # noqa: PT031
        record(recorder, 100, 200, 10)
        recorder.flush()
    eventually(lambda: open_folder(url).stamp("run.json") is not None)
    steps = probes.Run(url).steps
    assert steps.tolist() == list(range(steps.size))
    disk.full = False
    record(recorder, 200, 300, 10)
    recorder.close()
    assert probes.Run(url).steps.size == 300
    assert_mirrored(url, recorder.path)


def test_a_run_goes_on_on_another_machine(url: str) -> None:
    with probes.Recorder(url, LAYERS) as recorder:
        record(recorder, 0, 300)
    eventually(lambda: not mirrors(recorder.path))
    shutil.rmtree(recorder.path)
    with probes.Recorder.resume(url, 279) as recorder:
        record(recorder, 280, 310)
    assert probes.Run(url).steps.tolist() == list(range(310))
    assert_mirrored(url, recorder.path)
    with pytest.raises(RunError, match="holds no run to resume"):
        probes.Recorder.resume(f"{url}-other", 3)


def test_a_run_that_failed_to_close_is_mirrored_as_it_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FailingDisk(monkeypatch)
    recorder = probes.Recorder(url, LAYERS, flush_seconds=0.1)
    record(recorder, 0, 100, 10)
    recorder.flush()
    disk.full = True
    with pytest.raises(RecorderError):
        recorder.close()
    disk.full = False
    eventually(lambda: open_folder(url).stamp("run.json") is not None)
    eventually(lambda: probes.Run(url).steps.size == 100)
    for process in mirrors(recorder.path):
        os.kill(process, signal.SIGKILL)
