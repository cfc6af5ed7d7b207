"""The transformer of variational units: no look ahead, draws of their own, a twin without any."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vdn.transformer import SequenceTransformer, TransformerTwin

B, T, S, V = 2, 6, 3, 5


def network(kind=SequenceTransformer, **settings):
    torch.manual_seed(0)
    return kind(V, "categorical", T, **{"layers": 2, "neurons": 16, **settings})


def tokens(seed=0):
    return torch.randint(0, V, (B, T), generator=torch.Generator().manual_seed(seed))


def test_shapes_and_kl():
    net = network(latent_dim=2)
    output = net(tokens(), None, S, net.draw_noise(B, T, S))
    assert output.parameters.shape == (S, B, T, V)
    posterior = output.posteriors[1]
    assert posterior.z.shape == posterior.mu.shape == (S, B, T, 16, 2)
    kl = kl_divergence(Normal(posterior.mu, posterior.sigma), Normal(0, 1)).sum(-1)
    torch.testing.assert_close(posterior.kl, kl.transpose(0, 1).flatten(0, 1), rtol=1e-4, atol=1e-5)


def test_kl_under_the_prior_along_t():
    net = network(phi=torch.full((16,), 0.5))
    posterior = net(tokens()).posteriors[0]
    mu, sigma = posterior.mu[0, ..., 0], posterior.sigma[0, ..., 0]
    first = kl_divergence(Normal(mu[:, 0], sigma[:, 0]), Normal(0, 1))
    torch.testing.assert_close(posterior.kl[:, 0], first, rtol=1e-4, atol=1e-5)
    given = kl_divergence(Normal(mu[:, 1:], sigma[:, 1:]), Normal(0.5 * mu[:, :-1], 0.75**0.5))
    past = 0.25 * sigma[:, :-1] ** 2 / 1.5
    torch.testing.assert_close(posterior.kl[:, 1:], given + past, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(posterior.past[:, 1:, :, 0], past.detach())


@pytest.mark.parametrize("kind", [SequenceTransformer, TransformerTwin])
def test_it_never_sees_the_future(kind):
    net, x = network(kind), tokens()
    noise = net.draw_noise(B, T, S)
    changed = x.clone()
    changed[:, 3] = (changed[:, 3] + 1) % V
    one, two = net(x, None, S, noise), net(changed, None, S, noise)
    torch.testing.assert_close(one.parameters[:, :, :3], two.parameters[:, :, :3])
    assert not torch.allclose(one.parameters[:, :, 3:], two.parameters[:, :, 3:])


def test_draws_can_be_replaced():
    net = network()
    noise = net.draw_noise(B, T, S)
    seen = net(tokens(), None, S, noise)
    none = net(tokens(), None, S, noise, lambda layer, z: torch.zeros_like(z))
    assert not torch.allclose(seen.parameters, none.parameters)


def test_generation_beyond_the_window_is_that_of_its_seed():
    net, prompt = network(), tokens()[0]
    one, two = (net.generate(prompt, 4, 2, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.positions.shape == (2, 4)
    assert torch.equal(one.positions, two.positions)


def test_neurons_that_do_not_divide_are_named():
    with pytest.raises(ValueError, match="multiple of 8"):
        network(neurons=12)


def test_more_positions_than_the_window_are_refused():
    with pytest.raises(ValueError, match=f"window {T} cannot read {T + 1} positions"):
        network()(torch.zeros(1, T + 1, dtype=torch.long))
