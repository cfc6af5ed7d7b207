"""Measures how often the 95 % interval of a difference of scores holds the true difference.

python -m benchmarks.differences [--tables N] [--write]

Planted differences of two models' scores by origin: known mean, targets that overlap over a horizon, errors
that last, heavy tails, seeds. Beside the interval of `probes.analysis.score_differences` stand those that it
was chosen over. The tables go to docs/diagnostics.md, section "Differences between runs".
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from scipy.signal import lfilter

from benchmarks import sections
from probes.analysis.score_differences import block_length, difference, variance_over_time
from probes.diagnostics import student_quantile

TABLES = 1000
BURNT = 600  # steps of a series before it is looked at
SIZES = ((1728, 24), (600, 24), (2785, 96), (1200, 96), (250, 24), (480, 96))
"""Origins and horizon: the test splits of the embedded data and of ETTh1 first."""
SEEDS = (1, 2, 3, 5)
SEED_SHARES = (0.0, 0.5, 0.9)
RESAMPLES = 400
Floats = np.ndarray
Law = Callable[[np.random.Generator, int, int], Floats]
"""Generator, origins, horizon -> (T,) differences of mean 0."""


def autoregression(generator: np.random.Generator, count: int, phi: float, tails: float = 0) -> Floats:
    """A stationary AR(1) of variance 1; `tails`: degrees of freedom of its noise, 0 for a Gaussian."""
    size = count + BURNT
    noise = (
        generator.standard_t(tails, size) / np.sqrt(tails / (tails - 2))
        if tails
        else generator.normal(size=size)
    )
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], noise)[BURNT:]


def overlapping(values: Floats, horizon: int) -> Floats:
    """Means over each stretch of `horizon` values."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[horizon:] - sums[:-horizon]) / horizon


def lasting(phi: float, tails: float = 0) -> Law:
    """Errors of single times that last, averaged over the horizon."""
    return lambda generator, count, horizon: overlapping(
        autoregression(generator, count + horizon - 1, phi, tails), horizon
    )


def squares(tails: float = 0) -> Law:
    """Squared error of one model less that of another: what they both miss is the target's, what they differ
    in is slow.
    """

    def draw(generator: np.random.Generator, count: int, horizon: int) -> Floats:
        missed = overlapping(autoregression(generator, count + horizon - 1, 0.8, tails), horizon)
        one, other = (autoregression(generator, count, 0.95) for _ in range(2))
        return missed * (one - other) + 0.25 * (one**2 - other**2)

    return draw


LAWS: dict[str, Law] = {
    "independent errors": lasting(0.0),
    "AR(1) 0.9": lasting(0.9),
    "AR(1) 0.98": lasting(0.98),
    "AR(1) 0.9, Student's t 3": lasting(0.9, 3),
    "squared errors": squares(),
    "squared errors, Student's t 4": squares(4),
}


def seeded(
    law: Law, generator: np.random.Generator, count: int, horizon: int, seeds: int, share: float
) -> Floats:
    """(seeds, T): half of the variance over time is of the data, half of each training; of the variance of a
    training's mean, `share` is of the training for good.
    """
    shared = law(generator, count, horizon)
    own = np.array([law(generator, count, horizon) for _ in range(seeds)])
    values = np.sqrt(0.5) * (shared + own)
    variance, _ = variance_over_time(shared, block_length(count, horizon))
    spread = 0.0 if np.isnan(variance) else np.sqrt(variance * share / (1 - share))
    return values + spread * generator.normal(size=(seeds, 1))


def chosen(values: Floats, horizon: int) -> float:
    """Half width of the interval that is used."""
    found = difference(values, np.zeros_like(values), horizon)
    return found.high - found.difference


