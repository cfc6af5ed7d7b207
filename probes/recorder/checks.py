"""What the calls of a recorder are checked against: its layers, their widths, the statistics of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from probes.log import arguments
from probes.log.limits import LARGEST
from probes.run_reader import LayerInfo
from probes.schema import LAYER_STATISTICS, STATISTICS


class LayerChecks:
    """Arguments of a call made what is recorded, or refused before anything changes: a ValueError that names
    the layer and what it must be.
    """

    def __init__(self, layers: list[LayerInfo]) -> None:
        self.layers = layers
        self._index = {layer["name"]: index for index, layer in enumerate(layers)}

    def index(self, layer: int | str) -> int:
        """Which layer it is, by its name or number."""
        if isinstance(layer, str):
            index = self._index.get(layer, -1)
        else:
            index = arguments.whole_number(layer, "layer", least=-1)
        if not 0 <= index < len(self.layers):
            raise ValueError(
                f"unknown layer {layer!r}; the run has {list(self._index)} (or 0 to {len(self.layers) - 1})"
            )
        return index

    def step(self, step: int, index: int) -> int:
        """A step of a layer as an int."""
        return arguments.whole_number(step, f"step of layer {self.layers[index]['name']!r}")

    def steps(self, steps: Sequence[int] | np.ndarray, index: int) -> np.ndarray:
        """(T,) int64: the steps of a block."""
        given = np.asarray(steps)
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iuO":
            raise ValueError(
                f"steps must be a non-empty sequence of integers, got {given.dtype} of shape {given.shape}"
            )
        if given.dtype.kind == "O" or given.min() < 0 or given.max() > LARGEST:
            given = np.array([self.step(step, index) for step in given.tolist()])
        return given.astype(np.int64)

    def neurons(
        self, neuron: SupportsIndex | Iterable[SupportsIndex], index: int | None, of: str
    ) -> list[int]:
        """Neurons of a layer, one or several as a list; `of` says whose they are."""
        if index is None:
            raise ValueError(f"{of}: names neuron {arguments.shown(neuron)} and no layer; give layer= too")
        found = [arguments.whole_number(n, f"{of}: neuron") for n in each(neuron)]
        width = self.layers[index]["neurons"]
        if any(n >= width for n in found):
            raise ValueError(
                f"{of}: layer {self.layers[index]['name']!r} has {width} neurons, got {found[:20]}"
            )
        return found

    def columns(
        self, statistics: Mapping[str, ArrayLike], count: int | None, index: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Columns (T, N) of the neurons, and numbers (T,) of the whole layer, which have one axis less; count
        as of `values`.
        """
        columns, whole = {}, {}
        for name, values in statistics.items():
            if name in LAYER_STATISTICS and np.ndim(values) == (0 if count is None else 1):
                whole[name] = self._whole(name, values, count, index)
            elif name in LAYER_STATISTICS and name not in STATISTICS:
                wanted = "one number" if count is None else f"({count},)"
                raise ValueError(
                    f"{name} of layer {self.layers[index]['name']!r} has shape {np.shape(values)}; it is of"
                    f" the whole layer and must be {wanted}"
                )
            else:
                columns[name] = self.values(name, values, count, index)
        return columns, whole

    def _whole(self, name: str, values: ArrayLike, count: int | None, index: int) -> np.ndarray:
        """(T,) float32 copy of a number of the whole layer."""
        array = np.atleast_1d(arguments.array(values, f"{name} of layer {self.layers[index]['name']!r}"))
        if count is not None and array.shape != (count,):
            raise ValueError(
                f"{name} of layer {self.layers[index]['name']!r} has shape {array.shape}; it must be"
                f" ({count},)"
            )
        return array

    def values(self, name: str, values: ArrayLike, count: int | None, index: int) -> np.ndarray:
        """(T, N) float32 copy of one statistic, reduced over latent dimensions; count is T, or None for
        values of one step without an axis of steps.
        """
        statistic = STATISTICS.get(name)
        layer = self.layers[index]
        if statistic is None or not statistic.stored:
            known = ", ".join([*(n for n, s in STATISTICS.items() if s.stored), *LAYER_STATISTICS])
            reason = "unknown statistic" if statistic is None else "derived on reading, not stored:"
            raise ValueError(f"{reason} {name!r}; the log stores {known}")
        array = arguments.array(values, f"{name} of layer {layer['name']!r}")
        if count is None:
            array, count = array[None], 1
        wide = (count, layer["neurons"], layer["latent_dim"])
        if array.shape == wide:
            array = array.sum(axis=2) if statistic.over_dimensions == "sum" else array.mean(axis=2)
        if array.shape != wide[:2]:
            raise ValueError(
                f"{name} of layer {layer['name']!r} has shape {array.shape[1:]}; it must be {wide[1:2]} or"
                f" {wide[1:]}"
            )
        return array


def each(value: object) -> list[Any]:
    """The elements of an array, a tensor or another iterable; a single thing as a list of it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]
