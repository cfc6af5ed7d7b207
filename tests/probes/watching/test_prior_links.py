"""Priors that foreign networks have of their own: used, or left out and said, never Normal(0, 1) in
silence."""

import foreign_models as foreign
import numpy as np
import pytest
import torch
from foreign_models import C, X
from torch import nn

from probes.analysis import assumptions
from probes.run import Run
from probes.watching.attaching import watch

BATCH, TIMES = 32, 5


def inputs(kind, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    if kind in (foreign.SoftplusVRNN, foreign.RSSM, foreign.RSSMByCells):
        return (draw(TIMES, BATCH, X),)
    if kind is foreign.GraphVAE:
        return draw(BATCH, X), torch.softmax(draw(BATCH, BATCH), 1)
    if kind is foreign.OneHeadOfTwo:
        return (torch.randint(20, (BATCH, TIMES), generator=generator),)
    conditional = "c" in kind.forward.__code__.co_varnames[1 : kind.forward.__code__.co_argcount]
    return (draw(BATCH, X), draw(BATCH, C)) if conditional else (draw(BATCH, X),)


def record(kind, path, steps=3, **options):
    """A few steps of training -> the model, the run, what was found."""
    torch.manual_seed(0)
    model = kind()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    with watch(model, path, **options) as recording:
        for step in range(steps):
            model.pairs.clear()
            output = model(*inputs(kind, step))
            values = output.values() if isinstance(output, dict) else [output]
            first = next(value for value in values if value is not None)
            first = first[0] if isinstance(first, tuple) else getattr(first, "reconstruction", first)
            optimiser.zero_grad()
            first.square().mean().backward()
            recording.step(step)
            if step < steps - 1:
                optimiser.step()
    return model, Run(path), recording


RIGHT = {
    foreign.RecognitionAndPrior: ["recognition_net"],
    foreign.PriorFirst: ["recognition_net"],
    foreign.PriorOfANeutralModule: ["posterior_encoder"],
    foreign.WrappedPrior: ["encoder"],
    foreign.MappingOfFour: ["MappingOfFour"],
    foreign.DataclassOfDistributions: ["DataclassOfDistributions"],
    foreign.NestedTuples: ["NestedTuples"],
    foreign.SoftplusVRNN: ["enc_mean"],
    foreign.RSSM: ["RSSM"],
    foreign.RSSMByCells: ["rssm"],
    foreign.Ladder: ["qs_0", "qs_1"],
    foreign.TwoLevelsOfModules: ["q1", "q2"],
    foreign.TwoEncoders: ["net_q"],
    foreign.LearnedPrior: ["encoder"],
    foreign.DistributionAttribute: ["encoder"],
    foreign.GraphVAE: ["gcn"],
}


@pytest.mark.parametrize("kind", RIGHT, ids=lambda kind: kind.__name__)
def test_the_priors_of_foreign_networks_are_used(tmp_path, kind):
    model, run, recording = record(kind, tmp_path / "run")
    assert len(run.layers) == len(RIGHT[kind])
    for place, name in enumerate(RIGHT[kind]):
        layers = [layer["name"] for layer in run.layers]
        layer = layers.index(name) if name in layers else place
        np.testing.assert_allclose(run.at(2, layer)["kl"], model.paid(name), rtol=2e-4, atol=1e-5)
    assert recording.lost == 0


@pytest.mark.parametrize("kind", RIGHT, ids=lambda kind: kind.__name__)
def test_the_first_step_is_under_the_same_prior(tmp_path, kind):
    model, run, _ = record(kind, tmp_path / "run", steps=1)
    layers = [layer["name"] for layer in run.layers]
    for place, name in enumerate(RIGHT[kind]):
        layer = layers.index(name) if name in layers else place
        np.testing.assert_allclose(run.at(0, layer)["kl"], model.paid(name), rtol=2e-4, atol=1e-5)


SAID = {
    foreign.TotalCorrelation: "prior_params",
    foreign.Vamp: "VampPrior",
    foreign.MixturePrior: "prior_means",
    foreign.PlanarPosterior: "a flow, 'flows'",
    foreign.PriorByAMethod: "the method PriorByAMethod.prior",
    foreign.Imagining: "another number of times",
}


@pytest.mark.parametrize("kind", SAID, ids=lambda kind: kind.__name__)
def test_a_prior_that_is_not_known_leaves_kl_out_and_is_said(tmp_path, caplog, kind):
    _, run, recording = record(kind, tmp_path / "run")
    (part,) = recording.found
    assert part["origins"]["prior"] == "absent"
    assert SAID[kind] in part["prior"]
    assert SAID[kind] in caplog.text
    assert f"priors={{{part['name']!r}: (mean, sd)}}" in part["why"]
    frame = run.at(2)
    assert not {"kl", "information", "mismatch", "active_share"} & set(frame.columns)
    mean, sigma = frame["mean"], frame["variance"]
    assert np.isfinite(mean).all()
    assert (sigma > 0).all()


def test_what_cannot_be_told_is_said_in_one_argument(tmp_path):
    model, run, recording = record(foreign.TotalCorrelation, tmp_path / "run", priors={"*": (0.0, 1.0)})
    assert recording.found[0]["origins"]["prior"] == "stated"
    np.testing.assert_allclose(run.at(2)["kl"], model.paid("encoder"), rtol=1e-4)


def test_a_prior_that_varies_by_row_is_given_as_a_function(tmp_path):
    def prior(module, output):
        q, p = module.pairs["encoder"][-1] if module.pairs["encoder"] else (None, None)
        return p

    class Kept(foreign.PriorByAMethod):
        def forward(self, x, c):
            pm, pl = self.prior(c)
            self.given = pm, (pl / 2).exp()
            return super().forward(x, c)

    torch.manual_seed(0)
    model = Kept()
    with watch(model, tmp_path / "run", priors={"encoder": lambda module, output: model.given}) as recording:
        model(*inputs(foreign.PriorByAMethod))
        recording.step(0)
    np.testing.assert_allclose(Run(tmp_path / "run").at(0)["kl"], model.paid("encoder"), rtol=1e-4)


def test_a_hidden_laplace_is_read_as_one_and_has_no_kl(tmp_path):
    _, run, recording = record(foreign.HiddenLaplace, tmp_path / "run")
    assert [(part["name"], part["family"]) for part in recording.found] == [("fc_loc", "laplace")]
    assert "kl" not in run.statistics


def test_a_head_of_two_halves_stands_first_in_the_message_and_is_read_by_hand(tmp_path):
    with pytest.warns(RuntimeWarning) as said:
        record(foreign.OneHeadOfTwo, tmp_path / "run")
    [message] = [str(one.message) for one in said]
    assert message.index("hidden_to_latent") < message.index("Looked at besides")
    assert "could be mu | log_var" in message
    model, run, _ = record(
        foreign.OneHeadOfTwo, tmp_path / "again", parts={"hidden_to_latent": "mu | log_var"}
    )
    np.testing.assert_allclose(run.at(2)["kl"], model.paid("hidden_to_latent"), rtol=1e-4)


def test_a_prior_that_is_asked_more_often_later_is_counted(tmp_path):
    torch.manual_seed(0)
    model = foreign.RecognitionAndPrior()
    given = inputs(foreign.RecognitionAndPrior)
    with watch(model, tmp_path / "run") as recording:
        model(*given)
        recording.step(0)
        model.register_forward_hook(lambda module, args, output: module.prior_net(args[1]) and None)
        model(*given)
        with pytest.warns(RuntimeWarning, match="not computed equally often"):
            recording.step(1)
    assert recording.lost == 1


def test_nothing_of_a_prior_is_no_layer(tmp_path):
    class OnlyPrior(nn.Module):
        def __init__(self):
            super().__init__()
            self.prior_net = foreign.Heads(X)

        def forward(self, x):
            return self.prior_net(x)[0]

    model = OnlyPrior()
    recording = watch(model, tmp_path / "run")
    model(torch.randn(BATCH, X))
    with pytest.warns(RuntimeWarning, match="no posterior was found"):
        recording.step(0)
    recording.close()


def test_lazy_modules_are_read_with_their_priors(tmp_path):
    class Lazy(foreign.Foreign):
        def __init__(self):
            super().__init__()
            self.body, self.fc_mu, self.fc_logvar = nn.LazyConv2d(2, 3), nn.LazyLinear(4), nn.LazyLinear(4)
            self.prior_mu, self.prior_logvar = nn.LazyLinear(4), nn.LazyLinear(4)

        def forward(self, x, c):
            h = torch.tanh(self.body(x)).flatten(1)
            mu, logvar, prior_mu, prior_logvar = (
                self.fc_mu(h),
                self.fc_logvar(h),
                self.prior_mu(c),
                self.prior_logvar(c),
            )
            return self.pay("fc_mu", mu, (logvar / 2).exp(), prior_mu, (prior_logvar / 2).exp())

    model = Lazy()
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, 1, 6, 6), torch.randn(BATCH, C))
        recording.step(0)
    assert recording.found[0]["prior"] == "the network's own: prior_mu & prior_logvar"
    np.testing.assert_allclose(Run(tmp_path / "run").at(0)["kl"], model.paid("fc_mu"), rtol=1e-4)


