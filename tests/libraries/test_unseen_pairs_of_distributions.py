"""Distributions of torch in places that people give them, target networks, packed sentences, parameters on a
last axis of two, and a library that no table of docs/watch.md named.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Dirichlet,
    Gamma,
    Independent,
    LogNormal,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Poisson,
    VonMises,
    kl_divergence,
)
from torch.nn.utils.rnn import pack_padded_sequence
from training import nothing, outputs, train, verdict

from probes.run import Run

B, X, Z = 16, 12, 4


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def shares(indices, size):
    return (torch.bincount(indices.flatten(), minlength=size) / indices.numel()).numpy()


def nats(q, p):
    """An input, summed over all axes after the first."""
    return kl_divergence(q, p).detach().flatten(1).sum(1).mean().item()


def standard(mu, sigma):
    return nats(Normal(mu, sigma), Normal(torch.zeros_like(mu), torch.ones_like(sigma)))


class Two(nn.Module):
    """An encoder of two heads and a decoder; `forward` returns what it draws from, as a subclass says."""

    def __init__(self, width=Z):
        super().__init__()
        self.encoder, self.one, self.two = nn.Linear(X, 8), nn.Linear(8, width), nn.Linear(8, width)
        self.decoder = nn.Linear(Z, X)

    def heads(self, x):
        h = self.encoder(x).tanh()
        return F.softplus(self.one(h)) + 0.3, F.softplus(self.two(h)) + 0.3


def watched(model, folder, expected, weight=1.0):
    """Train a model that returns (again, q, ...); `expected(q)` is noted at each step."""
    x, own = torch.randn(B, X), []

    def loss():
        again, q, *_ = model(x)
        own.append(expected(q))
        return (again - x).square().mean() + weight * q.mean.square().mean()

    return train(model, folder, loss), own


def test_gamma_and_its_prior_in_a_tuple(tmp_path):
    class Model(Two):
        def forward(self, x):
            alpha, beta = self.heads(x)
            q = Gamma(alpha, beta)
            return self.decoder(q.rsample()), q, Gamma(torch.full_like(alpha, 2.0), torch.ones_like(beta))

    p = Gamma(torch.tensor(2.0), torch.tensor(1.0))
    read, own = watched(Model(), tmp_path / "run", lambda q: nats(q, p))
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_dirichlet_whose_prior_is_a_buffer(tmp_path):
    class Model(Two):
        def __init__(self):
            super().__init__()
            self.register_buffer("prior_alpha", torch.full((Z,), 0.7))

        def forward(self, x):
            q = Dirichlet(self.heads(x)[0])
            return self.decoder(q.rsample()), q

    p = Dirichlet(torch.full((Z,), 0.7))
    read, own = watched(Model(), tmp_path / "run", lambda q: kl_divergence(q, p).mean().item())
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_bits_that_gradients_pass(tmp_path):
    """Drawn bits plus probabilities less themselves; the logits are returned under the name of the bits."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, Z), nn.Linear(Z, X)

        def forward(self, x):
            z_logits = self.encoder(x)
            probs = z_logits.sigmoid()
            z = torch.bernoulli(probs.detach()) + probs - probs.detach()
            return self.decoder(z), z_logits

    model, x, own = Model(), torch.randn(B, X), []

    def loss():
        again, logits = model(x)
        q = Bernoulli(logits=logits)
        own.append(nats(q, Bernoulli(torch.full_like(logits, 0.5))))
        return (again - x).square().mean() + q.entropy().mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():  # not one variable of as many classes as there are bits
        assert len(frame) == Z
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_angles_under_a_wide_prior(tmp_path):
    class Model(Two):
        def forward(self, x):
            loc, concentration = self.heads(x)
            q_z = VonMises(loc, 3 * concentration)
            p_z = VonMises(torch.zeros(Z), torch.full((Z,), 0.5))
            angle = q_z.sample()
            return self.decoder(angle.cos()) + 0 * loc.sum(), q_z, p_z

    def own_kl(q):
        z = torch.linspace(-np.pi, np.pi, 4001, dtype=torch.float64)[:, None, None]
        q = VonMises(q.loc.detach().double(), q.concentration.detach().double(), validate_args=False)
        p = VonMises(torch.zeros(Z).double(), torch.full((Z,), 0.5).double(), validate_args=False)
        values = q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z))
        return torch.trapezoid(values, dx=2 * np.pi / 4000, dim=0).sum(1).mean().item()

    read, own = watched(Model(), tmp_path / "run", own_kl)
    for name in read.layers:
        kl = read.kl(name)
        assert kl is None or kl == pytest.approx(own[-1], rel=1e-3)
        assert read.found[name]["family"] == "von_mises"
    assert read.layers or nothing(read)


