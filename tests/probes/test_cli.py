"""The command line on good runs, on a damaged one and on what is no run."""

import json
import shutil
import sys

import numpy as np
import pytest
from log_truth import Truth, assert_same, draw, simple_run
from sound_run import LAYERS, write_sound

import probes
from probes.__main__ import main
from probes.command_line import program
from probes.diagnostics import half_life
from probes.log.check import check
from probes.recorder import Recorder


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_sound(tmp_path_factory.mktemp("sound") / "run")


@pytest.fixture
def run(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "run")
    return tmp_path / "run"


def manifest_with(run, **changes):
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_sound_run_has_no_findings(sound, capsys):
    assert check(sound) == []
    assert main(["check", str(sound)]) == 0
    assert "all is as it should be" in capsys.readouterr().out


def test_a_fault_is_told_and_is_the_exit_status(run, capsys):
    (run / "run.json").unlink()
    assert main(["check", str(run)]) == 1
    assert "no run.json" in capsys.readouterr().out.replace("\n", "")


def test_show(sound, capsys):
    assert main(["show", str(sound), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    last = probes.Run(sound).at(599, 0)
    layer = shown["layers"][0]
    assert (shown["status"], shown["steps"], shown["last_step"]) == ("finished", 600, 599)
    assert layer["rate"] == pytest.approx(last["kl"].sum(), rel=1e-5)
    assert layer["information"] == pytest.approx(last["information"].sum(), rel=1e-5)
    assert layer["contraction"] == pytest.approx(1 - last["variance"].mean(), rel=1e-5)
    assert layer["half_life"] == pytest.approx(half_life(last["persistence"].median(), 24), rel=1e-5)
    assert sum(layer["regimes"].values()) == layer["neurons"] == 66
    assert layer["living_share"] == pytest.approx(last["settled"].isin([0, 9]).mean())
    assert main(["show", str(sound)]) == 0
    assert "living share" in capsys.readouterr().out


def test_show_has_no_column_that_a_run_has_nothing_for(tmp_path, capsys):
    with Recorder(tmp_path / "vae", [{"name": "z", "neurons": 3}]) as recorder:
        recorder.record(0, 0, mean=[0.0] * 3, variance=[1.0] * 3, kl=[0.0] * 3)
    assert main(["show", str(tmp_path / "vae")]) == 0
    head = capsys.readouterr().out.splitlines()[1]
    assert " ".join(head.split()) == "layer family neurons living share rate (nats) contraction regimes"


def test_show_counts_temporal_faults_of_splits_that_went_by_blocks(tmp_path, capsys):
    slopes = {"persistence_low": [0.9, 0.5, 0.1], "persistence_high": [0.95, 0.7, 0.2], "phi": [0.6] * 3}
    layers = [{"name": "a", "neurons": 3}]
    for name, further in (("blocks", {"persistence_blocks": [20.0] * 3}), ("pairs", {})):
        with Recorder(tmp_path / name, layers) as recorder:
            recorder.record(0, 0, mean=[0.0] * 3, variance=[1.0] * 3, kl=[0.0] * 3)
            recorder.evaluation(0, "test", 0, persistence=[0.9, 0.6, 0.15], **slopes, **further)
    found = []
    for name in ("blocks", "pairs"):
        assert main(["show", str(tmp_path / name), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["layers"][0]["temporal_faults"])
    assert found == [{"stuck": 1, "jittery": 1}, None]
    assert main(["show", str(tmp_path / "blocks")]) == 0
    assert "stuck 1, jittery 1" in capsys.readouterr().out


def test_show_a_run_without_distributions(tmp_path, capsys):
    with Recorder(tmp_path / "twin", LAYERS) as recorder:
        recorder.scalar(0, "nll", 2.0)
    assert main(["show", str(tmp_path / "twin"), "--json"]) == 0
    layer = json.loads(capsys.readouterr().out)["layers"][0]
    assert layer["rate"] is None
    assert layer["regimes"] == {}
    assert main(["show", str(tmp_path / "twin")]) == 0


def test_ls(tmp_path, capsys):
    simple_run(tmp_path / "good", steps=11)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    assert main(["ls", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "good" in out
    assert "validation/nll 0.09091" in out
    assert "unreadable" in out


def test_a_folder_without_runs_is_said(tmp_path, capsys):
    assert main(["ls", str(tmp_path)]) == 0
    assert "holds no run: the runs of a folder are its subfolders" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_run_and_a_file_in_place_of_a_folder_of_runs_are_named(tmp_path, capsys):
    simple_run(tmp_path / "good", steps=1)
    (tmp_path / "file").write_text("")
    for name, words in (("good", "is a run, and holds none: ask for"), ("file", "; name a folder of runs")):
        assert main(["ls", str(tmp_path / name)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert words in line


def test_numbers_are_taken_from_a_folder_that_is_there(tmp_path, capsys):
    simple_run(tmp_path / "good", steps=1)
    assert main(["import", str(tmp_path / "none"), str(tmp_path / "good")]) == 2
    assert "none is not a folder: name one with event files" in capsys.readouterr().err


def test_of_a_folder_of_runs_one_is_to_be_named(tmp_path, capsys):
    simple_run(tmp_path / "good", steps=1)
    assert main(["show", str(tmp_path)]) == 2
    assert f"it is a folder of runs: name one of them, such as {tmp_path}/good" in capsys.readouterr().err
    assert main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith(": 1 error, 0 notes\n")


def test_a_watch_that_found_nothing_says_why(tmp_path, capsys):
    with Recorder(
        tmp_path / "numbers", [], {"watch": {"refused": ["no posterior was found.\nName it by hand"]}}
    ) as recorder:
        recorder.scalar(0, "loss", 2.0)
    assert main(["show", str(tmp_path / "numbers")]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "no layer is recorded, only numbers that were handed over:",
        "no posterior was found.",
        "Name it by hand",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["ls", "show", "check", "compact"])
def test_what_is_not_there_is_one_line(tmp_path, capsys, command):
    assert main([command, str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_compact_writes_what_a_killed_run_left_out(tmp_path, capsys):
    truth = Truth(LAYERS)
    rng = np.random.default_rng(6)
    recorder = Recorder(tmp_path / "live", LAYERS)
    for step in range(300):
        for layer in range(2):
            recorder.record(step, layer, **draw(truth, rng, step, layer, True))
        if step % 20 == 0:
            recorder.flush()
    recorder.flush()
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    recorder.close()
    state = json.loads((tmp_path / "killed" / "run.json").read_text())
    state["steps"]["count"] -= 1
    manifest_with(tmp_path / "killed", heartbeat=0, steps=state["steps"])
    sorted((tmp_path / "killed" / "layers").iterdir())[-1].unlink()
    (tmp_path / "killed" / "neurons" / ".tmp-000000000300-000000000310.parquet").write_bytes(b"half")
    before = check(tmp_path / "killed")
    assert {finding.level for finding in before} == {"note"}
    assert main(["compact", str(tmp_path / "killed")]) == 0
    assert "files before" in capsys.readouterr().out
    assert check(tmp_path / "killed") == []
    run = probes.Run(tmp_path / "killed")
    assert run.status == "crashed"
    assert_same(run, truth)
    assert len(list((tmp_path / "killed" / "neurons").iterdir())) == 2


def test_compact_refuses_a_run_that_is_being_written(tmp_path, capsys):
    with Recorder(tmp_path / "run", LAYERS):
        assert main(["compact", str(tmp_path / "run")]) == 2
    assert "another recorder" in capsys.readouterr().err


def test_a_command_that_is_not_on_path_is_told_with_its_folder(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/.venv/bin/vdn"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program("vdn") == "/somewhere/.venv/bin/vdn"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert program("vdn") == "vdn"
    monkeypatch.setattr(sys, "argv", ["/somewhere/vdn/__main__.py"])
    assert program("vdn") == "python -m vdn"
