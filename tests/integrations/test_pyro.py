"""Real Pyro guides: what they sample is read through an effect handler, and inference is what it was."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal, AutoMultivariateNormal, AutoNormal
from pyro.nn import PyroModule
from pyro.optim import Adam
from torch import nn

from probes.run import Run
from probes.watching.attaching import watch

X = torch.linspace(-1, 1, 40)[:, None] * torch.tensor([1.0, -0.5, 2.0])
Y = X @ torch.tensor([1.0, 2.0, -1.0])


def model(x, y=None):
    weight = pyro.sample("weight", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(x @ weight, 0.5), obs=y)


def fit(guide, steps, recording=None):
    pyro.set_rng_seed(1)
    svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
    losses = []
    for step in range(steps):
        losses.append(svi.step(X, Y))
        if recording is not None:
            recording.step(step, loss=losses[-1])
    return losses, {name: value.detach().clone() for name, value in guide.named_parameters()}


def fresh(kind):
    pyro.set_rng_seed(0)
    pyro.clear_param_store()
    guide = kind(model)
    guide(X, Y)
    return guide


@pytest.mark.parametrize(
    ("kind", "layer"),
    [(AutoNormal, "weight_unconstrained"), (AutoDiagonalNormal, "_AutoDiagonalNormal_latent")],
)
def test_automatic_guides_are_read_and_inference_is_bit_for_bit_the_same(tmp_path, kind, layer):
    losses, parameters = fit(fresh(kind), 5)
    guide = fresh(kind)
    with watch(guide, tmp_path / "run") as recording:
        watched_losses, watched_parameters = fit(guide, 5, recording)
        last = guide.median(X, Y)["weight"].detach()
    assert losses == watched_losses
    assert all(torch.equal(parameters[name], watched_parameters[name]) for name in parameters)
    run = Run(tmp_path / "run")
    assert [(item["name"], item["neurons"]) for item in run.layers] == [(layer, 3)]
    assert "ASSUMED Normal(0, 1)" in recording.found[0]["why"]
    means = run.history(0, [0, 1, 2], ["mean", "spread"])
    assert (means["spread"] == 0).all()
    np.testing.assert_allclose(run.at(4)["mean"], last, atol=0.011)  # one step of Adam later


def test_an_amortised_guide_has_a_row_for_each_example(tmp_path):
    class Guide(PyroModule):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            with pyro.plate("rows", len(x)):
                pyro.sample("z", dist.Normal(self.first(x), self.second(x).exp()).to_event(1))

    guide = Guide()
    with watch(guide, tmp_path / "run") as recording:
        guide(X)
        recording.step(0)
    frame = Run(tmp_path / "run").at(0)
    mu, sigma = guide.first(X).detach(), guide.second(X).exp().detach()
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, sigma), torch.distributions.Normal(0.0, 1.0)
    ).mean(0)
    np.testing.assert_allclose(frame["kl"], kl, rtol=1e-5)
    np.testing.assert_allclose(frame["spread"], mu.var(0, correction=0), rtol=1e-5)


def test_a_model_is_not_taken_for_a_guide(tmp_path):
    class Model(PyroModule):
        def forward(self, x, y):
            model(x, y)

    recording = watch(Model(), tmp_path / "run")
    recording.model(X, Y)
    with pytest.warns(RuntimeWarning, match="a Pyro model, it observes y: watch its guide instead"):
        recording.step(0)


def test_of_a_correlated_guide_the_marginals_and_the_joint_kl_are_read(tmp_path):
    guide = fresh(AutoMultivariateNormal)
    guide.scale_tril = torch.eye(3) + 0.3 * torch.ones(3, 3).tril(-1)
    with watch(guide, tmp_path / "run") as recording:
        guide(X, Y)
        recording.step(0)
    assert recording.found[0]["family"] == "gaussian_full"
    factor = guide.scale_tril.detach() * guide.scale.detach()[:, None]
    np.testing.assert_allclose(
        Run(tmp_path / "run").at(0)["variance"], (factor @ factor.T).diagonal(), rtol=1e-5
    )
    posterior = torch.distributions.MultivariateNormal(guide.loc.detach(), scale_tril=factor)
    prior = torch.distributions.MultivariateNormal(torch.zeros(3), torch.eye(3))
    joint = torch.distributions.kl_divergence(posterior, prior).item()
    summary = Run(tmp_path / "run").layer_summary()
    np.testing.assert_allclose(summary["layer_joint_kl"], joint, rtol=1e-4)


def test_an_error_inside_a_guide_leaves_no_handler_behind(tmp_path):
    class Broken(PyroModule):
        def forward(self):
            pyro.sample("z", dist.Normal(0.0, 1.0))
            raise ArithmeticError

    guide = Broken()
    with watch(guide, tmp_path / "run"), pytest.raises(ArithmeticError):
        guide()
    assert pyro.poutine.runtime._PYRO_STACK == []
