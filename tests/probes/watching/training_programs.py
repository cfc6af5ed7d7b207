"""Random trainings, watched and not: the same parameters bit for bit, and the KL of torch.distributions.

`python tests/probes/watching/training_programs.py FIRST COUNT` runs the trainings of so many seeds.
"""

from __future__ import annotations

import logging
import random
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

import probes
from probes.log.check import check

INPUTS = 5


class Broken(Exception):
    """What the user's own forward raises."""


class Posterior(nn.Module):
    """Two heads that are read by their names; over rows, steps of a sequence, or channels of an image."""

    def __init__(self, shape: str, neurons: int, scale: str) -> None:
        super().__init__()
        self.shape, self.scale = shape, scale
        head = (
            (lambda: nn.Conv2d(INPUTS, neurons, 1))
            if shape == "image"
            else (lambda: nn.Linear(INPUTS, neurons))
        )
        self.fc_mu = head()
        setattr(self, f"fc_{scale}", head())
        self.back = nn.Linear(neurons, INPUTS)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, raw = self.fc_mu(x), getattr(self, f"fc_{self.scale}")(x)
        sigma = (raw / 2).exp() if self.scale == "logvar" else raw.exp()
        z = mu + sigma * torch.randn_like(mu)
        kl = 0.5 * (mu**2 + sigma**2 - 1) - sigma.log()
        self.seen.append((mu.detach().double(), sigma.detach().double()))
        if self.shape == "image":
            return self.back(z.mean((2, 3)))[:, :, None, None] + x, kl.sum(1).mean()
        return self.back(z) + x, kl.sum(-1).mean()

    def expected(self, calls: list[int], positions: int) -> np.ndarray | None:
        """(neurons,) nats: the mean over all rows of these calls, of images those of the layer's size."""
        rows = []
        for call in calls:
            if self.shape == "image" and self.seen[call][0][0, 0].numel() != positions:
                continue
            kl = kl_divergence(Normal(*self.seen[call], validate_args=False), Normal(0.0, 1.0))
            rows.append(kl.flatten(2).sum(2) if self.shape == "image" else kl.flatten(0, -2))
        return torch.cat(rows).mean(0).numpy() if rows else None


class Network(nn.Module):
    """One to four posteriors, one after the other."""

    def __init__(self, shape: str, widths: list[int], scales: list[str]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Posterior(shape, n, scale) for n, scale in zip(widths, scales, strict=True)
        )
        self.drop = nn.Dropout(0.1)
        self.broken = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(())
        for index, block in enumerate(self.blocks):
            if self.broken and index == len(self.blocks) // 2:
                raise Broken
            x, kl = block(self.drop(x))
            total = total + kl
        return x, total


