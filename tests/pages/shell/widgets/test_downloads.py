"""Files that are taken away from a page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from planted import write_run
from streamlit.testing.v1 import AppTest

from pages.shell.data import replay
from pages.shell.session import runs
from pages.shell.widgets import downloads
from probes import Run

FRAME = pd.DataFrame({"step": [1, 2], "label": ["a,b", "<c>"], "kl": np.array([0.1, np.nan], np.float32)})


def test_data_comes_back_as_it_was() -> None:
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(downloads.as_parquet(FRAME))), FRAME)
    read = pd.read_csv(io.BytesIO(downloads.as_csv(FRAME)))
    assert read["label"].tolist() == FRAME["label"].tolist()
    np.testing.assert_allclose(read["kl"], FRAME["kl"])


def test_the_figure_asks_no_other_host_for_its_script() -> None:
    html = downloads.as_html(go.Figure(go.Scatter(y=[1, 2]))).decode()
    assert '<script src="http' not in html
    assert "Plotly.newPlot" in html


@pytest.mark.parametrize(
    ("name", "stem"), [("KL, in parts", "kl-in-parts"), ("../../etc/x", "etc-x"), ("φ", "data")]
)
def test_file_names_are_plain(name: str, stem: str) -> None:
    assert downloads.file_stem(name) == stem


def test_nothing_is_made_before_it_is_asked_for() -> None:
    def script() -> None:
        import plotly.graph_objects as go

        from pages.shell.widgets import downloads

        def rows() -> None:
            raise AssertionError("read too early")

        downloads.menu(go.Figure(), rows, "fans")
        downloads.menu(None, rows, "map")

    app = AppTest.from_function(script).run()
    assert not app.exception
    assert not app.get("download_button"), "a shut menu holds nothing"
    app.session_state["get_fans"] = app.session_state["get_map"] = True
    app.run()
    assert not app.exception
    assert [button.label for button in app.get("download_button")] == [
        "Data, CSV", "Data, Parquet", "Figure, HTML", "Data, CSV", "Data, Parquet",
    ]  # fmt: skip


def test_the_replays_rows_are_those_of_the_log(tmp_path: Path) -> None:
    write_run(tmp_path / "one", layers=2, neurons=5, steps=30)
    run = Run(tmp_path / "one")
    context = runs.RunContext(runs.Entry("one", tmp_path / "one", {}), run, run.identity)
    found = (
        replay.table([replay.Side(context, (1,), ())], replay.Choice(count=8))
        .set_index(["step", "neuron"])
        .sort_index()
    )
    stored = (
        run.history(1, statistics=["mean", "variance", "spread"]).set_index(["step", "neuron"]).sort_index()
    )
    assert (found["width"] == 1).all()
    pd.testing.assert_frame_equal(
        found[["mean", "variance", "spread"]],
        stored.loc[found.index, ["mean", "variance", "spread"]],
        check_index_type=False,
        check_dtype=False,
    )
