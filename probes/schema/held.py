"""Statistics of neurons whose state is carried along a sequence: what they hold at a position."""

from __future__ import annotations

from typing import Any

import numpy as np

from probes.schema.statistic import Statistic


def _held_mean(mean: Any, held_information: Any) -> Any:
    return mean + 0 * held_information


def _held_variance(variance: Any, held_information: Any) -> Any:
    return variance + 0 * held_information


HELD = [
    Statistic(
        "held_information",
        "Held information",
        "I held",
        "nats",
        "Σ_k ½ ( ln(E[V] + Var[m]) − E[ln V] ), of the belief Normal(m_t, V_t)",
        "What the neuron of a sequence knows at a position, whenever it was paid for.",
        "S",
        "maximum-entropy bound; exact belief of a gated linear recurrence",
        caveat=(
            "Against the stationary prior Normal(0, 1): of it the neuron pays at each position only what is"
            " new, its information. Only of neurons whose state is carried along t."
        ),
        absent="the layer's neurons carry no state along a sequence",
        over_dimensions="sum",
        neutral=np.nan,
        nullable=True,
        colors="Cividis",
    ),
    Statistic(
        "held_mismatch",
        "Held mismatch",
        "M held",
        "nats",
        "Σ_k KL( Normal(E m, E[V] + Var m) ‖ Normal(0, 1) )",
        "How far what the neuron of a sequence holds is from its stationary prior, over all positions.",
        "S",
        "ELBO surgery, Hoffman & Johnson 2016",
        absent="the layer's neurons carry no state along a sequence",
        over_dimensions="sum",
        nullable=True,
        colors="Cividis",
        good="low",
    ),
    Statistic(
        "gate",
        "Gate",
        "E[g]",
        "",
        "E_t[g_t], z_t = (1 − g) z_{t−1} + g c + σ ε",
        "How much of its state the neuron of a sequence replaces at a position, on average.",
        "S",
        "gated linear recurrence",
        absent="the layer's neurons carry no state along a sequence",
        nullable=True,
    ),
    Statistic(
        "held_mean",
        "Held mean",
        "E[m]",
        "prior sd",
        "E_t[m_t], of the belief Normal(m_t, V_t)",
        "Where what the neuron of a sequence holds sits: its posterior mean.",
        "D",
        "exact belief of a gated linear recurrence",
        stored=False,
        absent="the layer's neurons carry no state along a sequence",
        nullable=True,
        colors="diverging",
        derive=_held_mean,
        monotone="increasing",
        linear=True,
    ),
    Statistic(
        "held_variance",
        "Held variance",
        "E[V]",
        "prior sd²",
        "E_t[V_t], of the belief Normal(m_t, V_t)",
        "How uncertain what the neuron of a sequence holds is: 1 is the prior; its posterior variance.",
        "D",
        "exact belief of a gated linear recurrence",
        stored=False,
        absent="the layer's neurons carry no state along a sequence",
        nullable=True,
        log=True,
        derive=_held_variance,
        monotone="increasing",
        linear=True,
    ),
]
