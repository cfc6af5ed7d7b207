"""The page Probes: stored experiments are shown, new ones are processes that can be cancelled."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forecasting import write_forecasting
from planted import write_run
from sequences import write_sequence
from streamlit.testing.v1 import AppTest

from pages.shell.server import jobs
from probes.experiments import store

Open = Callable[..., AppTest]
LAYERS, NEURONS = 2, 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = write_forecasting(tmp_path / "run")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.pt").touch()
    return tmp_path


def tables() -> dict[str, dict[str, pd.DataFrame]]:
    """Small results with the columns that the experiments leave."""
    random = np.random.default_rng(0)
    keys = pd.MultiIndex.from_product([range(LAYERS), range(NEURONS)], names=["layer", "neuron"]).to_frame(
        index=False
    )
    made = keys.assign(
        kl=random.uniform(size=len(keys)), information=0.1, spread=0.2, contraction=0.5, regime=0
    )
    effects = keys.assign(
        mode="mean", score="nll", effect=random.standard_normal(len(keys)), standard_error=0.1
    )
    ranks = [
        ("mean", "nll", layer, name, 0.5, 0.2, 0.7, 10) for layer in (-1, 0, 1) for name in ("kl", "regime")
    ]
    columns = ["mode", "score", "layer", "predictor", "value", "low", "high", "neurons"]
    reliability = pd.DataFrame({"mode": "mean", "score": "nll", "layer": [0, 1], "reliability": [0.9, 0.1]})
    walked = pd.MultiIndex.from_product(
        [[1], [4], [0, 1], np.linspace(-3, 3, 5), [0, 1]],
        names=["layer", "neuron", "input", "value", "output"],
    ).to_frame(index=False)
    doses = pd.MultiIndex.from_product(
        [["noise"], ["nll", "internal KL", "output variance"], [0.0, 1.0]], names=["kind", "quantity", "dose"]
    ).to_frame(index=False)
    found = {"value": 0.6, "low": 0.5, "high": 0.7, "gain": 0.1, "gain_low": 0.0, "gain_high": 0.2}
    damaged = pd.concat([made.assign(kind="noise", dose=dose) for dose in (0.0, 1.0)], ignore_index=True)
    curves = pd.DataFrame(
        {"error": "mse", "uncertainty": ["output variance"] * 2, "coverage": [0.5, 1.0], "risk": [0.1, 0.2]}
    )
    area = {"error": "mse", "uncertainty": "output variance", "mean": 0.2, **found}
    t = pd.DataFrame({"start": 0, "t": [1, 2], "mean": 0.0, "sd": 1.0})
    return {
        "ablation": {
            "effects": effects,
            "neurons": made,
            "predictors": pd.DataFrame(ranks, columns=columns),
            "reliability": reliability,
        },
        "traversal": {
            "curves": walked.assign(mean=walked["value"] * 0.5, sd=1.0),
            "posteriors": pd.DataFrame({"layer": 1, "neuron": 4, "input": [0, 1], "mu": 0.0, "sigma": 0.5}),
        },
        "shift": {
            "responses": doses.assign(mean=1.0, standard_error=0.1, change=0.0, change_error=0.1),
            "detection": doses[doses["dose"] > 0].assign(**found),
            "neurons": damaged,
        },
        "risk-coverage": {"curves": curves, "areas": pd.DataFrame([area])},
        "rollout": {
            "forecasts": t.assign(q05=-2.0, q25=-1.0, q50=0.0, q75=1.0, q95=2.0),
            "starts": pd.DataFrame({"start": [0], "series": ["<b>one</b>"], "origin": [1000]}),
            "uncertainty": pd.DataFrame(
                {"start": 0, "t": [1, 2], "internal_kl": 1.0, "latent": 0.1, "output": 0.2}
            ),
        },
    }


FIGURES = {"ablation": 3, "traversal": 2, "shift": 3, "risk-coverage": 1, "rollout": 2}


@pytest.mark.parametrize("name", list(FIGURES))
def test_a_stored_experiment_is_shown_without_running_it(
    open_page: Open, folder: Path, manager: jobs.JobManager, name: str
) -> None:
    store.save(
        folder / "run",
        name,
        tables()[name],
        {"experiment": name, "windows": 2000, "split": "test", "step": 60, "weights": "best"},
    )
    app = open_page("experiments", folder, experiment=name)
    assert not app.error
    assert len(app.get("plotly_chart")) == FIGURES[name]
    assert all(chart.proto.alt for chart in app.get("plotly_chart"))
    assert any(
        "2,000 windows · test split · best weights by validation after 60 steps" in caption.value
        for caption in app.caption
    )
    assert not manager.running()


def test_a_result_under_a_name_of_its_own_is_offered(open_page: Open, folder: Path) -> None:
    store.save(folder / "run", "night-3", tables()["rollout"], {"experiment": "rollout"})
    app = open_page("experiments", folder, experiment="night-3")
    assert not app.error
    assert len(app.get("plotly_chart")) == FIGURES["rollout"]


def test_nothing_stored_says_what_to_do(open_page: Open, folder: Path) -> None:
    app = open_page("experiments", folder, experiment="shift")
    assert "python -m vdn probe RUN shift" in app.info[0].value
    assert app.button(key="start").label == "Run"


def test_a_result_of_another_network_says_so(open_page: Open, folder: Path) -> None:
    wrong = tables()["ablation"]
    wrong["effects"] = wrong["effects"].drop(columns="effect")
    store.save(folder / "run", "ablation", wrong, {"experiment": "ablation"})
    assert "cannot be drawn" in open_page("experiments", folder, experiment="ablation").error[0].value


def test_a_broken_result_says_so(open_page: Open, folder: Path) -> None:
    place = store.save(folder / "run", "ablation", tables()["ablation"], {"experiment": "ablation"})
    (place / "effects.parquet").write_bytes(b"no parquet")
    assert (
        "run the experiment again" in open_page("experiments", folder, experiment="ablation").error[0].value
    )


def test_without_checkpoint_or_of_another_program_nothing_can_be_started(
    open_page: Open, folder: Path, tmp_path: Path
) -> None:
    shutil.rmtree(folder / "run" / "checkpoints")
    app = open_page("experiments", folder)
    assert any("checkpoint model" in caption.value for caption in app.caption)
    assert not [button for button in app.button if button.key == "start"]
    other = tmp_path / "others"
    write_run(other / "theirs", neurons=4, steps=10)
    assert any("probes.experiments" in caption.value for caption in open_page("experiments", other).caption)


def test_an_experiment_that_runs_elsewhere_is_watched_but_not_ended(
    open_page: Open, folder: Path, manager: jobs.JobManager
) -> None:
    place = store.folder_of(folder / "run", "shift")
    place.mkdir(parents=True)
    noted = {"status": "running", "done": 3, "total": 12, "message": "", "pid": 1, "time": time.time()}
    (place / "progress.json").write_text(json.dumps(noted))
    now = manager.status(folder / "run", "shift")
    assert (now.state, now.share, now.ours) == ("running", 0.25, False)
    manager.cancel(folder / "run", "shift")  # a file's word is no reason to end a process
    app = open_page("experiments", folder, experiment="shift")
    assert not [button for button in app.button if button.key in ("cancel", "start")]


def test_the_button_starts_what_the_form_says(
    open_page: Open, folder: Path, manager: jobs.JobManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(
        jobs.JobManager, "start", lambda self, run, name, arguments: started.append(arguments) or True
    )
    app = open_page("experiments", folder, experiment="risk-coverage")
    app.number_input(key="risk-coverage_windows").set_value(300).run()
    app.button(key="start").click().run()
    assert started == [
        jobs.command((folder / "run").resolve(), "risk-coverage", {"windows": 300, "draws": 16}, "test")
    ]


def test_the_page_does_not_hide_the_package(open_page: Open, folder: Path) -> None:
    """The page's file is called as the package is: every page still finds the package."""
    for page in ("experiments", "health", "experiments"):
        assert not open_page(page, folder).exception
    assert sys.modules["probes"].__file__ == str(jobs.options.ROOT / "probes" / "__init__.py")


def test_sequences_are_offered_what_takes_them(
    open_page: Open, tmp_path: Path, manager: jobs.JobManager
) -> None:
    torch = pytest.importorskip("torch")
    from vdn.held import traverse_sequence
    from vdn.sequence import SequentialNetwork
    from vdn.sequence_data import text_task

    letters = tmp_path / "letters.txt"
    letters.write_text("to be or not to be\n" * 30)
    task = text_task(letters, 16, 4, "0.8,0.1,0.1")
    torch.manual_seed(0)
    network = SequentialNetwork(task.outputs, layers=2, neurons=6).eval()
    x = task.beginning("validation", 16).x[0]
    run = write_sequence(tmp_path / "runs" / "run")
    found = traverse_sequence(network, task, x, [4, 9], [(1, 2)], 2, 0)
    store.save(run, "traversal", found, {"experiment": "traversal", "draws": 2})
    app = open_page("experiments", tmp_path / "runs", experiment="traversal")
    assert not app.error
    assert len(app.get("plotly_chart")) == 2
    offered = next(one for one in app.segmented_control if one.label == "Experiment")
    assert [one.split()[0] for one in offered.options] == ["Ablation", "Traversal", "Generation"]
