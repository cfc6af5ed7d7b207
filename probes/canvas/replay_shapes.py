"""How the replay draws layers that are no Gaussians: by their own density, as bars by class, as a code book.

A `Track` is one layer's ridges over the steps that were recorded; `arrays` gives what `replay_data.js` reads
of it at the replay's frames, `shape` what its header says. What is drawn is of the layer's own family:

- a density whose mean and variance are recorded: the member of the family that has them, at every step;
- draws, and densities that two moments do not tell: what is stored of the probe batch, at the steps at which
  it was stored;
- classes: their shares, as `classes/` or the probe batch hold them;
- a code book: the usage of every code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import entr

from probes.analysis.layer_families import is_code_book, is_gaussian
from probes.canvas import replay_arrays
from probes.families import Family, densities, family_of
from probes.families.by_moments import matched, moments_of, standard_deviation
from probes.families.gaussian import Gaussian
from probes.figures import frames
from probes.run_reader import RunReader
from probes.schema import evaluate
from probes.spacing import evenly_spaced, log_spaced_steps

READ = ("mean", "variance", "spread", "entropy", "prior_entropy", "prior_variance")
"""Statistics that ridges of other families are made of, as far as a run has them."""
CLASSES = 32  # bars of a ridge; of more classes the most used are shown and the others share one
CODES = 1024  # of a code book that are sent, evenly by rank
POINTS = 96  # of a curve that is stored
STORED = 40  # steps at which the probe batch is read
REACH = 3.3  # sds that an axis holds of every ridge, at least
BANDWIDTH = 1.06  # Silverman 1986: times sd n^(-1/5)

Arrays = dict[str, NDArray[Any]]


class Track(Protocol):
    """One layer's ridges over recorded steps."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """(F,) steps that it has frames at."""

    @property
    def width(self) -> NDArray[np.int64]:
        """(F,) recorded steps that a frame is the mean of."""

    def arrays(self, steps: NDArray[np.int64]) -> Arrays:
        """What is sent of it at the replay's frames."""

    def shape(self) -> dict[str, Any] | None:
        """The header's entry, None of Gaussians."""


@dataclass(frozen=True)
class Gaussians:
    """Ridges on the axis of prior sds."""

    found: frames.Frames

    @property
    def steps(self) -> NDArray[np.int64]:
        """As of `Track`."""
        return self.found.steps

    @property
    def width(self) -> NDArray[np.int64]:
        """As of `Track`."""
        return self.found.width

    def arrays(self, steps: NDArray[np.int64]) -> Arrays:
        """As of `Track`."""
        return replay_arrays.ridge_arrays(frames.aligned(self.found, steps))

    def shape(self) -> None:
        """As of `Track`."""
        return


@dataclass(frozen=True)
class Stored:
    """What is stored of the probe batch of chosen neurons: `steps` (S,), `values` name -> (S, R, inputs, C);
    `shares` (T, R, C) of classes at `share_steps` (T,).
    """

    steps: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    share_steps: NDArray[np.int64]
    shares: NDArray[np.float64] | None

    @property
    def inputs(self) -> int:
        """How many inputs are stored."""
        return next((held.shape[2] for held in self.values.values()), 0)


def stored(run: RunReader, layer: int, neurons: Sequence[int]) -> Stored:
    """Read it, at no more than STORED steps, the last among them."""
    family = family_of(run.layers[layer])
    steps, tables = [], []
    for step in _few(run.parameter_steps() if family.parameters else np.zeros(0, np.int64)):
        rows = run.parameters(int(step), layer)
        rows = rows[rows["neuron"].isin(neurons)]
        if len(rows):
            steps.append(int(step))
            tables.append({name: _cube(part, neurons) for name, part in rows.groupby("name")})
    values = {}
    for name in family.parameters if tables else ():
        shape = np.max([table[name].shape for table in tables], axis=0)
        values[name] = np.stack([_padded(table[name], shape) for table in tables])
    share_steps, shares = [], []
    for step in _few(run.class_steps() if family.support == "classes" or family.name == "dirichlet" else ()):
        rows = run.classes(int(step), layer)
        rows = rows[rows["neuron"].isin(neurons)]
        if len(rows):
            share_steps.append(int(step))
            wide = rows.pivot(index="neuron", columns="class", values="usage").reindex(list(neurons))
            shares.append(wide.to_numpy(float))
    return Stored(
        np.array(steps, np.int64),
        values,
        np.array(share_steps, np.int64),
        np.stack(shares) if shares else None,
    )


