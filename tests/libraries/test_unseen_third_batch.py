"""Thirteen libraries that no table of docs/watch.md named: a covariance that is a softplus, distributions of
a library's own without moments, a torus, learned priors of four kinds, a world model whose heads are one
tensor, coefficients whose `logstd` is a log variance, products of experts, topics, groups of codes, prior
networks that return an Independent, weights in dictionaries of tuples, a causal flow, stretched Betas.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

from collections import OrderedDict
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import (
    Categorical,
    Distribution,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
)
from torch.nn import functional as F
from training import Reading, between, nothing, outputs, part_of, standard, train, verdict

from probes import Part
from probes.run import Run

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def moment_is(read: Reading, name: str, moment: str, *expected: torch.Tensor, rtol: float = 1e-3) -> bool:
    """Whether a layer's mean or variance is one of what it may be, absent, or said to be assumed."""
    frame = read.layers[name]
    if moment not in frame or frame[moment].isna().any():
        return True
    if read.found[name]["origins"].get("scale") == "assumed":
        return True
    return any(
        len(frame) == len(one) and np.allclose(frame[moment], one.detach(), rtol=rtol, atol=1e-6)
        for one in expected
    )


def units(mean: torch.Tensor, variance: torch.Tensor, prior: tuple) -> dict[str, tuple]:
    """Moments as they are, and in the units of a prior (mean, sd), as those of weights are recorded."""
    at, scale = prior
    return {"mean": (mean, (mean - at) / scale), "variance": (variance, variance / scale**2)}


def moments_are(read: Reading, name: str, expected: dict[str, tuple], rtol: float = 1e-3) -> bool:
    return all(moment_is(read, name, moment, *ones, rtol=rtol) for moment, ones in expected.items())


def joint_kls(folder) -> list[float]:
    """The KLs of layers as wholes in the last record."""
    summary = Run(folder).layer_summary()
    if "layer_joint_kl" not in summary:
        return []
    return summary.loc[summary["step"] == summary["step"].max(), "layer_joint_kl"].dropna().tolist()


def shares(indices: torch.Tensor, size: int) -> np.ndarray:
    return (torch.bincount(indices.flatten(), minlength=size) / indices.numel()).numpy()


def test_prosody_of_coqui(tmp_path):
    """A MultivariateNormal whose covariance, not whose scale, is the diagonal of a softplus; it is returned
    beside its prior, behind a draw of shape (B, 1, N).
    """
    library = part_of("TTS.tts.layers.tacotron.capacitron_layers")
    model = library.CapacitronVAE(X, Z, reference_encoder_out_dim=8)
    model.prior_distribution = MultivariateNormal(torch.full((Z,), 0.3), 2 * torch.eye(Z))
    mels, lengths, last = torch.randn(B, 10, X), torch.full((B,), 10), {}

    def loss():
        draw, last["q"], last["p"], _ = model([mels, lengths])
        return draw.square().mean() + kl_divergence(last["q"], last["p"]).mean()

    read = train(model, tmp_path / "run", loss)
    q, own = last["q"], kl_divergence(last["q"], last["p"]).mean().item()
    expected = units(q.loc.mean(0), q.covariance_matrix.diagonal(dim1=1, dim2=2).mean(0), (0.3, 2**0.5))
    for name in read.layers:
        assert verdict(read, name, [own]) in ("right", "absent"), name
        assert moments_are(read, name, expected), name
    assert all(one == pytest.approx(own, rel=1e-4) for one in joint_kls(tmp_path / "run"))
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["Normal", "Weibull", "Exponential"])
def test_simple_distributions_of_torchbearer_variational(tmp_path, kind):
    """Subclasses of torch's Distribution that have no mean, no variance and no constraints, but None."""
    library = part_of("variational.distributions")
    Distribution.set_default_validate_args(False)  # they cannot be made otherwise

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.first, self.second = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)

        def forward(self, x):
            h = torch.tanh(self.body(x))
            if kind == "Normal":
                return library.SimpleNormal(self.first(h), self.second(h))
            if kind == "Exponential":
                return library.SimpleExponential(self.first(h))
            return library.SimpleWeibull(F.softplus(self.first(h)), F.softplus(self.second(h)) + 0.5)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = Encoder(), nn.Linear(Z, X)

        def forward(self, x):
            return self.decoder(self.encoder(x).rsample())

    model, x = Model(), torch.randn(B, X)
    made = outputs(model.encoder)
    try:
        read = train(model, tmp_path / "run", lambda: (model(x) - x).square().mean())
    finally:
        Distribution.set_default_validate_args(__debug__)
    q = made[-1]
    if kind == "Normal":
        mean, variance = q.mu, q.logvar.exp()
        right = [standard(q.mu.detach(), (q.logvar / 2).exp().detach())]
    elif kind == "Exponential":
        mean, variance, right = (-q.lograte).exp(), (-2 * q.lograte).exp(), []
    else:
        first, second = (torch.lgamma(1 + order / q.k).exp() for order in (1, 2))
        mean, variance, right = q.l * first, q.l**2 * (second - first**2), []
    for name in read.layers:
        gaussian = read.found[name]["family"] in ("gaussian", "gaussian_full")
        assert not gaussian or kind == "Normal", name
        assert verdict(read, name, right) in ("right", "absent"), name
        assert moments_are(read, name, {"mean": (mean.mean(0),), "variance": (variance.mean(0),)}), name
    assert read.layers or nothing(read)


