"""The cards of Overview: what the run is worth and what its layers hold, at the cursor, each with its course so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from pages.shell import views
from pages.shell.state import Opened
from probes.schema import STATISTICS

SCORES = (("NLL", ("nll_joint", "nll"), "nats", "validation"), ("CRPS", ("crps",), "", "validation, scaled"))
"""Label, names that a score goes by in logs, unit, note."""
HALF = 0.5  # a living share below it is shown as bad


def score_cards(opened: Opened, step: int) -> list[dict[str, Any]]:
    """The last validation scores at or before `step`."""
    table = opened.run.scalars()
    table = table[table["split"] == "validation"]
    cards = []
    for label, names, unit, note in SCORES:
        part = next((table[table["name"] == name] for name in names if (table["name"] == name).any()), None)
        if part is not None:
            so_far = part.loc[part["step"] <= step, "value"].to_numpy(float)
            value, series = (so_far[-1] if len(so_far) else np.nan), part["value"].to_numpy(float)
            cards.append({"label": label, "value": views.number(value), "unit": unit, "note": note, "spark": views.spark(series)})
    return cards


def layer_cards(opened: Opened, step: int) -> list[dict[str, Any]]:
    """Living share, rate, information and contraction of the whole network."""
    place = int(np.searchsorted(np.asarray(opened.run.steps), step))
    widths = np.array([layer["neurons"] for layer in opened.layers])[:, None]

    def card(label: str, series: np.ndarray, unit: str, note: str, **more: Any) -> dict[str, Any]:
        return {
            "label": label,
            "value": views.number(series[place]),
            "unit": unit,
            "note": note,
            "spark": views.spark(series),
            **more,
        }

    living = 100 * (views.living_share(opened) * widths).sum(axis=0) / widths.sum()
    cards = [card("Living neurons", living, "%", "living or mixed", bad=bool(living[place] < 100 * HALF))]
    for name, label, note in (("kl", "Rate", "per example"), ("information", "Information", "all neurons")):
        if name in opened.run.statistics:
            total = (views.per_layer(opened, f"{name}_mean") * widths).sum(axis=0)
            cards.append(card(label, total, STATISTICS[name].unit, note, help=STATISTICS[name].caveat))
    contraction = 1 - (views.per_layer(opened, "variance_mean") * widths).sum(axis=0) / widths.sum()
    return [*cards, card("Contraction", contraction, "", "0 prior, 1 point", help=STATISTICS["contraction"].meaning)]
