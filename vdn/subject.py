"""A trained network as the subject of `probes.experiments`: replacing a neuron recomputes only what lies
above it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from probes.experiments.subject import Forecast, Layer, Response
from vdn.config import ConfigError
from vdn.network import DeterministicTwin, VariationalNetwork, draws_of, rows_of


class _Context(NamedTuple):
    """What lies below each layer, rows b S + s: streams and activations (B S, N) and noise (B S, N, K), one a
    layer.
    """

    streams: list[Tensor]
    activations: list[Tensor]
    noise: list[Tensor]
    window_centre: Tensor
    window_sd: Tensor


class NetworkSubject:
    """`probes.experiments.subject.Subject` of a `VariationalNetwork`, in evaluation mode.

    Raises ConfigError for a twin, whose neurons have no distribution.
    """

    def __init__(self, network: VariationalNetwork) -> None:
        if isinstance(network, DeterministicTwin):
            raise ConfigError("this run is a deterministic twin: it has no distributions to experiment on")
        self.network = network.eval()
        self.layers = [
            Layer(f"layer {index + 1}", layer.neurons, layer.latent_dim)
            for index, layer in enumerate(network.neuron_layers)
        ]

    @torch.no_grad()
    def respond(self, x: Tensor, draws: int, seed: int) -> Response:
        generator = torch.Generator(x.device).manual_seed(seed)
        noise = self.network.draw_noise(len(x), draws, generator)
        output = self.network(x, draws, noise=noise)
        z = [
            output.posteriors[0].z,
            *(draws_of(posterior.z[0], draws) for posterior in output.posteriors[1:]),
        ]
        activations = [
            rows_of(layer.pool(each)) for layer, each in zip(self.network.neuron_layers, z, strict=True)
        ]
        streams = [activations[0]]
        for activation in activations[1:]:
            streams.append(streams[-1] + activation)
        _, window_centre, window_sd = self.network.window(x)
        context = _Context(streams, activations, [rows_of(part) for part in noise], window_centre, window_sd)
        mu = [posterior.mu for posterior in output.posteriors]
        sigma = [posterior.sigma.expand_as(posterior.mu) for posterior in output.posteriors]
        kl = [posterior.kl for posterior in output.posteriors]
        return Response(Forecast(output.mean, output.scale), z, mu, sigma, kl, context)

    @torch.no_grad()
    def replace(self, response: Response, layer: int, neurons: Tensor, values: Tensor) -> Forecast:
        context: _Context = response.context
        network, draws, many = self.network, response.draws, len(neurons)
        pooled = network.neuron_layers[layer].pool(values).transpose(1, 2).flatten(1)  # (M or 1, B S)
        stream = context.streams[layer].expand(many, -1, -1).clone()  # (M, B S, N)
        stream[torch.arange(many), :, neurons] += pooled - context.activations[layer][:, neurons].T
        first = stream if layer == 0 else context.activations[0].expand(many, -1, -1)
        for index in range(layer, len(self.layers)):
            h = F.gelu(network.norms[index](stream)).flatten(0, 1)
            if index + 1 < len(self.layers):
                above = network.neuron_layers[index + 1]
                mu, log_sigma = above.parameters_of(h)
                each = (many, -1, above.neurons, above.latent_dim)
                sigma = log_sigma.exp()
                sigma = sigma.view(each) if sigma.shape == mu.shape else sigma
                z = torch.addcmul(mu.view(each), sigma, context.noise[index + 1])
                stream = stream + above.pool(z)
        # Without a window's own units they are scalars; else each variation has the same.
        mean, sd = (
            part.repeat(many, 1) if part.dim() else part
            for part in (context.window_centre, context.window_sd)
        )
        predicted, scale = network.predict(h, first.flatten(0, 1), draws, mean, sd)
        return Forecast(
            predicted.unflatten(1, (many, -1)), None if scale is None else scale.unflatten(1, (many, -1))
        )
