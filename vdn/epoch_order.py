"""The order of examples in an epoch: a new permutation each, from the seed and the epoch's number alone, so
that a resumed run continues bit for bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

SEEDS_APART = 1_000_003  # so that epochs of one seed are none of another's


class EpochOrder:
    """Permutations of `count` examples.

    Parameters
    ----------
    count
        Of examples.
    seed
        Of the run.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def of(self, epoch: int) -> Tensor:
        """The permutation of an epoch.

        Parameters
        ----------
        epoch
            From 0.

        Returns
        -------
        Tensor
            (count,) int64.
        """
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * SEEDS_APART + epoch)
            self._epoch, self._order = epoch, torch.randperm(self.count, generator=generator)
        return self._order
