"""Which regime a neuron is in: the first rule that fires, vectorised, with its reasons.

The rules are written once, in `_rules`, as comparisons of named values with limits: `codes` and `classify`
evaluate them on whole columns, `explain` on one row, and prints them. Names, readings and advice are in
`schema.REGIMES`.

What is missing and what is broken are two things:

- A rule whose column is absent, or null in that row, does not fire.
- In the columns that the layer's family requires (`families.Family.required`; Gaussian: mean, variance, kl,
  information, spread) a NaN is non-finite, always.
- In the other statistics a null is "not taken at this step". Columns that know nulls (Arrow and masked types,
  object columns with None) tell it from a NaN, which is then non-finite; in plain float columns, where pandas
  writes a null as NaN, NaN is "not taken". Statistics that may be undefined (`Statistic.nullable`: the slope
  of a mean that never moves) are never non-finite for being NaN.
- Of fewer than two inputs (`rows`) nothing that varies with the input is known: a NaN is "not taken" there.
- Of a family that is no Gaussian the rules are fewer (`Family.regimes`), a NaN where the family does not
  require a statistic is "not taken", and a neuron is only living by numbers: without a prior, or where what
  its rules need is null, its regime is unknown.
- Where no information is recorded, it is what KL and mismatch say; else, of one dimension under Normal(0, 1),
  what mean, variance and KL leave open: where all of that is one regime, it is the neuron's, else the regime
  is unknown (`schema.UNKNOWN`). Nobody is living for want of a column.
- Neurons whose state is carried along a sequence (`held_information`) are judged by what they hold, not by
  what they pay at a position.
- An infinite value is non-finite everywhere. So is a positive `non_finite` count, and a variance below 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from probes import schema
from probes.families import Family
from probes.families.gaussian import GAUSSIAN, Gaussian
from probes.families.others import NOT_KNOWN, SAMPLES
from probes.schema import Thresholds, evaluate

__all__ = ["Thresholds", "classify", "codes", "explain"]

Array = NDArray[Any]


_MOMENTS = ("mean", "variance", "spread", "prior_variance")
"""What a distribution may have none of, such as a Student t of few degrees of freedom."""
_ENTROPIES = ("entropy", "prior_entropy")
"""What no contraction of a Gaussian is told by."""
ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Relative error of statistics that a program computes in float32."""

