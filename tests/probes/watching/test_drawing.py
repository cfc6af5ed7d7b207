"""Dropout and ensembles as draws; draws that are handed over, compiled or not."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

import probes
from probes.run import Run
from probes.watching.attaching import watch

X, N, BATCH = 6, 4, 32


def network():
    return nn.Sequential(nn.Linear(X, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, N))


def test_dropout_layers_draw_and_nothing_else_changes():
    torch.manual_seed(0)
    model, x = network(), torch.randn(BATCH, X)
    model[4].eval()
    before = [(module.training, module) for module in model.modules()]
    buffers, state = [one.clone() for one in model.buffers()], torch.get_rng_state()
    z = probes.dropout_samples(model, x, 200)
    assert z.shape == (200, BATCH, N)
    assert (z.var(0) > 0).all()
    assert torch.equal(torch.get_rng_state(), state)
    assert [(module.training, module) for module in model.modules()] == before
    assert all(map(torch.equal, model.buffers(), buffers))
    # the mean over masks is the network without them, since what follows the layer is linear
    model.eval()
    error = (z.mean(0) - model(x)).abs() / (z.std(0) / 200**0.5)
    assert error.median() < 1.5


def test_a_librarys_own_dropout_layer_draws_too():
    class Always(nn.modules.dropout._DropoutNd):
        def forward(self, x):
            return nn.functional.dropout(x, self.p, True)

    model = nn.Sequential(nn.Linear(X, N), Always(0.5))
    assert (probes.dropout_samples(model, torch.randn(BATCH, X), 20).var(0) > 0).any()


def test_members_of_an_ensemble_are_draws():
    models = nn.ModuleList(network() for _ in range(3))
    x = torch.randn(BATCH, X)
    z = probes.ensemble_samples(models, x)
    assert models.training
    np.testing.assert_array_equal(z[1], models[1].eval()(x).detach())


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: probes.dropout_samples(nn.Linear(X, N), torch.randn(2, X)), "no dropout layer in Linear"),
        (lambda: probes.dropout_samples(network(), torch.randn(2, X), 1), "1 passes"),
        (lambda: probes.ensemble_samples([network()], torch.randn(2, X)), "1 members"),
        (lambda: probes.ensemble_samples([nn.LSTM(X, N)] * 2, torch.randn(2, X)), "puts out tuple"),
        (lambda: probes.ensemble_samples([network(), nn.Linear(X, 9)], torch.randn(2, X)), "one shape"),
    ],
)
def test_what_cannot_be_drawn_from_is_an_error_that_names_the_remedy(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()


def test_draws_have_variance_within_rows_and_spread_between(tmp_path):
    """Of known truth: means that vary with sd 2 over inputs, draws with sd 0.5 around each."""
    torch.manual_seed(0)
    mean = 2 * torch.randn(4000, N)
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        probes.observe_samples("z", mean + 0.5 * torch.randn(5, 4000, N))
        recording.step(0)
    run = Run(tmp_path / "run")
    assert (run.layers[0]["family"], run.layers[0]["prior"]) == ("samples", "unknown")
    np.testing.assert_allclose(run.at(0)["variance"], 0.25, rtol=0.05)
    np.testing.assert_allclose(run.at(0)["spread"], mean.var(0, correction=0), rtol=0.02)
    assert not {"kl", "information", "mismatch"} & set(run.statistics)


@pytest.mark.parametrize("joint", [False, True])
def test_log_densities_give_the_kl_of_a_neuron_or_of_the_layer(tmp_path, joint):
    torch.manual_seed(0)
    q, p = Normal(torch.randn(2000, N), 0.5), Normal(torch.zeros(N), 1.0)
    exact = torch.distributions.kl_divergence(q, p.expand((2000, N))).mean(0)
    z = q.sample((8,))
    densities = [q.log_prob(z), p.log_prob(z)]
    if joint:
        densities = [one.sum(-1) for one in densities]
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        probes.observe_samples("z", z, *densities)
        recording.step(0)
    run = Run(tmp_path / "run")
    if joint:
        assert "kl" not in run.statistics
        np.testing.assert_allclose(run.layer_summary()["layer_joint_kl"], exact.sum(), rtol=0.05)
    else:
        frame = run.at(0)
        assert (abs(frame["kl"] - exact.numpy()) < 5 * frame["kl_error"]).all()


def test_draws_that_do_not_belong_together_are_an_error_at_the_call(tmp_path):
    z = torch.randn(3, BATCH, N)
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False):
        for given, words in (
            ((z, z), "both, or none"),
            ((z[0],), r"not \(S, B, N\)"),
            ((z, z[..., :2], z[..., :2]), "a log density is"),
            ((z.long(),), r"not \(S, B, N\) real numbers"),
        ):
            with pytest.raises(ValueError, match=words):
                probes.observe_samples("z", *given)
        with pytest.raises(ValueError, match="observe_samples"):
            probes.observe_samples("z", z, mask=torch.ones(BATCH + 1))


def test_codes_and_draws_inside_a_compiled_graph(tmp_path):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(X, N)

        def forward(self, x):
            h = self.linear(x)
            probes.observe_codes("book", h.argmax(-1), N)
            probes.observe_samples("draws", torch.stack([h, h + 1]))
            return h

    torch.compiler.reset()
    model = Model()
    fast = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = torch.randn(BATCH, X)
    with watch(model, tmp_path / "run", hooks=False, strict=True) as recording:
        h = fast(x)
        recording.step(0)
    run = Run(tmp_path / "run")
    share = torch.bincount(h.argmax(-1), minlength=N) / BATCH
    np.testing.assert_allclose(run.at(0, "book")["usage"], share, rtol=1e-6)
    np.testing.assert_allclose(run.at(0, "draws")["mean"], h.mean(0).detach() + 0.5, rtol=1e-5)


def test_a_distribution_inside_a_compiled_graph_says_what_to_do(tmp_path):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(X, N)

        def forward(self, x):
            h = self.linear(x)
            probes.observe("z", torch.distributions.Bernoulli(logits=h, validate_args=False))
            return h

    torch.compiler.reset()
    model = Model()
    fast = torch.compile(model, backend="aot_eager")
    with pytest.warns(RuntimeWarning, match="cannot be handed over: call probes.observe outside"):  # noqa: PT031
        recording = watch(model, tmp_path / "run", hooks=False)
        fast(torch.randn(BATCH, X)).sum().backward()
        recording.step(0)
        recording.close()


def test_a_mean_field_posterior_under_a_density_of_all_neurons_has_a_joint_kl(tmp_path):
    """A prior that is a flow: nothing of single neurons is known of it."""
    torch.manual_seed(0)
    low = torch.eye(N) + 0.3 * torch.ones(N, N).tril(-1)
    base = Independent(Normal(torch.zeros(N), 1.0), 1)
    p = torch.distributions.TransformedDistribution(base, [Mix(low)])
    q = Normal(torch.randn(3000, N), 0.5)
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        probes.observe("z", q, prior=p)
        recording.step(0)
    exact = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(q.loc, scale_tril=0.5 * torch.eye(N)),
        torch.distributions.MultivariateNormal(torch.zeros(N), scale_tril=low),
    ).mean()
    summary = Run(tmp_path / "run").layer_summary()
    np.testing.assert_allclose(summary["layer_joint_kl"], exact, rtol=0.05)


class Mix(torch.distributions.transforms.Transform):
    """z -> L z."""

    domain = codomain = torch.distributions.constraints.real_vector
    bijective = True

    def __init__(self, low):
        super().__init__()
        self.low = low

    def _call(self, x):
        return x @ self.low.T

    def _inverse(self, y):
        return torch.linalg.solve_triangular(self.low, y[..., None], upper=False)[..., 0]

    def log_abs_det_jacobian(self, x, _):
        return self.low.diagonal().log().sum().expand(x.shape[:-1])
