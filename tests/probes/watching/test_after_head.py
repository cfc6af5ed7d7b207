"""What stands between a named head and its sample: read as it is used, or refused by name; and nothing is
accused where nothing stands.
"""

import gc
import weakref

import foreign_models as foreign
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence
from torch.utils.checkpoint import checkpoint

from probes.run import Run
from probes.watching.as_sampled import far_from_standard
from probes.watching.attaching import watch


def half(raw):
    return (raw / 2).exp()


def tight(raw):
    return half(raw.clamp(-0.3, 0.2))


class VAE(nn.Module):
    """Returns its reconstruction alone; `use` makes mean and sigma of what the heads put out."""

    def __init__(self, use, mean="fc_mu", scale="fc_logvar", sample=lambda mu, sd: mu + sd * noise(mu)):
        super().__init__()
        self.body, self.decoder = nn.Linear(INPUTS, 8), nn.Linear(NEURONS, INPUTS)
        self.names, self.use, self.sample = (mean, scale), use, sample
        self.add_module(mean, nn.Linear(8, NEURONS))
        self.add_module(scale, nn.Linear(8, NEURONS))
        self.norm, self.trained_norm = nn.BatchNorm1d(NEURONS, affine=False), nn.BatchNorm1d(NEURONS)
        self.softplus, self.drop, self.more = nn.Softplus(), nn.Dropout(0.3), nn.Linear(NEURONS, NEURONS)
        self.gate = nn.Parameter(torch.full((NEURONS,), 0.7))
        self.register_buffer("offset", torch.linspace(0.1, 0.5, NEURONS))

    def forward(self, x):
        h = self.body(x).tanh()
        mu, sigma = self.use(self, *(getattr(self, name)(h) for name in self.names))
        self.truth = mu.detach(), sigma.detach()
        return self.decoder(self.sample(mu, sigma))


def noise(like):
    return torch.randn_like(like)


def record(model, folder, steps=2, rows=BATCH):
    torch.manual_seed(1)
    for name in getattr(model, "names", ())[1:]:
        model.get_submodule(name).weight.data *= 3
    with watch(model, folder) as recording:
        for step in range(steps):
            model(torch.randn(rows, INPUTS))
            recording.step(step)
    return Run(folder), recording.found


PLAIN = {
    "half": VAE(lambda m, mu, raw: (mu, half(raw))),
    "times": VAE(lambda m, mu, raw: (mu, (0.5 * raw).exp())),
    "root": VAE(lambda m, mu, raw: (mu, raw.exp().sqrt())),
    "power": VAE(lambda m, mu, raw: (mu, raw.exp() ** 0.5)),
    "log_std": VAE(lambda m, mu, raw: (mu, raw.exp()), "mean", "log_std"),
    "rho": VAE(lambda m, mu, raw: (mu, F.softplus(raw)), "mu", "rho"),
    "in place": VAE(lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: noise(sd).mul(sd).add_(mu)),
    "addcmul": VAE(lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: mu.addcmul(sd, noise(mu))),
    "minus": VAE(lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: mu - noise(mu) * sd),
    "Normal": VAE(lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: Normal(mu, sd).rsample()),
    "Independent": VAE(
        lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: Independent(Normal(mu, sd), 1).rsample()
    ),
    "several": VAE(lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: Normal(mu, sd).rsample((5,))),
    "normal": VAE(lambda m, mu, raw: (mu, half(raw)), sample=torch.normal),
    "correlated": VAE(
        lambda m, mu, raw: (mu, half(raw)),
        sample=lambda mu, sd: MultivariateNormal(mu, torch.diag_embed(sd**2)).rsample(),
    ),
    "squashed": VAE(
        lambda m, mu, raw: (mu, raw.exp()), "mu", "log_std", lambda mu, sd: (mu + sd * noise(mu)).tanh()
    ),
    "shared noise": VAE(lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: mu + sd * noise(mu[0])),
}


@pytest.mark.parametrize("name", PLAIN)
def test_where_nothing_stands_between_nothing_is_said(tmp_path, name):
    run, found = record(PLAIN[name], tmp_path / "run")
    assert "ASSUMED" not in found[0]["why"]
    assert found[0]["source"] == " & ".join(PLAIN[name].names)
    assert_statistics(run.at(1), expected(*PLAIN[name].truth))


