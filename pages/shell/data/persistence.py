"""What neurons carry over along the data, ready for figures: rows of one measurement, faults, half-lives. No
widgets here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pages.shell.data import payloads
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis import posteriors, probe_statistics
from probes.diagnostics import half_life, kl_above_floor, temporal_fault
from probes.figures.autocorrelation import autocorrelation
from probes.neuron_names import neuron_name
from probes.schema import STATISTICS
from probes.spacing import evenly_spaced

AT_CURSOR = "batch at the cursor"
INTERVAL = {"persistence_low", "persistence_high"}
CURVES = 5  # autocorrelations drawn: the least, the most and the quartiles of persistence


@cache.of_run("evaluation", keep=cache.SLICES_KEPT)
def split_statistics(context: RunContext) -> pd.DataFrame:
    """Statistics over whole splits, with their persistence; empty where none was evaluated."""
    table = context.run.evaluation()
    return table if "persistence" in table else table.iloc[:0]


def sources(context: RunContext) -> list[str]:
    """What the slopes may be measured on: the cursor's batch, and the splits that were evaluated."""
    table = split_statistics(context)
    return [AT_CURSOR, *(f"{split} split, step {step:,}" for step, split in _evaluated(table))]


def _evaluated(table: pd.DataFrame) -> list[tuple[int, str]]:
    return sorted(
        {(int(step), str(split)) for step, split in zip(table["step"], table["split"], strict=True)}
    )


def measured_rows(context: RunContext, source: str, step: int) -> pd.DataFrame:
    """Every neuron's row of one measurement: layer, neuron, persistence and what else it has; `fault`
    added. An interval of a split that is not of blocks of time is left out: it is several times too narrow.
    """
    if source == AT_CURSOR:
        rows = cache.at(context, step)
    else:
        table = split_statistics(context)
        at, split = _evaluated(table)[sources(context).index(source) - 1]
        rows = table[(table["step"] == at) & (table["split"] == split)]
        if not block_count(rows):
            rows = rows.drop(columns=list(INTERVAL), errors="ignore")
    if set(rows) >= INTERVAL | {"phi"}:
        return rows.assign(
            fault=temporal_fault(rows["persistence_low"], rows["persistence_high"], rows["phi"])
        )
    return rows.assign(fault="")


def block_count(rows: pd.DataFrame) -> int:
    """Of how many blocks of time the intervals are; 0 where they are not of blocks."""
    counts = rows["persistence_blocks"].dropna() if "persistence_blocks" in rows else pd.Series(dtype=float)
    return int(counts.max()) if len(counts) else 0


def interval_note(rows: pd.DataFrame, source: str) -> str:
    """What the intervals rest on, in words."""
    if set(rows) >= INTERVAL:
        blocks = block_count(rows)
        what = f"of {blocks} blocks of two horizons of time" if blocks else "of pairs of any width"
        return f"Interval: Student's t, {what}; means taken out of each series."
    if source == AT_CURSOR:
        return "Its intervals were not recorded."
    return (
        "No interval: this split was evaluated without blocks of time, and one of overlapping windows is"
        " several times too narrow."
    )


def is_autoregressive(rows: pd.DataFrame) -> bool:
    """Whether a prior expects persistence of some neuron."""
    return "phi" in rows and bool((rows["phi"].fillna(0) != 0).any())


def input_slope(rows: pd.DataFrame) -> float:
    """The input's own persistence, NaN where the run did not record it."""
    values = rows["input_persistence"].dropna() if "input_persistence" in rows else pd.Series(dtype=float)
    return float(values.iloc[0]) if len(values) else float("nan")


def stride_of(context: RunContext) -> tuple[int, bool]:
    """Positions between the two ends of a slope, and whether the run says so (1 without its word)."""
    stride = context.run.config.get("stride")
    known = isinstance(stride, int) and stride > 0
    return (stride if known else 1), known


@dataclass(frozen=True)
class HalfLives:
    """Half-lives of neurons, in t, by neuron.

    values: NaN and infinite ones included. title, note: what they are, and which no histogram holds. marks:
    what they are compared with, by label.
    """

    values: np.ndarray
    title: str
    note: str
    marks: dict[str, float]


def half_lives(
    context: RunContext, rows: pd.DataFrame, layer: int, step: int, input_slope: float
) -> HalfLives:
    """Those of a layer's `rows`: measured where the probe batch holds a sequence, else what its slopes would
    mean if means were first-order autoregressions.
    """
    stride, known = stride_of(context)
    found = _measured(context, step, layer)
    if found is not None:
        at, values = found
        longer = int(np.isnan(values).sum())
        note = f"measured over the probe sequence at step {at:,}"
        note += f"; {longer} longer than can be measured" if longer else ""
        return HalfLives(values, STATISTICS["measured_half_life"].label, note, {})
    values = half_life(rows["persistence"].to_numpy(float, na_value=np.nan), stride)
    endless, undefined = int(np.isinf(values).sum()), int((values == 0).sum() + np.isnan(values).sum())
    note = "" if known else "no stride in the config: 1"
    if endless or undefined:
        note += f"{'; ' if note else ''}{endless} endless, {undefined} undefined or 0"
    marks = {} if np.isnan(input_slope) else {"the input's": float(half_life(input_slope, stride))}
    return HalfLives(values, STATISTICS["half_life"].label, note, marks)


