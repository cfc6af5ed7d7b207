"""Families and layouts that people write by hand, and flows, weights and mixtures of four libraries, none of
which a table of docs/watch.md named: von Mises-Fisher, Kumaraswamy, logistic-normal, Weibull, Cholesky
factors, VampPrior, neural processes, NVAE's residual posteriors, moving averages of code books, SWAG.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Beta,
    Categorical,
    Distribution,
    Independent,
    Kumaraswamy,
    MultivariateNormal,
    Normal,
    StickBreakingTransform,
    TransformedDistribution,
    Weibull,
    kl_divergence,
)
from training import close, nothing, outputs, train, verdict

import probes
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


def test_weights_of_torchbayesian(tmp_path):
    """Every parameter of a network becomes a module with mu and rho; the prior is a name and its numbers."""
    bnn = pytest.importorskip("torchbayesian.bnn")
    net = nn.Sequential(nn.Linear(X, 6, bias=False), nn.ReLU(), nn.Linear(6, 2, bias=False))
    model, x = bnn.BayesianModule(net, prior=("NORMAL", {"mu": 0.1, "sigma": 0.5})), torch.randn(B, X)
    own = {"module.0": [], "module.2": []}

    def note():
        for place in own:
            [q] = [
                one.distribution
                for name, one in model.named_modules()
                if name.startswith(place) and hasattr(one, "distribution")
            ]
            priors = Normal(0.1, 0.5), Normal(0.0, 1.0)
            own[place].append([kl_divergence(q, p).sum().item() for p in priors])

    def loss():
        note()
        return model(x).square().mean() + 1e-3 * model.kl_divergence()

    read = train(model, tmp_path / "run", loss)
    note()
    assert model.kl_divergence().item() == pytest.approx(sum(one[-1][0] for one in own.values()), rel=1e-4)
    for name in read.layers:
        place = next(one for one in own if name.startswith(one))
        right, assumed = zip(*own[place][-2:], strict=True)
        assert verdict(read, name, right, assumed) in ("right", "assumed", "absent")
    assert read.layers or nothing(read)


def test_mixture_that_mixture_density_nets_predicts(tmp_path):
    """mu_head and sigma_head are of the components of what it predicts."""
    library = pytest.importorskip("mixture_density_nets")
    model, x, y = library.MDN(X, 2, 3), torch.randn(B, X), torch.randn(B, 2)
    read = train(model, tmp_path / "run", lambda: library.MDDistribution(*model(x)).nll(y).mean())
    for name in read.layers:
        assert read.kl(name) is None or read.origin("prior", name) == "assumed"
    assert read.layers or nothing(read)


def test_posterior_of_freia(tmp_path):
    """An invertible network takes noise and the encoder's features to z, and returns ln |det J|, too."""
    framework = pytest.importorskip("FrEIA.framework")
    modules = pytest.importorskip("FrEIA.modules")

    def subnet(size_in, size_out):
        return nn.Sequential(nn.Linear(size_in, 8), nn.ReLU(), nn.Linear(8, size_out))

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, 6), nn.Linear(Z, X)
            self.posterior = framework.SequenceINN(Z)
            for _ in range(2):
                self.posterior.append(
                    modules.AllInOneBlock, cond=0, cond_shape=(6,), subnet_constructor=subnet
                )

        def forward(self, x):
            noise = torch.randn(len(x), Z)
            z, log_det = self.posterior(noise, c=[self.encoder(x)])
            return self.decoder(z), z, Normal(0.0, 1.0).log_prob(noise).sum(1) - log_det

    model, x, own, handed_over = Autoencoder(), torch.randn(B, X), [], []

    def loss():
        again, z, log_q = model(x)
        log_prior = Normal(0.0, 1.0).log_prob(z).sum(1)
        own.append((log_q - log_prior).mean().item())
        for observe in handed_over:
            observe("z", z[None], log_q[None], log_prior[None])
        return (again - x).square().mean() + (log_q - log_prior).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert read.kl(name) is None
    assert read.layers or nothing(read)

    handed_over.append(probes.observe_samples)
    train(model, tmp_path / "said", loss, hooks=False)
    joint = Run(tmp_path / "said").layer_summary()["layer_joint_kl"].iloc[-1]
    assert joint == pytest.approx(own[-1], rel=1e-3)


