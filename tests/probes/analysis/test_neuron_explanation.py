"""Words about a neuron are the rules' own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from probes import diagnostics
from probes.analysis import neuron_explanation


def test_contracted_says_when() -> None:
    variance = np.array([1, 0.99, 0.96, 0.98, 0.97, 0.5, 0.4])
    rows = pd.DataFrame({"step": [0, 1, 2, 4, 8, 16, 32], "variance": variance})
    assert diagnostics.onset(rows["step"], 1 - variance, 0.05) == 16
    assert "left its prior at step 16" in neuron_explanation.contracted(rows)
    assert "half-way by step 16" in neuron_explanation.contracted(rows)
    assert "has not left its prior" in neuron_explanation.contracted(rows.iloc[:5])
    assert "One step" in neuron_explanation.contracted(rows.iloc[:1])
    back = pd.DataFrame({"step": range(200), "variance": np.repeat([1.0, 0.3, 0.99], (50, 50, 100))})
    assert "has fallen back below since: it ends at 0.01" in neuron_explanation.contracted(back)
    assert "from the first recorded step on" in neuron_explanation.contracted(rows.iloc[5:])


def test_the_rule_is_that_of_the_regime() -> None:
    row = {"mean": 0.0, "variance": 1.0, "information": 0.001, "spread": 0.0, "kl": 0.0, "layer": 3}
    assert neuron_explanation.rule(row).startswith(": information 0.001 < 0.005")
