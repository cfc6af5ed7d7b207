"""What was predicted to come next at one position, against what came."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder


def next_symbol(likeliest: Sequence[tuple[str, float]], came: str, probability: float) -> go.Figure:
    """Probabilities of the likeliest next symbols, and of the one that came.

    Parameters
    ----------
    likeliest : sequence of (str, float)
        Symbols with their probabilities, likeliest first.
    came : str
        What came.
    probability : float
        Of what came.

    Returns
    -------
    go.Figure
        Bars; that of what came in a colour of its own, last where it is none of the likeliest.
    """
    bars = list(likeliest)
    if came not in [symbol for symbol, _ in bars]:
        bars.append((came, probability))
    words = f"Likeliest next symbols with their probabilities; “{came}” came, {probability:.3g}"
    return _bars(bars, {came}, words)


def next_notes(likeliest: Sequence[tuple[str, float]], came: Sequence[str]) -> go.Figure:
    """Probabilities of the likeliest notes of the next chord, each for itself.

    Parameters
    ----------
    likeliest : sequence of (str, float)
        Notes with their probabilities, likeliest first.
    came : sequence of str
        The notes that came.

    Returns
    -------
    go.Figure
        Bars; those of the notes that came in a colour of their own.
    """
    words = f"Likeliest notes of the next chord with their probabilities; {', '.join(came) or 'a rest'} came"
    return _bars(likeliest, set(came), words)


def _bars(bars: Sequence[tuple[str, float]], came: set[str], words: str) -> go.Figure:
    names = [style.text(symbol) for symbol, _ in bars]
    values = [value for _, value in bars]
    colors = [palette.OBSERVED if symbol in came else palette.PREDICTED for symbol, _ in bars]
    figure = FigureBuilder()
    figure.add_trace(
        {
            "type": "bar", "orientation": "h", "y": list(range(len(bars))), "x": values,
            "text": [f"{value:.3f}" if value >= 0.0005 else f"{value:.1e}" for value in values],
            "textposition": "outside", "cliponaxis": False, "marker": {"color": colors},
            "hoverinfo": "skip", "showlegend": False,
        }
    )  # fmt: skip
    ticks = [f"<b>{name}</b>" for name in names]
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(bars))), ticktext=ticks, autorange="reversed",
        tickfont={"size": 14}, showgrid=False,
    )  # fmt: skip
    figure.update_xaxes(title="probability", range=[0, min(1.0, 1.2 * max(values)) or 1.0])
    return figure.finish(
        56 + 28 * len(bars),
        words,
        margin={"t": 8, "l": 64, "r": 44},
        hovermode="closest",
    )
