"""Every neuron's statistics of the stored probe batch at one step, as a table with names of the registry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from probes.analysis import posteriors
from probes.log.summaries import summary_over_neurons
from probes.schema import PROBED

LEAST_SEQUENCE = 16  # positions of which a half-life is measured


def of_layer(
    now: tuple[np.ndarray, np.ndarray] | None,
    before: tuple[np.ndarray, np.ndarray] | None = None,
    sequence: np.ndarray | None = None,
) -> pd.DataFrame:
    """Statistics of one layer's neurons.

    Parameters
    ----------
    now
        mu and sigma (B, N) of the spread inputs; None where there are none.
    before
        The same at the stored step before; None at the first.
    sequence
        mu (T, N) at consecutive positions of the data; None where the batch holds none.

    Returns
    -------
    DataFrame
        neuron; each of `schema.PROBED`, NaN where what it needs is not there; of the mutual information also
        its `_error`, `_at_least` and `_at_most` (`posteriors.MutualInformation`).
    """
    found: dict[str, np.ndarray] = {}
    if now is not None:
        # a point, or what is broken, has no density
        sound = np.where((now[1] > 0) & np.isfinite(now[1]), now[1], np.nan)
        told = posteriors.mutual_information(now[0], sound)
        found |= {
            "mutual_information": told.value,
            "mutual_information_error": told.standard_error,
            "mutual_information_at_least": told.at_least,
            "mutual_information_at_most": told.at_most,
        }
        if before is not None and before[0].shape == now[0].shape:
            earlier = np.where(before[1] > 0, before[1], np.nan)
            found["update_kl"], found["wasserstein2"] = posteriors.update_speed(
                now[0], sound, before[0], earlier
            )
    if sequence is not None and len(sequence) >= LEAST_SEQUENCE:
        found["measured_half_life"] = posteriors.measured_half_life(sequence)
    neurons = next((len(values) for values in found.values()), 0)
    missing = {name: np.full(neurons, np.nan) for name in PROBED if name not in found}
    return pd.DataFrame({"neuron": np.arange(neurons)} | found | missing)


def summary(table: pd.DataFrame, names: Sequence[str], step: int) -> pd.DataFrame:
    """How statistics are distributed over each layer's neurons, as `Run.layer_summary` has it.

    Parameters
    ----------
    table
        Rows of `of_layer` with a column layer.
    names
        Columns of it.
    step
        The step that they are of.

    Returns
    -------
    DataFrame
        step, layer, NAME_mean, NAME_p05 .. NAME_p95 over finite values.
    """
    rows = []
    for layer, part in table.groupby("layer"):
        row: dict[str, object] = {"step": step, "layer": layer}
        for name in names:
            kinds = summary_over_neurons(part[[name]].to_numpy(np.float32))
            row |= {f"{name}_{kind}": values[0] for kind, values in kinds.items()}
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else ["step", "layer"])


def median_half_life(values: np.ndarray) -> float:
    """Median of measured half-lives, those that are longer than their sequence can say among the longest.

    Parameters
    ----------
    values
        As `posteriors.measured_half_life` gives them.

    Returns
    -------
    float
        In t; NaN where half or more are longer.
    """
    if not len(values):
        return float("nan")
    middle = float(np.median(np.where(np.isnan(values), np.inf, values)))
    return middle if np.isfinite(middle) else float("nan")


def told(row: pd.Series) -> str:
    """A neuron's mutual information in words: with its error, or as bounds.

    Parameters
    ----------
    row
        Of the table of `of_layer`.

    Returns
    -------
    str
        Such as "0.52 ± 0.03" or "≥ 2.7, ≤ 3.6"; a dash where there is none. The error is one standard error.
    """
    value = row["mutual_information"]
    if not np.isfinite(value):
        return "–"
    if row["mutual_information_at_least"]:
        most = row["mutual_information_at_most"]
        return f"≥ {value:.2g}" + (f", ≤ {most:.2g}" if np.isfinite(most) else "")
    return f"{value:.2g} ± {row['mutual_information_error']:.1g}"