def test_low_rank_covariance_that_is_not_returned(tmp_path):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.fc_loc, self.fc_factor = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, 2 * Z)
            self.fc_diag, self.decoder = nn.Linear(8, Z), nn.Linear(Z, X)

        def forward(self, x):
            h = self.encoder(x).tanh()
            q = LowRankMultivariateNormal(
                self.fc_loc(h), self.fc_factor(h).view(-1, Z, 2), F.softplus(self.fc_diag(h)) + 0.05
            )
            p = MultivariateNormal(torch.zeros(Z), torch.eye(Z))
            return self.decoder(q.rsample()), kl_divergence(q, p).mean(), q.variance.detach().mean(0)

    model, x, own = Model(), torch.randn(B, X), []

    def loss():
        again, kl, variance = model(x)
        own.append((kl.item(), variance))
        return (again - x).square().mean() + kl

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert read.found[name]["family"] == "gaussian_full"
        np.testing.assert_allclose(frame["variance"], own[-1][1], rtol=1e-3)
        summary = Run(tmp_path / "run").layer_summary()
        if "layer_joint_kl" in summary and summary["layer_joint_kl"].notna().any():
            assert summary["layer_joint_kl"].iloc[-1] == pytest.approx(own[-1][0], rel=1e-3)
    assert read.layers or nothing(read)


