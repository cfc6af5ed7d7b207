"""Code books, world models, evidential heads, weights and flows of libraries that no table of docs/watch.md
named, each as its library trains it, beside the library's own numbers or torch's.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import (
    Categorical,
    Independent,
    Normal,
    kl_divergence,
)
from torch.nn.functional import softplus
from training import close, nothing, outputs, train, verdict

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def shares(indices, size):
    return (torch.bincount(indices.flatten(), minlength=size) / indices.numel()).numpy()


def gaussian(mean, log_var, prior_mean=None, prior_log_var=None):
    """Nats an input, summed over all axes after the first."""
    zeros = torch.zeros_like(mean)
    p = Normal(
        zeros if prior_mean is None else prior_mean,
        (zeros if prior_log_var is None else prior_log_var / 2).exp(),
    )
    return kl_divergence(Normal(mean, (log_var / 2).exp()), p).detach().flatten(1).sum(1).mean().item()


def test_identifiable_autoencoder_of_pi_vae_pytorch(tmp_path):
    """The posterior is a product of the encoder's Gaussian and the labels' prior; both are returned by name,
    beside what the decoder makes of samples of both.
    """
    library = pytest.importorskip("pi_vae_pytorch")
    objective = pytest.importorskip("pi_vae_pytorch.loss").ELBOLoss(version=2)
    model, own = library.PiVAE(x_dim=X, u_dim=3, z_dim=2), {}
    x, labels = torch.poisson(torch.full((B, X), 2.0)), torch.randint(0, 3, (B,))

    def loss():
        out = model(x, labels)
        prior = out["label_mean"], out["label_log_variance"]
        own["posterior"] = gaussian(out["posterior_mean"], out["posterior_log_variance"], *prior)
        own["encoder"] = gaussian(out["encoder_mean"], out["encoder_log_variance"], *prior)
        parts = ("posterior_firing_rate", "posterior_mean", "posterior_log_variance", "label_mean")
        parts += ("label_log_variance", "encoder_mean", "encoder_log_variance")
        return objective(x, **{part: out[part] for part in parts})

    read = train(model, tmp_path / "run", loss)
    assert not any(name.startswith(("label", "decoder")) for name in read.layers)
    for name in read.layers:
        right = [own["posterior"]] if "posterior" in name else own.values()
        assert verdict(read, name, right) in ("right", "absent")
    assert read.layers or nothing(read)


def test_latent_token_of_x_transformers(tmp_path):
    """Mean and log variance are one stacked tensor (2, B, N) of a Sequential that ends in a Rearrange."""
    vae = pytest.importorskip("x_transformers.gpt_vae")
    model, own = (
        vae.GPTVAE(
            num_tokens=11, dim=16, depth=1, enc_depth=1, max_seq_len=8, dim_latent=4, attn_dim_head=8, heads=2
        ),
        [],
    )
    tokens = torch.randint(0, 11, (B, 8))

    def loss():
        total, (_, kl) = model(tokens, return_all_losses=True)
        own.append(kl.item())
        return total

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
        assert len(read.layers[name]) == 4
    assert read.layers or nothing(read)


def test_world_model_of_rssmlite(tmp_path):
    """One-hot variables, posterior and prior networks that are called step by step by methods which are no
    forward pass, and a straight-through sample of a distribution without gradients.
    """
    library = pytest.importorskip("rssmlite.rssm")
    variables, classes, length = 3, 4, 5
    model = library.RSSM(
        5, 2, deter_dim=8, embed_dim=6, num_categoricals=variables, num_classes=classes, hidden_dim=8
    )
    q, p = outputs(model.posterior_net), outputs(model.dynamics.prior_net)
    batch = (
        torch.randn(B, length, 5),
        torch.randn(B, length, 2),
        torch.randn(B, length),
        torch.ones(B, length),
    )
    read = train(model, tmp_path / "run", lambda: model.loss(*batch)["total"])
    q = torch.stack(q[-length:]).view(-1, variables, classes)
    p = torch.stack(p[-length:]).view(-1, variables, classes)
    own = kl_divergence(Categorical(logits=q), Categorical(logits=p)).sum(1).mean().item()
    for name, frame in read.layers.items():
        assert verdict(read, name, [own]) in ("right", "absent")
        assert len(frame) == variables
        assert not name.startswith("dynamics")
    assert read.layers or nothing(read)


def test_structural_autoencoder_of_sevae(tmp_path):
    """Two blocks of latent variables, each put together from slices of several encoders' outputs."""
    library = pytest.importorskip("sevae")
    config = library.SEVAEConfig(n_constructs=3, items_per_construct=4, d_per_construct=2, d_nuisance=2)
    model, x, own = library.SEVAE(config), torch.randn(B, X), {}
    model(x)  # makes the layers

    def loss():
        out = model(x)
        for block in ("zc", "zn"):
            own[block] = gaussian(out[f"{block}_mu"], out[f"{block}_logvar"])
        return model.loss(x, out)["loss_total"]

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        right = {6: own["zc"], 2: own["zn"]}
        assert verdict(read, name, [right[len(frame)]]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_positions_of_variational_autoencoder_pytorch_lib(tmp_path):
    """Latent variables at each position of an image, halves of the channels of a residual block."""
    library = pytest.importorskip("variational_autoencoder_pytorch_lib.module")
    model = library.VariationalAutoEncoder(
        dim=4, dim_mults=(1, 2), dim_latent=3, image_size=8, image_channels=1
    )
    x, own = torch.rand(B, 1, 8, 8), []

    def loss():
        again, mu, log_var = model(x)
        own.append(gaussian(mu, log_var))
        return (again - x).square().mean() + mu.square().mean()

    read = train(model, tmp_path / "run", loss)
    [name] = read.layers
    assert verdict(read, name, own[-1:]) == "right"
    assert len(read.only) == 3


def test_variance_of_vaes_ptorch_that_is_called_sig(tmp_path):
    """`sig_z` is a variance: its own KL and its sample take the root."""
    library = pytest.importorskip("vaes_ptorch.vae")
    objective = pytest.importorskip("vaes_ptorch.elbo")
    model = library.VAE(library.GaussianMLP(X, [8, 8], Z), library.GaussianMLP(Z, [8, 8], X))
    x, own = torch.randn(B, X), []

    def loss():
        out = model(x)
        own.append(gaussian(out.mu_z, out.sig_z.log()))
        return objective.elbo(x, out)[0]

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert "decoder" not in name
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_weights_of_bnn_pytorch(tmp_path):
    """Posterior and prior of a weight are modules of their own, whose numbers are mean and rho, mean and std;
    the second layer's prior is a scale mixture.
    """
    bnn = pytest.importorskip("bnn")
    priors = pytest.importorskip("bnn.distributions.priors")
    model = bnn.Sequential(
        bnn.BLinear(X, 6, weight_prior=priors.DiagonalNormal(0.2, 0.5), bias=False),
        nn.ReLU(),
        bnn.BLinear(6, 2, bias=False),
    )
    x, own = torch.randn(B, X), []

    def loss():
        model.zero_kl_div()
        value = model(x).square().mean() + 1e-3 * model.get_kl_div()
        own.append(model[0].get_kl_div().item())
        return value

    read = train(model, tmp_path / "run", loss)
    model.zero_kl_div()
    model(x)
    own.append(model[0].get_kl_div().item())  # as the last optimiser step left it
    for name in read.layers:
        if name.startswith("0"):
            assert verdict(read, name, own[-2:]) in ("right", "absent")
        else:
            assert verdict(read, name, []) == "absent"
    assert read.layers or nothing(read)


def test_weights_of_bayesnn(tmp_path):
    """Its prior stands in buffers: `rho_prior`, of which softplus is taken, as of the weights' own rho."""
    library = pytest.importorskip("bayesnn")
    model, own = library.BayesianLinear(X, 4, mu_prior=0.1, rho=0.3, bias=False), []
    with torch.no_grad():
        model.mean_weights.normal_(0, 0.3)
        model.rho_weights.normal_(-1, 0.3)
    objective, x = library.BNN_VBLoss(nn.Sequential(model), N=B), torch.randn(B, X)

    def loss():
        own.append(objective.kl_divergence().item())
        return model(x).square().mean() + objective.kl_divergence() / B

    read = train(model, tmp_path / "run", loss)
    own.append(objective.kl_divergence().item())
    q = Normal(model.mean_weights, softplus(model.rho_weights))
    p = Normal(0.1, softplus(torch.tensor(0.3)))
    assert close(kl_divergence(q, p).sum().item(), own[-1])
    for name in read.layers:
        assert verdict(read, name, own[-2:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_variational_dropout_of_cplxmodule(tmp_path):
    """Sparse variational dropout: weights with log_sigma2 under a prior that is uniform in the logarithm, or
    under one that is fitted to each weight; neither is Normal(0, 1).
    """
    relevance = pytest.importorskip("cplxmodule.nn.relevance")
    model = nn.Sequential(relevance.LinearVD(X, 6), nn.ReLU(), relevance.LinearARD(6, 2))
    x, own = torch.randn(B, X), {}
    for layer in (model[0], model[2]):
        nn.init.uniform_(layer.log_sigma2, -6, -2)

    def standard():
        for place in ("0", "2"):
            layer = model[int(place)]
            own.setdefault(place, []).append(layer.penalty.sum().item())
            own.setdefault(f"{place} assumed", []).append(
                kl_divergence(
                    Normal(layer.weight.detach(), (layer.log_sigma2.detach() / 2).exp()), Normal(0.0, 1.0)
                )
                .sum()
                .item()
            )

    def loss():
        standard()
        return model(x).square().mean() + 1e-3 * sum(layer.penalty.sum() for layer in (model[0], model[2]))

    read = train(model, tmp_path / "run", loss)
    standard()
    for name in read.layers:
        assert verdict(read, name, own[name[0]][-2:], own[f"{name[0]} assumed"][-2:]) in (
            "right",
            "assumed",
            "absent",
        )
    assert read.layers or nothing(read)


def test_half_cauchy_weights_of_variationalsparsebayes(tmp_path):
    """Weights are products of a Gaussian and of log-normal scales: modules that return draws, and stand under
    the name of a prior. No Gaussian's KL to Normal(0, 1) is theirs.
    """
    library = pytest.importorskip("variationalsparsebayes")
    model = library.SparseBNN(X, 2, n_hidden=4, n_layers=1, n_reparam=3)
    x, y = torch.randn(B, X), torch.randn(B, 2)

    def loss():
        model.reparam_sample()
        return -model.elbo(x, y, 100).sum()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert (
            read.found[name]["family"] != "gaussian"
            or read.kl(name) is None
            or (read.origin("prior", name) == "assumed" and "w_tilde" in name)
        )
    assert read.layers or nothing(read)


def test_codes_of_snac(tmp_path):
    """Residual quantisers of several rates: the first picks a code for every two positions."""
    vq = pytest.importorskip("snac.vq")
    model = nn.ModuleDict({"quantizer": vq.ResidualVectorQuantize(6, 8, 4, [2, 1])})
    x, codes = torch.randn(B, 6, 8), ([], [])

    def loss():
        quantised, picked = model["quantizer"](x)
        for level, one in zip(codes, picked, strict=True):
            level.append(one)
        return (quantised - x).square().mean()

    read = train(model, tmp_path / "run", loss)
    own = [shares(torch.cat(level), 8) for level in codes]
    assert len(read.layers) == 2
    for frame, usage in zip(read.layers.values(), own, strict=True):
        np.testing.assert_allclose(frame["usage"], usage, atol=1e-6)


def test_product_quantiser_of_nsvq(tmp_path):
    """Product quantisation: (code books, rows) of indices, and vectors that noise stands for, so that they
    are no rows of a code book.
    """
    nsvq = pytest.importorskip("nsvq")
    model = nn.ModuleDict(
        {"encoder": nn.Linear(X, 4), "vq": nsvq.ProductNSVQ(8, 4, 2), "decoder": nn.Linear(4, X)}
    )
    nn.init.normal_(model["vq"].codebook)
    x, codes = torch.randn(B, X), []

    def loss():
        quantised, picked, _ = model["vq"](model["encoder"](x))
        codes.append(picked)
        return (model["decoder"](quantised) - x).square().mean()

    read = train(model, tmp_path / "run", loss)
    own = [shares(torch.stack(codes)[:, book], 8) for book in range(2)]
    if read.layers:
        assert len(read.layers) == 2
        for frame, usage in zip(read.layers.values(), own, strict=True):
            np.testing.assert_allclose(frame["usage"], usage, atol=1e-6)
    else:
        assert nothing(read)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_evidence_of_edl_pytorch(tmp_path, kind):
    """mu, v, alpha, beta of a normal-inverse-gamma distribution of the data, and concentrations of a
    Dirichlet over classes that it predicts: v is no variance, and neither is a latent variable.
    """
    edl = pytest.importorskip("edl_pytorch")
    head = edl.NormalInvGamma(8, 2) if kind == "regression" else edl.Dirichlet(8, 4)
    model, x = nn.Sequential(nn.Linear(X, 8), nn.ReLU(), head), torch.randn(B, X)
    if kind == "regression":
        y = torch.randn(B, 2)
        read = train(model, tmp_path / "run", lambda: edl.evidential_regression(model(x), y))
    else:
        y = torch.randint(0, 4, (B,))
        read = train(model, tmp_path / "run", lambda: edl.evidential_classification(model(x), y))
    for name, one in read.found.items():
        assert one["origins"]["mean"] == one["origins"]["scale"] == "assumed", (name, one)
    assert read.layers or nothing(read)


def test_global_posterior_of_flowtorch(tmp_path):
    """A flow that is a module and a distribution, the posterior of the weights of a regression; the posterior
    of all rows, whose KL is of all weights together.
    """
    flowtorch = pytest.importorskip("flowtorch.distributions")
    bijectors = pytest.importorskip("flowtorch.bijectors")

    class Regression(nn.Module):
        def __init__(self):
            super().__init__()
            base = Independent(Normal(torch.zeros(Z), torch.ones(Z)), 1)
            self.posterior = flowtorch.Flow(base, bijectors.AffineAutoregressive())
            self.log_noise = nn.Parameter(torch.zeros(()))

        def forward(self, x):
            weights = self.posterior.rsample((8,))
            return self.posterior, weights, x @ weights.T

    model, x, y = Regression(), torch.randn(B, Z), torch.randn(B, 1)
    prior = Independent(Normal(torch.zeros(Z), torch.full((Z,), 2.0)), 1)

    def loss():
        posterior, weights, mean = model(x)
        kl = (posterior.log_prob(weights) - prior.log_prob(weights)).mean()
        return kl - Normal(mean, model.log_noise.exp()).log_prob(y).sum(0).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert read.kl(name) is None
        assert read.found[name]["family"] in ("samples", "generic")
    assert read.layers or nothing(read)


def test_states_of_simulusion(tmp_path):
    """A recurrent state-space model returns None, a list of priors and a list of posteriors, and computes
    each step's prior twice, once of them on the way to its posterior.
    """
    rssm = pytest.importorskip("simulusion.models.dreamer_rssm")
    model, own = rssm.RSSM(2, 3, 8, 8, 6, "elu"), []
    seen, actions = torch.randn(B, 6, 6), torch.randn(B, 5, 2)

    def loss():
        _, priors, posteriors = model(seen, actions)
        kl = [kl_divergence(Normal(*q), Normal(*p)).sum(1) for q, p in zip(posteriors, priors, strict=True)]
        own.append(torch.stack(kl).mean().item())
        return torch.stack(kl).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert verdict(read, name, own[-1:]) in ("right", "absent")
        assert len(frame) == 3
    assert read.layers or nothing(read)
