"""Searching the registry of statistics, scores and regimes."""

from __future__ import annotations

from probes.families import FAMILIES, Family
from probes.families.gaussian import GAUSSIAN_UNKNOWN_PRIOR
from probes.schema import REGIMES, SCORES, STATISTICS, Regime, Score, Statistic

SUPPORTS = {
    "real": "the line", "positive": "z > 0", "unit": "0 to 1", "circle": "an angle", "counts": "0, 1, 2, …",
    "classes": "classes",
}  # fmt: skip
"""Supports of families, in words."""


def families(search: str) -> list[Family]:
    """Families in whose names and parameters the search occurs, in any case; all for an empty one."""
    wanted = search.strip().lower()
    return [
        family
        for family in FAMILIES.values()
        if family is not GAUSSIAN_UNKNOWN_PRIOR
        and wanted in f"family {family.name} {family.label} {' '.join(family.parameters)}".lower()
    ]


def contraction_by(family: Family) -> str:
    """What its contraction is told by, in words."""
    if family.by_entropy:
        return "entropy"
    return "variance" if "variance" in family.required else "–"


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
