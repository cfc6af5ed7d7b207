"""A small csv of series and settings that train on it in about a second."""

import numpy as np
import pandas as pd
import pytest
import torch

from vdn.config import from_dict, resolve
from vdn.data import load
from vdn.trainer import make_network


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # small networks are faster so, and results do not depend on the machine's cores
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def waves(tmp_path_factory):
    """Three daily waves with noise and a slow level, 900 hours, as a CSV."""
    rng = np.random.default_rng(0)
    t = np.arange(900)
    series = {
        name: np.sin(2 * np.pi * t / 24 + phase)
        + 0.3 * rng.normal(size=900)
        + 0.002 * rng.normal(size=900).cumsum()
        for name, phase in (("a", 0), ("b", 1), ("c", 2))
    }
    path = tmp_path_factory.mktemp("data") / "waves.csv"
    pd.DataFrame({"date": pd.date_range("2020", periods=900, freq="h"), **series}).to_csv(path, index=False)
    return path


@pytest.fixture
def small(waves):
    """Settings of a training of about a second."""
    return {
        "data": f"csv:{waves}",
        "window": 48,
        "horizon": 6,
        "stride": 6,
        "neurons": 8,
        "layers": 2,
        "batch": 32,
        "steps": 24,
        "validate_every": 10,
        "probe_inputs": 4,
        "probe_times": 3,
        "test_draws": 4,
    }


@pytest.fixture
def trained(small):
    """A task and its network, with more width than at the start of a training."""
    config = resolve(from_dict({**small, "sigma_init": 0.5, "mean_gain": 1.0}))
    task = load(config)
    return task, make_network(config, task)
