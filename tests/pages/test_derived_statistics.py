"""Derived statistics on pages: offered where stored ones are, and one number wherever they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shown import figures, numbers
from streamlit.testing.v1 import AppTest

import probes
from probes.analysis import posteriors

NEURONS, STEPS = 5, 40
SAMPLE_RUNS = Path(__file__).parents[2] / "sample_runs"


@pytest.fixture
def wide_prior(tmp_path: Path) -> Path:
    """Posteriors of variance 1 under a prior of variance 4 and mean 0, remembered at a slope of one half."""
    shape = (STEPS, NEURONS)
    values = {"mean": 0.0, "whitened_mean": 0.0, "variance": 1.0, "prior_variance": 4.0, "spread": 2.0}
    information = 0.5 * np.log((0.25 + 0.5) / 0.25)
    mismatch = 0.5 * (0.75 - 1 - np.log(0.75))
    values |= {"information": information, "mismatch": mismatch, "kl": information + mismatch}
    values |= {"persistence": 0.5}
    with probes.Recorder(tmp_path / "wide", [{"name": "z", "neurons": NEURONS}], {"stride": 24}) as recorder:
        steps = np.arange(1, STEPS + 1)
        recorder.record_block(steps, 0, {name: np.full(shape, value) for name, value in values.items()})
    return tmp_path


Open = Callable[..., AppTest]


def text_of(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption))


def test_layers_offers_them_and_a_chosen_cell_has_the_neurons_own_number(
    open_page: Open, wide_prior: Path
) -> None:
    app = open_page("layers", wide_prior, run="wide", statistic="contraction", neurons="0.2")
    offered = next(box for box in app.selectbox if box.label == "Statistic").options
    assert {"Contraction", "Half-life if AR(1)"} <= set(offered)
    assert "Contraction **0.75**" in text_of(app)
    app = open_page("layers", wide_prior, run="wide", statistic="half_life", neurons="0.2")
    assert "Half-life if AR(1) **24**" in text_of(app)


def test_neurons_finds_by_them(open_page: Open, wide_prior: Path) -> None:
    app = open_page("neurons", wide_prior, run="wide")
    app.text_input(key="write_find").set_value("contraction>0.7 half_life<30 sort:-half_life").run()
    assert not app.exception
    [table] = [frame.value for frame in app.dataframe if "contraction" in frame.value]
    assert table["contraction"].tolist() == [0.75] * NEURONS
    assert table["half_life"].tolist() == [24.0] * NEURONS


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    """Two layers; the second has its share from the input at steps 1, 20 and 40, as a probe batch has."""
    layers = [{"name": name, "neurons": NEURONS} for name in ("first", "second")]
    plain = {"mean": 0.0, "variance": 0.5, "spread": 0.5, "information": 0.3, "mismatch": 0.0, "kl": 0.3}
    with probes.Recorder(tmp_path / "probed", layers) as recorder:
        for step in range(1, STEPS + 1):
            for layer in (0, 1):
                values = {name: np.full(NEURONS, value) for name, value in plain.items()}
                if layer == 1 and step in (1, 20, 40):
                    values["share_from_input"] = np.linspace(0.2, 0.6, NEURONS) + step / 100
                recorder.record(step, layer, **values)
    return tmp_path


def test_what_is_taken_at_some_steps_is_drawn_there(open_page: Open, probed: Path) -> None:
    app = open_page("layers", probed, statistic="share_from_input", layer="second", neurons="1.0", step="20")
    assert "Share from input **0.4**" in text_of(app)
    [bands] = [figure for figure in figures(app) if "Share from input" in str(figure["layout"])][-1:]
    [line] = [trace for trace in bands["data"] if trace.get("name") == "median" and len(numbers(trace["x"]))]
    assert numbers(line["x"]).tolist() == [1, 20, 40]
    np.testing.assert_allclose(numbers(line["y"]), [0.41, 0.6, 0.8], rtol=1e-5)
    empty = open_page("layers", probed, statistic="share_from_input", layer="first")
    assert not empty.exception


def test_the_probe_batch_speaks_on_layers_and_neurons_and_is_searched(open_page: Open) -> None:
    run = probes.Run(SAMPLE_RUNS / "healthy")
    step = int(run.probe_steps()[-1])
    mu, sigma = posteriors.table(posteriors.split_inputs(run.probe(step), run.config).spread, 0)
    told = posteriors.mutual_information(mu, sigma)
    app = open_page("layers", SAMPLE_RUNS, run="healthy")
    [depth] = [figure for figure in figures(app) if "Mutual information (nats)" in str(figure["layout"])]
    titles = {
        key.replace("axis", ""): value["title"]["text"]
        for key, value in depth["layout"].items()
        if key.startswith("yaxis")
    }
    dots = {titles[trace["yaxis"]]: trace for trace in depth["data"] if trace.get("name") == "median"}
    drawn = numbers(dots["Mutual information (nats)"]["y"])[0]
    assert drawn == pytest.approx(np.median(told.value), rel=1e-4)
    assert "Drift (prior sd²)" in str(depth["layout"])

    best = int(np.argmax(told.value))
    app = open_page("neurons", SAMPLE_RUNS, run="healthy", pin=f"healthy:0:{best}", detail="Similar")
    [table] = [frame.value for frame in app.dataframe if "wasserstein2" in frame.value]
    assert {"mutual_information", "update_kl", "measured_half_life"} <= set(table)
    expected = f"≥ {told.value[best]:.2g}" if told.at_least[best] else f"{told.value[best]:.2g} ± "
    assert table["mutual_information"].iloc[0].startswith(expected)
    assert table["update_kl"].iloc[0] > 0, "since the stored step before, not this one"
    search = "layer:1 mutual_information>1 sort:-mutual_information"
    app.text_input(key="write_find").set_value(search).run()
    assert not app.exception
    found, *_ = [frame.value for frame in app.dataframe if "regime" in frame.value]
    assert len(found) == (told.value > 1).sum()
    assert found["neuron"].iloc[0] == f"1:{best}"


def test_a_run_without_a_probe_batch_says_nothing_of_it(open_page: Open, wide_prior: Path) -> None:
    for page in ("layers", "neurons"):
        assert "On the probe batch" not in text_of(open_page(page, wide_prior, run="wide"))
    app = open_page("neurons", wide_prior, run="wide")
    app.text_input(key="write_find").set_value("mutual_information>1").run()
    assert "unknown" in app.error[0].value