def test_torus_of_clifford_torus(tmp_path):
    """N angles, of which the first is not drawn: power spherical ones, which hold a von Mises that nobody
    draws from. Returned beside a uniform distribution; the density is of all components.
    """
    library = pytest.importorskip("clifford_torus.distributions")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.decoder = nn.Linear(X, 8), nn.Linear(2 * Z, X)
            self.loc, self.concentration = nn.Linear(8, Z), nn.Linear(8, Z)

        def forward(self, x):
            h = torch.tanh(self.body(x))
            concentration = F.softplus(self.concentration(h)) + 1
            q = library.CliffordPowerSphericalDistribution(3 * torch.tanh(self.loc(h)), concentration)
            return self.decoder(q.rsample()), q, library.CliffordTorusUniform(Z)

    model, x, last = Model(), torch.randn(B, X), {}

    def loss():
        again, last["q"], last["p"] = model(x)
        return (again - x).square().mean() + kl_divergence(last["q"], last["p"]).mean()

    read = train(model, tmp_path / "run", loss)
    own = kl_divergence(last["q"], last["p"]).mean().item()
    for name in read.layers:
        family = read.found[name]["family"]
        assert family not in ("gaussian", "gaussian_full", "beta", "von_mises"), name
        assert verdict(read, name, [own]) in ("right", "absent"), name
    assert all(one == pytest.approx(own, rel=0.5) for one in joint_kls(tmp_path / "run"))
    assert read.layers or nothing(read)


KINDS_OF_ROBOMIMIC = {
    "standard": {},
    "learned": {"prior_learn": True},
    "conditioned": {"prior_learn": True, "prior_is_conditioned": True},
    "mixture": {"prior_learn": True, "prior_use_gmm": True, "prior_gmm_num_modes": 3},
    "classes": {"prior_use_categorical": True, "prior_categorical_dim": 3},
    "learned classes": {"prior_use_categorical": True, "prior_categorical_dim": 3, "prior_learn": True},
}


