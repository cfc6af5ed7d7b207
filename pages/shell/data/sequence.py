"""What the neurons of a run believe along its probe sequence, ready for the page. No widgets here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import entr

from pages.shell.data import payloads
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext
from probes.analysis import sequence_features
from probes.analysis.answers import class_shares
from probes.analysis.layer_families import is_gaussian
from probes.analysis.posteriors import measured_half_life
from probes.analysis.probe_statistics import LEAST_SEQUENCE
from probes.canvas import pack
from probes.diagnostics import half_life
from probes.families import family_of
from probes.families.others import OF_CLASSES
from probes.figures import frames
from probes.neuron_names import neuron_name, neuron_names
from probes.spacing import evenly_spaced

STEPS_KEPT = 8  # of a sequence at one step: some megabytes each
ROWS = 256  # neurons of the map: more than its pixels
TESTED = 4_096  # neurons whose features are tested together: a second
CONTEXT = 16  # positions at the beginning that are no surprise to be surprised by
SIGNIFICANT = 0.05  # p, adjusted
TINY = 1e-12  # a variance, below which none is known
RANKED = 12  # neurons in a list
EMPHASIS = 99  # per cent of the values that colours run over
STATIONARY = ("standard", "autoregressive")  # priors that are Normal(0, 1) at each position by itself


@dataclass(frozen=True)
class Quantity:
    """What is shown of every neuron at every position."""

    label: str
    unit: str
    colors: str

    @property
    def title(self) -> str:
        """Label with the unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


QUANTITIES = {
    "kl": Quantity("KL less the neuron's own mean", "nats", "diverging"),
    "m": Quantity("Belief m", "", "diverging"),
    "width": Quantity("Width √V", "", "Viridis"),
    "entropy": Quantity("Entropy of the classes", "nats", "Viridis"),
    "change": Quantity("Change of the class probabilities", "", "Viridis"),
    "picked": Quantity("Picks", "", "Viridis"),
}
"""Value of `quantity` in the URL -> what it is."""


@dataclass(frozen=True)
class Path:
    """One layer along the probe sequence, (T, N) each: belief of mean m and variance V, KL in nats (NaN: not
    known). Of a layer of classes m and V are NaN, and `shares` (T, N, C) their probabilities, of a Dirichlet
    the mean composition; None of others. Of a code book m is 1 where a code was picked, else 0.
    """

    m: np.ndarray
    V: np.ndarray
    kl: np.ndarray
    family: str = "gaussian"
    shares: np.ndarray | None = None

    def quantity(self, name: str) -> np.ndarray:
        """(T, N) of one of QUANTITIES; NaN where the layer's family has none."""
        if name == "kl":
            return np.asarray(self.kl - self.kl.mean(0))
        if name in ("entropy", "change"):
            return self._of_classes(name)
        if (name == "picked") != self.of_codes:
            return np.full(self.m.shape, np.nan)
        return np.sqrt(self.V) if name == "width" else self.m

    @property
    def of_codes(self) -> bool:
        """Whether neurons are codes, and m says which was picked."""
        return self.family == "codes"

    def _of_classes(self, name: str) -> np.ndarray:
        if self.shares is None or (name == "entropy" and self.family == "dirichlet"):
            return np.full(self.m.shape, np.nan)
        if name == "entropy":
            return np.asarray(entr(self.shares).sum(-1))
        moved = 0.5 * np.abs(np.diff(self.shares, axis=0)).sum(-1)  # total variation distance
        return np.concatenate([np.zeros((1, self.m.shape[1])), moved])

    def has(self, name: str) -> bool:
        """Whether any neuron has one of QUANTITIES."""
        return bool(np.isfinite(self.quantity(name)).any())

    def likely(self, t: int) -> list[str]:
        """The most likely class of each neuron at a position, with its probability."""
        assert self.shares is not None  # of layers of classes
        held = self.shares[t]
        return [f"{place} ({held[neuron, place]:.2f})" for neuron, place in enumerate(held.argmax(-1))]


