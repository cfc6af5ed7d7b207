"""A code book over steps: how often each code is picked, how many are used, which died and came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.colors import get_colorscale

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder

ROWS = 1024  # of the map; of a larger book as many codes at evenly spaced ranks
MAP, COUNTS = 360, 220  # pixels
MARKS = 240  # of codes that are picked again: of more those that are picked most
COLORS = get_colorscale("Cividis")
Order = Literal["usage", "index"]
"""How codes are sorted: the most used at the end first, or by their number."""


@dataclass(frozen=True)
class CodeBook:
    """Usage of K codes at T steps.

    Parameters
    ----------
    steps : (T,) array
        Increasing.
    usage : (K, T) array
        Shares of picks over a window, NaN where it was not recorded.
    """

    steps: NDArray[np.int64]
    usage: NDArray[np.float64]

    @property
    def used(self) -> NDArray[np.float64]:
        """(T,) how many codes were picked."""
        return self._count(self.usage > 0)

    @property
    def dead(self) -> NDArray[np.float64]:
        """(T,) how many were not."""
        return self._count(self.usage <= 0)

    @property
    def revived(self) -> NDArray[np.bool_]:
        """(K, T) where a code is picked again that had been picked before and then was dead."""
        alive, known = self.usage > 0, np.isfinite(self.usage)
        ever = np.logical_or.accumulate(alive, axis=1)
        found = np.zeros(self.usage.shape, bool)
        found[:, 1:] = alive[:, 1:] & known[:, :-1] & ~alive[:, :-1] & ever[:, :-1]
        return found

    @property
    def perplexity(self) -> NDArray[np.float64]:
        """(T,) exp of the entropy of the usage, codes."""
        with np.errstate(invalid="ignore", divide="ignore"):
            information = np.where(self.usage > 0, -self.usage * np.log(self.usage), 0.0)
        return np.where(np.isfinite(self.usage).any(axis=0), np.exp(np.nansum(information, axis=0)), np.nan)

    def order(self, by: Order) -> NDArray[np.int64]:
        """The codes from the top, at most ROWS of them."""
        if by == "index":
            codes = np.arange(len(self.usage))
        else:
            last = self.usage[:, -1] if self.usage.shape[1] else np.zeros(len(self.usage))
            codes = np.argsort(-np.nan_to_num(last), kind="stable")
        return (
            codes if len(codes) <= ROWS else codes[np.linspace(0, len(codes) - 1, ROWS).round().astype(int)]
        )

    def _count(self, what: NDArray[np.bool_]) -> NDArray[np.float64]:
        counts = what.sum(axis=0).astype(float)
        return np.where(np.isfinite(self.usage).any(axis=0), counts, np.nan)


def code_book(
    book: CodeBook, *, by: Order = "usage", step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """Usage of every code over steps, as a map.

    Parameters
    ----------
    book : CodeBook
        Of K codes.
    by : {"usage", "index"}
        Order of the codes.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.

    Returns
    -------
    go.Figure
        Colour: share of picks, log scale; red: dead; triangle: a code that was dead and is picked again.
    """
    order = book.order(by)
    usage, x = book.usage[order], style.along(axis, book.steps)
    figure = FigureBuilder()
    alive = usage > 0
    low, high = _range(usage)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(alive, np.log10(np.where(alive, usage, 1)), np.nan)
    rows = np.arange(len(order))
    ticks = np.arange(np.ceil(low), np.floor(high) + 1)
    figure.add_trace(
        {
            "type": "heatmap", "x": x, "y": rows, "z": np.where(usage <= 0, 1.0, np.nan).astype(np.float32),
            "colorscale": ((0.0, palette.ALERT), (1.0, palette.ALERT)), "showscale": False, "opacity": 0.55,
            "hoverinfo": "skip",
        },
        1, 1,
    )  # fmt: skip
    figure.add_trace(
        {
            "type": "heatmap", "x": x, "y": rows, "z": logs.astype(np.float32), "zmin": low, "zmax": high,
            "colorscale": COLORS,
            "colorbar": {
                "title": {"text": "share"}, "thickness": 12,
                "tickvals": ticks, "ticktext": [f"{10.0**tick:g}" for tick in ticks],
            },
            "customdata": np.broadcast_to(order[:, None], usage.shape), "text": usage.astype(np.float32),
            "hovertemplate": "code %{customdata}: %{text:.3g} of picks<extra></extra>", "name": "usage",
        },
        1, 1,
    )  # fmt: skip
    back = np.argwhere(book.revived[order])
    if len(back) > MARKS:
        back = back[np.argsort(-usage[back[:, 0], back[:, 1]], kind="stable")[:MARKS]]
    if len(back):
        figure.scatter(
            x[back[:, 1]], back[:, 0], "picked again", mode="markers", customdata=order[back[:, 0]],
            marker={"symbol": "triangle-up", "size": 7, "color": palette.PINNED,
                    "line": {"width": 0.5, "color": style.AXIS}},
            hovertemplate="code %{customdata} is picked again<extra></extra>",
        )  # fmt: skip
    title = "codes, most used first" if by == "usage" else "code"
    figure.update_yaxes(
        title=title, range=[len(order) - 0.5, -0.5], showgrid=False, showticklabels=by == "index"
    )
    figure.step_axis(axis, step)
    alt = f"Usage of {len(book.usage):,} codes over steps; {_last(book.used)} of them are used at the end"
    return figure.finish(MAP, alt, hovermode="closest", margin={"t": 12}, showlegend=False)


def code_counts(
    book: CodeBook,
    *,
    perplexity: ArrayLike | None = None,
    step: int | None = None,
    axis: style.StepAxis = "linear",
) -> go.Figure:
    """How many codes are used, how many are dead, and their perplexity, over steps.

    Parameters
    ----------
    book : CodeBook
        Of T steps.
    perplexity : (T,) array, optional
        As recorded; by default that of the usage.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.

    Returns
    -------
    go.Figure
        Lines, in codes; "picked again": since the step before, of those that were dead.
    """
    figure, x = FigureBuilder(), style.along(axis, book.steps)
    told = book.perplexity if perplexity is None else np.asarray(perplexity, np.float64)
    for values, name, color in (
        (book.used, "used", palette.BLUE),
        (told, "perplexity", palette.GREEN),
        (book.dead, "dead", palette.ALERT),
        (book.revived.sum(axis=0).astype(float), "picked again", palette.PINNED),
    ):
        figure.line(x, values, name, color=color, width=1.8, hovertemplate=f"{name} %{{y:.4g}}")
    figure.update_yaxes(title="codes", rangemode="tozero")
    figure.step_axis(axis, step)
    return figure.finish(
        COUNTS,
        f"Codes used, dead and picked again, and perplexity over steps; {_last(book.used)} used at the end",
    )


def _range(usage: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the colours, powers of ten."""
    alive = usage[usage > 0]
    if not len(alive):
        return -3.0, 0.0
    low, high = np.log10(np.percentile(alive, [1, 99.5]))
    return float(low), float(max(high, low + 0.1))


def _last(values: NDArray[np.float64]) -> str:
    known = values[np.isfinite(values)]
    return f"{int(known[-1]):,}" if len(known) else "none"
