"""Measures what the statistics of each family cost, in per cent of the bare step of a VAE of 1,024 latents.

python -m benchmarks.families [--turns 40] [--write]

A step of `benchmarks.watch.VAE` (784-512-1,024, batch 256), then the sums of one batch of 256 inputs and
1,024 neurons of a family, in turns on one thread; CPU time of the thread, medians. Statistics are derived of
blocks of 16 steps, as a recorder does, and count with their share. `--write` puts the table into
docs/benchmarks.md, section "Families".
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import sections
from benchmarks.watch import VAE
from probes.family_moments import CodeUsage, FamilyMoments, SampleMoments, default_prior, derive_family
from probes.moments import Moments, derive

ROWS, NEURONS, BLOCK = 256, 1024, 16
GOAL = "<= 3 %"
Sums = dict[str, Tensor]
Case = tuple[Callable[[], Sums], Callable[[Sums], object], str]
"""Sums of a batch, what is derived of a block of them, and the goal."""


def positive(*shape: int) -> Tensor:
    return torch.rand(*shape) * 3 + 0.1


def of_family(family: str, names: tuple[str, ...], *size: int, goal: str = "-") -> Case:
    """One prior for all rows, as most have."""
    if names == ("probability",):
        drawn = torch.randn(ROWS, *size)
        own = {"probability": drawn.softmax(-1) if family == "categorical" else drawn.sigmoid()}
        prior = default_prior(family, own)
    else:
        own = {name: positive(ROWS, *size) for name in names}
        prior = None if family == "student_t" else {name: positive(*size) for name in names}
    return (
        lambda: FamilyMoments(family).update(own, prior).sufficient_statistics(),
        lambda sums: derive_family(family, sums),
        goal,
    )


def gaussian() -> Case:
    mu, sigma = torch.randn(ROWS, NEURONS, 1), positive(ROWS, NEURONS, 1)
    return lambda: Moments().update_plain(mu, sigma).sufficient_statistics(), derive, GOAL


def codes() -> Case:
    book, picks = CodeUsage(NEURONS), torch.randint(0, NEURONS, (ROWS, 64))
    return lambda: book.update(picks).statistics(), lambda sums: sums, GOAL


def samples() -> Case:
    z = torch.randn(8, ROWS, NEURONS)
    return (
        lambda: SampleMoments().update(z).sufficient_statistics(),
        lambda sums: derive_family("samples", sums),
        "-",
    )


def cases() -> dict[str, Case]:
    pair = ("concentration", "rate")
    return {
        "Gaussian": gaussian(),
        "categorical, 32 of 32 classes": of_family("categorical", ("probability",), 32, 32, goal=GOAL),
        "categorical, 1,024 of 8 classes": of_family("categorical", ("probability",), NEURONS, 8),
        "code book of 1,024, 64 picks an input": codes(),
        "Bernoulli": of_family("bernoulli", ("probability",), NEURONS),
        "Beta": of_family("beta", ("concentration1", "concentration0"), NEURONS),
        "Gamma": of_family("gamma", pair, NEURONS),
        "inverse Gamma": of_family("inverse_gamma", pair, NEURONS),
        "Dirichlet, 32 of 32 components": of_family("dirichlet", ("concentration",), 32, 32),
        "exponential": of_family("exponential", ("rate",), NEURONS),
        "Poisson": of_family("poisson", ("rate",), NEURONS),
        "von Mises": of_family("von_mises", ("loc", "concentration"), NEURONS),
        "Laplace": of_family("laplace", ("loc", "scale"), NEURONS),
        "Student t": of_family("student_t", ("df", "loc", "scale"), NEURONS),
        "samples, 8 draws an input": samples(),
    }


def spent(run: Callable[[], object]) -> float:
    """CPU seconds of this thread."""
    began = time.thread_time()
    run()
    return time.thread_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=40, help="of each family [40]")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    options = parser.parse_args()
    where = sections.measured_on("torch", "scipy")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x = VAE(784, 512, NEURONS), torch.rand(ROWS, 784)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimiser.zero_grad()
        model(x).backward()
        optimiser.step()

    rows = []
    for name, (sums, derived, goal) in cases().items():
        block = {key: torch.stack([value] * BLOCK) for key, value in sums().items()}
        kept = []
        for turn in range(-3, options.turns):  # the first three warm up
            found = spent(step), spent(sums), spent(functools.partial(derived, block)) / BLOCK
            if turn >= 0:
                kept.append(found)
        of_step, of_sums, of_end = (1e3 * statistics.median(times) for times in zip(*kept, strict=True))
        share = 100 * (of_sums + of_end) / of_step
        rows.append((name, f"{of_sums:.2f}", f"{of_end:.2f}", f"{share:.1f} %", f"{share / 10:.1f} %", goal))
        print(f"{name}: step {of_step:.1f} ms, sums {of_sums:.2f}, derived {of_end:.2f}: {share:.1f} %")
    if options.write:
        head = ("256 inputs, 1,024 neurons", "sums, ms", "derived, ms", "every step", "every 10th", "goal")
        body = (
            f"`python -m benchmarks.families --write`; {where}, one thread. CPU time of the sums of one"
            " batch, and of the statistics derived of blocks of 16 steps, beside a bare step of a VAE of"
            f" 1,024 latents (784-512-1,024, batch 256), in turns; medians of {options.turns}. Families with"
            " digamma, ln Γ or Bessel functions are computed in float64: record those every 10th step.\n\n"
        )
        sections.write("families", "Families", body + sections.table(head, rows))


if __name__ == "__main__":
    main()