def test_posterior_of_torchflows(tmp_path):
    """A flow whose base is a module and a distribution, asked by a method for draws and their densities."""
    library = pytest.importorskip("torchflows.flows")
    architectures = pytest.importorskip("torchflows.bijections.finite.autoregressive.architectures")

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, 6), nn.Linear(Z, X)
            self.q_z = library.Flow(architectures.RealNVP((Z,), context_shape=(6,)))

        def forward(self, x):
            noise = torch.randn(len(x), Z)  # its own `sample` fails with a context
            z, log_det = self.q_z.bijection.inverse(noise, context=self.encoder(x))
            return self.decoder(z), z, self.q_z.base_log_prob(noise) - log_det

    model, x = Autoencoder(), torch.randn(B, X)

    def loss():
        again, z, log_q = model(x)
        return (again - x).square().mean() + (log_q - Normal(0.0, 1.0).log_prob(z).sum(1)).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert read.kl(name) is None
        assert read.found[name]["family"] in ("samples", "generic")
    assert read.layers or nothing(read)


class VonMisesFisher(Distribution):
    """As hyperspherical autoencoders have it, in three dimensions, where all is closed."""

    arg_constraints, has_rsample = {}, True

    def __init__(self, loc, scale):
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def rsample(self, sample_shape=()):
        shape = (*sample_shape, *self.loc.shape[:-1], 1)
        u = torch.rand(shape)
        w = 1 + (u + (1 - u) * (-2 * self.scale).exp()).log() / self.scale
        v = F.normalize(torch.randn(*shape[:-1], 2), dim=-1)
        x = torch.cat([w, (1 - w.square()).clamp(min=1e-10).sqrt() * v], -1)
        first = torch.zeros_like(self.loc)
        first[..., 0] = 1
        u = F.normalize(first - self.loc, dim=-1)
        return x - 2 * (x * u).sum(-1, keepdim=True) * u

    def log_prob(self, value):
        k = self.scale[..., 0]
        log_c = k.log() - math.log(2 * math.pi) - k - torch.log1p(-(-2 * k).exp())
        return k * (self.loc * value).sum(-1) + log_c

    def kl_to_uniform(self):
        k = self.scale[..., 0]
        mean = 1 / k.tanh() - 1 / k
        return k * mean + k.log() - k - torch.log1p(-(-2 * k).exp()) + math.log(2)


class Hyperspherical(nn.Module):
    def __init__(self, returned):
        super().__init__()
        self.fc, self.fc_mean, self.fc_var = nn.Linear(X, 8), nn.Linear(8, 3), nn.Linear(8, 1)
        self.out, self.returned = nn.Linear(3, X), returned

    def encode(self, x):
        h = self.fc(x).relu()
        return F.normalize(self.fc_mean(h), dim=-1), F.softplus(self.fc_var(h)) + 1

    def forward(self, x):
        z_mean, z_var = self.encode(x)
        q_z = VonMisesFisher(z_mean, z_var)
        z = q_z.rsample()
        self.kl = q_z.kl_to_uniform().mean()
        if self.returned == "heads":
            return (z_mean, z_var), z, self.out(z)
        return (z_mean, z_var), q_z, z, self.out(z)


