"""Recorder: takes per-neuron statistics from a training loop and writes them from a background thread.

The training thread copies arrays into a buffer and goes on. A background thread takes what is complete every
5 s, 256 steps or 64 MB, whichever is first, so that a kill loses no more than that; the loop waits only when
the buffer is full while the previous one is still being written. numpy in; torch is never imported.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from probes.errors import RunError, writing
from probes.forks import forget_in_children
from probes.log import arguments, manifest
from probes.log.background import FLUSH_BYTES, RecorderError, Settings
from probes.log.blocks import CODEC
from probes.log.config import plain
from probes.log.maintenance import reopen
from probes.log.manifest import FINAL_STATUSES
from probes.log.schedule import Schedule
from probes.log.writer import Writer
from probes.recorder.neurons import BUDGET_EVENT, NeuronsRecorder
from probes.run_reader import FinalStatus
from probes.schema import BLOCK_STEPS
from probes.storage import is_store, local_folder
from probes.storage.lock import Lock

if TYPE_CHECKING:
    from probes.spool import Spool

__all__ = ["BUDGET_EVENT", "Precision", "Recorder", "RecorderError", "Settings"]

Precision = Literal["full", "10bit"]
"""How exactly numbers are stored."""


class Recorder(NeuronsRecorder):
    """Writes one run. Use it as a context manager, or call `close`; what is neither is closed as interrupted
    when the interpreter ends. It belongs to the process that made it: a forked child's copy is closed.

    Parameters
    ----------
    path
        Folder of the run, made if missing; it must not hold a run already (see `resume`). Or the URL of an
        object store (`s3://bucket/run`, with the extra `store`): it is then written to a folder of this
        machine, and mirrored to the store by a process of its own (docs/scale.md).
    layers
        `{"name": str, "neurons": int, "latent_dim": 1, "prior": "standard"}` each, in order of depth.
    config
        Resolved configuration: a dict of what JSON has; of anything else its text is kept, of large arrays
        their shape. `config["seed"]` sets runs apart within their group.
    precision
        "full" is lossless, "10bit" rounds mantissas (relative error at most 2^-11) for half the bytes.
    flush_seconds
        The most seconds of recording that a kill can cost.
    name
        The run's name; that of its folder by default.
    flush_steps, flush_bytes, when_full, strict, every, geometric, max_gb
        Fields of `Settings`.

    Raises
    ------
    ValueError
        For bad arguments, and whatever readers would refuse: it is said before training.
    RunError
        When the folder holds a run, is no folder of this machine, or another recorder writes it.
    WriteError
        When it cannot be written: a `RunError` and an `OSError` that names the remedy.
    """

    def __init__(
        self,
        path: str | Path,
        layers: Sequence[Mapping[str, object]],
        config: Mapping[str, Any] | None = None,
        precision: Precision = "full",
        flush_seconds: float = 5.0,
        *,
        name: str | None = None,
        flush_steps: int = BLOCK_STEPS,
        flush_bytes: int = FLUSH_BYTES,
        when_full: Literal["wait", "drop"] = "wait",
        strict: bool = True,
        every: int = 1,
        geometric: float | None = None,
        max_gb: float | None = None,
    ) -> None:
        settings = Settings(
            flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric, max_gb
        )
        schedule = Schedule(settings.every, settings.geometric)
        if precision not in CODEC:
            raise ValueError(f"precision is {precision!r}; it must be one of {list(CODEC)}")
        spool = _spool(path)
        folder = local_folder(path) if spool is None else spool.folder
        # unlike `Path.resolve` it bears links that lead round in a circle
        real_name = os.path.basename(os.path.realpath(folder) if spool is None else spool.url)
        own_name = real_name if name is None else arguments.text(name, "name", empty=True)
        checked = manifest.check_layers([plain(dict(layer), "a layer") for layer in layers], config)
        state = manifest.new(own_name or real_name, checked, config, precision)
        if spool is not None:
            spool.refuse_second()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
        with _begun(lock, folder):
            state["segments"].append(manifest.session(None, {}))
            if not manifest.create(folder, state):
                raise RunError(
                    f"{folder} holds a run already: continue it with Recorder.resume(path, step), or name"
                    " another folder"
                )
        self._start(Writer(folder, state), lock, spool, settings, schedule, after=-1)

    @classmethod
    def resume(
        cls,
        path: str | Path,
        step: int,
        *,
        flush_seconds: float = 5.0,
        flush_steps: int = BLOCK_STEPS,
        flush_bytes: int = FLUSH_BYTES,
        when_full: Literal["wait", "drop"] = "wait",
        strict: bool = True,
        every: int = 1,
        geometric: float | None = None,
        max_gb: float | None = None,
    ) -> Self:
        """Continue a run after its checkpoint: that step is kept, what lies after it is set aside.

        Parameters
        ----------
        path
            Folder of the run, or its URL. Layers, config and precision are the run's own.
        step
            Step of the checkpoint; rows after it move to `superseded/`.
        flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric, max_gb
            Fields of `Settings`.

        Returns
        -------
        Recorder
            Of a new writing session of the run.

        Raises
        ------
        ValueError
            For a step that is no integer of at least -1, which keeps nothing.
        RunError
            When there is no run, another recorder writes it, or its format is newer.
        WriteError
            When it cannot be written.
        """
        settings = Settings(
            flush_seconds, flush_steps, flush_bytes, when_full, strict, every, geometric, max_gb
        )
        schedule = Schedule(settings.every, settings.geometric)
        kept = arguments.whole_number(step, "resume, the last step to keep,", least=-1)
        spool = _spool(path)
        folder = local_folder(path) if spool is None else spool.folder
        if spool is not None:
            spool.fetch()
        if not (folder / manifest.FILE).exists():
            raise RunError(f"{folder} holds no run to resume: there is no {manifest.FILE} in it")
        lock = Lock(folder)
        with _begun(lock, folder):
            writer = reopen(folder, kept)
        self = cls.__new__(cls)
        self._start(writer, lock, spool, settings, schedule, after=kept)
        return self

    def _start(
        self,
        writer: Writer,
        lock: Lock,
        spool: Spool | None,
        settings: Settings,
        schedule: Schedule,
        after: int,
    ) -> None:
        self._writer, self._lock, self._spool = writer, lock, spool
        self._begin_tables(writer, settings, after)
        self._begin_neurons(writer, schedule, after)
        if spool is not None:
            spool.begin()
        self._closed = False
        atexit.register(self._close_at_exit)
        forget_in_children(self)

    @property
    def dropped(self) -> dict[str, int]:
        """Steps and plain rows that are missing, by choice (`when_full="drop"`) or because writing failed."""
        return dict(self._writer.state["dropped"])

    def flush(self) -> None:
        """Return when everything recorded so far is on disk: call it before a checkpoint.

        Raises
        ------
        RecorderError
            When the recorder is closed, or writing has failed.
        """
        with self._turn, self._background.wake:
            self._background.check_open()
            self._background.complete = self._seen
            self._background.flush()

    def close(self, status: FinalStatus = "finished") -> None:
        """Write what is left, compact the last block, set the status and release the run.

        A second call does nothing, unless the first was broken off (Ctrl-C): it then writes what is left.

        Parameters
        ----------
        status
            "finished", "interrupted" or "crashed".

        Raises
        ------
        ValueError
            For another status.
        RecorderError
            When the rest cannot be written (`strict`).
        """
        if status not in FINAL_STATUSES:
            raise ValueError(f"status is {status!r}; it must be one of {FINAL_STATUSES}")
        with self._turn:
            if self._closed:
                return
            try:
                self._background.close(status, list(self._held.values()))  # the last step is always there
            except Exception:
                self._leave()
                raise
            self._leave()  # not where it was broken off: the next call, or the interpreter's end, goes on
        if self._spool is not None:
            self._spool.finish()

    def _leave(self) -> None:
        """Be closed, and let the next writer in."""
        self._closed = True
        atexit.unregister(self._close_at_exit)
        self._lock.release()

    def _close_at_exit(self) -> None:
        """A script that ends without `close`: keep what was recorded and say that the run did not end as
        meant.
        """
        try:
            self.close("interrupted")
        except RecorderError as error:  # there is nobody left to raise it to
            warnings.warn(str(error), RuntimeWarning, stacklevel=1)

    def forget(self) -> None:
        """In a forked child: be closed, without a word to the parent's run."""
        self._closed = True
        atexit.unregister(self._close_at_exit)
        self._turn = threading.RLock()  # it may have been held by a thread of the parent
        self._background.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(manifest.final_status(kind))


def _spool(path: str | Path) -> Spool | None:
    """What a run that is to lie in a store is written to; None for a folder."""
    if not is_store(path):
        return None
    from probes.spool import Spool

    return Spool(str(path))


@contextmanager
def _begun(lock: Lock, folder: Path) -> Iterator[None]:
    """What is done under the lock before there is a recorder: the lock is let go where it fails."""
    try:
        with writing(folder):
            yield
    except BaseException:
        lock.release()
        raise
