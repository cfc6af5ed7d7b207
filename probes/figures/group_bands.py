"""A statistic over steps for groups of neurons: mean and bands of each, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.schema import STATISTICS

HEIGHT = 420  # pixels


@dataclass(frozen=True)
class Group:
    """A group of N neurons over T columns of steps.

    Parameters
    ----------
    name : str
        How the figure calls it.
    steps : (T,) array
        Where the columns begin.
    values : (N, T) array
        One statistic; what is not finite is left out.
    color : str
        "#rrggbb".
    gaussian : bool
        Whether all of them are Gaussians: else a statistic's unit is not the prior's sd.
    """

    name: str
    steps: NDArray[np.int64]
    values: NDArray[np.float32]
    color: str
    gaussian: bool = True


def group_bands(
    groups: Sequence[Group], statistic: str, *, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """How a statistic is distributed over groups of neurons, over steps.

    Parameters
    ----------
    groups : sequence of Group
        Those without neurons are left out.
    statistic : str
        A key of `schema.STATISTICS`.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.

    Returns
    -------
    go.Figure
        Line: the mean over neurons. Shaded: the middle half and the middle 90 %.

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    """
    drawn = [group for group in groups if len(group.values)]
    entry = STATISTICS[statistic].of_family(all(group.gaussian for group in drawn))
    figure = FigureBuilder()
    for group in drawn:
        low, first, third, high, mean = _over_neurons(group.values)
        x = style.along(axis, group.steps)
        for bottom, top, alpha in ((low, high, style.OUTER_BAND / 2), (first, third, style.INNER_BAND / 2)):
            figure.band(x, bottom, top, color=palette.translucent(group.color, alpha))
        size = f"{len(group.values):,}"
        figure.line(
            x, mean, f"{style.text(group.name)} ({size})", color=group.color,
            customdata=np.column_stack([low, high]),
            hovertemplate=f"mean %{{y:.4g}} {entry.unit} (90 %: %{{customdata[0]:.4g}} to"
            " %{customdata[1]:.4g})",
        )  # fmt: skip
    figure.update_yaxes(title=entry.title)
    figure.step_axis(axis, step)
    names = " and ".join(f"{group.name} ({len(group.values):,} neurons)" for group in drawn)
    return figure.finish(HEIGHT, f"{entry.title} over steps of {names or 'no neuron'}: mean and bands")


def _over_neurons(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """(5, T): quantiles 5, 25, 75, 95 % and mean of what is finite in each column; NaN of nothing."""
    found = np.full((5, values.shape[1]), np.nan)
    finite = np.where(np.isfinite(values), values, np.nan)
    some = np.isfinite(finite).any(axis=0)
    found[:4, some] = np.nanquantile(finite[:, some], (0.05, 0.25, 0.75, 0.95), axis=0)
    found[4, some] = np.nanmean(finite[:, some], axis=0)
    return found
