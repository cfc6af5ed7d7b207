"""Control laws for anybody's training loop: what keeps latent neurons from collapsing onto their prior.

Both need only the KL of each neuron, as the model computes it for its loss or as a watch recorded it:
`BetaThermostat` sets the KL's weight so that the KL reaches a target, `free_bits` charges nothing below a
limit.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["BetaThermostat", "free_bits"]


class BetaThermostat:
    """A weight for the KL of each neuron, or of a whole layer, that brings the KL to a target.

    Parameters
    ----------
    target
        Nats that a neuron's KL is brought to: a number above 0, or one for each neuron, (N,).
    beta
        Weight at the start, within the limits.
    low, high
        Limits of the weight, 0 < low <= high. With high 1 and a target that the neurons exceed of themselves
        the weight ends at 1, the evidence bound's own: the thermostat then has only led there.
    rate
        Largest change of ln beta in a step.
    ema
        Weight of a new step in the running mean of the KL, above 0 and at most 1; the first is copied.

    Attributes
    ----------
    target
        May be set anew between steps: high until the decoder uses the neurons, then low.
    beta
        The present weight: a float before the first step, then a tensor, of the KL's shape without its rows.
    kl
        The running mean of the KL in nats, NaN where none was finite yet; None before the first step.

    Raises
    ------
    ValueError
        For a target that is not above 0 and finite, limits or a weight out of order, a rate or ema out of
        range.

    Notes
    -----
    ln beta += rate * clip((kl - target) / target, -1, 1), then clipped to [ln low, ln high]: an integral
    controller, as in ControlVAE (Shao et al. 2020, arXiv 2004.05988), in the logarithm and with a relative
    error, so that no step multiplies beta by more than exp(rate). For a KL that answers as a / beta it does
    not overshoot while rate <= ema / 4. A KL that is not finite changes nothing. No step waits for the
    device.

    A neuron held at a target tells about as much only where the decoder can use it; look at its information.
    """

    def __init__(
        self,
        target: float | Tensor,
        *,
        beta: float = 1.0,
        low: float = 1e-3,
        high: float = 1.0,
        rate: float = 0.02,
        ema: float = 0.1,
    ) -> None:
        if not 0 < low <= beta <= high < math.inf:
            raise ValueError(
                f"the weight needs 0 < low <= beta <= high, these are low {low}, beta {beta}, high {high}"
            )
        if not 0 < rate < math.inf:
            raise ValueError(f"rate is a number above 0, this is {rate}")
        if not 0 < ema <= 1:
            raise ValueError(f"ema is above 0 and at most 1, this is {ema}")
        self.target = target
        self.low, self.high, self.rate, self.ema = low, high, rate, ema
        self.beta: float | Tensor = beta
        self.kl: Tensor | None = None

    @property
    def target(self) -> Tensor:
        """Nats, a number or (N,)."""
        return self._target

    @target.setter
    def target(self, value: float | Tensor) -> None:
        wanted = torch.as_tensor(value, dtype=torch.float64).detach().clone()
        if wanted.dim() > 1 or not wanted.numel() or not bool(((wanted > 0) & wanted.isfinite()).all()):
            raise ValueError(f"target is a number of nats above 0, or one a neuron, (N,); this is {value}")
        self._target = wanted

    @torch.no_grad()
    def step(self, kl: Tensor) -> Tensor:
        """The weight for the next loss, once an optimiser step.

        Parameters
        ----------
        kl
            Nats: (B, N), the KL of each input and neuron; (N,), its mean over inputs, as a tensor or an
            array; or one number, such as a layer's sum: then there is one weight for all.

        Returns
        -------
        Tensor
            beta, (N,) or a single number, without a gradient; float64 for a KL in float64, else float32.

        Raises
        ------
        ValueError
            For another number of dimensions, or of neurons than before or than targets.
        """
        now = _mean_over_inputs(kl)
        if self.target.dim() and now.shape != self.target.shape:
            raise ValueError(
                f"there are targets for {len(self.target)} neurons, the KL is {tuple(now.shape)}"
            )
        if self.kl is not None and now.shape != self.kl.shape:
            raise ValueError(f"the KL was {tuple(self.kl.shape)} before and is {tuple(now.shape)} now")
        self._target = self._target.to(now.device)
        target = self._target.to(now)
        beta = torch.as_tensor(self.beta).to(now).expand(now.shape)
        held = torch.full_like(now, math.nan) if self.kl is None else self.kl.to(now)
        mixed = torch.where(held.isfinite(), torch.lerp(held, now, self.ema), now)
        held = torch.where(now.isfinite(), mixed, held)
        error = ((held - target) / target).clamp(-1, 1)
        moved = (beta * (self.rate * error).exp()).clamp(self.low, self.high)
        self.kl, self.beta = held, torch.where(now.isfinite(), moved, beta)
        return self.beta.clone()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: beta and the running mean.

        Returns
        -------
        dict
            beta, kl; copies.
        """
        kept = {"beta": self.beta, "kl": self.kl}
        return {name: value.clone() if isinstance(value, Tensor) else value for name, value in kept.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint, on whichever device the next KL is.

        Parameters
        ----------
        state
            As `state_dict` returned it. Settings (target, limits, rates) are not in it: those of this
            thermostat hold.

        Raises
        ------
        ValueError
            For a state without beta or kl.
        """
        if missing := {"beta", "kl"} - state.keys():
            raise ValueError(f"this is no thermostat's state: it has no {' and no '.join(sorted(missing))}")
        beta, kl = state["beta"], state["kl"]
        self.beta = beta.clone() if isinstance(beta, Tensor) else float(beta)
        self.kl = None if kl is None else kl.clone()


def free_bits(kl_per_neuron: Tensor, nats: float | Tensor) -> Tensor:
    """What each neuron's KL costs where the first `nats` of it are free.

    Parameters
    ----------
    kl_per_neuron
        Nats, with gradients: (B, N), averaged over the inputs first, or (N,).
    nats
        Free nats of a neuron, at least 0: a number, or (N,).

    Returns
    -------
    Tensor
        (N,) nats, max(KL, nats): sum it into the loss in the KL's place. Below the limit it has no gradient.

    Raises
    ------
    ValueError
        For another number of dimensions, or free nats that are negative, not finite or not one a neuron.

    Notes
    -----
    Kingma et al. 2016, arXiv 1606.04934, appendix C.8: the limit holds for the mean over the batch, not for
    each input. NaN stays NaN.
    """
    mean = _mean_over_inputs(kl_per_neuron)
    free = torch.as_tensor(
        nats
    )  # where it is: a number on the CPU is looked at without waiting for the device
    if not bool(((free >= 0) & free.isfinite()).all()):
        raise ValueError(f"free nats are at least 0 and finite, these are {nats}")
    if free.dim() and free.shape != mean.shape:
        raise ValueError(
            f"free nats are one number or one a neuron, {tuple(mean.shape)}: {tuple(free.shape)}"
        )
    return torch.maximum(mean, free.to(mean).expand(mean.shape))


def _mean_over_inputs(kl: Tensor) -> Tensor:
    """(B, N) -> (N,), NaN without rows; (N,) and one number as they are. float32 at least."""
    kl = torch.as_tensor(kl)
    if kl.dim() > 2:
        raise ValueError(
            f"a KL is (B, N), (N,) or one number, this is {tuple(kl.shape)}: sum it over latent dimensions,"
            " flatten positions into rows"
        )
    if kl.dtype != torch.float64:
        kl = kl.float()
    return kl.mean(0) if kl.dim() == 2 else kl
