"""A selected neuron can be pinned and opened in Neurons, from every page that shows neurons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from planted import write_run
from shown import figures, query, texts, unpack
from streamlit.testing.v1 import AppTest

from pages.shell.session import url
from pages.shell.widgets import selected_neuron, ticked_rows

Open = Callable[..., AppTest]
SAMPLE_RUNS = Path(__file__).parents[4] / "sample_runs"


@pytest.mark.parametrize(
    ("customdata", "chosen"),
    [("2:17", "2:17"), (["2:17", 0.4], "2:17"), (None, None), ([0.4], None), ("0.4.2", None)],
)
def test_a_click_on_a_point_selects_its_neuron(
    monkeypatch: pytest.MonkeyPatch, customdata: Any, chosen: str | None
) -> None:
    put: dict[str, object] = {}
    monkeypatch.setattr(url, "put", put.__setitem__)
    selection = {"selection": {"points": [{"customdata": customdata}]}}
    monkeypatch.setattr(st, "session_state", {"figure": selection, "nothing": {"selection": {"points": []}}})
    selected_neuron.select("nothing")
    assert put == {}
    selected_neuron.select("figure")
    assert put.get("neurons") == chosen


def test_a_tile_leads_to_neurons(open_page: Open) -> None:
    app = open_page("health", neurons="2:5", find="kl>0", step="50")
    app.button(key="pin_tile").click().run()
    assert query(app, "pin") == "planted/2:5"
    assert app.button(key="pin_tile").label == "Unpin"
    app.button(key="open_tile").click().run()
    assert not app.exception
    assert query(app, "neurons") == "2:5"
    assert "find" not in app.query_params
    assert "## Neurons" in texts(app)
    assert "Click a neuron" in texts(open_page("health"))


def test_a_ridge_is_drawn_and_offered_as_selected(open_page: Open) -> None:
    app = open_page("replay", neurons="2:5", count="8", step="50")
    header, _ = unpack(app, "replay")
    assert [layer["selected"] for layer in header["layers"]] == [None, 5, None]
    assert 5 in header["layers"][1]["neurons"]
    app.button(key="pin_ridge").click().run()
    assert query(app, "pin") == "planted/2:5"
    assert "Click a neuron" in texts(open_page("replay"))


def test_a_ridge_of_the_second_run_is_selected_there_alone(open_page: Open, tmp_path: Path) -> None:
    for name in ("one", "the other"):
        write_run(tmp_path / name)
    keys = {"run": "one", "vs": "the other", "neurons": "the%20other/2:5", "step": "50"}
    app = open_page("replay", tmp_path, **keys)
    header, _ = unpack(app, "replay")
    assert [(layer["run"], layer["selected"]) for layer in header["layers"] if layer["selected"]] == [
        ("the other", 5)
    ]
    assert "**the other 2:5**" in texts(app).replace("\\", "")
    assert not app.warning
    assert "Click a neuron" in texts(open_page("health", tmp_path, **keys))
    app.button(key="open_ridge").click().run()
    assert [query(app, key) for key in ("run", "vs", "neurons")] == ["the other", "one", "2:5"]
    alone = open_page("replay", tmp_path, **keys)
    alone.sidebar.selectbox(key="choose_vs").set_value("no other run").run()
    assert "neurons" not in alone.query_params
    assert not alone.warning
    assert open_page("replay", tmp_path, **keys | {"neurons": "nowhere/2:5"}).warning


@pytest.mark.parametrize(
    ("page", "run", "key", "name"),
    [
        ("persistence", "healthy", "slope", "neurons by φ̂"),
        ("experiments", "digits-vae", "ablated", "neurons of the layer, most needed first"),
    ],
)
def test_points_name_their_neurons(open_page: Open, page: str, run: str, key: str, name: str) -> None:
    app = open_page(page, SAMPLE_RUNS, run=run, neurons="1:3")
    assert app.button(key=f"open_{key}")
    figure = next(f for f in figures(app) if f["layout"]["xaxis"].get("title", {}).get("text") == name)
    named = [item for trace in figure["data"] for item in trace.get("customdata", ())]
    assert "1:3" in named
    app.button(key=f"pin_{key}").click().run()
    assert query(app, "pin") == f"{run}/1:3"


def test_the_neurons_of_a_transition_can_be_selected(open_page: Open) -> None:
    app = open_page("health")
    app.session_state["transitions"] = True  # opened
    table = ticked_rows.key_of("moves_table", ["planted", "1", "120"])
    app.session_state[table] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    [pills] = [group for group in app.get("button_group") if group.label.startswith("Neurons, in order")]
    named = list(pills.options)
    assert all(":" in option for option in named)
    pills.set_value(named[1]).run()
    assert query(app, "neurons") == named[1]
    assert app.button(key="open_moved")
