"""The rules, in their order, as comparisons of named values with limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes import schema
from probes.families import Family
from probes.families.gaussian import GAUSSIAN, Gaussian
from probes.schema import Thresholds, evaluate

Array = NDArray[Any]
_ENTROPIES = ("entropy", "prior_entropy")
"""What no contraction of a Gaussian is told by."""
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


def first_fired(
    values: Mapping[str, Array], limits: Thresholds, latent_dim: int | Array, family: Family
) -> NDArray[np.int8]:
    """Code of the first rule that fires, 0 where none does."""
    result = np.zeros(np.shape(next(iter(values.values()))), np.int8)
    for code, alternatives in reversed(list(rules_of(values, limits, latent_dim, family))):
        for checks in alternatives if code in family.regimes else ():
            fires = checks[0].holds()
            for check in checks[1:]:
                fires &= check.holds()
            result[fires] = code
    return result


def telling_statistic(family: Family) -> str:
    """The statistic that says whether a neuron lives."""
    return "usage" if "usage" in family.required else "information"


def rules_of(
    values: Mapping[str, Array], limits: Thresholds, latent_dim: int | Array, family: Family
) -> Iterator[tuple[int, list[list[Check]]]]:
    """The rules of a family: those of a Gaussian, of a code book, of any other."""
    if isinstance(family, Gaussian):
        yield from _gaussian_rules(values, limits, latent_dim)
    elif telling_statistic(family) == "usage":
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
        information,
        or_else(get("width_spread"), 0.0),
        or_else(get("rows"), np.inf),
        latent_dim,
        limits.confidence,
    )
    # kl = information + mismatch + past: what a recorder was not given follows from the others
    mismatch = or_else(get("mismatch"), get("kl") - information - get("past"))
    prior_mean, prior_sd = GAUSSIAN.prior(
        get("mean"), get("whitened_mean"), get("prior_variance"), get("phi")
    )
    # E[μ²]; of one dimension spread + mean², of several at least that
    mu2 = or_else(get("mu2"), get("spread") + get("mean") ** 2)
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
    known = np.isinf(or_else(get("rows"), np.inf)).all()
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


def or_else(values: Array, otherwise: Array | float) -> Array:
    """`values`, with NaN replaced."""
    return np.where(np.isnan(values), otherwise, values)
