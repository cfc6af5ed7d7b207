"""Whether a validation curve has stopped getting better, told by its trend and not by its best value.

The best value so far is a matter of luck on a noisy curve. A trend over ten validations alone cannot tell a
plateau from slow progress either, so that progress is denied in two cases only: where the curve can hardly
have gained anything in comparison with what it has gained before, and where it has gained nothing at all for
a long time.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import kendalltau, theilslopes

Array = NDArray[np.float64]

POINTS = 40  # that a long curve is read as, each the mean of as many validations
LONG = 30  # of these points, without any gain


def stalled(curve: Array, patience: int = 10, alpha: float = 0.025, least_gain: float = 0.05) -> bool:
    """Whether a curve that should fall makes no progress at its last value.

    Parameters
    ----------
    curve
        (k,), finite values in order of time. Beyond 40 it is read as means of as many successive ones.
    patience
        Points (of one or more values) at the end that are judged.
    alpha
        One-sided level of the Mann-Kendall test and of the limits of its slope.
    least_gain
        Share of the range of the curve's levels (medians over `patience` points).

    Returns
    -------
    bool
        True where the last points show no falling trend, and either they have gained at most `least_gain`
        (upper limit by Sen's slope; of a rising curve the half width), or the last LONG points have Kendall's
        tau >= 0. Fewer than `patience` values are no curve: False.

    Notes
    -----
    Mann (1945), Kendall (1975); limits of the slope by Sen (1968).
    """
    points = _points(curve, -(-len(curve) // POINTS))
    if len(points) < patience:
        return False
    slope = theilslopes(points[-patience:], np.arange(patience), alpha=1 - 2 * alpha)
    if slope.high_slope < 0:
        return False
    levels = np.median(sliding_window_view(points, patience), axis=1)
    most = max(-slope.low_slope, (slope.high_slope - slope.low_slope) / 2) * (patience - 1)
    if most <= least_gain * (levels.max() - levels.min()):
        return True
    if len(curve) < LONG:
        return False
    last = _points(curve, len(curve) // POINTS)[-LONG:]
    tau = kendalltau(np.arange(LONG), last).statistic
    return bool(tau >= 0)


def stalls(curve: Array, patience: int = 10, alpha: float = 0.025, least_gain: float = 0.05) -> list[int]:
    """Places at which progress ends: once until the curve falls below the level at which it stalled.

    Parameters
    ----------
    curve
        (k,), finite values in order of time.
    patience, alpha, least_gain
        As for `stalled`.

    Returns
    -------
    list of int
        Increasing. Looks back only: of a longer curve the first places are the same.
    """
    found: list[int] = []
    level = np.inf
    for k in range(patience, len(curve) + 1):
        if k % max(k // POINTS, 1):  # a longer curve is judged once a point
            continue
        last = _points(curve[:k], -(-k // POINTS))[-patience:]
        if np.max(last) < level and stalled(curve[:k], patience, alpha, least_gain):
            found.append(k - 1)
            level = np.min(last)
    return found


def _points(curve: Array, size: int) -> Array:
    """Means of `size` successive values, as many as there are whole ones, to the curve's end."""
    size = max(size, 1)
    count = min(len(curve) // size, POINTS)
    return curve[len(curve) - count * size :].reshape(count, size).mean(axis=1)
