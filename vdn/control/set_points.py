"""Control laws that hold what a neuron tells and remembers: a thermostat of beta for its KL, a multiplier for
its persistence.

Both are classes with tensors for state. Source of the thermostat: arXiv 2602.18250 and its notebook;
departures and their reasons stand beside each law.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vdn.control.bands import MU2_FLOOR, moved

KL_FLOOR = 1e-6  # nats; a neuron that tells nothing still has a ratio to its limits
QUIET = 0.01  # prior sd^2; a mean that moves less is not pushed to move otherwise


class BetaThermostat:
    """A KL weight of its own for every neuron that keeps its KL between c_min and c_max nats.

    Parameters
    ----------
    neurons
        How many there are, N.
    beta_init
        Weight at the start, clipped to the limits.
    beta_min, beta_max
        Limits of a weight, above 0.
    c_min, c_max
        Limits of the KL in nats: numbers or (N,).
    ema
        Weight of a new batch in the running means (the first is copied) of KL_i and alive_i.
    rate
        Change of ln beta for an error of one nat.
    alive_kl
        KL in nats above which an example counts as alive; alive_i is the batch's share of them.
    alive_min
        Below this share a neuron gets the emergency.
    emergency
        Nats by which its error is lowered, beside its own size.
    gain
        Proportional action, at least 0: a weight is also multiplied by (KL / nearer limit)^gain.

    Raises
    ------
    ValueError
        For limits that are not 0 < beta_min <= beta_max, or a c_min above c_max.

    Notes
    -----
    err = kl - c_min below, kl - c_max above, else 0; where alive_i < alive_min, err -= |err| + emergency. ln
    beta += rate err; beta is clipped to [beta_min, beta_max] and then to within a factor of 4 of its mean, so
    that no neuron is priced out of its layer.

    Which of many like neurons tells how much is nearly indifferent to a layer, so that a neuron's KL drifts
    for as long as its weight is off: under beta, an integral of the error alone, it swings around its
    set-point. The proportional action damps that; its factor stays within exp(gain) either way.

    Under an autoregressive prior do not feed the KL itself: at phi 0.95 its floor alone exceeds 0.30 and beta
    would climb for ever. `vdn.controller.context_paid` is what training feeds.
    """

    NEIGHBOURHOOD = 4.0

    def __init__(
        self,
        neurons: int,
        beta_init: float = 0.02,
        beta_min: float = 1e-4,
        beta_max: float = 1.0,
        c_min: float | Tensor = 0.05,
        c_max: float | Tensor = 0.30,
        ema: float = 0.1,
        rate: float = 0.2,
        alive_kl: float = 1e-4,
        alive_min: float = 0.05,
        emergency: float = 0.5,
        gain: float = 0.0,
    ) -> None:
        if not 0 < beta_min <= beta_max:
            raise ValueError(f"beta needs 0 < beta_min <= beta_max, these are {beta_min} and {beta_max}")
        self.c_min, self.c_max = (
            torch.as_tensor(c, dtype=torch.float32).expand(neurons).clone() for c in (c_min, c_max)
        )
        if not bool((self.c_min <= self.c_max).all()):
            raise ValueError("c_min must not exceed c_max")
        self.beta_min, self.beta_max, self.ema, self.rate = beta_min, beta_max, ema, rate
        self.alive_kl, self.alive_min, self.emergency, self.gain = alive_kl, alive_min, emergency, gain
        self.beta = torch.full((neurons,), min(max(beta_init, beta_min), beta_max))
        self.kl: Tensor | None = None
        self.alive: Tensor | None = None

    @torch.no_grad()
    def update(self, kl: Tensor) -> Tensor:
        """New weights after a batch.

        Parameters
        ----------
        kl
            (B, N) nats.

        Returns
        -------
        Tensor
            (N,) beta.
        """
        now, alive = kl.mean(0), (kl > self.alive_kl).to(kl.dtype).mean(0)
        self.kl = now if self.kl is None else torch.lerp(self.kl, now, self.ema)
        self.alive = alive if self.alive is None else torch.lerp(self.alive, alive, self.ema)
        low, high = self.c_min.to(kl), self.c_max.to(kl)
        error = (self.kl - low).clamp_max(0) + (self.kl - high).clamp_min(0)
        error = torch.where(self.alive < self.alive_min, error - error.abs() - self.emergency, error)
        beta = (self.beta.to(kl) * (self.rate * error).exp()).clamp(self.beta_min, self.beta_max)
        mean = beta.mean()
        low_beta = (mean / self.NEIGHBOURHOOD).clamp_min(self.beta_min)
        high_beta = (mean * self.NEIGHBOURHOOD).clamp_max(self.beta_max)
        self.beta = torch.minimum(torch.maximum(beta, low_beta), high_beta)
        return self.weights()

    def weights(self) -> Tensor:
        """(N,) weights that the KL is to have now: beta, and what the proportional action makes of it."""
        if self.kl is None or self.gain == 0:
            return self.beta
        low, high = (limit.to(self.kl).clamp_min(KL_FLOOR) for limit in (self.c_min, self.c_max))
        held = self.kl.clamp_min(KL_FLOOR)
        off = (held / low).log().clamp_max(0) + (held / high).log().clamp_min(0)
        return (self.beta * (self.gain * off.clamp(-1, 1)).exp()).clamp(self.beta_min, self.beta_max)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"beta": self.beta, "kl": self.kl, "alive": self.alive}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state
            As `state` returned it.
        """
        device = self.beta.device
        self.beta = state["beta"].to(device)
        self.kl, self.alive = moved(state["kl"], device), moved(state["alive"], device)


