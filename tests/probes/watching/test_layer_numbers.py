"""A layer in a few numbers."""

import numpy as np

from probes.watching.layer_numbers import layer_numbers


def test_sums_of_nats_and_means_of_shares():
    columns = {
        "kl": np.array([[0.1, 0.3], [1.0, 2.0]], np.float32),
        "variance": np.array([[1.0, 0.5], [0.2, 0.4]], np.float32),
    }
    found = layer_numbers(columns)
    np.testing.assert_allclose(found["kl"], [0.4, 3.0], rtol=1e-6)
    np.testing.assert_allclose(found["contraction"], [0.25, 0.7], rtol=1e-6)
    assert set(found) == {"kl", "contraction"}, "what is not there is left out"
