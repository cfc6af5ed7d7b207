"""What the regime rules make of a batch: how often each regime is given, by information and batch size.

    python -m benchmarks.regimes [--write]

Neurons of one law each (`probes.synthetic.alike`), their aggregate that of the prior. Every record is a batch
of its own; a neuron's regime has settled after `RECORDS` of them. `--write` puts the tables into
docs/diagnostics.md; without it they are printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.sections import DIAGNOSTICS, measured_on, table, write
from probes import regimes, synthetic
from probes.schema import AT_PRIOR, DEAD, REGIMES
from probes.settling import settle

INFORMATION = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)  # nats a latent dimension
BATCHES = (2, 4, 8, 16, 32, 128, 256, 4096)
DIMENSIONS = (1, 4)
RECORDS = 20
NEURONS, FEWEST = 1000, 50  # of a cell with a small batch, and at least
LARGEST = 2**23  # values of a cell: fewer neurons where the batch is large
LETTERS = {0: "L", 2: "S", 3: "X", DEAD: "D", 5: "O", 6: "F", 7: "T", 8: "E", 9: "M"}
"""Regime -> its letter in a cell; settled at the prior counts as dead."""
TELLING = 0.01  # nats a dimension from which on calling a neuron dead is false


class Movement(NamedTuple):
    """How inputs differ: shares of them that take part, and that move; the slope over pairs, None: all
    inputs are independent.
    """

    name: str
    share: float = 1.0
    moving: float = 1.0
    phi: float | None = None


GAUSSIAN = Movement("Gaussian movement")
SPARSE = Movement("Movement of 1 input in 64", moving=1 / 64)
MIXED = Movement("Half of the inputs at the prior", share=0.5)
PAIRED = Movement("Gaussian movement, half of the inputs predecessors of the others (φ 0.9)", phi=0.9)


class Cell(NamedTuple):
    """One entry: of `raw` (N, T) codes of records, and the N that have settled at the last; 10 as 4."""

    information: float
    batch: int
    raw: NDArray[np.int8]
    settled: NDArray[np.int8]


def cell(
    movement: Movement, latent_dim: int, information: float, batch: int, draw: np.random.Generator
) -> Cell:
    """Regimes of `RECORDS` batches of neurons of one law."""
    neurons = max(FEWEST, min(NEURONS, LARGEST // (RECORDS * batch * latent_dim)))
    truth = synthetic.alike(
        neurons, information, movement.share, movement.moving, movement.phi or 0.0, latent_dim
    )
    series = 0 if movement.phi is None else 1
    found = synthetic.statistics(truth, np.zeros(RECORDS), 1, draw, batch, series)
    raw = regimes.codes(found, latent_dim=latent_dim).T
    settled = settle(raw)[:, -1]
    return Cell(information, batch, raw, np.where(settled == AT_PRIOR, DEAD, settled))


def cells(movement: Movement, latent_dim: int, batches: Sequence[int] = BATCHES) -> list[Cell]:
    """All entries of a table, row by row."""
    draw = np.random.default_rng(latent_dim)
    return [cell(movement, latent_dim, told, batch, draw) for told in INFORMATION for batch in batches]


def share(codes: NDArray[np.int8], *wanted: int) -> float:
    """Share of the codes that are among those wanted."""
    return float(np.isin(codes, wanted).mean())


def entry(codes: NDArray[np.int8]) -> str:
    """Regimes by their share, per cent, the most frequent first: "L 78 O 22"; a letter alone: all."""
    shares = {letter: share(codes, code) for code, letter in LETTERS.items()}
    shown = {letter: f"{100 * part:.0f}" for letter, part in shares.items() if part > 0.005}
    ordered = sorted(shown, key=lambda letter: -shares[letter])
    return " ".join(letter if shown[letter] == "100" else f"{letter} {shown[letter]}" for letter in ordered)


def matrix(found: Iterable[Cell], batches: Sequence[int] = BATCHES) -> str:
    """Rows of information, columns of batch sizes: regimes of records → regimes settled."""
    rows: dict[float, list[str]] = {}
    for one in found:
        both = [entry(one.raw), entry(one.settled)]
        rows.setdefault(one.information, []).append(both[0] if both[0] == both[1] else " → ".join(both))
    return table(
        ["I", *(f"B = {batch:,}" for batch in batches)], ([f"{told:g}", *row] for told, row in rows.items())
    )


def worst(found: Iterable[Cell], batch: int, *wanted: int) -> str:
    """Largest share, per cent, of neurons that tell and are called one of the regimes: raw → settled."""
    ours = [one for one in found if one.batch == batch and one.information >= TELLING]
    parts = (
        max(share(one.raw, *wanted) for one in ours),
        max(share(one.settled, *wanted) for one in ours),
    )
    return " → ".join(f"{100 * part:.1f}" for part in parts)


def recovered(prior_phi: float, latent_dim: int) -> list[str]:
    """Per cent of records that are given the regime that is planted, at the end of a run; by code."""
    truth = synthetic.plant([2000], 100, prior_phi=prior_phi, latent_dim=latent_dim)
    found = synthetic.statistics(truth, np.arange(80, 100), 100, np.random.default_rng(0))
    raw, planted = regimes.codes(found, latent_dim=latent_dim), truth["regime"].to_numpy()
    return [f"{100 * share(raw[:, planted == code], code):.1f}" for code in synthetic.INFORMATION]


def covered() -> list[list[str]]:
    """Per cent of 95 % intervals of the slope that hold the planted one, by kind of neuron."""
    truth = synthetic.plant([4000], 100, [0, 7, 8, 9])
    found = synthetic.statistics(truth, np.arange(95, 100), 100, np.random.default_rng(0))
    phi, mixed = truth["phi"].to_numpy(), truth["share"].to_numpy() < 1
    holds = (found["persistence_low"] < phi) & (phi < found["persistence_high"])
    kinds = (("all inputs take part", ~mixed), ("mixed, a share of 0.3 to 0.7 takes part", mixed))
    return [[name, f"{100 * holds[:, of].mean():.1f}"] for name, of in kinds]


def report() -> Iterator[str]:
    """What is planted and recovered, then the tables, their summary first."""
    yield (
        "Planted neurons, batches of 256 (128 origins and predecessors; under an autoregressive prior the"
        " statistics are of the origins), per cent of records given the regime that is planted:"
    )
    yield table(
        ["prior φ", "K", *(REGIMES[code].name for code in synthetic.INFORMATION)],
        ([f"{phi:g}", str(dims), *recovered(phi, dims)] for phi in (0.0, 0.6) for dims in DIMENSIONS),
    )
    yield "The 95 % interval of the slope (128 pairs of 7 series) holds the planted one, per cent:"
    yield table(["planted", "held"], covered())
    names = ", ".join(f"{letter} {REGIMES[code].name}" for code, letter in LETTERS.items())
    summary, matrices = [], []
    for movement in (GAUSSIAN, PAIRED, SPARSE, MIXED):
        batches = BATCHES if movement.phi is None else BATCHES[1:]  # one pair is one independent input
        for latent_dim in DIMENSIONS:
            found = cells(movement, latent_dim, batches)
            for what, wanted in (("dead", (DEAD,)), ("offset, frozen", (5, 6))):
                line = [worst(found, batch, *wanted) if batch in batches else "" for batch in BATCHES]
                summary.append([movement.name, str(latent_dim), what, *line])
            if movement is not PAIRED:
                matrices += [f"{movement.name}, K = {latent_dim}:", matrix(found, batches)]
    head = ["inputs", "K", "called", *(f"B = {batch:,}" for batch in BATCHES)]
    yield (
        f"Called what they are not: of neurons that tell {TELLING:g} nats a dimension or more the largest"
        " share over the rows below, per cent of records → of settled neurons."
    )
    yield table(head, summary)
    yield f"All regimes, per cent of records → of settled neurons where that differs; {names}; from 0.5 %."
    yield from matrices


def main() -> None:
    """Print all tables, or write them."""
    parser = argparse.ArgumentParser(description="regimes by information and batch size")
    parser.add_argument("--write", action="store_true", help="into docs/diagnostics.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measured = f"`python -m benchmarks.regimes`; {measured_on('torch', 'numpy')}."
    body = "\n\n".join([measured, *report()])
    if arguments.write:
        write("regimes", "Regimes by information and batch size", body, DIAGNOSTICS)
    else:
        print(body)


if __name__ == "__main__":
    main()
