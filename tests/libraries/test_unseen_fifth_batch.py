"""Models of nine libraries that no table of docs/watch.md named, and distributions of four that one does:
Beta policies, a Gaussian and a class in one tuple, a `fc_sigma` that is a log variance, a prior that is a
number of the loss; masks, a sphere, an interval, densities of a library's own, dropout.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

import sys
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn import functional as F
from training import nothing, outputs, part_of, standard, train, verdict

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def as_standard(read, own, neurons=Z):
    """One layer at most, the library's own KL to Normal(0, 1) or nothing."""
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
        assert len(read.layers[name]) == neurons
        assert read.found[name]["family"].startswith("gaussian")
    assert len(read.layers) <= 1
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["BetaDistribution", "HeteroscedasticGaussianDistribution"])
def test_policies_of_rsl_rl(tmp_path, kind):
    """Both parameters from one tensor (B, 2, N): a policy has no prior."""
    library = pytest.importorskip("rsl_rl.modules")
    distributions = pytest.importorskip("rsl_rl.modules.distribution")
    policy = getattr(distributions, kind)(Z)

    class Actor(nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp, self.distribution = library.MLP(X, policy.input_dim, [8], "elu"), policy

        def forward(self, x):
            self.distribution.update(self.mlp(x))
            return self.distribution.sample()

    model, x, own = Actor(), torch.randn(B, X), []

    def loss():
        action = model(x)
        q = policy._distribution
        own.append((q.mean.detach().mean(0).numpy(), q.stddev.detach().square().mean(0).numpy()))
        return -(policy.log_prob(action) * action.sum(1)).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        family = read.found[name]["family"]
        assert family == "beta" if kind.startswith("Beta") else family.startswith("gaussian")
        assert read.kl(name) is None or read.origin("prior", name) == "assumed"
        np.testing.assert_allclose(frame["mean"], own[-1][0], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(frame["variance"], own[-1][1], rtol=1e-3)
    assert read.layers or nothing(read)


def test_decoder_of_torchvae_that_is_a_distribution(tmp_path):
    """The forward pass returns the likelihood as a Normal; the posterior is made inside."""
    pytest.importorskip("torchvae")
    model = pytest.importorskip("torchvae.models").VAE(X, [8, Z])
    x, own = torch.rand(B, X), []

    def loss():
        likely = model(x)
        own.append(model.kld.item() / B)
        return (model.kld - likely.log_prob(x).sum()) / B

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        right = verdict(read, name, own[-1:])
        assert right in ("right", "absent") or "it may be a prior, a likelihood" in read.found[name]["why"]
    assert "right" in [verdict(read, name, own[-1:]) for name in read.layers]


def test_gaussian_and_class_of_proteovae(tmp_path):
    """((q(z), q(c)), decoded): each under its own prior, an attribute of the model."""
    base, models = (
        pytest.importorskip("proteovae.models.base"),
        pytest.importorskip("proteovae.models.models"),
    )
    classes = 3
    config = SimpleNamespace(
        input_dim=X, latent_dim=Z, hidden_dims=[8, 8, 8], device="cpu", beta=1.0, eta=1.0, gamma=1e-3,
        elbo_scheduler=None, guided_dim=1, disc_dim=classes,
    )  # fmt: skip
    parts = {
        "encoder": base.JointEncoder(X, Z, [8, 8, 8], classes),
        "decoder": base.Decoder(X, Z + classes, [8, 8, 8]),
        "guide": base.Guide(classes, 2),
    }
    model = models.JointVAE(config=config, **parts)
    x, y, own = torch.randn(B, X), torch.randint(0, 2, (B,)), []

    def loss():
        found = model.loss_function((x, y))
        own.append(found["kl"].item())
        return found["loss"]

    seen = outputs(model.encoder)
    read = train(model, tmp_path / "run", loss)
    mu, log_var = seen[-1]["cont"]
    kl_z = standard(mu.detach(), (log_var.detach() / 2).exp())
    uniform = Categorical(torch.ones(classes))
    kl_c = kl_divergence(Categorical(logits=seen[-1]["disc"].detach()), uniform).mean().item()
    assert own[-1] == pytest.approx(kl_z + kl_c, rel=1e-4)
    for name, frame in read.layers.items():
        of_class = read.found[name]["family"] == "categorical"
        assert verdict(read, name, [kl_c if of_class else kl_z]) in ("right", "absent")
        assert len(frame) == (1 if of_class else Z)
    assert len(read.layers) <= 2
    assert read.layers or nothing(read)


def test_conditions_of_trvaep(tmp_path, monkeypatch):
    """mu and log_var of an encoder whose layers are chosen by a condition."""
    for name in ("scanpy", "anndata"):
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name, Mock()))
    library = part_of("trvaep.model._cvae")
    model = library.CVAE(X, 2, [8], Z, [8], dr_rate=0.0, use_mmd=False)
    x, condition, own = torch.rand(B, X), torch.arange(B) % 2, []

    def loss():
        again, mu, log_var = model(x, condition)[:3]
        own.append(standard(mu, (log_var / 2).exp()))
        return (again - x).square().mean() - 0.5 * (1 + log_var - mu.square() - log_var.exp()).sum() / B

    as_standard(train(model, tmp_path / "run", loss), own)


