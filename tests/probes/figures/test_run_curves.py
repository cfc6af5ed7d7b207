"""Curves of several runs: one colour a run in all panels, text escaped."""

import numpy as np

from probes.figures.run_curves import run_color, run_curves


def test_a_run_has_one_colour_and_one_entry_in_the_legend():
    curve = (np.arange(3), np.array([0.1, 0.2, 0.3]))
    figure = run_curves(
        {"loss": {"<b>a": curve, "c": curve}, "living share": {"c": curve}},
        ["<b>a", "b", "c"],
        shares=["living share"],
    )
    assert [(line.name, line.line.color) for line in figure.data] == [
        ("&lt;b&gt;a", run_color(0)), ("c", run_color(2)), ("c", run_color(2)),
    ]  # fmt: skip
    assert [line.showlegend for line in figure.data] == [True, True, False]
    assert figure.layout.yaxis2.tickformat == ".0%"
    assert figure.layout.yaxis.title.text == "loss"


def test_nothing_to_draw_is_an_empty_figure():
    assert len(run_curves({}, []).data) == 0
