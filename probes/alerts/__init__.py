"""Rules over time: what a person should look at, where, and what to do about it.

Rules read the layers' summaries, the scalars and the events, never the neurons, and look back only: a run
that is being written and its replay give the same alerts at the same steps. What layers do at one time is one
alert, which gains layers while it goes on. Regime alerts and jumps are silent until the warm-up has ended,
since a network that starts at its prior starts dead; where no warm-up is named, the first `window` records
are one. A code book has no prior to start at: it is judged as soon as its window holds picks enough.

Levels, not values: a count or a mean has changed when it stays changed for `hold` records. The counts are of
settled regimes where the log has them, else of the regimes of single steps.
"""

from __future__ import annotations

from probes.alerts.code_book_rules import DEAD_CODES
from probes.alerts.control_rules import ACTING
from probes.alerts.finding import Alert, find
from probes.alerts.layer_rules import LEVEL
from probes.alerts.limits import Limits, limits_of, warmup_of
from probes.alerts.of_run import COLUMNS, alerts, where
from probes.alerts.parts import LIVING, MAY_LIVE, ROUNDING, Part
from probes.alerts.progress_rules import JUDGED_BY

__all__ = [
    "ACTING",
    "Alert",
    "COLUMNS",
    "DEAD_CODES",
    "JUDGED_BY",
    "LEVEL",
    "LIVING",
    "Limits",
    "MAY_LIVE",
    "Part",
    "ROUNDING",
    "alerts",
    "find",
    "limits_of",
    "warmup_of",
    "where",
]
