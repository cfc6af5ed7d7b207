"""Noise that is no Gaussian's, pairs and experts whose posteriors are put together, mixtures, hyperpriors;
four libraries that no table of docs/watch.md named.

What is expected was written before the models were watched: right, said to be assumed, or absent.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from training import nothing, outputs, train, verdict

import probes

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


def variance_is(read, name, expected):
    """Whether a layer's variance is what it should be, absent, or said to be assumed."""
    frame = read.layers[name]
    if "variance" not in frame or frame["variance"].isna().any() or read.origin("scale", name) == "assumed":
        return True
    return np.allclose(frame["variance"], expected, rtol=1e-3)


def test_latent_of_vae_anomaly_detection(tmp_path):
    """Several draws of each posterior, and predicted means and sigmas beside the latent ones."""
    library = pytest.importorskip("vae_anomaly_detection.VAE")
    model, x, own = library.VAEAnomalyTabular(X, Z, L=3), torch.randn(B, X), []

    def loss():
        out = model(x)
        own.append(out["kl"].item())
        return out["loss"]

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert len(frame) == Z
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_modules_of_bsvae(tmp_path):
    """A mixture is the prior: mu and logvar are of the posterior, gamma are the shares of the components."""
    library = pytest.importorskip("bsvae.models.gmvae")
    model = library.GMMModuleVAE(X, Z, 3, hidden_dims=[8])
    x, own = torch.randn(B, X), []

    def loss():
        again, mu, logvar, z, gamma = model(x)
        own.append((mu.detach().mean(0), logvar.detach().exp().mean(0)))
        log_q = Normal(mu, (logvar / 2).exp()).log_prob(z).sum(1)
        log_p = (gamma * model.gmm_prior.expected_component_log_prob(mu, logvar)).sum(1)
        return (again - x).square().mean() + (log_q - log_p).mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert read.kl(name) is None
        np.testing.assert_allclose(frame["mean"], own[-1][0], rtol=1e-3, atol=1e-6)
        assert variance_is(read, name, own[-1][1])
    assert read.layers or nothing(read)


def test_weights_of_uqdeepnn(tmp_path):
    """Posteriors are modules, the prior is an object that is no module and no distribution."""
    vi = pytest.importorskip("deepuq.methods.vi")
    model, x, own = vi.BayesianLinear(X, 4, prior_mu=0.1, prior_sigma=0.5), torch.randn(B, X), []

    def note():
        q = model.weight_posterior
        q = Normal(q.mu, q.sigma)
        own.append([kl_divergence(q, p).sum().item() for p in (Normal(0.1, 0.5), Normal(0.0, 1.0))])

    def loss():
        note()
        return model(x).square().mean() + 1e-3 * model.kl()

    read = train(model, tmp_path / "run", loss)
    note()
    for name in read.layers:
        if "weight" in name:
            right, assumed = zip(*own[-2:], strict=True)
            assert verdict(read, name, right, assumed) in ("right", "assumed", "absent")
    assert read.layers or nothing(read)


def test_world_model_of_dreamkit(tmp_path):
    """One-hot variables with one per cent of the uniform distribution, in a class of its own."""
    networks = pytest.importorskip("dreamkit.agents.models.dreamerv3.networks")
    model = networks.RSSM(
        stoch=3, deter=8, hidden=8, discrete=4, num_actions=2, embed=6, act="SiLU", device="cpu"
    )
    embedded, actions, first = torch.randn(B, 5, 6), torch.randn(B, 5, 2), torch.zeros(B, 5)
    first[:, 0] = 1
    own = []

    def loss():
        posterior, prior = model.observe(embedded, actions, first)
        total, value, *_ = model.kl_loss(posterior, prior, 0.0, 0.5, 0.1)
        own.append(value.mean().item())
        return total.mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert len(frame) == 3
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


