"""Rate, distortion and weight of the KL on the page Health: of what a run has logged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from shown import figures
from streamlit.testing.v1 import AppTest

import probes

Open = Callable[..., AppTest]


def write(folder: Path, config: dict[str, Any], **curves: float | np.ndarray) -> None:
    """Twenty steps of three neurons, with scalars of training."""
    with probes.Recorder(folder, [{"name": "z", "neurons": 3}], config) as recorder:
        for step in range(20):
            ones = np.ones(3)
            recorder.record(step, "z", mean=0 * ones, variance=0.5 * ones, spread=0.5 * ones, kl=0.1 * ones)
            for name, values in curves.items():
                value = float(np.broadcast_to(values, 20)[step])
                recorder.scalar(step, name, value, split="train")


def titles(app: AppTest) -> list[str]:
    return [element.value for element in app.markdown]


def captions(app: AppTest) -> str:
    return "\n".join(element.value for element in app.caption)


def plane(app: AppTest) -> dict[str, Any]:
    [found] = [one for one in figures(app) if "Distortion against rate" in one["layout"]["meta"]["alt"]]
    return found


def test_a_run_that_logs_its_parts_has_its_way_and_its_line(open_page: Open, tmp_path: Path) -> None:
    curve = np.linspace(30, 20, 20)
    write(tmp_path / "run", {}, loss=curve, distortion=curve, rate=np.linspace(0, 5, 20), beta=0.5)
    app = open_page("health", tmp_path, run="run")
    assert any("Weight, rate and distortion" in one and "as logged" in one for one in titles(app))
    found = plane(app)
    assert "distortion (as logged)" in str(found["layout"]["yaxis"]["title"])
    assert any("0.5 × rate" in str(trace.get("name")) for trace in found["data"])


def test_a_run_that_logs_its_loss_alone_has_none(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path / "run", {"watch": {"model": "VAE"}, "beta": 4.0}, loss=np.linspace(30, 20, 20))
    app = open_page("health", tmp_path, run="run")
    assert not any("Weight, rate" in one for one in titles(app))


def test_a_weight_without_a_distortion_says_how_to_log_it(open_page: Open, tmp_path: Path) -> None:
    write(tmp_path / "run", {}, loss=np.linspace(30, 20, 20), beta=np.linspace(0, 1, 20))
    app = open_page("health", tmp_path, run="run")
    assert any("β as logged" in one for one in titles(app))
    assert "The distortion was not logged: log it, such as" in captions(app)
    assert not any("Distortion against rate" in one["layout"]["meta"]["alt"] for one in figures(app))


def test_runs_of_the_same_data_stand_beside_it(open_page: Open, tmp_path: Path) -> None:
    config = {"data": "nyc", "horizon": 24, "beta": 0.1}
    for number, data in enumerate(("nyc", "nyc", "nyc", "other")):
        logged = {"nll": 0.8 - 0.1 * number, "rate": np.linspace(0, 5 + number, 20)}
        write(tmp_path / f"run{number}", config | {"data": data, "seed": number}, **logged)
    app = open_page("health", tmp_path, run="run0")
    found = plane(app)
    [ends] = [trace for trace in found["data"] if trace.get("name") == "ends of other runs"]
    assert sorted(ends["customdata"]) == ["run1", "run2"]
    assert "2 other runs" in captions(app)
    assert "nats an example" in str(found["layout"]["yaxis"]["title"])
    compared = plane(open_page("health", tmp_path, run="run0", vs="run2"))
    assert any(trace.get("name") == "run2" for trace in compared["data"])
