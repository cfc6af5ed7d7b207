"""Rate, distortion and weight of the KL of a run, and where other runs of its folder have ended."""

from __future__ import annotations

import pandas as pd

from pages.shell.session import cache, runs
from pages.shell.session.runs import RunContext
from probes.analysis import rate_distortion
from probes.analysis.rate_distortion import Objective

MOST_OTHERS = 200


@cache.of_run("neurons", "scalars", keep=cache.WHOLES_KEPT)
def objective(context: RunContext) -> Objective:
    """As `rate_distortion.objective`."""
    return rate_distortion.objective(
        cache.scalars(context), context.run.config, cache.summary(context), cache.curves(context)["rate"]
    )


@cache.of_run("neurons", "scalars", keep=cache.WHOLES_KEPT)
def path(context: RunContext) -> pd.DataFrame:
    """As `rate_distortion.path`."""
    return rate_distortion.path(objective(context))


def others(context: RunContext) -> pd.DataFrame:
    """Ends of the other runs of the run's folder on the same data, from their manifests: run, rate,
    distortion, weight. Only of runs that log the same kind of distortion, the latest MOST_OTHERS of them.
    """
    own = rate_distortion.kind_of_distortion(context.entry.row["scores"])
    found = []
    for name, entry in runs.entries().items():
        row = entry.row
        if row["error"] or entry.path.parent != context.entry.path.parent or entry.path == context.entry.path:
            continue
        if not _alike(row["config"], context.run.config):
            continue
        end = rate_distortion.end_point(row["scores"], row["config"])
        if end is not None and rate_distortion.kind_of_distortion(row["scores"]) == own:
            found.append({"run": name, **end})
        if len(found) == MOST_OTHERS:
            break
    return pd.DataFrame(found, columns=["run", "rate", "distortion", "weight"])


def _alike(config: dict[str, object], other: dict[str, object]) -> bool:
    """Whether two runs say that they are of the same data and predict as much of it."""
    if config.get("data") is None or config.get("horizon") != other.get("horizon"):
        return False
    return config.get("data") == other.get("data")
