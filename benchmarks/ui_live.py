"""What the server spends on a page of a run that is being written: after a flush, and after a mere heartbeat.

`ui_client` asks for the page again, as a page does of itself when its run has grown; nothing is drawn.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.ui_client import Client
from benchmarks.ui_runs import Planned, recorder_of, write_probe, write_steps
from benchmarks.ui_server import Server
from benchmarks.ui_table import Row
from benchmarks.ui_watch import Accesses

LIVE = Planned("live", (256,) * 3, 2_000)
WRITTEN = 1_200  # steps that are there when the page is opened first
PROBED = (10, 100, 400, 1_100)  # steps with a probe batch
STEPS_PER_FLUSH = 2
ROUNDS = 15  # of each kind; the first is not counted
PAGES = {
    "Replay": ("", {}),
    "Neurons": ("neurons", {"pin": "0.7,1.9,2.31"}),
    "Health": ("health", {}),
    "Layers": ("layers", {}),
}
AT_STEP = {"step": 1_000}  # the cursor rests on a step that stays as it is


def flushes() -> list[Row]:
    """CPU and files opened by one run of each page, the cursor at rest: median over rounds."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="benchmark-ui-") as name, ExitStack() as stack:
        path = Path(name) / "live"
        recorder = stack.enter_context(recorder_of(path, LIVE))
        write_steps(recorder, LIVE, 0, WRITTEN)
        for step in PROBED:
            write_probe(recorder, LIVE, step, np.random.default_rng(step))
        recorder.flush()
        server = stack.enter_context(Server(Path(name)))
        accesses = stack.enter_context(Accesses(path))
        done = WRITTEN

        def flush() -> None:
            nonlocal done
            write_steps(recorder, LIVE, done, done + STEPS_PER_FLUSH)
            done += STEPS_PER_FLUSH
            recorder.flush()

        def heartbeat() -> None:
            """The manifest anew, as the recorder writes it while it has nothing else to write."""
            temporary = path / ".tmp-run.json"
            temporary.write_bytes((path / "run.json").read_bytes())
            os.replace(temporary, path / "run.json")

        for title, (page, query) in PAGES.items():
            with Client(server, page, run="live", **query, **AT_STEP) as client:
                client.open()
                for what, change in (("a flush", flush), ("a heartbeat", heartbeat)):
                    rows.append(_row(f"live run, {title} again after {what}", client, change, accesses))
    return rows


def _row(name: str, client: Client, change: Callable[[], None], accesses: Accesses) -> Row:
    cpu, opened = [], []
    for _ in range(ROUNDS):
        change()
        accesses.opened()
        cpu.append(1e3 * client.go().cpu)
        opened.append(sum(one.endswith(".parquet") for one in accesses.opened()))
    files = statistics.median(opened[1:])
    found = f"CPU {statistics.mean(cpu[1:]):.0f} ms, {files:.0f} Parquet files opened"
    return Row(
        name, "no file again that was there before", found, files <= (0 if "heartbeat" in name else 12)
    )
