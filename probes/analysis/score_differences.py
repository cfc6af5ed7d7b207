"""What one run scores less than another on the same stretch of data, with an interval over time and seeds.

Scores come one an origin (`Run.origin_scores`), all series together. Those of neighbouring origins hang
together, because their targets overlap and errors last; so time counts in blocks. Another training would
score otherwise; so seeds, where there are several, count too. How often the intervals hold is measured in
benchmarks/differences.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas.api.types import is_numeric_dtype

from probes.analysis.paired_scores import SPLITS, UnpairedError
from probes.diagnostics import student_quantile
from probes.schema import SCORES

Floats = NDArray[np.float64]
BLOCK_SPANS = 3
"""Least length of a block, in spans of targets: at one span a block misses a third of the variance that
overlapping targets make, at three a ninth."""
MOST_BLOCKS = 10
"""A block is at least this part of the split, so that dependence beyond the horizon is in it where the split
is long enough; Student's t pays for it with little width."""
FEWEST_BLOCKS = 3
FEWEST_DIFFERENT = 10
"""Origins at which two runs differ, below which their differences are no sample to speak of."""
KEYS = ("step", "split", "origin", "span", "target")
NO_SCORES = "no scores by origin are stored"


class Difference(NamedTuple):
    """Mean score of a run less that of another, with its 95 % interval.

    Attributes
    ----------
    value, reference
        Means of the two, over origins and seeds.
    difference
        The first less the second.
    low, high
        Ends of the interval; NaN where there is too little to say.
    origins
        How many.
    blocks
        Of time that do not overlap, origins where these are independent.
    seeds
        Pairs of trainings. With one the interval is of time alone: of these two trainings, on other data.
    """

    value: float
    reference: float
    difference: float
    low: float
    high: float
    origins: int
    blocks: float
    seeds: int


def block_length(origins: int, span: int) -> int:
    """Length of the blocks that time is cut into.

    Parameters
    ----------
    origins
        How many, evenly spaced.
    span
        How many of them share targets with one: the horizon; 0 where all are independent of each other.

    Returns
    -------
    int
        The larger of `BLOCK_SPANS` spans and a `MOST_BLOCKS`-th of the origins; 1 of independent ones.
    """
    return 1 if span == 0 else max(BLOCK_SPANS * span, math.ceil(origins / MOST_BLOCKS))


def variance_over_time(values: ArrayLike, length: int) -> tuple[float, float]:
    """Variance of a mean over time, and its degrees of freedom.

    Parameters
    ----------
    values
        (T,) in order of time.
    length
        L of the blocks, as `block_length` gives it.

    Returns
    -------
    tuple of float
        Both NaN with fewer than `FEWEST_BLOCKS` blocks.

    Notes
    -----
    L / ((T - L + 1)(T - L)) sum_i (mean of block i - mean)^2 over all T - L + 1 blocks: what a bootstrap of
    moving blocks (Künsch 1989) gives for a mean, without drawing any, and without its bias at few blocks; 1.5
    (T/L - 1) degrees of freedom (Meketon & Schmeiser 1984). With L = 1 it is the usual variance of a mean.
    """
    d = np.asarray(values, np.float64)
    count = len(d)
    if count < FEWEST_BLOCKS * length:
        return math.nan, math.nan
    sums = np.concatenate([[0.0], np.cumsum(d - d.mean())])
    means = (sums[length:] - sums[:-length]) / length
    variance = length * float((means**2).sum()) / ((count - length + 1) * (count - length))
    return variance, count - 1.0 if length == 1 else 1.5 * (count / length - 1)


def half_width_of_sum(parts: Sequence[tuple[float, float]]) -> float:
    """Half of the width of the 95 % interval of an estimate whose variance is a sum.

    Parameters
    ----------
    parts
        Of independent sources: their variances with their degrees of freedom.

    Returns
    -------
    float
        NaN where a part is; 0 where all variances are.

    Notes
    -----
    Student's t of (sum v)^2 / sum(v^2 / d) degrees of freedom (Satterthwaite 1946), times the root of sum v.
    """
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(variance**2 / degrees for variance, degrees in parts)
    return float(student_quantile(freedom)) * math.sqrt(total)


