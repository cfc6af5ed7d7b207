"""Who pulls at chosen neurons: the terms of the loss, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from probes import palette
from probes.figures import style
from probes.figures.builder import FigureBuilder
from probes.schema import FORCE_TERMS, STATISTICS

HEIGHT = 300  # pixels


def force_balance(forces: pd.DataFrame, names: Sequence[str], statistic: str) -> go.Figure:
    """One force of each term of the loss on neurons: a group of bars a neuron, a bar a term.

    Parameters
    ----------
    forces : DataFrame
        Columns name, term and the statistic, at one step of each neuron.
    names : sequence of str
        The neurons, in the order of the groups.
    statistic : str
        One of `schema.FORCES`.

    Returns
    -------
    go.Figure
        Terms that pull at no shown neuron are left out.

    Raises
    ------
    KeyError
        For a statistic that is not in the registry.
    """
    entry = STATISTICS[statistic]
    figure = FigureBuilder()
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
        color = palette.TOTAL if term == "total" else palette.LOSS_TERMS[place % len(palette.LOSS_TERMS)]
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
