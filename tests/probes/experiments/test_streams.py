"""Noise of experiments: one stream does not repeat another's."""

import torch

from probes.experiments.subject import DAMAGE, PRIOR, VALUES, generator


def test_streams_of_one_seed_differ_and_a_seed_repeats_itself():
    drawn = [torch.randn(8, generator=generator(5, stream, "cpu")) for stream in (0, PRIOR, DAMAGE, VALUES)]
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])
    assert torch.equal(drawn[0], torch.randn(8, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(drawn[1], torch.randn(8, generator=generator(5, PRIOR, "cpu")))
