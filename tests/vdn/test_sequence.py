"""Networks of sequence neurons: no path around the draws, no look into the future, state carried on."""

import pytest
import torch

from vdn.sequence import LayerState, SequentialNetwork, SequentialTwin

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


def test_phi_may_be_learned():
    net = network(phi=0.8, learn_phi=True)
    output = net(tokens())
    output.posteriors[0].kl.mean().backward()
    assert net.neuron_layers[0].phi.tolist() != [0.8] * N  # moved by `network`
    assert net.neuron_layers[0].raw_phi.grad.abs().min() > 0
    assert network().neuron_layers[0].raw_phi.requires_grad is False


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


def test_a_network_without_layers_is_refused():
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
