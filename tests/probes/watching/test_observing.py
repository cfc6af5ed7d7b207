"""observe: from anywhere in a forward pass, compiled or not; hooks and compiled models."""

import networks
import numpy as np
import pytest
import torch
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn
from torch.distributions import Normal

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.hooks import CompiledError
from probes.watching.observing import RECEIVERS, observe


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()


def compiled(model):
    """As in training, with the whole graph demanded; the backend that needs no C++ compiler."""
    return torch.compile(model, fullgraph=True, backend="aot_eager")


def test_observe_inside_a_compiled_graph_records_what_eager_code_does_and_changes_no_gradient(tmp_path):
    model, x = networks.Observing(), torch.randn(3, BATCH, INPUTS)
    fast = compiled(model)
    gradients = {}
    for name, forward in {"eager": model, "compiled": fast}.items():
        with watch(model, tmp_path / name, hooks=False) as recording:
            for step, batch in enumerate(x):
                model.zero_grad()
                forward(batch).sum().backward()
                recording.step(step)
        gradients[name] = [parameter.grad.clone() for parameter in model.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(gradients["eager"], gradients["compiled"], strict=True))
    eager, other = Run(tmp_path / "eager"), Run(tmp_path / "compiled")
    assert other.steps.tolist() == [0, 1, 2]
    for step in range(3):
        np.testing.assert_allclose(eager.at(step), other.at(step), rtol=1e-6)
        mu, raw = model.raw(x[step])
        assert_statistics(other.at(step), expected(mu, (raw / 2).exp()))


def test_compiled_code_runs_when_nobody_watches_and_follows_who_does(tmp_path):
    model, x = networks.Observing(), torch.randn(BATCH, INPUTS)
    fast = compiled(model)
    fast(x)
    with watch(model, tmp_path / "run", hooks=False) as recording:
        fast(x)
        recording.step(0)
    fast(x)
    assert Run(tmp_path / "run").steps.tolist() == [0]
    assert RECEIVERS == []


