"""Runs found, grouped, compared and annotated; Health's transitions, interventions and live cards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import write_run
from shown import component, figures, query, texts
from streamlit.testing.v1 import AppTest

from pages.shell.session import ticked_runs
from pages.shell.widgets import ticked_rows
from probes import Recorder, Run, notes
from probes.log.manifest import group_of
from probes.storage.local import LocalStorage

Open = Callable[..., AppTest]


def configured(path: Path, **config: Any) -> None:
    """Give a planted run a config of its own."""
    manifest = json.loads((path / "run.json").read_text())
    manifest |= {"config": config, "seed": config.get("seed"), "group": group_of(config)}
    (path / "run.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two settings of two seeds each, a twin of the first, one broken run."""
    folder = tmp_path_factory.mktemp("browse")
    for beta, dead in ((0.01, None), (0.5, 1)):
        for seed in range(2):
            path = write_run(
                folder / f"beta{beta}-{seed}", neurons=6, steps=40, layers=2, dead_from=dead, seed=seed
            )
            configured(path, beta=beta, seed=seed, twin=False, name="<b>")
    with Recorder(folder / "twin", [{"name": "one", "neurons": 6}]) as recorder:
        recorder.scalar(1, "nll", 2.0, split="validation")
    configured(folder / "twin", beta=0.01, seed=0, twin=True, name="<b>")
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    return folder


def ticks(app: AppTest, *names: str) -> None:
    """What the table writes into the URL when runs are ticked."""
    app.query_params["ticked"] = ",".join(names)


