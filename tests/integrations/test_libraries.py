"""Real pythae models, real torchbnn layers, a real TensorBoard."""

import numpy as np
import pytest
import torch
import torchbnn
from pythae.models import VAE, BetaVAE, BetaVAEConfig, VAEConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from probes.run import Run
from probes.watching.attaching import watch


@pytest.mark.parametrize(("kind", "config"), [(VAE, VAEConfig), (BetaVAE, BetaVAEConfig)])
def test_pythae(tmp_path, kind, config):
    torch.manual_seed(0)
    model = kind(config(input_dim=(1, 8, 8), latent_dim=4)).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.rand(32, 1, 8, 8)
    with watch(model, tmp_path / "run") as recording:
        for step in range(3):
            loss = model({"data": x}).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            recording.step(step, loss=loss)
        model({"data": x})
        recording.step(3)
    run = Run(tmp_path / "run")
    assert [(part["name"], part["read"]) for part in recording.found] == [
        ("encoder", "mu=embedding, log_var=log_covariance")
    ]
    output = model.encoder(x)
    mu, log_var = output.embedding.detach(), output.log_covariance.detach()
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).mean(0)
    np.testing.assert_allclose(run.at(3)["kl"], kl, rtol=1e-4)


def test_torchbnn(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        torchbnn.BayesLinear(prior_mu=0, prior_sigma=0.1, in_features=5, out_features=4),
        nn.ReLU(),
        torchbnn.BayesConv2d(0, 0.2, 1, 3, 2),
    )
    with watch(model[:1], tmp_path / "linear") as recording:
        model[0](torch.randn(7, 5))
        recording.step(0)
    assert recording.found[0]["of"] == "weights"
    frame = Run(tmp_path / "linear").at(0)
    per_layer = torchbnn.functional.bayesian_kl_loss(nn.ModuleList([model[0]]), reduction="sum").item()
    layer = model[0]
    bias = torch.distributions.kl_divergence(
        torch.distributions.Normal(layer.bias_mu, layer.bias_log_sigma.exp()),
        torch.distributions.Normal(0.0, 0.1),
    )
    assert frame["kl"].sum() == pytest.approx(per_layer - bias.sum().item(), rel=1e-4)
    with watch(model[2:], tmp_path / "conv") as recording:
        model[2](torch.randn(7, 1, 5, 5))
        recording.step(0)
    layers = Run(tmp_path / "conv").layers
    assert [(layer["neurons"], layer["latent_dim"]) for layer in layers] == [(3, 4)]


def test_tensorboard(tmp_path):
    model = nn.ModuleDict({"mu": nn.Linear(3, 2), "log_var": nn.Linear(3, 2)})
    with (
        SummaryWriter(str(tmp_path / "tb")) as writer,
        watch(model, tmp_path / "run", mirror=writer.add_scalar) as recording,
    ):
        for step in range(3):
            x = torch.randn(8, 3)
            model["mu"](x), model["log_var"](x)
            recording.step(step, loss=torch.tensor(0.5 * step))
    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [
        (0, 0.0),
        (1, 0.5),
        (2, 1.0),
    ]
    kl = [event.value for event in events.Scalars("kl/mu")]
    assert kl == pytest.approx([Run(tmp_path / "run").at(step)["kl"].sum() for step in range(3)], rel=1e-6)
