"""Eight libraries more that no table of docs/watch.md named: a head called `log_sigma_x2`, residual codes in
an object, importance weights under a prior in buffers, a layer `var` that is a log variance, codes of n
dimensions, a Pyro model of Gaussians and classes, Pyro's guide of weights, an ensemble that attacks itself.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

import sys
from operator import attrgetter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from test_unseen_third_batch import moment_is, moments_are, shares, units
from torch import nn
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn import functional as F
from training import between, nothing, outputs, part_of, standard, train, verdict, without_pictures

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_action_chunks_of_lerobot(tmp_path, monkeypatch):
    """ACT: one linear layer puts out means and log variances, called `log_sigma_x2`, which the model returns
    as a pair behind the actions.
    """
    stubs = {
        "torchvision.models._utils": {"IntermediateLayerGetter": None},
        "torchvision.ops.misc": {"FrozenBatchNorm2d": None},
        "lerobot.policies.act.configuration_act": {"ACTConfig": object},
        "lerobot.policies.pretrained": {"PreTrainedPolicy": nn.Module},
    }
    for path, names in stubs.items():
        monkeypatch.setitem(sys.modules, path, ModuleType(path))
        vars(sys.modules[path]).update(names)
    library = part_of("lerobot.policies.act.modeling_act")
    config = SimpleNamespace(
        use_vae=True, robot_state_feature=SimpleNamespace(shape=(5,)), image_features={}, dim_model=8,
        env_state_feature=SimpleNamespace(shape=(6,)), action_feature=SimpleNamespace(shape=(3,)),
        latent_dim=Z, chunk_size=7, n_vae_encoder_layers=1, n_encoder_layers=1, n_decoder_layers=1, n_heads=2,
        dim_feedforward=8, dropout=0.0, pre_norm=False, feedforward_activation="relu",
    )  # fmt: skip
    model, last = library.ACT(config), {}
    batch = {
        "observation.state": torch.randn(B, 5), "observation.environment_state": torch.randn(B, 6),
        "action": torch.randn(B, 7, 3), "action_is_pad": torch.zeros(B, 7, dtype=torch.bool),
    }  # fmt: skip

    def loss():
        actions, (mu, log_var) = model(batch)
        last.update(mu=mu.detach(), sigma=(log_var / 2).exp().detach())
        kl = -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(-1).mean()
        return (actions - batch["action"]).abs().mean() + kl

    read = train(model, tmp_path / "run", loss)
    mu, sigma = last["mu"], last["sigma"]
    for name, frame in read.layers.items():
        assert len(frame) == Z, name
        assert verdict(read, name, [standard(mu, sigma)]) in ("right", "absent"), name
        assert moments_are(read, name, units(mu.mean(0), sigma.square().mean(0), (0.0, 1.0))), name
    assert len(read.layers) <= 1
    assert read.layers or nothing(read)

    said = train(model, tmp_path / "said", loss, parts={"vae_encoder_latent_output_proj": "mu | log_var"})
    assert said.kl() == pytest.approx(standard(last["mu"], last["sigma"]), rel=1e-4)


@pytest.mark.parametrize("kind", ["ResidualVectorQuantizer", "SplitResidualVectorQuantizer"])
def test_codes_of_moshi(tmp_path, kind):
    """Codes (B, K, T) stand in a data class, and level by level in named tuples of modules within; a level is
    picked from what the levels before leave over.
    """
    library, levels, size = part_of("moshi.quantization.vq"), 3, 6
    quantizer = getattr(library, kind)(n_q=levels, dimension=Z, bins=size)
    if kind.startswith("Split"):
        quantizer.rvq_first.no_quantization_rate = 0.0

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.quantizer = nn.Conv1d(3, Z, 1), quantizer
            self.decoder = nn.Conv1d(Z, 3, 1)

        def forward(self, x):
            out = self.quantizer(self.encoder(x), 10)
            return self.decoder(out.x), out.penalty

    model, x, picked = Model(), torch.randn(B, 3, 5), outputs(quantizer)

    def loss():
        again, penalty = model(x)
        return (again - x).square().mean() + penalty

    read = train(model, tmp_path / "run", loss)
    codes = torch.stack([one.codes for one in picked])  # (steps, B, K, T)
    each = [shares(codes[:, :, level], size) for level in range(levels)]
    used = []
    for name, frame in read.layers.items():
        assert read.found[name]["family"] == "codes", name
        assert len(frame) == size, name
        fits = [at for at, one in enumerate(each) if np.allclose(frame["usage"], one, atol=1e-6)]
        assert fits, name
        used.append(fits[0])
    assert len(read.layers) in (0, levels)
    assert sorted(used) == list(range(levels)) or not used
    assert read.layers or nothing(read)


def test_importance_weights_of_notmiwae(tmp_path):
    """Several draws of each input; the prior's numbers are the buffers `prior_mu` and `prior_std` of one
    element; the model returns numbers alone. The decoder's heads are called `fc_mu` and `fc_std`.
    """
    model = part_of("notmiwae_pytorch.models.miwae").MIWAE(X, Z, 8, n_samples=3)
    model.prior_mu.fill_(0.3)
    model.prior_std.fill_(2.0)
    x, seen, made = torch.randn(B, X), torch.ones(B, X), outputs(model.encoder)
    read = train(model, tmp_path / "run", lambda: model(x, seen)["loss"])
    mu, sigma = made[-1][0].detach(), (made[-1][1] / 2).exp().detach()
    for name, frame in read.layers.items():
        assert "decoder" not in name
        assert len(frame) == Z, name
        assert verdict(read, name, [between(Normal(mu, sigma), Normal(0.3, 2.0))]) in ("right", "absent")
        assert moments_are(read, name, units(mu.mean(0), sigma.square().mean(0), (0.3, 2.0))), name
    assert read.layers or nothing(read)


def test_multi_omics_of_move(tmp_path, monkeypatch):
    """Layers `mu` and `var`, of which the second is a log variance; both are returned, behind log
    probabilities of classes and numbers that are predicted.
    """
    monkeypatch.setattr(np, "float_", np.float64, raising=False)  # gone from numpy
    model = part_of("move.models.vae").VAE([(3, 4)], [X], num_hidden=[8], num_latent=Z, dropout=0.0)
    x, last = torch.randn(B, 12 + X), {}

    def loss():
        classes, numbers, last["mu"], last["log_var"] = model(x)
        kl = -0.5 * (1 + last["log_var"] - last["mu"].square() - last["log_var"].exp()).sum(1).mean()
        return numbers.square().mean() - classes[0][:, 0].mean() + kl

    read = train(model, tmp_path / "run", loss)
    mu, sigma = last["mu"].detach(), (last["log_var"] / 2).exp().detach()
    for name, frame in read.layers.items():
        assert len(frame) == Z, name
        assert verdict(read, name, [standard(mu, sigma)]) in ("right", "absent"), name
        assert moments_are(read, name, units(mu.mean(0), sigma.square().mean(0), (0.0, 1.0))), name
    assert len(read.layers) <= 1
    assert read.layers or nothing(read)


@pytest.mark.parametrize("dims", [1, 2])
def test_codes_of_nd_vq_vae(tmp_path, dims):
    """Picks at each of n dimensions, in a dictionary; the table is moved in place while the picks are made,
    so that it is not that which they are of any more.
    """
    library, size = part_of("nd_vq_vae.vqvae_ndim"), 6

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            conv = (nn.Conv1d, nn.Conv2d)[dims - 1]
            self.encoder, self.decoder = conv(3, Z, 1), conv(Z, 3, 1)
            self.codebook = library.Codebook(size, Z, 0.1)

        def forward(self, x):
            vq_output = self.codebook(self.encoder(x))
            return self.decoder(vq_output["embeddings"]), vq_output

    model, x = Model(), torch.randn(B, 3, *(4, 5)[:dims])
    picked = outputs(model.codebook)

    def loss():
        again, out = model(x)
        return (again - x).square().mean() + out["commitment_loss"]

    read = train(model, tmp_path / "run", loss)
    usage = shares(torch.stack([one["encodings"] for one in picked]), size)
    for name, frame in read.layers.items():
        assert read.found[name]["family"] == "codes", name
        np.testing.assert_allclose(frame["usage"], usage, atol=1e-6)
    assert len(read.layers) <= 1
    assert read.layers or nothing(read)


def test_classes_and_gaussians_of_pyroved(tmp_path):
    """`mu, sigma, alpha` of one encoder: a Gaussian and probabilities of classes, which a guide that is a
    method samples; classes are enumerated, so that nobody draws from them.
    """
    infer = pytest.importorskip("pyro.infer")
    pytest.importorskip("opt_einsum")
    model = part_of("pyroved.models.jivae").jiVAE(
        (X,), Z, 3, hidden_dim_e=[8], hidden_dim_d=[8], sampler_d="gaussian", device="cpu"
    )
    x, made, elbo = torch.rand(B, X), outputs(model.encoder_z), infer.TraceEnum_ELBO(max_plate_nesting=1)
    guide = infer.config_enumerate(model.guide, "parallel", expand=True)
    read = train(model, tmp_path / "run", lambda: elbo.differentiable_loss(model.model, guide, x) / 100)
    mu, sigma, alpha = (one.detach() for one in made[-1])
    classes = between(Categorical(alpha[:, None]), Categorical(torch.ones(3)))
    for name, frame in read.layers.items():
        assert "decoder" not in name
        if read.found[name]["family"] == "categorical":
            assert len(frame) == 1, name
            assert verdict(read, name, [classes]) in ("right", "absent"), name
            continue
        assert len(frame) == Z, name
        assert verdict(read, name, [standard(mu, sigma)]) in ("right", "absent"), name
        assert moments_are(read, name, units(mu.mean(0), sigma.square().mean(0), (0.0, 1.0))), name
    assert read.layers or nothing(read)


def test_weights_of_tyxe(tmp_path, monkeypatch):
    """A guide of the library's own within the model's forward pass; the prior is an object of its own kind, a
    field, and what Pyro samples the weights of the net from.
    """
    pytest.importorskip("opt_einsum")
    library, pyro = pytest.importorskip("tyxe"), pytest.importorskip("pyro")
    pyro.clear_param_store()
    monkeypatch.setattr(pyro.util, "deep_getattr", lambda one, path: attrgetter(path)(one), raising=False)
    net = nn.Sequential(nn.Linear(X, 6, bias=False), nn.Tanh(), nn.Linear(6, 2, bias=False))
    prior = library.priors.IIDPrior(pyro.distributions.Normal(0.0, 0.5))
    bnn, x, notes = library.PytorchBNN(net, prior, library.guides.AutoNormal), torch.randn(B, X), []
    bnn.guided_forward(x)  # makes the parameters of the guide

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.bnn = bnn

        def forward(self, x):
            return self.bnn.guided_forward(x)

    model = Model()

    def note():
        guide = bnn.net_guide
        pairs = {
            place: (guide.get_loc(f"net.{place}.weight"), guide.get_scale(f"net.{place}.weight"))
            for place in ("0", "2")
        }
        notes.append(
            {at: (loc.detach().clone(), scale.detach().clone()) for at, (loc, scale) in pairs.items()}
        )

    def loss():
        note()
        return model(x).square().mean()

    read = train(model, tmp_path / "run", loss)
    note()
    for name, frame in read.layers.items():
        pairs = [one["0" if "0" in name else "2"] for one in notes[-2:]]
        right = [kl_divergence(Normal(*pair), Normal(0.0, 0.5)).sum().item() for pair in pairs]
        alone = [kl_divergence(Normal(*pair), Normal(0.0, 1.0)).sum().item() for pair in pairs]
        assert verdict(read, name, right, alone) in ("right", "assumed", "absent"), name
        loc, scale = pairs[-1]
        if len(frame) == loc.numel():
            flat = units(loc.flatten(), scale.flatten().square(), (0.0, 0.5))
            assert moments_are(read, name, flat, rtol=0.02), name
    assert read.layers or nothing(read)


@pytest.mark.parametrize("attack", [False, True])
def test_ensemble_of_deep_ensembles_pytorch(tmp_path, attack):
    """Members put out what they predict as a named tuple (mean, log_var), whose log variance is that of a
    softplus of the head, once more for inputs that an own backward pass has moved.
    """
    library = without_pictures("deep_ensembles_pytorch")
    model = library.DeepEnsemble(X, 2, num_members=2, hidden_dim=8, use_adversarial_training=attack)
    x, y, made = torch.randn(B, X), torch.randn(B, 2), [outputs(one) for one in model.members]
    read = train(model, tmp_path / "run", lambda: model(x, y))
    for name, frame in read.layers.items():
        assert len(frame) == 2, name
        at = 0 if "0" in name else 1
        rows = made[at][-3 if attack else -1 :]
        mean = torch.cat([one.mean.detach() for one in rows])
        sigma = torch.cat([(one.log_var / 2).exp().detach() for one in rows])
        assert verdict(read, name, [], [standard(mean, sigma)]) in ("assumed", "absent"), name
        assert moment_is(read, name, "mean", mean.mean(0)), name
        assert moment_is(read, name, "variance", sigma.square().mean(0)), name
    assert read.layers or nothing(read)


def test_probabilities_of_a_softmax_by_hand(tmp_path):
    """`alpha` of a softmax is the concentration of no Dirichlet."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(X, 8), nn.Linear(8, Z)

        def forward(self, x):
            alpha = F.softmax(self.fc2(torch.tanh(self.fc1(x))), -1)
            return alpha

    model, x = nn.Sequential(Encoder(), nn.Linear(Z, X)), torch.randn(B, X)
    read = train(model, tmp_path / "run", lambda: (model(x) - x).square().mean())
    assert nothing(read)
