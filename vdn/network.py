"""Networks of variational neurons: encoder, L layers of neurons, head, and no path around the neurons.

Draw s of a layer feeds draw s of the next: nothing is averaged before the head. The residual stream starts
after the first layer's sample, so that all that the head knows of the input, but for a window's own mean and
sd, has been sampled.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vdn.encoders import make_encoder
from vdn.neuron import LocalDecoder, Pooling, Posterior, SigmaMode, VariationalNeurons
from vdn.priors import AutoregressivePrior, Prior, StandardNormalPrior
from vdn.student import LEAST_DF

_P = ParamSpec("_P")

WINDOW_SD_FLOOR = 0.05  # in training sds: below it a flat window's noise would be blown up to unit size
SCALE_FLOOR = 0.01  # of the observation scale, in the window's units: a density must not become a spike

Normalisation = Literal["window", "last", "none"]
Likelihood = Literal["gaussian", "student"]
DF_INIT = 6.0  # degrees of freedom that learning starts from
TaskKind = Literal["forecast", "regression", "classification"]
DecoderUse = Literal["off", "watch", "train"]
Edit = Callable[[int, Tensor], Tensor]
"""(layer, z (S, B, N, K)) -> z: replaces a layer's draws, as ablations, traversals and the no-bypass test do.
"""


class Output(NamedTuple):
    """What a network computed for a batch.

    Attributes
    ----------
    mean
        (S, B, H) predicted means, or logits for classification.
    scale
        (S, B, H) observation sds, None for classification.
    posteriors
        One a layer, none for the twin. Beyond the first layer each draw has a posterior of its own, since its
        input was sampled: their batch is B S rows, row = b S + s.
    explained
        With local decoders, E log p(target_i | z_i) of each layer, nats, (B, N) or (B S, N).
    df
        () degrees of freedom of a Student observation with these sds; None for a Gaussian one.
    """

    mean: Tensor
    scale: Tensor | None
    posteriors: list[Posterior]
    explained: list[Tensor]
    df: Tensor | None = None


class VariationalNetwork(nn.Module):
    """Encoder -> `layers` layers of `neurons` variational neurons -> head.

    Parameters
    ----------
    inputs
        Numbers an example.
    outputs
        Numbers predicted (H), or classes.
    layers, neurons
        L and N.
    latent_dim, sigma, pool, sigma_init
        As for `VariationalNeurons`.
    mean_gain
        Factor on the initial weights of mu; small values start the neurons at their prior.
    prior
        "standard" or "autoregressive".
    phi, learn_phi
        Persistence of the autoregressive prior, and whether it is trained.
    encoder
        Name of an encoder of `vdn.encoders`.
    normalise
        "window" subtracts each example's own mean and divides by its sd, and undoes both in the prediction;
        "last" subtracts its last value and divides by the same sd; "none" leaves it.
    task
        What the head predicts.
    read_first
        Whether the head also reads the first layer's sample linearly.
    local_decoder
        Whether each neuron explains a projection of its layer's input (see `LocalDecoder`): "watch" leaves
        the neurons alone, "train" moves them too.
    likelihood
        Distribution of an observed number: "gaussian", or "student" of the same sd.
    df
        Degrees of freedom of the latter, above 2; None: one number that is learned.

    Raises
    ------
    ValueError
        For a choice that does not exist.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        layers: int = 3,
        neurons: int = 256,
        latent_dim: int = 1,
        sigma: SigmaMode = "input",
        pool: Pooling = "mean",
        sigma_init: float = 0.5,
        mean_gain: float = 1.0,
        prior: Literal["standard", "autoregressive"] = "standard",
        phi: float | Tensor = 0.6,
        learn_phi: bool = False,
        encoder: str = "linear",
        normalise: Normalisation = "window",
        task: TaskKind = "forecast",
        read_first: bool = True,
        local_decoder: DecoderUse = "off",
        likelihood: Likelihood = "gaussian",
        df: float | None = None,
    ) -> None:
        super().__init__()
        if layers < 1 or neurons < 1:
            raise ValueError(
                f"a network needs at least one layer and one neuron, these are {layers} and {neurons}"
            )
        if prior not in ("standard", "autoregressive"):
            raise ValueError(f'prior must be "standard" or "autoregressive", this is {prior!r}')
        if normalise not in ("window", "last", "none"):
            raise ValueError(f'normalise must be "window", "last" or "none", this is {normalise!r}')
        if likelihood not in ("gaussian", "student"):
            raise ValueError(f'likelihood must be "gaussian" or "student", this is {likelihood!r}')
        if df is not None and df <= 2:
            raise ValueError(f"df must be above 2, where the variance is finite; this is {df}")
        if local_decoder not in ("off", "watch", "train"):
            raise ValueError(f'local_decoder must be "off", "watch" or "train", this is {local_decoder!r}')
        self.task, self.normalise, self.outputs, self.local_decoder = task, normalise, outputs, local_decoder

        def make_prior() -> Prior:
            return (
                AutoregressivePrior(neurons, phi, learn_phi)
                if prior == "autoregressive"
                else StandardNormalPrior()
            )

        self.encoder = make_encoder(encoder, inputs, neurons)
        self.layers = nn.ModuleList(
            VariationalNeurons(neurons, neurons, latent_dim, sigma, pool, make_prior(), sigma_init)
            for _ in range(layers)
        )
        with torch.no_grad():
            for layer in self.neuron_layers:
                layer.mean.weight.mul_(mean_gain)
                layer.mean.bias.zero_()
        # before layers 2 .. L and before the head
        self.norms = nn.ModuleList(nn.LayerNorm(neurons) for _ in range(layers))
        self.head = nn.Linear(neurons, outputs if task == "classification" else 2 * outputs)
        self.read = nn.Linear(neurons, outputs, bias=False) if read_first else None
        self.decoders = nn.ModuleList(
            LocalDecoder(layer) for layer in self.neuron_layers if local_decoder != "off"
        )
        self.fixed_df = df
        self.log_excess_df: nn.Parameter | None = None  # ln of what a learned df has beyond LEAST_DF
        self.likelihood = likelihood if task != "classification" else "gaussian"
        if self.likelihood == "student" and df is None:
            self.log_excess_df = nn.Parameter(torch.tensor(math.log(DF_INIT - LEAST_DF)))

    @property
    def df(self) -> Tensor | None:
        """() degrees of freedom of a Student observation; None for a Gaussian one."""
        if self.log_excess_df is not None:
            return LEAST_DF + self.log_excess_df.exp()
        if self.likelihood == "gaussian":
            return None
        return self.head.weight.new_tensor(self.fixed_df)

    @property
    def neuron_layers(self) -> list[VariationalNeurons]:
        """The layers of neurons, typed."""
        return [layer for layer in self.layers if isinstance(layer, VariationalNeurons)]

    def draw_noise(
        self, batch: int, n_samples: int = 1, generator: torch.Generator | None = None
    ) -> list[Tensor]:
        """Standard normal noise for one forward pass, from one stream.

        Parameters
        ----------
        batch
            Examples B.
        n_samples
            Draws S.
        generator
            Its source, on the network's device; torch's global stream without it.

        Returns
        -------
        list of Tensor
            (S, B, N, K) a layer.
        """
        layer = self.neuron_layers[0]
        shape = (len(self.layers), n_samples, batch, layer.neurons, layer.latent_dim)
        weight = layer.mean.weight
        return list(torch.randn(shape, dtype=weight.dtype, device=weight.device, generator=generator))

    def forward(
        self,
        x: Tensor,
        n_samples: int = 1,
        pairs: bool = False,
        noise: Sequence[Tensor] | None = None,
        edit: Edit | None = None,
    ) -> Output:
        """Predictions and posteriors.

        Parameters
        ----------
        x
            (B, inputs) examples.
        n_samples
            Draws S.
        pairs
            The second half of the batch holds the predecessors of the first.
        noise
            As `draw_noise` returns it; drawn from torch's global stream without it.
        edit
            Replaces draws, see `Edit`.

        Returns
        -------
        Output
            KL of its posteriors in nats.
        """
        batch = x.shape[0]
        x, window_centre, window_sd = self.window(x)
        noise = self.draw_noise(batch, n_samples) if noise is None else noise
        context: Literal["pairs"] | None = "pairs" if pairs else None
        posteriors: list[Posterior] = []
        explained: list[Tensor] = []
        h = self.encoder(x)
        stream = first = x.new_zeros(())
        for index, (layer, norm) in enumerate(zip(self.neuron_layers, self.norms, strict=True)):
            # above, each (example, draw) is a row of its own
            eps = noise[0] if index == 0 else rows_of(noise[index])[None]
            posterior = layer(h, len(eps), context, eps)
            posteriors.append(posterior)
            if self.decoders:
                mu, sigma = posterior.mu, posterior.sigma
                watched = (mu.detach(), sigma.detach()) if self.local_decoder == "watch" else (mu, sigma)
                explained.append(self.decoders[index](h, *watched))
            activation = posterior.activation
            if edit is not None:
                draws = posterior.z if index == 0 else draws_of(posterior.z[0], n_samples)
                edited = edit(index, draws)
                activation = layer.pool(edited if index == 0 else rows_of(edited)[None])
            if index == 0:
                stream = first = rows_of(activation)  # (B S, N)
            else:
                stream = stream + activation[0]
            h = F.gelu(norm(stream))
        mean, scale = self.predict(h, first, n_samples, window_centre, window_sd)
        return Output(mean, scale, posteriors, explained, self.df)

    def window(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The examples in their own units.

        Parameters
        ----------
        x
            (B, inputs).

        Returns
        -------
        tuple of Tensor
            (B, inputs) normalised, with the centre and sd (B, 1) that undo it (0 and 1 without
            normalisation).
        """
        if self.normalise == "none":
            return x, x.new_zeros(()), x.new_ones(())
        sd, mean = torch.std_mean(x, 1, correction=0, keepdim=True)
        sd = sd.clamp_min(WINDOW_SD_FLOOR)
        centre = x[:, -1:] if self.normalise == "last" else mean
        return (x - centre) / sd, centre, sd

    def predict(
        self, top: Tensor, first: Tensor, n_samples: int, window_centre: Tensor, window_sd: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Mean and scale of the prediction.

        Parameters
        ----------
        top
            (B S, N) features of the last layer.
        first
            (B S, N) draws of the first layer.
        n_samples
            Draws S.
        window_centre, window_sd
            What undoes the normalisation, as `window` returns it.

        Returns
        -------
        tuple
            Mean (S, B, H), or logits, and scale (S, B, H), None for classification.
        """
        exact = self.head.weight.dtype  # as in the neurons: autocast shortens products alone
        out = self.head(top).to(exact)
        linear = self.read(first).to(exact) if self.read is not None else 0
        if self.task == "classification":
            return draws_of(out + linear, n_samples), None
        mean, raw = out.split(self.outputs, -1)
        scale = F.softplus(raw) + SCALE_FLOOR
        return window_centre + window_sd * draws_of(mean + linear, n_samples), window_sd * draws_of(
            scale, n_samples
        )


def _with_signature_of(method: Callable[_P, None]) -> Callable[[Callable[..., None]], Callable[_P, None]]:
    """For a method that passes everything on: type checkers and IPython see the arguments of `method`."""
    return functools.wraps(method, assigned=())


class DeterministicTwin(VariationalNetwork):
    """The same modules with sigma = 0 and no KL, to measure what the neurons' distributions cost or bring.

    Parameters
    ----------
    *args, **kwargs
        As for `VariationalNetwork`.
    """

    @_with_signature_of(VariationalNetwork.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for layer in self.neuron_layers:
            layer.log_sigma = nn.Parameter(torch.empty(0), requires_grad=False)
            layer.prior = StandardNormalPrior()
        self.decoders = nn.ModuleList()

    def forward(
        self,
        x: Tensor,
        n_samples: int = 1,
        pairs: bool = False,
        noise: Sequence[Tensor] | None = None,
        edit: Edit | None = None,
    ) -> Output:
        """Predictions; there is one draw, whatever `n_samples`, and no posterior.

        Parameters
        ----------
        x
            (B, inputs) examples.
        n_samples, pairs, noise, edit
            Not used; they are there so that a twin is called like a `VariationalNetwork`.

        Returns
        -------
        Output
            mean and scale (1, B, H).
        """
        x, window_centre, window_sd = self.window(x)
        h = self.encoder(x)
        stream = first = x.new_zeros(())
        for index, (layer, norm) in enumerate(zip(self.neuron_layers, self.norms, strict=True)):
            activation = layer.pool(layer.mean(h).view(x.shape[0], layer.neurons, layer.latent_dim))
            stream = activation if index == 0 else stream + activation
            first = activation if index == 0 else first
            h = F.gelu(norm(stream))
        mean, scale = self.predict(h, first, 1, window_centre, window_sd)
        return Output(mean, scale, [], [], self.df)


def rows_of(draws: Tensor) -> Tensor:
    """Draws as rows, row = b S + s: halves of the rows are then halves of the batch, as pairs need.

    Parameters
    ----------
    draws
        (S, B, ...).

    Returns
    -------
    Tensor
        (B S, ...).
    """
    return draws.transpose(0, 1).flatten(0, 1)


def draws_of(rows: Tensor, n_samples: int) -> Tensor:
    """Undoes `rows_of`.

    Parameters
    ----------
    rows
        (B S, ...).
    n_samples
        Draws S.

    Returns
    -------
    Tensor
        (S, B, ...).
    """
    return rows.unflatten(0, (-1, n_samples)).transpose(0, 1)
