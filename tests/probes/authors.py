"""Small variational networks as their authors write them, each with the KL that its author computes.

A model says what its latent variables are: `gauss` and `kl_of` keep what its KL is computed from, which is
done after the forward pass, so that the model makes nothing that it would not make.
"""

import copy
import dataclasses
from collections import namedtuple

import torch
import torch.distributions as td
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

X, H, N, C, B = 6, 8, 4, 3, 24
HABITS = {}


def habit(cls):
    HABITS[cls.__name__] = cls
    return cls


def gaussian_kl(mu, sd, prior_mu, prior_sd):
    mu, sd, prior_mu, prior_sd = (torch.as_tensor(one).double() for one in (mu, sd, prior_mu, prior_sd))
    return (prior_sd / sd).log() + (sd**2 + (mu - prior_mu) ** 2) / (2 * prior_sd**2) - 0.5


class Author(nn.Module):
    """`truths`: of the last forward pass, (KL (rows, N) or (rows,), mean, sd, KL under Normal(0, 1))."""

    def __init__(self):
        super().__init__()
        self.body, self.decoder = nn.Linear(X, H), nn.Linear(N, X)
        self.truths = []

    def gauss(self, mu, sd, prior_mu=0.0, prior_sd=1.0):
        mu, sd, prior_mu, prior_sd = (
            torch.as_tensor(one).detach().clone() for one in (mu, sd, prior_mu, prior_sd)
        )
        sd = sd.expand(mu.shape)
        self.truths.append(
            (
                lambda: gaussian_kl(mu, sd, prior_mu, prior_sd).expand(mu.shape),
                lambda: (mu.double(), sd.double()),
                lambda: gaussian_kl(mu, sd, 0.0, 1.0),
            )
        )

    def kl_of(self, compute, uniform=None):
        """compute: () -> KL (rows, N) or (rows,); uniform: the same under a uniform prior."""
        self.truths.append((compute, None, uniform))

    def h(self, x):
        return self.body(x).tanh()

    def call(self, x):
        """A forward pass and its loss."""
        return loss_of(self(x))


def loss_of(value):
    if isinstance(value, torch.Tensor):
        return value.abs().square().mean() if value.is_floating_point() or value.is_complex() else 0.0
    if isinstance(value, td.Distribution):
        try:
            return value.rsample().square().mean()
        except NotImplementedError:
            return sum(loss_of(one) for one in vars(value).values() if isinstance(one, torch.Tensor))
    if isinstance(value, dict):
        return sum(map(loss_of, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(loss_of, value))
    if dataclasses.is_dataclass(value) or hasattr(value, "__dict__"):
        return sum(map(loss_of, vars(value).values()))
    return 0.0


def half(raw):
    return (raw / 2).exp()


def heads(self, mean="fc_mu", scale="fc_logvar", inputs=H, outputs=N):
    self.add_module(mean, nn.Linear(inputs, outputs))
    self.add_module(scale, nn.Linear(inputs, outputs))


# ---- scales


@habit
class PlainVAE(Author):
    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar


@habit
class PrecisionHead(Author):
    def __init__(self):
        super().__init__()
        heads(self, "fc_mu", "fc_log_precision")

    def forward(self, x):
        h = self.h(x)
        mu, sd = self.fc_mu(h), (-0.5 * self.fc_log_precision(h)).exp()
        self.gauss(mu, sd)
        return self.decoder(mu + sd * torch.randn_like(mu))


@habit
class PrecisionReturned(Author):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        mu, precision = self.a(h), F.softplus(self.b(h)) + 0.1
        self.gauss(mu, precision.rsqrt())
        return {
            "mu": mu,
            "precision": precision,
            "recon": self.decoder(mu + precision.rsqrt() * torch.randn_like(mu)),
        }


@habit
class PrecisionUnnamed(Author):
    """Two unnamed tensors, the second a precision."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)
        self.enc = _Two(self)

    def forward(self, x):
        m, t = self.enc(self.h(x))
        self.gauss(m, t.rsqrt())
        return self.decoder(m + t.rsqrt() * torch.randn_like(m))


class _Two(nn.Module):
    def __init__(self, above):
        super().__init__()
        self.one, self.two = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, h):
        return self.one(h), F.softplus(self.two(h)) + 0.1


@habit
class ScaleFirst(Author):
    """Returns (logvar, mu)."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.a(h), self.b(h)
        self.gauss(mu, half(logvar))
        return logvar, mu, self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class ScaleFirstUnnamed(Author):
    """An encoder returns (scale, mean), of expressions, and is used by place."""

    class Enc(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(H, N), nn.Linear(H, N)

        def forward(self, h):
            return self.two(h).exp(), self.one(h)

    def __init__(self):
        super().__init__()
        self.enc = self.Enc()

    def forward(self, x):
        s, m = self.enc(self.h(x))
        self.gauss(m, s)
        return self.decoder(m + s * torch.randn_like(m))


@habit
class LogvarIsLogSigma(Author):
    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, logvar.exp())
        return self.decoder(mu + logvar.exp() * torch.randn_like(mu)), mu, logvar


@habit
class LogvarReturnedSampledOutside(Author):
    """The encoder's pair is sampled outside of any module, as exp(logvar): the author's way with logvar."""

    class Enc(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.m, self.s = nn.Linear(X, H), nn.Linear(H, N), nn.Linear(H, N)

        def forward(self, x):
            h = self.body(x).tanh()
            mu, logvar = self.m(h), self.s(h)
            return mu, logvar

    def __init__(self):
        super().__init__()
        self.encoder = self.Enc()

    def forward(self, x):
        mu, logvar = self.encoder(x)
        z = mu + logvar.exp() * torch.randn_like(mu)
        self.gauss(mu, logvar.exp())
        return self.decoder(z)


@habit
class TrueVariance(Author):
    def __init__(self):
        super().__init__()
        heads(self, "fc_mean", "fc_var")

    def forward(self, x):
        h = self.h(x)
        mean, var = self.fc_mean(h), F.softplus(self.fc_var(h)) + 1e-3
        self.gauss(mean, var.sqrt())
        return self.decoder(td.Normal(mean, var.sqrt()).rsample()), mean, var


@habit
class VarianceReturnedNoSample(Author):
    """Returns mean and a true variance; the sample is drawn by the loop."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        mean, var = self.a(h), F.softplus(self.b(h)) + 1e-3
        self.gauss(mean, var.sqrt())
        return mean, var

    def call(self, x):
        mean, var = self(x)
        return self.decoder(mean + var.sqrt() * torch.randn_like(mean)).square().mean()


@habit
class AnnealedNoise(Author):
    """The noise is warmed up from nothing; the KL is that of the posterior."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.step = 0

    def forward(self, x):
        self.step += 1
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + 0.1 * self.step * half(logvar) * torch.randn_like(mu)), mu, logvar


@habit
class NoiseTemperature(Author):
    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * (0.3 * torch.randn_like(mu)))


