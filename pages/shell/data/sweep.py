"""Runs over their settings: what a sweep's view draws, from the summaries of all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pages.shell.session.runs import Entry
from probes.fleet import Fleet
from probes.schema import AT_PRIOR, DEAD, LIKELIHOODS, SCORES, UNKNOWN

NLLS = tuple(f"{split}/{name}" for split in ("validation", "test", "train") for name in LIKELIHOODS)
"""The score that is shown first is the first of these that most runs have."""
FIRST_SETTINGS = ("beta", "lr", "learning_rate")
"""Of the settings that vary these come first, as axes do."""
MOST_COMPUTED = 40
"""Summaries that runs have not left and that a page computes: a second or two."""
MOST_LEVELS = 10
"""Values of a setting that get a column of their own; more are put together, as many runs in each."""
COLLAPSED_SHARE = 0.5
"""A layer counts as collapsed where so many of its neurons are dead or at their prior."""
_COLLAPSED = f"({DEAD}, {AT_PRIOR})"
_TOLD = f"case when 2 * count(*) filter (regime = {UNKNOWN}) < count(*)"  # as of living shares
MEMORY = "512MB"  # of DuckDB, for one answer

QUANTITIES = {
    "collapsed": "Collapsed neurons",
    "living": "Living neurons",
    "contraction": "Contraction",
    "onset": "Onset of contraction (step)",
    "rate": "Rate (nats)",
    "information": "Information (nats)",
}
"""What is known of a run and of each of its layers; shares, medians over neurons, sums over neurons."""
SHARES = ("collapsed", "living")
LAYER = "layer"
"""What curves are coloured by where it is no setting."""


@dataclass(frozen=True)
class Sweep:
    """Some runs, their settings and what became of them.

    runs: a row each: run, the settings, the scores ("split/name") and QUANTITIES. layers: rows (run, layer),
    with layers from 1 and QUANTITIES. settings: those that vary, the axes first, the seed left out. seed:
    whether it varies. left_out: runs that cannot be read -> why. without_summary: runs of which only scores
    are known.
    """

    runs: pd.DataFrame
    layers: pd.DataFrame
    settings: list[str]
    seed: bool
    scores: list[str]
    left_out: dict[str, str]
    without_summary: list[str]


def folders(entries: Mapping[str, Entry]) -> dict[str, list[str]]:
    """Folder -> names of its runs, the folder with most of them first; readable runs alone."""
    found: dict[Path, list[str]] = {}
    for name, entry in entries.items():
        if not entry.row["error"]:
            found.setdefault(entry.path.parent, []).append(name)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    names: dict[str, list[str]] = {}
    for folder, runs in ordered:
        name = folder.name if folder.name not in names else f"{folder.parent.name}/{folder.name}"
        names.setdefault(name, []).extend(runs)
    return names


def read(entries: Mapping[str, Entry]) -> Sweep:
    """The runs of a sweep. Raises RunError, MissingPackageError where they cannot be asked."""
    rows = {name: entry.row for name, entry in entries.items()}
    aggregates = (
        f"{_TOLD} then avg((regime in {_COLLAPSED})::int) end as collapsed, {_TOLD} then avg(living::int) end"
        " as living,"
        " median(contraction_last) as contraction, median(onset) as onset, sum(kl_last) as rate,"
        " sum(information_last) as information"
    )
    with Fleet(rows, threads=1, memory_limit=MEMORY, most_computed=MOST_COMPUTED) as fleet:
        different = set(fleet.varying())
        varying = [name for name, column in fleet.settings.items() if column in different]
        scores = [name for name in fleet.scores if not name.startswith("test last_value/")]
        columns = {**{name: fleet.settings[name] for name in varying}, **{n: fleet.scores[n] for n in scores}}
        runs = fleet.sql("select * from runs").set_index("run")[list(columns.values())]
        runs.columns = pd.Index(list(columns))
        of_runs = fleet.sql(f"select run, {aggregates} from neurons group by run").set_index("run")
        layers = fleet.sql(
            f"select run, layer + 1 as layer, count(*) as neurons, {aggregates} from neurons"
            " group by run, layer"
        )
        left_out, without = dict(fleet.left_out), list(fleet.without_summary)
    runs = runs.join(of_runs).reindex([name for name in rows if name in runs.index])
    settings = [name for name in varying if name != "seed" and runs[name].map(str).nunique() > 1]
    return Sweep(
        runs.reset_index(names="run"),
        layers.sort_values(["run", "layer"], ignore_index=True),
        sorted(settings, key=lambda name: _rank(name, runs.loc[:, name])),
        "seed" in varying,
        _ordered_scores(runs, scores),
        left_out,
        without,
    )


def _rank(name: str, values: Any) -> tuple[int, int, int]:
    """Settings as axes: known ones, then numbers of few values, then texts."""
    known = FIRST_SETTINGS.index(name) if name in FIRST_SETTINGS else len(FIRST_SETTINGS)
    return known, int(not pd.api.types.is_numeric_dtype(values)), -values.nunique()


def _ordered_scores(runs: pd.DataFrame, scores: Sequence[str]) -> list[str]:
    """Numeric scores of at least half of the runs, negative log likelihoods first."""
    kept = [
        name
        for name in scores
        if pd.api.types.is_numeric_dtype(runs[name]) and 2 * runs[name].notna().sum() >= len(runs)
    ]
    return sorted(kept, key=lambda name: NLLS.index(name) if name in NLLS else len(NLLS))


def title(name: str) -> str:
    """What an axis of a score, a quantity or a setting is called."""
    if name in QUANTITIES:
        return QUANTITIES[name]
    split, _, score = name.rpartition("/")
    known = SCORES.get(score)
    label = (known.label if known else score) + (f" ({known.unit})" if known and known.short_unit else "")
    return f"{label}, {split}" if split else name


def _spoken(name: str) -> str:
    """A score within a sentence."""
    split, _, score = name.rpartition("/")
    known = SCORES.get(score)
    return f"{split} {known.label if known else score}".strip()


def lower_is_better(name: str) -> bool:
    """Of a score; of one that is not known as of a loss."""
    known = SCORES.get(name.rpartition("/")[2])
    return known is None or known.good != "high"


# ---- settings as columns and rows of a map


def labels(values: pd.Series) -> tuple[list[str], pd.Series]:
    """The values of a setting in order, as text, and that of each run; many numbers are put together."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.astype(float)
        if numbers.nunique() > MOST_LEVELS:
            parts = pd.qcut(numbers, MOST_LEVELS, duplicates="drop")
            names = {part: f"{part.left:.2g} to {part.right:.2g}" for part in parts.cat.categories}
            return list(names.values()), parts.map(names).astype(object)
        ordered = sorted(numbers.dropna().unique())
        return [f"{number:g}" for number in ordered], numbers.map(
            lambda number: f"{number:g}", na_action="ignore"
        )
    texts = values.map(lambda value: None if value is None or value is pd.NA else str(value))
    return sorted(texts.dropna().unique()), texts


