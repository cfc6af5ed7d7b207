"""Posteriors that are no Gaussian, with the libraries that have them, beside their own numbers."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

import probes
from probes.run import Run
from probes.watching.attaching import watch

B, D = 32, 8


class Bottleneck(nn.Module):
    def __init__(self, quantiser):
        super().__init__()
        self.inward, self.quantiser, self.outward = nn.Linear(D, D), quantiser, nn.Linear(D, D)
        self.returned = None

    def forward(self, x):
        self.returned = self.quantiser(self.inward(x))
        return self.outward(self.returned[0])


def train(model, path, forward, steps=3):
    with watch(model, path, strict=True) as recording:
        for step in range(steps):
            forward()
            recording.step(step)
    return Run(path), recording


QUANTISERS = {
    "VectorQuantize": ({"dim": D, "codebook_size": 16}, 1, 16),
    "VectorQuantize heads": (
        {"dim": D, "codebook_size": 16, "heads": 2, "separate_codebook_per_head": True, "codebook_dim": 4},
        2,
        16,
    ),
    "ResidualVQ": ({"dim": D, "codebook_size": 16, "num_quantizers": 3, "quantize_dropout": True}, 3, 16),
    "FSQ": ({"levels": [4, 3], "dim": D}, 1, 12),
    "FSQ books": ({"levels": [4, 3], "num_codebooks": 2, "dim": D}, 2, 12),
    "ResidualFSQ": ({"dim": D, "levels": [4, 3], "num_quantizers": 2}, 2, 12),
    "LFQ": ({"dim": D, "codebook_size": 16}, 1, 16),
    "ResidualLFQ": ({"dim": D, "codebook_size": 16, "num_quantizers": 2}, 2, 16),
    "SimVQ": ({"dim": D, "codebook_size": 16}, 1, 16),
    "ResidualSimVQ": ({"dim": D, "codebook_size": 16, "num_quantizers": 2}, 2, 16),
}


@pytest.mark.parametrize("kind", QUANTISERS)
def test_quantisers_have_the_usage_of_their_indices(tmp_path, kind):
    library = pytest.importorskip("vector_quantize_pytorch")
    options, books, size = QUANTISERS[kind]
    torch.manual_seed(0)
    model, picks = Bottleneck(getattr(library, kind.split()[0])(**options)), []

    def forward():
        model(torch.randn(4, B, D)).square().mean().backward()
        picks.append(model.returned[1])

    run, _ = train(model, tmp_path / "run", forward)
    assert [(layer["family"], layer["neurons"]) for layer in run.layers] == [("codes", size)] * books
    index = torch.stack(picks).reshape(-1, books)
    for book in range(books):
        mine = index[:, book][index[:, book] >= 0]
        share = torch.bincount(mine, minlength=size).double() / len(mine)
        np.testing.assert_allclose(run.at(2, book)["usage"], share, rtol=1e-5)
        last = run.layer_summary().query(f"layer == {book}").iloc[-1]
        perplexity = torch.special.entr(share).sum().exp()
        assert last["layer_perplexity"] == pytest.approx(perplexity.item(), rel=1e-5)
        assert last["layer_dead_codes"] == (share == 0).sum()


def test_the_groups_of_a_quantiser_are_layers(tmp_path):
    library = pytest.importorskip("vector_quantize_pytorch")
    quantiser = library.GroupedResidualVQ(dim=D, codebook_size=16, num_quantizers=2, groups=2)
    model = Bottleneck(quantiser)
    run, _ = train(model, tmp_path / "run", lambda: model(torch.randn(4, B, D)))
    names = [f"quantiser.rvqs.{group}.{level}" for group in range(2) for level in range(2)]
    assert [layer["name"] for layer in run.layers] == names


class FlowVAE(nn.Module):
    """Posterior and prior are flows of zuko's."""

    def __init__(self):
        super().__init__()
        zuko = pytest.importorskip("zuko")
        options = {"transforms": 2, "hidden_features": (16,)}
        self.encoder, self.decoder = nn.Linear(D, 5), nn.Linear(3, D)
        self.posterior, self.prior = zuko.flows.MAF(3, context=5, **options), zuko.flows.NSF(3, **options)

    def forward(self, x):
        self.q, self.p = self.posterior(self.encoder(x)), self.prior()
        return self.decoder(self.q.rsample())


