"""Adapters: how distributions are found in a foreign network. `returned`: in what its modules return
(`ADAPTERS` lists them); `held`: in what the model holds; `pairs`: what both say of a mean and its scale.
"""

from probes.watching.adapters.held import (
    CONVOLUTIONS,
    gaussian_processes,
    latent_diffusion,
    sibling_layers,
    weight_posteriors,
)
from probes.watching.adapters.pairs import join
from probes.watching.adapters.returned import (
    ADAPTERS,
    Adapter,
    Found,
    distributions,
    fields,
    find_in_output,
    named_logits,
    named_pairs,
    named_priors,
    other_distributions,
    predictions,
    returned_priors,
    unnamed_pair,
)

__all__ = [
    "ADAPTERS",
    "Adapter",
    "CONVOLUTIONS",
    "Found",
    "distributions",
    "fields",
    "find_in_output",
    "gaussian_processes",
    "join",
    "latent_diffusion",
    "named_logits",
    "named_pairs",
    "named_priors",
    "other_distributions",
    "predictions",
    "returned_priors",
    "sibling_layers",
    "unnamed_pair",
    "weight_posteriors",
]
