"""Sums of several processes' rows of the same steps -> those of all rows: what is added, and around what.

Each process knows, of its own rows, counts n, means, and means with mean squared deviations s. Two passes,
both of them plain additions: first, in float64, n and n times each mean that deviations are taken around;
then, with that mean known of all rows, n (s + d²) with d a process's own mean less that of all (Chan, Golub &
LeVeque 1983), and n times the other means, in the precision that they came in. Nothing is lost however far
the means move from step to step.

Where each process has a part of the neurons, what it adds stands at their place among all of them, with
zeros elsewhere; rows are counted by the first part.

Of pairs the sums that a slope's interval (HC1) needs are moved to the means of all rows by their third and
second moments: exactly for one latent dimension. Of several the part that is quadratic in the move takes
dimensions for uncorrelated, and where it could be more than `QUADRATIC` of the interval's square there is
none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from probes.family_moments.pooling import by_neuron
from probes.family_moments.samples import between_draws
from probes.watching.shares import Share

Sums = Mapping[str, Tensor]
"""`poolable()` of some steps, stacked: name -> (T, ...)."""

PARTS = "parts"
"""(T, parts): rows of each part of the neurons, where they lie in several processes."""
WEIGHTS = ("count", "pairs", "seen", PARTS)
"""Few numbers a step, added as they are with the means that some of them weigh."""
TOTALS = ("rows", "effective_rows", "non_finite", "counts", "prior_varies")
"""Added as they are, with all else."""
PAIR = "pair_"
"""Sums over pairs begin with it."""
QUADRATIC = 0.01
SAME = 1e-9
"""Priors that differ by less, relative to their size, are one."""


def first_pass(sums: Sums) -> dict[str, Tensor]:
    """What is added first.

    Parameters
    ----------
    sums
        One layer's, of this process.

    Returns
    -------
    dict
        Name -> (T, ...) float64 on the CPU: weights, and means that deviations are taken around, times them.
    """
    found = {name: _wide(sums[name]) for name in WEIGHTS if name in sums}
    return found | {name: _weighted(sums, name) for name in sums if _is_centre(name, sums)}


def means_of(first: Sums) -> dict[str, Tensor]:
    """Means of all rows.

    Parameters
    ----------
    first
        `first_pass` of all processes, added.

    Returns
    -------
    dict
        Name -> (T, ...); 0 where no row counts.
    """
    return {
        name: value / _beside(first[_weight(name)].clamp_min(1), value)
        for name, value in first.items()
        if name not in WEIGHTS
    }


def second_pass(sums: Sums, means: Sums) -> dict[str, Tensor]:
    """What is added then.

    Parameters
    ----------
    sums
        As of `first_pass`.
    means
        `means_of` all rows.

    Returns
    -------
    dict
        Name -> (T, ...) on the CPU, float32 or float64 as it came.
    """
    found = {}
    one = None if "count" not in sums else _wide(sums["count"])
    every = one is not None and bool((one > 0).all())
    for name, value in sums.items():
        if name.startswith(PAIR) or name in WEIGHTS or _is_centre(name, sums):
            continue
        centre = name.removesuffix("_square")
        if name in TOTALS:
            found[name] = _plain(value)
        elif centre != name and centre in sums:
            moved = (_wide(sums[centre]) - means[centre]).to(_plain(value).dtype)
            found[name] = _times(_plain(value).addcmul(moved, moved), sums["count"], every)
        else:
            found[name] = _times(_plain(value), sums["count"], every)
    for name in sums:  # of one row, or of what was the same in all of them, there is no deviation yet
        if name.startswith("prior_of_"):
            moved = _wide(sums[name]) - means[name]
            found[f"{name}_square"] = _times(moved * moved, sums["count"], every)
    return found | (_pairs_around(sums, means) if "pairs" in sums else {})


def pooled(family: str, first: Sums, second: Sums) -> dict[str, Tensor]:
    """Sums of all rows.

    Parameters
    ----------
    family
        The layer's.
    first, second
        Both passes of all processes, added.

    Returns
    -------
    dict
        As `sufficient_statistics()` gives them for one process that has all rows, stacked over steps.
    """
    found = {name: first[name] for name in ("count", "pairs") if name in first} | means_of(first)
    for name, value in second.items():
        plain = name in TOTALS or name.startswith(PAIR)
        found[name] = value if plain else value / _beside(first["count"].clamp_min(1), value).to(value.dtype)
    if "pairs" in found:
        found |= _slopes_sums(found)
        found = {name: value for name, value in found.items() if not name.startswith(PAIR)}
    priors = [name for name in found if name.startswith("prior_of_") and not name.endswith("_square")]
    for name in priors:
        scale = found[name].abs().clamp_min(torch.finfo(torch.float32).tiny)
        other = found.pop(f"{name}_square").sqrt() > SAME * scale
        found["prior_varies"] = found["prior_varies"] + other.reshape(*other.shape[:2], -1).any(2)
    if family == "samples":
        return found | {"common": between_draws(found["common"], 1)}
    if family.startswith("gaussian"):
        return {name: value.float() for name, value in found.items()}
    return found if family == "codes" else by_neuron(family, found, 2)


def with_parts(sums: Sums, share: Share) -> dict[str, Tensor]:
    """Sums of a part of the neurons, with `PARTS`."""
    parts = torch.zeros(len(sums["count"]), share.parts, dtype=torch.float64)
    parts[:, share.part] = _wide(sums["count"])
    return {**sums, PARTS: parts}


def shape_of_all(name: str, value: Tensor, share: Share | None) -> list[int]:
    """Shape of a sum without its steps, of all neurons."""
    shape = list(value.shape[1:])
    return shape if share is None or not shape or name == PARTS else [share.neurons, *shape[1:]]


def placed(sums: Sums, share: Share) -> dict[str, Tensor]:
    """What a process that has a part of the neurons adds: at their place, (T, N, ...); what is of the whole
    layer, (T,), where it has the first part.
    """
    found = {}
    for name, value in sums.items():
        if name in (PARTS, "seen"):
            found[name] = value
        elif value.dim() == 1:
            found[name] = value if share.part == 0 else torch.zeros_like(value)
        else:
            found[name] = value.new_zeros(len(value), share.neurons, *value.shape[2:])
            found[name][:, share.start : share.stop] = value
    return found


def of_share(sums: Sums, share: Share) -> dict[str, Tensor]:
    """Of all neurons those of a part."""
    return {name: value[:, share.start : share.stop] for name, value in sums.items()}


def _is_centre(name: str, sums: Sums) -> bool:
    return f"{name}_square" in sums or name in ("x", "y") or name.startswith("prior_of_")


def _weight(name: str) -> str:
    return "pairs" if name in ("x", "y") else "count"


def _weighted(sums: Sums, name: str) -> Tensor:
    return _times(_wide(sums[name]), sums[_weight(name)])


def _times(value: Tensor, weight: Tensor, every: bool = False) -> Tensor:
    """A mean over as many rows as `weight` says, (T,): their sum, 0 of none, whatever their mean; `every`:
    there are some at all steps.
    """
    beside = _beside(weight.to(value), value)
    return value * beside if every else torch.where(beside > 0, value * beside, 0.0)


def _plain(value: Tensor) -> Tensor:
    """float32 and float64 as they are."""
    value = value.to("cpu")
    return value if value.dtype in (torch.float32, torch.float64) else value.double()


def _wide(value: Tensor) -> Tensor:
    return value.to("cpu", torch.float64)


def _beside(weight: Tensor, value: Tensor) -> Tensor:
    """(T,) with axes for those of a value (T, ...)."""
    return weight.reshape(-1, *(1,) * (value.dim() - 1))


def _pairs_around(sums: Sums, means: Sums) -> dict[str, Tensor]:
    """Sums over pairs, (T, N, K) and (T, N), around the means of all pairs."""
    own = {name.removeprefix(PAIR): _wide(value) for name, value in sums.items() if name.startswith(PAIR)}
    pairs = _beside(_wide(sums["pairs"]), own["xx"])
    a, b = (torch.where(pairs > 0, _wide(sums[name]) - means[name], 0.0) for name in ("x", "y"))
    xx, xy, yy = own["xx"], own["xy"], own["yy"]
    # x' = x + a, y' = y + b, u' = u + l + c, w' = w + m + d: l and m are linear in a pair
    c, d = (a * b).sum(-1), (a * a).sum(-1)
    u, w, count = xy.sum(-1), xx.sum(-1), pairs[..., 0]
    ll = (a * a * yy + b * b * xx + 2 * a * b * xy).sum(-1)
    lm = (2 * a * (a * xy + b * xx)).sum(-1)
    mm = (4 * a * a * xx).sum(-1)
    ul = (a * own["uy"] + b * own["ux"]).sum(-1)
    um = 2 * (a * own["ux"]).sum(-1)
    wl = (a * own["wy"] + b * own["wx"]).sum(-1)
    wm = 2 * (a * own["wx"]).sum(-1)
    found = {
        "xx": xx + pairs * a * a,
        "xy": xy + pairs * a * b,
        "yy": yy + pairs * b * b,
        "uu": own["uu"] + 2 * ul + ll + 2 * c * u + count * c * c,
        "uw": own["uw"] + um + wl + lm + d * u + c * w + count * c * d,
        "ww": own["ww"] + 2 * wm + mm + 2 * d * w + count * d * d,
    }
    if xx.shape[-1] > 1:
        found |= {"ll": ll, "lm": lm, "mm": mm}
    return {PAIR + name: value for name, value in found.items()}


def _slopes_sums(found: Sums) -> dict[str, Tensor]:
    """What `persistence.slopes` takes, of one series."""
    one = {name.removeprefix(PAIR): value for name, value in found.items() if name.startswith(PAIR)}
    xx, dimensions = one["xx"].sum(-1), one["xx"].shape[-1]
    slope = one["xy"].sum(-1) / xx

    def squared(first: str, both: str, second: str) -> Tensor:
        """Σ (first − slope second)²."""
        return (one[first] - 2 * slope * one[both] + slope * slope * one[second]).clamp_min(0)

    scores = squared("uu", "uw", "ww")
    if dimensions > 1:
        unknown = (dimensions - 1) * squared("ll", "lm", "mm")
        scores = torch.where(unknown <= QUADRATIC * scores, scores, math.nan)
    return {
        **{name: one[name] for name in ("xx", "xy", "yy")},
        "level": found["x"].abs(),
        "scores": scores / (xx * xx),
        "shares": one["ww"] / (xx * xx),
        "groups": (found["pairs"] > 0).to(xx),
    }