@habit
class AnnealedFloor(Author):
    """A smallest sigma that shrinks with the steps."""

    def __init__(self):
        super().__init__()
        heads(self, "fc_mu", "fc_sigma")
        self.step = 0

    def forward(self, x):
        self.step += 1
        h = self.h(x)
        mu, sigma = self.fc_mu(h), F.softplus(self.fc_sigma(h)) + 1.0 / self.step
        self.gauss(mu, sigma)
        return self.decoder(mu + sigma * torch.randn_like(mu))


@habit
class AnnealedClamp(Author):
    def __init__(self):
        super().__init__()
        heads(self)
        self.step = 0

    def forward(self, x):
        self.step += 1
        h = self.h(x)
        mu, logvar = self.fc_mu(h), (3 * self.fc_logvar(h)).clamp(max=0.2 * self.step)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class NoSampleSeen(Author):
    """The scale takes part in the KL alone."""

    def __init__(self):
        super().__init__()
        heads(self, "fc_mu", "fc_sigma")

    def forward(self, x):
        h = self.h(x)
        mu, sigma = self.fc_mu(h), F.softplus(self.fc_sigma(h))
        self.gauss(mu, sigma)
        kl = (-sigma.log() + (sigma**2 + mu**2) / 2 - 0.5).sum(-1)
        return self.decoder((mu + sigma * torch.randn_like(mu)).detach()), kl


@habit
class SigmaSquaredName(Author):
    """`sigma2` is a variance."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        mu, sigma2 = self.a(h), F.softplus(self.b(h)) + 0.01
        self.gauss(mu, sigma2.sqrt())
        return mu, sigma2

    def call(self, x):
        mu, sigma2 = self(x)
        return self.decoder(mu + sigma2.sqrt() * torch.randn_like(mu)).square().mean()


@habit
class HalfLogVarName(Author):
    """log_std whose half is exponentiated, returned and sampled by the loop."""

    def __init__(self):
        super().__init__()
        heads(self, "to_mu", "to_log_std")

    def forward(self, x):
        h = self.h(x)
        mu, log_std = self.to_mu(h), self.to_log_std(h).clamp(-4, 0.1)
        self.gauss(mu, log_std.exp())
        return mu, log_std

    def call(self, x):
        mu, log_std = self(x)
        return self.decoder(td.Normal(mu, log_std.exp()).rsample()).square().mean()


# ---- priors


@habit
class LearnedPrior(Author):
    def __init__(self):
        super().__init__()
        heads(self)
        self.prior_mu = nn.Parameter(torch.randn(N))
        self.prior_logvar = nn.Parameter(torch.randn(N))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), self.prior_mu, half(self.prior_logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar


@habit
class LearnedPriorOtherNames(Author):
    """p_mu0 and log_s0 say nothing."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.m0, self.s0 = nn.Parameter(torch.randn(N)), nn.Parameter(torch.randn(N))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), self.m0, self.s0.exp())
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar


@habit
class LearnedPriorByDistributions(Author):
    """m0 and s0 again, with the KL by torch in the forward pass."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.m0, self.s0 = nn.Parameter(torch.randn(N)), nn.Parameter(torch.randn(N))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        q = td.Normal(mu, half(logvar))
        self.gauss(mu, half(logvar), self.m0, self.s0.exp())
        self.kl = td.kl_divergence(q, td.Normal(self.m0, self.s0.exp())).sum(-1).mean()
        return self.decoder(q.rsample())


@habit
class PriorInTheLoop(Author):
    """The loop computes the KL against a Normal(0, 2)."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), 0.0, 2.0)
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar

    def call(self, x):
        out, mu, logvar = self(x)
        kl = td.kl_divergence(td.Normal(mu, half(logvar)), td.Normal(torch.zeros(N), 2 * torch.ones(N)))
        return out.square().mean() + kl.sum(-1).mean()


@habit
class PriorVariance(Author):
    def __init__(self):
        super().__init__()
        heads(self)
        self.register_buffer("prior_mean", torch.zeros(N))
        self.register_buffer("prior_var", torch.full((N,), 4.0))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), 0.0, 2.0)
        kl = 0.5 * (
            self.prior_var.log() - logvar + (logvar.exp() + (mu - self.prior_mean) ** 2) / self.prior_var - 1
        )
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), kl.sum(-1)


@habit
class PriorStdIsLog(Author):
    """prior_std holds its logarithm."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.prior_mean = nn.Parameter(torch.zeros(N))
        self.prior_std = nn.Parameter(torch.full((N,), 0.5))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        prior_sd = torch.exp(self.prior_std)
        self.gauss(mu, half(logvar), self.prior_mean, prior_sd)
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar


@habit
class PriorLogvarIsLogSd(Author):
    """prior_logvar is used as a log sd, by a helper function outside of the class."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.prior_mu = nn.Parameter(torch.zeros(N))
        self.prior_logvar = nn.Parameter(torch.full((N,), 0.7))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), self.prior_mu, _as_sd(self.prior_logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar


def _as_sd(raw):
    return raw.exp()


@habit
class PriorPrecision(Author):
    def __init__(self):
        super().__init__()
        heads(self)
        self.prior_mu = nn.Parameter(torch.zeros(N))
        self.prior_precision = nn.Parameter(torch.full((N,), 3.0))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), self.prior_mu, self.prior_precision.rsqrt())
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar


@habit
class SigmaPrior(Author):
    """A number of the constructor, sigma_p."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.sigma_p = 0.5

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), 0.0, self.sigma_p)
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar


@habit
class PriorInSettings(Author):
    """A number of the settings that the model keeps."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.hparams = {"beta": 0.1, "latent": {"prior_mean": 0.0, "prior_std": 0.5}}

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), 0.0, self.hparams["latent"]["prior_std"])
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))

    def call(self, x):
        return self(x).square().mean()


@habit
class PriorOfMethod(PriorInSettings):
    """A method gives a Normal(0, 2)."""

    def __init__(self):
        super().__init__()
        del self.hparams

    def prior(self):
        return td.Normal(torch.zeros(N), 2 * torch.ones(N))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), 0.0, 2.0)
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class StandardPriorOfMethod(PriorInSettings):
    """... or the standard one, of which settings speak, too."""

    def __init__(self):
        super().__init__()
        self.hparams = {"prior_mean": 0.0, "prior_std": 1.0, "prior_logvar": 0.0}

    def prior(self):
        return td.Normal(torch.zeros(N), torch.ones(N))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class LaplaceApproximatedDirichlet(Author):
    """ProdLDA: mu2 and var2."""

    def __init__(self):
        super().__init__()
        heads(self)
        a = torch.full((1, N), 0.2)
        self.mu2 = nn.Parameter((a.log().T - a.log().mean(1)).T, requires_grad=False)
        self.var2 = nn.Parameter(
            (1 / a * (1 - 2.0 / N)) + 1.0 / (N * N) * (1 / a).sum(1, keepdim=True), requires_grad=False
        )

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), self.mu2[0], self.var2[0].sqrt())
        theta = (mu + half(logvar) * torch.randn_like(mu)).softmax(-1)
        kl = 0.5 * (
            (logvar.exp() / self.var2 + (mu - self.mu2) ** 2 / self.var2 + self.var2.log() - logvar).sum(1)
            - N
        )
        return {"recon": self.decoder(theta), "loss_KL": kl.mean()}


