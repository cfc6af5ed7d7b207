"""Set-points and what was measured, against numpy."""

import numpy as np
import pytest

from probes.figures.set_points import relative_change, set_points


def test_means_errors_and_change():
    draw = np.random.default_rng(0)
    asked = np.repeat([0.0, 0.5, 1.0], 40)
    follows = 0.2 + 0.6 * asked + 0.05 * draw.normal(size=120)
    flat = 1.0 + 0.1 * draw.normal(size=120)
    flat[7] = np.nan
    figure = set_points(asked, {"persistence": follows, "information": flat}, title="asked <b>")
    neurons, means, others, _ = figure.data
    np.testing.assert_allclose(means.y, follows.reshape(3, 40).mean(1), rtol=1e-6)
    np.testing.assert_allclose(means.error_y.array, follows.reshape(3, 40).std(1, ddof=1) / np.sqrt(40))
    np.testing.assert_allclose(neurons.y, follows, rtol=1e-6)
    assert np.abs(neurons.x - asked).max() < 0.25  # no neuron is nearer to another group's set-point
    assert len(others.y) == 119
    assert relative_change(asked, follows) == pytest.approx(0.6 / 0.5, rel=0.1)
    assert "Persistence: +1" in figure.layout.meta["alt"]
    assert figure.layout.xaxis.title.text == "asked &lt;b&gt;"
    assert figure.layout.yaxis2.title.text == "Information (nats)"


def test_one_group_one_neuron_and_none():
    assert "no trend" in set_points([0.5], {"persistence": [0.1]}, title="phi").layout.meta["alt"]
    assert set_points([], {"persistence": []}, title="phi").data[0].x.size == 0
    with pytest.raises(ValueError, match="persistence has shape"):
        set_points([1, 2], {"persistence": [1.0]}, title="phi")
