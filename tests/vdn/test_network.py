"""The network: no path around the neurons, draws keep their identity, the twin is the same network without
noise.
"""

import pytest
import torch
from torch.distributions import Normal

from vdn.network import DeterministicTwin, VariationalNetwork
from vdn.objective import class_nll, distortion, objective, ramp
from vdn.scores import mixture_nll

SMALL = {"inputs": 12, "outputs": 4, "layers": 3, "neurons": 6}


def network(**choices):
    torch.manual_seed(0)
    return VariationalNetwork(**{**SMALL, **choices}).double()


def same_window(batch=7):
    """Windows that differ in shape, but not in mean and sd."""
    x = torch.randn(batch, 12, generator=torch.Generator().manual_seed(1)).double()
    return (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True)


@pytest.mark.parametrize("read_first", [True, False])
@pytest.mark.parametrize("encoder", ["linear", "mlp", "trend_seasonal"])
def test_no_path_around_the_neurons(read_first, encoder):
    """With every z replaced by prior draws the prediction knows nothing of the input but the window's mean
    and sd.
    """
    net = network(read_first=read_first, encoder=encoder)
    draws = [torch.randn(3, 1, 6, 1).double().expand(3, 7, 6, 1) for _ in range(3)]
    output = net(same_window(), 3, edit=lambda layer, z: draws[layer])
    torch.testing.assert_close(output.mean, output.mean[:, :1].expand_as(output.mean))
    torch.testing.assert_close(output.scale, output.scale[:, :1].expand_as(output.scale))
    free = net(same_window(), 3)
    assert (free.mean[:, 0] - free.mean[:, 1]).abs().max() > 1e-3


def test_no_path_around_the_first_layer_alone():
    """The residual stream starts after the first layer's sample: prior draws there are enough."""
    net = network()
    draws, noise = torch.randn(1, 1, 6, 1).double().expand(1, 7, 6, 1), [torch.zeros(1, 7, 6, 1).double()] * 3
    output = net(same_window(), noise=noise, edit=lambda layer, z: draws if layer == 0 else z)
    torch.testing.assert_close(output.mean, output.mean[:, :1].expand_as(output.mean))


@pytest.mark.parametrize("k", [1, 4])
def test_draw_s_feeds_draw_s(k):
    net = network(latent_dim=k)
    x = torch.randn(5, 12).double()
    noise = net.draw_noise(5, 3)
    together = net(x, 3, noise=noise)
    for s in range(3):
        alone = net(x, 1, noise=[layer[s : s + 1] for layer in noise])
        torch.testing.assert_close(together.mean[s], alone.mean[0])
        torch.testing.assert_close(together.scale[s], alone.scale[0])
        torch.testing.assert_close(
            together.posteriors[2].mu.unflatten(0, (5, 3))[:, s], alone.posteriors[2].mu
        )


def test_edits_see_and_replace_draws_in_order():
    net = network()
    x, noise = torch.randn(5, 12).double(), net.draw_noise(5, 3)
    seen = {}
    output = net(x, 3, noise=noise, edit=lambda layer, z: seen.setdefault(layer, z))
    torch.testing.assert_close(output.mean, net(x, 3, noise=noise).mean)
    assert [seen[layer].shape for layer in range(3)] == [(3, 5, 6, 1)] * 3


def test_pairs_of_draws_meet_their_own_predecessors():
    """Beyond the first layer the halves of the rows are still halves of the batch, draw by draw."""
    net = network(prior="autoregressive", phi=0.8)
    x, noise = torch.randn(6, 12).double(), net.draw_noise(6, 2)
    together = net(x, 2, pairs=True, noise=noise).posteriors[2].kl.unflatten(0, (6, 2))
    for s in range(2):
        alone = net(x, 1, pairs=True, noise=[layer[s : s + 1] for layer in noise]).posteriors[2].kl
        torch.testing.assert_close(together[:, s], alone)


def test_twin_is_the_network_without_noise():
    net = network(latent_dim=2)
    twin = DeterministicTwin(**SMALL, latent_dim=2).double()
    twin.load_state_dict({k: v for k, v in net.state_dict().items() if "log_sigma" not in k}, strict=False)
    x = torch.randn(5, 12).double()
    silent = net(x, noise=[torch.zeros(1, 5, 6, 2).double()] * 3)
    output = twin(x, 8)
    torch.testing.assert_close(output.mean, silent.mean)
    torch.testing.assert_close(output.scale, silent.scale)
    assert output.posteriors == []
    assert not any(
        "log_sigma" in name for name, parameter in twin.named_parameters() if parameter.requires_grad
    )