class Shaped(foreign.Foreign):
    """What code does with the heads of a prior stands behind them."""

    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(X + C, 8)
        self.fc_mu, self.fc_logvar = nn.Linear(8, 4), nn.Linear(8, 4)
        self.prior_mu, self.prior_logvar = nn.Linear(C, 4), nn.Linear(C, 4)


class Clamped(Shaped):
    def forward(self, x, c):
        h = torch.tanh(self.enc(torch.cat([x, c], 1)))
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        prior_mu, prior_logvar = self.prior_mu(c), self.prior_logvar(c).clamp(-0.1, 0.1)
        return self.pay("fc_mu", mu, (logvar / 2).exp(), prior_mu, (prior_logvar / 2).exp())


class ClampedBoth(Shaped):
    def forward(self, x, c):
        h = torch.tanh(self.enc(torch.cat([x, c], 1)))
        mu, logvar = self.fc_mu(h), self.fc_logvar(h).clamp(-0.1, 0.1)
        prior_mu, prior_logvar = self.prior_mu(c), self.prior_logvar(c).clamp(-0.1, 0.1)
        return self.pay("fc_mu", mu, (logvar / 2).exp(), prior_mu, (prior_logvar / 2).exp())


@pytest.mark.parametrize(("kind", "known"), [(Clamped, False), (ClampedBoth, True)])
def test_what_stands_behind_a_priors_heads_is_repeated_or_said(tmp_path, kind, known):
    torch.manual_seed(0)
    model = kind()
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, X), 3 * torch.randn(BATCH, C))
        recording.step(0)
    (part,) = recording.found
    frame = Run(tmp_path / "run").at(0)
    if known:
        np.testing.assert_allclose(frame["kl"], model.paid("fc_mu"), rtol=1e-4)
    else:
        assert (
            "what its code does with the scale of prior_mu & prior_logvar (clamp(-0.1, 0.1) and"
            in part["prior"]
        )
        assert "kl" not in frame