SEEN = [
    ("fc_sigma", lambda m, mu, raw: (mu, raw.exp()), "σ = exp(fc_sigma)"),
    ("fc_var", lambda m, mu, raw: (mu, half(raw)), "σ = exp(0.5 * fc_var)"),
    ("fc_sigma", lambda m, mu, raw: (mu, F.softplus(raw)), "σ = softplus(fc_sigma)"),
    ("fc_sigma", lambda m, mu, raw: (mu, F.softplus(raw) + 1e-4), "σ = softplus(fc_sigma) + 0.0001"),
    ("fc_std", lambda m, mu, raw: (mu, m.softplus(raw) + 0.1), "σ = softplus(fc_std) + 0.1"),
    ("fc_var", lambda m, mu, raw: (mu, (F.softplus(raw) + 1e-3).sqrt()), "sqrt(softplus(fc_var) + 0.001)"),
    ("fc_std", lambda m, mu, raw: (mu, 2 * (raw / 2).sigmoid() + 0.1), "2 * sigmoid(0.5 * fc_std) + 0.1"),
    ("fc_std", lambda m, mu, raw: (mu, F.elu(raw) + 1.01), "elu(fc_std) + 1.01"),
    ("fc_std", lambda m, mu, raw: (mu, raw.abs() + 0.01), "abs(fc_std) + 0.01"),
    ("fc_std", lambda m, mu, raw: (mu, raw**2 + 0.01), "pow(fc_std, exponent=2) + 0.01"),
    (
        "fc_scale",
        lambda m, mu, raw: (mu, 1 / (F.softplus(raw) + 0.2)),
        "reciprocal(softplus(fc_scale) + 0.2)",
    ),
    (
        "fc_std",
        lambda m, mu, raw: (5 * (mu / 5).tanh(), F.softplus(raw + 0.54) + 1e-4),
        "mean = 5 * tanh(0.2 * fc_mu), σ = softplus(fc_std + 0.54) + 0.0001",
    ),
    (
        "fc_log_std",
        lambda m, mu, raw: (mu, (-2 + 0.5 * 3 * (raw.tanh() + 1)).exp()),
        "σ = exp(1.5 * tanh(fc_log_std) - 0.5)",
    ),
    ("fc_logvar", lambda m, mu, raw: (mu, tight(raw)), "exp(0.5 * clamp(fc_logvar, min=-0.3, max=0.2))"),
    ("fc_logvar", lambda m, mu, raw: (mu, half(raw.clamp_(min=0.1))), "clamp(fc_logvar, min=0.1)"),
    ("fc_logvar", lambda m, mu, raw: (mu, half(F.hardtanh(raw))), "hardtanh(fc_logvar, min=-1, max=1)"),
    ("fc_logvar", lambda m, mu, raw: (mu, half(-F.softplus(-raw))), "neg(softplus(neg(fc_logvar)))"),
    ("fc_logvar", lambda m, mu, raw: (mu.tanh(), half(raw)), "mean = tanh(fc_mu)"),
    ("fc_logvar", lambda m, mu, raw: (mu + 0.5, half(raw)), "mean = fc_mu + 0.5"),
    ("fc_logvar", lambda m, mu, raw: (m.norm(mu), half(raw)), "mean = norm(fc_mu)"),
    ("fc_logvar", lambda m, mu, raw: (m.trained_norm(mu), half(m.norm(raw))), "exp(0.5 * norm(fc_logvar))"),
    ("fc_logvar", lambda m, mu, raw: (m.drop(mu), half(raw)), "mean = drop(fc_mu)"),
    ("fc_logvar", lambda m, mu, raw: (m.more(mu), half(raw)), "mean = more(fc_mu)"),
]


@pytest.mark.parametrize(("scale", "use", "said"), SEEN)
def test_what_stands_between_is_read(tmp_path, scale, use, said):
    model = VAE(use, "fc_mu", scale)
    run, found = record(model, tmp_path / "run")
    assert said in found[0]["why"]
    assert "ASSUMED" not in found[0]["why"]
    assert_statistics(run.at(1), expected(*model.truth))


