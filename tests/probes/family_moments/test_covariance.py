"""A Gaussian of full covariance: its marginals, its joint KL and what its dependence costs."""

from __future__ import annotations

import pytest
import torch
import torch.distributions as td

from probes.family_moments import full_covariance

N = 6


def posterior(rows, low_rank=False, seed=0):
    draw = torch.Generator().manual_seed(seed)
    mu = torch.randn(rows, N, generator=draw, dtype=torch.float64)
    factor = torch.randn(rows, N, 2, generator=draw, dtype=torch.float64)
    diagonal = 0.1 + torch.rand(rows, N, generator=draw, dtype=torch.float64)
    if low_rank:
        return td.LowRankMultivariateNormal(mu, factor, diagonal)
    return td.MultivariateNormal(mu, factor @ factor.mT + torch.diag_embed(diagonal))


@pytest.mark.parametrize("low_rank", [False, True])
def test_joint_kl_is_that_of_torch_and_coupling_never_below_0(low_rank):
    q = posterior(20, low_rank)
    m, s = torch.randn(N).double(), torch.rand(N).double() + 0.3
    for given, p in (
        (None, td.Normal(torch.zeros(N).double(), torch.ones(N).double())),
        (td.Independent(td.Normal(m, s), 1), td.Normal(m, s)),
        (td.MultivariateNormal(m, torch.diag(s * s)), td.Normal(m, s)),
    ):
        mu, sigma, joint = full_covariance(td.Independent(q, 0), given)
        whole = td.kl_divergence(q, td.MultivariateNormal(p.loc, torch.diag(p.scale**2)))
        torch.testing.assert_close(joint, whole, rtol=1e-9, atol=1e-9)
        marginals = td.kl_divergence(td.Normal(mu, sigma), p).sum(-1)
        correlation = torch.linalg.inv(torch.diag_embed(sigma)) @ q.covariance_matrix
        correlation = correlation @ torch.linalg.inv(torch.diag_embed(sigma))
        torch.testing.assert_close(joint - marginals, -0.5 * torch.logdet(correlation), rtol=1e-8, atol=1e-8)
        assert (joint > marginals).all()


def test_independent_components_are_not_coupled():
    q = td.MultivariateNormal(torch.randn(4, N), torch.diag_embed(torch.rand(4, N) + 0.1))
    mu, sigma, joint = full_covariance(q)
    marginals = td.kl_divergence(td.Normal(mu, sigma), td.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(joint, marginals, rtol=1e-5, atol=1e-5)


def test_a_posterior_of_all_inputs_is_one_row_and_what_is_no_gaussian_is_refused():
    q = td.MultivariateNormal(torch.zeros(N), torch.eye(N))
    mu, sigma, joint = full_covariance(q)
    assert (mu.shape, sigma.shape, joint.shape) == ((1, N), (1, N), (1,))
    assert joint.abs().max() < 1e-6
    with pytest.raises(ValueError, match="no covariance"):
        full_covariance(td.Normal(0.0, 1.0))
    with pytest.raises(ValueError, match="no Gaussian"):
        full_covariance(q, td.Laplace(0.0, 1.0))
