"""Searching the registry of statistics and regimes."""

from __future__ import annotations

from probes.schema import REGIMES, STATISTICS, Regime, Statistic


def find(search: str) -> tuple[list[Statistic], list[Regime]]:
    """Statistics and regimes in whose texts the search occurs, in any case; all for an empty one."""
    wanted = search.strip().lower()

    def matches(*texts: str) -> bool:
        return any(wanted in text.lower() for text in texts)

    statistics = [
        s
        for s in STATISTICS.values()
        if matches(s.name, s.label, s.symbol, s.unit, s.meaning, s.formula, s.source, s.caveat)
    ]
    return statistics, [r for r in REGIMES if matches(r.name, r.rule, r.reading, r.advice)]
