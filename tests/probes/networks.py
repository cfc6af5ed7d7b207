"""Small networks as people write them, for what watches them."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

import probes.watching.observing

INPUTS, NEURONS, BATCH = 6, 4, 16


class SiblingVAE(nn.Module):
    """The VAE of most tutorials: two sibling layers, dropout, a decoder whose own layers are named mean and
    log_var.
    """

    def __init__(self, mean="fc_mu", scale="fc_var", transform=lambda raw: (raw / 2).exp()):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Dropout(0.2))
        self.add_module(mean, nn.Linear(8, NEURONS))
        self.add_module(scale, nn.Linear(8, NEURONS))
        self.names, self.transform = (mean, scale), transform
        self.decoder = nn.ModuleDict(
            {"mean": nn.Linear(NEURONS, INPUTS), "log_var": nn.Linear(NEURONS, INPUTS)}
        )

    def posterior(self, x):
        h = self.body(x)
        return getattr(self, self.names[0])(h), self.transform(getattr(self, self.names[1])(h))

    def forward(self, x):
        mu, sigma = self.posterior(x)
        z = mu + sigma * torch.randn_like(mu)
        return self.decoder["mean"](z), mu, sigma


class Encoder(nn.Module):
    """Two layers without telling names; subclasses say how the outputs leave."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

    def raw(self, x):
        return self.one(x), self.two(x)


class ReturnsMuLogVar(Encoder):
    def forward(self, x):
        mu, logvar = self.raw(x)
        return mu, logvar


class ReturnsMuSigma(Encoder):
    def forward(self, x):
        mu, raw = self.raw(x)
        sigma = F.softplus(raw)
        return mu, sigma


class ReturnsExpressions(Encoder):
    def forward(self, x):
        return self.raw(x)[0] * 1.0, self.raw(x)[1] * 1.0


class ReturnsOther(Encoder):
    def forward(self, x):
        states, weights = self.raw(x)
        return states, weights


class ReturnsMapping(Encoder):
    def forward(self, x):
        mean, raw = self.raw(x)
        return {
            "z_mean": mean,
            "z_log_std": raw,
            "prior_mean": 0.5 * mean,
            "prior_std": torch.full_like(mean, 2.0),
        }


class ReturnsPythaeLike(Encoder):
    def forward(self, x):
        mean, raw = self.raw(x)
        return {"embedding": mean, "log_covariance": raw}


class ReturnsNormal(Encoder):
    def forward(self, x):
        mu, raw = self.raw(x)
        return Independent(Normal(mu, raw.exp()), 1)


class ReturnsDiagonal(Encoder):
    def forward(self, x):
        mu, raw = self.raw(x)
        return MultivariateNormal(mu, torch.diag_embed(raw.exp()))


class ReturnsCorrelated(Encoder):
    def forward(self, x):
        mu, raw = self.raw(x)
        return MultivariateNormal(
            mu, scale_tril=torch.ones(NEURONS, NEURONS).tril() + torch.diag_embed(raw.exp())
        )


class ReturnsHalves(Encoder):
    def forward(self, x):
        return torch.cat(self.raw(x), -1)


class Observing(Encoder):
    """Says itself what its posterior is."""

    def forward(self, x):
        mu, raw = self.raw(x)
        sigma = (raw / 2).exp()
        probes.watching.observing.observe("latent", mu, sigma)
        return mu + sigma


class ConvolutionalEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_mu, self.conv_logvar = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1)

    def forward(self, x):
        return self.conv_mu(x), self.conv_logvar(x)


class BayesianLinear(nn.Module):
    """A layer as torchbnn has it: a Gaussian on each weight, its prior in plain numbers."""

    def __init__(self, **prior):
        super().__init__()
        vars(self).update(prior or {"prior_mu": 0.0, "prior_sigma": 0.1})
        self.weight_mu = nn.Parameter(0.1 * torch.randn(NEURONS, INPUTS))
        self.weight_log_sigma = nn.Parameter(torch.randn(NEURONS, INPUTS) - 3)
        self.bias_mu = nn.Parameter(torch.zeros(NEURONS))
        self.bias_log_sigma = nn.Parameter(torch.zeros(NEURONS))

    def forward(self, x):
        weight = self.weight_mu + self.weight_log_sigma.exp() * torch.randn_like(self.weight_mu)
        return F.linear(x, weight, self.bias_mu)


def expected(mu, sigma, prior=None):
    """Statistics by torch.distributions and plain sums: mu, sigma (B, N) -> {statistic: (N,)}."""
    mu, sigma = mu.detach().double(), sigma.detach().double().expand_as(mu)
    prior = prior or Normal(torch.zeros_like(mu), torch.ones_like(mu))
    kl = torch.distributions.kl_divergence(Normal(mu, sigma), prior).mean(0)
    return {"mean": mu.mean(0), "variance": (sigma**2).mean(0), "spread": mu.var(0, correction=0), "kl": kl}


def assert_statistics(frame, truth):
    for name, value in truth.items():
        np.testing.assert_allclose(frame[name], value.numpy(), rtol=2e-5, atol=2e-6, err_msg=name)
