"""Rows of single neurons: over steps, at a step, as an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.errors import RunError
from probes.families import standard_prior
from probes.log.blocks import CODES, ColumnBlock
from probes.log.levels import ALL_STEPS, bucket_columns, merge
from probes.run.layers import LayersReader
from probes.run.opened import frozen, reading
from probes.run_reader import Reduction
from probes.schema import KEYS, REGIME, SETTLED, evaluate


class NeuronsReader(LayersReader):
    """Reads statistics of neurons, stored and derived, from rows or from the pyramid."""

    @reading
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

    @reading
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

    @reading
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
        return frozen(np.ascontiguousarray(values)), frozen(np.concatenate([starts, end]))

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
        return frozen(evaluate(name, columns, kind, **settings).astype(np.float32)), edges

    def _near(self, step: int, steps: np.ndarray) -> str:
        at = int(np.searchsorted(steps, step))
        near = [int(s) for s in steps[max(at - 1, 0) : at + 1]]
        return f"; the nearest are {near}" if near else f"; the run has no steps yet{self._why_none()}"


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