@habit
class VampPrior(Author):
    """Pseudo-inputs go through the same encoder."""

    class Enc(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.m, self.s = nn.Linear(X, H), nn.Linear(H, N), nn.Linear(H, N)

        def forward(self, x):
            h = self.body(x).tanh()
            mu, logvar = self.m(h), self.s(h)
            return mu, logvar

    def __init__(self):
        super().__init__()
        self.encoder, self.pseudo_inputs = self.Enc(), nn.Parameter(3 * torch.randn(10, X))

    def forward(self, x):
        mu, logvar = self.encoder(x)
        z = mu + half(logvar) * torch.randn_like(mu)
        pm, pl = self.encoder(self.pseudo_inputs)
        log_p = (-0.5 * (pl + (z[:, None] - pm) ** 2 / pl.exp())).sum(-1).logsumexp(1)
        self.gauss(mu, half(logvar), float("nan"), 1.0)
        return self.decoder(z), log_p


@habit
class VampPriorCat(VampPrior):
    """The heads are in the model, and pseudo-inputs come second."""

    def __init__(self):
        Author.__init__(self)
        heads(self)
        self.means = nn.Parameter(3 * torch.randn(10, X))

    def encode(self, x):
        h = self.h(x)
        return self.fc_mu(h), self.fc_logvar(h)

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + half(logvar) * torch.randn_like(mu)
        pm, pl = self.encode(self.means)
        log_p = (-0.5 * (pl + (z[:, None] - pm) ** 2 / pl.exp())).sum(-1).logsumexp(1)
        self.gauss(mu, half(logvar), float("nan"), 1.0)
        return self.decoder(z), log_p


@habit
class MixturePrior(Author):
    def __init__(self):
        super().__init__()
        heads(self)
        self.mu_k, self.logvar_k = nn.Parameter(torch.randn(5, N)), nn.Parameter(torch.randn(5, N))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        z = mu + half(logvar) * torch.randn_like(mu)
        d = -0.5 * (self.logvar_k + (z[:, None] - self.mu_k) ** 2 / self.logvar_k.exp()).sum(-1)
        self.gauss(mu, half(logvar), float("nan"), 1.0)
        return self.decoder(z), d.logsumexp(1)


@habit
class MixtureReturned(MixturePrior):
    """... whose components are returned beside the posterior, expanded to the batch."""

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        z = mu + half(logvar) * torch.randn_like(mu)
        mu_k, logvar_k = self.mu_k.expand(len(x), -1, -1), self.logvar_k.expand(len(x), -1, -1)
        self.gauss(mu, half(logvar), float("nan"), 1.0)
        return {"recon": self.decoder(z), "mu": mu, "logvar": logvar, "mu_k": mu_k, "logvar_k": logvar_k}


@habit
class TwoLevels(Author):
    """p(z1 | z2) by a module of a neutral name."""

    def __init__(self):
        super().__init__()
        self.q1, self.q2, self.down = nn.Linear(H, 2 * N), nn.Linear(N, 2 * N), nn.Linear(N, 2 * N)

    def forward(self, x):
        m1, l1 = self.q1(self.h(x)).chunk(2, -1)
        z1 = m1 + half(l1) * torch.randn_like(m1)
        m2, l2 = self.q2(z1).chunk(2, -1)
        z2 = m2 + half(l2) * torch.randn_like(m2)
        pm, pl = self.down(z2).chunk(2, -1)
        self.gauss(m1, half(l1), pm, half(pl))
        self.gauss(m2, half(l2))
        return {"recon": self.decoder(z1), "q": [(m1, l1), (m2, l2)], "top_down": (pm, pl)}


class Gauss(nn.Module):
    """A block of a library: features -> mu, logvar."""

    def __init__(self, size):
        super().__init__()
        self.mu, self.logvar = nn.Linear(size, N), nn.Linear(size, N)

    def forward(self, h):
        mu, logvar = self.mu(h), self.logvar(h)
        return mu, logvar


@habit
class TwoLevelsOfBlocks(Author):
    """Three blocks of one class; the third is p(z1 | z2)."""

    def __init__(self):
        super().__init__()
        self.up1, self.up2, self.down1 = Gauss(H), Gauss(N), Gauss(N)

    def forward(self, x):
        m1, l1 = self.up1(self.h(x))
        z1 = m1 + half(l1) * torch.randn_like(m1)
        m2, l2 = self.up2(z1)
        z2 = m2 + half(l2) * torch.randn_like(m2)
        pm, pl = self.down1(z2)
        self.gauss(m1, half(l1), pm, half(pl))
        self.gauss(m2, half(l2))
        return self.decoder(z1)


@habit
class GenerativeBlock(Author):
    """inference and generative blocks, KL by torch."""

    def __init__(self):
        super().__init__()
        self.bottom_up, self.top_down = Gauss(H), Gauss(C)

    def forward(self, x):
        m, lv = self.bottom_up(self.h(x))
        pm, pl = self.top_down(x[:, :C])
        q, p = td.Normal(m, half(lv)), td.Normal(pm, half(pl))
        self.gauss(m, half(lv), pm, half(pl))
        return self.decoder(q.rsample()), td.kl_divergence(q, p).sum(-1)


@habit
class ConditionalPrior(Author):
    def __init__(self):
        super().__init__()
        heads(self)
        self.prior_net = nn.Linear(C, 2 * N)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        pm, pl = self.prior_net(x[:, :C]).chunk(2, -1)
        self.gauss(mu, half(logvar), pm, half(pl))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class ResidualPosterior(Author):
    """NVAE: the posterior's parameters are added to the prior's."""

    def __init__(self):
        super().__init__()
        heads(self, "delta_mu", "delta_logvar")
        self.cond_mu, self.cond_logvar = nn.Linear(C, N), nn.Linear(C, N)

    def forward(self, x):
        h, c = self.h(x), x[:, :C]
        pm, pl = self.cond_mu(c), self.cond_logvar(c)
        mu, logvar = pm + self.delta_mu(h), pl + self.delta_logvar(h)
        self.gauss(mu, half(logvar), pm, half(pl))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class KLReturned(Author):
    """The model returns its own KL, under Normal(0, 3)."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), 0.0, 3.0)
        kl = gaussian_kl(mu, half(logvar), 0.0, 3.0).float().sum(-1)
        return {
            "recon": self.decoder(mu + half(logvar) * torch.randn_like(mu)),
            "mu": mu,
            "logvar": logvar,
            "kl": kl,
        }


@habit
class TwoDistributionsOneUnnamed(Author):
    """A posterior and a learned prior, returned under neutral keys."""

    def __init__(self):
        super().__init__()
        self.a, self.m0, self.s0 = (
            nn.Linear(H, 2 * N),
            nn.Parameter(torch.randn(N)),
            nn.Parameter(torch.randn(N)),
        )

    def forward(self, x):
        m, lv = self.a(self.h(x)).chunk(2, -1)
        self.gauss(m, half(lv), self.m0, self.s0.exp())
        d = td.Normal(m, half(lv))
        base = td.Normal(self.m0.expand(len(x), N), self.s0.exp().expand(len(x), N))
        return {"recon": self.decoder(d.rsample()), "z_dist": d, "base": base}


@habit
class Whitened(Author):
    """Returns what it standardised by the prior's own numbers."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.register_buffer("prior_scale", torch.tensor(2.0))

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar), 0.0, 2.0)
        return self.decoder((mu + half(logvar) * torch.randn_like(mu)) / self.prior_scale)