@pytest.mark.parametrize("kind", KINDS_OF_ROBOMIMIC)
def test_priors_of_robomimic(tmp_path, kind):
    """One encoder, whose dictionary is returned within another; its prior is none, parameters of a module
    called prior, a network of the condition, a mixture, or classes (B, N C) drawn by `F.gumbel_softmax`.
    """
    utils = part_of("robomimic.utils.obs_utils")
    utils.initialize_obs_utils_with_obs_specs([{"obs": {"low_dim": ["x", "given", "latent"]}}])
    model = part_of("robomimic.models.vae_nets").VAE(
        input_shapes=OrderedDict(x=(X,)), output_shapes=OrderedDict(x=(X,)), encoder_layer_dims=(8,),
        decoder_layer_dims=(8,), latent_dim=Z, device="cpu", condition_shapes=OrderedDict(given=(5,)),
        prior_layer_dims=(8,), encoder_kwargs={"low_dim": {"core_class": None, "obs_randomizer_class": None}},
        **KINDS_OF_ROBOMIMIC[kind],
    )  # fmt: skip
    if kind == "learned":
        with torch.no_grad():
            model.nets["prior"].prior_params["mean"] += 0.5
            model.nets["prior"].prior_params["logvar"] -= 0.5
    x, given, last = {"x": torch.randn(B, X)}, {"given": torch.randn(B, 5)}, {}

    def loss():
        last["prior"] = deepcopy(model.nets["prior"])  # the model calls its `forward`, past all hooks
        last.update(model(x, x, conditions=given))
        return last["reconstruction_loss"] + last["kl_loss"]

    read = train(model, tmp_path / "run", loss)
    params, own = last["encoder_params"], []
    if "logit" in params:
        q = Categorical(logits=params["logit"].detach().reshape(B, Z, 3))
        p = Categorical(logits=torch.zeros(1, Z, 3))
        if kind == "learned classes":
            p = Categorical(logits=last["prior"].forward(B)["logit"].detach())
        own = [between(q, p)]
    else:
        mu, sigma = params["mean"].detach(), (params["logvar"] / 2).exp().detach()
        if kind == "standard":
            own = [standard(mu, sigma)]
        elif kind != "mixture":
            prior = last["prior"].forward(B, given)
            at, scale = prior["means"][:, 0].detach(), (prior["logvars"][:, 0] / 2).exp().detach()
            own = [between(Normal(mu, sigma), Normal(at, scale))]
        expected = {"mean": [mu.mean(0)], "variance": [sigma.square().mean(0)]}
        if kind in ("learned", "conditioned"):
            expected["mean"].append(((mu - at) / scale).mean(0))
            expected["variance"].append((sigma / scale).square().mean(0))
    assert not own or own[0] == pytest.approx(last["kl_loss"].item(), rel=1e-3)
    for name, frame in read.layers.items():
        assert not any(part in name for part in ("prior", "decoder")), name
        assert len(frame) == Z, name
        assert verdict(read, name, own) in ("right", "absent"), name
        family = "categorical" if "logit" in params else "gaussian"
        assert read.found[name]["family"] == family, name
        assert "logit" in params or moments_are(read, name, expected), name
    assert len(read.layers) <= 1
    assert read.layers or nothing(read)

    if kind == "standard":
        said = train(model, tmp_path / "said", loss, priors={"nets.encoder": (0.0, 1.0)})
        assert said.kl() == pytest.approx(last["kl_loss"].item(), rel=1e-3)


def test_world_model_of_mbrl(tmp_path):
    """PlaNet: posterior and prior are sequences of layers whose last puts mean and standard deviation into
    one tensor; the model stacks what they return, step by step, the prior first.
    """
    T = 5
    model = part_of("mbrl.models.planet").PlaNetModel(
        obs_shape=(3, 8, 8), obs_encoding_size=6, encoder_config=((3, 4, 4, 2),),
        decoder_config=((4, 1, 1), ((4, 3, 8, 1),)), latent_state_size=Z, action_size=2, belief_size=7,
        hidden_size_fcs=8, device="cpu",
    )  # fmt: skip
    pictures, actions, rewards = torch.randn(B, T, 3, 8, 8), torch.randn(B, T, 2), torch.randn(B, T)
    last = {}

    def halves(params):
        return Normal(*(one.detach() for one in params.chunk(2, dim=-1)))

    def loss():
        p, _, q, _, _, again, reward = model(pictures, actions, rewards)
        last.update(p=halves(p), q=halves(q))
        own = kl_divergence(Normal(*q.chunk(2, -1)), Normal(*p.chunk(2, -1))).sum(-1)
        return (again - pictures).square().mean() + (reward - rewards).square().mean() + own.mean()

    read = train(model, tmp_path / "run", loss)
    p, q = last["p"], last["q"]
    expected = {
        "mean": (q.loc.mean((0, 1)), ((q.loc - p.loc) / p.scale).mean((0, 1))),
        "variance": (q.variance.mean((0, 1)), (q.variance / p.variance).mean((0, 1))),
    }
    for name, frame in read.layers.items():
        assert "prior" not in name
        assert len(frame) == Z, name
        assert verdict(read, name, [between(q, p)]) in ("right", "absent"), name
        assert moments_are(read, name, expected), name
    assert read.layers or nothing(read)

    parts = {"posterior_transition_model": Part("mu | sigma", prior="unknown")}
    said = train(model, tmp_path / "said", loss, parts=parts)
    assert moments_are(said, next(iter(said.layers)), {"mean": (last["q"].loc.mean((0, 1)),)})


