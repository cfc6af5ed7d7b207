"""Bands over seeds, against numpy."""

import numpy as np

from probes.figures.seed_bands import seed_bands


def test_median_and_range_of_each_group():
    steps = np.arange(5.0)
    curves = [np.column_stack([steps, steps * k]) for k in (1, 2, 6)]
    figure = seed_bands({"NLL (nats)": {"<b>beta": curves, "one": curves[:1], "none": [np.zeros((0, 2))]}})
    low, high, median, single = figure.data
    np.testing.assert_allclose(low.y, steps)
    np.testing.assert_allclose(high.y, 6 * steps)
    np.testing.assert_allclose(median.y, 2 * steps)
    np.testing.assert_allclose(single.y, steps)
    assert median.name == "&lt;b&gt;beta · 3 runs"
    assert single.name == "one · 1 run"
    assert figure.layout.yaxis.title.text == "NLL (nats)"
    assert "2 groups" in figure.layout.meta["alt"]


def test_a_group_has_one_colour_and_one_name_in_all_panels():
    curve = [np.array([[0.0, 0.5], [1.0, 0.7]])]
    figure = seed_bands(
        {"NLL (nats)": {"a": curve}, "living share": {"a": curve, "b": curve}}, shares=["living share"]
    )
    assert [trace.showlegend for trace in figure.data] == [True, False, True]
    assert figure.data[0].line.color == figure.data[1].line.color != figure.data[2].line.color
    assert figure.layout.yaxis2.range == (0, 1)
