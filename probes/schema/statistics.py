"""Every statistic by its name, and the names of those that a table or a part of a run has for itself."""

from __future__ import annotations

from probes.schema.derived import DERIVED
from probes.schema.held import HELD
from probes.schema.recorded import RECORDED
from probes.schema.statistic import Statistic

STATISTICS: dict[str, Statistic] = {statistic.name: statistic for statistic in (*RECORDED, *DERIVED, *HELD)}

PROBED = ("mutual_information", "update_kl", "wasserstein2", "measured_half_life")
"""Statistics of the posteriors that a run stores of its probe batch: `analysis.probe_statistics`."""

OF_LAYERS = (
    "index_code_information",
    "total_correlation",
    "dimension_wise_kl",
    "sliced_wasserstein",
    "mmd",
    "active_units",
)
"""Statistics of a whole layer, not of its neurons: `analysis.aggregate`."""

FORCES = ("force_mu", "force_sigma", "pull_mu", "pull_sigma")
"""Statistics of `forces/`, one row a term of the loss."""

SEQUENCE = ("m", "V", "mu", "sigma", "kl")
"""Columns of `sequence/`: belief, one draw's conditional, and KL of a neuron at a position."""

FORCE_TERMS: dict[str, str] = {
    "nll": "the prediction's negative log likelihood",
    "kl": "every KL, weighted by its beta: also those of deeper layers",
    "band": "penalty on the energy outside its band",
    "ar": "penalty on the means' change along the data",
    "persistence": "multipliers that hold the neurons' slopes at their set-points",
    "decoder": "the local decoders' log likelihood",
    "total": "the whole loss: what is left when the others cancel",
}
"""Terms whose forces `vdn` records, in this order; another trainer may name its own."""

LAYER_STATISTICS: dict[str, str] = {
    "joint_kl": "KL of the layer's joint posterior from its prior, nats",
    "coupling": "joint KL less the sum of its neurons' marginal KL, nats: what their dependence costs",
    "perplexity": "exp of the entropy of a code book's usage over its window, codes",
    "dead_codes": "codes that the window of a code book's usage does not hold, codes",
    "window": "picks that a code book's usage is over",
}
"""Numbers of a whole layer at a step: columns `layer_NAME` of `layers/`."""


def layer_column(name: str) -> str:
    """Column of `layers/` that holds one of `LAYER_STATISTICS`."""
    return f"layer_{name}"


def absent_reason(name: str) -> str:
    """Why a neuron may have no value of a statistic, in words.

    Parameters
    ----------
    name : str
        A statistic of the registry.

    Returns
    -------
    str
        Without a capital and a full stop.
    """
    return STATISTICS[name].absent or "its batch had fewer than two inputs, or the neuron is not finite"
