"""A watched model outside of its training: the posteriors of a fixed batch of inputs, and nothing changed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from probes.families import FAMILIES
from probes.watching.family_pools import shown_parameters
from probes.watching.family_readings import AnyObserved, FamilyObserved, FullObserved
from probes.watching.layouts import Observed


@contextmanager
def untouched(model: nn.Module, training: bool) -> Iterator[None]:
    """A block that runs `model` in training or eval mode without gradients; afterwards each module's mode,
    the buffers (running means) and the random states of torch, numpy and Python are what they were.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            model.train(training)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def of_inputs(found: Sequence[AnyObserved], count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """mu and sigma of each neuron for each of `count` inputs, (count, N): of the sum of its latent dimensions
    and positions over the root of their number, which has the prior Normal(0, 1) where they have it.

    found: all that a layer put out. None where rows are not of inputs: weights, or another number of them.
    """
    means, variances, masks = [], [], []
    for one in found:
        observed = one.marginals if isinstance(one, FullObserved) else one
        if not isinstance(observed, Observed):
            return None
        mu, sigma, mask = observed.mu, observed.sd.expand(observed.mu.shape), observed.mask
        if len(mu) % count or not len(mu):
            return None
        counted = torch.ones(len(mu), device=mu.device) if mask is None else mask.float()
        means.append(_by_input(mu.double(), count))
        variances.append(_by_input(sigma.double().square(), count))
        masks.append(counted.double().reshape(count, -1))
    if not means:
        return None
    mu, variance, mask = (torch.cat(parts, 1) for parts in (means, variances, masks))
    weight = mask[:, :, None, None]
    terms = (mask.sum(1) * mu.shape[-1])[:, None]  # positions times dimensions
    pooled = torch.where(weight > 0, mu, 0).sum((1, 3)) / terms.sqrt()
    spread = (torch.where(weight > 0, variance, 0).sum((1, 3)) / terms).sqrt()
    return pooled.float().cpu().numpy(), spread.float().cpu().numpy()


def parameters_of_inputs(found: Sequence[AnyObserved], count: int) -> dict[str, np.ndarray] | None:
    """Parameters of each neuron for each of `count` inputs, name -> (count, N) or (count, N, C); of draws
    (count, N, S).

    found: all that a layer put out. None where it is a Gaussian or a code book, where rows are not of inputs,
    or an input has several rows: their distributions have no one distribution of the family for all.
    """
    first = found[0] if found else None
    if not isinstance(first, FamilyObserved) or first.family == "codes" or len(found) != 1:
        return None
    if first.rows != count:
        return None
    names = FAMILIES[first.family].parameters
    values = {name: value.detach() for name, value in first.parameters.items()}
    if first.family == "samples":
        values = {"sample": values["sample"].permute(1, 2, 0)}
    if tuple(values) != names:
        values = shown_parameters(first.family, values)
    return {name: value.float().cpu().numpy() for name, value in values.items()}


def _by_input(values: Tensor, count: int) -> Tensor:
    return values.reshape(count, -1, *values.shape[1:])
