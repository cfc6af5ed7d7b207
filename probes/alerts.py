"""Rules over time: what a person should look at, where, and what to do about it.

Rules read the layers' summaries, the scalars and the events, never the neurons, and look back only: a run
that is being written and its replay give the same alerts at the same steps. What layers do at one time is one
alert, which gains layers while it goes on. Regime alerts and jumps are silent until the warm-up has ended,
since a network that starts at its prior starts dead; where no warm-up is named, the first `window` records
are one. A code book has no prior to start at: it is judged as soon as its window holds picks enough.

Levels, not values: a count or a mean has changed when it stays changed for `hold` records. The counts are of
settled regimes where the log has them, else of the regimes of single steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from probes import plateau
from probes.families import Family, family_of
from probes.families.gaussian import GAUSSIAN
from probes.families.others import CODES
from probes.regimes import reading
from probes.run_reader import RunReader
from probes.schema import DEAD, LIKELIHOODS, LIVING_REGIMES, REGIME, REGIMES, SETTLED, UNKNOWN, layer_column

ROUNDING = 1e-9  # shares are quotients of counts: 1 - 0.8 is a little less than 0.2
COLUMNS = {
    "step": "int64",
    "layer": "Int16",
    "layers": "object",
    "kind": "str",
    "count": "int64",
    "neurons": "object",
    "neuron_layers": "object",
    "text": "str",
    "advice": "str",
}
ACTING = ("homeostasis", "projection")  # kinds of events that push E[μ²] towards its band
JUDGED_BY = (*LIKELIHOODS, "loss")  # the validation score that progress is judged by: the first that there is
DEAD_CODES = "dead codes"
"""Kind of the alert of a code book."""
LEVEL = 0.75  # quantile over records that is the level at which a layer lives
LIVING = list(LIVING_REGIMES)
MAY_LIVE = [*LIVING, UNKNOWN]
"""An unknown neuron is evidence of nothing: it neither lives nor has left living."""


@dataclass(frozen=True)
class Limits:
    """When a rule fires. Windows count recorded steps; shares are of a layer's neurons."""

    window: int = 64
    hold: int = 5
    memory: int = 256  # records that say at which level a layer lives and how much that moves by itself
    lost_share: float = 0.2
    lost_least: int = 3  # neurons
    lost_sds: float = 3.0  # of the difference of two binomial counts, and of the layer's own count
    picks: float = 10.0  # a code; unpicked by then: of even use 1 in 22,000, of use as 1 / rank 3 to 14 %
    least_living: float = 0.1
    kl_factor: float = 2.5
    kl_least: float = 0.02  # nats a neuron: smaller jumps are noise of a layer at its prior
    kl_window: int = 16
    beta_range: tuple[float, float] = (1e-4, 1.0)
    beta_tolerance: float = 0.01
    acts: int = 3
    patience: int = 10  # validations
    alpha: float = 0.025  # one-sided level of trends
    least_gain: float = 0.05  # of the range of the validation curve's levels


@dataclass(frozen=True)
class Part:
    """What one layer does in an alert. count: neurons concerned.

    before, after: first and last of the recorded steps that are compared to name the neurons; none where a
    rule concerns the whole layer. side: what kind of event beside its name, such as up or down.
    """

    step: int
    layer: int | None
    kind: str
    count: int
    text: str
    advice: str
    side: str = ""
    before: tuple[int, int] | None = None
    after: tuple[int, int] | None = None


@dataclass(frozen=True)
class Alert:
    """One event.

    Attributes
    ----------
    step
        When it began.
    layer
        Index of the layer where it began, of several at once the one with most neurons; None: the whole run.
    kind
        What it is, in two or three words.
    count
        Neurons concerned, in all layers.
    text, advice
        What happened (of the first part), and what to do (of the part with most neurons).
    layers
        Indices of all layers that take part, increasing.
    parts
        What each layer does.
    where
        The layers in words, where their names are known.
    """

    step: int
    layer: int | None
    kind: str
    count: int
    text: str
    advice: str
    layers: tuple[int, ...] = ()
    parts: tuple[Part, ...] = field(default=(), repr=False)
    where: str = ""


