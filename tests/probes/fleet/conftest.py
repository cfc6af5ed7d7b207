"""A small folder of runs over beta and seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet_runs import write_run

BETAS = (0.01, 0.1, 1.0)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """beta x two seeds in `sweep/`, and one run beside it; the second layer collapses with beta."""
    folder = tmp_path_factory.mktemp("fleet")
    for place, beta in enumerate(BETAS):
        for seed in (0, 1):
            config = {"beta": beta, "seed": seed, "layers": 2, "optimizer": {"lr": 0.1, "betas": [0.9, 0.99]}}
            write_run(folder / "sweep" / f"beta={beta}-seed{seed}", config, dead=2 * place)
    write_run(folder / "alone", {"beta": 0.01, "twin": False})
    return folder
