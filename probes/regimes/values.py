"""The values that rules compare: what a NaN means, what is held instead of paid, what others leave open."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes import schema
from probes.families import Family
from probes.families.gaussian import Gaussian
from probes.families.others import NOT_KNOWN
from probes.regimes.rules import Array, or_else, telling_statistic
from probes.schema import Thresholds

_MOMENTS = ("mean", "variance", "spread", "prior_variance")
"""What a distribution may have none of, such as a Student t of few degrees of freedom."""
ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Relative error of statistics that a program computes in float32."""


def with_what_is_held(values: dict[str, Array]) -> dict[str, Array]:
    """The values by which neurons of a sequence are judged: what they hold, against Normal(0, 1).

    What they pay at a position is only what is new. Rows without held information stay as they are.
    """
    if "held_information" not in values:
        return values
    held = values["held_information"]
    known = ~np.isnan(held)
    mismatch = values.get("held_mismatch", np.full(held.shape, np.nan))
    instead = {"information": held, "mismatch": mismatch, "kl": held + mismatch}
    instead |= {
        name: np.full(held.shape, schema.STATISTICS[name].neutral)
        for name in ("phi", "past", "prior_variance")
    }
    instead["whitened_mean"] = np.full(held.shape, np.nan)
    return {
        name: np.where(known, instead[name], column) if name in instead else column
        for name, column in values.items()
    }


def untold_rows(values: Mapping[str, Array], family: Family) -> NDArray[np.bool_]:
    """Where no information is recorded though the batch had inputs enough; of a family that is no Gaussian,
    where its rules cannot be asked.
    """
    absent = np.full(np.shape(next(iter(values.values()))), np.nan)
    few = values.get("rows", absent) < schema.FEWEST_ROWS
    untold: NDArray[np.bool_] = np.isnan(values.get(telling_statistic(family), absent))
    if isinstance(family, Gaussian):
        return untold & ~few
    if family.regimes <= NOT_KNOWN:
        return np.ones_like(untold)
    # what tells nothing is dead, offset or frozen, which the KL decides
    unpaid = np.isnan(values.get("kl", absent)) & np.isnan(values.get("mismatch", absent))
    silent = values.get("information", absent) < Thresholds().information
    return (untold | (unpaid & silent & (telling_statistic(family) == "information"))) & ~few


def taken_by_family(
    columns: Mapping[str, Array], taken: Mapping[str, Array], family: Family
) -> Mapping[str, Array]:
    """Where statistics were taken: of a family that is no Gaussian, NaN says of what it does not require that
    it was not, and an infinite moment that there is none. Of a code book it says that nothing was picked yet.
    """
    if isinstance(family, Gaussian):
        return taken
    required = () if telling_statistic(family) == "usage" else family.required
    there = {
        name: np.isfinite(values) if name in _MOMENTS else ~np.isnan(values)
        for name, values in columns.items()
        if name not in required
    }
    return {**taken, **{name: mask & taken.get(name, True) for name, mask in there.items()}}


def completions_of(
    values: Mapping[str, Array], latent_dim: int | Array, family: Family, rounding: float
) -> list[dict[str, Array]]:
    """The values with an information where none is recorded: one for each end of what is possible."""
    absent = np.full(np.shape(next(iter(values.values()))), np.nan)

    def get(name: str) -> Array:
        return np.asarray(values.get(name, absent), np.float64)

    untold = untold_rows(values, family)
    by_difference = get("kl") - get("mismatch") - or_else(get("past"), 0.0)
    # the formulas are of one dimension under Normal(0, 1); a prior that rows do not share is no number
    standard = np.isnan(get("whitened_mean")) & (or_else(get("prior_variance"), 1.0) == 1)
    standard = standard & (or_else(get("phi"), 0.0) == 0) & (np.asarray(latent_dim) == 1)
    spread = or_else(get("spread"), get("mu2") - get("mean") ** 2)
    found = []
    for information, moved, widths in family.completions(
        get("mean"), get("variance"), get("kl"), spread, rounding
    ):
        filled = {
            "information": or_else(by_difference, np.where(standard, information, np.nan)),
            "spread": np.where(standard & np.isnan(by_difference), moved, spread),
            "width_spread": or_else(get("width_spread"), np.where(standard, widths, np.nan)),
        }
        found.append(
            {**values, **{name: np.where(untold, value, get(name)) for name, value in filled.items()}}
        )
    return found


def non_finite_rows(columns: Mapping[str, Array], taken: Mapping[str, Array]) -> Array:
    """Where a stored statistic that was taken is NaN or infinite, or the batch held such values."""
    broken = np.zeros(np.shape(next(iter(columns.values()))), bool)
    few = columns["rows"] < schema.FEWEST_ROWS if "rows" in columns else np.zeros_like(broken)
    for name, values in columns.items():
        statistic = schema.STATISTICS[name]
        # a derived value may be infinite and right: the half-life of a mean that never decays
        if not statistic.stored:
            continue
        bad = np.isinf(values) if statistic.nullable else ~np.isfinite(values)
        bad &= ~(few & np.isnan(values))
        broken |= bad if name not in taken else bad & taken[name]
        if name == "non_finite":
            broken |= values > 0
        if name == "variance":
            broken |= values < 0
    return broken


def read_column(column: pd.Series, required: bool) -> tuple[Array, Array]:
    """A column as float values and where it was taken; see the module's text for what a NaN means."""
    if isinstance(column.dtype, np.dtype) and column.dtype != object:
        values = column.to_numpy()
        return values, np.ones(len(values), bool) if required else ~np.isnan(values)
    if isinstance(column.dtype, pd.ArrowDtype):
        import pyarrow as pa

        arrow = (
            pa.chunked_array(pa.array(column.array)) if len(column) else pa.chunked_array([], pa.float64())
        )
        return np.asarray(arrow.to_numpy(zero_copy_only=False), float), ~np.asarray(arrow.is_null())
    values = column.to_numpy(dtype=float, na_value=np.nan)
    null = np.array([value is None or value is pd.NA for value in column], bool)
    return values, ~null if required or not isinstance(column.dtype, np.dtype) else ~np.isnan(values)


def where_taken(values: Array, taken: Array | None) -> Array:
    return values if taken is None or taken.all() else np.where(taken, values, np.nan)
