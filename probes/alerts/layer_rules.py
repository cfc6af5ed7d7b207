"""Rules on the counts and the mean KL of a layer: what is broken, has left living, does not live, jumps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from probes.alerts.limits import Limits
from probes.alerts.parts import LIVING, MAY_LIVE, ROUNDING, Part, layer_width, settled_counts
from probes.families import Family
from probes.regimes import reading
from probes.schema import REGIMES, UNKNOWN

LEVEL = 0.75  # quantile over records that is the level at which a layer lives


def broken(index: int, layer: pd.DataFrame) -> Iterator[Part]:
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


def leaving(index: int, layer: pd.DataFrame, limits: Limits, family: Family) -> Iterator[Part]:
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
    counts = settled_counts(layer)
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


def lifeless(index: int, layer: pd.DataFrame, limits: Limits, family: Family) -> Iterator[Part]:
    """Of the neurons whose regime is known nearly nothing lived through a whole window after the warm-up."""
    if len(layer) < limits.window:
        return
    counts = settled_counts(layer.iloc[: limits.window])
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


def jumps(index: int, layer: pd.DataFrame, limits: Limits) -> Iterator[Part]:
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
            int(steps[at]), index, "jump in KL", layer_width(layer, at), text, advice, "up" if up else "down"
        )
        quiet = i + limits.window
