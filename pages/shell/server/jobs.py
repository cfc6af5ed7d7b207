"""Experiments as processes of their own: `python -m vdn probe RUN NAME`, started, watched and cancelled from
a page.

The server never imports torch. Commands are lists of arguments, never a shell's line; the run's path comes
from a scan of the folders of runs, everything else is a number or one of the known names. One experiment runs
at a time.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import streamlit as st

from pages.shell.session import options
from probes.experiments import store
from probes.experiments.kinds import EXPERIMENTS

CANCELLED = 130  # exit status of an experiment that was asked to stop
CHECKPOINT = Path("checkpoints", "last.pt")
LINE = 300  # characters of what a process last said that are shown


@dataclass
class Child:
    """A process that this server has started."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]


@dataclass(frozen=True)
class Standing:
    """How an experiment stands, for the page: "running", "ended" or "none"; `ours` if this server can cancel
    it.
    """

    state: str
    share: float
    message: str
    ours: bool


class JobManager:
    """The processes of this server by (run, experiment); shared by all sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], Child] = {}
        self._ended: dict[tuple[str, str], tuple[int, Standing]] = {}

    def running(self) -> list[tuple[str, str]]:
        """(run, experiment) of what has not ended."""
        with self._lock:
            self._settle()
            return list(self._running)

    def start(self, run: Path, name: str, arguments: Sequence[str]) -> bool:
        """Start a command for an experiment; False if one is running already."""
        with self._lock:
            self._settle()
            if self._running:
                return False
            said = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as the process runs
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(
                list(arguments),
                cwd=options.ROOT,
                stdin=quiet,
                stdout=quiet,
                stderr=said,
                start_new_session=True,
            )
            self._running[str(run), name] = Child(process, said)
            return True

    def cancel(self, run: Path, name: str) -> None:
        """Ask an experiment of this server to stop; it does at its next sign of progress."""
        with self._lock:
            self._settle()
            child = self._running.get((str(run), name))
            if child is not None:
                child.process.terminate()

    def standing(self, run: Path, name: str) -> Standing:
        """How an experiment stands: by its process if it is this server's, else by what it notes beside its
        result.
        """
        noted = store.progress_of(run, name)
        with self._lock:
            self._settle()
            child, ended = self._running.get((str(run), name)), self._ended.get((str(run), name))
        if child is not None:
            mine = noted is not None and noted.pid == child.process.pid
            return Standing(
                "running",
                noted.share if noted is not None and mine else 0.0,
                "" if mine else "starting",
                True,
            )
        if ended is not None and (noted is None or noted.status != "running" or noted.pid == ended[0]):
            return ended[1]  # one that was killed could not take back that it runs
        if noted is not None and noted.status == "running":
            return Standing("running", noted.share, f"started elsewhere, process {noted.pid}", False)
        words = (
            ""
            if noted is None or noted.status in ("finished", "cancelled")
            else f"{noted.status}: {noted.message}"
        )
        return Standing("none", 0.0, words, False)

    def _settle(self) -> None:
        """Take note of what has ended, and of what it said last."""
        for key, child in list(self._running.items()):
            status = child.process.poll()
            if status is not None:
                del self._running[key]
                with child.said:
                    standing = Standing("ended", float(status == 0), _verdict(status, child.said), True)
                self._ended[key] = child.process.pid, standing


@st.cache_resource(show_spinner=False)
def children() -> JobManager:
    """The one register of this server."""
    return JobManager()


def command(
    run: Path,
    experiment: str,
    settings: Mapping[str, int],
    split: str,
    neurons: Sequence[tuple[int, int]] = (),
) -> list[str]:
    """The command line of an experiment. Raises KeyError for one that is not there.

    neurons: (layer, neuron) to walk in a traversal instead of the most informative ones.
    """
    known = EXPERIMENTS[experiment]
    arguments = [sys.executable, "-m", "vdn", "probe", str(run), experiment, "--split", split]
    for setting in known.settings:
        if not (setting.flag == "each" and neurons):
            arguments += [f"--{setting.flag}", str(int(settings[setting.flag]))]
    if experiment == "traversal" and neurons:
        arguments += ["--neurons", *(f"{layer}:{neuron}" for layer, neuron in neurons)]
    return arguments


def can_start(run: Path, config: Mapping[str, Any]) -> str:
    """Why no experiment can be started on a run; empty if one can."""
    if "data" not in config or "watch" in config:
        return (
            "This run was not made by `python -m vdn train`: experiment on it from your own code, with"
            " `probes.experiments`, as `examples/digits_experiments.py` does. What is stored with the run is"
            " shown here."
        )
    if not (run / CHECKPOINT).is_file():
        return (
            "This run keeps no checkpoint, so its network is gone: train with `--checkpoint model` to"
            " experiment on it."
        )
    return ""


def _verdict(status: int, said: IO[bytes]) -> str:
    """What an exit status means; nothing if all went well."""
    if status == 0:
        return ""
    if status in (CANCELLED, -signal.SIGTERM):  # the latter: before it listened
        return "Cancelled; nothing was stored."
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    return f"It ended with status {status}: {lines[-1][:LINE] if lines else 'it said nothing'}"