class Training:
    """One training, the same each time that it is run with the same seed."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self.shape = rng.choice(["rows", "steps", "image"])
        self.widths = [rng.randint(1, 7) for _ in range(rng.randint(1, 4))]
        self.scales = [rng.choice(["logvar", "logstd"]) for _ in self.widths]
        self.batch = rng.choice([2, 4, 16])
        self.amp = rng.random() < 0.2
        self.optimiser = rng.choice([torch.optim.SGD, torch.optim.Adam])
        self.every = rng.choice([1, 1, 1, 2, 3])
        self.course = [self._step(rng) for _ in range(rng.randint(3, 14))]
        only_broken = self.course[0]["broken"] and seed % 2
        self.course[0]["sizes"] = [] if only_broken else [self.batch]
        self.resumed = rng.random() < 0.3
        self.lost = 0

    def _step(self, rng: random.Random) -> dict[str, Any]:
        return {
            "sizes": [
                rng.choice([self.batch, self.batch, 1, self.batch + 3])
                for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 3]))
            ],
            "length": rng.choice([3, 3, 5]),
            "broken": rng.random() < 0.1,
            "validated": rng.random() < 0.2,
            "no_grad": rng.random() < 0.2,
            "paused": rng.random() < 0.15,
        }

    def data(self, size: int, length: int) -> Tensor:
        shape = {"rows": (size, INPUTS), "steps": (size, length, INPUTS), "image": (size, INPUTS, length, 4)}[
            self.shape
        ]
        return torch.randn(*shape)

    def run(self, folder: Path | None) -> tuple[Network, list[Tensor], list[Any], Any]:
        """The trained network, its losses, and of each step the calls that each block has seen."""
        torch.manual_seed(self.seed)
        model = Network(self.shape, self.widths, self.scales)
        optimiser = self.optimiser(model.parameters(), lr=0.001)
        losses, counted = [], []
        recording = None if folder is None else probes.watch(model, folder, every=self.every)
        settled = False  # the layers, by a step with a forward pass that was whole
        for number, step in enumerate(self.course):
            if recording is not None and self.resumed and number == len(self.course) // 2:
                recording.close()
                self.lost += recording.lost
                recording = probes.watch(model, folder, every=self.every, resume=number - 1)
                settled = False
            calls: list[list[int]] = [[] for _ in model.blocks]
            optimiser.zero_grad()
            for size in step["sizes"]:
                before = [len(block.seen) for block in model.blocks]
                with torch.autocast("cpu", torch.bfloat16, enabled=self.amp):
                    y, kl = model(self.data(size, step["length"]))
                    loss = (y**2).mean() + 0.1 * kl
                loss.backward()
                losses.append(loss.detach())
                for own, block, first in zip(calls, model.blocks, before, strict=True):
                    own += range(first, len(block.seen))
            if step["validated"]:
                model.train(False)
                model(self.data(4, 3))
                model.train()
            if step["no_grad"]:
                with torch.no_grad():
                    model(self.data(4, 3))
            if step["paused"]:
                if recording is None:
                    model(self.data(4, 3))
                else:
                    with recording.paused():
                        model(self.data(4, 3))
            if step["broken"]:
                model.broken = True
                before = [len(block.seen) for block in model.blocks]
                try:
                    model(self.data(4, 3))
                except Broken:
                    model.broken = False
                for own, block, first in zip(calls, model.blocks, before, strict=True):
                    own += range(first, len(block.seen)) if settled else ()
            settled = settled or bool(step["sizes"])
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            if recording is not None:
                recording.step(number, loss=losses[-1] if losses else 0.0)
            counted.append((number, calls))
        if recording is not None:
            recording.close()
            self.lost += recording.lost
        return model, losses, counted, recording


def same(one: Tensor, other: Tensor) -> bool:
    """Bit for bit, also of a training that has diverged."""
    return one.detach().numpy().tobytes() == other.detach().numpy().tobytes()


def run(seed: int) -> None:
    """The training of a seed. Raises AssertionError where watching changed it, or the log says another KL."""
    training = Training(seed)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(place) / "run"
        plain, losses, _, _ = training.run(None)
        random_after = torch.randn(4)
        watched, watched_losses, counted, recording = training.run(folder)
        try:
            assert torch.equal(random_after, torch.randn(4)), "random numbers were taken"
            assert all(same(a, b) for a, b in zip(losses, watched_losses, strict=True)), "losses differ"
            for (name, a), b in zip(plain.named_parameters(), watched.parameters(), strict=True):
                assert same(a, b), f"{name} differs"
            compare(training, folder, watched, counted, recording)
        except BaseException as error:
            error.add_note(f"training {seed}: {vars(training)}")
            raise


def compare(training: Training, folder: Path, model: Network, counted: Any, recording: Any) -> None:
    """Every step that the log has, against torch.distributions of the same batch."""
    forwards = [number for number, calls in counted if any(calls)]
    reader = probes.Run(folder)
    assert [found for found in check(folder) if found.level == "error"] == []
    if not any(any(step["sizes"]) for step in training.course):
        return
    names = [layer["name"] for layer in reader.layers]
    assert len(names) == len(training.widths), f"layers {names}"
    steps = reader.steps.tolist()
    if training.every == 1:
        assert set(steps) >= {n for n, calls in counted if all(calls)} or training.lost, (steps, forwards)
    at = dict(counted)
    for step in steps:
        for index, block in enumerate(model.blocks):
            if step not in reader.taken(index, "kl"):
                continue
            frame = reader.at(step, index)
            found = frame["kl"].to_numpy()
            tolerance = 2e-2 if training.amp else 2e-5
            expected = block.expected(at[step][index], reader.layers[index]["latent_dim"])
            assert expected is not None, f"{step} {names[index]}: there was no batch of its size"
            if not (expected < 1e30).all():  # a training that has diverged: beyond what float32 sums hold
                continue
            np.testing.assert_allclose(
                found, expected, rtol=tolerance, atol=tolerance, err_msg=f"{step} {names[index]}"
            )


def main() -> int:
    """Run the trainings that the command line names; the number of those that failed."""
    first, count = (int(word) for word in sys.argv[1:3])
    failed = 0
    logging.disable(logging.WARNING)
    for seed in range(first, first + count):
        try:
            run(seed)
        except Exception:  # noqa: BLE001 - each is printed, and counted
            failed += 1
            print(f"=== {seed}\n{traceback.format_exc(limit=-6)}", flush=True)
    print(f"{failed} of {count} failed")
    return failed


if __name__ == "__main__":
    sys.exit(min(1, main()))
