"""A run that the tests of reading share."""

import numpy as np
import pytest
from log_truth import Truth, fill

import probes
from probes.recorder import Recorder


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """1,100 irregular steps, an optional statistic at every third, a resume: blocks of 256, 256, 88 | 256,
    244 steps.
    """
    path = tmp_path_factory.mktemp("long") / "run"
    truth = Truth([{"name": "wide", "neurons": 70}, {"name": "narrow", "neurons": 3}])
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.integers(1, 4, 1100)).tolist()
    with Recorder(path, truth.layers, flush_steps=100) as recorder:
        fill(recorder, truth, steps[:600], rng)
    with Recorder.resume(path, steps[599], flush_steps=100) as recorder:
        fill(recorder, truth, steps[600:], rng)
    return probes.Run(path), truth
