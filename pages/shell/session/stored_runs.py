"""The runs of folders in stores, which are asked in the background: one that does not answer holds up no page
that has other runs to show.
"""

from __future__ import annotations

import re
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

import probes
from probes import RunError
from probes.storage import open_folder

FRESH_SECONDS = 1.0  # a page asks several times for the runs: a store is asked once
FAILED_SECONDS = 20.0  # before a store that did not answer is asked again
PATIENCE_SECONDS = 3.0  # that a page waits for a store beside folders of this machine


class StoredRuns:
    """One folder of a store, shared by all sessions, which only read its rows."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._answered: threading.Event | None = None  # of the question that is on its way
        self._asked_again = float("-inf")
        self._rows: list[dict[str, Any]] | None = None
        self._problem: RunError | None = None
        self._silent_since: datetime | None = None

    def rows(self, patience: float | None) -> list[dict[str, Any]]:
        """The rows of the catalog, as they were last where the store takes longer than `patience` seconds,
        None for as long as it takes. Raises RunError where there are none.
        """
        with self._lock:
            if self._answered is None and time.monotonic() >= self._asked_again:
                self._answered = threading.Event()
                threading.Thread(target=self._ask, args=[self._answered], daemon=True).start()
            answered = self._answered
        if answered is not None:
            answered.wait(patience)
        with self._lock:
            if self._problem is not None:
                raise self._problem
            if self._rows is None:
                raise RunError(f"{self._place} has not answered yet")
            return self._rows

    def _ask(self, answered: threading.Event) -> None:
        rows, problem, wait = None, None, FRESH_SECONDS
        began = datetime.now().astimezone()
        try:
            rows = self._catalog()
            self._silent_since = None
        except RunError as error:
            problem, wait = self._silent(error, began), FAILED_SECONDS
        except Exception as error:  # noqa: BLE001 - pages wait for this thread, whatever happens in it
            fault = RunError(f"{self._place} cannot be read: {error}")
            problem, wait = self._silent(fault, began), FAILED_SECONDS
        with self._lock:
            self._rows, self._problem = rows, problem
            self._answered, self._asked_again = None, time.monotonic() + wait
        answered.set()

    def _silent(self, error: RunError, began: datetime) -> RunError:
        self._silent_since = self._silent_since or began
        return RunError(f"{error} (no answer since {self._silent_since:%Y-%m-%d %H:%M:%S %Z})")

    @property
    def _place(self) -> str:
        return re.sub(":/+", "://", self._folder, count=1)  # a `Path` has one slash

    def _catalog(self) -> list[dict[str, Any]]:
        """Rows of the folder, or of the one that a run lies in: whether it is a run was not known while the
        store did not answer.
        """
        folder = Path(self._folder)
        rows = probes.catalog_rows(folder, nested=True)
        if not rows and open_folder(folder).stamp("run.json") is not None:
            return [
                row
                for row in probes.catalog_rows(folder.parent)
                if Path(str(row["path"])).name == folder.name
            ]
        return rows


@st.cache_resource(show_spinner=False)
def stored_runs(folder: str) -> StoredRuns:
    """The one of a folder on this server."""
    return StoredRuns(folder)