def test_sigma_of_stvae_that_is_a_log_variance(tmp_path):
    """`fc_sigma` is what std = exp(sigma / 2) is computed of."""
    library = part_of("stvae.model.autoencoders")
    model = library.VAE(Z, X, 3, 3, 1.0, ohe_latent_dim=2)
    x, y, own = torch.rand(B, X), F.one_hot(torch.arange(B) % 3, 3).float(), []

    def loss():
        (again, _), mu, log_var = model(x, y)
        own.append(standard(mu, (log_var / 2).exp()))
        return (again - x).square().mean() - 0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(1).mean()

    as_standard(train(model, tmp_path / "run", loss), own)


def test_pathways_of_pyvae(tmp_path):
    """An encoder that returns mu, log_var and its hidden units, under a mask of known pathways."""
    models = part_of("pyvae.models")
    parts = part_of("pyvae.components")
    model = models.InformedVAE((torch.rand(X, 6) > 0.5).float(), latent_dim=Z)
    x, own = torch.randn(B, X), []

    def loss():
        again, mu, log_var, hidden = model(x)
        own.append(parts.gaussian_kl(mu, log_var).item())
        return model.loss(x, again, mu, log_var, hidden)

    as_standard(train(model, tmp_path / "run", loss), own)


def test_prior_of_gd_vae_that_is_a_number_of_its_loss(tmp_path):
    """Two networks, mean and log variance, called by a loss that knows the prior's width, 0.7."""
    library = pytest.importorskip("gd_vae_pytorch.vae")
    width = torch.tensor(0.7)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder_mean, self.encoder_log_variance = nn.Linear(X, Z), nn.Linear(X, Z)
            self.decoder_mean = nn.Linear(Z, X)

        def forward(self, x):
            return library.dyvae_loss(
                self.encoder_mean, self.encoder_log_variance, self.decoder_mean, lambda z, _: 0.9 * z, None,
                x, 0.9 * x, beta=1.0, gamma=0.5, num_monte_carlo_samples=1, latent_prior_std_dev=width,
                device="cpu", mse_loss=None,
            )  # fmt: skip

    model, x = Model(), torch.randn(B, X)
    means, log_vars = outputs(model.encoder_mean), outputs(model.encoder_log_variance)
    read = train(model, tmp_path / "run", lambda: model(x))
    mu, sigma = means[-1].detach(), (log_vars[-1] / 2).exp().detach()
    right = kl_divergence(Normal(mu, sigma), Normal(torch.zeros(Z), width)).sum(1).mean().item()
    for name in read.layers:
        assert verdict(read, name, [right], [standard(mu, sigma)]) in ("right", "assumed", "absent")
    assert read.layers or nothing(read)


