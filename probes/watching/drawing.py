"""Draws of networks whose uncertainty is no distribution: dropout, and ensembles; for
`probes.observe_samples`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

Call = Callable[[nn.Module, Any], Any]
"""(model, x) -> one tensor (B, ...), where model(x) is none."""


def dropout_samples(model: nn.Module, x: Any, passes: int = 16, *, call: Call | None = None) -> Tensor:
    """Outputs of a network under `passes` masks of its dropout layers (Monte Carlo dropout).

    Parameters
    ----------
    model
        Its dropout layers draw, all other layers are in eval mode. Afterwards each module's mode and the
        random states are what they were; no gradients are kept.
    x
        What the network takes, B inputs.
    passes
        S, at least 2.
    call
        (model, x) -> a tensor (B, N), where model(x) is none.

    Returns
    -------
    Tensor
        (S, B, N): what follows the batch are neurons.

    Raises
    ------
    ValueError
        For a network without dropout layers, fewer passes, or what is no tensor of a batch.

    Notes
    -----
    Gal & Ghahramani 2016. Functional dropout (`F.dropout(..., training=self.training)`) is not seen: give
    such a network a layer.
    """
    layers = [module for module in model.modules() if isinstance(module, _DropoutNd) and module.p > 0]
    if not layers:
        raise ValueError(f"dropout_samples: there is no dropout layer in {type(model).__name__}")
    if passes < 2:
        raise ValueError(f"dropout_samples: {passes} passes: it takes two to tell how they differ")
    with _as_evaluated(model), torch.random.fork_rng(_devices(model)), torch.no_grad():
        for layer in layers:
            layer.training = True
        return torch.stack([_output(model, x, call) for _ in range(passes)])


def ensemble_samples(models: Sequence[nn.Module], x: Any, *, call: Call | None = None) -> Tensor:
    """Outputs of the members of an ensemble.

    Parameters
    ----------
    models
        S members, at least 2; each is run in eval mode, and left in the one that it was in. A
        `torch.nn.ModuleList` is one.
    x, call
        As of `dropout_samples`.

    Returns
    -------
    Tensor
        (S, B, N): each member is a draw, the same for all inputs; what follows the batch are neurons.

    Raises
    ------
    ValueError
        For fewer members, or outputs of other shapes.

    Notes
    -----
    Lakshminarayanan, Pritzel & Blundell 2017. Members whose outputs may be permuted, such as latents of
    networks that were trained apart, have no neurons in common: compare what they predict.
    """
    if len(models) < 2:
        raise ValueError(f"ensemble_samples: {len(models)} members: it takes two to tell how they differ")
    outputs = []
    for model in models:
        with _as_evaluated(model), torch.no_grad():
            outputs.append(_output(model, x, call))
    shapes = {tuple(output.shape) for output in outputs}
    if len(shapes) > 1:
        raise ValueError(f"ensemble_samples: members put out {sorted(shapes)}; they must be of one shape")
    return torch.stack(outputs)


def _output(model: nn.Module, x: Any, call: Call | None) -> Tensor:
    found = model(x) if call is None else call(model, x)
    if not isinstance(found, Tensor) or not found.is_floating_point() or found.dim() < 1:
        raise ValueError(
            f"{type(model).__name__} puts out {type(found).__name__}: say with call=lambda model, x: ..."
            " which tensor (B, N) is meant"
        )
    return found[:, None] if found.dim() == 1 else found.flatten(1)


@contextmanager
def _as_evaluated(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _devices(model: nn.Module) -> list[torch.device]:
    """Accelerators that the model is on, whose random states `fork_rng` keeps."""
    return list({one.device for one in model.parameters() if one.device.type == "cuda"})
