"""Bars of a layer's rate, and distances beside the limit of the prior's own samples."""

import numpy as np
import pandas as pd
import pytest

from probes.figures.rate_split import aggregate_distances, rate_split


def rows(**more):
    return pd.DataFrame(
        {
            "name": ["layer <1>", "layer 2"],
            "index_code_information": [4.1, 1.2], "index_code_information_error": [0.0, 0.1],
            "total_correlation": [20.0, -0.03], "total_correlation_error": [1.0, 0.05],
            "dimension_wise_kl": [3.0, 0.5], "dimension_wise_kl_error": [0.4, 0.1],
            "at_ceiling": [True, False],
            "sliced_wasserstein": [0.44, 0.2], "sliced_wasserstein_null_95": [0.23, 0.23],
            "mmd": [0.04, -0.0001], "mmd_null_95": [0.0017, 0.0017],
        }
    ).assign(**more)  # fmt: skip


def test_bars_are_the_parts_and_bounds_are_hatched_and_said():
    figure = rate_split(rows())
    index, correlation, own = figure.data
    assert figure.layout.barmode == "stack"
    assert list(index.x) == [4.1, 1.2]
    assert list(index.marker.pattern.shape) == ["/", ""]
    assert list(own.marker.pattern.shape) == ["", ""]
    assert index.customdata[0].startswith("≥ 4.1")
    assert correlation.customdata[0] == "≤ 20 ± 1 nats"
    assert correlation.customdata[1] == "-0.03 ± 0.05 nats"  # by chance: said, and no bar to the left
    assert min(correlation.x) == 0
    assert index.y[0] == "layer &lt;1&gt;"
    assert "layer 2: index-code information 1.2" in figure.layout.meta["alt"]


def test_without_a_prior_two_parts_are_drawn():
    figure = rate_split(rows(dimension_wise_kl=np.nan))
    assert [trace.name for trace in figure.data] == ["index-code information", "total correlation"]


def test_a_dot_is_full_beyond_the_limit():
    figure = aggregate_distances(rows())
    dots = [trace for trace in figure.data if trace.type == "scatter"]
    assert [list(trace.marker.symbol) for trace in dots] == [["circle", "circle-open"]] * 2
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert list(bars[0].x) == [0.23, 0.23]
    assert "limit 0.0017" in figure.layout.meta["alt"]


@pytest.mark.parametrize("draw", [rate_split, aggregate_distances])
def test_one_layer_and_many_have_room(draw):
    one, many = draw(rows().iloc[:1]), draw(pd.concat([rows()] * 12, ignore_index=True))
    assert one.layout.height < many.layout.height
