"""Empirical distribution functions of several runs."""

import numpy as np
import pytest

from probes.figures.distribution import MOST, distribution


def test_the_line_rises_from_nothing_to_all_neurons():
    figure = distribution({"a": [3.0, 1.0, np.nan, 2.0], "none": [np.nan]}, "information", ["none", "a"])
    (line,) = figure.data
    assert line.x.tolist() == [1, 1, 2, 3]
    np.testing.assert_allclose(line.y, [0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    assert "nats" in figure.layout.xaxis.title.text


def test_a_wide_layer_is_thinned_and_keeps_its_ends():
    (line,) = distribution({"a": np.arange(70_000.0)}, "kl", ["a"]).data
    assert len(line.x) == MOST + 1
    assert (line.x[0], line.x[-1], line.y[-1]) == (0, 69_999, 1)


def test_an_unknown_statistic_is_refused():
    with pytest.raises(KeyError):
        distribution({}, "nothing", [])
