"""The objective: distortion and rate in nats per example, and what else a run asks of its neurons.

loss = (1/H) [distortion + sum_layers sum_i beta_i KL_i] + lam_band m_band Band + lam_ar m_ar AR
       - (1/H) lam_rec sum_i E log p(target_i | z_i)
with beta = 1 the plain negative evidence bound of an information bottleneck; q(z | x) never sees the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vdn.network import Output
from vdn.scores import mixture_nll


class Loss(NamedTuple):
    """The loss and its parts, each a scalar.

    Attributes
    ----------
    total
        Nats per predicted number.
    distortion
        NLL, nats per example.
    rate
        Sum of KL, nats per example.
    """

    total: Tensor
    distortion: Tensor
    rate: Tensor


def distortion(output: Output, target: Tensor) -> Tensor:
    """NLL of the mixture over draws, nats per example.

    Parameters
    ----------
    output
        Of the network.
    target
        (B, H) numbers, scored jointly, or (B,) classes.

    Returns
    -------
    Tensor
        A scalar.
    """
    if output.scale is not None:
        return mixture_nll(target, output.mean, output.scale, df=output.df) * target.shape[-1]
    return class_nll(output.mean, target).mean()


def class_nll(logits: Tensor, target: Tensor) -> Tensor:
    """-ln of the mean over draws of the class probability, nats.

    Parameters
    ----------
    logits
        (S, B, C).
    target
        (B,) classes.

    Returns
    -------
    Tensor
        (B,).
    """
    log_p = F.log_softmax(logits, -1).gather(-1, target.expand(logits.shape[0], -1)[..., None])[..., 0]
    return math.log(logits.shape[0]) - torch.logsumexp(log_p, 0)


def parts(
    output: Output, target: Tensor, betas: Sequence[Tensor | float], lam_rec: float = 1.0
) -> dict[str, Tensor]:
    """What `objective` sums, by the names of `probes.schema.FORCE_TERMS`.

    Parameters
    ----------
    output
        Of the network.
    target
        (B, H) numbers or (B,) classes.
    betas
        Weight of the KL: one (N,) or a number a layer.
    lam_rec
        Weight of what the local decoders explain.

    Returns
    -------
    dict
        Scalars in nats per predicted number: "nll"; "kl", weighted, where there are posteriors; "decoder",
        where there are local decoders.
    """
    numbers = predicted_numbers(output, target)
    found = {"nll": distortion(output, target) / numbers}
    if output.posteriors:
        weighted = [(p.kl.mean(0) * beta).sum() for p, beta in zip(output.posteriors, betas, strict=True)]
        found["kl"] = torch.stack(weighted).sum() / numbers
    if output.explained:
        found["decoder"] = (
            -lam_rec
            * torch.stack([explained.mean(0).sum() for explained in output.explained]).sum()
            / numbers
        )
    return found


def predicted_numbers(output: Output, target: Tensor) -> int:
    """H, by which the loss is divided: numbers predicted an example, 1 for classes.

    Parameters
    ----------
    output
        Of the network.
    target
        (B, H) numbers or (B,) classes.

    Returns
    -------
    int
        H.
    """
    return target.shape[-1] if output.scale is not None else 1


def objective(output: Output, target: Tensor, betas: Sequence[Tensor | float], lam_rec: float = 1.0) -> Loss:
    """Distortion plus weighted rate, less what the local decoders explain.

    Parameters
    ----------
    output
        Of the network.
    target
        (B, H) numbers or (B,) classes.
    betas
        Weight of the KL: one (N,) or a number a layer.
    lam_rec
        Weight of E log p(target_i | z_i), where there are decoders.

    Returns
    -------
    Loss
        The total has a gradient, its parts have none. The penalties of `vdn.controller` come on top.
    """
    found = parts(output, target, betas, lam_rec)
    rate = sum(
        (posterior.kl.detach().mean(0).sum() for posterior in output.posteriors), found["nll"].new_zeros(())
    )
    return Loss(
        torch.stack(list(found.values())).sum(),
        found["nll"].detach() * predicted_numbers(output, target),
        rate,
    )


def ramp(steps_done: int, warmup: int, length: int) -> float:
    """Multiplier of a term: 0 while it warms up, then linear to 1.

    Parameters
    ----------
    steps_done
        Optimiser steps done, g.
    warmup
        Steps at 0: while g < warmup.
    length
        Steps of the ramp; 0 is a step.

    Returns
    -------
    float
        In [0, 1].
    """
    if steps_done < warmup:
        return 0.0
    return 1.0 if length <= 0 else min(1.0, (steps_done - warmup) / length)
