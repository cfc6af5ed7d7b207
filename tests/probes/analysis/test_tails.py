"""The Student's t that stands for a mixture, against quantiles of draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from probes.analysis.tails import mixture_df


def test_gaussians_have_none() -> None:
    assert mixture_df(pd.DataFrame({"observation_variance": [1.0]})) is None
    mixed = pd.DataFrame({"df": [np.nan, 5.0], "observation_variance": 1.0, "latent_variance": [0.2, np.nan]})
    np.testing.assert_array_equal(mixture_df(mixed), [np.inf, 5.0])


@pytest.mark.parametrize(("df", "within"), [(4.0, 0.035), (6.0, 0.015), (10.0, 0.01)])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.3])
def test_quantiles_are_about_those_of_the_mixture(df: float, within: float, share: float) -> None:
    random = np.random.default_rng(0)
    t = random.standard_t(df, 1_000_000) * np.sqrt((df - 2) / df)
    drawn = np.abs(np.sqrt(share) * t + np.sqrt(1 - share) * random.standard_normal(len(t)))
    table = pd.DataFrame({"df": [df], "observation_variance": [share], "latent_variance": [1 - share]})
    [found] = mixture_df(table)
    for level in (0.5, 0.8, 0.95):
        half = stats.t.ppf(0.5 + level / 2, found) * np.sqrt((found - 2) / found)
        assert half == pytest.approx(np.quantile(drawn, level), rel=within)
