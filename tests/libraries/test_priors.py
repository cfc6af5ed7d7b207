"""Priors of Bayesian layers and bases of flows, with the libraries themselves: each against its own KL."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Laplace, Normal, kl_divergence

from probes.run import Run
from probes.watching.attaching import watch


def record(module, path, x):
    """One step of a layer -> the run, what was found."""
    with watch(nn.ModuleList([module]), path) as recording:
        module(x)
        recording.step(0)
    return Run(path), recording.found


@pytest.mark.parametrize("kind", ["LinearReparameterization", "LinearFlipout", "Conv2dReparameterization"])
def test_bayesian_torch(tmp_path, kind):
    layers = pytest.importorskip("bayesian_torch.layers")
    torch.manual_seed(0)
    size, x = ((2, 4, 3), torch.randn(4, 2, 9, 9)) if "Conv" in kind else ((8, 16), torch.randn(4, 8))
    module = getattr(layers, kind)(*size, prior_mean=0.1, prior_variance=0.25)  # fills prior_weight_sigma
    run, found = record(module, tmp_path / "run", x)
    name = "kernel" if "Conv" in kind else "weight"
    mu, rho = getattr(module, f"mu_{name}"), getattr(module, f"rho_{name}")
    own = module.kl_div(mu, torch.log1p(rho.exp()), module.prior_weight_mu, module.prior_weight_sigma)
    assert run.at(0)["kl"].sum() == pytest.approx(own.item() * mu.numel(), rel=1e-5)
    assert found[0]["origins"]["prior"] == "named"


def test_bayesian_torch_recurrent(tmp_path):
    layers = pytest.importorskip("bayesian_torch.layers")
    module = layers.LSTMReparameterization(4, 6, prior_variance=0.25)
    run, found = record(module, tmp_path / "run", torch.randn(2, 5, 4))
    for place, part in enumerate((module.ih, module.hh)):
        q = Normal(part.mu_weight, torch.log1p(part.rho_weight.exp()))
        own = kl_divergence(q, Normal(part.prior_weight_mu, part.prior_weight_sigma)).sum(1).detach()
        np.testing.assert_allclose(run.at(0, place)["kl"], own, rtol=1e-5)
    assert len(found) == 2


@pytest.mark.parametrize(
    ("options", "sd"),
    [
        ({}, 0.1),
        ({"prior_sigma_1": 0.3, "prior_pi": 1.0}, 0.3),
        ({"prior_pi": 0.5}, None),
        ({"prior_dist": Normal(0.0, 0.5)}, 0.5),
        ({"prior_dist": Laplace(0.0, 0.5)}, None),
    ],
)
def test_blitz(tmp_path, options, sd):
    modules = pytest.importorskip("blitz.modules")
    torch.manual_seed(0)
    module = modules.BayesianLinear(8, 16, **options)
    run, found = record(module, tmp_path / "run", torch.randn(4, 8))
    if sd is None:
        assert found[0]["origins"]["prior"] == "absent"
        assert "kl" not in run.at(0)
        return
    q = Normal(module.weight_mu, torch.log1p(module.weight_rho.exp()))
    np.testing.assert_allclose(run.at(0)["kl"], kl_divergence(q, Normal(0.0, sd)).sum(1).detach(), rtol=1e-5)


def test_the_neurons_of_blitz_recurrent_layers_are_its_gates(tmp_path):
    modules = pytest.importorskip("blitz.modules")
    run, found = record(modules.BayesianLSTM(4, 6), tmp_path / "run", torch.randn(2, 5, 4))
    assert [(la["neurons"], la["latent_dim"]) for la in run.layers] == [(24, 4), (24, 6)]
    assert [part["name"] for part in found] == ["0.weight_ih_mu (weights)", "0.weight_hh_mu (weights)"]


def test_the_base_of_a_flow_is_no_layer(tmp_path):
    zuko = pytest.importorskip("zuko")
    flow = zuko.flows.NSF(3, transforms=2, hidden_features=(16,))
    recording = watch(nn.ModuleList([flow]), tmp_path / "run")
    flow().log_prob(torch.randn(16, 3))
    with pytest.warns(RuntimeWarning, match="no posterior was found"):
        recording.step(0)
    recording.close()


def test_a_flow_without_an_encoder_holds_nothing(tmp_path):
    flows = pytest.importorskip("normflows")
    base = flows.distributions.base.DiagGaussian(2)
    model = flows.NormalizingFlow(base, [flows.flows.Planar((2,))])
    recording = watch(model, tmp_path / "run")
    model(base(32)[0])
    with pytest.warns(RuntimeWarning, match="no posterior was found"):
        recording.step(0)
    recording.close()