_COMPARE = {"<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal}


class Check(NamedTuple):
    """One comparison `value sign limit`, elementwise over rows.

    Attributes
    ----------
    label
        What the value is called.
    value
        One number a row, NaN where there is none.
    sign
        "<", ">", "<=" or ">=".
    limit
        A number, or one a row.
    """

    label: str
    value: Array
    sign: str
    limit: Array | float

    def holds(self) -> Array:
        """Boolean array; False where the value or the limit is NaN."""
        return _COMPARE[self.sign](self.value, self.limit)


def codes(
    columns: Mapping[str, Array],
    taken: Mapping[str, Array] | None = None,
    thresholds: Thresholds | None = None,
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
        Limits of the rules; `Thresholds()` by default.
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
    taken = _by_family(held, {} if taken is None else taken, family)
    values = {name: _masked(array, taken.get(name)) for name, array in held.items()}
    limits = thresholds or Thresholds()
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        values = _of_what_is_held(values)
        result = _fired(values, limits, latent_dim, family)
        # rules 2, 3 and 4 ask for no information, or have fired without
        untold = _untold(values, family) & ~np.isin(result, (2, 3, 4))
        if not isinstance(family, Gaussian):
            result[untold] = schema.UNKNOWN
        elif untold.any():
            completed = _completed(values, latent_dim, family, rounding)
            possible = [_fired(one, limits, latent_dim, family) for one in completed]
            one_regime = np.logical_and.reduce(
                [
                    (codes == possible[0]) & np.isfinite(one["information"])
                    for codes, one in zip(possible, completed, strict=True)
                ]
            )
            result = np.where(untold, np.where(one_regime, possible[0], schema.UNKNOWN), result).astype(
                np.int8
            )
    result[_non_finite(held, taken)] = 1
    return result


def classify(
    frame: pd.DataFrame,
    thresholds: Thresholds | None = None,
    latent_dim: int | Sequence[int] | Mapping[int, int] = 1,
    family: Family = GAUSSIAN,
) -> pd.Series:
    """Regime of each row.

    Parameters
    ----------
    frame
        Columns as in `neurons/` of a run log, any subset, in any float type.
    thresholds
        Limits of the rules; `Thresholds()` by default.
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
    """
    columns: dict[str, Array] = {}
    taken: dict[str, Array] = {}
    for name in frame.columns:
        if name in schema.STATISTICS:
            columns[name], taken[name] = _read(frame[name], required=name in family.required)
    result = (
        codes(columns, taken, thresholds, _dimensions(frame, latent_dim), family)
        if columns
        else np.full(len(frame), schema.UNKNOWN, np.int8)
    )
    return pd.Series(result, index=frame.index, name="regime")


def explain(
    row: Mapping[str, Any] | pd.Series,
    thresholds: Thresholds | None = None,
    latent_dim: int = 1,
    family: Family = GAUSSIAN,
) -> str:
    """The rule that made this row's regime, with its values: "dead: information 0.001 < 0.005, ...".

    Where the row has a settled regime, that is named first: "living; at this step dead: information ...".

    Parameters
    ----------
    row
        One neuron at one step, a mapping or Series of statistics, and its `settled` code; other keys are
        ignored.
    thresholds
        Limits of the rules; `Thresholds()` by default.
    latent_dim
        K, latent dimensions of a neuron.
    family
        Of the layer's posteriors.

    Returns
    -------
    str
        Names of the settled regime and, where it is another, the row's own, and what made the latter.
    """
    row = dict(row)
    frame = pd.DataFrame({name: [value] for name, value in row.items() if name in schema.STATISTICS})
    regime = (
        schema.REGIMES[int(classify(frame, thresholds, latent_dim, family).iloc[0])]
        if len(frame)
        else schema.REGIMES[schema.UNKNOWN]
    )
    settled = schema.REGIMES[int(row.get(schema.SETTLED, regime.code))]
    same = settled is regime or (settled.code, regime.code) == (schema.AT_PRIOR, schema.DEAD)
    name = settled.name if same else f"{settled.name}; at this step {regime.name}"
    return f"{name}: {_reasons(frame, regime.code, thresholds or Thresholds(), latent_dim, family)}"


def reading(code: int, of: str | None = None, family: Family = GAUSSIAN) -> tuple[str, str]:
    """How to read a regime, and what to do about it, for what the posteriors are of.

    Parameters
    ----------
    code
        Of `schema.REGIMES`.
    of
        What the layer's posteriors are of (`run_reader.LayerInfo`): "activations" (the default), "weights" or
        "shared variables".
    family
        Of the layer's posteriors.

    Returns
    -------
    tuple of str
        Reading and advice. Posteriors that every input shares hold no information of an input: that they are
        frozen is no fault of theirs.
    """
    regime = schema.REGIMES[code]
    if of in schema.SHARED and code in schema.SHARED_READINGS:
        return schema.SHARED_READINGS[code]
    if isinstance(family, Gaussian):
        return regime.reading, regime.advice
    own = schema.FAMILY_READINGS.get(family.name, {})
    if code == schema.UNKNOWN and family.regimes <= NOT_KNOWN:
        return schema.ONLY_DRAWS if family.name == SAMPLES.name else schema.WITHOUT_PRIOR
    return own.get(code) or schema.OTHER_READINGS.get(code) or (regime.reading, regime.advice)


def _fired(
    values: Mapping[str, Array], limits: Thresholds, latent_dim: int | Array, family: Family
) -> NDArray[np.int8]:
    """Code of the first rule that fires, 0 where none does."""
    result = np.zeros(np.shape(next(iter(values.values()))), np.int8)
    for code, alternatives in reversed(list(_rules(values, limits, latent_dim, family))):
        for checks in alternatives if code in family.regimes else ():
            fires = checks[0].holds()
            for check in checks[1:]:
                fires &= check.holds()
            result[fires] = code
    return result


def _of_what_is_held(values: dict[str, Array]) -> dict[str, Array]:
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


def _untold(values: Mapping[str, Array], family: Family) -> NDArray[np.bool_]:
    """Where no information is recorded though the batch had inputs enough; of a family that is no Gaussian,
    where its rules cannot be asked.
    """
    absent = np.full(np.shape(next(iter(values.values()))), np.nan)
    few = values.get("rows", absent) < schema.FEWEST_ROWS
    untold: NDArray[np.bool_] = np.isnan(values.get(_told_by(family), absent))
    if isinstance(family, Gaussian):
        return untold & ~few
    if family.regimes <= NOT_KNOWN:
        return np.ones_like(untold)
    # what tells nothing is dead, offset or frozen, which the KL decides
    unpaid = np.isnan(values.get("kl", absent)) & np.isnan(values.get("mismatch", absent))
    silent = values.get("information", absent) < Thresholds().information
    return (untold | (unpaid & silent & (_told_by(family) == "information"))) & ~few


def _told_by(family: Family) -> str:
    """The statistic that says whether a neuron lives."""
    return "usage" if "usage" in family.required else "information"


def _by_family(
    columns: Mapping[str, Array], taken: Mapping[str, Array], family: Family
) -> Mapping[str, Array]:
    """Where statistics were taken: of a family that is no Gaussian, NaN says of what it does not require that
    it was not, and an infinite moment that there is none. Of a code book it says that nothing was picked yet.
    """
    if isinstance(family, Gaussian):
        return taken
    required = () if _told_by(family) == "usage" else family.required
    there = {
        name: np.isfinite(values) if name in _MOMENTS else ~np.isnan(values)
        for name, values in columns.items()
        if name not in required
    }
    return {**taken, **{name: mask & taken.get(name, True) for name, mask in there.items()}}


def _completed(
    values: Mapping[str, Array], latent_dim: int | Array, family: Family, rounding: float
) -> list[dict[str, Array]]:
    """The values with an information where none is recorded: one for each end of what is possible."""
    absent = np.full(np.shape(next(iter(values.values()))), np.nan)

    def get(name: str) -> Array:
        return np.asarray(values.get(name, absent), np.float64)

    untold = _untold(values, family)
    by_difference = get("kl") - get("mismatch") - _or(get("past"), 0.0)
    # the formulas are of one dimension under Normal(0, 1); a prior that rows do not share is no number
    standard = np.isnan(get("whitened_mean")) & (_or(get("prior_variance"), 1.0) == 1)
    standard = standard & (_or(get("phi"), 0.0) == 0) & (np.asarray(latent_dim) == 1)
    spread = _or(get("spread"), get("mu2") - get("mean") ** 2)
    found = []
    for information, moved, widths in family.completions(
        get("mean"), get("variance"), get("kl"), spread, rounding
    ):
        filled = {
            "information": _or(by_difference, np.where(standard, information, np.nan)),
            "spread": np.where(standard & np.isnan(by_difference), moved, spread),
            "width_spread": _or(get("width_spread"), np.where(standard, widths, np.nan)),
        }
        found.append(
            {**values, **{name: np.where(untold, value, get(name)) for name, value in filled.items()}}
        )
    return found


def _rules(
    values: Mapping[str, Array], limits: Thresholds, latent_dim: int | Array, family: Family
) -> Iterator[tuple[int, list[list[Check]]]]:
    """The rules of a family: those of a Gaussian, of a code book, of any other."""
    if isinstance(family, Gaussian):
        yield from _gaussian_rules(values, limits, latent_dim)
    elif _told_by(family) == "usage":
        yield 4, [[Check("usage", values.get("usage", np.asarray(np.nan)), "<=", 0.0)]]
    else:
        yield from _other_rules(values, limits, latent_dim, family)


def _other_rules(
    values: Mapping[str, Array], limits: Thresholds, latent_dim: int | Array, family: Family
) -> Iterator[tuple[int, list[list[Check]]]]:
    """Rules 4 to 7 of families that are no Gaussian: of information, mismatch and contraction alone.

    Under one prior for all rows kl = information + mismatch, so that a KL within the limits of both says that
    both are; where each row has its prior, it says that the posterior is that prior.
    """
    absent = np.full(np.shape(next(iter(values.values()))), np.nan)

    def get(name: str) -> Array:
        return values.get(name, absent)

    held = dict(values) | {"variance": absent if family.by_entropy else get("variance")}
    contraction = evaluate("contraction", held, standard=False)
    kl, information = get("kl"), get("information")
    recorded = np.isfinite(get("mismatch"))
    mismatch = np.where(recorded, get("mismatch"), kl - information)
    name = "mismatch" if recorded.all() else "KL less information"
    few = get("rows") < schema.FEWEST_ROWS
    least = min(limits.information, limits.mismatch)

    silent = Check("information", information, "<", limits.information * latent_dim)
    matched = Check(name, mismatch, "<=", limits.mismatch * latent_dim)
    paid = Check(name, mismatch, ">", limits.mismatch * latent_dim)
    spent = Check("KL", np.where(few, np.nan, kl), "<", least * latent_dim)
    narrow = Check("contraction", contraction, "<", limits.contraction)
    wide = Check("contraction", contraction, ">=", limits.contraction)
    unknown = Check(
        name, np.where(np.isnan(contraction), mismatch, np.nan), ">", limits.mismatch * latent_dim
    )

    yield 4, [[silent, matched], [spent]]
    yield 5, [[silent, narrow, paid], [silent, unknown]]
    yield 6, [[silent, wide]]
    yield 7, [[Check("contraction", contraction, ">", limits.deterministic)]]


def _gaussian_rules(
    values: Mapping[str, Array], limits: Thresholds, latent_dim: int | Array
) -> Iterator[tuple[int, list[list[Check]]]]:
    """Rules 2 to 9 in their order as (code, alternatives); a rule fires where all checks of an alternative
    hold.

    `values` are arrays of one shape with NaN where a statistic is absent in a row; a missing name is absent
    everywhere.
    """
    absent = np.full(np.shape(next(iter(values.values()))), np.nan)

    def get(name: str) -> Array:
        if name not in values:
            neutral = schema.STATISTICS[name].neutral
            return absent if neutral is None else np.full_like(absent, neutral)
        return values[name]

    def derived(name: str) -> Array:
        inputs = [one for part in schema.inputs_of(name) for one in part if one not in _ENTROPIES]
        return evaluate(name, {one: get(one) for one in inputs}, latent_dim=latent_dim)

    autoregressive = np.nan_to_num(get("phi")) != 0
    contraction = derived("contraction")
    information = get("information")
    limit = GAUSSIAN.information_limit(
        information, _or(get("width_spread"), 0.0), _or(get("rows"), np.inf), latent_dim, limits.confidence
    )
    # kl = information + mismatch + past: what a recorder was not given follows from the others
    mismatch = _or(get("mismatch"), get("kl") - information - get("past"))
    prior_mean, prior_sd = GAUSSIAN.prior(
        get("mean"), get("whitened_mean"), get("prior_variance"), get("phi")
    )
    # E[μ²]; of one dimension spread + mean², of several at least that
    mu2 = _or(get("mu2"), get("spread") + get("mean") ** 2)
    around = np.where(prior_mean == 0, mu2, mu2 - 2 * prior_mean * get("mean") + prior_mean**2)
    energy = (get("variance") + around) / prior_sd**2
    # Each form of rule 4 speaks for its own kind of prior: the other's value is absent.
    fixed = np.where(autoregressive, np.nan, mismatch)
    above_floor = np.where(autoregressive, derived("kl_above_floor"), np.nan)
    band = get("band_high") * (1 + limits.band_tolerance)
    # Neither part of kl = information + mismatch is negative: where a recorder was not given the information
    # (nor the rows that its limit needs), a KL within the limits of both says the same of both.
    untold_kl = np.isnan(information) & np.isnan(get("rows")) & ~autoregressive
    both = np.where(untold_kl, get("kl"), np.nan)

    nats = limits.information * latent_dim
    known = np.isinf(_or(get("rows"), np.inf)).all()
    untold = Check("information" if known else "upper limit of the information", limit, "<", nats)
    silent = Check("information", information, "<", nats)
    narrow = Check("contraction", contraction, "<", limits.contraction)
    matched = Check("mismatch", fixed, "<=", limits.mismatch * latent_dim)
    at_floor = Check("KL above its floor", above_floor, "<", limits.kl_above_floor * latent_dim)
    spent = Check("KL", both, "<", min(limits.information, limits.mismatch) * latent_dim)
    some = Check("active share", get("active_share"), ">=", limits.mixed_low)
    not_all = Check("active share", get("active_share"), "<=", limits.mixed_high)
    wide = Check("spread of widths", get("width_spread"), ">", limits.width_spread * latent_dim)

    yield 2, [[Check("clamped share", get("clamp_share"), ">", limits.clamp_share)]]
    yield 3, [[Check("contraction", contraction, "<", limits.exploded)]]
    yield 4, [[untold, narrow, matched], [untold, at_floor], [spent, narrow]]
    yield 5, [[silent, narrow]]
    yield 6, [[silent]]
    nearly_one = np.where(np.isnan(get("held_information")), limits.deterministic, limits.deterministic_held)
    yield 7, [[Check("contraction", contraction, ">", nearly_one)]]
    yield (
        8,
        [
            [Check("variance + mean energy", energy, ">", limits.energy)],
            [Check("mean energy", get("mu2"), ">", band)],
        ],
    )
    yield 9, [[some, not_all, wide]]


def _non_finite(columns: Mapping[str, Array], taken: Mapping[str, Array]) -> Array:
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


def _reasons(frame: pd.DataFrame, code: int, limits: Thresholds, latent_dim: int, family: Family) -> str:
    """The values behind a code of a frame of one row."""
    read = {name: _read(frame[name], required=name in family.required) for name in frame.columns}
    there = _by_family(
        {name: values for name, (values, _) in read.items()}, {n: m for n, (_, m) in read.items()}, family
    )
    read = {name: (values, there[name]) for name, (values, _) in read.items()}
    if code == 1:
        bad = [name for name, (values, mask) in read.items() if _non_finite({name: values}, {name: mask})[0]]
        return ", ".join(f"{name} {_number(read[name][0][0])}" for name in bad)
    columns = _of_what_is_held({name: _masked(values, mask) for name, (values, mask) in read.items()})
    if code == schema.UNKNOWN:
        return _why_unknown(columns, family)
    if (
        _untold(columns, family)[0]
        and isinstance(family, Gaussian)
        and _fired(columns, limits, latent_dim, family)[0] != code
    ):
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            columns = _completed(columns, latent_dim, family, ROUNDING)[0]
    if code == 0:
        told = ("information", "variance", "active_share")
        if not isinstance(family, Gaussian):
            told = (_told_by(family), "mismatch", "entropy" if family.by_entropy else "variance")
        shown = [name for name in told if name in read and read[name][1][0]]
        values = ", ".join(
            f"{schema.STATISTICS[name].label.lower()} {_number(read[name][0][0])}" for name in shown
        )
        return f"no other rule fires ({values})" if values else "no other rule fires"
    rules = dict(_rules(columns, limits, latent_dim, family))
    for checks in rules[code]:
        if all(bool(check.holds()[0]) for check in checks):
            reasons = ", ".join(
                f"{c.label} {_number(c.value[0])} {c.sign} {_number(np.ravel(c.limit)[0])}" for c in checks
            )
            upper = rules[4][0][0]  # offset and frozen ask the estimate: of few inputs it proves little
            if code in (5, 6) and isinstance(family, Gaussian) and upper.value[0] >= upper.limit:
                reasons += f"; of {columns['rows'][0]:.0f} inputs, it may be up to {_number(upper.value[0])}"
            return reasons
    raise AssertionError(f"regime {code} has no rule that fires")


def _why_unknown(columns: Mapping[str, Array], family: Family) -> str:
    if isinstance(family, Gaussian):
        return "no information is recorded, and mean, variance and KL leave it open"
    if family.regimes <= NOT_KNOWN:
        return f"no prior is known{_shares(columns, family)}"
    return f"no {_told_by(family)} is recorded, or no KL beside it"


def _shares(columns: Mapping[str, Array], family: Family) -> str:
    """What can be said without a prior: how much of the variance of draws lies between inputs."""
    within, between = (float(columns.get(name, np.array([np.nan]))[0]) for name in ("variance", "spread"))
    total = within + max(between, 0)
    if family.by_entropy or not np.isfinite(total) or total <= 0:
        return ""
    return f"; of its variance {_number(total)}, {100 * max(between, 0) / total:.0f} % lies between inputs"


def _read(column: pd.Series, required: bool) -> tuple[Array, Array]:
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


def _dimensions(frame: pd.DataFrame, latent_dim: int | Sequence[int] | Mapping[int, int]) -> int | Array:
    if isinstance(latent_dim, int):
        return latent_dim
    by_layer = latent_dim if isinstance(latent_dim, Mapping) else dict(enumerate(latent_dim))
    return frame["layer"].map(lambda layer: by_layer[int(layer)]).to_numpy(int)


def _masked(values: Array, taken: Array | None) -> Array:
    return values if taken is None or taken.all() else np.where(taken, values, np.nan)


def _or(values: Array, otherwise: Array | float) -> Array:
    """`values`, with NaN replaced."""
    return np.where(np.isnan(values), otherwise, values)


def _number(value: float) -> str:
    return f"{value:.3g}"
