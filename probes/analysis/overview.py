"""What each layer of a run is doing at its last step, in a handful of numbers."""

from __future__ import annotations

from typing import Any

from probes.run_reader import RunReader
from probes.schema import LIVING_REGIMES, REGIMES


def layer_rows(run: RunReader) -> list[dict[str, Any]]:
    """What each layer is doing at its last step.

    Parameters
    ----------
    run
        The run.

    Returns
    -------
    list of dict
        One a layer: layer, neurons, step, regimes (name -> count), living_share, rate and information (nats,
        summed over neurons), contraction (median), half_life (median, in t). None for what the run has not
        recorded.
    """
    rows = []
    last = run.layer_summary().groupby("layer").last()  # the newest value of each statistic that was taken
    for index, layer in enumerate(run.layers):
        row: dict[str, Any] = {"layer": layer["name"], "neurons": layer["neurons"], "regimes": {}}
        row |= dict.fromkeys(("living_share", "rate", "information", "contraction", "half_life"))
        if index in last.index:
            summary = last.loc[index].to_dict()
            counts = {regime.code: int(summary[f"settled_{regime.code}"]) for regime in REGIMES}
            row["regimes"] = {regime.name: counts[regime.code] for regime in REGIMES if counts[regime.code]}
            row["living_share"] = sum(counts[code] for code in LIVING_REGIMES) / layer["neurons"]
            for name, column in (("rate", "kl_mean"), ("information", "information_mean")):
                if column in summary:
                    row[name] = float(summary[column]) * layer["neurons"]
            for name in ("contraction", "half_life"):
                if name in run.available and (taken := run.taken(index, name)).size:
                    values = run.at(int(taken[-1]), index, [name])[name]
                    row[name] = None if values.isna().all() else float(values.median())
        rows.append(row)
    return rows
