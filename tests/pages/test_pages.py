"""Every page with every kind of run: it says what it shows, and never fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import write_run
from shown import HALF, figures, query, texts, unpack
from streamlit.testing.v1 import AppTest

from pages.shell.session import state
from probes import Recorder, Run

Open = Callable[..., AppTest]
PAGES = [name for name, _, _ in state.PAGES]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_its_own_file(open_page: Open, page: str) -> None:
    """Streamlit runs a page's file without app.py when it is asked for first; the shell hands over."""
    app = open_page(page)
    assert not app.warning
    assert app.sidebar.selectbox(key="choose_run").value == "planted"


def test_replay_sends_the_recorded_distributions(open_page: Open, run_folder: Path) -> None:
    header, arrays = unpack(open_page("replay"), "replay")
    run = Run(run_folder / "planted")
    assert [layer["name"] for layer in header["layers"]] == ["layer 1", "layer 2", "layer 3"]
    assert header["steps"][0] == 1
    assert header["steps"][-1] == 120
    for place, layer in enumerate(header["layers"]):
        rows = run.history(place, statistics=["mean", "variance", "spread"]).set_index(["step", "neuron"])
        rows["sd"], rows["total"] = np.sqrt(rows["variance"]), np.sqrt(rows["variance"] + rows["spread"])
        for name in ("mean", "sd", "total"):
            sent = arrays[f"{name}.{place}"].reshape(len(header["steps"]), len(layer["neurons"]))
            stored = rows[name].unstack().loc[header["steps"], layer["neurons"]]
            np.testing.assert_allclose(sent, stored, rtol=HALF, atol=1e-6)
    summary = run.layer_summary()
    variance = summary.loc[summary["layer"] == 1].set_index("step").loc[header["steps"], "variance_mean"]
    np.testing.assert_allclose(arrays["contraction.1"], 1 - variance, rtol=1e-5, atol=1e-6)


def test_replay_plays_from_the_start_but_rests_on_a_linked_step(open_page: Open) -> None:
    assert unpack(open_page("replay"), "replay")[0]["cursor"] is None
    assert unpack(open_page("replay", step="37"), "replay")[0]["cursor"] == 37


def test_the_cursor_is_the_recorded_step_before(open_page: Open) -> None:
    header, _ = unpack(open_page("health", step="100000"), "regimes")
    assert header["cursor"] == 120


def test_health_explains_the_chosen_neuron(open_page: Open, run_folder: Path) -> None:
    from probes.schema import REGIMES

    app = open_page("health", neurons="1.5", step="60")
    code = Run(run_folder / "planted").regimes(60).query("layer == 1 and neuron == 5")["settled"].iloc[0]
    assert f"2:5** at step 60 is {REGIMES[code].name}" in texts(app)


def test_health_sends_every_regime(open_page: Open, run_folder: Path) -> None:
    header, arrays = unpack(open_page("health"), "regimes")
    stored = (
        Run(run_folder / "planted")
        .history(2, statistics=["settled"])
        .set_index(["step", "neuron"])["settled"]
        .unstack()
    )
    np.testing.assert_array_equal(
        arrays["regime.2"].reshape(len(header["steps"]), 24) & 15, stored.loc[header["steps"]]
    )


def test_layers_map_is_sorted_and_exact_when_asked(open_page: Open, run_folder: Path) -> None:
    app = open_page("layers", layer="layer 2", statistic="kl", neurons="1.3", step="50")
    header, arrays = unpack(app, "heatmap")
    cells = arrays["cells"].reshape(header["rows"], header["columns"])
    assert (np.diff(cells[:, -1].astype(int)) <= 0).all()
    exact = Run(run_folder / "planted").at(50, 1).set_index("neuron").loc[3, "kl"]
    assert f"{exact:.5g}" in texts(app)


def test_figures_have_axis_titles_and_say_what_they_are(open_page: Open) -> None:
    for page in ("health", "layers"):
        app = open_page(page)
        assert figures(app)
        for chart, figure in zip(app.get("plotly_chart"), figures(app), strict=True):
            for side in ("xaxis", "yaxis"):
                axes = [axis for name, axis in figure["layout"].items() if name.startswith(side)]
                assert any(axis.get("title", {}).get("text") for axis in axes)
            assert chart.proto.alt


