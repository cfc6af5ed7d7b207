"""Control laws that keep neurons alive: bands of E[mu^2], projection, homeostasis, a thermostat for beta, a
guard of sigma; and one that keeps their persistence.

mu2_i = mean over batch and latent dimensions of mu^2, one definition everywhere. Laws are pure functions or
small classes with tensors for state; what they do to a network is returned, so that it can be logged. Source:
arXiv 2602.18250 and its notebook; departures and their reasons stand beside each law.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vdn.neuron import VariationalNeurons

BandMode = Literal["homogeneous", "heterogeneous"]
MU2_FLOOR = 1e-12  # a neuron that has never moved still has a ratio to its band
KL_FLOOR = 1e-6  # nats; the same for a neuron that tells nothing
QUIET = 0.01  # prior sd^2; a mean that moves less is not pushed to move otherwise
INSIDE_TOLERANCE = 0.02  # relative: a projected neuron sits on the edge and rounds to either side


def mean_square(mu: Tensor) -> Tensor:
    """mu2: mean over batch and latent dimensions of mu^2.

    Parameters
    ----------
    mu
        (B, N, K) posterior means.

    Returns
    -------
    Tensor
        (N,).
    """
    return mu.square().mean((0, 2))


def mu2_band(
    neurons: int,
    target: float,
    lo: float = 0.8,
    hi: float = 1.6,
    mode: BandMode = "homogeneous",
    spread: float = 8.0,
) -> tuple[Tensor, Tensor]:
    """Band (lo_i, hi_i) of mu2 for each neuron: lo t_i and hi t_i.

    Parameters
    ----------
    neurons
        How many there are, N.
    target
        Centre of the bands, above 0.
    lo, hi
        Ends of a band as multiples of its t_i.
    mode
        "homogeneous": t_i = target. "heterogeneous": t_i = target exp(u_i), u equally spaced from -ln spread
        to +ln spread.
    spread
        Reach of the heterogeneous centres; below 1 it counts as 1, and a single neuron gets -ln spread.

    Returns
    -------
    tuple of Tensor
        Lower and upper ends, (N,) each.

    Raises
    ------
    ValueError
        For an empty or negative band, or another `mode`.

    Notes
    -----
    arXiv 2602.18250 and its notebook.
    """
    if target <= 0 or not 0 <= lo <= hi:
        raise ValueError(
            f"a band needs target > 0 and 0 <= lo <= hi, these are target {target}, lo {lo}, hi {hi}"
        )
    if mode == "homogeneous":
        centre = torch.full((neurons,), float(target))
    elif mode == "heterogeneous":
        reach = math.log(max(spread, 1.0))
        centre = target * torch.linspace(-reach, reach, neurons, dtype=torch.float64).exp().float()
    else:
        raise ValueError(f'mode must be "homogeneous" or "heterogeneous", this is {mode!r}')
    return lo * centre, hi * centre


def band_penalty(
    mu2: Tensor,
    lo: Tensor,
    hi: Tensor,
    mode: Literal["relative", "absolute"] = "relative",
    eps: float = 1e-3,
    weight_low: float = 1.0,
    weight_high: float = 1.0,
) -> Tensor:
    """Mean over neurons of weight_low a^2 + weight_high b^2 for what lies below and above the band.

    Parameters
    ----------
    mu2
        (N,) mean of mu^2 of each neuron.
    lo, hi
        (N,) ends of the band.
    mode
        "absolute": a = relu(lo - mu2), b = relu(mu2 - hi). "relative": a / max(lo, eps) and b / max(hi, eps).
    eps
        Least divisor of "relative".
    weight_low, weight_high
        Weights of the two sides.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ValueError
        For another `mode`.

    Notes
    -----
    arXiv 2602.18250 and its notebook.
    """
    if mode not in ("relative", "absolute"):
        raise ValueError(f'mode must be "relative" or "absolute", this is {mode!r}')
    below, above = F.relu(lo - mu2), F.relu(mu2 - hi)
    if mode == "relative":
        below, above = below / lo.clamp_min(eps), above / hi.clamp_min(eps)
    return (weight_low * below.square() + weight_high * above.square()).mean()


@torch.no_grad()
def rescale(layer: VariationalNeurons, scale: Tensor) -> None:
    """Multiplies each neuron's rows of W and b by its scale, in place: mu2 changes by scale^2.

    Parameters
    ----------
    layer
        Layer of N neurons.
    scale
        (N,) factors.
    """
    rows = scale.repeat_interleave(layer.latent_dim)
    layer.mean.weight.mul_(rows[:, None])
    layer.mean.bias.mul_(rows)


@torch.no_grad()
def project_to_band(
    layer: VariationalNeurons, mu2: Tensor, lo: Tensor, hi: Tensor, max_scale: float = 50.0
) -> Tensor:
    """Puts neurons outside their band onto its nearer edge, in place.

    Parameters
    ----------
    layer
        Layer of N neurons.
    mu2
        (N,) mean of mu^2 of each neuron.
    lo, hi
        (N,) ends of the band.
    max_scale
        The scale stays in [1/max_scale, max_scale].

    Returns
    -------
    Tensor
        (N,) scale of the rows of W and b: sqrt(lo/mu2) below, sqrt(hi/mu2) above, 1 inside.
    """
    energy = mu2.clamp_min(MU2_FLOOR)
    scale = torch.where(
        mu2 < lo, (lo / energy).sqrt(), torch.where(mu2 > hi, (hi / energy).sqrt(), torch.ones_like(mu2))
    )
    scale = scale.clamp(1 / max_scale, max_scale)
    rescale(layer, scale)
    return scale


def homeostat_scale(
    mu2: Tensor,
    lo: Tensor,
    hi: Tensor,
    eta: float,
    max_step: float = 1.5,
    inside: Literal["keep", "geometric", "arithmetic"] = "keep",
) -> Tensor:
    """Scale of a neuron's rows that moves mu2 a share eta of the way, in the logarithm, to its target.

    Parameters
    ----------
    mu2
        (N,) mean of mu^2 of each neuron.
    lo, hi
        (N,) ends of the band: the target below and above it.
    eta
        Share of the way, in ln mu2.
    max_step
        The scale stays in [1/max_step, max_step].
    inside
        Target inside the band: "keep" mu2 itself, "geometric" sqrt(lo hi), "arithmetic" (lo + hi)/2.

    Returns
    -------
    Tensor
        (N,) scale, clip((target/mu2)^(eta/2), 1/max_step, max_step).

    Raises
    ------
    ValueError
        For another `inside`.
    """
    energy = mu2.clamp_min(MU2_FLOOR)
    centres = {"keep": energy, "geometric": (lo * hi).sqrt(), "arithmetic": (lo + hi) / 2}
    if inside not in centres:
        raise ValueError(f"inside must be one of {tuple(centres)}, this is {inside!r}")
    target = torch.where(energy < lo, lo, torch.where(energy > hi, hi, centres[inside]))
    return (target / energy).pow(eta / 2).clamp(1 / max_step, max_step)


def _moved(value: Tensor | None, device: torch.device) -> Tensor | None:
    """A kept tensor on `device`; checkpoints are read on the CPU."""
    return None if value is None else value.to(device)


class Homeostat:
    """Slow regulation of mu2: its running mean, and every so often a gentle rescaling of rows off their band.

    Parameters
    ----------
    lo, hi
        (N,) ends of the band.
    eta
        Share of the way (in ln mu2) that an act goes; it grows with the share f of neurons outside, clip(eta
        (1 + 2 f), 0, eta_max).
    eta_max
        Its limit.
    ema
        Weight of a new batch in the running mean.
    max_step, inside
        As for `homeostat_scale`.

    Notes
    -----
    After acting the running mean is multiplied by scale^2, as mu2 itself was: without it the law corrects
    twice and rings.
    """

    def __init__(
        self,
        lo: Tensor,
        hi: Tensor,
        eta: float = 0.15,
        eta_max: float = 0.5,
        ema: float = 0.05,
        max_step: float = 1.5,
        inside: Literal["keep", "geometric", "arithmetic"] = "keep",
    ) -> None:
        self.lo, self.hi = lo, hi
        self.eta, self.eta_max, self.ema, self.max_step = eta, eta_max, ema, max_step
        self.inside: Literal["keep", "geometric", "arithmetic"] = inside
        self.mu2: Tensor | None = None

    def observe(self, mu2: Tensor) -> None:
        """Takes in a batch's mu2; the first is copied.

        Parameters
        ----------
        mu2
            (N,).
        """
        self.mu2 = mu2.detach().clone() if self.mu2 is None else torch.lerp(self.mu2, mu2.detach(), self.ema)

    def outside(self) -> Tensor:
        """(N,) whether the running mu2 lies outside its band by more than the tolerance."""
        if self.mu2 is None:
            return torch.zeros_like(self.lo, dtype=torch.bool)
        return (self.mu2 < self.lo * (1 - INSIDE_TOLERANCE)) | (self.mu2 > self.hi * (1 + INSIDE_TOLERANCE))

    def act(self, layer: VariationalNeurons) -> Tensor:
        """Rescales the layer's rows in place.

        Parameters
        ----------
        layer
            Layer of N neurons.

        Returns
        -------
        Tensor
            (N,) scale; ones before the first observation.
        """
        if self.mu2 is None:
            return torch.ones_like(self.lo)
        share = self.outside().to(self.mu2.dtype).mean()
        eta = float((self.eta * (1 + 2 * share)).clamp(0, self.eta_max))
        scale = homeostat_scale(self.mu2, self.lo, self.hi, eta, self.max_step, self.inside)
        rescale(layer, scale)
        self.mu2 = self.mu2 * scale.square()
        return scale

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"mu2": self.mu2}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state
            As `state` returned it.
        """
        self.mu2 = _moved(state["mu2"], self.lo.device)


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
        self.kl, self.alive = _moved(state["kl"], device), _moved(state["alive"], device)


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
        self.sums = _moved(state["sums"], device)