@pytest.mark.parametrize("propagation", [None, "expectation"])
def test_ensemble_of_mbrl(tmp_path, propagation):
    """Members beside each other on the first axis predict (mean, logvar), with soft bounds: what is predicted
    is no latent variable, so that the best is nothing.
    """
    library = part_of("mbrl.models.gaussian_mlp")
    model = library.GaussianMLP(X, 2, "cpu", 2, 3, 8, propagation_method=propagation)
    x, y, made = torch.randn(15, X), torch.randn(15, 2), outputs(model)

    def loss():
        mean, log_var = model(x)
        return ((mean - y).square() * (-log_var).exp() + log_var).mean()

    read = train(model, tmp_path / "run", loss)
    mean, log_var = (one.detach() for one in made[-1])
    rows = tuple(range(mean.ndim - 1))
    for name, frame in read.layers.items():
        assert len(frame) == 2, name
        assert verdict(read, name, [], [standard(mean, (log_var / 2).exp())]) in ("assumed", "absent"), name
        assert moment_is(read, name, "mean", mean.mean(rows)), name
        assert moment_is(read, name, "variance", log_var.exp().mean(rows)), name
    assert read.layers or nothing(read)


def test_coefficients_of_bemb(tmp_path):
    """`variational_logstd` is the logarithm of a covariance's diagonal; the coefficient's module has methods
    alone, and its prior stands in `prior_zero_mean` and `prior_cov_diag`. Of the linear layer
    `W_prior_logstd` is the logarithm of what its argument calls a variance, and is used as it is called.
    """
    coefficient = part_of("bemb.model.bayesian_coefficient").BayesianCoefficient
    linear = part_of("bemb.model.bayesian_linear").BayesianLinear

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            given = {"obs2prior": False, "dim": 3, "prior_mean": 0.2, "prior_variance": 0.5}
            self.coef_dict = nn.ModuleDict({"theta_user": coefficient("user", 6, **given)})
            self.head = linear(3, 2, bias=False, W_prior_variance=0.5)

        def forward(self, users):
            drawn = self.coef_dict["theta_user"].rsample(1)[:, users]
            self.head.rsample(1)
            return self.head(drawn)

    model, users, right, moments = Model(), torch.randint(0, 6, (B,)), {}, {}

    def note():
        one, layer = model.coef_dict["theta_user"], model.head
        q = one.variational_distribution
        p = LowRankMultivariateNormal(one.prior_zero_mean, one.prior_cov_factor, one.prior_cov_diag)
        right.setdefault("coef", []).append(kl_divergence(q, p).sum().item())
        at, variance = q.loc.detach(), one.variational_logstd.detach().exp()
        moments["coef"] = [units(at.mean(1), variance.mean(1), (0.2, 0.5**0.5))]
        q = layer.W_variational_distribution
        p = Normal(layer.W_prior_mean, layer.W_prior_logstd.exp())
        right.setdefault("head", []).append(kl_divergence(q, p).sum().item())
        moments["head"] = [
            units(q.loc.detach().mean(axis), q.variance.detach().mean(axis), (0.0, 0.5)) for axis in (0, 1)
        ]

    def loss():
        note()
        return model(users).square().mean() + 1e-3 * right["coef"][-1]

    read = train(model, tmp_path / "run", loss)
    note()
    for name in read.layers:
        which = "coef" if "coef" in name else "head"
        assert verdict(read, name, right[which][-2:]) in ("right", "absent"), name
        assert any(moments_are(read, name, one, rtol=0.02) for one in moments[which]), name
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["mVAE", "JMVAE", "mmVAE"])
def test_experts_of_multiviewae(tmp_path, kind):
    """Normals are a class of the library's own; a product of experts, into which the prior goes as one of
    them, a joint posterior beside single ones, and experts side by side. The prior is a field of the model.
    """
    module = part_of(f"multiviewae.models.{kind.lower()}")
    distributions = part_of("multiviewae.base.distributions")
    name = {"mVAE": "mVAE", "JMVAE": "JMVAE", "mmVAE": "mmVAE"}[kind]
    model = getattr(module, name)(input_dim=[X, 6], z_dim=Z)
    model._training = True  # as its own `fit` says
    model.prior = distributions.Normal(loc=0.5, scale=2.0)
    x, last = [torch.randn(B, X), torch.randn(B, 6)], {}
    seen = [outputs(encoder) for encoder in model.encoders]

    def loss():
        last.update(model(x))
        if kind == "mmVAE":
            return -sum(p.log_likelihood(x[at]).mean() for q in last["px_zs"] for at, p in enumerate(q))
        return model.loss_function(x, last)["loss"] / 100

    model.__dict__["_trainer"] = None
    type(model).current_epoch = 5
    read = train(model, tmp_path / "run", loss)
    drawn = [one[-1] for one in seen]
    pairs = [(mu.detach(), (log_var / 2).exp().detach()) for mu, log_var in (one[:2] for one in drawn)]
    if kind == "mVAE":
        joint = last["qz_x"][0]
        pairs.append((joint.loc.detach(), joint.scale.detach()))
    own = [between(Normal(*pair), Normal(0.5, 2.0)) for pair in pairs]
    expected = [units(mu.mean(0), sigma.square().mean(0), (0.5, 2.0)) for mu, sigma in pairs]
    for layer, frame in read.layers.items():
        assert not any(part in layer for part in ("decoder", "px")), layer
        assert len(frame) == Z, layer
        ones = [at for at, one in enumerate(expected) if moments_are(read, layer, one)]
        assert ones, layer
        assert verdict(read, layer, [own[at] for at in ones]) in ("right", "absent"), layer
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["prodLDA", "LDA"])
def test_topics_of_octis(tmp_path, kind):
    """A tuple of eight: the prior's mean and variance, learned parameters, come first, then the posterior's
    mean, its variance under the name `posterior_sigma`, and the logarithm of that.
    """
    library = part_of("octis.models.pytorchavitm.avitm.decoder_network")
    model = library.DecoderNetwork(
        X, Z, kind, hidden_sizes=(8, 8), dropout=0.0, topic_prior_mean=0.3, topic_prior_variance=0.5
    )
    x, last = torch.poisson(torch.full((B, X), 2.0)), {}

    def loss():
        out = model(x)
        last.update(q=Normal(out[2].detach(), out[3].detach().sqrt()))
        last.update(p=Normal(out[0].detach().clone(), out[1].detach().clone().sqrt()))
        words = -(x * (out[5] + 1e-10).log()).sum(1)
        kl = kl_divergence(Normal(out[2], out[3].sqrt()), Normal(out[0], out[1].sqrt())).sum(1)
        return (kl + words).mean() / 100

    read = train(model, tmp_path / "run", loss)
    q, p = last["q"], last["p"]
    expected = units(q.loc.mean(0), q.variance.mean(0), (p.loc, p.scale))
    for name, frame in read.layers.items():
        assert len(frame) == Z, name
        assert verdict(read, name, [between(q, p)]) in ("right", "absent"), name
        assert moments_are(read, name, expected, rtol=0.02), name
    assert read.layers or nothing(read)