@pytest.mark.parametrize("returned", ["heads", "distribution"])
def test_von_mises_fisher_of_a_hyperspherical_autoencoder(tmp_path, returned):
    """`z_var` is a concentration, larger where the posterior is narrower; one number for all components."""
    model, x, own = Hyperspherical(returned), torch.randn(B, X), []

    def loss():
        again = model(x)[-1]
        own.append(model.kl.item())
        return (again - x).square().mean() + model.kl

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
        assert read.found[name]["family"] not in ("gaussian", "gaussian_full")
    assert read.layers or nothing(read)


def test_kumaraswamy_under_a_beta(tmp_path):
    """Stick-breaking fractions; torch has a KL of neither direction."""

    class StickBreaking(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, 2 * Z), nn.Linear(Z, X)

        def forward(self, x):
            a, b = (F.softplus(self.encoder(x)) + 0.5).chunk(2, -1)
            q_v = Kumaraswamy(a, b)
            v = q_v.rsample().clamp(1e-4, 1 - 1e-4)
            return self.decoder(v), q_v, v

    model, x, p = StickBreaking(), torch.randn(B, X), Beta(torch.ones(Z), torch.full((Z,), 3.0))
    moments = []

    def loss():
        again, q, v = model(x)
        moments.append((q.mean.detach().mean(0).numpy(), q.variance.detach().mean(0).numpy()))
        return (again - x).square().mean() + (q.log_prob(v) - p.log_prob(v)).sum(1).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert read.kl(name) is None
        np.testing.assert_allclose(frame["mean"], moments[-1][0], rtol=1e-3)
        np.testing.assert_allclose(frame["variance"], moments[-1][1], rtol=1e-3)
    assert read.layers or nothing(read)


@pytest.mark.parametrize("map_", ["softmax", "sticks"])
def test_logistic_normal_topics(tmp_path, map_):
    """The KL is that of the Gaussian before the map, which is returned as a distribution of the map, or goes
    through a softmax without one; theta's own mean is nowhere.
    """

    class Topics(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.mean, self.logvar = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)
            self.beta = nn.Linear(Z + (map_ == "sticks"), X, bias=False)

        def forward(self, words):
            h = F.softplus(self.encoder(words))
            q = Normal(self.mean(h), (self.logvar(h) / 2).exp())
            if map_ == "softmax":
                theta = q.rsample().softmax(-1)
                return self.beta(theta).log_softmax(-1), theta
            q = TransformedDistribution(Independent(q, 1), StickBreakingTransform())
            theta = q.rsample()
            return self.beta(theta).log_softmax(-1), theta, q

    model, words, own = Topics(), torch.randint(0, 4, (B, X)).float(), []
    means, log_vars = outputs(model.mean), outputs(model.logvar)

    def loss():
        likely = model(words)[0]
        own.append(standard(means[-1].detach(), (log_vars[-1].detach() / 2).exp()))
        return -(words * likely).sum(1).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
        assert len(read.layers[name]) == Z or read.kl(name) is None
    assert read.layers or nothing(read)


def test_weibull_under_a_gamma(tmp_path):
    """Weibull posteriors of a Poisson factor analysis: shape and scale, neither of which is a sigma."""

    class Factors(nn.Module):
        def __init__(self):
            super().__init__()
            self.shape, self.scale, self.phi = nn.Linear(X, Z), nn.Linear(X, Z), nn.Linear(Z, X)

        def forward(self, x):
            k, scale = F.softplus(self.shape(x)) + 0.5, F.softplus(self.scale(x)) + 0.1
            theta = scale * (-torch.rand(len(x), Z).log()) ** (1 / k)
            return F.softplus(self.phi(theta)), k, scale

    model, x, own = Factors(), torch.poisson(torch.full((B, X), 2.0)), []
    a, b = 1.5, 1.0

    def loss():
        rate, k, scale = model(x)
        gamma = 0.5772156649015329
        kl = (  # Zhang et al. 2018, of a Gamma(a, b)
            gamma * a / k - a * scale.log() + k.log() + b * scale * torch.lgamma(1 + 1 / k).exp()
            - gamma - 1 - a * math.log(b) + math.lgamma(a)
        )  # fmt: skip
        own.append((kl.sum(1).mean().item(), Weibull(scale, k).mean.detach().mean(0).numpy()))
        return (rate - x * rate.log()).sum(1).mean() + kl.sum(1).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert verdict(read, name, [own[-1][0]]) in ("right", "absent")
        assert read.found[name]["family"] != "gaussian"
        np.testing.assert_allclose(frame["mean"], own[-1][1], rtol=1e-3)
    assert read.layers or nothing(read)


