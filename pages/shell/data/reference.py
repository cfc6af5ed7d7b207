"""Searching the registry of statistics, scores and regimes."""

from __future__ import annotations

from probes.schema import REGIMES, SCORES, STATISTICS, Regime, Score, Statistic


def find(search: str) -> tuple[list[Statistic], list[Regime], list[Score]]:
    """Statistics, regimes and scores in whose texts the search occurs, in any case; all for an empty one."""
    wanted = search.strip().lower()

    def matches(*texts: str) -> bool:
        return any(wanted in text.lower() for text in texts)

    statistics = [
        s
        for s in STATISTICS.values()
        if matches(s.name, s.label, s.symbol, s.unit, s.meaning, s.formula, s.source, s.caveat)
    ]
    regimes = [r for r in REGIMES if matches(r.name, r.rule, r.reading, r.advice)]
    scores = [s for s in SCORES.values() if matches(s.name, s.label, s.unit, s.meaning, s.formula, s.source)]
    return statistics, regimes, scores
