"""How a statistic, stored or derived, is distributed over each layer's neurons at each step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from probes.families import standard_prior
from probes.log.summaries import KINDS, summary_over_neurons
from probes.run_reader import RunReader
from probes.schema import STATISTICS, derivable, evaluate

LARGEST = np.float32(1e30)  # stands for infinity while quantiles are interpolated
COLUMNS = 1000  # of the matrices that are read where quantiles do not follow from the summary


def summary_with_derived(run: RunReader, names: Sequence[str] | None = None) -> pd.DataFrame:
    """`Run.layer_summary()` with NAME_mean, NAME_p05 .. NAME_p95 of derived statistics too.

    Parameters
    ----------
    run
        The run.
    names
        Derived statistics of the run; all that can be derived by default.

    Returns
    -------
    DataFrame
        Quantiles follow from those of the stored statistics where nothing else that the statistic depends on
        differs between the layer's neurons. Where something does (priors of different widths) they are taken
        over the neurons: exact up to COLUMNS recorded steps, above of the mean of as many steps as a column
        stands for.
    """
    summary = run.layer_summary()
    stored = run.statistics
    latent_dim = np.array([int(layer.get("latent_dim", 1)) for layer in run.layers], int)
    standard = np.array([standard_prior(layer) for layer in run.layers], bool)
    layers = summary["layer"].to_numpy()
    settings = {"latent_dim": latent_dim[layers], "stride": run.stride, "standard": standard[layers]}
    found: dict[str, np.ndarray] = {}
    for name in derivable(stored) if names is None else [name for name in names if name not in stored]:
        values = {kind: evaluate(name, summary, kind, **settings) for kind in KINDS}
        unknown = np.isnan(values["p50"])
        if STATISTICS[name].instead:  # where that is followed, the mean is not
            unknown |= np.isnan(values["mean"])
        for layer in np.unique(layers[unknown]):
            rows = np.flatnonzero(unknown & (layers == layer))
            matrix, edges = run.matrix(int(layer), name, max_columns=COLUMNS)
            place = np.searchsorted(edges, summary["step"].to_numpy()[rows], side="right") - 1
            # A half-life may be infinite and right: it is larger than all others, not absent.
            finite = np.where(np.isposinf(matrix), LARGEST, matrix)
            for kind, over in summary_over_neurons(finite).items():
                over = np.where(over > LARGEST / 1e6, np.inf, over)
                values[kind][rows] = over[np.clip(place, 0, len(over) - 1)]
        found |= {f"{name}_{kind}": column.astype(np.float32) for kind, column in values.items()}
    return summary.assign(**found)