def test_cholesky_factor_by_hand(tmp_path):
    """mu, log_var and what stands below the diagonal: the variance of a component is more than exp(log_var),
    and the KL is of all components together.
    """

    class Full(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.fc_mu, self.fc_log_var = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)
            self.fc_lower, self.out = nn.Linear(8, Z * Z), nn.Linear(Z, X)

        def forward(self, x):
            h = self.fc(x).tanh()
            mu, log_var = self.fc_mu(h), self.fc_log_var(h)
            lower = self.fc_lower(h).view(-1, Z, Z).tril(-1) + torch.diag_embed((log_var / 2).exp())
            z = mu + (lower @ torch.randn(len(x), Z, 1)).squeeze(-1)
            return self.out(z), mu, log_var, lower

    model, x, own = Full(), torch.randn(B, X), []

    def loss():
        again, mu, log_var, lower = model(x)
        q = MultivariateNormal(mu, scale_tril=lower)
        p = MultivariateNormal(torch.zeros(Z), torch.eye(Z))
        own.append((kl_divergence(q, p).mean().item(), q.variance.detach().mean(0).numpy()))
        return (again - x).square().mean() + kl_divergence(q, p).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        stated = read.origin("scale", name) != "assumed" and "variance" in frame
        if stated and frame["variance"].notna().all():
            np.testing.assert_allclose(frame["variance"], own[-1][1], rtol=1e-3)
    assert read.layers or nothing(read)


def test_pseudo_inputs_of_a_vamp_prior(tmp_path):
    """The encoder is called for the inputs and for pseudo-inputs, whose posteriors are components of the
    prior: they are none of the batch.
    """

    class Vamp(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.fc_mu, self.fc_logvar = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)
            self.pseudo_inputs, self.decoder = nn.Parameter(torch.randn(5, X)), nn.Linear(Z, X)

        def encode(self, x):
            h = self.body(x).relu()
            return self.fc_mu(h), self.fc_logvar(h)

        def forward(self, x):
            mu, logvar = self.encode(x)
            z = mu + (logvar / 2).exp() * torch.randn_like(mu)
            pseudo_mu, pseudo_logvar = self.encode(self.pseudo_inputs)
            each = Normal(pseudo_mu, (pseudo_logvar / 2).exp()).log_prob(z[:, None]).sum(-1)
            log_p = each.logsumexp(1) - math.log(5)
            return self.decoder(z), mu, logvar, z, log_p

    model, x, own = Vamp(), 3 + torch.randn(B, X), []

    def loss():
        again, mu, logvar, z, log_p = model(x)
        log_q = Normal(mu, (logvar / 2).exp()).log_prob(z).sum(1)
        own.append((standard(mu, (logvar / 2).exp()), mu.detach().mean(0).numpy()))
        return (again - x).square().mean() + (log_q - log_p).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert verdict(read, name, [], [own[-1][0]]) in ("assumed", "absent")
        np.testing.assert_allclose(frame["mean"], own[-1][1], rtol=1e-3, atol=1e-5)
    assert read.layers or nothing(read)