def test_flows_of_zuko_are_draws_with_a_joint_kl(tmp_path):
    torch.manual_seed(0)
    model = FlowVAE()
    with watch(model, tmp_path / "run") as recording:
        for step in range(3):
            model(torch.randn(500, D))
            with pytest.warns(RuntimeWarning, match="not read again") if step == 0 else nullcontext():
                recording.step(step)
    run = Run(tmp_path / "run")
    assert [(layer["name"], layer["family"], layer["neurons"]) for layer in run.layers] == [
        ("posterior", "samples", 3)
    ]
    assert "Monte Carlo" in recording.found[0]["why"]
    with torch.no_grad():
        z = model.q.sample((40,))
        each = (model.q.log_prob(z) - model.p.log_prob(z)).mean(0)
    error = 3 * each.std().item() / 500**0.5
    assert run.layer_summary()["layer_joint_kl"].iloc[-1] == pytest.approx(each.mean().item(), abs=5 * error)
    np.testing.assert_allclose(run.at(2)["variance"], z.var(0).mean(0), rtol=0.15)


def test_drawing_from_a_flow_moves_no_random_state(tmp_path):
    torch.manual_seed(0)
    plain, watched, x = [], [], torch.randn(16, D)
    for losses, seen in ((plain, False), (watched, True)):
        torch.manual_seed(1)
        model = FlowVAE()
        optimiser = torch.optim.Adam(model.parameters())
        recording = watch(model, tmp_path / "run") if seen else None
        for step in range(3):
            optimiser.zero_grad()
            loss = (model(x) - x).square().mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            if recording is not None:
                with pytest.warns(RuntimeWarning) if step == 0 else nullcontext():
                    recording.step(step)
        if recording is not None:
            recording.close()
    assert plain == watched


def test_an_amortised_posterior_of_zuko_is_draws_and_its_base_no_layer(tmp_path):
    zuko = pytest.importorskip("zuko")

    class Amortised(nn.Module):
        def __init__(self):
            super().__init__()
            self.flow = zuko.flows.NSF(3, context=5, transforms=2, hidden_features=(16,))

        def forward(self, theta, x):
            return -self.flow(x).log_prob(theta).mean()

    model = Amortised()
    run, _ = train(model, tmp_path / "run", lambda: model(torch.randn(16, 3), torch.randn(16, 5)))
    assert [(layer["name"], layer["family"], layer["prior"]) for layer in run.layers] == [
        ("flow", "samples", "unknown")
    ]


def test_a_gaussian_under_a_flow_of_zuko_has_a_joint_kl(tmp_path):
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(0)
    prior = zuko.flows.NSF(3, transforms=2, hidden_features=(16,))()
    q = Independent(Normal(torch.randn(800, 3), 0.5), 1)
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        probes.observe("z", q, prior=prior)
        recording.step(0)
    with torch.no_grad():
        z = q.sample((100,))
        own = (q.log_prob(z) - prior.log_prob(z)).mean()
    joint = Run(tmp_path / "run").layer_summary()["layer_joint_kl"].iloc[0]
    assert joint == pytest.approx(own.item(), rel=0.05)


