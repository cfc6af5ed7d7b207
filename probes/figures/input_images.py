"""Images of a neuron's inputs, one row a group."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import pandas as pd
import plotly.graph_objects as go

from probes.figures.image_rows import image_rows


def input_images(telling: pd.DataFrame, images: Mapping[int, str], alt: str = "") -> go.Figure:
    """Images of the inputs that a neuron answers to most.

    Parameters
    ----------
    telling : pandas.DataFrame
        As `probes.analysis.telling_inputs.ranked` gives it.
    images : mapping
        Input -> PNG in base64; what is none is left blank.
    alt : str
        What the figure shows, for those who do not see it.

    Returns
    -------
    plotly.graph_objects.Figure
        One row a group, the numbers of each image under it and in its hover.
    """
    records = telling.to_dict("records")
    rows = telling.assign(
        content=[images.get(row["input"], "") for row in records],
        text=[f"{float(row['value']):.2f}" for row in records],
        hover=[_said(row) for row in records],
    )
    return image_rows(rows, alt)


SAID = {
    "mu": "μ {:.3g}", "sigma": "σ {:.3g}", "mean": "mean {:.3g}", "sd": "sd {:.3g}", "class": "class {:.0f}",
    "probability": "probability {:.3g}", "component": "component {:.0f}", "share": "share {:.3g}",
    "entropy": "entropy {:.3g} nats", "information": "information {:.3g} nats",
}  # fmt: skip
"""How a column of the table is written."""


def _said(row: Mapping[Hashable, object]) -> str:
    known = [text.format(row[name]) for name, text in SAID.items() if name in row]
    return "<br>".join([f"input {row['input']}", *known])
