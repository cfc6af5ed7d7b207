"""From pinned neurons to what the page Neurons draws: series over steps, moments for densities, rows
for tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from pages.shell.session import cache, pins, url
from pages.shell.session.pins import Pinned
from pages.shell.session.runs import RunContext
from probes import regimes
from probes.analysis import layer_families, neuron_explanation
from probes.families import family_of
from probes.figures.densities import Moment
from probes.figures.neuron_series import NeuronSeries, column
from probes.schema import FORCES, SETTLED, STATISTICS
from probes.spacing import evenly_spaced, log_spaced, log_spaced_steps

# of a neuron, at least: a long run is drawn from the coarsest level of the log that gives so many
POINTS = 150
# recorded steps up to which a neuron is drawn as recorded: as many points as the coarser levels give at most
EXACT = 2400
EXACT_FIRST = 256  # of a longer run: where most of the change is, and all that a log axis shows wide
MEDIAN_POINTS = 200  # of a layer's median; more would not be seen behind a neuron
COMPARED = 40  # steps that are offered for comparison
# neurons whose series stay in memory: a few hundred kilobytes each, of a few sessions
NEURONS_KEPT = 96

STATISTICS_READ = (
    "mean", "variance", "spread", "kl", "information", "mismatch", "past", "mu2", "band_low", "band_high",
    "beta", "persistence",
    "persistence_low", "persistence_high", "phi", "input_persistence", "local_elbo", "innovation",
    "active_share",
    "prior_variance", "entropy", "prior_entropy", "perplexity", "usage", "kl_error",
)  # fmt: skip
"""Statistics that the page reads of every shown neuron."""


def over_steps(
    shown: Sequence[Pinned], colors: Sequence[str], dashed: Sequence[bool], span: tuple[int, int]
) -> list[NeuronSeries]:
    """Every shown neuron over the recorded steps within `span`, with its layer and what the control did to
    it; one colour each, and whether its lines are dashed.
    """
    found = []
    for neuron, name, color, dash in zip(shown, pins.labels(shown), colors, dashed, strict=True):
        context, layer, number = neuron.context, neuron.pin.layer, neuron.pin.neuron
        recorded = context.until_now(span)
        rows = _rows(context, layer, number, recorded)
        median, events = _layer_median(context, layer, recorded), _events(context, layer, number, span)
        found.append(
            NeuronSeries(
                name,
                rows,
                median,
                events,
                color,
                neuron.latent_dim,
                neuron.context.run.stride,
                dashed=dash,
                family=str(context.layers[layer].get("family", "gaussian")),
            )  # fmt: skip
        )
    return found


@cache.of_run(keep=NEURONS_KEPT)
def _rows(context: RunContext, layer: int, neuron: int, span: tuple[int, int]) -> pd.DataFrame:
    """Rows as recorded while they are few; of a long run the first EXACT_FIRST as recorded, the others from
    the pyramid. `span` ends where the run's steps do, at the latest.
    """
    run = context.run
    names = [statistic for statistic in STATISTICS_READ if statistic in run.statistics]
    recorded = np.asarray(run.steps)
    recorded = recorded[(recorded >= span[0]) & (recorded <= span[1])]
    read = partial(run.history, layer, neuron, names)
    if len(recorded) <= EXACT:
        return read(span)
    border = int(recorded[EXACT_FIRST - 1])
    late = read((border + 1, span[1]), POINTS)
    return pd.concat([read((span[0], border)), late[late["step"] > border]], ignore_index=True)


@cache.of_run(keep=NEURONS_KEPT)
def _layer_median(context: RunContext, layer: int, span: tuple[int, int]) -> pd.DataFrame:
    """The layer's summary at as many steps as are seen behind a neuron, on either axis."""
    summary = cache.summary(context)
    rows = summary[(summary["layer"] == layer) & summary["step"].between(*span)]
    return rows.iloc[
        np.union1d(evenly_spaced(len(rows), MEDIAN_POINTS), log_spaced(len(rows), MEDIAN_POINTS))
    ]


@cache.of_run("events", keep=NEURONS_KEPT)
def _events(context: RunContext, layer: int, neuron: int, span: tuple[int, int]) -> pd.DataFrame:
    """Interventions on the neuron, or on its whole layer, or on the whole run."""
    table = cache.events(context)
    here = (table["layer"].isna() | (table["layer"] == layer)) & (
        table["neuron"].isna() | (table["neuron"] == neuron)
    )
    return table[here.fillna(False).to_numpy(bool) & table["step"].between(*span).to_numpy(bool)]


