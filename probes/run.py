"""Run: sliced, incremental, downsampled reading of a run's folder; catalog: what a folder of runs holds.

Reads only the files that a question needs. What is derived and not written yet is computed from `neurons/`,
so that every answer covers every step.
Frames are pandas with the keys as columns, sorted (step, layer, neuron); arrays are read-only numpy.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs as pafs

from probes.log import manifest
from probes.log.blocks import REGIME, ColumnBlock, column_rank
from probes.log.catalog import catalog
from probes.log.levels import EVERYTHING, Levels, kinds, merge
from probes.log.opening import RunError
from probes.log.rows import SCHEMAS, Table, join
from probes.log.summaries import summarise
from probes.schema import KEYS

__all__ = ["Run", "RunError", "catalog"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_LASTING = ("created", "name", "segments", "layers", "precision", "config", "packages")
"""What a manifest keeps while its run is written; `segments` lists the sessions that have written it."""
_ATTEMPTS = 5
"""A live run may compact a file away between listing and opening it; a second listing finds what replaced it.
"""


def _reading(method: Callable[Concatenate[Run, _P], _T]) -> Callable[Concatenate[Run, _P], _T]:
    """One reader at a time (files are shared between threads), listing anew when a file has been compacted
    away.
    """

    @functools.wraps(method)
    def wrapper(self: Run, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._lock:
            for _ in range(_ATTEMPTS - 1):
                try:
                    return method(self, *args, **kwargs)
                except FileNotFoundError:
                    self.refresh()
            try:
                return method(self, *args, **kwargs)
            except FileNotFoundError as error:
                raise RunError(
                    f"{self.path}: a file that its folder lists cannot be opened: {error}"
                ) from error

    return wrapper


class Run:
    """One run's folder: a path, or a URI that `pyarrow.fs` knows.

    Raises RunError when the folder holds no run, its manifest is broken or its format is newer than this
    reader.
    """

    def __init__(self, path: str | Path) -> None:
        if "://" in str(path):
            self._filesystem, root = pafs.FileSystem.from_uri(str(path))
        else:
            self._filesystem, root = pafs.LocalFileSystem(), str(path)
        self.path = root
        self._lock = threading.RLock()
        self.manifest: dict[str, Any] = manifest.read(self._filesystem, root)
        widths = [layer["neurons"] for layer in self.layers]
        self._levels = Levels(self._filesystem, root, widths)
        self._tables = {
            name: Table(self._filesystem, f"{root}/{name}", widths) for name in ("layers", *SCHEMAS)
        }
        self._recorded: tuple[np.ndarray, np.ndarray] | None = None
        self._steps: np.ndarray | None = None
        self._list()

    def __repr__(self) -> str:
        count = (self.manifest.get("steps") or {}).get("count") or 0  # opens no file, which might be damaged
        return f"Run({self.path!r}: {self.status}, {len(self.layers)} layers, {count} steps)"

    # ---- what the run is

    @property
    def name(self) -> str:
        return str(self.manifest.get("name", Path(self.path).name))

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Layers in order of depth: `name`, `neurons`, `latent_dim`, `prior`, ..."""
        return self.manifest["layers"]

    @property
    def config(self) -> dict[str, Any]:
        return self.manifest.get("config") or {}

    @property
    def status(self) -> str:
        """`running`, `finished`, `interrupted` or `crashed`."""
        return manifest.status(self.manifest)

    @property
    def identity(self) -> str:
        """A digest that stays while the run is only added to. It changes when the run is resumed, which sets
        rows aside, or when another one has taken its place.

        Times in a manifest are whole seconds, within which a run can be deleted and made anew: the lock file,
        written once, tells these apart.
        """
        (lock,) = self._filesystem.get_file_info([f"{self.path}/{manifest.LOCK}"])  # a copy may have none
        lasting = {key: self.manifest.get(key) for key in _LASTING}
        text = json.dumps([self.path, lock.mtime_ns, lasting], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    @_reading
    def statistics(self) -> list[str]:
        """Names of the stored statistics, in the registry's order."""
        known = set(self.manifest.get("statistics") or [])
        if (
            self.manifest.get("status") == "running" and self._levels.raw.segments
        ):  # a killed writer may not have come to its manifest
            known |= set(self._levels.raw.file(self._levels.raw.segments[-1]).columns) - {REGIME}
        return sorted(known, key=column_rank)

    @property
    @_reading
    def steps(self) -> np.ndarray:
        """(T,) int64: every step at which some layer is recorded."""
        # pages ask dozens of times; sorting 10,000 steps anew costs each time a millisecond
        if self._steps is None:
            recorded = self._recorded_steps()[0]
            self._steps = _frozen(
                recorded[np.append(True, recorded[1:] != recorded[:-1])] if recorded.size else recorded
            )
        return self._steps

    def refresh(self) -> bool:
        """Look for what has been written since: reads the manifest and lists folders, opens no file. True if
        there is more.
        """
        with self._lock:
            before = self._contents()
            self.manifest = manifest.read(self._filesystem, self.path)
            self._list()
            return before != self._contents()

    def snapshot(self) -> Self:
        """A reader of what this one has found so far, which stays as it is while this one is refreshed.

        Both share what they have read, and the lock that guards it; making one reads nothing. For pages: what
        is put together from several answers is of one state of the run.
        """
        with self._lock:
            fixed = copy.copy(self)
            fixed._levels = self._levels.snapshot()
            fixed._tables = {name: copy.copy(table) for name, table in self._tables.items()}
            return fixed

    def extent(self, name: str) -> int:
        """How far the rows of "neurons" or of a table ("scalars", "events", "probe", ...) reach: the last
        recorded step, or the number of rows; -1 or 0 while there are none.

        It grows when rows come, and by nothing else, so that it tells an answer about the whole run from a
        later one. Known from the names of files: opens none. Raises KeyError for a table that no run has.
        """
        if name == "neurons":
            return self._levels.raw.segments[-1].last if self._levels.raw.segments else -1
        segments = self._tables[name].segments
        return segments[-1].last + 1 if segments else 0

    def _contents(self) -> tuple[Any, ...]:
        """What tells one state of the run from another: its files and status (a heartbeat alone is nothing
        new).
        """
        return self.status, self._levels.raw.segments, [table.segments for table in self._tables.values()]

    def layer_index(self, layer: int | str) -> int:
        """Index of a layer given by index or name. Raises RunError for one that the run does not have."""
        names = [item["name"] for item in self.layers]
        index = names.index(layer) if layer in names else layer
        if isinstance(index, str) or not 0 <= index < len(names):
            raise RunError(f"{self.path} has no layer {layer!r}; its layers are {names}")
        return int(index)

    # ---- neurons

    @_reading
    def history(
        self,
        layer: int | str,
        neurons: int | Sequence[int] | np.ndarray | None = None,
        statistics: Sequence[str] | None = None,
        steps: tuple[int, int] | None = None,
        max_points: int | None = None,
    ) -> pd.DataFrame:
        """Chosen neurons (all by default) over steps: step, layer, neuron, then the statistics (all, and
        `regime`).

        steps: (first, last), inclusive. max_points: take the coarsest pyramid level that still gives so many
        steps, else the raw rows; every statistic then comes with KIND_min and KIND_max, and `step` is the
        first of its bucket. Raises RunError for an unknown layer, neuron or statistic.
        """
        index = self.layer_index(layer)
        chosen = self._neurons(index, neurons)
        names = self._statistics(statistics)
        first, last = EVERYTHING if steps is None else (int(steps[0]), int(steps[1]))
        width = (
            1
            if max_points is None
            else self._levels.width_of_at_least(index, self._layer_steps(index), first, last, max_points)
        )
        columns = names if max_points is None else [kind for name in names for kind in kinds(name)]
        block = self._levels.read(width, index, chosen, columns, first, last)
        return _frame(block, chosen, columns)

    @_reading
    def at(
        self, step: int, layer: int | str | None = None, statistics: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Every neuron of one layer (or of all) at a recorded step. Raises RunError for a step that is not
        recorded.
        """
        names = self._statistics(statistics)
        layers = range(len(self.layers)) if layer is None else [self.layer_index(layer)]
        frames = []
        for index in layers:
            chosen = self._neurons(index, None)
            block = self._levels.raw.read(index, chosen, names, step, step)
            if block.steps.size:
                frames.append(_frame(block, chosen, names))
        if not frames:
            raise RunError(f"{self.path}: step {step} is not recorded{self._near(step)}")
        return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]

    @_reading
    def matrix(
        self,
        layer: int | str,
        statistic: str,
        max_columns: int = 1000,
        reduce: Literal["mean", "min", "max"] = "mean",
        steps: tuple[int, int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """One statistic of a layer as an image: values (neurons, columns), edges (columns + 1,) in steps, the
        last exclusive.

        Exact while the recorded steps fit. Else from the finest level of the pyramid that gives at most
        `max_columns`, or from the next finer one, merged, where that fills the image better and is quickly
        read. `regime` is that of a column's last step. NaN where a statistic is absent.
        steps: (first, last), inclusive; columns that stand for several steps and overlap the range are whole.
        """
        index = self.layer_index(layer)
        (name,) = self._statistics([statistic])
        if reduce not in ("mean", "min", "max"):
            raise RunError(f'reduce is {reduce!r}; it must be "mean", "min" or "max"')
        if max_columns < 1:
            raise RunError(f"max_columns is {max_columns}; it must be at least 1")
        first, last = EVERYTHING if steps is None else (int(steps[0]), int(steps[1]))
        recorded = self._layer_steps(index)
        width = self._levels.width_for(
            index, recorded, first, last, max_columns, self.layers[index]["neurons"]
        )
        column = name if width == 1 or reduce == "mean" or name == REGIME else f"{name}_{reduce}"
        block = self._levels.read(width, index, self._neurons(index, None), [column], first, last)
        values, starts = block.columns[column], block.steps
        if starts.size > max_columns:
            how = "last" if name == REGIME else reduce
            taken = self._taken(index, name)
            values, starts = merge(values, starts, -(-starts.size // max_columns), how, taken[taken <= last])
        end = recorded[recorded <= last][-1:] + 1
        return _frozen(np.ascontiguousarray(values)), _frozen(np.concatenate([starts, end]))

    def regimes(self, step: int | None = None) -> pd.DataFrame:
        """Regime code of every neuron at a recorded step, the last by default: step, layer, neuron,
        regime.
        """
        if step is None:
            if not self.steps.size:
                return pd.DataFrame(
                    {
                        **{key: pd.Series(dtype=kind) for key, kind in KEYS.items()},
                        REGIME: pd.Series(dtype="int8"),
                    }
                )
            step = int(self.steps[-1])
        return self.at(step, statistics=[REGIME])

    @_reading
    def taken(self, layer: int | str, statistic: str) -> np.ndarray:
        """(T,) int64: the steps at which a layer's statistic was taken. NaN at another step means that it was
        not.
        """
        (name,) = self._statistics([statistic])
        return _frozen(np.array(self._taken(self.layer_index(layer), name)))

    # ---- layers and plain rows

    @_reading
    def layer_summary(self) -> pd.DataFrame:
        """Rows (step, layer): KIND_mean, KIND_p05 .. KIND_p95 of every statistic over neurons, counts
        regime_0 .. regime_9.
        """
        return self._summary().to_pandas(use_threads=False)  # threads cost more than they save on some MB

    @_reading
    def scalars(self) -> pd.DataFrame:
        """Columns step, epoch, time (seconds of training), split, name, value, in order of arrival."""
        return self._rows("scalars")

    @_reading
    def events(self) -> pd.DataFrame:
        """Columns step, layer (null: the run), kind, neuron (null: the whole layer), value, text, in order of
        arrival.
        """
        return self._rows("events").astype({"layer": "Int16", "neuron": "Int32"})

    @_reading
    def probe(self, step: int | None = None) -> pd.DataFrame:
        """Posteriors of the probe batch at a step (the last by default): step, layer, neuron, input, mu,
        sigma.
        """
        return self._rows_at("probe", step)

    @_reading
    def probe_steps(self) -> np.ndarray:
        """(T,) int64: the steps at which the probe batch was recorded."""
        return _frozen(self._tables["probe"].steps())

    @_reading
    def forces(self, step: int | None = None) -> pd.DataFrame:
        """How the terms of the loss pull at each neuron, at one step of the probe batch or at all of them.

        Columns step, layer, neuron, term (of `schema.FORCE_TERMS`), then those of `schema.FORCES`.
        """
        return self._rows("forces") if step is None else self._rows_at("forces", step)

    @_reading
    def evaluation(self) -> pd.DataFrame:
        """Statistics pooled over whole splits: step, split, layer, neuron, statistics."""
        return self._rows("evaluation")

    @_reading
    def predictions(self, step: int | None = None) -> pd.DataFrame:
        """Predictions of the probe batch at a step (the last by default)."""
        return self._rows_at("predictions", step)

    def alerts(self) -> pd.DataFrame:
        """Alerts of the whole run, by the rules of `probes.alerts` (columns and limits are described
        there).
        """
        from probes.alerts import alerts

        return alerts(self)

    # ---- inside

    def _list(self) -> None:
        for table in self._tables.values():
            table.refresh()
        self._levels.refresh()
        self._recorded, self._steps = None, None

    def _rows(self, name: str) -> pd.DataFrame:
        return self._tables[name].read().to_pandas()

    def _rows_at(self, name: str, step: int | None) -> pd.DataFrame:
        table = self._tables[name]
        if step is None:
            steps = table.steps()
            step = int(steps[-1]) if steps.size else -1
        return table.read(step=step).to_pandas()

    def _recorded_steps(self) -> tuple[np.ndarray, np.ndarray]:
        """(steps, layers) of every recorded (step, layer), sorted by step within each layer."""
        if self._recorded is None:
            table = self._tables["layers"].read(["step", "layer"])
            steps, layers = [table["step"].to_numpy()], [table["layer"].to_numpy()]
            for first, last in self._levels.uncovered(self._tables["layers"].segments):
                for index in range(len(self.layers)):
                    found = self._levels.raw.steps(index, first, last)
                    steps.append(found)
                    layers.append(np.full(found.size, index, np.int16))
            all_steps, all_layers = (
                parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in (steps, layers)
            )
            if not (all_steps[1:] >= all_steps[:-1]).all():
                order = np.argsort(all_steps, kind="stable")
                all_steps, all_layers = all_steps[order], all_layers[order]
            self._recorded = all_steps, all_layers
        return self._recorded

    def _layer_steps(self, layer: int) -> np.ndarray:
        steps, layers = self._recorded_steps()
        return steps[layers == layer]

    def _summary(self) -> pa.Table:
        tables = [self._tables["layers"].read()]
        for first, last in self._levels.uncovered(self._tables["layers"].segments):
            names = self._statistics(None)
            blocks = [
                self._levels.raw.read(i, self._neurons(i, None), names, first, last)
                for i in range(len(self.layers))
            ]
            blocks = [block for block in blocks if block.steps.size]
            if blocks:
                tables.append(summarise(blocks))
        if len(tables) == 1:
            return tables[0]
        return join([table for table in tables if table.num_columns]).sort_by(
            [("step", "ascending"), ("layer", "ascending")]
        )

    def _neurons(self, layer: int, neurons: int | Sequence[int] | np.ndarray | None) -> np.ndarray:
        width = self.layers[layer]["neurons"]
        if neurons is None:
            return np.arange(width, dtype=np.int64)
        chosen = np.unique(np.atleast_1d(np.asarray(neurons, dtype=np.int64)))
        if chosen.size and not (chosen[0] >= 0 and chosen[-1] < width):
            raise RunError(
                f"{self.path}: layer {self.layers[layer]['name']!r} has neurons 0 to {width - 1}, asked for"
                f" {neurons}"
            )
        return chosen

    def _statistics(self, statistics: Sequence[str] | None) -> list[str]:
        known = [REGIME, *self.statistics]
        if statistics is None:
            return known
        unknown = [name for name in statistics if name not in known]
        if unknown:
            raise RunError(f"{self.path} does not hold {unknown}; it has {known}")
        return list(dict.fromkeys(statistics))

    def _taken(self, layer: int, name: str) -> np.ndarray:
        """Steps at which a statistic of a layer is there (`regime` always is)."""
        if name == REGIME:
            return self._layer_steps(layer)
        summary = self._summary()
        mine = summary.filter(pc.equal(summary["layer"], layer))
        return mine["step"].to_numpy()[mine[f"{name}_mean"].is_valid().to_numpy()]

    def _near(self, step: int) -> str:
        steps = self.steps
        at = int(np.searchsorted(steps, step))
        near = [int(s) for s in steps[max(at - 1, 0) : at + 1]]
        return f"; the nearest are {near}" if near else "; the run has no steps yet"


def _frame(block: ColumnBlock, neurons: np.ndarray, columns: list[str]) -> pd.DataFrame:
    """Rows sorted (step, neuron) of a block that holds `neurons`."""
    size = block.steps.size * neurons.size
    data: dict[str, np.ndarray] = {
        "step": np.repeat(block.steps, neurons.size),
        "layer": np.full(size, block.layer, np.int16),
        "neuron": np.tile(neurons.astype(np.int32), block.steps.size),
    }
    data |= {name: block.columns[name].T.ravel() for name in columns}
    return pd.DataFrame(data, copy=False)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
