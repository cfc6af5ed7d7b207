"""Images of a neuron's inputs, one row a group."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from probes.analysis.telling_inputs import GROUPS
from probes.figures.image_rows import image_rows


def input_images(telling: pd.DataFrame, images: Mapping[int, str], alt: str = "") -> go.Figure:
    """Images of the inputs that a neuron answers to most.

    Parameters
    ----------
    telling : pandas.DataFrame
        As `probes.analysis.telling_inputs` gives it.
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
        text=[f"{float(row[GROUPS[row['group']][0]]):.2f}" for row in records],
        hover=[
            f"input {row['input']}<br>μ {row['mu']:.3g}, σ {row['sigma']:.3g}"
            f"<br>information {row['information']:.3g} nats"
            for row in records
        ],
    )
    return image_rows(rows, alt)
