"""Networks with priors of their own as people write them. Each keeps in `pairs` what it would pay for: per
layer, the posteriors and priors of its forward passes, as torch.distributions.
"""

from collections import defaultdict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Independent, Laplace, Normal

X, C, H, Z = 6, 3, 8, 4


class Foreign(nn.Module):
    """Remembers posteriors and priors; `paid` is their KL, mean over rows, by torch."""

    def __init__(self):
        super().__init__()
        self.pairs = defaultdict(list)

    def pay(self, name, mu, sigma, prior_mu=0.0, prior_sigma=1.0):
        q = Normal(mu, sigma)
        p = Normal(torch.as_tensor(prior_mu).expand_as(mu), torch.as_tensor(prior_sigma).expand_as(mu))
        self.pairs[name].append((q, p))
        return q.rsample()

    def paid(self, name):
        kls = [
            torch.distributions.kl_divergence(q, p).reshape(-1, q.loc.shape[-1]) for q, p in self.pairs[name]
        ]
        return torch.cat(kls).mean(0).detach()


def net(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, H), nn.Tanh(), nn.Linear(H, outputs))


class Heads(nn.Module):
    """Returns mean and log variance, called as everywhere."""

    def __init__(self, inputs):
        super().__init__()
        self.body, self.one, self.two = nn.Linear(inputs, H), nn.Linear(H, Z), nn.Linear(H, Z)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        mu, logvar = self.one(h), self.two(h)
        return mu, logvar


class RecognitionAndPrior(Foreign):
    """Sohn et al. (2015): three networks, of which the prior sees the condition alone."""

    def __init__(self):
        super().__init__()
        self.recognition_net, self.prior_net, self.generation_net = Heads(X + C), Heads(C), net(Z + C, X)

    def forward(self, x, c):
        mu, logvar = self.recognition_net(torch.cat([x, c], 1))
        mu_prior, logvar_prior = self.prior_net(c)
        z = self.pay("recognition_net", mu, (logvar / 2).exp(), mu_prior, (logvar_prior / 2).exp())
        return self.generation_net(torch.cat([z, c], 1))


class PriorFirst(RecognitionAndPrior):
    """The prior is computed before the posterior."""

    def forward(self, x, c):
        mu_prior, logvar_prior = self.prior_net(c)
        mu, logvar = self.recognition_net(torch.cat([x, c], 1))
        z = self.pay("recognition_net", mu, (logvar / 2).exp(), mu_prior, (logvar_prior / 2).exp())
        return self.generation_net(torch.cat([z, c], 1))


class MappingOfFour(Foreign):
    def __init__(self):
        super().__init__()
        self.encoder, self.cond, self.out = net(X + C, 2 * Z), net(C, 2 * Z), net(Z, X)

    def forward(self, x, c):
        q_mu, q_logvar = self.encoder(torch.cat([x, c], 1)).chunk(2, 1)
        p_mu, p_logvar = self.cond(c).chunk(2, 1)
        z = self.pay("MappingOfFour", q_mu, (q_logvar / 2).exp(), p_mu, (p_logvar / 2).exp())
        return {"x": self.out(z), "q_mu": q_mu, "q_logvar": q_logvar, "p_mu": p_mu, "p_logvar": p_logvar}


@dataclass
class Output:
    reconstruction: torch.Tensor
    posterior: Independent
    prior: Independent


class DataclassOfDistributions(Foreign):
    def __init__(self):
        super().__init__()
        self.encoder, self.cond, self.out = net(X + C, 2 * Z), net(C, 2 * Z), net(Z, X)

    def forward(self, x, c):
        (m, s), (pm, ps) = (v.chunk(2, 1) for v in (self.encoder(torch.cat([x, c], 1)), self.cond(c)))
        z = self.pay("DataclassOfDistributions", m, F.softplus(s), pm, F.softplus(ps))
        q, p = Independent(Normal(m, F.softplus(s)), 1), Independent(Normal(pm, F.softplus(ps)), 1)
        return Output(self.out(z), q, p)