def test_neural_process(tmp_path):
    """One encoder makes the prior of the context and the posterior of all points."""

    class Process(nn.Module):
        def __init__(self):
            super().__init__()
            self.point, self.mean = nn.Linear(2, 8), nn.Linear(8, Z)
            self.scale, self.decoder = nn.Linear(8, Z), nn.Linear(Z + 1, 1)

        def latent(self, x, y):
            h = self.point(torch.cat([x, y], -1)).relu().mean(1)
            return Normal(self.mean(h), 0.1 + 0.9 * self.scale(h).sigmoid())

        def forward(self, x, y, context):
            q_context, q_target = self.latent(x[:, :context], y[:, :context]), self.latent(x, y)
            z = q_target.rsample()
            again = self.decoder(torch.cat([z[:, None].expand(-1, x.shape[1], -1), x], -1))
            return again, q_target, q_context

    model, x, own = Process(), torch.randn(B, 10, 1), []

    def loss():
        again, q, p = model(x, x.sin(), 3)
        own.append((nats(q, p), standard(q.loc, q.scale), standard(p.loc, p.scale)))
        return (again - x.sin()).square().mean() + kl_divergence(q, p).sum(1).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:  # which is the other's prior no name says, so that each says it is assumed
        assumed = own[-1][1 + ("context" in name)]
        assert verdict(read, name, [own[-1][0]], [assumed]) in ("right", "assumed", "absent")
    assert read.layers or nothing(read)