def test_window_normalisation_follows_level_and_scale():
    net = network()
    x, noise = torch.randn(5, 12).double(), net.draw_noise(5, 2)
    plain, moved = net(x, 2, noise=noise), net(3 * x + 7, 2, noise=noise)
    torch.testing.assert_close(moved.mean, 3 * plain.mean + 7)
    torch.testing.assert_close(moved.scale, 3 * plain.scale)
    flat = net(torch.full((1, 12), 4.0).double(), 2)
    assert flat.mean.isfinite().all()
    assert (flat.scale > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_last_value_normalisation_is_undone_exactly(dtype):
    """Windows less their last value by their sd; a walk far from 0 keeps its digits; a flat one is finite."""
    net = VariationalNetwork(12, 3, 2, 6, normalise="last").to(dtype)
    source = torch.Generator().manual_seed(4)
    x = (torch.randn(5, 12, generator=source, dtype=torch.float64).cumsum(1) + 10).to(dtype)
    x[4] = 4.0
    units, centre, sd = net.window(x)
    torch.testing.assert_close(units[:, -1], torch.zeros(5, dtype=dtype), rtol=0, atol=0)
    torch.testing.assert_close(centre, x[:, -1:])
    torch.testing.assert_close(sd[:4], x[:4].std(1, correction=0, keepdim=True))
    torch.testing.assert_close(centre + sd * units, x, rtol=4 * torch.finfo(dtype).eps, atol=0)
    noise = net.draw_noise(5, 2)
    plain, moved = net(x, 2, noise=noise), net(2 * x + 8, 2, noise=noise)
    torch.testing.assert_close(moved.mean[:, :4], 2 * plain.mean[:, :4] + 8)
    torch.testing.assert_close(moved.scale[:, :4], 2 * plain.scale[:, :4])
    assert plain.mean.isfinite().all()
    assert (plain.scale > 0).all()
    with torch.no_grad():
        for part in (net.head, net.read):
            for parameter in part.parameters():
                parameter.zero_()
    torch.testing.assert_close(net(x, 2).mean, x[:, -1:].expand(2, 5, 3))  # without a word: the last value


def test_degrees_of_freedom_are_learned_or_fixed():
    learned, fixed = (network(likelihood="student", df=df) for df in (None, 4.0))
    assert learned.df.item() == pytest.approx(6.0)
    assert any(parameter is learned.log_excess_df for parameter in learned.parameters())
    assert (fixed.df.item(), fixed.log_excess_df) == (4.0, None)
    x = torch.randn(4, 12).double()
    for net in (learned, fixed, network()):
        output = net(x, 2)
        assert output.df is None if net.df is None else torch.equal(output.df, net.df)
    objective(learned(x, 2), torch.randn(4, learned.outputs).double(), [0.1] * 3).total.backward()
    assert learned.log_excess_df.grad.abs() > 0
    with torch.no_grad():
        learned.log_excess_df.fill_(-50)
    assert learned.df.item() > 2


def test_ten_steps_in_float64_repeat_bit_for_bit():
    def train():
        net = network(prior="autoregressive", phi=0.7, learn_phi=True, local_decoder="train")
        optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
        generator = torch.Generator().manual_seed(5)
        x, y = (torch.randn(8, n, generator=generator).double() for n in (12, 4))
        losses = []
        for _ in range(10):
            output = net(x, 2, pairs=True, noise=net.draw_noise(8, 2, generator))
            loss = objective(output, y, [0.1] * 3, 0.01).total
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses, net.state_dict()

    (first, weights), (second, again) = train(), train()
    assert first == second
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert first[-1] < first[0]


def test_watching_decoders_leave_the_neurons_alone():
    net = network(local_decoder="watch")
    x, y, noise = torch.randn(6, 12).double(), torch.randn(6, 4).double(), net.draw_noise(6)
    objective(net(x, noise=noise), y, [0.1] * 3).total.backward()
    watched = {name: p.grad.clone() for name, p in net.named_parameters() if "decoders" not in name}
    assert all(p.grad.abs().max() > 0 for p in net.decoders.parameters())
    plain = network()
    objective(plain(x, noise=noise), y, [0.1] * 3).total.backward()
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(parameter.grad, watched[name])


def test_objective_is_the_sum_of_its_parts():
    net = network(local_decoder="train")
    x, y = torch.randn(6, 12).double(), torch.randn(6, 4).double()
    output = net(x, 2)
    betas = [torch.rand(6).double() for _ in range(3)]
    loss = objective(output, y, betas, 0.3)
    nll = 4 * mixture_nll(y, output.mean, output.scale)
    weighted = sum((p.kl * beta).sum(1).mean() for p, beta in zip(output.posteriors, betas, strict=True))
    explained = sum(e.sum(1).mean() for e in output.explained)
    torch.testing.assert_close(loss.total, (nll + weighted - 0.3 * explained) / 4)
    torch.testing.assert_close(loss.distortion, nll.detach())
    torch.testing.assert_close(loss.rate, sum(p.kl.sum(1).mean() for p in output.posteriors).detach())
    one = net(x)
    torch.testing.assert_close(
        distortion(one, y), -Normal(one.mean[0], one.scale[0]).log_prob(y).sum(1).mean()
    )


def test_classification_averages_probabilities():
    net = network(task="classification", normalise="none", encoder="mlp")
    x, y = torch.randn(6, 12).double(), torch.tensor([0, 1, 2, 3, 0, 1])
    output = net(x, 5)
    assert output.scale is None
    assert output.mean.shape == (5, 6, 4)
    expected = -torch.softmax(output.mean, -1).mean(0)[torch.arange(6), y].log()
    torch.testing.assert_close(class_nll(output.mean, y), expected)


def test_ramp():
    assert [ramp(g, 3, 4) for g in (0, 2, 3, 5, 7, 100)] == [0, 0, 0, 0.5, 1, 1]
    assert [ramp(g, 3, 0) for g in (2, 3)] == [0, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"layers": 0},
        {"prior": "flat"},
        {"likelihood": "cauchy"},
        {"df": 1.5},
        {"normalise": "batch"},
        {"encoder": "cnn"},
        {"local_decoder": "on"},
    ],
)
def test_wrong_choices_name_themselves(wrong):
    with pytest.raises(
        ValueError, match=str(next(iter(wrong.values()))) if "layers" not in wrong else "at least one layer"
    ):
        network(**wrong)
