"""Posteriors of each input, pooled over dimensions, positions and calls."""

import numpy as np
import torch

from probes.watching.layouts import Observed
from probes.watching.probing import of_inputs

generator = torch.Generator().manual_seed(0)


def test_what_is_pooled_has_the_prior_of_its_parts():
    """Normal(0, 1) parts pool to Normal(0, 1): sums over the root of their number."""
    mu, sigma = torch.randn(6, 3, 4, generator=generator), torch.rand(6, 3, 4, generator=generator)
    found = of_inputs([Observed(mu, sigma)], 6)
    np.testing.assert_allclose(found[0], mu.sum(-1) / 2, rtol=1e-5)
    np.testing.assert_allclose(found[1], sigma.square().mean(-1).sqrt(), rtol=1e-5)
    assert np.array_equal(of_inputs([Observed(torch.zeros(6, 3, 4), torch.ones(()))], 6)[1], np.ones((6, 3)))


def test_positions_and_calls_belong_to_their_input():
    mu = torch.arange(6.0).repeat_interleave(2)[:, None, None].expand(12, 3, 1)  # two positions an input
    calls = [Observed(mu, torch.ones(12, 3, 1)), Observed(mu, torch.ones(12, 3, 1))]
    np.testing.assert_allclose(of_inputs(calls, 6)[0][:, 0], 4 * np.arange(6) / 2)


def test_padding_is_left_out():
    mu = torch.tensor([1.0, 9.0, 1.0, 1.0])[:, None, None]
    mask = torch.tensor([True, False, True, True])
    means, sds = of_inputs([Observed(mu, torch.ones(4, 1, 1), mask=mask)], 2)
    np.testing.assert_allclose(means[:, 0], [1.0, 2**0.5], rtol=1e-6)
    np.testing.assert_allclose(sds[:, 0], [1.0, 1.0])


def test_rows_that_are_of_no_input_are_left_out():
    assert of_inputs([Observed(torch.zeros(1, 3, 1), torch.ones(1, 3, 1))], 6) is None
    assert of_inputs([], 6) is None