@torch.no_grad()
def guard_sigma(
    layer: VariationalNeurons, dead: Tensor, low: float = 0.15, high: float = 5.0, push: float = 0.02
) -> Tensor:
    """Keeps ln sigma in [ln low, ln high] and widens dead neurons, in place.

    Parameters
    ----------
    layer
        Layer of N neurons.
    dead
        (N,) bool.
    low, high
        Limits of sigma, in prior sds.
    push
        What a dead neuron's ln sigma grows by on its own row, up to the prior's sd, 1.

    Returns
    -------
    Tensor
        (N,) change of ln sigma, the mean over dimensions (of the bias for sigma "input").

    Notes
    -----
    A shared sigma is limited and never pushed: one dead neuron must not widen all.
    """
    table: Tensor = layer.log_sigma.bias if isinstance(layer.log_sigma, nn.Linear) else layer.log_sigma
    before = table.clone()
    if table.numel() > 1:
        rows = table.view(layer.neurons, layer.latent_dim)
        pushed = torch.minimum(rows + push, rows.clamp_min(0))  # ln 1; what is above is not pulled down
        rows.copy_(torch.where(dead[:, None], pushed, rows))
    table.clamp_(math.log(low), math.log(high))
    change = (table - before).reshape(-1)
    return (
        change.expand(layer.neurons)
        if change.numel() == 1
        else change.view(layer.neurons, layer.latent_dim).mean(1)
    )


