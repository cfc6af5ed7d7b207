"""What a user says of a part or of a posterior: priors, layouts, masks, what is done with it, terms of a
loss."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import BATCH, INPUTS, NEURONS, Encoder, ReturnsHalves, ReturnsMuLogVar
from torch import nn
from torch.distributions import (
    Independent,
    Laplace,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.observing import observe
from probes.watching.stated import Part, PartError

STANDARD = Normal(0.0, 1.0)


def record(model, path, *x, **options):
    with watch(model, path, **options) as recording:
        model(*(x or (torch.randn(BATCH, INPUTS),)))
        recording.step(0)
    return Run(path), recording.found


def handed_over(path, *given, steps=1, **options):
    """The run of one layer that is handed over as `given`."""
    with watch(nn.Linear(1, 1), path, hooks=False) as recording:
        for step in range(steps):
            observe("z", *given, **options)
            recording.step(step)
    return Run(path), recording.found[0]


def close(run, kl, layer=0, step=0):
    np.testing.assert_allclose(run.at(step, layer)["kl"], kl.detach(), rtol=2e-5, atol=1e-6)


class ConvolvesInTime(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Conv1d(2, 2 * NEURONS, 1)

    def forward(self, x, attention_mask=None):
        m, logs = self.proj(x).chunk(2, 1)
        return m, logs


@pytest.mark.parametrize(
    ("layout", "neurons", "dimensions", "reduce"),
    [
        ("bcx", NEURONS, 7, lambda kl: kl.mean(0).sum(1)),
        ("bct", NEURONS, 1, lambda kl: kl.mean((0, 2))),
        ("btn", 7, 1, lambda kl: kl.mean((0, 1))),
        ("rows", 7, 1, lambda kl: kl.mean((0, 1))),
        ("bnk", NEURONS, 7, lambda kl: kl.mean(0).sum(1)),
        (None, NEURONS, 7, lambda kl: kl.mean(0).sum(1)),
    ],
)
def test_a_layout_is_what_was_said_or_what_the_convolution_says(
    tmp_path, layout, neurons, dimensions, reduce
):
    model, x = ConvolvesInTime(), torch.randn(BATCH, 2, 7)
    run, found = record(model, tmp_path / "run", x, parts={"": Part("mu, log_sigma", layout=layout)})
    assert (run.layers[0]["neurons"], run.layers[0]["latent_dim"]) == (neurons, dimensions)
    assert found[0]["origins"]["layout"] == ("named" if layout is None else "stated")
    m, logs = model(x)
    close(run, reduce(kl_divergence(Normal(m, logs.exp()), STANDARD)))


@pytest.mark.parametrize("turn", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_hooks_functions_and_texts_read_one_tensor_in_one_way(tmp_path, turn):
    class Turned(ConvolvesInTime):
        def forward(self, x):
            mu, log_sigma = (value.permute(turn) for value in super().forward(x))
            return mu, log_sigma

    x, seen = torch.randn(BATCH, 2, 7), []
    for place, options in enumerate(
        (
            {},
            {"parts": {"": "mu, log_sigma"}},
            {"parts": {"": lambda module, output: (output[0], output[1].exp())}},
        )
    ):
        torch.manual_seed(0)
        run, _ = record(Turned(), tmp_path / str(place), x, **options)
        seen.append(run.at(0)["kl"].to_numpy())
        assert run.layers[0]["neurons"] == NEURONS
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-6)
    np.testing.assert_allclose(seen[2], seen[0], rtol=1e-6)


def test_a_layout_that_is_none_names_those_that_there_are(tmp_path):
    with pytest.raises(PartError, match="layout is 'bct2'; it must be one of 'bn', 'btn', 'rows'"):
        Part("mu, sigma", layout="bct2")
    with pytest.raises(ValueError, match="layout is 'x'; it must be one of"):
        observe("z", torch.zeros(2, 3), torch.ones(3), layout="x")
    with pytest.raises(PartError, match=r"Tensor \(16, 4\), which is no 'bcx'"):
        record(Encoder0(), tmp_path / "run", parts={"": Part("mu, log_sigma", layout="bcx")})


class Encoder0(Encoder):
    def forward(self, x):
        mu, raw = self.raw(x)
        return mu, raw


PRIORS = {
    "numbers": (0.5, 2.0),
    "distribution": Normal(0.5, 2.0),
    "of each neuron": Normal(torch.linspace(-1, 1, NEURONS), torch.linspace(0.5, 2, NEURONS)),
    "diagonal": MultivariateNormal(torch.zeros(NEURONS), torch.diag(torch.linspace(0.5, 2, NEURONS) ** 2)),
    "a function": lambda module, output: (output[0].detach() / 2, torch.tensor(1.5)),
}


@pytest.mark.parametrize("kind", PRIORS)
def test_the_prior_of_a_part(tmp_path, kind):
    model, x, prior = Encoder0(), torch.randn(BATCH, INPUTS), PRIORS[kind]
    run, found = record(model, tmp_path / "run", x, parts={"": Part("mu, log_sigma", prior=prior)})
    assert found[0]["origins"]["prior"] == "stated"
    assert found[0]["assumed"] == []
    mu, raw = model(x)
    p = {"numbers": Normal(0.5, 2.0), "a function": Normal(mu.detach() / 2, 1.5)}.get(kind, prior)
    if kind == "diagonal":
        p = Normal(p.loc, p.stddev)
    close(run, kl_divergence(Normal(mu, raw.exp()), p).mean(0))


@pytest.mark.parametrize("prior", [(0.0, 0.0), (0.0, -1.0), "standard", (1.0,)])
def test_a_prior_that_is_none_is_refused(prior):
    with pytest.raises(PartError, match="parts: "):
        Part("mu, sigma", prior=prior)


@pytest.mark.parametrize("read", [5, None, ["mu", "log_sigma"], {"read": "mu, log_sigma"}])
def test_a_part_of_another_type_is_refused_with_the_grammar(read):
    with pytest.raises(PartError, match="does not say where mean and scale are; write"):
        Part(read)


@pytest.mark.parametrize("prior", [3, (1.0,), (1.0, "b"), (torch.zeros(NEURONS), torch.zeros(NEURONS))])
def test_a_prior_by_name_that_is_none_is_refused(tmp_path, prior):
    with pytest.raises(ValueError, match="the prior of 'z'"):
        watch(Encoder0(), tmp_path / "run", priors={"z": prior})


def test_priors_may_be_one_a_neuron(tmp_path):
    model, x = ReturnsMuLogVar(), torch.randn(BATCH, INPUTS)
    mean, sd = torch.linspace(-1, 1, NEURONS), torch.linspace(0.5, 2, NEURONS)
    run, found = record(model, tmp_path / "run", x, priors={"*": (mean, sd)})
    assert [one["origins"]["prior"] for one in found] == ["stated"]
    mu, log_var = model(x)
    close(run, kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(mean, sd)).mean(0))


def test_a_prior_for_a_name_that_no_layer_has_is_said(tmp_path):
    with pytest.warns(RuntimeWarning, match=r"priors: no layer is called \['latnet\*'\]; the layers are \["):
        record(ReturnsMuLogVar(), tmp_path / "run", priors={"latnet*": (0.0, 2.0), "*": (0.0, 1.0)})


def test_an_unknown_prior_leaves_kl_out(tmp_path):
    run, found = record(Encoder0(), tmp_path / "run", parts={"": Part("mu, log_sigma", prior="unknown")})
    assert found[0]["origins"]["prior"] == "absent"
    assert "kl" not in run.at(0)
    run, found = handed_over(tmp_path / "other", torch.randn(8, 3), torch.ones(3), "unknown")
    assert found["origins"]["prior"] == "absent"
    assert "kl" not in run.at(0)


def test_what_is_done_with_a_pair_before_it_is_used(tmp_path):
    model, x = ReturnsHalves(), torch.randn(BATCH, INPUTS)
    part = Part("mu | log_var", then=lambda mu, sigma: (torch.tanh(mu), sigma.clamp(max=0.5) + 0.1))
    run, _ = record(model, tmp_path / "run", x, parts={"": part})
    mu, raw = model.raw(x)
    close(run, kl_divergence(Normal(mu.tanh(), (raw / 2).exp().clamp(max=0.5) + 0.1), STANDARD).mean(0))


class Masked(nn.Module):
    """The mask is an argument of the model, the posterior of a module in it."""

    def __init__(self):
        super().__init__()
        self.head = Encoder0()

    def forward(self, x, attention_mask=None):
        return self.head(x)


@pytest.mark.parametrize("shape", [(BATCH, 5), (BATCH, 1, 5), (BATCH,)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_padding_is_not_pooled(tmp_path, shape, dtype):
    model, x = Masked(), torch.randn(BATCH, 5, INPUTS)
    mask = (torch.rand(shape) > 0.4).to(dtype)
    run, _ = record(
        model, tmp_path / "run", x, mask, parts={"head": Part("mu, log_sigma", mask="attention_mask")}
    )
    rows = mask.bool().reshape(BATCH, -1).expand(BATCH, 5)
    mu, raw = model(x)
    close(run, kl_divergence(Normal(mu, raw.exp()), STANDARD)[rows].mean(0))
    assert run.at(0)["rows"].eq(int(rows.sum())).all()
    assert not model._forward_pre_hooks


def test_a_mask_by_a_function_or_none_and_one_that_is_not_there(tmp_path):
    model, x = Masked(), torch.randn(BATCH, 5, INPUTS)
    part = Part("mu, log_sigma", mask=lambda module, output: output[0][..., 0] > 0)
    run, _ = record(model, tmp_path / "function", x, parts={"head": part})
    mu, raw = model(x)
    close(run, kl_divergence(Normal(mu, raw.exp()), STANDARD)[mu[..., 0] > 0].mean(0))
    parts = {"head": Part("mu, log_sigma", mask="attention_mask")}
    run, _ = record(model, tmp_path / "none", x, parts=parts)
    close(run, kl_divergence(Normal(mu, raw.exp()), STANDARD).mean((0, 1)))
    with pytest.raises(
        PartError, match=r"mask='mask' is no argument of the forward of 'head' \(x\) or of the model"
    ):
        watch(model, tmp_path / "other", parts={"head": Part("mu, log_sigma", mask="mask")})


COVARIANCE = torch.eye(NEURONS) + 0.5 * torch.ones(NEURONS, NEURONS)
GAUSSIANS = {
    "Normal": lambda mu: Normal(mu, 0.5),
    "Independent": lambda mu: Independent(Normal(mu, 0.5), 1),
    "MultivariateNormal": lambda mu: MultivariateNormal(mu, COVARIANCE),
    "LowRank": lambda mu: LowRankMultivariateNormal(mu, torch.ones(NEURONS, 1), torch.ones(NEURONS)),
}


@pytest.mark.parametrize("kind", GAUSSIANS)
def test_observe_takes_a_distribution_of_which_marginals_are_read(tmp_path, kind):
    mu = torch.randn(BATCH, NEURONS)
    run, _ = handed_over(tmp_path / "run", GAUSSIANS[kind](mu), prior=Normal(0.5, 2.0))
    q = GAUSSIANS[kind](mu)
    close(run, kl_divergence(Normal(mu, q.stddev.expand_as(mu)), Normal(0.5, 2.0)).mean(0))


def test_a_covariance_that_is_diagonal_at_first_is_looked_at_each_time(tmp_path):
    class Later(Encoder):
        correlated = 0.0

        def forward(self, x):
            scale = torch.eye(NEURONS) + self.correlated * torch.ones(NEURONS, NEURONS).tril(-1)
            return MultivariateNormal(self.raw(x)[0], scale_tril=scale)

    model, x = Later(), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        for step, model.correlated in enumerate((0.0, 0.7)):
            q = model(x)
            recording.step(step)
    assert recording.found[0]["family"] == "gaussian_full"
    np.testing.assert_allclose(
        Run(tmp_path / "run").at(1)["variance"], q.variance.mean(0).detach(), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("posterior", "prior", "words"),
    [
        (Laplace(torch.zeros(3, 2), 1.0), (0.0, 1.0), "prior of a Laplace is a distribution"),
        (
            Normal(torch.zeros(3, 4), 1.0),
            MultivariateNormal(torch.zeros(4), COVARIANCE),
            "correlated components is not its marginals",
        ),
        (Normal(torch.zeros(3, 2), 1.0), "flow", "a text can only be 'unknown'"),
        (torch.zeros(3, 2), None, "sigma is missing"),
    ],
)
def test_what_does_not_belong_together_is_refused_by_its_name(tmp_path, posterior, prior, words):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False), pytest.raises(ValueError, match=words):
        observe("z", posterior, prior=prior)


class Sneaky(Normal):
    """A subclass that is another distribution: a log-normal."""

    def rsample(self, shape=()):
        return super().rsample(shape).exp()

    sample = rsample

    def log_prob(self, value):
        return super().log_prob(value.log()) - value.log()


def test_a_subclass_of_normal_that_is_another_distribution_is_no_gaussian(tmp_path):
    """Neither its parent's mean nor torch's closed form of its parent's KL is taken for its own."""
    mu = torch.randn(4000, 2) + 1
    run, _ = handed_over(tmp_path / "run", Sneaky(mu, 1.0), prior=Sneaky(torch.zeros(()), 2.0))
    assert run.layers[0]["family"] == "generic"
    assert not {"mean", "variance", "entropy"} & set(run.statistics)
    frame = run.at(0)
    exact = kl_divergence(Normal(mu, 1.0), Normal(0.0, 2.0)).mean(0)
    assert (abs(frame["kl"] - exact.numpy()) < 5 * frame["kl_error"]).all()
    assert (frame["kl_error"] > 0).all()


