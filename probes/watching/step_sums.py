"""What the forward passes of a step have shown of each layer: summed, or held back until the step counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

from probes.errors import first_line
from probes.watching.family_pools import AnyPool, Summed
from probes.watching.finding import Seen
from probes.watching.gathering import Unread
from probes.watching.pooling import Reading, Rows
from probes.watching.statistics_buffer import StatisticsBuffer
from probes.watching.tensors import NotReadable

HELD_BYTES = 16e6  # of a step that is recorded only if it is the last; beyond, its sums are kept instead


class StepSums:
    """Takes readings, a step at a time.

    Parameters
    ----------
    buffer
        Counts the batches that cannot be read.

    Attributes
    ----------
    pools
        Sums of each layer.
    held
        Readings of a step that is not due, kept in case it is the last.
    """

    def __init__(self, buffer: StatisticsBuffer) -> None:
        self._buffer = buffer
        self._lock = Lock()
        self.pools: dict[str, AnyPool] = {}
        self.held: list[Seen] = []
        self._held_bytes = 0

    def receive(self, name: str, reading: Reading | Unread | Exception, due: bool) -> None:
        """A batch of a layer, of a step that is due or not."""
        if due or self.pools[name].every_step:
            self.add(name, reading)
        else:
            self._hold(name, reading)

    def add(self, name: str, reading: Reading | Unread | Exception) -> None:
        """Add a batch to its layer's sums, or count it."""
        if isinstance(reading, Unread):
            for one in reading.read():
                self.add(name, one)
            return
        try:
            if isinstance(reading, Exception):
                raise reading
            with self._lock:  # several threads may run the model
                self.pools[name].add(reading)
        except Exception as error:  # noqa: BLE001 - a batch of another shape, say: training goes on
            self._buffer.failed(ValueError(f"layer {name!r}: {first_line(error)}"), 1, f"layer {name}")

    def _hold(self, name: str, reading: Reading | Unread | Exception) -> None:
        """Keep what is needed only if its step is the last one."""
        self.held.append((name, reading))
        if isinstance(reading, Unread):
            self._held_bytes += reading.nbytes
        elif isinstance(reading, Reading):
            self._held_bytes += reading.hold()
        if self._held_bytes > HELD_BYTES:
            held = self.let_go()
            for seen in held:
                self.add(*seen)

    def let_go(self) -> list[Seen]:
        """What is held; from now on nothing is."""
        held, self.held, self._held_bytes = self.held, [], 0
        return held

    def take_sums(self) -> dict[str, Summed]:
        """Sums of each layer that has some, which begin anew; `give_back` makes them those of a step."""
        with self._lock:
            taken = {name: pool.take_sums() for name, pool in self.pools.items()}
        return {name: moments for name, moments in taken.items() if moments is not None}

    def give_back(self, moments: Mapping[str, Summed], held: Sequence[Seen]) -> None:
        """A step that was set aside, in place of what came after it and belongs to none."""
        self.take_sums()
        for name, known in moments.items():
            self.pools[name].give(known)
        for name, reading in held:
            self.add(name, reading)

    def fail(self, name: str, why: str) -> None:
        """What a step has brought of a layer is not read after all, and counted."""
        with self._lock:
            self.pools[name].take()
        self.held = [seen for seen in self.held if seen[0] != name]
        self.add(name, NotReadable(why))

    def take(self) -> dict[str, Summed | Rows]:
        """A step of each layer that has one, which begins anew."""
        with self._lock:
            taken = {name: pool.take() for name, pool in self.pools.items()}
        return {name: one for name, one in taken.items() if one is not None}
