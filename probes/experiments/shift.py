"""Shift dose-response: inputs are damaged by known amounts; does the network notice, and by which statistic?

Every damage is nested: a larger dose does the same to the same input, only more. Doses are in standard
deviations of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.experiments.estimates import (
    auroc,
    auroc_gain,
    clustered_mean,
    degrees_of_freedom,
    half_width,
    rank_correlation,
)
from probes.experiments.store import Progress, silent
from probes.experiments.subject import DAMAGE, Score, Subject, generator
from probes.experiments.uncertainty import NAMES, REFERENCE, of_inputs
from probes.moments import Moments

DOSES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
FULL_DOSE = 3.0  # at which a stretch covers half of the input, and shuffling all of it
LARGEST_GAP = 0.5  # share of the input
INPUTS_AT_ONCE = 256

Damage = Callable[[Tensor, float, torch.Generator], Tensor]


def noise(x: Tensor, dose: float, source: torch.Generator) -> Tensor:
    """Independent Gaussian noise on every value.

    Parameters
    ----------
    x
        (B, D) inputs.
    dose
        Its sd, in sds of the data.
    source
        Of the noise.

    Returns
    -------
    Tensor
        (B, D).
    """
    return x + dose * torch.randn(x.shape, generator=source, device=x.device, dtype=x.dtype)


def missing(x: Tensor, dose: float, source: torch.Generator) -> Tensor:
    """A stretch of values, at a place of each input's own, replaced by 0, the training mean.

    Parameters
    ----------
    x
        (B, D) inputs.
    dose
        Half of the input is missing at dose 3.
    source
        Of the places.

    Returns
    -------
    Tensor
        (B, D).
    """
    length = round(x.shape[1] * LARGEST_GAP * dose / FULL_DOSE)
    largest = round(x.shape[1] * LARGEST_GAP)
    start = torch.randint(x.shape[1] - largest + 1, (len(x), 1), generator=source, device=x.device)
    place = torch.arange(x.shape[1], device=x.device)
    return torch.where((place >= start) & (place < start + length), torch.zeros_like(x), x)


def level(x: Tensor, dose: float, source: torch.Generator) -> Tensor:
    """From a change point in the input's second half on, values lie higher.

    Parameters
    ----------
    x
        (B, D) inputs.
    dose
        By how much, in sds of the data.
    source
        Of the change points.

    Returns
    -------
    Tensor
        (B, D).
    """
    return x + dose * _changed(x, source)


def scale(x: Tensor, dose: float, source: torch.Generator) -> Tensor:
    """From a change point in the second half on, distances from the input's mean are larger.

    Parameters
    ----------
    x
        (B, D) inputs.
    dose
        They are 1 + dose times as large.
    source
        Of the change points.

    Returns
    -------
    Tensor
        (B, D).
    """
    centre = x.mean(1, keepdim=True)
    return x + dose * _changed(x, source) * (x - centre)


def shuffle(x: Tensor, dose: float, source: torch.Generator) -> Tensor:
    """A share of the positions, chosen for each input, exchange their values at random.

    Parameters
    ----------
    x
        (B, D) inputs.
    dose
        The share is dose / 3.
    source
        Of the positions.

    Returns
    -------
    Tensor
        (B, D).
    """
    order = torch.rand(x.shape, generator=source, device=x.device).argsort(1)
    count = round(x.shape[1] * min(dose / FULL_DOSE, 1))
    result = x.clone()
    taken = order[:, :count]
    if count > 1:  # one place further in a random order is a random cycle: no position keeps its value
        result.scatter_(1, taken, x.gather(1, taken.roll(1, 1)))
    return result


def _changed(x: Tensor, source: torch.Generator) -> Tensor:
    half = x.shape[1] // 2
    start = torch.randint(half, max(x.shape[1], half + 1), (len(x), 1), generator=source, device=x.device)
    return (torch.arange(x.shape[1], device=x.device) >= start).to(x.dtype)


DAMAGES: dict[str, Damage] = {
    "noise": noise,
    "missing": missing,
    "level": level,
    "scale": scale,
    "shuffle": shuffle,
}


def damage(kind: str, x: Tensor, dose: float, seed: int) -> Tensor:
    """Inputs damaged; the same seed damages the same places at every dose.

    Parameters
    ----------
    kind
        Key of `DAMAGES`.
    x
        (B, D) inputs.
    dose
        How much, in sds of the data; 0 leaves them.
    seed
        Of the damage.

    Returns
    -------
    Tensor
        (B, D).

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    if kind not in DAMAGES:
        raise ValueError(f"inputs are damaged by {', '.join(DAMAGES)}, not by {kind!r}")
    return DAMAGES[kind](x, dose, generator(seed, DAMAGE, x.device))


