"""Pools of posteriors that are no diagonal Gaussian: one layer over the batches of a step.

Each has the methods of `probes.watching.pooling.Pool`; `pool_for` chooses by what a first batch is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from probes.families import FAMILIES
from probes.family_moments import CodeUsage, FamilyMoments, SampleMoments, derive_family
from probes.family_moments.code_usage import derive_usage
from probes.moments import Moments, derive
from probes.watching.family_readings import AnyObserved, FamilyObserved, FullObserved
from probes.watching.layouts import Observed
from probes.watching.pooling import Pool, Reading, Rows, Sums, updated

WINDOW_STEPS = 1024
"""Steps that the usage of a code book is over, where nobody says another number."""
JOINT = "joint_kl"
BY_MOMENTS = ("laplace", "student_t", "generic")
"""Families whose information is that of a Gaussian of the same mean and variance."""


class Summed(Protocol):
    """What a pool gives for a step: sums, or rows that are summed later."""

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """Name -> tensor, whose steps are stacked before statistics are derived."""

    def poolable(self) -> dict[str, Tensor]:
        """Name -> tensor, of this process's rows, for a pool over several (`rank_sums`)."""


class AnyPool(Protocol):
    """One layer over the batches of a step."""

    size: tuple[int, int]
    shared: bool
    every_step: bool

    def add(self, reading: Reading) -> None:
        """One batch. Raises ValueError for another size or family."""

    def add_observed(self, observed: Any) -> None:
        """One batch that was read. Raises as `add`."""

    def take(self) -> Summed | Rows | None:
        """What was added since the last call."""

    def take_sums(self) -> Summed | None:
        """As `take`, never as rows."""

    def give(self, known: Summed) -> None:
        """Begin with what was taken before."""

    def anew(self) -> Any:
        """An empty pool of the same kind."""


def pool_for(observed: AnyObserved, shared: bool) -> AnyPool:
    """An empty pool for batches like this one."""
    if isinstance(observed, Observed):
        return Pool(observed.neurons, shared)
    if isinstance(observed, FullObserved):
        return FullPool(observed.neurons, shared)
    if observed.family == "codes":
        return CodePool(observed)
    if observed.family == "samples":
        return SamplePool(observed, shared)
    return FamilyPool(observed, shared)


def _check(size: tuple[int, int], observed: FamilyObserved | FullObserved) -> None:
    if observed.neurons != size:
        raise ValueError(f"it has {size[0]} neurons, a batch has {observed.neurons[0]}")


class FamilyPool:
    """Posteriors of one family.

    Parameters
    ----------
    first
        A batch, whose family, classes and prior those after it have.
    shared
        Whether the posterior is the same for every input.
    """

    every_step = False

    def __init__(self, first: FamilyObserved, shared: bool) -> None:
        self.size, self.shared = first.neurons, shared
        self._first, self._of = first, first.of
        self._moments: FamilyMoments | None = None

    def add(self, reading: Reading) -> None:
        self.add_observed(reading())

    def prior_parameters(self) -> dict[str, float] | None:
        """The prior of the first batch, where it is one for all rows, neurons and steps."""
        return self._first.prior_parameters()

    def add_observed(self, observed: AnyObserved) -> None:
        assert isinstance(observed, FamilyObserved)  # so its reader makes
        _check(self.size, observed)
        if 1 in (observed.rows, self._first.rows):  # of one row no shape tells whether its prior is its own
            observed = observed._replace(by_row=self._first.by_row)
        if observed.of != self._of:
            raise ValueError(f"it was a {_said(self._first)}, a batch is a {_said(observed)}")
        if self._moments is None:
            self._moments = FamilyMoments(observed.family, prior_by_row=observed.by_row)
        self._moments.update(
            observed.parameters,
            observed.prior,
            mask=observed.mask,
            kl=observed.kl,
            shared=self.shared,
            estimated=observed.drawn,
            positions=observed.positions,
        )

    def take(self) -> FamilyMoments | None:
        return self.take_sums()

    def take_sums(self) -> FamilyMoments | None:
        taken, self._moments = self._moments, None
        return taken

    def give(self, known: Summed) -> None:
        assert isinstance(known, FamilyMoments)  # what was taken
        self._moments = known

    def anew(self) -> FamilyPool:
        return FamilyPool(self._first, self.shared)


