"""The interval that `benchmarks.store` gives of a median of ratios."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.store import ratio


@pytest.mark.parametrize("pairs", [6, 7, 40, 41, 48])
def test_it_holds_at_least_as_often_as_it_says(pairs: int) -> None:
    ranks = np.arange(1.0, pairs + 1)
    _, low, high = ratio(np.stack([np.ones(pairs), ranks], 1))
    holds = stats.binom.cdf(high - 1, pairs, 0.5) - stats.binom.cdf(low - 1, pairs, 0.5)
    assert 0.95 <= holds < 0.985


def test_too_few_pairs_have_none() -> None:
    with pytest.raises(ValueError, match="6 or more"):
        ratio(np.ones((5, 2)))
