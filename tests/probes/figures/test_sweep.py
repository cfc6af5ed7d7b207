"""Figures of a sweep say what they were given, in any shape of it."""

import json

import numpy as np
import pandas as pd
import pytest

from probes.figures import sweep

X, Y = ["0.01", "0.1", "1"], ["0.001", "0.01"]
CELLS = np.array([[0.0, 0.25, 1.0], [0.0, np.nan, 0.5]])


def spec(figure):
    return json.loads(figure.to_json())


def test_a_map_names_each_cell_and_its_runs():
    figure = sweep.phase_map(
        CELLS, np.array([[2, 2, 1], [2, 0, 2]]), X, Y, title="Layer 2", x_title="beta", y_title="lr"
    )
    points = figure.data[1]
    assert list(points.text) == ["0%", "25%", "100%", "0%", "50%"]
    assert list(map(list, points.customdata))[2] == ["1", "0.001"]
    assert points.hovertext[2] == "beta 1, lr 0.001<br>100% of the neurons collapsed, 1 run"
    assert "beta 1, lr 0.01: 50% of the neurons collapsed, 2 runs" in figure.layout.meta["alt"]
    assert spec(figure)["layout"]["annotations"][0]["text"] == "Layer 2"


@pytest.mark.parametrize(("lower", "light"), [(True, "0.1"), (False, "0.9")])
def test_the_better_end_of_a_score_is_light_and_read_in_black(lower, light):
    figure = sweep.phase_map(
        [[0.1, 0.9]],
        [[1, 1]],
        ["a", "b"],
        [""],
        title="score",
        x_title="x",
        share=False,
        lower_is_better=lower,
    )
    points = figure.data[1]
    assert dict(zip(points.text, points.textfont.color, strict=True))[light] == "#000000"
    assert set(points.textfont.color) == {"#000000", "#ffffff"}


@pytest.mark.parametrize("values", [np.full((1, 1), np.nan), np.zeros((1, 1)), np.ones((2, 3))])
def test_maps_of_nothing_and_of_one_value(values):
    y, x = values.shape
    figure = sweep.phase_map(
        values, np.isfinite(values).astype(int), X[:x], Y[:y], title="t", x_title="x", share=False
    )
    cells, points = figure.data
    np.testing.assert_array_equal(cells.z, values)
    assert cells.zmin < cells.zmax, "colours need two ends"
    assert len(points.text) == np.isfinite(values).sum()


def points(**more):
    return pd.DataFrame(
        {
            "run": ["a", "b", "c", "d"], "beta": [0.01, 0.01, 1.0, 1.0], "value": [1.0, 2.0, 3.0, 5.0],
            "rate": [4.0, 3.0, 2.0, 1.0], "color": ["u", "u", "u", "v"],
        }
    ).assign(**more)  # fmt: skip


def test_seeds_are_a_band_and_dots_are_runs():
    figure = sweep.against(points(), "beta", value_title="NLL", color_title="kind")
    named = {trace.name: trace for trace in figure.data if trace.name and trace.mode == "markers"}
    assert list(named) == ["kind u", "kind v"]
    assert list(named["kind u"].customdata) == ["a", "b", "c"]
    low, high, mean = figure.data[:3]
    assert (list(low.y), list(high.y), list(mean.y)) == ([1, 3], [2, 3], [1.5, 3])
    assert figure.layout.xaxis.type == "log"


def test_numbers_as_colours_are_a_sequence_and_many_are_put_together():
    few = sweep.against(points(color=[1, 2, 3, 3]), "beta", value_title="NLL", color_title="lr")
    assert [trace.name for trace in few.data if trace.mode == "markers"] == ["lr 1", "lr 2", "lr 3"]
    many = pd.DataFrame(
        {"run": [str(i) for i in range(50)], "beta": range(50), "value": range(50), "color": np.arange(50.0)}
    )
    figure = sweep.against(many, "beta", value_title="NLL", color_title="lr")
    assert len([trace for trace in figure.data if trace.mode == "markers"]) == sweep.LINE_GROUPS


def test_texts_and_bools_are_categories():
    figure = sweep.against(points(beta=["x", "y", "x", "y"]), "beta", value_title="Living", share=True)
    assert figure.layout.xaxis.type == "category"
    assert figure.layout.yaxis.tickformat == ".0%"
    assert sweep.axis_of(pd.Series([True, False]), "twin")["type"] == "category"


def test_the_frontier_is_a_line_over_the_runs():
    figure = sweep.rate_distortion(points(), [3, 2, 0], loss_title="NLL", color_title="kind")
    assert list(figure.data[0].x) == [1, 2, 4]
    assert "3 of them on the frontier" in figure.layout.meta["alt"]


def test_all_settings_side_by_side():
    rows = points()
    figure = sweep.parallel_coordinates(
        {"beta": rows["beta"], "kind": rows["color"]}, {"NLL": rows["value"]}, "NLL"
    )
    beta, kind, nll = figure.data[0].dimensions
    assert list(beta.ticktext) == ["0.01", "1"]
    assert list(beta["values"]) == [-2, -2, 0, 0]
    assert list(kind.ticktext) == ["u", "v"]
    assert list(nll["values"]) == [1, 2, 3, 5]


def test_nothing_at_all_is_an_empty_figure():
    empty = points().iloc[:0]
    for figure in (
        sweep.against(empty, "beta", value_title="NLL"),
        sweep.rate_distortion(empty, [], loss_title="NLL"),
    ):
        assert sum(np.size(trace.x) for trace in figure.data) == 0
