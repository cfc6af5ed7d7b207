"""Sequence neurons: the equations, no path around the draws, no look into the future, state carried on."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vdn.sequence import (
    LayerState,
    SequenceNeurons,
    SequentialNetwork,
    SequentialTwin,
    innovation,
    spread_phi,
)

B, T, S, N, V = 3, 7, 4, 6, 5


def network(kind=SequentialNetwork, **settings):
    torch.manual_seed(0)
    made = kind(V, **{"layers": 2, "neurons": N, **settings})
    with torch.no_grad():  # away from its start, so that everything matters
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(0.5 * torch.randn_like(parameter))
        made.embedding.map.weight[-1] = 0
    return made


def tokens(batch=B, positions=T, seed=1):
    return torch.randint(0, V, (batch, positions), generator=torch.Generator().manual_seed(seed))


def noise_of(net, draws=S, batch=B, positions=T, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return net.draw_noise(batch, positions, draws, generator), net.start(batch, draws, generator)


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


def test_phi_is_spread_over_half_lives_or_learned():
    phi = spread_phi(64)
    lives = math.log(0.5) / phi.log()
    assert lives[0].item() == pytest.approx(0.5, rel=1e-4)
    assert lives[-1].item() == pytest.approx(70, rel=1e-3)
    torch.testing.assert_close(lives[1:] / lives[:-1], (lives[1] / lives[0]).expand(63), rtol=1e-3, atol=0)
    net = network(phi=0.8, learn_phi=True)
    output = net(tokens())
    output.posteriors[0].kl.mean().backward()
    assert net.neuron_layers[0].phi.tolist() != [0.8] * N  # moved by `network`
    assert net.neuron_layers[0].raw_phi.grad.abs().min() > 0
    assert network().neuron_layers[0].raw_phi.requires_grad is False
    with pytest.raises(ValueError, match="phi of a sequence"):
        SequenceNeurons(4, N, phi=1.0)


@pytest.mark.parametrize("kind", [SequentialNetwork, SequentialTwin])
def test_a_scan_equals_going_step_by_step(kind):
    net, x = network(kind), tokens()
    noise, state = noise_of(net)
    whole = net(x, state, S, noise)
    parts = []
    for t in range(T):
        output = net.step(x[:, t], state, S, [part[:, :, t : t + 1] for part in noise])
        state = output.state
        parts.append(output.parameters)
    torch.testing.assert_close(whole.parameters, torch.cat(parts, 2))
    for own, last in zip(whole.state, state, strict=True):
        for part, other in zip(own, last, strict=True):
            torch.testing.assert_close(part, other)


def test_the_state_is_carried_per_draw_and_detached():
    net, x = network(), tokens()
    noise, state = noise_of(net)
    whole = net(x, state, S, noise)
    first = net(x[:, :4], state, S, [part[:, :, :4] for part in noise])
    assert not any(part.requires_grad for layer in first.state for part in layer)
    rest = net(x[:, 4:], first.state, S, [part[:, :, 4:] for part in noise])
    torch.testing.assert_close(whole.parameters[:, :, 4:], rest.parameters)
    torch.testing.assert_close(whole.posteriors[1].belief[1][:, 4:], rest.posteriors[1].belief[1])
    torch.testing.assert_close(whole.posteriors[1].closed_kl[:, 4:], rest.posteriors[1].closed_kl)
    swapped = [LayerState(*(part.flip(0) for part in layer)) for layer in first.state]
    other = net(x[:, 4:], swapped, S, [part[:, :, 4:] for part in noise])
    assert not torch.allclose(other.parameters, rest.parameters)


def test_q_never_sees_the_future():
    net, x = network(), tokens()
    noise, state = noise_of(net)
    changed = x.clone()
    changed[:, 4] = (changed[:, 4] + 1) % V
    one, two = net(x, state, S, noise), net(changed, state, S, noise)
    torch.testing.assert_close(one.parameters[:, :, :4], two.parameters[:, :, :4], rtol=0, atol=0)
    torch.testing.assert_close(one.posteriors[1].z[:, :, :4], two.posteriors[1].z[:, :, :4], rtol=0, atol=0)
    assert not torch.allclose(one.parameters[:, :, 4:], two.parameters[:, :, 4:])


def test_nothing_passes_by_the_draws():
    """With every draw replaced by one of the prior, predictions do not depend on the input."""
    net = network()
    noise, state = noise_of(net)
    prior = torch.randn(2, S, B, T, N, 1)

    def edit(layer, z):
        return prior[layer]

    one = net(tokens(seed=1), state, S, noise, edit)
    two = net(tokens(seed=9), state, S, noise, edit)
    torch.testing.assert_close(one.parameters, two.parameters, rtol=0, atol=0)
    assert not torch.allclose(
        net(tokens(seed=1), state, S, noise).parameters, net(tokens(seed=9), state, S, noise).parameters
    )


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


def test_a_masked_position_scores_nothing_and_has_no_gradient():
    net, x = network(), tokens()
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[0, 3:] = False
    noise, state = noise_of(net)
    output = net(x, state, S, noise)
    log_p = net.log_prob(output, x, mask)
    assert (log_p[:, 0, 3:] == 0).all()
    assert (log_p[:, 0, :3] < 0).all()
    log_p[:, 0].sum().backward()
    other = x.clone()
    other[0, 3:] = 0
    torch.testing.assert_close(net.log_prob(net(other, state, S, noise), x, mask)[:, 0], log_p[:, 0])


def test_a_twin_has_no_widths_and_one_answer():
    twin = network(SequentialTwin)
    assert twin.neuron_layers[0].maps.out_features == 2 * N
    noise, state = noise_of(twin, 1)
    one, two = twin(tokens(), state, 1, noise), twin(tokens())
    torch.testing.assert_close(one.parameters, two.parameters, rtol=0, atol=0)
    assert one.posteriors == []


def test_generation_is_that_of_its_seed():
    net, prompt = network(), tokens(1)[0]

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


def test_shapes_that_do_not_fit_are_named():
    layer = SequenceNeurons(4, N)
    with pytest.raises(ValueError, match="do not fit noise"):
        layer(torch.randn(2, T, 4), torch.randn(3, N, 1), torch.randn(1, 3, T, N, 1))
    with pytest.raises(ValueError, match="at least one layer"):
        SequentialNetwork(V, layers=0)


@pytest.mark.parametrize("kind", [SequentialNetwork, SequentialTwin])
def test_what_the_next_chunk_begins_with_is_the_end_of_the_belief_path(kind):
    """Block by block, the last one short, as over the whole path."""
    net = network(kind)
    x = torch.arange(11).repeat(2, 1) % 5
    output = net(x, net.start(2, 3), 3)
    for path, end in zip(output.paths, output.state, strict=True):
        mean, variance = path.belief
        torch.testing.assert_close(end.mean, mean[:, -1], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(end.variance, variance[:, -1], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(end.z, path.z[:, :, -1].transpose(0, 1).flatten(0, 1))
        assert (kind is SequentialTwin) == bool((end.variance == 0).all())
