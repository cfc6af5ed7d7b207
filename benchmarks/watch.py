"""Measures what `probes.watch` costs a training loop that somebody else wrote.

python -m benchmarks.watch [--quick] [--write]

Copies of a model train side by side on one thread (Adam), a step each in turns: bare, watched every step,
every 10th, and every 10th with `last=False`. What is compared is CPU time of the training thread, in groups
of steps, so that what moves to the log now and then counts with its share: medians over groups, and over
processes. Operations of torch that a step adds are counted too, which no load changes. `--write` puts the
table into docs/benchmarks.md, section "Watching".
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import probes
from benchmarks import sections
from probes.watching import statistics_buffer

PROCESSES, GROUPS, GROUP = 5, 3, 20  # of steps of each copy; a run moves to its log once a second
QUICK = 3, 2, 10
OFTEN = {1: "every step", 10: "every 10th step", -10: "every 10th step, last=False"}
COUNTED = 64  # steps whose operations are counted, of the first process
EVERY = (0, 1, 10, -10)  # 0: bare; -10: every 10th, and not the last
METHOD = """
Copies of a model train side by side, a step each in turns: bare, watched every step, every 10th, and every
10th with `last=False`; a second, after which a run moves to its log, is one of each copy's own; CPU time of
the training thread in groups of {group} steps, which holds what moves to the log now and then; medians over
{groups} groups and {processes} processes, and the processes' least and largest. Operations are those of torch
that watching adds to a step.
"""


def divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL from Normal(0, 1), nats, of a batch."""
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()


def sample(mu: Tensor, logvar: Tensor) -> Tensor:
    return mu + torch.randn_like(mu) * (logvar / 2).exp()


class VAE(nn.Module):
    """As tutorials have it, sizes apart."""

    def __init__(self, pixels: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(pixels, hidden), nn.GELU())
        self.fc_mu, self.fc_logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, pixels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, pixels) -> loss."""
        h = self.body(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        logits = self.decoder(sample(mu, logvar))
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
        return distortion + divergence(mu, logvar)


class Recurrent(nn.Module):
    """A VAE of sequences whose encoder is called at each position."""

    def __init__(self, features: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.body = nn.Linear(hidden + features, hidden)
        self.fc_mu, self.fc_logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.cell, self.decoder = nn.GRUCell(latent + features, hidden), nn.Linear(hidden, features)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, features) -> loss."""
        h = x.new_zeros(x.shape[1], self.decoder.in_features)
        loss = x.new_zeros(())
        for one in x:
            e = self.body(torch.cat([one, h], 1)).relu()
            mu, logvar = self.fc_mu(e), self.fc_logvar(e)
            h = self.cell(torch.cat([one, sample(mu, logvar)], 1), h)
            loss = loss + F.mse_loss(self.decoder(h), one) + divergence(mu, logvar)
        return loss


class Transformer(nn.Module):
    """A VAE whose encoder is a small transformer: a latent a sequence."""

    def __init__(self, features: int, width: int, latent: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.embed = nn.Linear(features, width)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc_mu, self.fc_logvar = nn.Linear(width, latent), nn.Linear(width, latent)
        self.decoder = nn.Linear(latent, features)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, features) -> loss."""
        h = self.body(self.embed(x)).mean(1)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        return F.mse_loss(self.decoder(sample(mu, logvar)), x.mean(1)) + divergence(mu, logvar)


class Categorical(nn.Module):
    """A VAE of one-hot variables, as Gumbel-softmax draws them."""

    def __init__(self, pixels: int, hidden: int, variables: int, classes: int) -> None:
        super().__init__()
        self.size = variables, classes
        self.encoder = nn.Sequential(
            nn.Linear(pixels, hidden), nn.GELU(), nn.Linear(hidden, variables * classes)
        )
        self.decoder = nn.Sequential(
            nn.Linear(variables * classes, hidden), nn.GELU(), nn.Linear(hidden, pixels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, pixels) -> loss."""
        logits = self.encoder(x).unflatten(-1, self.size)
        q = logits.log_softmax(-1)
        z = F.gumbel_softmax(logits, tau=1.0)
        distortion = F.binary_cross_entropy_with_logits(self.decoder(z.flatten(1)), x, reduction="none")
        return distortion.sum(1).mean() + (q.exp() * q).sum((1, 2)).mean()


class Quantiser(nn.Module):
    """The nearest row of an embedding, and its index."""

    def __init__(self, codes: int, dimensions: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, dimensions)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, D) -> the same, loss, indices (B T,)."""
        index = torch.cdist(z.detach().flatten(0, 1), self.embedding.weight).argmin(1)
        picked = self.embedding(index).view_as(z)
        loss = F.mse_loss(picked, z.detach()) + 0.25 * F.mse_loss(picked.detach(), z)
        return z + (picked - z).detach(), loss, index


class QuantisedVAE(nn.Module):
    """A VQ-VAE of sequences."""

    def __init__(self, features: int, hidden: int, dimensions: int, codes: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, dimensions))
        self.quantiser = Quantiser(codes, dimensions)
        self.decoder = nn.Sequential(nn.Linear(dimensions, hidden), nn.GELU(), nn.Linear(hidden, features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, features) -> loss."""
        z, loss, _ = self.quantiser(self.encoder(x))
        return F.mse_loss(self.decoder(z), x) + loss