def passes_by(context: RunContext) -> bool:
    """Whether a deterministic path along t passes the neurons by."""
    return context.run.config.get("network") == "transformer"


def stored_step(context: RunContext, step: int) -> int:
    """The stored step at or before the cursor's, or the first."""
    return cache.recorded_step(cache.sequence_steps(context), step)


def paths(context: RunContext, step: int) -> dict[int, Path]:
    """Layer -> its path at a stored step."""
    newest = step == cache.sequence_steps(context)[-1]
    return _paths(context, step, context.run.extent("sequence") if newest else 0)


@cache.of_run(keep=STEPS_KEPT, show_spinner="Reading the probe sequence …")
def _paths(context: RunContext, step: int, rows: int) -> dict[int, Path]:
    found = context.run.sequence(step).sort_values(["layer", "t", "neuron"], kind="stable")
    table: dict[int, Path] = {}
    for layer, part in found.groupby("layer"):
        positions = part["t"].nunique()
        m, V, kl = (part[name].to_numpy(np.float64).reshape(positions, -1) for name in ("m", "V", "kl"))
        family, shares = family_of(context.layers[int(str(layer))]).name, None
        if family in OF_CLASSES:
            rows_of = context.run.sequence_parameters(step, int(str(layer))).rename(columns={"t": "input"})
            shares = class_shares(rows_of, int(context.layers[int(str(layer))]["neurons"]))
        table[int(str(layer))] = Path(m, V, kl, family, shares)
    return table


@cache.of_run("inputs", keep=cache.SLICES_KEPT)
def positions(context: RunContext) -> sequence_features.Positions:
    """What stands at the positions of the probe sequence; numbers where that was not stored."""
    rows = cache.input_contents(context)
    own = rows[rows["kind"] == sequence_features.POSITION]
    contents = (own if len(own) else rows).sort_values("input")["content"].astype(str).tolist()
    chords = str(context.run.config.get("data", "")).startswith("chords")
    return sequence_features.read_positions(contents, chords)


def labels(context: RunContext, length: int) -> list[str]:
    """What stands at each of T positions, as it is shown; their numbers where nothing is stored."""
    found = positions(context)
    known = [label or "rest" for label in found.labels] if found.kind == "chords" else list(found.labels)
    return known[:length] if len(known) >= length else [str(t) for t in range(length)]


def sign(label: str) -> str:
    """A position's content in running words: white space by its sign."""
    return {"": "start", "\n": "↵", " ": "space"}.get(label, label.replace("\n", "↵"))


@cache.of_run("predictions", keep=cache.WHOLES_KEPT)
def predictions(context: RunContext, step: int) -> pd.DataFrame:
    """What was predicted at each position, at the stored step or the last before it: columns as the task has
    them, by t; empty where nothing was predicted.
    """
    rows = context.run.predictions(step)
    return rows.sort_values("input").set_index("input") if "input" in rows else rows.iloc[:0]


@cache.of_run("neurons", keep=cache.SLICES_KEPT)
def memories(context: RunContext, step: int) -> pd.DataFrame:
    """What the neurons' rows say of their memory at a recorded step: layer, neuron and those of phi,
    persistence, gate, held_information that the run has; half_life of the prior, positions.
    """
    known = tuple(
        name for name in ("phi", "persistence", "gate", "held_information") if name in context.run.statistics
    )
    rows = cache.at(context, cache.recorded_step(context.run.steps, step), known)
    if "phi" in rows:
        return rows.assign(half_life=half_life(rows["phi"].to_numpy(float, na_value=np.nan), 1))
    return rows


