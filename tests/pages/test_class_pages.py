"""Uncertainty of a classifier, a second run beside it, and orders of maps by regime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from planted import write_run
from shown import cards, figures, query, texts, unpack
from streamlit.testing.v1 import AppTest

from probes import Recorder, Run
from probes.schema import LIVING_REGIMES, SETTLED, absent_reason

Open = Callable[..., AppTest]
STEPS = (4, 9)


def write_classifier(folder: Path, sharpness: float) -> Path:
    """A run of three classes, calibrated at sharpness 1: answers are drawn from their probabilities."""
    random = np.random.default_rng(0)
    logits = 2 * random.standard_normal((800, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (random.uniform(size=(800, 1)) > p.cumsum(1)).sum(1)
    said = p**sharpness / (p**sharpness).sum(1, keepdims=True)
    with Recorder(folder, [{"name": "layer 1", "neurons": 3}], {"data": "made"}) as recorder:
        for step in range(10):
            recorder.record(step, 0, mean=[0, 0.5, 1], variance=[1, 0.5, 0.1], kl=[0, 0.3, 0.9])
        for step in STEPS:
            recorder.class_probabilities(step, said, y, conditional_entropy=np.zeros(800))
            recorder.scalar(step, "accuracy", (said.argmax(1) == y).mean(), split="validation")
            recorder.scalar(step, "brier", 0.3, split="validation")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    write_classifier(folder / "calibrated", 1.0)
    write_classifier(folder / "boasting", 3.0)
    return folder


def alts(app: AppTest) -> list[str]:
    return [chart.proto.alt for chart in app.get("plotly_chart")]


def test_a_classifier_shows_reliability_ece_and_entropies(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="calibrated")
    for words in ("Reliability diagram", "Expected calibration error", "Entropy of right", "Histogram of"):
        assert any(alt.startswith(words) for alt in alts(app)), words
    shown = cards(app)
    assert list(shown) == ["Accuracy", "Brier score", "ECE", "Overconfidence"]
    assert float(shown["ECE"]["value"]) < float(shown["ECE"]["note"].split()[-1])
    boasting = cards(open_page("uncertainty", folder, run="boasting"))
    assert float(boasting["ECE"]["value"]) > float(boasting["ECE"]["note"].split()[-1])
    assert float(boasting["Overconfidence"]["value"]) > 5


def test_what_is_shown_of_answers_says_its_own_step(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="calibrated", step="7")
    assert "answered at step 4" in texts(app)
    assert "validation, step 4" in texts(app)
    assert "answered at step" not in texts(open_page("uncertainty", folder, run="calibrated"))


def test_a_second_run_of_classes_is_drawn_over_the_first(open_page: Open, folder: Path) -> None:
    app = open_page("uncertainty", folder, run="calibrated", vs="boasting")
    named = {trace.get("name") for figure in figures(app) for trace in figure["data"]}
    assert {"this run", "boasting", "boasting, median", "boasting, wrong"} <= named


def test_classifiers_are_compared_on_the_same_examples(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, ticked="calibrated,boasting", view="compare")
    found = next(frame.value for frame in app.dataframe if "verdict" in frame.value).set_index("score")
    assert list(found.index) == ["NLL (nats)", "accuracy (share)"]
    assert found.loc["NLL (nats)", "verdict"] == "higher"  # boasting costs
    low, high = found.loc["accuracy (share)", ["from", "to"]]
    assert low < 0 < high, "they name the same classes"
    assert "512 answers to the same examples of the validation split" in texts(app)
    assert "has no interval against" not in texts(app)


def test_a_second_run_without_answers_says_so(open_page: Open, folder: Path, tmp_path: Path) -> None:
    write_classifier(tmp_path / "classes", 1.0)
    write_run(tmp_path / "planted", layers=1, neurons=4, steps=10)
    app = open_page("uncertainty", tmp_path, run="classes", vs="planted")
    assert "planted has no class probabilities" in texts(app)


def test_tiles_stand_in_order_of_regimes_when_asked(open_page: Open) -> None:
    assert unpack(open_page("health"), "regimes")[0]["sorted"] is False
    app = open_page("health", tiles="by regime")
    assert unpack(app, "regimes")[0]["sorted"] is True


def test_the_map_of_a_layer_is_sorted_by_regime(open_page: Open, run_folder: Path) -> None:
    app = open_page("layers", layer="layer 3", sort="regime")
    header, arrays = unpack(app, "heatmap")
    last = Run(run_folder / "planted").at(120, 2).set_index("neuron")[SETTLED]
    np.testing.assert_array_equal(arrays["settled"], last.loc[header["order"]])
    lives = np.isin(arrays["settled"], LIVING_REGIMES)
    assert (np.diff(lives.astype(int)) <= 0).all()
    assert (np.diff(arrays["settled"][~lives].astype(int)) >= 0).all()
    assert query(app, "sort") == "regime"


def test_empty_cells_are_explained(open_page: Open, tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", [{"name": "layer 1", "neurons": 2}]) as recorder:
        for step in range(6):
            more = {"persistence": [0.5, np.nan]}
            recorder.record(step, 0, mean=[0.1, 0.2], variance=[0.5, 0.5], kl=[0.2, 0.2], **more)
    app = open_page("layers", tmp_path, statistic="persistence", neurons="0.1")
    why = absent_reason("persistence")
    assert f"50 % of the cells are empty: {why}" in texts(app)
    assert f"no value: {why}" in texts(app)
    assert unpack(app, "heatmap")[0]["absent"]["cell"] == why


@pytest.mark.parametrize("page", ["health", "layers"])
def test_a_second_run_stands_beside_the_first(open_page: Open, tmp_path: Path, page: str) -> None:
    write_run(tmp_path / "one", neurons=5, steps=30)
    write_run(tmp_path / "two", layers=1, neurons=9, steps=20)
    app = open_page(page, tmp_path, run="one", vs="two")
    drawn = str(figures(app)) + texts(app)
    assert "two" in drawn


def test_a_living_share_is_red_only_after_the_warm_up(open_page: Open, tmp_path: Path) -> None:
    with Recorder(
        tmp_path / "run", [{"name": "layer 1", "neurons": 4}], config={"warmup_steps": 20}
    ) as recorder:
        for step in range(40):
            still = {"information": np.zeros(4), "spread": np.zeros(4)}
            recorder.record(step, 0, mean=np.zeros(4), variance=np.ones(4), kl=np.zeros(4), **still)
    shown = {step: cards(open_page("health", tmp_path, step=step)) for step in ("5", "30")}
    assert [shown[step]["Living neurons"]["bad"] for step in shown] == [False, True]
