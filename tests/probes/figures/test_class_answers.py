"""Figures of a classifier's answers and of predicted numbers: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from probes.analysis import class_calibration as cc
from probes.figures.answer_entropy import entropy_histogram, entropy_over_steps
from probes.figures.prediction_intervals import MOST, prediction_intervals
from probes.figures.reliability import ece_over_steps, log_odds, reliability_diagram
from probes.reliability import equal_mass_bins


def bins(step: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(step)
    confidence = random.uniform(0.3, 1, 300)
    found = equal_mass_bins(confidence, random.uniform(size=300) < confidence)
    return pd.DataFrame({"step": step, "bin": np.arange(len(found["count"])), **found})


def answers(step: int = 3) -> pd.DataFrame:
    table = pd.DataFrame({"step": step, "y": [0, 1, 0, 1], "predicted": [0, 1, 1, 1]})
    return cc.with_parts(table.assign(entropy=[0.1, 0.2, 0.6, 0.3], conditional_entropy=0.05))


def test_the_diagram_draws_each_bin_with_its_interval_and_count() -> None:
    diagram = cc.reliability_diagram(bins())
    figure = reliability_diagram(diagram, other=diagram, label="<b>")
    dots = next(trace for trace in figure.data if trace.name == "this run")
    np.testing.assert_allclose(dots.x, log_odds(diagram["confidence"]))
    np.testing.assert_allclose(dots.y, diagram["accuracy"], rtol=1e-6)
    np.testing.assert_allclose(dots.y + dots.error_y.array, diagram["accuracy_high"], rtol=1e-6)
    bars = next(trace for trace in figure.data if trace.type == "bar")
    assert list(bars.y) == diagram["count"].tolist()
    low, high = figure.layout.xaxis.range
    assert low < min(dots.x) < max(dots.x) < high
    assert {trace.name for trace in figure.data} >= {"calibrated", "&lt;b&gt;"}
    calibrated = next(trace for trace in figure.data if trace.name == "calibrated")
    np.testing.assert_allclose(log_odds(calibrated.y), calibrated.x, atol=1e-3)


def test_certainty_has_a_place_on_the_scale_of_log_odds() -> None:
    sure = equal_mass_bins(np.ones(20), np.ones(20))
    diagram = cc.reliability_diagram(pd.DataFrame({"step": 0, "bin": [0], **sure}))
    figure = reliability_diagram(diagram)
    assert np.isfinite(figure.layout.xaxis.range).all()


def test_ece_is_drawn_over_its_band() -> None:
    table = cc.calibration_over_steps(pd.concat([bins(1), bins(2)]))
    figure = ece_over_steps(table, other=table, label="other", step=2)
    lines = {trace.name: trace for trace in figure.data if trace.name}
    np.testing.assert_allclose(lines["this run"].y, table["ece"], rtol=1e-6)
    np.testing.assert_allclose(lines["if calibrated, 95 %"].y, table["null_95"], rtol=1e-6)
    assert "other" in lines
    assert len(figure.layout.shapes) == 1


def test_entropies_of_right_and_wrong_answers() -> None:
    figure = entropy_over_steps(cc.entropy_over_steps(pd.concat([answers(1), answers(2)])))
    assert {trace.name for trace in figure.data if trace.name} == {"right", "wrong"}
    assert figure.layout.yaxis2.title.text == "latent part (nats)"
    alone = cc.entropy_over_steps(answers().drop(columns="latent"))
    assert "yaxis2" not in entropy_over_steps(alone).layout
    drawn = entropy_histogram(cc.entropy_histogram(answers(), 2), 3)
    assert [trace.name for trace in drawn.data] == ["3 right", "1 wrong"]


def test_intervals_are_sorted_and_mark_what_came_outside() -> None:
    count = 3 * MOST
    table = pd.DataFrame({"input": np.arange(count), "mean": np.linspace(1, -1, count), "y": 0.0})
    table = table.assign(latent_variance=np.nan, observation_variance=0.01)
    figure = prediction_intervals(table, other=table, label="twin")
    mean = next(trace for trace in figure.data if trace.name == "mean")
    assert len(mean.y) == MOST
    assert (np.diff(mean.y) >= 0).all()
    came = next(trace for trace in figure.data if trace.name.startswith("what came"))
    outside = np.abs(mean.y) > 0.196
    assert [symbol == "x" for symbol in came.marker.symbol] == outside.tolist()
    wide = next(trace for trace in figure.data if trace.name == "95 % interval")
    np.testing.assert_allclose(wide.y, 0.392, rtol=1e-3)  # an area also of a single number