def test_prior_pairs_and_mask_inside_a_compiled_graph(tmp_path):
    class Sequence(networks.Encoder):
        def forward(self, x):
            mu, raw = self.raw(x)
            sigma = (raw / 4).exp()
            observe("z", mu, sigma, prior=(0.5, 2.0), previous=mu[BATCH // 2 :], mask=x[:, 0] > -0.5)
            return mu + sigma

    model, x = Sequence(), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run", hooks=False) as recording:
        compiled(model)(x)
        recording.step(0)
    mu, raw = model.raw(x)
    rows = x[:, 0] > -0.5
    ones = torch.ones_like(mu[rows]).double()
    frame = Run(tmp_path / "run").at(0)
    assert_statistics(frame, expected(mu[rows], (raw[rows] / 4).exp(), Normal(0.5 * ones, 2 * ones)))
    counted = rows[: BATCH // 2]
    current, previous = (half[counted].detach().double().numpy() for half in mu.split(BATCH // 2))
    slopes = [np.polyfit(previous[:, i], current[:, i], 1)[0] for i in range(NEURONS)]
    np.testing.assert_allclose(frame["persistence"], slopes, rtol=1e-3)


@pytest.mark.parametrize("shape", [(NEURONS,), (BATCH, NEURONS), (BATCH, NEURONS, 3), (BATCH, NEURONS, 2, 3)])
def test_shapes(tmp_path, shape):
    mu, sigma = torch.randn(shape), torch.rand(shape[-1]) + 0.5
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        observe("z", mu, sigma)
        recording.step(0)
    frame = Run(tmp_path / "run").at(0)
    rows = mu[None] if mu.dim() == 1 else mu
    kl = torch.distributions.kl_divergence(Normal(rows, sigma.expand_as(rows)), Normal(0.0, 1.0))
    np.testing.assert_allclose(
        frame["kl"], kl.flatten(2).sum(2).mean(0) if kl.dim() > 2 else kl.mean(0), rtol=1e-5
    )


def test_bad_shapes_are_one_clear_error(tmp_path):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False):
        with pytest.raises(ValueError, match=r"observe\('z'\): mu is \(N,\), .* got a single number"):
            observe("z", torch.tensor(1.0), torch.tensor(1.0))
        with pytest.raises(
            ValueError, match=r"observe\('z'\): shapes \[\(3,\)\] do not broadcast to mu's \(2, 4\)"
        ):
            observe("z", torch.zeros(2, 4), torch.ones(3))
    observe("z", torch.zeros(2, 4), torch.ones(3))  # nobody listens: nothing is done


def test_predecessors_of_another_shape_lose_that_batch_and_not_the_training(tmp_path):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        mu = torch.randn(BATCH, NEURONS)
        observe("z", mu, torch.ones(NEURONS))
        recording.step(0)
        with pytest.warns(RuntimeWarning, match=r"layer 'z': pairs need two tensors"):
            observe("z", mu, torch.ones(NEURONS), previous=mu[:, :2])
        recording.step(1)
        observe("z", mu, torch.ones(NEURONS))
        recording.step(2)
    assert recording.lost == 1
    assert Run(tmp_path / "run").steps.tolist() == [0, 2]


def test_the_same_posterior_from_observe_and_from_a_hook_is_one_layer(tmp_path):
    class Both(networks.Encoder):
        def forward(self, x):
            mu, raw = self.raw(x)
            logvar = raw
            observe("encoder", mu, (logvar / 2).exp())
            return mu, logvar

    model = nn.ModuleDict({"encoder": Both()})
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            model["encoder"](torch.randn(BATCH, INPUTS))
            recording.step(step)
    assert [(part["name"], part["read"]) for part in recording.found] == [("encoder", "as handed over")]
    assert not any(module._forward_hooks for module in model.modules())


def test_a_name_that_comes_after_the_first_step_is_reported_and_counted(tmp_path):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        observe("early", torch.zeros(2, 4), torch.ones(4))
        recording.step(0)
        with pytest.warns(RuntimeWarning, match=r"observe\('late'\) came after the first step"):
            observe("late", torch.zeros(2, 4), torch.ones(4))
    assert recording.lost == 1


def test_hooks_on_a_compiled_model_are_refused_with_what_to_do(tmp_path):
    model = networks.SiblingVAE()
    advice = r"probes.observe\(name, mu, sigma\) in its forward.*hooks=False.*skip="
    with pytest.raises(CompiledError, match=r"the model \(OptimizedModule\) is compiled.*" + advice):
        watch(compiled(model), tmp_path / "run")
    model.body.compile(backend="eager")
    with pytest.raises(CompiledError, match="'body' is compiled"):
        watch(model, tmp_path / "run")
    with pytest.raises(CompiledError, match="'body' is compiled"):
        watch(model, tmp_path / "run", parts={"body.*": "mu | log_var"})
    assert not any(module._forward_hooks for module in model.modules())
    with watch(model, tmp_path / "run", skip=["body*"]) as recording:
        model(torch.randn(BATCH, INPUTS))
        recording.step(0)
    assert Run(tmp_path / "run").steps.tolist() == [0]


# of the compiler's own look at it
@pytest.mark.filterwarnings("default:The .grad attribute of a Tensor that is not a leaf")
def test_a_model_compiled_after_watching_began_is_still_recorded(tmp_path):
    class OnlyMean(networks.SiblingVAE):
        def forward(self, x):
            h = self.body(x)
            return self.decoder["mean"](self.fc_mu(h) + (self.fc_var(h) / 2).exp())

    model, x = OnlyMean(), torch.randn(BATCH, INPUTS)
    model.body[2].p = 0.0
    with watch(model, tmp_path / "run") as recording:
        fast = torch.compile(model, backend="eager")
        for step in range(2):
            fast(x)
            recording.step(step)
    assert_statistics(Run(tmp_path / "run").at(1), expected(*model.posterior(x)))


def test_two_names_are_two_layers_though_their_numbers_are_the_same(tmp_path):
    mu = torch.randn(8, 3)
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        for step in range(2):
            observe("one", mu, torch.ones(8, 3))
            observe("other", mu + step, torch.ones(8, 3))
            recording.step(step)
    assert recording.lost == 0
    assert [part["name"] for part in recording.found] == ["one", "other"]
