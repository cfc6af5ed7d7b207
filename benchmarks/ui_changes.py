"""What the server spends on a long run: a change on each page, the first page of a fresh server, memory of
five sessions.

Measured with `ui_client`, which draws nothing: wall seconds from asking until the last message, beside the
CPU seconds of the server's process, which hardly feel what else the machine does.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from benchmarks.ui_client import Answer, Client
from benchmarks.ui_runs import LONG, made
from benchmarks.ui_server import Server
from benchmarks.ui_table import Row

CHANGES = 15  # of each kind; the first is not counted
COLD_STARTS = 3  # fresh servers a page
# until the caches, which keep 64 slices of a kind, are full; then those that must cost nothing
FILLING, INTERACTIONS = 200, 200
EVERY = 50  # interactions between two looks at the memory
# growth over the later interactions that still counts as flat: the allocator's ups and downs, no leak
FLAT = 0.05
STATISTIC = "Information"  # what the page Layers shows first
SEARCHED = "sort:-kl"  # a table of neurons from all layers


@dataclass(frozen=True)
class Case:
    """A kind of change on a page: `changes(client)` makes one at each `next`."""

    name: str
    page: str
    changes: Callable[[Client], Iterator[Answer]]
    median_ms: int = 100
    """The goal."""


def statistic_of_layers(client: Client) -> Iterator[Answer]:
    for statistic in _turns(client.options("Statistic"), STATISTIC):
        yield client.choose("Statistic", statistic)


def layer_of_layers(client: Client) -> Iterator[Answer]:
    """Another layer; the statistic is changed in between, which is not counted, so that no map was looked at
    before.
    """
    layers = client.options("Layer of the map")
    turns = _turns(layers, layers[0])
    for statistic in _turns(client.options("Statistic"), STATISTIC):
        client.choose("Statistic", statistic)
        for _ in layers[1:]:
            yield client.choose("Layer of the map", next(turns))


def layer_of_persistence(client: Client) -> Iterator[Answer]:
    layers = client.options("Layer")
    turns = _turns(layers, layers[0])
    for step in _steps():
        client.go(step=step)
        for _ in layers[1:]:
            yield client.choose("Layer", next(turns))


def cursor_of_health(client: Client) -> Iterator[Answer]:
    for step in _steps():
        yield client.trigger("regimes", "cursor", step)


def cursor_of_replay(client: Client) -> Iterator[Answer]:
    for step in _steps():
        yield client.trigger("replay", "cursor", step)


def step_of_uncertainty(client: Client) -> Iterator[Answer]:
    for step in _steps():
        yield client.go(step=step)


def one_of_pinned(count: int) -> Callable[[Client], Iterator[Answer]]:
    """Pin `count` neurons of all layers, then replace one of them by another at each change."""

    def changes(client: Client) -> Iterator[Answer]:
        client.choose("Find neurons", SEARCHED)
        rows = list(range(count))
        client.tick(rows)
        while True:
            rows[rows.index(min(rows))] = max(rows) + 1
            yield client.tick(rows)

    return changes


def _turns(options: list[str], shown: str) -> Iterator[str]:
    """The options in turn for ever, beginning with the one after the one that is shown."""
    first = options.index(shown) + 1
    return islice(cycle(options), first, None)


def _steps() -> Iterator[int]:
    draw = np.random.default_rng(0)
    while True:
        yield int(draw.integers(LONG.steps))


CASES = (
    Case("Health, step", "health", cursor_of_health),
    Case("Replay, step", "", cursor_of_replay),
    Case("Layers, statistic", "layers", statistic_of_layers),
    Case("Layers, layer", "layers", layer_of_layers),
    Case("Neurons, 1 pinned, another one", "neurons", one_of_pinned(1)),
    Case("Neurons, 3 pinned, another one", "neurons", one_of_pinned(3)),
    Case("Neurons, 8 pinned, another one", "neurons", one_of_pinned(8), median_ms=150),
    Case("Uncertainty, step", "uncertainty", step_of_uncertainty),
    Case("Persistence, layer", "persistence", layer_of_persistence),
)
SESSIONS = (
    "Health, step",
    "Replay, step",
    "Layers, layer",
    "Neurons, 3 pinned, another one",
    "Uncertainty, step",
)


def changes() -> list[Row]:
    """Every kind of change on one warm server; a row for all of them and one a kind."""
    rows, everything = [], []
    with Server(made(LONG)) as server:
        for case in CASES:
            with Client(server, case.page, run=LONG.name) as client:
                client.open()
                making = case.changes(client)
                answers = [next(making) for _ in range(CHANGES)][1:]
            everything += answers
            rows.append(_change_row(f"– {case.name}", answers, case.median_ms))
    return [_change_row(f"change of neuron, layer, statistic or step, {_long()}, server", everything), *rows]


def _change_row(name: str, answers: list[Answer], goal: int = 100) -> Row:
    median, high = (
        float(np.quantile([1e3 * answer.seconds for answer in answers], share)) for share in (0.5, 0.95)
    )
    cpu = 1e3 * statistics.median(answer.cpu for answer in answers)
    size = statistics.median(answer.size for answer in answers) / 1e3
    found = f"median {median:.0f} ms, p95 {high:.0f} ms (CPU {cpu:.0f} ms, {size:,.0f} KB sent)"
    return Row(name, f"median <= {goal} ms, p95 <= 250 ms", found, median <= goal and high <= 250)


def cold() -> list[Row]:
    """The first page that a fresh server shows."""
    rows = []
    for title, page in (("Health", "health"), ("Replay", "")):
        answers = []
        for _ in range(COLD_STARTS):
            with Server(made(LONG)) as server, Client(server, page, run=LONG.name) as client:
                answers.append(client.open())
        seconds = statistics.median(answer.seconds for answer in answers)
        cpu = statistics.median(answer.cpu for answer in answers)
        found = f"{seconds:.2f} s (CPU {cpu:.2f} s)"
        rows.append(
            Row(f"that run cold, {title}, first page of a fresh server", "<= 1.5 s", found, seconds <= 1.5)
        )
    return rows


def memory() -> list[Row]:
    """Resident memory of the server while five sessions, each on a page of its own, take turns."""
    cases = {case.name: case for case in CASES}
    with Server(made(LONG)) as server, ExitStack() as stack:
        start = server.memory()
        making = []
        for name in SESSIONS:
            client = stack.enter_context(Client(server, cases[name].page, run=LONG.name))
            client.open()
            making.append(cases[name].changes(client))
        found = [server.memory()]
        for index in range(FILLING + INTERACTIONS):
            next(making[index % len(making)])
            if (index + 1) % EVERY == 0:
                found.append(server.memory())
        torch = server.has_torch()
    growth = found[-1] / found[FILLING // EVERY] - 1
    course = " / ".join(f"{value:.0f}" for value in found)
    counts = " / ".join(str(EVERY * place) for place in range(len(found)))
    return [
        Row(
            f"memory of the server, {len(SESSIONS)} sessions on that run, after {counts} interactions"
            f" (started: {start:.0f} MB)",
            "<= 800 MB",
            f"{course} MB",
            max(found) <= 800,
        ),
        Row(
            f"– growth over the last {INTERACTIONS}, caches filled",
            "flat",
            f"{100 * growth:+.1f} %",
            growth <= FLAT,
        ),
        Row("– torch in the server", "never", "loaded" if torch else "not loaded", not torch),
    ]


def _long() -> str:
    return f"{LONG.steps:,} steps x {sum(LONG.neurons):,} neurons"
