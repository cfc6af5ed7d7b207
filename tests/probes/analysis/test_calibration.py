"""Calibration over steps on forecasts whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from probes.analysis import calibration


def forecasts(step, bias=0.0, width=1.0, inputs=400, horizons=3, seed=0):
    """Targets standard normal, forecasts Normal(bias, width^2); variance grows with the input's number."""
    draw = np.random.default_rng(seed)
    sd = np.linspace(0.2, 2, inputs)[:, None]
    y = sd * draw.normal(size=(inputs, horizons))
    i, h = np.indices(y.shape)
    columns = {"step": step, "input": i.ravel(), "horizon": h.ravel(), "y": y.ravel(), "mean": bias}
    latent = np.broadcast_to(0.25 * sd**2, y.shape).ravel()
    frame = pd.DataFrame(
        {**columns, "latent_variance": latent, "observation_variance": 3 * latent * width**2}
    )
    return frame.assign(
        pit=stats.norm.cdf((y.ravel() - bias) / (np.broadcast_to(sd, y.shape).ravel() * width))
    )


def test_pit_of_a_calibrated_forecast_lies_in_its_band_and_that_of_a_narrow_one_piles_up_at_the_ends():
    frame = calibration.pit_histogram(pd.concat([forecasts(0), forecasts(10, width=0.4)]))
    assert frame.groupby("step")["density"].mean().tolist() == pytest.approx([1, 1])
    good, narrow = frame[frame["step"] == 0], frame[frame["step"] == 10]
    assert ((good["density"] > good["low"]) & (good["density"] < good["high"])).all()
    assert narrow["density"].iloc[[0, -1]].min() > narrow["high"].iloc[0]


def test_the_band_of_the_histogram_covers():
    inside = []
    for seed in range(200):
        frame = calibration.pit_histogram(forecasts(0, inputs=100, horizons=1, seed=seed))
        inside.append(((frame["density"] >= frame["low"]) & (frame["density"] <= frame["high"])).mean())
    assert 0.93 < np.mean(inside) < 0.98


def test_coverage_of_a_calibrated_and_a_wide_forecast():
    frame = calibration.coverage_over_steps(pd.concat([forecasts(0), forecasts(5, width=3)]))
    calibrated = frame[frame["step"] == 0]
    assert (np.abs(calibrated["coverage"] - calibrated["level"]) < 3 * calibrated["standard_error"]).all()
    assert (frame[frame["step"] == 5]["coverage"] > frame[frame["step"] == 5]["level"]).all()


def test_sharpness_splits_the_variance():
    frame = calibration.sharpness_over_steps(forecasts(3))
    sd = np.linspace(0.2, 2, 400)
    assert frame.loc[0, ["step", "latent", "observation", "sd"]].tolist() == pytest.approx(
        [3, 0.25 * (sd**2).mean(), 0.75 * (sd**2).mean(), sd.mean()]
    )


def test_dropping_the_uncertain_lowers_the_error_where_uncertainty_knows():
    frame = calibration.risk_coverage_over_steps(forecasts(1))
    for name in ("latent variance", "output variance"):
        part = frame[frame["uncertainty"] == name]
        assert part["risk"].iloc[99] < 0.4 * part["risk"].iloc[-1]
    assert calibration.risk_coverage_over_steps(forecasts(1).iloc[:0]).empty
    assert calibration.pit_histogram(forecasts(1).iloc[:0]).empty