def alerts(run: RunReader, limits: Limits | None = None) -> pd.DataFrame:
    """Alerts of a run in order of step, one an event.

    Parameters
    ----------
    run
        The run.
    limits
        When rules fire; by default with the limits of beta that the configuration names.

    Returns
    -------
    pandas.DataFrame
        Columns step, layer (where it began; null: the run), layers (list: all that take part), kind, count
        (neurons concerned), neurons (list of ids), neuron_layers (list: the layer of each), text, advice. The
        neurons of a regime alert are those that made the move; other alerts concern whole layers and name
        none.
    """
    found = find(
        run.layer_summary(),
        run.scalars(),
        run.events(),
        warmup_of(run.config),
        limits or limits_of(run.config),
        [family_of(layer) for layer in run.layers],
    )
    rows = []
    for alert in found:
        named = {layer: _neurons(run, alert, layer) for layer in alert.layers}
        neurons = [neuron for ids in named.values() for neuron in ids]
        layers = [layer for layer, ids in named.items() for _ in ids]
        rows.append(
            (
                alert.step,
                alert.layer,
                list(alert.layers),
                alert.kind,
                alert.count,
                neurons,
                layers,
                alert.text,
            )
            + (alert.advice,)
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def find(
    summary: pd.DataFrame,
    scalars: pd.DataFrame,
    events: pd.DataFrame,
    warmup: int | None = None,
    limits: Limits | None = None,
    families: Sequence[Family] = (),
) -> list[Alert]:
    """Alerts from a run's frames (columns as in the log), in order of step.

    Parameters
    ----------
    summary, scalars, events
        As `Run.layer_summary()`, `.scalars()` and `.events()` give them. Without columns settled_0 .. of
        counts those of regime_0 .. are read.
    warmup
        First step after it; None: unknown, and then each layer's first `limits.window` records.
    limits
        When rules fire.
    families
        Of the layers, by index; Gaussian where there are none.

    Returns
    -------
    list of Alert
        Of frames that are cut at a step the same alerts up to there; one that goes on may have fewer layers.
    """
    limits = limits or Limits()
    found: list[Part] = []
    for key, layer in summary.sort_values(["layer", "step"], kind="stable").groupby("layer"):
        index = int(cast(int, key))
        own = events[events["layer"] == index] if len(events) else events
        found += _broken(index, layer)
        family = families[index] if index < len(families) else GAUSSIAN
        after = layer.iloc[limits.window :] if warmup is None else layer[layer["step"] >= warmup]
        if family.name == CODES.name:
            found += _dead_codes(index, _told_by_picks(layer, after, limits), limits, family)
        elif len(after):
            found += _leaving(index, after, limits, family)
            found += _jumps(index, after, limits)
            found += _saturated(index, after, limits)
            found += _chasing(index, after, own, limits)
            if warmup is not None:
                found += _lifeless(index, after, limits, family)
    found += _progress(scalars, limits)
    steps = np.unique(summary["step"].to_numpy(np.int64))
    return _grouped(found, steps, limits.window)


def _grouped(parts: list[Part], steps: NDArray[np.int64], window: int) -> list[Alert]:
    """One alert for all parts of one kind and side that follow each other within a window of records."""
    groups: list[list[Part]] = []
    going_on: dict[tuple[str, str], list[Part]] = {}
    for part in sorted(parts, key=lambda p: (p.step, p.kind, -p.count, -1 if p.layer is None else p.layer)):
        group = going_on.get((part.kind, part.side))
        if part.layer is None or group is None or _records(steps, group[-1].step, part.step) > window:
            group = going_on[part.kind, part.side] = []
            groups.append(group)
        group.append(part)
    found = [_alert(group) for group in groups]
    return sorted(found, key=lambda a: (a.step, -1 if a.layer is None else a.layer, a.kind))


def _records(steps: NDArray[np.int64], first: int, last: int) -> int:
    return int(np.searchsorted(steps, last) - np.searchsorted(steps, first))


def _alert(parts: list[Part]) -> Alert:
    first, last = parts[0], parts[-1]
    counts: dict[int, int] = {}
    for part in parts:
        if part.layer is not None:
            counts[part.layer] = max(counts.get(part.layer, 0), part.count)
    count = sum(counts.values())
    also = [
        f"{len(counts) - 1} more {'layer' if len(counts) == 2 else 'layers'}" if len(counts) > 1 else "",
        f"{count} neurons by step {last.step}" if last.step > first.step and count > first.count else "",
    ]
    text = f"{first.text}; {', '.join(filter(None, also))}" if any(also) else first.text
    advice = max(parts, key=lambda part: part.count).advice
    return Alert(
        first.step, first.layer, first.kind, count, text, advice, tuple(sorted(counts)), tuple(parts)
    )


def where(alert: Mapping[Any, Any], names: Sequence[str]) -> str:
    """Where an alert (a row of `alerts`) is: the layer in which it began and how many more, or "the run"."""
    if pd.isna(alert["layer"]):
        return "the run"
    more = len(alert["layers"]) - 1
    return names[int(alert["layer"])] + (f" and {more} more" if more else "")


def warmup_of(config: Mapping[str, Any]) -> int | None:
    """First step after the warm-up that a config names: `warmup_steps`, or `warmup_share` of `steps`; None
    when it names none.
    """
    if isinstance(config.get("warmup_steps"), int):
        return int(config["warmup_steps"])
    if "warmup_share" in config and config.get("steps"):
        return round(float(config["warmup_share"]) * int(config["steps"]))
    return None


def limits_of(config: Mapping[str, Any]) -> Limits:
    """The limits, with those of beta where a config names both."""
    ends = config.get("beta_min"), config.get("beta_max")
    if all(isinstance(end, int | float) and end > 0 for end in ends):
        return Limits(beta_range=cast("tuple[float, float]", ends))
    return Limits()


def _broken(index: int, layer: pd.DataFrame) -> Iterator[Part]:
    """A layer has non-finite neurons and had none at the record before."""
    steps, counts = layer["step"].to_numpy(), layer["regime_1"].to_numpy()
    before = np.concatenate([[0], counts[:-1]])
    for i in np.flatnonzero((counts > 0) & (before == 0)).tolist():
        count = int(counts[i])
        text = f"{count} {'neuron' if count == 1 else 'neurons'} became non-finite"
        yield Part(
            int(steps[i]), index, "non-finite", count, text, REGIMES[1].advice,
            before=(int(steps[i - 1]),) * 2 if i else None, after=(int(steps[i]),) * 2,
        )  # fmt: skip


def _told_by_picks(layer: pd.DataFrame, after: pd.DataFrame, limits: Limits) -> pd.DataFrame:
    """The records of a code book whose windows tell which codes are dead: from the first on that holds
    `limits.picks` for each code; where that comes later, or picks were not counted, those after the warm-up.
    """
    picks = layer.get(layer_column("window"))
    if picks is None:
        return after
    enough = np.flatnonzero(picks.to_numpy(float, na_value=np.nan) >= limits.picks * _width(layer, 0))
    return layer.iloc[min(int(enough[0]), len(layer) - len(after)) :] if enough.size else after


def _dead_codes(index: int, layer: pd.DataFrame, limits: Limits, family: Family) -> Iterator[Part]:
    """A share of a code book's codes is dead that was not before, or none was known before: one part, which
    says how many there are at most, and how many of them are picked again.

    It goes on while more die within a window of the last record that had more; what follows is measured from
    the fewest dead codes since. Usage is over a window, so that what a single record says counts at once.
    """
    if not len(layer):
        return
    steps = layer["step"].to_numpy()
    dead, total = layer[f"{REGIME}_{DEAD}"].to_numpy(), max(int(_counts_of(layer, REGIME).sum(1).max()), 1)
    least = max(limits.lost_share * total - ROUNDING, limits.lost_least)
    low, since = (int(dead[0]), 0) if dead[0] < least else (0, -1)
    at = 0
    while at < len(dead):
        if dead[at] < low:
            low, since = int(dead[at]), at
        if dead[at] - low < least:
            at += 1
            continue
        top = _risen(dead, at, limits.window)
        after = dead[top:]
        again = _risen_again(after, least)
        revived = int(after[0] - after[:again].min())
        text = f"{dead[top]} of {total} codes are dead"
        text += f", {low} were at step {steps[since]}" if since >= 0 else ""
        if revived:
            back = top + int(after[:again].argmin())
            text += f"; {revived} of them are picked again by step {steps[back]}"
        yield Part(
            int(steps[at]), index, DEAD_CODES, int(dead[top] - low), text, reading(DEAD, family=family)[1],
            before=(int(steps[since]),) * 2 if since >= 0 else None, after=(int(steps[top]),) * 2,
        )  # fmt: skip
        since = top + int(after[:again].argmin())
        low, at = int(dead[since]), since + 1


def _risen(values: NDArray[np.int64], start: int, window: int) -> int:
    """Where a count that rises from `start` on is highest, which it is not again within a window."""
    top = start
    for i in range(start + 1, len(values)):
        if i - top > window:
            break
        if values[i] > values[top]:
            top = i
    return top


def _risen_again(values: NDArray[np.int64], least: float) -> int:
    """Up to where a count has not risen by `least` above the lowest before."""
    risen = np.flatnonzero(values - np.minimum.accumulate(values) >= least)
    return int(risen[0]) if risen.size else len(values)


def _leaving(index: int, layer: pd.DataFrame, limits: Limits, family: Family) -> Iterator[Part]:
    """A share of the layer has left living for `hold` records, since its level in the records before.

    The level is the upper quartile of what lived through `hold` records, over the window or over the memory,
    whichever is higher: a slow slide is one too. Beside the share and the number of neurons the loss is held
    against `lost_sds` standard deviations of the difference of two binomial counts (Laplace's estimate of the
    living probability over the memory), and of the count's own differences `hold` records apart: neurons of
    one batch move together. Or every neuron of the layer has left. Neurons that became unknown have not.
    """
    hold, spans = limits.hold, (limits.window, limits.memory)
    if len(layer) < 2 * hold:
        return
    steps = layer["step"].to_numpy()
    counts = _counts(layer)
    total = max(int(counts.sum(1).max()), 1)
    living = counts[:, LIVING].sum(1).astype(float)
    runs = sliding_window_view(living, hold)
    lived = pd.Series(runs.min(1)[:-hold])  # through the records i - 2 hold + 1 .. i - hold
    may_live = sliding_window_view(counts[:, MAY_LIVE].sum(1).astype(float), hold)
    lives = may_live.max(1)[hold:]  # at most, in the records i - hold + 1 .. i
    past = pd.Series(living[hold - 1 : -hold]).rolling(limits.memory, min_periods=1)
    share = (past.mean().to_numpy() + 1) / (total + 2)
    moves = pd.Series(living[hold - 1 : -hold]).diff(hold).rolling(limits.memory, min_periods=2)
    noise = np.fmax(np.sqrt(2 * total * share * (1 - share)), moves.std(ddof=0).to_numpy())
    least = np.maximum(
        max(limits.lost_share * total - ROUNDING, limits.lost_least), limits.lost_sds * noise - ROUNDING
    )
    level = np.maximum(*(lived.rolling(n, min_periods=1).quantile(LEVEL).to_numpy() for n in spans))
    start, done = 0, 0
    for i in np.flatnonzero(_lost(level, lives, least, total)).tolist():
        if i < max(start, done):
            continue
        firsts = [max(start, i - span + 1) for span in spans]
        best, first = max((float(np.quantile(lived[first : i + 1], LEVEL)), first) for first in firsts)
        if not _lost(best, lives[i], least[i], total):
            continue
        since = first + int(np.flatnonzero(lived[first : i + 1] >= best)[-1]) + hold - 1
        falls = _lower(lives, i, limits.window)
        for place in falls:
            now = place + 2 * hold - 1
            gain = counts[now] - counts[since]
            gain[MAY_LIVE] = -1
            regime = REGIMES[int(np.argmax(gain))]
            read, advice = reading(regime.code, family=family)
            text = (
                f"{100 * (best - lives[place]) / total:.0f} % of the layer left living since step"
                f" {steps[since]} ({100 * best / total:.0f} % to {100 * lives[place] / total:.0f} %), most"
                f" for {regime.name}: {read}"
            )
            yield Part(
                int(steps[now]), index, "left living", round(best - lives[place]), text, advice,
                before=(int(steps[since - hold + 1]), int(steps[since])),
                after=(int(steps[now - hold + 1]), int(steps[now])),
            )  # fmt: skip
        # what follows is measured from the level that is left
        start, done = falls[-1] + hold, falls[-1] + limits.window + 1


def _lower(lives: NDArray[np.float64], start: int, window: int) -> list[int]:
    """`start`, and where a count falls below all since, until it has not done so for a window."""
    found = [start]
    for i in range(start + 1, len(lives)):
        if i - found[-1] > window:
            break
        if lives[i] < lives[found[-1]]:
            found.append(i)
    return found


def _lost(before: Any, after: Any, least: Any, total: int) -> Any:
    """Whether enough neurons have left, or all."""
    return (before - after >= least) | ((before >= total) & (after == 0))


def _lifeless(index: int, layer: pd.DataFrame, limits: Limits, family: Family) -> Iterator[Part]:
    """Of the neurons whose regime is known nearly nothing lived through a whole window after the warm-up."""
    if len(layer) < limits.window:
        return
    counts = _counts(layer.iloc[: limits.window])
    width = counts.sum(1)
    counts[:, UNKNOWN] = 0
    last, known = counts[-1], counts.sum(1)
    share = counts[:, LIVING].sum(1) / np.maximum(known, 1)
    if share.max() >= limits.least_living or not known.all():
        return
    regime = REGIMES[int(np.argmax(last))]
    read, advice = reading(regime.code, family=family)
    of = "the layer" if known[-1] == width[-1] else f"the {known[-1]} neurons whose regime is known"
    text = f"{100 * share[-1]:.0f} % of {of} lives after the warm-up; most of it is {regime.name}: {read}"
    step = int(layer["step"].iloc[limits.window - 1])
    yield Part(step, index, "not living", int(last.sum() - last[LIVING].sum()), text, advice)


def _jumps(index: int, layer: pd.DataFrame, limits: Limits) -> Iterator[Part]:
    """The layer's mean KL, median over `hold` records, is a multiple of its median over those before, or a
    fraction.
    """
    hold, window = limits.hold, limits.kl_window
    if "kl_mean" not in layer:
        return
    layer = layer[layer["kl_mean"].notna()]
    if len(layer) < window + hold:
        return
    steps, kl = layer["step"].to_numpy(), layer["kl_mean"].to_numpy(float)
    usual = np.median(sliding_window_view(kl[:-hold], window), axis=1)
    now = np.median(sliding_window_view(kl[window:], hold), axis=1)
    low, high = np.minimum(usual, now), np.maximum(usual, now)
    with np.errstate(invalid="ignore"):  # an infinite KL is no jump from an infinite one
        jumped = (high - low > limits.kl_least) & (high >= limits.kl_factor * np.maximum(low, 0))
    quiet = 0
    for i in np.flatnonzero(jumped).tolist():
        if i < quiet:
            continue
        at = i + window + hold - 1
        text = f"mean KL went from {usual[i]:.3g} to {now[i]:.3g} nats within {window} records"
        up = bool(now[i] > usual[i])
        advice = (
            "look at the steps before: lower the learning rate, clip gradients"
            if up
            else "beta may be too high: lower it"
        )
        yield Part(
            int(steps[at]), index, "jump in KL", _width(layer, at), text, advice, "up" if up else "down"
        )
        quiet = i + limits.window


def _saturated(index: int, layer: pd.DataFrame, limits: Limits) -> Iterator[Part]:
    """A controlled beta sat at one of its limits for a whole window; a beta that never moved is no
    control.
    """
    if "beta_p50" not in layer:
        return
    layer = layer[layer["beta_p50"].notna()]
    if layer.empty:
        return
    steps, beta = layer["step"].to_numpy(), layer["beta_p50"].to_numpy(float)
    moved = np.maximum.accumulate(np.abs(beta - beta[0]) > 0)
    for limit, end, advice in zip(
        limits.beta_range,
        ("lowest", "highest"),
        (
            "the layer carries less than its target even so: homeostasis, or a lower target",
            "raise the target, or the limit",
        ),
        strict=True,
    ):
        length = _run_lengths((np.abs(beta / limit - 1) <= limits.beta_tolerance) & moved)
        for i in np.flatnonzero(length == limits.window).tolist():
            text = f"half of the betas have been at their {end} value, {limit:g}, for {limits.window} records"
            yield Part(
                int(steps[i]), index, "control saturated", _width(layer, i) // 2, text, advice, end
            )  # fmt: skip


def _chasing(index: int, layer: pd.DataFrame, events: pd.DataFrame, limits: Limits) -> Iterator[Part]:
    """The control acts again and again, and E[μ²] stays outside its band on one side for a whole window,
    without coming nearer.
    """
    if not {"mu2_p50", "band_low_p50", "band_high_p50"} <= set(layer.columns) or not len(events):
        return
    layer = layer[layer["mu2_p50"].notna()]
    steps, window = layer["step"].to_numpy(), limits.window
    acts = np.unique(events.loc[events["kind"].isin(ACTING), "step"].to_numpy())
    sides = {
        "below": layer["band_low_p50"] - layer["mu2_p50"],
        "above": layer["mu2_p50"] - layer["band_high_p50"],
    }
    for side, outside in sides.items():
        gap = outside.to_numpy(float)
        length = _run_lengths(gap > 0)
        fired = False
        for i in np.flatnonzero((length >= window) & (length % (window // 2) == 0)).tolist():
            fired = fired and length[i] > window
            since = steps[i - window + 1]
            count = int(((acts >= since) & (acts <= steps[i])).sum())
            if fired or count < limits.acts or _nears(gap[i - window + 1 : i + 1]):
                continue
            fired = True
            text = f"{count} interventions since step {since}, and the median E[μ²] is still {side} its band"
            advice = "the loss pulls the other way: move the band, or change the KL's weight"
            yield Part(
                int(steps[i]), index, "chases its band", _width(layer, i) // 2, text, advice, side
            )  # fmt: skip


def _nears(gap: NDArray[np.float64]) -> bool:
    """Whether a gap is narrower in the last quarter of a window than in its first."""
    part = len(gap) // 4
    return bool(gap[-part:].mean() < gap[:part].mean())


def _progress(scalars: pd.DataFrame, limits: Limits) -> Iterator[Part]:
    """The loss is no number, or the validation score has stopped getting better."""
    if not len(scalars):
        return
    loss = scalars[(scalars["name"] == "loss") & ~np.isfinite(scalars["value"].to_numpy(float))]
    if len(loss):
        step = int(loss["step"].min())
        yield Part(
            step,
            None,
            "non-finite loss",
            0,
            "the loss is NaN or infinite",
            "stop; lower the learning rate, clip gradients",
        )
    validation = scalars[scalars["split"] == "validation"]
    name = next((score for score in JUDGED_BY if (validation["name"] == score).any()), None)
    if name is None:
        return
    curve = validation[(validation["name"] == name) & np.isfinite(validation["value"].to_numpy(float))]
    curve = curve.drop_duplicates("step", keep="last").sort_values("step")
    steps, values = curve["step"].to_numpy(), curve["value"].to_numpy(float)
    for at in plateau.stalls(values, limits.patience, limits.alpha, limits.least_gain):
        last = values[: at + 1][-limits.patience :]
        text = f"validation {name} no longer falls: median {np.median(last):.4g} over {len(last)} validations"
        yield Part(
            int(steps[at]),
            None,
            "no progress",
            0,
            text,
            "stop, or lower the learning rate; keep the best checkpoint",
        )


def _counts(layer: pd.DataFrame) -> NDArray[np.int64]:
    """Counts of settled regimes (T, 11), of those of the step where a record has no settled ones."""

    settled = _counts_of(layer, SETTLED)
    return np.where(settled.sum(1, keepdims=True) > 0, settled, _counts_of(layer, REGIME))


def _counts_of(layer: pd.DataFrame, prefix: str) -> NDArray[np.int64]:
    none = pd.Series(0, index=layer.index)
    columns = [layer.get(f"{prefix}_{code}", none).fillna(0) for code in range(len(REGIMES))]
    return np.column_stack(columns).astype(np.int64)


def _width(layer: pd.DataFrame, at: int) -> int:
    """Neurons that a record counts."""
    return int(_counts(layer.iloc[[at]]).sum())


def _run_lengths(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How long the unbroken run of True is that ends at each place; 0 where there is none."""
    before = np.maximum.accumulate(np.where(flags, -1, np.arange(len(flags))))
    return np.where(flags, np.arange(len(flags)) - before, 0)


def _neurons(run: RunReader, alert: Alert, layer: int) -> list[int]:
    """Neurons of a layer that were fine before the alert and are in its trouble at the end of its part."""
    parts = [part for part in alert.parts if part.layer == layer and part.after]
    if not parts:
        return []
    of_one_record = {"non-finite": 1, DEAD_CODES: DEAD}
    if alert.kind in of_one_record:
        codes = [of_one_record[alert.kind]]
        came = [_came_in(run, layer, REGIME, codes, part.before, part.after) for part in parts]
        return np.flatnonzero(np.any(came, axis=0)).tolist()
    dead = [code for code in range(len(REGIMES)) if code not in MAY_LIVE]
    return np.flatnonzero(_came_in(run, layer, SETTLED, dead, parts[0].before, parts[-1].after)).tolist()


def _came_in(
    run: RunReader,
    layer: int,
    column: str,
    codes: list[int],
    before: tuple[int, int] | None,
    after: tuple[int, int] | None,
) -> NDArray[np.bool_]:
    """(N,): neurons that have one of the codes at most of the steps `after`, and had not at most of those
    before.
    """

    def most(steps: tuple[int, int] | None) -> NDArray[np.bool_]:
        rows = run.history(layer, None, [column], steps)
        return rows[column].isin(codes).groupby(rows["neuron"]).mean().to_numpy() > 0.5

    return most(after) & ~most(before) if before else most(after)
