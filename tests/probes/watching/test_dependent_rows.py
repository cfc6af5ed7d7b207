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


def test_a_tensor_that_is_no_sequences_is_refused(tmp_path: Path) -> None:
    mu = torch.randn(B, N)
    recording = probes.watch(nn.Linear(1, 1), tmp_path / "run", hooks=False)
    with pytest.raises(ValueError, match="no layout 'sequences'"):
        probes.observe("z", mu, torch.ones_like(mu), layout="sequences")
    recording.close()