def test_pairs_in_a_list_are_a_posterior_and_its_prior(tmp_path):
    class Levels(foreign.Foreign):
        def __init__(self):
            super().__init__()
            self.f, self.g = foreign.net(X, 8), foreign.net(4, 8)

        def forward(self, x):
            levels, z = [], None
            for level in range(2):
                m, s = self.f(x).chunk(2, 1)
                pm, ps = (torch.zeros_like(m), torch.zeros_like(m)) if z is None else self.g(z).chunk(2, 1)
                q, p = (
                    torch.distributions.Normal(m + level, s.exp()),
                    torch.distributions.Normal(pm, ps.exp()),
                )
                z = self.pay(level, q.loc, q.scale, p.loc, p.scale)
                levels.append((q, p))
            return levels

    model = Levels()
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, X))
        recording.step(0)
    run = Run(tmp_path / "run")
    assert len(run.layers) == 2
    for level in range(2):
        np.testing.assert_allclose(run.at(0, level)["kl"], model.paid(level), rtol=1e-4, atol=1e-5)


def trained(model, path, *given, steps=3):
    """The run and what was found of a model that returns its output first."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    with watch(model, path) as recording:
        for step in range(steps):
            output = model(*given)
            (output[0] if isinstance(output, tuple) else output).square().mean().backward()
            optimiser.step()
            recording.step(step)
    return Run(path), recording.found


@pytest.mark.parametrize("held", [True, False])
def test_a_prior_that_is_a_density_of_several_is_not_one_of_them(tmp_path, held):
    run, found = trained(foreign.Recommender(held), tmp_path / "run", torch.randn(BATCH, X))
    assert [part["name"] for part in found] == ["encoder"]
    assert found[0]["origins"]["prior"] == "absent"
    assert "kl" not in run.at(2)


def test_the_components_of_a_mixture_are_no_layer_and_leave_the_prior_open(tmp_path):
    model = foreign.Clusters()
    run, found = trained(model, tmp_path / "run", torch.randn(BATCH, X))
    assert len(found) == 1
    assert "'gmm_layer' returns Gaussians that no input makes" in found[0]["prior"]
    assert "kl" not in run.at(2)
    np.testing.assert_allclose(run.at(2)["variance"], model.truth[1].square().mean(0), rtol=1e-4)


def test_networks_in_a_flow_are_no_layers(tmp_path):
    run, found = trained(foreign.FlowPosterior(), tmp_path / "run", torch.randn(BATCH, X))
    assert [part["name"] for part in found] == ["encoder"]
    assert "kl" not in run.at(2)


def test_a_prior_that_is_made_while_the_network_runs_is_not_passed_over(tmp_path):
    run, found = trained(foreign.LateProcess(), tmp_path / "run", torch.randn(BATCH, X))
    assert "prior" in found[0]["prior"]
    assert found[0]["origins"]["prior"] == "absent"
    assert "kl" not in run.at(2)


def test_a_prior_that_no_name_tells_is_said_to_be_assumed(tmp_path, caplog):
    with caplog.at_level("INFO", "probes.watch"):
        _, run, _ = record(foreign.NeutralPrior, tmp_path / "run")
    assert caplog.text.count("prior Normal(0, 1), ASSUMED") == 2
    [line] = assumptions.lines(run.layers)
    assert line == "Assumed: the prior Normal(0, 1); that it is a posterior of b."


class Labelled(nn.Module):
    """The model returns what its prior's network has put out, too, under a name that speaks of no prior."""

    def __init__(self):
        super().__init__()
        self.encoder, self.label_prior = nn.Linear(X, 4), foreign_pair()

    def forward(self, x, c):
        posterior_mean, posterior_log_variance = self.encoder(x).chunk(2, -1)
        label_mean, label_log_variance = self.label_prior(c)
        sample = posterior_mean + (posterior_log_variance / 2).exp() * torch.randn_like(posterior_mean)
        return sample, {
            "label_mean": label_mean,
            "label_log_variance": label_log_variance,
            "posterior_mean": posterior_mean,
            "posterior_log_variance": posterior_log_variance,
        }


