"""What an experiment needs of a network: predictions and posteriors for inputs, and the same with neurons
replaced.

Implement `Subject` where a network's structure makes replacing one neuron cheap; otherwise wrap any function
in `CallableSubject`. Noise comes from a seed, so that two calls with one seed differ only by what was changed
(common random numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

Edit = Callable[[int, Tensor], Tensor]
"""(layer, z (S, B, N, K)) -> z: what the layers above get instead of the layer's draws."""
Score = Callable[[Tensor, Tensor | None, Tensor], Tensor]
"""(mean (S, B, H), scale, y) -> one number an example (B,): lower is better."""


SEED_BITS = 30
PRIOR, DAMAGE, VALUES = 1, 2, 3
"""Streams of noise that must repeat neither each other nor the network's own (stream 0)."""


def generator(seed: int, stream: int, device: torch.device | str) -> torch.Generator:
    """A generator of one stream of noise.

    Parameters
    ----------
    seed
        Common to all streams.
    stream
        PRIOR, DAMAGE or VALUES.
    device
        Where it draws.

    Returns
    -------
    torch.Generator
        torch's CPU generator reads 32 bits of a seed: the upper two are the stream's.
    """
    return torch.Generator(device).manual_seed((stream << SEED_BITS) + seed % (1 << SEED_BITS))


class Layer(NamedTuple):
    """A layer of neurons.

    Attributes
    ----------
    name
        In the log.
    neurons, latent_dim
        N and K.
    """

    name: str
    neurons: int
    latent_dim: int = 1


class Forecast(NamedTuple):
    """What a network predicts for B inputs with S draws each.

    Attributes
    ----------
    mean
        (S, B, H) predicted means, or logits, of each draw.
    scale
        (S, B, H) observation sds, None where there is none.
    """

    mean: Tensor
    scale: Tensor | None


@dataclass
class Response:
    """What a network computed for B inputs with S draws each.

    Attributes
    ----------
    forecast
        Its predictions.
    z
        (S, B, N, K) a layer.
    mu, sigma
        (B S, N, K) a layer, rows b S + s; a layer whose posterior does not depend on the draw may have B
        rows.
    kl
        (B S, N) nats a layer, rows as those of mu.
    context
        For the subject's own use.
    """

    forecast: Forecast
    z: list[Tensor]
    mu: list[Tensor]
    sigma: list[Tensor]
    kl: list[Tensor]
    context: Any = field(default=None, repr=False)

    @property
    def draws(self) -> int:
        """S."""
        return self.forecast.mean.shape[0]


class Subject(Protocol):
    """A network that experiments can question. Nothing here keeps gradients."""

    @property
    def layers(self) -> Sequence[Layer]:
        """Layers of neurons, in order of depth."""

    def respond(self, x: Tensor, draws: int, seed: int) -> Response:
        """The network's answer to inputs x (B, ...); the same seed gives the same noise."""

    def replace(self, response: Response, layer: int, neurons: Tensor, values: Tensor) -> Forecast:
        """Forecasts (S, M, B, H) where, in variation m, the draws of neuron `neurons[m]` of `layer` are
        `values[m]`.

        neurons (M,); values (M, S, B, K) or broadcastable to it. Noise of the layers above is that of
        `response`.
        """


class CallableSubject:
    """Any function as a subject. Each replacement is a whole forward pass.

    Parameters
    ----------
    respond
        (x, draws, seed, edit) -> Response, with `edit` None or an `Edit` to be applied.
    layers
        Name, N and K (1 if not given) of each, in order of depth.
    """

    def __init__(
        self,
        respond: Callable[[Tensor, int, int, Edit | None], Response],
        layers: Sequence[Layer | tuple[str, int] | tuple[str, int, int]],
    ) -> None:
        self._respond = respond
        self.layers: Sequence[Layer] = [Layer(*layer) for layer in layers]

    @torch.no_grad()
    def respond(self, x: Tensor, draws: int, seed: int) -> Response:
        """The network's answer, see `Subject.respond`.

        Parameters
        ----------
        x, draws, seed
            Inputs, number of draws, seed of the noise.

        Returns
        -------
        Response
            Its context is what `replace` needs.
        """
        response = self._respond(x, draws, seed, None)
        response.context = (x, seed)
        return response

    @torch.no_grad()
    def replace(self, response: Response, layer: int, neurons: Tensor, values: Tensor) -> Forecast:
        """Forecasts with neurons replaced, see `Subject.replace`.

        Parameters
        ----------
        response, layer, neurons, values
            As for `Subject.replace`.

        Returns
        -------
        Forecast
            (S, M, B, H).
        """
        x, seed = response.context
        values = values.expand(len(neurons), *response.z[layer][:, :, 0].shape)
        found = []
        for neuron, value in zip(neurons.tolist(), values, strict=True):

            def edit(index: int, z: Tensor, neuron: int = neuron, value: Tensor = value) -> Tensor:
                if index != layer:
                    return z
                z = z.clone()
                z[:, :, neuron] = value
                return z

            found.append(self._respond(x, response.draws, seed, edit).forecast)
        scales = [forecast.scale for forecast in found if forecast.scale is not None]
        return Forecast(
            torch.stack([forecast.mean for forecast in found], 1), torch.stack(scales, 1) if scales else None
        )