def test_embedded_topics_of_octis(tmp_path):
    """`logsigma_q_theta` is a log variance; the model returns two losses and no posterior."""
    model = part_of("octis.models.ETM_model.etm").ETM(Z, X, 8, 5, 5, "tanh", enc_drop=0.0)
    mean, log_var = outputs(model.mu_q_theta), outputs(model.logsigma_q_theta)
    x, own = torch.poisson(torch.full((B, X), 2.0)), []

    def loss():
        words, kl = model(x, x / x.sum(1, keepdim=True))
        own.append(kl.item())
        return words / 100 + kl

    read = train(model, tmp_path / "run", loss)
    variance = log_var[-1].detach().exp()
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent"), name
        assert moments_are(read, name, units(mean[-1].mean(0), variance.mean(0), (0.0, 1.0))), name
    assert len(read.layers) <= 1
    assert read.layers or nothing(read)


def test_groups_of_speechbrain(tmp_path):
    """Rows of `F.gumbel_softmax` alternate between the groups; the picks are returned by nobody, and two
    perplexities in a dictionary are sums over the groups.
    """
    groups, size, T = 2, 5, 3
    library = part_of("speechbrain.nnet.quantisers")
    model = library.GumbelVectorQuantizer(X, size, (2.0, 0.5, 0.99), groups, 6)
    x, logits = torch.randn(B, T, X), outputs(model.weight_proj)
    read = train(model, tmp_path / "run", lambda: model(x)["x"].square().mean())
    q = Categorical(logits=logits[-1].detach().view(B * T, groups, size))
    own = between(q, Categorical(logits=torch.zeros(size)))
    for name, frame in read.layers.items():
        assert read.found[name]["family"] in ("categorical", "codes"), name
        if read.found[name]["family"] == "categorical":
            assert len(frame) == groups, name
            assert verdict(read, name, [own]) in ("right", "absent"), name
            np.testing.assert_allclose(
                frame["perplexity"], q.probs.mean(0).log().mul(-q.probs.mean(0)).sum(-1).exp(), rtol=1e-3
            )
    assert read.layers or nothing(read)


