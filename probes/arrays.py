"""One step's posterior -> statistics of every neuron, in numpy: for JAX, NumPyro and whatever is not torch.

The numbers of `probes.moments`, which is for tensors: the same names, float64 instead of float32. What they
are stands in `schema.STATISTICS`; `Recorder.record` takes them as they are::

    recorder.record(step, "latent", **probes.arrays.moments(mu, sigma, prior=(0, 1)))
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probes.diagnostics import student_quantile
from probes.families.gaussian import GAUSSIAN
from probes.log import arguments
from probes.schema import ACTIVE_KL, FEWEST_ROWS

__all__ = ["moments"]

Floats = NDArray[np.float64]

STANDARD = (0.0, 1.0)
"""Mean and standard deviation of the prior that is meant where none is given."""
LIMIT_TOLERANCE = 1e-5
"""Relative: a limited sigma is float32 and need not be the limit itself."""
ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Of a mean's size: movement below it is arithmetic, not the neuron's, since networks compute in float32."""
LARGEST = float(np.finfo(np.float32).max)
"""The log holds float32: a KL beyond is not finite there."""
LEAST_EFFECTIVE = 2 - 1e-4
"""Pairs of equal share in the movement that an interval needs; 2 themselves may round down."""


def moments(
    mu: ArrayLike,
    sigma: ArrayLike | None = None,
    *,
    log_var: ArrayLike | None = None,
    prior: tuple[ArrayLike, ArrayLike] = STANDARD,
    kl: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    phi: ArrayLike | None = None,
    previous_mu: ArrayLike | None = None,
    previous_sigma: ArrayLike | None = None,
    series: ArrayLike | None = None,
    sigma_limits: tuple[float, float] | None = None,
    shared: bool | None = None,
) -> dict[str, Floats]:
    """Statistics of the Gaussian posteriors of one batch, as `Recorder.record` takes them.

    Parameters
    ----------
    mu
        Posterior means: (B, N) of B inputs and N neurons, (B, N, K) with K latent dimensions a neuron, or
        (N,) of a posterior that is the same for every input (weights, an automatic guide). Positions of a
        sequence are rows: reshape (B, T, N) to (B T, N). Arrays of numpy or JAX, tensors, lists.
    sigma
        Posterior standard deviations: of mu's shape, or broadcastable to it; (N,) is one a neuron.
    log_var
        ln sigma², instead of sigma.
    prior
        (mean, standard deviation) of the Gaussian prior, each as sigma: a number, one a neuron, or one a row.
    kl
        (B, N): the KL of each input as the program computed it, nats, summed over K; without it the closed
        form.
    mask
        (B,) bool: False leaves a row out, whatever it holds (padding).
    phi
        (N,): persistence of an autoregressive prior Normal(phi mu', 1 − phi²); `prior` is then left out. The
        predecessors mu' are previous_mu and previous_sigma; kl includes what their own variance costs.
    previous_mu
        Of mu's shape: the means one position before in the data, whose slope is `persistence`.
    previous_sigma
        Their standard deviations; only phi needs them.
    series
        (B,): id of the series that a pair belongs to; one series without it.
    sigma_limits
        (low, high) that the network limits sigma to; given, `clamp_share` is counted.
    shared
        Whether the rows are no sample of inputs; by default True for (N,) alone. `rows` is then left out.

    Returns
    -------
    dict
        Name -> (N,) float64. Always mean, variance, kl, information, spread, mismatch, width_spread, mu2,
        active_share, non_finite; rows unless shared; with another prior than Normal(0, 1) whitened_mean and
        prior_variance; with phi also phi and past; with limits clamp_share; with previous_mu persistence, its
        interval and innovation. NaN, as null in the log: all but the counts where no row is left, and what
        is told by movement where only one is.

    Raises
    ------
    ValueError
        Where shapes do not belong together, sigma and log_var are both given or both missing, or what is
        given is no array of numbers: a traced value within `jax.jit` is none, return it from there first.

    Notes
    -----
    kl = information + mismatch + past, to the rounding of float64 (ELBO surgery, Hoffman & Johnson 2016).
    """
    given = _numbers(mu, "mu")
    if given.ndim not in (1, 2, 3):
        raise ValueError(
            f"mu has shape {given.shape}; it must be (N,), (B, N) or (B, N, K): reshape (B, T, N) to (B T, N)"
        )
    rows = _Rows(given.shape, mask)
    shared = given.ndim == 1 if shared is None else shared
    means = rows.matrix(given, "mu")
    if (sigma is None) == (log_var is None):
        raise ValueError("give sigma or log_var: one of them, not both")
    with np.errstate(all="ignore"):
        if log_var is not None:
            log_sigma = 0.5 * rows.matrix(log_var, "log_var")
            sds = np.exp(log_sigma)
        else:
            sds = rows.matrix(sigma, "sigma")
            log_sigma = np.log(sds)
        predecessors = None if previous_mu is None else rows.matrix(previous_mu, "previous_mu")
        past: Floats | None = None
        floor: Floats | float = 0.0
        if phi is None:
            try:
                prior_mean, prior_sd = prior
            except (TypeError, ValueError) as error:
                raise ValueError(f"prior is {prior!r}; it must be (mean, standard deviation)") from error
            m, s = rows.matrix(prior_mean, "the prior's mean"), rows.matrix(prior_sd, "the prior's sd")
            # a learned prior may begin as Normal(0, 1): its columns are there from its first step on
            standard = np.ndim(prior_mean) == np.ndim(prior_sd) == 0 and (prior_mean, prior_sd) == STANDARD
        else:
            if predecessors is None or previous_sigma is None:
                raise ValueError("phi needs previous_mu and previous_sigma")
            if prior is not STANDARD:
                raise ValueError(
                    "phi and prior are both given; the prior of phi is Normal(phi mu', 1 - phi²)"
                )
            persistence = np.broadcast_to(_numbers(phi, "phi"), rows.neurons)
            m, s = persistence[:, None] * predecessors, np.sqrt(1 - persistence**2)[:, None]
            standard = False
            past = 0.5 * (persistence[:, None] * rows.matrix(previous_sigma, "previous_sigma") / s) ** 2
            floor = GAUSSIAN.kl_floor(persistence, means.shape[2])
        r, v, log_v = (means - m) / s, (sds / s) ** 2, 2 * (log_sigma - np.log(s))
        each = (0.5 * (r**2 + (v - 1) - log_v) + (0.0 if past is None else past)).sum(2)
        if kl is not None:
            each = rows.keep(_shaped(_numbers(kl, "kl"), (rows.count, rows.neurons), "kl"))

        nothing = 0.0 if len(means) else np.nan
        moving = nothing if shared or len(means) >= FEWEST_ROWS else np.nan
        centre, spread = _centred(means)
        r_centre, r_spread = _centred(r)
        v_mean, log_v_mean = _mean(v), _mean(log_v)
        found = {
            "mean": centre.mean(1),
            "variance": _mean(sds**2).mean(1),
            "kl": _mean(each),
            "information": GAUSSIAN.information(v_mean, r_spread, log_v_mean).sum(1) + moving,
            "spread": spread.mean(1),
            "mismatch": GAUSSIAN.mismatch(r_centre, v_mean, r_spread).sum(1) + moving,
            "width_spread": np.maximum(GAUSSIAN.width_spread(v_mean, log_v_mean), 0).sum(1) + moving,
            "mu2": (spread + centre**2).mean(1),
            "active_share": _mean((each > floor + ACTIVE_KL).astype(float)),
            "non_finite": (~(each <= LARGEST)).sum(0).astype(float),
        }
        if not shared:
            found["rows"] = np.full(rows.neurons, float(len(means)))
        if sigma_limits is not None:
            low, high = sigma_limits[0] * (1 + LIMIT_TOLERANCE), sigma_limits[1] * (1 - LIMIT_TOLERANCE)
            found["clamp_share"] = _mean(((sds <= low) | (sds >= high)).astype(float)).mean(1)
        if not standard:
            prior_variance = np.broadcast_to(s * s, means.shape)
            found |= {"whitened_mean": r_centre.mean(1), "prior_variance": _mean(prior_variance).mean(1)}
        if past is not None:
            found |= {"phi": np.array(persistence), "past": _mean(past).sum(1)}
        if predecessors is not None:
            found |= _slopes(means, predecessors, rows.ids(series))
    return found


