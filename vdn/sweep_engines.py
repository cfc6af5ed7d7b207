"""Where the jobs of a sweep run: processes of this machine, Ray, or a batch system by submitit.

An engine starts a job and says how it has ended; which job comes when, and what is tried again, is decided
once for all of them (`vdn.sweep.run_jobs`). A job that finds its run begun goes on from its checkpoint, so
that it can be started anywhere, any number of times.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from probes.errors import RunError
from probes.extras import named
from probes.ray_cluster import start_ray
from probes.run import Run
from probes.spool import spool_folder
from probes.storage import is_store, open_folder
from vdn.config import ConfigError
from vdn.trainer import CHECKPOINT

KILLED = -9
"""Exit status of a job whose process, worker or node was lost."""
STOP_SECONDS = 30.0
"""So long a job that is asked to stop has to close its log."""
ENGINES = ("local", "ray", "submitit")
LOGS = "_submitit"
"""Folder, beside the runs, of what submitit leaves."""


class Engine(Protocol):
    """Runs jobs. `start` and `ended` never wait; what `ended` gives is an exit status, and what was said."""

    def start(self, words: list[str], folder: Path) -> Any:
        """Start a training's command line; returns a handle."""

    def ended(self, handle: Any) -> tuple[int, str] | None:
        """How it ended: exit status (negative: killed) and standard error; None while it runs."""

    def stop(self, handles: Iterable[Any]) -> None:
        """End jobs that run, and the engine."""


def make_engine(name: str, at_once: int, resources: Mapping[str, Any], runs: Path) -> Engine:
    """The engine of a name.

    Parameters
    ----------
    name
        One of ENGINES.
    at_once
        Jobs at once.
    resources
        What each job is given: options of a task of Ray (`num_cpus`, `num_gpus`), or parameters of submitit's
        executor (`slurm_partition`, `timeout_min`).
    runs
        Folder of the runs.

    Raises
    ------
    ConfigError
        For resources of local processes.
    MissingPackageError
        Where Ray or submitit is not installed.
    """
    if name == "ray":
        return Ray(at_once, resources)
    if name == "submitit":
        return Submitit(runs, resources)
    if resources:
        raise ConfigError(
            "--resources are for the engines ray and submitit; local processes share the machine"
        )
    return Local()


def next_words(words: list[str], folder: Path) -> list[str] | None:
    """The command line that a job needs now, None where its run is finished.

    Parameters
    ----------
    words
        Of `vdn`: "train" and what follows.
    folder
        Of the run; what a killed job has left there before its first checkpoint is removed.
    """
    here = spool_folder(open_folder(folder).root) if is_store(folder) else folder
    if not (here / "run.json").exists():
        return words
    if not (here / CHECKPOINT).exists():
        shutil.rmtree(here)
        return words
    try:
        if Run(here).status == "finished":
            return None
    except RunError:
        pass  # `resume` says what is wrong
    return ["resume", str(folder)]


def run_here(words: list[str], folder: str) -> tuple[int, str]:
    """Run a job in this process, a worker's, so that both die together: exit status and standard error."""
    from vdn.__main__ import main

    now = next_words(words, Path(folder))
    if now is None:
        return 0, ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        status = main(now)
    return status, said.getvalue()


class Local:
    """Processes of this machine; what they say on standard error is seen at once."""

    def start(self, words: list[str], folder: Path) -> subprocess.Popen[bytes]:
        now = next_words(words, folder)
        command = [sys.executable, "-c", ""] if now is None else [sys.executable, "-m", "vdn", *now]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def ended(self, handle: subprocess.Popen[bytes]) -> tuple[int, str] | None:
        status = handle.poll()
        return None if status is None else (status, "")

    def stop(self, handles: Iterable[subprocess.Popen[bytes]]) -> None:
        running = list(handles)
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


class Ray:
    """Tasks of Ray, one at a time in a worker process: one that is lost loses its job alone. Workers take one
    after another, which spares each the start and the imports; with a GPU each has its own, as Ray has it.
    """

    def __init__(self, at_once: int, resources: Mapping[str, Any]) -> None:
        self._ray, self._own = start_ray("--engine ray", at_once, "sweep")
        self._run = self._ray.remote(max_retries=0, **resources)(run_here)

    def start(self, words: list[str], folder: Path) -> Any:
        place = str(folder) if is_store(folder) else str(folder.absolute())
        return self._run.remote(words, place)

    def ended(self, handle: Any) -> tuple[int, str] | None:
        if not self._ray.wait([handle], timeout=0)[0]:
            return None
        try:
            status, said = self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:
            return 1, str(error)
        except self._ray.exceptions.RayError as error:  # worker, node or memory
            return KILLED, str(error).splitlines()[0]
        return status, said

    def stop(self, handles: Iterable[Any]) -> None:
        running = list(handles)
        for handle in running:
            self._ray.cancel(handle)  # an interruption: the run closes its log
        if running:
            self._ray.wait(running, num_returns=len(running), timeout=STOP_SECONDS)
        if self._own:
            self._ray.shutdown()


class Submitit:
    """Jobs of submitit: of Slurm where there is one, else of this machine."""

    def __init__(self, runs: Path, resources: Mapping[str, Any]) -> None:
        with named("--engine submitit"):
            import submitit
        if is_store(runs):
            raise ConfigError(f"{runs}: submitit leaves its files beside the runs: name a folder for --runs")
        self._failed = submitit.core.utils.UncompletedJobError
        self._executor = submitit.AutoExecutor(folder=runs.absolute() / LOGS)
        self._executor.update_parameters(**resources)

    def start(self, words: list[str], folder: Path) -> Any:
        return self._executor.submit(run_here, words, str(folder.absolute()))

    def ended(self, handle: Any) -> tuple[int, str] | None:
        if not handle.done():
            return None
        try:
            status, said = handle.result()
        except self._failed:
            return KILLED, f"job {handle.job_id} was lost"
        except Exception as error:  # noqa: BLE001 - of the job, which submitit hands on
            return 1, str(error).strip().splitlines()[-1]
        return status, said

    def stop(self, handles: Iterable[Any]) -> None:
        for handle in handles:
            handle.cancel(check=False)