def test_random_codes_of_speechbrain(tmp_path):
    """A frozen code book in a buffer called CB, whose indices alone are returned; a classifier is trained to
    predict them.
    """
    size, T = 7, 3
    library = part_of("speechbrain.nnet.quantisers")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.quantizer = library.RandomProjectionQuantizer(X, 4, size)
            self.encoder, self.linear = nn.Linear(X, 8), nn.Linear(8, size)

        def forward(self, x):
            return self.linear(torch.tanh(self.encoder(x))), self.quantizer(x)

    model, x = Model(), torch.randn(B, T, X)
    picked = outputs(model.quantizer)

    def loss():
        logits, targets = model(x)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert read.found[name]["family"] == "codes", name
        np.testing.assert_allclose(frame["usage"], shares(torch.cat(picked), size), atol=1e-6)
    assert read.layers or nothing(read)


def test_segmentations_of_lightning_uq_box(tmp_path):
    """Probabilistic U-Net: posterior and prior are one class, which returns an Independent Normal and keeps
    it nowhere; the model returns neither.
    """
    library = part_of("lightning_uq_box.models.prob_unet")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Conv2d(3, 2, 3, padding=1)
            self.prior = library.AxisAlignedConvGaussian(3, [4, 6], 1, Z)
            self.posterior = library.AxisAlignedConvGaussian(3, [4, 6], 1, Z, posterior=True)
            weights = {"w": "orthogonal", "b": "normal"}
            self.fcomb = library.Fcomb(2 + Z, 4, 2, 3, weights)

        def forward(self, img, seg_mask):
            self.posterior_latent_space = self.posterior.forward(img, seg_mask)
            self.prior_latent_space = self.prior.forward(img)
            z_posterior = self.posterior_latent_space.rsample()
            kl = kl_divergence(self.posterior_latent_space, self.prior_latent_space).mean()
            return self.fcomb.forward(self.model.forward(img), z_posterior), kl

    model, pictures, last = Model(), torch.randn(B, 3, 8, 8), {}
    mask = torch.randint(0, 2, (B, 8, 8))

    def loss():
        made, kl = model(pictures, mask[:, None].float())
        last.update(q=model.posterior_latent_space.base_dist, p=model.prior_latent_space.base_dist)
        return F.cross_entropy(made, mask) + kl

    read = train(model, tmp_path / "run", loss)
    q, p = last["q"], last["p"]
    expected = {
        "mean": (q.loc.mean(0), ((q.loc - p.loc) / p.scale).mean(0)),
        "variance": (q.variance.mean(0), (q.variance / p.variance).mean(0)),
    }
    for name in read.layers:
        assert "prior" not in name
        assert verdict(read, name, [between(q, p)]) in ("right", "absent"), name
        assert moments_are(read, name, expected), name
    assert read.layers or nothing(read)


