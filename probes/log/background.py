"""The buffer between a training loop and the disk: bounded, and emptied by a background thread.

At most one batch is filling and one being written. The thread takes what is complete when it is due by time,
steps or size; the loop waits (or drops, if so chosen) only when the batch that fills is full while the other
is being written.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - pandas and pyarrow load it late: too late at exit
import math
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from probes.errors import obstacle
from probes.log.arguments import number
from probes.log.writer import Batch, Chunk, Writer
from probes.schema import BLOCK_STEPS

ROW_BYTES = 64  # what a row of scalars or events counts against the buffer's bound
FLUSH_BYTES = 64 * 2**20
HEARTBEAT_SECONDS = 5.0
"""How often a run that records nothing still says that it lives; readers allow 30 s."""
WRITE_ERRORS = (OSError, pa.ArrowException, ValueError, MemoryError)
"""What a write may fail with; anything else ends the thread, which the next call reports."""


class RecorderError(RuntimeError):
    """What was recorded could not be written; the message says why and how much is at stake."""


@dataclass(frozen=True)
class Settings:
    """How a recorder buffers and what it does when it cannot.

    Parameters
    ----------
    flush_seconds, flush_steps, flush_bytes
        The most that a kill can cost, whichever is first.
    when_full
        "wait" for the disk, or "drop" the newest rows and count them in the manifest.
    strict
        A write that fails raises RecorderError in the training thread; False warns once, tries again and
        counts what is lost.
    every, geometric
        Which steps are recorded: see `Schedule`.
    max_gb
        Size of the run's tables, in 10^9 bytes, that fewer steps are recorded to stay below: see `Budget`.
        None sets no limit.

    Raises
    ------
    ValueError
        For a limit that is not positive, or another `when_full`.
    """

    flush_seconds: float = 5.0
    flush_steps: int = BLOCK_STEPS
    flush_bytes: int = FLUSH_BYTES
    when_full: Literal["wait", "drop"] = "wait"
    strict: bool = True
    every: int = 1
    geometric: float | None = None
    max_gb: float | None = None

    def __post_init__(self) -> None:
        if self.when_full not in ("wait", "drop"):
            raise ValueError(f'when_full is {self.when_full!r}; it must be "wait" or "drop"')
        for name in ("flush_seconds", "flush_steps", "flush_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be positive")
        if self.max_gb is not None and not 0 < number(self.max_gb, "max_gb") < math.inf:
            raise ValueError(f"max_gb is {self.max_gb!r}; it must be positive")


class Background:
    """Buffer and thread of one writer. `wake` guards everything; `complete` is the newest step that no layer
    can add to.
    """

    def __init__(self, writer: Writer, settings: Settings, complete: int) -> None:
        self.writer = writer
        self.settings = settings
        self.complete = complete
        self.wake = threading.Condition(threading.RLock())
        self._buffer = Batch()
        self._sizes = [0] * len(writer.state["layers"])  # buffered steps of each layer
        self._bytes = 0
        self._oldest: float | None = None  # when the oldest buffered row came
        self._asked = self._done = 0  # flushes asked for and done
        self._busy = self._failing = self._closing = self._warned = self._forgotten = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"recorder {writer.folder}", daemon=True)
        self._thread.start()

    def check_open(self) -> None:
        """Raise RecorderError when closed, or when the thread has died."""
        if self._forgotten:
            raise RecorderError(
                f"the recorder of {self.writer.folder} belongs to the process that this one was forked from:"
                " record there, or into a run of its own"
            )
        if self._closing:
            raise RecorderError(
                f"the recorder of {self.writer.folder} is closed: use Recorder.resume(path, step) to go on"
            )
        self._check_alive()

    def tell(self) -> None:
        """Raise RecorderError when writing has failed since the last call (`strict`); what a call has handed
        over is kept before.
        """
        with self.wake:
            self._raise_error()

    def add_chunk(self, chunk: Chunk) -> None:
        """Buffer a chunk, or count it as dropped."""
        with self.wake:
            if self._make_room():
                self._buffer.chunks.append(chunk)
                self._sizes[chunk.layer] += chunk.steps.size
                self._account(chunk.nbytes)
            else:
                self.writer.state["dropped"]["steps"] += chunk.steps.size

    def add_rows(self, name: str, new: pa.Table | list[tuple[Any, ...]]) -> None:
        """Buffer plain rows of the folder `name`, or count them as dropped; none at all are nothing to
        write.
        """
        with self.wake:
            self.check_open()
            if not len(new):
                return
            if self._make_room():
                self._buffer.rows.setdefault(name, []).append(new)
                self._account(new.nbytes if isinstance(new, pa.Table) else ROW_BYTES * len(new))
            else:
                self.writer.state["dropped"]["rows"] += len(new)
            self._raise_error()

    def flush(self) -> None:
        """Return when all complete steps and all rows are on disk."""
        with self.wake:
            self._asked += 1
            target = self._asked
            self.wake.notify_all()
            while self._done < target:
                self.wake.wait(HEARTBEAT_SECONDS)
                self._raise_error()
            self._raise_error()

    def close(self, status: str, last: Sequence[Chunk] = ()) -> None:
        """Stop the thread and write the rest, and the `last` step of layers that the schedule passed over,
        with the final status. Raises RecorderError when that fails (`strict`).

        The last come when the thread has ended, all at once: it would write what one layer has of a step
        without waiting for the others, and one step would be in two files. One that files are already past
        is left out for the same reason.
        """
        with self.wake:
            self._closing = True
            self.wake.notify_all()
        self._thread.join()
        self.complete = max([self.complete, *(int(chunk.steps[-1]) for chunk in self._buffer.chunks)])
        batch = self._take()
        batch.chunks += [chunk for chunk in last if chunk.steps[-1] > self.writer.newest]
        try:
            self.writer.submit(batch)
            self.writer.finish(status)
        except WRITE_ERRORS as error:
            self._error = error
        self._raise_error()

    def forget(self) -> None:
        """In a forked child, which has no background thread: be closed. `wake` may have been held by a thread
        of the parent.
        """
        self.wake = threading.Condition(threading.RLock())
        self._forgotten = True

    def _full(self) -> bool:
        return (
            self._bytes >= self.settings.flush_bytes
            or max(self._sizes, default=0) >= self.settings.flush_steps
        )

    def _account(self, nbytes: int) -> None:
        self._bytes += nbytes
        if self._oldest is None:
            self._oldest = time.monotonic()
            self.wake.notify_all()  # the background thread starts its clock
        elif self._full():
            self.wake.notify_all()

    def _make_room(self) -> bool:
        """Wait while one batch is full and the other not yet written; False when the new rows are to be
        dropped instead.
        """
        while self._full() and (self._busy or self._failing or self._has_complete()):
            if self._failing or (self._busy and self.settings.when_full == "drop"):
                return False
            self.wake.wait(HEARTBEAT_SECONDS)
            if self._error is not None or not self._thread.is_alive():
                return True  # the caller hears of it, and what it has handed over is kept
        return True

    def _take(self) -> Batch:
        """Take what is complete out of the buffer; a step that some layer may still add to stays."""
        ready = [chunk for chunk in self._buffer.chunks if chunk.steps[-1] <= self.complete]
        rest = [chunk for chunk in self._buffer.chunks if chunk.steps[-1] > self.complete]
        batch = Batch(ready, self._buffer.rows)
        self._buffer = Batch(rest)
        self._sizes = [
            sum(chunk.steps.size for chunk in rest if chunk.layer == index)
            for index in range(len(self._sizes))
        ]
        self._bytes = sum(chunk.nbytes for chunk in rest)
        self._oldest = time.monotonic() if rest else None
        return batch

    # ---- the background thread

    def _work(self) -> None:
        while True:
            with self.wake:
                self._wait_for_work()
                if self._closing:
                    return
                asked, batch, self._busy = self._asked, self._take(), True
                self.wake.notify_all()  # there is room again
            error: Exception | None = None
            try:
                self.writer.submit(batch)
                self.writer.run()
            except WRITE_ERRORS as problem:
                error = problem
            with self.wake:
                self._busy, self._failing = False, error is not None
                self._error, self._done = error, asked
                self.wake.notify_all()

    def _ready(self) -> bool:
        """Whether a flush is due for other reasons than time."""
        return self._asked > self._done or (self._full() and not self._failing and self._has_complete())

    def _has_complete(self) -> bool:
        return bool(self._buffer.rows) or any(
            chunk.steps[-1] <= self.complete for chunk in self._buffer.chunks
        )

    def _wait_for_work(self) -> None:
        """Until a flush or a heartbeat is due, by the monotonic clock: the wall clock may jump."""
        heartbeat = time.monotonic() + HEARTBEAT_SECONDS
        while not (self._closing or self._ready()):
            oldest = heartbeat if self._oldest is None else self._oldest + self.settings.flush_seconds
            left = min(heartbeat, oldest) - time.monotonic()
            if left <= 0:
                return
            self.wake.wait(left)

    def _raise_error(self) -> None:
        """Hand a failure of the background thread to the training thread, once."""
        self._check_alive()
        if self._error is None:
            return
        error, self._error = self._error, None
        message = f"cannot write {self.writer.folder}: {obstacle(error)}. "
        if self._closing:
            message += "What was not written yet is lost"
        else:
            message += "The rows are kept in memory and tried again at the next flush"
        if self.settings.strict:
            raise RecorderError(message) from error
        if not self._warned or self._closing:
            self._warned = True
            if not self._closing:
                message += "; when the buffer is full new rows are dropped and counted"
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _check_alive(self) -> None:
        if not self._closing and not self._thread.is_alive():
            raise RecorderError(
                f"the writer of {self.writer.folder} has died; what was recorded since its last flush is lost"
            )
