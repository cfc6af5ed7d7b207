"""A neuron of a network of sequences, held at a value at one position: what is predicted there, for how long
it is felt, and how the sequence goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.experiments.store import Progress, silent
from probes.experiments.traversal import POINTS, REACH
from probes.neuron_names import neuron_name
from vdn.heads import Categorical, Gaussian, Head
from vdn.sequence import (
    Edit,
    LayerState,
    SequenceOutput,
    SequencePosterior,
    SequentialNetwork,
    continuations,
)
from vdn.sequence_data import SequenceTask
from vdn.sequence_probe import texts
from vdn.sequence_scores import Network

SHOWN = (-3.0, -1.5, 0.0, 1.5, 3.0)  # prior sds, of the continuations
FELT = 64  # positions after t over which a held neuron is followed
CONTINUED = 60  # positions of a continuation


def _edit(layer: int, neuron: int, values: Tensor, at: int) -> Edit:
    """Holds the neuron at values (M,), one a row of the batch, at one position of what is read."""

    def edit(index: int, z: Tensor) -> Tensor:
        if index != layer:
            return z
        z = z.clone()
        z[:, :, at, neuron] = values[None, :, None]
        return z

    return edit


def _carried(network: Network, output: SequenceOutput, layer: int, neuron: int, values: Tensor) -> None:
    """What is held is what goes on: the state after a position (rows m S + s), in place of the draw."""
    if isinstance(network, SequentialNetwork):
        z = output.paths[layer].path.z
        last = z[-1].unflatten(1, (network.neuron_layers[layer].neurons, -1))
        last.unflatten(0, (len(values), -1))[:, :, neuron] = values[:, None, None]


@torch.no_grad()
def answers(
    network: Network, x: Tensor, t: int, held: tuple[int, int] | None, values: Tensor, draws: int, seed: int
) -> tuple[Tensor, SequenceOutput]:
    """Predictions from position t on with a neuron held at t, all else and all noise the same.

    network: in evaluation mode; x: (T, ...) positions that are read; t: where; held: (layer, neuron), None:
    nothing is; values: (M,) prior sds; draws, seed: S, and of the noise. Returns (S, M, T - t, P) and the
    output at t.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    noise = network.draw_noise(1, len(x), draws, generator)
    count = len(values)
    if isinstance(network, SequentialNetwork):
        state = network.start(1, draws, generator)
        if t:
            state = network(x[None, :t], state, draws, [part[:, :, :t] for part in noise]).state
        state = [LayerState(*(part.repeat(count, 1, 1) for part in layer)) for layer in state]
        begin = t
    else:
        state, begin = None, 0
    first = t if isinstance(network, SequentialNetwork) else len(x) - 1
    edit = None if held is None else _edit(*held, values.to(x.device), t - begin)
    read = x[None, begin : first + 1]
    whole = [part[:, :, begin : first + 1].expand(-1, count, -1, -1, -1) for part in noise]
    output = network(read.expand(count, *read.shape[1:]), state, draws, whole, edit)
    found = [output.parameters[:, :, t - begin :]]
    if held is not None:
        _carried(network, output, *held, values)
    if first + 1 < len(x):
        rest = x[None, first + 1 :]
        later = [part[:, :, first + 1 :].expand(-1, count, -1, -1, -1) for part in noise]
        found.append(network(rest.expand(count, *rest.shape[1:]), output.state, draws, later).parameters)
    return torch.cat(found, 2), output


@torch.no_grad()
def continued(
    network: Network, prompt: Tensor, held: tuple[int, int], value: float, length: int, seed: int
) -> tuple[Tensor, Tensor]:
    """A continuation of a prompt with a neuron held at its last position; the same seed draws alike.

    prompt: (T,) symbols or (T, D). Returns positions (L, ...) and entropies (L,), nats.
    """
    generator = torch.Generator(prompt.device).manual_seed(seed)
    state = network.start(1, 1, generator)
    read: list[Tensor] = []
    kept: list[list[Tensor]] = []
    values = torch.tensor([value], device=prompt.device)

    def predict(x: Tensor) -> Tensor:
        nonlocal state
        noise = network.draw_noise(1, x.shape[1], 1, generator)
        fresh = not read
        read.append(x)
        if isinstance(network, SequentialNetwork):
            edit = _edit(*held, values, x.shape[1] - 1) if fresh else None
            output = network(x, state, 1, noise, edit)
            if fresh:
                _carried(network, output, *held, values)
            state = output.state
        else:
            kept.append(noise)
            joined = [torch.cat(parts, 2) for parts in zip(*kept, strict=True)]
            output = network(torch.cat(read, 1), None, 1, joined, _edit(*held, values, len(prompt)))
        return output.parameters[0, :, -1]

    found = continuations(network, prompt, length, 1, predict, generator)
    return found.positions[0], found.entropy[0]


def divergence(head: Head, own: Tensor, held: Tensor) -> Tensor:
    """KL of what is predicted with nothing held from what is predicted with a neuron held, nats: of symbols
    exact; of notes summed, each for itself; of signals between Gaussians of the same mean and variance.

    own: (S, 1, T, P); held: (S, M, T, P). Returns (M, T).
    """
    if isinstance(head, Gaussian):
        (m, v), (n, w) = (_moments(head, part) for part in (own, held))
        return (0.5 * ((v + (m - n).square()) / w - 1 + (w / v).log())).sum(-1)
    p, q = (head.probability(part).mean(0).clamp(1e-7, 1 - 1e-7) for part in (own, held))
    found = p * (p / q).log()
    if isinstance(head, Categorical):
        return found.sum(-1)
    return (found + (1 - p) * ((1 - p) / (1 - q)).log()).sum(-1)


