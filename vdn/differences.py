"""Differences between trained networks by the scores of single origins, with intervals over
time and seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from probes import Run
from probes.analysis.paired_scores import UnpairedError
from probes.analysis.run_groups import Row, seed_pairs
from probes.analysis.score_differences import said, score_differences
from vdn.answers import OriginScores
from vdn.splits import Split


def origin_frame(found: OriginScores, split: Split) -> pd.DataFrame:
    """Scores of origins as `Run.origin_scores` has them.

    Parameters
    ----------
    found
        Of one network.
    split
        That they are of.

    Returns
    -------
    DataFrame
        One row an origin, of step 0.
    """
    keys = {"step": 0, "split": split, "origin": found.origin, "span": found.span, "target": found.target}
    return pd.DataFrame(keys | found.scores)


def twin_differences(
    run: Path, twin: Path, own: pd.DataFrame, reference: pd.DataFrame, rows: Sequence[Row]
) -> dict[str, Any]:
    """What a network scores less than its twin.

    Parameters
    ----------
    run, twin
        Their folders.
    own, reference
        Scores of their origins, `origin_frame`.
    rows
        Runs beside them, of `probes.catalog`: other seeds of the two count where they have stored theirs.

    Returns
    -------
    dict
        "scores": name -> {value, reference, difference, low, high, ...}, the fields of
        `probes.analysis.score_differences.Difference` with None for NaN; "of": what the intervals are of.

    Raises
    ------
    UnpairedError
        When the two were scored on other targets.
    """
    known = {run.resolve(): own, twin.resolve(): reference}
    by_path = {Path(row["path"]).resolve(): row for row in rows}
    pairs: list[tuple[Path, Path]] = [(run, twin)]
    if known.keys() <= by_path.keys():
        seeds = seed_pairs(by_path[run.resolve()], by_path[twin.resolve()], rows)
        pairs = [(Path(one["path"]), Path(other["path"])) for one, other in seeds]
    try:
        return as_dict(_differences(pairs, known))
    except UnpairedError as error:
        if len(pairs) == 1:
            raise
        found = as_dict(_differences([(run, twin)], known))
        return found | {"of": f"{found['of']} Other seeds are left out: {error}."}


def _differences(pairs: Iterable[tuple[Path, Path]], known: dict[Path, pd.DataFrame]) -> pd.DataFrame:
    sides = [
        [known[path.resolve()] if path.resolve() in known else Run(path).origin_scores() for path in side]
        for side in zip(*pairs, strict=True)
    ]
    return score_differences(*sides)


def as_dict(table: pd.DataFrame) -> dict[str, Any]:
    """A table of `score_differences` for JSON.

    Parameters
    ----------
    table
        With one row at least.

    Returns
    -------
    dict
        As `twin_differences` returns it.
    """
    scores = {
        str(name): {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in line.items()
        }
        for name, line in table.to_dict("index").items()
    }
    return {"scores": scores, "of": said(table)}