@pytest.mark.parametrize("noise", ["logistic", "laplace"])
def test_noise_by_hand_that_is_no_gaussians(tmp_path, noise):
    """mu and log_scale, and a quantile function of uniform noise."""

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.fc_mu, self.fc_log_scale = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)
            self.out = nn.Linear(Z, X)

        def forward(self, x):
            h = self.fc(x).tanh()
            mu, log_scale = self.fc_mu(h), self.fc_log_scale(h)
            u = torch.rand_like(mu).clamp(1e-5, 1 - 1e-5)
            if noise == "logistic":
                z = mu + log_scale.exp() * (u.log() - (1 - u).log())
            else:
                u = u - 0.5
                z = mu - log_scale.exp() * u.sign() * torch.log1p(-2 * u.abs())
            return self.out(z), mu, log_scale

    model, x, own = Noisy(), torch.randn(B, X), []

    def loss():
        again, mu, log_scale = model(x)
        factor = math.pi**2 / 3 if noise == "logistic" else 2.0
        own.append((factor * (2 * log_scale.detach()).exp()).mean(0))
        return (again - x).square().mean() + mu.square().mean() - log_scale.mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert read.found[name]["family"] != "gaussian" or read.origin("family", name) == "assumed"
        assert variance_is(read, name, own[-1])
    assert read.layers or nothing(read)


def test_scales_and_means_of_a_hyperprior(tmp_path):
    """Learned compression: y has uniform noise; what h_s puts out is the distribution that codes it."""

    class Compressor(nn.Module):
        def __init__(self):
            super().__init__()
            self.g_a, self.g_s = nn.Conv2d(1, 4, 2, 2), nn.ConvTranspose2d(4, 1, 2, 2)
            self.h_a, self.h_s = nn.Conv2d(4, 2, 2, 2), nn.ConvTranspose2d(2, 8, 2, 2)
            self.z_scales = nn.Parameter(torch.ones(2, 1, 1))

        def forward(self, x):
            y = self.g_a(x)
            z = self.h_a(y)
            z_hat = z + torch.rand_like(z) - 0.5
            scales_hat, means_hat = self.h_s(z_hat).chunk(2, 1)
            y_hat = y + torch.rand_like(y) - 0.5
            gaussian = Normal(means_hat, F.softplus(scales_hat) + 0.1)
            likelihood = gaussian.cdf(y_hat + 0.5) - gaussian.cdf(y_hat - 0.5)
            flat = Normal(0.0, F.softplus(self.z_scales) + 0.1)
            side = flat.cdf(z_hat + 0.5) - flat.cdf(z_hat - 0.5)
            return {"x_hat": self.g_s(y_hat), "likelihoods": {"y": likelihood, "z": side}}

    model, x = Compressor(), torch.rand(B, 1, 8, 8)

    def loss():
        out = model(x)
        rate = sum(-one.clamp(min=1e-9).log().sum() for one in out["likelihoods"].values()) / B
        return (out["x_hat"] - x).square().mean() + 0.01 * rate

    read = train(model, tmp_path / "run", loss)
    assert nothing(read)


def test_one_hot_picks_of_a_vector_quantiser(tmp_path):
    """What it returns beside the vectors is (rows, codes) of zeros and ones, and a perplexity."""

    class VectorQuantizer(nn.Module):
        def __init__(self, num_embeddings, embedding_dim):
            super().__init__()
            self._embedding_dim, self._num_embeddings = embedding_dim, num_embeddings
            self._embedding = nn.Embedding(num_embeddings, embedding_dim)

        def forward(self, inputs):
            inputs = inputs.permute(0, 2, 3, 1).contiguous()
            flat = inputs.view(-1, self._embedding_dim)
            distances = torch.cdist(flat, self._embedding.weight)
            encodings = F.one_hot(distances.argmin(1), self._num_embeddings).float()
            quantized = (encodings @ self._embedding.weight).view(inputs.shape)
            loss = F.mse_loss(quantized, inputs.detach()) + 0.25 * F.mse_loss(quantized.detach(), inputs)
            quantized = inputs + (quantized - inputs).detach()
            avg_probs = encodings.mean(0)
            perplexity = (-(avg_probs * (avg_probs + 1e-10).log()).sum()).exp()
            return loss, quantized.permute(0, 3, 1, 2).contiguous(), perplexity, encodings

    class VQVAE(nn.Module):
        def __init__(self):
            super().__init__()
            self._encoder, self._decoder = nn.Conv2d(1, 4, 2, 2), nn.ConvTranspose2d(4, 1, 2, 2)
            self._vq_vae = VectorQuantizer(8, 4)

        def forward(self, x):
            loss, quantized, perplexity, encodings = self._vq_vae(self._encoder(x))
            return loss, self._decoder(quantized), perplexity, encodings

    model, x, picked = VQVAE(), torch.rand(B, 1, 8, 8), []

    def loss():
        value, again, _, encodings = model(x)
        picked.append(encodings)
        return value + (again - x).square().mean()

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        assert read.kl(name) is None
        assert read.found[name]["family"] == "codes"
        np.testing.assert_allclose(frame["usage"], torch.cat(picked).mean(0), atol=1e-6)
    assert read.layers or nothing(read)