# ---- what is no layer


@habit
class Likelihood(Author):
    """Returns a likelihood beside the posterior, under a neutral key."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.log_scale = nn.Parameter(torch.zeros(X))

    def forward(self, x):
        h = self.h(x)
        q = td.Normal(self.fc_mu(h), half(self.fc_logvar(h)))
        self.gauss(q.loc, q.scale)
        out = td.Normal(self.decoder(q.rsample()), self.log_scale.exp())
        return {"q_z": q, "dist": out, "nll": -out.log_prob(x)}


@habit
class LikelihoodTuple(Author):
    def __init__(self):
        super().__init__()
        heads(self)
        self.second = nn.Linear(N, X)

    def forward(self, x):
        h = self.h(x)
        q = td.Normal(self.fc_mu(h), half(self.fc_logvar(h)))
        self.gauss(q.loc, q.scale)
        z = q.rsample()
        return td.Normal(self.decoder(z), half(self.second(z))), q


@habit
class LikelihoodHeads(Author):
    """A Gaussian decoder whose heads are called like the encoder's."""

    class Net(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.body, self.mean, self.logvar = (
                nn.Linear(inputs, H),
                nn.Linear(H, outputs),
                nn.Linear(H, outputs),
            )

        def forward(self, x):
            h = self.body(x).tanh()
            return self.mean(h), self.logvar(h)

    def __init__(self):
        super().__init__()
        self.net1, self.net2 = self.Net(X, N), self.Net(N, X)

    def forward(self, x):
        mu, logvar = self.net1(x)
        self.gauss(mu, half(logvar))
        xm, xl = self.net2(mu + half(logvar) * torch.randn_like(mu))
        return (xl + (x - xm) ** 2 / xl.exp()).sum(-1)


@habit
class Heteroscedastic(Author):
    """A regression with a variance; no latent variable."""

    def __init__(self):
        super().__init__()
        heads(self, "mean", "log_var", H, 2)

    def forward(self, x):
        h = self.h(x)
        mean, log_var = self.mean(h), self.log_var(h)
        return mean, log_var


@habit
class Forecaster(Author):
    """Returns a Normal of what comes next, alone."""

    def __init__(self):
        super().__init__()
        self.loc, self.raw = nn.Linear(H, 2), nn.Linear(H, 2)

    def forward(self, x):
        h = self.h(x)
        return td.Normal(self.loc(h), F.softplus(self.raw(h)))


@habit
class ForecasterWithLatent(Author):
    def __init__(self):
        super().__init__()
        heads(self)
        self.loc, self.raw = nn.Linear(N, 2), nn.Linear(N, 2)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar))
        z = mu + half(logvar) * torch.randn_like(mu)
        return td.Normal(self.loc(z), F.softplus(self.raw(z)))


@habit
class Policy(Author):
    def __init__(self):
        super().__init__()
        self.mean_linear, self.log_std_linear = nn.Linear(H, 2), nn.Linear(H, 2)

    def forward(self, x):
        h = self.h(x)
        normal = td.Normal(self.mean_linear(h), self.log_std_linear(h).clamp(-20, 2).exp())
        u = normal.rsample()
        return u.tanh(), normal.log_prob(u).sum(-1)


@habit
class PolicyReturned(Author):
    def __init__(self):
        super().__init__()
        self.net, self.log_std = nn.Linear(H, 2), nn.Parameter(torch.zeros(2))

    def forward(self, x):
        action_dist = td.Independent(td.Normal(self.net(self.h(x)), self.log_std.exp()), 1)
        return action_dist, self.body(x).sum(-1)


@habit
class Teacher(Author):
    """An EMA copy, frozen, whose posterior is a target."""

    def __init__(self):
        super().__init__()
        self.encoder = LikelihoodHeads.Net(X, N)
        self.teacher = copy.deepcopy(self.encoder).requires_grad_(False)
        for one in self.teacher.parameters():
            one.add_(0.3)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        tm, tl = self.teacher(x)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), (mu - tm.detach()).square().sum(-1)


@habit
class TargetCalledByItself(Author):
    """The encoder of a momentum copy is called without no_grad, on another view, under the encoder's name."""

    def __init__(self):
        super().__init__()
        self.encoder = LikelihoodHeads.Net(X, N)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        mu2, logvar2 = self.encoder(x + 0.5 * torch.randn_like(x))
        self.gauss(torch.cat([mu, mu2]), half(torch.cat([logvar, logvar2])))
        return (
            self.decoder(mu + half(logvar) * torch.randn_like(mu)),
            (mu - mu2).square().sum(-1),
            half(logvar2),
        )


@habit
class Cycle(Author):
    """The reconstruction is encoded again: latents of what was generated are no posterior of a datum."""

    def __init__(self):
        super().__init__()
        self.encoder = LikelihoodHeads.Net(X, N)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        self.gauss(mu, half(logvar))
        out = self.decoder(mu + half(logvar) * torch.randn_like(mu))
        again, _ = self.encoder(4 * out)
        return out, (again - mu.detach()).square().sum(-1)


@habit
class EncodesNoise(Author):
    """Adversarial: what is decoded from the prior is encoded too (IntroVAE)."""

    def __init__(self):
        super().__init__()
        self.encoder = LikelihoodHeads.Net(X, N)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        self.gauss(mu, half(logvar))
        fake = self.decoder(3 * torch.randn(len(x), N))
        fm, fl = self.encoder(3 * fake)
        return self.decoder(mu + half(logvar) * torch.randn_like(mu)), (fm**2 + fl.exp() - fl).sum(-1)


@habit
class ImportanceRepeats(Author):
    """Each row is repeated K times before the encoder."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x.repeat_interleave(5, 0))
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class Proposal(Author):
    """SMC: a proposal and a transition, both Normals of modules."""

    def __init__(self):
        super().__init__()
        self.proposal, self.transition = Gauss(H), Gauss(C)

    def forward(self, x):
        m, lv = self.proposal(self.h(x))
        pm, pl = self.transition(x[:, :C])
        self.gauss(m, half(lv), pm, half(pl))
        return self.decoder(m + half(lv) * torch.randn_like(m)), (pm**2 + pl.exp()).sum(-1)


@habit
class ProductOfExperts(Author):
    def __init__(self):
        super().__init__()
        self.image_encoder, self.text_encoder = Gauss(H), Gauss(C)

    def forward(self, x):
        (m1, l1), (m2, l2) = self.image_encoder(self.h(x)), self.text_encoder(x[:, :C])
        t1, t2 = (-l1).exp(), (-l2).exp()
        var = 1 / (1 + t1 + t2)
        mu = var * (m1 * t1 + m2 * t2)
        self.gauss(mu, var.sqrt())
        return self.decoder(mu + var.sqrt() * torch.randn_like(mu))


@habit
class PlanarUnderANeutralName(Author):
    """z0 is not what is decoded."""

    class Step(nn.Module):
        def __init__(self):
            super().__init__()
            self.u, self.w, self.b = (
                nn.Parameter(torch.randn(N)),
                nn.Parameter(torch.randn(N)),
                nn.Parameter(torch.zeros(1)),
            )

        def forward(self, z):
            a = (z @ self.w + self.b).tanh()
            psi = (1 - a**2)[:, None] * self.w
            return z + self.u * a[:, None], (1 + psi @ self.u).abs().add(1e-6).log()

    def __init__(self):
        super().__init__()
        heads(self)
        self.transforms = nn.ModuleList([self.Step(), self.Step()])

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        z, total = mu + half(logvar) * torch.randn_like(mu), 0
        for step in self.transforms:
            z, log_det = step(z)
            total = total + log_det
        self.gauss(mu, half(logvar), float("nan"), 1.0)
        return self.decoder(z), total


@habit
class Householder(Author):
    """z0 is turned by a reflection: a full covariance."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.v_layer = nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        mu, logvar, v = self.fc_mu(h), self.fc_logvar(h), self.v_layer(h)
        z = mu + half(logvar) * torch.randn_like(mu)
        z = z - 2 * v * (v * z).sum(-1, keepdim=True) / v.square().sum(-1, keepdim=True)
        self.gauss(mu, half(logvar))
        return self.decoder(z)