class NestedTuples(Foreign):
    def __init__(self):
        super().__init__()
        self.f, self.g, self.out = net(X + C, 2 * Z), net(C, 2 * Z), net(Z, X)

    def forward(self, x, c):
        (mu_q, logvar_q), (mu_p, logvar_p) = self.f(torch.cat([x, c], 1)).chunk(2, 1), self.g(c).chunk(2, 1)
        z = self.pay("NestedTuples", mu_q, (logvar_q / 2).exp(), mu_p, (logvar_p / 2).exp())
        return self.out(z), (mu_q, logvar_q), (mu_p, logvar_p)


class SoftplusVRNN(Foreign):
    """Chung et al. (2015) with raw heads, whose softplus stands in the code."""

    def __init__(self):
        super().__init__()
        self.enc, self.cell, self.dec = nn.Linear(X + H, H), nn.GRUCell(X + Z, H), nn.Linear(Z + H, X)
        self.enc_mean, self.enc_std = nn.Linear(H, Z), nn.Linear(H, Z)
        self.prior_mean, self.prior_std = nn.Linear(H, Z), nn.Linear(H, Z)

    def forward(self, x):
        h, outs = x.new_zeros(x.shape[1], H), []
        for frame in x:
            e = torch.relu(self.enc(torch.cat([frame, h], 1)))
            prior_mean, prior_std = self.prior_mean(h), F.softplus(self.prior_std(h))
            enc_mean, enc_std = self.enc_mean(e), F.softplus(self.enc_std(e))
            z = self.pay("enc_mean", enc_mean, enc_std, prior_mean, prior_std)
            outs.append(self.dec(torch.cat([z, h], 1)))
            h = self.cell(torch.cat([frame, z], 1), h)
        return torch.stack(outs)


class RSSM(Foreign):
    """A Gaussian recurrent state-space model (Hafner et al. 2019) that returns stacked states."""

    def __init__(self):
        super().__init__()
        self.cell, self.img, self.obs = nn.GRUCell(Z, H), net(H, 2 * Z), net(H + X, 2 * Z)

    def forward(self, x):
        h, z = x.new_zeros(x.shape[1], H), x.new_zeros(x.shape[1], Z)
        states = defaultdict(list)
        for frame in x:
            h = self.cell(z, h)
            prior_mean, prior_std = self.img(h).chunk(2, 1)
            post_mean, post_std = self.obs(torch.cat([h, frame], 1)).chunk(2, 1)
            prior_std, post_std = F.softplus(prior_std) + 0.1, F.softplus(post_std) + 0.1
            z = self.pay("RSSM", post_mean, post_std, prior_mean, prior_std)
            for name, value in {"mean": post_mean, "std": post_std, "z": z}.items():
                states["post_" + name].append(value)
            for name, value in {"mean": prior_mean, "std": prior_std}.items():
                states["prior_" + name].append(value)
        return {name: torch.stack(values) for name, values in states.items()}


class RSSMCell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.transition, self.obs = nn.GRUCell(Z, H), net(H, 2 * Z), net(H + X, 2 * Z)

    def forward(self, z, h, frame):
        h = self.cell(z, h)
        m, s = self.transition(h).chunk(2, 1)
        prior = Normal(m, F.softplus(s) + 0.1)
        m, s = self.obs(torch.cat([h, frame], 1)).chunk(2, 1)
        posterior = Normal(m, F.softplus(s) + 0.1)
        return prior, posterior, h


class RSSMByCells(Foreign):
    """The same, whose cell is a module that returns two distributions, the prior first."""

    def __init__(self):
        super().__init__()
        self.rssm, self.dec = RSSMCell(), nn.Linear(Z, X)

    def forward(self, x):
        h, z, outs = x.new_zeros(x.shape[1], H), x.new_zeros(x.shape[1], Z), []
        for frame in x:
            p, q, h = self.rssm(z, h, frame)
            z = self.pay("rssm", q.loc, q.scale, p.loc, p.scale)
            outs.append(self.dec(z))
        return torch.stack(outs)


