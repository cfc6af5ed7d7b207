"""The code that a dashboard without runs shows makes runs. Lightning's is run in tests/integrations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import probes
from pages.shell import no_runs


def test_the_recorders_code_writes_a_run(tmp_path: Path) -> None:
    exec(no_runs.RECORDER.format(run=repr(str(tmp_path / "it's a run"))), {})
    run = probes.Run(tmp_path / "it's a run")
    assert run.status == "finished"
    assert run.steps.tolist() == list(range(100))
    last = run.at(99)
    np.testing.assert_allclose(last["variance"], 0.99**99, rtol=1e-6)
    np.testing.assert_allclose(last["kl"], (0.99**99 - 1 - 99 * np.log(0.99)) / 2, rtol=1e-5)


def test_the_watchs_code_writes_a_run(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Vae(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc_mu, self.fc_var = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)

        def forward(self, x):
            return self.fc_mu(x), self.fc_var(x)

    given = {
        "model": Vae(),
        "loader": list(torch.randn(6, 8, 5)),
        "train_step": lambda model, batch: model(batch)[0].square().mean(),
    }
    exec(no_runs.WATCH.format(run=repr(str(tmp_path / "run"))), given)
    run = probes.Run(tmp_path / "run")
    assert run.steps.tolist() == list(range(6))
    assert [layer["neurons"] for layer in run.layers] == [3]
