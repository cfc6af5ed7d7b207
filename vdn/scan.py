"""The recurrences of `vdn.sequence_layer` over all positions at once, with their gradients.

Loops of fused multiply-adds over time without autograd's bookkeeping, their gradients the same loops
backwards. Of the ways that were measured (docs/decisions.md) it is the fastest on a CPU, where positions are
few and rows many. All is time first.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LOG_WIDTH_LOW, LOG_WIDTH_HIGH = -5.0, 0.0  # of sigma in prior sds s; the upper end is the prior's own width
SET_POINT = 2.0  # largest |c|, prior sds
AT_ONCE = 98_304  # numbers of a buffer that is worked on, few enough to stay in the cache
TOUCHING = 2  # roundings of 1: a width that much over the upper limit is beyond it, and has no gradient


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


def at_once(positions: int, numbers: int) -> int:
    """Positions of a sequence that are worked on at once, so that it falls into parts of nearly one length.

    Parameters
    ----------
    positions
        T.
    numbers
        Of each position.

    Returns
    -------
    int
        At least 1.
    """
    parts = min(math.ceil(positions * numbers / AT_ONCE), positions)
    return max(math.ceil(positions / max(parts, 1)), 1)


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
    gate, target, width
        g, c and sigma / s, without a gradient; the last empty of a twin.
    """

    z: Tensor
    kl: Tensor
    gate: Tensor
    target: Tensor
    width: Tensor

    @property
    def log_width(self) -> Tensor:
        """ln(sigma / s)."""
        return self.width.log()


