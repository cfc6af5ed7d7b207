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
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from probes.errors import RunError
from probes.families import standard_prior
from probes.log import config as configuration
from probes.log import manifest
from probes.log.blocks import CODES, ColumnBlock, column_rank
from probes.log.catalog import catalog, catalog_rows, run_name
from probes.log.levels import ALL_STEPS, Levels, bucket_columns, merge
from probes.log.limits import LARGEST
from probes.log.rows import OF_FAMILIES, SCHEMAS, Table, join, known_table
from probes.log.segments import counted_segments, listed_anew
from probes.log.summaries import COUNTS, summarise
from probes.run_reader import LayerInfo, Reduction, Status
from probes.schema import KEYS, REGIME, SETTLED, STATISTICS, derivable, evaluate, with_inputs
from probes.storage import Folder, Listing, open_folder
from probes.storage.lock import FILE as LOCK_FILE

if TYPE_CHECKING:
    from probes.notebook.replay import Replay

__all__ = ["Run", "RunError", "catalog", "catalog_rows", "run_name"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Scalar = TypeVar("_Scalar", bound=np.generic)
_LASTING = ("created", "name", "segments", "layers", "precision", "config", "packages")
"""What a manifest keeps while its run is written; `segments` lists the sessions that have written it."""


def _reading(method: Callable[Concatenate[Run, _P], _T]) -> Callable[Concatenate[Run, _P], _T]:
    """One reader at a time (files are shared between threads), listing anew when a file has been compacted
    away.
    """

    @functools.wraps(method)
    def wrapper(self: Run, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._lock:
            try:
                return listed_anew(lambda: method(self, *args, **kwargs), self.refresh)
            except FileNotFoundError as error:
                raise RunError(
                    f"{self.path}: a file that its folder lists cannot be opened: {error}"
                ) from error

    return wrapper


class Run:
    """One run, read where it lies.

    Parameters
    ----------
    path
        Its folder: a path, the URL of an object store (`s3://bucket/run`, with the extra `store`), another
        URI that `pyarrow.fs` knows, or a `probes.storage.Storage`.

    Raises
    ------
    RunError
        When the folder holds no run, its manifest is broken or its format is newer than this reader; from
        every method, when a file that it needs is damaged.

    Notes
    -----
    The files are described in docs/format.md. `storage` is where they lie, `path` what that is called,
    `manifest` what run.json said at the last `refresh`. Threads may share a run: one reads at a time.
    """

    def __init__(self, path: Folder) -> None:
        self.storage = open_folder(path)
        self.path = self.storage.root
        self._lock = threading.RLock()
        self.manifest: dict[str, Any] = manifest.read(self.storage)
        self._recorded: tuple[np.ndarray, np.ndarray] | None = None
        self._steps: np.ndarray | None = None
        self._listing: Listing = self.storage
        self._begin()
        self._list()
        self._seen_contents = self._contents()

    def _begin(self) -> None:
        """With nothing read yet."""
        widths = [layer["neurons"] for layer in self.layers]
        self._levels = Levels(self.storage, widths)
        self._tables = {name: Table(self.storage, name, widths) for name in ("layers", *SCHEMAS)}
        self._config: dict[str, Any] | None = None

    def __repr__(self) -> str:
        count = (self.manifest.get("steps") or {}).get("count") or 0  # opens no file, which might be damaged
        return f"Run({self.path!r}: {self.status}, {len(self.layers)} layers, {count} steps)"

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        from probes.notebook import summary

        return summary.html(self)

    def replay(
        self,
        layers: Sequence[int | str] | None = None,
        neurons: int | Sequence[str] = 16,
        step: int | None = None,
    ) -> Replay:
        """The replay as a widget of a notebook.

        Parameters
        ----------
        layers
            Indices from 0 or names; by default six, evenly spaced in depth.
        neurons
            How many of each layer; or names such as "2:17" (layers counted from 1) to draw beside 16 of each.
        step
            Where the cursor stands; without one the replay plays once it comes into view.

        Returns
        -------
        notebook.replay.Replay
            Its `step` is the cursor's, to be read and set; `export(FILE)` writes a page.

        Raises
        ------
        RunError
            For a layer or neuron that the run does not have, and where it holds no distributions.
        MissingPackageError
            Where the extra `notebook` is not installed.
        """
        from probes.notebook.replay import Replay

        return Replay(self, layers, neurons, step)

    # ---- what the run is

    @property
    def name(self) -> str:
        return str(self.manifest.get("name", PurePath(self.path).name))

    @property
    def layers(self) -> list[LayerInfo]:
        """Layers in order of depth: dicts of `name`, `neurons`, `latent_dim`, `prior`, ..."""
        return self.manifest["layers"]

    @property
    def config(self) -> dict[str, Any]:
        """Resolved configuration that the run was recorded with; a large one is read from config.json."""
        if not self.manifest.get("config_file"):
            return self.manifest.get("config") or {}
        if self._config is None:
            self._config = configuration.read(self.storage)
        return self._config

    @property
    def status(self) -> Status:
        """How the run stands as of the last `refresh`."""
        return manifest.status(self.manifest)

    @property
    def identity(self) -> str:
        """A digest that stays while the run is only added to. It changes when the run is resumed, which sets
        rows aside, or when another one has taken its place.

        Times in a manifest are whole seconds, within which a run can be deleted and made anew: the lock file,
        written once, tells these apart.
        """
        lock = self._listing.stamp(LOCK_FILE)  # a copy may have none
        text = json.dumps([self.path, lock, self._lasting()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _lasting(self) -> dict[str, Any]:
        return {key: self.manifest.get(key) for key in _LASTING}

    @property
    @_reading
    def statistics(self) -> list[str]:
        """Names of the stored statistics, in the registry's order."""
        known = set(self.manifest.get("statistics") or [])
        if (
            self.manifest.get("status") == "running" and self._levels.raw.segments
        ):  # a killed writer may not have come to its manifest
            known |= set(self._levels.raw.file(self._levels.raw.segments[-1]).columns) - set(CODES)
        return sorted(known, key=column_rank)

    @property
    def available(self) -> list[str]:
        """Names of the registry that can be asked for: stored statistics, then what derives from them."""
        stored = [name for name in self.statistics if name in STATISTICS]
        return [*stored, *derivable(stored)]

    @property
    def stride(self) -> int:
        """Positions of the data between the two ends of a measured slope; 1 where the run does not say."""
        stride = (self.manifest.get("config") or {}).get("stride")
        return stride if isinstance(stride, int) and 0 < stride <= LARGEST else 1

    @property
    @_reading
    def steps(self) -> NDArray[np.int64]:
        """(T,) int64: every step at which some layer is recorded."""
        # pages ask dozens of times; sorting 10,000 steps anew costs each time a millisecond
        if self._steps is None:
            recorded = self._recorded_steps()[0]
            self._steps = _frozen(
                recorded[np.append(True, recorded[1:] != recorded[:-1])] if recorded.size else recorded
            )
        return self._steps

    def refresh(self) -> bool:
        """Look for what has been written since: read the manifest and list folders; no other file is opened.

        Returns
        -------
        bool
            Whether there is more, or another status.

        Raises
        ------
        RunError
            When the manifest or a folder cannot be read any more.
        """
        with self._lock:
            # not what the manifest of before says by now: a run that falls silent is news as well
            before = self._seen_contents
            self.manifest = manifest.read(self.storage)
            self._list()
            if self._lasting() != before[0]:  # resumed: files of the same names may hold other rows
                self._begin()
                self._list()
            self._seen_contents = self._contents()
            return before != self._seen_contents

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
        """How far the rows of a table reach. Known from the names of files: opens none.

        Parameters
        ----------
        name
            "neurons", or a table: "scalars", "events", "probe", ...

        Returns
        -------
        int
            The last recorded step, or the number of rows; -1 or 0 while there are none. It grows when rows
            come, and by nothing else, so that it tells an answer about the whole run from a later one.

        Raises
        ------
        KeyError
            For a table that no run has.
        """
        if name == "neurons":
            return self._levels.raw.last
        segments = self._tables[name].segments
        return segments[-1].last + 1 if segments else 0

    def files(self, table: str = "neurons") -> list[str]:
        """The files of a table that count, to be read by something else; `probes.scan` makes one table of
        them.

        Parameters
        ----------
        table
            "neurons", "layers", "pyramid/16", "pyramid/256", or a table of plain rows: "scalars", ...

        Returns
        -------
        list of str
            Their addresses, in order of step (of arrival for plain rows), listed now. Each row is in one of
            them; those that were compacted into a larger one are left out. Of a live run one of the newest
            may be compacted away before it is read: list anew then.

        Raises
        ------
        KeyError
            For a table that no run has.
        RunError
            Where the folder cannot be listed, or its files overlap.
        """
        segments = counted_segments(self.storage, known_table(table))
        return [self.storage.address(f"{table}/{segment.name}") for segment in segments]

    def _contents(self) -> tuple[Any, ...]:
        """What tells one state of the run from another: which run it is, its status and its files.

        A heartbeat alone is nothing new.
        """
        rows = [table.segments for table in self._tables.values()]
        return self._lasting(), self.status, self._levels.raw.segments, rows

    def layer_index(self, layer: int | str) -> int:
        """Index of a layer.

        Parameters
        ----------
        layer
            Its name, or the index itself.

        Raises
        ------
        RunError
            For a layer that the run does not have.
        """
        names = [item["name"] for item in self.layers]
        index = names.index(layer) if layer in names else layer
        if isinstance(index, str) or not 0 <= index < len(names):
            raise RunError(f"{self.path} has no layer {layer!r}; its layers are {names}{self._why_none()}")
        return int(index)

    # ---- neurons

    @_reading
    def history(
        self,
        layer: int | str,
        neurons: int | Sequence[int] | NDArray[np.integer[Any]] | None = None,
        statistics: Sequence[str] | None = None,
        steps: tuple[int, int] | None = None,
        max_points: int | None = None,
    ) -> pd.DataFrame:
        """Chosen neurons of a layer over steps.

        Parameters
        ----------
        layer
            Name or index.
        neurons
            One or several, from 0; all by default.
        statistics
            Names, such as "kl", stored or derived (`available`); all stored ones, `regime` and
            `settled` by default.
        steps
            (first, last), inclusive; all by default.
        max_points
            Take the coarsest level of the pyramid that still gives so many steps, else the raw rows.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, then the statistics, sorted (step, neuron); NaN where one was not
            taken. With `max_points` every statistic is the mean of its bucket and comes with KIND_min and
            KIND_max, and `step` is the bucket's first.

        Raises
        ------
        RunError
            For an unknown layer, neuron or statistic.
        """
        index = self.layer_index(layer)
        chosen = self._neurons(index, neurons)
        names, stored = self._statistics(statistics)
        first, last = ALL_STEPS if steps is None else (int(steps[0]), int(steps[1]))
        width = (
            1
            if max_points is None
            else self._levels.width_of_at_least(index, self._layer_steps(index), first, last, max_points)
        )
        columns = stored if max_points is None else [kind for name in stored for kind in bucket_columns(name)]
        block = self._levels.read(width, index, chosen, columns, first, last)
        return self._derived(_frame(block, chosen, columns), index, names, reduced=max_points is not None)

    @_reading
    def at(
        self, step: int, layer: int | str | None = None, statistics: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Every neuron of one layer, or of all, at a recorded step.

        Parameters
        ----------
        step
            The step.
        layer
            Name or index; all layers by default.
        statistics
            As for `history`.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, then the statistics, sorted (layer, neuron).

        Raises
        ------
        RunError
            For a step that is not recorded (the message names its neighbours), an unknown layer or statistic.

        Notes
        -----
        Of a run in a store the whole file that holds the step is fetched, some 256 steps of every neuron.
        """
        names, stored = self._statistics(statistics)
        layers = range(len(self.layers)) if layer is None else [self.layer_index(layer)]
        frames = []
        if layer is None:
            self._levels.raw.fetch_whole(step, step)
        for index in layers:
            chosen = self._neurons(index, None)
            block = self._levels.raw.read(index, chosen, stored, step, step)
            if block.steps.size:
                frames.append(self._derived(_frame(block, chosen, stored), index, names))
        if not frames:
            recorded, of = self.steps, ""
            if layer is not None:
                recorded, of = self._layer_steps(layers[0]), f" of layer {self.layers[layers[0]]['name']!r}"
            raise RunError(f"{self.path}: step {step}{of} is not recorded{self._near(step, recorded)}")
        return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]

    @_reading
    def matrix(
        self,
        layer: int | str,
        statistic: str,
        max_columns: int = 1000,
        reduce: Reduction = "mean",
        steps: tuple[int, int] | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """One statistic of a layer as an image.

        Parameters
        ----------
        layer
            Name or index.
        statistic
            Name, "regime" or "settled".
        max_columns
            Most columns of the image.
        reduce
            How several steps become one column: "mean", "min" or "max". A regime is the most severe, a
            settled one the last (before format 1.2 both the last).
        steps
            (first, last), inclusive; columns that stand for several steps and overlap the range are whole.

        Returns
        -------
        values : numpy.ndarray
            (neurons, columns), read-only; NaN where the statistic was not taken.
        edges : numpy.ndarray
            (columns + 1,), the steps at which columns begin; the last is exclusive.

        Raises
        ------
        RunError
            For an unknown layer or statistic, another `reduce`, or no columns.

        Notes
        -----
        Exact while the recorded steps fit. Else from the finest level of the pyramid that gives at most
        `max_columns`, or from the next finer one, merged, where that fills the image better and is quickly
        read. A derived statistic is derived from the columns of its inputs: where a column stands for several
        steps, from their means.
        """
        index = self.layer_index(layer)
        (name,), stored = self._statistics([statistic])
        if reduce not in ("mean", "min", "max"):
            raise RunError(f'reduce is {reduce!r}; it must be "mean", "min" or "max"')
        if max_columns < 1:
            raise RunError(f"max_columns is {max_columns}; it must be at least 1")
        if stored != [name]:
            return self._derived_matrix(index, name, stored, max_columns, reduce, steps)
        first, last = ALL_STEPS if steps is None else (int(steps[0]), int(steps[1]))
        recorded = self._layer_steps(index)
        width = self._levels.width_for(
            index, recorded, first, last, max_columns, self.layers[index]["neurons"]
        )
        column = name if width == 1 or reduce == "mean" or name in CODES else f"{name}_{reduce}"
        block = self._levels.read(width, index, self._neurons(index, None), [column], first, last)
        values, starts = block.columns[column], block.steps
        if starts.size > max_columns:
            how = {REGIME: "severe", SETTLED: "last"}.get(name, reduce)
            taken = self._taken(index, name)
            values, starts = merge(values, starts, -(-starts.size // max_columns), how, taken[taken <= last])
        end = recorded[recorded <= last][-1:] + 1
        return _frozen(np.ascontiguousarray(values)), _frozen(np.concatenate([starts, end]))

    def regimes(self, step: int | None = None) -> pd.DataFrame:
        """Regime of every neuron at a recorded step.

        Parameters
        ----------
        step
            The step; the last by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, regime (the code of `schema.REGIMES` that its own numbers give),
            settled (what the last records agree on; in rows before format 1.2 their regime).

        Raises
        ------
        RunError
            For a step that is not recorded.
        """
        if step is None:
            if not self.steps.size:
                return pd.DataFrame(
                    {
                        **{key: pd.Series(dtype=kind) for key, kind in KEYS.items()},
                        **{name: pd.Series(dtype="int8") for name in CODES},
                    }
                )
            step = int(self.steps[-1])
        return self.at(step, statistics=CODES)

    @_reading
    def taken(self, layer: int | str, statistic: str) -> NDArray[np.int64]:
        """Steps at which a statistic was taken: NaN at another step means that it was not.

        Parameters
        ----------
        layer
            Name or index.
        statistic
            Name, "regime" or "settled".

        Returns
        -------
        numpy.ndarray
            (T,) int64, increasing, read-only.

        Raises
        ------
        RunError
            For an unknown layer or statistic.
        """
        _, stored = self._statistics([statistic])
        index = self.layer_index(layer)
        instead = STATISTICS[statistic].instead if statistic in STATISTICS else None
        told_by = [name for name in (stored[0], *(instead or ())[:1]) if name in stored]
        return _frozen(np.unique(np.concatenate([self._taken(index, name) for name in told_by])))

    # ---- layers and plain rows

    @_reading
    def layer_summary(self) -> pd.DataFrame:
        """How each statistic is distributed over a layer's neurons, at every step.

        Returns
        -------
        pandas.DataFrame
            Rows (step, layer): KIND_mean, KIND_p05, _p25, _p50, _p75, _p95 of every statistic, over its
            finite values; counts of the rows' own regimes regime_0 .. regime_9 and of what the last records
            agree on, settled_0 .. settled_10. Rows before format 1.2 have not settled: their regimes count.
            layer_NAME, numbers of the layer itself (`schema.LAYER_STATISTICS`), where any layer has them.
        """
        summary = self._summary().to_pandas(use_threads=False)  # threads cost more than they save on some MB
        for code in COUNTS[SETTLED]:
            own = summary.get(f"regime_{code}", 0)
            name = f"settled_{code}"
            summary[name] = (
                summary[name].fillna(own) if name in summary else own + 0 * summary["layer"]
            ).fillna(0)
        return summary

    @_reading
    def scalars(self) -> pd.DataFrame:
        """Numbers of the whole run.

        Returns
        -------
        pandas.DataFrame
            Columns step, epoch, time (seconds of training), split, name, value, in order of arrival.
        """
        return self._rows("scalars")

    @_reading
    def events(self) -> pd.DataFrame:
        """What happened: interventions, phases.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer (null: the run), kind, neuron (null: the whole layer), value, text, in order
            of arrival.
        """
        return self._rows("events").astype({"layer": "Int16", "neuron": "Int32"})

    @_reading
    def probe(
        self,
        step: int | None = None,
        layer: int | str | None = None,
        neurons: int | Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> pd.DataFrame:
        """Posteriors of the fixed probe batch at a step.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all layers by default.
        neurons
            One or several of `layer`, from 0; all by default. A few of many are read several times as fast as
            all.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, input, mu, sigma; empty where the batch was not recorded at that
            step.

        Raises
        ------
        RunError
            For an unknown layer or neuron.
        ValueError
            For neurons of no layer.
        """
        if layer is None:
            if neurons is not None:
                raise ValueError(f"{self.path}: say of which layer the neurons are, such as layer=0")
            return self._rows_at("probe", step)
        index = self.layer_index(layer)
        chosen = None if neurons is None else self._neurons(index, neurons)
        return self._rows_at("probe", step, index, chosen)

    @_reading
    def parameters(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """Posteriors of the fixed probe batch at a step, of families that are no Gaussian.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all layers by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, input, name (of `families.Family.parameters`), index (class or
            component, 0 where there is one), value; empty where nothing was recorded at that step.

        Raises
        ------
        RunError
            For an unknown layer.
        """
        return self._rows_at("parameters", step, self._index_or_all(layer))

    @_reading
    def parameter_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which posteriors that are no Gaussian were recorded."""
        return _frozen(self._tables["parameters"].steps())

    @_reading
    def classes(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """How neurons share themselves out over their classes at a step.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all layers by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, class, usage (a share); empty where nothing was recorded at that
            step.

        Raises
        ------
        RunError
            For an unknown layer.
        """
        return self._rows_at("classes", step, self._index_or_all(layer))

    @_reading
    def class_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which the usage of classes was recorded."""
        return _frozen(self._tables["classes"].steps())

    @_reading
    def inputs(self) -> pd.DataFrame:
        """What the inputs of the probe batch are, as last stored.

        Returns
        -------
        pandas.DataFrame
            Columns input, kind ("image", "text", "row"; "position" of a probe sequence that is not the probe
            batch), content (a PNG as base64, a text, numbers as JSON); empty where that was not stored.
        """
        return self._rows_at("inputs", None).drop(columns="step").reset_index(drop=True)

    @_reading
    def probe_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which the probe batch was recorded."""
        return _frozen(self._tables["probe"].steps())

    @_reading
    def forces(self, step: int | None = None) -> pd.DataFrame:
        """How the terms of the loss pull at each neuron.

        Parameters
        ----------
        step
            A step of the probe batch; all of them by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, term (of `schema.FORCE_TERMS`), then those of `schema.FORCES`.
        """
        return self._rows("forces") if step is None else self._rows_at("forces", step)

    @_reading
    def sequence(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """What the neurons believe at each position of the probe sequence, at a step.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, t, m, V (belief), mu, sigma (one draw's, given its past), kl; empty
            where the sequence was not recorded at that step. What stands at t is input t of `inputs`. Of
            classes m, V, mu and sigma are NaN: `sequence_parameters` has their probabilities.

        Raises
        ------
        RunError
            For a layer that the run does not have.
        """
        return self._rows_at("sequence", step, self._index_or_all(layer))

    @_reading
    def sequence_parameters(self, step: int | None = None, layer: int | str | None = None) -> pd.DataFrame:
        """Posteriors at each position of the probe sequence at a step, of families that are no Gaussian.

        Parameters
        ----------
        step
            The step; the last by default.
        layer
            Name or index; all layers by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, layer, neuron, t, name (of `families.Family.parameters`), index (class, component or
            draw, 0 where there is one), value; empty where nothing was recorded at that step.

        Raises
        ------
        RunError
            For a layer that the run does not have.
        """
        return self._rows_at("sequence_parameters", step, self._index_or_all(layer))

    @_reading
    def sequence_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which the probe sequence was recorded."""
        return _frozen(self._tables["sequence"].steps())

    @_reading
    def evaluation(self) -> pd.DataFrame:
        """Statistics pooled over whole splits.

        Returns
        -------
        pandas.DataFrame
            Columns step, split, layer, neuron, then the statistics.
        """
        return self._rows("evaluation")

    @_reading
    def predictions(self, step: int | None = None) -> pd.DataFrame:
        """Predictions of the probe batch at a step.

        Parameters
        ----------
        step
            The step; the last by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, and what the task has: input, horizon, y, mean, ...
        """
        return self._rows_at("predictions", step)

    @_reading
    def reliability(self) -> pd.DataFrame:
        """A classifier's answers in bins of equal counts by confidence, at every step they were taken.

        Returns
        -------
        pandas.DataFrame
            Columns step, split, bin, low, high and confidence (least, largest and mean confidence), count,
            right; empty for a run of no classes.
        """
        return self._rows("reliability")

    @_reading
    def answers(self, step: int | None = None) -> pd.DataFrame:
        """A classifier's answers one by one, at most 512 of a split, evenly spread over it.

        Parameters
        ----------
        step
            The step; the last by default.

        Returns
        -------
        pandas.DataFrame
            Columns step, split, input, y (the right class), predicted, confidence, likelihood (probability of
            y), entropy and, where it was given, conditional_entropy (nats); p_0 ... of up to 64 classes.
        """
        return self._rows_at("answers", step)

    @_reading
    def answer_steps(self) -> NDArray[np.int64]:
        """(T,) int64: the steps at which a classifier's answers were recorded."""
        return _frozen(self._tables["answers"].steps())

    @_reading
    def origin_scores(self) -> pd.DataFrame:
        """Scores of single origins of whole splits, at every step they were taken.

        Returns
        -------
        pandas.DataFrame
            Columns step, split, origin, span (positions that an origin's targets cover; 0: independent
            origins), target (their mean), then scores; empty for a run that stored none.
        """
        return self._rows("origin_scores")

    def alerts(self) -> pd.DataFrame:
        """Alerts of the whole run.

        Returns
        -------
        pandas.DataFrame
            As `probes.alerts.alerts` gives them, where columns and limits are described.
        """
        from probes.alerts import alerts

        return alerts(self)

    # ---- inside

    def _list(self) -> None:
        self._listing = self.storage.listed()
        # a run of Gaussians has no such folders: without one listing of all, each is asked for
        gaussian = all(standard_prior(layer) for layer in self.layers)
        for name, table in self._tables.items():
            if not (gaussian and name in OF_FAMILIES):
                table.refresh(self._listing)
        self._levels.refresh(self._listing)
        self._recorded, self._steps = None, None

    def _rows(self, name: str) -> pd.DataFrame:
        return self._tables[name].read().to_pandas()

    def _rows_at(
        self,
        name: str,
        step: int | None,
        layer: int | None = None,
        neurons: NDArray[np.int64] | None = None,
    ) -> pd.DataFrame:
        table = self._tables[name]
        if step is None:
            steps = table.steps()
            step = int(steps[-1]) if steps.size else -1
        return table.read(step=step, layer=layer, neurons=neurons).to_pandas()

    def _index_or_all(self, layer: int | str | None) -> int | None:
        """Index of a layer; None, all layers."""
        return None if layer is None else self.layer_index(layer)

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
                arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for arrays in (steps, layers)
            )
            if all_steps.size and int(all_steps[-1]) > self._levels.raw.until:
                known = all_steps <= self._levels.raw.until
                all_steps, all_layers = all_steps[known], all_layers[known]
            if not (all_steps[1:] >= all_steps[:-1]).all():
                order = np.argsort(all_steps, kind="stable")
                all_steps, all_layers = all_steps[order], all_layers[order]
            self._recorded = all_steps, all_layers
        return self._recorded

    def _layer_steps(self, layer: int) -> np.ndarray:
        steps, layers = self._recorded_steps()
        return steps[layers == layer]

    def _summary(self) -> pa.Table:
        tables = [self._until_now(self._tables["layers"].read())]
        for first, last in self._levels.uncovered(self._tables["layers"].segments):
            names, _ = self._statistics(None)
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

    def _until_now(self, rows: pa.Table) -> pa.Table:
        """Rows without those that came after a snapshot."""
        if not len(rows) or pc.max(rows["step"]).as_py() <= self._levels.raw.until:
            return rows
        return rows.filter(pc.less_equal(rows["step"], self._levels.raw.until))

    def _neurons(
        self, layer: int, neurons: int | Sequence[int] | NDArray[np.integer[Any]] | None
    ) -> NDArray[np.int64]:
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

    def _statistics(self, statistics: Sequence[str] | None) -> tuple[list[str], list[str]]:
        """Columns that are asked for, and the stored ones that they are made of."""
        stored = [*CODES, *self.statistics]
        if statistics is None:
            return stored, stored
        asked = list(dict.fromkeys(statistics))
        known = [*stored, *derivable(stored)]
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise RunError(f"{self.path} does not hold {unknown}; it has {known}")
        return asked, with_inputs(asked, stored)

    def _derived(
        self, frame: pd.DataFrame, layer: int, names: list[str], reduced: bool = False
    ) -> pd.DataFrame:
        """The columns `names` (with `reduced` NAME_min and NAME_max too) of rows that hold their inputs."""
        missing = [name for name in names if name not in frame]
        if not missing and len(frame.columns) == len(KEYS) + len(names) * (3 if reduced else 1):
            return frame
        settings = self._settings(layer)
        found = {
            column: evaluate(name, frame, kind, **settings).astype(np.float32)
            for name in missing
            for column, kind in zip(
                bucket_columns(name) if reduced else [name], ("", "min", "max"), strict=False
            )
        }
        asked = [column for name in names for column in (bucket_columns(name) if reduced else [name])]
        return frame.assign(**found)[[*KEYS, *asked]]

    def _settings(self, layer: int) -> dict[str, Any]:
        """What derived statistics of a layer depend on beside others."""
        info = self.layers[layer]
        latent_dim = int(info.get("latent_dim", 1))
        return {"latent_dim": latent_dim, "stride": self.stride, "standard": standard_prior(info)}

    def _derived_matrix(
        self,
        layer: int,
        name: str,
        stored: list[str],
        max_columns: int,
        reduce: str,
        steps: tuple[int, int] | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `matrix`, of a statistic that is not stored."""
        kind = "" if reduce == "mean" else reduce
        edges = np.zeros(1, np.int64)
        columns: dict[str, np.ndarray] = {}
        for one in stored:
            for how in ("mean",) if not kind else ("min", "max"):
                values, edges = self.matrix(layer, one, max_columns, how, steps)  # type: ignore[arg-type]
                columns[f"{one}_{how}" if kind else one] = values
        settings = self._settings(layer)
        return _frozen(evaluate(name, columns, kind, **settings).astype(np.float32)), edges

    def _taken(self, layer: int, name: str) -> np.ndarray:
        """Steps at which a statistic of a layer is there (regimes always are)."""
        if name in CODES:
            return self._layer_steps(layer)
        summary = self._summary()
        mine = summary.filter(pc.equal(summary["layer"], layer))
        return mine["step"].to_numpy()[mine[f"{name}_mean"].is_valid().to_numpy()]

    def _near(self, step: int, steps: np.ndarray) -> str:
        at = int(np.searchsorted(steps, step))
        near = [int(s) for s in steps[max(at - 1, 0) : at + 1]]
        return f"; the nearest are {near}" if near else f"; the run has no steps yet{self._why_none()}"

    def _why_none(self) -> str:
        """Of a run without layers, what its recorder said of that."""
        why = manifest.refused(self.config) if not self.layers else []
        return f": {'; '.join(why)}" if why else ""


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


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.flags.writeable = False
    return array
