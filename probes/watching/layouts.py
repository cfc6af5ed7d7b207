"""Which axes of a tensor are rows, neurons and latent dimensions; a batch of a posterior in that order.

Shapes. (B, N): N neurons. (B, T, N): positions of a sequence are rows. (B, C, *S), from a convolution or with
two or more dimensions S: a channel is a neuron and its positions are its latent dimensions, so that KL and
information are summed over positions and the rest is averaged. (N,): the same for all inputs, one row.
`LAYOUTS` are the names by which a user says which it is.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from probes.watching.evidence import feature_axis
from probes.watching.naming import describe
from probes.watching.tensors import NotReadable

Layout = Literal[
    "rows", "sequences", "channels", "neurons", "positions", "weights", "weights_across"
]  # fmt: skip
LAYOUTS: dict[str, Layout] = {
    "bn": "rows",
    "btn": "rows",
    "rows": "rows",
    "sequences": "sequences",
    "bcx": "channels",
    "bnk": "channels",
    "bct": "positions",
}
"""Layouts by the names that users give them.

"bn": (B, N), a row an input. "btn": (B, T, N) or (T, B, N), a row a position. "rows": (..., N), all before
the last axis are rows. "sequences": (B, T, N), a row a position, and the T positions of a sequence depend on
each other: they are worth fewer inputs (`probes.effective_rows`); or (B, N) of one call a position: the calls
of a step that have as many rows are positions of the same B sequences, one after the other. "bcx": (B, C,
*X), a channel is a neuron and its positions are its latent dimensions. "bnk": (B, N, K), K latent dimensions
a neuron. "bct": (B, C, *T), a channel is a neuron and a position a row.
"""
DIMENSIONS = {
    "bn": (1, 2), "btn": (3, 3), "bcx": (3, 9), "bnk": (3, 3), "bct": (3, 9), "rows": (1, 9),
    "sequences": (2, 3),
}  # fmt: skip
"""Fewest and most axes that a tensor of each layout has."""


class Observed(NamedTuple):
    """One batch of one posterior, detached: mu (B, N, K); sigma, log_sigma, prior_mu, prior_sigma
    broadcastable to it.

    previous (P, N, K): mu of the predecessors of the first P rows; mask (B,): rows that count. log_variance,
    of mu's shape, stands for sigma where there is nothing else: that spares two passes over the rows.
    positions: T, where rows are B sequences of T positions each; 1: of one call a position, the next of B
    sequences; None: rows are independent.
    """

    mu: Tensor
    sigma: Tensor | None
    log_sigma: Tensor | None = None
    prior_mu: Tensor | None = None
    prior_sigma: Tensor | None = None
    previous: Tensor | None = None
    mask: Tensor | None = None
    log_variance: Tensor | None = None
    positions: int | None = None

    @property
    def rows(self) -> int:
        """Inputs, or positions of them."""
        return len(self.mu)

    @property
    def neurons(self) -> tuple[int, int]:
        """Neurons and latent dimensions of each. Raises ValueError for a mean that is not (B, N, K)."""
        _, neurons, dimensions = self.mu.shape
        return neurons, dimensions

    @property
    def has_prior(self) -> bool:
        """Whether it came with its prior."""
        return self.prior_mu is not None

    @property
    def sd(self) -> Tensor:
        """sigma, however it was given."""
        if self.sigma is not None:
            return self.sigma
        assert self.log_variance is not None  # one of both is there
        return (0.5 * self.log_variance.float()).exp()


def as_rows(value: Tensor, layout: Layout) -> Tensor:
    """A tensor as (B, N, K); see the module's text. Views: what is broadcast stays so."""
    if layout == "weights":
        return value.flatten(1)[None]
    if layout == "weights_across":
        return value.T[None]
    if value.dim() == 1:
        return value[None, :, None]
    if layout == "positions":
        value = value.movedim(1, -1)
    if layout in ("rows", "sequences", "positions"):
        return value.reshape(-1, value.shape[-1], 1)
    return value[..., None] if value.dim() == 2 else value.flatten(2)


def positions_of(shape: torch.Size, layout: Layout) -> int | None:
    """T of a mean of `shape` whose rows are positions of B sequences, (B, T, N), or T = 1, (B, N), of which
    the others come in other calls; None of independent rows.
    """
    if layout != "sequences" or len(shape) < 2:
        return None
    return shape[1] if len(shape) == 3 else 1


def mask_rows(mask: Tensor, shape: torch.Size, layout: Layout) -> Tensor:
    """A mask as one boolean a row of a mean of `shape`; nonzero counts.

    It may have the batch's axis alone, or all that are rows. Raises RuntimeError where it fits neither.
    """
    axes = (
        shape[:-1]
        if layout in ("rows", "sequences")
        else (shape[0], *shape[2:])
        if layout == "positions"
        else shape[:1]
    )
    mask = mask.to_dense() if mask.layout != torch.strided else mask
    if mask.dim() == len(axes) + 1 and 1 in mask.shape[1:]:  # (B, T, 1), (B, 1, T)
        mask = mask.squeeze(-1 if mask.shape[-1] == 1 else 1)
    mask = mask.reshape(*mask.shape, *(1,) * (len(axes) - mask.dim()))
    return (mask != 0).expand(axes).reshape(-1)


def check_layout_name(layout: str | None) -> None:
    """Raises ValueError for a layout that is not in `LAYOUTS`; the message lists those that are."""
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it must be one of {', '.join(map(repr, LAYOUTS))}")


def check_layout(layout: str, mean: Tensor) -> None:
    """Raises NotReadable for a mean that has fewer or more axes than its stated layout."""
    fewest, most = DIMENSIONS[layout]
    if not fewest <= mean.dim() <= most:
        raise NotReadable(f"the mean is {describe(mean)}, which is no {layout!r} (layout=)")


def neuron_axis(mean: Tensor) -> int | None:
    """Which axis holds the neurons, by the module that made the tensor; None where that is not told."""
    axis = feature_axis(mean)
    return axis if axis in (1, mean.dim() - 1) else None