def percentiles(values: Floats, horizon: int, generator: np.random.Generator) -> tuple[float, float]:
    """Percentiles of a bootstrap of two levels: seeds are drawn, then blocks of two horizons for all of
    them.
    """
    seeds, count = values.shape
    length = 2 * horizon
    sums = np.concatenate([np.zeros((seeds, 1)), values.cumsum(1)], 1)
    blocks = (sums[:, length:] - sums[:, :-length]) / length
    drawn = generator.integers(0, blocks.shape[1], (RESAMPLES, -(-count // length)))
    who = generator.integers(0, seeds, (RESAMPLES, seeds))
    centred = blocks - blocks.mean(1, keepdims=True)
    drawn_means = np.stack([own[drawn].mean(1) for own in centred]) + values.mean(1)[:, None]  # (seeds, R)
    means = np.take_along_axis(drawn_means, who.T, 0).mean(0)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def horizons_alone(values: Floats, horizon: int, spans: int) -> float:
    """Half width with blocks of some horizons, whatever the length of the split."""
    variance, freedom = variance_over_time(values.mean(0), spans * horizon)
    return float(student_quantile(np.asarray(freedom)) * np.sqrt(variance))


def over_time(tables: int, count: int, horizon: int) -> Iterator[list[str]]:
    """A row a law: per cent of intervals of one training that hold 0, and how wide they are against 1.96 true
    standard errors.
    """
    for name, law in LAWS.items():
        generator = np.random.default_rng(0)
        means, halves, short, drawn = [], [], {1: [], 2: [], 3: []}, []
        for _ in range(tables):
            values = law(generator, count, horizon)[None]
            means.append(values.mean())
            halves.append(chosen(values, horizon))
            for spans, found in short.items():
                found.append(horizons_alone(values, horizon, spans))
            if count > 2 * horizon:
                low, high = percentiles(values, horizon, generator)
                drawn.append(low <= 0 <= high)
        size = np.abs(means)
        none = np.isnan(halves).all()
        width = 0.0 if none else np.nanmean(halves) / (1.96 * np.std(means))
        yield [
            f"{count:,} / {horizon}", name, f"{count / block_length(count, horizon):.1f}",
            "none" if none else f"{100 * np.mean(size <= halves):.1f}, {width:.2f}",
            *(
                "none" if np.isnan(found).any() else f"{100 * np.mean(size <= found):.1f}"
                for found in short.values()
            ),
            f"{100 * np.mean(drawn):.1f}",
        ]  # fmt: skip


def over_seeds(tables: int, count: int, horizon: int) -> Iterator[list[str]]:
    """A row a law and share of seeds: per cent of intervals that hold the mean over data and trainings, with
    so many seeds; behind it those of the percentiles of a two-level bootstrap.
    """
    for name in ("independent errors", "AR(1) 0.9", "squared errors, Student's t 4"):
        for share in SEED_SHARES:
            generator = np.random.default_rng(1)
            cells = []
            for seeds in SEEDS:
                held, drawn = [], []
                for _ in range(tables):
                    values = seeded(LAWS[name], generator, count, horizon, seeds, share)
                    held.append(abs(values.mean()) <= chosen(values, horizon))
                    low, high = percentiles(values, horizon, generator)
                    drawn.append(low <= 0 <= high)
                cells.append(f"{100 * np.mean(held):.1f} ({100 * np.mean(drawn):.0f})")
            yield [f"{count:,} / {horizon}", name, f"{share:g}", *cells]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.differences", description="Measures intervals of differences of scores."
    )
    parser.add_argument("--tables", type=int, default=TABLES)
    parser.add_argument("--write", action="store_true", help="into docs/diagnostics.md")
    arguments = parser.parse_args()
    rows = [row for count, horizon in SIZES for row in over_time(arguments.tables, count, horizon)]
    head = [
        "origins / horizon", "errors", "blocks", "used, width", "1 horizon", "2 horizons", "3 horizons",
        "percentiles",
    ]  # fmt: skip
    seeds = list(over_seeds(arguments.tables, *SIZES[0]))
    text = "\n\n".join(
        [
            f"`python -m benchmarks.differences`: {arguments.tables:,} planted tables a row, one training"
            " each, per cent of 95 % intervals that hold the true difference; width against 1.96 true"
            " standard errors. Beside them blocks of so many horizons with the same t, and percentiles of a"
            " bootstrap of blocks of two.",
            sections.table(head, rows),
            "With seeds, whose share of the variance of a training's mean is `seeds`; in brackets percentiles"
            " of a bootstrap of seeds and blocks. With one seed the interval is of time alone, and says so.",
            sections.table(["origins / horizon", "errors", "seeds", *map(str, SEEDS)], seeds),
        ]
    )
    print(text)
    if arguments.write:
        sections.write("differences", "Differences between runs", text, sections.DIAGNOSTICS)


if __name__ == "__main__":
    main()
