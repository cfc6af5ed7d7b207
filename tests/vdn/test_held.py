"""A neuron of a network of sequences held at one position: what follows is what its value alone changes."""

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from vdn.heads import make_head
from vdn.held import answers, continued, divergence, traverse_sequence
from vdn.sequence import LayerState, SequentialNetwork
from vdn.sequence_data import signal_task
from vdn.transformer import SequenceTransformer

T, AT, SYMBOLS, SEED = 12, 5, 7, 3


def network_of(kind):
    torch.manual_seed(0)
    if kind == "recurrent":
        return SequentialNetwork(SYMBOLS, layers=2, neurons=8).eval()
    return SequenceTransformer(SYMBOLS, "categorical", 32, layers=2, neurons=8).eval()


def read():
    return torch.cat([torch.tensor([-1]), torch.arange(T - 1) % SYMBOLS])


@pytest.mark.parametrize("kind", ["recurrent", "transformer"])
@pytest.mark.parametrize("layer", [0, 1])
def test_held_where_it_is_nothing_changes_and_elsewhere_all_that_follows_does(kind, layer):
    network, x = network_of(kind), read()
    own, output = answers(network, x, AT, None, torch.zeros(1), 1, SEED)
    z = output.posteriors[layer].z[0, 0, 0 if kind == "recurrent" else AT, 4, 0]
    held, _ = answers(network, x, AT, (layer, 4), torch.tensor([z, 3.0]), 1, SEED)
    torch.testing.assert_close(held[:, :1], own)
    moved = (held[0, 1] - own[0, 0]).abs().amax(-1)
    if kind == "recurrent" or layer == 0:  # of the last block, later tokens see nothing
        assert (moved > 0).all()
    else:
        assert moved[0] > 0
        assert (moved[1:] == 0).all()


def test_what_is_held_is_carried_on_by_the_neuron_itself():
    """By hand, position after position: the draw is replaced for the layers above and for its own future."""
    network, x = network_of("recurrent"), read()
    found, _ = answers(network, x, AT, (0, 4), torch.tensor([2.5]), 3, SEED)
    generator = torch.Generator().manual_seed(SEED)
    noise = network.draw_noise(1, T, 3, generator)
    state, rows = network.start(1, 3, generator), []

    def edit(layer, z):
        z = z.clone()
        z[..., 4, :] = 2.5 if layer == 0 else z[..., 4, :]
        return z

    with torch.no_grad():
        for t in range(T):
            own = [part[:, :, t : t + 1] for part in noise]
            output = network.step(x[t : t + 1], state, 3, own, edit if t == AT else None)
            state = output.state
            if t == AT:
                z = state[0].z.clone()
                z[:, 4] = 2.5
                state[0] = LayerState(z, *state[0][1:])
            rows.append(output.parameters)
    torch.testing.assert_close(found, torch.cat(rows[AT:], 2))


@pytest.mark.parametrize("kind", ["recurrent", "transformer"])
def test_continuations_share_their_draws(kind):
    network, prompt = network_of(kind), read()[1:6]
    one, entropy = continued(network, prompt, (0, 2), 3.0, 20, SEED)
    same, _ = continued(network, prompt, (0, 2), 3.0, 20, SEED)
    assert one.tolist() == same.tolist()
    assert entropy.shape == (20,)
    assert bool((entropy > 0).all())


@pytest.mark.parametrize("name", ["categorical", "bernoulli", "gaussian"])
def test_divergences_are_torchs(name):
    torch.manual_seed(0)
    head = make_head(name, 4, 3)
    own, held = torch.randn(1, 1, 2, 6), torch.randn(1, 5, 2, 6)
    if name != "gaussian":
        own, held = own[..., :3], held[..., :3]
    kind = {
        "categorical": lambda part: Categorical(logits=part[0]),
        "bernoulli": lambda part: Bernoulli(logits=part[0]),
        "gaussian": lambda part: Normal(*(one[0] for one in head.mean_and_scale(part))),
    }[name]
    expected = kl_divergence(kind(own.expand_as(held)), kind(held))
    expected = expected if name == "categorical" else expected.sum(-1)
    torch.testing.assert_close(divergence(head, own, held), expected, rtol=1e-4, atol=1e-5)


def test_tables_of_a_signal():
    torch.manual_seed(0)
    task = signal_task(16)
    network = SequentialNetwork(1, "gaussian", layers=1, neurons=4).eval()
    x = task.beginning("validation", 16).x[0]
    found = traverse_sequence(network, task, x, [3, 9], [(0, 1)], 4, 0)
    assert set(found) == {"curves", "posteriors", "felt", "continuations", "names", "positions"}
    assert set(found["curves"]["input"]) == {3, 9}
    assert np.isfinite(found["curves"][["mean", "sd"]]).all(axis=None)
    felt = found["felt"]
    assert felt["t"].between(felt["input"], 15).all()
    assert (felt["change"] >= -1e-6).all()
    assert felt.groupby("value")["change"].mean().idxmax() in (-3.0, 3.0)


@pytest.mark.parametrize(
    ("places", "neurons", "says"),
    [([16], [(0, 1)], "no position 16"), ([3], [(1, 0)], "no neuron 2:0")],
)
def test_what_is_not_there_is_said(places, neurons, says):
    task = signal_task(16)
    network = SequentialNetwork(1, "gaussian", layers=1, neurons=4).eval()
    x = task.beginning("validation", 16).x[0]
    with pytest.raises(ValueError, match=says):
        traverse_sequence(network, task, x, places, neurons, 2, 0)
