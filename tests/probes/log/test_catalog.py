"""The catalog: what manifests say, nothing else opened."""

import json
import os
import shutil
import time
from pathlib import PurePath

import pytest
from log_truth import simple_run

import probes
from probes import notes
from probes.log import catalog


def test_rows_from_manifests_alone(tmp_path):
    simple_run(tmp_path / "one", steps=31)
    simple_run(tmp_path / "two", steps=5)
    for folder in ("neurons", "layers", "scalars"):
        for file in (tmp_path / "one" / folder).iterdir():
            file.write_bytes(b"not opened")
    (tmp_path / "two" / "notes.json").write_text(json.dumps({"tags": ["keep"], "notes": "a good one"}))
    (tmp_path / "not a run").mkdir()
    (tmp_path / "file").write_text("")
    frame = probes.catalog(tmp_path).set_index("name")
    assert sorted(frame.index) == ["one", "two"]
    one = frame.loc["one"]
    assert (one["status"], one["steps"], one["last_step"], one["layers"], one["neurons"], one["seed"]) == (
        "finished",
        31,
        30,
        2,
        13,
        0,
    )
    assert one["scores"]["validation/nll"] == {"step": 30, "value": pytest.approx(1 / 31)}
    assert len(one["living_share"]) == 2
    assert {"rate", "living_share", "validation/nll"} <= set(one["sparklines"])
    assert one["group"] == frame.loc["two", "group"]
    assert frame.loc["two", "tags"] == ["keep"]
    assert frame.loc["two", "notes"] == "a good one"


def test_seeds_of_one_config_are_a_group(tmp_path):
    for name, config in (
        ("a", {"seed": 0, "beta": 1}),
        ("b", {"seed": 1, "beta": 1}),
        ("c", {"seed": 0, "beta": 2}),
    ):
        probes.Recorder(tmp_path / name, [{"name": "l", "neurons": 1}], config).close()
    group = probes.catalog(tmp_path).set_index("name")["group"]
    assert group["a"] == group["b"] != group["c"]


