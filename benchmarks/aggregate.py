"""How far estimators of a layer's total correlation are off, and what the split of its rate costs.

    python -m benchmarks.aggregate [--write]

Means are a random linear map of a few standard normal factors, so that the aggregate is a Gaussian and every
part has a closed form. The minibatch-weighted and the minibatch-stratified estimators (Chen et al. 2018) see
minibatches of M of `DATA` inputs; the exact mixture sees B inputs and no others. `--write` puts the tables
into docs/diagnostics.md; without it they are printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.sections import DIAGNOSTICS, measured_on, table, write
from probes.analysis import aggregate

Floats = NDArray[np.float64]
DATA = 4096  # inputs that minibatches are of
SIZES = (64, 256)
REPEATS = 16
CASES = (
    ("8 neurons", 8, 2, 0.3),
    ("8 neurons, which tell more", 8, 3, 1.0),
    ("32 neurons", 32, 12, 1.2),
)
PARTS = ("index_code", "total_correlation", "dimension_wise")
COSTS = ((64, 64), (256, 64), (256, 256), (256, 512))


class Case(NamedTuple):
    """A linear map of factors: weights (N, F), sd (N,), and the exact parts, nats."""

    weights: Floats
    sd: Floats
    exact: Floats

    def posteriors(self, inputs: int, seed: int) -> tuple[Floats, Floats]:
        draw = np.random.default_rng(seed)
        mu = draw.standard_normal((inputs, self.weights.shape[1])) @ self.weights.T
        return mu, np.broadcast_to(self.sd, mu.shape)


def make_case(neurons: int, factors: int, gain: float) -> Case:
    draw = np.random.default_rng(0)
    weights = draw.standard_normal((neurons, factors)) * gain / np.sqrt(factors)
    sd = draw.uniform(0.6, 1, neurons)
    covariance = weights @ weights.T + np.diag(sd**2)
    diagonal, determinant = np.diag(covariance), np.linalg.slogdet(covariance)[1]
    told = determinant / 2 - np.log(sd).sum()
    correlation = (np.log(diagonal).sum() - determinant) / 2
    return Case(weights, sd, np.array([told, correlation, (diagonal - 1 - np.log(diagonal)).sum() / 2]))


def exact_mixture(case: Case, size: int, seed: int) -> Floats:
    found = aggregate.split_rate(*case.posteriors(size, seed), seed=seed)
    return np.array([getattr(found, name).value for name in PARTS])


def as_it_is(case: Case, size: int, seed: int) -> Floats:
    found = aggregate.split_rate(*case.posteriors(size, seed), seed=seed, corrected=False)
    return np.array([getattr(found, name).value for name in PARTS])


def weighted(case: Case, size: int, seed: int) -> Floats:
    """ln q(z) = ln Σ_j q(z|x_j) − ln (DATA M), j over the minibatch with its own."""
    return _minibatch(case, np.full((size, size), -np.log(DATA * size)), seed)


def stratified(case: Case, size: int, seed: int) -> Floats:
    """The own with 1 / DATA, one other for those that were not drawn, the rest with 1 / (M − 1)."""
    logs = np.full((size, size), -np.log(size - 1))
    np.fill_diagonal(logs, -np.log(DATA))
    other = (np.arange(size) + 1) % size
    logs[np.arange(size), other] = np.log((DATA - size + 1) / (DATA * (size - 1)))
    return _minibatch(case, logs, seed)


def _minibatch(case: Case, logs: Floats, seed: int) -> Floats:
    """logs: (M, M) ln of the weight of input j in the density of the draw of input b."""
    mu, sigma = case.posteriors(len(logs), seed)
    z = mu + sigma * np.random.default_rng(seed).standard_normal(mu.shape)
    own = -0.5 * ((z[:, None] - mu) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)  # (M, M, N)
    conditional = np.einsum("bbn->bn", own).sum(1)
    joint = special.logsumexp(own.sum(2) + logs, axis=1)
    alone = special.logsumexp(own + logs[..., None], axis=1).sum(1)
    prior = (-0.5 * z**2 - 0.5 * np.log(2 * np.pi)).sum(1)
    return np.array([(conditional - joint).mean(), (joint - alone).mean(), (alone - prior).mean()])


ESTIMATORS: dict[str, Callable[[Case, int, int], Floats]] = {
    "exact mixture, bias put back": exact_mixture,
    "exact mixture as it is": as_it_is,
    "minibatch-weighted": weighted,
    "minibatch-stratified": stratified,
}


def biases() -> Iterator[list[str]]:
    """One row a case, estimator and size: what it is off by on average, and its sd from set to set."""
    for label, neurons, factors, gain in CASES:
        case = make_case(neurons, factors, gain)
        yield [label, "exact", "", *(f"{value:.2f}" for value in case.exact)]
        for name, estimate in ESTIMATORS.items():
            for size in SIZES:
                found = np.array([estimate(case, size, seed) for seed in range(REPEATS)])
                off, sd = found.mean(0) - case.exact, found.std(0)
                cells = (f"{one:+.2f} ({spread:.2f})" for one, spread in zip(off, sd, strict=True))
                yield ["", name, str(size), *cells]


def costs() -> Iterator[list[str]]:
    """One row a layer: CPU time of the split, and of both distances anew and once their null is known."""
    for inputs, neurons in COSTS:
        case = make_case(neurons, 8, 0.5)
        mu, sigma = case.posteriors(inputs, 1)
        taken = []
        for work in (aggregate.split_rate, _distances, _distances):
            start = time.process_time()
            work(mu, sigma)
            taken.append(1000 * (time.process_time() - start))
        yield [str(inputs), str(neurons), *(f"{one:.0f}" for one in taken)]


def _distances(mu: Floats, sigma: Floats) -> None:
    aggregate.sliced_wasserstein(mu, sigma)
    aggregate.maximum_mean_discrepancy(mu, sigma)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/diagnostics.md")
    arguments = parser.parse_args()
    measured = f"`python -m benchmarks.aggregate`; {measured_on('numpy', 'scipy')}."
    head = [
        "layer",
        "estimator",
        "inputs",
        "index-code information",
        "total correlation",
        "dimension-wise KL",
    ]
    parts = [
        f"Mean error, nats (sd from one set of inputs to another), {REPEATS} sets; minibatches are of"
        f" {DATA:,} inputs.",
        table(head, biases()),
        "CPU time, milliseconds:",
        table(["inputs", "neurons", "split of the rate", "distances, first", "distances, again"], costs()),
        measured,
    ]
    body = "\n\n".join(parts)
    if arguments.write:
        write("aggregate", "The aggregate of a layer", body, DIAGNOSTICS)
    else:
        print(body)


if __name__ == "__main__":
    main()