def test_product_of_experts(tmp_path):
    """Two encoders' Gaussians and the prior's make the joint one, which alone is drawn from."""

    class Expert(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.body, self.fc_mu, self.fc_logvar = nn.Linear(size, 8), nn.Linear(8, Z), nn.Linear(8, Z)

        def forward(self, x):
            h = self.body(x).relu()
            return self.fc_mu(h), self.fc_logvar(h)

    class Multimodal(nn.Module):
        def __init__(self):
            super().__init__()
            self.image_encoder, self.text_encoder = Expert(X), Expert(5)
            self.decoder = nn.Linear(Z, X + 5)

        def forward(self, image, text):
            mus, logvars = zip(self.image_encoder(image), self.text_encoder(text), strict=True)
            mu = torch.stack([torch.zeros_like(mus[0]), *mus])
            precision = torch.stack([torch.ones_like(mus[0]), *((-one).exp() for one in logvars)])
            variance = 1 / precision.sum(0)
            mu, logvar = (mu * precision).sum(0) * variance, variance.log()
            z = mu + (logvar / 2).exp() * torch.randn_like(mu)
            return self.decoder(z), mu, logvar

    model, image, text, own = Multimodal(), torch.randn(B, X), torch.randn(B, 5), []
    experts = {name: outputs(model.get_submodule(name)) for name in ("image_encoder", "text_encoder")}

    def loss():
        again, mu, logvar = model(image, text)
        own.append(standard(mu, (logvar / 2).exp()))
        return (again - torch.cat([image, text], 1)).square().mean() + mu.square().mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        if name in experts:
            mu, logvar = experts[name][-1]
            assert verdict(read, name, [], [standard(mu, (logvar / 2).exp())]) in ("assumed", "absent")
        else:
            assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_pairs_that_share_what_differs_least(tmp_path):
    """Ada-GVAE: of two inputs' posteriors the components that differ least are averaged before they are drawn
    from; the encoder's own are nobody's.
    """

    class Pairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.fc_mu, self.fc_logvar = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)
            self.decoder = nn.Linear(Z, X)

        def encode(self, x):
            h = self.body(x).relu()
            return self.fc_mu(h), self.fc_logvar(h)

        def forward(self, one, other):
            (mu0, logvar0), (mu1, logvar1) = self.encode(one), self.encode(other)
            delta = kl_divergence(Normal(mu0, (logvar0 / 2).exp()), Normal(mu1, (logvar1 / 2).exp()))
            shared = delta < delta.detach().mean(1, keepdim=True)
            mu, var = (mu0 + mu1) / 2, (logvar0.exp() + logvar1.exp()) / 2
            pairs = [
                (torch.where(shared, mu, m), torch.where(shared, var, v.exp()).log())
                for m, v in ((mu0, logvar0), (mu1, logvar1))
            ]
            draws = [m + (v / 2).exp() * torch.randn_like(m) for m, v in pairs]
            return [self.decoder(z) for z in draws], pairs

    model, own = Pairs(), []
    one, other = torch.randn(B, X), torch.randn(B, X)

    def loss():
        again, pairs = model(one, other)
        own.append([standard(mu, (logvar / 2).exp()) for mu, logvar in pairs])
        kl = sum(kl_divergence(Normal(m, (v / 2).exp()), Normal(0.0, 1.0)).sum(1).mean() for m, v in pairs)
        return (again[0] - one).square().mean() + (again[1] - other).square().mean() + kl

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        right = [*own[-1], sum(own[-1]) / 2]
        assumed = read.origin("scale", name) == "assumed"
        assert verdict(read, name, right) in ("right", "absent") or assumed
    assert read.layers or nothing(read)