@dataclass(frozen=True)
class Cells:
    """A quantity over two settings. values: (len(y), len(x)), the mean over the runs there, NaN without any.
    runs: how many.
    """

    title: str
    x: list[str]
    y: list[str]
    values: np.ndarray
    runs: np.ndarray


def cells(sweep: Sweep, x: str, y: str | None, score: str | None) -> tuple[list[Cells], Cells | None]:
    """Share of collapsed neurons of each layer over two settings, and a score. With one setting (y None) the
    rows are the layers, in one map, and a score has one row.
    """
    x_labels, x_of = labels(sweep.runs[x])
    own = sweep.runs[["run"]].assign(x=x_of, y="")
    y_labels = [""]
    if y is not None:
        y_labels, own["y"] = labels(sweep.runs[y])
    layers = sweep.layers.merge(own, on="run")
    found = []
    if y is None:
        rows = [f"layer {layer}" for layer in sorted(layers["layer"].unique())]
        named = layers.assign(y="layer " + layers["layer"].astype(str))
        found.append(_pivot("Collapsed neurons", named, "collapsed", x_labels, rows))
    else:
        for layer, part in layers.groupby("layer"):
            found.append(_pivot(f"Layer {layer}", part, "collapsed", x_labels, y_labels))
    if score is None:
        return found, None
    scored = own.assign(value=sweep.runs[score].astype(float))
    return found, _pivot(title(score), scored, "value", x_labels, y_labels)


def most_collapsed(panels: Sequence[Cells], most: int) -> list[Cells]:
    """So many maps at most, those with the largest values, in their order."""
    largest = [float(np.max(one.values, initial=0.0, where=np.isfinite(one.values))) for one in panels]
    kept = sorted(np.argsort(largest, kind="stable")[::-1][:most])
    return [panels[place] for place in kept]


