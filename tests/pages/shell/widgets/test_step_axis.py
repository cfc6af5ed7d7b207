"""The axis, the range and the smoothing that all figures over steps share, kept over pages in the URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecasting import write_forecasting
from planted import write_run
from probed import write_probed
from shown import figures, numbers, query, texts, unpack
from streamlit.testing.v1 import AppTest

from probes import Recorder, Run

Open = Callable[..., AppTest]
PAGES = ("health", "layers", "neurons", "uncertainty", "persistence")
PER_EPOCH = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`epochs` has six epochs over 120 steps, `none` has none."""
    folder = tmp_path_factory.mktemp("axes")
    write_run(folder / "none", seed=1)
    write_run(folder / "epochs")
    with Recorder.resume(folder / "epochs", 120) as recorder:
        recorder.scalar(0, "lr", 0.1, epoch=0)
        for epoch in range(1, 6):
            recorder.scalar(epoch * PER_EPOCH, "lr", 0.1, epoch=epoch)
    return folder


def over_steps(app: AppTest, title: str) -> list[dict[str, Any]]:
    """Figures whose lowest horizontal axes have this title."""
    return [
        f
        for f in figures(app)
        if any(title == (f["layout"][k].get("title") or {}).get("text") for k in f["layout"] if "xaxis" in k)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_with_steps_lies_along_epochs(open_page: Open, folder: Path, page: str) -> None:
    app = open_page(page, folder, run="epochs", axis="epoch", step="60")
    assert not app.warning
    found = over_steps(app, "epoch")
    assert found
    assert not over_steps(app, "step")
    for figure in found:
        drawn = np.concatenate(
            [numbers(trace["x"]) for trace in figure["data"] if trace.get("x") is not None]
        )
        assert drawn.min() >= 0
        assert drawn.max() <= 121 / PER_EPOCH
        marks = {
            shape["x0"]
            for shape in figure["layout"]["shapes"]
            if shape["x0"] == shape["x1"] and shape["type"] == "line"
        }
        assert marks == {3}
    app.sidebar.segmented_control(key="choose_axis").set_value("time").run()
    assert query(app, "axis") == "time"
    assert over_steps(app, "training time (s)")


def test_a_run_without_epochs_says_so(open_page: Open, folder: Path) -> None:
    app = open_page("layers", folder, run="none", axis="epoch")
    control = app.sidebar.segmented_control(key="choose_axis")
    assert control.options == ["step", "log", "time"]
    assert "carry no epochs" in control.help
    assert "epoch" in app.warning[0].value
    neurons = open_page("neurons", folder, run="epochs", pin="epochs:0:1,none:0:1")
    assert neurons.sidebar.segmented_control(key="choose_axis").options == ["step", "log", "time"]


@pytest.mark.parametrize("page", PAGES)
def test_the_range_is_kept_over_pages_and_cuts_all_figures(open_page: Open, folder: Path, page: str) -> None:
    app = open_page(page, folder, run="epochs", **{"from": "30", "to": "50"})
    assert app.sidebar.slider(key="choose_span_1_120").value == (30, 50)
    for figure in over_steps(app, "step"):
        drawn = [numbers(trace["x"]) for trace in figure["data"] if trace.get("x") is not None]
        assert all(x.min() >= 29.5 and x.max() <= 51 for x in drawn if x.size)
        assert not [shape for shape in figure["layout"].get("shapes", ()) if shape["x0"] == 120]
    app.switch_page("pages/layers.py").run()
    assert app.sidebar.slider(key="choose_span_1_120").value == (30, 50)
    assert unpack(app, "heatmap")[0]["edges"] == list(range(30, 52))
    app.sidebar.button(key="show_all_steps").click().run()
    assert app.sidebar.slider(key="choose_span_1_120").value == (1, 120)
    assert "from" not in app.query_params
    assert "to" not in app.query_params


def test_the_range_reaches_out_to_recorded_steps(open_page: Open, tmp_path: Path) -> None:
    with Recorder(tmp_path / "sparse", [{"name": "a", "neurons": 2}]) as recorder:
        for step in range(0, 101, 20):
            recorder.record(step, 0, mean=np.zeros(2), variance=np.full(2, 0.5))
    app = open_page("layers", tmp_path, **{"from": "45", "to": "52"})
    assert unpack(app, "heatmap")[0]["edges"] == [40, 60, 61]


def drawn_over() -> None:
    """A page that is told of a range dragged over the third panel of a figure whose panels have two
    clocks.
    """
    import numpy as np
    import streamlit as st

    from pages.shell.widgets import step_axis
    from probes.figures.clock import Clock

    slow = Clock("epoch", np.array([0, 100]), np.array([0.0, 1.0]))
    fast = Clock("epoch", np.array([0, 100]), np.array([0.0, 10.0]))
    for number, along, panel in ((1, [fast, slow, fast], "x2"), (2, ["log"], "x4"), (3, ["linear"], "x")):
        key = f"figure {number}"
        st.session_state[key] = {
            "selection": {"box": [{"xref": panel, "x": [0.905, 0.204] if number == 1 else [400.2, 7.9]}]}
        }
        step_axis.brushed(key, (0, 100), along)
        st.text(f"{st.query_params.get('from')} {st.query_params.get('to')}")
    st.session_state["nothing"] = {"selection": {"box": []}}
    step_axis.brushed("nothing", (0, 100), ["linear"])
    st.text(f"{st.query_params.get('from')} {st.query_params.get('to')}")


def test_a_range_that_is_dragged_over_a_figure_is_of_that_panels_steps() -> None:
    app = AppTest.from_function(drawn_over).run()
    assert not app.exception
    assert [text.value for text in app.text] == ["20 91", "7 None", "7 None", "7 None"]


@pytest.mark.parametrize("page", ["health", "neurons"])
def test_smoothing_is_off_until_it_is_asked_for(open_page: Open, folder: Path, page: str) -> None:
    def lines(app: AppTest) -> list[dict[str, Any]]:
        figure = next(
            one
            for one in figures(app)
            if (
                "train loss" in [trace.get("name") for trace in one["data"]]
                if page == "health"
                else "Information" in str(one["layout"]["yaxis"])
            )
        )
        return [trace for trace in figure["data"] if trace.get("mode") == "lines"]

    query = {"run": "epochs", "statistic": "information", "pin": "epochs:0:1"}
    app = open_page(page, folder, **query)
    plain = lines(app)
    app.selectbox(key="choose_smooth").set_value("10").run()
    raw, smoothed = lines(app)[:2]
    assert len(lines(app)) == 2 * len(plain)
    np.testing.assert_array_equal(numbers(raw["y"]), numbers(plain[0]["y"]))
    assert raw["opacity"] < 1
    assert np.abs(np.diff(numbers(smoothed["y"]), 2)).sum() < np.abs(np.diff(numbers(raw["y"]), 2)).sum()
    assert "half-life 10 steps" in app.selectbox(key="choose_smooth").options


def test_together_has_a_log_axis_where_values_are_positive(open_page: Open, folder: Path) -> None:
    app = open_page("neurons", folder, run="epochs", pin="epochs:0:1", statistic="variance")
    scale = app.segmented_control(key="choose_scale")
    assert scale.options == ["linear", "log"]
    scale.set_value("log").run()
    assert figures(app)[0]["layout"]["yaxis"]["type"] == "log"
    signed = open_page("neurons", folder, run="epochs", pin="epochs:0:0,epochs:0:1", statistic="mean")
    assert signed.segmented_control(key="no_scale").disabled
    bands = open_page("layers", folder, run="epochs", statistic="mean", scale="log")
    assert "the axis stays linear" in texts(bands)
    for fine in ({"statistic": "kl", "scale": "log"}, {"statistic": "mean"}):
        assert "stays linear" not in texts(open_page("layers", folder, run="epochs", **fine))


def test_the_twin_stands_beside_in_its_own_time(open_page: Open, tmp_path: Path) -> None:
    write_forecasting(tmp_path / "run")
    write_forecasting(tmp_path / "twin", twin=True)
    app = open_page("uncertainty", tmp_path, run="run", axis="time")
    assert not app.warning
    scores = next(f for f in over_steps(app, "training time (s)") if "coverage" in str(f["layout"]))
    told = Run(tmp_path / "twin").scalars()
    last = told[(told["split"] == "validation") & (told["step"] == told["step"].max())]["time"]
    twin = next(trace for trace in scores["data"] if trace.get("name") == "twin")
    # one step's numbers are written one after the other, on a busy machine far apart
    assert 0.95 * last.min() <= numbers(twin["x"])[-1] <= 1.05 * last.max()


def test_runs_side_by_side_have_their_own_time(open_page: Open, tmp_path: Path) -> None:
    write_probed(tmp_path / "one")
    write_probed(tmp_path / "two", seed=1)
    for name, pace in (("one", 1), ("two", 3)):
        with Recorder.resume(tmp_path / name, 40) as recorder:
            for step in (0, 20, 40):
                recorder.scalar(step, "lr", 0.1, epoch=step / 20 * pace)
    app = open_page("neurons", tmp_path, run="one", pin="one:0:1,two:0:1", axis="epoch")
    means = [trace for trace in figures(app)[2]["data"] if trace.get("name") == "mean"]
    assert [numbers(trace["x"])[-1] for trace in means] == [2, 6]
