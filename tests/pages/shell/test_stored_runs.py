"""A store that does not answer, beside folders of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from started import until
from streamlit.testing.v1 import AppTest

import probes
from pages.shell.session import options, runs, stored_runs
from probes import RunError


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch, run_folder: Path) -> Iterator[threading.Event]:
    """A store beside the folder of runs, whose answer, that it cannot be listed, waits for the event."""
    answer, real = threading.Event(), probes.catalog_rows

    def rows(folder: Any, nested: bool = False) -> list[dict[str, Any]]:
        if "s3:" not in str(folder):
            return real(folder, nested)
        answer.wait(240)  # longer than a page takes
        raise RunError("s3://nowhere/runs cannot be listed: no route")

    monkeypatch.setattr(probes, "catalog_rows", rows)
    monkeypatch.setattr(options, "run_folders", lambda: [Path("s3://nowhere/runs"), run_folder])
    monkeypatch.setattr(stored_runs, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("pages.shell.session.runs.PATIENCE_SECONDS", 0.2)
    stored_runs.stored_runs.clear()
    yield answer
    answer.set()
    stored_runs.stored_runs.clear()


def test_other_runs_are_shown_and_the_store_is_named(
    silent: threading.Event, open_page: Callable[..., AppTest]
) -> None:
    app = open_page("health", run="planted")
    assert not app.error
    [said] = [one.value for one in app.sidebar.warning]
    assert "nowhere/runs has not answered yet" in said
    silent.set()
    until(lambda: "has not answered" not in app.run().sidebar.warning[0].value)
    assert not app.error
    [said] = [one.value for one in app.sidebar.warning]
    assert "cannot be listed" in said


def test_a_store_that_failed_is_not_asked_again_at_once(silent: threading.Event) -> None:
    silent.set()
    asked = stored_runs.stored_runs("s3://nowhere/runs")
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(RunError, match="no route"):
            asked.rows(None)
    assert asked._answered is None
    assert asked._asked_again > began + stored_runs.FAILED_SECONDS / 2


def test_an_error_of_any_kind_keeps_no_page_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(folder: Any, nested: bool = False) -> list[dict[str, Any]]:
        raise ValueError("not foreseen")

    monkeypatch.setattr(probes, "catalog_rows", rows)
    with pytest.raises(RunError, match="cannot be read: not foreseen"):
        stored_runs.StoredRuns("s3://nowhere/runs").rows(None)


def test_who_did_not_answer_is_known_without_another_look_at_this_machine(
    silent: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.entries()
    monkeypatch.setattr(probes, "catalog_rows", None)
    assert len(runs.unanswered()) == 1
