"""A sequence that a watched model is run on again and again: its posteriors at every position."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from probes.inputs import CHARACTERS, VALUES, run_model
from probes.watching.family_readings import AnyObserved
from probes.watching.posterior_source import Observed

POSITION = "position"
"""Kind of `inputs/` that a sequence's positions have."""
LEAST = 2
MOST = 4_096
"""Positions of a sequence, at least and at most."""

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

    def observe(self, model: nn.Module, seen: dict[str, list[AnyObserved]]) -> dict[str, Observed]:
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
            Layer -> one `Observed` of T rows; layers that have other rows, such as weights, and those that
            are no Gaussian are left out.

        Raises
        ------
        ValueError
            Where no layer has a posterior for each position; and what the model raises.
        """
        if self.run is not None:
            self.run(model)
            return _fitting(_gaussian(seen), len(self.contents))
        found: dict[str, list[Observed]] = {}
        for one in self.each:
            run_model(model, one)
            for name, observed in _gaussian(seen).items():
                found.setdefault(name, []).append(_rows(observed[-1], slice(-1, None)))
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


def _gaussian(seen: Mapping[str, Sequence[AnyObserved]]) -> dict[str, list[Observed]]:
    kept = {name: [one for one in observed if isinstance(one, Observed)] for name, observed in seen.items()}
    found = {name: observed for name, observed in kept.items() if observed}
    if seen and not found:
        names = ", ".join(map(repr, seen))
        raise ValueError(f"beliefs along a sequence are Gaussian: none of {names} is")
    return found


def _rows(observed: Observed, rows: slice) -> Observed:
    parts = (
        None if part is None else (part[rows] if len(part) > 1 else part)
        for part in (observed.mu, observed.sd, observed.prior_mu, observed.prior_sigma)
    )
    mu, sigma, prior_mu, prior_sigma = parts
    assert mu is not None  # a posterior has a mean
    return Observed(mu, sigma, None, prior_mu, prior_sigma)


def _fitting(seen: Mapping[str, Sequence[Observed]], positions: int) -> dict[str, Observed]:
    """The layers that have one row a position: of one call that has them all, or of as many calls."""
    rows = {name: sum(len(one.mu) for one in observed) for name, observed in seen.items()}
    found = {name: _joined(observed) for name, observed in seen.items() if rows[name] == positions}
    if not found:
        counts = ", ".join(f"{count} of {name!r}" for name, count in rows.items()) or "none at all"
        raise ValueError(
            f"{positions} positions, posteriors: {counts}. Run the model on one sequence (a batch of one);"
            " for a model that has one posterior a sequence give a list of its prefixes"
        )
    return found


def _joined(observed: Sequence[Observed]) -> Observed:

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


def path_of(observed: Observed, prior_known: bool) -> dict[str, NDArray[np.float32]]:
    """What `Recorder.sequence` stores of a layer's posteriors at T positions.

    Parameters
    ----------
    observed
        mu (T, N, K), its sigma and, where the network has one of its own, the prior's.
    prior_known
        Whether a prior is known: else KL is null.

    Returns
    -------
    dict
        m, V, mu, sigma, kl, (T, N) each: no belief beyond the posterior is known, so that m = mu and V =
        sigma^2. Means over the K latent dimensions; KL (nats) is their sum.
    """
    mu, sigma = observed.mu.float(), observed.sd.expand(observed.mu.shape).float()
    kl = torch.full(mu.shape[:2], torch.nan)
    if prior_known:
        centre = torch.zeros_like(mu) if observed.prior_mu is None else observed.prior_mu
        width = torch.ones_like(mu) if observed.prior_sigma is None else observed.prior_sigma
        ratio = (sigma / width).square()
        kl = (0.5 * (ratio + ((mu - centre) / width).square() - 1 - ratio.log())).sum(-1)
    m, v, s = (part.mean(-1) for part in (mu, sigma.square(), sigma))
    columns = {"m": m, "V": v, "mu": m, "sigma": s, "kl": kl}
    return {name: part.cpu().numpy().astype(np.float32) for name, part in columns.items()}