def _pivot(name: str, rows: pd.DataFrame, column: str, x: list[str], y: list[str]) -> Cells:
    grouped = rows.dropna(subset=[column]).groupby(["y", "x"])[column]
    table, counts = (
        getattr(grouped, how)().unstack("x").reindex(index=y, columns=x) for how in ("mean", "count")
    )
    return Cells(name, x, y, table.to_numpy(float), counts.fillna(0).to_numpy(int))


def runs_at(sweep: Sweep, x: str, x_label: str, y: str | None, y_label: str) -> list[str]:
    """Runs of a cell of a map."""
    there = labels(sweep.runs[x])[1] == x_label
    if y is not None:
        there &= labels(sweep.runs[y])[1] == y_label
    return [str(name) for name in sweep.runs.loc[there, "run"]]


# ---- in words


def findings(sweep: Sweep, x: str, y: str | None, score: str | None) -> list[str]:
    """Where which layers collapse, and what the score is there: sentences, the layers' in order."""
    x_labels, x_of = labels(sweep.runs[x])
    own = sweep.runs[["run"]].assign(x=x_of, y="")
    y_labels = [""]
    if y is not None:
        y_labels, own["y"] = labels(sweep.runs[y])
    layers = sweep.layers.merge(own, on="run")
    if layers.empty:
        return []
    share = layers.groupby(["layer", "y", "x"])["collapsed"].mean()
    collapsed = share[share >= COLLAPSED_SHARE]
    told = []
    for layer in sorted(layers["layer"].unique()):
        at = []
        for y_label in y_labels:
            there = [x_label for x_label in x_labels if (layer, y_label, x_label) in collapsed.index]
            known = [x_label for x_label in x_labels if (layer, y_label, x_label) in share.index]
            if there:
                values = (
                    f"from {x} {there[0]}" if known[-len(there) :] == there else f"at {x} {', '.join(there)}"
                )
                at.append(values + (f" ({y} {y_label})" if y is not None else ""))
        if at:
            told.append(f"**Layer {layer}** collapses {', '.join(at)}")
    if not told:
        worst: Any = share.idxmax()
        place = f"{x} {worst[2]}" + (f", {y} {worst[1]}" if y is not None else "")
        told = [f"No layer collapses: at most {100 * share.max():.0f} % of layer {worst[0]} ({place})"]
    return told + ([] if score is None else _cost(sweep, own, collapsed, x, y, score))


def _cost(
    sweep: Sweep, own: pd.DataFrame, collapsed: pd.Series, x: str, y: str | None, score: str
) -> list[str]:
    """The best mean score of a cell without collapsed layers, and of those with some."""
    values = own.assign(value=sweep.runs[score].astype(float)).groupby(["y", "x"])["value"].mean().dropna()
    if values.empty:
        return []
    bad = {(y_label, x_label) for _, y_label, x_label in collapsed.index}
    best = {}
    for name, inside in (("whole", False), ("collapsed", True)):
        part = values[[(place in bad) == inside for place in values.index]]
        if len(part):
            place: Any = part.idxmin() if lower_is_better(score) else part.idxmax()
            best[name] = (place, float(part[place]))

    def at(place: Any) -> str:
        return f"{x} {place[1]}" + (f", {y} {place[0]}" if y is not None else "")

    told = []
    if "whole" in best:
        told.append(f"where no layer collapses **{best['whole'][1]:.3f}** ({at(best['whole'][0])})")
    if "collapsed" in best:
        delta = f", {best['collapsed'][1] - best['whole'][1]:+.3f}" if "whole" in best else ""
        told.append(
            f"where one does **{best['collapsed'][1]:.3f}**{delta.replace('-', '−')}"
            f" ({at(best['collapsed'][0])})"
        )
    return [f"Best {_spoken(score)}: {'; '.join(told)}"] if told else []


# ---- curves and points


def points(sweep: Sweep, value: str, color: str | None) -> pd.DataFrame:
    """Rows run, value, color of a quantity or score, with the settings: one a run, or one a layer of it where
    layers are coloured.
    """
    if color == LAYER and value in QUANTITIES:
        rows = sweep.layers.merge(sweep.runs[["run", *sweep.settings]], on="run")
        return rows.assign(value=rows[value].astype(float), color=rows["layer"].map(str))
    own = sweep.runs
    return own.assign(value=own[value].astype(float), color=own[color] if color in sweep.settings else None)


def frontier(rate: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Places of the runs that no other beats in both, in order of rate: (P,) of finite ones."""
    order = np.lexsort((loss, rate))
    order = order[np.isfinite(rate[order]) & np.isfinite(loss[order])]
    best = np.minimum.accumulate(np.concatenate([[np.inf], loss[order]]))[:-1]
    return order[loss[order] < best]
