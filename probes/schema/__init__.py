"""The one registry of what a run log holds: keys, statistics, scores, units, labels, regimes, format version.

Everything that names a statistic takes the name, unit, colour and definition from here: the recorder, the
reader, the figures' labels, the command line, the page Reference and the docs. Adding a statistic is adding
one entry to `recorded.RECORDED`, or to `derived.DERIVED` where it follows from others: its formula is then in
the entry (`derive`), and `evaluate` is all that computes it, of frames, matrices, layer summaries and what
canvases draw. No torch, no streamlit, no pandas.
"""

from __future__ import annotations

from probes.schema.evaluation import (
    AGREEMENT,
    OPPOSITE,
    SETTINGS,
    as_floats,
    derivable,
    evaluate,
    inputs_of,
    with_inputs,
)
from probes.schema.format import (
    ACTIVE_KL,
    BLOCK_STEPS,
    FEWEST_ROWS,
    FORMAT_MAJOR,
    FORMAT_MINOR,
    FORMAT_VERSION,
    KEYS,
    PYRAMID,
    REGIME,
    ROW_GROUP_NEURONS,
    SETTLED,
)
from probes.schema.regime_registry import (
    ALARMING,
    AT_PRIOR,
    DEAD,
    FAMILY_READINGS,
    LIVING_REGIMES,
    ONLY_DRAWS,
    OTHER_READINGS,
    RAW_REGIMES,
    REGIMES,
    SEVERITY,
    SHARED,
    SHARED_READINGS,
    UNKNOWN,
    WITHOUT_PRIOR,
    Regime,
    Thresholds,
)
from probes.schema.score_registry import COVERAGE_LEVELS, LIKELIHOODS, OBJECTIVE, SCORES, Score
from probes.schema.statistic import COSTS, OTHER_CAVEATS, Cost, Statistic
from probes.schema.statistics import (
    FORCE_TERMS,
    FORCES,
    LAYER_STATISTICS,
    OF_LAYERS,
    PROBED,
    SEQUENCE,
    STATISTICS,
    absent_reason,
    layer_column,
)

__all__ = [
    "ACTIVE_KL",
    "AGREEMENT",
    "ALARMING",
    "AT_PRIOR",
    "BLOCK_STEPS",
    "COSTS",
    "COVERAGE_LEVELS",
    "Cost",
    "DEAD",
    "FAMILY_READINGS",
    "FEWEST_ROWS",
    "FORCES",
    "FORCE_TERMS",
    "FORMAT_MAJOR",
    "FORMAT_MINOR",
    "FORMAT_VERSION",
    "KEYS",
    "LAYER_STATISTICS",
    "LIKELIHOODS",
    "LIVING_REGIMES",
    "OBJECTIVE",
    "OF_LAYERS",
    "ONLY_DRAWS",
    "OPPOSITE",
    "OTHER_CAVEATS",
    "OTHER_READINGS",
    "PROBED",
    "PYRAMID",
    "RAW_REGIMES",
    "REGIME",
    "REGIMES",
    "ROW_GROUP_NEURONS",
    "Regime",
    "SCORES",
    "SEQUENCE",
    "SETTINGS",
    "SETTLED",
    "SEVERITY",
    "SHARED",
    "SHARED_READINGS",
    "STATISTICS",
    "Score",
    "Statistic",
    "Thresholds",
    "UNKNOWN",
    "WITHOUT_PRIOR",
    "absent_reason",
    "as_floats",
    "derivable",
    "evaluate",
    "inputs_of",
    "layer_column",
    "with_inputs",
]
