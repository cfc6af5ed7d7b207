"""Runs layer beside layer."""

import numpy as np

from probes.figures.run_layers import run_layers


def test_layers_are_counted_from_one_and_runs_may_differ_in_depth():
    figure = run_layers(
        {"contraction": {"deep": np.array([0.9, 0.5, np.nan]), "flat": [0.2]}}, ["deep", "flat"]
    )
    deep, flat = figure.data
    assert deep.x.tolist() == [1, 2, 3]
    np.testing.assert_allclose(deep.y, [0.9, 0.5, np.nan], rtol=1e-6)
    assert flat.x.tolist() == [1]
    assert figure.layout.xaxis.range == (0.6, 3.4)
