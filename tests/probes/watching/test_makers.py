"""Posteriors that are made in a forward pass and not returned; what a network predicts is none."""

import numpy as np
import pytest
import torch
import torch.distributions as td
import torch.nn.functional as F
from foreign_models import Hyperbolic
from foreign_models import X as INPUTS
from torch import nn
from torch.distributions import Distribution, kl_divergence

from probes.run import Run
from probes.watching.attaching import watch

X, N, C, BATCH, STEPS = 8, 4, 3, 16, 5
INIT, GUMBEL = Distribution.__init__, F.gumbel_softmax


def train(model, path, *shape, steps=3):
    with watch(model, path) as recording:
        for step in range(steps):
            model(torch.randn(*(shape or (BATCH, X))))
            recording.step(step)
    assert (Distribution.__init__, F.gumbel_softmax) == (INIT, GUMBEL)
    return Run(path), recording


class GumbelVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc, self.dec = nn.Linear(X, N * C), nn.Linear(N * C, X)

    def forward(self, x):
        logits = self.enc(x).view(-1, N, C)
        probability = logits.detach().softmax(-1)
        self.kl = (probability * (C * probability).log()).sum(-1)
        return self.dec(F.gumbel_softmax(logits, tau=0.5, hard=True).flatten(1))


class WorldModel(nn.Module):
    """A recurrent state space model of Dreamer's kind: one-hot variables, unimix, straight-through."""

    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRUCell(N * C, 16), nn.Linear(16 + N * C, X)
        self.prior_net, self.post_net = nn.Linear(16, N * C), nn.Linear(16 + X, N * C)

    def variables(self, logits):
        mixed = 0.99 * logits.view(-1, N, C).softmax(-1) + 0.01 / C
        return td.Independent(td.OneHotCategorical(probs=mixed), 1)

    def forward(self, x):
        h, z = torch.zeros(len(x), 16), torch.zeros(len(x), N * C)
        kl, outputs = [], []
        for t in range(x.shape[1]):
            h = self.cell(z, h)
            p, q = (
                self.variables(self.prior_net(h)),
                self.variables(self.post_net(torch.cat([h, x[:, t]], 1))),
            )
            through = q.sample() + q.base_dist.probs - q.base_dist.probs.detach()
            z = through.flatten(1)
            kl.append(kl_divergence(q.base_dist, p.base_dist))
            outputs.append(self.out(torch.cat([h, z], 1)))
        self.kl = torch.cat(kl)
        return torch.stack(outputs, 1)


@pytest.mark.parametrize(
    ("model", "shape", "name", "prior"),
    [(GumbelVAE(), (), "enc", "uniform"), (WorldModel(), (BATCH, STEPS, X), "post_net", "given")],
)
def test_discrete_latents_have_the_kl_that_the_network_computes(tmp_path, model, shape, name, prior):
    run, recording = train(model, tmp_path / "run", *shape)
    layer = run.layers[0]
    assert [layer[key] for key in ("name", "family", "classes", "neurons", "prior")] == [
        name, "categorical", C, N, prior,
    ]  # fmt: skip
    assert recording.lost == 0
    np.testing.assert_allclose(run.at(2)["kl"], model.kl.mean(0).detach(), rtol=1e-4, atol=1e-6)
    if prior == "given":
        assert (run.at(2)["rows"] == BATCH * STEPS).all()


class Alternating(nn.Module):
    """Variables that stand below each other in the rows which are drawn from."""

    def __init__(self):
        super().__init__()
        self.enc, self.dec = nn.Linear(X, N * C), nn.Linear(N * C, X)

    def forward(self, x):
        rows = self.enc(x).view(-1, C)
        probability = rows.detach().view(-1, N, C).softmax(-1)
        self.kl = (probability * (C * probability).log()).sum(-1)
        return self.dec(F.gumbel_softmax(rows, hard=True).view(-1, N * C))


def test_variables_whose_rows_alternate_are_neurons_of_their_own(tmp_path):
    model = Alternating()
    run, _ = train(model, tmp_path / "run")
    assert (run.layers[0]["neurons"], run.layers[0]["classes"]) == (N, C)
    np.testing.assert_allclose(run.at(2)["kl"], model.kl.mean(0), rtol=1e-4, atol=1e-6)


class Twice(GumbelVAE):
    """Draws from its logits, and makes the distribution once more for the KL."""

    def __init__(self, halves=False):
        super().__init__()
        self.halves = halves
        nn.init.zeros_(self.enc.weight)
        nn.init.zeros_(self.enc.bias)

    def forward(self, x):
        flat = self.enc(x)
        drawn, again = flat.chunk(2, 1) if self.halves else (flat, flat)
        z = F.gumbel_softmax(drawn.reshape(len(x), -1, C), tau=0.5)
        q = td.Categorical(logits=again.reshape(len(x), -1, C))
        self.kl = kl_divergence(q, td.Categorical(logits=torch.zeros(C))).sum(1)
        return z.flatten(1)


