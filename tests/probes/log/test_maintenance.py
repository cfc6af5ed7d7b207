"""A run that was stopped is put in order: late rows are set aside, the rest is compacted, derived, summed up
anew.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from log_truth import Truth, assert_same, fill, raw_frame

import probes
from probes.__main__ import main
from probes.log import maintenance, manifest
from probes.log.blocks import round_mantissa
from probes.log.check import check
from probes.log.segments import Segment
from probes.recorder import Recorder
from probes.storage import lock
from probes.storage.local import LocalStorage

LAYERS = [{"name": "wide", "neurons": 70}, {"name": "narrow", "neurons": 3}]


def record(path, steps, **options):
    """A finished run with scalars and events, whose files are as small as its flushes."""
    truth, rng = Truth(LAYERS), np.random.default_rng(0)
    with Recorder(path, truth.layers, **options) as recorder:
        fill(recorder, truth, list(steps), rng)
        for step in list(steps)[::10]:
            recorder.scalar(step, "nll", 10.0 - step)
            recorder.event(step, "poke", "wide", step % 70)
    return truth


def killed(path, steps, every=20, **options):
    """A run as a kill leaves it: copied from under its writer's hands, with a flush every so many steps."""
    truth, rng = Truth(LAYERS), np.random.default_rng(0)
    recorder = Recorder(path / "live", truth.layers, flush_seconds=60, **options)
    for start in range(0, steps, every):
        fill(recorder, truth, list(range(start, min(start + every, steps))), rng)
        recorder.scalar(start, "nll", 10.0 - start)
        recorder.flush()
    shutil.copytree(path / "live", path / "killed", ignore=shutil.ignore_patterns(lock.FILE))
    recorder.close()
    return truth


def state_of(path):
    return manifest.read(LocalStorage(path))


def files(path, folder):
    return sorted(item.name for item in (path / folder).iterdir())


def test_resume_sets_aside_what_lies_after_its_step(tmp_path):
    truth = Truth([{"name": "only", "neurons": 3}])
    rng = np.random.default_rng(5)
    with Recorder(tmp_path / "run", truth.layers) as recorder:
        fill(recorder, truth, list(range(600)), rng)
        for step in range(0, 600, 100):
            recorder.scalar(step, "nll", step)
            recorder.event(step, "poke")
    before = raw_frame(tmp_path / "run")
    truth.forget_after(300)
    with Recorder.resume(tmp_path / "run", 300) as recorder:
        with pytest.raises(ValueError, match="step 300 .* the step before it is 300"):
            recorder.record(300, 0, mean=[0, 0, 0])
        fill(recorder, truth, [301, 400], rng)
    run = probes.Run(tmp_path / "run")
    assert_same(run, truth)
    assert run.scalars()["step"].tolist() == run.events()["step"].tolist() == [0, 100, 200, 300]
    assert [segment["resumed_from"] for segment in run.manifest["segments"]] == [None, 300]
    assert run.manifest["steps"] == {"count": 303, "first": 0, "last": 400}
    assert run.layer_summary()["step"].tolist() == truth.steps(0)
    aside = raw_frame(tmp_path / "run" / "superseded" / "0001")
    kept = before.merge(aside, how="inner")
    assert set(range(301, 600)) <= set(kept["step"])


def test_reopening_keeps_the_step_itself_and_begins_a_segment(tmp_path):
    truth = record(tmp_path / "run", range(300))
    writer = maintenance.reopen(tmp_path / "run", 270)
    truth.forget_after(270)
    run = probes.Run(tmp_path / "run")
    assert_same(run, truth)
    assert run.manifest["status"] == "running"
    assert [segment["resumed_from"] for segment in run.manifest["segments"]] == [None, 270]
    assert run.manifest["steps"] == {"count": 271, "first": 0, "last": 270}
    assert run.scalars()["step"].tolist() == list(range(0, 280, 10))
    assert run.manifest["scores"]["train/nll"] == {"step": 270, "value": -260.0}
    assert writer._next_rows == {"scalars": 28, "events": 28}
    assert files(tmp_path / "run", "neurons") == [Segment(0, 255).name, Segment(256, 270).name]
    assert files(tmp_path / "run", "superseded/0001/neurons") == [Segment(256, 299).name]
    assert not (tmp_path / "run" / "superseded" / "0001" / "pyramid" / "256" / Segment(0, 255).name).exists()


def test_reopening_at_the_last_step_sets_nothing_aside(tmp_path):
    truth = record(tmp_path / "run", range(300))
    maintenance.reopen(tmp_path / "run", 299)
    assert not (tmp_path / "run" / "superseded").exists()
    assert_same(probes.Run(tmp_path / "run"), truth)


def test_reopening_before_the_first_step_sets_everything_aside(tmp_path):
    record(tmp_path / "run", range(5, 40))
    writer = maintenance.reopen(tmp_path / "run", 4)
    run = probes.Run(tmp_path / "run")
    assert run.steps.size == run.scalars().shape[0] == run.events().shape[0] == 0
    assert run.manifest["steps"] == {"count": 0, "first": None, "last": None}
    assert run.manifest["living_share"] == [None, None]
    assert (run.manifest["scores"], run.manifest["sparklines"], run.manifest["statistics"]) == ({}, {}, [])
    assert writer._next_rows == {}


