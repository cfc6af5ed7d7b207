"""Forces against derivatives by finite differences and by autograd on weights: the same numbers by other
ways.
"""

import math

import pytest
import torch

from probes.schema import FORCE_TERMS, FORCES
from vdn.config import from_dict, resolve
from vdn.data import load
from vdn.forces import forces
from vdn.network import VariationalNetwork
from vdn.objective import objective, parts
from vdn.trainer import Trainer


def make(**changes):
    torch.manual_seed(1)
    settings = {
        "layers": 2,
        "neurons": 5,
        "latent_dim": 2,
        "sigma": "input",
        "normalise": "none",
        "local_decoder": "train",
    }
    return VariationalNetwork(6, 3, **{**settings, **changes}).double()


@pytest.fixture
def batch():
    torch.manual_seed(2)
    return torch.randn(16, 6).double(), torch.randn(16, 3).double()


BETAS = [0.3, 0.2]


def terms_of(network, batch, noise):
    output = network(batch[0], noise=noise)
    return output, parts(output, batch[1], BETAS[: len(output.posteriors)], 0.1)


def test_pulls_are_what_the_loss_falls_by_when_a_neuron_moves_more_or_widens(batch):
    """Central differences: a bias of ln sigma for the width; for the movement, weights of mu with the batch's
    mean held.
    """
    network = make()
    noise = network.draw_noise(16)
    output, terms = terms_of(network, batch, noise)
    found = forces(output, terms)
    neuron, step = 3, 1e-5
    rows = slice(2 * neuron, 2 * neuron + 2)
    for index, layer in enumerate(network.neuron_layers):
        centre = output.posteriors[index].mu.detach().mean(0)[neuron]
        for name, target in (("pull_sigma", layer.log_sigma), ("pull_mu", layer.mean)):
            values = {}
            for sign in (1, -1):
                kept = target.weight.clone(), target.bias.clone()
                with torch.no_grad():
                    if name == "pull_sigma":
                        target.bias[rows] += sign * step
                    else:
                        gain = math.exp(sign * step)
                        target.weight[rows] *= gain
                        target.bias[rows] = gain * target.bias[rows] + (1 - gain) * centre
                    values[sign] = {
                        term: value.item() for term, value in terms_of(network, batch, noise)[1].items()
                    }
                    target.weight.copy_(kept[0])
                    target.bias.copy_(kept[1])
            # what deeper decoders explain is detached: no gradient, yet a change
            for term in terms if index else ("nll", "kl"):
                slope = (values[1][term] - values[-1][term]) / (2 * step)
                assert found[index][term][name][neuron].item() == pytest.approx(-slope, rel=1e-5, abs=1e-9), (
                    index,
                    term,
                    name,
                )


def test_forces_are_root_mean_squares_over_inputs_of_their_own_gradients(batch):
    network = make(layers=1)
    noise = network.draw_noise(16)
    output, terms = terms_of(network, batch, noise)
    [found] = forces(output, terms)
    squares = torch.zeros(2, 5).double()
    for row in range(16):  # each input alone: its loss is one of the sixteen whose mean the batch's is
        x, y = batch[0][row : row + 1], batch[1][row : row + 1]
        alone, own = terms_of(network, (x, y), [layer[:, row : row + 1] for layer in noise])
        gradients = torch.autograd.grad(own["nll"], [alone.posteriors[0].mu, alone.posteriors[0].log_sigma])
        squares += torch.stack([gradient.square().sum((0, 2)) for gradient in gradients])
    for name, square in zip(("force_mu", "force_sigma"), squares, strict=True):
        torch.testing.assert_close(found["nll"][name], (square / 16).sqrt())


def test_the_total_is_the_sum_and_so_is_the_loss(batch):
    network = make()
    output, terms = terms_of(network, batch, network.draw_noise(16))
    torch.testing.assert_close(sum(terms.values()), objective(output, batch[1], BETAS, 0.1).total)
    for layer in forces(output, terms):
        assert set(layer) <= set(FORCE_TERMS)
        for name in ("pull_mu", "pull_sigma"):
            torch.testing.assert_close(layer["total"][name], sum(layer[term][name] for term in terms))
        assert all(set(values) == set(FORCES) for values in layer.values())


@pytest.mark.parametrize("sigma", ["shared", "per_neuron"])
def test_a_width_that_all_inputs_share(sigma, batch):
    network = make(sigma=sigma, layers=1)
    output, terms = terms_of(network, batch, network.draw_noise(16))
    [found] = forces(output, terms)
    gradient = torch.autograd.grad(terms["kl"], network.neuron_layers[0].log_sigma)[0]
    expected = gradient.expand(5) if sigma == "shared" else gradient.sum(1)
    torch.testing.assert_close(found["kl"]["pull_sigma"], -expected)
    torch.testing.assert_close(
        found["kl"]["force_sigma"], expected.abs() if sigma == "shared" else gradient.norm(dim=1)
    )


def test_gradients_and_randomness_of_training_are_left_alone(small):
    config = resolve(from_dict({**small, "lam_band": 0.1, "lam_ar": 0.1, "ar_share": True}))
    trainer = Trainer(config, load(config))
    trainer.step()
    before = [p.grad.clone() for p in trainer.core]
    output = trainer.network(torch.zeros(4, 48), pairs=True)
    terms = parts(output, torch.zeros(4, 6), trainer.controller.betas())
    forces(output, terms | trainer.controller.penalties(output, 1))
    assert all(torch.equal(p.grad, kept) for p, kept in zip(trainer.core, before, strict=True))