def test_policy_of_pfrl(tmp_path):
    """The head returns an Independent(Normal): an action's, whose prior nobody states."""
    policies = pytest.importorskip("pfrl.policies")
    head = policies.GaussianHeadWithDiagonalCovariance()
    model, x, seen = (
        nn.Sequential(nn.Linear(X, 8), nn.Tanh(), nn.Linear(8, 2 * Z), head),
        torch.randn(B, X),
        [],
    )

    def loss():
        q = model(x)
        action = q.sample()
        seen.append((q.mean.detach().mean(0).numpy(), standard(q.base_dist.loc, q.base_dist.scale)))
        return -(q.log_prob(action) * action.sum(1)).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert verdict(read, name, [], [seen[-1][1]]) in ("assumed", "absent")
        np.testing.assert_allclose(frame["mean"], seen[-1][0], rtol=1e-3, atol=1e-6)
    assert read.layers or nothing(read)


@pytest.mark.parametrize("returned", [True, False])
def test_sphere_of_power_spherical(tmp_path, returned):
    """A direction and one concentration of all components; the KL is of the vector."""
    library = pytest.importorskip("power_spherical")

    class Sphere(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc_mean, self.fc_scale, self.out = nn.Linear(X, Z), nn.Linear(X, 1), nn.Linear(Z, X)

        def forward(self, x):
            scale = F.softplus(self.fc_scale(x))[:, 0] + 1
            q = library.PowerSpherical(F.normalize(self.fc_mean(x), dim=-1), scale)
            p = library.HypersphericalUniform(Z - 1)
            self.kl = kl_divergence(q, p).mean()
            z = q.rsample()
            return (self.out(z), q, p) if returned else (self.out(z), z)

    model, x, own = Sphere(), torch.randn(B, X), []

    def loss():
        again = model(x)[0]
        own.append(model.kl.item())
        return (again - x).square().mean() + model.kl

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
        assert not read.found[name]["family"].startswith("gaussian")
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["Normal", "Gamma"])
@pytest.mark.parametrize("place", ["returned", "observed"])
def test_masks_of_pyro(tmp_path, kind, place):
    """Rows that a distribution's own mask leaves out, padding, are none of the batch."""
    distributions = pytest.importorskip("pyro.distributions")
    probes = pytest.importorskip("probes")
    mask = torch.arange(B)[:, None] % 3 > 0

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.out = nn.Linear(X, 2 * Z), nn.Linear(Z, X)

        def forward(self, x):
            a, b = self.head(x).chunk(2, -1)
            self.q = getattr(distributions, kind)(a if kind == "Normal" else a.exp(), b.exp())
            q = self.q.mask(mask).to_event(1)
            if place == "observed":
                probes.observe("z", q, prior=prior)
                return self.out(q.rsample())
            return self.out(q.rsample()), q

    own = [torch.zeros(Z), torch.ones(Z)] if kind == "Normal" else [torch.ones(Z), torch.ones(Z)]
    prior = getattr(distributions, kind)(*own)
    model, x, seen = Masked(), torch.randn(B, X), []

    def loss():
        found = model(x)
        again = found if place == "observed" else found[0]
        kl = kl_divergence(model.q, prior.expand((B, Z))).detach()[mask[:, 0]]
        seen.append((kl.sum(1).mean().item(), model.q.mean.detach()[mask[:, 0]].mean(0).numpy()))
        return (again - x).square().mean()

    read = train(model, tmp_path / "run", loss, **({"hooks": False} if place == "observed" else {}))
    assert place == "returned" or read.layers
    for name, frame in read.layers.items():
        assert verdict(read, name, [seen[-1][0]]) in ("right", "absent")
        np.testing.assert_allclose(frame["mean"], seen[-1][1], rtol=1e-3, atol=1e-6)
        assert (frame["rows"] == mask.sum().item()).all()
    assert read.layers or nothing(read)