def _few(steps: Any) -> NDArray[np.int64]:
    known = np.asarray(steps, np.int64)
    return known[log_spaced_steps(known, STORED)] if len(known) > STORED else known


def _cube(rows: pd.DataFrame, neurons: Sequence[int]) -> NDArray[np.float64]:
    """(R, inputs, C) of one parameter."""
    place = {neuron: at for at, neuron in enumerate(neurons)}
    found = np.full((len(neurons), int(rows["input"].max()) + 1, int(rows["index"].max()) + 1), np.nan)
    found[rows["neuron"].map(place), rows["input"], rows["index"]] = rows["value"]
    return found


def _padded(held: NDArray[np.float64], shape: NDArray[np.int64]) -> NDArray[np.float64]:
    out = np.full(tuple(shape), np.nan)
    out[tuple(slice(0, size) for size in held.shape)] = held
    return out


@dataclass(frozen=True)
class Shapes:
    """Ridges of one layer of another family.

    layer: of the manifest. rows: READ of the drawn neurons. kept: what is stored of them. probe_input: that
    input's posteriors instead of the batch's moments.
    """

    layer: Mapping[str, Any]
    rows: frames.Rows
    kept: Stored
    probe_input: int | None = None

    @property
    def family(self) -> Family:
        """Of the layer."""
        return family_of(self.layer)

    @property
    def steps(self) -> NDArray[np.int64]:
        """As of `Track`."""
        return self.rows.steps

    @property
    def width(self) -> NDArray[np.int64]:
        """As of `Track`."""
        return self.rows.width

    @property
    def kind(self) -> str:
        """How ridges are drawn: "bars", "density", or "curve" of what is stored."""
        family = self.family
        if family.support == "classes" or family.name == "dirichlet":
            return "bars"
        if self.probe_input is not None and family.name not in DRAWN_AS_CURVES:
            return "density"
        if family.name in DRAWN_AS_CURVES or not np.isfinite(self._moments(self.rows)[0]).any():
            return "curve"
        return "density"

    def own_step(self, step: int) -> int:
        """The step that what is drawn at `step` is of: of what is stored, the last stored one before."""
        if self.kind == "density" and self.probe_input is None:
            return step
        by_mean = self.family.name == "bernoulli" and np.isfinite(self.rows.values["mean"]).any()
        if self.kind == "bars" and by_mean and self.probe_input is None:
            return step
        stored = self._shares()[0] if self.kind == "bars" else self.kept.steps
        place = int(np.searchsorted(stored, step, side="right")) - 1
        return int(stored[place]) if place >= 0 else step

    def _moments(self, rows: frames.Rows) -> tuple[NDArray[Any], NDArray[Any]]:
        return rows.values["mean"], rows.values["variance"]

    def _of_input(self) -> dict[str, NDArray[np.float64]]:
        """(S, R) parameters of the probe input."""
        assert self.probe_input is not None
        return {name: held[:, :, self.probe_input, 0] for name, held in self.kept.values.items()}

    def arrays(self, steps: NDArray[np.int64]) -> Arrays:
        """As of `Track`."""
        rows = self.rows.at(steps)
        if self.kind == "bars":
            shares = self._bars(steps, rows)
            found = self._openness(rows) if self.probe_input is None else self._openness_of_input(steps, rows)
            return {**_halves(found), "bars": shares.astype(np.float16)}
        if self.probe_input is not None and self.kind == "density":
            return _halves(self._input_arrays(steps, rows))
        mean, variance = self._moments(rows)
        sd = standard_deviation(self.family.name, variance)
        found = {**self._openness(rows), "mean": mean, "sd": sd}
        if self.kind == "curve":
            return {**_halves(found), "curve": self._curves(steps)}
        inner = matched(self.family.name, mean, variance) or {}
        found |= {f"inner.{name}": values for name, values in inner.items()}
        if self.family.name not in NO_AGGREGATE:
            outer = matched(self.family.name, mean, variance + rows.values["spread"]) or {}
            found |= {f"outer.{name}": values for name, values in outer.items()}
        return _halves(found)

    def _input_arrays(self, steps: NDArray[np.int64], rows: frames.Rows) -> Arrays:
        """The probe input's own members, at the steps at which they were stored."""
        parameters = self._of_input()
        mean, variance = moments_of(self.family.name, parameters)
        held = {f"inner.{name}": _held(self.kept.steps, values, steps) for name, values in parameters.items()}
        with np.errstate(invalid="ignore", divide="ignore"):
            open_share = _held(self.kept.steps, variance, steps) / rows.values["prior_variance"]
        sd = standard_deviation(self.family.name, _held(self.kept.steps, variance, steps))
        return {**held, "mean": _held(self.kept.steps, mean, steps), "sd": sd, "narrow": np.sqrt(open_share)}

    def _openness_of_input(self, steps: NDArray[np.int64], rows: frames.Rows) -> Arrays:
        """Entropy of the probe input's shares of all classes, and by it their width in the prior's."""
        at, shares = self._shares()
        if shares is None:
            return self._openness(rows)
        entropy = _held(at, entr(shares).sum(axis=-1), steps)
        with np.errstate(invalid="ignore", divide="ignore"):
            open_share = np.expm1(entropy) / np.expm1(rows.values["prior_entropy"])
        return {"narrow": np.sqrt(open_share), "entropy": entropy}

    def _openness(self, rows: frames.Rows) -> Arrays:
        return {"narrow": self._narrow(rows), "entropy": rows.values["entropy"]}

    def _narrow(self, rows: frames.Rows) -> NDArray[np.float64]:
        """(F, R) width in units of the prior's: root of 1 less the contraction; NaN without a prior."""
        known = {name: held for name, held in rows.values.items() if np.isfinite(held).any()}
        if not {"variance", "entropy"} & set(known):
            return np.full(rows.values["entropy"].shape, np.nan)
        known.setdefault("variance", np.full(rows.values["entropy"].shape, np.float32("nan")))
        contraction = evaluate("contraction", known, standard=False)
        return np.sqrt(np.maximum(1 - np.broadcast_to(contraction, rows.values["entropy"].shape), 0))

    def _shares(self) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
        """Steps (S,), and shares of classes (S, R, C), of the batch or of one input."""
        if self.probe_input is None and self.kept.shares is not None:
            return self.kept.share_steps, self.kept.shares
        held = next(iter(self.kept.values.values()), None)
        if held is None:
            return self.kept.steps, None
        if self.family.name == "dirichlet":
            held = held / held.sum(axis=-1, keepdims=True)
        if held.shape[-1] == 1:  # of two classes that of the second is stored
            held = np.concatenate([1 - held, held], axis=-1)
        at = held.mean(axis=2) if self.probe_input is None else held[:, :, self.probe_input]
        return self.kept.steps, at

    def _class_order(self) -> NDArray[np.int64]:
        """Classes from the left: by number while they are few, else by their mass at the last stored step."""
        count = int(self.layer.get("classes", 2))
        _, shares = self._shares()
        if shares is not None:
            count = shares.shape[-1]
        if count <= CLASSES or shares is None:
            return np.arange(min(count, CLASSES))
        return np.argsort(-np.nan_to_num(shares[-1]).sum(axis=0), kind="stable")[:CLASSES]

    def _more(self) -> int:
        _, shares = self._shares()
        count = int(self.layer.get("classes", 2)) if shares is None else shares.shape[-1]
        return max(count - CLASSES, 0)

    def _bars(self, steps: NDArray[np.int64], rows: frames.Rows) -> NDArray[np.float64]:
        """(F, R, C) shares of the shown classes, the others' in the last."""
        at, shares = self._shares()
        mean = rows.values["mean"]
        if self.family.name == "bernoulli" and self.probe_input is None and np.isfinite(mean).any():
            return np.stack([1 - mean, mean], axis=-1)
        order = self._class_order()
        if shares is None:
            return np.full((*mean.shape, len(order)), np.nan)
        shown = shares[..., order]
        if self._more():
            shown = np.concatenate([shown, 1 - shown.sum(axis=-1, keepdims=True)], axis=-1)
        return _held(at, shown, steps)

    def _curves(self, steps: NDArray[np.int64]) -> NDArray[np.float16]:
        """(F, R, POINTS) densities at the stored steps, each divided by an even spread's."""
        low, high = self.axis()
        z = np.linspace(low, high, POINTS)
        count = self.rows.values["mean"].shape[1]
        if not len(self.kept.steps):
            return np.full((len(steps), count, POINTS), np.nan, np.float16)
        found = np.full((len(self.kept.steps), count, POINTS), np.nan)
        for place in range(len(self.kept.steps)):
            for row in range(count):
                held = {name: values[place, row] for name, values in self.kept.values.items()}
                if self.probe_input is not None:
                    held = {
                        name: values[self.probe_input : self.probe_input + 1] for name, values in held.items()
                    }
                found[place, row] = self._density(held, z)
        return _held(self.kept.steps, found, steps).astype(np.float16)

    def _density(
        self, held: Mapping[str, NDArray[np.float64]], z: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if "sample" in held:
            return smoothed(held["sample"].ravel(), z)
        named = {name: values[:, 0] for name, values in held.items()}
        each = densities.density(self.family.name, named, z)
        return np.asarray(np.nanmean(each, axis=0))

    def axis(self) -> tuple[float, float]:
        """The ends of the axis of z."""
        family = self.family
        if family.support == "classes" or family.name == "dirichlet":
            return 0.0, float(len(self._class_order()) + (self._more() > 0))
        if family.support == "unit":
            return 0.0, 1.0
        if family.support == "circle":
            return -np.pi, np.pi
        mean, sd = self._reached()
        if not len(mean):
            return (0.0, 1.0) if family.support in ("positive", "counts") else (-1.0, 1.0)
        high = float(np.percentile(mean + REACH * sd, 94))
        if family.support == "counts":
            return 0.0, float(np.ceil(max(high, 4)) + 1)
        if family.support == "positive":
            return 0.0, max(high, 1e-6)
        low = float(np.percentile(mean - REACH * sd, 2))
        return (low, high) if high > low else (low - 1.0, high + 1.0)

    def _reached(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and sds of all that is drawn, and of the prior."""
        samples = self.kept.values.get("sample")
        if samples is not None:
            flat = samples[np.isfinite(samples)]
            return flat, np.full(flat.shape, 0.25 * float(flat.std()) if len(flat) else 0.0)
        if self.kept.values and (self.kind == "curve" or self.probe_input is not None):
            mean, variance = moments_of(self.family.name, self.kept.values)
        else:
            mean, variance = (np.asarray(held, float) for held in self._moments(self.rows))
        prior = self._prior()
        if prior:
            own_mean, own_variance = moments_of(self.family.name, prior)
            mean, variance = np.append(mean.ravel(), own_mean), np.append(variance.ravel(), own_variance)
        known = np.isfinite(mean) & np.isfinite(variance)
        return mean[known], np.sqrt(variance[known])

    def _prior(self) -> dict[str, float] | None:
        """The prior's parameters: as the manifest says them, or where its variance names one member."""
        return prior_parameters(self.layer, self.rows)

    def shape(self) -> dict[str, Any]:
        """As of `Track`."""
        family, kind = self.family, self.kind
        low, high = self.axis()
        order, more = (self._class_order(), self._more()) if kind == "bars" else (np.zeros(0, int), 0)
        exact = self.probe_input is not None and kind == "density"
        classes = [str(one) for one in order] + ([f"{more} more"] if more else [])
        return {
            "family": family.name, "label": family.label, "title": axis_title(family, kind, more),
            "support": "classes" if kind == "bars" else family.support, "kind": kind,
            "low": low, "high": high, "classes": classes,
            "axis": axis_title(family, kind, more) + (
                f" · tallest bar {100 * self._tallest():.2g} %" if kind == "bars" else ""
            ),
            "more": more, "points": POINTS if kind == "curve" else 0,
            "parameters": list(family.parameters) if kind == "density" else [],
            "prior": self._prior() if kind != "bars" and family.name not in WITHOUT_DENSITY else None,
            "priorBars": self._prior_bars(order, more) if kind == "bars" else None,
            "tallest": self._tallest() if kind == "bars" else 1.0,
            "typical": f"median {typical_of(self.rows.values)}", "window": "",
            "legend": "" if exact else legend(family, kind, bool(self.kept.inputs)),
        }  # fmt: skip

    def _tallest(self) -> float:
        """The largest share of a class that is shown by itself, at any step."""
        own = self._bars(self.steps, self.rows)[..., : len(self._class_order())]
        known = own[np.isfinite(own)]
        return float(known.max()) if len(known) and known.max() > 0 else 1.0

    def _prior_bars(self, order: NDArray[np.int64], more: int) -> list[float] | None:
        """Shares of the shown classes under the prior; even where its entropy is that of an even one."""
        said = (self._prior() or {}).get("probability")
        if self.family.name == "bernoulli" and said is not None:
            return [1 - said, said]
        count = len(order) + more
        entropy = self.rows.values["prior_entropy"]
        known = entropy[np.isfinite(entropy)]
        even = len(known) and np.allclose(known, np.log(count), rtol=1e-3)
        if not even and "concentration" not in (self._prior() or {}):  # one number for all components
            return None
        return [1 / count] * len(order) + ([more / count] if more else [])


DRAWN_AS_CURVES = ("student_t", "generic", "samples")
"""Families that two recorded moments do not tell: what is stored of the probe batch is drawn."""
WITHOUT_DENSITY = ("generic", "samples")
NO_AGGREGATE = ("exponential", "poisson")
"""Families of which the aggregate over inputs is no member that the recorded moments tell."""


def prior_parameters(layer: Mapping[str, Any], rows: frames.Rows) -> dict[str, float] | None:
    """The prior of a layer's neurons by its parameters, where all have one and the log tells it.

    Parameters
    ----------
    layer
        Of the manifest; `prior_parameters` names them, numbers.
    rows
        Of its neurons: of a family of one parameter the prior's variance tells it.
    """
    family = family_of(layer).name
    said = layer.get("prior_parameters")
    if isinstance(said, Mapping):
        try:
            return {str(name): float(value) for name, value in said.items()}
        except (TypeError, ValueError):
            return None
    held = rows.values["prior_variance"]
    known = held[np.isfinite(held)]
    if not len(known) or not np.allclose(known, known.ravel()[0], rtol=1e-4):
        return None
    variance = float(known.ravel()[0])
    if family == "exponential":
        return {"rate": variance**-0.5} if variance > 0 else None
    if family == "poisson":
        return {"rate": variance} if variance > 0 else None
    if family == "von_mises" and variance > 1 - 1e-4:
        return {"loc": 0.0, "concentration": 1e-6}
    return None


GAUSSIAN_SEEN = (
    "Each ridge is one neuron. It starts as wide as its prior (dashed) and contracts as training goes on: "
    "narrow and bright is certain."
)
OTHERS_SEEN = "Each row is one neuron, drawn as its own family; a known prior is dashed. Bright is certain."
CODES_SEEN = "Each bar is one code: how often it is picked. Marks under the line are dead codes."


def caption(layers: Sequence[Mapping[str, Any]]) -> str:
    """What a replay of layers shows, in a line."""
    if layers and all(is_code_book(layer) for layer in layers):
        return CODES_SEEN
    return GAUSSIAN_SEEN if any(is_gaussian(layer) for layer in layers) else OTHERS_SEEN


def usual_kind(family: Family) -> str:
    """How ridges of a family are drawn where its moments are recorded."""
    if family.support == "classes" or family.name == "dirichlet":
        return "bars"
    return "curve" if family.name in DRAWN_AS_CURVES else "density"


def axis_title(family: Family, kind: str, more: int) -> str:
    """Of the horizontal axis."""
    if kind == "bars":
        of = "component" if family.name == "dirichlet" else "class"
        return f"{of}, most used first" if more else of
    return {"unit": "z in [0, 1]", "positive": "z > 0", "circle": "angle z", "counts": "count z"}.get(
        family.support, "z"
    )


def legend(family: Family, kind: str, kept: bool) -> str:
    """How its ridges are read, in a few words."""
    if kind == "bars":
        return (
            "bars: mean share of each component"
            if family.name == "dirichlet"
            else "bars: share of each class"
        )
    if kind == "curve" and not kept:
        return f"{family.label}: mean ± sd, no draws stored"
    if kind == "curve":
        of = "stored draws, smoothed" if family.name in WITHOUT_DENSITY else "mean of stored inputs"
        return f"{family.label}: {of}"
    return f"{family.label} of the recorded mean" + (
        "" if family.name in ("exponential", "poisson") else " and variance"
    )


def smoothed(draws: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernel density of draws at z, Gaussian kernels of Silverman's width; NaN for fewer than two values."""
    known = draws[np.isfinite(draws)]
    sd = float(known.std()) if len(known) > 1 else 0.0
    if sd == 0:
        return np.full(len(z), np.nan)
    width = max(BANDWIDTH * sd * len(known) ** -0.2, 0.7 * float(z[1] - z[0]))
    r = (z[:, None] - known[None, :]) / width
    return np.asarray(np.exp(-0.5 * r * r).mean(axis=1) / (width * np.sqrt(2 * np.pi)))


@dataclass(frozen=True)
class CodeBook:
    """A code book in one picture: `usage` (K, T) of its codes at `steps` (T,)."""

    layer: Mapping[str, Any]
    steps: NDArray[np.int64]
    usage: NDArray[Any]

    @property
    def width(self) -> NDArray[np.int64]:
        """As of `Track`."""
        return np.ones(len(self.steps), np.int64)

    def arrays(self, steps: NDArray[np.int64]) -> Arrays:
        """As of `Track`."""
        order = np.argsort(-np.nan_to_num(self.usage[:, -1]), kind="stable")
        kept = order[evenly_spaced(len(order), CODES)]
        with np.errstate(invalid="ignore"):
            used = np.where(np.isfinite(self.usage).any(axis=0), (self.usage > 0).sum(axis=0), np.nan)
        return {
            "usage": _held(self.steps, self.usage[kept].T, steps).astype(np.float32),
            "used": _held(self.steps, used, steps).astype(np.float32),
        }

    def shape(self) -> dict[str, Any]:
        """As of `Track`."""
        window = int(self.layer.get("window", 0) or 0)
        said = f"in the last {window:,} steps" if window > 1 else ""
        return {
            "family": "codes", "label": family_of(self.layer).label, "support": "none", "kind": "book",
            "low": 0.0, "high": float(max(len(self.usage), 1)), "axis": "codes, most used first at the end",
            "title": "codes",
            "classes": [], "more": 0, "points": 0, "parameters": [], "prior": None, "priorBars": None,
            "tallest": 1.0, "typical": "perplexity", "window": said,
            "legend": "bars: share of picks of each code",
        }  # fmt: skip


def track(
    run: RunReader, layer: int, neurons: Sequence[int], count: int, probe_input: int | None = None
) -> Track:
    """The ridges of a layer's neurons at about `count` log-spaced recorded steps."""
    about = run.layers[layer]
    family = family_of(about)
    if isinstance(family, Gaussian):
        return Gaussians(frames.replay_frames(run, layer, neurons, count))
    if family.name == "codes":
        return code_book(run, layer, count)
    rows = frames.replay_rows(run, layer, neurons, count, READ)
    return Shapes(about, rows, stored(run, layer, neurons), probe_input)


def code_book(run: RunReader, layer: int, count: int) -> CodeBook:
    """Usage of a code book's codes at no more than `count` recorded steps or means of some."""
    values, edges = run.matrix(layer, "usage", max_columns=count)
    return CodeBook(run.layers[layer], np.asarray(edges[:-1], np.int64), values)


def has_ridges(layer: Mapping[str, Any]) -> bool:
    """Whether its neurons have a ridge each: a code book is one picture."""
    return family_of(layer).name != "codes"


def has_trail(layer: Mapping[str, Any]) -> bool:
    """Whether earlier steps stand behind its ridges: curves by their moments, neither bars nor draws."""
    return is_gaussian(layer) or (has_ridges(layer) and usual_kind(family_of(layer)) == "density")


def columns(track: Track) -> Arrays:
    """(F, R) statistics behind a layer's ridges, by name, for taking away."""
    if isinstance(track, Gaussians):
        return {name: getattr(track.found, name) for name in frames.SHOWN}
    if isinstance(track, CodeBook):
        return {"usage": track.usage.T}
    assert isinstance(track, Shapes)
    return {name: held for name, held in track.rows.values.items() if np.isfinite(held).any()}


def typical_series(
    summary: pd.DataFrame, layer: Mapping[str, Any], index: int, steps: NDArray[Any]
) -> Arrays:
    """What stands over the ridges of a layer of another family: its median entropy, that of its variance
    where it has none, or a perplexity.
    """
    family = family_of(layer)
    if isinstance(family, Gaussian):
        return {}
    rows = summary[summary["layer"] == index]
    medians = {name: rows[f"{name}_p50"].to_numpy(float, na_value=np.nan)
               for name in ("entropy", "variance") if f"{name}_p50" in rows}  # fmt: skip
    column = "layer_perplexity" if family.name == "codes" else f"{typical_of(medians)}_p50"
    if column not in rows:
        return {}
    values = rows[column].to_numpy(float, na_value=np.nan)
    return {"typical": _held(rows["step"].to_numpy(np.int64), values, steps).astype(np.float32)}


def typical_of(values: Mapping[str, NDArray[Any]]) -> str:
    """The statistic that a layer of another family is told by, of what it has by name."""
    known = np.isfinite(values.get("entropy", np.zeros(0))).any()
    return "entropy" if known or not np.isfinite(values.get("variance", np.zeros(0))).any() else "variance"


def _held(recorded: NDArray[np.int64], values: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[Any]:
    """Values (S, ...) at recorded steps (S,) as they hold at `steps`: the last at or before each."""
    if not len(recorded):
        return np.full((len(steps), *values.shape[1:]), np.nan)
    place = np.searchsorted(recorded, steps, side="right") - 1
    found = np.asarray(values, np.float64)[np.maximum(place, 0)]
    found[place < 0] = np.nan
    return found


def _halves(found: Mapping[str, NDArray[Any]]) -> Arrays:
    return {name: replay_arrays.halved(values) for name, values in found.items()}
