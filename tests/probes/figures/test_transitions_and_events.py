"""Moves between regimes and interventions, as drawn, against counts of the rows."""

import numpy as np
import pandas as pd
import pytest

from probes.figures.event_timeline import MARKS, event_timeline
from probes.figures.regime_transitions import bin_edges, regime_transitions

MOVES = pd.DataFrame(
    {
        "step": [3, 3, 50, 90, 90],
        "layer": [0, 0, 0, 1, 1],
        "neuron": [0, 1, 1, 0, 2],
        "before": [4, 4, 0, 9, 6],
        "after": [0, 9, 6, 4, 5],
    }
)


@pytest.mark.parametrize("axis", ["linear", "log"])
def test_bins_cover_every_step_once(axis):
    for first, last in ((0, 1000), (1, 5), (7, 7), (0, 0)):
        edges = bin_edges(first, last, axis)
        assert edges[0] == first
        assert edges[-1] == last + 1
        assert (np.diff(edges) > 0).all()


@pytest.mark.parametrize("axis", ["linear", "log"])
def test_bars_count_births_up_and_losses_down(axis):
    figure = regime_transitions(MOVES, ["<one>", "two"], (0, 100), axis=axis)
    total = {(trace.name, trace.xaxis): float(np.sum(trace.y)) for trace in figure.data}
    assert total["came alive", "x"] == 2
    assert total["lost, now frozen", "x"] == -1
    assert total["lost, now dead", "x2"] == -1
    assert total["came alive", "x2"] == 0
    assert not any("offset" in name for name, _ in total)  # from frozen to offset: never living
    assert figure.layout.annotations[0].text == "&lt;one&gt;"


def test_no_move_is_a_figure_too():
    assert regime_transitions(MOVES.head(0), ["one"], (5, 5)).layout.meta["alt"]


def test_events_are_marks_in_the_row_of_their_kind():
    events = pd.DataFrame(
        {"step": [5, 5, 9, 7], "layer": [0, 0, 1, None], "kind": ["projection"] * 3 + ["<b>"], "value": 1.0}
    )
    alerts = pd.DataFrame({"step": [8], "text": ["<script>"]})
    figure = event_timeline(events.astype({"layer": "Int16"}), ["one", "two"], (0, 10), alerts=alerts)
    marks = {trace.name: trace for trace in figure.data}
    assert marks["one"].x.tolist() == [5]
    assert marks["one"].customdata.tolist() == [[5, 2]]
    assert marks["two"].x.tolist() == [9]
    assert marks["the run"].x.tolist() == [7]
    assert marks["alert"].text == ("&lt;script&gt;",)
    rows = dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True))
    assert rows[round(float(marks["one"].y[0]))] == "projection"
    assert rows[round(float(marks["the run"].y[0]))] == "&lt;b&gt;"


def test_many_events_are_thinned_and_keep_their_ends():
    steps = np.arange(10_000)
    events = pd.DataFrame({"step": steps, "layer": 0, "kind": "homeostasis"}).astype({"layer": "Int16"})
    drawn = event_timeline(events, ["one"], (0, 9_999)).data[0].x
    assert len(drawn) <= MARKS
    assert (drawn[0], drawn[-1]) == (0, 9_999)
