"""The probe batch as matrices: complete rows of one step, its parts, the same batch of two runs."""

import numpy as np
import pandas as pd
import pytest

from probes.analysis import posteriors
from probes.errors import RunError


def test_table_refuses_rows_that_are_not_one_step_and_complete():
    inputs, neurons = (places.ravel() for places in np.indices((3, 2)))
    frame = pd.DataFrame(
        {"step": 0, "layer": 0, "neuron": neurons, "input": inputs, "mu": np.zeros(6), "sigma": np.ones(6)}
    )
    with pytest.raises(ValueError, match="several steps"):
        posteriors.table(pd.concat([frame, frame.assign(step=1)]), 0)
    with pytest.raises(ValueError, match="5 probe rows for 3 inputs and 2 neurons"):
        posteriors.table(frame.iloc[1:], 0)
    with pytest.raises(ValueError, match="6 probe rows for 3 inputs and 4 neurons"):
        posteriors.table(frame, 0, 4)


def test_two_probe_batches_are_the_same_only_with_the_same_targets():
    frame = pd.DataFrame({"input": [0, 0, 1], "horizon": [0, 1, 0], "y": [0.1, 0.2, 0.3]})
    assert posteriors.same_inputs(frame, frame.iloc[::-1])
    assert not posteriors.same_inputs(frame, frame.assign(y=[0.1, 0.2, 0.4]))
    assert not posteriors.same_inputs(frame, frame.iloc[:2])


def test_inputs_are_split_into_spread_ones_and_a_sequence():
    """Three spread inputs, then a first-order autoregression of 400 positions, whose memory is found
    again.
    """
    draw = np.random.default_rng(0)
    series = np.zeros(400)
    for t in range(1, 400):
        series[t] = 0.8 * series[t - 1] + draw.normal()
    mu = np.concatenate([draw.normal(size=3), series])[:, None] * [1.0, -2.0]
    probe = pd.DataFrame(
        {
            "step": 5,
            "layer": 0,
            "neuron": np.repeat([0, 1], 403),
            "input": np.tile(np.arange(403), 2),
            "mu": mu.T.ravel(),
        }
    ).assign(sigma=0.5)
    parts = posteriors.split_inputs(probe, {"probe_inputs": 3, "probe_sequence": 400})
    assert sorted(parts.spread["input"].unique()) == [0, 1, 2]
    np.testing.assert_array_equal(posteriors.table(parts.spread, 0)[0], mu[:3])
    sequence, _ = posteriors.table(parts.sequence, 0)
    np.testing.assert_array_equal(sequence, mu[3:])
    assert posteriors.autocorrelation(sequence, 1)[:, 1] == pytest.approx(0.8, abs=0.08)
    alone = posteriors.split_inputs(probe, {"probe_sequence": 0})
    assert len(alone.spread) == len(posteriors.split_inputs(probe, {}).spread) == len(probe)
    assert alone.sequence.empty
    assert posteriors.split_inputs(probe.iloc[:0], {"probe_sequence": 4}).sequence.empty
    with pytest.raises(ValueError, match="403 inputs"):
        posteriors.split_inputs(probe, {"probe_sequence": 404})
    for wrong in (-1, 2.5, "4", [4], 2**63):  # of a damaged manifest
        with pytest.raises(RunError, match="probe_sequence"):
            posteriors.split_inputs(probe, {"probe_sequence": wrong})