class Ladder(Foreign):
    """Two levels; lists of posteriors and priors are returned, the top's is Normal(0, 1)."""

    def __init__(self):
        super().__init__()
        self.low, self.top, self.down, self.out = net(X, 2 * Z), net(X, 2 * Z), net(Z, 2 * Z), net(Z, X)

    def forward(self, x):
        m2, s2 = self.top(x).chunk(2, 1)
        z2 = self.pay("qs_1", m2, s2.exp())
        (m1, s1), (pm, ps) = self.low(x).chunk(2, 1), self.down(z2).chunk(2, 1)
        z1 = self.pay("qs_0", m1, s1.exp(), pm, ps.exp())
        qs = [Normal(m1, s1.exp()), Normal(m2, s2.exp())]
        ps = [Normal(pm, ps.exp()), Normal(torch.zeros_like(m2), torch.ones_like(m2))]
        return self.out(z1), qs, ps


class TwoLevelsOfModules(Foreign):
    """q1, q2 and p1 as modules; the top has no prior network."""

    def __init__(self):
        super().__init__()
        self.q1, self.q2, self.p1, self.decoder = Heads(X), Heads(Z), Heads(Z), net(Z, X)

    def forward(self, x):
        m1, l1 = self.q1(x)
        m2, l2 = self.q2(m1)
        z2 = self.pay("q2", m2, (l2 / 2).exp())
        pm, pl = self.p1(z2)
        return self.decoder(self.pay("q1", m1, (l1 / 2).exp(), pm, (pl / 2).exp()))


class TwoEncoders(Foreign):
    """Distributions from modules that are told apart by a letter."""

    class Gaussian(nn.Module):
        def __init__(self, inputs):
            super().__init__()
            self.f = net(inputs, 2 * Z)

        def forward(self, x):
            m, s = self.f(x).chunk(2, -1)
            return Normal(m, s.exp())

    def __init__(self):
        super().__init__()
        self.net_q, self.net_p, self.out = self.Gaussian(X + C), self.Gaussian(C), net(Z, X)

    def forward(self, x, c):
        q, p = self.net_q(torch.cat([x, c], 1)), self.net_p(c)
        return self.out(self.pay("net_q", q.loc, q.scale, p.loc, p.scale))


class LearnedPrior(Foreign):
    """A prior of parameters."""

    def __init__(self):
        super().__init__()
        self.encoder, self.out = Heads(X), net(Z, X)
        self.prior_mu, self.prior_logvar = nn.Parameter(torch.randn(Z)), nn.Parameter(torch.randn(Z))

    def forward(self, x):
        mu, logvar = self.encoder(x)
        return self.out(
            self.pay("encoder", mu, (logvar / 2).exp(), self.prior_mu, (self.prior_logvar / 2).exp())
        )


class DistributionAttribute(Foreign):
    """A prior that is an attribute, a distribution."""

    def __init__(self):
        super().__init__()
        self.encoder, self.out = Heads(X), net(Z, X)
        self.p_z = Normal(torch.full((Z,), 0.5), torch.full((Z,), 2.0))

    def forward(self, x):
        mu, logvar = self.encoder(x)
        return self.out(self.pay("encoder", mu, (logvar / 2).exp(), self.p_z.loc, self.p_z.scale))


class GraphVAE(Foreign):
    """Kipf & Welling (2016), on a dense adjacency: nodes are rows."""

    def __init__(self):
        super().__init__()
        self.base, self.gcn_mean, self.gcn_logstddev = (nn.Linear(n, k) for n, k in ((X, H), (H, Z), (H, Z)))

    def forward(self, x, adjacency):
        h = torch.relu(adjacency @ self.base(x))
        mean, logstd = adjacency @ self.gcn_mean(h), adjacency @ self.gcn_logstddev(h)
        z = self.pay("gcn", mean, logstd.exp())
        return torch.sigmoid(z @ z.T), mean, logstd


