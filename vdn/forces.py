"""Who pulls at a neuron: what each term of the loss does to its mean and to its width, on a batch.

Two views of the same gradients. The norm over inputs (`force_mu`, `force_sigma`) says how strongly a term
acts; most of it is the noise of single targets. The signed sums (`pull_mu`, `pull_sigma`) say which way the
batch as a whole is pulled: their terms
cancel where the neuron has settled. Definitions and units: `probes.schema`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from probes.schema import FORCES
from vdn.network import Output


def forces(output: Output, terms: Mapping[str, Tensor]) -> list[dict[str, dict[str, Tensor]]]:
    """Forces of the loss's terms on every layer: one dictionary a layer, term -> statistic of `FORCES` ->
    (N,).

    output: of a batch, with its graph; terms: name -> (), whose sum is the loss. "total" is added. Gradients
    of parameters are left alone. Where sigma is one value for all inputs (or all neurons) its force is the
    norm of the gradient on that value.
    """
    values = [value for posterior in output.posteriors for value in (posterior.mu, posterior.log_sigma)]
    found: list[dict[str, dict[str, Tensor]]] = [{} for _ in output.posteriors]
    total = [torch.zeros_like(value) for value in values]
    for name, term in terms.items():
        gradients = torch.autograd.grad(
            term, values, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for summed, gradient in zip(total, gradients, strict=True):
            summed += gradient
        _measure(found, output, name, gradients)
    _measure(found, output, "total", tuple(total))
    return found


def _measure(
    found: list[dict[str, dict[str, Tensor]]], output: Output, name: str, gradients: tuple[Tensor, ...]
) -> None:
    """Adds the forces of the term `name`; gradients: of mu and log sigma, layer by layer."""
    for layer, (posterior, of_mu, of_sigma) in enumerate(
        zip(output.posteriors, gradients[::2], gradients[1::2], strict=True)
    ):
        mu = posterior.mu.detach()
        measured = (
            _norm(of_mu, mu),
            _norm(of_sigma, mu),
            -(of_mu * (mu - mu.mean(0))).sum((0, 2)),
            -_by_neuron(of_sigma, mu).sum((0, 2)),
        )
        found[layer][name] = dict(zip(FORCES, measured, strict=True))


def _by_neuron(gradient: Tensor, mu: Tensor) -> Tensor:
    """A gradient as (B or 1, N, K or 1): what all inputs or neurons share is shared, not divided."""
    shaped = gradient.reshape((1,) * (mu.dim() - gradient.dim()) + tuple(gradient.shape))
    return shaped.expand(-1, mu.shape[1], -1)


def _norm(gradient: Tensor, mu: Tensor) -> Tensor:
    """(N,) root mean square over inputs of the norm over latent dimensions, of one input's own loss (times B,
    then).
    """
    shaped = _by_neuron(gradient, mu)
    return (shaped * len(shaped)).square().sum(2).mean(0).sqrt()
