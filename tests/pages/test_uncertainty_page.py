"""The page Uncertainty, on forecasts that are known to be calibrated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecasting import HORIZON, INPUTS, STEPS, forecasts, write_forecasting
from planted import write_run
from shown import figures, numbers, texts
from streamlit.testing.v1 import AppTest

from probes import Recorder

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and its deterministic twin."""
    folder = tmp_path_factory.mktemp("uncertainty")
    write_forecasting(folder / "run")
    write_forecasting(folder / "twin", twin=True)
    return folder


def figure(app: AppTest, axis_title: str) -> dict[str, Any]:
    """The figure with an axis of this title."""
    found = [
        f
        for f in figures(app)
        if any(axis_title in str(a.get("title")) for k, a in f["layout"].items() if "axis" in k)
    ]
    assert len(found) == 1
    return found[0]


def test_everything_is_there_with_titles_and_alternatives(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="run")
    assert not app.warning
    for chart in app.get("plotly_chart"):
        assert chart.proto.alt
    for title in ("t ahead", "target²", "PIT", "coverage", "posterior sd (prior sd)"):
        assert any(title in json.dumps(f["layout"], ensure_ascii=False) for f in figures(app)), title


def test_forecasts_are_those_of_the_chosen_inputs_and_steps(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="run", inputs="7,2", steps="4,60")
    drawn = figure(app, "t ahead")
    assert [a["text"] for a in drawn["layout"]["annotations"]] == ["step 4", "step 60"]
    means = [trace for trace in drawn["data"] if trace.get("name") == "mean"]
    assert len(means) == 2
    table = forecasts(4, 0.25)
    expected = table[table["input"] == 7]["mean"]
    np.testing.assert_allclose(numbers(means[0]["y"])[:HORIZON], expected, rtol=1e-5)


def test_the_first_choice_runs_from_calm_to_uncertain(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="run")
    chosen = app.multiselect(key="choose_inputs").value
    assert chosen == [0, 6, INPUTS - 1]  # the widths grow with the input's number
    app.multiselect(key="choose_inputs").set_value([3]).run()
    assert app.query_params["inputs"] in ("3", ["3"])


def test_the_twin_stands_beside_the_run_until_it_is_switched_off(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="run")
    assert any(trace.get("name") == "twin, mean" for trace in figure(app, "t ahead")["data"])
    table = app.dataframe[0].value
    assert table.index.tolist() == ["this run", "twin", "last value"]
    assert table["CRPS (target's unit)"].tolist() == [0.4, 0.4, 0.7]
    app.sidebar.toggle(key="beside").set_value(False).run()
    assert not any("twin" in str(trace.get("name")) for f in figures(app) for trace in f["data"])


def test_differences_to_the_twin_are_over_the_whole_test(open_page: Open, tmp_path: Path) -> None:
    """From what is stored of each origin; marginal NLL beside joint."""
    random = np.random.default_rng(3)
    base = random.normal(size=200)
    for name, gain in (("run", -0.5), ("twin", 0.0)):
        write_forecasting(tmp_path / name, twin=name == "twin")
        with Recorder.resume(tmp_path / name, STEPS[-1]) as recorder:
            scores = {
                score: base + gain + 0.1 * random.normal(size=200) for score in ("nll_joint", "nll_marginal")
            }
            recorder.origin_scores(STEPS[-1], "test", range(200), base, HORIZON, **scores)
    app = open_page("uncertainty", tmp_path, run="run")
    table = app.dataframe[1].value
    assert table["score"].tolist() == ["NLL (nats)", "marginal NLL (nats)"]
    assert table["difference"].tolist() == pytest.approx([-0.5, -0.5], abs=0.05)
    assert table["verdict"].tolist() == ["lower", "lower"]
    assert "200 origins of the test split in 10 blocks of time, one training each" in texts(app)


