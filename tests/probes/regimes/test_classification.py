"""Codes of arrays and frames: their shapes, and layers of several dimensions."""

import numpy as np
import pandas as pd
import pytest

from probes import regimes

LIVING = {"mean": 0.0, "variance": 0.5, "kl": 0.3, "information": 0.2, "spread": 0.4}


def test_of_no_statistic_nothing_is_known():
    """As many codes as there are rows, and none of none."""
    assert regimes.codes({"step": np.zeros((2, 3))}).tolist() == [[11] * 3] * 2
    assert regimes.codes({}).tolist() == []


def test_a_layer_whose_dimensions_nobody_says_is_named():
    with pytest.raises(KeyError, match="2"):
        regimes.classify(pd.DataFrame([LIVING | {"layer": 2}]), latent_dim={0: 1, 1: 4})
