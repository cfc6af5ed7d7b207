"""Two to six runs beside each other: scores with differences, curves, layers, distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pages.shell.data import class_answers
from pages.shell.data.runs_catalog import LIVING
from pages.shell.session import cache, runs
from pages.shell.session.runs import RunContext
from probes.analysis.paired_scores import UnpairedError, paired_answers, paired_differences
from probes.analysis.run_groups import score, seed_pairs
from probes.analysis.score_differences import NO_SCORES, said, score_differences
from probes.schema import LIKELIHOODS, OBJECTIVE, SCORES, evaluate

SPLITS = ("test", "validation", "train")
Contexts = Mapping[str, RunContext]
"""Runs by the name that they are shown under."""
POINTS = {
    "accuracy": "accuracy (share)",
    "nll": "NLL (nats)",
    "crps": "CRPS (target's unit)",
    "squared_error": "squared error (target's unit²)",
    "nll_joint": "NLL (nats)",
    "nll_marginal": "marginal NLL (nats)",
    "energy": "energy score (target's unit)",
    "mse": "squared error (target's unit²)",
    "brier": "Brier score",
}
"""Scores that differences are shown of."""
RATE = "rate (nats)"
HOW_SCORED = ("draws", "weights_step")
"""Scalars that say how a split was scored."""
REMEDY = (
    "Runs of this version store scores by origin when they end; of others `python -m vdn evaluate RUN`"
    " computes them from checkpoints."
)


def score_title(name: str) -> str:
    """A score `split/name` in words, with its unit."""
    split, _, own = name.partition("/")
    known = SCORES.get(own)
    if known:
        word = known.title if known.title[:2].isupper() else known.title[:1].lower() + known.title[1:]
        return f"{split} {word}"
    if own == "rate":
        return f"{split} {RATE}"
    words, _, number = own.replace("_", " ").rpartition(" ")
    return f"{split} {f'{words}, layer {number}' if words == 'living share' else own.replace('_', ' ')}"


def score_names(contexts: Contexts) -> list[str]:
    """Scores that two runs have at least, of the test split first."""
    counts: dict[str, int] = {}
    for context in contexts.values():
        for name in context.entry.row.get("scores") or {}:
            split, _, own = name.partition("/")
            if split in SPLITS and own not in HOW_SCORED:
                counts[name] = counts.get(name, 0) + 1
    shared = [name for name, count in counts.items() if count > 1]
    order = list(SCORES)

    def place(name: str) -> tuple[int, int]:
        split, _, own = name.partition("/")
        return SPLITS.index(split), order.index(own) if own in order else len(order)

    return sorted(shared, key=place)


def scores_frame(contexts: Contexts, reference: str) -> pd.DataFrame:
    """One row a score: its last value in each run and, of all but the reference, the difference to that
    one's. Where the split has the data of the reference's is for the reader to see: the settings that differ
    say so.
    """
    table: dict[str, list[float | str | None]] = {"score": []}
    for run in contexts:
        table[run] = []
        if run != reference:
            table[difference_title(run, reference)] = []
    names = score_names(contexts)
    titles = [score_title(name) for name in names]
    for name in names:
        last = {run: score(context.entry.row, [name]) for run, context in contexts.items()}
        base = last[reference]
        alike = titles.count(title := score_title(name)) > 1
        table["score"].append(f"{title}, {name.partition('/')[2]}" if alike else title)
        for run, own in last.items():
            table[run].append(own[1] if own else None)
            if run != reference:
                table[difference_title(run, reference)].append(own[1] - base[1] if own and base else None)
    return pd.DataFrame(table)


def difference_title(run: str, reference: str) -> str:
    """Head of a column of differences."""
    return f"{run} − {reference}"


class Paired(NamedTuple):
    """Differences on the same stored forecasts or answers.

    `table`: one row a run and score, with the ends of 95 % intervals. `notes`: what they are of, in words.
    `reasons`: why a run has none.
    """

    table: pd.DataFrame
    notes: list[str]
    reasons: dict[str, str]


def paired(contexts: Contexts, reference: str) -> Paired:
    """What can be paired with the reference: scores by origin, else answers or forecasts that were kept."""
    rows: list[dict[str, object]] = []
    notes: dict[str, None] = {}  # in order
    reasons = {}
    for run, context in contexts.items():
        if run == reference:
            continue
        try:
            found, note = _differences(context, contexts[reference])
        except UnpairedError as error:
            reasons[run] = str(error)
            continue
        notes[note] = None
        for name, line in found.iterrows():
            low, high = line["low"], line["high"]
            verdict = "no interval" if np.isnan(low) else "not told apart"
            if low > 0 or high < 0:
                verdict = "lower" if high < 0 else "higher"
            ends = {"difference": line["difference"], "from": low, "to": high, "verdict": verdict}
            rows.append({"score": POINTS[str(name)], "run": run, "value": line["value"], **ends})
    table = pd.DataFrame(rows)
    return Paired(
        table.sort_values("score", kind="stable", ignore_index=True) if rows else table, [*notes], reasons
    )


def _differences(context: RunContext, reference: RunContext) -> tuple[pd.DataFrame, str]:
    """By score: value, difference, low, high; and what they are of. Of a run that stored no scores by origin
    what its probe batch, or the answers that it kept, say.
    """
    try:
        found = _of_origins(context, reference)
        gained = found["difference"].to_dict()
        if "nll_joint" in gained and gained["nll_joint"] == gained.get("nll_marginal"):
            # of one number or class both are the same
            found = found.drop(index="nll_marginal").rename(index={"nll_joint": "nll"})
        return found[found.index.isin(list(POINTS))], f"Over {said(found)}"
    except UnpairedError as error:
        if str(error) != NO_SCORES:
            raise
    mine, theirs = class_answers.last(context), class_answers.last(reference)
    if len(mine) and len(theirs):
        found = paired_answers(mine, theirs)
        first = found.iloc[0]
        said_of = f"{first['answers']:,} answers to the same examples of the {first['split']} split"
        return found, f"{said_of}: the interval is of the data alone, one seed a run. {REMEDY}"
    found = paired_differences(cache.predictions(context), cache.predictions(reference))
    first = found.iloc[0]
    note = (
        f"{first['points']:,.0f} predicted numbers in {first['blocks']:,.0f} independent blocks, each by the"
        " Gaussian of its mean and variance: the interval is of the data alone, one seed a run."
        f" {REMEDY}"
    )
    ends = {
        "low": found["difference"] - found["half_width"],
        "high": found["difference"] + found["half_width"],
    }
    return found.assign(**ends), note


def _of_origins(context: RunContext, reference: RunContext) -> pd.DataFrame:
    """Differences on whole splits, over all pairs of seeds that both have; of these two runs alone where the
    others have stored nothing that compares.
    """
    entries = {str(entry.row["path"]): entry for entry in runs.entries().values()}
    rows = [entry.row for entry in entries.values()]
    pairs = seed_pairs(context.entry.row, reference.entry.row, rows)
    if len(pairs) > 1:
        try:
            sides = [
                [cache.origin_scores(runs.open_run(entries[str(row["path"])])) for row in side]
                for side in zip(*pairs, strict=True)
            ]
            return score_differences(*sides)
        except (UnpairedError, runs.RunError, KeyError):
            pass
    return score_differences([cache.origin_scores(context)], [cache.origin_scores(reference)])


def curves(contexts: Contexts) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Loss, NLL, rate and living share over steps: title -> run -> steps and values. A quantity that no run
    has is left out.
    """
    panels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {
        "train loss": {},
        "validation NLL (nats)": {},
        RATE: {},
        "living share": {},
    }
    for run, context in contexts.items():
        scalars = cache.scalars(context)
        for title, split, names in (
            ("train loss", "train", OBJECTIVE[:1]),
            ("validation NLL (nats)", "validation", LIKELIHOODS),
        ):
            part = scalars[scalars["split"] == split]
            own = next((found for name in names if len(found := part[part["name"] == name])), None)
            if own is not None:
                panels[title][run] = (own["step"].to_numpy(), own["value"].to_numpy(float))
        network = cache.curves(context)
        for title, column in ((RATE, "rate"), ("living share", LIVING[0])):
            values = network[column].dropna()
            if len(values):
                panels[title][run] = (values.index.to_numpy(), values.to_numpy(float))
    return {title: found for title, found in panels.items() if found}