class TotalCorrelation(Foreign):
    """Chen et al. (2018): the prior stands in a buffer of means and log variances."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Heads(X), net(Z, X)
        self.register_buffer("prior_params", torch.zeros(Z, 2))

    def forward(self, x):
        mu, logvar = self.encoder(x)
        return self.decoder(self.pay("encoder", mu, (logvar / 2).exp()))


class Vamp(Foreign):
    """Tomczak & Welling (2018): a mixture of posteriors of learned inputs."""

    class VampPrior(nn.Module):
        def __init__(self):
            super().__init__()
            self.inputs = nn.Parameter(torch.randn(5, X))

        def forward(self):
            return self.inputs

    def __init__(self):
        super().__init__()
        self.encoder, self.mixture, self.decoder = Heads(X), self.VampPrior(), net(Z, X)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        return self.decoder(self.pay("encoder", mu, (logvar / 2).exp()))


class MixturePrior(Foreign):
    """Components in parameters of another shape than the posterior's."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Heads(X), net(Z, X)
        self.prior_means, self.prior_logvars = (nn.Parameter(torch.randn(7, Z)) for _ in range(2))

    def forward(self, x):
        mu, logvar = self.encoder(x)
        return self.decoder(self.pay("encoder", mu, (logvar / 2).exp()))


class PlanarPosterior(Foreign):
    """Rezende & Mohamed (2015): what is sampled goes through a flow."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Heads(X), net(Z, X)
        self.flows = nn.ModuleList([nn.Linear(Z, Z) for _ in range(2)])

    def forward(self, x):
        mu, logvar = self.encoder(x)
        z = self.pay("encoder", mu, (logvar / 2).exp())
        for flow in self.flows:
            z = z + torch.tanh(flow(z))
        return self.decoder(z)


class PriorByAMethod(Foreign):
    """The prior is computed by a method, of layers whose names say nothing."""

    def __init__(self):
        super().__init__()
        self.encoder, self.f, self.decoder = Heads(X + C), net(C, 2 * Z), net(Z, X)

    def prior(self, c):
        return self.f(c).chunk(2, 1)

    def forward(self, x, c):
        mu, logvar = self.encoder(torch.cat([x, c], 1))
        pm, pl = self.prior(c)
        return self.decoder(self.pay("encoder", mu, (logvar / 2).exp(), pm, (pl / 2).exp()))


class Imagining(RecognitionAndPrior):
    """Asks its prior twice a forward pass."""

    def forward(self, x, c):
        self.prior_net(c + 1)
        return super().forward(x, c)


class OneHeadOfTwo(Foreign):
    """A text VAE (Bowman et al. 2016) with one head of twice the size."""

    def __init__(self):
        super().__init__()
        self.embed, self.encoder = nn.Embedding(20, X), nn.GRU(X, H, batch_first=True)
        self.hidden_to_latent, self.latent_to_hidden = nn.Linear(H, 2 * Z), nn.Linear(Z, H)
        self.vocab = nn.Linear(H, 20)

    def forward(self, tokens):
        _, h = self.encoder(self.embed(tokens))
        mu, logvar = self.hidden_to_latent(h[0]).chunk(2, -1)
        z = self.pay("hidden_to_latent", mu, (logvar / 2).exp())
        return self.vocab(torch.tanh(self.latent_to_hidden(z)))


class HiddenLaplace(nn.Module):
    """Draws from a Laplace and returns the reconstruction alone."""

    def __init__(self):
        super().__init__()
        self.pairs = {}
        self.body, self.fc_loc, self.fc_log_scale = nn.Linear(X, H), nn.Linear(H, Z), nn.Linear(H, Z)
        self.decoder = net(Z, X)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        return self.decoder(Laplace(self.fc_loc(h), self.fc_log_scale(h).exp()).rsample())


# ---- as libraries write them


class WrappedNormal(torch.distributions.Distribution):
    """A distribution of a library's own (pythae): the exponential map of a Gaussian."""

    arg_constraints = {}

    def __init__(self, loc, scale):
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def rsample(self):
        v = self.scale * torch.randn_like(self.loc)
        return torch.tanh(v.norm(dim=-1, keepdim=True)) * (self.loc + v)


class Hyperbolic(nn.Module):
    """Its posterior's family is chosen by an option, so that no source names it where it is drawn from."""

    def __init__(self, family=WrappedNormal):
        super().__init__()
        self.encoder, self.out, self.posterior = Heads(X), net(Z, X), family

    def forward(self, x):
        mu, logvar = self.encoder(x)
        return self.out(self.posterior(mu, (logvar / 2).exp()).rsample())


