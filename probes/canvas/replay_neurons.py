"""Which neurons of a layer the replay draws: most hold what its prior says, so that a few are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes.families import family_of
from probes.families.gaussian import Gaussian
from probes.figures import frames
from probes.schema import evaluate
from probes.spacing import evenly_spaced

RIDGES = 16
"""Neurons of a layer that are drawn unless more are asked for."""

STAYED_SHARE = 0.25  # of the most contracted: neurons that did not contract stand beside them, to be compared
INFORMATIVE = ("information", "spread", "kl")  # what a neuron holds goes by, the first that is recorded
READ = tuple(dict.fromkeys((*frames.READ, *INFORMATIVE, "entropy", "prior_entropy")))
"""Statistics that neurons are ranked by, as far as a run has them."""
CHANGE_STEPS = 9  # log-spaced recorded steps, between which the way of a distribution is measured

Floats = NDArray[np.float64]

SHOWS = {
    "contracted": "Most contracted",
    "changed": "Most changed",
    "spread": "Spread out",
    "found": "Found",
    "pinned": "Pinned",
}
"""How neurons can be chosen, and what a reader chooses it by."""


@dataclass(frozen=True)
class Candidates:
    """A layer's neurons at the run's last step, each array (N,), in prior sds.

    `ids`: their numbers. `sd`: of the mean posterior; of other families the root of 1 less the contraction.
    `spread`: variance of the means over inputs. `held`: what a neuron holds of its input, larger is more, in
    the unit of the statistic that it goes by.
    """

    ids: NDArray[np.int64]
    sd: Floats
    spread: Floats
    held: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame, layer: Mapping[str, Any] | None = None) -> Candidates:
        """From the rows of one layer at one step, with `neuron` and statistics; `layer`: of the manifest,
        without one it is Gaussian.
        """
        own = _told(rows, layer or {})
        key = next((name for name in INFORMATIVE if name in rows and rows[name].notna().any()), None)
        sd = np.sqrt(np.maximum(own["variance"], 0)).astype(np.float64)
        held = -sd if key is None else _column(rows, key).astype(np.float64)
        return cls(rows["neuron"].to_numpy(np.int64), sd, own["spread"].astype(np.float64), held)

    def most_informative(self) -> int | None:
        """Place of the neuron that holds most; None where there is none."""
        if not len(self.ids):
            return None
        return int(np.argmax(np.nan_to_num(self.held, nan=-np.inf)))


def _told(rows: pd.DataFrame, layer: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Mean, variance and spread in units of the prior's; of other families the mean is as recorded, and the
    variance 1 less the contraction, or as recorded where there is no prior.
    """
    if isinstance(family_of(layer), Gaussian):
        return frames.against_prior({name: _column(rows, name) for name in frames.READ})
    variance = _column(rows, "variance")
    if "variance" in rows or {"entropy", "prior_entropy"} <= set(rows):
        open_share = 1 - evaluate("contraction", rows, standard=False).astype(np.float32)
        variance = np.where(np.isfinite(open_share), open_share, variance)
    return {"mean": _column(rows, "mean"), "variance": variance, "spread": _column(rows, "spread")}


def ways(
    tables: Sequence[pd.DataFrame], ids: NDArray[np.int64], layer: Mapping[str, Any] | None = None
) -> Floats:
    """(N,) how far each distribution went: the sum of 2-Wasserstein distances between the tables, in prior
    sds.

    Parameters
    ----------
    tables
        Rows of one layer at increasing steps, with `neuron`, mean and variance.
    ids
        The neurons, (N,).
    layer
        Of the manifest; without one it is Gaussian.

    Notes
    -----
    Of two Gaussians the squared distance is (difference of means)^2 + (difference of sds)^2, Givens & Shortt
    1984. A step at which a neuron was not recorded counts as no change.
    """
    places = []
    for rows in tables:
        rows = rows.set_index("neuron").reindex(ids)
        own = _told(rows, layer or {})
        places.append(np.stack([np.nan_to_num(own["mean"]), np.sqrt(np.maximum(own["variance"], 0))]))
    if len(places) < 2:
        return np.zeros(len(ids))
    moved = np.linalg.norm(np.diff(np.array(places, np.float64), axis=0), axis=1)
    return np.nansum(moved, axis=0)