def test_rows_between_two_recorded_steps_are_cut_at_the_step_asked_for(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 1}]) as recorder:
        for step in range(0, 100, 10):
            recorder.record(step, 0, mean=[step])
            recorder.scalar(step + 5, "nll", 0.0)
    maintenance.reopen(tmp_path / "run", 44)
    run = probes.Run(tmp_path / "run")
    assert run.steps.tolist() == [0, 10, 20, 30, 40]
    assert run.scalars()["step"].tolist() == [5, 15, 25, 35]
    assert check(tmp_path / "run") == []


@pytest.mark.parametrize("precision", ["full", "10bit"])
def test_what_a_kill_left_out_is_computed_as_the_writer_would_have(tmp_path, precision):
    """Summaries and pyramid of the same rows: by a writer that came to its end, and by compacting."""
    record(tmp_path / "whole", range(300), precision=precision)
    shutil.copytree(tmp_path / "whole", tmp_path / "bare", ignore=shutil.ignore_patterns(lock.FILE))
    for folder in ("layers", "pyramid"):
        shutil.rmtree(tmp_path / "bare" / folder)
    maintenance.compact(tmp_path / "bare", state_of(tmp_path / "bare"))
    whole, bare = probes.Run(tmp_path / "whole"), probes.Run(tmp_path / "bare")
    expected, found = whole.layer_summary(), bare.layer_summary()
    assert (found.columns == expected.columns).all()
    np.testing.assert_array_equal(found.to_numpy(float), expected.to_numpy(float))
    if precision == "10bit":
        kl = found["kl_mean"].to_numpy()
        np.testing.assert_array_equal(kl, round_mantissa(kl))
    for columns in (5, 30):
        for mine, theirs in zip(bare.matrix(0, "kl", columns), whole.matrix(0, "kl", columns), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert (
        files(tmp_path / "bare", "pyramid/16") == [Segment(0, 255).name, Segment(256, 299).name]
        or sum(1 for _ in (tmp_path / "bare" / "pyramid" / "16").iterdir()) == 1
    )
    assert check(tmp_path / "bare") == []


def test_small_files_become_as_large_as_can_be(tmp_path):
    truth = killed(tmp_path, 300)
    assert len(files(tmp_path / "killed", "neurons")) > 2
    maintenance.compact(tmp_path / "killed", state_of(tmp_path / "killed"))
    assert files(tmp_path / "killed", "neurons") == [Segment(0, 255).name, Segment(256, 299).name]
    assert files(tmp_path / "killed", "layers") == [Segment(0, 299).name]
    assert files(tmp_path / "killed", "scalars") == [Segment(0, 14).name]
    assert_same(probes.Run(tmp_path / "killed"), truth)


def test_neighbours_that_fill_a_file_exactly_are_compacted(tmp_path):
    """128 and 128 steps: two segments that make one full block."""
    truth, rng = Truth(LAYERS), np.random.default_rng(0)
    with Recorder(tmp_path / "run", truth.layers) as recorder:
        fill(recorder, truth, list(range(128)), rng)
    with Recorder.resume(tmp_path / "run", 127) as recorder:
        fill(recorder, truth, list(range(128, 256)), rng)
    assert len(files(tmp_path / "run", "neurons")) == 2
    maintenance.compact(tmp_path / "run", state_of(tmp_path / "run"))
    assert files(tmp_path / "run", "neurons") == [Segment(0, 255).name]
    assert_same(probes.Run(tmp_path / "run"), truth)
    assert check(tmp_path / "run") == []


def test_the_manifest_is_that_of_the_files_and_nothing_half_written_stays(tmp_path):
    """Scores, sparklines and shares of rows that are gone are gone too; the status is not touched."""
    record(tmp_path / "run", range(100))
    sound = state_of(tmp_path / "run")
    said = {
        "steps": {"count": 9, "first": 1, "last": 2},
        "statistics": ["phi"],
        "scores": {"train/gone": {"step": 1, "value": 1.0}},
        "sparklines": {"train/gone": [[0, 1.0]]},
        "living_share": [0.123, 0.456],
        "status": "crashed",
    }
    path = tmp_path / "run" / "run.json"
    path.write_text(json.dumps(sound | said))
    for folder in ("neurons", "pyramid/16", "."):
        (tmp_path / "run" / folder / ".tmp-x").write_text("half")
    maintenance.compact(tmp_path / "run", state_of(tmp_path / "run"))
    found = state_of(tmp_path / "run")
    assert found["status"] == "crashed"
    for name in ("steps", "statistics", "scores", "sparklines", "living_share"):
        assert found[name] == sound[name], name
    assert not list((tmp_path / "run").rglob(".tmp-*"))


def test_what_was_compacted_and_not_deleted_is_removed(tmp_path):
    truth = record(tmp_path / "run", range(100))
    whole = tmp_path / "run" / "neurons" / Segment(0, 99).name
    shutil.copy(whole, whole.with_name(Segment(10, 20).name))
    maintenance.compact(tmp_path / "run", state_of(tmp_path / "run"))
    assert files(tmp_path / "run", "neurons") == [Segment(0, 99).name]
    assert_same(probes.Run(tmp_path / "run"), truth)


def test_the_truth_is_set_aside_last():
    """A kill in between leaves derived rows short, which readers make up for, never rows derived of
    nothing.
    """
    assert maintenance.FOLDERS[-1] == "neurons"
    assert maintenance.FOLDERS[:2] == maintenance.PYRAMIDS == ["pyramid/16", "pyramid/256"]
    assert set(maintenance.FOLDERS) == {
        "pyramid/16", "pyramid/256", "layers", "scalars", "events", "probe", "parameters", "classes",
        "inputs", "forces", "sequence", "sequence_parameters", "evaluation", "predictions", "reliability",
        "answers", "origin_scores", "neurons",
    }  # fmt: skip


OLD = Path(__file__).parent / "format_1_1"


@pytest.mark.parametrize("name", ["collapsed", "digits-vae"])
def test_a_run_of_format_1_1_opens_and_compacts_unchanged(tmp_path, name):
    shutil.copytree(OLD / name, tmp_path / "run")
    before = probes.Run(tmp_path / "run")
    state = json.loads((tmp_path / "run" / "run.json").read_text())
    assert state["format"] == "1.1"
    rows = [before.history(layer) for layer in range(len(before.layers))]
    for frame in rows:
        assert frame["settled"].equals(frame["regime"].rename("settled")), (
            "what was never settled is as it was"
        )
    summary = before.layer_summary()
    assert (summary["settled_0"] == summary["regime_0"]).all()
    assert (summary["settled_10"] == 0).all()
    assert check(tmp_path / "run") == []
    assert main(["compact", str(tmp_path / "run")]) == 0
    after = probes.Run(tmp_path / "run")
    assert after.manifest["format"] == "1.1"
    for layer, frame in enumerate(rows):
        pd.testing.assert_frame_equal(after.history(layer), frame)
    pd.testing.assert_frame_equal(after.layer_summary(), summary)


def test_a_run_of_format_1_1_is_resumed_and_no_file_spans_two_formats(tmp_path):
    path = tmp_path / "run"
    shutil.copytree(OLD / "digits-vae", path)
    before = probes.Run(path)
    last = int(before.steps[-1])
    kept = before.history(0)
    with Recorder.resume(path, last) as recorder:
        row = before.at(last, 0)
        names = [name for name in before.statistics if row[name].notna().all()]
        for step in range(last + 1, last + 41):
            for index in range(len(before.layers)):
                now = before.at(last, index)
                recorder.record(
                    step, index, **{name: now[name].to_numpy() for name in names}, rows=[64.0] * len(now)
                )
        recorder.scalar(last + 1, "loss", 1.0)
    for _ in range(2):  # as written, and compacted
        run = probes.Run(path)
        assert run.manifest["format"] == "1.2"
        assert [entry.get("format") for entry in run.manifest["segments"]] == [None, "1.2"]
        pd.testing.assert_frame_equal(run.history(0, steps=(0, last))[kept.columns], kept)
        assert run.steps.size == before.steps.size + 40
        assert check(path) == []
        for file in (path / "neurons").glob("*.parquet"):
            steps = pq.read_table(file, columns=["step"])["step"].to_numpy()
            assert (steps <= last).all() or (steps > last).all()
        counts = run.layer_summary()
        assert (
            counts.filter(regex="^settled_").sum(axis=1) == counts.filter(regex="^regime_").sum(axis=1)
        ).all()
        assert main(["compact", str(path)]) == 0


def test_a_resumed_run_goes_on_from_what_was_settled(tmp_path):
    """Cut anywhere and resumed, the settled codes are those of a run that was never stopped."""
    draw = np.random.default_rng(0)
    information = draw.choice([0.2, 0.001], size=(40, 6))
    layer = [{"name": "a", "neurons": 6}]

    def write(recorder, steps):
        for step in steps:
            values = {"mean": 0.0, "variance": 0.99, "spread": 0.1, "mismatch": 0.001}
            columns = {name: np.full(6, value) for name, value in values.items()}
            told = information[step]
            recorder.record(step, 0, **columns, kl=told + 0.001, information=told)

    with Recorder(tmp_path / "whole", layer) as recorder:
        write(recorder, range(40))
    with Recorder(tmp_path / "cut", layer) as recorder:
        write(recorder, range(25))
    with Recorder.resume(tmp_path / "cut", 17) as recorder:
        write(recorder, range(18, 40))
    whole, cut = (
        probes.Run(tmp_path / name).history(0, statistics=["regime", "settled"]) for name in ("whole", "cut")
    )
    pd.testing.assert_frame_equal(cut, whole)
    assert (whole["settled"] != whole["regime"]).mean() > 0.2
