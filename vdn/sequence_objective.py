"""The objective of sequences: distortion and rate in nats a position."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vdn.objective import Loss
from vdn.sequence import SequenceOutput, SequentialNetwork
from vdn.sequence_data import SequenceBatch
from vdn.transformer import SequenceTransformer


def sequence_nll(log_p: Tensor) -> Tensor:
    """-ln (1/S) sum_s p(y_t | z_t^s): averaged inside the logarithm, position by position, nats.

    Parameters
    ----------
    log_p
        (S, B, T), of each draw.

    Returns
    -------
    Tensor
        (B, T).

    Notes
    -----
    q never sees y_t, so that this is the score of a proper predictive density, for every S.
    """
    return math.log(log_p.shape[0]) - torch.logsumexp(log_p, 0)


def sequence_objective(
    network: SequentialNetwork | SequenceTransformer,
    output: SequenceOutput,
    batch: SequenceBatch,
    beta: float,
) -> Loss:
    """Mean over positions of the NLL, plus beta times the mean of the KL of all neurons.

    Parameters
    ----------
    network, output, batch
        What was computed of what.
    beta
        Weight of the KL.

    Returns
    -------
    Loss
        Nats a position; those that are masked count nowhere. The total has a gradient, its parts have none.
    """
    mask = batch.mask
    count = mask.sum().clamp_min(1)
    nll = sequence_nll(network.log_prob(output, batch.y, mask))
    distortion = torch.where(mask, nll, 0.0).sum() / count
    rate = distortion.new_zeros(())
    whole = bool(mask.all())
    for posterior in output.posteriors:
        kl = posterior.kl  # (B S, T, N)
        draws = len(kl) // len(mask)
        if not whole:
            kl = kl * mask.repeat_interleave(draws, 0)[..., None]
        rate = rate + kl.sum() / (count * draws)
    return Loss(distortion + beta * rate, distortion.detach(), rate.detach())
