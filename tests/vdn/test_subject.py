"""Replacing a neuron above what is known already gives what the whole network gives."""

import pytest
import torch

from probes.experiments.subject import CallableSubject, Forecast, Layer, Response
from vdn.config import ConfigError
from vdn.network import DeterministicTwin, VariationalNetwork
from vdn.subject import NetworkSubject

SHAPES = [
    {"layers": 3, "neurons": 6},
    {"layers": 1, "neurons": 5},
    {"layers": 2, "neurons": 4, "latent_dim": 4, "pool": "sum_sqrt"},
    {"layers": 2, "neurons": 4, "sigma": "shared", "read_first": False},
    {"layers": 2, "neurons": 4, "sigma": "per_neuron", "latent_dim": 2, "normalise": "none"},
    {"layers": 2, "neurons": 5, "task": "classification", "encoder": "mlp", "normalise": "none"},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_replaced_neuron_gives_what_a_whole_pass_gives(shape):
    torch.manual_seed(0)
    network = VariationalNetwork(12, 3, **shape)
    subject = NetworkSubject(network)

    def respond(x, draws, seed, edit):
        noise = network.draw_noise(len(x), draws, torch.Generator().manual_seed(seed))
        output = network(x, draws, noise=noise, edit=edit)
        latent = subject.respond(x, draws, seed)
        return Response(Forecast(output.mean, output.scale), latent.z, latent.mu, latent.sigma, latent.kl)

    slow = CallableSubject(respond, subject.layers)
    x = torch.randn(7, 12)
    for layer, (_, neurons, latent_dim) in enumerate(subject.layers):
        chosen = torch.tensor([neurons - 1, 0, 2])
        for values in (torch.randn(3, 2, 7, latent_dim), torch.zeros(1, 2, 7, latent_dim)):
            fast = subject.replace(subject.respond(x, 2, 5), layer, chosen, values)
            true = slow.replace(slow.respond(x, 2, 5), layer, chosen, values)
            torch.testing.assert_close(fast.mean, true.mean)
            assert fast.mean.shape == (2, 3, 7, 3)
            if true.scale is None:
                assert fast.scale is None
            else:
                torch.testing.assert_close(fast.scale, true.scale)


def test_replacing_a_neuron_by_its_own_draws_changes_nothing():
    torch.manual_seed(1)
    subject = NetworkSubject(VariationalNetwork(12, 3, layers=3, neurons=6))
    response = subject.respond(torch.randn(5, 12), 4, 0)
    assert subject.layers == [Layer(f"layer {index}", 6) for index in (1, 2, 3)]
    for layer in range(3):
        forecast = subject.replace(response, layer, torch.tensor([3]), response.z[layer][None, :, :, 3])
        torch.testing.assert_close(forecast.mean[:, 0], response.forecast.mean)
        assert response.kl[layer].shape == ((5, 6) if layer == 0 else (20, 6))


def test_a_twin_is_refused():
    with pytest.raises(ConfigError, match="twin"):
        NetworkSubject(DeterministicTwin(12, 3, layers=1, neurons=4))
