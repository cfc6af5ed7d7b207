"""One step's posteriors of any family -> statistics of every neuron; `probes.moments` is the Gaussian's part.

What is exact and what is an estimate stands in docs/families.md.
"""

from __future__ import annotations

from probes.family_moments.code_usage import CodeUsage
from probes.family_moments.covariance import full_covariance
from probes.family_moments.divergence import posterior_kl
from probes.family_moments.pooling import FamilyMoments, derive_family
from probes.family_moments.reading import FamilyReading, default_prior, prior_parameters, read_distribution
from probes.family_moments.samples import SampleMoments

__all__ = [
    "CodeUsage",
    "FamilyMoments",
    "FamilyReading",
    "SampleMoments",
    "default_prior",
    "derive_family",
    "full_covariance",
    "posterior_kl",
    "prior_parameters",
    "read_distribution",
]