def steps_per_point(shown: Sequence[NeuronSeries], runs: Sequence[Pinned]) -> int:
    """How many recorded steps one drawn point stands for, at most; 1 is exact."""
    widths = [1]
    for one, neuron in zip(shown, runs, strict=True):
        late = one.rows["step"].to_numpy()[np.isfinite(column(one.rows, "variance_min", None))]
        if len(late) > 1:
            recorded = np.asarray(neuron.context.run.steps)
            widths.append(
                round(np.count_nonzero((recorded >= late[0]) & (recorded < late[-1])) / (len(late) - 1))
            )
    return max(widths)


def onset(neuron: Pinned) -> float:
    """The step at which the neuron's contraction set in, NaN where it has not."""
    return _onset(neuron.context, neuron.pin.layer, neuron.pin.neuron)


@cache.of_run("neurons", keep=NEURONS_KEPT)
def _onset(context: RunContext, layer: int, neuron: int) -> float:
    rows = _contraction_rows(context, layer, neuron)
    known = len(rows) and "contraction" in rows
    return neuron_explanation.onset(rows) if known else float("nan")


@dataclass(frozen=True)
class Explanation:
    """A neuron in words: the recorded step, its regime there (None: its layer was not recorded), why, since
    when, how to read it, what to do.
    """

    step: int
    regime: int | None
    rule: str = ""
    history: str = ""
    reading: str = ""
    advice: str = ""


def explanation(neuron: Pinned, step: int) -> Explanation:
    """The neuron in words at the recorded step at or before the cursor."""
    at = cache.recorded_step(neuron.context.run.steps, step)
    return _explanation(neuron.context, neuron.pin.layer, neuron.pin.neuron, at)


@cache.of_run("neurons", keep=NEURONS_KEPT)
def _explanation(context: RunContext, layer: int, neuron: int, step: int) -> Explanation:
    row = row_at(context, layer, neuron, step)
    if row is None:
        return Explanation(step, None)
    about = context.layers[layer]
    rule = neuron_explanation.rule(row, int(about.get("latent_dim", 1)), family_of(about))
    rows = _contraction_rows(context, layer, neuron)
    told = "contraction" in rows and (layer_families.is_gaussian(about) or rows["contraction"].notna().any())
    history = neuron_explanation.contracted(rows) if told else ""  # draws and codes have none to be missed
    code = int(row[SETTLED])
    reading = regimes.reading(code, about.get("of"), family_of(about))
    return Explanation(step, code, rule, history, *reading)


@cache.of_run("neurons", keep=pins.PLOTTED)
def _contraction_rows(context: RunContext, layer: int, neuron: int) -> pd.DataFrame:
    names = ["contraction"] if "contraction" in context.run.available else []
    return context.run.history(layer, neuron, names)


def row_at(context: RunContext, layer: int, neuron: int, step: int) -> pd.Series | None:
    """What was recorded of a neuron at a recorded step, with what derives from it; None if its layer was
    not.
    """
    now = rows_at(context, step)
    layers = now["layer"].to_numpy()
    place = int(np.searchsorted(layers, layer)) + neuron  # rows are sorted by layer and neuron
    return now.iloc[place] if place < len(now) and layers[place] == layer else None


def rows_at(context: RunContext, step: int) -> pd.DataFrame:
    """Every neuron at a recorded step: one reading for all that a page shows of it."""
    return cache.at(context, step, (SETTLED, *context.run.available))


def moments(shown: Sequence[Pinned], *steps: int) -> list[list[Moment]]:
    """The neurons' distributions at the recorded steps up to these: one list a step.

    With the posteriors of the probe inputs where these were stored at each of the steps, so that what is
    compared is of one kind.
    """
    groups = [_moments(shown, step) for step in steps]
    whole = [all(moment.mu is not None for moment in of_one) for of_one in zip(*groups, strict=True)]
    return [
        [one if kept else replace(one, mu=None, sigma=None) for one, kept in zip(group, whole, strict=True)]
        for group in groups
    ]


def mean_posteriors(shown: Sequence[Pinned], step: int) -> list[Moment]:
    """The neurons' mean posteriors at the recorded step up to the cursor: the same kind at every step."""
    return [replace(moment, mu=None, sigma=None) for moment in _moments(shown, step)]


def _moments(shown: Sequence[Pinned], step: int) -> list[Moment]:
    found = []
    for neuron in shown:
        run, layer, number = neuron.pin
        together = sorted({one.pin.neuron for one in shown if one.pin[:2] == (run, layer)})
        at = cache.recorded_step(neuron.context.run.steps, step)
        found.append(_moment_at(neuron.context, layer, number, at, together))
    return found


@cache.of_run("neurons", "probe", keep=NEURONS_KEPT)
def _moment_at(context: RunContext, layer: int, neuron: int, step: int, _together: list[int]) -> Moment:
    """`_together`: neurons of the layer to be asked for next, with this one, which one reading gives."""
    value = partial(number, row_at(context, layer, neuron, step))
    stored = step in cache.probe_steps(context)
    probe = cache.probe_neurons(context, step, layer, _together) if stored else None
    place = _together.index(neuron)
    mu, sigma = (None, None) if probe is None else (table[:, place] for table in probe)
    return Moment(step, value("mean"), value("variance"), value("spread"), mu, sigma)


