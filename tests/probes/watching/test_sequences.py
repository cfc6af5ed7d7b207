"""A probe sequence of a foreign sequence model: posteriors at every position, under the model's own prior."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import probes
from probes import Run
from probes.log.check import check

T, D, N, H = 12, 3, 4, 8
LETTERS = list("ab a cab\n ba")


class Vrnn(nn.Module):
    """A variational recurrent network, step by step: prior of h, posterior of (h, x), decoder of (h, z)."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = nn.Linear(H, 2 * N)
        self.posterior = nn.Linear(H + D, 2 * N)
        self.decoder = nn.Linear(H + N, D)
        self.cell = nn.GRUCell(D + N, H)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> its reconstruction, and the KL."""
        h = x.new_zeros(len(x), H)
        made, kl = [], x.new_zeros(())
        for t in range(x.shape[1]):
            prior_mu, prior_log_var = self.prior(h).chunk(2, -1)
            mu, log_var = self.posterior(torch.cat([h, x[:, t]], -1)).chunk(2, -1)
            p = torch.distributions.Normal(prior_mu, (0.5 * prior_log_var).exp())
            q = torch.distributions.Normal(mu, (0.5 * log_var).exp())
            probes.observe("z", q, prior=p)
            z = q.rsample()
            kl = kl + torch.distributions.kl_divergence(q, p).sum(-1).mean()
            made.append(self.decoder(torch.cat([h, z], -1)))
            h = self.cell(torch.cat([x[:, t], z], -1), h)
        return torch.stack(made, 1), kl


class LstmVae(nn.Module):
    """One posterior a sentence, from the last state of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(D, H, batch_first=True)
        self.mu, self.log_var = nn.Linear(H, N), nn.Linear(H, N)
        self.decoder = nn.Linear(N, D)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, D) -> reconstruction of the mean, mu, log_var."""
        last = self.encoder(x)[0][:, -1]
        mu, log_var = self.mu(last), self.log_var(last)
        z = mu + (0.5 * log_var).exp() * torch.randn_like(mu)
        return self.decoder(z), mu, log_var


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def train(model: nn.Module, recording: probes.watching.attaching.Recording, steps: int = 9) -> None:
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(steps):
        x = torch.randn(5, T, D)
        out = model(x)
        loss = (out[0] - (x if out[0].dim() == 3 else x.mean(1))).square().mean() + 0.01 * out[
            1
        ].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        recording.step(step, loss=loss)


def test_a_vrnn_has_a_posterior_at_each_position_under_its_own_prior(tmp_path: Path) -> None:
    model, x = Vrnn(), torch.randn(1, T, D)
    with probes.watch(model, tmp_path / "run") as recording:
        recording.sequence(tokens=x[0], inputs=x)
        train(model, recording)
    run = Run(tmp_path / "run")
    assert run.sequence_steps().tolist() == [0, 1, 2, 4, 8]
    rows = run.sequence()
    assert rows.groupby("neuron")["t"].apply(list).tolist() == [list(range(T))] * N
    h = torch.zeros(1, H)
    with torch.no_grad():
        mu, log_var = model.posterior(torch.cat([h, x[:, 0]], -1)).chunk(2, -1)
        prior_mu, prior_log_var = model.prior(h).chunk(2, -1)
    first = rows[rows["t"] == 0].sort_values("neuron")
    np.testing.assert_allclose(first["m"], mu[0], atol=1e-5)
    np.testing.assert_allclose(first["V"], log_var[0].exp(), rtol=1e-4)
    q = torch.distributions.Normal(mu[0], (0.5 * log_var[0]).exp())
    p = torch.distributions.Normal(prior_mu[0], (0.5 * prior_log_var[0]).exp())
    np.testing.assert_allclose(first["kl"], torch.distributions.kl_divergence(q, p), rtol=1e-3, atol=1e-6)
    inputs = run.inputs()
    assert set(inputs["kind"]) == {"position"}
    np.testing.assert_allclose([json.loads(text) for text in inputs["content"]], x[0], rtol=1e-3)


def test_an_lstm_vae_is_run_on_the_prefixes(tmp_path: Path) -> None:
    model, x = LstmVae(), torch.randn(1, T, D)
    with probes.watch(model, tmp_path / "run") as recording:
        recording.sequence(tokens=LETTERS, inputs=[x[:, : t + 1] for t in range(T)])
        train(model, recording, steps=3)
    run = Run(tmp_path / "run")
    rows = run.sequence().sort_values(["t", "neuron"])
    with torch.no_grad():
        expected = torch.cat([model.eval()(x[:, : t + 1])[1] for t in range(T)])
    np.testing.assert_allclose(rows["m"].to_numpy().reshape(T, N), expected, atol=1e-5)
    assert np.isfinite(rows["kl"]).all()
    assert "".join(run.inputs()["content"]) == "".join(LETTERS)


def test_a_function_may_run_the_model_and_all_positions_may_come_at_once(tmp_path: Path) -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mu, self.log_var = nn.Linear(D, N), nn.Linear(D, N)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.mu(x), self.log_var(x)

    model, x = Tagger(), torch.randn(1, T, D)
    with probes.watch(model, tmp_path / "run") as recording:
        recording.sequence(tokens=range(T), inputs=lambda model: model(x))
        for step in range(2):
            model(torch.randn(5, T, D))
            recording.step(step)
    rows = Run(tmp_path / "run").sequence().sort_values(["t", "neuron"])
    with torch.no_grad():
        np.testing.assert_allclose(rows["m"].to_numpy().reshape(T, N), model.mu(x)[0], atol=1e-5)


def test_where_no_prior_is_known_kl_is_null(tmp_path: Path) -> None:
    class Unknown(Vrnn):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mu, log_var = self.posterior(torch.cat([x.new_zeros(len(x), x.shape[1], H), x], -1)).chunk(2, -1)
            probes.observe("z", mu, (0.5 * log_var).exp(), "unknown", layout="btn")
            return mu[..., :D], log_var

    model, x = Unknown(), torch.randn(1, T, D)
    with probes.watch(model, tmp_path / "run") as recording:
        recording.sequence(tokens=LETTERS, inputs=x)
        train(model, recording, steps=2)
    rows = Run(tmp_path / "run").sequence()
    assert rows["kl"].isna().all()
    assert np.isfinite(rows["m"]).all()


def test_training_is_left_as_it_was(tmp_path: Path) -> None:
    weights = []
    for looked_at in (True, False):
        torch.manual_seed(3)
        model = Vrnn()
        with probes.watch(model, tmp_path / f"run {looked_at}") as recording:
            if looked_at:
                recording.sequence(tokens=LETTERS, inputs=torch.zeros(1, T, D))
            train(model, recording, steps=4)
        assert model.training
        weights.append(torch.cat([value.flatten() for value in model.parameters()]))
    assert torch.equal(*weights)
    histories = [Run(tmp_path / f"run {looked_at}").history(0) for looked_at in (True, False)]
    assert histories[0].equals(histories[1])


def test_the_probe_inputs_and_the_positions_are_stored_beside_each_other(tmp_path: Path) -> None:
    model, x = Vrnn(), torch.randn(6, T, D)
    with probes.watch(model, tmp_path / "run", inputs=probes.Inputs(x, shown=list("abcdef"))) as recording:
        recording.sequence(tokens=LETTERS, inputs=x[:1])
        train(model, recording, steps=2)
    inputs = Run(tmp_path / "run").inputs()
    assert inputs["kind"].tolist() == ["text"] * 6 + ["position"] * T
    assert inputs["input"].tolist() == list(range(6 + T))


def test_a_sequence_that_does_not_fit_is_counted_and_training_goes_on(tmp_path: Path) -> None:
    model = LstmVae()
    recording = probes.watch(model, tmp_path / "run")
    recording.sequence(tokens=LETTERS, inputs=torch.randn(1, T, D))
    with pytest.warns(RuntimeWarning, match="12 positions, posteriors: 1 of .*list of its prefixes"):
        train(model, recording, steps=2)
    recording.close()
    assert recording.lost == 2  # at each of the steps
    run = Run(tmp_path / "run")
    assert len(run.sequence()) == 0
    assert len(run.steps) == 2


@pytest.mark.parametrize(
    ("tokens", "inputs", "says"),
    [
        (["a"], torch.zeros(1, 1, D), "2 to 4,096 positions"),
        (LETTERS, [torch.zeros(1, 1, D)], "1 are given for 12 tokens"),
        (np.zeros((2, 2, 2)), torch.zeros(1, 2, D), "texts, or numbers"),
        ([None, None], torch.zeros(1, 2, D), "texts, or numbers"),
    ],
)
def test_what_is_no_sequence_is_refused(tmp_path: Path, tokens: object, inputs: object, says: str) -> None:
    with probes.watch(LstmVae(), tmp_path / "run") as recording, pytest.raises(ValueError, match=says):
        recording.sequence(tokens=tokens, inputs=inputs)


def test_a_run_has_one_sequence(tmp_path: Path) -> None:
    with probes.watch(LstmVae(), tmp_path / "run") as recording:
        recording.sequence(tokens=LETTERS, inputs=torch.zeros(1, T, D))
        with pytest.raises(ValueError, match="a run has one"):
            recording.sequence(tokens=LETTERS, inputs=torch.zeros(1, T, D))


class Rssm(nn.Module):
    """Of Dreamer's kind: categorical variables, the prior of the state, the posterior of state and input."""

    def __init__(self, neurons: int = N, classes: int = 5) -> None:
        super().__init__()
        self.neurons, self.classes = neurons, classes
        self.cell = nn.GRUCell(neurons * classes, H)
        self.prior_net, self.post_net = nn.Linear(H, neurons * classes), nn.Linear(H + D, neurons * classes)
        self.decoder = nn.Linear(H + neurons * classes, D)

    def variables(self, logits: Tensor) -> torch.distributions.Distribution:
        """N variables of C classes."""
        of_classes = logits.unflatten(-1, (self.neurons, self.classes))
        return torch.distributions.Independent(
            torch.distributions.OneHotCategoricalStraightThrough(logits=of_classes), 1
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> its reconstruction, and the KL."""
        h, z = x.new_zeros(len(x), H), x.new_zeros(len(x), self.neurons * self.classes)
        made, kl = [], x.new_zeros(())
        for t in range(x.shape[1]):
            h = self.cell(z, h)
            p = self.variables(self.prior_net(h))
            q = self.variables(self.post_net(torch.cat([h, x[:, t]], -1)))
            probes.observe("state", q, prior=p)
            z = q.rsample().flatten(1)
            kl = kl + torch.distributions.kl_divergence(q, p).mean()
            made.append(self.decoder(torch.cat([h, z], -1)))
        return torch.stack(made, 1), kl


def test_an_rssm_has_its_class_probabilities_at_each_position_under_its_own_prior(tmp_path: Path) -> None:
    model, x = Rssm(), torch.randn(1, T, D)
    with probes.watch(model, tmp_path / "run", hooks=False) as recording:
        recording.sequence(tokens=x[0], inputs=x)
        train(model, recording)
    assert not recording.lost
    run = Run(tmp_path / "run")
    assert check(tmp_path / "run") == []
    assert run.sequence_steps().tolist() == [0, 1, 2, 4, 8]
    rows, held = run.sequence(), run.sequence_parameters()
    assert rows[["m", "V", "mu", "sigma"]].isna().all(axis=None)
    assert set(held["name"]) == {"probability"}
    probability = held.sort_values(["t", "neuron", "index"])["value"].to_numpy().reshape(T, N, 5)
    np.testing.assert_allclose(probability.sum(-1), 1, atol=1e-5)
    kl = rows.sort_values(["t", "neuron"])["kl"].to_numpy().reshape(T, N)
    # the first position does not depend on a draw
    with torch.no_grad():
        h = model.cell(torch.zeros(1, N * 5), torch.zeros(1, H))
        p = model.variables(model.prior_net(h)).base_dist
        q = model.variables(model.post_net(torch.cat([h, x[:, 0]], -1))).base_dist
    np.testing.assert_allclose(probability[0], q.probs[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(
        kl[0], torch.distributions.kl_divergence(q, p)[0].numpy(), rtol=1e-3, atol=1e-6
    )
    assert (kl > 0).all()
    recorded = run.at(8)["kl"]
    assert 0.2 < kl.mean() / recorded.mean() < 5  # the same thing of other inputs


@pytest.mark.parametrize(
    ("family", "make", "prior"),
    [
        ("bernoulli", lambda raw: torch.distributions.Bernoulli(logits=raw), None),
        ("beta", lambda raw: torch.distributions.Beta(raw.exp() + 0.5, (-raw).exp() + 0.5), (1.0, 1.0)),
        ("gamma", lambda raw: torch.distributions.Gamma(raw.exp() + 1, torch.ones_like(raw)), (2.0, 1.0)),
        ("laplace", lambda raw: torch.distributions.Laplace(raw, raw.exp()), (0.0, 1.0)),
    ],
)
def test_any_family_along_a_sequence_has_the_kl_of_each_position(
    tmp_path: Path, family: str, make: object, prior: tuple[float, float] | None
) -> None:
    kinds = {"beta": torch.distributions.Beta, "gamma": torch.distributions.Gamma}
    layer = nn.Linear(D, N)
    p = None if prior is None else kinds.get(family, torch.distributions.Laplace)(*map(torch.tensor, prior))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = layer

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            q = make(self.map(x))
            probes.observe("z", q, prior=p)
            return q.mean.mean(-1, keepdim=True).expand(x.shape), q.mean.mean()

    model, x = Model(), torch.randn(1, T, D)
    with probes.watch(model, tmp_path / "run", hooks=False) as recording:
        recording.sequence(tokens=x[0], inputs=x)
        train(model, recording, 2)
    assert not recording.lost
    run = Run(tmp_path / "run")
    assert run.layers[0]["family"] == family
    with torch.no_grad():
        q = make(layer(x[0]))
        against = torch.distributions.Bernoulli(torch.full((), 0.5)) if p is None else p
        expected = torch.distributions.kl_divergence(q, against)
    rows = run.sequence().sort_values(["t", "neuron"])
    np.testing.assert_allclose(rows["kl"].to_numpy().reshape(T, N), expected.numpy(), rtol=2e-3, atol=1e-4)
    if family == "bernoulli":
        assert rows["m"].isna().all()
    else:
        np.testing.assert_allclose(rows["m"].to_numpy().reshape(T, N), q.mean.numpy(), rtol=2e-3)
        np.testing.assert_allclose(rows["V"].to_numpy().reshape(T, N), q.variance.numpy(), rtol=5e-3)


def test_too_many_numbers_of_classes_are_counted_and_training_goes_on(tmp_path: Path) -> None:
    model = Rssm(neurons=64, classes=64)
    long = torch.randn(1, 300, D)
    recording = probes.watch(model, tmp_path / "run", hooks=False)
    recording.sequence(tokens=long[0], inputs=long)
    with pytest.warns(RuntimeWarning, match="hand over a shorter sequence"):
        train(model, recording, 1)
    recording.close()
    assert recording.lost
    assert len(Run(tmp_path / "run").steps) == 1


class Quantised(nn.Module):
    """A code for each position, picked by the sign of the input, and a Gaussian beside it."""

    def __init__(self, gaussian: bool) -> None:
        super().__init__()
        self.head = nn.Linear(D, 2 * N)
        self.gaussian = gaussian

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, N)."""
        codes = (x[..., 0] > 0).long() + 2 * (x[..., 1] > 0).long()
        probes.observe_codes("codes", codes, 5, mask=torch.arange(x.shape[1]) > 0)
        mu, log_var = self.head(x).chunk(2, -1)
        if self.gaussian:
            probes.observe("z", mu, (log_var / 2).exp(), layout="btn")
        return mu + log_var


@pytest.mark.parametrize("gaussian", [True, False])
def test_a_code_book_s_picks_are_kept_position_by_position(tmp_path: Path, gaussian: bool) -> None:
    torch.manual_seed(0)
    model, x = Quantised(gaussian), torch.randn(1, T, D)
    with probes.watch(model, tmp_path / "run", hooks=False) as recording:
        recording.sequence(tokens=LETTERS, inputs=x)
        for step in range(3):
            model(torch.randn(4, T, D)).sum().backward()
            recording.step(step)
    assert not recording.lost
    run = Run(tmp_path / "run")
    rows = run.sequence(layer="codes").sort_values(["t", "neuron"])
    picked = rows["m"].to_numpy(float).reshape(T, 5)
    expected = ((x[0, :, 0] > 0).long() + 2 * (x[0, :, 1] > 0).long()).numpy()
    np.testing.assert_array_equal(picked[1:].argmax(1), expected[1:])
    np.testing.assert_array_equal(picked.sum(1), [0, *[1] * (T - 1)])  # the first is masked
    assert rows["kl"].isna().all()
    assert (len(run.sequence(layer="z")) == T * N) if gaussian else len(run.layers) == 1
    assert not [finding for finding in check(tmp_path / "run") if finding]


def test_too_many_codes_are_counted_and_training_goes_on(tmp_path: Path) -> None:
    picks = torch.arange(T)
    with probes.watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        recording.sequence(tokens=LETTERS, inputs=lambda _: probes.observe_codes("codes", picks, 100_000))
        probes.observe_codes("codes", picks, 100_000)
        with pytest.warns(RuntimeWarning, match="positions of 100,000 codes take"):
            recording.step(0)
    assert recording.lost == 1
