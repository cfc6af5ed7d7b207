"""Control laws that keep neurons alive: bands of E[mu^2], projection, homeostasis, a guard of sigma, a share
of the loss for the AR penalty. Those that hold KL and persistence are in `vdn.control.set_points`.

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


def moved(value: Tensor | None, device: torch.device) -> Tensor | None:
    """A kept tensor where its law computes; checkpoints are read on the CPU.

    Parameters
    ----------
    value
        Of a checkpoint.
    device
        Of the law.

    Returns
    -------
    Tensor or None
        None for None.
    """
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
        self.mu2 = moved(state["mu2"], self.lo.device)


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
