"""Positions of watched sequences depend on each other: where that is declared, `rows` says their worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import probes
from probes import Run
from probes.effective_rows import EffectiveRows

B, T, N = 6, 40, 5


def autoregression(phi: float, seed: int = 0, sequences: int = B) -> Tensor:
    noise = torch.randn(sequences, T, N, generator=torch.Generator().manual_seed(seed))
    course = [noise[:, 0]]
    for t in range(1, T):
        course.append(phi * course[-1] + (1 - phi**2) ** 0.5 * noise[:, t])
    return torch.stack(course, 1)


def recorded_rows(folder: Path, steps: list[list[tuple[object, ...]]], **said: object) -> np.ndarray:
    """`rows` (steps, N) of a layer that is handed over, each step as so many batches."""
    with probes.watch(nn.Linear(1, 1), folder, hooks=False) as recording:
        for step, batches in enumerate(steps):
            for batch in batches:
                probes.observe("z", *batch, **said)
            recording.step(step)
    assert not recording.lost
    run = Run(folder)
    return np.stack([run.at(int(step))["rows"].to_numpy(float) for step in run.steps])


def worth(*courses: Tensor, mask: Tensor | None = None) -> np.ndarray:
    effective = EffectiveRows()
    for course in courses:
        effective.update(course if course.dim() == 4 else course[..., None], mask)
    return effective.result().numpy()


@pytest.mark.parametrize("batches", [1, 3])
def test_positions_of_sequences_count_by_their_memory(tmp_path: Path, batches: int) -> None:
    """Over several steps, which are summed beside each other, and several batches of a step."""
    courses = [[autoregression(0.9, 10 * step + place) for place in range(batches)] for step in range(3)]
    steps = [[(mu, torch.full_like(mu, 0.5)) for mu in step] for step in courses]
    found = recorded_rows(tmp_path / "declared", steps, layout="sequences")
    for rows, step in zip(found, courses, strict=True):
        np.testing.assert_allclose(rows, worth(*step), rtol=1e-4)
    assert found.max() < 0.4 * batches * B * T
    assert (recorded_rows(tmp_path / "not", steps, layout="btn") == batches * B * T).all()


def test_in_the_units_of_a_prior_of_its_own(tmp_path: Path) -> None:
    """The prior follows the posterior: what is left is independent, however slow both are."""
    slow, news = autoregression(0.99), autoregression(0.0, 1)
    prior = torch.distributions.Normal(slow, torch.ones_like(slow))
    q = torch.distributions.Normal(slow + 0.5 * news, torch.full_like(slow, 0.5))
    rows = recorded_rows(tmp_path / "run", [[(q,)]], prior=prior, layout="sequences")
    np.testing.assert_allclose(rows[0], worth(0.5 * news), rtol=1e-3)


def test_masked_positions_count_nowhere(tmp_path: Path) -> None:
    mu = autoregression(0.7)
    mask = torch.arange(T).expand(B, T) < torch.tensor([40, 30, 20, 40, 10, 40])[:, None]
    rows = recorded_rows(tmp_path / "run", [[(mu, torch.full_like(mu, 0.5))]], mask=mask, layout="sequences")
    np.testing.assert_allclose(rows[0], worth(mu, mask=mask), rtol=1e-4)
    assert rows.max() <= int(mask.sum())


def test_classes_count_by_the_course_of_their_probabilities(tmp_path: Path) -> None:
    logits = torch.stack([3 * autoregression(0.95, seed) for seed in range(4)], -1)
    q = torch.distributions.Categorical(logits=logits)
    rows = recorded_rows(tmp_path / "run", [[(q,)]], layout="sequences")
    np.testing.assert_allclose(rows[0], worth(q.probs), rtol=1e-4)
    assert rows.max() < 0.4 * B * T


def test_a_single_row_is_no_sequence(tmp_path: Path) -> None:
    mu = torch.randn(N)
    recording = probes.watch(nn.Linear(1, 1), tmp_path / "run", hooks=False)
    with pytest.raises(ValueError, match="no layout 'sequences'"):
        probes.observe("z", mu, torch.ones_like(mu), layout="sequences")
    recording.close()


def calls_of(course: Tensor, sd: float = 0.5) -> list[tuple[Tensor, Tensor]]:
    """(mu, sigma) of each position, (B, N)."""
    return [(mu, torch.full_like(mu, sd)) for mu in course.unbind(1)]


@pytest.mark.parametrize("sequences", [B, 1200])
def test_calls_of_one_position_each_are_sequences(tmp_path: Path, sequences: int) -> None:
    """Small batches are summed together, those of several steps too; large ones call by call."""
    courses = [autoregression(0.9, seed, sequences) for seed in range(3)]
    found = recorded_rows(tmp_path / "declared", [calls_of(one) for one in courses], layout="sequences")
    for rows, course in zip(found, courses, strict=True):
        np.testing.assert_allclose(rows, worth(course), rtol=1e-3)
    assert (recorded_rows(tmp_path / "not", [calls_of(courses[0])]) == sequences * T).all()


def test_calls_under_a_prior_and_a_mask_of_their_own(tmp_path: Path) -> None:
    slow, news = autoregression(0.99), autoregression(0.0, 1)
    mask = torch.arange(T).expand(B, T) < torch.tensor([40, 30, 20, 40, 10, 40])[:, None]
    with probes.watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        for t in range(T):
            mean, sd = slow[:, t], torch.ones(B, N)
            q, p = (torch.distributions.Normal(one, sd) for one in (mean + news[:, t], mean))
            probes.observe("z", q, prior=p, mask=mask[:, t], layout="sequences")
        recording.step(0)
    rows = Run(tmp_path / "run").at(0)["rows"].to_numpy(float)
    np.testing.assert_allclose(rows, worth(news, mask=mask), rtol=1e-3)


@pytest.mark.parametrize("kind", ["classes", "correlated"])
def test_calls_of_other_families_are_sequences(tmp_path: Path, kind: str) -> None:
    if kind == "classes":
        logits = torch.stack([3 * autoregression(0.95, seed) for seed in range(4)], -1)
        calls = [(torch.distributions.Categorical(logits=one),) for one in logits.unbind(1)]
        course = logits.softmax(-1)
    else:
        course = autoregression(0.9)
        scale = torch.eye(N) + 0.1
        calls = [
            (torch.distributions.MultivariateNormal(mu, scale_tril=scale.tril()),) for mu in course.unbind(1)
        ]
    rows = recorded_rows(tmp_path / "run", [calls], layout="sequences")
    np.testing.assert_allclose(rows[0], worth(course), rtol=1e-3)
    assert rows.max() < 0.5 * B * T


class Recurrent(nn.Module):
    """A head that is called once a position."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(N, 8), nn.Linear(8, 2 * N)

    def forward(self, x: Tensor) -> Tensor:
        h, z = x.new_zeros(len(x), 8), []
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            mu, log_var = self.head(h).chunk(2, -1)
            z.append(mu + (log_var / 2).exp() * torch.randn_like(mu))
        return torch.stack(z, 1)