def test_a_broken_run_says_why_and_the_rest_stays(tmp_path):
    simple_run(tmp_path / "good", steps=2)
    for name, text in (("bad", "{"), ("new", '{"format": "9.0", "layers": [{"name": "a", "neurons": 1}]}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    frame = probes.catalog(tmp_path).set_index("name")
    assert frame["status"].to_dict() == {"good": "finished", "bad": "unreadable", "new": "unreadable"}
    assert "update the package" in frame.loc["new", "error"]


def test_a_changed_manifest_is_read_anew(tmp_path):
    with probes.Recorder(tmp_path / "run", [{"name": "l", "neurons": 1}]) as recorder:
        assert probes.catalog(tmp_path)["status"].tolist() == ["running"]
        recorder.record(0, 0, mean=[1])
    assert probes.catalog(tmp_path)[["status", "steps"]].to_numpy().tolist() == [["finished", 1]]


def manifest_with(path, **changes):
    file = path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_changed_notes_are_read_anew_though_the_manifest_is_the_same(tmp_path):
    simple_run(tmp_path / "run", steps=2)
    assert catalog.catalog_rows(tmp_path)[0]["tags"] == []
    for tags in (["keep"], ["drop"], []):
        notes.write(tmp_path / "run", tags, "".join(tags))
        [row] = catalog.catalog_rows(tmp_path)
        assert (row["tags"], row["notes"]) == (tags, "".join(tags))
    (tmp_path / "run" / "notes.json").write_text("{")
    assert "not readable as JSON" in catalog.catalog_rows(tmp_path)[0]["notes_error"]
    (tmp_path / "run" / "notes.json").unlink()
    assert catalog.catalog_rows(tmp_path)[0]["notes_error"] is None


def test_the_newest_run_comes_first_and_an_unreadable_one_last(tmp_path):
    for name, day in (("a", 2), ("b", 3), ("c", 1)):
        probes.Recorder(tmp_path / name, [{"name": "l", "neurons": 1}]).close()
        manifest_with(tmp_path / name, created=f"2026-01-0{day}T00:00:00+00:00")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "run.json").write_text("{")
    assert [row["name"] for row in catalog.catalog_rows(tmp_path)] == ["b", "a", "c", "d"]


def test_a_run_that_falls_silent_is_crashed_though_its_manifest_is_the_same(tmp_path, monkeypatch):
    simple_run(tmp_path / "run", steps=2)
    manifest_with(tmp_path / "run", status="running", heartbeat=time.time())
    assert catalog.catalog_rows(tmp_path)[0]["status"] == "running"
    later = time.time() + 31
    monkeypatch.setattr(time, "time", lambda: later)
    assert catalog.catalog_rows(tmp_path)[0]["status"] == "crashed"


def test_rows_are_copies(tmp_path):
    simple_run(tmp_path / "run", steps=2)
    catalog.catalog_rows(tmp_path)[0]["name"] = "changed by whoever asked"
    assert catalog.catalog_rows(tmp_path)[0]["name"] == "run"


def test_sparklines_stay_short_and_keep_both_ends(tmp_path):
    run, _ = simple_run(tmp_path / "run", steps=500, neurons=2, flush_steps=40)
    for series in run.manifest["sparklines"].values():
        assert 2 <= len(series) <= 33
        assert series[0][0] == 0
        assert series[-1][0] in (490, 499)
        steps = [step for step, _ in series]
        assert max(b - a for a, b in zip(steps, steps[1:], strict=False)) <= 500 / 8


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(probes.RunError, match="is not a folder"):
        probes.catalog(tmp_path / "nowhere")
    assert probes.catalog(tmp_path).empty


def test_rows_are_those_of_the_frame(tmp_path):
    simple_run(tmp_path / "good", steps=2)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    rows = catalog.catalog_rows(tmp_path)
    assert [list(row) for row in rows] == [list(catalog.COLUMNS)] * 2
    assert rows == probes.catalog(tmp_path).to_dict("records")


def test_what_is_cached_between_two_looks_is_what_is_there(tmp_path, monkeypatch):
    """A run that is written for hours, and runs that come and go, leave nothing behind in a server's
    memory.
    """
    read = []
    row = catalog._row
    monkeypatch.setattr(
        catalog, "_row", lambda run, with_notes: read.append(run.root) or row(run, with_notes)
    )
    for name in ("one", "two"):
        simple_run(tmp_path / name, steps=2)
    catalog.catalog_rows(tmp_path)
    assert len(read) == 2
    catalog.catalog_rows(tmp_path)
    assert len(read) == 2
    os.utime(tmp_path / "one" / "run.json", (1, 1))
    catalog.catalog_rows(tmp_path)
    assert read[2:] == [str(tmp_path / "one")]
    shutil.rmtree(tmp_path / "two")
    catalog.catalog_rows(tmp_path)
    assert set(catalog._cache[str(tmp_path)]) == {"one"}
    for place in range(catalog.CACHED_FOLDERS):
        (tmp_path / "others" / str(place)).mkdir(parents=True)
        catalog.catalog_rows(tmp_path / "others" / str(place))
    assert str(tmp_path) not in catalog._cache


def test_a_name_is_as_long_as_it_takes_to_tell_a_run_from_the_others():
    path = PurePath("/runs/sweep/a")
    assert catalog.run_name(path, []) == "a"
    assert catalog.run_name(path, ["a"]) == "sweep/a"
    assert catalog.run_name(path, ["a", "sweep/a"]) == "runs/sweep/a"
    assert catalog.run_name(path, ["a", "sweep/a", "runs/sweep/a"]) == "/runs/sweep/a"
    assert catalog.run_name(PurePath("a"), ["a"]) == "a"


def test_folders_of_runs_are_looked_into_one_level_deep(tmp_path, monkeypatch):
    for name in ("top", "sweep/one", "sweep/two", ".hidden/three", "deep/er/four", "top/inside"):
        probes.Recorder(tmp_path / name, [{"name": "l", "neurons": 1}]).close()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "sweep")

    def found(**options):
        return sorted(row["name"] for row in catalog.catalog_rows(tmp_path, **options))

    assert found() == ["top"]
    assert found(nested=True) == ["one", "top", "two"]
    (tmp_path / "sweep" / "0").mkdir()
    monkeypatch.setattr(catalog, "MOST_LOOKED_AT", 1)
    assert found(nested=True) == ["top"], "the first of its entries is no run"
    monkeypatch.setattr(catalog, "MOST_LOOKED_AT", 2)
    assert found(nested=True) == ["one", "top", "two"]


def test_a_manifest_that_says_little_is_a_row_of_what_is_neutral(tmp_path):
    (tmp_path / "run").mkdir()
    said = {"format": "1.0", "layers": [{"name": "a", "neurons": 3}, {"name": "b", "neurons": 4}]}
    (tmp_path / "run" / "run.json").write_text(json.dumps(said))
    [row] = catalog.catalog_rows(tmp_path)
    assert (row["name"], row["status"], row["steps"], row["last_step"]) == ("run", "crashed", 0, None)
    assert (row["layers"], row["neurons"], row["layer_names"]) == (2, 7, ["a", "b"])
    assert (row["layer_neurons"], row["layer_families"]) == ([3, 4], ["gaussian", "gaussian"])
    for name in ("living_share", "tags"):
        assert row[name] == [], name
    for name in ("scores", "sparklines", "config", "dropped", "sets"):
        assert row[name] == {}, name
    assert row["notes"] == row["shown_name"] == ""
    assert [row[name] for name in ("created", "seed", "group", "error", "notes_error")] == [None] * 5


def test_as_many_folders_are_kept_as_a_server_has(tmp_path):
    catalog._cache.clear()
    for place in range(catalog.CACHED_FOLDERS + 1):
        (tmp_path / str(place)).mkdir()
        catalog.catalog_rows(tmp_path / str(place))
    assert list(catalog._cache) == [str(tmp_path / str(place)) for place in range(1, 17)]
