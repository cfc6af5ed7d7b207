"""Ridges of a layer of another family: densities, curves of what is stored, bars by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from probes.canvas.replay_shapes.kinds import (
    DRAWN_AS_CURVES,
    NO_AGGREGATE,
    WITHOUT_DENSITY,
    has_bars,
    prior_parameters,
)
from probes.canvas.replay_shapes.probe_batch import Stored
from probes.canvas.replay_shapes.tracks import Arrays, halves, held_at
from probes.canvas.replay_shapes.words import axis_title, legend, typical_of
from probes.families import Family, densities, family_of
from probes.families.by_moments import matched, moments_of, standard_deviation
from probes.figures import frames
from probes.schema import evaluate

CLASSES = 32  # bars of a ridge; of more classes the most used are shown and the others share one
POINTS = 96  # of a curve that is stored
REACH = 3.3  # sds that an axis holds of every ridge, at least
BANDWIDTH = 1.06  # Silverman 1986: times sd n^(-1/5)


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
        if has_bars(family):
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
            return {**halves(found), "bars": shares.astype(np.float16)}
        if self.probe_input is not None and self.kind == "density":
            return halves(self._input_arrays(steps, rows))
        mean, variance = self._moments(rows)
        sd = standard_deviation(self.family.name, variance)
        found = {**self._openness(rows), "mean": mean, "sd": sd}
        if self.kind == "curve":
            return {**halves(found), "curve": self._curves(steps)}
        inner = matched(self.family.name, mean, variance) or {}
        found |= {f"inner.{name}": values for name, values in inner.items()}
        if self.family.name not in NO_AGGREGATE:
            outer = matched(self.family.name, mean, variance + rows.values["spread"]) or {}
            found |= {f"outer.{name}": values for name, values in outer.items()}
        return halves(found)

    def _input_arrays(self, steps: NDArray[np.int64], rows: frames.Rows) -> Arrays:
        """The probe input's own members, at the steps at which they were stored."""
        parameters = self._of_input()
        mean, variance = moments_of(self.family.name, parameters)
        held = {
            f"inner.{name}": held_at(self.kept.steps, values, steps) for name, values in parameters.items()
        }
        with np.errstate(invalid="ignore", divide="ignore"):
            open_share = held_at(self.kept.steps, variance, steps) / rows.values["prior_variance"]
        sd = standard_deviation(self.family.name, held_at(self.kept.steps, variance, steps))
        return {
            **held,
            "mean": held_at(self.kept.steps, mean, steps),
            "sd": sd,
            "narrow": np.sqrt(open_share),
        }

    def _openness_of_input(self, steps: NDArray[np.int64], rows: frames.Rows) -> Arrays:
        """Entropy of the probe input's shares of all classes, and by it their width in the prior's."""
        at, shares = self._shares()
        if shares is None:
            return self._openness(rows)
        entropy = held_at(at, entr(shares).sum(axis=-1), steps)
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
        return held_at(at, shown, steps)

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
        return held_at(self.kept.steps, found, steps).astype(np.float16)

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
        if has_bars(family):
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


def smoothed(draws: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernel density of draws at z, Gaussian kernels of Silverman's width; NaN for fewer than two values."""
    known = draws[np.isfinite(draws)]
    sd = float(known.std()) if len(known) > 1 else 0.0
    if sd == 0:
        return np.full(len(z), np.nan)
    width = max(BANDWIDTH * sd * len(known) ** -0.2, 0.7 * float(z[1] - z[0]))
    r = (z[:, None] - known[None, :]) / width
    return np.asarray(np.exp(-0.5 * r * r).mean(axis=1) / (width * np.sqrt(2 * np.pi)))
