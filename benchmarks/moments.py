"""Measures what the streaming statistics of a batch cost, in per cent of the bare step of `benchmarks.log`.

python -m benchmarks.moments [--before CHECKOUT] [--pairs 60]

Sums of all four layers, with pairs of origins and predecessors, after each of two bare steps in turns: this
code's, and without pairs or, with `--before`, those of another checkout of this repository. CPU time of one
thread, medians, and the median difference within the turns: neighbours of a busy machine slow both.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.log import BATCH, INPUTS, BareNetwork, training_step
from probes.moments import Moments

Gather = Callable[[list[tuple[torch.Tensor, ...]]], Any]


def gather_with(moments: type[Moments], paired: bool = True) -> Gather:
    """What a trainer does after a step, by one `Moments`."""

    def gather(posteriors: list[tuple[torch.Tensor, ...]]) -> list[dict[str, torch.Tensor]]:
        kept = []
        for mu, sigma, ln, kl in posteriors:
            mu, sigma, ln = (value.detach()[..., None] for value in (mu, sigma, ln))
            previous = mu[BATCH // 2 :] if paired else None
            pool = moments().update(mu, sigma, kl=kl.detach(), log_sigma=ln, previous_mu=previous)
            kept.append(pool.sufficient_statistics())
        return kept

    return gather


def moments_of(checkout: Path) -> type[Moments]:
    """The class of another checkout, beside this one's."""
    own = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "probes"}
    for name in own:
        del sys.modules[name]
    sys.path.insert(0, str(checkout.resolve()))
    try:
        from probes.moments import Moments as other
    finally:
        sys.path.pop(0)
        sys.modules.update(own)
    if other is Moments:
        sys.exit(f"{checkout} holds no other probes/moments.py")
    return other


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, help="another checkout, to be compared with")
    parser.add_argument("--pairs", type=int, default=60, help="turns [60]")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    other = "without pairs" if options.before is None else "before"
    before = (
        gather_with(Moments, False) if options.before is None else gather_with(moments_of(options.before))
    )
    kinds = {"now": gather_with(Moments), other: before}
    network = BareNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    x, y = torch.randn(BATCH, INPUTS), torch.randn(BATCH, 24)
    bare: list[float] = []
    costs: dict[str, list[float]] = {name: [] for name in kinds}
    for pair in range(-5, options.pairs):  # the first five warm up
        for name in kinds if pair % 2 else reversed(kinds):
            began = time.thread_time()
            posteriors = training_step(network, optimiser, x, y)
            stepped = time.thread_time()
            kinds[name](posteriors)
            if pair >= 0:
                bare.append(stepped - began)
                costs[name].append(time.thread_time() - stepped)
    step = statistics.median(bare)
    print(f"bare step {1e3 * step:.0f} ms")
    for name, found in costs.items():
        print(f"statistics, {name}: {100 * statistics.median(found) / step:.2f} %")
    difference = statistics.median(a - b for a, b in zip(costs["now"], costs[other], strict=True))
    print(f"difference: {100 * difference / step:.2f} %")


if __name__ == "__main__":
    main()