class _GatedScan(torch.autograd.Function):
    """raw (T, R, 3 F) or, of a twin, (T, R, 2 F); phi (F,); start (R, F); noise (T, R, F) or None.

    Both ways go block by block of positions, so that what is computed of one stays in the cache. New memory
    costs more than cheap operations: the way back computes them again, only exponentials are kept.
    """

    @staticmethod
    def forward(
        ctx: Any, raw: Tensor, phi: Tensor, start: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        positions, rows, size = raw.shape[0], raw.shape[1], phi.shape[0]
        kept = raw.new_empty(2 if noise is None else 4, positions, rows, size)
        gate, target = kept[:2]
        states = raw.new_empty(positions + 1, rows, size)  # z_0 .. z_T
        states[0] = start
        s2 = (1 - phi) * (1 + phi)
        s, precision = s2.sqrt(), 1 / s2
        one, minus_half = raw.new_full((), 1.0), raw.new_full((), -0.5)
        highest = LOG_WIDTH_HIGH + TOUCHING * torch.finfo(raw.dtype).eps
        block = at_once(positions, rows * size)
        buffers = raw.new_empty(4, block, rows, size)
        for first in range(0, positions, block):
            at = slice(first, min(first + block, positions))
            keep, pulled, log_width, scratch = buffers[:, : at.stop - first]
            torch.sigmoid(raw[at, :, :size], out=gate[at])
            torch.tanh(raw[at, :, size : 2 * size], out=target[at]).mul_(SET_POINT)
            torch.sub(one, gate[at], out=keep)
            added = torch.mul(gate[at], target[at], out=pulled)
            if noise is not None:
                width, kl = kept[2:, at]
                torch.clamp(raw[at, :, 2 * size :], LOG_WIDTH_LOW, highest, out=log_width)
                torch.exp(log_width, out=width)
                torch.mul(noise[at], s, out=scratch)
                added = torch.addcmul(pulled, width, scratch, out=scratch)
            every = states[first : at.stop + 1].unbind()
            for before_t, now_t, keep_t, added_t in zip(
                every, every[1:], keep.unbind(), added.unbind(), strict=False
            ):
                torch.addcmul(added_t, keep_t, before_t, out=now_t)
            if noise is not None:
                deviation = torch.addcmul(pulled, keep.sub_(phi), states[at], out=keep)
                torch.mul(deviation, precision, out=scratch)
                torch.addcmul(minus_half, deviation, scratch, value=0.5, out=kl)
                kl.addcmul_(width, width, value=0.5).sub_(log_width)
        ctx.drawn = noise is not None
        ctx.save_for_backward(phi, kept, states, noise)
        none = raw.new_empty(0)
        widths, kls = (none, none.clone()) if noise is None else (kept[2], kept[3])
        ctx.mark_non_differentiable(gate, target, widths)
        return states[1:], kls, gate, target, widths

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor, None]:
        of_z, of_kl = gradients[:2]
        phi, kept, states, noise = ctx.saved_tensors
        positions, rows, size = kept.shape[1:]
        s2 = (1 - phi) * (1 + phi)
        s, precision = s2.sqrt(), 1 / s2
        one, minus_one = kept.new_full((), 1.0), kept.new_full((), -1.0)
        eps = torch.finfo(kept.dtype).eps
        narrowest, widest = math.exp(LOG_WIDTH_LOW) * (1 + 4 * eps), 1 + (TOUCHING - 1) * eps
        of_raw = kept.new_empty(positions, rows, (3 if ctx.drawn else 2) * size)
        of_phi = torch.zeros_like(phi) if ctx.drawn and ctx.needs_input_grad[1] else None
        block = at_once(positions, rows * size)
        buffers = kept.new_empty(5, block, rows, size)
        carried = kept.new_zeros(rows, size)  # dL/dz of the position before the block above
        for first in reversed(range(0, positions, block)):
            at = slice(first, min(first + block, positions))
            keep, flow, slope, pushed, fall = buffers[:, : at.stop - first]
            gate, target, past = kept[0, at], kept[1, at], states[at]
            torch.sub(one, gate, out=keep)
            # flow becomes dL/d(what is added at t): through all later t
            torch.add(of_z[at.stop - 1], carried, out=flow[-1])
            arriving = of_z[at]
            if ctx.drawn:
                torch.sub(keep, phi, out=slope)
                pulled = torch.mul(gate, target, out=pushed)
                torch.addcmul(pulled, slope, past, out=fall).mul_(precision)  # deviation / s^2
                scaled = fall.clone() if of_phi is not None else fall
                fall.mul_(of_kl[at])  # dL/d(deviation)
                arriving = torch.addcmul(arriving[:-1], slope[1:], fall[1:], out=flow[:-1])
            arrivings, flows, keeps = arriving.unbind(), flow.unbind(), keep.unbind()
            for t in range(len(flows) - 2, -1, -1):
                torch.addcmul(arrivings[t], keeps[t + 1], flows[t + 1], out=flows[t])
            carried = keep[0] * flow[0]
            if ctx.drawn:
                carried.addcmul_(slope[0], fall[0])
                width = kept[2, at]
                torch.mul(width, noise[at], out=pushed).mul_(s).mul_(flow)
                if of_phi is not None:
                    by_value = pushed * (-phi / s2) - fall * past + fall * scaled * phi
                    of_phi += by_value.sum((0, 1))
                pushed.addcmul_(torch.addcmul(minus_one, width, width, out=slope), of_kl[at])
                # within its limits, the upper end included: there a prior's width starts
                torch.ops.aten.hardtanh_backward.grad_input(
                    pushed,
                    width,
                    narrowest,
                    widest,
                    grad_input=of_raw[at, :, 2 * size :],
                )
                flow += fall
            of_gate, of_target = of_raw[at, :, :size], of_raw[at, :, size : 2 * size]
            torch.sub(target, past, out=slope).mul_(flow).mul_(gate)
            torch.mul(slope, keep, out=of_gate)
            torch.mul(target, target, out=slope).mul_(-1 / SET_POINT).add_(SET_POINT).mul_(gate)
            torch.mul(slope, flow, out=of_target)
        return of_raw, of_phi, carried, None


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
    z, kl, gate, target, width = _GatedScan.apply(raw, phi, start, noise)
    return Path(z, kl, gate, target, width)