class _Rows:
    """Rows of a batch, without those that a mask leaves out: everything given becomes (B', N, K)."""

    def __init__(self, shape: tuple[int, ...], mask: ArrayLike | None) -> None:
        self.shape = shape
        self.count, self.neurons, self.dimensions = ((1,) * (len(shape) == 1) + shape + (1,))[:3]
        self.kept: NDArray[np.bool_] | None = None
        if mask is not None:
            self.kept = _shaped(_numbers(mask, "mask"), (self.count,), "mask").astype(bool)

    def matrix(self, values: ArrayLike | None, what: str) -> Floats:
        """Values that fit mu, of the rows that are left."""
        given = _numbers(values, what)
        if given.ndim == 1 and len(self.shape) == 3:
            given = given[:, None]
        full = _shaped(given, self.shape, what, f" of mu, or ({self.neurons},)")
        return self.keep(full.reshape(self.count, self.neurons, self.dimensions))

    def keep(self, values: Floats) -> Floats:
        return values if self.kept is None else values[self.kept]

    def ids(self, series: ArrayLike | None) -> NDArray[np.int64]:
        """0, 1, ... for each row's series."""
        given = np.zeros(self.count) if series is None else _numbers(series, "series")
        kept = self.keep(_shaped(given, (self.count,), "series"))
        return np.asarray(np.unique(kept, return_inverse=True)[1], np.int64).reshape(-1)


