"""One neuron's regime at a step: the rule that decided it, and the numbers behind it."""

from __future__ import annotations

import pandas as pd

from pages.shell.data import payloads
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes import regimes
from probes.families import family_of
from probes.schema import SETTLED, STATISTICS

EXPLAINED = (
    "mean",
    "variance",
    "entropy",
    "perplexity",
    "usage",
    "spread",
    "kl",
    "information",
    "persistence",
)
"""Statistics whose values are shown beside the rule."""


def row_at(context: RunContext, layer: int, neuron: int, step: int) -> pd.Series | None:
    """What was recorded of the neuron at a recorded step; None if its layer was not."""
    now = cache.at(context, step)
    rows = now[(now["layer"] == layer) & (now["neuron"] == neuron)]
    return None if rows.empty else rows.iloc[0]


def reading(context: RunContext, layer: int, row: pd.Series) -> tuple[str, str]:
    """How to read the regime that a neuron of the layer has settled in, and what to do about it."""
    return regimes.reading(int(row[SETTLED]), context.layers[layer].get("of"))


def rule(context: RunContext, layer: int, row: pd.Series) -> str:
    """The regime, and the rule that fired with its values."""
    about = context.layers[layer]
    return regimes.explain(row, latent_dim=about["latent_dim"], family=family_of(about))


def values(row: pd.Series) -> str:
    """The numbers behind the rule, as markdown."""
    return " · ".join(
        f"{STATISTICS[name].label} **{payloads.number(float(row[name]), 3)}** {STATISTICS[name].unit}"
        for name in EXPLAINED
        if name in row.index and pd.notna(row[name])
    )
