"""The catalog: what manifests say, nothing else opened."""

import json
import os
import shutil

import pytest
from log_truth import simple_run

import probes
from probes.log import catalog


def test_rows_from_manifests_alone(tmp_path):
    simple_run(tmp_path / "one", steps=31)
    simple_run(tmp_path / "two", steps=5)
    for folder in ("neurons", "layers", "scalars"):
        for part in (tmp_path / "one" / folder).iterdir():
            part.write_bytes(b"not opened")
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


def test_what_is_kept_between_two_looks_is_what_is_there(tmp_path, monkeypatch):
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