def _said(observed: FamilyObserved) -> str:
    classes = "" if observed.size is None else f" of {observed.size} classes"
    prior = "a prior that varies by row" if observed.by_row else "one prior"
    return f"{observed.family}{classes} under {prior}"


class SamplePool:
    """Draws.

    Parameters
    ----------
    first
        A batch.
    shared
        Whether the posterior is the same for every input.
    """

    every_step = False

    def __init__(self, first: FamilyObserved, shared: bool) -> None:
        self.size, self.shared = first.neurons, shared
        self._first = first
        self._of: tuple[object, ...] = first.of
        self._moments: SampleMoments | None = None

    def add(self, reading: Reading) -> None:
        self.add_observed(reading())

    def add_observed(self, observed: AnyObserved) -> None:
        assert isinstance(observed, FamilyObserved)  # so its reader makes
        _check(self.size, observed)
        self._of = self._of or observed.of
        if observed.of != self._of:
            raise ValueError("log densities are given for some batches and not for others")
        given = observed.parameters
        self._moments = (self._moments or SampleMoments()).update(
            given["sample"], given.get("log_q"), given.get("log_prior"), mask=observed.mask
        )

    def take(self) -> SampleMoments | None:
        return self.take_sums()

    def take_sums(self) -> SampleMoments | None:
        taken, self._moments = self._moments, None
        return taken

    def give(self, known: Summed) -> None:
        assert isinstance(known, SampleMoments)  # what was taken
        self._moments = known

    def anew(self) -> SamplePool:
        empty = SamplePool(self._first, self.shared)
        empty._of = ()  # a prior that was found may bring log densities
        return empty


class CodePool:
    """Picks of a code book, whose usage is over a window of steps: each step counts, recorded or not.

    Parameters
    ----------
    first
        A batch.

    Attributes
    ----------
    counts_empty_steps
        Whether the window moves on in steps without picks, in which other processes may have some.
    """

    every_step = True

    def __init__(self, first: FamilyObserved) -> None:
        self.size, self.shared = first.neurons, False
        self._first = first
        self.window = first.window or WINDOW_STEPS
        self._usage = CodeUsage(self.size[0], self.window)
        self.counts_empty_steps = False
        self._picks: list[tuple[Tensor, Tensor | None]] = []
        self._given: CodeSums | None = None

    def add(self, reading: Reading) -> None:
        self.add_observed(reading())

    def add_observed(self, observed: AnyObserved) -> None:
        assert isinstance(observed, FamilyObserved)  # so its reader makes
        _check(self.size, observed)
        self._picks.append((observed.parameters["index"], observed.mask))

    def take(self) -> CodeSums | None:
        return self.take_sums()

    def take_sums(self) -> CodeSums | None:
        picks, self._picks = self._picks, []
        if not picks and self.counts_empty_steps and self._given is None:
            picks = [(torch.zeros(0, dtype=torch.long), None)]
        if not picks:
            given, self._given = self._given, None
            return given
        chosen = [index if mask is None else torch.where(mask, index, -1) for index, mask in picks]
        self._usage.update(chosen[0] if len(chosen) == 1 else torch.cat(chosen))
        return CodeSums(self._usage.counts())

    def give(self, known: Summed) -> None:
        assert isinstance(known, CodeSums)  # what was taken
        self._given = known

    def anew(self) -> CodePool:
        return CodePool(self._first)


class CodeSums:
    """Picks of a window."""

    def __init__(self, counts: Tensor) -> None:
        self._counts = counts

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """counts, (size + 2,)."""
        return {"counts": self._counts}

    def poolable(self) -> dict[str, Tensor]:
        """The same: picks are added."""
        return {"counts": self._counts}