@torch.no_grad()
def dose_response(
    subject: Subject,
    x: Tensor,
    y: Tensor,
    scores: Mapping[str, Score],
    draws: int = 8,
    seed: int = 0,
    kinds: Sequence[str] = tuple(DAMAGES),
    doses: Sequence[float] = DOSES,
    groups: np.ndarray | None = None,
    progress: Progress = silent,
) -> dict[str, pd.DataFrame]:
    """Scores, uncertainties and every neuron's statistics against the dose of a damage to the inputs.

    Parameters
    ----------
    subject
        The network.
    x
        (B, D) inputs.
    y
        Their targets, which stay as they are: what is damaged is what the network sees.
    scores
        Name -> function of draws that gives one number an example, lower is better.
    draws
        S, draws an example.
    seed
        Of the noise and the damages.
    kinds
        Keys of `DAMAGES`.
    doses
        In sds of the data; 0 first.
    groups
        (B,): blocks of inputs that are independent of each other, for the errors.
    progress
        Called with (done, total) as it goes on.

    Returns
    -------
    dict of DataFrame
        "responses": kind, quantity, dose, mean, standard_error, and change, change_error against dose 0
        (paired), freedom (degrees, of both errors); "trends": kind, quantity, value, low, high: Spearman's
        coefficient of quantity and dose within an input, mean over inputs; "detection": kind, quantity, dose,
        value, low, high: AUROC for telling damaged from clean inputs, and gain, gain_low, gain_high over the
        output variance; "neurons": kind, dose, layer, neuron, statistics.

    Raises
    ------
    ValueError
        When dose 0, against which all is measured, is not the first, or a kind is unknown.
    """
    if not doses or doses[0] != 0:
        raise ValueError(f"the first dose is 0, the clean input; these are {list(doses)}")
    values: dict[str, dict[str, np.ndarray]] = {}  # kind -> quantity -> (B, doses)
    neurons = []
    for at, kind in enumerate(kinds):
        columns: list[dict[str, np.ndarray]] = []
        for number, dose in enumerate(doses):
            found, statistics = _measure(subject, damage(kind, x, dose, seed), y, scores, draws, seed)
            columns.append(found)
            neurons += [frame.assign(kind=kind, dose=dose) for frame in statistics]
            progress(at * len(doses) + number + 1, len(kinds) * len(doses))
        values[kind] = {name: np.stack([column[name] for column in columns], 1) for name in columns[0]}
    table = pd.concat(neurons, ignore_index=True)
    rest = [name for name in table if name not in ("kind", "dose", "layer", "neuron")]
    return {
        "responses": pd.concat(
            [_responses(kind, values[kind], doses, groups) for kind in kinds], ignore_index=True
        ),
        "trends": pd.concat(
            [_trends(kind, values[kind], doses, groups) for kind in kinds], ignore_index=True
        ),
        "detection": pd.concat(
            [_detection(kind, values[kind], doses, groups) for kind in kinds], ignore_index=True
        ),
        "neurons": table[["kind", "dose", "layer", "neuron", *rest]],
    }


def _measure(
    subject: Subject, x: Tensor, y: Tensor, scores: Mapping[str, Score], draws: int, seed: int
) -> tuple[dict[str, np.ndarray], list[pd.DataFrame]]:
    """Scores and uncertainties of every input, name -> (B,), and a frame of statistics a layer."""
    parts: list[dict[str, np.ndarray]] = []
    pools = [Moments() for _ in subject.layers]
    for start in range(0, len(x), INPUTS_AT_ONCE):
        chosen = slice(start, start + INPUTS_AT_ONCE)
        response = subject.respond(x[chosen], draws, seed + start)
        found = {
            name: score(*response.forecast, y[chosen]).double().cpu().numpy()
            for name, score in scores.items()
        }
        parts.append(found | of_inputs(response))
        for pool, mu, sigma, kl in zip(pools, response.mu, response.sigma, response.kl, strict=True):
            pool.update(mu, sigma, kl=kl)
    frames = []
    for layer, pool in enumerate(pools):
        statistics = {name: value.cpu().numpy() for name, value in pool.result().items()}
        frames.append(
            pd.DataFrame({"layer": layer, "neuron": np.arange(len(statistics["kl"])), **statistics})
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, frames


def _responses(
    kind: str, values: dict[str, np.ndarray], doses: Sequence[float], groups: np.ndarray | None
) -> pd.DataFrame:
    frames = []
    for name, table in values.items():
        mean, error = clustered_mean(table, groups)
        change, change_error = clustered_mean(table - table[:, :1], groups)
        columns = {
            "dose": doses,
            "mean": mean,
            "standard_error": error,
            "change": change,
            "change_error": change_error,
            "freedom": degrees_of_freedom(len(table), groups),
        }
        frames.append(pd.DataFrame({"kind": kind, "quantity": name, **columns}))
    return pd.concat(frames, ignore_index=True)


def _trends(
    kind: str, values: dict[str, np.ndarray], doses: Sequence[float], groups: np.ndarray | None
) -> pd.DataFrame:
    rows = []
    for name, table in values.items():
        # an input that does not respond: 0
        within = np.nan_to_num(rank_correlation(table, np.broadcast_to(doses, table.shape)))
        within[~np.isfinite(table).all(1)] = np.nan
        mean, error = clustered_mean(within, groups)
        half = half_width(error, degrees_of_freedom(len(within), groups))
        rows.append((kind, name, float(mean), float(mean - half), float(mean + half)))
    return pd.DataFrame(rows, columns=["kind", "quantity", "value", "low", "high"])


def _detection(
    kind: str, values: dict[str, np.ndarray], doses: Sequence[float], groups: np.ndarray | None
) -> pd.DataFrame:
    rows = []
    for name in NAMES:
        for at, dose in enumerate(doses[1:], 1):
            clean, damaged = values[name][:, 0], values[name][:, at]
            gain = auroc_gain(clean, damaged, values[REFERENCE][:, 0], values[REFERENCE][:, at], groups)
            rows.append((kind, name, dose, *auroc(clean, damaged, groups), *gain))
    names = ["kind", "quantity", "dose", "value", "low", "high", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=names)