def choose(
    candidates: Candidates,
    show: str = "contracted",
    count: int = RIDGES,
    pinned: Sequence[int] = (),
    found: Sequence[int] = (),
    change: Floats | None = None,
) -> NDArray[np.int64]:
    """Places of the neurons to draw, among them the most informative and the pinned, by increasing sd.

    Parameters
    ----------
    candidates
        The layer's neurons.
    show
        One of `SHOWS`. "contracted": three in four of `count` with the smallest sd, and those that stayed
        closest to their prior. "changed": the largest `change`. "spread": at quantiles of spread. "found":
        the first of `found`. "pinned": none else.
    count
        How many, the most informative among them; pinned ones come on top.
    pinned, found
        Numbers of neurons; those that the layer does not have are left out.
    change
        (N,) as `ways` gives it.

    Returns
    -------
    (K,) int64
        Places in `candidates.ids`. A neuron without an sd comes last.
    """
    first = candidates.most_informative()
    if first is None:
        return np.zeros(0, np.int64)
    place = {int(neuron): at for at, neuron in enumerate(candidates.ids)}
    ranked = _ranked(candidates, show, count, [place[n] for n in found if n in place], change)
    chosen = list(dict.fromkeys([first, *ranked]))[:count]
    chosen += [place[neuron] for neuron in pinned if neuron in place]
    kept = np.unique(np.array(chosen, np.int64))
    return kept[np.argsort(candidates.sd[kept], kind="stable")]


def _ranked(
    candidates: Candidates, show: str, count: int, found: Sequence[int], change: Floats | None
) -> list[int]:
    """Places by how much they are wanted, the most wanted first."""
    sd = candidates.sd
    if show == "contracted":
        narrow = np.argsort(sd, kind="stable")
        with np.errstate(divide="ignore"):
            stayed = np.argsort(np.nan_to_num(np.abs(np.log(sd)), nan=np.inf), kind="stable")
        few, first = stayed_of(count), candidates.most_informative()
        most = [at for at in narrow.tolist() if at != first][: max(count - few - 1, 0)]
        return [*most, *[at for at in stayed.tolist() if at not in most]]
    if show == "changed":
        return [] if change is None else np.argsort(-change, kind="stable").tolist()
    if show == "spread":
        by_spread = np.argsort(candidates.spread, kind="stable")
        return [int(at) for at in by_spread[evenly_spaced(len(sd), count)][::-1]]
    return list(found) if show == "found" else []


def stayed_of(count: int) -> int:
    """How many of the `count` most contracted are those that stayed closest to their prior instead."""
    return int(STAYED_SHARE * count)


def chosen_words(
    layers: Sequence[Mapping[str, Any]], show: str = "contracted", count: int = RIDGES, query: str = ""
) -> str:
    """What is said on the picture of how the neurons of its layers were chosen."""
    layers = [layer for layer in layers if (layer.get("shape") or {}).get("kind") != "book"]
    if not layers:
        return "all codes"
    if all(len(layer["neurons"]) == layer["count"] for layer in layers):
        return "all neurons"
    few = stayed_of(count)
    return {
        "contracted": f"{count - few} most contracted and {few} that stayed closest to the prior",
        "changed": f"most changed and most informative, {count} a layer",
        "spread": f"quantiles of spread and most informative, {count} a layer",
        "found": f"found by “{query}” and most informative, at most {count} a layer",
        "pinned": "pinned and most informative",
    }[show]


def _column(frame: pd.DataFrame, name: str) -> NDArray[np.float32]:
    if name not in frame:
        return np.full(len(frame), np.nan, np.float32)
    return frame[name].to_numpy(np.float32, na_value=np.nan)
