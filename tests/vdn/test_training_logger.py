"""Which steps a training records; what it records of them is in test_train.py."""

import numpy as np

from vdn.training_logger import geometric_steps


def test_geometric_steps():
    assert geometric_steps(0, 100) == set()
    steps = sorted(geometric_steps(20, 1000))
    assert steps[0] == 0
    assert steps[-1] == 999
    gaps = np.diff(steps)
    assert gaps[0] == 1
    assert gaps[-1] == gaps.max()
