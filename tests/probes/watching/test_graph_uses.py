"""What becomes of logits and of weights tells what they are; what other layers make is not the same."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.graph_uses import made_with

BATCH, X, T, N = 16, 6, 3, 5


def train(model, path, x, steps=2):
    """(The run or None, what was found, what was refused)."""
    torch.manual_seed(0)
    with watch(model, path) as recording:
        for step in range(steps):
            model(x)
            recording.step(step)
    run = Run(path)
    return run, recording.found, run.config["watch"].get("refused", [])


class Logits(nn.Module):
    """Returns logits of a latent variable (B, T, N), and what `draw` makes of them."""

    def __init__(self, draw):
        super().__init__()
        self.encoder, self.decoder, self.draw = nn.Linear(X, N), nn.Linear(N, X), draw

    def forward(self, x):
        z_logits = self.encoder(x)
        return self.decoder(self.draw(z_logits)), z_logits


def bits(logits):
    probability = logits.sigmoid()
    return torch.bernoulli(probability) + probability - probability.detach()


def relaxed_bits(logits):
    u = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)
    return ((logits + u.log() - (1 - u).log()) / 0.5).sigmoid()


def classes(logits):
    probability = logits.softmax(-1)
    return torch.eye(N)[probability.argmax(-1)] + probability - probability.detach()


NOTHING = pytest.mark.filterwarnings("ignore:(?s).*nothing is recorded:RuntimeWarning")


@NOTHING
@pytest.mark.parametrize("draw", [bits, relaxed_bits])
def test_logits_of_bits_are_no_classes(tmp_path, draw):
    run, found, refused = train(Logits(draw), tmp_path / "run", torch.randn(BATCH, T, X))
    assert found == []
    assert run.layers == []
    assert any("independent bits" in one and "Bernoulli" in one for one in refused)


def test_logits_of_classes_are_read_as_they_are(tmp_path):
    model, x = Logits(classes), torch.randn(BATCH, T, X)
    run, [found], _ = train(model, tmp_path / "run", x)
    probability = model(x)[1].detach().softmax(-1)
    assert found["family"] == "categorical"
    assert found["origins"]["family"] == "named"
    kl = (probability * (N * probability).log()).sum(-1).mean(0)
    np.testing.assert_allclose(run.at(1)["kl"], kl, rtol=1e-4)


def test_logits_whose_use_is_not_seen_are_classes_by_assumption(tmp_path):
    model = Logits(lambda logits: torch.eye(N)[logits.argmax(-1)])
    _, [found], _ = train(model, tmp_path / "run", torch.randn(BATCH, T, X))
    assert found["origins"]["family"] == "assumed"
    assert "ASSUMED that its last axis are classes" in found["why"]


class Weights(nn.Module):
    """Weights with mean and `logsigma`, drawn with what `sigma` makes of it."""

    def __init__(self, sigma):
        super().__init__()
        self.mu_w = nn.Parameter(torch.randn(N, X) / 4)
        self.logsigma_w = nn.Parameter(torch.randn(N, X) / 4 - 1)
        self.sigma = sigma

    def forward(self, x):
        rows = [self.mu_w[n] + self.sigma(self.logsigma_w[n]) * torch.randn(X) for n in range(N)]
        # what a KL has of it, too
        return x @ torch.stack(rows).T, self.logsigma_w.exp().sum()


@pytest.mark.parametrize(
    "sigma",
    [
        torch.exp,
        lambda raw: (0.5 * raw).exp(),
        lambda raw: (raw / 2).exp(),
        lambda raw: raw.exp().sqrt(),
        lambda raw: raw.exp() ** 0.5,
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_weights_are_read_with_the_scale_that_they_are_drawn_with(tmp_path, sigma, inside):
    weights = Weights(sigma)
    model = nn.Sequential(nn.Identity(), weights) if inside else weights
    run, [found], _ = train(model, tmp_path / "run", torch.randn(BATCH, X))
    q = Normal(weights.mu_w.detach(), sigma(weights.logsigma_w.detach()))
    np.testing.assert_allclose(run.at(1)["kl"], kl_divergence(q, Normal(0.0, 1.0)).sum(1), rtol=1e-4)
    assert ("its half is what is used" in found["why"]) == (sigma is not torch.exp)


class Either(nn.Module):
    """Returns the posterior where it is asked to infer, the prior else."""

    def __init__(self, fixed):
        super().__init__()
        self.x_to_z, self.h_to_z = nn.Linear(X, 2 * N), nn.Linear(X, 2 * N)
        self.fixed = fixed

    def forward(self, h, inference):
        if not inference and self.fixed:
            return {"dist": Normal(torch.zeros(len(h), N), torch.ones(len(h), N))}
        mu, raw = (self.x_to_z if inference else self.h_to_z)(h).chunk(2, 1)
        return {"dist": Normal(mu, raw.exp())}


class Hierarchy(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.stochastic, self.decoder = Either(fixed), nn.Linear(N, X)

    def forward(self, x):
        q, p = self.stochastic(x, True)["dist"], self.stochastic(x.roll(1, 1), False)["dist"]
        return self.decoder(q.rsample()), kl_divergence(q, p)


@NOTHING
@pytest.mark.parametrize(("fixed", "said"), [(False, "what stochastic.h_to_z makes"), (True, "constants")])
def test_posterior_and_prior_of_one_module_are_not_pooled(tmp_path, fixed, said):
    run, found, refused = train(Hierarchy(fixed), tmp_path / "run", torch.randn(BATCH, X))
    assert found == []
    assert run.layers == []
    assert any("what stochastic.x_to_z makes" in one and said in one for one in refused)


def test_the_layers_that_made_a_tensor():
    one, other = nn.Linear(X, N), nn.Linear(N, N, bias=False)
    below = one(torch.randn(BATCH, X)).relu()
    assert made_with(below) == {id(one.weight), id(one.bias)}
    assert made_with(other(below).exp().chunk(2, 1)[0]) == {id(other.weight)}
    start = nn.Parameter(torch.zeros(1, X)).expand(BATCH, X)
    assert made_with(one(start)) == made_with(below)  # whatever the layer got
    assert made_with(torch.zeros(3)) == frozenset()