# ---- families


@habit
class StudentT(Author):
    def __init__(self):
        super().__init__()
        self.loc, self.scale = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        q = td.StudentT(5.0, self.loc(h), F.softplus(self.scale(h)) + 0.1)
        self.kl_of(lambda: torch.tensor(float("nan")))
        return self.decoder(q.rsample())


@habit
class StudentByHand(Author):
    """Gaussian noise over the root of a Gamma."""

    def __init__(self):
        super().__init__()
        heads(self, "fc_mu", "fc_scale")

    def forward(self, x):
        h = self.h(x)
        mu, scale = self.fc_mu(h), F.softplus(self.fc_scale(h))
        eps = torch.randn_like(mu) / (td.Chi2(torch.full_like(mu, 3.0)).sample() / 3).sqrt()
        self.kl_of(lambda: torch.tensor(float("nan")))
        return self.decoder(mu + scale * eps)


@habit
class LaplaceReturned(Author):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        q, p = td.Laplace(self.a(h), F.softplus(self.b(h))), td.Laplace(torch.zeros(N), torch.ones(N))
        loc, scale = q.loc.detach(), q.scale.detach()
        self.kl_of(lambda: td.kl_divergence(td.Laplace(loc, scale), p))
        return {"recon": self.decoder(q.rsample()), "posterior": q, "prior": p}


@habit
class LogNormalReturned(Author):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        q = td.LogNormal(self.a(h), F.softplus(self.b(h)))
        self.gauss(q.loc, q.scale)
        return {"recon": self.decoder(q.rsample()), "posterior": q}


@habit
class TanhAffine(Author):
    """An affine map first, then tanh."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        base = td.Normal(torch.zeros(len(x), N), torch.ones(len(x), N))
        mu, sd = self.a(h), F.softplus(self.b(h))
        q = td.TransformedDistribution(base, [td.AffineTransform(mu, sd), td.TanhTransform()])
        self.gauss(mu, sd)
        return {"recon": self.decoder(q.rsample()), "posterior": q}


@habit
class AffineOfNormal(Author):
    """Scaled behind the Normal: z is twice as wide."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        mu, sd = self.a(h), F.softplus(self.b(h))
        q = td.TransformedDistribution(td.Normal(mu, sd), [td.AffineTransform(1.0, 2.0)])
        self.gauss(1 + 2 * mu, 2 * sd)
        return {"recon": self.decoder(q.rsample()), "posterior": q}


@habit
class IndependentOfAll(Author):
    """Independent takes the batch for an event."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        q = td.Independent(td.Normal(self.a(h), F.softplus(self.b(h))), 2)
        self.gauss(q.base_dist.loc, q.base_dist.scale)
        return {"recon": self.decoder(q.rsample()), "posterior": q}


@habit
class TwoEventAxes(Author):
    """(B, groups, D), both axes events."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        q = td.Independent(td.Normal(self.a(h).view(-1, 2, 2), F.softplus(self.b(h)).view(-1, 2, 2)), 2)
        self.gauss(q.base_dist.loc.flatten(1), q.base_dist.scale.flatten(1))
        return {"recon": self.decoder(q.rsample().flatten(1)), "posterior": q}


@habit
class Mixture(Author):
    def __init__(self):
        super().__init__()
        self.w, self.a, self.b = nn.Linear(H, 3), nn.Linear(H, 3 * N), nn.Linear(H, 3 * N)

    def forward(self, x):
        h = self.h(x)
        one = td.Independent(td.Normal(self.a(h).view(-1, 3, N), F.softplus(self.b(h)).view(-1, 3, N)), 1)
        q = td.MixtureSameFamily(td.Categorical(logits=self.w(h)), one)
        self.kl_of(lambda: torch.tensor(float("nan")))
        return {"recon": self.decoder(self.a(h)[:, :N]), "posterior": q}


@habit
class ScaleTril(Author):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N * N)

    def forward(self, x):
        h = self.h(x)
        raw = self.b(h).view(-1, N, N)
        q = td.MultivariateNormal(
            self.a(h),
            scale_tril=raw.tril(-1) + torch.diag_embed(F.softplus(raw.diagonal(dim1=-2, dim2=-1)) + 0.1),
        )
        self.gauss(q.loc, q.variance.sqrt())
        return {"recon": self.decoder(q.rsample()), "posterior": q}


@habit
class PrecisionMatrix(Author):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N * N)

    def forward(self, x):
        h = self.h(x)
        raw = self.b(h).view(-1, N, N)
        q = td.MultivariateNormal(self.a(h), precision_matrix=raw @ raw.mT + torch.eye(N))
        self.gauss(q.loc, q.variance.sqrt())
        return {"recon": self.decoder(q.rsample()), "posterior": q}


@habit
class FactorByHand(Author):
    """mu, logvar and a strictly lower factor: the marginal variance is more than the diagonal."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.fc_lower = nn.Linear(H, N * N)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        lower = self.fc_lower(h).view(-1, N, N).tril(-1) + torch.diag_embed(half(logvar))
        self.gauss(mu, lower.square().sum(-1).sqrt())
        return self.decoder(mu + (lower @ torch.randn_like(mu)[..., None])[..., 0])


@habit
class LowRankByHand(Author):
    """mu + sd * noise + factor @ noise."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.factor = nn.Linear(H, N * 2)

    def forward(self, x):
        h = self.h(x)
        mu, logvar, f = self.fc_mu(h), self.fc_logvar(h), self.factor(h).view(-1, N, 2)
        self.gauss(mu, (logvar.exp() + f.square().sum(-1)).sqrt())
        z = mu + half(logvar) * torch.randn_like(mu) + (f @ torch.randn(len(x), 2, 1))[..., 0]
        return self.decoder(z)


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(context, mu, sd):
        return mu + sd * torch.randn_like(mu)

    @staticmethod
    def backward(context, gradient):
        return gradient, gradient