def test_weights_of_lightning_uq_box(tmp_path):
    """`mu_weight` and `rho_weight`, under `prior_weight_mu` and `prior_weight_sigma`; its KL is a mean."""
    library = part_of("lightning_uq_box.models.bnn_layers.linear_variational")
    options = {"prior_mu": 0.1, "prior_sigma": 0.5, "bias": False}
    model = nn.Sequential(
        library.LinearVariational(X, 6, **options), nn.Tanh(), library.LinearVariational(6, 2, **options)
    )
    x, right = torch.randn(B, X), {"0": [], "2": []}

    def note():
        for place, ones in right.items():
            q = Normal(model[int(place)].mu_weight, F.softplus(model[int(place)].rho_weight))
            ones.append(kl_divergence(q, Normal(0.1, 0.5)).sum().item())

    def loss():
        note()
        return model(x).square().mean() + model[0].kl_loss() + model[2].kl_loss()

    read = train(model, tmp_path / "run", loss)
    note()
    for name in read.layers:
        layer = model[int(name[0])]
        sigma = F.softplus(layer.rho_weight.detach())
        moments = units(layer.mu_weight.detach().mean(1), sigma.square().mean(1), (0.1, 0.5))
        assert verdict(read, name, right[name[0]][-2:]) in ("right", "absent"), name
        assert moments_are(read, name, moments, rtol=0.02), name
    assert read.layers or nothing(read)


def test_latent_inputs_of_lightning_uq_box(tmp_path):
    """The scale is a constant less a scaled softplus, clamped; the prior's is called `lv_prior_std`."""
    library = part_of("lightning_uq_box.models.bnnlv.latent_variable_network")
    net = nn.Sequential(nn.Linear(X + 1, 8), nn.Tanh(), nn.Linear(8, 2 * Z))
    latent = library.LatentVariableNetwork(net, 100, lv_prior_std=2.0, lv_latent_dim=Z)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lv_net, self.predict = latent, nn.Linear(X + Z, 1)

        def forward(self, x, y):
            return self.predict(torch.cat([x, self.lv_net(x, y)], -1))

    model, x, y, made = Model(), torch.randn(B, X), torch.randn(B, 1), outputs(net)
    read = train(model, tmp_path / "run", lambda: (model(x, y) - y).square().mean())
    head = made[-1].detach()
    q = Normal(0.1 * head[:, :Z], (1 - 0.1 * F.softplus(head[:, Z:])).clamp(min=1e-3))
    moments = units(q.loc.mean(0), q.variance.mean(0), (0.0, 2.0))
    for name in read.layers:
        assert verdict(read, name, [between(q, Normal(0.0, 2.0))]) in ("right", "absent"), name
        assert moments_are(read, name, moments), name
    assert read.layers or nothing(read)


