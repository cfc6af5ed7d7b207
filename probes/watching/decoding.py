"""Decoded traversal: each neuron of a layer walked over its prior, and what the decoder makes of it.

The other neurons stay at the posterior means of one input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from probes.inputs import Decoder, Inputs, stored
from probes.watching.family_readings import AnyObserved
from probes.watching.layouts import Observed
from probes.watching.posterior_source import FoundLayer

REACH, POINTS = 3.0, 7  # prior sds to either side, and values on the way
MOST = 64  # neurons of a layer: those whose means differ most between inputs


@torch.no_grad()
def decoded_traversal(
    decoder: Decoder, mean: Tensor, layer: int, image: Sequence[int] | None = None
) -> pd.DataFrame:
    """What a decoder makes of each neuron's values.

    Parameters
    ----------
    decoder
        z (M, N) -> M images, (M, C, H, W) or (M, H, W, C), or rows of numbers, under a prior Normal(0, 1).
    mean
        (B, N) posterior means of inputs; the first input is the one that is walked from.
    layer
        Its number, from 0.
    image
        Shape of an image that the decoder puts out as a row.

    Returns
    -------
    DataFrame
        layer, neuron, value (prior sds), kind ("image" or "row") and content (a PNG in base64, or JSON), one
        row for each of `POINTS` values of at most `MOST` neurons.

    Raises
    ------
    ValueError
        When the decoder gives another number of outputs than it was given values.
    """
    neurons = mean.var(0, correction=0).argsort(descending=True, stable=True)[:MOST].sort().values
    values = torch.linspace(-REACH, REACH, POINTS, dtype=mean.dtype, device=mean.device)
    z = mean[:1].repeat(len(neurons) * POINTS, 1)
    z[torch.arange(len(z)), neurons.repeat_interleave(POINTS)] = values.repeat(len(neurons))
    outputs = decoder(z)
    if len(outputs) != len(z):
        raise ValueError(f"the decoder was given {len(z)} rows of z and returned {len(outputs)}")
    kinds, contents = zip(*stored(Inputs(z, outputs, None if image is None else tuple(image))), strict=True)
    return pd.DataFrame(
        {
            "layer": layer,
            "neuron": neurons.repeat_interleave(POINTS).cpu().numpy(),
            "value": values.repeat(len(neurons)).cpu().numpy(),
            "kind": kinds,
            "content": contents,
        }
    )


def decoded_layers(
    inputs: Inputs, layers: Sequence[FoundLayer], found: Mapping[str, Sequence[AnyObserved]]
) -> pd.DataFrame:
    """What the decoders of `inputs` make of each neuron, as `decoded_traversal` gives it.

    found: by layer's name, what the inputs gave. Raises ValueError where it cannot be said whose a decoder
    is, or where a neuron has no single value an input under Normal(0, 1).
    """
    names = [layer["name"] for layer in layers]
    decoders = inputs.decoder
    if decoders is not None and not isinstance(decoders, Mapping):
        if len(names) != 1:
            raise ValueError(f"say of which layer the decoder is, decoder={{name: ...}}, one of {names}")
        decoders = {names[0]: decoders}
    tables = []
    for name, decoder in (decoders or {}).items():
        if name not in names:
            raise ValueError(f"decoder: there is no layer {name!r}; the layers are {names}")
        layer, every = layers[names.index(name)], found.get(name, ())
        observed = [one for one in every if isinstance(one, Observed)]
        count = sum(len(one.mu) for one in observed)
        single = count == len(inputs.shown) and all(one.mu.shape[-1] == 1 for one in observed)
        if not single or not layer["prior"].startswith("Normal(0, 1)"):
            raise ValueError(f"decoder: {name!r} has no single value a neuron and input under Normal(0, 1)")
        mean = torch.cat([one.mu[..., 0] for one in observed])
        tables.append(decoded_traversal(decoder, mean, names.index(name), inputs.image))
    return pd.concat(tables)
