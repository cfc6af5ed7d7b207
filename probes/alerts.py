"""Rules over time: what a person should look at, where, and what to do about it.

Rules read the layers' summaries, the scalars and the events, never the neurons, and look back only: a run
that is being written and its replay give the same alerts at the same steps. Regime alerts and jumps are
silent until the warm-up has ended, since a network that starts at its prior starts dead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from probes.run_reader import RunReader
from probes.schema import LIKELIHOODS, LIVING_REGIMES, RAW_REGIMES, REGIMES

ROUNDING = 1e-9  # shares are quotients of counts: 1 - 0.8 is a little less than 0.2
COLUMNS = {
    "step": "int64",
    "layer": "Int16",
    "kind": "str",
    "count": "int64",
    "neurons": "object",
    "text": "str",
    "advice": "str",
}
ACTING = ("homeostasis", "projection")  # kinds of events that push E[μ²] towards its band
JUDGED_BY = (*LIKELIHOODS, "loss")  # the validation score that progress is judged by: the first that there is


@dataclass(frozen=True)
class Limits:
    """When a rule fires. Windows count recorded steps; shares are of a layer's neurons."""

    window: int = 64
    lost_share: float = 0.2
    least_living: float = 0.1
    kl_factor: float = 3.0
    kl_least: float = 0.02  # nats a neuron: smaller jumps are noise of a layer at its prior
    kl_window: int = 16
    beta_range: tuple[float, float] = (1e-4, 1.0)
    beta_tolerance: float = 0.01
    acts: int = 3
    patience: int = 10  # validations
    least_gain: float = 1e-3  # of the best score's size


@dataclass(frozen=True)
class Alert:
    """One alert. layer None: the whole run. count: neurons concerned, who are named when `since` says against
    which step.
    """

    step: int
    layer: int | None
    kind: str
    count: int
    text: str
    advice: str
    since: int | None = field(default=None, repr=False)


