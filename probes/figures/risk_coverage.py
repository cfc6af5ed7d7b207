"""Error of the inputs that are kept, as those of most uncertainty are dropped."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.ablation import score_label

ORACLE = "oracle"
FEW = 0.05  # share of inputs kept below which a mean is one of chance; curves may leave the picture there
MARGIN = 0.08  # of the vertical axis, beyond its ends


def risk_coverage(curves: pd.DataFrame, areas: pd.DataFrame, error: str) -> go.Figure:
    """Risk against coverage, one line an uncertainty, its AURC with 95 % interval in the legend; dotted:
    oracle and random.

    curves, areas: as the experiment's tables. Raises ValueError for an error that was not measured.
    """
    part, area = (frame[frame["error"] == error] for frame in (curves, areas))
    if part.empty:
        raise ValueError(f"{error!r} was not measured; there are {', '.join(curves['error'].unique())}")
    figure = go.Figure()
    names = list(dict.fromkeys(part["uncertainty"]))
    for color, name in zip(style.OKABE_ITO, [name for name in names if name != ORACLE], strict=False):
        _line(figure, part, area, name, {"color": color, "width": 2})
    if ORACLE in names:
        _line(figure, part, area, ORACLE, {"color": style.CURSOR, "width": 1.5, "dash": "dot"})
    mean = float(area["mean"].iloc[0])
    figure.add_hline(
        y=mean, line={"color": style.AXIS, "width": 1, "dash": "dash"}, annotation_text="dropped at random"
    )
    figure.update_xaxes(title_text="coverage (share of inputs kept)", range=[0, 1], tickformat=".0%")
    told = part.loc[part["coverage"] >= FEW, "risk"].dropna()
    if len(told):
        beyond = MARGIN * max(told.max() - told.min(), abs(told.max()) * MARGIN)
        figure.update_yaxes(range=[told.min() - beyond, told.max() + beyond])
    figure.update_yaxes(title_text=f"risk: mean {score_label(error)} of those kept")
    alt = f"Mean {score_label(error)} against coverage for {len(names)} orders of dropping inputs"
    return style.finish(figure, 360, alt)


def _line(
    figure: go.Figure, curves: pd.DataFrame, areas: pd.DataFrame, name: str, line: dict[str, object]
) -> None:
    rows = curves[curves["uncertainty"] == name]
    area = areas[areas["uncertainty"] == name].iloc[0]
    figure.add_trace(
        go.Scatter(
            x=rows["coverage"].to_numpy(np.float32), y=rows["risk"].to_numpy(np.float32), mode="lines",
            line=line,
            name=f"{style.text(name)}: AURC {area['value']:.3g} ({area['low']:.3g} to {area['high']:.3g})",
            hovertemplate=f"%{{y:.4g}}<extra>{style.text(name)}</extra>",
        )
    )  # fmt: skip


def risk_coverage_over_steps(
    curves: pd.DataFrame, *, step: int | None = None, axis: style.StepAxis = "linear"
) -> go.Figure:
    """AURC of the probe batch's squared error over steps, one line an uncertainty.

    curves: as `probes.analysis.calibration.risk_coverage_over_steps` gives them. One probe batch is few
    inputs: read the trend alone.
    """
    areas = curves.groupby(["step", "uncertainty"])["risk"].mean().rename("value").reset_index()
    figure = go.Figure()
    for color, (name, rows) in zip(style.OKABE_ITO, areas.groupby("uncertainty", sort=True), strict=False):
        x, y = style.along(axis, rows["step"]), rows["value"].to_numpy(np.float32)
        mode = "lines+markers" if len(rows) < 2 else "lines"
        figure.add_trace(
            go.Scatter(x=x, y=y, name=style.text(name), mode=mode, line={"color": color, "width": 2})
        )
    figure.update_xaxes(title_text=style.steps_title(axis))
    figure.update_yaxes(title_text="AURC of the squared error (target²)")
    style.scale_steps(figure, axis)
    style.mark_step(figure, step, axis)
    return style.finish(figure, 280, "Area under the risk-coverage curve of the probe batch over steps")
