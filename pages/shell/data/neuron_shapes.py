"""Distributions of chosen neurons of any family at steps, ready for figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pages.shell.data import neuron_series
from pages.shell.session import cache
from pages.shell.session.pins import Pinned
from probes.analysis.layer_families import is_code_book, is_gaussian
from probes.canvas import replay_shapes
from probes.families import densities, family_of
from probes.figures import frames
from probes.figures.densities import REACH, WIDEST, Moment, filled, normal, places
from probes.figures.family_shapes import FamilyShape

POINTS = 240


def gaussian(neuron: Pinned) -> bool:
    """Whether a neuron's posteriors are Gaussians."""
    return is_gaussian(neuron.context.layers[neuron.pin.layer])


def is_code(neuron: Pinned) -> bool:
    """Whether it is a code of a code book, which has no distribution of its own."""
    return is_code_book(neuron.context.layers[neuron.pin.layer])


def shapes(shown: Sequence[Pinned], *steps: int) -> list[list[FamilyShape]]:
    """The neurons' distributions at the recorded steps up to these: one list a step."""
    groups: list[list[FamilyShape]] = [[] for _ in steps]
    moments = neuron_series.moments([one for one in shown if gaussian(one)], *steps)
    place = 0
    for neuron in shown:
        if gaussian(neuron):
            found = [_of_moment(of_one[place]) for of_one in moments]
            place += 1
        else:
            found = _of_family(neuron, steps)
        for group, shape in zip(groups, found, strict=True):
            group.append(shape)
    return groups


def _of_moment(moment: Moment) -> FamilyShape:
    if not (np.isfinite(moment.variance) and moment.variance > 0):
        return FamilyShape(moment.step, "z (prior sd)", (-REACH, REACH))
    spread = float(np.nan_to_num(moment.spread))
    reach = float(np.clip(abs(moment.mean) + REACH * np.sqrt(moment.variance + spread), REACH, WIDEST))
    z = places(reach, [moment])
    outline = np.zeros(0)
    if np.isfinite(moment.spread):
        outline = normal(z, moment.mean, np.sqrt(moment.variance + moment.spread))
    return FamilyShape(
        moment.step, "z (prior sd)", (-reach, reach), z, filled(z, moment), outline, prior=normal(z, 0, 1)
    )


def _of_family(neuron: Pinned, steps: Sequence[int]) -> list[FamilyShape]:
    context, layer, number = neuron.context, neuron.pin.layer, neuron.pin.neuron
    at = np.array([cache.recorded_step(context.run.steps, step) for step in steps], np.int64)
    recorded = np.unique(at)
    rows = [neuron_series.row_at(context, layer, number, int(step)) for step in recorded]
    values = {
        name: np.array([[neuron_series.number(row, name)] for row in rows], np.float32)
        for name in replay_shapes.READ
    }
    about = context.layers[layer]
    track = replay_shapes.Shapes(
        about, frames.Rows(recorded, values, np.ones(len(recorded), np.int64)),
        cache.replay_stored(context, layer, (number,)),
    )  # fmt: skip
    return [_of_track(track, int(step)) for step in at]


def _of_track(track: replay_shapes.Shapes, step: int) -> FamilyShape:
    """One step of a track of a single neuron."""
    arrays = {name: np.asarray(held[0], float) for name, held in track.arrays(np.array([step])).items()}
    about, name = track.shape(), track.family.name
    title, ends = about["title"], (about["low"], about["high"])
    step = track.own_step(step)
    if about["kind"] == "bars":
        prior = np.array(about["priorBars"] or (), float)
        return FamilyShape(step, title, ends, classes=about["classes"], shares=arrays["bars"][0], prior=prior)
    counts = about["support"] == "counts"
    if about["kind"] == "curve":
        z = np.linspace(*ends, replay_shapes.POINTS)
        return FamilyShape(step, title, ends, z, arrays["curve"][0], prior=_prior(track, z))
    edge = 1e-3 * (ends[1] - ends[0])
    z = np.arange(ends[0], ends[1]) if counts else np.linspace(ends[0] + edge, ends[1] - edge, POINTS)
    curves = []
    for which in ("inner", "outer"):
        held = {one: arrays[f"{which}.{one}"][0] for one in about["parameters"] if f"{which}.{one}" in arrays}
        known = len(held) == len(about["parameters"]) and bool(np.isfinite(list(held.values())).all())
        curves.append(densities.density(name, held, z) if known else np.zeros(0))
    height = curves[0] if len(curves[0]) else np.full(len(z), np.nan)
    return FamilyShape(step, title, ends, z, height, curves[1], prior=_prior(track, z), counts=counts)


def _prior(track: replay_shapes.Shapes, z: np.ndarray) -> np.ndarray:
    prior = track.shape()["prior"]
    return np.zeros(0) if not prior else densities.density(track.family.name, prior, z)


def steps_of(shown: Sequence[Pinned], shapes: Sequence[FamilyShape]) -> str:
    """The steps that what is known of the shown neurons is of; empty where nothing is."""
    known = [(one.pin.run, shape.step) for one, shape in zip(shown, shapes, strict=True) if shape.is_known]
    return neuron_series.steps_in_words(known)


def caption(shown: Sequence[Pinned], drawn: Sequence[FamilyShape]) -> str:
    """How the distributions of other families are made, in words."""
    said = []
    for neuron in shown:
        if gaussian(neuron):
            said.append("Gaussian: as stored of the probe inputs, else the mean posterior")
        elif not is_code(neuron):
            track_family = family_of(neuron.context.layers[neuron.pin.layer])
            kept = cache.replay_stored(neuron.context, neuron.pin.layer, (neuron.pin.neuron,))
            said.append(
                replay_shapes.legend(track_family, replay_shapes.usual_kind(track_family), kept.inputs > 0)
            )
    dashed = " Dashed: the prior." if any(len(shape.prior) for shape in drawn) else ""
    text = "; ".join(dict.fromkeys(said))
    return f"{text[:1].upper()}{text[1:]}.{dashed}" if said else ""


def table(names: Sequence[str], groups: Sequence[Sequence[FamilyShape]]) -> pd.DataFrame:
    """The numbers behind the figures: name, step, z or class, density or share."""
    parts = []
    for group in groups:
        for name, shape in zip(names, group, strict=True):
            own = {"z": list(shape.classes), "density": shape.shares} if shape.classes else {
                "z": shape.z, "density": shape.height}  # fmt: skip
            parts.append(pd.DataFrame({"name": name, "step": shape.step, **own}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
