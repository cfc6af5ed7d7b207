"""Pairs with a planted slope, and columns by hand."""

import numpy as np
import torch


def pairs(phi, count=128, series=7, level=3.0, dimensions=1, seed=0):
    """Stationary pairs of as many neurons as phi has entries, each series at its own level: current,
    previous, ids.
    """
    draw = np.random.default_rng(seed)
    ids = np.arange(count) % series
    shape = (count, len(phi), dimensions)
    previous = draw.normal(size=shape)
    phi = np.asarray(phi)[:, None]
    current = phi * previous + np.sqrt(1 - phi**2) * draw.normal(size=shape)
    levels = level * draw.normal(size=(series, *shape[1:]))[ids]
    return torch.tensor(current + levels), torch.tensor(previous + levels), torch.tensor(ids)


def column(*values):
    return torch.tensor(values).view(-1, 1, 1)
