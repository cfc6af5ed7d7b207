"""The recurrences of `vdn.sequence` over all positions at once, with their gradients.

Loops of fused multiply-adds over time without autograd's bookkeeping, their gradients the same loops
backwards. Of the ways that were measured (docs/decisions.md) it is the fastest on a CPU, where positions are
few and rows many. All is time first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

LOG_WIDTH_LOW, LOG_WIDTH_HIGH = -5.0, 0.0  # of sigma in prior sds s; the upper end is the prior's own width
SET_POINT = 2.0  # largest |c|, prior sds


def scan(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    """z_t = a_t z_{t-1} + b_t for t = 1 .. T, z_0 = start; without a gradient.

    Parameters
    ----------
    a, b
        (T, ...) of one shape.
    start
        (...), z_0.

    Returns
    -------
    Tensor
        (T, ...), z_1 .. z_T.
    """
    z = torch.empty_like(b)
    for a_t, b_t, z_t in zip(a.unbind(), b.unbind(), z.unbind(), strict=True):
        start = torch.addcmul(b_t, a_t, start, out=z_t)
    return z


def before(path: Tensor, start: Tensor) -> Tensor:
    """Values of t - 1.

    Parameters
    ----------
    path
        (T, ...).
    start
        (...), before the first.

    Returns
    -------
    Tensor
        (T, ...).
    """
    return torch.cat([start[None], path[:-1]])


class Path(NamedTuple):
    """What gates made of a sequence, (T, rows, F) each.

    Attributes
    ----------
    z
        Draws.
    kl
        Nats, each draw's own past given; empty of a twin.
    gate, target, log_width
        g, c and ln(sigma / s), without a gradient; the last empty of a twin.
    """

    z: Tensor
    kl: Tensor
    gate: Tensor
    target: Tensor
    log_width: Tensor


class _GatedScan(torch.autograd.Function):
    """raw (T, R, 3 F) or, of a twin, (T, R, 2 F); phi (F,); start (R, F); noise (T, R, F) or None."""

    @staticmethod
    def forward(
        ctx: Any, raw: Tensor, phi: Tensor, start: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        size = phi.shape[0]
        gate = torch.sigmoid(raw[..., :size])
        target = torch.tanh(raw[..., size : 2 * size]).mul_(SET_POINT)
        keep, pulled = 1 - gate, gate * target
        if noise is None:
            z, kl, log_width = scan(keep, pulled, start), raw.new_empty(0), raw.new_empty(0)
            ctx.save_for_backward(raw, phi, start, gate, target, keep, z)
        else:
            s2 = (1 - phi) * (1 + phi)
            log_width = raw[..., 2 * size :].clamp(LOG_WIDTH_LOW, LOG_WIDTH_HIGH)
            width = log_width.exp()
            pull = width * s2.sqrt()
            z = scan(keep, pull.mul_(noise).add_(pulled), start)
            deviation = torch.sub(keep, phi, out=pull).mul_(before(z, start)).add_(pulled)
            kl = torch.mul(deviation, deviation).div_(s2).addcmul_(width, width).sub_(1).mul_(0.5)
            kl.sub_(log_width)
            ctx.save_for_backward(raw, phi, start, gate, target, keep, z, noise, deviation, width)
        ctx.mark_non_differentiable(gate, target, log_width)
        return z, kl, gate, target, log_width

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        of_z, of_kl = gradients[:2]
        raw, phi, start, gate, target, keep, z, *drawn = ctx.saved_tensors
        size = phi.shape[0]
        flow = of_z.clone(memory_format=torch.contiguous_format)  # becomes dL/d(b_t): through all later t
        of_start = torch.zeros_like(start)
        of_deviation: Tensor | None = None
        past = before(z, start)
        if drawn:
            noise, deviation, width = drawn
            s2 = (1 - phi) * (1 + phi)
            of_deviation = (deviation / s2).mul_(of_kl)
            into_past = (keep - phi).mul_(of_deviation)
            flow[:-1] += into_past[1:]
            of_start = into_past[0]
        rows, factors = flow.unbind(), keep.unbind()
        for t in range(len(rows) - 2, -1, -1):
            rows[t].addcmul_(factors[t + 1], rows[t + 1])
        of_start = torch.addcmul(of_start, keep[0], flow[0])
        of_pulled = flow if of_deviation is None else flow + of_deviation
        of_raw = torch.empty_like(raw)
        of_gate = of_raw[..., :size]
        torch.sub(target, past, out=of_gate)
        of_gate.mul_(of_pulled).mul_(gate).mul_(keep)
        slope = torch.addcmul(target.new_full((), SET_POINT), target, target, value=-1 / SET_POINT)
        torch.mul(slope.mul_(gate), of_pulled, out=of_raw[..., size : 2 * size])
        if not drawn:
            return of_raw, None, of_start, None
        assert of_deviation is not None
        of_width = of_raw[..., 2 * size :]
        pushed = (flow * noise).mul_(width)  # dL/ds, row by row
        log_width = raw[..., 2 * size :]
        inside = (log_width >= LOG_WIDTH_LOW) & (log_width <= LOG_WIDTH_HIGH)
        change = torch.mul(width, width).sub_(1).mul_(of_kl).addcmul_(pushed, s2.sqrt())
        torch.mul(change, inside, out=of_width)
        of_phi = None
        if ctx.needs_input_grad[1]:
            by_row = -pushed / s2.sqrt() * phi - of_deviation * past + of_deviation * deviation * phi / s2
            of_phi = by_row.sum((0, 1))
        return of_raw, of_phi, of_start, None


def gated_scan(raw: Tensor, phi: Tensor, start: Tensor, noise: Tensor | None) -> Path:
    """Draws z_t = (1 - g_t) z_{t-1} + g_t c_t + sigma_t noise_t along a sequence, and their local KL.

    Parameters
    ----------
    raw
        (T, R, 3 F): what g = sigmoid(.), c = 2 tanh(.) and sigma = s exp(clip(., -5, 0)) are made of, below
        each other; (T, R, 2 F) of a twin.
    phi
        (F,) persistence of the prior, s^2 = 1 - phi^2.
    start
        (R, F), z_0.
    noise
        (T, R, F) standard normal; None: a twin, sigma = 0 and no KL.

    Returns
    -------
    Path
        z and kl are differentiable once by raw, phi and start.

    Notes
    -----
    KL(q(z_t | z_{t-1}) || Normal(phi z_{t-1}, s^2)) = 1/2 (d^2 / s^2 + sigma^2 / s^2 - 1) - ln(sigma / s),
    d = (1 - g - phi) z_{t-1} + g c.
    """
    found = _GatedScan.apply(raw, phi, start, noise)
    return Path(*found)
