"""Measures what `probes.watch` costs a training loop that somebody else wrote.

python -m benchmarks.watch [--quick] [--write]

Two copies of a plain VAE (a body, `fc_mu`, `fc_logvar`, a decoder; Adam) train side by side on one thread, a
step each in turns, one of them watched. What is compared is CPU time of the training thread, in groups of
steps, so that what moves to the log now and then counts with its share; medians over groups. `--write` puts
the table into docs/benchmarks.md, section "Watching".
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import probes
from benchmarks import sections

GROUP = 50  # pairs of steps; a run moves to its log once in 64 recorded steps or once a second
GROUPS = 8
GOAL = 3.0  # per cent of a bare step where there are MANY neurons: what our own trainer pays
MANY = 1000
METHOD = """
Two copies of a plain VAE train side by side, a step each in turns,
one of them watched; CPU time of the training thread in groups
of 50 pairs, which holds what moves to the log now and then; medians over groups.
"""


class VAE(nn.Module):
    """As tutorials have it, sizes apart."""

    def __init__(self, pixels: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(pixels, hidden), nn.GELU())
        self.fc_mu, self.fc_logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, pixels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, pixels) -> logits (B, pixels), mu and log variance (B, latent)."""
        h = self.body(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        z = mu + torch.randn_like(mu) * (logvar / 2).exp()
        return self.decoder(z), mu, logvar


class Loop:
    """A training loop, bare or watched."""

    def __init__(
        self,
        sizes: tuple[int, int, int],
        batch: int,
        recording: probes.watching.attaching.Recording | None,
        model: VAE,
    ) -> None:
        self.model, self.recording = model, recording
        self.optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        self.x = torch.rand(batch, sizes[0])
        self.done = 0

    def step(self) -> float:
        """One step; returns CPU seconds of this thread."""
        began = time.thread_time()
        logits, mu, logvar = self.model(self.x)
        distortion = F.binary_cross_entropy_with_logits(logits, self.x, reduction="none").sum(1).mean()
        loss = distortion + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if self.recording is not None:
            self.recording.step(self.done, loss=loss)
        self.done += 1
        return time.thread_time() - began


def overhead(
    sizes: tuple[int, int, int], batch: int, every: int, groups: int, folder: Path
) -> tuple[float, list[float]]:
    """Bare CPU ms of a step (median), and of each group of pairs the share, per cent, that watching adds to
    it.
    """
    with ExitStack() as stack:
        loops = []
        for watched in (False, True):
            torch.manual_seed(0)
            model = VAE(*sizes)
            recording = stack.enter_context(probes.watch(model, folder, every=every)) if watched else None
            loops.append(Loop(sizes, batch, recording, model))
        bare: list[float] = []
        shares: list[float] = []
        for group in range(-1, groups):  # the first warms up
            spent = [0.0, 0.0]
            for pair in range(GROUP):
                for index in (0, 1) if pair % 2 else (1, 0):  # neither always finds the other's cache
                    cost = loops[index].step()
                    spent[index] += cost
                    if index == 0 and group >= 0:
                        bare.append(1e3 * cost)
            if group >= 0:
                shares.append(100 * (spent[1] / spent[0] - 1))
        if loops[1].recording is not None and loops[1].recording.lost:
            sys.exit("steps were lost: this measures nothing")
    return statistics.median(bare), shares


CASES = {
    "16 latent neurons, 64-128-16, batch 128": ((64, 128, 16), 128),
    "64 latent neurons, 784-400-64, batch 128": ((784, 400, 64), 128),
    "1,024 latent neurons, 784-512-1,024, batch 256": ((784, 512, 1024), 256),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a quarter of the groups")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    ran_on = sections.measured_on("torch", "pandas", "pyarrow")
    torch.set_num_threads(1)
    rows = []
    for name, (sizes, batch) in CASES.items():
        for every in (1, 10):
            with tempfile.TemporaryDirectory(prefix="benchmark-watch-") as folder:
                bare, shares = overhead(
                    sizes, batch, every, GROUPS // 4 if options.quick else GROUPS, Path(folder) / "run"
                )
            low, middle, high = statistics.quantiles(shares, n=4)
            goal = f"<= {GOAL:g} %" if sizes[2] >= MANY and every == 1 else "-"
            often = "every step" if every == 1 else f"every {every}th step"
            added = f"{middle:.1f} % ({low:.1f} to {high:.1f})"
            rows.append((name, often, f"{bare:.2f}", added, f"{10 * middle * bare:.0f}", goal))
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    head = ("model", "recorded", "bare step, CPU ms", "added (quartiles)", "added, µs", "goal")
    command = f"`python -m benchmarks.watch --write`; {ran_on}, one thread."
    text = f"{command} {' '.join(METHOD.split())}\n\n{sections.table(head, rows)}"
    print(text)
    if options.write:
        sections.write("watch", "Watching", text)


if __name__ == "__main__":
    main()
