"""Priors that the user states by patterns of layers' names, put under posteriors that came without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from torch import nn

from probes.watching.family_sources import UnderPrior, is_gaussian_reader
from probes.watching.gaussians import prior_tensors
from probes.watching.layouts import Observed
from probes.watching.pooling import Reading
from probes.watching.posterior_source import PosteriorSource, Prior, PriorFunction, UnknownPrior
from probes.watching.stated import PriorSpec, stated_prior, with_prior


class StatedPriors:
    """The priors of `watch(..., priors=)`.

    Parameters
    ----------
    priors
        {pattern of layer names: prior}, as the user wrote it.
    model
        What a prior that is a function is called with.

    Attributes
    ----------
    unmatched
        Patterns that have fitted no name so far.
    """

    def __init__(self, priors: Mapping[str, PriorSpec], model: nn.Module) -> None:
        self._priors: dict[str, Prior] = {name: stated_prior(name, prior) for name, prior in priors.items()}
        self._model = model
        self.unmatched = set(self._priors)

    def _of(self, name: str) -> Prior:
        """The first whose pattern fits; None where none does."""
        self.unmatched -= {pattern for pattern in self.unmatched if fnmatchcase(name, pattern)}
        return next((prior for pattern, prior in self._priors.items() if fnmatchcase(name, pattern)), None)

    def source_under(self, source: PosteriorSource) -> PosteriorSource:
        """A source with its stated prior, if there is one."""
        prior = self._of(source.name)
        return source if prior is None else with_prior(source, prior)

    def reading_under(self, name: str, reading: Reading) -> Reading:
        """What was handed over, under its stated prior where it came without one."""
        prior = self._of(name)
        if prior is None:
            return reading
        if isinstance(prior, UnknownPrior):
            return Reading(reading.read, reading.taken, unknown_prior=True, layout=reading.layout)
        if not is_gaussian_reader(reading.read):
            other: Any = reading.read
            return Reading(UnderPrior(other, prior, self._model), reading.taken, layout=reading.layout)
        under = partial(_under, reading.read, prior, self._model)
        return Reading(under, reading.taken, layout=reading.layout)


def _under(read: Callable[[Any], Observed], prior: Prior, model: nn.Module, taken: Any) -> Observed:
    observed = read(taken)
    if observed.prior_mu is not None or observed.prior_sigma is not None:
        return observed
    given = prior.call(model, None) if isinstance(prior, PriorFunction) else prior
    mean, sd = prior_tensors(given, observed.mu)
    lift = [value[..., None] if value.dim() else value for value in (mean, sd)]  # of a neuron's dimensions
    return observed._replace(prior_mu=lift[0], prior_sigma=lift[1])