def test_a_factor_behind_a_scale_may_be_a_temperature(tmp_path):
    model = VAE(lambda m, mu, raw: (mu, 0.5 * half(raw)))
    run, found = record(model, tmp_path / "run")
    assert "0.5 * exp(0.5 * fc_logvar); ASSUMED that 0.5 is a part of σ" in found[0]["why"]
    assert "that 0.5 is a part of σ, and no temperature of its sample" in found[0]["assumed"]
    assert_statistics(run.at(1), expected(*model.truth))


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda m, mu, raw: (mu * m.gate, half(raw)), "a product with another tensor"),
        (lambda m, mu, raw: (F.dropout(mu, 0.3), half(raw)), "a product with another tensor"),
        (lambda m, mu, raw: (mu + m.more(mu), half(raw)), "a sum with another tensor"),
        (lambda m, mu, raw: (mu + m.offset, half(raw)), "a sum with what is not one number"),
        (lambda m, mu, raw: (F.normalize(mu), half(raw)), "a quotient with another tensor"),
        (lambda m, mu, raw: (F.layer_norm(mu, (NEURONS,)), half(raw)), "a layer norm"),
        (lambda m, mu, raw: (mu, torch.maximum(half(raw), torch.tensor(0.5))), "maximum"),
        (lambda m, mu, raw: (mu, torch.where(raw > 0, 1 + raw, raw.exp())), "Where"),
    ],
)
def test_what_cannot_be_repeated_is_refused_with_what_to_write(tmp_path, use, said):
    with pytest.warns(RuntimeWarning, match=rf"{said} stands between .*probes\.observe.*then=function"):
        record(VAE(use), tmp_path / "run")


def test_a_sample_without_gradients_leaves_the_heads_as_named_and_says_so(tmp_path):
    model = VAE(lambda m, mu, raw: (mu, tight(raw)), sample=lambda mu, sd: Normal(mu, sd).sample())
    _, found = record(model, tmp_path / "run")
    assert "ASSUMED as it is, since what uses it was not seen" in found[0]["why"]


def test_a_clamp_is_seen_where_the_sample_is_not(tmp_path):
    model = VAE(
        lambda m, mu, raw: (mu, tight(raw)),
        sample=lambda mu, sd: MultivariateNormal(mu, torch.diag_embed(sd**2)).rsample(),
    )
    run, found = record(model, tmp_path / "run")
    assert "ASSUMED clamp(fc_logvar, min=-0.3, max=0.2) is ln σ²" in found[0]["why"]
    assert_statistics(run.at(1), expected(*model.truth))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

    def forward(self, x):
        mu, logvar = self.fc_mu(x).tanh(), 3 * self.fc_logvar(x)
        return mu, logvar


class Whole(nn.Module):
    """Whose encoder returns a pair, or is repeated by checkpointing."""

    def __init__(self, forward):
        super().__init__()
        self.encoder, self.decoder, self.cell = Encoder(), nn.Linear(NEURONS, INPUTS), nn.Linear(4, INPUTS)
        self.forward_ = forward

    def forward(self, x):
        return self.forward_(self, x)

    def sample(self, mu, sigma):
        self.truth = mu.detach().reshape(-1, NEURONS), sigma.detach().reshape(-1, NEURONS)
        return mu + sigma * noise(mu)


def clamped_later(m, x):
    mu, raw = m.encoder(x)
    return m.decoder(m.sample(mu, tight(raw)))


def returned(m, x):
    mu, raw = m.encoder(x)
    q = Normal(mu, F.softplus(raw) + 0.1)
    return m.decoder(m.sample(q.loc, q.scale)), q


def recurrent(m, x):
    mus, sigmas, states = [], [], x
    for _ in range(3):
        mu, raw = m.encoder(states)
        mus, sigmas = [*mus, mu], [*sigmas, tight(raw)]
        states = F.linear(m.sample(mu, sigmas[-1]), m.decoder.weight)
    m.truth = torch.cat(mus).detach(), torch.cat(sigmas).detach()
    return m.decoder(mus[-1] + states.mean())


def stacked(m, x):
    mus, raws = zip(*(m.encoder(factor * x) for factor in (1, 2, 3)), strict=True)
    return m.decoder(m.sample(torch.stack(mus, 1), tight(torch.stack(raws, 1))))


def repeated(m, x):
    mu, raw = checkpoint(m.encoder, x, use_reentrant=False)
    return m.decoder(m.sample(mu, half(raw)))


@pytest.mark.parametrize("forward", [clamped_later, returned, recurrent, stacked, repeated])
def test_pairs_that_are_returned_called_again_or_repeated(tmp_path, forward):
    model = Whole(forward)
    run, found = record(model, tmp_path / "run")
    assert len(found) == 1
    several = forward in (recurrent, stacked)  # calls of the encoder, which might be of no inputs
    doubts = [one for one in found[0]["assumed"] if not one.startswith("the prior")]
    assert doubts == (["that all its 3 calls of a step are of inputs, each a posterior of its own"] * several)
    assert_statistics(run.at(1), expected(*model.truth))