def test_levels_of_a_residual_quantiser_by_hand(tmp_path):
    """One module, a list of code books, a list of indices."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.n_embed, self.codebooks = 8, nn.ParameterList(torch.randn(8, 4) for _ in range(3))

        def forward(self, z):
            left, whole, all_indices = z, 0, []
            for book in self.codebooks:
                index = torch.cdist(left.detach(), book).argmin(-1)
                picked = book[index]
                left, whole = left - picked, whole + picked
                all_indices.append(index)
            return z + (whole - z).detach(), all_indices

    model = nn.ModuleDict({"inward": nn.Linear(X, 4), "rvq": Residual(), "outward": nn.Linear(4, X)})
    x, picks = torch.randn(B, X), []

    def loss():
        z, indices = model["rvq"](model["inward"](x))
        picks.append(torch.stack(indices))
        return (model["outward"](z) - x).square().mean()

    read = train(model, tmp_path / "run", loss)
    own = [shares(torch.stack(picks)[:, level], 8) for level in range(3)]
    if read.layers:
        assert len(read.layers) == 3
        for frame, usage in zip(read.layers.values(), own, strict=True):
            np.testing.assert_allclose(frame["usage"], usage, atol=1e-6)
    else:
        assert nothing(read)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc_mu, self.fc_logvar = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)

    def forward(self, x):
        h = self.body(x).relu()
        return self.fc_mu(h), self.fc_logvar(h)


def test_target_network_that_follows(tmp_path):
    """A slow copy of the encoder sees another view of each input, without gradients."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.online, self.decoder = Encoder(), nn.Linear(Z, X)
            self.target = copy.deepcopy(self.online).requires_grad_(False)

        def forward(self, x, view):
            mu, logvar = self.online(x)
            with torch.no_grad():
                for slow, fast in zip(self.target.parameters(), self.online.parameters(), strict=True):
                    slow.lerp_(fast, 0.01)
                target_mu, _ = self.target(view)
            z = mu + (logvar / 2).exp() * torch.randn_like(mu)
            return self.decoder(z), mu, logvar, target_mu

    model, x, view, own = Model(), torch.randn(B, X), 2 + torch.randn(B, X), []

    def loss():
        again, mu, logvar, target = model(x, view)
        own.append(standard(mu, (logvar / 2).exp()))
        return (again - x).square().mean() + (mu - target).square().mean()

    read = train(model, tmp_path / "run", loss)
    assert len(read.layers) <= 1
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_packed_sentences(tmp_path):
    """Bowman's: the last hidden state of packed sentences; hidden2mean and hidden2logv."""

    class Sentences(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.encoder_rnn = nn.Embedding(20, 6), nn.GRU(6, 8, batch_first=True)
            self.hidden2mean, self.hidden2logv = nn.Linear(8, Z), nn.Linear(8, Z)
            self.latent2hidden, self.outputs2vocab = nn.Linear(Z, 8), nn.Linear(8, 20)
            self.decoder_rnn = nn.GRU(6, 8, batch_first=True)

        def forward(self, input_sequence, length):
            embedded = self.embedding(input_sequence)
            packed = pack_padded_sequence(embedded, length, batch_first=True, enforce_sorted=False)
            _, hidden = self.encoder_rnn(packed)
            mean, logv = self.hidden2mean(hidden[-1]), self.hidden2logv(hidden[-1])
            z = torch.randn_like(mean) * (0.5 * logv).exp() + mean
            out, _ = self.decoder_rnn(embedded, self.latent2hidden(z)[None])
            return self.outputs2vocab(out).log_softmax(-1), mean, logv, z

    model, words, own = Sentences(), torch.randint(0, 20, (B, 7)), []
    length = torch.randint(2, 8, (B,))

    def loss():
        logp, mean, logv, _ = model(words, length)
        own.append(standard(mean, (0.5 * logv).exp()))
        return F.nll_loss(logp.flatten(0, 1), words.flatten()) + mean.square().mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert len(frame) == Z
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_parameters_on_a_last_axis_of_two(tmp_path):
    """beta-TCVAE's: (B, Z, 2), mean and ln sigma beside each other."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, 2 * Z), nn.Linear(Z, X)

        def forward(self, x):
            z_params = self.encoder(x).view(len(x), Z, 2)
            mu, logsigma = z_params.select(-1, 0), z_params.select(-1, 1)
            zs = torch.randn_like(mu) * logsigma.exp() + mu
            return self.decoder(zs), zs, z_params

    model, x, own = Model(), torch.randn(B, X), []

    def loss():
        again, _, params = model(x)
        own.append(standard(params[..., 0], params[..., 1].exp()))
        return (again - x).square().mean() + params.square().mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
        assert len(read.layers[name]) == Z
    assert read.layers or nothing(read)


def test_mixture_as_a_posterior(tmp_path):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, 3 + 6 * Z), nn.Linear(Z, X)

        def forward(self, x):
            logits, numbers = self.encoder(x).split([3, 6 * Z], 1)
            loc, scale = numbers.view(-1, 3, 2 * Z).chunk(2, -1)
            parts = Independent(Normal(loc, F.softplus(scale) + 0.1), 1)
            q = MixtureSameFamily(Categorical(logits=logits), parts)
            z = q.sample()
            return self.decoder(z) + 0 * loc.sum(), q, q.log_prob(z).mean()

    def moments(q):
        return q.mean.detach().mean(0).numpy(), q.variance.detach().mean(0).numpy()

    read, own = watched(Model(), tmp_path / "run", moments)
    for name, frame in read.layers.items():
        assert read.kl(name) is None
        exact = read.found[name]["family"] != "samples"  # else four draws of each row
        if exact:
            np.testing.assert_allclose(frame["mean"], own[-1][0], rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(frame["variance"], own[-1][1], rtol=1e-3)
    assert read.layers or nothing(read)


def test_counts_as_latent_variables(tmp_path):
    """A Poisson posterior that is a residual of the prior's rates, both returned by name."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, Z), nn.Linear(Z, X)
            self.log_rate = nn.Parameter(torch.randn(Z) * 0.3)

        def forward(self, x):
            prior_rate = self.log_rate.exp().expand(len(x), -1)
            rate = prior_rate * (0.5 * self.encoder(x)).exp()
            q_z, p_z = Poisson(rate), Poisson(prior_rate)
            return {"recon": self.decoder(q_z.sample()) + 0 * rate.sum(), "q_z": q_z, "p_z": p_z}

    model, x, own = Model(), torch.randn(B, X), []

    def loss():
        out = model(x)
        own.append(nats(out["q_z"], out["p_z"]))
        return (out["recon"] - x).square().mean() + kl_divergence(out["q_z"], out["p_z"]).sum(1).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_log_normals_by_name(tmp_path):
    class Model(Two):
        def forward(self, x):
            loc, scale = self.heads(x)
            q = LogNormal(loc, scale)
            p = LogNormal(torch.zeros(Z), torch.full((Z,), 1.5))
            return {"again": self.decoder(q.rsample()), "q": q, "p": p}

    model, x, own = Model(), torch.randn(B, X), []

    def loss():
        out = model(x)
        own.append(nats(Normal(out["q"].loc, out["q"].scale), Normal(torch.zeros(Z), torch.full((Z,), 1.5))))
        return (out["again"] - x).square().mean() * 1e-3

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_posterior_estimator_of_lampe(tmp_path):
    """A conditional flow, called for the log density of pairs."""
    lampe = pytest.importorskip("lampe.inference")
    model = lampe.NPE(3, 5, hidden_features=(16, 16))
    objective, theta, x = lampe.NPELoss(model), torch.randn(B, 3), torch.randn(B, 5)
    seen = outputs(model)
    read = train(model, tmp_path / "run", lambda: objective(theta, x))
    assert len(seen) == 3
    for name in read.layers:
        assert read.kl(name) is None
        assert read.found[name]["family"] == "samples"
    assert read.layers or nothing(read)
