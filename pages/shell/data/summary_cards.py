"""The cards of Health: what the run is worth and what its layers hold, at the cursor, each with its values
so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pages.shell.data import payloads
from pages.shell.session import cache, state
from pages.shell.session.runs import RunContext
from probes.alerts import Limits, warmup_of
from probes.schema import LIKELIHOODS, SCORES, STATISTICS

SHOWN_SCORES = ((LIKELIHOODS, "validation"), (("crps",), "validation, scaled"))
"""Names that a score goes by in logs, of which the first that a run has is shown; note."""
HALF = 0.5  # a living share below it is shown as bad
ROUNDING = 1e-6  # of the rate: information below it is what float32 leaves of a difference of two KLs
DIGITS = 4  # significant, of a sparkline's points: more cannot be seen, and would be sent anew by a live page


def run_cards(context: RunContext, step: int, other: RunContext | None = None) -> list[dict[str, Any]]:
    """Scores, and the state of the network where the run has distributions; those of a second run at the same
    step are named beside them.
    """
    cards = score_cards(_validation(context), step)
    if state.has_distributions(context):
        judged = after_warmup(context, step) and not state.is_shared(context)
        cards += layer_cards(cache.curves(context), step, judged)
    if other is not None:
        beside = {card["label"]: card["value"] for card in run_cards(other, step)}
        for card in cards:
            if card["label"] in beside:
                card["note"] = f"{other.entry.name}: {beside[card['label']]}"
    return cards


def after_warmup(context: RunContext, step: int) -> bool:
    """Whether neurons can be expected to live at a step: after the warm-up that the configuration names, else
    after as many records as alerts wait for, and at the end of a run in any case.
    """
    steps = context.run.steps
    if len(steps) and step >= steps[-1] and context.run.status != "running":
        return True
    warmup = warmup_of(context.run.config)
    waited = int(np.searchsorted(steps, step, side="right")) > Limits().window
    return waited if warmup is None else step >= warmup


@cache.of_run("scalars", keep=cache.WHOLES_KEPT)
def objective(context: RunContext) -> pd.DataFrame:
    """Scalars of training and of its validation."""
    curves = cache.scalars(context)
    return curves[curves["split"].isin(("train", "validation"))]


def objective_in_words(curves: pd.DataFrame) -> str:
    """What the curves of `objective` hold of training's objective."""
    found = set(curves["name"])
    said = ["loss"] * ("loss" in found)
    if found & set(LIKELIHOODS):
        both = " (nll: of batches; nll_joint: of the split)" if found >= set(LIKELIHOODS) else ""
        said.append(f"negative log likelihood{both}")
    return " and ".join(said)


@cache.of_run("scalars", keep=cache.WHOLES_KEPT)
def _validation(context: RunContext) -> pd.DataFrame:
    curves = cache.scalars(context)
    return curves[curves["split"] == "validation"]


def regime_rows(context: RunContext) -> pd.DataFrame:
    """How many neurons of each layer have settled in each regime, at every recorded step."""
    return cache.summary(context).filter(regex=r"^(step|layer|settled_\d+)$")


def score_cards(scalars: pd.DataFrame, step: int) -> list[dict[str, Any]]:
    """The last validation scores at or before `step`. `scalars` is `Run.scalars()`."""
    table = scalars[scalars["split"] == "validation"]
    cards = []
    for names, note in SHOWN_SCORES:
        name = next((name for name in names if (table["name"] == name).any()), None)
        if name is not None:
            part = table[table["name"] == name]
            so_far = part[part["step"] <= step]
            value = float(so_far["value"].iloc[-1]) if len(so_far) else np.nan
            at = int(so_far["step"].iloc[-1]) if len(so_far) else step
            series = part["value"].to_numpy(float)
            cards.append(
                {
                    "label": SCORES[name].label,
                    "value": payloads.number(value),
                    "unit": SCORES[name].short_unit,
                    "note": note if at == step else f"{note}, step {at:,}",
                    "spark": _spark(series),
                }
            )
    return cards


def layer_cards(curves: pd.DataFrame, step: int, judged: bool = True) -> list[dict[str, Any]]:
    """Living share, rate, information and contraction of the whole network, as far as they are known;
    `curves` as `network_curves` gives them.

    judged: whether neurons are expected to live; not while training warms up, nor where all distributions are
    the same for every input (of weights, say).
    """
    curves = curves.assign(
        information=curves["information"].mask(curves["information"].abs() <= ROUNDING * curves["rate"], 0)
    )
    place = max(int(np.searchsorted(curves.index, step, side="right")) - 1, 0)

    def card(label: str, name: str, unit: str, note: str, factor: float = 1, **more: Any) -> dict[str, Any]:
        series = factor * curves[name].to_numpy()
        return {
            "label": label,
            "value": payloads.number(series[place]),
            "unit": unit,
            "note": note,
            "spark": _spark(series),
            **more,
        }

    alive = curves["living_share"].iloc[place]
    cards = []
    if curves["living_share"].notna().any():
        bad = bool(alive < HALF) and judged
        unknown = int(curves["unknown"].iloc[place])
        note = f"living or mixed{f'; {unknown:,} unknown not counted' if unknown else ''}"
        cards.append(card("Living neurons", "living_share", "%", note, 100, bad=bad))
    for name, source, label, note in (
        ("rate", "kl", "Rate", "per example"),
        ("information", "information", "Information", "all neurons"),
    ):
        if curves[name].notna().any():
            cards.append(card(label, name, STATISTICS[source].unit, note, help=STATISTICS[source].caveat))
    if curves["contraction"].notna().any():
        meaning = STATISTICS["contraction"].meaning
        cards.append(card("Contraction", "contraction", "", "0 prior, 1 point", help=meaning))
    return cards


def _spark(series: np.ndarray) -> list[float | None]:
    return [None if value is None else float(f"{value:.{DIGITS}g}") for value in payloads.spark(series)]
