"""The page Runs on a thousand runs: its first paint on a fresh and on a warm server, a filter, its memory.

Measured with `ui_client`, as `ui_changes` does: wall seconds until the last message, and the server's CPU.
"""

from __future__ import annotations

import statistics
from itertools import cycle

from benchmarks.ui_client import Answer, Client
from benchmarks.ui_runs import made_many
from benchmarks.ui_server import Server
from benchmarks.ui_table import Row

RUNS = 1000
COLD_STARTS = 3  # fresh servers
OPENED = 5  # new sessions on a warm server
FILTERS = ("beta<0.01", "beta<0.01 lr=0.001", "seed=1", "nll<0.7 living>50", "window=168 status:finished", "")
COMPARED = 6
VIEWS: dict[str, dict[str, str]] = {
    "seeds together": {"rows": "seeds"},
    f"{COMPARED} runs compared": {"view": "compare", "ticked": ""},
}
ROUNDS = 2  # through all filters; the first is not counted


def runs() -> list[Row]:
    """The page Runs with RUNS runs."""
    folder = made_many(RUNS)
    cold = []
    for _ in range(COLD_STARTS):
        with Server(folder) as server, Client(server, "runs") as client:
            cold.append(client.open())
    with Server(folder) as server:
        warm, filtered = [], []
        for _ in range(OPENED + 1):
            with Client(server, "runs") as client:
                warm.append(client.open())
        with Client(server, "runs") as client:
            client.open()
            turns = cycle(FILTERS)
            for _ in range(ROUNDS * len(FILTERS)):
                filtered.append(client.choose("Find runs", next(turns)))
        views = {}
        for name, query in VIEWS.items():
            if "ticked" in query:
                query = query | {
                    "ticked": ",".join(sorted(path.name for path in folder.iterdir())[:COMPARED])
                }
            with Client(server, "runs", **query) as client:
                views[name] = [client.open() for _ in range(OPENED)]
        memory = server.memory()
    return [
        _row(f"Runs with {RUNS:,} runs, first page of a fresh server", cold, 1.5),
        _row("– a new session on a warm server", warm[1:], 1.0),
        _row("– a filter", filtered[len(FILTERS) :], 0.3),
        *(_row(f"– {name}", answers[1:], 1.0) for name, answers in views.items()),
        Row("– memory of the server then", "<= 600 MB", f"{memory:.0f} MB", memory <= 600),
    ]


def _row(measure: str, answers: list[Answer], most: float) -> Row:
    seconds = statistics.median(answer.seconds for answer in answers)
    slowest = max(answer.seconds for answer in answers)
    cpu = statistics.median(answer.cpu for answer in answers)
    size = statistics.median(answer.size for answer in answers) / 1e3
    found = f"{seconds:.2f} s (slowest {slowest:.2f} s, CPU {cpu:.2f} s, {size:,.0f} KB sent)"
    return Row(measure, f"<= {most:g} s", found, seconds <= most)