def test_validation_stands_against_training_beside_the_twin(open_page: Open, tmp_path: Path) -> None:
    """The twin is worse after its best step, this run is best at its end."""
    for name in ("run", "twin"):
        write_forecasting(tmp_path / name, twin=name == "twin")
        with Recorder.resume(tmp_path / name, STEPS[-1]) as recorder:
            for step in STEPS:
                recorder.scalar(step, "nll_joint", 0.5, split="train")
                recorder.scalar(step, "loss", 9.0, split="train")
            if name == "twin":
                recorder.scalar(STEPS[-1] + 1, "nll_joint", 0.8, split="validation")
                recorder.scalar(STEPS[-1] + 1, "nll_joint", 0.3, split="train")
    app = open_page("uncertainty", tmp_path, run="run")
    drawn = next(f for f in figures(app) if any("training" in str(t.get("name")) for t in f["data"]))
    marks = {t["name"]: t["text"] for t in drawn["data"] if t.get("mode") == "markers+text"}
    assert marks == {"this run, best validation": ["step 60"], "twin, best validation": ["step 60"]}
    said = texts(app)
    assert "This run: best at step 60, the last validation" in said
    assert (
        "Twin: best at step 60, +0.783 nats since; at the end validation is 0.500 nats above training" in said
    )
    assert "Training is what batches logged" not in said


def test_without_scores_by_origin_the_remedy_is_named(open_page: Open, folder: Path) -> None:
    said = texts(open_page("uncertainty", folder, run="run"))
    assert "vdn evaluate RUN" in said
    assert "by the Gaussian of its mean and variance" in said


def test_a_twin_shows_its_forecasts_and_says_that_it_has_no_neurons(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="twin")
    assert "holds no distributions" in app.info[-1].value
    assert any("t ahead" in json.dumps(f["layout"], ensure_ascii=False) for f in figures(app))


def test_a_link_to_inputs_that_are_not_there_says_so(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="run", inputs="7,999,x", steps="5")
    assert len(app.warning) == 2
    assert app.multiselect(key="choose_inputs").value == [7]


@pytest.mark.parametrize(
    "shape",
    [
        {"steps": 1},
        {"layers": 1, "neurons": 1},
        {"layers": 16, "neurons": 3},
        {"broken_at": 3},
        {"names": ["<b>", "$x$", "[a](b)"]},
    ],
    ids=lambda shape: "-".join(shape),
)
def test_a_run_without_forecasts_shows_its_neurons_and_says_why(
    open_page: Open, tmp_path: Path, shape: dict[str, Any]
) -> None:
    write_run(tmp_path / "odd", **{"neurons": 6, "steps": 20, **shape})
    app = open_page("uncertainty", tmp_path)
    assert "calibration cannot be told" in texts(app)
    assert any("entropy (nats)" in json.dumps(f["layout"], ensure_ascii=False) for f in figures(app))


def test_a_run_of_scores_alone(open_page: Open, tmp_path: Path) -> None:
    with Recorder(tmp_path / "scores", [{"name": "layer 1", "neurons": 4}]) as recorder:
        recorder.scalar(3, "accuracy", 0.5, split="validation")
    app = open_page("uncertainty", tmp_path)
    assert len(figures(app)) == 1
    assert "no distributions" in texts(app)


@pytest.mark.parametrize(
    ("step", "said"), [(None, "at the end"), (1200, "with the best weights by validation, after 1,200 steps")]
)
def test_scores_of_the_test_say_whose_weights_they_are(
    open_page: Open, tmp_path: Path, step: int | None, said: str
) -> None:
    with Recorder(tmp_path / "scores", [{"name": "layer 1", "neurons": 4}]) as recorder:
        recorder.scalar(3, "mse", 0.5, split="test")
        if step is not None:
            recorder.scalar(3, "weights_step", step, split="test")
    app = open_page("uncertainty", tmp_path)
    assert any(f"**Scores of the test split** · {said}" in block.value for block in app.markdown)


def test_steps_shown_at_first_end_at_the_cursor(open_page: Open, folder: Path) -> None:
    drawn = figure(open_page("uncertainty", folder, run="run", step="20"), "t ahead")
    assert [a["text"] for a in drawn["layout"]["annotations"]] == [f"step {s}" for s in STEPS if s <= 20]


def test_bands_are_called_what_they_are(open_page: Open, folder: Path) -> None:
    """The planted run's observations are Gaussian, those of the sample run Student's t."""
    samples = Path(__file__).resolve().parents[2] / "sample_runs"
    for where, run, law in ((folder, "run", "a Gaussian"), (samples, "healthy", "Student's t")):
        said = texts(open_page("uncertainty", where, run=run))
        assert f"bands are those of {law} with the mixture's mean and variance" in said
