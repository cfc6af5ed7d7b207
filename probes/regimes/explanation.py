"""Regimes in words: the rule that fired with its values, how to read it, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from probes import schema
from probes.families import Family
from probes.families.gaussian import GAUSSIAN, Gaussian
from probes.families.others import NOT_KNOWN, SAMPLES
from probes.regimes.classification import classify
from probes.regimes.rules import Array, first_fired, rules_of, telling_statistic
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


def explain(
    row: Mapping[str, Any] | pd.Series,
    thresholds: Thresholds | Mapping[str, float] | None = None,
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
        Limits of the rules, `Thresholds` or some by name; the defaults without it.
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
    return f"{name}: {_reasons(frame, regime.code, Thresholds.of(thresholds), latent_dim, family)}"


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


def _reasons(frame: pd.DataFrame, code: int, limits: Thresholds, latent_dim: int, family: Family) -> str:
    """The values behind a code of a frame of one row."""
    read = {name: read_column(frame[name], required=name in family.required) for name in frame.columns}
    there = taken_by_family(
        {name: values for name, (values, _) in read.items()}, {n: m for n, (_, m) in read.items()}, family
    )
    read = {name: (values, there[name]) for name, (values, _) in read.items()}
    if code == 1:
        bad = [
            name for name, (values, mask) in read.items() if non_finite_rows({name: values}, {name: mask})[0]
        ]
        return ", ".join(f"{name} {_number(read[name][0][0])}" for name in bad)
    columns = with_what_is_held({name: where_taken(values, mask) for name, (values, mask) in read.items()})
    if code == schema.UNKNOWN:
        return _why_unknown(columns, family)
    if (
        untold_rows(columns, family)[0]
        and isinstance(family, Gaussian)
        and first_fired(columns, limits, latent_dim, family)[0] != code
    ):
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            columns = completions_of(columns, latent_dim, family, ROUNDING)[0]
    if code == 0:
        told = ("information", "variance", "active_share")
        if not isinstance(family, Gaussian):
            told = (telling_statistic(family), "mismatch", "entropy" if family.by_entropy else "variance")
        shown = [name for name in told if name in read and read[name][1][0]]
        values = ", ".join(
            f"{schema.STATISTICS[name].label.lower()} {_number(read[name][0][0])}" for name in shown
        )
        return f"no other rule fires ({values})" if values else "no other rule fires"
    rules = dict(rules_of(columns, limits, latent_dim, family))
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
    return f"no {telling_statistic(family)} is recorded, or no KL beside it"


def _shares(columns: Mapping[str, Array], family: Family) -> str:
    """What can be said without a prior: how much of the variance of draws lies between inputs."""
    within, between = (float(columns.get(name, np.array([np.nan]))[0]) for name in ("variance", "spread"))
    total = within + max(between, 0)
    if family.by_entropy or not np.isfinite(total) or total <= 0:
        return ""
    return f"; of its variance {_number(total)}, {100 * max(between, 0) / total:.0f} % lies between inputs"


def _number(value: float) -> str:
    return f"{value:.3g}"
