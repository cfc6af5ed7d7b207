"""Opening and refreshing: what is a run, what is news, what a state of it is known by."""

import json
import shutil
import time

import pytest
from log_truth import simple_run

import probes
from probes.recorder import Recorder


def test_an_empty_run(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 2}]):
        run = probes.Run(tmp_path / "run")
        assert run.status == "running"
        assert run.steps.size == run.statistics.__len__() == 0
        for frame in (
            run.history(0),
            run.layer_summary(),
            run.scalars(),
            run.events(),
            run.regimes(),
            run.probe(),
            run.evaluation(),
        ):
            assert frame.empty
        with pytest.raises(probes.RunError, match="no steps yet"):
            run.at(0)


def test_a_heartbeat_that_stopped_and_a_clock_that_jumped(tmp_path):
    run, _ = simple_run(tmp_path / "run", steps=2)
    for offset in (-31, 31, 3600):
        text = (tmp_path / "run" / "run.json").read_text()
        data = json.loads(text) | {"status": "running", "heartbeat": time.time() + offset}
        (tmp_path / "run" / "run.json").write_text(json.dumps(data))
        run.refresh()
        assert run.status == "crashed"


def manifest_with(path, **changes):
    """run.json with other values; no other file is touched."""
    file = path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("status", ["finished", "interrupted", "crashed"])
def test_a_run_that_ends_without_a_further_file_is_news(tmp_path, status):
    simple_run(tmp_path / "run", steps=2)
    manifest_with(tmp_path / "run", status="running", heartbeat=time.time())
    run = probes.Run(tmp_path / "run")
    manifest_with(tmp_path / "run", heartbeat=time.time())
    assert not run.refresh(), "a heartbeat alone is nothing new"
    manifest_with(tmp_path / "run", status=status)
    assert run.refresh()
    assert run.status == status
    assert not run.refresh()


def test_a_run_that_falls_silent_is_news_once(tmp_path, monkeypatch):
    """Nothing changes on the disk: its writer was killed, and the heartbeat grows old."""
    simple_run(tmp_path / "run", steps=2)
    manifest_with(tmp_path / "run", status="running", heartbeat=time.time())
    run = probes.Run(tmp_path / "run")
    assert run.status == "running"
    assert not run.refresh()
    later = time.time() + 31
    monkeypatch.setattr(time, "time", lambda: later)
    assert run.refresh()
    assert run.status == "crashed"
    assert not run.refresh()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no run.json"),
        ("{", "not readable as JSON"),
        ("[]", "no format version"),
        ('{"format": "2.0"}', "format 2.0, this reader knows 1"),
        ('{"format": "1.9", "layers": []}', "at least one layer"),
        ('{"format": "1.0", "layers": [{"name": "a", "neurons": "many"}]}', "run.json"),
    ],
)
def test_what_is_not_a_run(tmp_path, text, words):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(probes.RunError, match=words):
        probes.Run(tmp_path)


def test_a_newer_minor_version_with_further_columns_is_read(tmp_path):
    simple_run(tmp_path / "run", steps=3)
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "1.7", "unheard_of": {"a": 1}}))
    assert probes.Run(tmp_path / "run").steps.size == 3


def test_a_truncated_file_is_one_clear_error(tmp_path):
    run, _ = simple_run(tmp_path / "run", steps=3)
    part = next((tmp_path / "run" / "neurons").iterdir())
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(probes.RunError, match="not a readable Parquet file .*probes check"):
        run.history(0)


def growing(path):
    """A recorder of one layer, and a function that writes a step with a loss."""
    recorder = Recorder(path, [{"name": "a", "neurons": 3}])

    def write(step, value=0.5):
        recorder.record(step, 0, mean=[value] * 3, variance=[1.0] * 3)
        recorder.scalar(step, "loss", value)
        recorder.flush()

    return recorder, write


def test_extents_grow_with_rows_and_with_nothing_else(tmp_path):
    recorder, write = growing(tmp_path / "run")
    run = probes.Run(tmp_path / "run")
    assert [run.extent(name) for name in ("neurons", "scalars", "probe")] == [-1, 0, 0]
    for step in range(5):
        write(step)
    assert run.extent("neurons") == -1, "not refreshed yet"
    run.refresh()
    assert [run.extent(name) for name in ("neurons", "scalars", "probe")] == [4, 5, 0]
    recorder.close()
    run.refresh()
    assert [run.extent(name) for name in ("neurons", "scalars", "probe")] == [4, 5, 0], "compacted"
    with pytest.raises(KeyError):
        run.extent("nothing")


def test_a_snapshot_stays_while_its_run_is_refreshed(tmp_path):
    recorder, write = growing(tmp_path / "run")
    for step in range(3):
        write(step)
    run = probes.Run(tmp_path / "run")
    before = run.snapshot()
    write(3)
    assert run.refresh()
    after = run.snapshot()
    assert before.steps.tolist() == before.history(0)["step"].unique().tolist() == [0, 1, 2]
    assert after.steps.tolist() == run.steps.tolist() == [0, 1, 2, 3]
    assert len(before.scalars()) == 3
    assert len(before.layer_summary()) == 3
    recorder.close()
    run.refresh()
    assert before.history(0)["step"].unique().tolist() == [0, 1, 2], "its files are open still"


def test_the_identity_is_another_once_a_run_is_resumed_or_replaced(tmp_path):
    recorder, write = growing(tmp_path / "run")
    write(1)
    run = probes.Run(tmp_path / "run")
    found = [run.identity]
    write(2)
    run.refresh()
    recorder.close()
    run.refresh()
    assert [run.identity] == found, "written on and finished"
    Recorder.resume(tmp_path / "run", 1).close()
    run.refresh()
    found.append(run.identity)
    shutil.rmtree(tmp_path / "run")
    growing(tmp_path / "run")[0].close()
    found.append(probes.Run(tmp_path / "run").identity)
    assert len(set(found)) == 3


def test_a_reader_sees_what_a_resumed_run_holds_under_the_names_of_before(tmp_path):
    """As many steps and rows as were set aside: the files are called what those were called."""
    layer = [{"name": "only", "neurons": 2}]
    with Recorder(tmp_path / "run", layer) as recorder:
        for step in range(4):
            recorder.record(step, 0, mean=[step, step])
            recorder.scalar(step, "nll", step)
    run = probes.Run(tmp_path / "run")
    before = run.snapshot()
    assert run.history(0, 0)["mean"].tolist() == run.scalars()["value"].tolist() == [0, 1, 2, 3]
    with Recorder.resume(tmp_path / "run", -1) as recorder:
        for step in range(4):
            recorder.record(step, 0, mean=[step + 10, step + 10])
            recorder.scalar(step, "nll", step + 10)
    assert run.refresh()
    assert run.history(0, 0)["mean"].tolist() == run.scalars()["value"].tolist() == [10, 11, 12, 13]
    assert run.layer_summary()["mean_mean"].tolist() == [10, 11, 12, 13]
    assert before.history(0, 0)["mean"].tolist() == [0, 1, 2, 3], "its files are open still"
    assert not run.refresh()
