"""Who pulls at chosen neurons: the terms of the loss, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes.figures import style
from probes.figures.sketch import Sketch
from probes.schema import FORCE_TERMS, STATISTICS

HEIGHT = 300  # pixels


def force_balance(forces: pd.DataFrame, names: Sequence[str], statistic: str) -> go.Figure:
    """Bars of one force in groups, a group a neuron, a bar a term of the loss.

    `forces`: columns name, term and the statistic (one of `schema.FORCES`), at one step of each neuron. Terms
    that pull at no shown neuron are left out. Raises KeyError for a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic]
    figure = Sketch()
    known = list(FORCE_TERMS)
    terms = sorted(
        forces["term"].unique(), key=lambda term: (known.index(term) if term in known else len(known), term)
    )
    for place, term in enumerate(terms):
        values = (
            forces[forces["term"] == term].set_index("name")[statistic].reindex(list(names)).to_numpy(float)
        )
        if not np.nan_to_num(values).any():
            continue
        color = "#7F7F7F" if term == "total" else style.OKABE_ITO[place % (len(style.OKABE_ITO) - 1)]
        figure.add_trace(
            dict(
                type="bar", x=[style.text(name) for name in names], y=values.astype(np.float32),
                name=style.text(term),
                marker={"color": color}, hovertemplate=f"%{{y:.4g}} {entry.unit}",
            )
        )  # fmt: skip
    figure.update_xaxes(title="neuron", type="category")
    figure.update_yaxes(title=entry.title, zeroline=True, zerolinecolor=style.AXIS)
    return figure.finish(HEIGHT, f"{entry.title} of each term of the loss on {', '.join(names)}")