def test_a_gaussian_under_another_prior_has_the_kl_of_both(tmp_path):
    mu = torch.randn(2000, 3)
    q, p = Normal(mu, 0.5), Laplace(torch.zeros(3), 1.0)
    run, _ = handed_over(tmp_path / "run", q, prior=p)
    frame = run.at(0)
    z = q.sample((500,))
    exact = (q.log_prob(z) - p.log_prob(z)).mean((0, 1))
    np.testing.assert_allclose(frame["kl"], exact, rtol=0.02)
    np.testing.assert_allclose(frame["mean"], mu.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(frame["variance"], 0.25, rtol=1e-5)
    assert "mismatch" not in frame


def test_terms_of_a_loss_are_kept_apart_by_tags(tmp_path):
    mus = {tag: torch.randn(BATCH, NEURONS) + place for place, tag in enumerate(("joint", "image", "text"))}
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        for step in range(2):
            for tag, mu in mus.items():
                observe("z", mu, torch.ones(NEURONS), tag=tag)
            recording.step(step)
    run = Run(tmp_path / "run")
    assert [layer["name"] for layer in run.layers] == ["z/joint", "z/image", "z/text"]
    for place, mu in enumerate(mus.values()):
        close(run, kl_divergence(Normal(mu, 1.0), STANDARD).mean(0), place, 1)


def test_forwards_with_different_arguments_are_said_to_be_pooled(tmp_path):
    class Semi(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = ReturnsMuLogVar()

        def forward(self, x, y=None):
            mu, logvar = self.encoder(x)
            return mu

    model, x = Semi(), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        model(x)
        model(x, torch.ones(BATCH))
        recording.step(0)
    assert any("called with x; x, y" in one for one in recording.found[0]["assumed"])
    assert "tag=" in recording.found[0]["why"]
    assert not model._forward_pre_hooks


def test_masks_layouts_and_priors_of_what_is_handed_over(tmp_path):
    mu, mask = torch.randn(BATCH, NEURONS, 5), torch.rand(BATCH, 5) > 0.3
    prior = Normal(torch.randn(BATCH, NEURONS, 5), torch.rand(BATCH, NEURONS, 5) + 0.5)
    run, _ = handed_over(tmp_path / "run", mu, torch.full((), 0.5), prior, mask=mask, layout="bct")
    kl = kl_divergence(Normal(mu, torch.tensor(0.5)), prior).movedim(1, -1)
    close(run, kl[mask].mean(0))


def test_priors_by_name_reach_what_is_handed_over(tmp_path):
    mu = torch.randn(BATCH, NEURONS)
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, priors={"z*": (0.5, 2.0)}) as recording:
        for step in range(2):
            observe("z1", mu, torch.ones(NEURONS))
            recording.step(step)
    assert recording.found[0]["origins"]["prior"] == "stated"
    for step in range(2):
        close(Run(tmp_path / "run"), kl_divergence(Normal(mu, 1.0), Normal(0.5, 2.0)).mean(0), step=step)


def test_what_is_handed_over_in_a_model_that_has_a_prior_is_not_under_another(tmp_path):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.prior_net = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

        def forward(self, x):
            mu = self.encoder(x)
            observe("z", mu, torch.ones(NEURONS))
            return mu - self.prior_net(x)

    run, found = record(Own(), tmp_path / "run", hooks=False)
    assert found[0]["origins"]["prior"] == "absent"
    assert "the module 'prior_net'" in found[0]["prior"]
    assert "kl" not in run.at(0)


def test_layouts_masks_and_tags_inside_a_compiled_graph(tmp_path):
    class Sequence(Encoder):
        def forward(self, x):
            mu, raw = self.raw(x)
            observe("z", mu, F.softplus(raw), mask=x[..., 0] > 0, layout="btn", tag="joint")
            return mu

    torch.compiler.reset()
    model, x = Sequence(), torch.randn(BATCH, 3, INPUTS)
    with watch(model, tmp_path / "run", hooks=False) as recording:
        torch.compile(model, fullgraph=True, backend="aot_eager")(x)
        recording.step(0)
    run = Run(tmp_path / "run")
    assert run.layers[0]["name"] == "z/joint"
    mu, raw = model.raw(x)
    close(run, kl_divergence(Normal(mu, F.softplus(raw)), STANDARD)[x[..., 0] > 0].mean(0))


@pytest.mark.parametrize("first", ["rows", "positions"])
@pytest.mark.parametrize("lengths", [True, False])
def test_a_mask_that_is_not_used_is_said(tmp_path, first, lengths):
    class Sequences(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc_mu, self.fc_logvar = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x, padding_mask):
            return self.fc_mu(x), self.fc_logvar(x), padding_mask

    shape = (8, 5) if first == "rows" else (5, 8)
    mask = torch.full((8,), 4) if lengths else torch.ones(shape, dtype=torch.bool)
    for given, expected in ((mask, True), (torch.ones(3, 3), False)):
        with watch(Sequences(), tmp_path / str(expected)) as recording:
            model = recording.model
            model(torch.randn(*shape, 3), given)[0].square().mean().backward()
            recording.step(0)
        assumed = "that every position counts (padding_mask not used)"
        assert (assumed in recording.found[0]["assumed"]) == expected