def test_checkpointed_batches_are_not_repeated_more_often(tmp_path):
    """To look at what autograd saved would run the forward pass again, with all that it counts."""

    def inner(m, x):
        mu, raw = m.encoder.fc_mu(x), m.encoder.fc_logvar(x)
        m.calls += 1
        return m.decoder(m.sample(mu, tight(raw)))

    model = Whole(lambda m, x: checkpoint(inner, m, x, use_reentrant=False))
    model.calls = 0
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, INPUTS)).sum().backward()
        recording.step(0)
    assert model.calls == 2
    assert "clamp(encoder.fc_logvar" in recording.found[0]["why"]
    assert_statistics(Run(tmp_path / "run").at(0), expected(*model.truth))


# of the compiler's own look at it
@pytest.mark.filterwarnings("default:The .grad attribute of a Tensor that is not a leaf")
def test_what_a_compiled_function_does_is_out_of_sight_and_said(tmp_path):
    sample = torch.compile(lambda mu, raw: mu + tight(raw) * noise(mu), backend="aot_eager", fullgraph=True)
    model = Whole(lambda m, x: m.decoder(sample(m.encoder.fc_mu(x), m.encoder.fc_logvar(x))))
    _, found = record(model, tmp_path / "run")
    assert "ASSUMED as it is, since what uses it was not seen" in found[0]["why"]


def test_what_autograd_saves_elsewhere_is_left_there(tmp_path):
    model, unpacked = VAE(lambda m, mu, raw: (mu, tight(raw))), []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: unpacked.append(0) or x)
    with hooks, watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, INPUTS))
        recording.step(0)
    assert not unpacked
    assert "exp(0.5 * clamp(fc_logvar, min=-0.3, max=0.2)); its factor as" in recording.found[0]["why"]
    assert_statistics(Run(tmp_path / "run").at(0), expected(*model.truth))


def test_micro_batches_before_the_first_step_are_all_read_as_they_are_used(tmp_path):
    model, truths = VAE(lambda m, mu, raw: (m.norm(mu), F.softplus(raw) + 0.1), "fc_mu", "fc_std"), []
    with watch(model, tmp_path / "run") as recording:
        for _ in range(3):
            model(torch.randn(BATCH, INPUTS))
            truths.append(model.truth)
        recording.step(0)
    mu, sigma = (torch.cat(values) for values in zip(*truths, strict=True))
    assert_statistics(Run(tmp_path / "run").at(0), expected(mu, sigma))


@pytest.mark.parametrize("steps", [1, 3])
def test_training_is_bit_for_bit_the_same(tmp_path, steps):
    def train(recording=None):
        optimiser, seen = torch.optim.Adam(model.parameters(), 0.01), []
        torch.manual_seed(3)
        for step in range(steps):
            optimiser.zero_grad()
            output = model(torch.randn(BATCH, INPUTS))
            output.square().mean().backward()
            optimiser.step()
            seen += [output.detach().clone(), *(p.detach().clone() for p in model.parameters())]
            if recording is not None:
                recording.step(step)
        return [*seen, *(buffer.clone() for buffer in model.buffers()), torch.get_rng_state()]

    traces = []
    for folder in (None, tmp_path / "run"):
        torch.manual_seed(0)
        model = VAE(lambda m, mu, raw: (m.norm(mu), half(raw.clamp(-0.3, 0.2)) + 0.1))
        if folder is None:
            traces.append(train())
        else:
            with watch(model, folder) as recording:
                traces.append(train(recording))
    assert all(torch.equal(one, other) for one, other in zip(*traces, strict=True))


def test_the_graph_is_kept_alive_no_longer(tmp_path):
    kept = []

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            kept.append(weakref.ref(ctx))
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    model = VAE(lambda m, mu, raw: (mu, half(Square.apply(raw).clamp(max=1))))
    recording = watch(model, tmp_path / "run")
    output = model(torch.randn(BATCH, INPUTS))
    assert kept[0]() is not None
    del output
    gc.collect()
    assert kept[0]() is None
    recording.close()


def test_what_goes_wrong_in_the_search_does_not_reach_training(tmp_path, monkeypatch):
    def fail(*_):
        raise ArithmeticError

    monkeypatch.setattr("probes.watching.after_head.kind_of", fail)
    run, _ = record(model := VAE(lambda m, mu, raw: (mu, half(raw))), tmp_path / "run")
    np.testing.assert_allclose(run.at(1)["kl"], expected(*model.truth)["kl"], rtol=1e-4)


