"""How often each code of a code book is picked, over a window of steps whatever the size of a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

BLOCKS = 64
"""Parts of a window: it moves on by a part of its own length, so that its memory is bounded."""


class CodeUsage:
    """Usage of a code book over the last steps.

    Parameters
    ----------
    size
        Codes of the book.
    window_steps
        Steps that usage is over; it moves on in blocks of 1/64 of it, and holds the last 64 of these.

    Raises
    ------
    ValueError
        Where one of them is below 1.

    Notes
    -----
    Perplexity of a batch of B picks is at most B and grows with it: of a window it is a number of the model.
    """

    def __init__(self, size: int, window_steps: int = 1024) -> None:
        if size < 1 or window_steps < 1:
            raise ValueError(f"a code book has codes and a window steps, not {size} and {window_steps}")
        self.size, self.window_steps = size, window_steps
        self._block_steps = -(-window_steps // BLOCKS)
        self._blocks: deque[Tensor] = deque(maxlen=-(-window_steps // self._block_steps))
        self._seen = 0  # steps so far: block i holds those from i block_steps on

    @torch.no_grad()
    def update(self, indices: Tensor, mask: Tensor | None = None) -> Self:
        """Count the picks of one step.

        Parameters
        ----------
        indices
            Of any shape, whole numbers; a negative one is no pick (dropped residual levels are -1).
        mask
            Of the leading axes of indices: False leaves picks out.

        Returns
        -------
        CodeUsage
            Itself.

        Raises
        ------
        ValueError
            Where indices are no whole numbers.
        """
        if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
            raise ValueError(f"indices of codes are whole numbers, not {indices.dtype}")
        if self._seen % self._block_steps == 0:
            self._blocks.append(torch.zeros(self.size + 2, dtype=torch.int64, device=indices.device))
        self._seen += 1
        picks = indices.detach().long().clamp(-1, self.size)
        if mask is not None:
            mask = mask.reshape(mask.shape + (1,) * (picks.dim() - mask.dim()))
            picks = torch.where(mask, picks, -1)
        picks = picks.reshape(-1) + 1  # slot 0: no pick; the last: beyond the book
        self._blocks[-1].scatter_add_(0, picks, torch.ones_like(picks))
        return self

    def merge(self, other: CodeUsage) -> Self:
        """Pool with what another worker has counted at the same steps, in place; the other stays as it is.

        Parameters
        ----------
        other
            Of the same book and window, which picked at the same steps: of each step the picks are added. Of
            two that have seen unlike numbers of steps, the window is that of the one that has seen more.

        Returns
        -------
        CodeUsage
            Itself, as one that had been updated with both workers' picks at every step.

        Raises
        ------
        ValueError
            Where it is of another book or window.
        """
        self._check_same(other.size, other.window_steps)
        held = self._numbered()
        for number, counts in other._numbered().items():
            held[number] = held[number] + counts.to(held[number].device) if number in held else counts.clone()
        self._seen = max(self._seen, other._seen)
        self._blocks.clear()
        self._blocks.extend(held[number] for number in sorted(held))  # the oldest beyond the window fall out
        return self

    def _numbered(self) -> dict[int, Tensor]:
        """Its blocks by their number since the first step."""
        first = -(-self._seen // self._block_steps) - len(self._blocks)
        return dict(enumerate(self._blocks, start=first))

    def _check_same(self, size: int, window_steps: int) -> None:
        if (size, window_steps) != (self.size, self.window_steps):
            raise ValueError(
                f"a book of {size} codes over {window_steps} steps is not one of"
                f" {self.size} over {self.window_steps}"
            )

    def statistics(self) -> dict[str, Tensor]:
        """Of the window so far.

        Returns
        -------
        dict
            usage, information (size,); perplexity, dead_codes, window: one number each, of the layer. NaN
            where the window holds no pick.

        Raises
        ------
        ValueError
            Before the first update, and where an index lay beyond the book.
        """
        counts = self.counts()
        if int(counts[-1]):
            raise ValueError(f"{int(counts[-1])} indices lie beyond a code book of {self.size} codes")
        return derive_usage(counts)

    def counts(self) -> Tensor:
        """(size + 2,) picks of the window: none, of each code, beyond the book. Raises ValueError before the
        first update.
        """
        if not self._blocks:
            raise ValueError("no picks yet: update first")
        return torch.stack(list(self._blocks)).sum(0)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: `restore` goes on from it."""
        return {"size": self.size, "window_steps": self.window_steps, "steps": self._seen,
                "blocks": torch.stack(list(self._blocks)).cpu() if self._blocks else None}  # fmt: skip

    def restore(self, state: Mapping[str, Any], device: Any = None) -> Self:
        """Go on from a `state`.

        Parameters
        ----------
        state
            Of a book of the same size and window.
        device
            Where indices will lie; the CPU by default.

        Returns
        -------
        CodeUsage
            Itself.

        Raises
        ------
        ValueError
            Where it is of another book or window.
        """
        self._check_same(state["size"], state["window_steps"])
        self._blocks.clear()
        if state["blocks"] is not None:
            self._blocks.extend(state["blocks"].to(device or "cpu").unbind())
        self._seen = state["steps"]
        return self


def derive_usage(counts: Tensor) -> dict[str, Tensor]:
    """Statistics from the picks of windows.

    Parameters
    ----------
    counts
        `CodeUsage.counts()` of one step, or stacked over steps: (..., size + 2).

    Returns
    -------
    dict
        As `CodeUsage.statistics`, usage and information (..., size), the others (...,). What lies beyond the
        book is no pick.
    """
    picks = counts[..., 1:-1].double()
    total = picks.sum(-1, keepdim=True)
    usage = picks / total
    information = torch.special.entr(usage)
    some = torch.where(total[..., 0] > 0, 0.0, torch.nan)
    return {
        "usage": usage.float(),
        "information": information.float(),
        "perplexity": information.sum(-1).exp().float(),
        "dead_codes": (picks == 0).sum(-1).float() + some.float(),
        "window": total[..., 0].float(),
    }