def _measured(context: RunContext, step: int, layer: int) -> tuple[int, np.ndarray] | None:
    """The stored step up to `step` and the half-lives measured there; None where no sequence is stored."""
    at = _stored(context, step)
    mu = cache.probe_sequence(context, at, layer) if at >= 0 else None
    if mu is None or len(mu) < probe_statistics.LEAST_SEQUENCE:
        return None
    return at, posteriors.measured_half_life(mu)


def _stored(context: RunContext, step: int) -> int:
    """The last step up to `step` at which the probe batch was stored; -1 if there is none."""
    stored = cache.probe_steps(context)
    return int(stored[stored <= step].max(initial=-1))


def _half_life_cards(context: RunContext, step: int, slope: float) -> list[dict[str, Any]]:
    """The measured half-life first, where there is a sequence; then what slopes say at one stride or two."""
    stride, _ = stride_of(context)
    items, formula = [], f"pairs {stride:,} t apart"
    found = [_measured(context, step, layer) for layer in range(len(context.layers))]
    values = [one[1] for one in found if one is not None]
    if values:
        measured = np.concatenate(values)
        longer = int(np.isnan(measured).sum())
        middle = probe_statistics.median_half_life(measured)
        note = f"median; {longer} of {len(measured)} not reached" if longer else "median neuron"
        items.append(
            _card(STATISTICS["measured_half_life"].label, middle, "t", note,
                  STATISTICS["measured_half_life"].caveat)
        )  # fmt: skip
        at = _stored(context, step)
        sequences = [cache.probe_sequence(context, at, layer) for layer in range(len(context.layers))]
        next_slopes = [posteriors.unbiased_autocorrelation(mu, 1)[:, 1] for mu in sequences if mu is not None]
        if stride > 1:
            other = float(np.nanmedian(np.concatenate(next_slopes)))
            formula += f"; neighbours {_in_t(half_life(other, 1))} t"
    items.append(
        {**_card(STATISTICS["half_life"].label, float(half_life(slope, stride)), "t", formula,
                 STATISTICS["half_life"].caveat)}
    )  # fmt: skip
    return items


def _in_t(value: Any) -> str:
    return "∞" if np.isinf(value) else payloads.number(float(value))


def number_cards(context: RunContext, rows: pd.DataFrame, step: int) -> list[dict[str, Any]]:
    """The whole network in numbers: how much is carried over, for how long, at what price, and who does not
    as expected.
    """
    slope = rows["persistence"].to_numpy(float, na_value=np.nan)
    slope = slope[np.isfinite(slope)]
    low, middle, high = np.percentile(slope, (25, 50, 75)) if len(slope) else (np.nan,) * 3
    items = [
        _card(
            "Persistence φ̂",
            middle,
            "",
            f"middle half {low:.2f} to {high:.2f}",
            STATISTICS["persistence"].caveat,
        ),
        *_half_life_cards(context, step, middle),
    ]
    if set(rows) >= INTERVAL:
        carried = 100 * float((rows["persistence_low"] > 0).mean())
        items.append(
            _card(
                "Carry over",
                carried,
                "%",
                "of neurons: interval above 0",
                "Share of neurons whose 95 % interval lies above 0",
            )
        )
    if is_autoregressive(rows):
        dims = np.array([layer["latent_dim"] for layer in context.layers])[rows["layer"].to_numpy()]
        gap = kl_above_floor(rows["kl"], rows["phi"], dims)
        items.append(
            _card(
                "KL above floor",
                float(np.nanmedian(gap)),
                "nats",
                "median neuron",
                STATISTICS["kl_above_floor"].meaning,
            )
        )
        judged = (("stuck", "carry over more"), ("jittery", "carry over less"))
        for fault, words in judged if set(rows) >= INTERVAL else ():
            count = int((rows["fault"] == fault).sum())
            text = "95 % interval wholly off the prior's φ, by more than 0.2 in atanh"
            items.append(
                {**_card(fault.capitalize(), count, "", f"of {len(rows):,}: {words}", text), "bad": count > 0}
            )
    return items


def _card(label: str, value: float, unit: str, note: str, explanation: str) -> dict[str, Any]:
    return {
        "label": label,
        "value": _in_t(value),
        "unit": unit,
        "note": note,
        "help": explanation,
    }


def autocorrelation_figure(
    context: RunContext, rows: pd.DataFrame, layer: int, step: int
) -> tuple[go.Figure, pd.DataFrame, int] | None:
    """Autocorrelation of neurons over the probe sequence at the last stored step up to `step`: figure, its
    data, that step.

    The neurons are those at evenly spaced ranks of persistence. None where no sequence is stored or none of
    them moves.
    """
    at = _stored(context, step)
    mu = cache.probe_sequence(context, at, layer) if at >= 0 else None
    slopes = rows.loc[rows["layer"] == layer, ["neuron", "persistence"]].dropna().sort_values("persistence")
    if mu is None or not len(slopes):
        return None
    ranks = evenly_spaced(len(slopes), CURVES)
    chosen = [int(neuron) for neuron in slopes["neuron"].iloc[ranks] if np.ptp(mu[:, int(neuron)]) > 0]
    if not chosen:
        return None
    if len(mu) < probe_statistics.LEAST_SEQUENCE:
        return None
    values = posteriors.unbiased_autocorrelation(mu[:, chosen])
    sizes = posteriors.effective_sample_size(mu[:, chosen])
    names = [neuron_name(layer, neuron) for neuron in chosen]
    figure = autocorrelation(
        dict(zip(names, values, strict=True)), length=len(mu), sizes=dict(zip(names, sizes, strict=True))
    )
    frame = pd.DataFrame(values.T, columns=names).rename_axis("lag").reset_index()
    return figure, frame, at