def foreign_pair():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.log_variance = nn.Linear(C, 2), nn.Linear(C, 2)

        def forward(self, c):
            return self.mean(c), self.log_variance(c)

    return Pair()


def test_what_a_prior_has_put_out_is_no_layer_under_another_name(tmp_path):
    torch.manual_seed(0)
    _, found = trained(Labelled(), tmp_path / "run", torch.randn(BATCH, X), torch.randn(BATCH, C))
    assert [part["read"] for part in found] == ["mu=1.posterior_mean, log_var=1.posterior_log_variance"]


class Global(nn.Module):
    """A posterior that is called so and is a flow: what its steps compute are no Gaussians of its own."""

    def __init__(self):
        super().__init__()

        class Shift(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = nn.Linear(X, 2 * X)

            def forward(self, z):
                return self.net(z).chunk(2, -1)

        class Flow(nn.Module):
            def __init__(self):
                super().__init__()
                self.bijector = nn.ModuleDict({"first": Shift()})

            def forward(self, noise):
                shift, log_scale = self.bijector["first"](noise)
                return noise * log_scale.exp() + shift

        self.posterior, self.body = Flow(), nn.Linear(X, X)

    def forward(self, x):
        return self.body(x) * self.posterior(torch.randn_like(x))


def test_steps_of_a_flow_that_is_called_a_posterior_are_no_layers(tmp_path):
    model = Global()
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, X)).square().mean().backward()
        with pytest.warns(RuntimeWarning, match="no posterior was found"):
            recording.step(0)
    assert recording.found == []


