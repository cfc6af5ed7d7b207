"""The control laws at work on a network: which act when, on which layer, with what state, and what they did.

The laws themselves are in `vdn.control`. Everything is on the network's device; acts
happen every `control_every` steps, so that a step costs no synchronisation beyond them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from vdn.config import Config, ConfigError, group_values
from vdn.control.bands import (
    ArShareController,
    Homeostat,
    band_penalty,
    guard_sigma,
    mean_square,
    mu2_band,
    project_to_band,
)
from vdn.control.set_points import BetaThermostat, PersistenceMultiplier, slope_sums
from vdn.network import Output, VariationalNetwork
from vdn.neuron import Posterior, VariationalNeurons
from vdn.objective import ramp
from vdn.priors import ar_penalty, ar_sigma_from_band

SILENT_INFORMATION = 0.005  # nats; below it a neuron tells nothing (the threshold of the regimes)


class Intervention(NamedTuple):
    """Something a law did: to which layer (None: the run), by which mechanism, to which neurons, how much
    (one number each).
    """

    layer: int | None
    mechanism: str
    neurons: Tensor | None
    amounts: Tensor


def spread_groups(text: str, neurons: int) -> Tensor:
    """(N,) table from numbers with commas: the neurons in order, in groups as equal as can be, one number a
    group.
    """
    values = torch.tensor(group_values(text))
    return values[torch.arange(neurons) * len(values) // neurons]


def context_paid(posterior: Posterior, layer: VariationalNeurons) -> Tensor:
    """What a thermostat steers, (rows, N) nats per latent dimension: the KL, under an autoregressive prior KL
    - past - mismatch.

    Its mean over the rows is then the batch's information (kl = information + mismatch + past). KL less its
    floor would make information rise with phi, since the past of a contracted neuron costs less than the
    floor; KL - past alone would call a
    dead neuron paid for, since its posterior is narrower than the stationary one. Rows: those that stand
    under the layer's prior.
    """
    kl = posterior.kl.detach()
    if posterior.past is not None:
        half = len(kl) // 2
        own = (posterior.mu, posterior.sigma, posterior.prior_mu, posterior.prior_sigma)
        mu, sigma, prior_mu, scale = (part.detach().expand_as(posterior.mu)[:half] for part in own)
        r, v = (mu - prior_mu) / scale, (sigma / scale).square()
        total, mean = v.mean(0) + r.var(0, correction=0), r.mean(0)
        mismatch = 0.5 * (total + mean * mean - 1 - total.log()).sum(-1)  # (N,)
        kl = kl[:half] - posterior.past.detach()[:half] - mismatch
    return kl / layer.latent_dim


def silent(posterior: Posterior) -> Tensor:
    """(N,) bool: neurons whose posteriors do not depend on the input (Gaussian estimate of the information,
    nats).
    """
    mu, sigma = posterior.mu.detach(), posterior.sigma.detach().expand_as(posterior.mu)
    total = sigma.square().mean(0) + mu.var(0, correction=0)
    information = 0.5 * (total.log() - 2 * sigma.log().mean(0)).sum(-1)
    return information < SILENT_INFORMATION


class Controller:
    """All control of one training: betas, penalties, interventions, their state.

    config: resolved; network: whose layers are controlled; n_series: of the data, whose ids are from 0.
    Without any law chosen it costs nothing. Raises ConfigError for limits of a law in the wrong order.
    """

    def __init__(self, config: Config, network: VariationalNetwork, beta: float, n_series: int = 1) -> None:
        self.config, self.network, self.beta, self.n_series = config, network, beta, n_series
        self.layers = [] if config.twin else network.neuron_layers
        device = network.neuron_layers[0].mean.weight.device
        try:
            low, high = mu2_band(
                config.neurons,
                config.band_target,
                config.band_low,
                config.band_high,
                config.band_mode,  # type: ignore[arg-type]  # Config holds it to the choices
                config.band_spread,
            )
            self.thermostats = [self._thermostat(device) for _ in self.layers] if config.thermostat else []
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self.low, self.high = low.to(device), high.to(device)
        self.banded = config.control != "off" or config.lam_band > 0
        self.homeostats = (
            [Homeostat(self.low, self.high) for _ in self.layers] if config.control == "homeostasis" else []
        )
        self.multipliers = []
        if config.persistence is not None:
            target = spread_groups(config.persistence, config.neurons).to(device)
            self.multipliers = [PersistenceMultiplier(target) for _ in self.layers]
        self.limited = [torch.zeros_like(law.target, dtype=torch.bool) for law in self.multipliers]
        self.ar = ArShareController(config.lam_ar)
        self.ar_sigma = ar_sigma_from_band(low, high)
        self._ar_share: Tensor | None = None

    def _thermostat(self, device: torch.device) -> BetaThermostat:
        config = self.config
        c_min, c_max = (
            spread_groups(text, config.neurons).to(device) for text in (config.c_min, config.c_max)
        )
        law = BetaThermostat(
            config.neurons,
            self.beta,
            config.beta_min,
            config.beta_max,
            c_min,
            c_max,
            gain=config.thermostat_gain,
        )
        law.beta = law.beta.to(device)
        return law

    def betas(self) -> list[Tensor | float]:
        """KL weight of each layer: (N,) or a number."""
        return (
            [law.weights() for law in self.thermostats]
            if self.thermostats
            else [self.beta] * len(self.layers)
        )

    def penalties(self, output: Output, done: int, series: Tensor | None = None) -> dict[str, Tensor]:
        """Band ("band") and published AR penalty ("ar") of a batch, each a mean over layers, and the pull on
        persistence ("persistence"), a sum over neurons; weighted and ramped.

        done: optimiser steps done; series: of each origin, which "persistence" needs. Those that are off, or
        whose ramp has not begun, are left out.
        """
        config = self.config
        factor = ramp(done, config.ramp_warmup, config.ramp_length)
        found: dict[str, Tensor] = {}
        if not self.layers or factor == 0:
            return found
        if config.lam_band > 0:
            band = torch.stack(
                [band_penalty(mean_square(p.mu), self.low, self.high) for p in output.posteriors]
            ).mean()
            found["band"] = config.lam_band * factor * band
        if config.lam_ar > 0:
            halves = [p.mu.tensor_split(2) for p in output.posteriors]
            change = torch.stack(
                [ar_penalty(now, before, config.ar_phi, self.ar_sigma) for now, before in halves]
            ).mean()
            found["ar"] = self.ar.lam * factor * change
        if self.multipliers and series is not None:
            assert self.config.horizon is not None  # resolved
            pulls = []
            for law, posterior in zip(self.multipliers, output.posteriors, strict=True):
                pairs = posterior.mu.shape[0] // 2 * posterior.mu.shape[2]
                pulls.append(law.penalty(self._slope_sums(posterior, series), pairs))
            found["persistence"] = factor * torch.stack(pulls).sum() / self.config.horizon
        return found

    def _slope_sums(self, posterior: Posterior, series: Tensor) -> Tensor:
        """(2, N) `slope_sums` of a layer; series: of each origin, of which each draw is a row."""
        now, before = posterior.mu.tensor_split(2)
        return slope_sums(now, before, series.repeat_interleave(len(now) // len(series)), self.n_series)

    def penalty(self, output: Output, done: int, loss: Tensor, series: Tensor | None = None) -> Tensor | None:
        """The sum of `penalties`, None where there are none; takes note of the AR penalty's share, which
        `act` steers.

        loss: the rest of the loss; series: of each origin.
        """
        found = self.penalties(output, done, series)
        if "ar" in found:
            self._ar_share = (found["ar"] / (found["ar"] + loss.abs())).detach()
        return torch.stack(list(found.values())).sum() if found else None

    @torch.no_grad()
    def act(self, output: Output, done: int, series: Tensor | None = None) -> list[Intervention]:
        """After optimiser step number `done` (counted from 1): what the laws did to the network.

        series: of each origin.
        """
        if not self.layers or not output.posteriors:
            return []
        acts: list[Intervention] = []
        warm = done > self.config.ramp_warmup
        due = warm and done % self.config.control_every == 0
        for index, (layer, posterior) in enumerate(zip(self.layers, output.posteriors, strict=True)):
            if self.thermostats and warm:
                self.thermostats[index].update(context_paid(posterior, layer))
            if self.multipliers and warm and series is not None:
                self.multipliers[index].update(self._slope_sums(posterior, series))
            if self.homeostats:
                self.homeostats[index].observe(mean_square(posterior.mu.detach()))
            if not due:
                continue
            if self.config.control == "projection":
                scale = project_to_band(layer, mean_square(posterior.mu), self.low, self.high)
                acts += _acts(index, "projection", scale, scale != 1)
            elif self.homeostats:
                scale = self.homeostats[index].act(layer)
                acts += _acts(index, "homeostasis", scale, scale != 1)
            if self.multipliers:
                acts += self._newly_limited(index)
            if self.config.sigma_guard:
                change = guard_sigma(layer, silent(posterior))
                acts += _acts(index, "sigma_guard", change, change != 0)
        if due and self.config.ar_share and self._ar_share is not None:
            before = self.ar.lam
            after = self.ar.update(float(self._ar_share))
            if after != before:
                acts.append(Intervention(None, "ar_share", None, torch.tensor([after])))
        return acts

    def _newly_limited(self, index: int) -> list[Intervention]:
        """Neurons of a layer whose multiplier has come to its limit: their persistence does not reach its
        set-point.
        """
        law = self.multipliers[index]
        limited = law.weight.abs() >= law.limit
        new = limited & ~self.limited[index]
        self.limited[index] = limited
        return _acts(index, "persistence_limit", law.weight, new)

    def columns(self) -> list[dict[str, Tensor]]:
        """Statistics of the laws, a dictionary a layer: beta where it is regulated, the band where there is
        one, each (N,).
        """
        columns: list[dict[str, Tensor]] = [{} for _ in self.layers]
        for column, law in zip(columns, self.thermostats, strict=bool(self.thermostats)):
            column["beta"] = law.weights()
        for column, multiplier in zip(columns, self.multipliers, strict=bool(self.multipliers)):
            column["persistence_target"] = multiplier.target
            column["persistence_weight"] = multiplier.weight
        if self.banded:
            columns = [column | {"band_low": self.low, "band_high": self.high} for column in columns]
        return columns

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {
            "thermostats": [law.state() for law in self.thermostats],
            "homeostats": [law.state() for law in self.homeostats],
            "ar": self.ar.state(),
            "multipliers": [law.state() for law in self.multipliers],
            "limited": self.limited,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a checkpoint's state."""
        for law, kept in zip(self.thermostats, state["thermostats"], strict=True):
            law.restore(kept)
        for homeostat, kept in zip(self.homeostats, state["homeostats"], strict=True):
            homeostat.restore(kept)
        self.ar.restore(state["ar"])
        # checkpoints of before this law have none
        for multiplier, kept in zip(self.multipliers, state.get("multipliers", []), strict=True):
            multiplier.restore(kept)
        self.limited = [
            kept.to(law.target.device)
            for kept, law in zip(state.get("limited", []), self.multipliers, strict=True)
        ]


def _acts(layer: int, mechanism: str, amounts: Tensor, where: Tensor) -> list[Intervention]:
    neurons = where.nonzero()[:, 0]
    return [Intervention(layer, mechanism, neurons, amounts[neurons])] if len(neurons) else []
