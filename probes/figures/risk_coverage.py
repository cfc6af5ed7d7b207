"""Error of the inputs that are kept, as those of most uncertainty are dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.ablation import score_label
from probes.figures.builder import FigureBuilder

ORACLE = "oracle"
FEW = 0.05  # share of inputs kept below which a mean is one of chance; curves may leave the picture there
MARGIN = 0.08  # of the vertical axis, beyond its ends


def risk_coverage(curves: pd.DataFrame, areas: pd.DataFrame, error: str) -> go.Figure:
    """Risk against coverage: the error of the inputs that are kept as the most uncertain are dropped.

    Parameters
    ----------
    curves, areas : DataFrame
        The experiment's tables.
    error : str
        Which error.

    Returns
    -------
    go.Figure
        One line an uncertainty, its AURC with 95 % interval in the legend. Dotted: dropped by the error
        itself (oracle). Dashed: dropped at random.

    Raises
    ------
    ValueError
        For an error that was not measured.
    """
    part, area = (frame[frame["error"] == error] for frame in (curves, areas))
    if part.empty:
        raise ValueError(f"{error!r} was not measured; there are {', '.join(curves['error'].unique())}")
    figure = FigureBuilder()
    names = list(dict.fromkeys(part["uncertainty"]))
    for color, name in zip(palette.OKABE_ITO, [name for name in names if name != ORACLE], strict=False):
        _line(figure, part, area, name, color=color)
    if ORACLE in names:
        _line(figure, part, area, ORACLE, color=style.CURSOR, width=1.5, dash="dot")
    mean = float(area["mean"].iloc[0])
    figure.add_hline(mean, {"color": style.AXIS, "width": 1, "dash": "dash"})
    figure.add_annotation(
        text="dropped at random", x=1, xref="x domain", xanchor="right", y=mean, yref="y", yanchor="bottom",
        showarrow=False,
    )  # fmt: skip
    figure.update_xaxes(title="coverage (share of inputs kept)", range=[0, 1], tickformat=".0%")
    risks = part.loc[part["coverage"] >= FEW, "risk"].dropna()
    if len(risks):
        beyond = MARGIN * max(risks.max() - risks.min(), abs(risks.max()) * MARGIN)
        figure.update_yaxes(range=[risks.min() - beyond, risks.max() + beyond])
    figure.update_yaxes(title=f"risk: mean {score_label(error)} of those kept")
    alt = f"Mean {score_label(error)} against coverage for {len(names)} orders of dropping inputs"
    return figure.finish(360, alt)


def _line(figure: FigureBuilder, curves: pd.DataFrame, areas: pd.DataFrame, name: str, **look: Any) -> None:
    rows = curves[curves["uncertainty"] == name]
    area = areas[areas["uncertainty"] == name].iloc[0]
    words = f"{style.text(name)}: AURC {area['value']:.3g} ({area['low']:.3g} to {area['high']:.3g})"
    hover = f"%{{y:.4g}}<extra>{style.text(name)}</extra>"
    x = rows["coverage"].to_numpy(np.float32)
    figure.line(x, rows["risk"], words, mode="lines", hovertemplate=hover, **look)


def risk_coverage_over_steps(
    curves: pd.DataFrame, *, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """AURC of the probe batch's squared error over steps, one line an uncertainty, in target².

    Parameters
    ----------
    curves : DataFrame
        As `probes.analysis.calibration.risk_coverage_over_steps` gives them.
    step : int, optional
        The cursor.
    axis : {"linear", "log"} or Clock
        Of the steps.

    Returns
    -------
    go.Figure

    Notes
    -----
    One probe batch is few inputs: read the trend alone.
    """
    areas = curves.groupby(["step", "uncertainty"])["risk"].mean().rename("value").reset_index()
    figure = FigureBuilder()
    for color, (name, rows) in zip(palette.OKABE_ITO, areas.groupby("uncertainty", sort=True), strict=False):
        figure.line(style.along(axis, rows["step"]), rows["value"], style.text(name), color=color)
    figure.update_yaxes(title="AURC of the squared error (target²)")
    figure.step_axis(axis, step)
    return figure.finish(280, "Area under the risk-coverage curve of the probe batch over steps")