class SquashedActor(nn.Module):
    """loc and scale of a module, of which another makes a squashed Gaussian (torchrl)."""

    def __init__(self):
        super().__init__()
        self.head, self.loc, self.log_scale = net(X, H), nn.Linear(H, Z), nn.Linear(H, Z)

    def forward(self, x):
        h = self.head(x)
        base = Independent(Normal(self.loc(h), self.log_scale(h).exp()), 1)
        tanh = torch.distributions.transforms.TanhTransform()
        return torch.distributions.TransformedDistribution(base, [tanh]).rsample()


class CompositePrior(nn.Module):
    """Shenbin et al. (2020): a density, of three Gaussians; one is the encoder as it was."""

    def __init__(self, held=True):
        super().__init__()
        self.encoder_old, self.held = Heads(X).requires_grad_(False), held
        if held:
            self.mu_prior = nn.Parameter(torch.zeros(1, Z), requires_grad=False)
            self.logvar_prior = nn.Parameter(torch.zeros(1, Z), requires_grad=False)
            self.logvar_uniform_prior = nn.Parameter(torch.full((1, Z), 2.0), requires_grad=False)

    def forward(self, x, z):
        mu, logvar = self.encoder_old(x)
        parts = [Normal(mu, (logvar / 2).exp()).log_prob(z)]
        if self.held:
            scales = self.logvar_prior, self.logvar_uniform_prior
            parts += [Normal(self.mu_prior, (one / 2).exp()).log_prob(z) for one in scales]
        return torch.stack(parts).logsumexp(0)


class Recommender(nn.Module):
    def __init__(self, held=True):
        super().__init__()
        self.encoder, self.prior, self.decoder = Heads(X), CompositePrior(held), nn.Linear(Z, X)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        z = mu + torch.randn_like(mu) * (logvar / 2).exp()
        return self.decoder(z) - self.prior(x, z).mean()


class Components(nn.Module):
    """A mixture's own parameters, as they are."""

    def __init__(self):
        super().__init__()
        self.means, self.raw = nn.Parameter(torch.randn(3, Z)), nn.Parameter(torch.randn(3, Z))

    def forward(self):
        mu_c, logvar_c = self.means, self.raw
        return mu_c, logvar_c


class Clusters(nn.Module):
    """A mixture prior whose components a module returns (VaDER); stddev is a log variance."""

    def __init__(self):
        super().__init__()
        self.body, self.mu_layer, self.stddev_layer = net(X, H), nn.Linear(H, Z), nn.Linear(H, Z)
        self.gmm_layer, self.decoder = Components(), nn.Linear(Z, X)

    def forward(self, x):
        h = self.body(x)
        mu, stddev = self.mu_layer(h), self.stddev_layer(h)
        z = mu + torch.exp(0.5 * stddev) * torch.randn_like(mu)
        mu_c, logvar_c = self.gmm_layer()
        self.truth = mu.detach(), torch.exp(0.5 * stddev).detach()
        return self.decoder(z), mu_c, logvar_c, mu, stddev


class TextEncoder(nn.Module):
    """A module of a neutral name that returns a prior among other things (VITS)."""

    def __init__(self):
        super().__init__()
        self.body, self.project = nn.Linear(C, H), nn.Linear(H, 2 * Z)

    def forward(self, c):
        hidden = self.body(c)
        prior_means, prior_log_variances = self.project(hidden).chunk(2, 1)
        return hidden, prior_means, prior_log_variances


class PriorOfANeutralModule(Foreign):
    def __init__(self):
        super().__init__()
        self.text, self.posterior_encoder, self.out = TextEncoder(), Heads(X), net(Z, X)

    def forward(self, x, c):
        _, prior_mean, prior_logvar = self.text(c)
        mu, logvar = self.posterior_encoder(x)
        pair = mu, (logvar / 2).exp(), prior_mean, (prior_logvar / 2).exp()
        return self.out(self.pay("posterior_encoder", *pair))


