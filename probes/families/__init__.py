"""Families of distributions: what is recorded of a neuron's posterior, and what its numbers mean.

A family is one file in this package that offers a `Family`; its name stands in the manifest of each layer
that belongs to it ("gaussian" where a layer names none). Regimes and checks ask the family. No torch here:
sums over a batch are in `probes.moments` and `probes.family_moments`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from probes.families.gaussian import GAUSSIAN, GAUSSIAN_FULL, GAUSSIAN_UNKNOWN_PRIOR, Gaussian
from probes.families.others import OTHERS, Other

__all__ = ["FAMILIES", "Family", "family_of", "standard_prior"]


class Family(Protocol):
    """What the rest of `probes` asks of a family."""

    @property
    def name(self) -> str:
        """The family's name in a layer's manifest."""

    @property
    def required(self) -> tuple[str, ...]:
        """Statistics that every recorded step has: a NaN in one of them is non-finite, never "not taken"."""

    @property
    def regimes(self) -> frozenset[int]:
        """Codes of `schema.REGIMES` whose rules mean something for this family."""

    @property
    def label(self) -> str:
        """As pages write it."""

    @property
    def support(self) -> str:
        """Where its mass lies (`others.Support`)."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of what is stored of a posterior of the probe batch."""

    @property
    def by_entropy(self) -> bool:
        """Whether contraction is that of the entropy."""

    @property
    def identity(self) -> bool:
        """Whether kl = information + mismatch holds exactly under one prior for all rows."""

    def completions(self, mean: Any, variance: Any, kl: Any, spread: Any, rounding: float) -> list[Any]:
        """What mean, variance and KL leave open where no information is recorded."""


FAMILIES: dict[str, Family] = {
    family.name: family for family in (GAUSSIAN, GAUSSIAN_UNKNOWN_PRIOR, GAUSSIAN_FULL, *OTHERS)
}
"""Every family by its name."""


def family_of(layer: Mapping[str, Any]) -> Family:
    """The family of a layer of a manifest.

    Parameters
    ----------
    layer : mapping
        An item of `Run.layers`; without a key `family` it is Gaussian.

    Raises
    ------
    KeyError
        For a family that this version does not know; the message lists those that it does.
    """
    name = str(layer.get("family", GAUSSIAN.name))
    if name not in FAMILIES:
        raise KeyError(f"layer {layer.get('name')!r} is of the family {name!r}; known are {sorted(FAMILIES)}")
    family = FAMILIES[name]
    if layer.get("prior") == "unknown" and isinstance(family, Other):
        return family.without_prior()
    return family


def standard_prior(layer: Mapping[str, Any]) -> bool:
    """Whether a layer's prior is Normal(0, 1) where its rows say nothing of one.

    Parameters
    ----------
    layer : mapping
        An item of `Run.layers`.

    Raises
    ------
    KeyError
        As `family_of`.
    """
    return isinstance(family_of(layer), Gaussian)