def test_hooks_are_gone_after_the_first_step(tmp_path):
    model = VAE(lambda m, mu, raw: (mu, half(raw)))
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, INPUTS))
        recording.step(0)
        # of the pair, to begin anew with each forward pass
        assert sum(len(module._forward_pre_hooks) for module in model.modules()) == 1
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_heads_that_are_returned_as_they_are_keep_their_names(tmp_path):
    """Also where the source of `forward`, and with it the names of what it returns, is not to be had."""
    space = {"nn": nn}
    exec(
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc_mu, self.fc_logvar = nn.Linear(8, 4), nn.Linear(8, 4)\n"
        "    def forward(self, x):\n"
        "        return self.fc_mu(x), self.fc_logvar(x)\n",
        space,
    )
    model = space["Net"]()
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(16, 8))
        recording.step(0)
    assert recording.found[0]["name"] == "fc_mu"
    assert "ASSUMED" not in recording.found[0]["why"]


class HandsOn(VAE):
    """Returns its heads as they are, and samples with a scale that it clamps."""

    def forward(self, x):
        h = self.body(x).tanh()
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        self.truth = mu.detach(), tight(logvar).detach()
        return self.decoder(mu + tight(logvar) * noise(mu)), mu, logvar


def test_heads_that_are_returned_are_read_as_they_are_sampled(tmp_path):
    model = HandsOn(None)
    run, found = record(model, tmp_path / "run", steps=3)
    assert [part["name"] for part in found] == ["HandsOn"]
    assert "clamp" in found[0]["why"]
    assert_statistics(run.at(2), expected(*model.truth))


def test_what_cannot_be_repeated_is_refused_of_returned_heads_too(tmp_path):
    class Gated(HandsOn):
        def forward(self, x):
            h = self.body(x).tanh()
            mu, logvar = self.fc_mu(h), self.fc_logvar(h)
            return self.decoder(mu * self.gate + half(logvar) * noise(mu)), mu, logvar

    with pytest.warns(RuntimeWarning, match="a product with another tensor stands between"):
        record(Gated(None), tmp_path / "run")


def test_several_samples_of_a_posterior_are_drawn_with_its_repeated_heads(tmp_path):
    model = VAE(lambda m, mu, raw: (mu[:, None].repeat(1, 3, 1), half(raw[:, None].repeat(1, 3, 1))))
    run, _ = record(model, tmp_path / "run", steps=3)
    mu, sigma = (one[:, 0] for one in model.truth)
    assert_statistics(run.at(2), expected(mu, sigma))


def test_the_encoders_that_an_encoder_is_made_of_are_no_layers(tmp_path):
    torch.manual_seed(0)
    model = foreign.Joint()
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(BATCH, foreign.X), torch.randn(BATCH, foreign.C))
        recording.step(0)
    assert [part["name"] for part in recording.found] == ["encoder"]
    np.testing.assert_allclose(Run(tmp_path / "run").at(0)["kl"], model.paid("encoder"), rtol=1e-4)


class Inference(nn.Module):
    def __init__(self):
        super().__init__()
        self.f_mu, self.f_sigma = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

    def forward(self, x):
        mu, log_sigma = self.f_mu(x), self.f_sigma(x)
        return mu, log_sigma


class Topics(nn.Module):
    """What is called log_sigma is a log variance, as its sample shows; two modules return it, the upper one
    with a prior whose variance it holds.
    """

    def __init__(self, returned):
        super().__init__()
        self.inference, self.decoder, self.returned = Inference(), nn.Linear(NEURONS, INPUTS), returned
        self.register_buffer("prior_mean", torch.zeros(NEURONS))
        self.register_buffer("prior_variance", torch.full((NEURONS,), 0.75))

    def forward(self, x):
        posterior_mu, posterior_log_sigma = self.inference(x)
        std = (0.5 * posterior_log_sigma).exp()
        z = torch.randn_like(std).mul(std).add_(posterior_mu)
        self.kl = kl_divergence(Normal(posterior_mu, std), Normal(0.0, 0.75**0.5)).mean(0).detach()
        output = self.decoder(z.softmax(1))
        if self.returned:
            return self.prior_mean, self.prior_variance, posterior_mu, posterior_log_sigma, output
        return output


