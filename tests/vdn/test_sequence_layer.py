"""A layer of sequence neurons: its equations, its start, and the KL expected over the draws of the past."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vdn.network import rows_of
from vdn.sequence_layer import SequenceNeurons, innovation, spread_phi

B, T, S, N = 3, 7, 4, 6


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_a_layer_follows_its_equations(latent_dim):
    torch.manual_seed(0)
    layer = SequenceNeurons(4, N, latent_dim)
    u, noise = torch.randn(B * S, T, 4), torch.randn(S, B, T, N, latent_dim)
    z = torch.randn(B * S, N, latent_dim)
    found = layer(u, z, noise)
    s = innovation(layer.phi).sqrt()
    assert found.z.shape == found.mu.shape == found.sigma.shape == (S, B, T, N, latent_dim)
    assert found.kl.shape == found.closed_kl.shape == (B * S, T, N)
    mean, variance = torch.zeros_like(z), torch.ones_like(z)
    for t in range(T):
        gate, target, width = layer.maps(u[:, t]).view(B * S, 3, N, latent_dim).unbind(1)
        g, c, sigma = torch.sigmoid(gate), 2 * torch.tanh(target), s * width.clamp(-5, 0).exp()
        q = Normal((1 - g) * z + g * c, sigma)
        kl = kl_divergence(q, Normal(layer.phi[:, None] * z, s)).sum(-1)
        z = q.mean + sigma * noise[:, :, t].transpose(0, 1).flatten(0, 1)
        mean, variance = (1 - g) * mean + g * c, (1 - g) ** 2 * variance + sigma**2
        torch.testing.assert_close(found.z[:, :, t].transpose(0, 1).flatten(0, 1), z)
        torch.testing.assert_close(found.kl[:, t], kl, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.belief[0][:, t], mean)
        torch.testing.assert_close(found.belief[1][:, t], variance)
    for own, shown in zip(layer.belief(u), found.belief, strict=True):
        torch.testing.assert_close(own, shown)
    assert found.belief[0].shape == (B * S, T, N, latent_dim)


def test_at_the_start_the_mean_of_q_is_the_priors():
    layer = SequenceNeurons(4, N)
    with torch.no_grad():
        layer.maps.weight.zero_()
    z = torch.randn(2, N, 1)
    found = layer(torch.randn(2, 3, 4), z, torch.randn(1, 2, 3, N, 1))
    torch.testing.assert_close(found.mu[0, :, 0], layer.phi[:, None] * z)
    torch.testing.assert_close(found.kl, torch.full((2, 3, N), 0.5 * (math.exp(-2) - 1) + 1))  # 0.57 nats


def test_phi_is_spread_over_half_lives():
    phi = spread_phi(64)
    lives = math.log(0.5) / phi.log()
    assert lives[0].item() == pytest.approx(0.5, rel=1e-4)
    assert lives[-1].item() == pytest.approx(70, rel=1e-3)
    torch.testing.assert_close(lives[1:] / lives[:-1], (lives[1] / lives[0]).expand(63), rtol=1e-3, atol=0)
    with pytest.raises(ValueError, match="phi of a sequence"):
        SequenceNeurons(4, N, phi=1.0)


def test_closed_kl_is_what_sampled_ones_average_to():
    torch.manual_seed(0)
    layer = SequenceNeurons(4, N)
    draws = 20_000
    u = torch.randn(1, T, 4)
    found = layer(u, torch.randn(draws, N, 1), torch.randn(draws, 1, T, N, 1))
    sampled = found.kl.mean(0)
    error = found.kl.std(0) / math.sqrt(draws)
    assert ((sampled - found.closed_kl[0]).abs() < 4.5 * error + 1e-5).all()


def test_closed_kl_against_quadrature():
    """E KL over z_{t-1} ~ Normal(m, V), by Gauss and Hermite's 40 points."""
    torch.manual_seed(0)
    layer = SequenceNeurons(4, N)
    u = torch.randn(1, T, 4)
    found = layer(u, torch.zeros(1, N, 1), torch.zeros(1, 1, T, N, 1))
    mean, variance = (part[0, :, :, 0].detach() for part in found.previous_belief)
    gate, sigma = found.gate[0, 0, :, :, 0], found.sigma[0, 0, :, :, 0]
    pulled = gate * found.path.target[:, 0]
    phi, s = layer.phi.detach(), innovation(layer.phi).sqrt()[:, 0].detach()
    points, weights = (torch.from_numpy(part).float() for part in np.polynomial.hermite_e.hermegauss(40))
    expected = torch.zeros(T, N)
    for point, weight in zip(points, weights / weights.sum(), strict=True):
        z = mean + variance.sqrt() * point
        expected += weight * kl_divergence(Normal((1 - gate) * z + pulled, sigma), Normal(phi * z, s))
    torch.testing.assert_close(found.closed_kl[0], expected, rtol=1e-4, atol=1e-4)


def test_noise_that_does_not_fit_the_inputs_is_named():
    layer = SequenceNeurons(4, N)
    with pytest.raises(ValueError, match="do not fit noise"):
        layer(torch.randn(2, T, 4), torch.randn(3, N, 1), torch.randn(1, 3, T, N, 1))


def test_draws_before_the_first_position_are_rows_or_draws_first():
    layer = SequenceNeurons(4, N)
    u, noise, z0 = torch.randn(B * S, T, 4), torch.randn(S, B, T, N, 1), torch.randn(S, B, N, 1)
    torch.testing.assert_close(layer(u, z0, noise).z, layer(u, rows_of(z0), noise).z, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(B, N, 1), (B, S, N, 1), (S, B, N)])
def test_draws_that_do_not_fit_the_noise_are_named(shape):
    layer = SequenceNeurons(4, N)
    with pytest.raises(ValueError, match=r"z0 .* does not fit noise"):
        layer(torch.randn(B * S, T, 4), torch.randn(shape), torch.randn(S, B, T, N, 1))


@pytest.mark.parametrize(("neurons", "latent_dim"), [(0, 1), (2, 0)])
def test_a_layer_of_nothing_is_refused(neurons, latent_dim):
    with pytest.raises(ValueError, match="at least one neuron of one latent dimension"):
        SequenceNeurons(4, neurons, latent_dim)