class Made(nn.Module):
    """Networks of a flow return means and log variances, too (IAF)."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(Z, 2 * Z)

    def forward(self, z):
        mu, log_var = self.net(z).chunk(2, 1)
        return mu, log_var


class FlowPosterior(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.iaf_flow, self.decoder = Heads(X), nn.ModuleList([Made(), Made()]), nn.Linear(Z, X)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        z = mu + torch.randn_like(mu) * (logvar / 2).exp()
        for one in self.iaf_flow:
            m, s = one(z)
            z = (z - m) * (-s / 2).exp()
        return self.decoder(z)


class LateProcess(nn.Module):
    """A Gaussian process prior that is made in the first forward pass (GP-VAE)."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder, self.prior = Heads(X), nn.Linear(Z, X), None

    def forward(self, x):
        if self.prior is None:
            covariance = 0.5 * torch.eye(Z) + 0.5
            self.prior = torch.distributions.MultivariateNormal(torch.zeros(Z), covariance)
        mu, logvar = self.encoder(x)
        return self.decoder(mu + torch.randn_like(mu) * (logvar / 2).exp())


class JointEncoder(nn.Module):
    """An encoder made of encoders, of which it takes the means as features (multivae)."""

    def __init__(self):
        super().__init__()
        self.encoders = nn.ModuleDict({"image": Heads(X), "label": Heads(C)})
        self.one, self.two = nn.Linear(2 * Z, Z), nn.Linear(2 * Z, Z)

    def forward(self, x, c):
        hidden = torch.cat([self.encoders["image"](x)[0], self.encoders["label"](c)[0]], 1)
        mu, logvar = self.one(hidden), self.two(hidden)
        return mu, logvar


class Joint(Foreign):
    def __init__(self):
        super().__init__()
        self.encoder, self.out = JointEncoder(), net(Z, X)

    def forward(self, x, c):
        mu, logvar = self.encoder(x, c)
        return self.out(self.pay("encoder", mu, (logvar / 2).exp()))


class NeutralPrior(Foreign):
    """A prior that no name gives away."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = Heads(X), Heads(C), net(Z, X)

    def forward(self, x, c):
        (mu1, logvar1), (mu2, logvar2) = self.a(x), self.b(c)
        return self.out(self.pay("a", mu1, (logvar1 / 2).exp(), mu2, (logvar2 / 2).exp()))


class WeightSampler(nn.Module):
    """Holds a layer's Gaussian weights, and is asked for samples, never called (torch-uncertainty)."""

    def __init__(self, mu, rho):
        super().__init__()
        self.mu, self.rho = mu, rho

    def sample(self):
        return self.mu + F.softplus(self.rho) * torch.randn_like(self.mu)


class SampledLinear(nn.Module):
    def __init__(self, prior_pi=1):
        super().__init__()
        self.prior_sigma_1, self.prior_sigma_2, self.prior_pi = 0.2, 0.4, prior_pi
        self.weight_mu, self.weight_sigma = nn.Parameter(torch.randn(Z, X)), nn.Parameter(torch.randn(Z, X))
        self.weight_sampler = WeightSampler(self.weight_mu, self.weight_sigma)

    def forward(self, x):
        return F.linear(x, self.weight_sampler.sample())


class PriorPart(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net(C, 2 * Z)

    def forward(self, c):
        prior_mean, prior_logvar = self.net(c).chunk(2, 1)
        return prior_mean, prior_logvar


class Carrying(nn.Module):
    """Puts what a module returns into a mapping of its own and returns that (TensorDictModule)."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, data):
        first, second = self.module(data["c"])
        return data | {"first": first, "second": second}


class WrappedPrior(Foreign):
    def __init__(self):
        super().__init__()
        self.encoder, self.rssm_prior, self.out = Heads(X), Carrying(PriorPart()), net(Z, X)

    def forward(self, x, c):
        mu, logvar = self.encoder(x)
        data = self.rssm_prior({"c": c})
        return self.out(
            self.pay("encoder", mu, (logvar / 2).exp(), data["first"], (data["second"] / 2).exp())
        )
