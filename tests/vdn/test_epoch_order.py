"""An epoch's order follows from the seed and the epoch alone."""

import torch

from vdn.epoch_order import EpochOrder


def test_each_epoch_is_a_permutation_of_its_own_and_comes_again():
    order = EpochOrder(50, 7)
    first, second = order.of(0), order.of(1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert first.tolist() != second.tolist()
    assert torch.equal(order.of(0), first)
    assert torch.equal(EpochOrder(50, 7).of(1), second)
    assert not torch.equal(EpochOrder(50, 8).of(1), second)