@pytest.mark.parametrize("page", ["health", "replay", "layers"])
def test_a_link_to_what_is_not_there_says_so(open_page: Open, page: str) -> None:
    app = open_page(page, run="../../etc", step="first", layer="layer 9", neurons="0.999", pin="8.1")
    assert "in no folder of runs" in app.warning[0].value
    assert query(app, "run") == "planted"
    for keys in ({"step": "first"}, {"pin": "8.1"}, {"layer": "nine"}, {"statistic": "nonsense"}):
        app = open_page(page, run="planted", **keys)
        assert len(app.warning) == (1 if next(iter(keys)) in RELEVANT[page] else 0)


RELEVANT = {
    "health": ("step", "pin"),
    "replay": ("step", "pin"),
    "layers": ("step", "layer", "statistic", "pin"),
}


@pytest.mark.parametrize("page", ["health", "replay", "layers"])
@pytest.mark.parametrize(
    "shape",
    [
        {"steps": 1},
        {"layers": 1, "neurons": 1},
        {"layers": 16, "neurons": 3, "steps": 30},
        {"drop": ("spread", "persistence", "active_share")},
        {"drop": ("information", "kl", "mismatch")},
        {"dead_from": 0},
        {"broken_at": 3},
        {"status": "interrupted"},
        {"names": ["<b>one</b>", "$two$", "[three](http://three.example)"]},
    ],
    ids=lambda shape: "-".join(shape),
)
def test_any_shape_of_run(open_page: Open, tmp_path: Path, page: str, shape: dict[str, Any]) -> None:
    write_run(tmp_path / "odd", **{"neurons": 6, "steps": 20, **shape})
    app = open_page(page, tmp_path)
    assert not app.error


@pytest.mark.parametrize("page", ["health", "replay", "layers"])
def test_a_long_run_is_drawn_from_means_and_exactly_at_rest(
    open_page: Open, tmp_path: Path, page: str
) -> None:
    write_run(tmp_path / "long", layers=1, neurons=3, steps=2600)
    app = open_page(page, tmp_path, step="1777")
    if page == "replay":
        header, arrays = unpack(app, "replay")
        at = header["steps"].index(1777)
        assert header["width"][at] == 1
        assert max(header["width"]) > 1
        assert header["steps"][-1] == 2600
        stored = (
            Run(tmp_path / "long")
            .at(1777, 0)
            .set_index("neuron")
            .loc[header["layers"][0]["neurons"], "variance"]
        )
        np.testing.assert_allclose(arrays["sd.0"].reshape(-1, 3)[at], np.sqrt(stored), rtol=HALF)


def test_numbers_that_half_precision_cannot_hold_are_sent_in_full(open_page: Open, tmp_path: Path) -> None:
    with Recorder(tmp_path / "loud", [{"name": "layer 1", "neurons": 2}]) as recorder:
        recorder.record(1, 0, mean=[1e5, 0.5], variance=[0.25, 1.0])
    _, arrays = unpack(open_page("replay", tmp_path), "replay")
    assert set(arrays["mean.0"].tolist()) == {1e5, 0.5}
    assert arrays["mean.0"].dtype == np.float32
    assert arrays["sd.0"].dtype == np.float16


def test_alerts_are_listed_and_go_to_their_step(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "broken", broken_at=60, steps=100)
    alerts = Run(tmp_path / "broken").alerts()
    assert 60 in alerts["step"].tolist()
    app = open_page("health", tmp_path, step="7")
    assert alerts.iloc[0]["advice"] in texts(app)
    app.button(key="alert_0").click().run()
    assert query(app, "step") == str(alerts.iloc[0]["step"])
    header, _ = unpack(open_page("replay", tmp_path), "replay")
    assert {event["step"] for event in header["events"] if event["alert"]} == set(alerts["step"].tolist())


