"""Statistics of neurons whose state is carried along a sequence: what each pays, and what it holds.

A neuron's belief at t is Normal(m_t, V_t), given its layer's input path; its state follows q(z_t | z_{t-1})
= Normal((1 - g) z_{t-1} + g c, σ²) under the prior Normal(φ z_{t-1}, s²). Paid, against that prior: kl =
information + mismatch + past, exactly, from r = (m_t − φ m_{t-1})/s, v = σ²/s² and past = (1 − g − φ)²
V_{t-1} / (2 s²). Held, against the stationary Normal(0, 1): what the neuron knows, of which it pays only the
news. Rows are positions of sequences; those that are masked count nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from probes.effective_rows import EffectiveRows
from probes.families.gaussian import GAUSSIAN
from probes.moments import Moments, derive
from probes.persistence import Pairs


class SequenceMoments:
    """Pooled statistics of N neurons with K latent dimensions: the same whatever the batching."""

    def __init__(self) -> None:
        self._paid = Moments()
        self._pairs = Pairs()
        self._effective = EffectiveRows()
        self._means: dict[str, Tensor] = {}
        self._count = torch.zeros(())

    @torch.no_grad()
    def update(
        self,
        mean: Tensor,
        variance: Tensor,
        previous_mean: Tensor,
        *,
        sigma: Tensor,
        phi: Tensor,
        past: Tensor,
        z: Tensor,
        previous_z: Tensor,
        gate: Tensor,
        kl: Tensor | None = None,
        clamped: Tensor | None = None,
        mask: Tensor | None = None,
        draws: int = 1,
    ) -> SequenceMoments:
        """Add R sequences of T positions.

        Parameters
        ----------
        mean, variance
            (R, T, N, K), m_t and V_t.
        previous_mean
            (R, T, N, K), m_{t-1}.
        sigma
            (R, T, N, K) sd of z_t given z_{t-1}.
        phi
            (N,) persistence of the prior.
        past
            (R, T, N, K) nats.
        z, previous_z
            (R, T, N, K) draws, of t and of t − 1.
        gate
            (R, T, N, K), g.
        kl
            (R, T, N) nats, expected over the draws of the past; computed where absent.
        clamped
            (R, T, N, K) bool: σ at its lower limit.
        mask
            (R, T) bool: False leaves a position out, whatever it holds.
        draws
            Rows that are draws of one sequence, next to each other: independent inputs are counted once.

        Returns
        -------
        SequenceMoments
            Itself.

        Raises
        ------
        ValueError
            Where shapes do not belong together, or updates have other arguments than those before.
        """
        if mean.dim() != 4:
            raise ValueError(f"mean is (R, T, N, K), got {tuple(mean.shape)}")
        whole = mask is None or (mask.device.type == "cpu" and bool(mask.all()))  # elsewhere it would wait
        rows = None if mask is None or whole else mask.T.flatten()
        phi = phi.detach().float()
        s = ((1 - phi) * (1 + phi)).sqrt()[:, None]
        self._paid.update(
            _rows(mean),
            _rows(sigma),
            phi[:, None] * _rows(previous_mean),
            s,
            kl=None if kl is None else _rows(kl),
            phi=phi,
            past=_rows(past),
            mask=rows,
        )
        self._effective.update(mean, mask, draws)
        self._pairs.update(_rows(z), _rows(previous_z), mask=rows)
        held, weights = _rows(variance).float(), None
        if rows is None:
            count = held.new_full((), float(len(held)))
        else:
            count = rows.float().sum()
            weights = rows.float() / count.clamp_min(1)
            held = torch.where(rows[:, None, None], held, 1.0)
        means = {"held_variance": held, "held_log": held.log(), "gate": _rows(gate).float()}
        if clamped is not None:
            means["clamp_share"] = _rows(clamped).float()
        self._pool({name: _mean(value, weights) for name, value in means.items()}, count)
        return self

    def _pool(self, means: dict[str, Tensor], count: Tensor) -> None:
        """Adds means over `count` rows."""
        before = self._means or {name: torch.zeros_like(value) for name, value in means.items()}
        if before.keys() != means.keys():
            raise ValueError("give every update the same arguments")
        total = self._count.to(count) + count
        share = count / total.clamp_min(1)
        self._means = {name: before[name] + share * (means[name] - before[name]) for name in means}
        self._count = total

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """All that the statistics depend on; stacked over steps they are what `derive_sequence` takes.

        Returns
        -------
        dict
            Name -> (N, K), (N,) or ().

        Raises
        ------
        ValueError
            Before the first update.
        """
        effective = {"effective_rows": self._effective.result()}
        return (
            self._paid.sufficient_statistics() | self._pairs.sufficient_statistics() | self._means | effective
        )

    def result(self) -> dict[str, Tensor]:
        """Statistics of all positions so far: `derive_sequence(self.sufficient_statistics())`.

        Returns
        -------
        dict
            Name -> (N,).

        Raises
        ------
        ValueError
            Before the first update.
        """
        return derive_sequence(self.sufficient_statistics())


class TokenMoments(Moments):
    """`Moments` of single tokens' posteriors, rows being what their positions are worth.

    Parameters are those of `Moments`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.effective = EffectiveRows()

    def sufficient_statistics(self) -> dict[str, Tensor]:
        """As of `Moments`, with the number of independent inputs.

        Returns
        -------
        dict
            Name -> (N, K), (N,) or ().
        """
        return super().sufficient_statistics() | {"effective_rows": self.effective.result()}

    def poolable(self) -> dict[str, Tensor]:
        """As of `Moments`; processes have sequences of their own, so that the numbers are added.

        Returns
        -------
        dict
            Name -> (N, K), (N,) or ().
        """
        return super().poolable() | {"effective_rows": self.effective.result()}


