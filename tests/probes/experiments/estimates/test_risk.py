"""Risk against coverage."""

import numpy as np
import pytest

from probes.experiments import estimates


def test_risk_is_the_mean_error_of_the_most_certain():
    error, uncertainty = np.array([4.0, 1.0, 2.0, 3.0]), np.array([0.9, 0.1, 0.2, 0.3])
    coverage, risk = estimates.risk_curve(error, uncertainty)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [1, 1.5, 2, 2.5])
    assert estimates.area_under_risk(error, uncertainty) == pytest.approx(1.75)
    # no order: every part errs alike
    np.testing.assert_allclose(estimates.risk_curve(error, np.ones(4))[1], 2.5)