def watched_by_hooks(folder: Path, layout: str | None, times: int = 1) -> tuple[probes.Recording, np.ndarray]:
    model, x = Recurrent(), autoregression(0.99)
    parts = {"head": probes.Part("mu | log_var", layout=layout)}
    with probes.watch(model, folder, parts=parts) as recording:
        for _ in range(times):
            model(x).sum().backward()
        recording.step(0)
    return recording, Run(folder).at(0)["rows"].to_numpy(float)


def test_a_module_that_is_called_once_a_position_is_declared_by_its_part(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recording, rows = watched_by_hooks(tmp_path / "run", "sequences")
    assert recording.found[0]["layout"] == "sequences"
    assert f"its {T} calls of a step are positions of the same sequences" in recording.found[0]["why"]
    assert not recording.found[0]["assumed"] or all(
        "calls" not in one for one in recording.found[0]["assumed"]
    )
    assert rows.max() < 0.6 * B * T


def test_calls_that_nobody_declares_are_said_to_be_independent(tmp_path: Path) -> None:
    recording, rows = watched_by_hooks(tmp_path / "run", None)
    assert (rows == B * T).all()
    assert f"that the rows of its {T} calls are independent" in recording.found[0]["assumed"]
    assert "layout='sequences'" in recording.found[0]["why"]
    stated, _ = watched_by_hooks(tmp_path / "stated", "bn")
    assert "calls" not in stated.found[0]["why"]


def test_calls_of_the_model_itself_are_batches(tmp_path: Path) -> None:
    """Gradients that are accumulated over twelve batches."""
    model = nn.ModuleDict({"fc_mu": nn.Linear(3, N), "fc_var": nn.Linear(3, N)})
    model.forward = lambda x: model["fc_mu"](x) + (model["fc_var"](x) / 2).exp() * torch.randn(len(x), N)
    with probes.watch(model, tmp_path / "run") as recording:
        for _ in range(12):
            model(torch.randn(B, 3)).sum().backward()
        recording.step(0)
    assert "calls of a step" not in recording.found[0]["why"]


def test_draws_are_no_sequences(tmp_path: Path) -> None:
    """Of a distribution whose components share one density."""

    class Joint(torch.distributions.Distribution):
        arg_constraints: dict[str, object] = {}

        def __init__(self) -> None:
            super().__init__(torch.Size((B,)), torch.Size((N,)))

        def sample(self, sample_shape: tuple[int, ...] = ()) -> Tensor:
            return torch.randn(*sample_shape, B, N)

    recording = probes.watch(nn.Linear(1, 1), tmp_path / "run", hooks=False)
    with pytest.raises(ValueError, match="recorded by draws, which have no layout 'sequences'"):
        probes.observe("z", Joint(), layout="sequences")
    recording.close()