@habit
class SampledByItsOwnFunction(Author):
    """With a temperature before it."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, sd = self.fc_mu(h), 0.3 * half(self.fc_logvar(h))
        self.gauss(mu, sd)
        return self.decoder(_Sampled.apply(mu, sd))


@habit
class TwoNoisesByHand(Author):
    """mu + sd * noise + other * noise."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.other = nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        mu, logvar, other = self.fc_mu(h), self.fc_logvar(h), self.other(h)
        self.gauss(mu, (logvar.exp() + other.exp()).sqrt())
        z = mu + half(logvar) * torch.randn_like(mu) + half(other) * torch.randn_like(mu)
        return self.decoder(z)


@habit
class VonMisesFisherByHand(Author):
    """s-vae: the direction is normalised, fc_var is a concentration."""

    def __init__(self):
        super().__init__()
        heads(self, "fc_mean", "fc_var")

    def forward(self, x):
        h = self.h(x)
        mean = self.fc_mean(h)
        mean = mean / mean.norm(dim=-1, keepdim=True)
        kappa = F.softplus(self.fc_var(h)) + 1
        z = mean + torch.randn_like(mean) / kappa.sqrt()
        self.kl_of(lambda: torch.tensor(float("nan")))
        return self.decoder(z / z.norm(dim=-1, keepdim=True)), mean, kappa


class PowerSpherical(td.Distribution):
    arg_constraints = {}

    def __init__(self, mean, scale):
        self.loc, self.scale = mean, scale
        super().__init__(mean.shape[:-1], mean.shape[-1:], validate_args=False)

    def rsample(self, shape=()):
        z = self.loc + torch.randn_like(self.loc) / self.scale
        return z / z.norm(dim=-1, keepdim=True)


@habit
class OwnDistribution(Author):
    """A distribution class of the author's own, of heads called mean and var, returned."""

    def __init__(self):
        super().__init__()
        heads(self, "fc_mean", "fc_var")

    def forward(self, x):
        h = self.h(x)
        q = PowerSpherical(F.normalize(self.fc_mean(h), dim=-1), F.softplus(self.fc_var(h)) + 1)
        self.kl_of(lambda: torch.tensor(float("nan")))
        return q, self.decoder(q.rsample())


@habit
class Hyperbolic(Author):
    """A wrapped normal: the sample in the tangent space goes through the exponential map."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        v = half(logvar) * torch.randn_like(mu)
        n = v.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        u = n.tanh() * v / n
        z = (mu + u) / (1 + (mu * u).sum(-1, keepdim=True))
        self.kl_of(lambda: torch.tensor(float("nan")))
        return self.decoder(z), mu, logvar


@habit
class Complex(Author):
    def __init__(self):
        super().__init__()
        self.real, self.imag, self.scale = nn.Linear(H, N), nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        mu, log_sigma = torch.complex(self.real(h), self.imag(h)), self.scale(h)
        self.kl_of(lambda: torch.tensor(float("nan")))
        return mu, log_sigma


@habit
class Kumaraswamy(Author):
    """Stick breaking, by hand, of uniform noise; heads called a and b."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        a, b = F.softplus(self.a(h)) + 0.1, F.softplus(self.b(h)) + 0.1
        v = (1 - torch.rand_like(a) ** (1 / b)).clamp(1e-6, 1) ** (1 / a)
        self.kl_of(lambda: torch.tensor(float("nan")))
        return self.decoder(v), a, b


@habit
class LogisticNoise(Author):
    """mu and log_scale of a logistic, by the logit of uniform noise."""

    def __init__(self):
        super().__init__()
        heads(self, "fc_mu", "fc_log_scale")

    def forward(self, x):
        h = self.h(x)
        mu, log_scale = self.fc_mu(h), self.fc_log_scale(h)
        self.kl_of(lambda: torch.tensor(float("nan")))
        return self.decoder(mu + log_scale.exp() * torch.logit(torch.rand_like(mu).clamp(1e-4, 1 - 1e-4)))


# ---- discrete


def sparse_kl(logits, prior=0.1):
    return td.kl_divergence(td.Bernoulli(logits=logits), td.Bernoulli(torch.full_like(logits, prior)))


@habit
class LearnedCategoricalPrior(Author):
    def __init__(self):
        super().__init__()
        self.head, self.out, self.weights = (
            nn.Linear(H, N * C),
            nn.Linear(N * C, X),
            nn.Parameter(torch.randn(N, C)),
        )

    def under_weights(self, q):
        log_q, log_p = q.logits.detach(), self.weights.log_softmax(-1).detach().clone()
        self.kl_of(
            lambda: (log_q.exp() * (log_q - log_p)).sum(-1),
            lambda: (log_q.exp() * (log_q + torch.tensor(C).log())).sum(-1),
        )

    def forward(self, x):
        q = td.Categorical(logits=self.head(self.h(x)).view(-1, N, C))
        self.under_weights(q)
        return {"q_z": q, "recon": self.out(q.probs.flatten(1)), "weights": self.weights}


@habit
class LearnedCategoricalPriorKL(LearnedCategoricalPrior):
    """... with the KL by torch in the forward pass."""

    def forward(self, x):
        q = td.Categorical(logits=self.head(self.h(x)).view(-1, N, C))
        p = td.Categorical(logits=self.weights)
        self.under_weights(q)
        return {"q_z": q, "recon": self.out(q.probs.flatten(1)), "rate": td.kl_divergence(q, p).sum(-1)}


@habit
class GumbelUnderWeights(LearnedCategoricalPrior):
    def forward(self, x):
        logits = self.head(self.h(x)).view(-1, N, C)
        z = F.gumbel_softmax(logits, tau=0.7)
        log_q, log_p = logits.log_softmax(-1).detach(), self.weights.log_softmax(-1).detach().clone()
        self.kl_of(
            lambda: (log_q.exp() * (log_q - log_p)).sum(-1),
            lambda: (log_q.exp() * (log_q + torch.tensor(C).log())).sum(-1),
        )
        return self.out(z.flatten(1)), (
            logits.softmax(-1) * (logits.log_softmax(-1) - self.weights.log_softmax(-1))
        ).sum((1, 2))


@habit
class StraightThroughByHand(Author):
    def __init__(self):
        super().__init__()
        self.head, self.out = nn.Linear(H, N * C), nn.Linear(N * C, X)

    def forward(self, x):
        logits = self.head(self.h(x)).view(-1, N, C)
        probs = logits.softmax(-1)
        hard = F.one_hot(td.Categorical(probs=probs).sample(), C).float()
        log_q = logits.log_softmax(-1).detach()
        self.kl_of(lambda: (log_q.exp() * (log_q + torch.tensor(C).log())).sum(-1))
        return {"recon": self.out((hard + probs - probs.detach()).flatten(1)), "z_logits": logits}


@habit
class TemperedLogits(Author):
    """What is drawn from is tempered, the KL is not."""

    def __init__(self):
        super().__init__()
        self.head, self.out, self.tau = nn.Linear(H, N * C), nn.Linear(N * C, X), 3.0

    def forward(self, x):
        self.tau *= 0.9
        logits = self.head(self.h(x)).view(-1, N, C)
        q = td.RelaxedOneHotCategorical(torch.tensor(self.tau), logits=logits)
        log_q = logits.log_softmax(-1).detach()
        self.kl_of(lambda: (log_q.exp() * (log_q + torch.tensor(C).log())).sum(-1))
        return self.out(q.rsample().flatten(1))


