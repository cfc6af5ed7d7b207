"""Runs of networks that are not ours: what they are of is said on every page, and what they lack is
explained.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from planted import write_run
from streamlit.testing.v1 import AppTest
from torch import nn

import probes
from pages.shell.session import state
from probes.experiments import store
from probes.inputs import png

Open = Callable[..., AppTest]
PAGES = [name for name, _, _ in state.PAGES if name != "reference"]  # which shows no run
WEIGHTS = "posteriors over weights, not activations"


class BayesianLinear(nn.Linear):
    """A Gaussian on each weight."""

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.weight_mu = nn.Parameter(torch.randn(4, 3))
        self.weight_log_sigma = nn.Parameter(torch.randn(4, 3) - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.weight_mu + self.weight_log_sigma.exp() * torch.randn(4, 3)).T


class VAE(nn.Module):
    """Two sibling layers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(3, 4), nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        return mu, logvar


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("foreign")
    torch.manual_seed(0)
    for name, model in {"weights": BayesianLinear(), "vae": VAE()}.items():
        with probes.watch(model, runs / name, config={"data": "theirs"}) as recording:
            for step in range(5):
                model(torch.randn(16, 3))
                recording.step(step, loss=1.0 / (step + 1))
    return runs


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("run", ["weights", "vae"])
def test_every_page_opens(open_page: Open, folder: Path, page: str, run: str) -> None:
    app = open_page(page, folder, run=run)
    assert not app.error
    said = [caption.value for caption in app.caption if WEIGHTS in caption.value]
    assert len(said) == int(run == "weights" and page != "runs")
    assert any("-badge[weights]" in text.value for text in app.markdown) == bool(said)


def test_the_unit_of_a_foreign_loss_is_not_made_up(open_page: Open, folder: Path) -> None:
    charts = open_page("health", folder, run="vae").get("plotly_chart")
    assert any("as the training loop logs it" in chart.proto.spec for chart in charts)
    assert not any("nats per prediction" in chart.proto.spec for chart in charts)


def test_what_is_not_there_says_how_it_would_be(open_page: Open, folder: Path) -> None:
    assert "Persistence was not recorded" in open_page("persistence", folder, run="vae").info[0].value
    said = open_page("uncertainty", folder, run="vae").caption
    assert any("Recorder.predictions" in caption.value for caption in said)
    app = open_page("experiments", folder, run="vae", experiment="shift")
    assert any("examples/digits_experiments.py" in caption.value for caption in app.caption)
    assert app.info[0].value == "Nothing is stored of this experiment yet."


def walked(outputs: int) -> dict[str, pd.DataFrame]:
    """A traversal of neuron 1 on two inputs."""
    keys = {"layer": [0], "neuron": [1], "input": [0, 1], "value": [-1.0, 0.0, 1.0], "output": range(outputs)}
    curves = pd.MultiIndex.from_product(keys.values(), names=keys).to_frame(index=False)
    own = pd.DataFrame({"layer": 0, "neuron": 1, "input": [0, 1], "mu": 0.1, "sigma": 0.5})
    return {"curves": curves.assign(mean=curves["value"] * curves["output"], sd=0.1), "posteriors": own}


@pytest.mark.parametrize(("image", "figures"), [([2, 3], 3), ("2 x 3", 2), (None, 2)])
def test_a_walked_prediction_is_an_image_where_it_is_one(
    open_page: Open, folder: Path, image: object, figures: int
) -> None:
    settings = {"experiment": "traversal", "inputs": 2} | ({} if image is None else {"image": image})
    store.save(folder / "vae", "traversal", walked(6), settings)
    app = open_page("experiments", folder, run="vae", experiment="traversal")
    assert not app.error
    assert len(app.get("plotly_chart")) == figures
    assert any("2 inputs" in caption.value for caption in app.caption)
    assert app.selectbox(key="traversal_output").value == (0 if image is None else 5)  # the last moves most


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("snapshots")
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    images = probes.Inputs(x, shown=torch.rand(40, 1, 8, 8))
    texts = probes.Inputs(x, shown=[f"text {i} <b>bold</b>" for i in range(40)])
    for name, inputs in {"images": images, "texts": texts, "rows": None}.items():
        probes.snapshot(VAE(), [x], runs / name, inputs=inputs)
    return runs


@pytest.mark.parametrize("page", PAGES)
def test_a_snapshot_has_every_page(snapshots: Path, open_page: Open, page: str) -> None:
    assert not open_page(page, folder=snapshots, run="images").exception


@pytest.mark.parametrize(("run", "told"), [("images", ""), ("texts", "<b>bold</b>"), ("rows", "[")])
def test_neurons_show_what_they_answer_to(snapshots: Path, open_page: Open, run: str, told: str) -> None:
    at = open_page("neurons", folder=snapshots, run=run, detail="Inputs")
    assert not at.exception
    assert any("What it answers to" in one.value for one in at.markdown)
    if told:
        table = next(frame.value for frame in at.dataframe if "content" in frame.value)
        assert table["content"].str.contains(told, regex=False).all()
    else:
        specs = [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]
        sources = [i["source"] for spec in specs for i in spec["layout"].get("images", ())]
        assert len(sources) == 32
        assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_what_a_decoder_made_stands_on_neurons_and_experiments(open_page: Open, tmp_path: Path) -> None:
    content = base64.b64encode(png(np.zeros((4, 4, 1), np.uint8))).decode()
    write_run(tmp_path / "run")
    rows = [(0, neuron, value, "image", content) for neuron in (2, 3) for value in (-3.0, 0.0, 3.0)]
    contents = pd.DataFrame(rows, columns=["layer", "neuron", "value", "kind", "content"])
    store.save(tmp_path / "run", store.DECODED, {"contents": contents}, {"experiment": store.DECODED})
    for page, query, images in (
        ("neurons", {"neurons": "1:3", "detail": "Inputs"}, 3),
        ("experiments", {"experiment": "decoded"}, 6),
    ):
        app = open_page(page, tmp_path, **query)
        drawn = [
            json.loads(chart.proto.spec)["layout"].get("images", ()) for chart in app.get("plotly_chart")
        ]
        assert max(map(len, drawn)) == images


@pytest.mark.parametrize("page", [name for name, *_ in state.PAGES])
def test_a_watch_that_recorded_nothing_says_why(open_page: Open, tmp_path: Path, page: str) -> None:
    why = "the posterior of encoder is a Laplace, no Gaussian"
    with probes.Recorder(
        tmp_path / "none", [], config={"watch": {"model": "VAE", "refused": [why]}}
    ) as recorder:
        for step in range(5):
            recorder.scalar(step, "loss", 1 / (step + 1))
    app = open_page(page, tmp_path, run="none")
    if page not in ("runs", "reference"):
        assert [why in warning.value for warning in app.warning] == [True]


@pytest.mark.parametrize("page", PAGES)
def test_a_run_of_nothing_but_nan_has_every_page(open_page: Open, tmp_path: Path, page: str) -> None:
    with probes.Recorder(tmp_path / "nan", [{"name": "z", "neurons": 4}]) as recorder:
        for step in range(12):
            recorder.record(
                step,
                "z",
                **{name: np.full(4, np.nan) for name in ("mean", "variance", "spread", "kl", "information")},
            )
            recorder.scalar(step, "loss", np.nan)
    app = open_page(page, tmp_path, run="nan")
    assert not app.exception