def test_spikes_and_slabs(tmp_path):
    """A Gaussian slab times a relaxed spike."""

    class Sparse(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.fc_mu, self.fc_logvar = nn.Linear(X, 8), nn.Linear(8, Z), nn.Linear(8, Z)
            self.fc_spike, self.out = nn.Linear(8, Z), nn.Linear(Z, X)

        def forward(self, x):
            h = self.fc(x).tanh()
            mu, logvar, logit = self.fc_mu(h), self.fc_logvar(h), self.fc_spike(h)
            u = torch.rand_like(logit).clamp(1e-6, 1 - 1e-6)
            spike = ((logit + u.log() - (1 - u).log()) / 0.5).sigmoid()
            slab = mu + (logvar / 2).exp() * torch.randn_like(mu)
            return self.out(spike * slab), mu, logvar, logit

    model, x, own = Sparse(), torch.randn(B, X), []

    def loss():
        again, mu, logvar, logit = model(x)
        gamma, slab = logit.sigmoid(), kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0))
        a = torch.tensor(0.2)
        spike = gamma * (gamma / a).log() + (1 - gamma) * ((1 - gamma) / (1 - a)).log()
        own.append(((gamma * slab + spike).sum(1).mean().item(), slab.sum(1).mean().item()))
        return (again - x).square().mean() + (gamma * slab + spike).sum(1).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, [own[-1][0]], [own[-1][1]]) in ("right", "assumed", "absent")
    assert read.layers or nothing(read)


def test_inducing_values_by_hand(tmp_path):
    """A sparse Gaussian process: q_mu and q_sqrt, the factor of a covariance, are parameters."""
    points = 6

    class Process(nn.Module):
        def __init__(self):
            super().__init__()
            self.inducing = nn.Parameter(torch.linspace(-2, 2, points)[:, None])
            self.q_mu = nn.Parameter(torch.randn(points))
            self.q_sqrt = nn.Parameter(torch.eye(points) + 0.3 * torch.randn(points, points))

        def kernel(self, a, b):
            return (-0.5 * (a - b.T).square()).exp()

        def forward(self, x):
            chol = torch.linalg.cholesky(self.kernel(self.inducing, self.inducing) + 1e-4 * torch.eye(points))
            a = torch.linalg.solve_triangular(chol, self.kernel(self.inducing, x), upper=False)
            s = self.q_sqrt.tril()
            variance = 1 - a.square().sum(0) + (s.T @ a).square().sum(0)
            return a.T @ self.q_mu, variance.clamp(min=1e-6)

        def kl(self):
            p = MultivariateNormal(torch.zeros(points), torch.eye(points))
            s = self.q_sqrt.tril()
            q = MultivariateNormal(self.q_mu, s @ s.T + 1e-6 * torch.eye(points))
            return kl_divergence(q, p)

    model, x = Process(), torch.randn(B, 1)

    def loss():
        mean, variance = model(x)
        return -Normal(mean, variance.sqrt()).log_prob(x[:, 0].sin()).sum() + model.kl()

    read = train(model, tmp_path / "run", loss)
    s = model.q_sqrt.detach().tril()
    for name, frame in read.layers.items():
        assert read.kl(name) is None
        if name.startswith("q_mu"):
            assert variance_is(read, name, (s @ s.T).diagonal())
        else:  # what it predicts of y, or of the function, has these moments
            assert read.origin("scale", name) == "assumed" or "variance" not in frame
    assert read.layers or nothing(read)


