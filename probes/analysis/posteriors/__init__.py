"""Statistics of the posteriors on the stored probe batch: the same inputs at every step, so that inputs
cancel out.

In numpy, since the dashboard asks for them. mu and sigma are (B, N): inputs, neurons of one layer, as `table`
takes them from `Run.probe`; for several latent dimensions the log holds mean and sd of the pooled variable,
and all here is about that.
"""

from __future__ import annotations

from probes.analysis.posteriors.correlations import (
    NEAREST,
    assignment,
    correlation,
    match,
    nearest,
    neighbours,
    partners,
)
from probes.analysis.posteriors.information import (
    ONE_SIDED_95,
    TRUSTED_SHARE,
    MutualInformation,
    information_bounds,
    log_ratios,
    mutual_information,
)
from probes.analysis.posteriors.probe_rows import Floats, Inputs, same_inputs, split_inputs, table
from probes.analysis.posteriors.series import (
    LARGEST_SIZE,
    LEAST_SIZE,
    autocorrelation,
    effective_sample_size,
    measured_half_life,
    too_short,
    unbiased_autocorrelation,
)
from probes.analysis.posteriors.updates import drift, update_speed

__all__ = [
    "LARGEST_SIZE",
    "LEAST_SIZE",
    "NEAREST",
    "ONE_SIDED_95",
    "TRUSTED_SHARE",
    "Floats",
    "Inputs",
    "MutualInformation",
    "assignment",
    "autocorrelation",
    "correlation",
    "drift",
    "effective_sample_size",
    "information_bounds",
    "log_ratios",
    "match",
    "measured_half_life",
    "mutual_information",
    "nearest",
    "neighbours",
    "partners",
    "same_inputs",
    "split_inputs",
    "table",
    "too_short",
    "unbiased_autocorrelation",
    "update_speed",
]