@habit
class ClassesSecond(Author):
    """(B, C, N): classes are the second axis, as of images."""

    def __init__(self):
        super().__init__()
        self.head, self.out = nn.Linear(H, N * C), nn.Linear(N * C, X)

    def forward(self, x):
        z_logits = self.head(self.h(x)).view(-1, C, N)
        z = F.gumbel_softmax(z_logits, dim=1)
        log_q = z_logits.log_softmax(1).detach()
        self.kl_of(lambda: (log_q.exp() * (log_q + torch.tensor(C).log())).sum(1))
        return self.out(z.flatten(1)), z_logits


@habit
class BernoulliUnderRate(Author):
    """Bits under a sparse prior that is a number."""

    def __init__(self):
        super().__init__()
        self.head, self.rho = nn.Linear(H, N), 0.1

    def forward(self, x):
        q = td.RelaxedBernoulli(torch.tensor(0.5), logits=self.head(self.h(x)))
        logits = q.logits.detach()
        self.kl_of(lambda: sparse_kl(logits), lambda: sparse_kl(logits, 0.5))
        return self.decoder(q.rsample())


@habit
class RoutingGate(Author):
    """A mixture of experts routes by gumbel_softmax: no latent variable in a KL."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(H, C), nn.ModuleList(nn.Linear(H, X) for _ in range(C))

    def forward(self, x):
        h = self.h(x)
        w = F.gumbel_softmax(self.gate(h))
        return sum(w[:, i : i + 1] * expert(h) for i, expert in enumerate(self.experts))


# ---- weights


class BayesLinear(nn.Module):
    def __init__(self, names=("weight_mu", "weight_rho"), prior=None, scale=-2.0, sd=F.softplus):
        super().__init__()
        self.names, self.sd = names, sd
        setattr(self, names[0], nn.Parameter(torch.randn(X, H)))
        setattr(self, names[1], nn.Parameter(scale + 0.3 * torch.randn(X, H)))
        for name, value in (prior or {}).items():
            setattr(self, name, value)

    def numbers(self):
        mu, raw = (getattr(self, name) for name in self.names)
        return mu, self.sd(raw)

    def forward(self, h):
        mu, sd = self.numbers()
        return F.linear(h, mu + sd * torch.randn_like(mu))


def weights(name, prior, sd, names=("weight_mu", "weight_rho"), scale=-2.0, prior_mu=0.0, prior_sd=1.0):
    class Weights(Author):
        def __init__(self):
            super().__init__()
            self.layer = BayesLinear(names, prior, scale, sd)

        def forward(self, x):
            mu, sigma = self.layer.numbers()
            self.gauss(mu, sigma, prior_mu, prior_sd)
            self.by_row = True
            return self.layer(self.h(x))

    Weights.__name__ = Weights.__qualname__ = name
    habit(Weights)


weights("WeightsPriorSigma", {"prior_sigma": 0.5}, F.softplus, prior_sd=0.5)
weights("WeightsPriorStd", {"prior_std": 0.5}, F.softplus, prior_sd=0.5)
weights("WeightsPriorVar", {"prior_var": 0.25}, F.softplus, prior_sd=0.5)
weights("WeightsPriorLogSigma", {"prior_mu": 0.0, "prior_log_sigma": -0.7}, F.softplus, prior_sd=0.496585)
weights("WeightsPriorPrecision", {"prior_precision": 4.0}, F.softplus, prior_sd=0.5)
weights("WeightsSigmaPrior", {"sigma_prior": 0.5}, F.softplus, prior_sd=0.5)
weights("WeightsPriorRho", {"prior_mu": 0.0, "prior_rho": 0.5}, F.softplus, prior_sd=0.974077)
weights("WeightsPriorScale", {"prior_loc": 0.0, "prior_scale": 0.5}, F.softplus, prior_sd=0.5)
weights("WeightsPriorVariance", {"prior_mean": 0.0, "prior_variance": 0.25}, F.softplus, prior_sd=0.5)
weights("WeightsPriorObject", {"prior": td.Normal(0.0, 0.5)}, F.softplus, prior_sd=0.5)
weights("WeightsPriorLaplace", {"prior": td.Laplace(0.0, 0.5)}, F.softplus, prior_sd=float("nan"))
weights("WeightsLogvar", {"prior_sigma": 0.5}, half, ("weight_mu", "weight_logvar"), prior_sd=0.5)
weights("WeightsRhoByExp", {"prior_sigma": 0.5}, torch.exp, prior_sd=0.5)
weights("WeightsRhoOfVariance", {"prior_sigma": 0.5}, half, prior_sd=0.5)
weights("WeightsPriorRhoByExp", {"prior_mu": 0.0, "prior_rho": -0.7}, torch.exp, prior_sd=0.496585)
weights(
    "WeightsLogSigmaBySoftplus",
    {"prior_sigma": 0.5},
    F.softplus,
    ("weight_mu", "weight_log_sigma"),
    prior_sd=0.5,
)
weights("WeightsRhoLog1p", {"prior_sigma": 0.5}, lambda r: torch.log1p(r.exp()), prior_sd=0.5)
weights("WeightsSigmaRaw", {"prior_sigma": 0.5}, F.softplus, ("weight_mu", "weight_sigma"), prior_sd=0.5)
weights("WeightsLogSigmaHalved", {"prior_sigma": 0.5}, half, ("W_mu", "W_log_sigma"), prior_sd=0.5)


@habit
class DropoutWeights(Author):
    """Sparse variational dropout: theta and log_alpha, or log_sigma2 of theta, under a log-uniform prior."""

    def __init__(self):
        super().__init__()
        self.weight_mu, self.weight_log_sigma2 = (
            nn.Parameter(torch.randn(X, H)),
            nn.Parameter(-4 + torch.randn(X, H)),
        )

    def forward(self, x):
        h = self.h(x)
        mean, var = F.linear(h, self.weight_mu), F.linear(h**2, self.weight_log_sigma2.exp())
        self.gauss(self.weight_mu, half(self.weight_log_sigma2), float("nan"), float("nan"))
        self.by_row = True
        return mean + (var + 1e-8).sqrt() * torch.randn_like(mean)


# ---- containers


@dataclasses.dataclass
class Output:
    reconstruction: torch.Tensor
    mean: torch.Tensor
    log_std: torch.Tensor


Named = namedtuple("Named", "recon mu sigma")


class Bag:
    def __init__(self, **values):
        self.__dict__.update(values)


def container(name, pack, form):
    class Contained(Author):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

        def forward(self, x):
            h = self.h(x)
            mu, raw = self.a(h), self.b(h)
            sd = raw.exp() if form == "log_std" else F.softplus(raw) if form == "sigma" else half(raw)
            self.gauss(mu, sd)
            return pack(self.decoder(mu + sd * torch.randn_like(mu)), mu, sd if form == "sigma" else raw)

    Contained.__name__ = Contained.__qualname__ = name
    habit(Contained)


container("Dataclass", Output, "log_std")
container("NamedTuple", Named, "sigma")
container("Object", lambda r, m, s: Bag(recon=r, q=Bag(mu=m, logvar=s)), "logvar")
container("NestedDict", lambda r, m, s: {"out": r, "latent": {"mean": m, "log_variance": s}}, "logvar")
container("ListOfPairs", lambda r, m, s: [r, [m, s]], "logvar")
container("StackedTensor", lambda r, m, s: (r, torch.stack([m, s])), "logvar")
container("MeanAndVarianceKeys", lambda r, m, s: {"recon": r, "qz_m": m, "qz_v": s}, "sigma")


# ---- shapes


@habit
class Tokens(Author):
    """A transformer's single latent token: (B, 1, N)."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)[:, None]
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu[:, 0], half(logvar)[:, 0])
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class SquareImage(Author):
    """(B, C, 1, 1) of a convolution."""

    def __init__(self):
        super().__init__()
        self.conv_mu, self.conv_logvar = nn.Conv2d(X, N, 1), nn.Conv2d(X, N, 1)

    def forward(self, x):
        h = x[:, :, None, None]
        mu, logvar = self.conv_mu(h), self.conv_logvar(h)
        self.gauss(mu.flatten(1), half(logvar).flatten(1))
        return self.decoder((mu + half(logvar) * torch.randn_like(mu)).flatten(1))


