"""What neurons carry over along the data, ready for figures: rows of one measurement, faults, half-lives. No
widgets here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pages.shell.data import payloads
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis import posteriors
from probes.diagnostics import half_life, kl_above_floor, temporal_fault
from probes.figures.autocorrelation import autocorrelation
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
    added.
    """
    if source == AT_CURSOR:
        rows = cache.at(context, step)
    else:
        table = split_statistics(context)
        at, split = _evaluated(table)[sources(context).index(source) - 1]
        rows = table[(table["step"] == at) & (table["split"] == split)]
    if set(rows) >= INTERVAL | {"phi"}:
        return rows.assign(
            fault=temporal_fault(rows["persistence_low"], rows["persistence_high"], rows["phi"])
        )
    return rows.assign(fault="")


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


def half_lives(rows: pd.DataFrame, stride: int) -> np.ndarray:
    """Half-life of every row in t; NaN for an undefined slope."""
    return half_life(rows["persistence"].to_numpy(float, na_value=np.nan), stride)


def half_life_marks(input_slope: float, stride: int) -> dict[str, float]:
    """What half-lives are compared with, by label: the input's own, where its slope was recorded."""
    return {} if np.isnan(input_slope) else {"the input's": float(half_life(input_slope, stride))}


def outside_histogram(values: np.ndarray) -> str:
    """Which half-lives no histogram holds, in words; empty if it holds all."""
    endless, undefined = int(np.isinf(values).sum()), int((values == 0).sum() + np.isnan(values).sum())
    return f"; {endless} endless, {undefined} undefined or 0" if endless or undefined else ""


def number_cards(context: RunContext, rows: pd.DataFrame, stride: int) -> list[dict[str, Any]]:
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
            f"half from {low:.2f} to {high:.2f}",
            STATISTICS["persistence"].caveat,
        ),
        _card(
            "Half-life",
            float(half_life(middle, stride)),
            "t",
            "of the median φ̂",
            STATISTICS["half_life"].caveat,
        ),
    ]
    if set(rows) >= INTERVAL:
        carried = 100 * float((rows["persistence_low"] > 0).mean())
        items.append(
            _card(
                "Carry over",
                carried,
                "%",
                "interval above 0",
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
        for fault, words in (("stuck", "carries over more"), ("jittery", "carries over less")):
            count = int((rows["fault"] == fault).sum())
            text = "95 % interval wholly off the prior's φ, by more than 0.2 in atanh"
            items.append(
                {**_card(fault.capitalize(), count, "", f"{words}, of {len(rows)}", text), "bad": count > 0}
            )
    return items


def _card(label: str, value: float, unit: str, note: str, explanation: str) -> dict[str, Any]:
    return {
        "label": label,
        "value": "∞" if np.isinf(value) else payloads.number(value),
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
    stored = cache.probe_steps(context)
    at = int(stored[stored <= step].max(initial=-1))
    mu = cache.probe_sequence(context, at, layer) if at >= 0 else None
    slopes = rows.loc[rows["layer"] == layer, ["neuron", "persistence"]].dropna().sort_values("persistence")
    if mu is None or not len(slopes):
        return None
    ranks = evenly_spaced(len(slopes), CURVES)
    chosen = [int(neuron) for neuron in slopes["neuron"].iloc[ranks] if np.ptp(mu[:, int(neuron)]) > 0]
    if not chosen:
        return None
    values = posteriors.autocorrelation(mu[:, chosen], len(mu) // 2)
    sizes = posteriors.effective_sample_size(mu[:, chosen])
    names = [f"n{neuron}" for neuron in chosen]
    figure = autocorrelation(
        dict(zip(names, values, strict=True)), length=len(mu), sizes=dict(zip(names, sizes, strict=True))
    )
    frame = pd.DataFrame(values.T, columns=names).rename_axis("lag").reset_index()
    return figure, frame, at