class OnASphere(torch.distributions.Distribution):
    """A distribution of somebody's own, one density for all coordinates."""

    arg_constraints = {}
    has_rsample = True

    def __init__(self, loc):
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def rsample(self, shape=()):
        return self.loc + torch.randn(*shape, *self.loc.shape)

    def log_prob(self, z):
        return -(z - self.loc).square().sum(-1)


class HeldPrior(nn.Module):
    """Returns its posterior, and holds a prior's mean and log variance."""

    def __init__(self, kind):
        super().__init__()
        self.encoder, self.body, self.kind = nn.Linear(X, 4), nn.Linear(4, X), kind
        self._pz_mu, self._pz_logvar = nn.Parameter(torch.zeros(1, 4)), nn.Parameter(torch.ones(1, 4))

    def forward(self, x):
        q = self.kind(self.encoder(x))
        return self.body(q.rsample()), q


class AsItIsCalled(HeldPrior):
    def sampled(self):
        return self._pz_mu + (0.5 * self._pz_logvar).exp() * torch.randn(4)


class Softened(HeldPrior):
    def sampled(self):
        return self._pz_mu + torch.nn.functional.softplus(self._pz_logvar) * torch.randn(4)


def narrow(mean):
    return torch.distributions.Normal(mean, 0.5)


def test_a_held_priors_scale_is_what_code_makes_of_it(tmp_path):
    torch.manual_seed(0)
    x = torch.randn(BATCH, X)
    run, found = trained(AsItIsCalled(narrow), tmp_path / "called", x)
    assert found[0]["origins"]["prior"] == "named"
    assert "kl" in run.at(2)
    run, found = trained(Softened(narrow), tmp_path / "softened", x)
    assert found[0]["origins"]["prior"] == "absent"
    assert "_pz_mu" in found[0]["prior"] or "_pz_logvar" in found[0]["prior"]
    assert "kl" not in run.at(2)


def test_a_model_that_returns_a_density_beside_its_own_prior_trains_on(tmp_path):
    """The model itself has no name, of which the prior's tensors could be told."""
    run, found = trained(AsItIsCalled(OnASphere), tmp_path / "run", torch.randn(BATCH, X))
    assert [part["family"] for part in found] == ["samples"]
    assert "kl" not in run.at(2)


class Level(nn.Module):
    """Returns its prior first, under a name that one method gives it within a tuple of another."""

    def __init__(self):
        super().__init__()
        self.before, self.after = nn.Linear(3, 8), nn.Linear(X, 8)

    def draw(self, above, x):
        (pm, ps), (qm, qs) = self.before(above).chunk(2, 1), self.after(x).chunk(2, 1)
        prior = torch.distributions.Normal(pm, ps.exp())
        posterior = torch.distributions.Normal(qm, qs.exp())
        return posterior.rsample(), (prior, posterior)

    def forward(self, above, x):
        z, pair = self.draw(above, x)
        return z, pair


class Last(Level):
    def __init__(self):
        super().__init__()
        self.before = nn.Linear(4, X)

    def draw(self, above, x):
        prior = torch.distributions.Normal(self.before(above), 1.0)
        return prior.rsample(), (prior, None)


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = Level(), Last()
        self.start = nn.Parameter(torch.randn(1, 3))

    def forward(self, x):
        z, self.pair = self.first(self.start.expand(len(x), 3), x)
        again, (likelihood, _) = self.last(z, x)
        return again, {"output": likelihood}


def test_a_pair_is_named_by_the_method_that_returns_it(tmp_path):
    torch.manual_seed(0)
    model = Blocks()
    run, found = trained(model, tmp_path / "run", torch.randn(BATCH, X), steps=1)
    assert [part["name"] for part in found] == ["first"]
    prior, posterior = model.pair
    kl = torch.distributions.kl_divergence(posterior, prior).mean(0)
    np.testing.assert_allclose(run.at(0)["kl"], kl.detach(), rtol=1e-4, atol=1e-6)