Case = tuple[Callable[[], nn.Module], tuple[int, ...], dict[int, str]]
"""A model, the shape of its batches, and goals by how often is recorded."""
CASES: dict[str, Case] = {
    "VAE of 16 latents, 64-128-16, batch 128": (lambda: VAE(64, 128, 16), (128, 64), {1: "<= 200 µs"}),
    "VAE of 64 latents, 784-400-64, batch 128": (lambda: VAE(784, 400, 64), (128, 784), {}),
    "VAE of 1,024 latents, 784-512-1,024, batch 256": (
        lambda: VAE(784, 512, 1024),
        (256, 784),
        {1: "<= 3 %"},
    ),
    "encoder of 32 latents called 20 times a step, batch 64": (
        lambda: Recurrent(16, 128, 32),
        (20, 64, 16),
        {1: "<= 5 %", 10: "<= 1 %"},
    ),
    "encoder of 32 latents called 20 times a step, batch 256": (
        lambda: Recurrent(16, 128, 32),
        (20, 256, 16),
        {1: "<= 5 %", 10: "<= 1 %"},
    ),
    "transformer of 2 layers, 32 latents, batch 32 of 32 positions": (
        lambda: Transformer(16, 128, 32),
        (32, 32, 16),
        {},
    ),
    "VAE of 32 variables of 32 classes, 784-512, batch 256": (
        lambda: Categorical(784, 512, 32, 32),
        (256, 784),
        {1: "<= 3 %"},
    ),
    "VQ-VAE of 1,024 codes, 32 sequences of 64 positions": (
        lambda: QuantisedVAE(64, 256, 64, 1024),
        (32, 64, 64),
        {1: "<= 3 %"},
    ),
}


class Loop:
    """A training loop, bare or watched."""

    def __init__(self, case: Case, every: int, folder: Path, stack: ExitStack) -> None:
        torch.manual_seed(0)
        self.model, self.x, self.done = case[0](), torch.rand(case[1]), 0
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.recording = None
        if every:
            last = every > 0
            watched = probes.watch(self.model, folder / f"every-{every}", every=abs(every), last=last)
            self.recording = stack.enter_context(watched)

    def step(self) -> float:
        """One step; returns CPU seconds of this thread."""
        began = time.thread_time()
        loss = self.model(self.x)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if self.recording is not None:
            self.recording.step(self.done, loss=loss)
        self.done += 1
        return time.thread_time() - began


class Operations(TorchDispatchMode):
    """Counts operations of torch."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def measured(name: str, groups: int, group: int, counted: int) -> dict[str, list[float]]:
    """Of one process: bare CPU ms of a step, the share that watching adds to it, per cent, and operations
    added over some that are counted, the last two by how often is recorded.
    """
    statistics_buffer.BUFFERED_SECONDS *= len(EVERY)  # the copies share the clock
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="benchmark-watch-") as folder, ExitStack() as stack:
        loops = [Loop(CASES[name], every, Path(folder), stack) for every in EVERY]
        spent: list[list[float]] = []
        for at in range(-1, groups):  # the first warms up
            of_group = [0.0 for _ in loops]
            for turn in range(group):
                for index in range(len(loops)):  # none always finds the cache of the same other
                    one = (index + turn) % len(loops)
                    of_group[one] += loops[one].step()
            if at >= 0:
                spent.append(of_group)
        counts = []
        for loop in loops:
            with Operations() as operations:
                for _ in range(counted):
                    loop.step()
            counts.append(operations.count / max(1, counted))
        if any(loop.recording is not None and loop.recording.lost for loop in loops):
            sys.exit("steps were lost: this measures nothing")
    shares = [statistics.median(100 * (of[at] / of[0] - 1) for of in spent) for at in range(1, len(EVERY))]
    bare = 1e3 * statistics.median(of[0] for of in spent) / group
    return {"bare": [bare], "shares": shares, "operations": [count - counts[0] for count in counts[1:]]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer processes and steps")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # one process of one case
    parser.add_argument("--counted", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    processes, groups, group = QUICK if options.quick else (PROCESSES, GROUPS, GROUP)
    if options.case:
        print(json.dumps(measured(options.case, groups, group, options.counted)))
        return
    ran_on = sections.measured_on("torch", "pandas", "pyarrow")
    command = [sys.executable, "-m", "benchmarks.watch", *(["--quick"] if options.quick else [])]
    rows = []
    for name, (*_, goals) in CASES.items():
        found = []
        for process in range(processes):
            one_of = [*command, "--case", name, "--counted", str(0 if process else COUNTED)]
            ended = subprocess.run(one_of, stdout=subprocess.PIPE, check=True, text=True)
            found.append(json.loads(ended.stdout.splitlines()[-1]))
        bare = statistics.median(one["bare"][0] for one in found)
        for at, every in enumerate(EVERY[1:]):
            shares = [one["shares"][at] for one in found]
            share = statistics.median(shares)
            often = OFTEN[every]
            added = f"{share:.1f} % ({min(shares):.1f} to {max(shares):.1f})"
            count = f"{found[0]['operations'][at]:.0f}"
            goal = goals.get(abs(every), "-")
            rows.append((name, often, f"{bare:.2f}", added, f"{10 * share * bare:.0f}", count, goal))
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    head = ("model", "recorded", "bare step, CPU ms", "added", "added, µs", "operations", "goal")
    method = METHOD.format(processes=processes, groups=groups, group=group)
    called = f"python -m benchmarks.watch{' --quick' * options.quick}{' --write' * options.write}"
    text = f"`{called}`; {ran_on}, one thread. {' '.join(method.split())}\n\n" + sections.table(head, rows)
    print(text)
    if options.write:
        sections.write("watch", "Watching", text)


if __name__ == "__main__":
    main()