def test_first_states_of_a_latent_differential_equation(tmp_path):
    """qz0 is a network's, pz0 are parameters."""

    class Latent(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.qz0_net = nn.GRU(X, 8, batch_first=True), nn.Linear(8, 2 * Z)
            self.pz0_mean = nn.Parameter(0.3 * torch.ones(1, Z))
            self.pz0_logstd = nn.Parameter(0.2 * torch.ones(1, Z))
            self.drift, self.projector = nn.Linear(Z, Z), nn.Linear(Z, X)

        def forward(self, xs):
            _, ctx = self.encoder(xs.flip(1))
            qz0_mean, qz0_logstd = self.qz0_net(ctx[-1]).chunk(2, 1)
            z = qz0_mean + qz0_logstd.exp() * torch.randn_like(qz0_mean)
            states = []
            for _ in range(xs.shape[1]):
                z = z + 0.1 * self.drift(z).tanh()
                states.append(z)
            q0, p0 = Normal(qz0_mean, qz0_logstd.exp()), Normal(self.pz0_mean, self.pz0_logstd.exp())
            return self.projector(torch.stack(states, 1)), kl_divergence(q0, p0).sum(1).mean()

    model, xs, own = Latent(), torch.randn(B, 5, X), []

    def loss():
        again, kl = model(xs)
        own.append(kl.item())
        return (again - xs).square().mean() + kl

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        assert verdict(read, name, own[-1:]) in ("right", "absent")
    assert read.layers or nothing(read)


def test_mixture_autoencoder_whose_var_is_a_variance(tmp_path):
    """q(y | x) by Gumbel-softmax, q(z | x, y) under p(z | y), as dictionaries; both `var` are variances."""

    class Gaussian(nn.Module):
        def __init__(self, size_in, size_z):
            super().__init__()
            self.mu, self.var = nn.Linear(size_in, size_z), nn.Linear(size_in, size_z)

        def reparameterize(self, mu, var):
            return mu + torch.sqrt(var + 1e-10) * torch.randn_like(var)

        def forward(self, x):
            mu, var = self.mu(x), F.softplus(self.var(x))
            return mu, var, self.reparameterize(mu, var)

    class Mixture(nn.Module):
        def __init__(self):
            super().__init__()
            self.inference_qyx, self.inference_qzyx = nn.Linear(X, 3), Gaussian(X + 3, Z)
            self.y_mu, self.y_var, self.generative_pxz = nn.Linear(3, Z), nn.Linear(3, Z), nn.Linear(Z, X)

        def forward(self, x):
            logits = self.inference_qyx(x)
            y = F.gumbel_softmax(logits, 0.7)
            mu, var, z = self.inference_qzyx(torch.cat([x, y], 1))
            y_mu, y_var = self.y_mu(y), F.softplus(self.y_var(y))
            return {
                "mean": mu, "var": var, "gaussian": z, "logits": logits, "categorical": y,
                "y_mean": y_mu, "y_var": y_var, "x_rec": self.generative_pxz(z),
            }  # fmt: skip

    model, x, own = Mixture(), torch.randn(B, X), []

    def loss():
        out = model(x)
        q, p = (Normal(out[mean], out[var].sqrt()) for mean, var in (("mean", "var"), ("y_mean", "y_var")))
        own.append((nats(q, p), standard(q.loc, q.scale), out["var"].detach().mean(0)))
        own[-1] += (out["logits"].detach().softmax(1),)
        return (out["x_rec"] - x).square().mean() + kl_divergence(q, p).sum(1).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        if read.found[name]["family"] == "categorical":
            probability = own[-1][3]
            expected = (probability * (3 * probability).log()).sum(1).mean().item()
            assert verdict(read, name, [expected]) in ("right", "absent")
        elif name.startswith("y_"):  # no name says that it is a prior's, and its scale is a guess
            assert read.origin("scale", name) == read.origin("prior", name) == "assumed"
        else:
            assert verdict(read, name, [own[-1][0]], [own[-1][1]]) in ("right", "assumed", "absent")
            assert variance_is(read, name, own[-1][2])
    assert read.layers or nothing(read)


def test_gumbel_quantiser_of_images(tmp_path):
    """Its classes are channels, its indices the largest of what was drawn, its loss the KL to uniform."""

    class GumbelQuantize(nn.Module):
        def __init__(self, channels, n_embed, embedding_dim):
            super().__init__()
            self.n_embed, self.temperature = n_embed, 1.0
            self.proj, self.embed = nn.Conv2d(channels, n_embed, 1), nn.Embedding(n_embed, embedding_dim)

        def forward(self, z):
            logits = self.proj(z)
            soft_one_hot = F.gumbel_softmax(logits, tau=self.temperature, dim=1, hard=False)
            z_q = torch.einsum("b n h w, n d -> b d h w", soft_one_hot, self.embed.weight)
            qy = F.softmax(logits, dim=1)
            diff = (qy * (qy * self.n_embed + 1e-10).log()).sum(1).mean()
            return z_q, diff, soft_one_hot.argmax(dim=1)

    model = nn.ModuleDict(
        {"inward": nn.Conv2d(1, 6, 2, 2), "quantizer": GumbelQuantize(6, 8, 4), "outward": nn.Conv2d(4, 4, 1)}
    )
    x, picked = torch.rand(B, 1, 8, 8), []

    def loss():
        z_q, diff, index = model["quantizer"](model["inward"](x))
        picked.append((diff.item(), index))
        return model["outward"](z_q).square().mean() + diff

    read = train(model, tmp_path / "run", loss)
    for name, frame in read.layers.items():
        if read.found[name]["family"] == "codes":
            own = shares(torch.stack([index for _, index in picked]), 8)
            np.testing.assert_allclose(frame["usage"], own, atol=1e-6)
        else:
            assert read.found[name]["family"] == "categorical"
            assert verdict(read, name, [picked[-1][0]]) in ("right", "absent")
    assert read.layers or nothing(read)


@pytest.mark.parametrize("always", [True, False])
def test_dropout_that_is_no_module(tmp_path, always):
    """F.dropout: draws that differ, or an error, never draws without variance."""

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(X, 32), nn.Linear(32, Z)

        def forward(self, x):
            return self.two(F.dropout(self.one(x).relu(), 0.5, training=always or self.training))

    model, x = Functional(), torch.randn(B, X)
    with torch.no_grad():
        own = torch.stack([model.train()(x) for _ in range(2000)]).var(0).mean(0)
    said = ""
    try:
        z = probes.dropout_samples(model, x, passes=400)
    except (ValueError, RuntimeError) as error:
        said = str(error)
    if said:
        assert "dropout" in said.lower()
        return
    np.testing.assert_allclose(z.var(0).mean(0).detach(), own, rtol=0.15)


def test_ensemble_that_predicts_variances(tmp_path):
    """Members return mean and var of what they predict; the ensemble those of the mixture. Neither is a
    logarithm.
    """

    class Member(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.mean, self.var = nn.Linear(X, 8), nn.Linear(8, 2), nn.Linear(8, 2)

        def forward(self, x):
            h = self.body(x).relu()
            mean, var = self.mean(h), F.softplus(self.var(h)) + 1e-6
            return mean, var

    class Ensemble(nn.Module):
        def __init__(self):
            super().__init__()
            self.members = nn.ModuleList(Member() for _ in range(3))

        def forward(self, x):
            means, variances = zip(*(member(x) for member in self.members), strict=True)
            means, variances = torch.stack(means), torch.stack(variances)
            mean = means.mean(0)
            var = (variances + means.square()).mean(0) - mean.square()
            return mean, var

    model, x, y = Ensemble(), torch.randn(B, X), torch.randn(B, 2)
    returned = {f"members.{at}": outputs(member) for at, member in enumerate(model.members)}
    returned["Ensemble"] = outputs(model)

    def loss():
        mean, var = model(x)
        return 0.5 * (var.log() + (y - mean).square() / var).mean()

    read = train(model, tmp_path / "run", loss)
    for name in read.layers:
        path = next(one for one in returned if name.startswith(one) or one == "Ensemble")
        mean, var = returned[path][-1]
        assert variance_is(read, name, var.detach().mean(0)), name
        assert verdict(read, name, [], [standard(mean, var.sqrt())]) in ("assumed", "absent") or (
            read.origin("scale", name) == "assumed"
        )
    assert read.layers or nothing(read)