def test_an_alert_of_several_layers_is_one_entry(open_page: Open, tmp_path: Path) -> None:
    with Recorder(
        tmp_path / "falls", [{"name": n, "neurons": 24} for n in "abc"], config={"warmup_steps": 0}
    ) as recorder:
        for layer in range(3):
            lives = np.ones((100, 24), np.float32)
            lives[50:, : 6 * layer] = 0
            kl = {"kl": 0.3 * lives, "information": 0.2 * lives, "spread": 0.4 * lives}
            recorder.record_block(np.arange(100), layer, {"mean": 0 * lives, "variance": 1 - lives / 2, **kl})
    app = open_page("health", tmp_path)
    assert "**Alerts** · 1" in texts(app)
    button = app.button(key="alert_0")
    assert button.label.startswith("c and 1 more · step ")
    assert button.help == "Go to this step · b, c"


@pytest.mark.parametrize("page", PAGES)
def test_no_run_says_how_to_make_one(open_page: Open, tmp_path: Path, page: str) -> None:
    app = open_page(page, tmp_path)
    if page != "reference":
        watch, lightning, recorder, commands = (code.value for code in app.code)
        assert "probes.watch(model, " in watch
        assert "from probes.integrations.lightning import Watch" in lightning
        assert "probes.Recorder(" in recorder
        assert all(f'"{tmp_path}/my-run"' in code for code in (watch, lightning, recorder))
        assert commands.splitlines() == [
            f"python -m vdn train --data nyc --runs {tmp_path}",
            "python -m probes ui --demo",
        ]


def test_a_crashed_run_keeps_what_it_wrote(open_page: Open, tmp_path: Path) -> None:
    manifest = write_run(tmp_path / "killed", steps=20) / "run.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "status": "running", "heartbeat": time.time() - 3600}))
    assert "crashed" in texts(open_page("health", tmp_path))
    assert unpack(open_page("replay", tmp_path), "replay")[0]["steps"][-1] == 20


def test_a_live_run_says_so(open_page: Open, tmp_path: Path) -> None:
    manifest = write_run(tmp_path / "live", steps=20) / "run.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "status": "running", "heartbeat": time.time()}))
    assert "live" in texts(open_page("replay", tmp_path))


@pytest.mark.parametrize("page", ["health", "replay", "layers"])
def test_a_twin_has_scores_but_no_distributions(open_page: Open, tmp_path: Path, page: str) -> None:
    with Recorder(tmp_path / "twin", [{"name": "layer 1", "neurons": 4}]) as recorder:
        for step in range(5):
            recorder.scalar(step, "loss", 1.0 / (step + 1))
    app = open_page(page, tmp_path)
    assert "holds no distributions" in app.info[0].value
    assert len(app.get("plotly_chart")) == (1 if page == "health" else 0)