class ArShareController:
    """Weight of the published AR penalty so that it makes up a set share of the loss.

    Parameters
    ----------
    lam
        Weight at the start.
    target
        Share of the loss to be reached.
    rate
        Speed: lam <- lam exp(-rate (share - target)).
    low, high
        Limits of lam.
    cap
        Share above which the penalty has taken over.
    damping
        Largest factor above the cap, so that it is damped at least as hard.
    """

    def __init__(
        self,
        lam: float = 0.1,
        target: float = 0.20,
        rate: float = 0.1,
        low: float = 1e-4,
        high: float = 10.0,
        cap: float = 0.5,
        damping: float = 0.9,
    ) -> None:
        self.lam, self.target, self.rate = lam, target, rate
        self.low, self.high, self.cap, self.damping = low, high, cap, damping

    def update(self, share: float | None) -> float:
        """New weight after a step.

        Parameters
        ----------
        share
            What the penalty made up of the loss; None while AR is off: nothing happens.

        Returns
        -------
        float
            The weight.
        """
        if share is None:
            return self.lam
        factor = math.exp(-self.rate * (share - self.target))
        if share > self.cap:
            factor = min(factor, self.damping)
        self.lam = min(max(self.lam * factor, self.low), self.high)
        return self.lam

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"lam": self.lam}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state
            As `state` returned it.
        """
        self.lam = state["lam"]