class FullSums:
    """Sums of a Gaussian's marginals, and its joint KL."""

    def __init__(self) -> None:
        self._marginals: Moments | None = None
        self._joint: Tensor | None = None
        self._rows: Tensor | float = 0.0

    def update(self, observed: FullObserved, shared: bool) -> None:
        """One batch."""
        self._marginals = updated(self._marginals, observed.marginals, shared)
        joint, mask = observed.joint_kl, observed.marginals.mask
        if joint is None:
            return
        weights = torch.ones_like(joint) if mask is None else mask.to(joint.dtype)
        total = (torch.where(weights > 0, joint, 0) * weights).sum()
        self._joint = total if self._joint is None else self._joint + total
        self._rows = self._rows + weights.sum()

    @property
    def marginals(self) -> Moments:
        """Sums of the neurons, each for itself. Raises ValueError before the first batch."""
        if self._marginals is None:
            raise ValueError("no batch yet: update first")
        return self._marginals

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """Those of the marginals, and `JOINT`, ()."""
        return self.marginals.sufficient_statistics() | self._of_joint()

    def poolable(self) -> dict[str, Tensor]:
        """As `sufficient_statistics`, the marginals' as `Moments.poolable`."""
        return self.marginals.poolable() | self._of_joint()

    def _of_joint(self) -> dict[str, Tensor]:
        return {} if self._joint is None else {JOINT: (self._joint / self._rows).float()}


class FullPool:
    """Gaussians with correlated components.

    Parameters
    ----------
    size
        Neurons, and 1.
    shared
        Whether the posterior is the same for every input.
    """

    every_step = False

    def __init__(self, size: tuple[int, int], shared: bool) -> None:
        self.size, self.shared = size, shared
        self._sums: FullSums | None = None

    def add(self, reading: Reading) -> None:
        self.add_observed(reading())

    def add_observed(self, observed: AnyObserved) -> None:
        assert isinstance(observed, FullObserved)  # so its reader makes
        _check(self.size, observed)
        self._sums = self._sums or FullSums()
        self._sums.update(observed, self.shared)

    def take(self) -> FullSums | None:
        return self.take_sums()

    def take_sums(self) -> FullSums | None:
        taken, self._sums = self._sums, None
        return taken

    def give(self, known: Summed) -> None:
        assert isinstance(known, FullSums)  # what was taken
        self._sums = known

    def anew(self) -> FullPool:
        return FullPool(self.size, self.shared)


def derive_sums(family: str, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Statistics of a layer of any family, of the sums of several steps: (T, N), of the whole layer (T,).

    Parameters
    ----------
    family
        The layer's.
    sums
        Name -> steps stacked in front.
    """
    if family == "gaussian_full":
        joint = sums.get(JOINT)
        found = derive({name: value for name, value in sums.items() if name != JOINT})
        if joint is not None:
            found |= {JOINT: joint, "coupling": joint - found["kl"].sum(1)}
        return found
    if family.startswith("gaussian"):
        return derive(sums)
    if family == "codes":
        return derive_usage(sums["counts"])
    return derive_family(family, sums)


def class_usage(family: str, sums: Mapping[str, Tensor]) -> Tensor | None:
    """(T, N, C): how neurons share themselves out over their classes or components; None where that is not
    known.

    Parameters
    ----------
    family, sums
        As of `derive_sums`.
    """
    mean = sums.get({"categorical": "t0", "bernoulli": "t0", "dirichlet": "shares"}.get(family, ""))
    if mean is None:
        return None
    return torch.stack([1 - mean, mean], -1) if family == "bernoulli" else mean


def shown_parameters(family: str, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those parameters that `parameters/` has names for."""
    return {name: parameters[name] for name in FAMILIES[family].parameters}


__all__ = [
    "AnyPool",
    "BY_MOMENTS",
    "CodePool",
    "FamilyPool",
    "FullPool",
    "SamplePool",
    "Sums",
    "class_usage",
    "derive_sums",
    "pool_for",
    "shown_parameters",
]
