"""A sequence that a watched model is run on again and again: its posteriors at every position."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from probes.inputs import CHARACTERS, VALUES, run_model
from probes.watching.family_readings import AnyObserved, FamilyObserved, FullObserved
from probes.watching.layouts import Observed

POSITION = "position"
"""Kind of `inputs/` that a sequence's positions have."""
LEAST = 2
MOST = 4_096
"""Positions of a sequence, at least and at most."""
Posterior = Observed | FamilyObserved

Run = Callable[[nn.Module], object]


@dataclass(frozen=True)
class ProbeSequence:
    """What is at T positions, and how the model is run on them.

    Attributes
    ----------
    contents
        T texts: what stands at the positions; numbers as JSON.
    run
        Runs the model on the whole sequence; None where `each` does it.
    each
        T inputs, of which the model is run on one after the other: the last row of each is its position's.
    """

    contents: tuple[str, ...]
    run: Run | None
    each: tuple[Any, ...] = ()

    @classmethod
    def of(cls, tokens: Any, inputs: Any) -> ProbeSequence:
        """A sequence from what `Recording.sequence` was given.

        Parameters
        ----------
        tokens
            T texts, or numbers (T,) or (T, D).
        inputs
            What the model is called with, a list of T such inputs, or a function of the model.

        Returns
        -------
        ProbeSequence
            With its positions as texts.

        Raises
        ------
        ValueError
            For fewer than LEAST or more than MOST positions, a list of inputs of another length, tokens that
            are neither texts nor numbers.
        """
        contents = tuple(_contents(tokens))
        if not LEAST <= len(contents) <= MOST:
            raise ValueError(f"a sequence has {LEAST} to {MOST:,} positions, tokens are {len(contents):,}")
        if isinstance(inputs, list):
            if len(inputs) != len(contents):
                raise ValueError(
                    f"inputs: a list has one input for each position, {len(inputs)} are given for"
                    f" {len(contents)} tokens; what the model is called with once is a tensor, a tuple or a"
                    " mapping"
                )
            return cls(contents, None, tuple(inputs))
        if callable(inputs) and not isinstance(inputs, Tensor | Mapping):
            return cls(contents, inputs)
        return cls(contents, lambda model: run_model(model, inputs))

    def stored(self) -> list[tuple[str, str]]:
        """Kind and content of each position, as `Recorder.inputs` takes them."""
        return [(POSITION, content) for content in self.contents]

    def observe(self, model: nn.Module, seen: dict[str, list[AnyObserved]]) -> dict[str, Posterior]:
        """Run the model and take the posterior at each position.

        Parameters
        ----------
        model
            The watched model, whose posteriors come into `seen` as it runs.
        seen
            Layer -> what it put out, in the order of the calls.

        Returns
        -------
        dict
            Layer -> one `Observed` or `FamilyObserved` of T rows; layers that have other rows, such as
            weights, are left out.

        Raises
        ------
        ValueError
            Where no layer has a posterior for each position; and what the model raises.
        """
        if self.run is not None:
            self.run(model)
            return _fitting(_readable(seen), len(self.contents))
        found: dict[str, list[Posterior]] = {}
        for one in self.each:
            run_model(model, one)
            for name, observed in _readable(seen).items():
                found.setdefault(name, []).append(_last_row(observed[-1]))
            seen.clear()
        return _fitting(found, len(self.contents))


def _contents(tokens: Any) -> list[str]:
    if isinstance(tokens, str):
        return list(tokens)
    if isinstance(tokens, Sequence) and all(isinstance(one, str) for one in tokens):
        return [one[:CHARACTERS] for one in tokens]
    values = tokens.detach().cpu().numpy() if isinstance(tokens, Tensor) else np.asarray(tokens)
    if values.ndim not in (1, 2) or values.dtype.kind not in "iufb":
        raise ValueError(
            f"tokens are texts, or numbers (T,) or (T, D); got {values.dtype} of shape {values.shape}"
        )
    rows = values.reshape(len(values), -1)[:, :VALUES].astype(float)
    return [json.dumps([float(f"{value:.4g}") for value in row]) for row in rows]


