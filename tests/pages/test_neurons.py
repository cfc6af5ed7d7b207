"""Neurons side by side: tray, search, figures, neighbours; Replay of two runs and of one probe input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import write_run
from probed import INPUTS, PROBED, write_probed
from shown import HALF, figures, numbers, query, texts, unpack
from streamlit.testing.v1 import AppTest

from probes import Run
from probes.analysis import likeness, posteriors

Open = Callable[..., AppTest]
SAMPLE_RUNS = Path(__file__).parents[2] / "sample_runs"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that were probed with the same inputs."""
    folder = tmp_path_factory.mktemp("two")
    write_probed(folder / "one")
    write_probed(folder / "two", seed=1, steps=30)
    return folder


def titles(figure: dict[str, Any]) -> list[str]:
    return [annotation["text"] for annotation in figure["layout"]["annotations"]]


def test_nothing_pinned_shows_informative_neurons_and_the_whole_table(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one")
    assert "Nothing is pinned yet" in texts(app)
    now = Run(two / "one").at(40)
    best = now.loc[now.groupby("layer")["information"].idxmax(), "neuron"].tolist()
    assert titles(figures(app)[0]) == [f"first:{best[0]}", f"second:{best[1]}"]
    table = app.dataframe[0].value
    assert table["information"].tolist() == sorted(now["information"], reverse=True)
    assert not app.warning


def test_without_information_the_most_contracted_are_shown(open_page: Open, tmp_path: Path) -> None:
    drop = ("information", "spread", "kl", "mismatch", "persistence", "active_share")
    write_run(tmp_path / "few", layers=2, steps=30, drop=drop)
    app = open_page("neurons", tmp_path)
    now = Run(tmp_path / "few").at(30)
    best = now.loc[now.groupby("layer")["variance"].idxmin(), "neuron"].tolist()
    assert titles(figures(app)[0]) == [f"layer 1:{best[0]}", f"layer 2:{best[1]}"]
    assert "most contracted" in texts(app)


def test_neurons_of_two_runs_stand_side_by_side(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:2,two:1:4,one:1:0")
    names = ["one:first:2", "two:second:4", "one:second:0"]
    shown = figures(app)
    assert all(titles(figure)[:3] == names for figure in shown[:5])
    assert [trace["name"] for trace in shown[5]["data"] if trace["name"] != "intervention"] == names
    assert "17 of one seed is not 17 of another" in texts(app)
    assert app.sidebar.multiselect(key="tray").options == ["first:2", "second:4 · two", "second:0"]


@pytest.mark.parametrize("statistic", ["kl", "persistence", "variance"])
def test_together_draws_what_other_cards_draw_too(open_page: Open, two: Path, statistic: str) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:2", statistic=statistic)
    rows = Run(two / "one").history(0, 2, [statistic])[statistic].to_numpy()
    drawn = next(trace for trace in figures(app)[5]["data"] if trace["name"] == "first:2")
    np.testing.assert_array_equal(numbers(drawn["y"]), rows)


def test_another_neuron_is_all_that_is_read(
    open_page: Open, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:2,one:0:3")
    asked: list[tuple[int, int]] = []
    history = Run.history

    def counted(self: Run, layer: int, neurons: int, *args: Any, **settings: Any) -> Any:
        asked.append((layer, neurons))
        return history(self, layer, neurons, *args, **settings)

    monkeypatch.setattr(Run, "history", counted)
    app.query_params["pin"] = "one:0:2,one:0:4"
    app.run()
    assert not app.exception
    assert set(asked) == {(0, 4)}


def test_every_figure_says_what_it_is_and_has_units(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:2")
    wanted = [
        "z (prior sd)",
        "KL (nats)",
        "Mean energy (prior sd²)",
        "Persistence φ̂",
        "density (1 / prior sd)",
        "KL weight",
    ]
    wanted.append("Force on the mean (nats per prior sd)")
    assert [figure["layout"]["yaxis"]["title"]["text"] for figure in figures(app)] == wanted
    for chart, figure in zip(app.get("plotly_chart"), figures(app), strict=True):
        assert figure["layout"]["xaxis"]["title"]["text"]
        assert chart.proto.alt


def test_the_story_has_the_rule_and_the_onset(open_page: Open, two: Path) -> None:
    from probes import diagnostics, regimes

    run = Run(two / "one")
    rows = run.history(0, [2])
    reason = regimes.explain(rows.iloc[-1]).partition(": ")[2]
    start = diagnostics.onset(rows["step"], 1 - rows["variance"], 0.05)
    said = texts(open_page("neurons", two, run="one", pin="one:0:2"))
    assert reason in said
    assert f"left its prior at step {start:.0f}" in said


def test_a_query_fills_the_table_and_a_tick_pins(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="two:0:1")
    assert not app.dataframe[0].value.columns.isin(["regime"]).any()
    app.text_input(key="neuron_search").set_value("layer:2 sort:neuron kl>0").run()
    found = app.dataframe[0].value
    assert found["neuron"].tolist() == [0, 1, 2, 3, 4]
    assert set(found["layer"]) == {"second"}
    app.text_input(key="neuron_search").set_value("regim:dead").run()
    assert "did you mean regime" in app.error[0].value
    app.text_input(key="neuron_search").set_value("kl>1e9").run()
    assert "No neuron matches" in app.info[0].value


def test_pins_are_kept_over_pages_and_runs_and_can_be_removed(open_page: Open, two: Path) -> None:
    app = open_page("layers", two, run="one", pin="0.2")
    app.selectbox(key="choose_run").set_value("two").run()
    assert query(app, "pin") == "one:0:2"
    app.switch_page("pages/neurons.py").run()
    assert titles(figures(app)[0]) == ["first:2"]
    assert app.sidebar.multiselect(key="tray").options == ["first:2 · one"]
    app.sidebar.multiselect(key="tray").set_value([]).run()
    assert "pin" not in app.query_params


def test_pins_that_name_nothing_are_said_and_left_out(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:9:9,none:0:1,nonsense,one:0:1")
    assert len(app.warning) == 1
    said = app.warning[0].value.replace("\\", "")
    assert all(name in said for name in ("one:9:9", "none:0:1", "nonsense"))
    assert query(app, "pin") == "one:0:1"


def test_more_than_eight_are_kept_but_not_drawn(open_page: Open, two: Path) -> None:
    pins = [f"one:{layer}:{neuron}" for layer in range(2) for neuron in range(5)]
    app = open_page("neurons", two, run="one", pin=",".join(pins))
    assert len(titles(figures(app)[0])) == 8
    assert len(app.sidebar.multiselect(key="tray").value) == 10
    assert "figures show the first 8" in texts(app)


def test_the_clicked_neuron_stands_beside_the_pinned(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:1", neurons="1.3")
    assert titles(figures(app)[0]) == ["first:1", "second:3"]
    app.button(key="toggle_1").click().run()
    assert query(app, "pin") == "one:0:1,one:1:3"


def test_a_range_of_steps_cuts_every_series(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:1", **{"from": "10", "to": "20"})
    assert app.sidebar.slider(key="choose_span_1_40").value == (10, 20)
    line = next(trace for trace in figures(app)[0]["data"] if trace.get("name") == "mean")
    steps = numbers(line["x"])
    assert steps.tolist() == list(range(10, 21))
    late = open_page("neurons", two, run="one", pin="two:0:1,one:0:1", **{"from": "35"})
    assert titles(figures(late)[0]) == ["two:first:1", "one:first:1"]
    app = open_page("neurons", two, run="one", pin="one:0:1", **{"from": "abc", "to": "9999"})
    assert len(app.warning) == 1
    assert app.sidebar.slider(key="choose_span_1_40").value == (1, 40)
    assert query(app, "to") == "9999"
    app = open_page("neurons", two, run="one", pin="one:0:1", **{"from": "20", "to": "10"})
    assert "Shown instead: 1 to 40" in app.warning[0].value
    assert "from" not in app.query_params


def test_forces_are_those_of_the_last_stored_step(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:3,two:1:1", step="25")
    bars = {trace["name"]: trace for trace in figures(app)[-1]["data"]}
    assert list(bars) == ["nll", "kl", "total"]
    assert numbers(bars["kl"]["y"]).tolist() == [14.0, 12.0]
    assert "Stored at step 10." in texts(app)


def test_neighbours_follow_the_same_feature(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:0")
    nearest = app.dataframe[-1].value.iloc[0]
    assert (nearest["layer"], nearest["neuron"]) == ("second", 0)
    assert nearest["correlation"] == pytest.approx(-1, abs=1e-6)
    app.selectbox(key="kin_in").set_value("two").run()
    nearest = app.dataframe[-1].value.iloc[0]
    assert nearest["neuron"] == 0
    assert abs(nearest["correlation"]) == pytest.approx(1, abs=1e-6)
    said = texts(app)
    assert "two:first:0" in said
    assert "The nearest of 10 is large by chance: 0." in said
    assert "linear CKA" in said
    assert "before training" not in said  # step 0 was not probed


def test_what_moves_alike_stands_beside_chance_and_untrained_networks(open_page: Open) -> None:
    """healthy and collapsed were trained and probed on the same data."""
    app = open_page("neurons", SAMPLE_RUNS, run="healthy", pin="healthy:1:0")
    own = texts(app)
    assert "The nearest of 191 is large by chance" in own
    run = Run(SAMPLE_RUNS / "healthy")
    means = [
        posteriors.table(posteriors.split_inputs(run.probe(0), run.config).spread, i)[0] for i in range(3)
    ]
    others = np.hstack([means[1], means[0], means[2]])
    untrained = np.median(likeness.nearest_in_layers(means[1], others, own=True))
    assert f"before training half of the layer's neurons found {untrained:.2f}" in own
    app.selectbox(key="kin_in").set_value("collapsed").run()
    said = texts(app)
    assert "correlation **" in said
    assert said.count("by chance") == 4  # of the partner, CKA, SVCCA and the nearest
    assert said.count("before training") == 4


def test_other_probe_inputs_are_not_compared(open_page: Open, tmp_path: Path) -> None:
    write_probed(tmp_path / "one")
    write_probed(tmp_path / "two", inputs_seed=5)
    app = open_page("neurons", tmp_path, run="one", pin="one:0:0")
    app.selectbox(key="kin_in").set_value("two").run()
    assert "probed with other inputs" in app.info[0].value


@pytest.mark.parametrize(
    "shape",
    [
        {"steps": 1},
        {"layers": 1, "neurons": 1},
        {"layers": 16, "neurons": 2, "steps": 10},
        {"drop": ("spread", "persistence", "active_share")},
        {"drop": ("information", "kl", "mismatch")},
        {"broken_at": 3},
        {"names": ["<b>one</b>", "$two$", "[three](http://three.example)"]},
    ],
    ids=lambda shape: "-".join(shape),
)
def test_any_shape_of_run(open_page: Open, tmp_path: Path, shape: dict[str, Any]) -> None:
    write_run(tmp_path / "odd", **{"neurons": 4, "steps": 12, **shape})
    app = open_page("neurons", tmp_path, neurons="0.0")
    assert not app.error
    assert len(figures(app)) >= 3


def test_a_crashed_run_and_a_twin(open_page: Open, tmp_path: Path) -> None:
    from probes import Recorder

    with Recorder(tmp_path / "twin", [{"name": "layer 1", "neurons": 4}]) as recorder:
        recorder.scalar(1, "loss", 1.0)
    app = open_page("neurons", tmp_path)
    assert "holds no distributions" in app.info[0].value
    manifest = write_run(tmp_path / "killed", steps=20) / "run.json"
    manifest.write_text(
        json.dumps({**json.loads(manifest.read_text()), "status": "running", "heartbeat": 0.0})
    )
    app = open_page("neurons", tmp_path, run="killed", pin="twin:0:1,killed:0:1")
    assert titles(figures(app)[0]) == ["layer 1:1"]


def test_a_long_run_says_what_a_point_stands_for(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "long", layers=1, neurons=3, steps=4000)
    app = open_page("neurons", tmp_path, pin="0.1")
    assert "means of 16 recorded steps" in texts(app)
    line = next(trace for trace in figures(app)[0]["data"] if trace.get("name") == "mean")
    steps = numbers(line["x"])
    assert steps[:256].tolist() == list(range(1, 257))
    assert np.unique(np.diff(steps[256:])).tolist() == [16]


def test_two_runs_share_one_cursor(open_page: Open, two: Path) -> None:
    header, arrays = unpack(open_page("replay", two, run="one", vs="two", step="20", pin="two:1:3"), "replay")
    assert [(layer["run"], layer["name"]) for layer in header["layers"]] == [
        ("one", "first"), ("one", "second"), ("two", "first"), ("two", "second"),
    ]  # fmt: skip
    assert header["cursor"] == 20
    assert header["steps"] == list(range(1, 41))
    assert header["layers"][3]["pinned"] == [3]
    layer = header["layers"][2]
    stored = Run(two / "two").history(0, statistics=["mean"]).set_index(["step", "neuron"])["mean"].unstack()
    sent = arrays["mean.2"].reshape(40, len(layer["neurons"]))
    np.testing.assert_allclose(sent[:30], stored[layer["neurons"]], rtol=HALF, atol=1e-6)
    np.testing.assert_array_equal(sent[30:], np.repeat(sent[29:30], 10, axis=0))
    assert header["layers"][2]["last"] == 30, "beyond it no line of its contraction is drawn"


def test_a_second_run_that_is_not_there_is_said(open_page: Open, two: Path) -> None:
    app = open_page("replay", two, run="one", vs="nowhere")
    assert "nowhere" in app.warning[0].value
    assert {layer["run"] for layer in unpack(app, "replay")[0]["layers"]} == {"one"}
    assert not open_page("replay", two, run="one", vs="one").warning


def test_one_probe_input_is_its_exact_posterior(open_page: Open, two: Path) -> None:
    header, arrays = unpack(open_page("replay", two, run="one", input="7"), "replay")
    assert header["steps"] == list(PROBED)
    assert header["input"] == 7
    neurons = header["layers"][1]["neurons"]
    stored = Run(two / "one").probe(10).query("layer == 1 and input == 7").set_index("neuron").loc[neurons]
    np.testing.assert_allclose(arrays["mean.1"].reshape(3, -1)[1], stored["mu"], rtol=HALF, atol=1e-6)
    np.testing.assert_allclose(arrays["sd.1"].reshape(3, -1)[1], stored["sigma"], rtol=HALF)
    assert np.isnan(arrays["total.1"]).all()


def test_a_probe_input_is_switched_on_and_off(open_page: Open, two: Path) -> None:
    app = open_page("replay", two, run="one")
    app.sidebar.toggle(key="one_input").set_value(True).run()
    assert query(app, "input") == "0"
    app.sidebar.number_input(key="input_number").set_value(INPUTS - 1).run()
    assert unpack(app, "replay")[0]["input"] == INPUTS - 1
    app.sidebar.toggle(key="one_input").set_value(False).run()
    assert unpack(app, "replay")[0]["input"] is None
    app = open_page("replay", two, run="one", input=str(INPUTS))
    assert "probe input" in app.warning[0].value
    assert unpack(app, "replay")[0]["input"] is None


def test_without_a_probe_batch_the_switch_is_off(open_page: Open) -> None:
    assert open_page("replay").sidebar.toggle(key="one_input").disabled
