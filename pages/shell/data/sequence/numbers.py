"""Numbers of a test split and of one neuron along a sequence, with labels and units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import entr

from pages.shell.data import payloads
from pages.shell.data.sequence.beliefs import LayerPath, standard_gaussian
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis.posteriors import measured_half_life
from probes.analysis.probe_statistics import LEAST_SEQUENCE
from probes.neuron_names import neuron_name


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
        _card(label, factor * float(rows[name]), unit, text, note)
        for name, label, unit, note, text, factor in [*labelled, *shares]
        if name in rows and np.isfinite(rows[name])
    ]


def card_numbers(
    context: RunContext, memory: pd.DataFrame, path: LayerPath, layer: int, neuron: int
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
        _card(label, float(row[name].iloc[0]), unit, text, note)
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
        unit = "t" if np.isfinite(measured) else ""
        cards.append(_card("Measured half-life", measured, unit, said, "from autocorrelation"))
    width = float(np.sqrt(path.V[:, neuron]).mean())
    note, said = "mean along t", f"mean along t of neuron {neuron_name(layer, neuron)}"
    if standard_gaussian(context, layer):
        note, said = f"{note}; prior 1", f"{said}; the prior's is 1"
    return [*cards, _card("Width √V", width, "", said, note)]


def _code_numbers(path: LayerPath, code: int) -> list[dict[str, Any]]:
    """How often a code was picked along t, and how many were, in numbers, as cards show them."""
    times, length = path.m.sum(0), len(path.m)
    picked = f"{int(times[code]):,} of {length:,}"
    codes = f"{np.count_nonzero(times):,} of {len(times):,}"
    perplexity = float(np.exp(entr(times / max(times.sum(), 1)).sum()))
    evenly = "of the picks along this sequence: as many codes picked equally often would have it"
    return [
        _card("Picked", picked, "t", "positions at which this code was picked"),
        _card("Codes", codes, "", "that were picked along this sequence"),
        _card("Perplexity", perplexity, "codes", evenly),
    ]


def _class_numbers(path: LayerPath, neuron: int) -> list[dict[str, Any]]:
    """What a neuron of classes does along t, in numbers, as cards show them."""
    assert path.shares is not None  # the caller looked
    held = path.shares[:, neuron]
    likely = held.argmax(-1)
    stays = len(likely) / (1 + np.count_nonzero(np.diff(likely)))
    classes = held.shape[-1]
    held_at_some = f"{len(np.unique(likely))} of {classes}"
    cards = [
        _card("Stays", float(stays), "t", "positions for which one class is the most likely, on average"),
        _card("Classes", held_at_some, "", "that are the most likely at some position"),
    ]
    if path.has("entropy"):
        mean = float(path.quantity("entropy")[:, neuron].mean())
        most = f"mean along t; at most ln {classes} = {np.log(classes):.3g}"
        cards.append(_card("Entropy", mean, "nats", most))
    return cards


def _card(label: str, value: float | str, unit: str, text: str, note: str = "") -> dict[str, Any]:
    shown = value if isinstance(value, str) else payloads.number(value)
    return {"label": label, "value": shown, "unit": unit, "note": note, "help": text}
