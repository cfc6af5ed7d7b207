"""What is logged of other libraries' models, beside the KL that the library itself computes."""

import anndata
import bayesian_torch.layers as bayesian
import numpy as np
import pytest
import scvi
import torch
import torchbnn
from blitz.modules import BayesianLinear
from diffusers import AutoencoderKL
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch_geometric.nn import VGAE, GCNConv

import probes
from probes.run import Run
from probes.watching.attaching import watch


def recorded(model, folder, forward, **options):
    """What `watch` found, and the last record, after two forward passes."""
    with watch(model, folder, **options) as recording:
        for step in range(2):
            forward()
            recording.step(step)
    assert recording.lost == 0
    run = Run(folder)
    return recording.found, {
        item["name"]: run.at(1).query("layer == @layer") for layer, item in enumerate(run.layers)
    }


def test_a_graph_autoencoder(tmp_path):
    torch.manual_seed(0)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.conv_mu, self.conv_logstd = GCNConv(8, 16), GCNConv(16, 4), GCNConv(16, 4)

        def forward(self, x, edges):
            hidden = self.first(x, edges).relu()
            return self.conv_mu(hidden, edges), self.conv_logstd(hidden, edges)

    model, x, edges = VGAE(Encoder()), torch.randn(20, 8), torch.randint(0, 20, (2, 60))
    _, layers = recorded(model, tmp_path / "run", lambda: model.encode(x, edges))
    [layer] = layers.values()
    assert layer["kl"].sum() == pytest.approx(model.kl_loss().item(), rel=1e-5)


def test_an_autoencoder_of_diffusers(tmp_path):
    torch.manual_seed(0)
    model = AutoencoderKL(
        in_channels=1, out_channels=1, block_out_channels=(8,), norm_num_groups=4, latent_channels=2
    ).train()
    x = torch.randn(4, 1, 8, 8)
    found, layers = recorded(model, tmp_path / "run", lambda: model(x, sample_posterior=True))
    [layer] = layers.values()
    assert len(layer) == 2  # channels
    assert layer["kl"].sum() == pytest.approx(model.encode(x).latent_dist.kl().mean().item(), rel=1e-4)


def test_single_cells(tmp_path):
    torch.manual_seed(0)
    counts = anndata.AnnData(np.random.default_rng(0).poisson(3, (64, 20)).astype("float32"))
    counts.obs["batch"] = ["a", "b"] * 32
    scvi.model.SCVI.setup_anndata(counts, batch_key="batch")
    model = scvi.model.SCVI(counts, n_latent=4, use_observed_lib_size=False)
    batch = next(iter(model._make_data_loader(counts, batch_size=64)))
    module, losses = model.module.train(), []
    _, layers = recorded(module, tmp_path / "run", lambda: losses.append(module(batch)[2]))
    own = losses[-1].kl_local
    z = next(frame for name, frame in layers.items() if "z" in name)
    assert z["kl"].sum() == pytest.approx(own["kl_divergence_z"].mean().item(), rel=1e-4)
    for name, frame in layers.items():  # the size of a library has a prior of its own: right, or absent
        if "l_" in name or "ql" in name:
            right = frame["kl"].sum() == pytest.approx(own["kl_divergence_l"].mean().item(), rel=1e-4)
            assert right or frame["kl"].isna().all()


def weights_kl(mu, sigma, prior_mu, prior_sigma):
    return kl_divergence(Normal(mu, sigma), Normal(prior_mu, prior_sigma)).sum().item()


def test_weights_of_bayesian_torch(tmp_path):
    torch.manual_seed(0)
    layer = bayesian.LinearReparameterization(5, 4, prior_mean=0.3, prior_variance=0.5)
    x = torch.randn(7, 5)
    _, layers = recorded(nn.Sequential(layer), tmp_path / "run", lambda: layer(x))
    own = layer.kl_div(
        layer.mu_weight, torch.log1p(layer.rho_weight.exp()), layer.prior_weight_mu, layer.prior_weight_sigma
    )  # the library takes means over the weights
    [frame] = layers.values()
    assert frame["kl"].sum() == pytest.approx(own.item() * layer.mu_weight.numel(), rel=1e-4)


@pytest.mark.parametrize("prior", [0.1, 1.0])
def test_weights_of_torchbnn(tmp_path, prior):
    torch.manual_seed(0)
    model = nn.Sequential(torchbnn.BayesLinear(0.2, prior, 5, 4, bias=False))
    x = torch.randn(7, 5)
    _, layers = recorded(model, tmp_path / "run", lambda: model(x))
    [frame] = layers.values()
    own = torchbnn.functional.bayesian_kl_loss(model, reduction="sum").item()
    assert frame["kl"].sum() == pytest.approx(own, rel=1e-4)


def test_weights_of_blitz_whose_prior_is_a_mixture(tmp_path):
    torch.manual_seed(0)
    layer, x = BayesianLinear(5, 4, bias=False), torch.randn(7, 5)
    found, layers = recorded(nn.Sequential(layer), tmp_path / "run", lambda: layer(x))
    draws = []
    for _ in range(2000):
        layer(x)
        draws.append((layer.log_variational_posterior - layer.log_prior).item())
    for frame in layers.values():
        right = frame["kl"].sum() == pytest.approx(np.mean(draws), abs=5 * np.std(draws) / np.sqrt(2000))
        assert right or frame["kl"].isna().all()


def test_a_gaussian_process_in_its_loop(tmp_path):
    import gpytorch

    class Model(gpytorch.models.ApproximateGP):
        def __init__(self):
            points, q = (
                torch.linspace(-1, 1, 6)[:, None],
                gpytorch.variational.CholeskyVariationalDistribution(6),
            )
            super().__init__(gpytorch.variational.VariationalStrategy(self, points, q))
            self.mean_module, self.kernel = gpytorch.means.ConstantMean(), gpytorch.kernels.RBFKernel()

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.kernel(x))

    torch.manual_seed(0)
    model, x = Model().train(), torch.randn(10, 1)

    def forward():
        model(x)
        q = model.variational_strategy.variational_distribution  # whitened: its prior is Normal(0, 1)
        probes.observe("inducing", q.mean, q.stddev)

    _, layers = recorded(model, tmp_path / "run", forward, hooks=False)
    [frame] = layers.values()
    q = model.variational_strategy.variational_distribution
    expected = kl_divergence(Normal(q.mean, q.stddev), Normal(0.0, 1.0))
    np.testing.assert_allclose(frame["kl"], expected.detach(), atol=1e-6)
