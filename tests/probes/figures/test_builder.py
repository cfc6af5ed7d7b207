"""A sketched figure is the figure that plotly's own verbs build."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from probes.figures import sketch, style
from probes.figures.sketch import Sketch

X, Y = np.arange(3), np.array([1, 2, 4], np.float32)
LINE = {"color": "#123456", "width": 1}


def plotlys(rows: int, columns: int, **settings) -> go.Figure:
    """The same as `drawn`, the slow way."""
    figure = make_subplots(rows, columns, horizontal_spacing=0.05, vertical_spacing=0.1, **settings)
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            figure.add_trace(go.Scatter(x=X, y=Y * row, name="line"), row, column)
    figure.update_yaxes(title_text="left", col=1)
    figure.update_xaxes(title_text="below", row=rows)
    figure.update_yaxes(range=[0, 9])
    style.scale_steps(figure, "log")
    style.mark_step(figure, 2)
    figure.add_hline(y=1, line=LINE, row=1, col=1)
    style.finish(figure, 321, "words")
    return figure.update_layout(hovermode="closest", margin_t=7)


def drawn(rows: int, columns: int, **settings) -> go.Figure:
    figure = Sketch(rows, columns, horizontal_spacing=0.05, vertical_spacing=0.1, **settings)
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            figure.add_trace({"type": "scatter", "x": X, "y": Y * row, "name": "line"}, row, column)
    figure.update_yaxes(title="left", col=1)
    figure.update_xaxes(title="below", row=rows)
    figure.update_yaxes(range=[0, 9])
    style.scale_steps(figure, "log")
    style.mark_step(figure, 2)
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
    found, expected = drawn(rows, columns, **ours).to_dict(), plotlys(rows, columns, **theirs).to_dict()
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
    layout = Sketch(2, 2, panels=3, shared_xaxes="all").finish(100, "three panels").layout
    assert [layout[name].showticklabels for name in ("xaxis", "xaxis2", "xaxis3")] == [False, None, None]
    assert "xaxis4" not in layout.to_plotly_json()


def test_a_finished_figure_is_checked_again() -> None:
    figure = Sketch().finish(100, "words")
    with pytest.raises(ValueError, match="hight"):
        figure.update_layout(hight=3)


def test_settings_are_merged_key_by_key() -> None:
    settings = {"title": {"font": {"size": 12}}, "range": [0, 1]}
    sketch.merge(settings, {"title": "words", "range": [2, 3]})
    assert settings == {"title": {"font": {"size": 12}, "text": "words"}, "range": [2, 3]}