@pytest.mark.parametrize("library", ["nflows", "normflows"])
def test_flows_that_return_no_distribution_are_handed_over_as_draws(tmp_path, library):
    """A posterior behind two affine layers; its own log densities give the KL."""
    flows = pytest.importorskip(library)
    torch.manual_seed(0)
    if library == "nflows":
        from nflows.distributions.normal import ConditionalDiagonalNormal
        from nflows.flows.base import Flow
        from nflows.transforms import CompositeTransform, MaskedAffineAutoregressiveTransform

        layers = [MaskedAffineAutoregressiveTransform(3, 16, context_features=6) for _ in range(2)]
        flow = Flow(CompositeTransform(layers), ConditionalDiagonalNormal([3]))
        context = torch.randn(300, 6)

        def draw():
            z, log_q = flow.sample_and_log_prob(5, context)  # (B, S, N), (B, S)
            return z.transpose(0, 1), log_q.T
    else:
        base = flows.distributions.DiagGaussian(3)
        net = flows.nets.MLP([2, 16, 4], init_zeros=True)
        flow = flows.NormalizingFlow(base, [flows.flows.AffineCouplingBlock(net), flows.flows.Permute(3)])

        def draw():
            z, log_q = flow.sample(5 * 300)
            return z.reshape(5, 300, 3), log_q.reshape(5, 300)

    prior = Independent(Normal(torch.zeros(3), 1.0), 1)
    with torch.no_grad():
        z, log_q = draw()
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        probes.observe_samples("z", z, log_q, prior.log_prob(z))
        recording.step(0)
    run = Run(tmp_path / "run")
    own = (log_q - prior.log_prob(z)).mean()
    assert run.layer_summary()["layer_joint_kl"].iloc[0] == pytest.approx(own.item(), rel=1e-4, abs=1e-5)
    np.testing.assert_allclose(run.at(0)["mean"], z.mean((0, 1)), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("guide", ["AutoMultivariateNormal", "AutoLowRankMultivariateNormal"])
def test_correlated_guides_of_pyro_have_marginals_and_a_joint_kl(tmp_path, guide):
    pyro = pytest.importorskip("pyro")
    from pyro.infer import SVI, Trace_ELBO, autoguide

    pyro.clear_param_store()
    torch.manual_seed(0)
    x = torch.randn(20, 1) @ torch.ones(1, 3) + 0.15 * torch.randn(20, 3)

    def model(x, y):
        w = pyro.sample("w", pyro.distributions.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", pyro.distributions.Normal(x @ w, 0.3), obs=y)

    made = getattr(autoguide, guide)(model)
    svi = SVI(model, made, pyro.optim.Adam({"lr": 0.02}), Trace_ELBO())
    made(x, x.sum(1))
    with watch(made, tmp_path / "run", strict=True) as recording:
        for step in range(30):
            q = made.get_posterior()
            q = MultivariateNormal(q.mean.detach().clone(), q.covariance_matrix.detach().clone())
            svi.step(x, x.sum(1))
            recording.step(step)
    run = Run(tmp_path / "run")
    assert run.layers[0]["family"] == "gaussian_full"
    np.testing.assert_allclose(run.at(29)["variance"], q.variance, rtol=1e-4)
    own = kl_divergence(q, MultivariateNormal(torch.zeros(3), torch.eye(3)))
    assert run.layer_summary()["layer_joint_kl"].iloc[-1] == pytest.approx(own.item(), rel=1e-4)
    assert run.layer_summary()["layer_coupling"].iloc[-1] > 0


@pytest.mark.parametrize("kind", ["CholeskyVariationalDistribution", "MeanFieldVariationalDistribution"])
def test_inducing_values_of_gpytorch_have_its_own_kl(tmp_path, kind):
    gpytorch = pytest.importorskip("gpytorch")

    class Model(gpytorch.models.ApproximateGP):
        def __init__(self):
            points, q = torch.linspace(0, 1, 6)[:, None], getattr(gpytorch.variational, kind)(6)
            super().__init__(gpytorch.variational.VariationalStrategy(self, points, q))
            self.mean_module, self.kernel = gpytorch.means.ConstantMean(), gpytorch.kernels.RBFKernel()

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.kernel(x))

    torch.manual_seed(0)
    model = Model().train()
    model(torch.rand(10, 1))
    with torch.no_grad():
        for parameter in model.variational_strategy._variational_distribution.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    run, recording = train(model, tmp_path / "run", lambda: model(torch.rand(10, 1)))
    assert (run.layers[0]["family"], run.layers[0]["neurons"]) == ("gaussian_full", 6)
    own = model.variational_strategy.kl_divergence().item()
    assert run.layer_summary()["layer_joint_kl"].iloc[-1] == pytest.approx(own, rel=1e-4)
    assert recording.lost == 0
