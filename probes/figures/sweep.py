"""Many runs over their settings: where layers collapse, what scores cost, and how settings go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from probes import palette
from probes.figures import plotly_figure, style
from probes.figures.builder import FigureBuilder

COLLAPSED_SCALE = [[0.0, palette.PALE_SLATE], [1.0, palette.ALERT]]
"""Share of collapsed neurons; black is read on all of it, on pages of both themes."""
ROW, LEAST_HEIGHT, BESIDE_ROWS = 32, 96, 80  # pixels of a map
MOST_SAID = 24  # cells that a text alternative names
MOST_COLORS = len(palette.OKABE_ITO)
AGAINST_HEIGHT, RATE_HEIGHT = 360, 436  # pixels: side by side, the first under a row of controls
LOG_RANGE = 8  # a setting whose positive values span more has a logarithmic axis
MOST_TICKS = 8  # of an axis that names each value
LINE_GROUPS = 6  # so many values of a setting at most get a line each


def phase_map(
    values: ArrayLike,
    runs: ArrayLike,
    x: Sequence[str],
    y: Sequence[str],
    *,
    title: str,
    x_title: str,
    y_title: str = "",
    share: bool = True,
    lower_is_better: bool = True,
) -> go.Figure:
    """A quantity over two settings, a cell each pair of values.

    Parameters
    ----------
    values, runs : (len(y), len(x)) array
        The quantity, NaN where there is no run; and how many runs it is the mean of.
    x, y : sequence of str
        Values of the settings, in order.
    title, x_title, y_title : str
        Names of the quantity and the settings.
    share : bool
        The quantity is a share of collapsed neurons, on a scale from 0 to 1; else a score.
    lower_is_better : bool
        Of a score: which end of its scale is the light one.

    Returns
    -------
    go.Figure
        Each cell says its number; `customdata` of the point on it is its (x, y).
    """
    cells, counts = np.asarray(values, float), np.asarray(runs)
    figure = FigureBuilder(titles=[style.text(title)])
    known = cells[np.isfinite(cells)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    stops = style.COLOR_SCALES["Cividis"][:: -1 if lower_is_better else 1]
    scale = [[place / (len(stops) - 1), color] for place, color in enumerate(stops)]
    figure.add_trace(
        {
            "type": "heatmap", "x": list(x), "y": list(y), "z": cells, "xgap": 2, "ygap": 2,
            "showscale": False, "hoverinfo": "skip", "colorscale": COLLAPSED_SCALE if share else scale,
            "zmin": 0.0 if share else low, "zmax": 1.0 if share else high if high > low else low + 1,
        }
    )  # fmt: skip
    places = [(i, j) for i in range(len(y)) for j in range(len(x)) if np.isfinite(cells[i, j])]
    found = [float(cells[place]) for place in places]
    middle = (low + high) / 2
    light = [share or high == low or (value < middle) is lower_is_better for value in found]
    hovers = [
        f"{x_title} {style.text(x[j])}{f', {y_title} {style.text(y[i])}' if y_title else ''}<br>"
        + (f"{value:.0%} of the neurons collapsed" if share else f"{value:.4g}")
        + f", {counts[i, j]:,} run{'' if counts[i, j] == 1 else 's'}"
        for (i, j), value in zip(places, found, strict=True)
    ]
    figure.add_trace(
        {
            "type": "scatter", "mode": "markers+text", "showlegend": False,
            "x": [x[j] for _, j in places], "y": [y[i] for i, _ in places],
            "customdata": [[x[j], y[i]] for i, j in places],
            "text": [f"{value:.0%}" if share else f"{value:.3g}" for value in found],
            "textfont": {
                "size": 11 if share else 10,
                "color": [palette.BLACK if one else palette.WHITE for one in light],
            },
            "marker": {"size": 26, "color": "rgba(0, 0, 0, 0)", "symbol": "square"},
            "hovertext": hovers, "hovertemplate": "%{hovertext}<extra></extra>",
        }
    )  # fmt: skip
    plain = {"type": "category", "showgrid": False, "fixedrange": True}
    figure.update_xaxes(plain, title=style.text(x_title), range=[-0.5, len(x) - 0.5])
    figure.update_yaxes(plain, title=style.text(y_title), range=[-0.5, len(y) - 0.5])
    said = "; ".join(hover.replace("<br>", ": ") for hover in hovers[:MOST_SAID])
    alt = f"{title} over {x_title}{f' and {y_title}' if y_title else ''}: {said}"
    return figure.finish(
        max(ROW * len(y), LEAST_HEIGHT) + BESIDE_ROWS, alt, hovermode="closest", showlegend=False,
        margin={"t": 30, "b": 46, "l": 48, "r": 2},
    )  # fmt: skip


def against(
    points: pd.DataFrame,
    x: str,
    *,
    value_title: str,
    color_title: str = "",
    share: bool = False,
) -> go.Figure:
    """A quantity of many runs against a setting, coloured by another; seeds as a band.

    Parameters
    ----------
    points : DataFrame
        Columns run, value, color, and the setting `x`; one row a dot.
    x : str
        Column of the horizontal axis.
    value_title, color_title : str
        Titles; without a title of the colour all dots have one.
    share : bool
        The values are shares, from 0 to 1.

    Returns
    -------
    go.Figure
        Dots: runs, `customdata` their names. Line: the mean over runs of one `x` and colour. Band: smallest
        to largest.
    """
    figure = FigureBuilder()
    rows = points.dropna(subset=["value", x])
    numeric = is_number(rows[x])
    for label, color, part in _groups(rows, bool(color_title)):
        name = f"{color_title} {label}".strip() or value_title
        bounds = part.groupby(x, sort=True)["value"].agg(["mean", "min", "max"])
        at = bounds.index.to_numpy(float) if numeric else bounds.index.astype(str)
        if len(bounds) > 1:
            if (bounds["max"] > bounds["min"]).any():
                shade = palette.translucent(color, 0.16)
                figure.band(at, bounds["min"], bounds["max"], color=shade, legendgroup=name)
            figure.line(at, bounds["mean"], color=color, legendgroup=name)
        figure.scatter(
            part[x].to_numpy(float) if numeric else part[x].astype(str), part["value"], style.text(name),
            mode="markers", legendgroup=name, marker={"size": 8, "color": color},
            customdata=part["run"].tolist(),
            hovertemplate="%{customdata}<br>%{y:" + (".0%" if share else ".4g") + "}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(axis_of(rows[x], x) if len(rows) else {"title": style.text(x)})
    figure.update_yaxes(title=style.text(value_title))
    if share:
        figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.03])
    alt = f"{value_title} of {rows['run'].nunique()} runs against {x}" + (
        f", coloured by {color_title}" if color_title else ""
    )
    return figure.finish(AGAINST_HEIGHT, alt, hovermode="closest")


def rate_distortion(
    points: pd.DataFrame, front: ArrayLike, *, loss_title: str, color_title: str = ""
) -> go.Figure:
    """Runs in the plane of rate and distortion, and the frontier of those that none beats in both.

    Parameters
    ----------
    points : DataFrame
        Columns run, rate (nats), value, color.
    front : (P,) array of int
        Rows on the frontier, in order of rate.
    loss_title, color_title : str
        Titles.

    Returns
    -------
    go.Figure
        Dots: runs, `customdata` their names. Line: the frontier, in steps.

    Notes
    -----
    Alemi et al. 2018, "Fixing a broken ELBO": distortion against rate.
    """
    figure = FigureBuilder()
    best = points.iloc[np.asarray(front, int)]
    if len(best) > 1:
        figure.line(
            best["rate"], best["value"], "frontier", color=palette.SLATE,
            line={"color": palette.SLATE, "width": 1.5, "shape": "hv", "dash": "dot"}, hoverinfo="skip",
        )  # fmt: skip
    for label, color, part in _groups(points.dropna(subset=["rate", "value"]), bool(color_title)):
        figure.scatter(
            part["rate"], part["value"], style.text(f"{color_title} {label}".strip() or "run"),
            mode="markers",
            marker={"size": 9, "color": color}, customdata=part["run"].tolist(),
            hovertemplate="%{customdata}<br>rate %{x:.4g} nats, %{y:.4g}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Rate (nats)", rangemode="tozero")
    figure.update_yaxes(title=style.text(loss_title))
    alt = f"{loss_title} against rate of {len(points)} runs; {len(best)} of them on the frontier"
    return figure.finish(RATE_HEIGHT, alt, hovermode="closest")


def parallel_coordinates(
    settings: Mapping[str, pd.Series], results: Mapping[str, pd.Series], color: str
) -> go.Figure:
    """Runs as lines over their settings and what became of them; ranges of an axis can be brushed.

    Parameters
    ----------
    settings, results : mapping of str to Series
        Title of an axis -> its value for each run, numbers or texts.
    color : str
        Title of the axis that colours the lines.

    Returns
    -------
    go.Figure
        One `parcoords` trace; axes of settings whose numbers span much are logarithmic.
    """
    columns = {**settings, **results}
    dimensions = [
        _dimension(title, values, title in settings and is_number(values) and _is_logarithmic(values))
        for title, values in columns.items()
    ]
    values = next((one["values"] for one in dimensions if one["label"] == style.text(color)), None)
    count = max((len(values) for values in columns.values()), default=0)
    line: dict[str, Any] = {"color": palette.BLUE}
    if values is not None and np.isfinite(values).any():
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        shades = palette.ORDERED
        scale = [[place / (len(shades) - 1), shade] for place, shade in enumerate(shades)]
        line = {"color": values, "colorscale": scale, "cmin": low, "cmax": high if high > low else low + 1}
    trace = {"type": "parcoords", "dimensions": dimensions, "line": line, "labelangle": -20}
    alt = f"{count} runs over {', '.join(columns)}, coloured by {color}"
    layout = style.layout(380, alt) | {"margin": {"l": 64, "r": 64, "t": 72, "b": 24}}
    return plotly_figure.build([trace], layout)


def _dimension(title: str, values: pd.Series, logarithmic: bool) -> dict[str, Any]:
    if not is_number(values):
        names = values.map(str)
        known = sorted(names.unique())
        return {
            "label": style.text(title), "tickvals": list(range(len(known))), "ticktext": known,
            "values": names.map({name: place for place, name in enumerate(known)}).to_numpy(float),
        }  # fmt: skip
    numbers = values.to_numpy(float)
    if logarithmic:
        ticks = sorted(set(numbers))
        if len(ticks) > MOST_TICKS:
            ticks = [10.0**power for power in range(*np.log10([ticks[0], ticks[-1] * 10]).astype(int))]
        return {
            "label": style.text(title), "values": np.log10(numbers), "tickvals": np.log10(ticks).tolist(),
            "ticktext": [f"{tick:g}" for tick in ticks],
        }  # fmt: skip
    return {"label": style.text(title), "values": numbers}


def is_number(values: pd.Series) -> bool:
    """Whether an axis of these values is one of numbers."""
    return bool(pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values))


def axis_of(values: pd.Series, title: str) -> dict[str, Any]:
    """Settings of a horizontal axis: of texts, of numbers, or of numbers that span much."""
    shown: dict[str, Any] = {"title": style.text(title)}
    if not is_number(values):
        return shown | {"type": "category"}
    ticks = sorted({float(value) for value in values.dropna()})
    few = {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]} if len(ticks) <= MOST_TICKS else {}
    if _is_logarithmic(values):
        return shown | {"type": "log", **(few or {"dtick": 1})}
    return shown | few


def _is_logarithmic(values: pd.Series) -> bool:
    low, high = values.min(), values.max()
    return bool(low > 0 and high >= LOG_RANGE * low)


def _groups(rows: pd.DataFrame, coloured: bool) -> list[tuple[str, str, pd.DataFrame]]:
    """(label, colour, rows) of each value of `color`: numbers on a sequential scale, texts apart."""
    if not coloured or rows["color"].isna().all():
        return [("", palette.BLUE, rows)]
    values = rows["color"]
    if is_number(values):
        numbers = values.astype(float)
        known = sorted(numbers.dropna().unique())
        if len(known) > LINE_GROUPS:
            parts = pd.qcut(numbers, LINE_GROUPS, duplicates="drop")
            groups = [
                (f"{part.left:.2g} to {part.right:.2g}", rows[parts == part]) for part in parts.cat.categories
            ]
        else:
            groups = [(f"{number:g}", rows[numbers == number]) for number in known]
        return [
            (label, style.ordered_color(place, len(groups)), part)
            for place, (label, part) in enumerate(groups)
        ]
    known = sorted(values.dropna().map(str).unique())
    return [
        (text, palette.OKABE_ITO[place % MOST_COLORS], rows[values.map(str) == text])
        for place, text in enumerate(known)
    ]
