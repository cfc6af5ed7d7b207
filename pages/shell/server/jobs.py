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
from probes.neuron_names import neuron_name

CANCELLED = 130  # exit status of an experiment that was asked to stop
CHECKPOINTS = (Path("checkpoints", "best.pt"), Path("checkpoints", "last.pt"))
LINE = 300  # characters of a process's last line of errors that are shown


@dataclass
class Job:
    """A process that this server has started, and the file that it writes its errors to."""

    process: subprocess.Popen[bytes]
    stderr: IO[bytes]


@dataclass(frozen=True)
class JobStatus:
    """How far an experiment is, for the page.

    state: "running", "ended" or "none". share: of the work that is done. ours: whether this server can cancel
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
        self._running: dict[tuple[str, str], Job] = {}
        self._ended: dict[tuple[str, str], tuple[int, JobStatus]] = {}

    def running(self) -> list[tuple[str, str]]:
        """(run, experiment) of what has not ended."""
        with self._lock:
            self._collect_ended()
            return list(self._running)

    def start(self, run: Path, name: str, arguments: Sequence[str]) -> bool:
        """Start a command for an experiment; False if one is running already. Raises PermissionError under
        `--read-only`, and for a run in a store.
        """
        options.require_writable(run)
        with self._lock:
            self._collect_ended()
            if self._running:
                return False
            stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as the process runs
            process = subprocess.Popen(
                list(arguments),
                cwd=options.ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            self._running[str(run), name] = Job(process, stderr)
            return True

    def cancel(self, run: Path, name: str) -> None:
        """Ask an experiment of this server to stop; it does at its next sign of progress. Raises
        PermissionError under `--read-only`.
        """
        options.require_writable()
        with self._lock:
            self._collect_ended()
            job = self._running.get((str(run), name))
            if job is not None:
                job.process.terminate()

    def status(self, run: Path, name: str) -> JobStatus:
        """Of an experiment, by its process if it is this server's, else by the progress that it writes beside
        its result.
        """
        progress = store.progress_of(run, name)
        with self._lock:
            self._collect_ended()
            job, ended = self._running.get((str(run), name)), self._ended.get((str(run), name))
        if job is not None:
            if progress is not None and progress.pid == job.process.pid:
                return JobStatus("running", progress.share, "", True)
            return JobStatus("running", 0.0, "starting", True)
        if ended is not None and (
            progress is None or progress.status != "running" or progress.pid == ended[0]
        ):
            return ended[1]  # one that was killed could not take back that it runs
        if progress is not None and progress.status == "running":
            return JobStatus("running", progress.share, f"started elsewhere, process {progress.pid}", False)
        if progress is None or progress.status in ("finished", "cancelled"):
            return JobStatus("none", 0.0, "", False)
        return JobStatus("none", 0.0, f"{progress.status}: {progress.message}", False)

    def _collect_ended(self) -> None:
        """Take what has ended off the register, with its exit status and last line of errors."""
        for key, job in list(self._running.items()):
            code = job.process.poll()
            if code is not None:
                del self._running[key]
                with job.stderr:
                    status = JobStatus("ended", float(code == 0), _exit_message(code, job.stderr), True)
                self._ended[key] = job.process.pid, status


@st.cache_resource(show_spinner=False)
def job_manager() -> JobManager:
    """The one of this server."""
    return JobManager()


def command(
    run: Path,
    experiment: str,
    settings: Mapping[str, int],
    split: str,
    neurons: Sequence[tuple[int, int]] = (),
    at: int | None = None,
) -> list[str]:
    """The command line of an experiment. Raises KeyError for one that is not there.

    neurons: (layer, neuron) to walk in a traversal instead of the most informative ones; at: position of a
    sequence to hold them at instead of several.
    """
    known = EXPERIMENTS[experiment]
    arguments = [sys.executable, "-m", "vdn", "probe", str(run), experiment, "--split", split]
    for setting in known.settings:
        if not (setting.flag == "each" and neurons):
            arguments += [f"--{setting.flag}", str(int(settings[setting.flag]))]
    if experiment == "traversal" and neurons:
        arguments += ["--neurons", *(neuron_name(*neuron) for neuron in neurons)]
    if experiment == "traversal" and at is not None:
        arguments += ["--at", str(int(at))]
    return arguments


def can_start(run: Path, config: Mapping[str, Any]) -> str:
    """Why no experiment can be started on a run; empty if one can."""
    if "data" not in config or "watch" in config:
        return (
            "This run was not made by `python -m vdn train`: experiment on it from your own code, with"
            " `probes.experiments`, as `examples/digits_experiments.py` does. What is stored with the run is"
            " shown here."
        )
    if not any((run / checkpoint).is_file() for checkpoint in CHECKPOINTS):
        return (
            "This run keeps no checkpoint, so its network is gone: train with `--checkpoint model` to"
            " experiment on it."
        )
    return ""


def _exit_message(code: int, stderr: IO[bytes]) -> str:
    """What an exit status means; nothing if all went well."""
    if code == 0:
        return ""
    if code in (CANCELLED, -signal.SIGTERM):  # the latter: before it listened
        return "Cancelled; nothing was stored."
    stderr.seek(0)
    lines = stderr.read().decode("utf-8", "replace").strip().splitlines()
    return f"It ended with status {code}: {lines[-1][:LINE] if lines else 'it said nothing'}"