@habit
class Groups(Author):
    """(B, groups, D) of one head."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h).view(-1, 2, 2), self.fc_logvar(h).view(-1, 2, 2)
        self.gauss(mu.flatten(1), half(logvar).flatten(1))
        return {
            "recon": self.decoder((mu + half(logvar) * torch.randn_like(mu)).flatten(1)),
            "mu": mu,
            "logvar": logvar,
        }


@habit
class FeaturesFirst(Author):
    """(N, B): columns are inputs."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h).T, self.fc_logvar(h).T
        self.gauss(mu.T, half(logvar).T)
        return {
            "recon": self.decoder((mu + half(logvar) * torch.randn_like(mu)).T),
            "mu": mu,
            "logvar": logvar,
        }


@habit
class DrawsInTheBatch(Author):
    """q.expand of K draws: (K, B, N), returned."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(H, N), nn.Linear(H, N)

    def forward(self, x):
        h = self.h(x)
        q = td.Normal(self.a(h), F.softplus(self.b(h))).expand((5, len(x), N))
        self.gauss(q.loc[0], q.scale[0])
        return {"recon": self.decoder(q.rsample()), "posterior": q}


@habit
class HalfPrecision(Author):
    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            h = self.h(x)
            mu, logvar = self.fc_mu(h), self.fc_logvar(h)
            self.gauss(mu.float(), half(logvar.float()))
            return self.decoder(mu + half(logvar) * torch.randn_like(mu)), mu, logvar


@habit
class Checkpointed(Author):
    def __init__(self):
        super().__init__()
        self.encoder = LikelihoodHeads.Net(X, N)

    def forward(self, x):
        mu, logvar = checkpoint(self.encoder, x, use_reentrant=False)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class Vmapped(Author):
    def __init__(self):
        super().__init__()
        self.encoder = LikelihoodHeads.Net(X, N)

    def forward(self, x):
        mu, logvar = torch.vmap(self.encoder)(x)
        self.kl_of(lambda: torch.tensor(float("nan")))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class FunctionalCall(Author):
    """Weights are replaced, as in meta-learning."""

    def __init__(self):
        super().__init__()
        self.encoder = LikelihoodHeads.Net(X, N)

    def forward(self, x):
        changed = {name: 0.9 * one for name, one in self.encoder.named_parameters()}
        mu, logvar = torch.func.functional_call(self.encoder, changed, (x,))
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class SharedEncoder(Author):
    """One encoder, content and style halves of its output."""

    def __init__(self):
        super().__init__()
        self.encoder = LikelihoodHeads.Net(X, N)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        (cm, sm), (cl, sl) = mu.chunk(2, -1), logvar.chunk(2, -1)
        z = torch.cat([cm + half(cl) * torch.randn_like(cm), sm], -1)
        self.gauss(cm, half(cl))
        return self.decoder(z), sl


@habit
class LeakyMask(Author):
    """Half of the latents are not sampled: their scale takes no part."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        keep = torch.tensor([1.0, 1.0, 0.0, 0.0])
        self.kl_of(lambda: torch.tensor(float("nan")))
        return self.decoder(mu + keep * half(logvar) * torch.randn_like(mu))


@habit
class Normalised(Author):
    """BN-VAE: a batch norm of the mean by function."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        mu = 0.5 * (mu - mu.mean(0)) / mu.std(0)
        self.gauss(mu, half(logvar))
        return self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class Scaled(Author):
    """Latents are multiplied by a constant behind the sample, as in latent diffusion."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar))
        return self.decoder(0.18215 * (mu + half(logvar) * torch.randn_like(mu)))


@habit
class ReparameteriseModule(Author):
    """A module draws, with a scale of its own."""

    class Sampler(nn.Module):
        def forward(self, mu, logvar):
            return mu + (logvar.exp() + 1e-2).sqrt() * torch.randn_like(mu)

    def __init__(self):
        super().__init__()
        heads(self)
        self.sampler = self.Sampler()

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, (logvar.exp() + 1e-2).sqrt())
        return self.decoder(self.sampler(mu, logvar))


@habit
class TwoSamplesOfOnePair(Author):
    """The pair is sampled with two temperatures, at one time and another."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h = self.h(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.gauss(mu, half(logvar))
        cold = self.decoder(mu + 0.1 * half(logvar) * torch.randn_like(mu))
        return cold, self.decoder(mu + half(logvar) * torch.randn_like(mu))


@habit
class SharedHeads(Author):
    """fc_mu and fc_logvar serve two latent variables, one after the other."""

    def __init__(self):
        super().__init__()
        heads(self)
        self.other = nn.Linear(C, H)

    def forward(self, x):
        h, g = self.h(x), 3 * self.other(x[:, :C])
        m1, l1, m2, l2 = self.fc_mu(h), self.fc_logvar(h), self.fc_mu(g), self.fc_logvar(g)
        self.gauss(torch.cat([m1, m2]), half(torch.cat([l1, l2])))
        return self.decoder(m1 + half(l1) * torch.randn_like(m1)), self.decoder(
            m2 + half(l2) * torch.randn_like(m2)
        )


@habit
class ReusedAsPrior(Author):
    """fc_mu and fc_logvar of a dropped-out input are the prior of those of the input."""

    def __init__(self):
        super().__init__()
        heads(self)

    def forward(self, x):
        h, g = self.h(x), self.h(0.2 * x)
        m, lv, pm, pl = self.fc_mu(h), self.fc_logvar(h), self.fc_mu(g), self.fc_logvar(g)
        self.gauss(m, half(lv), pm, half(pl))
        kl = 0.5 * (pl - lv + (lv.exp() + (m - pm) ** 2) / pl.exp() - 1)
        return self.decoder(m + half(lv) * torch.randn_like(m)), kl.sum(-1)
