"""What a network makes of its heads tells their family."""

import numpy as np
import pytest
import torch
from foreign_models import Heads, Hyperbolic, SquashedActor, X
from torch import nn
from torch.distributions import Distribution, Independent, Normal

from probes.run import Run
from probes.watching.attaching import watch

BATCH = 32
INIT = Distribution.__init__


def train(model, path, steps=2):
    """The run and what was found, after a few steps."""
    with watch(model, path) as recording:
        for step in range(steps):
            model(torch.randn(BATCH, X)).square().mean().backward()
            recording.step(step)
    assert Distribution.__init__ is INIT
    return Run(path), recording.found


@pytest.mark.parametrize(
    ("model", "family"),
    [
        (Hyperbolic(), "WrappedNormal"),
    ],
)
def test_a_head_that_another_distribution_is_made_of_is_refused_by_its_name(tmp_path, model, family):
    with pytest.warns(RuntimeWarning, match=f"is a {family}, no Gaussian"):
        run, found = train(model, tmp_path / "run")
    assert found == []
    assert run.layers == []


def test_a_gaussian_behind_a_fixed_map_is_read_before_it_and_the_map_is_said(tmp_path):
    run, found = train(SquashedActor(), tmp_path / "run")
    assert [part["name"] for part in found] == ["loc"]
    assert (run.layers[0]["family"], run.layers[0]["map"]) == ("gaussian", "tanh")


def wrapped(mu, sigma):
    return Independent(Normal(mu, sigma), 1)


@pytest.mark.parametrize("family", [Normal, wrapped])
def test_a_head_that_a_gaussian_is_made_of_is_read(tmp_path, family):
    _, found = train(Hyperbolic(family), tmp_path / "run")
    assert [part["name"] for part in found] == ["encoder"]


def test_a_mixture_beside_the_posterior_leaves_it_alone(tmp_path):
    class Pseudo(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.out, self.pseudo = Heads(X), nn.Linear(4, X), nn.Parameter(torch.randn(3, X))

        def forward(self, x):
            mu, logvar = self.encoder(x)
            q = Normal(mu, (logvar / 2).exp())
            z = q.rsample()
            weights = torch.distributions.Categorical(torch.ones(BATCH, 4, 2))
            parts = Normal(torch.stack([mu, 0 * mu], -1), torch.ones(BATCH, 4, 2))
            mixture = torch.distributions.MixtureSameFamily(weights, parts)
            return self.out(z) - mixture.log_prob(z).mean()

    model = Pseudo()
    seen = []
    model.encoder.register_forward_hook(lambda _, __, output: seen.append(output))
    run, found = train(model, tmp_path / "run")
    assert [part["name"] for part in found] == ["encoder"]
    mu, _ = seen[-1]
    np.testing.assert_allclose(run.at(1)["mean"], mu.mean(0).detach(), rtol=1e-4, atol=1e-6)


def test_nobody_listens_without_a_search(tmp_path):
    recording = watch(Hyperbolic(), tmp_path / "run", hooks=False)
    assert Distribution.__init__ is INIT
    recording.close()
    first, second = (watch(Hyperbolic(), tmp_path / name) for name in "ab")
    assert Distribution.__init__ is not INIT
    first.close()
    assert Distribution.__init__ is not INIT
    second.close()
    assert Distribution.__init__ is INIT
