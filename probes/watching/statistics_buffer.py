"""Between a watched training and its log: a buffer of steps on the device, and what happens when the disk
fails.

Training is not taken down: a failure is warned of once, counted, and training goes on, unless it is asked to
be strict.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np
import torch
from torch import Tensor

from probes.errors import RunError, first_line
from probes.families.gaussian import GAUSSIAN, NEED_PRIOR
from probes.families.others import OF_CLASSES
from probes.log.arguments import number, text, whole_number
from probes.recorder import Precision, Recorder, RecorderError
from probes.run_reader import FinalStatus, LayerInfo
from probes.spacing import log_spaced
from probes.watching.family_pools import Summed as PoolSums
from probes.watching.family_pools import class_usage, derive_sums
from probes.watching.layer_numbers import layer_numbers
from probes.watching.pooling import KEPT_BYTES, Rows, Sums, sums_of

# recorded steps whose sums stay on the device before their statistics are derived, all at once
BUFFERED_STEPS = 64
BUFFERED_SECONDS = 1.0  # and for how long at most, so that a live run is seen
MIRROR_FAILURES = 3  # in a row, after which a mirror is left alone
WAITING_SCALARS = 100_000  # that are kept before there is a run
MOST_CLASSES = 1 << 14  # neurons times classes whose usage is stored at each flush
FIRST_CLASSES = 8  # steps of the first flush at which it is stored
BUFFERED_BYTES = 16e6  # and how much of them: a channel has a sum for each of its positions

Mirror = Callable[[str, float, int], object]
"""(name, value, step): gets every scalar, and each layer's summary (`layer_numbers`); what it returns is not
looked at. Its method `begin`, where it has one, gets the run's folder first.
"""
Summed = tuple[list[int], dict[str, Sums]]  # steps, and by layer their sums, stacked
Block = tuple[str, list[int], dict[str, np.ndarray]]
Scalar = tuple[int, str, SupportsFloat, str, float | None]
Listener = Callable[[list[Block], list[tuple[int, str, float, str, float | None]]], None]
"""Gets what was derived, and the numbers that came with it."""


@dataclass
class StatisticsBuffer:
    """Takes rows (step, sums of each layer) and scalars; moves them, as statistics, to a `Recorder` that it
    opens.
    """

    folder: Path
    strict: bool = False
    mirror: Mirror | None = None
    listener: Listener | None = None
    recorder: Recorder | None = None
    _began: bool = False  # whether a run was opened, or could not be
    _summed: list[Summed] = field(default_factory=list)
    _columns: object = None  # of all of these
    _waiting: int = 0  # steps of these, and of what is kept
    # of the steps after these, all like each other
    _kept: list[tuple[int, dict[str, Rows]]] = field(default_factory=list)
    _kept_bytes: int = 0
    _limit: int = BUFFERED_STEPS
    _scalars: list[Scalar] = field(default_factory=list)
    _without_prior: set[str] = field(default_factory=set)  # layers whose prior is not known
    _families: dict[str, str] = field(default_factory=dict)  # of the layers
    _beyond: dict[str, int] = field(default_factory=dict)  # indices beyond a code book, in its window
    _classes_stored: bool = False
    _lost: int = 0
    _warned: set[str] = field(default_factory=set)
    _mirror_failures: int = 0
    _flushed: float = field(default_factory=time.monotonic)

    @property
    def lost(self) -> int:
        """Steps, batches and numbers that were not kept."""
        return self._lost + (sum(self.recorder.dropped.values()) if self.recorder is not None else 0)

    def open(
        self,
        layers: Sequence[LayerInfo],
        config: Mapping[str, Any],
        resume: int | None,
        *,
        precision: Precision = "full",
        name: str | None = None,
        max_gb: float | None = None,
    ) -> None:
        """Open the run, or reopen it after step `resume`. Raises RunError where a run to resume has other
        layers, but for their latent dimensions.
        """
        self._began = True
        self._without_prior = {la["name"] for la in layers if la["prior"] == "unknown"}
        self._families = {la["name"]: la.get("family", GAUSSIAN.name) for la in layers}
        try:
            if resume is None:
                self.recorder = Recorder(
                    self.folder, layers, config, precision, name=name, strict=self.strict, max_gb=max_gb
                )
            else:
                self.recorder = Recorder.resume(self.folder, resume, strict=self.strict, max_gb=max_gb)
        except OSError as error:
            self.failed(error, 0)
            return
        if (begin := getattr(self.mirror, "begin", None)) is not None:
            try:
                begin(str(self.recorder.path.absolute()))
            except Exception as error:  # noqa: BLE001 - a tracker may raise anything
                self._mirror_failed(error)
        there, now = ([(la["name"], la["neurons"]) for la in some] for some in (self.recorder.layers, layers))
        if there != now:
            raise self.other_layers(layers)

    def other_layers(self, layers: Sequence[LayerInfo]) -> RunError:
        """Let go of a run that was to be resumed: the error that says why."""
        assert self.recorder is not None  # it is open
        self.recorder.close("interrupted")
        there, now = (
            [(la["name"], la["neurons"], la["latent_dim"]) for la in some]
            for some in (self.recorder.layers, layers)
        )
        return RunError(f"{self.folder} cannot be resumed: its layers are {there}, this model's are {now}")

    def add(self, step: int, seen: Mapping[str, PoolSums | Rows]) -> None:
        """What was seen of each layer in a step."""
        self._take(step, seen)
        if self._waiting >= self._limit or time.monotonic() - self._flushed > BUFFERED_SECONDS:
            self.flush()

    def _take(self, step: int, seen: Mapping[str, PoolSums | Rows]) -> None:
        kept = {name: one for name, one in seen.items() if isinstance(one, Rows)}
        together = len(kept) == len(seen)
        if self._kept and not (together and _like(kept, self._kept[-1][1])):
            self._sum_up()
        if not together:
            self._sum_alone(step, seen)
        elif seen:
            self._kept.append((step, kept))
            self._waiting += 1
            self._kept_bytes += sum(rows.size for rows in kept.values())
            if self._kept_bytes > KEPT_BYTES:
                self._sum_up()

    def _sum_up(self) -> None:
        """What is kept of several steps becomes the sums of each."""
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        self._waiting -= len(kept)
        if not kept:
            return
        try:
            sums = {name: self._sums_of([rows[name] for _, rows in kept]) for name in kept[0][1]}
        except Exception:  # noqa: BLE001 - a step loses itself alone
            for step, rows in kept:
                self._sum_alone(step, rows)
        else:
            self._add_sums([step for step, _ in kept], sums)

    def _sum_alone(self, step: int, seen: Mapping[str, PoolSums | Rows]) -> None:
        try:
            sums = {
                name: self._sums_of([one])
                if isinstance(one, Rows)
                else {sum_: value[None] for sum_, value in self._sums_of_one(one).items()}
                for name, one in seen.items()
            }
        except Exception as error:  # noqa: BLE001 - training goes on
            self.failed(error, 1)
            return
        self._add_sums([step], sums)

    def _sums_of(self, steps: Sequence[Rows]) -> Sums:
        return sums_of(steps)

    def _sums_of_one(self, step: PoolSums) -> Sums:
        return step.sufficient_statistics()

    def _add_sums(self, steps: list[int], sums: dict[str, Sums]) -> None:
        columns = {
            layer: [(name, value.shape[1:], value.device) for name, value in some.items()]
            for layer, some in sums.items()
        }
        if self._summed and columns != self._columns:
            self.flush()  # a block has the same statistics at all its steps
        if not self._summed:
            self._columns = columns
            size = sum(value.nbytes for some in sums.values() for value in some.values()) // len(steps)
            self._limit = min(BUFFERED_STEPS, int(BUFFERED_BYTES // size) + 1)
        self._summed.append((steps, sums))
        self._waiting += len(steps)

    def scalar(self, step: int, name: str, value: SupportsFloat, split: str, epoch: float | None) -> None:
        """One number; a tensor is copied, and read when the buffer is flushed. Anything else is left out."""
        try:
            called = text(name, "a scalar's name")
            of = f"scalar {called!r}"
            if not self._began and len(self._scalars) >= WAITING_SCALARS:
                raise ValueError(f"{of}: no forward pass in training came before {WAITING_SCALARS} numbers")
            kept: SupportsFloat
            if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
                kept = value.detach().clone()
            else:
                kept = number(value, of)
            self._scalars.append(
                (
                    whole_number(step, f"{of}: step"),
                    called,
                    kept,
                    text(split, f"{of}: split"),
                    None if epoch is None else number(epoch, f"{of}: epoch"),
                )
            )
        except ValueError as error:
            self.failed(error, 1, f"scalar {name!r}")

    def flush(self) -> None:
        """Move what is buffered to the recorder, whose writer stores it within 5 s, and to the mirror."""
        self._flushed = time.monotonic()
        if not self._began:
            return
        self._sum_up()
        summed, self._summed, self._waiting = self._summed, [], 0
        self._hand_on([summed])

    def _hand_on(self, groups: Sequence[list[Summed]]) -> None:
        """Derive statistics of steps, those of a group with the same layers, and store them with the numbers
        that have come.
        """
        given, self._scalars = self._scalars, []
        blocks = [block for summed in groups for block in self._derived(summed)]
        self._look_for_negative_sigma(blocks)
        self._leave_out_what_needs_a_prior(blocks)
        scalars = [one for one in map(self._read, given) if one is not None]
        recorder = self.recorder
        for summed in groups:
            self._store_classes(summed)
        for layer, steps, columns in blocks:
            self._store(len(steps), recorder.record_block if recorder else None, steps, layer, columns)
        for scalar in scalars:
            self._store(1, recorder.scalar if recorder else None, *scalar)
        blocks = [(layer, steps, _of_neurons(columns)) for layer, steps, columns in blocks]
        self._copy_to_mirror(blocks, scalars)
        if self.listener is not None:
            self.listener(blocks, scalars)

    def _derived(self, summed: list[Summed]) -> list[Block]:
        """Statistics of a block of steps; a step that has none loses itself alone."""
        try:
            return self._blocks(summed)
        except Exception as error:  # noqa: BLE001 - training goes on
            alone = [one for some in summed for one in _apart(*some)]
            if len(alone) == 1:
                self.failed(RuntimeError(f"step {alone[0][0][0]}: {error}"), 1, "sums")
                return []
        return [block for one in alone for block in self._derived([one])]

    def _blocks(self, summed: list[Summed]) -> list[Block]:
        """Layer, steps and statistics, name -> (T, N), or (T,) of the whole layer, derived on the device for
        all steps at once.
        """
        steps = [step for some, _ in summed for step in some]
        blocks = []
        for layer, first in summed[0][1].items() if summed else ():
            sums = {name: torch.cat([some[layer][name] for _, some in summed]) for name in first}
            if self._families.get(layer) == "codes":
                self._count_beyond(layer, sums["counts"])
            found = derive_sums(self._families.get(layer, GAUSSIAN.name), sums)
            blocks.append((layer, steps, {name: values.cpu().numpy() for name, values in found.items()}))
        return blocks

    def _count_beyond(self, layer: str, counts: Tensor) -> None:
        """Say how many indices lie beyond a code book since the last block: they are no picks."""
        beyond, before = int(counts[-1, -1]), self._beyond.get(layer, 0)
        self._beyond[layer] = beyond
        if beyond > before:
            size = counts.shape[-1] - 2
            text = f"layer {layer!r}: {beyond - before} indices lie beyond a code book of {size} codes"
            self.failed(ValueError(text), beyond - before, f"beyond {layer}")

    def _store_classes(self, summed: list[Summed]) -> None:
        """How neurons share themselves out over their classes at the last step: once a flush, since a step
        of it weighs as much as C statistics, and not of very many. Of the run's first flush at some steps
        before it too, where most of a training happens.
        """
        if self.recorder is None or not summed:
            return
        steps = [(step, at, sums) for some, sums in summed for at, step in enumerate(some)]
        places = [-1] if self._classes_stored else log_spaced(len(steps), FIRST_CLASSES).tolist()
        self._classes_stored = True
        for place in places:
            self._store_classes_of(*steps[place])

    def _store_classes_of(self, step: int, at: int, sums: Mapping[str, Sums]) -> None:
        assert self.recorder is not None  # the caller has looked
        for layer, some in sums.items():
            if self._families.get(layer) not in OF_CLASSES:
                continue
            one = {name: value[at : at + 1] for name, value in some.items()}
            usage = class_usage(self._families[layer], one)
            if usage is not None and usage[0].numel() <= MOST_CLASSES:
                self._store(0, self.recorder.classes, step, layer, usage[0].cpu().numpy())

    def _read(self, scalar: Scalar) -> tuple[int, str, float, str, float | None] | None:
        step, name, value, split, epoch = scalar
        try:
            return step, name, float(value), split, epoch
        except Exception as error:  # noqa: BLE001 - a tensor without values, a device that failed
            self.failed(ValueError(f"scalar {name!r}: {error}"), 1, f"scalar {name!r}")
            return None

    def _store(self, numbers: int, record: Callable[..., object] | None, *given: Any) -> None:
        """Hand on to the recorder, or count what it does not take."""
        if record is None:
            self._lost += numbers
            return
        try:
            record(*given)
        except Exception as error:  # noqa: BLE001 - training goes on
            self.failed(error, numbers)

    def _copy_to_mirror(
        self, blocks: list[Block], scalars: Sequence[tuple[int, str, float, str, float | None]]
    ) -> None:
        if self.mirror is None:
            return
        try:
            for layer, steps, columns in blocks:
                for name, values in layer_numbers(columns).items():
                    for step, value in zip(steps, values, strict=True):
                        self.mirror(f"{name}/{layer}", float(value), step)
            for step, name, number, split, _ in scalars:
                self.mirror(f"{split}/{name}", number, step)
            self._mirror_failures = 0
        except Exception as error:  # noqa: BLE001 - a tracker may raise anything
            self._mirror_failed(error)

    def _mirror_failed(self, error: Exception) -> None:
        """Warn of a mirror that fails; after a few times in a row it is left alone: it may cost time."""
        self._mirror_failures += 1
        if self._mirror_failures == MIRROR_FAILURES:
            self.mirror = None
        if self.strict:
            raise error
        self.warn(
            "mirror",
            f"the mirror failed: {first_line(error)}. Training and the log go on; after"
            f" {MIRROR_FAILURES} failures in a row it is left alone",
        )

    def close(self, status: FinalStatus) -> None:
        """Flush, and close the run."""
        if not self._began and self._scalars:
            error = RuntimeError("no forward pass in training came: there is no run for the numbers")
            self.failed(error, len(self._scalars), "no run")
        try:
            self.flush()
        finally:
            if self.recorder is not None:
                try:
                    self.recorder.close(status)
                except (RecorderError, OSError) as error:
                    self.failed(error, 0)

    def failed(self, error: Exception, lost: int, of: str = "") -> None:
        """Count what is lost and warn, the first time of each thing that it is `of`; raise when strict."""
        self._lost += lost
        if self.strict:
            raise error
        self.warn(of, f"{first_line(error)}. Training goes on; what is not recorded is counted in `lost`")

    def warn(self, of: str, message: str) -> None:
        """Warn, the first time of each thing."""
        if of not in self._warned:
            self._warned.add(of)
            warnings.warn(f"{self.folder}: {message}", RuntimeWarning, stacklevel=6)

    def _look_for_negative_sigma(self, blocks: list[Block]) -> None:
        """Say where a standard deviation is negative: its square is a number then, and its logarithm is
        none.
        """
        for layer, steps, columns in blocks:
            if not {"mean", "variance", "kl"} <= columns.keys():
                continue
            known = np.isfinite(columns["mean"]) & np.isfinite(columns["variance"])
            if (negative := known & np.isnan(columns["kl"])).any():
                at, count = int(np.argmax(negative.any(1))), int(negative.any(0).sum())
                self.warn(
                    f"sigma of {layer}",
                    f"layer {layer!r}: sigma, or the prior's, has negative values from step {steps[at]} on,"
                    f" in {count} neurons, which are non-finite: sigma is a standard deviation; of a log"
                    " variance give (0.5 * log_var).exp()",
                )
                columns["variance"] = np.where(negative, np.nan, columns["variance"])

    def _leave_out_what_needs_a_prior(self, blocks: list[Block]) -> None:
        for layer, _, columns in blocks:
            if layer in self._without_prior:
                gaussian = self._families[layer].startswith(GAUSSIAN.name)
                for name in NEED_PRIOR if gaussian else NEED_PRIOR - {"information"}:
                    columns.pop(name, None)

    def forget(self) -> None:
        """In a forked child: write nothing any more, and let go of what the parent will write."""
        self.recorder = self.mirror = None
        self._summed, self._kept, self._scalars = [], [], []


def _like(one: Mapping[str, Rows], other: Mapping[str, Rows]) -> bool:
    return one.keys() == other.keys() and all(rows.like(other[name]) for name, rows in one.items())


def _of_neurons(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without the numbers of the whole layer."""
    return {name: values for name, values in columns.items() if values.ndim == 2}


def _apart(steps: list[int], sums: dict[str, Sums]) -> list[Summed]:
    return [
        (
            [step],
            {
                layer: {name: value[at : at + 1] for name, value in some.items()}
                for layer, some in sums.items()
            },
        )
        for at, step in enumerate(steps)
    ]
