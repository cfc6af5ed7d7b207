"""What a figure asks of plotly beyond its public interface, and that nothing breaks where plotly changes."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import plotly
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from probes.figures import plotly_figure

DATA = [
    {"type": "scatter", "x": np.arange(3), "y": np.array([1.5, np.nan, 2], np.float32)},
    {"type": "heatmap", "z": np.ones((2, 3)), "customdata": np.array([["a", "b", "c"]] * 2, object)},
]
LAYOUT = {"title": {"text": "words"}, "xaxis": {"range": [0, 2], "tickvals": np.arange(3)}}


def test_plotly_still_builds_without_checks() -> None:
    figure = plotly_figure.Figure()
    assert plotly_figure._make_unchecked(figure, [{"type": "scatter", "mode": "no such mode"}], {}), (
        f"plotly {plotly.__version__} no longer builds a figure without checks by `_validate=False`. Figures "
        "are still right, but take several times as long to build. Find how this plotly is told not to "
        "check, and change probes.figures.plotly_figure._make_unchecked, the only place that relies on it."
    )
    assert figure.data[0].mode == "no such mode"


def test_an_unknown_property_is_an_error_in_plotlys_words() -> None:
    with pytest.raises(ValueError, match="no_such_property"):
        plotly_figure.build([{"type": "scatter", "no_such_property": 1}], {})


def test_changes_to_a_figure_are_checked_again() -> None:
    figure = plotly_figure.build(DATA, LAYOUT)
    for change in (
        lambda: figure.update_layout(hight=3),
        lambda: figure.update_xaxes(hight=3),
        lambda: figure.update_traces(hight=3),
        lambda: figure.add_scatter(hight=3),
    ):
        with pytest.raises(ValueError, match="hight"):
            change()


@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_a_plotly_without_the_argument_builds_the_same_figure_slowly(monkeypatch, error) -> None:
    expected = plotly_figure.build(DATA, LAYOUT).to_json()
    plain = go.Figure.__init__

    def refuse(self, *args, **kwargs) -> None:
        if "_validate" in kwargs:
            raise error("unknown argument _validate")
        plain(self, *args, **kwargs)

    monkeypatch.setattr(go.Figure, "__init__", refuse)
    figure = plotly_figure.build(DATA, LAYOUT)
    assert figure.layout.title.text == "words"
    assert json.loads(figure.to_json()) == json.loads(expected)


def test_json_is_plotlys_own_and_leaves_the_figure_as_it_was() -> None:
    figure = plotly_figure.build(DATA, LAYOUT)
    assert json.loads(figure.to_json()) == json.loads(go.Figure(DATA, LAYOUT).to_json())
    assert isinstance(figure.data[0].y, np.ndarray)
    figure.update_layout(height=30).add_scatter(y=[1, 2])
    assert figure.to_dict()["layout"]["height"] == 30
    assert len(figure.to_dict()["data"]) == 3


def test_a_figure_that_is_only_shown_is_never_made_by_plotly(monkeypatch) -> None:
    made = go.Figure.__init__
    calls = []
    figure = plotly_figure.build(DATA, {**LAYOUT, "meta": {"alt": "in words"}, "height": None})
    monkeypatch.setattr(
        go.Figure, "__init__", lambda self, *args, **more: calls.append(1) or made(self, *args, **more)
    )
    as_planned = figure.to_json()
    assert plotly_figure.alt(figure) == "in words"
    assert not calls
    assert figure.layout.xaxis.range == (0, 2)
    assert calls == [1]
    assert plotly_figure.alt(figure) == "in words"
    assert json.loads(as_planned) == json.loads(figure.to_json())
    for copied in (copy.deepcopy(figure), pickle.loads(pickle.dumps(plotly_figure.build(DATA, LAYOUT)))):
        assert copied.layout.title.text == "words"
    with pytest.raises(AttributeError, match="no_such"):
        figure.no_such  # noqa: B018  asked for on purpose


@pytest.mark.filterwarnings("ignore:.*scattermapbox.*is deprecated")  # plotly 6 merging its own templates
def test_a_figure_has_the_template_of_the_day(monkeypatch) -> None:
    figure = plotly_figure.build(DATA, LAYOUT)
    for default in ("plotly_white", "ggplot2+presentation", None, pio.templates["seaborn"]):
        monkeypatch.setattr(pio.templates, "_default", default)
        assert figure.to_dict()["layout"].get("template") == go.Figure(DATA, LAYOUT).to_dict()["layout"].get(
            "template"
        )


def test_figures_with_frames_are_plotlys_own() -> None:
    figure = plotly_figure.Figure(DATA, LAYOUT, frames=[go.Frame(data=DATA[:1])])
    assert len(figure.to_dict()["frames"]) == 1


@pytest.mark.parametrize("values", [[1, 2], [-1, 300], [0, 70_000], [0, 2**40]])
def test_64_bit_integers_go_in_the_least_type_that_holds_them(values) -> None:
    found = plotly_figure._typed(np.array(values))
    expected = go.Figure(go.Scatter(y=np.array(values))).to_dict()["data"][0]["y"]
    if isinstance(found, dict):
        assert found == expected
    else:
        np.testing.assert_array_equal(found, expected)