def tick(app: AppTest, key: str, *rows: int) -> AppTest:
    """Tick rows of a table, as a click in the browser does."""
    named = table_of(app).index if key == "run_table" else ["planted", "1", "120"]
    key = ticked_rows.key_of(key, named)
    if key.startswith("run_table"):
        ticks(app, *(named[row] for row in rows))
    else:
        app.session_state[key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    app.run()
    assert not app.exception, [error.value for error in app.exception]
    return app


def table_of(app: AppTest) -> pd.DataFrame:
    """The table of runs, by name."""
    return next(frame.value for frame in app.dataframe if frame.value.index.name == "name of the run")


def place(app: AppTest, name: str) -> int:
    return table_of(app).index.tolist().index(name)


def test_the_table_has_what_the_manifests_say(open_page: Open, folder: Path) -> None:
    table = table_of(open_page("runs", folder))
    assert set(table["status"]) == {"finished", "unreadable"}
    scores = Run(folder / "beta0.01-0").scalars().query("name == 'nll'")["value"]
    assert np.isclose(table.loc["beta0.01-0", "NLL"], scores.iloc[-1])
    assert np.isclose(table.loc["beta0.01-0", "to twin"], scores.iloc[-1] - 2)
    # of its seed; a twin reads no beta
    assert set(table.index[table["to twin"].notna()]) == {"beta0.01-0", "beta0.5-0"}
    rate = Run(folder / "beta0.5-1").layer_summary().groupby("step")["kl_mean"].sum() * 6
    np.testing.assert_allclose(table.loc["beta0.5-1", "rate over steps"][-1], rate.iloc[-1], rtol=1e-5)
    assert "tags" not in table


def test_a_filter_leaves_the_runs_that_meet_it(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, filter="beta<0.1 twin=false")
    assert sorted(table_of(app).index) == ["beta0.01-0", "beta0.01-1"]
    app.text_input(key="filter").set_value("bta<0.1").run()
    assert "did you mean beta" in app.error[0].value
    assert len(table_of(app)) == 6
    app.text_input(key="filter").set_value("nowhere").run()
    assert "No run matches" in app.info[0].value


def test_seeds_are_taken_together(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, rows="seeds", filter="twin=false")
    table = app.dataframe[0].value.set_index("group")
    assert sorted(table.index) == ["beta=0.01", "beta=0.5"]
    assert table["runs"].tolist() == [2, 2]
    living = [Run(folder / f"beta0.5-{seed}").regimes()["settled"].isin([0, 9]).mean() for seed in range(2)]
    assert np.isclose(table.loc["beta=0.5", "living"], 100 * np.median(living), atol=0.01)
    figure = figures(app)[0]
    assert {trace["name"] for trace in figure["data"] if trace.get("showlegend")} == {
        "beta=0.01 · 2 runs",
        "beta=0.5 · 2 runs",
    }


def test_two_runs_are_compared_by_what_differs(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, ticked="beta0.01-0,beta0.5-1", view="compare")
    table = next(frame.value for frame in app.dataframe if frame.value.index.name == "setting")
    assert table.index.tolist() == ["beta", "seed"]
    assert table.loc["beta"].tolist() == ["0.01", "0.5"]
    assert "2 are the same" in texts(app)
    scores = app.dataframe[0].value.set_index("score")
    last = [
        Run(folder / name).scalars().query("name == 'nll'")["value"].iloc[-1]
        for name in ("beta0.01-0", "beta0.5-1")
    ]
    first, second, difference = scores.loc["validation NLL (nats)"]
    assert np.allclose([first, second, difference], [*last, last[1] - last[0]], rtol=1e-4)
    assert "has no interval" in texts(app)
    assert "no forecasts of single test points are stored" in texts(app)
    drawn = [figure["layout"]["meta"]["alt"] for figure in figures(app)]
    for words in ("train loss", "rate (nats)", "living share", "contraction", "Distribution of information"):
        assert any(words in alt for alt in drawn), (words, drawn)


def test_ticks_that_the_link_does_not_hold_are_said(
    open_page: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticked_runs, "MOST", 1)
    app = open_page("runs", folder, ticked="beta0.01-0")
    assert "The link holds" not in texts(app)
    app.session_state["_ticked_runs"] = ["beta0.01-0", "beta0.5-1"]
    app.query_params["ticked"] = ""
    app.run()
    assert "The link holds 1 ticks at most: not these." in texts(app)


def test_a_run_that_cannot_be_read_is_left_out_of_a_comparison(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, ticked="beta0.01-0,beta0.5-1,broken", view="compare")
    assert "broken is left out" in texts(app)
    assert len(app.dataframe[0].value.columns) == 4  # score, two values, their difference
    assert "tick 2 to 6" in texts(open_page("runs", folder, ticked="broken", view="compare"))


def test_ticks_outlive_a_filter_and_a_reload(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, ticked="beta0.01-0,beta0.5-1", filter="beta=0.5")
    assert sorted(table_of(app).index) == ["beta0.5-0", "beta0.5-1"]
    assert "Untick 2, 1 of them not in the table" in [button.label for button in app.button]
    app.button(key="untick").click().run()
    assert "ticked" not in app.query_params
    assert "Tick a run" in texts(app)


def test_a_link_that_ticks_what_is_not_there_says_so(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, ticked="gone,beta0.01-0")
    assert "Ticked in the link, but in no folder of runs: gone." in app.warning[0].value
    assert query(app, "ticked") == "beta0.01-0"
    assert not app.run().warning


def test_two_runs_are_opened_beside_each_other_in_one_link(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, ticked="beta0.01-0,beta0.5-1")
    links = {link.proto.label: link.proto.query_string for link in app.get("page_link")}
    assert {"Replay", "Neurons", "Uncertainty"} <= set(links)
    assert {links[name] for name in ("Replay", "Neurons", "Uncertainty")} == {"run=beta0.01-0&vs=beta0.5-1"}


def test_filter_view_order_and_columns_are_in_the_address(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, filter="twin=false", sort_runs="-NLL", columns="status,NLL,setting:beta")
    table = table_of(app)
    assert table.columns.tolist() == ["run", "status", "NLL", "setting:beta"]
    assert table["NLL"].is_monotonic_decreasing
    app.multiselect(key="chosen_columns").set_value(["NLL", "score:validation/nll"]).run()
    assert query(app, "columns") == "NLL,score%3Avalidation%2Fnll"
    assert table_of(app).columns.tolist() == ["run", "NLL", "score:validation/nll"]
    app.text_input(key="filter").set_value("").run()
    assert "filter" not in app.query_params
    assert len(table_of(app)) == 6


def test_a_column_for_each_setting_that_varies(open_page: Open, folder: Path) -> None:
    table = table_of(open_page("runs", folder))
    assert [name for name in table if name.startswith("setting:")] == [
        "setting:beta",
        "setting:seed",
        "setting:twin",
    ]
    assert "setting:name" not in table
    assert table_of(open_page("runs", folder, filter="beta=0.5"))["setting:seed"].nunique() == 2


def test_archived_runs_are_hidden_until_they_are_asked_for(open_page: Open, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, neurons=3, steps=5)
    app = open_page("runs", tmp_path, ticked="one")
    app.button(key="archive").click().run()
    assert notes.read(tmp_path / "one").archived
    assert "ticked" not in app.query_params
    assert table_of(app).index.tolist() == ["two"]
    assert "1 of 2 runs" in texts(app).replace("*", "")
    app.toggle(key="show_archived").set_value(True).run()
    assert query(app, "archived") == "1"
    assert sorted(table_of(app).index) == ["one", "two"]
    tick(app, "run_table", place(app, "one"))
    assert app.button(key="archive").label == "Unarchive"
    app.button(key="archive").click().run()
    assert not notes.read(tmp_path / "one").archived
    assert open_page("runs", tmp_path, filter="archived:yes").info[0].value.startswith("No run matches")


def test_several_runs_are_tagged_at_once(open_page: Open, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, neurons=3, steps=5)
    notes.write(tmp_path / "one", ["old"], "seen")
    app = open_page("runs", tmp_path, ticked="one,two")
    app.multiselect(key="bulk_tags").set_value(["old"])
    app.button(key="tags_add").click().run()
    assert [notes.read(tmp_path / name) for name in ("one", "two")] == [
        notes.Notes(("old",), "seen"),
        notes.Notes(("old",)),
    ]
    assert "Tagged 2 runs" in texts(app)
    app.button(key="tags_remove").click().run()
    assert notes.read(tmp_path / "one") == notes.Notes((), "seen")


def test_a_deleted_run_is_in_the_trash_whole(open_page: Open, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, neurons=3, steps=5)
    before = {
        path.relative_to(tmp_path / "one"): path.read_bytes()
        for path in (tmp_path / "one").rglob("*")
        if path.is_file()
    }
    app = open_page("runs", tmp_path, ticked="one", run="one")
    assert "Delete this run?" in texts(app)
    app.button(key="delete_confirmed").click().run()
    assert not app.exception
    assert sorted(path.name for path in tmp_path.iterdir()) == [".trash", "two"]
    gone = tmp_path / ".trash" / "one"
    assert {path.relative_to(gone): path.read_bytes() for path in gone.rglob("*") if path.is_file()} == before
    assert table_of(app).index.tolist() == ["two"]
    assert query(app, "run") == "two"
    assert not app.warning


def test_a_run_that_is_being_written_is_not_deleted(open_page: Open, tmp_path: Path) -> None:
    with Recorder(tmp_path / "live", [{"name": "one", "neurons": 2}]):
        app = open_page("runs", tmp_path, ticked="live")
        assert "Cannot be deleted: live is being written" in texts(app)
        app.button(key="delete_confirmed").click().run()
        assert (tmp_path / "live" / "run.json").is_file()
        assert "live is being written" in texts(app)


def test_a_run_is_shown_under_a_name_of_its_own(open_page: Open, tmp_path: Path) -> None:
    for name in ("sweep-a-seed0", "sweep-b-seed0", "sweep-c-seed0"):
        write_run(tmp_path / name, neurons=3, steps=5)
    app = open_page("runs", tmp_path, ticked="sweep-b-seed0")
    assert sorted(table_of(app)["run"]) == ["a", "b", "c"]
    app.text_input(key="name of sweep-b-seed0").set_value(" the  best ")
    app.button(key="save_notes").click().run()
    assert table_of(app)["run"].to_dict()["sweep-b-seed0"] == "the best"
    app.text_input(key="filter").set_value("best").run()
    assert table_of(app).index.tolist() == ["sweep-b-seed0"]


def test_an_unreadable_run_tells_its_whole_reason(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder)
    assert "run.json is not readable as JSON" in app.code[0].value
    tick(app, "run_table", place(app, "broken"))
    assert "run.json is not readable as JSON" in app.code[0].value


def test_tags_and_notes_are_kept_beside_the_run(open_page: Open, tmp_path: Path) -> None:
    path = write_run(tmp_path / "mine", neurons=3, steps=5)
    before = sorted(item.name for item in path.iterdir())
    notes.write(path, ["old"], "")
    app = tick(open_page("runs", tmp_path), "run_table", 0)
    app.multiselect(key="tags of mine").set_value(["old"])
    app.text_area[0].set_value("<script>alert(1)</script> $x$")
    app.button(key="save_notes").click().run()
    assert not app.exception
    assert notes.read(path) == notes.Notes(("old",), "<script>alert(1)</script> $x$")
    assert table_of(app)["tags"].tolist() == [["old"]]
    assert sorted(item.name for item in path.iterdir()) == sorted([*before, "notes.json"])


def test_notes_that_cannot_be_written_say_so(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "mine", neurons=3, steps=5)
    app = tick(open_page("runs", tmp_path), "run_table", 0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalStorage, "put", full)
    app.button(key="save_notes").click().run()
    assert "Not saved" in texts(app)
    assert "No space left" in texts(app)
    assert not (tmp_path / "mine" / "notes.json").exists()


def test_transitions_are_those_of_the_rows(open_page: Open, run_folder: Path) -> None:
    from probes.diagnostics import transitions

    run = Run(run_folder / "planted")
    rows = [run.history(layer, statistics=["settled"]) for layer in range(3)]
    expected = sum(len(transitions(frame)) for frame in rows)
    app = open_page("health")
    assert "moves:" not in texts(app)  # opened on demand
    app.session_state["transitions"] = True
    app.run()
    assert f"{expected:,} moves:" in texts(app)
    table = next(frame.value for frame in app.dataframe if "moves" in frame.value)
    assert table["moves"].sum() == expected
    tick(app, "moves_table", 0)
    app.button(key="go_to_move").click().run()
    assert query(app, "step") == str(table.iloc[0]["half"])


def test_a_single_step_has_no_transition(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "one", neurons=3, steps=1)
    app = open_page("health", tmp_path)
    assert not [expander for expander in app.expander if "Transitions" in expander.label]


def test_cards_follow_a_run_that_is_being_written(open_page: Open, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "live", [{"name": "one", "neurons": 2}])
    random = np.random.default_rng(0)

    def train(step: int) -> None:
        values = {
            name: random.uniform(0.1, 1, 2) for name in ("mean", "variance", "spread", "kl", "information")
        }
        recorder.record(step, 0, **values)
        recorder.scalar(step, "nll", 10.0 - step, split="validation")

    for step in range(5):
        train(step)
    recorder.flush()
    app = open_page("health", tmp_path)
    assert "live" in texts(app)
    assert '"value": "6"' in component(app, "cards").json
    manifest = json.loads((tmp_path / "live" / "run.json").read_text())
    recorder.close()
    assert manifest["status"] == "running"
    app.run()
    assert "finished" in texts(app)


def test_a_run_without_a_step_yet_is_waited_for(open_page: Open, tmp_path: Path) -> None:
    path = write_run(tmp_path / "new", neurons=2, steps=2)
    for name in ("neurons", "layers", "scalars", "events"):
        for file in (path / name).iterdir():
            file.unlink()
    content = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**content, "status": "running", "heartbeat": time.time()}))
    assert "Nothing is written" in texts(open_page("health", tmp_path))


def test_persistence_stands_beside_that_of_the_second_run(open_page: Open, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name)
    alone = len(open_page("persistence", tmp_path, run="one").get("plotly_chart"))
    app = open_page("persistence", tmp_path, run="one", vs="two")
    assert len(app.get("plotly_chart")) == alone + 1
    assert "Persistence over steps of two" in texts(app)
    assert "one run at a time" in texts(open_page("experiments", tmp_path, run="one", vs="two"))


def test_no_alerts_of_a_short_run_are_no_praise(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "short", neurons=3, steps=20)
    assert "most rules judge 64 recorded steps" in texts(open_page("health", tmp_path))
