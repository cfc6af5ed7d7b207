from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import probes
from probes.notebook import summary

SAMPLES = Path(__file__).resolve().parents[3] / "sample_runs"


def test_a_run_says_its_state_its_layers_and_what_their_neurons_do() -> None:
    run = probes.Run(SAMPLES / "collapsed")
    page = run._repr_html_()
    last = run.layer_summary()
    last = last[last["step"] == run.steps[-1]].set_index("layer")
    for layer in range(3):
        share = 100 * last.loc[layer, "settled_0"] / 64
        assert f"{share:.0f} % living" in page or share < 50, layer
        assert f"{last.loc[layer, 'information_mean']:.3g}" in page
    assert "finished" in page
    assert "192 neurons in 3 layers" in page
    assert "<script" not in page


def test_names_of_a_run_are_text(tmp_path: Path) -> None:
    with probes.Recorder(tmp_path / "r", [{"name": "<img src=x>", "neurons": 2}]) as recorder:
        recorder.record(0, 0, mean=np.zeros(2), variance=np.ones(2))
    page = summary.html(probes.Run(tmp_path / "r"))
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page


def test_a_run_without_a_step_and_one_whose_files_are_gone_say_so(tmp_path: Path) -> None:
    probes.Recorder(tmp_path / "empty", [{"name": "latent", "neurons": 2}]).close()
    assert "0 recorded steps" in summary.html(probes.Run(tmp_path / "empty"))
    shutil.copytree(SAMPLES / "healthy", tmp_path / "gone")
    run = probes.Run(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    assert "healthy" in summary.html(run) or "gone" in summary.html(run)


@pytest.mark.parametrize("name", ["digits-vqvae", "signal-rssm", "uncertainty", "text"])
def test_other_families_show_what_they_have(name: str) -> None:
    page = summary.html(probes.Run(SAMPLES / name))
    assert name in page
    assert "nan" not in page.lower()