def layers(contexts: Contexts) -> dict[str, dict[str, np.ndarray]]:
    """Contraction, information and living share of each layer at each run's last recorded step."""
    panels: dict[str, dict[str, np.ndarray]] = {
        "contraction": {},
        "information per neuron (nats)": {},
        "living share": {},
    }
    for run, context in contexts.items():
        summary = cache.summary(context)
        if not len(summary):
            continue
        last = summary[summary["step"] == context.last].set_index("layer").reindex(range(len(context.layers)))
        for title, statistic in (
            ("contraction", "contraction"),
            ("information per neuron (nats)", "information"),
        ):
            try:
                values = evaluate(statistic, last, "mean")
            except KeyError:
                continue
            panels[title][run] = np.asarray(values, float)
        shares = [np.nan if share is None else share for share in context.entry.row.get("living_share") or []]
        if len(shares) == len(last):
            panels["living share"][run] = np.asarray(shares, float)
    return {title: found for title, found in panels.items() if found}


def deepest(contexts: Contexts) -> int:
    """How many layers the deepest of the runs has."""
    return max(len(context.layers) for context in contexts.values())


def of_layer(contexts: Contexts, layer: int, statistic: str) -> dict[str, np.ndarray]:
    """A statistic of every neuron of a layer at each run's last recorded step; runs without it are left
    out.
    """
    found = {}
    for run, context in contexts.items():
        if layer >= len(context.layers) or context.last < 0 or statistic not in context.run.available:
            continue
        rows = cache.at(context, context.last, (statistic,))
        found[run] = rows.loc[rows["layer"] == layer, statistic].to_numpy(float)
    return found


def statistics(contexts: Contexts) -> Sequence[str]:
    """Statistics that one of the runs has at least, in the registry's order."""
    return list(dict.fromkeys(name for context in contexts.values() for name in context.run.available))
