"""A run as a notebook shows it: its state, its layers, what their neurons do, and how it came there.

Plain HTML in the notebook's own colours, without scripts: it stays as it is in a saved notebook.
"""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from probes.errors import RunError
from probes.export.sparkline import number, points
from probes.run_reader import LayerInfo, RunReader
from probes.schema import REGIMES, STATISTICS

LAYERS = 24  # in the table; of more the first are shown, and how many there are is said
COURSES = ("information", "kl")
"""Statistics whose mean over a layer's neurons is drawn over steps, as far as the run has them."""
_LINE = "stroke:currentColor;stroke-width:1.5;fill:none;vector-effect:non-scaling-stroke"
_CELL = "text-align:left;padding:3px 14px 3px 0;white-space:nowrap"


def html(run: RunReader) -> str:
    """A run as HTML.

    Parameters
    ----------
    run
        Any; one that cannot be read any more says so instead.
    """
    try:
        return _page(run)
    except RunError as error:
        return f"<p><b>{escape(run.name)}</b>: {escape(str(error))}</p>"


def _page(run: RunReader) -> str:
    steps = run.steps
    said = [run.status, f"{len(steps):,} recorded steps"]
    if len(steps):
        said[-1] += f", {int(steps[0]):,} to {int(steps[-1]):,}"
    said.append(f"{sum(layer['neurons'] for layer in run.layers):,} neurons in {len(run.layers)} layers")
    head = f"<div><b>{escape(run.name)}</b> · {escape(' · '.join(said))}</div>"
    if not len(steps) or not run.layers:
        return head
    summary = run.layer_summary()
    courses = [name for name in COURSES if f"{name}_mean" in summary]
    heads = ["layer", "neurons", "at the end", *(STATISTICS[name].label for name in courses)]
    top = "".join(f'<th style="{_CELL};font-weight:600">{escape(text)}</th>' for text in heads)
    rows = "".join(
        _row(layer, summary[summary["layer"] == place], courses)
        for place, layer in enumerate(run.layers[:LAYERS])
    )
    more = len(run.layers) - LAYERS
    end = f"<div>and {more} layers more</div>" if more > 0 else ""
    return f'{head}<table style="border-collapse:collapse;margin:6px 0"><tr>{top}</tr>{rows}</table>{end}'


def _row(layer: LayerInfo, rows: pd.DataFrame, courses: list[str]) -> str:
    cells = [escape(str(layer["name"])), f"{layer['neurons']:,}", _regimes(rows)]
    cells += [_course(rows[f"{name}_mean"].to_numpy(float, na_value=np.nan)) for name in courses]
    return "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _regimes(rows: pd.DataFrame) -> str:
    """A bar with the shares of the settled regimes at the last step, and the largest in words."""
    last = rows.tail(1)
    counts = {
        regime: float(last[f"settled_{regime.code}"].iloc[0])
        for regime in REGIMES
        if len(last) and f"settled_{regime.code}" in last and last[f"settled_{regime.code}"].notna().all()
    }
    total = sum(counts.values())
    if not total:
        return "–"
    parts, at = "", 0.0
    for regime, count in counts.items():
        width = 120 * count / total
        if width:
            parts += f'<rect x="{at:.1f}" width="{width:.1f}" height="10" fill="{regime.color}"/>'
        at += width
    said = [f"{100 * count / total:.0f} % {regime.name}" for regime, count in counts.items() if count]
    said.sort(key=lambda text: -float(text.partition(" ")[0]))
    words = escape(", ".join(said))
    bar = f'<svg width="120" height="10" role="img" aria-label="{words}"><title>{words}</title>{parts}</svg>'
    return f"{bar} {escape(said[0])}"


def _course(series: np.ndarray) -> str:
    """A line over steps and the last number."""
    finite = series[np.isfinite(series)]
    if not len(finite):
        return "–"
    line = points(series)
    drawn = f'<polyline points="{line}" style="{_LINE}"/>' if line else ""
    box = 'width="80" height="18" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true"'
    return f"<svg {box}>{drawn}</svg> {number(float(finite[-1]))}"