def _readable(seen: Mapping[str, Sequence[AnyObserved]]) -> dict[str, list[Posterior]]:
    """Of Gaussians with correlated components the marginals, of code books picks without padding's."""
    return {name: list(map(_plain, observed)) for name, observed in seen.items()}


def _plain(observed: AnyObserved) -> Posterior:
    if isinstance(observed, FullObserved):
        return observed.marginals
    if isinstance(observed, FamilyObserved) and observed.family == "codes" and observed.mask is not None:
        index = torch.where(observed.mask, observed.parameters["index"], -1)
        return observed._replace(parameters={"index": index}, mask=None)
    return observed


def _last_row(observed: Posterior) -> Posterior:
    if isinstance(observed, Observed):
        parts = (
            None if part is None else (part[-1:] if len(part) > 1 else part)
            for part in (observed.mu, observed.sd, observed.prior_mu, observed.prior_sigma)
        )
        mu, sigma, prior_mu, prior_sigma = parts
        assert mu is not None  # a posterior has a mean
        return Observed(mu, sigma, None, prior_mu, prior_sigma)
    axis = _row_axis(observed)
    prior = observed.prior
    return observed._replace(
        parameters={name: value.narrow(axis, -1, 1) for name, value in observed.parameters.items()},
        prior=None if prior is None else {name: value[-1:] for name, value in prior.items()},
        kl=None if observed.kl is None else observed.kl[-1:],
        mask=None,
    )


def _row_axis(observed: FamilyObserved) -> int:
    return int(observed.family == "samples")


def _count(observed: Posterior) -> int:
    return len(observed.mu) if isinstance(observed, Observed) else observed.rows


def _fitting(seen: Mapping[str, Sequence[Posterior]], positions: int) -> dict[str, Posterior]:
    """The layers that have one row a position: of one call that has them all, or of as many calls."""
    rows = {name: sum(map(_count, observed)) for name, observed in seen.items()}
    found = {name: _joined(observed) for name, observed in seen.items() if rows[name] == positions}
    if not found:
        counts = ", ".join(f"{count} of {name!r}" for name, count in rows.items()) or "none at all"
        raise ValueError(
            f"{positions} positions, posteriors: {counts}. Run the model on one sequence (a batch of one);"
            " for a model that has one posterior a sequence give a list of its prefixes"
        )
    return found


def _joined(observed: Sequence[Posterior]) -> Posterior:
    gaussian = [one for one in observed if isinstance(one, Observed)]
    others = [one for one in observed if isinstance(one, FamilyObserved)]
    if gaussian and others:
        raise ValueError("a layer is a Gaussian at some positions and of another family at others")
    return _joined_family(others) if others else _joined_gaussian(gaussian)


def _joined_gaussian(observed: Sequence[Observed]) -> Observed:

    def together(pick: Callable[[Observed], Tensor | None]) -> Tensor | None:
        parts = [(pick(one), one.mu.shape) for one in observed]
        if any(part is None for part, _ in parts):
            return None
        return torch.cat([part.expand(shape).float() for part, shape in parts if part is not None])

    mu = together(lambda one: one.mu)
    assert mu is not None  # every posterior has a mean
    return Observed(
        mu,
        together(lambda one: one.sd),
        None,
        together(lambda one: one.prior_mu),
        together(lambda one: one.prior_sigma),
    )


def _joined_family(observed: Sequence[FamilyObserved]) -> FamilyObserved:
    first = observed[0]
    if any(
        one.family != first.family or one.parameters.keys() != first.parameters.keys() for one in observed
    ):
        raise ValueError(f"a layer is of the family {first.family} at some positions, of another at others")
    axis = _row_axis(first)
    parameters = {
        name: torch.cat([one.parameters[name] for one in observed], axis) for name in first.parameters
    }
    prior = None
    if first.prior is not None and all(one.prior is not None for one in observed):
        prior = {  # as broad as the parameters: it may vary from call to call
            name: torch.cat([(one.prior or {})[name].expand(one.parameters[name].shape) for one in observed])
            for name in first.prior
        }
    kls = [one.kl for one in observed if one.kl is not None]
    kl = torch.cat(kls) if len(kls) == len(observed) else None
    return first._replace(parameters=parameters, prior=prior, by_row=True, kl=kl, mask=None)
