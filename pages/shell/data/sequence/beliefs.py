"""What the neurons of a run believe along its probe sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import entr

from pages.shell.data import payloads
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis.answers import class_shares
from probes.analysis.layer_families import is_gaussian
from probes.analysis.posteriors import measured_half_life
from probes.analysis.probe_statistics import LEAST_SEQUENCE
from probes.diagnostics import half_life
from probes.families import family_of
from probes.families.others import OF_CLASSES
from probes.neuron_names import neuron_names

STEPS_KEPT = 8  # of a sequence at one step: some megabytes each
TINY = 1e-12  # a variance, below which none is known
RANKED = 12  # neurons in a list
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
class LayerPath:
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


def paths(context: RunContext, step: int) -> dict[int, LayerPath]:
    """Layer -> its path at a stored step."""
    newest = step == cache.sequence_steps(context)[-1]
    return _paths(context, step, context.run.extent("sequence") if newest else 0)


@cache.of_run(keep=STEPS_KEPT, show_spinner="Reading the probe sequence …")
def _paths(context: RunContext, step: int, rows: int) -> dict[int, LayerPath]:
    found = context.run.sequence(step).sort_values(["layer", "t", "neuron"], kind="stable")
    table: dict[int, LayerPath] = {}
    for layer, part in found.groupby("layer"):
        positions = part["t"].nunique()
        m, V, kl = (part[name].to_numpy(np.float64).reshape(positions, -1) for name in ("m", "V", "kl"))
        family, shares = family_of(context.layers[int(str(layer))]).name, None
        if family in OF_CLASSES:
            rows_of = context.run.sequence_parameters(step, int(str(layer))).rename(columns={"t": "input"})
            shares = class_shares(rows_of, int(context.layers[int(str(layer))]["neurons"]))
        table[int(str(layer))] = LayerPath(m, V, kl, family, shares)
    return table


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


def moved(context: RunContext, found: dict[int, LayerPath], t: int, quantity: str) -> pd.DataFrame:
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


def totals(found: Mapping[int, LayerPath]) -> Iterator[np.ndarray]:
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


def total_kl(found: dict[int, LayerPath]) -> np.ndarray:
    """(T,) nats, of all neurons of all layers."""
    return np.asarray(np.sum([path.kl.sum(1) for path in found.values()], axis=0))


def named_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with layer and neuron, the neuron by its name instead."""
    return rows.assign(neuron=neuron_names(rows)).drop(columns="layer")


def first_neuron(found: dict[int, LayerPath], layer: int) -> int:
    """The neuron of a layer that is shown before one is chosen: whose belief varies most along t."""
    path = found[layer]
    varies = path.m.std(0) if path.shares is None else path.quantity("change").mean(0)
    return int(np.nan_to_num(varies).argmax())


def remembered(found: dict[int, LayerPath], rows: pd.DataFrame) -> np.ndarray | None:
    """Positions after which the autocorrelation of m is below one half, of `rows` (layer, neuron) each; NaN
    where the sequence is too short to say; None where it is too short for any, or none has a mean.
    """
    length = len(next(iter(found.values())).m)
    means = [found[layer].m[:, neuron] for layer, neuron in zip(rows["layer"], rows["neuron"], strict=True)]
    if length < LEAST_SEQUENCE or not means or not np.isfinite(means).any():
        return None
    return np.asarray(measured_half_life(np.stack(means, 1)))


def standard_gaussian(context: RunContext, layer: int) -> bool:
    """Whether a layer's beliefs are Gaussians under Normal(0, 1), or a prior that is stationary at it."""
    about = context.layers[layer]
    return is_gaussian(about) and about.get("prior") in STATIONARY