def derive_sequence(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Statistics from their sums. What each is stands in `schema.STATISTICS`.

    Parameters
    ----------
    sums
        `SequenceMoments.sufficient_statistics()` of one step, or each stacked over steps.

    Returns
    -------
    dict
        Name -> (..., N) float32. kl, information, mismatch, past, active_share, whitened_mean and
        prior_variance are of what is paid; mean, variance, spread, mu2 and width_spread of the belief, with
        held_information and held_mismatch; persistence is the slope of z_t on z_{t-1}; rows is the number of
        independent inputs that the positions are worth (`probes.effective_rows`).
    """
    found = derive({name: value for name, value in sums.items() if name != "clamp_share"})
    variance, log_variance, moved = sums["held_variance"], sums["held_log"], sums["mu_square"]
    undefined = 0 * found["information"]  # NaN where fewer than two rows count
    return found | {
        "variance": variance.mean(-1) + 0 * found["mean"],
        "width_spread": GAUSSIAN.width_spread(variance, log_variance).clamp_min(0).sum(-1) + undefined,
        "held_information": GAUSSIAN.information(variance, moved, log_variance).sum(-1) + undefined,
        "held_mismatch": GAUSSIAN.mismatch(sums["mu"], variance, moved).sum(-1) + undefined,
        "gate": sums["gate"].mean(-1) + 0 * found["mean"],
        **({"clamp_share": sums["clamp_share"].mean(-1)} if "clamp_share" in sums else {}),
    }


def _rows(values: Tensor) -> Tensor:
    """(R, T, ...) as rows, time first, as it mostly lies in memory."""
    return values.detach().transpose(0, 1).flatten(0, 1)


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """(rows, N, K) averaged over rows: as a product, which is the fastest sum over rows."""
    if weights is None:
        weights = values.new_full((len(values),), 1 / max(1, len(values)))
    else:
        values = torch.where(weights[:, None, None] > 0, values, 0.0)
    return (weights[None] @ values.flatten(1)).view(values.shape[1:])