def slope_sums(current: Tensor, previous: Tensor, series: Tensor, n_series: int) -> Tensor:
    """Sums whose ratio is the slope of a neuron's mean on that of the predecessor, within series.

    Parameters
    ----------
    current, previous
        (P, N, K) posterior means of P pairs.
    series
        (P,) int64 id of each pair's series, from 0.
    n_series
        How many series there are.

    Returns
    -------
    Tensor
        (2, N): sum of x y and of x^2 over pairs and dimensions, x the predecessor and y the mean, less the
        means of their own series. Differentiable.

    Notes
    -----
    The slope that `persistence` is in the log (`probes.persistence`), which the core does not import.
    """
    values = torch.stack([current, previous]).flatten(2)  # (2, P, N K)
    count = values.new_zeros(n_series).index_add(0, series, values.new_ones(len(series))).clamp_min(1)
    means = values.new_zeros(2, n_series, values.shape[2]).index_add(1, series, values) / count[:, None]
    y, x = values - means[:, series]
    return torch.stack([(x * y).sum(0), (x * x).sum(0)]).view(2, *current.shape[1:]).sum(-1)


class PersistenceMultiplier:
    """A multiplier for every neuron that brings its persistence, the slope of its mean over pairs, to a
    target.

    Parameters
    ----------
    target
        (N,) slopes.
    gain
        Nats an example that a neuron is pushed by, for a slope that is off by 1.
    rate
        What is added to that in a step, for a slope that is off by 1.
    ema
        Weight of a new batch in the running sums of the slope (the first is copied).
    limit
        The multiplier stays in [-limit, limit], nats an example and unit of slope.

    Attributes
    ----------
    weight
        (N,) the multiplier: positive where the slope is to rise.

    Notes
    -----
    The loss gets -weight_i slope_i(batch), in nats an example as beta_i KL_i. weight = clip(sum of rate e +
    gain e), e = target - slope of the running sums: a Lagrange multiplier with integral and proportional
    action (Stooke et al. 2020, arXiv 2007.03964). It is linear in the batch's slope, so that the batch's
    noise pulls nowhere on average; that of a squared penalty would.

    A slope is that of the mean times any number, so that its gradient has no part along the mean's own scale
    (Euler's theorem): this law turns what a neuron listens to, a thermostat how loud it is. A mean that
    varies by v over the predecessors is pushed by v / (v + 0.01) of its multiplier: a slope's gradient grows
    without bound as the mean falls silent.
    """

    def __init__(
        self, target: Tensor, gain: float = 0.1, rate: float = 5e-4, ema: float = 0.05, limit: float = 1.0
    ) -> None:
        self.target, self.gain, self.rate, self.ema, self.limit = target, gain, rate, ema, limit
        self.weight, self.integral = torch.zeros_like(target), torch.zeros_like(target)
        self.sums: Tensor | None = None

    def penalty(self, sums: Tensor, pairs: int) -> Tensor:
        """What the loss gets for a batch.

        Parameters
        ----------
        sums
            (2, N) of the batch, `slope_sums`.
        pairs
            Over how many pairs and dimensions they are.

        Returns
        -------
        Tensor
            A scalar, nats an example: -sum of weight_i slope_i; neurons that do not move count 0.
        """
        moved = sums[1].detach()
        share = moved / (moved + QUIET * pairs)
        return -(self.weight * share * sums[0] / sums[1].clamp_min(MU2_FLOOR)).sum()

    @torch.no_grad()
    def update(self, sums: Tensor) -> Tensor:
        """New multipliers after a batch.

        Parameters
        ----------
        sums
            (2, N) of the batch, `slope_sums`.

        Returns
        -------
        Tensor
            (N,) the multipliers.
        """
        now = sums.detach()
        self.sums = now.clone() if self.sums is None else torch.lerp(self.sums, now, self.ema)
        moves = self.sums[1] > MU2_FLOOR
        slope = self.sums[0] / self.sums[1].clamp_min(MU2_FLOOR)
        error = torch.where(moves, self.target - slope, 0.0)
        self.integral = (self.integral + self.rate * error).clamp(-self.limit, self.limit)
        self.weight = (self.integral + self.gain * error).clamp(-self.limit, self.limit)
        return self.weight

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"weight": self.weight, "integral": self.integral, "sums": self.sums}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state
            As `state` returned it.
        """
        device = self.target.device
        self.weight, self.integral = state["weight"].to(device), state["integral"].to(device)
        self.sums = moved(state["sums"], device)