def test_interval_of_pyro(tmp_path):
    """A Beta between -1 and 2 under the uniform there: the KL of a Beta under Beta(1, 1), by draws."""
    distributions = pytest.importorskip("pyro.distributions")
    low, size = torch.tensor(-1.0), torch.tensor(3.0)

    class Interval(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.out = nn.Linear(X, 2 * Z), nn.Linear(Z, X)

        def forward(self, x):
            a, b = (F.softplus(self.head(x)) + 1).chunk(2, -1)
            q = distributions.AffineBeta(a, b, low, size)
            p = distributions.AffineBeta(torch.ones(Z), torch.ones(Z), low, size)
            return self.out(q.rsample()), q, p

    model, x, own = Interval(), torch.randn(B, X), []

    def loss():
        again, q, p = model(x)
        kl = kl_divergence(q.base_dist, p.base_dist.expand((B, Z))).sum(1).mean()
        own.append(kl.item())
        return (again - x).square().mean() + kl

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        kl = read.kl(name)
        error = frame["kl_error"].to_numpy() if "kl_error" in frame else np.zeros(Z)
        assert kl is None or abs(kl - own[-1]) < 5 * np.sqrt((error**2).sum()) + 1e-4 * own[-1]
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["MaskedCategorical", "MaskedOneHotCategorical"])
def test_actions_that_are_not_allowed_of_torchrl(tmp_path, kind):
    """Classes of which a mask rules some out have probability 0; the uniform over all is said assumed."""
    modules = pytest.importorskip("torchrl.modules")
    allowed = torch.tensor([True, True, True, False]).expand(B, Z)

    class Actor(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(X, Z)

        def forward(self, x):
            return getattr(modules, kind)(logits=self.head(x), mask=allowed)

    model, x, own = Actor(), torch.randn(B, X), []

    def loss():
        q = model(x)
        own.append(model.head(x).detach().masked_fill(~allowed, -torch.inf).softmax(-1))
        return -q.log_prob(q.sample()).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        p = own[-1].double()
        entropy = -torch.xlogy(p, p).sum(-1).mean().item()
        assert read.found[name]["family"] == "categorical"
        assert frame["entropy"].sum() == pytest.approx(entropy, rel=1e-3)
        assert verdict(read, name, [], [np.log(Z) - entropy]) in ("assumed", "absent")
    assert read.layers or nothing(read)


@pytest.mark.parametrize("kind", ["GeneralizedNormal", "Truncated"])
def test_distributions_of_zuko(tmp_path, kind):
    """Densities of its own over single components: a KL by draws, with its error, and no Gaussian's.
    Rows are many, since the error is of one draw a row.
    """
    library = pytest.importorskip("zuko.distributions")

    def made(a, b):
        if kind == "GeneralizedNormal":
            return library.GeneralizedNormal(a.exp() + 1)
        return library.Truncated(Normal(a, b.exp()), torch.tensor(-2.0), torch.tensor(2.0))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.out = nn.Linear(X, 2 * Z), nn.Linear(Z, X)

        def forward(self, x):
            q, p = made(*self.head(x).chunk(2, -1)), made(torch.zeros(Z), torch.zeros(Z))
            self.q, self.p = q, p
            return self.out(q.sample()), q, p

    model, x, own = Model(), torch.randn(4000, X), []

    def loss():
        again, q, p = model(x)
        with torch.no_grad():
            z = q.sample((50,))
            own.append((q.log_prob(z) - p.log_prob(z)).mean((0, 1)).sum().item())
        return (again - x).square().mean() - q.log_prob(torch.zeros(len(x), Z)).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        kl, error = read.kl(name), np.sqrt((frame.get("kl_error", np.zeros(Z)) ** 2).sum())
        assert kl is None or abs(kl - own[-1]) < 6 * error + 0.02 * abs(own[-1])
        assert not read.found[name]["family"].startswith("gaussian")
    assert read.layers or nothing(read)


def test_dropout_of_mc_dropout_pytorch(tmp_path):
    """Dropout is a posterior over networks, of which no single pass shows anything."""
    library = pytest.importorskip("mc_dropout_pytorch")
    model, x = library.BayesianMLP(X, 2, hidden_dims=(8,)), torch.randn(B, X)
    read = train(model, tmp_path / "run", lambda: model(x).square().mean())
    assert nothing(read)
