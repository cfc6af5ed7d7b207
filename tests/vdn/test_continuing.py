"""Sequences that go on: states carried from chunk to chunk, continuations of a prompt."""

import itertools
import math

import torch

from vdn.continuing import continued
from vdn.sequence import SequentialNetwork

N, V = 6, 5


def network():
    torch.manual_seed(0)
    return SequentialNetwork(V, layers=2, neurons=N)


def test_a_batch_goes_on_where_it_was_and_begins_anew_where_a_sequence_begins():
    net, draws = network(), 2
    carried = net.start(3, draws)
    goes_on = continued(net, carried, torch.zeros(3, dtype=torch.bool), draws)
    assert goes_on is carried
    fresh = torch.tensor([False, True, False])
    mixed = continued(net, carried, fresh, draws, torch.Generator().manual_seed(1))
    for one, before in zip(mixed, carried, strict=True):
        kept = (one.z == before.z).flatten(1).all(1)
        assert kept.tolist() == [True, True, False, False, True, True]  # rows b S + s
        assert (one.mean[2:4] == 0).all() and (one.variance[2:4] == 1).all()  # noqa: PT018 -- one state
    begun = continued(net, None, fresh, draws, torch.Generator().manual_seed(1))
    torch.testing.assert_close(begun[0].z[2:4], mixed[0].z[2:4], rtol=0, atol=0)


def test_generation_is_that_of_its_seed():
    net, prompt = network(), torch.tensor([3, 0, 4, 1, 1, 2, 0])

    def generated(seed, many=3):
        return net.generate(prompt, 5, many, torch.Generator().manual_seed(seed))

    one, two = generated(0), generated(0)
    assert one.positions.shape == (3, 5)
    for part, again in itertools.islice(zip(one, two, strict=True), 3):
        torch.testing.assert_close(part, again, rtol=0, atol=0)
    assert not torch.equal(one.positions, generated(1).positions)
    assert len({tuple(row) for row in generated(0, 8).positions.tolist()}) > 1  # trajectories differ
    assert (one.log_prob < 0).all()
    assert (one.entropy <= math.log(V) + 1e-6).all()
    assert net.generate(prompt[:0], 2).positions.shape == (1, 2)  # from nothing


def test_generation_of_numbers():
    torch.manual_seed(0)
    net = SequentialNetwork(2, "gaussian", 1, N)
    found = net.generate(torch.randn(4, 2), 3, 5, torch.Generator().manual_seed(0))
    assert found.positions.shape == (5, 3, 2)
    assert found.entropy.isnan().all()
