"""Sums of categorical posteriors under one prior, part of the rows after part: what is computed of one stays
in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from probes.family_moments.rows import wide
from probes.schema import ACTIVE_KL

PART = 1 << 16  # numbers that are worked on at once
TINY = torch.finfo(torch.float32).tiny
LEAST = -1e30  # for the logarithm of 0, which is multiplied by 0


def class_sums(own: Mapping[str, Tensor], prior: Mapping[str, Tensor] | None) -> dict[str, Tensor] | None:
    """What `FamilyMoments` averages over rows, of all rows of a batch on a CPU.

    With one prior p for all rows the KL of a row is Σ q ln (q / p), which keeps its digits near the prior;
    the mean of Σ q ln q over rows follows from it and the mean of q.

    Parameters
    ----------
    own
        "probability" (B, N, C) and, where they are known, "logits", which are normalised.
    prior
        The same, (1, N, C) where it is one for all rows, of the same type.

    Returns
    -------
    dict or None
        t0 (N, C), score, prior_entropy, kl, active_share (N,), float64. None where the prior is not one, a KL
        is not finite, or the tensors are on another device, which would wait for being asked that.
    """
    q = own["probability"]
    count, neurons, classes = q.shape
    if prior is None or len(prior["probability"]) != 1 or not q.numel() or q.device.type != "cpu":
        return None
    flat, p = q.flatten(1), prior["probability"][0]
    log_q = own["logits"].flatten(1) if "logits" in own else None
    log_p = prior["logits"][0] if "logits" in prior else p.log()
    of_prior, inverse = log_p.reshape(1, -1), p.reciprocal().reshape(1, -1)
    step = max(1, PART // flat.shape[1])
    terms, kl = q.new_empty((min(step, count), flat.shape[1])), q.new_empty(count * neurons)
    share, rows, one = q.new_zeros((1, flat.shape[1])), q.new_ones((1, count)), q.new_ones(classes)
    for start in range(0, count, step):
        some = flat[start : start + step]
        part = terms[: len(some)]
        if log_q is None:
            torch.mul(some, inverse, out=part).clamp_min_(TINY).log_()
        else:
            torch.clamp_min(log_q[start : start + step], LEAST, out=part).sub_(of_prior)
        part.mul_(some)
        at = start * neurons
        torch.mv(part.view(-1, classes), one, out=kl[at : at + len(some) * neurons])
        share.addmm_(rows[:, : len(some)], some)
    by_row = kl.view(count, neurons)
    mean_kl = wide(rows @ by_row)[0] / count
    if not math.isfinite(mean_kl.sum().item()):
        return None
    mean, log_p = wide(share).view(neurons, classes) / count, wide(log_p)
    return {
        "t0": mean,
        "score": mean_kl + (mean * log_p).sum(-1),
        "prior_entropy": -(wide(p) * log_p).sum(-1),
        "kl": mean_kl,
        "active_share": wide(rows @ by_row.gt_(ACTIVE_KL))[0] / count,
    }
