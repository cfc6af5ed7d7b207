"""What a decoder makes of neurons that are walked over their prior: one row a neuron."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from probes.figures.image_rows import image_rows


def decoded_images(contents: pd.DataFrame, names: Mapping[tuple[int, int], str], alt: str = "") -> go.Figure:
    """Decoded images of some neurons.

    Parameters
    ----------
    contents : pandas.DataFrame
        As `probes.watching.decoding.decoded_traversal` gives it.
    names : mapping
        (layer, neuron) -> what it is called; in this order, others are left out.
    alt : str
        What the figure shows, for those who do not see it.

    Returns
    -------
    plotly.graph_objects.Figure
        One row a neuron, its value in prior sds under each image.
    """
    parts = []
    for (layer, neuron), name in names.items():
        own = contents[(contents["layer"] == layer) & (contents["neuron"] == neuron)].sort_values("value")
        parts.append(own.assign(group=name, rank=range(len(own))))
    rows = pd.concat(parts) if parts else contents.iloc[:0].assign(group="", rank=0)
    text = [f"{value:+.0f} sd" if value else "0" for value in rows["value"]]
    hover = [
        f"{name}, {value:+.2g} prior sds" for name, value in zip(rows["group"], rows["value"], strict=True)
    ]
    return image_rows(rows.assign(text=text, hover=hover), alt)