def difference(own: ArrayLike, reference: ArrayLike, span: int) -> Difference:
    """Mean difference of scores that are paired by seed and origin.

    Parameters
    ----------
    own, reference
        (seeds, T) scores, in order of time.
    span
        As for `block_length`.

    Returns
    -------
    Difference
        Lower is better or worse as the score has it.

    Raises
    ------
    UnpairedError
        Where the two have other shapes, or nothing.

    Notes
    -----
    Two levels, whose variances are added: time, of the mean over seeds (`variance_over_time`); seeds, of
    their means, s^2 / n. Noise of single trainings over time is in both, which errs on the wide side.
    Student's t has the degrees of freedom of such a sum (Satterthwaite 1946): a bootstrap that draws three
    seeds again and again covers too little (docs/diagnostics.md).
    """
    here, there = (np.atleast_2d(np.asarray(values, np.float64)) for values in (own, reference))
    if here.shape != there.shape or not here.size:
        raise UnpairedError(f"scores {here.shape} and {there.shape} are of other seeds or origins")
    seeds, origins = here.shape
    length = block_length(origins, span)
    with np.errstate(invalid="ignore"):  # a score may be infinite: then nothing is said
        each = here - there
        parts = [variance_over_time(each.mean(0), length)]
        if seeds > 1:
            parts.append((float(each.mean(1).var(ddof=1)) / seeds, seeds - 1.0))
    middle, half = float(each.mean()), math.nan
    total = sum(variance for variance, _ in parts)
    if total > 0 and (each != 0).any(0).sum() >= FEWEST_DIFFERENT:
        half = half_width_of_sum(parts)
    ends = middle - half, middle + half
    return Difference(
        float(here.mean()), float(there.mean()), middle, *ends, origins, origins / length, seeds
    )


def score_differences(own: Sequence[pd.DataFrame], reference: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """What runs score less than others on the same origins, score by score.

    Parameters
    ----------
    own, reference
        `Run.origin_scores()` of each training; pairs stand at the same place (the same seed).

    Returns
    -------
    DataFrame
        By score that all of them have, in the registry's order: the fields of `Difference`, and split.

    Raises
    ------
    UnpairedError
        Where one of them has no scores by origin, or they are of other origins or targets.
    """
    if not own or len(own) != len(reference):
        raise UnpairedError(f"{len(own)} and {len(reference)} trainings make no pairs")
    tables = [*own, *reference]
    if not all(len(table) and set(KEYS) <= set(table) for table in tables):
        raise UnpairedError(NO_SCORES)
    split = next((name for name in SPLITS if all((table["split"] == name).any() for table in tables)), None)
    if split is None:
        raise UnpairedError("their scores by origin are of other splits")
    parts = [_of_split(table, split) for table in tables]
    first = parts[0]
    if any(not _same_targets(part, first) for part in parts[1:]):
        raise UnpairedError("their scores by origin are of other origins or targets")
    known = [name for name in SCORES if all(name in part and is_numeric_dtype(part[name]) for part in parts)]
    span = _span(first)
    found = {}
    for name in known:
        values = np.array([part[name].to_numpy(np.float64) for part in parts])
        found[name] = difference(values[: len(own)], values[len(own) :], span)
    return pd.DataFrame.from_dict(found, orient="index", columns=list(Difference._fields)).assign(split=split)


def _same_targets(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return (
        len(one) == len(other)
        and all((one[key].to_numpy() == other[key].to_numpy()).all() for key in ("origin", "span"))
        and np.allclose(one["target"], other["target"], rtol=1e-4, atol=1e-6)  # they are kept in float32
    )


def _of_split(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """The rows of the last step of a split, in order of time."""
    part = table[table["split"] == split]
    return part[part["step"] == part["step"].max()].sort_values("origin", ignore_index=True)


def _span(table: pd.DataFrame) -> int:
    """Of how many neighbours in the table targets overlap: origins may lie apart."""
    span = int(table["span"].iloc[0])
    if span == 0 or len(table) < 2:
        return span
    apart = np.diff(table["origin"].to_numpy())
    if (apart != apart[0]).any() or apart[0] < 1:
        raise UnpairedError("their origins are not evenly spaced, so that no blocks of time can be cut")
    return max(1, math.ceil(span / apart[0]))


def said(table: pd.DataFrame) -> str:
    """What the intervals of a table of `score_differences` are of, in words.

    Parameters
    ----------
    table
        As `score_differences` returns it.

    Returns
    -------
    str
        One or two sentences.
    """
    first = table.iloc[0]
    blocks, seeds, origins = float(first["blocks"]), int(first["seeds"]), int(first["origins"])
    if blocks == origins:
        over = f"{origins:,} examples of the {first['split']} split"
    else:
        over = f"{origins:,} origins of the {first['split']} split in {int(blocks):,} blocks of time"
    trained = (
        "one training each: the interval is of the data alone, other seeds may differ more"
        if seeds == 1
        else f"{seeds} trainings each, paired by seed: the interval is of data and seeds together"
    )
    few = (
        f" Fewer than {FEWEST_BLOCKS} blocks give no interval: the split is too short for its horizon."
        if blocks < FEWEST_BLOCKS
        else ""
    )
    return f"{over}, {trained}.{few}"