@pytest.mark.parametrize("returned", [True, False])
def test_heads_that_two_modules_return_are_read_as_they_are_sampled(tmp_path, returned):
    model = Topics(returned)
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            model(torch.randn(BATCH, INPUTS))
            recording.step(step)
    np.testing.assert_allclose(Run(tmp_path / "run").at(1)["kl"], model.kl, rtol=1e-4)


@pytest.mark.parametrize("written", ["added", "put"])
def test_the_diagonal_of_a_cholesky_factor_is_no_sigma(tmp_path, written):
    """It multiplies the noise together with what stands below: the variance of a component is more."""
    below, (i, j) = nn.Linear(NEURONS, NEURONS**2), torch.tril_indices(NEURONS, NEURONS, -1)

    def sample(mu, sd):
        lower = below(mu.detach()).view(-1, NEURONS, NEURONS)
        if written == "added":
            factor = torch.diag_embed(sd) + lower.tril(-1)
        else:
            factor = torch.zeros_like(lower)
            factor[:, range(NEURONS), range(NEURONS)] = sd
            factor[:, i, j] = lower[:, i, j]
        return mu + (factor @ torch.randn(len(mu), NEURONS, 1)).squeeze(-1)

    said = r"a matrix product stands between the scale of .*probes\.observe"
    with pytest.warns(RuntimeWarning, match=said):
        record(VAE(lambda m, mu, raw: (mu, half(raw)), sample=sample), tmp_path / "run")


UNIFORM = {
    "logistic": lambda u: u.log() - (1 - u).log(),
    "uniform": lambda u: u - 0.5,
    "uniform of variance 1": lambda u: (u - 0.5) * 12**0.5,
    "signs": lambda u: (u > 0.5).float() * 2 - 1,
    "Laplace of variance 1": lambda u: Laplace(0.0, 0.5**0.5).icdf(u),
}


def uniform(like):
    return torch.empty_like(like).uniform_(1e-5, 1 - 1e-5)


@pytest.mark.parametrize("kind", UNIFORM)
def test_noise_that_is_far_from_gaussian_is_no_gaussians(tmp_path, kind):
    """Told by the noise itself: nothing in the source says where it comes from."""
    model = VAE(
        lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: mu + sd * UNIFORM[kind](uniform(mu))
    )
    with pytest.warns(RuntimeWarning, match=r"noise that .* is sampled with is not Normal\(0, 1\)"):
        record(model, tmp_path / "run", rows=500)


@pytest.mark.parametrize("size", [16, 300, 5000])
def test_gaussian_noise_is_not_told_from_itself(size):
    generator = torch.Generator().manual_seed(size)
    draws = torch.randn(300, size, generator=generator)
    assert [one for one in draws if far_from_standard(one) is not None] == []
    assert far_from_standard(draws[:1, :16].expand(1000, 16)) is None  # one noise for all rows


def test_noise_that_is_scaled_is_not_passed_over(tmp_path):
    model = VAE(lambda m, mu, raw: (mu, half(raw)), sample=lambda mu, sd: mu + sd * (0.3 * noise(mu)))
    with pytest.warns(RuntimeWarning, match=r"is sampled with is not Normal.*variance 0\."):
        record(model, tmp_path / "run")


def test_a_scale_of_both_signs_is_read_by_its_size(tmp_path):
    """`stds` is a linear layer, whose output is multiplied with Gaussian noise as it is."""
    model = VAE(lambda m, mu, sd: (mu, sd), mean="means", scale="stds")
    run, [found] = record(model, tmp_path)
    mu, sd = model.truth
    assert (sd < 0).any()
    assert "σ = abs(stds)" in found["why"]
    assert_statistics(run.at(1), expected(mu, sd.abs()))


class Normed(nn.Module):
    """Heads, and norms of both that are named as heads are."""

    def __init__(self):
        super().__init__()
        self.fc21, self.fc22 = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)
        self.mean_bn, self.logvar_bn = nn.BatchNorm1d(NEURONS), nn.BatchNorm1d(NEURONS)
        self.decoder = nn.Linear(NEURONS, INPUTS)

    def forward(self, x):
        mu, log_var = self.mean_bn(self.fc21(x)), self.logvar_bn(self.fc22(x))
        self.truth = mu.detach(), half(log_var).detach()
        return self.decoder(mu + half(log_var) * noise(mu))


def test_norms_that_are_named_as_the_heads_before_them_are_the_layer(tmp_path):
    model = Normed()
    run, found = record(model, tmp_path / "run")
    assert [part["name"] for part in found] == ["mean_bn"]
    assert_statistics(run.at(1), expected(*model.truth))
