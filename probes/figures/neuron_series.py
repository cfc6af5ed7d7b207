"""One neuron over steps of training: what the figures of chosen neurons are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from probes import palette
from probes.analysis.layer_families import is_gaussian
from probes.figures import style
from probes.figures.clock import Clock
from probes.schema import STATISTICS, evaluate


@dataclass(frozen=True)
class NeuronSeries:
    """One neuron over steps.

    Parameters
    ----------
    name : str
        How figures call it.
    rows : DataFrame
        Columns step and statistics as `Run.history` gives them for this neuron, with KIND_min and KIND_max
        where a point stands for several recorded steps.
    layer : DataFrame
        `Run.layer_summary()` of its layer alone, for the layer's median behind it; may be empty.
    events : DataFrame
        `Run.events()` that concern it; may be empty.
    color : str
        "#rrggbb".
    latent_dim : int
        Dimensions of its latent variable.
    stride : int
        Positions of the data between the two ends of a measured slope.
    clock : Clock, optional
        Lays out this neuron's steps, by its own run; by default they are shown as steps.
    dashed : bool
        Whether it is drawn dashed where it lies over others, as of a second run.
    family : str
        Of its posteriors, a name of `families.FAMILIES`.
    """

    name: str
    rows: pd.DataFrame
    layer: pd.DataFrame = field(default_factory=pd.DataFrame)
    events: pd.DataFrame = field(default_factory=pd.DataFrame)
    color: str = palette.BLUE
    latent_dim: int = 1
    stride: int = 1
    clock: Clock | None = None
    dashed: bool = False
    family: str = "gaussian"

    @property
    def is_gaussian(self) -> bool:
        """Whether its posteriors are Gaussians."""
        return is_gaussian({"family": self.family})

    def has(self, name: str) -> bool:
        """Whether there are numbers of a recorded statistic."""
        return name in self.rows and bool(self.rows[name].notna().any())

    @property
    def steps(self) -> NDArray[np.int64]:
        """(T,) recorded steps."""
        return self.rows["step"].to_numpy()

    @property
    def x(self) -> NDArray[Any]:
        """(T,) where its steps lie on the horizontal axis."""
        return self.along(self.steps)

    @property
    def layer_x(self) -> NDArray[Any]:
        """Where its layer's steps lie on the horizontal axis."""
        return self.along(self.layer["step"])

    def cursor_x(self, step: int) -> float:
        """Where the cursor stands: at the neuron's last step if its run was over by then and has a clock of
        its own.
        """
        ended = self.clock is not None and len(self.steps) and self.steps[-1] < step
        return float(self.along(self.steps[-1] if ended else step))

    def along(self, steps: ArrayLike) -> NDArray[Any]:
        """Where any steps of its run lie on the horizontal axis."""
        return style.along(self.clock or "linear", steps)

    def values(self, name: str) -> NDArray[np.float64]:
        """(T,) a statistic, derived where it is not stored; its neutral value, or NaN, where there is
        none.
        """
        return self._evaluated(name, self.rows, "", STATISTICS[name].neutral)

    def layer_median(self, name: str) -> NDArray[np.float64]:
        """The layer's median of a statistic over the layer's steps; NaN where it was not recorded."""
        return self._evaluated(name, self.layer, "p50", None)

    def _evaluated(
        self, name: str, frame: pd.DataFrame, kind: str, absent: float | None
    ) -> NDArray[np.float64]:
        try:
            return evaluate(
                name, frame, kind, latent_dim=self.latent_dim, stride=self.stride, standard=self.is_gaussian
            )
        except KeyError:
            return np.full(len(frame), np.nan if absent is None else absent)


def shared_axis(neurons: Sequence[NeuronSeries], axis: style.StepScale) -> style.StepAxis:
    """The axis that several neurons share: that of their clocks, which have one title, else the steps."""
    return next((series.clock for series in neurons if series.clock is not None), axis)


def column(frame: pd.DataFrame, name: str, absent: float | None) -> NDArray[np.float64]:
    """A column as float64, `absent` (None: NaN) where there is none."""
    if name in frame:
        return frame[name].to_numpy(dtype=float, na_value=np.nan)
    return np.full(len(frame), np.nan if absent is None else absent)
