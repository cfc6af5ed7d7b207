"""The page Persistence, on neurons whose slopes are known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forecasting import SERIES_STRIDE, write_forecasting
from planted import write_run
from shown import cards, figures, numbers, texts
from streamlit.testing.v1 import AppTest

from probes import Recorder, Run
from probes.analysis import posteriors
from probes.diagnostics import half_life

Open = Callable[..., AppTest]
SLOPE = ("persistence", "persistence_low", "persistence_high", "phi")
SAMPLE_RUNS = Path(__file__).parents[2] / "sample_runs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("persistence")
    write_forecasting(folder / "ar", phi=0.7)
    write_forecasting(folder / "plain")
    return folder


def layouts(app: AppTest) -> str:
    return "\n".join(json.dumps(figure["layout"], ensure_ascii=False) for figure in figures(app))


def test_planted_faults_are_found_and_lead_to_their_neuron(open_page: Open, folder: Path) -> None:
    app = open_page("persistence", folder, run="ar")
    found = cards(app)
    assert found["Stuck"]["value"] == "2"  # neuron 0 of both layers
    assert found["Jittery"]["value"] == "2"
    table = app.dataframe[0].value
    assert table["neuron"].tolist() == ["1:0", "1:1", "2:0", "2:1"]
    assert table["fault"].tolist() == ["stuck", "jittery"] * 2
    assert "KL above its floor (nats)" in layouts(app)


def test_the_half_life_is_in_positions_of_the_data(open_page: Open, folder: Path) -> None:
    rows = Run(folder / "plain").at(60)
    expected = float(half_life(rows["persistence"].median(), SERIES_STRIDE))
    found = cards(open_page("persistence", folder, run="plain"))
    assert "Half-life" not in found  # no sequence of which it could be measured
    assert float(found["Half-life if AR(1)"]["value"]) == pytest.approx(expected, rel=0.01)


def test_the_measured_half_life_stands_before_the_formulas(open_page: Open) -> None:
    app = open_page("persistence", SAMPLE_RUNS, run="healthy")
    labels = list(cards(app))
    assert labels.index("Half-life") < labels.index("Half-life if AR(1)")
    found = cards(app)
    assert re.fullmatch(r"pairs 24 t apart; neighbours [\d.]+ t", found["Half-life if AR(1)"]["note"])
    # over the whole training split the neurons' own half-lives have a median of 6 to 7
    assert 4 <= float(found["Half-life"]["value"]) <= 8
    assert "measured over the probe sequence" in texts(app)


def test_autocorrelation_is_that_of_the_stored_sequence(open_page: Open, folder: Path) -> None:
    app = open_page("persistence", SAMPLE_RUNS, run="healthy")
    figure = next(figure for figure in figures(app) if "lag (t)" in str(figure["layout"]))
    run = Run(SAMPLE_RUNS / "healthy")
    name = figure["data"][0]["name"].split()[0]
    rows = (
        run.probe(int(run.probe_steps()[-1]))
        .query(f"layer == 0 and neuron == {name.removeprefix('1:')}")
        .sort_values("input")
    )
    mu = rows["mu"].to_numpy(float)[-run.config["probe_sequence"] :]
    drawn = numbers(figure["data"][0]["y"])
    expected = posteriors.unbiased_autocorrelation(mu[:, None])[0]
    assert drawn == pytest.approx(expected, abs=1e-4)
    assert "none is stored" in texts(open_page("persistence", folder, run="plain"))


def test_a_split_is_judged_by_blocks_of_time_or_not_at_all(open_page: Open, tmp_path: Path) -> None:
    names = {"blocks": {"persistence_blocks": 30.0}, "pairs": {}}
    for name, further in names.items():
        write_forecasting(tmp_path / name, phi=0.7)
        with Recorder.resume(tmp_path / name, 60) as recorder:
            rows = Run(tmp_path / name).at(60, 0)
            columns = {key: rows[key].to_numpy() for key in SLOPE}
            blocks = {key: [value] * len(rows) for key, value in further.items()}
            recorder.evaluation(60, "test", 0, kl=rows["kl"], **columns, **blocks)
    source = "test split, step 60"
    app = open_page("persistence", tmp_path, run="blocks")
    app.selectbox(key="measured_on").select(source).run()
    assert cards(app)["Stuck"]["value"] == "1"
    assert "30 blocks of two horizons" in texts(app)
    app = open_page("persistence", tmp_path, run="pairs")
    app.selectbox(key="measured_on").select(source).run()
    assert not {"Stuck", "Jittery", "Carry over"} & set(cards(app))
    assert "evaluated without blocks of time" in texts(app)
    assert f"{source}: no interval" in texts(app)


def test_a_prior_that_does_not_look_back_has_no_faults(open_page: Open, folder: Path) -> None:
    app = open_page("persistence", folder, run="plain")
    assert not app.dataframe
    assert "Stuck" not in cards(app)
    assert "no such prior" in texts(app)


def test_a_run_without_persistence_says_why(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "rows", steps=10, neurons=4, drop=("persistence",))
    app = open_page("persistence", tmp_path)
    assert "needs an order in the data" in app.info[0].value
    assert not app.get("plotly_chart")


@pytest.mark.parametrize(
    "shape",
    [
        {"steps": 1},
        {"layers": 1, "neurons": 1},
        {"layers": 16, "neurons": 3},
        {"neurons": 700, "steps": 4},
        {"names": ["<b>", "$x$", "[a](b)"]},
    ],
    ids=lambda shape: "-".join(shape),
)
def test_any_shape_of_run(open_page: Open, tmp_path: Path, shape: dict[str, Any]) -> None:
    write_run(tmp_path / "odd", **{"neurons": 6, "steps": 20, **shape})
    app = open_page("persistence", tmp_path)
    assert not app.error
    assert "stride" in texts(app)  # these runs do not say it
    assert ("of 700 neurons" in texts(app)) == (shape.get("neurons") == 700)
    for chart in app.get("plotly_chart"):
        assert chart.proto.alt


def test_links_to_what_is_not_there_say_so(open_page: Open, folder: Path) -> None:
    assert "layer 9" in open_page("persistence", folder, run="ar", layer="layer 9").warning[0].value.replace(
        "\\", ""
    )
