"""Runs found, grouped, compared and annotated; Overview's transitions, interventions and live cards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import write_run
from shown import component, figures, query, texts
from streamlit.testing.v1 import AppTest

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
    named = app.dataframe[0].value.index if key == "run_table" else ["planted", "1", "120"]
    key = ticked_rows.key_of(key, named)
    if key.startswith("run_table"):
        ticks(app, *(named[row] for row in rows))
    else:
        app.session_state[key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    app.run()
    assert not app.exception, [error.value for error in app.exception]
    return app


def place(app: AppTest, name: str) -> int:
    return app.dataframe[0].value.index.tolist().index(name)


def test_the_table_has_what_the_manifests_say(open_page: Open, folder: Path) -> None:
    table = open_page("runs", folder).dataframe[0].value
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
    app = open_page("runs", folder, find="beta<0.1 twin=false")
    assert sorted(app.dataframe[0].value.index) == ["beta0.01-0", "beta0.01-1"]
    app.text_input(key="find").set_value("bta<0.1").run()
    assert "did you mean beta" in app.error[0].value
    assert len(app.dataframe[0].value) == 6
    app.text_input(key="find").set_value("nowhere").run()
    assert "No run matches" in app.info[0].value


def test_seeds_are_taken_together(open_page: Open, folder: Path) -> None:
    app = open_page("runs", folder, rows="seeds", find="twin=false")
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
    app = open_page("runs", folder)
    rows = sorted([place(app, "beta0.01-0"), place(app, "beta0.5-1")])
    tick(app, "run_table", *rows)
    table = app.dataframe[1].value
    assert table.index.tolist() == ["beta", "seed"]
    assert set(table.loc["beta"]) == {"0.01", "0.5"}
    assert "2 are the same" in texts(app)
    tick(app, "run_table", place(app, "beta0.01-0"), place(app, "broken"))
    assert "cannot be read: broken" in texts(app)


def test_a_tick_does_not_pass_to_another_run(open_page: Open, folder: Path) -> None:
    app = tick(open_page("runs", folder), "run_table", 0)
    assert "Open **" in texts(app)
    app.text_input(key="find").set_value("beta0.5-1").run()
    assert "Open **" not in texts(app)


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
    app.multiselect[0].set_value(["old"])
    app.text_area[0].set_value("<script>alert(1)</script> $x$")
    app.button[0].click().run()
    assert not app.exception
    assert notes.read(path) == notes.Notes(("old",), "<script>alert(1)</script> $x$")
    assert app.dataframe[0].value["tags"].tolist() == [["old"]]
    assert sorted(item.name for item in path.iterdir()) == sorted([*before, "notes.json"])


def test_notes_that_cannot_be_written_say_so(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "mine", neurons=3, steps=5)
    app = tick(open_page("runs", tmp_path), "run_table", 0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalStorage, "put", full)
    app.button[0].click().run()
    assert "Not saved" in texts(app)
    assert "No space left" in texts(app)
    assert not (tmp_path / "mine" / "notes.json").exists()


def test_transitions_are_those_of_the_rows(open_page: Open, run_folder: Path) -> None:
    from probes.diagnostics import transitions

    run = Run(run_folder / "planted")
    rows = [run.history(layer, statistics=["settled"]) for layer in range(3)]
    expected = sum(len(transitions(frame)) for frame in rows)
    app = open_page("overview")
    assert f"{expected:,} moves." in texts(app)
    table = next(frame.value for frame in app.dataframe if "moves" in frame.value)
    assert table["moves"].sum() == expected
    tick(app, "moves_table", 0)
    app.button(key="go_to_move").click().run()
    assert query(app, "step") == str(table.iloc[0]["half"])


def test_a_single_step_has_no_transition(open_page: Open, tmp_path: Path) -> None:
    write_run(tmp_path / "one", neurons=3, steps=1)
    assert "nothing can change yet" in texts(open_page("overview", tmp_path))


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
    app = open_page("overview", tmp_path)
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
    assert "Nothing is written" in texts(open_page("overview", tmp_path))
