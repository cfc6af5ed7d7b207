"""A run's way through the plane of rate and distortion, and its parts over steps."""

import numpy as np
import pandas as pd
import pytest

from probes.analysis.rate_distortion import Objective
from probes.figures.rate_path import objective_parts, rate_path

STEPS = np.arange(0, 50, 5)


def series(values):
    return pd.Series(np.broadcast_to(values, STEPS.shape).astype(float), STEPS)


def found(**more):
    weight = pd.DataFrame(dict.fromkeys(("mean", "low", "high"), series(np.linspace(0, 1, 10))))
    return Objective(
        series(np.linspace(30, 20, 10)), series(np.linspace(0, 8, 10)), weight, pd.Series(dtype=float),
        "nats an example", "β as logged",
    )._replace(**more)  # fmt: skip


def way(**more):
    return pd.DataFrame(
        {
            "step": [1, 10, 100],
            "records": [1, 9, 90],
            "rate": [0.0, 4.0, 8.0],
            "distortion": [30.0, 25.0, 21.0],
        }
    ).assign(**more)


def test_each_part_has_a_panel_and_what_was_not_logged_has_none():
    figure = objective_parts(found(), step=20)
    assert [axis.title.text for axis in figure.select_yaxes()] == [
        "β", "rate (nats)", "distortion (nats an example)",
    ]  # fmt: skip
    assert len(figure.layout.shapes) == 3  # the cursor in each
    none = pd.DataFrame(columns=["mean", "low", "high"])
    figure = objective_parts(found(weight=none, distortion=pd.Series(dtype=float)))
    assert [axis.title.text for axis in figure.select_yaxes()] == ["rate (nats)"]
    figure = objective_parts(found(free_bits=series(0.25), unit="as logged"))
    assert [axis.title.text for axis in figure.select_yaxes()] == [
        "β", "free bits (nats)", "rate (nats)", "distortion (as logged)",
    ]  # fmt: skip


def test_weights_that_differ_are_a_band():
    own = pd.DataFrame({"mean": series(0.5), "low": series(0.1), "high": series(0.9)})
    assert any(trace.fill == "tonexty" for trace in objective_parts(found(weight=own)).data)
    assert not any(trace.fill for trace in objective_parts(found()).data)


def test_a_second_run_is_dashed_and_its_distortion_needs_the_same_unit():
    figure = objective_parts(found(), other=found(), label="b")
    assert sum(trace.line.dash == "dash" for trace in figure.data) == 3
    figure = objective_parts(found(), other=found(unit="as logged"), label="b")
    assert sum(trace.line.dash == "dash" for trace in figure.data) == 2


@pytest.mark.parametrize("weight", [0.005, 1.0])
def test_the_line_of_equal_objective_goes_through_the_end_with_the_slope_of_the_weight(weight):
    figure = rate_path(way(), name="a", weight=weight)
    [line] = [trace for trace in figure.data if trace.line.dash == "dash"]
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    assert y + weight * x == pytest.approx(21.0 + weight * 8.0, rel=1e-6)
    assert not [trace for trace in rate_path(way(), name="a").data if trace.line.dash == "dash"]


def test_ends_of_other_runs_have_lines_where_their_weight_is_known():
    others = pd.DataFrame(
        {"run": ["b<", "c"], "rate": [5.0, 2.0], "distortion": [22.0, 27.0], "weight": [2.0, np.nan]}
    )
    figure = rate_path(way(), name="a", others=others)
    [dots] = [trace for trace in figure.data if trace.name == "ends of other runs"]
    assert list(dots.customdata) == ["b&lt;", "c"]
    [line] = [trace for trace in figure.data if trace.mode == "lines"]
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    assert y + 2.0 * x == pytest.approx(32.0)
    assert "ends of 2 other runs" in figure.layout.meta["alt"]


def test_the_cursor_marks_its_point_and_the_end_none():
    [mark] = [trace for trace in rate_path(way(), name="a", step=7).data if trace.name == "cursor"]
    assert (mark.x[0], mark.y[0]) == (4.0, 25.0)
    assert not [trace for trace in rate_path(way(), name="a", step=100).data if trace.name == "cursor"]


def test_the_first_steps_do_not_make_the_rest_a_line():
    early = way(distortion=[300.0, 25.0, 21.0])
    low, high = rate_path(early, name="a").layout.yaxis.range
    assert 20 < low < 21
    assert 25 < high < 26
    assert rate_path(way().iloc[:1], name="a").layout.yaxis.range is None
    others = pd.DataFrame({"run": ["b"], "rate": [5.0], "distortion": [400.0], "weight": [np.nan]})
    assert rate_path(early, name="a", others=others).layout.yaxis.range is None


def test_points_say_what_they_are_the_mean_of():
    figure = rate_path(way(), name="a")
    [path] = [trace for trace in figure.data if trace.name == "a"]
    assert list(path.customdata) == ["step 1", "step 10, mean of 9 records", "step 100, mean of 90 records"]


def test_one_point_and_a_second_path_are_drawn():
    figure = rate_path(way().iloc[:1], name="a", second=way(), label="b", unit="as logged")
    assert [trace.name for trace in figure.data if trace.name in ("a", "b")] == ["b", "a"]
    assert figure.layout.yaxis.title.text == "distortion (as logged)"
    assert figure.layout.xaxis.title.text == "rate (nats)"
