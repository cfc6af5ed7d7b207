"""How often the rules of `probes.alerts` fire on planted healthy runs, and how often and how late on planted
faults.

`python -m benchmarks.alerts` prints the tables of docs/diagnostics.md; minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import norm

from benchmarks.sections import table
from probes import alerts, plateau
from probes.schema import DEAD
from probes.settling import settle

Array = NDArray[np.float64]
Random = np.random.Generator

STEPS = 1_000
ONSET = 400  # of a planted fault
CORRELATIONS = (0.0, 0.5, 0.8)
WIDTHS = (8, 16, 32, 64, 256, 1024)
NO_EVENTS = pd.DataFrame({"step": [], "layer": [], "kind": []})
NO_SCALARS = pd.DataFrame({"step": [], "split": [], "name": [], "value": []})


def noise(random: Random, rows: int, steps: int, correlation: float) -> Array:
    """(rows, steps) of unit AR(1) noise."""
    drawn = random.standard_normal((rows, steps))
    drawn[:, 1:] *= np.sqrt(1 - correlation**2)
    return np.asarray(lfilter([1], [1, -correlation], drawn, axis=1))


def living(
    random: Random, neurons: int, steps: int, share: float, shared: float = 0.0, correlation: float = 0.0
) -> NDArray[np.bool_]:
    """(neurons, steps): whether each neuron's numbers say that it lives, each with probability `share`.

    A neuron lives while its margin is positive; `shared` of the margin's variance is of the batch, the same
    for all neurons, and both parts have that correlation from step to step.
    """
    batch, own = noise(random, 1, steps, correlation), noise(random, neurons, steps, correlation)
    return norm.ppf(share) + np.sqrt(shared) * batch + np.sqrt(1 - shared) * own > 0


def layer(
    lives: NDArray[np.bool_], kl: Array | None = None, settled: bool = True, index: int = 0
) -> pd.DataFrame:
    """A layer's rows of the log's summary: what does not live is dead. settled: as from format 1.2 on."""
    neurons, steps = lives.shape
    codes = np.where(lives, 0, DEAD).astype(np.int8)
    rows: dict[str, object] = {"step": np.arange(steps), "layer": index}
    rows["kl_mean"] = np.full(steps, 0.3) if kl is None else kl
    rows |= {f"regime_{code}": (codes == code).sum(0) for code in range(10)}
    if settled:
        codes = settle(codes)
        rows |= {f"settled_{code}": (codes == code).sum(0) for code in range(11)}
    return pd.DataFrame(rows)


def found(summary: pd.DataFrame, scalars: pd.DataFrame = NO_SCALARS) -> list[alerts.Alert]:
    """Alerts of a run whose warm-up has ended."""
    return alerts.find(summary, scalars, NO_EVENTS, warmup=0)


def dying(random: Random, neurons: int, dead: int, over: int, settled: bool = True) -> pd.DataFrame:
    """A layer that flickers as a trained one does, of which `dead` neurons die within `over` steps."""
    lives = living(random, neurons, STEPS, 0.97, 0.06, 0.3)
    for neuron, at in enumerate(ONSET + random.integers(over, size=dead)):
        lives[neuron, at:] = False
    return layer(lives, settled=settled)


def curve(random: Random, shape: Array, sd: float, correlation: float) -> Array:
    """A validation curve with AR(1) noise."""
    return shape + sd * noise(random, 1, len(shape), correlation)[0]


VALIDATIONS = np.arange(40.0)
IMPROVING: Mapping[str, tuple[Array, float]] = {
    "straight, 0.1 sd each": (1 - 0.001 * VALIDATIONS, 0.01),
    "straight, 0.2 sd each": (1 - 0.002 * VALIDATIONS, 0.01),
    "straight through 0": (0.04 - 0.002 * VALIDATIONS, 0.01),
    "1/sqrt(k), sd 0.01": ((VALIDATIONS + 1) ** -0.5, 0.01),
    "exponential, 15 validations, sd 0.01": (0.5 + np.exp(-VALIDATIONS / 15) / 2, 0.01),
}
FALL = np.exp(-np.arange(80) / 5) / 2
STALLED: Mapping[str, tuple[Array, float]] = {
    "plateau from validation 15 on, sd 0.5 % of the fall": (np.where(np.arange(80) < 15, FALL, 0.0), 0.0025),
    "the same, sd 1 %": (np.where(np.arange(80) < 15, FALL, 0.0), 0.005),
    "the same, sd 2 %": (np.where(np.arange(80) < 15, FALL, 0.0), 0.01),
    "the same, sd 5 %": (np.where(np.arange(80) < 15, FALL, 0.0), 0.025),
    "flat from the start": (np.zeros(80), 0.01),
    "rising again from validation 15 on": (FALL + 0.004 * np.maximum(np.arange(80) - 15, 0), 0.01),
}


def first_alert(summary: pd.DataFrame, onset: int = ONSET) -> int | None:
    """Steps from a fault to its first alert; None: not found."""
    steps = [alert.step for alert in found(summary) if alert.step >= onset]
    return steps[0] - onset if steps else None


def mean_kl(random: Random, sd: float, correlation: float, factor: float = 1.0) -> pd.DataFrame:
    """A living layer whose mean KL has noise of that sd on its logarithm, and grows by a factor."""
    kl = 0.1 * np.exp(sd * noise(random, 1, STEPS, correlation)[0])
    kl[ONSET:] *= factor
    return layer(np.ones((8, STEPS), bool), kl, settled=False)


def controlled(random: Random, kind: str) -> list[alerts.Alert]:
    """Alerts of a layer under homeostasis and a thermostat, a kind of CONTROLS."""
    wander = noise(random, 2, STEPS, 0.9)
    mu2 = 0.3 * np.exp(0.1 * wander[0])
    beta = np.clip(0.01 * np.exp(0.5 * wander[1]), 1e-4, 1)
    if kind == "is brought back":
        mu2 *= np.exp(-1.5 * np.maximum(1 - np.arange(STEPS) / 300, 0))
    elif kind == "chases":
        mu2[ONSET:] *= 0.4
    elif kind == "saturates":
        beta[ONSET:] = 1
    summary = layer(np.ones((8, STEPS), bool), settled=False)
    summary = summary.assign(mu2_p50=mu2, band_low_p50=0.2, band_high_p50=0.4, beta_p50=beta)
    acts = pd.DataFrame({"step": np.arange(0, STEPS, 10), "layer": 0, "kind": "homeostasis"})
    return alerts.find(summary, NO_SCALARS, acts, warmup=0)


CONTROLS = {
    "healthy": "E[μ²] in its band, beta free",
    "is brought back": "E[μ²] returns within 300 steps",
    "chases": "E[μ²] x 0.4 from step 400 on",
    "saturates": "beta at its limit from step 400 on",
}


def _rate(found_in: list[bool]) -> str:
    return f"{100 * np.mean(found_in):.1f} %"


def _power(delays: list[int | None]) -> str:
    """Share that is found, and the median delay of those."""
    late = [delay for delay in delays if delay is not None]
    return f"{100 * len(late) / len(delays):.0f} %" + (f", {np.median(late):.0f}" if late else "")


HEALTHY = (  # lives, variance of the batch, correlation
    (0.97, 0.06, 0.3), (0.9, 0.06, 0.5), (0.9, 0.2, 0.3), (0.8, 0.0, 0.0), (0.8, 0.06, 0.3), (0.8, 0.5, 0.0),
    (0.5, 0.0, 0.0), (0.8, 0.2, 0.5),
)  # fmt: skip


def healthy_layers(random: Random, repeats: int) -> str:
    """False alarms of "left living", share of runs of 1,000 steps."""
    rows = []
    for kind in HEALTHY:
        for settled in (True, False):
            cells = []
            for width in WIDTHS:
                times = max(repeats // (1 + width // 200), 20)
                runs = (layer(living(random, width, STEPS, *kind), settled=settled) for _ in range(times))
                cells.append(_rate([bool(found(run)) for run in runs]))
            rows.append([*map(str, kind), "settled" if settled else "raw", *cells])
    return table(["lives", "of the batch", "correlation", "counts", *map(str, WIDTHS)], rows)


def faulty_layers(random: Random, repeats: int) -> str:
    """Power of "left living": found, median delay in steps after the first death."""
    kinds = {
        "third at once": (1 / 3, 1), "third within 64 steps": (1 / 3, 64), "half at once": (1 / 2, 1),
        "half within 64 steps": (1 / 2, 64), "all at once": (1, 1),
    }  # fmt: skip
    rows = []
    for name, (part, over) in kinds.items():
        for settled in (True, False):
            cells = []
            for width in (3, *WIDTHS[:-1]):
                runs = (dying(random, width, round(width * part), over, settled) for _ in range(repeats // 4))
                cells.append(_power([first_alert(run) for run in runs]))
            rows.append([name, "settled" if settled else "raw", *cells])
    return table(["dies", "counts", "3", *map(str, WIDTHS[:-1])], rows)


def jumps(random: Random, repeats: int) -> str:
    """Jump in KL: false alarms in 1,000 steps; a factor of three found, median delay in steps."""
    rows = []
    for sd in (0.03, 0.05, 0.1, 0.15, 0.2):
        row = [str(sd)]
        for correlation in (0.0, 0.5, 0.8):
            row.append(_rate([bool(found(mean_kl(random, sd, correlation))) for _ in range(repeats)]))
            tripled = (mean_kl(random, sd, correlation, 3.0) for _ in range(repeats // 4))
            row.append(_power([first_alert(run) for run in tripled]))
        rows.append(row)
    what = [f"{what}, correlation {c}" for c in (0, 0.5, 0.8) for what in ("false", "x 3")]
    return table(["sd of log KL", *what], rows)


def controls(random: Random, repeats: int) -> str:
    """Controls: runs of 1,000 steps with an alert, and its median step."""
    rows = []
    for kind, text in CONTROLS.items():
        found_in = [controlled(random, kind) for _ in range(repeats)]
        rows.append([text, _power([run[0].step if run else None for run in found_in])])
    return table(["control", "alerts, step"], rows)


def progress(random: Random, repeats: int) -> str:
    """No progress: false alarms within 40 validations; stalls found within 80, and validations until then."""
    rows = []
    for name, (shape, sd) in IMPROVING.items():
        row = [name]
        for correlation in CORRELATIONS:
            curves = (curve(random, shape, sd, correlation) for _ in range(repeats))
            row.append(_rate([bool(plateau.stalls(values)) for values in curves]))
        rows.append(row)
    for name, (shape, sd) in STALLED.items():
        onset, row = 0 if name.startswith("flat") else 15, [name]
        for correlation in CORRELATIONS:
            at = [plateau.stalls(curve(random, shape, sd, correlation)) for _ in range(repeats // 4)]
            row.append(_power([places[0] + 1 - onset if places else None for places in at]))
        rows.append(row)
    return table(["validation curve", *(f"correlation {c}" for c in CORRELATIONS)], rows)


PARTS = {
    "left": healthy_layers,
    "power": faulty_layers,
    "jumps": jumps,
    "controls": controls,
    "progress": progress,
}


def main() -> None:
    """Print the tables, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS), help="one table")
    parser.add_argument("--repeats", type=int, default=300, help="planted runs of a cell [300]")
    parser.add_argument("--seed", type=int, default=0, help="[0]")
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.only in (None, name):
            print(f"\n{(part.__doc__ or '').splitlines()[0]}\n")
            print(part(np.random.default_rng(options.seed), options.repeats))


if __name__ == "__main__":
    main()
