"""The builder's figure is the one that plotly's own verbs build."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from probes.figures import builder, style
from probes.figures.builder import FigureBuilder

X, Y = np.arange(3), np.array([1, 2, 4], np.float32)
COLOR = "#123456"
LINE = {"color": COLOR, "width": 1}


def plotlys(rows: int, columns: int, **settings) -> go.Figure:
    """The same as `built`, the slow way."""
    figure = make_subplots(rows, columns, horizontal_spacing=0.05, vertical_spacing=0.1, **settings)
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            figure.add_trace(go.Scatter(x=X, y=Y * row, name="line"), row, column)
    figure.update_yaxes(title_text="left", col=1)
    figure.update_xaxes(title_text="step", row=rows)
    figure.update_yaxes(range=[0, 9])
    figure.update_xaxes(style.steps_scale("log"))
    figure.add_vline(x=2, line=style.CURSOR_LINE)
    figure.add_hline(y=1, line=LINE, row=1, col=1)
    figure.update_layout(style.layout(321, "words"))
    figure.update_xaxes(style.HORIZONTAL)
    figure.update_yaxes(style.VERTICAL)
    figure.update_annotations(font={"size": builder.TEXT_SIZE})
    return figure.update_layout(hovermode="closest", margin_t=7, selectdirection="h")


def built(rows: int, columns: int, **settings) -> go.Figure:
    figure = FigureBuilder(rows, columns, horizontal_spacing=0.05, vertical_spacing=0.1, **settings)
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            figure.add_trace({"type": "scatter", "x": X, "y": Y * row, "name": "line"}, row, column)
    figure.update_yaxes(title="left", col=1)
    figure.update_yaxes(range=[0, 9])
    figure.step_axis("log", 2)
    figure.add_hline(1, LINE, row=1, col=1)
    return figure.finish(321, "words", hovermode="closest", margin={"t": 7})


@pytest.mark.parametrize(
    ("rows", "columns", "ours", "theirs"),
    [
        (1, 1, {}, {}),
        (
            2,
            3,
            {"shared_xaxes": "all", "shared_yaxes": "all"},
            {"shared_xaxes": "all", "shared_yaxes": "all"},
        ),
        (
            2,
            2,
            {"shared_xaxes": "all", "shared_yaxes": "rows"},
            {"shared_xaxes": "all", "shared_yaxes": "rows"},
        ),
        (1, 3, {"titles": ["a", "b", "c"]}, {"subplot_titles": ["a", "b", "c"]}),
    ],
)
def test_it_is_what_plotly_builds(rows, columns, ours, theirs) -> None:
    found, expected = built(rows, columns, **ours).to_dict(), plotlys(rows, columns, **theirs).to_dict()
    assert found["data"] == expected["data"]
    for name in ("annotations", "shapes"):
        assert found["layout"].pop(name, []) == list(expected["layout"].pop(name, []))
    linked = []
    for layout in (found["layout"], expected["layout"]):
        axes = {name: axis for name, axis in layout.items() if "axis" in name}
        # plotly links to the lowest row
        linked.append(sum(axis.pop("matches", None) is not None for axis in axes.values()))
        layout["domains"] = {name: axis.pop("domain") for name, axis in axes.items()}
    assert linked[0] == linked[1]
    for name, domain in expected["layout"].pop("domains").items():
        np.testing.assert_allclose(found["layout"]["domains"][name], domain, atol=1e-12)
    del found["layout"]["domains"]
    assert found["layout"] == expected["layout"]


def test_the_lowest_panel_of_each_column_has_ticks() -> None:
    layout = FigureBuilder(2, 2, panels=3, shared_xaxes="all").finish(100, "three panels").layout
    assert [layout[name].showticklabels for name in ("xaxis", "xaxis2", "xaxis3")] == [False, None, None]
    assert "xaxis4" not in layout.to_plotly_json()


def test_small_multiples_stand_in_rows() -> None:
    figure = FigureBuilder.small_multiples(6, columns=4, titles=["a", "b"])
    assert (figure.rows, figure.columns) == (2, 4)
    assert [figure.cell(panel) for panel in (0, 3, 4, 5)] == [(1, 1), (1, 4), (2, 1), (2, 2)]
    layout = figure.finish(100, "six panels").layout
    assert "xaxis7" not in layout.to_plotly_json()
    assert "xaxis" in FigureBuilder.small_multiples(1).finish(100, "one").layout.to_plotly_json()
    assert not FigureBuilder.small_multiples(0).finish(100, "none").data


def test_a_name_is_once_in_a_shared_legend() -> None:
    figure = FigureBuilder(1, 2, shared_legend=True)
    for col in (1, 2):
        figure.line(X, Y, "line", color=COLOR, col=col)
        figure.band(X, Y, Y + 1, "band", color=COLOR, col=col)
    data = figure.finish(100, "two panels").data
    assert [trace.showlegend for trace in data] == [True, False, True, False, False, False]
    assert [trace.legendgroup for trace in data] == ["line", "band", "band"] * 2
    assert [trace.xaxis for trace in data] == ["x"] * 3 + ["x2"] * 3


def test_what_has_no_name_is_neither_in_the_legend_nor_in_the_hover() -> None:
    figure = FigureBuilder()
    figure.line(X, Y, color=COLOR, dash="dot")
    figure.scatter(X, Y, mode="markers")
    for trace in figure.finish(100, "words").data:
        assert trace.showlegend is False
        assert trace.hoverinfo == "skip"
        assert trace.y.dtype == np.float32


def test_a_band_lies_between_its_ends_and_is_a_bar_at_a_single_point() -> None:
    figure = FigureBuilder()
    figure.band(X, Y, Y + 2, "band", color=COLOR)
    figure.band([3], [1.0], [5.0], "bar", color=COLOR)
    figure.line([3], [2.0], "dot", color=COLOR)
    low, high, bar, dot = figure.finish(100, "words").data
    np.testing.assert_array_equal(low.y, Y)
    np.testing.assert_array_equal(high.y, Y + 2)
    assert (high.fill, high.fillcolor, high.name) == ("tonexty", COLOR, "band")
    assert (bar.y[0], bar.error_y.array[0]) == (3, 2)
    assert (dot.mode, dot.marker.size) == ("markers", builder.DOT_SIZE)


def test_settings_are_merged_key_by_key() -> None:
    settings = {"title": {"font": {"size": 12}}, "range": [0, 1]}
    builder.merge(settings, {"title": "words", "range": [2, 3]})
    assert settings == {"title": {"font": {"size": 12}, "text": "words"}, "range": [2, 3]}
