"""What each layer of a run is doing at its last step, in a handful of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from probes.analysis import posteriors, probe_statistics
from probes.diagnostics import living_share_of_counts, temporal_fault
from probes.families import family_of
from probes.run_reader import RunReader
from probes.schema import LIVING_REGIMES, REGIMES, UNKNOWN

OF_FAMILIES = ("entropy", "perplexity", "used_codes", "joint_kl", "coupling")
"""Numbers that layers of some families have."""
OVER_NEURONS = {"contraction": "mean", "half_life": "median"}
"""Statistic -> what of a layer's neurons is told: the mean contraction is the one that all pages show."""


def layer_rows(run: RunReader) -> list[dict[str, Any]]:
    """What each layer is doing at its last step.

    Parameters
    ----------
    run
        The run.

    Returns
    -------
    list of dict
        One a layer: layer, family (in words), neurons, step, regimes (name -> count), living_share, rate and
        information (nats, summed over neurons), contraction (mean), measured_half_life (median over the
        probe sequence, in t; None also where it is longer than that can say), half_life (median, in t, if
        means were first-order autoregressions), temporal_faults ("stuck" and "jittery" -> count, on the split
        that was evaluated last), entropy (median, nats), perplexity (of a code book, else the median),
        used_codes, joint_kl and coupling (nats). None for what the run has not recorded, and for the living
        share of a layer of which half of the regimes are unknown.
    """
    rows = []
    faults = _temporal_faults(run)
    probed = run.probe_steps()
    sequence = (
        posteriors.split_inputs(run.probe(int(probed[-1])), run.config).sequence if len(probed) else None
    )
    last = run.layer_summary().groupby("layer").last()  # the newest value of each statistic that was taken
    for index, layer in enumerate(run.layers):
        row: dict[str, Any] = {"layer": layer["name"], "family": family_of(layer).label}
        row |= {"neurons": layer["neurons"], "regimes": {}}
        row |= dict.fromkeys(("living_share", "rate", "information", "contraction", *OF_FAMILIES))
        row |= {"measured_half_life": _measured_half_life(sequence, index), "half_life": None}
        row["temporal_faults"] = faults.get(index)
        if index in last.index:
            summary = last.loc[index].to_dict()
            counts = {regime.code: int(summary.get(f"settled_{regime.code}", 0)) for regime in REGIMES}
            row["regimes"] = {regime.name: counts[regime.code] for regime in REGIMES if counts[regime.code]}
            living = sum(counts[code] for code in LIVING_REGIMES)
            share = float(living_share_of_counts(living, counts[UNKNOWN], layer["neurons"]))
            row["living_share"] = None if math.isnan(share) else share
            for name, column in (("rate", "kl_mean"), ("information", "information_mean")):
                if column in summary and not pd.isna(summary[column]):
                    row[name] = float(summary[column]) * layer["neurons"]
            row |= _of_families(summary, layer["neurons"])
            for name, middle in OVER_NEURONS.items():
                if name in run.available and (taken := run.taken(index, name)).size:
                    values = run.at(int(taken[-1]), index, [name])[name]
                    row[name] = None if values.isna().all() else float(values.agg(middle))
        rows.append(row)
    return rows


def _of_families(summary: Mapping[Any, Any], neurons: int) -> dict[str, float | None]:
    """What layers of some families have, from their last summary."""
    whole = {
        name: summary.get(f"layer_{name}") for name in ("perplexity", "dead_codes", "joint_kl", "coupling")
    }
    known = {name: None if value is None or pd.isna(value) else float(value) for name, value in whole.items()}
    medians = {name: summary.get(f"{name}_p50") for name in ("entropy", "perplexity")}
    told = {
        name: None if value is None or pd.isna(value) else float(value) for name, value in medians.items()
    }
    dead = known["dead_codes"]
    return {
        "entropy": told["entropy"],
        "perplexity": told["perplexity"] if known["perplexity"] is None else known["perplexity"],
        "used_codes": None if dead is None else neurons - dead,
        "joint_kl": known["joint_kl"],
        "coupling": known["coupling"],
    }


def _measured_half_life(sequence: pd.DataFrame | None, layer: int) -> float | None:
    """Median over a layer's neurons; None where no sequence is stored of it, and where it is too short."""
    if sequence is None or not (sequence["layer"] == layer).any():
        return None
    mu, _ = posteriors.table(sequence, layer)
    if len(mu) < probe_statistics.LEAST_SEQUENCE:
        return None
    middle = probe_statistics.median_half_life(posteriors.measured_half_life(mu))
    return middle if np.isfinite(middle) else None


def _temporal_faults(run: RunReader) -> dict[int, dict[str, int]]:
    """Counts by layer, where a prior is autoregressive and the slopes' intervals are of blocks of time."""
    table = run.evaluation()
    if not {"persistence_blocks", "persistence_low", "persistence_high", "phi"} <= set(table):
        return {}
    table = table[table["persistence_blocks"].notna() & (table["phi"].fillna(0) != 0)]
    if table.empty:
        return {}
    table = table[(table["step"] == table["step"].iloc[-1]) & (table["split"] == table["split"].iloc[-1])]
    found = temporal_fault(table["persistence_low"], table["persistence_high"], table["phi"])
    return {
        int(layer): {
            fault: int((found[table["layer"] == layer] == fault).sum()) for fault in ("stuck", "jittery")
        }
        for layer in table["layer"].unique()
    }