def moved(context: RunContext, found: dict[int, Path], t: int, quantity: str) -> pd.DataFrame:
    """Neurons of all layers that have the quantity by how far they moved at position t, most first: layer,
    neuron, `moved` (KL less the neuron's own mean in nats, or the change of the class probabilities; of
    another quantity its change from t - 1), before and after (m, or as texts the most likely class).
    """
    parts, shown = [], {layer: path for layer, path in found.items() if path.has(quantity)}
    worded = any(path.shares is not None for path in shown.values())
    for layer, path in shown.items():
        values = path.quantity(quantity)
        before: Any = path.m[t - 1] if t else np.zeros(path.m.shape[1])
        after: Any = path.m[t]
        if path.shares is not None:
            before, after = path.likely(max(t - 1, 0)), path.likely(t)
        elif worded:
            before, after = ([payloads.number(float(m)) for m in one] for one in (before, after))
        itself = quantity in ("kl", "change")
        change = values[t] if itself else values[t] - (values[t - 1] if t else values[t])
        parts.append(
            pd.DataFrame(
                {
                    "layer": layer,
                    "neuron": np.arange(len(change)),
                    "moved": change,
                    "before": before,
                    "after": after,
                }
            )
        )
    rows = pd.concat(parts, ignore_index=True)
    by = rows["moved"] if quantity == "kl" else rows["moved"].abs()
    return rows.loc[by.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


@dataclass(frozen=True)
class Followed:
    """How neurons go with features: `layer`, `neuron` (N,) say which they are."""

    layer: np.ndarray
    neuron: np.ndarray
    found: sequence_features.Associations

    def place(self, layer: int, neuron: int) -> int:
        """The row of a neuron."""
        return int(np.flatnonzero((self.layer == layer) & (self.neuron == neuron))[0])


@cache.of_run(keep=cache.WHOLES_KEPT, show_spinner="Looking for what the neurons follow …")
def followed(context: RunContext, step: int, quantity: str) -> Followed | None:
    """How all neurons go with the features of the positions, at a stored step; None where there are too few
    positions, too many neurons, or nothing to go with.
    """
    found_paths = paths(context, step)
    parts = {layer: path.quantity(quantity) for layer, path in found_paths.items() if path.has(quantity)}
    if not parts:
        return None
    values = np.concatenate(list(parts.values()), axis=1)
    length, found = len(values), features(context)
    short = length < sequence_features.LEAST_POSITIONS or any(len(one) < length for one in found.values())
    if short or not found or values.shape[1] > TESTED:
        return None
    neurons = [np.arange(one.shape[1]) for one in parts.values()]
    layers = [np.full(one.shape[1], layer) for layer, one in parts.items()]
    tested = sequence_features.associations(values, {name: one[:length] for name, one in found.items()})
    return Followed(np.concatenate(layers), np.concatenate(neurons), tested)


@cache.of_run("inputs", keep=cache.SLICES_KEPT)
def features(context: RunContext) -> dict[str, np.ndarray]:
    """Features of the positions, by name."""
    return sequence_features.features(positions(context))


def marks(found: Mapping[str, np.ndarray], feature: str) -> np.ndarray:
    """(T,) where a feature of yes and no is there; nowhere of another."""
    values = found.get(feature, np.zeros(0))
    return values == 1 if set(np.unique(values)) == {0.0, 1.0} else np.zeros(len(values), bool)


def feature_rows(tested: Followed, layer: int, neuron: int) -> pd.DataFrame:
    """One neuron's features, strongest first: feature, correlation, p (adjusted over its features)."""
    place, found = tested.place(layer, neuron), tested.found
    rows = pd.DataFrame(
        {"feature": found.names, "correlation": found.correlation[place], "p": found.p_features[place]}
    )
    return _strongest_first(rows)


def most_followed(tested: Followed) -> list[str]:
    """The features, those that most neurons go with first."""
    count = (tested.found.p_neurons <= SIGNIFICANT).sum(0)
    return [tested.found.names[place] for place in np.argsort(-count, kind="stable")]


def telling_feature(tested: Followed, found: Mapping[str, np.ndarray], t: int) -> str:
    """The feature that is asked for first: the rarest that is there at position t, of those of yes and no;
    where none is, that which most neurons go with.
    """
    there = {name: marks(found, name) for name in tested.found.names}
    rarest = sorted(
        (name for name in there if there[name][t : t + 1].any()), key=lambda name: there[name].sum()
    )
    return (rarest or most_followed(tested))[0]


def followers(tested: Followed, feature: str) -> pd.DataFrame:
    """Neurons by how they go with one feature: layer, neuron, correlation, p (adjusted over the neurons)."""
    place, found = tested.found.names.index(feature), tested.found
    return _strongest_first(
        pd.DataFrame(
            {
                "layer": tested.layer,
                "neuron": tested.neuron,
                "correlation": found.correlation[:, place],
                "p": found.p_neurons[:, place],
            }
        )
    )


def _strongest_first(rows: pd.DataFrame) -> pd.DataFrame:
    order = rows["correlation"].abs().sort_values(ascending=False, kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def order_of(path: Path, memory: pd.DataFrame, sort: str, quantity: str) -> np.ndarray:
    """Neurons of a layer, whose rows are `memory`, from the top of the map by one of SORTS; of a code book
    those that were picked.
    """
    count = path.m.shape[1]
    if path.of_codes:
        used = np.flatnonzero(path.m.any(0))
        return used[np.argsort(-path.m.sum(0)[used], kind="stable")]
    if sort == "memory" and "half_life" in memory:
        return np.argsort(memory["half_life"].to_numpy(float), kind="stable")
    if sort == "variation":
        return np.argsort(-np.nan_to_num(path.quantity(quantity).std(0)), kind="stable")
    return np.arange(count)


SORTS = {"memory": "half-life of the prior", "variation": "variation along t", "index": "index"}
"""Value of `sort_sequence` in the URL -> how the map's rows are sorted."""


def map_payload(
    context: RunContext,
    path: Path,
    layer: int,
    names: Sequence[str],
    quantity: str,
    sort: str,
    memory: pd.DataFrame,
    chosen: Sequence[int],
    t: int,
    revision: int,
) -> bytes:
    """The map neurons x positions, as the canvas of maps draws it. `revision` counts the changes of t and of
    the neuron that are not its own.
    """
    entry = QUANTITIES[quantity]
    values = path.quantity(quantity).T
    order = order_of(path, memory[memory["layer"] == layer], sort, quantity)
    shown = evenly_spaced(len(order), min(ROWS, len(order)))
    shown = np.union1d(shown, np.flatnonzero(np.isin(order, list(chosen))))
    if quantity == "picked":
        image = frames.Image((1 + np.round(254 * values[order[shown]])).astype(np.uint8), 0.0, 1.0, False)
    else:
        image = frames.quantise_as(values[order[shown]], entry.colors, log=False)
    by_index = sort == "index" and len(order) == len(values)
    row, sorted_by = ("code", "number of picks") if path.of_codes else ("neuron", SORTS[sort])
    header: dict[str, Any] = {
        "rows": len(shown),
        "columns": values.shape[1],
        "order": order[shown].tolist(),
        "edges": list(range(values.shape[1] + 1)),
        "columnTitle": "t",
        "columnNames": [sign(name) for name in names],
        "ranks": None if len(shown) == len(order) else shown.tolist(),
        "numbered": by_index,
        "colors": entry.colors,
        "low": image.low,
        "high": image.high,
        "log": False,
        "title": entry.label,
        "unit": entry.unit,
        "rowTitle": row if by_index else f"rank of the {row}",
        "layer": context.names[layer],
        "index": layer,
        "chosen": list(chosen),
        "alarms": [],
        "regimes": [],
        "absent": {"column": "not recorded", "cell": "not recorded"},
        "cursor": t,
        "revision": revision,
        "label": (
            f"{entry.label} of {len(shown)} {row}s of {context.names[layer]} at {values.shape[1]} positions,"
            f" sorted by {sorted_by}; colours from {payloads.number(image.low)} to"
            f" {payloads.number(image.high)}"
        ),
    }
    return pack(header, {"cells": image.cells})


def surprise_correlation(found: dict[int, Path], table: pd.DataFrame) -> float:
    """Correlation along t of the KL of all neurons with the surprise, -ln p of what came next; NaN where one
    of them is not known.
    """
    if "nll" not in table or not found:
        return float("nan")
    total = np.sum([path.kl.sum(1) for path in found.values()], axis=0)
    nll = table["nll"].reindex(range(len(total))).to_numpy(float)
    known = np.isfinite(total) & np.isfinite(nll)
    if known.sum() < 3 or np.ptp(total[known]) == 0 or np.ptp(nll[known]) == 0:
        return float("nan")
    return float(np.corrcoef(total[known], nll[known])[0, 1])


def most_telling(table: pd.DataFrame, found: Mapping[int, Path], length: int) -> int:
    """The position at which the page opens, those left out at which there is little context yet: after which
    the most surprising came; where no surprise is known, at which the neurons' KL or, where that is not known
    either, the change of what they hold is largest, all of them together; else the first.
    """
    begin = min(CONTEXT, length // 4)
    surprise = table["nll"].reindex(range(length)).to_numpy(float) if "nll" in table else np.zeros(0)
    for course in chain((surprise,), _totals(found)):
        if np.isfinite(course[begin:]).any():
            return begin + int(np.nanargmax(course[begin:]))
    return 0


def _totals(found: Mapping[int, Path]) -> Iterator[np.ndarray]:
    """(T,) each, as it is asked for: the KL of all neurons in nats, and how far all of them moved from the
    position before: of classes the change of their probabilities, of others of m in sds of the belief, of
    codes whether another one was picked.
    """
    if paid := [path.kl.sum(1) for path in found.values() if path.has("kl")]:
        yield np.sum(paid, axis=0)
    moved = []
    for path in found.values():
        change = np.abs(np.diff(path.m, axis=0, prepend=path.m[:1]))
        if path.shares is not None:
            change = path.quantity("change")
        elif not path.of_codes:
            change = change / np.sqrt(np.maximum(path.V, TINY))
        moved.append(np.nan_to_num(change).sum(1))
    if moved:
        yield np.sum(moved, axis=0)


def second_surprise(
    context: RunContext, other: RunContext, step: int, length: int
) -> tuple[np.ndarray | None, str]:
    """The surprise (T,) of a second run at the same positions, at its stored step at or before; or why there
    is none.
    """
    name = url.plain(other.entry.name)
    if not len(cache.sequence_steps(other)):
        return None, f"{name} cannot be shown beside it: it holds no probe sequence."
    if labels(other, length) != labels(context, length):
        return None, f"{name} cannot be shown beside it: its probe sequence is another."
    table = predictions(other, stored_step(other, step))
    if "nll" not in table:
        return None, f"{name} cannot be shown beside it: it stored no predictions."
    return table["nll"].reindex(range(length)).to_numpy(float), ""


def total_kl(found: dict[int, Path]) -> np.ndarray:
    """(T,) nats, of all neurons of all layers."""
    return np.asarray(np.sum([path.kl.sum(1) for path in found.values()], axis=0))


def likeliest(row: pd.Series) -> list[tuple[str, float]]:
    """The likeliest next symbols of one position with their probabilities, likeliest first."""
    found = []
    for rank in range(1, len(row)):
        if f"symbol_{rank}" not in row:
            break
        found.append((str(row[f"symbol_{rank}"]), float(row[f"p_{rank}"])))
    return found


def likely_notes(table: pd.DataFrame, length: int) -> pd.DataFrame:
    """The likeliest notes of chords, at the position that they were predicted for: t, note, p."""
    parts = [
        pd.DataFrame(
            {
                "t": table.index.to_numpy() + 1,
                "note": pd.to_numeric(table[f"symbol_{rank}"], errors="coerce").to_numpy(),
                "p": table[f"p_{rank}"].to_numpy(float),
            }
        )
        for rank in range(1, len(table.columns))
        if f"symbol_{rank}" in table
    ]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["t", "note", "p"])
    return rows[(rows["t"] < length) & rows["note"].notna()]


def draw_information(table: pd.DataFrame, length: int) -> np.ndarray | None:
    """Mutual information (T,) between the draw and the next symbol, nats: the entropy of the mean prediction
    less the mean entropy of the draws' own; None where these were not stored.
    """
    if not {"entropy", "conditional_entropy"} <= set(table):
        return None
    rows = table.reindex(range(length))
    return (rows["entropy"] - rows["conditional_entropy"]).clip(lower=0).to_numpy(float)


def test_numbers(context: RunContext) -> list[dict[str, Any]]:
    """Scores of the test split as cards show them: ECE, what a draw tells, living share by layer."""
    scalars = cache.scalars(context)
    rows = scalars[scalars["split"] == "test"].groupby("name")["value"].last()
    labelled = [
        ("bits", "Bits", "bits", "a position", "Of the next symbol", 1),
        ("nll_joint", "NLL", "nats", "a position", "Averaged inside the logarithm over draws", 1),
        ("ece", "ECE", "", "likeliest symbol", "Expected calibration error of the likeliest symbol", 1),
        ("ece_null_95", "ECE if calibrated", "", "95 % lie below", "Of calibrated networks, 95 % do", 1),
        ("draw_information", "Draw information", "nats", "draw and next symbol",
         "Mutual information of a draw and the next symbol", 1),
    ]  # fmt: skip
    shares = [
        (f"living_share_{layer + 1}", f"Living, {name}", "%", "living or mixed", "Of its neurons", 100)
        for layer, name in enumerate(context.names)
    ]
    return [
        {"label": label, "value": payloads.number(factor * float(rows[name])), "unit": unit, "note": note,
         "help": text}
        for name, label, unit, note, text, factor in [*labelled, *shares]
        if name in rows and np.isfinite(rows[name])
    ]  # fmt: skip


def token_colors(values: np.ndarray, signed: bool = False) -> dict[str, Any]:
    """The scale of colours behind tokens, as their canvas draws it: `high` gets the strongest one, within
    which EMPHASIS per cent of the values lie; whether any lie beyond is said by `clipped`.
    """
    finite = np.abs(values[np.isfinite(values)])
    high = float(np.percentile(finite, EMPHASIS)) if finite.size else 1.0
    high = high if high > 0 else 1.0
    clipped = bool((finite > high).any())
    return {"low": -high if signed else 0.0, "high": high, "signed": signed, "clipped": clipped}


def shares(values: np.ndarray, colors: dict[str, Any]) -> list[float | None]:
    """Values of tokens as shares of the strongest colour of a scale of `token_colors`; None where there is
    none.
    """
    parts = np.clip(values / colors["high"], -1 if colors["signed"] else 0, 1)
    return [round(part, 3) if np.isfinite(part) else None for part in parts.tolist()]


def named_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with layer and neuron, the neuron by its name instead."""
    return rows.assign(neuron=neuron_names(rows)).drop(columns="layer")


def first_neuron(found: dict[int, Path], layer: int) -> int:
    """The neuron of a layer that is shown before one is chosen: whose belief varies most along t."""
    path = found[layer]
    varies = path.m.std(0) if path.shares is None else path.quantity("change").mean(0)
    return int(np.nan_to_num(varies).argmax())


def remembered(found: dict[int, Path], rows: pd.DataFrame) -> np.ndarray | None:
    """Positions after which the autocorrelation of m is below one half, of `rows` (layer, neuron) each; NaN
    where the sequence is too short to say; None where it is too short for any, or none has a mean.
    """
    length = len(next(iter(found.values())).m)
    means = [found[layer].m[:, neuron] for layer, neuron in zip(rows["layer"], rows["neuron"], strict=True)]
    if length < LEAST_SEQUENCE or not means or not np.isfinite(means).any():
        return None
    return np.asarray(measured_half_life(np.stack(means, 1)))


def card_numbers(
    context: RunContext, memory: pd.DataFrame, path: Path, layer: int, neuron: int
) -> list[dict[str, Any]]:
    """What a neuron remembers, in numbers, as cards show them."""
    row = memory[(memory["layer"] == layer) & (memory["neuron"] == neuron)]
    labelled = (
        ("phi", "Prior's φ", "", "kept from t to t + 1", "what the prior expects to be kept from t to t + 1"),
        ("half_life", "Prior's half-life", "t", "from φ", "positions after which the prior's memory is half"),
        ("persistence", "Slope", "", "of z on z one before", "measured slope of z at t on z at t − 1"),
        ("gate", "Gate", "", "of the belief replaced", "mean share of the belief that a position replaces"),
        ("held_information", "Held", "nats", "of what came so far", "information held, against Normal(0, 1)"),
    )
    cards = [
        {
            "label": label,
            "value": payloads.number(float(row[name].iloc[0])),
            "unit": unit,
            "note": note,
            "help": text,
        }
        for name, label, unit, note, text in labelled
        if len(row) and name in row and np.isfinite(float(row[name].iloc[0]))
    ]
    if path.shares is not None:
        return cards + _class_numbers(path, neuron)
    if path.of_codes:
        return cards + _code_numbers(path, neuron)
    if len(path.m) >= LEAST_SEQUENCE:
        measured = float(measured_half_life(path.m[:, [neuron]])[0])
        said = "positions until the autocorrelation of m is below one half; –: longer than this sequence says"
        cards.append(
            {
                "label": "Measured half-life",
                "value": payloads.number(measured),
                "unit": "t" if np.isfinite(measured) else "",
                "note": "from autocorrelation",
                "help": said,
            }
        )
    width = float(np.sqrt(path.V[:, neuron]).mean())
    cards.append(
        {
            "label": "Width √V",
            "value": payloads.number(width),
            "unit": "",
            "note": "mean along t" + ("; prior 1" if standard_gaussian(context, layer) else ""),
            "help": f"mean along t of neuron {neuron_name(layer, neuron)}"
            + ("; the prior's is 1" if standard_gaussian(context, layer) else ""),
        }
    )
    return cards


def _code_numbers(path: Path, code: int) -> list[dict[str, Any]]:
    """How often a code was picked along t, and how many were, in numbers, as cards show them."""
    times, length = path.m.sum(0), len(path.m)
    share = times / max(times.sum(), 1)
    labelled = (
        ("Picked", f"{int(times[code]):,} of {length:,}", "t", "positions at which this code was picked"),
        (
            "Codes",
            f"{np.count_nonzero(times):,} of {len(times):,}",
            "",
            "that were picked along this sequence",
        ),
        (
            "Perplexity",
            payloads.number(float(np.exp(entr(share).sum()))),
            "codes",
            "of the picks along this sequence: as many codes picked equally often would have it",
        ),
    )
    return [
        {"label": label, "value": value, "unit": unit, "note": "", "help": text}
        for label, value, unit, text in labelled
    ]


def standard_gaussian(context: RunContext, layer: int) -> bool:
    """Whether a layer's beliefs are Gaussians under Normal(0, 1), or a prior that is stationary at it."""
    about = context.layers[layer]
    return is_gaussian(about) and about.get("prior") in STATIONARY


def _class_numbers(path: Path, neuron: int) -> list[dict[str, Any]]:
    """What a neuron of classes does along t, in numbers, as cards show them."""
    assert path.shares is not None  # the caller looked
    held = path.shares[:, neuron]
    likely = held.argmax(-1)
    stays = len(likely) / (1 + np.count_nonzero(np.diff(likely)))
    classes = held.shape[-1]
    labelled = [
        (
            "Stays",
            payloads.number(float(stays)),
            "t",
            "positions for which one class is the most likely, on average",
        ),
        (
            "Classes",
            f"{len(np.unique(likely))} of {classes}",
            "",
            "that are the most likely at some position",
        ),
    ]
    if path.has("entropy"):
        mean = float(path.quantity("entropy")[:, neuron].mean())
        most = f"mean along t; at most ln {classes} = {np.log(classes):.3g}"
        labelled.append(("Entropy", payloads.number(mean), "nats", most))
    return [
        {"label": label, "value": value, "unit": unit, "note": "", "help": text}
        for label, value, unit, text in labelled
    ]
