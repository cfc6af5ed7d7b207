"""Measured persistence of every neuron with its interval, sorted, against the prior's and the input's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.diagnostics import temporal_fault
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.neuron_names import neuron_names
from probes.spacing import evenly_spaced

MOST = 300
"""Neurons drawn; a layer of more is shown by those at evenly spaced ranks."""
CROWDED = 80  # neurons beyond which dots are drawn smaller
ORDERS = ("persistence", "prior", "index")
# of the axis: a slope of few pairs may have an interval far beyond 1, which would flatten the rest
REACH = 1.15
FAULTS = {"": "as expected", "stuck": "stuck", "jittery": "jittery"}
"""Code of `temporal_fault` -> name in the legend."""


def sorted_neurons(rows: pd.DataFrame, order: str = "persistence", most: int = MOST) -> pd.DataFrame:
    """The neurons that are drawn, in the order in which they are.

    Parameters
    ----------
    rows : DataFrame
        Columns layer, neuron, persistence and, where recorded, persistence_low, persistence_high, phi,
        persistence_target.
    order : {"persistence", "prior", "index"}
        Sorted by the slope, by the prior's phi and then the slope, or by the neuron's index.
    most : int
        How many are drawn: those at evenly spaced ranks.

    Returns
    -------
    DataFrame
        The rows without undefined slopes, with a column `fault`: "", "stuck" or "jittery".

    Raises
    ------
    ValueError
        For another order.
    """
    if order not in ORDERS:
        raise ValueError(f"neurons are sorted by {', '.join(ORDERS)}, not by {order!r}")
    table = rows[np.isfinite(rows["persistence"].to_numpy(float, na_value=np.nan))]
    keys = {
        "persistence": ["persistence"],
        "prior": [*(["phi"] if "phi" in table else []), "persistence"],
        "index": ["neuron"],
    }
    table = table.sort_values(keys[order], kind="stable", ignore_index=True)
    if len(table) > most:
        table = table.iloc[evenly_spaced(len(table), most)]
    known = {"persistence_low", "persistence_high", "phi"} <= set(table)
    faults = (
        temporal_fault(table["persistence_low"], table["persistence_high"], table["phi"]) if known else ""
    )
    return table.assign(fault=faults)


def caterpillar(
    rows: pd.DataFrame, *, order: str = "persistence", most: int = MOST, reference: float | None = None
) -> go.Figure:
    """Measured persistence φ̂ of every neuron, sorted, one dot a neuron.

    Parameters
    ----------
    rows, order, most
        As for `sorted_neurons`.
    reference : float, optional
        The input's own slope, dashed.

    Returns
    -------
    go.Figure
        Dots with their 95 % intervals; bars: the prior's phi; diamonds: the set-points, where training holds
        the slopes at some (`persistence_target`).

    Notes
    -----
    With a prior that expects persistence a neuron whose interval lies wholly off it by more than 0.2 in atanh
    is stuck or jittery, and coloured.
    """
    table = sorted_neurons(rows, order, most)
    table["rank"] = np.arange(1, len(table) + 1)
    figure = FigureBuilder()
    has_phi = "phi" in table and bool((table["phi"] != 0).any())
    if has_phi:
        bar = {"symbol": "line-ew", "size": 7, "line": {"color": palette.PRIOR, "width": 2}}
        figure.scatter(
            table["rank"], table["phi"], "prior's φ", mode="markers", marker=bar,
            hovertemplate="prior's φ %{y:.2f}<extra></extra>",
        )  # fmt: skip
    if "persistence_target" in table:
        diamond = {"symbol": "diamond-open", "size": 8, "color": style.AXIS}
        figure.scatter(
            table["rank"], table["persistence_target"], "set-point", mode="markers", marker=diamond,
            hovertemplate="set-point %{y:.2f}<extra></extra>",
        )  # fmt: skip
    size = 4 if len(table) > CROWDED else 7
    for fault, label in FAULTS.items():
        part, color = table[table["fault"] == fault], palette.PERSISTENCE_FAULTS[fault]
        if part.empty:
            continue
        value = part["persistence"].to_numpy(np.float32)
        interval: dict[str, Any] = {}
        if {"persistence_low", "persistence_high"} <= set(part):
            low, high = (part[name].to_numpy(np.float32) for name in ("persistence_low", "persistence_high"))
            ends = {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low}
            look = {"width": 0, "thickness": 1, "color": palette.translucent(color, 0.55)}
            interval = {"error_y": ends | look}
        figure.scatter(
            part["rank"], value, label if has_phi else "measured φ̂", mode="markers",
            marker={"color": color, "size": size}, customdata=neuron_names(part),
            hovertemplate="%{customdata}: φ̂ %{y:.3f}<extra></extra>", **interval,
        )  # fmt: skip
    if reference is not None and np.isfinite(reference):
        figure.add_hline(reference, {"color": palette.INPUT, "width": 1.5, "dash": "dash"})
        right = {"x": 1, "xref": "x domain", "xanchor": "right", "yanchor": "bottom", "showarrow": False}
        figure.add_annotation(text="the input's own", y=reference, yref="y", **right)
    figure.add_hline(0, {"color": style.AXIS, "width": 1})
    shown = ("persistence", "persistence_low", "persistence_high", "phi", "persistence_target")
    drawn = [name for name in shown if name in table]
    if len(table):
        lowest, highest = float(np.nanmin(table[drawn])), float(np.nanmax(table[drawn]))
        figure.update_yaxes(
            range=[max(min(lowest, 0), -REACH) - 0.04, min(max(highest, reference or 0), REACH) + 0.04]
        )
    names = {
        "persistence": "neurons by φ̂",
        "prior": "neurons by the prior's φ, then φ̂",
        "index": "neurons by index",
    }
    figure.update_xaxes(title=names[order], showgrid=False)
    figure.update_yaxes(title="persistence φ̂, 95 % interval")
    alt = (
        f"Measured persistence of {len(table)} neurons with 95 percent intervals, sorted, against the prior's"
    )
    return figure.finish(360, alt, hovermode="closest")