def _numbers(values: ArrayLike | None, what: str) -> Floats:
    return np.asarray(arguments.array(values, what, np.float64))


def _shaped(values: Floats, shape: tuple[int, ...], what: str, words: str = "") -> Floats:
    try:
        return np.broadcast_to(values, shape)
    except ValueError as error:
        raise ValueError(f"{what} has shape {values.shape}, which does not fit {shape}{words}") from error


def _mean(values: Floats) -> Floats:
    """Over rows; NaN of none."""
    return values.sum(0) / (len(values) or np.nan)


def _centred(values: Floats) -> tuple[Floats, Floats]:
    """Mean and variance over rows, around the first: a constant has a variance of exactly 0."""
    base = values[:1].sum(0)
    moved = values - base
    rest = _mean(moved)
    return base + rest, _mean((moved - rest) ** 2)


def _slopes(current: Floats, previous: Floats, series: NDArray[np.int64]) -> dict[str, Floats]:
    """Slope of (B, N, K) on its predecessors within series, with its interval; see
    `probes.persistence.slopes`.
    """
    pairs, neurons, dimensions = current.shape
    counts = np.bincount(series)
    level = np.zeros((2, len(counts), neurons, dimensions))
    moved = np.stack([current, previous])
    for which in (0, 1):
        np.add.at(level[which], series, moved[which])
    level /= counts[:, None, None]
    y, x = moved - level[:, series]
    xx, xy, yy = ((a * b).sum((0, 2)) for a, b in ((x, x), (x, y), (y, y)))
    size = np.abs(level[1]).max(0, initial=0.0)
    xx = np.where(xx > ((ROUNDING * size) ** 2).sum(1) * pairs, xx, np.nan)
    residual = pairs - len(counts) - 1 if pairs - len(counts) - 1 >= 1 else np.nan
    slope = xy / xx + 0 * residual
    shares = (x * x).sum(2) / xx
    scores = (x * (y - slope[:, None] * x)).sum(2) / xx
    effective = 1 / (shares**2).sum(0)
    freedom = np.where(effective >= LEAST_EFFECTIVE, effective, np.nan)
    half = student_quantile(freedom) * np.sqrt(pairs / residual * (scores**2).sum(0))
    return {
        "persistence": slope,
        "innovation": np.maximum(yy - slope * xy, 0) / (dimensions * residual),
        "persistence_low": slope - half,
        "persistence_high": slope + half,
    }