def test_residual_posteriors_of_nvae(tmp_path):
    """Of each level the posterior is what the prior is, and a difference to it."""

    class Level(nn.Module):
        def __init__(self, above):
            super().__init__()
            self.prior, self.delta = nn.Linear(above, 2 * Z), nn.Linear(X + above, 2 * Z)

        def forward(self, x, state):
            mu_p, log_sig_p = self.prior(state).chunk(2, -1)
            delta_mu, delta_log_sig = self.delta(torch.cat([x, state], -1)).chunk(2, -1)
            mu_q, log_sig_q = mu_p + delta_mu, log_sig_p + delta_log_sig
            z = mu_q + log_sig_q.exp() * torch.randn_like(mu_q)
            kl = kl_divergence(Normal(mu_q, log_sig_q.exp()), Normal(mu_p, log_sig_p.exp())).sum(1)
            return z, kl

    class Hierarchy(nn.Module):
        def __init__(self):
            super().__init__()
            self.levels = nn.ModuleList([Level(Z), Level(Z)])
            self.start, self.decoder = nn.Parameter(torch.randn(1, Z)), nn.Linear(Z, X)
            for level in self.levels:  # else it diverges within three steps
                level.prior.weight.data *= 0.1
                level.delta.weight.data *= 0.1

        def forward(self, x):
            state, kls = self.start.expand(len(x), -1), []
            for level in self.levels:
                state, kl = level(x, state)
                kls.append(kl)
            return self.decoder(state), kls

    model, x, own = Hierarchy(), torch.randn(B, X), []

    def loss():
        again, kls = model(x)
        own.append([kl.mean().item() for kl in kls])
        return (again - x).square().mean() + sum(kls).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, [own[-1][int("1" in name)]]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_moving_averages_of_two_code_books(tmp_path):
    """VQ-VAE-2: code books are buffers (dimensions, codes) that follow the data, the quantiser returns its
    indices (B, H, W) last, at two resolutions.
    """

    class Quantize(nn.Module):
        def __init__(self, dim, n_embed, decay=0.99):
            super().__init__()
            self.dim, self.n_embed, self.decay = dim, n_embed, decay
            embed = torch.randn(dim, n_embed)
            self.register_buffer("embed", embed)
            self.register_buffer("cluster_size", torch.zeros(n_embed))
            self.register_buffer("embed_avg", embed.clone())

        def forward(self, input):
            flatten = input.reshape(-1, self.dim)
            dist = (
                flatten.square().sum(1, keepdim=True) - 2 * flatten @ self.embed + self.embed.square().sum(0)
            )
            _, embed_ind = (-dist).max(1)
            embed_onehot = F.one_hot(embed_ind, self.n_embed).type(flatten.dtype)
            embed_ind = embed_ind.view(*input.shape[:-1])
            quantize = F.embedding(embed_ind, self.embed.transpose(0, 1))
            if self.training:
                self.cluster_size.data.mul_(self.decay).add_(embed_onehot.sum(0), alpha=1 - self.decay)
                embed_sum = flatten.detach().transpose(0, 1) @ embed_onehot
                self.embed_avg.data.mul_(self.decay).add_(embed_sum, alpha=1 - self.decay)
                n = self.cluster_size.sum()
                size = (self.cluster_size + 1e-5) / (n + self.n_embed * 1e-5) * n
                self.embed.data.copy_(self.embed_avg / size.unsqueeze(0))
            diff = (quantize.detach() - input).pow(2).mean()
            quantize = input + (quantize - input).detach()
            return quantize, diff, embed_ind

    class VQVAE2(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc_b, self.enc_t = nn.Conv2d(1, 4, 2, 2), nn.Conv2d(4, 4, 2, 2)
            self.quantize_t, self.quantize_b = Quantize(4, 8), Quantize(4, 16)
            self.dec = nn.Conv2d(8, 1, 1)

        def forward(self, x):
            b = self.enc_b(x)
            t, diff_t, id_t = self.quantize_t(self.enc_t(b).permute(0, 2, 3, 1))
            b, diff_b, id_b = self.quantize_b(b.permute(0, 2, 3, 1))
            up = F.interpolate(t.permute(0, 3, 1, 2), scale_factor=2)
            again = self.dec(torch.cat([up, b.permute(0, 3, 1, 2)], 1))
            return F.interpolate(again, scale_factor=2), diff_t + diff_b, id_t, id_b

    model, x, picked = VQVAE2(), torch.rand(B, 1, 8, 8), []

    def loss():
        again, diff, *indices = model(x)
        picked.append(indices)
        return (again - x).square().mean() + diff

    read = train(model, tmp_path / "run", loss)
    assert len(read.layers) == 2
    for name, frame in read.layers.items():
        place = int("_b" in name)
        own = torch.cat([one[place].flatten() for one in picked])
        np.testing.assert_allclose(frame["usage"], shares(own, 8 * (1 + place)), atol=1e-6)


def test_finite_scalars_by_hand(tmp_path):
    """A code is a number of mixed base of what three scalars are rounded to; levels and their product."""

    class FSQ(nn.Module):
        def __init__(self, levels):
            super().__init__()
            self.levels = levels
            self.register_buffer("basis", torch.tensor([1, *np.cumprod(levels[:-1])]))
            self.codebook_size = math.prod(levels)

        def forward(self, z):
            half = (torch.tensor(self.levels) - 1) / 2
            bounded = z.tanh() * half
            rounded = bounded + (bounded.round() - bounded).detach()
            codes = ((rounded + half).round().long() * self.basis).sum(-1)
            return rounded / half, codes

    model = nn.ModuleDict({"inward": nn.Linear(X, 3), "fsq": FSQ([3, 5, 3]), "outward": nn.Linear(3, X)})
    x, codes = torch.randn(B, 6, X), []

    def loss():
        z, picked = model["fsq"](model["inward"](x))
        codes.append(picked)
        return (model["outward"](z) - x).square().mean()

    read = train(model, tmp_path / "run", loss)
    if read.layers:
        np.testing.assert_allclose(read.only["usage"], shares(torch.stack(codes), 45), atol=1e-6)
    else:
        assert nothing(read)


def test_gumbel_by_hand(tmp_path):
    """Logits (B, N * C), noise and temperature written out; the KL to uniform of the softmax."""
    variables, classes = 5, 3

    class Gumbel(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc, self.dec = nn.Linear(X, variables * classes), nn.Linear(variables * classes, X)

        def forward(self, x, tau):
            q = self.enc(x)
            q_y = q.view(len(x), variables, classes)
            noise = -(-torch.rand_like(q_y).clamp(1e-9, 1).log()).log()
            y = ((q_y + noise) / tau).softmax(-1)
            return self.dec(y.flatten(1)), q_y.softmax(-1)

    model, x, own = Gumbel(), torch.randn(B, X), []

    def loss():
        again, q_y = model(x, 0.7)
        own.append(nats(Categorical(q_y), Categorical(torch.ones_like(q_y))))
        return (again - x).square().mean() + (q_y * (q_y * classes + 1e-20).log()).sum((1, 2)).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert verdict(read, name, own[-1:]) in ("right", "absent")
        assert len(frame) == variables
        assert read.found[name]["family"] == "categorical"
    assert read.layers or nothing(read)


def test_stochastic_weight_averaging_with_gaussians(tmp_path):
    """SWAG's buffers hold the mean of each weight and of its square: the latter is no variance."""

    class Swag(nn.Module):
        def __init__(self):
            super().__init__()
            self.base, self.count = nn.Linear(X, 2, bias=False), 0
            self.register_buffer("weight_mean", self.base.weight.detach().clone())
            self.register_buffer("weight_sq_mean", self.base.weight.detach().square())

        def forward(self, x):
            return self.base(x)

        def collect(self):
            self.count += 1
            w = self.base.weight.detach()
            self.weight_mean.mul_(self.count / (self.count + 1)).add_(w / (self.count + 1))
            self.weight_sq_mean.mul_(self.count / (self.count + 1)).add_(w.square() / (self.count + 1))

    model, x = Swag(), torch.randn(B, X)

    def loss():
        value = model(x).square().mean()
        model.collect()
        return value

    read = train(model, tmp_path / "run", loss)
    assert nothing(read)


def test_padded_sequences_time_first(tmp_path):
    """(T, B, N), rows of different lengths: what stands after the end of a sequence is none of it."""
    length, mask = 7, torch.arange(7)[:, None] < torch.randint(2, 7, (B,))

    class Sequences(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head, self.out = nn.GRU(X, 8), nn.Linear(8, 2 * Z), nn.Linear(Z, X)

        def forward(self, x, mask):
            h, _ = self.rnn(x * mask[..., None])
            mu, log_var = self.head(h).chunk(2, -1)
            z = mu + (log_var / 2).exp() * torch.randn_like(mu)
            return self.out(z), mu, log_var

    model, x, own = Sequences(), torch.randn(length, B, X), []
    q_of = outputs(model.head)

    def loss():
        again, mu, log_var = model(x, mask)
        kl = kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(-1)
        own.append((kl[mask].mean().item(), kl.mean().item()))
        return (again - x).square().mean() + kl[mask].mean()

    read = train(model, tmp_path / "run", loss)
    assert len(q_of) == 3
    for name in read.layers:
        right = verdict(read, name, [own[-1][0]]) in ("right", "absent")
        assert right or ("mask" in read.said and "ASSUMED" in read.said and close(read.kl(name), own[-1][1]))
    assert read.layers or nothing(read)


@pytest.mark.parametrize("rows", [1, B])
def test_half_precision(tmp_path, rows):
    """bfloat16 throughout, and a batch of one."""

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, 2 * Z), nn.Linear(Z, X)

        def forward(self, x):
            mu, log_std = self.encoder(x).chunk(2, -1)
            std = log_std.clamp(-4, 2).exp()
            return self.decoder(mu + std * torch.randn_like(std)), mu, std

    model, x, own = Half().to(torch.bfloat16), torch.randn(rows, X, dtype=torch.bfloat16), []

    def loss():
        again, mu, std = model(x)
        own.append(standard(mu.float(), std.float()))
        return (again - x).square().mean() + mu.square().mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        kl = read.kl(name)
        assert kl is None or kl == pytest.approx(own[-1], rel=2e-3)
    assert read.layers or nothing(read)
