"""What the server spends on each page of a run of many layers, and of one of a very wide layer."""

from __future__ import annotations

from benchmarks.ui_client import Client
from benchmarks.ui_pictures import NOT_OF_A_RUN
from benchmarks.ui_runs import Planned, made
from benchmarks.ui_server import Server
from benchmarks.ui_table import Row
from pages.shell.session.state import DEFAULT_PAGE, PAGES

DEEP = Planned("deep", (64,) * 24, 1_000)
HUGE = Planned("huge", (65_536,), 64, probed=2)
GOAL = 3.0  # seconds


def shapes() -> list[Row]:
    """Seconds until the last message of each page, on a server that has shown nothing of the run before."""
    rows = []
    for planned in (DEEP, HUGE):
        found = {}
        for path, title, _ in PAGES:
            if path in NOT_OF_A_RUN:
                continue
            with Server(made(planned)) as server, Client(server, "reference", run=planned.name) as warm:
                warm.open()  # libraries
                page = "" if path == DEFAULT_PAGE else path
                with Client(server, page, run=planned.name) as client:
                    found[title] = client.open().seconds
        most = max(found, key=lambda title: found[title])
        each = ", ".join(f"{title} {seconds:.2f}" for title, seconds in found.items())
        shape = f"{len(planned.neurons)} x {planned.neurons[0]:,} neurons, {planned.steps:,} steps"
        name = f"first view of a page, {shape}, slowest"
        rows.append(Row(name, f"<= {GOAL:g} s", f"{found[most]:.2f} s ({most}; {each})", found[most] <= GOAL))
    return rows