def alerts(run: RunReader, limits: Limits | None = None) -> pd.DataFrame:
    """Alerts of a run in order of step: step, layer (null: the run), kind, count, neurons (list of ids),
    text, advice.

    The neurons of a regime alert are those that made the move; other alerts concern whole layers and name
    none.
    """
    found = find(run.layer_summary(), run.scalars(), run.events(), warmup_of(run.config), limits)
    rows = [
        (a.step, a.layer, a.kind, a.count, _neurons(run, a) if a.since is not None else [], a.text, a.advice)
        for a in found
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def find(
    summary: pd.DataFrame,
    scalars: pd.DataFrame,
    events: pd.DataFrame,
    warmup: int | None = None,
    limits: Limits | None = None,
) -> list[Alert]:
    """Alerts from a run's frames (columns as in the log), in order of step. warmup: first step after it;
    None: unknown.
    """
    limits = limits or Limits()
    found: list[Alert] = []
    for key, layer in summary.sort_values(["layer", "step"], kind="stable").groupby("layer"):
        index = int(cast(int, key))
        own = events[events["layer"] == index] if len(events) else events
        found += _broken(index, layer)
        after = layer[layer["step"] >= (warmup or 0)]
        if len(after):
            found += _leaving(index, after, limits)
            found += _jumps(index, after, limits)
            found += _saturated(index, after, limits)
            found += _chasing(index, after, own, limits)
            if warmup is not None:
                found += _lifeless(index, after, limits)
    found += _progress(scalars, limits)
    return sorted(found, key=lambda a: (a.step, -1 if a.layer is None else a.layer, a.kind))


def warmup_of(config: Mapping[str, Any]) -> int | None:
    """First step after the warm-up that a config names: `warmup_steps`, or `warmup_share` of `steps`; None
    when it names none.
    """
    if isinstance(config.get("warmup_steps"), int):
        return int(config["warmup_steps"])
    if "warmup_share" in config and config.get("steps"):
        return round(float(config["warmup_share"]) * int(config["steps"]))
    return None


def _broken(index: int, layer: pd.DataFrame) -> Iterator[Alert]:
    """A layer has non-finite neurons and had none at the record before."""
    steps, counts = layer["step"].to_numpy(), layer["regime_1"].to_numpy()
    before = np.concatenate([[0], counts[:-1]])
    for i in np.flatnonzero((counts > 0) & (before == 0)).tolist():
        text = f"{counts[i]} neurons became non-finite"
        yield Alert(
            int(steps[i]),
            index,
            "non-finite",
            int(counts[i]),
            text,
            REGIMES[1].advice,
            int(steps[max(i - 1, 0)]),
        )


def _leaving(index: int, layer: pd.DataFrame, limits: Limits) -> Iterator[Alert]:
    """A share of the layer has left living since its best within the window (or since the last such
    alert).
    """
    steps, counts = layer["step"].to_numpy(), _counts(layer)
    total = np.maximum(counts.sum(1), 1)
    share = counts[:, list(LIVING_REGIMES)].sum(1) / total
    start = 0
    # A window cut short by the last alert holds no more than the whole one, so that others need no look.
    before = np.concatenate([np.full(limits.window, -np.inf), share])
    highest = sliding_window_view(before, limits.window + 1).max(axis=1)
    for i in np.flatnonzero(highest - share >= limits.lost_share - ROUNDING).tolist():
        first = max(start, i - limits.window)
        best = first + int(np.argmax(share[first : i + 1]))
        lost = share[best] - share[i]
        if lost < limits.lost_share - ROUNDING:
            continue
        gain = (counts[i] - counts[best]) / total[i]
        gain[list(LIVING_REGIMES)] = -1
        regime = REGIMES[int(np.argmax(gain))]
        text = (
            f"{100 * lost:.0f} % of the layer left living since step {steps[best]} ({100 * share[best]:.0f} %"
            f" to {100 * share[i]:.0f} %), most for {regime.name}: {regime.reading}"
        )
        yield Alert(
            int(steps[i]), index, "left living", round(lost * total[i]), text, regime.advice, int(steps[best])
        )
        start = i


def _lifeless(index: int, layer: pd.DataFrame, limits: Limits) -> Iterator[Alert]:
    """Nearly nothing lived through a whole window after the warm-up."""
    if len(layer) < limits.window:
        return
    counts = _counts(layer.iloc[: limits.window])
    share = counts[:, list(LIVING_REGIMES)].sum(1) / np.maximum(counts.sum(1), 1)
    if share.max() >= limits.least_living:
        return
    last = counts[-1]
    regime = REGIMES[int(np.argmax(last))]
    text = (
        f"{100 * share[-1]:.0f} % of the layer lives after the warm-up; most of it is {regime.name}:"
        f" {regime.reading}"
    )
    step = int(layer["step"].iloc[limits.window - 1])
    yield Alert(
        step, index, "not living", int(last.sum() - last[list(LIVING_REGIMES)].sum()), text, regime.advice
    )


def _jumps(index: int, layer: pd.DataFrame, limits: Limits) -> Iterator[Alert]:
    """The layer's mean KL is several times, or a fraction of, its median over the records before."""
    if "kl_mean" not in layer:
        return
    steps, kl = layer["step"].to_numpy(), layer["kl_mean"].to_numpy(float)
    if len(steps) <= limits.kl_window:
        return
    usual = np.full(len(steps), np.nan)  # of the records before, where they are enough
    usual[limits.kl_window :] = np.median(sliding_window_view(kl[:-1], limits.kl_window), axis=1)
    low, high = np.minimum(usual, kl), np.maximum(usual, kl)
    with np.errstate(invalid="ignore"):  # an infinite KL is no jump from an infinite one
        jumped = (high - low > limits.kl_least) & (high >= limits.kl_factor * np.maximum(low, 0))
    quiet = 0
    for i in np.flatnonzero(jumped).tolist():
        if i < quiet:
            continue
        text = f"mean KL went from {usual[i]:.3g} to {kl[i]:.3g} nats within {limits.kl_window} records"
        up = kl[i] > usual[i]
        advice = (
            "look at the step before: lower the learning rate, clip gradients"
            if up
            else "beta may be too high: lower it"
        )
        yield Alert(int(steps[i]), index, "jump in KL", int(_counts(layer.iloc[[i]]).sum()), text, advice)
        quiet = i + limits.window


def _saturated(index: int, layer: pd.DataFrame, limits: Limits) -> Iterator[Alert]:
    """A controlled beta sat at one of its limits for a whole window; a beta that never moved is no
    control.
    """
    if "beta_p50" not in layer:
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
        at_limit = (np.abs(beta / limit - 1) <= limits.beta_tolerance) & moved
        for i in _first_of_runs(at_limit, limits.window):
            text = f"half of the betas have been at their {end} value, {limit:g}, for {limits.window} records"
            yield Alert(
                int(steps[i]),
                index,
                "control saturated",
                int(_counts(layer.iloc[[i]]).sum() // 2),
                text,
                advice,
            )


def _chasing(index: int, layer: pd.DataFrame, events: pd.DataFrame, limits: Limits) -> Iterator[Alert]:
    """The control acts again and again, and E[μ²] stays outside its band on one side for a whole window."""
    if not {"mu2_p50", "band_low_p50", "band_high_p50"} <= set(layer.columns) or not len(events):
        return
    steps = layer["step"].to_numpy()
    acts = np.unique(events.loc[events["kind"].isin(ACTING), "step"].to_numpy())
    sides = {
        "below": layer["mu2_p50"] < layer["band_low_p50"],
        "above": layer["mu2_p50"] > layer["band_high_p50"],
    }
    for side, outside in sides.items():
        for i in _first_of_runs(outside.to_numpy(bool), limits.window):
            since = steps[i - limits.window + 1]
            count = int(((acts >= since) & (acts <= steps[i])).sum())
            if count < limits.acts:
                continue
            text = f"{count} interventions since step {since}, and the median E[μ²] is still {side} its band"
            advice = "the loss pulls the other way: move the band, or change the KL's weight"
            yield Alert(
                int(steps[i]),
                index,
                "chases its band",
                int(_counts(layer.iloc[[i]]).sum() // 2),
                text,
                advice,
            )


def _progress(scalars: pd.DataFrame, limits: Limits) -> Iterator[Alert]:
    """The loss is no number, or the validation score has had no better value for some validations."""
    if not len(scalars):
        return
    loss = scalars[(scalars["name"] == "loss") & ~np.isfinite(scalars["value"].to_numpy(float))]
    if len(loss):
        step = int(loss["step"].min())
        yield Alert(
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
    curve = validation[validation["name"] == name].drop_duplicates("step", keep="last").sort_values("step")
    best, waited = np.inf, 0
    for step, value in zip(curve["step"].to_numpy(), curve["value"].to_numpy(float), strict=True):
        if value < best - (limits.least_gain * abs(best) if np.isfinite(best) else 0):
            best, waited = value, 0
            continue
        waited += 1
        if waited == limits.patience:
            text = f"validation {name} has not been better than {best:.4g} for {waited} validations"
            yield Alert(
                int(step),
                None,
                "no progress",
                0,
                text,
                "stop, or lower the learning rate; keep the best checkpoint",
            )


def _counts(layer: pd.DataFrame) -> NDArray[np.int64]:
    """Regime counts, (T, 10)."""
    return layer[[f"regime_{code}" for code in RAW_REGIMES]].to_numpy(np.int64)


def _first_of_runs(flags: NDArray[np.bool_], length: int) -> list[int]:
    """Where an unbroken run of True reaches `length`, once a run."""
    before = np.maximum.accumulate(np.where(flags, -1, np.arange(len(flags))))
    return np.flatnonzero(flags & (np.arange(len(flags)) - before == length)).tolist()


def _neurons(run: RunReader, alert: Alert) -> list[int]:
    """Neurons that were fine at the alert's `since` and are in its trouble at its step."""
    assert alert.since is not None
    now = run.at(alert.step, alert.layer, ["regime"]).set_index("neuron")["regime"]
    then = run.at(alert.since, alert.layer, ["regime"]).set_index("neuron")["regime"].reindex(now.index)
    if alert.kind == "non-finite":
        return now.index[(now == 1) & ((then != 1) | (alert.since == alert.step))].tolist()
    return now.index[then.isin(LIVING_REGIMES) & ~now.isin(LIVING_REGIMES)].tolist()