def test_classes_that_are_made_again_for_their_kl_are_one_layer(tmp_path):
    run, _ = train(Twice(), tmp_path / "run")
    assert [(layer["neurons"], layer["family"]) for layer in run.layers] == [(N, "categorical")]
    run, _ = train(Twice(halves=True), tmp_path / "halves")  # of one head, and equal at first
    assert [layer["neurons"] for layer in run.layers] == [N // 2, N // 2]


def test_rollouts_of_another_length_are_read_and_odd_ones_counted(tmp_path):
    model = WorldModel()
    with watch(model, tmp_path / "run") as recording:
        for step, length in enumerate((2, 5)):
            model(torch.randn(BATCH, length, X))
            recording.step(step)
        forward = model.prior_net.forward
        model.prior_net.forward = lambda h: (td.Beta(torch.ones(3, 2), 1.0), forward(h))[1]
        with pytest.warns(RuntimeWarning, match="made 6 distributions in a forward pass"):
            model(torch.randn(BATCH, 2, X))
        td.Beta(torch.ones(3, 2), 1.0)  # outside of the model: nobody's
        recording.step(2)
    run = Run(tmp_path / "run")
    assert [int(run.at(step)["rows"].iloc[0]) for step in (0, 1)] == [2 * BATCH, 5 * BATCH]
    assert recording.lost == 1


@pytest.mark.parametrize("family", ["laplace", "student_t"])
def test_heads_that_another_family_is_made_of_are_read_as_that_family(tmp_path, family):
    def student(mu, sigma):
        return td.StudentT(5.0, mu, sigma)

    model = Hyperbolic(td.Laplace if family == "laplace" else student)
    seen = []
    model.encoder.register_forward_hook(lambda _, __, output: seen.append(output))
    run, _ = train(model, tmp_path / "run", BATCH, INPUTS)
    assert [(layer["name"], layer["family"]) for layer in run.layers] == [("encoder", family)]
    mu, logvar = seen[-1]
    q = model.posterior(mu, (logvar / 2).exp())
    np.testing.assert_allclose(run.at(2)["mean"], q.mean.mean(0).detach(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(run.at(2)["variance"], q.variance.mean(0).detach(), rtol=1e-4)
    assert "kl" not in run.statistics


class Classifier(nn.Module):
    """Logits under their usual name, a distribution made of them for the loss."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Linear(X, X), nn.Linear(X, C)

    def forward(self, x):
        logits = self.head(self.encoder(x).relu())
        self.loss = -td.Categorical(logits=logits).log_prob(torch.zeros(len(x)))
        return {"logits": logits, "probs": logits.softmax(-1)}


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.action_head = nn.Linear(X, X), nn.Linear(X, C)

    def forward(self, x):
        return td.Categorical(logits=self.action_head(self.net(x).relu()))


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.classifier = nn.Linear(X, N * C), nn.Identity()

    def forward(self, x):
        return td.Categorical(logits=self.classifier(self.encoder(x)).view(-1, N, C))


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.lm_head = nn.Linear(X, X), nn.Linear(X, N * C)

    def forward(self, x):
        return {"logits": self.lm_head(self.encoder(x)).view(-1, N, C), "hidden_states": x}


class CountModel(nn.Module):
    """A likelihood of counts beside no posterior at all."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Linear(X, N)

    def forward(self, x):
        return td.Poisson(self.rate(x).exp())


@pytest.mark.parametrize("kind", [Classifier, Policy, Segmenter, LanguageModel, CountModel])
def test_what_a_network_predicts_is_no_latent_layer(tmp_path, kind):
    with pytest.warns(RuntimeWarning, match="no posterior was found"):
        run, recording = train(kind(), tmp_path / "run", steps=1)
    assert run.layers == []


def test_a_likelihood_beside_the_posterior_is_no_layer(tmp_path):
    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(X, 2 * N), nn.Linear(N, X)

        def forward(self, x):
            mu, raw = self.encoder(x).chunk(2, -1)
            q = td.Normal(mu, raw.exp())
            p_x = td.Bernoulli(logits=self.decoder(q.rsample()))
            return {"q_z": q, "p_x": p_x}

    run, _ = train(VAE(), tmp_path / "run")
    assert [(layer["name"], layer["family"]) for layer in run.layers] == [("VAE", "gaussian")]


def test_training_is_the_same_with_and_without_a_watch(tmp_path):
    def losses(watched):
        torch.manual_seed(1)
        model = WorldModel()
        optimiser = torch.optim.Adam(model.parameters())
        recording = watch(model, tmp_path / "run") if watched else None
        found = []
        for step in range(4):
            optimiser.zero_grad()
            x = torch.randn(BATCH, STEPS, X)
            loss = (model(x) - x).square().mean() + model.kl.mean()
            loss.backward()
            optimiser.step()
            found.append(loss.detach())
            if recording is not None:
                recording.step(step)
        if recording is not None:
            recording.close()
        return torch.stack(found)

    assert torch.equal(losses(True), losses(False))


class Sphere(td.TransformedDistribution):
    """Forgets that its last axis is one value, and has moments that cannot be asked for."""

    def __init__(self, loc):
        self.loc = loc
        super().__init__(td.Gumbel(0.0, 1.0), [td.transforms.ExpTransform()], validate_args=False)

    def sample(self, sample_shape=()):
        return nn.functional.normalize(self.loc.detach() + torch.randn_like(self.loc), dim=-1)

    def log_prob(self, value):
        return (self.loc * value).sum(-1)

    @property
    def variance(self):
        raise RuntimeError("sizes do not match")


class Spherical(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_loc, self.dec = nn.Linear(X, 3), nn.Linear(3, X)

    def forward(self, x):
        q_z = Sphere(nn.functional.normalize(self.fc_loc(x), dim=-1))
        return self.dec(q_z.loc), q_z


@pytest.mark.filterwarnings("ignore:(?s).*nothing is recorded:RuntimeWarning")
def test_a_distribution_that_cannot_be_asked_does_not_reach_training(tmp_path):
    run, recording = train(Spherical(), tmp_path / "run")
    assert recording.found == []
    assert run.layers == []