def _moments(head: Head, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (..., outputs) of the mixture over draws."""
    mean, variance = head.mean_and_variance(parameters)
    between = mean.var(0, correction=0)
    return mean.mean(0), variance.mean(0) + between


def traverse_sequence(
    network: Network,
    task: SequenceTask,
    x: Tensor,
    places: Sequence[int],
    neurons: Sequence[tuple[int, int]],
    draws: int,
    seed: int,
    progress: Progress = silent,
) -> dict[str, pd.DataFrame]:
    """Neurons held at values over their prior, at positions of a sequence.

    Parameters
    ----------
    network
        In evaluation mode.
    task
        Whose sequence it is.
    x
        (T,) or (T, D), as it is read.
    places
        Positions t.
    neurons
        (layer, neuron) of each.
    draws, seed
        S, and of all noise.
    progress
        Called with (done, total).

    Returns
    -------
    dict of DataFrame
        "curves" and "posteriors" as of `probes.experiments.traversal.traverse`, input being t and output the
        symbol, note or number; "felt" (layer, neuron, input, value, t, change): nats by which the prediction
        at t differs from that with nothing held, the sequence going on as it did; "continuations" (layer,
        neuron, input, value, t, text, entropy); "names" (output, name); "positions" (t, text).

    Raises
    ------
    ValueError
        For a neuron or a position that is not there.
    """
    layers = network.neuron_layers
    for layer, neuron in neurons:
        if not 0 <= layer < len(layers) or not 0 <= neuron < layers[layer].neurons:
            widths = [part.neurons for part in layers]
            raise ValueError(
                f"there is no neuron {neuron_name(layer, neuron)} (layer:neuron); layers 1 to"
                f" {len(layers)} have {widths} neurons"
            )
    for t in places:
        if not 0 <= t < len(x):
            raise ValueError(f"there is no position {t}: the sequence has positions 0 to {len(x) - 1}")
    values, shown = torch.linspace(-REACH, REACH, POINTS), torch.tensor(SHOWN)
    curves, posteriors, felt, ways = [], [], [], []
    done = 0
    for t in places:
        until = x[: t + FELT + 1]
        own, at = answers(network, until, t, None, torch.zeros(1), draws, seed)
        length = CONTINUED
        if not isinstance(network, SequentialNetwork):
            length = min(CONTINUED, task.window - t)
        for layer, neuron in neurons:
            key = {"layer": layer, "neuron": neuron, "input": t}
            there, _ = answers(network, x[: t + 1], t, (layer, neuron), values, draws, seed)
            curves.append(_curve(network.head, there[:, :, 0], values).assign(**key))
            posteriors.append(pd.DataFrame([key | _own(at, layer, neuron, t)]))
            later, _ = answers(network, until, t, (layer, neuron), shown, draws, seed)
            change = divergence(network.head, own, later).cpu().numpy()
            value, lag = np.indices(change.shape)
            rows = {"value": np.array(SHOWN)[value.ravel()], "t": t + lag.ravel(), "change": change.ravel()}
            felt.append(pd.DataFrame(rows).assign(**key))
            for held in SHOWN:
                made, entropy = continued(network, x[1 : t + 1], (layer, neuron), held, length, seed)
                way = {"t": t + 1 + np.arange(length), "text": texts(task, made)}
                own_key = {**key, "value": held}
                ways.append(pd.DataFrame(way).assign(**own_key, entropy=entropy.cpu().numpy()))
            done += 1
            progress(done, len(places) * len(neurons))
    return {
        "curves": pd.concat(curves, ignore_index=True),
        "posteriors": pd.concat(posteriors, ignore_index=True),
        "felt": pd.concat(felt, ignore_index=True),
        "continuations": pd.concat(ways, ignore_index=True),
        "names": pd.DataFrame({"output": np.arange(task.outputs), "name": task.names}),
        "positions": pd.DataFrame({"t": np.arange(len(x)), "text": texts(task, x)}),
    }


def _curve(head: Head, parameters: Tensor, values: Tensor) -> pd.DataFrame:
    """value, output, mean, sd of the next position, of parameters (S, M, P); of what is 0 or 1, or a symbol,
    the mean is its probability and the sd that of the draws.
    """
    if isinstance(head, Gaussian):
        mean, variance = _moments(head, parameters)
        sd = variance.sqrt()
    else:
        p = head.probability(parameters)
        mean, sd = p.mean(0), p.std(0, correction=0)
    value, output = np.indices(mean.shape)
    columns = {"value": values.numpy()[value.ravel()], "output": output.ravel()}
    return pd.DataFrame(columns | {"mean": mean.cpu().numpy().ravel(), "sd": sd.cpu().numpy().ravel()})


def _own(output: SequenceOutput, layer: int, neuron: int, t: int) -> dict[str, float]:
    """Where the sequence itself puts the neuron at t: mean and sd over draws, means over dimensions."""
    posterior = output.posteriors[layer]
    if isinstance(posterior, SequencePosterior):
        mean, variance = (part[:, 0, neuron] for part in posterior.belief)
    else:
        mean, variance = posterior.mu[:, 0, t, neuron], posterior.sigma[:, 0, t, neuron].square()
    spread = variance.mean() + mean.var(0, correction=0).mean()
    return {"mu": float(mean.mean()), "sigma": float(spread.sqrt())}
