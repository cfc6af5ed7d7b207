"""What was predicted along a probe sequence, and how surprising what came was."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import numpy as np
import pandas as pd

from pages.shell.data.sequence.beliefs import LayerPath, stored_step, totals
from pages.shell.data.sequence.contents import labels
from pages.shell.session import cache, url
from pages.shell.session.runs import RunContext

CONTEXT = 16  # positions at the beginning that are no surprise to be surprised by


@cache.of_run("predictions", keep=cache.WHOLES_KEPT)
def predictions(context: RunContext, step: int) -> pd.DataFrame:
    """What was predicted at each position, at the stored step or the last before it: columns as the task has
    them, by t; empty where nothing was predicted.
    """
    rows = context.run.predictions(step)
    return rows.sort_values("input").set_index("input") if "input" in rows else rows.iloc[:0]


def surprise_correlation(found: dict[int, LayerPath], table: pd.DataFrame) -> float:
    """Correlation along t of the KL of all neurons with the surprise, -ln p of what came next; NaN where one
    of them is not known.
    """
    if "nll" not in table or not found:
        return float("nan")
    total = np.sum([path.kl.sum(1) for path in found.values()], axis=0)
    nll = table["nll"].reindex(range(len(total))).to_numpy(float)
    known = np.isfinite(total) & np.isfinite(nll)
    if known.sum() < 3 or np.ptp(total[known]) == 0 or np.ptp(nll[known]) == 0:
        return float("nan")
    return float(np.corrcoef(total[known], nll[known])[0, 1])


def most_telling(table: pd.DataFrame, found: Mapping[int, LayerPath], length: int) -> int:
    """The position at which the page opens, those left out at which there is little context yet: after which
    the most surprising came; where no surprise is known, at which the neurons' KL or, where that is not known
    either, the change of what they hold is largest, all of them together; else the first.
    """
    begin = min(CONTEXT, length // 4)
    surprise = table["nll"].reindex(range(length)).to_numpy(float) if "nll" in table else np.zeros(0)
    for course in chain((surprise,), totals(found)):
        if np.isfinite(course[begin:]).any():
            return begin + int(np.nanargmax(course[begin:]))
    return 0


def second_surprise(
    context: RunContext, other: RunContext, step: int, length: int
) -> tuple[np.ndarray | None, str]:
    """The surprise (T,) of a second run at the same positions, at its stored step at or before; or why there
    is none.
    """
    name = url.plain(other.entry.name)
    if not len(cache.sequence_steps(other)):
        return None, f"{name} cannot be shown beside it: it holds no probe sequence."
    if labels(other, length) != labels(context, length):
        return None, f"{name} cannot be shown beside it: its probe sequence is another."
    table = predictions(other, stored_step(other, step))
    if "nll" not in table:
        return None, f"{name} cannot be shown beside it: it stored no predictions."
    return table["nll"].reindex(range(length)).to_numpy(float), ""


def likeliest(row: pd.Series) -> list[tuple[str, float]]:
    """The likeliest next symbols of one position with their probabilities, likeliest first."""
    found = []
    for rank in range(1, len(row)):
        if f"symbol_{rank}" not in row:
            break
        found.append((str(row[f"symbol_{rank}"]), float(row[f"p_{rank}"])))
    return found


def likely_notes(table: pd.DataFrame, length: int) -> pd.DataFrame:
    """The likeliest notes of chords, at the position that they were predicted for: t, note, p."""
    parts = [
        pd.DataFrame(
            {
                "t": table.index.to_numpy() + 1,
                "note": pd.to_numeric(table[f"symbol_{rank}"], errors="coerce").to_numpy(),
                "p": table[f"p_{rank}"].to_numpy(float),
            }
        )
        for rank in range(1, len(table.columns))
        if f"symbol_{rank}" in table
    ]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["t", "note", "p"])
    return rows[(rows["t"] < length) & rows["note"].notna()]


def draw_information(table: pd.DataFrame, length: int) -> np.ndarray | None:
    """Mutual information (T,) between the draw and the next symbol, nats: the entropy of the mean prediction
    less the mean entropy of the draws' own; None where these were not stored.
    """
    if not {"entropy", "conditional_entropy"} <= set(table):
        return None
    rows = table.reindex(range(length))
    return (rows["entropy"] - rows["conditional_entropy"]).clip(lower=0).to_numpy(float)
