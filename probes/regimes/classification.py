"""Regimes of whole columns: the first rule that fires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes import schema
from probes.families import Family
from probes.families.gaussian import GAUSSIAN, Gaussian
from probes.regimes.rules import Array, first_fired
from probes.regimes.values import (
    ROUNDING,
    completions_of,
    non_finite_rows,
    read_column,
    taken_by_family,
    untold_rows,
    where_taken,
    with_what_is_held,
)
from probes.schema import Thresholds


def codes(
    columns: Mapping[str, Array],
    taken: Mapping[str, Array] | None = None,
    thresholds: Thresholds | Mapping[str, float] | None = None,
    latent_dim: int | Array = 1,
    family: Family = GAUSSIAN,
    rounding: float = ROUNDING,
) -> NDArray[np.int8]:
    """Regime codes of statistics held as arrays of one common shape: what a writer with arrays at hand calls.

    Parameters
    ----------
    columns
        Name -> values; names that are no statistics are ignored.
    taken
        Name -> boolean array, False where the statistic was not taken; a name without an entry was taken
        everywhere, so that its NaN is non-finite.
    thresholds
        Limits of the rules, `Thresholds` or some by name; the defaults without it.
    latent_dim
        K, one number or an array of the same shape: scales the limits in nats and the floor of the KL under
        an autoregressive prior, since what is in nats sums over K dimensions.
    family
        Of the layer's posteriors; rules that mean nothing for it do not fire.
    rounding
        Relative error of the values.

    Returns
    -------
    ndarray of int8
        Codes of `schema.REGIMES`, of the common shape.
    """
    held = {name: values for name, values in columns.items() if name in schema.STATISTICS}
    if not held:
        shape = next((np.shape(values) for values in columns.values()), (0,))
        return np.full(shape, schema.UNKNOWN, np.int8)
    taken = taken_by_family(held, {} if taken is None else taken, family)
    values = {name: where_taken(array, taken.get(name)) for name, array in held.items()}
    limits = Thresholds.of(thresholds)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        values = with_what_is_held(values)
        result = first_fired(values, limits, latent_dim, family)
        # rules 2, 3 and 4 ask for no information, or have fired without
        untold = untold_rows(values, family) & ~np.isin(result, (2, 3, 4))
        if not isinstance(family, Gaussian):
            result[untold] = schema.UNKNOWN
        elif untold.any():
            completed = completions_of(values, latent_dim, family, rounding)
            possible = [first_fired(one, limits, latent_dim, family) for one in completed]
            one_regime = np.logical_and.reduce(
                [
                    (codes == possible[0]) & np.isfinite(one["information"])
                    for codes, one in zip(possible, completed, strict=True)
                ]
            )
            result = np.where(untold, np.where(one_regime, possible[0], schema.UNKNOWN), result).astype(
                np.int8
            )
    result[non_finite_rows(held, taken)] = 1
    return result


def classify(
    frame: pd.DataFrame,
    thresholds: Thresholds | Mapping[str, float] | None = None,
    latent_dim: int | Sequence[int] | Mapping[int, int] = 1,
    family: Family = GAUSSIAN,
) -> pd.Series:
    """Regime of each row.

    Parameters
    ----------
    frame
        Columns as in `neurons/` of a run log, any subset, in any float type.
    thresholds
        Limits of the rules, `Thresholds` or some by name; the defaults without it.
    latent_dim
        K of all rows, or K by layer (a sequence or mapping indexed by the frame's `layer` column).
    family
        Of the layer's posteriors; rules that mean nothing for it do not fire.

    Returns
    -------
    Series of int8
        Codes of `schema.REGIMES`, named "regime", with the frame's index.

    Raises
    ------
    KeyError
        For a layer without K.
    ValueError
        For a threshold that is none.
    """
    columns: dict[str, Array] = {}
    taken: dict[str, Array] = {}
    for name in frame.columns:
        if name in schema.STATISTICS:
            columns[name], taken[name] = read_column(frame[name], required=name in family.required)
    result = (
        codes(columns, taken, thresholds, _dimensions(frame, latent_dim), family)
        if columns
        else np.full(len(frame), schema.UNKNOWN, np.int8)
    )
    return pd.Series(result, index=frame.index, name="regime")


def _dimensions(frame: pd.DataFrame, latent_dim: int | Sequence[int] | Mapping[int, int]) -> int | Array:
    if isinstance(latent_dim, int):
        return latent_dim
    by_layer = latent_dim if isinstance(latent_dim, Mapping) else dict(enumerate(latent_dim))
    return frame["layer"].map(lambda layer: by_layer[int(layer)]).to_numpy(int)