@pytest.mark.parametrize("page", ["health", "replay", "layers"])
def test_a_run_that_cannot_be_read_says_why(open_page: Open, tmp_path: Path, page: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    assert "cannot be read" in open_page(page, tmp_path).error[0].value
    assert "unreadable" in open_page("runs", tmp_path).dataframe[0].value["status"].tolist()


def test_a_readable_run_is_opened_before_a_broken_one(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "a-broken").mkdir()
    (tmp_path / "a-broken" / "run.json").write_text("{")
    write_run(tmp_path / "whole", steps=5)
    assert query(open_page("replay", tmp_path), "run") == "whole"


def test_runs_table_has_status_scores_and_sparklines(open_page: Open) -> None:
    line = open_page("runs").dataframe[0].value.iloc[0]
    assert line["status"] == "finished"
    assert line["network"] == "3 × 24"
    assert line["NLL"] == pytest.approx(1.1 / np.sqrt(120) + 0.6)
    assert len(line["NLL over steps"]) == 6


def test_reference_names_every_statistic_and_regime(open_page: Open) -> None:
    from probes.schema import REGIMES, STATISTICS

    app = open_page("reference")
    said = texts(app)
    assert all(f"`{name}`" in said for name in STATISTICS)
    named = [name.replace("\\", "") for name in app.table[0].value["regime"]]
    assert named == [regime.name for regime in REGIMES]
    app.text_input(key="reference_search").set_value("Burda").run()
    assert "`spread`" in texts(app)
    assert "`beta`" not in texts(app)


def test_reference_says_what_the_words_of_all_pages_mean(open_page: Open) -> None:
    app = open_page("reference")
    assert "#### Words" in texts(app)
    app.text_input(key="reference_search").set_value("1.44 bits").run()
    said = texts(app)
    assert "**nat**" in said
    assert "**cursor**" not in said
    app.text_input(key="reference_search").set_value("no such word").run()
    assert "Nothing is called that" in texts(app)
    assert "#### Words" not in texts(app)


def test_the_map_of_a_wide_layer_is_thinned_and_says_so(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "wide", layers=1, neurons=3000, steps=3)
    app = open_page("layers", tmp_path, neurons="0.7")
    header, arrays = unpack(app, "heatmap")
    assert "1,025 of 3,000 neurons are drawn" in texts(app)
    assert header["ranks"][0] == 0
    assert header["ranks"][-1] == 2999
    assert header["rows"] * header["columns"] == arrays["cells"].size == 1025 * 3
    assert 7 in header["order"]
    ends = Run(tmp_path / "wide").at(3)["information"].to_numpy()[header["order"]]
    assert (np.diff(ends) <= 0).all()
    narrow = unpack(open_page("layers"), "heatmap")[0]
    assert narrow["ranks"] is None


def test_the_regime_map_says_when_it_holds_fewer_steps(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "wide", layers=1, neurons=50_000, steps=20, drop=("kl",))
    app = open_page("health", tmp_path)
    steps = unpack(app, "regimes")[0]["steps"]
    assert f"The map holds {len(steps)} of 20 recorded steps" in texts(app)
    assert len(steps) * 50_000 < 500_000
    assert "The map holds" not in texts(open_page("health"))


def test_names_of_a_run_are_shown_literally(open_page: Open, tmp_path: Path) -> None:
    """Markdown, mathematics and HTML in a name reach the page escaped."""
    name = "x<img src=x onerror=alert(1)> **b** $y$"
    write_run(tmp_path / name, steps=5, names=["<b>", "$a$", "`c`"])
    app = open_page("layers", tmp_path)
    title = app.markdown[0].value
    assert r"\<img src\=x" in title or r"\<img src=x" in title
    assert r"\*\*b\*\*" in title
    assert r"\$y\$" in title
    annotations = [a["text"] for figure in figures(app) for a in figure["layout"].get("annotations", ())]
    assert "&lt;b&gt;" in annotations


def test_choices_stay_when_the_page_changes(open_page: Open) -> None:
    """Streamlit empties the address when another page is chosen, which AppTest leaves to us."""
    chosen = {
        "statistic": "kl",
        "step": "50",
        "layer": "layer 2",
        "pin": "planted/2:3",
        "axis": "log",
        "from": "10",
    }
    app = open_page("layers", **chosen)
    for page in ("health", "layers"):
        app.query_params.clear()
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception
        assert {key: query(app, key) for key in chosen} == chosen


def test_what_was_taken_out_of_the_address_stays_out_of_the_next_page(open_page: Open) -> None:
    app = open_page("layers", statistic="kl", layer="layer 2")
    assert app.session_state["_url"]["layer"] == "layer 2"
    [layer] = [item for item in app.sidebar.segmented_control if item.key == "choose_layer"]
    layer.set_value("layer 1").run()
    assert "layer" not in app.query_params  # the default
    app.query_params.clear()
    app.switch_page("pages/replay.py").run()
    assert "layer" not in app.query_params
    assert query(app, "statistic") == "kl"


def test_an_address_that_is_asked_for_wins_over_what_was_chosen_before(open_page: Open) -> None:
    app = open_page("layers", step="50")
    app.query_params.clear()
    app.query_params["step"] = "60"
    app.switch_page("pages/health.py").run()
    assert query(app, "step") == "60"
    app.query_params.clear()
    app.switch_page("pages/layers.py").run()
    assert query(app, "step") == "60"


def test_another_run_forgets_what_names_parts_of_the_first(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "one", steps=10)
    write_run(tmp_path / "two", steps=10, seed=1)
    app = open_page("health", tmp_path, run="one", step="4", neurons="1.2", axis="log")
    app.selectbox(key="choose_run").set_value("two").run()
    assert query(app, "run") == "two"
    assert "step" not in app.query_params
    assert "neurons" not in app.query_params
    assert query(app, "axis") == "log"