def test_weights_of_pyvarinf(tmp_path):
    """`0_weight_mean` and `0_weight_rho` are parameters of the wrapper; the prior's scale is worked out of a
    parameter's shape in a function, and draws replace the weights of a plain network.
    """
    library = pytest.importorskip("pyvarinf")
    net = nn.Sequential(nn.Linear(X, 6), nn.Tanh(), nn.Linear(6, 2))
    model, x, right = library.Variationalize(net, zero_mean=False), torch.randn(B, X), {}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)

    def parts(place):
        return model.dico[place]["weight"].mean, F.softplus(model.dico[place]["weight"].rho)

    def note():
        for place, width in (("0", X), ("2", 6)):
            kl = kl_divergence(Normal(*parts(place)), Normal(0.0, width**-0.5))
            right.setdefault(place, []).append(kl.sum().item())

    def loss():
        note()
        return model(x).square().mean() + 1e-3 * model.prior_loss()

    read = train(model, tmp_path / "run", loss)
    note()
    for name in read.layers:
        if "bias" in name:
            assert read.kl(name) is None, name
            continue
        place = "0" if "0" in name else "2"
        mean, sigma = (one.detach() for one in parts(place))
        width = (X if place == "0" else 6) ** -0.5
        assert verdict(read, name, right[place][-2:]) in ("right", "absent"), name
        assert moments_are(read, name, units(mean.mean(1), sigma.square().mean(1), (0.0, width)), 0.02), name
    assert read.layers or nothing(read)

    priors = {"0_weight*": (0.0, X**-0.5), "2_weight*": (0.0, 6**-0.5)}
    said = train(model, tmp_path / "said", loss, priors=priors)
    note()
    for name in said.layers:
        assert verdict(said, name, right[name[0]][-2:]) == "right", name


def test_causal_flow_of_causalflows(tmp_path):
    """A flow that is returned for each input as a class of the library's own, under a Normal of the model."""
    library = part_of("causalflows.flows")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(X, 5)
            self.posterior = library.CausalMAF(3, 5, order=torch.arange(3), hidden_features=(8,))
            self.decoder = nn.Linear(3, X)

        def forward(self, x):
            q = self.posterior(torch.tanh(self.encoder(x)))
            z, log_q = q.rsample_and_log_prob()
            return self.decoder(z), log_q - Normal(0.0, 1.0).log_prob(z).sum(-1)

    model, x, made = Model(), torch.randn(B, X), []
    model.posterior.register_forward_hook(lambda _, __, out: made.append(out))

    def loss():
        again, cost = model(x)
        return (again - x).square().mean() + cost.mean()

    read = train(model, tmp_path / "run", loss)
    drawn = made[-1].sample((4000,))
    log_p = Normal(0.0, 1.0).log_prob(drawn).sum(-1)
    own = (made[-1].log_prob(drawn) - log_p).mean().item()
    for name, frame in read.layers.items():
        assert len(frame) == 3, name
        assert read.found[name]["family"] in ("samples", "generic"), name
        assert read.kl(name) is None, name
        noise = 5 * drawn.std((0, 1)).numpy() / np.sqrt(B)
        assert (np.abs(frame["mean"] - drawn.mean((0, 1)).numpy()) < noise).all(), name
    assert all(one == pytest.approx(own, rel=0.5) for one in joint_kls(tmp_path / "run"))
    assert read.layers or nothing(read)


@pytest.mark.parametrize("unimodal", [True, False])
def test_betas_of_mean_conc_beta(tmp_path, unimodal):
    """A module without parameters returns a Beta that is stretched onto (-1, 1), as a class of the library's
    own; the prior is uniform, and stands in a method.
    """
    library = pytest.importorskip("mean_conc_beta")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, 2 * Z), nn.Linear(Z, X)
            self.to_posterior = library.Beta(unimodal=unimodal, init_conc=4.0)

        def forward(self, x):
            q = self.to_posterior(self.encoder(x).view(-1, Z, 2))
            return self.decoder(q.rsample()), q

    model, x, last = Model(), torch.randn(B, X), {}

    def loss():
        again, last["q"] = model(x)
        return (again - x).square().mean() + model.to_posterior.kl_uniform(last["q"]).mean()

    read = train(model, tmp_path / "run", loss)
    q, base = last["q"], last["q"].base_dist
    own = -base.entropy().sum(1).mean().item()
    for name in read.layers:
        family = read.found[name]["family"]
        assert family in ("beta", "generic"), name
        of = base if family == "beta" else q
        assert verdict(read, name, [own]) in ("right", "absent"), name
        assert moment_is(read, name, "mean", of.mean.mean(0)), name
        assert moment_is(read, name, "variance", of.variance.mean(0)), name
    assert read.layers or nothing(read)
