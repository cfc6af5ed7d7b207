"""Figures along a sequence: what is drawn is the data, and points tell their position."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from probes.figures.next_symbol import next_symbol
from probes.figures.piano_roll import note_name, piano_rolls
from probes.figures.sequence_belief import sequence_belief
from probes.figures.sequence_classes import sequence_classes
from probes.figures.sequence_codes import sequence_codes
from probes.figures.signal_path import BAND, signal_path
from probes.figures.surprise import surprise

MARKUP = "<b>x</b>"


def trace(figure: go.Figure, name: str) -> Any:
    return next(one for one in figure.data if one.name == name)


def test_a_belief_has_its_bands_and_marks() -> None:
    m, v = np.array([0.0, 1.0, -1.0]), np.array([1.0, 0.25, 0.04])
    there = np.array([False, True, False])
    figure = sequence_belief(m, v, name="1:2", labels=["a", MARKUP, "c"], marks=there, marks_are="vowel", t=1)
    np.testing.assert_allclose(trace(figure, "m").y, m)
    np.testing.assert_allclose(trace(figure, "± √V").y, m + np.sqrt(v))
    np.testing.assert_allclose(trace(figure, "± 2√V").y, m + 2 * np.sqrt(v))
    assert trace(figure, "vowel").x.tolist() == [1]
    assert MARKUP not in str(figure.to_dict())
    assert [line.x0 for line in figure.layout.shapes if line.x0 == line.x1] == [1]


def test_surprise_tells_its_positions_and_leaves_out_what_is_not_known() -> None:
    nll = np.array([0.1, 2.0, 0.3])
    figure = surprise(
        nll, entropy=nll / 2, total_kl=10 * nll, labels=list("abc"), other=nll + 1, label=MARKUP
    )
    assert [point[0] for point in trace(figure, "surprise").customdata] == [0, 1, 2]
    np.testing.assert_allclose(trace(figure, "entropy").y, nll / 2, rtol=1e-6)
    assert trace(figure, "KL of all neurons").yaxis == "y2"
    assert MARKUP not in str(figure.to_dict())
    assert [one.name for one in surprise(nll).data] == ["surprise"]


@pytest.mark.parametrize(("came", "bars"), [("b", 2), ("z", 3)])
def test_what_came_is_among_the_bars(came: str, bars: int) -> None:
    [drawn] = next_symbol([("a", 0.7), ("b", 0.2)], came, 0.01 if came == "z" else 0.2).data
    assert len(drawn.x) == bars
    assert len(set(drawn.marker.color)) == 2
    assert drawn.marker.color.count(drawn.marker.color[-1]) == 1  # what came is the last here


def test_notes_stand_at_their_positions() -> None:
    figure = piano_rolls({"one": [[60, 64], [], [62]]}, values=[0.0, 1.0, 2.0], values_are="surprise", t=2)
    [notes] = figure.data
    assert notes.x.tolist() == [0, 0, 2]
    assert notes.y.tolist() == [60, 64, 62]
    assert list(notes.customdata) == [0, 0, 2]
    assert notes.marker.color.tolist() == [0, 0, 2]
    assert (note_name(60), note_name(69)) == ("C4", "A4")
    several = piano_rolls({"a": [[60], [61]], MARKUP: [[62], []]}, given=1)
    assert len(several.data) == 2
    assert len(set(several.data[0].marker.color)) == 2
    assert MARKUP not in str(several.to_dict())


def test_a_prediction_stands_at_the_position_that_it_is_of() -> None:
    figure = signal_path([0.0, 1.0], mean=[0.5, 1.5], variance=[1.0, 4.0])
    assert trace(figure, "predicted").x.tolist() == [1, 2]
    np.testing.assert_allclose(trace(figure, "predicted, 80 %").y, [0.5 + BAND, 1.5 + 2 * BAND], rtol=1e-6)
    assert list(trace(figure, "came").customdata) == [0, 1]


def test_continuations_go_on_where_the_prompt_ends() -> None:
    ways = {str(draw): np.full(4, float(draw)) for draw in range(10)}
    figure = signal_path([0.0, 1.0, 2.0], continued=ways)
    assert trace(figure, "9").x.tolist() == [3, 4, 5, 6]
    np.testing.assert_allclose(trace(figure, "middle 80 %").y, 8.1, rtol=1e-6)
    assert "continued 10 ways" in figure.layout.meta["alt"]


def test_classes_of_a_neuron_are_rows_of_probabilities() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    figure = sequence_classes(
        shares, name="1:2", labels=["a", "<b>"], marks=[False, True], marks_are="end", t=1
    )
    heat = figure.data[0]
    np.testing.assert_allclose(heat.z, shares.T, rtol=1e-6)
    assert (heat.zmin, heat.zmax) == (0, 1)
    assert list(figure.data[1].x) == [1]  # the mark
    assert "3 classes of neuron 1:2 at 2 positions" in figure.layout.meta["alt"]


def test_bands_of_another_family_are_its_own_quantiles_and_have_no_gaussian_prior() -> None:
    figure = sequence_belief([0.5, 0.9], [0.05, 0.005], name="1:1", family="beta", standard=True)
    y = np.concatenate([np.asarray(trace.y, float) for trace in figure.data])
    assert 0 < np.nanmin(y) < np.nanmax(y) < 1
    assert not [shape for shape in figure.layout.shapes if shape.y0 in (-1, 1)]  # the prior's sd
    assert figure.layout.yaxis.title.text == "belief"
    own = sequence_belief([0.0, 1.0], [1.0, 1.0], name="1:1", standard=False)
    assert not [shape for shape in own.layout.shapes if shape.y0 in (-1, 1)]
    usual = sequence_belief([0.0, 1.0], [1.0, 1.0], name="1:1")
    assert len([shape for shape in usual.layout.shapes if shape.y0 in (-1, 1)]) == 2


def test_picks_of_a_code_book_are_points_and_one_code_has_colour() -> None:
    picked = np.zeros((4, 3))
    picked[[0, 1, 3], [2, 0, 2]] = 1  # none at position 2
    figure = sequence_codes(picked, 2, name="1:2", labels=["a", "b", "c", "<d>"], marks=[0, 1, 0, 0], t=1)
    others, mine, marks = figure.data
    assert (others.x.tolist(), others.y.tolist()) == ([1], [0])
    assert (mine.x.tolist(), mine.y.tolist()) == ([0, 3], [2, 2])
    assert mine.marker.color != others.marker.color
    assert "<d>" not in str(mine.customdata)
    assert marks.x.tolist() == [1]
    assert marks.y[0] < -0.5
    assert "2 times that of neuron 1:2" in figure.layout.meta["alt"]