def probe_step(context: RunContext, step: int) -> int | None:
    """The step at or before the cursor (else the first) at which the probe batch was stored; None if it never
    was.
    """
    steps = cache.probe_steps(context)
    return cache.recorded_step(steps, step) if len(steps) else None


def number(row: pd.Series | None, name: str) -> float:
    """A number of a row; NaN where it has none."""
    return float("nan") if row is None or name not in row or pd.isna(row[name]) else float(row[name])


def recorded_statistics(series: Sequence[NeuronSeries]) -> list[str]:
    """Statistics that some of the neurons have numbers of, in the registry's order."""
    found: set[str] = set()
    for one in series:  # which mostly hold the same
        asked = STATISTICS.keys() & set(one.rows)
        held = {name for name in asked if name in found or one.rows[name].notna().any()}
        found |= layer_families.with_derived(held, {"family": one.family})
    return [name for name in STATISTICS if name in found]


def table(shown: Sequence[NeuronSeries], names: Sequence[str]) -> pd.DataFrame:
    """The rows behind a figure, for taking away: neuron's name, step, the statistics drawn."""
    parts = []
    for one in shown:
        columns = [c for c in one.rows if c == "step" or any(c in (n, f"{n}_min", f"{n}_max") for n in names)]
        parts.append(one.rows[columns].assign(name=one.name)[["name", *columns]])
    return pd.concat(parts, ignore_index=True)


def comparison_steps(context: RunContext) -> list[int]:
    """Steps offered for comparison: those of the probe batch where it was stored more than once, else
    log-spaced recorded ones.
    """
    stored = cache.probe_steps(context)
    recorded = np.asarray(context.run.steps)
    steps = stored if len(stored) > 1 else recorded[log_spaced_steps(recorded, COMPARED)]
    return [int(step) for step in steps]


def moments_table(names: Sequence[str], groups: Sequence[Sequence[Moment]]) -> pd.DataFrame:
    """The numbers behind the densities: one row a neuron and step, and one for each stored probe input."""
    rows: list[dict[str, object]] = []
    for group in groups:
        for name, one in zip(names, group, strict=True):
            rows.append(
                {
                    "name": name,
                    "step": one.step,
                    "mean": one.mean,
                    "variance": one.variance,
                    "spread": one.spread,
                }
            )
            if one.mu is not None and one.sigma is not None:
                at = {"name": name, "step": one.step}
                rows += [
                    {**at, "input": i, "mu": float(m), "sigma": float(s)}
                    for i, (m, s) in enumerate(zip(one.mu, one.sigma, strict=True))
                ]
    return pd.DataFrame(rows)


def steps_of(shown: Sequence[Pinned], moments: Sequence[Moment]) -> str:
    """The recorded steps that moments of the shown neurons are of."""
    return steps_in_words([(one.pin.run, moment.step) for one, moment in zip(shown, moments, strict=True)])


def steps_in_words(steps: Iterable[tuple[str, int]]) -> str:
    """Steps, each with its run; which run's each is, is said where there are several."""
    runs: dict[int, list[str]] = {}
    for run, step in steps:
        runs[step] = list(dict.fromkeys([*runs.get(step, []), run]))
    if len(runs) < 2:
        return "".join(f"{step:,}" for step in runs)
    return ", ".join(f"{step:,} of {url.plain(' and '.join(of))}" for step, of in runs.items())


def moments_caption(groups: Sequence[Sequence[Moment]]) -> str:
    """What the densities are of."""
    kinds = {moment.mu is not None for group in groups for moment in group}
    mixture = "the average of the probe inputs' posteriors"
    gaussian = "the mean posterior Normal(E μ, E σ²)"
    if len(kinds) == 2:
        filled = f"{mixture} where these were stored at both steps, else {gaussian}"
    else:
        filled = mixture if kinds == {True} else gaussian
    return f"Filled: {filled}. Line: the aggregate's Gaussian. Dashed: the prior."


def forces(shown: Sequence[Pinned], step: int) -> pd.DataFrame:
    """Forces on the shown neurons at the last stored step up to the cursor (else the first): name, step,
    term, forces.

    Empty if no run stores them.
    """
    parts = []
    for neuron, name in zip(shown, pins.labels(shown), strict=True):
        table = cache.forces(neuron.context)
        rows = table[(table["layer"] == neuron.pin.layer) & (table["neuron"] == neuron.pin.neuron)]
        if len(rows):
            at = cache.recorded_step(np.unique(rows["step"].to_numpy()), step)
            parts.append(rows[rows["step"] == at].assign(name=name)[["name", "step", "term", *FORCES]])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
