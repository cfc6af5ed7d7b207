"""Neurons side by side: tray, search, figures, neighbours; Replay of two runs and of one probe input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import write_run
from probed import INPUTS, PROBED, write_probed
from shown import HALF, figures, numbers, query, texts, unpack
from streamlit.testing.v1 import AppTest

from probes import Run
from probes.analysis import likeness, posteriors
from probes.neuron_names import neuron_name, neuron_names
from probes.schema import AT_PRIOR

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


def similar(app: AppTest) -> pd.DataFrame:
    """The table of the most similar neurons."""
    return next(frame.value for frame in app.dataframe if "correlation" in frame.value)


def table(app: AppTest) -> pd.DataFrame:
    """The first table of neurons."""
    return next(frame.value for frame in app.dataframe if "regime" in frame.value)


def drawn(app: AppTest) -> list[str]:
    """Names of the lines of the overlay."""
    names = [trace.get("name") for trace in figures(app)[0]["data"]]
    return [name for name in names if name and name != "intervention"]


def test_nothing_pinned_shows_informative_neurons_and_the_whole_table(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one")
    now = Run(two / "one").at(40)
    ordered = now.sort_values("information", ascending=False)
    best = pd.concat([ordered[ordered["layer"] == layer].head(2) for layer in (0, 1)])
    assert drawn(app) == titles(figures(app)[2]) == neuron_names(best)
    listed = table(app)
    assert sorted(listed["neuron"].tolist()[:4]) == sorted(neuron_names(best))
    assert listed["neuron"].tolist()[4:] == neuron_names(ordered.drop(best.index))
    assert not app.warning


def test_without_information_the_most_contracted_are_shown(open_page: Open, tmp_path: Path) -> None:
    drop = ("information", "spread", "kl", "mismatch", "persistence", "active_share")
    write_run(tmp_path / "few", layers=2, steps=30, drop=drop)
    app = open_page("neurons", tmp_path)
    now = Run(tmp_path / "few").at(30)
    ordered = now.sort_values("variance")
    best = pd.concat([ordered[ordered["layer"] == layer].head(2) for layer in (0, 1)])
    assert drawn(app) == neuron_names(best)
    assert "by contraction" in texts(app)


def test_what_is_found_is_what_is_drawn(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", find="layer:2 sort:-kl")
    now = Run(two / "one").at(40, 1).sort_values("kl", ascending=False)
    assert drawn(app) == neuron_names(now)
    listed = table(app)
    assert listed["neuron"].tolist() == neuron_names(now)
    np.testing.assert_array_equal(listed["kl"], now["kl"])
    assert set(listed["layer"]) == {"second"}
    assert listed["onset"].notna().all()
    assert "5 of 10 neurons at step 40" in texts(app)
    pinned = open_page("neurons", two, run="one", find="layer:2 sort:-kl", pin="1:0")
    assert drawn(pinned) == ["1:0"]
    assert [len(frame.value) for frame in pinned.dataframe][:2] == [5, 1]


def test_more_are_found_than_are_drawn(open_page: Open) -> None:
    app = open_page("neurons", find="sort:-information")
    assert len(drawn(app)) == 8
    assert "72 of 72 neurons at step 120; the first 8 are drawn" in texts(app)
    assert table(app)["drawn"].str.contains("stroke=").sum() == 8


def test_a_search_for_what_happened(open_page: Open) -> None:
    app = open_page("neurons", SAMPLE_RUNS, run="collapsed", find="left>80 sort:left")
    run = Run(SAMPLE_RUNS / "collapsed")
    left = {}
    for layer in range(3):
        codes, edges = run.matrix(layer, "settled")
        away = codes != AT_PRIOR
        steps = edges[np.argmax(away, axis=1)]
        left |= {neuron_name(layer, n): step for n, step in enumerate(steps) if away[n].any() and step > 80}
    listed = table(app)
    assert dict(zip(listed["neuron"], listed["left"], strict=True)) == left
    assert listed["left"].is_monotonic_increasing


def test_a_tick_leaves_the_query_that_found_it(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", find="sort:-information", pin="2:1")
    assert drawn(app) == ["2:1"]
    assert [len(frame.value) for frame in app.dataframe][:2] == [10, 1]


def test_neurons_of_two_runs_stand_side_by_side(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:2,two:1:4,one:1:0")
    names = ["one/1:2", "two/2:4", "one/2:0"]
    shown = figures(app)
    assert all(titles(figure)[:3] == names for figure in shown[2:])
    assert drawn(app) == names
    assert table(app)["neuron"].tolist() == ["1:2", "2:4", "2:0"]
    assert table(app)["run"].tolist() == ["one", "two", "one"]
    assert "17 of one seed is not 17 of another" in texts(app)
    assert app.sidebar.multiselect(key="tray").options == ["1:2 · first", "2:4 · two", "2:0 · second"]


@pytest.mark.parametrize(
    ("how", "names"),
    [(None, [f"two/2:{i}" for i in range(5)]), ("matched", []), ("same numbers", [])],
)
def test_a_second_run_lies_dashed_over_the_first(
    open_page: Open, two: Path, how: str | None, names: list[str]
) -> None:
    chosen = {} if how is None else {"second": how}
    app = open_page("neurons", two, run="one", vs="two", find="layer:2 sort:neuron", **chosen)
    lines = {trace.get("name"): trace.get("line", {}) for trace in figures(app)[0]["data"]}
    dashed = [name for name, line in lines.items() if line.get("dash") == "dash"]
    if how == "matched":
        partner = posteriors.match(
            *(posteriors.table(Run(two / run).probe(at), 1)[0] for run, at in (("one", 40), ("two", 10)))
        )
        expected = {
            f"2:{a}": f"two/2:{b}" for a, b in zip(partner["neuron"], partner["partner"], strict=True)
        }
        for own, other in expected.items():
            assert lines[f"one/{own}"]["color"] == lines[other]["color"]
        assert set(dashed) == set(expected.values())
        assert "by chance" in texts(app)
    else:
        assert dashed == [f"two/2:{i}" for i in range(5)]
    if how == "same numbers":
        assert "17 of one seed is not 17 of another" in texts(app)


def test_a_second_run_that_cannot_be_asked_the_same_says_why(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "one", layers=2, steps=20)
    write_run(tmp_path / "two", layers=1, steps=20, seed=1)
    app = open_page("neurons", tmp_path, run="one", vs="two", find="layer:2")
    assert "two cannot be asked the same" in texts(app)
    assert "layers 1 to 1" in texts(app)
    from probes import Recorder

    with Recorder(tmp_path / "twin", [{"name": "layer 1", "neurons": 4}]) as recorder:
        recorder.scalar(1, "loss", 1.0)
    app = open_page("neurons", tmp_path, run="one", vs="twin")
    assert "holds no distributions" in app.info[0].value


@pytest.mark.parametrize("statistic", ["kl", "persistence", "variance"])
def test_together_draws_what_other_cards_draw_too(open_page: Open, two: Path, statistic: str) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:2", statistic=statistic)
    rows = Run(two / "one").history(0, 2, [statistic])[statistic].to_numpy()
    line = next(trace for trace in figures(app)[0]["data"] if trace["name"] == "1:2")
    np.testing.assert_array_equal(numbers(line["y"]), rows)


def test_densities_stand_at_the_cursor(open_page: Open, two: Path) -> None:
    """The probe batch is stored at steps 1, 10 and 40: what is drawn at 25 is of 25."""
    app = open_page("neurons", two, run="one", pin="one:0:2", step="25")
    assert "Mean posteriors at step 25" in texts(app)
    row = Run(two / "one").at(25, 0).set_index("neuron").loc[2]
    line = next(trace for trace in figures(app)[1]["data"] if trace["name"] == "1:2")
    z, drawn = numbers(line["x"]), numbers(line["y"])
    expected = np.exp(-0.5 * (z - row["mean"]) ** 2 / row["variance"]) / np.sqrt(2 * np.pi * row["variance"])
    np.testing.assert_allclose(drawn, expected, rtol=1e-4, atol=1e-6)
    assert "Distribution at steps 1 and 25" in texts(app)
    assert "Filled: the mean posterior" in texts(app)
    stored = open_page("neurons", two, run="one", pin="one:0:2", step="10")
    assert "Filled: the average of the probe inputs' posteriors" in texts(stored)


def test_densities_of_two_runs_say_which_step_is_whose(open_page: Open, two: Path) -> None:
    """The second run ended before the cursor."""
    app = open_page("neurons", two, run="one", pin="one:0:2,two:0:2", step="39")
    assert "Mean posteriors at step 39 of one, 30 of two" in texts(app)
    assert "Distribution at steps 1 and 39 of one, 30 of two" in texts(app)


def test_the_energy_s_card_names_only_what_it_draws(open_page: Open, two: Path) -> None:
    def title(app: AppTest) -> str:
        return next(text for text in texts(app).splitlines() if "Mean energy" in text)

    assert title(open_page("neurons", two, run="one", pin="one:0:2")).endswith("its band, interventions")
    free = title(open_page("neurons", SAMPLE_RUNS, run="collapsed", pin="collapsed:0:3", to="40"))
    assert free.startswith("**Mean energy**")
    assert "band" not in free
    assert "interventions" not in free


def test_a_tab_that_is_not_open_does_not_run(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:2", detail="KL decomposition")
    assert "KL = information + mismatch + past" in texts(app)
    apart = open_page(
        "neurons", SAMPLE_RUNS, run="collapsed", pin="collapsed:0:3", to="40", detail="KL decomposition"
    )
    assert "KL = information + mismatch" in texts(apart)
    assert "+ past" not in texts(apart), "a prior that does not look back costs no past"
    assert len(figures(app)) == 3
    assert figures(app)[2]["layout"]["yaxis"]["title"]["text"] == "KL (nats)"
    wrong = open_page("neurons", two, run="one", detail="nonsense")
    assert "nonsense" in wrong.warning[0].value


def test_groups_are_a_query_a_set_or_the_rest(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", find="layer:1", detail="Groups", statistic="kl")
    first, rest = (trace for trace in figures(app)[2]["data"] if trace.get("name"))
    assert [first["name"], rest["name"]] == ["layer:1 (5)", "all others (5)"]
    history = Run(two / "one").history(0, statistics=["kl"]).groupby("step")["kl"].mean()
    np.testing.assert_allclose(numbers(first["y"]), history, rtol=1e-5)
    app.text_input(key="write_b").set_value("neuron:0").run()
    assert query(app, "b") == "neuron:0"
    assert [t["name"] for t in figures(app)[2]["data"] if t.get("name")][1] == "neuron:0 (2)"
    app.text_input(key="write_b").set_value("neuron:").run()
    assert "names nothing" in app.error[0].value
    seeds = open_page("neurons", two, run="one", find="layer:1", detail="Groups", vs="two")
    assert "layer:1 in two (5)" in [trace.get("name") for trace in figures(seeds)[2]["data"]]


def test_another_neuron_is_all_that_is_read(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_probed(tmp_path / "one")
    app = open_page("neurons", tmp_path, run="one", pin="one:0:2,one:0:3")
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


@pytest.mark.parametrize(
    ("detail", "wanted"),
    [
        (
            "Small multiples",
            ["z (prior sd)", "Mean energy (prior sd²)", "Persistence φ̂", "density (1 / prior sd)"],
        ),
        ("KL decomposition", ["KL (nats)"]),
        ("Gradients", ["Force on the mean (nats per prior sd)"]),
        ("Groups", ["Information (nats)"]),
    ],
)
def test_every_figure_says_what_it_is_and_has_units(
    open_page: Open, two: Path, detail: str, wanted: list[str]
) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:2", detail=detail)
    wanted = ["Information (nats)", "density (1 / prior sd)", *wanted]
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


def test_a_query_that_cannot_be_read_is_said_and_draws_nothing(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one")
    app.text_input(key="write_find").set_value("regim:dead").run()
    assert query(app, "find") == "regim:dead"
    assert "did you mean regime" in app.error[0].value
    assert not figures(app)
    app.text_input(key="write_find").set_value("kl>1e9").run()
    assert "No neuron matches" in app.info[0].value
    app.text_input(key="write_find").set_value("").run()
    assert "find" not in app.query_params
    assert len(drawn(app)) == 4


def test_similar_neurons_need_a_probe_batch(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", find="similar:1:0")
    assert table(app)["neuron"].tolist()[:2] == ["1:0", "2:0"]  # which follow one feature, with either sign
    assert table(app)["similarity"].iloc[1] == pytest.approx(-1, abs=1e-6)
    bare = open_page("neurons", find="similar:1:0")
    assert "has not stored" in bare.error[0].value


def test_pins_are_kept_over_pages_and_runs_and_can_be_removed(open_page: Open, two: Path) -> None:
    app = open_page("layers", two, run="one", pin="0.2")
    app.selectbox(key="choose_run").set_value("two").run()
    assert query(app, "pin") == "one/1:2"
    app.switch_page("pages/neurons.py").run()
    assert drawn(app) == ["1:2"]
    assert app.sidebar.multiselect(key="tray").options == ["1:2 · one"]
    app.sidebar.multiselect(key="tray").set_value([]).run()
    assert "pin" not in app.query_params


def test_pins_that_name_nothing_are_said_and_left_out(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:9:9,none:0:1,nonsense,one:0:1")
    assert len(app.warning) == 1
    said = app.warning[0].value.replace("\\", "")
    assert all(name in said for name in ("one/10:9", "none/1:1", "nonsense"))
    assert query(app, "pin") == "one/1:1"


def test_more_than_eight_are_kept_but_not_drawn(open_page: Open, two: Path) -> None:
    pins = [f"one:{layer}:{neuron}" for layer in range(2) for neuron in range(5)]
    app = open_page("neurons", two, run="one", pin=",".join(pins))
    assert len(drawn(app)) == 8
    assert len(app.sidebar.multiselect(key="tray").value) == 10
    assert "figures show the first 8" in texts(app)


def test_the_clicked_neuron_stands_beside_the_pinned(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:1", neurons="1.3")
    assert drawn(app) == ["1:1", "2:3"]
    pins = ",".join(f"1:{i}" for i in range(5)) + "," + ",".join(f"2:{i}" for i in range(4))
    full = open_page("neurons", two, run="one", pin=pins, neurons="2:4")
    assert drawn(full)[-1] == "2:4"
    assert len(drawn(full)) == 8
    searched = open_page("neurons", two, run="one", neurons="2:3")
    searched.text_input(key="write_find").set_value("1:1").run()
    assert drawn(searched) == ["1:1"]
    assert "neurons" not in searched.query_params


def test_a_range_of_steps_cuts_every_series(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:1", **{"from": "10", "to": "20"})
    assert app.sidebar.slider(key="choose_span_1_40").value == (10, 20)
    line = next(trace for trace in figures(app)[2]["data"] if trace.get("name") == "mean")
    steps = numbers(line["x"])
    assert steps.tolist() == list(range(10, 21))
    late = open_page("neurons", two, run="one", pin="two:0:1,one:0:1", **{"from": "35"})
    assert titles(figures(late)[2]) == ["two/1:1", "one/1:1"]
    app = open_page("neurons", two, run="one", pin="one:0:1", **{"from": "abc", "to": "9999"})
    assert len(app.warning) == 1
    assert app.sidebar.slider(key="choose_span_1_40").value == (1, 40)
    assert query(app, "to") == "9999"
    app = open_page("neurons", two, run="one", pin="one:0:1", **{"from": "20", "to": "10"})
    assert "Shown instead: 1 to 40" in app.warning[0].value
    assert "from" not in app.query_params


def test_forces_are_those_of_the_last_stored_step(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:3,two:1:1", step="25", detail="Gradients")
    bars = {trace["name"]: trace for trace in figures(app)[-1]["data"]}
    assert list(bars) == ["nll", "kl", "total"]
    assert numbers(bars["kl"]["y"]).tolist() == [14.0, 12.0]
    assert "Gradient by loss term at step 10" in texts(app)
    assert "the last stored up to step 25" in texts(app)


def test_neighbours_follow_the_same_feature(open_page: Open, two: Path) -> None:
    app = open_page("neurons", two, run="one", pin="one:0:0", detail="Similar")
    nearest = similar(app).iloc[0]
    assert (nearest["layer"], nearest["neuron"]) == ("second", "2:0")
    assert nearest["correlation"] == pytest.approx(-1, abs=1e-6)
    app.selectbox(key="choose_among").set_value("two").run()
    nearest = similar(app).iloc[0]
    assert nearest["neuron"].endswith(":0")
    assert abs(nearest["correlation"]) == pytest.approx(1, abs=1e-6)
    said = texts(app)
    assert "two/1:0" in said
    assert "The nearest of 10 is large by chance: 0." in said
    assert "linear CKA" in said
    assert "before training" not in said  # step 0 was not probed


def test_what_moves_alike_stands_beside_chance_and_untrained_networks(open_page: Open) -> None:
    """healthy and collapsed were trained and probed on the same data."""
    app = open_page("neurons", SAMPLE_RUNS, run="healthy", pin="healthy:1:0", detail="Similar")
    own = texts(app)
    assert "The nearest of 191 is large by chance" in own
    run = Run(SAMPLE_RUNS / "healthy")
    means = [
        posteriors.table(posteriors.split_inputs(run.probe(0), run.config).spread, i)[0] for i in range(3)
    ]
    others = np.hstack([means[1], means[0], means[2]])
    untrained = np.median(likeness.nearest_in_layers(means[1], others, own=True))
    assert f"before training half of the layer's neurons found {untrained:.2f}" in own
    app.selectbox(key="choose_among").set_value("collapsed").run()
    said = texts(app)
    assert "correlation **" in said
    assert said.count("by chance") == 4  # of the partner, CKA, SVCCA and the nearest
    assert said.count("before training") == 4


@pytest.mark.parametrize(
    ("run", "said"), [("collapsed", "Uncertainty shows"), ("digits-vae", "give `inputs=`")]
)
def test_inputs_that_a_run_does_not_keep_are_told_with_what_can_be_done(
    open_page: Open, run: str, said: str
) -> None:
    assert said in texts(open_page("neurons", SAMPLE_RUNS, run=run, neurons="1:3", detail="Inputs"))


def test_other_probe_inputs_are_not_compared(open_page: Open, tmp_path: Path) -> None:
    write_probed(tmp_path / "one")
    write_probed(tmp_path / "two", inputs_seed=5)
    app = open_page("neurons", tmp_path, run="one", pin="one:0:0", detail="Similar")
    app.selectbox(key="choose_among").set_value("two").run()
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
    assert drawn(app) == ["1:1"]


def test_a_long_run_says_what_a_point_stands_for(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "long", layers=1, neurons=3, steps=4000)
    app = open_page("neurons", tmp_path, pin="0.1")
    assert "means of 16 recorded steps" in texts(app)
    line = next(trace for trace in figures(app)[2]["data"] if trace.get("name") == "mean")
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
