"""A run begins, ends and goes on: its lock, its status, and disks that are full."""

import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from failing_disk import FailingDisk
from log_truth import Truth, assert_same, fill

import probes
from probes.errors import RunError
from probes.log.check import check
from probes.recorder import Recorder, RecorderError
from probes.storage import local

LAYER = [{"name": "only", "neurons": 3}]


def test_closed_recorder(tmp_path):
    recorder = Recorder(tmp_path / "run", LAYER)
    recorder.close()
    recorder.close()
    for call in (
        lambda: recorder.record(0, 0, mean=[1, 2, 3]),
        lambda: recorder.scalar(0, "a", 1.0),
        recorder.flush,
    ):
        with pytest.raises(RecorderError, match="closed"):
            call()


@pytest.mark.parametrize(
    ("layers", "options", "words"),
    [
        ([], {}, "at least one layer"),
        ([{"name": "a", "neurons": 0}], {}, "'a': neurons is 0"),
        ([{"name": "a", "neurons": 1}] * 2, {}, "must differ"),
        (["a"], {}, "must be a dict|dictionary"),
        (LAYER, {"precision": "half"}, "precision is 'half'"),
        (LAYER, {"when_full": "explode"}, "when_full"),
        (LAYER, {"flush_seconds": 0}, "flush_seconds"),
        (LAYER, {"every": 0}, "every is 0"),
    ],
)
def test_bad_arguments_leave_nothing_behind(tmp_path, layers, options, words):
    with pytest.raises(ValueError, match=words):
        Recorder(tmp_path / "run", layers, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("given", "kept"), [(None, "folder"), ("", "folder"), ("baseline", "baseline")])
def test_a_run_is_called_as_asked_for_or_as_its_folder(tmp_path, given, kept):
    Recorder(tmp_path / "folder", LAYER, name=given).close()
    assert probes.Run(tmp_path / "folder").manifest["name"] == kept


def test_max_gb_counts_thousands_of_millions_of_bytes(tmp_path):
    """3 neurons with one statistic: (3 + 8) x 3.8 B a step, so 23,923 steps in a million bytes."""
    with Recorder(tmp_path / "run", LAYER, max_gb=0.001) as recorder:
        for step in range(3):
            recorder.record(step, 0, mean=[1, 2, 3])
    [said] = probes.Run(tmp_path / "run").events()["text"]
    assert "max_gb=0.001 holds about 23,923 of them" in said


def test_a_flush_before_a_checkpoint_writes_the_step_that_is_under_way(tmp_path):
    """One of two layers has recorded it: the flush says that no other will."""
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 1}, {"name": "b", "neurons": 1}]) as recorder:
        recorder.record(0, "a", mean=[0])
        recorder.record(0, "b", mean=[0])
        recorder.record(1, "a", mean=[1])
        recorder.flush()
        assert probes.Run(tmp_path / "run").steps.tolist() == [0, 1]
        with pytest.raises(ValueError, match="step 1 of layer 'b' comes too late"):
            recorder.record(1, "b", mean=[1])
        recorder.record(2, "b", mean=[2])
    assert probes.Run(tmp_path / "run").history("b")["step"].tolist() == [0, 2]


def test_the_time_of_training_goes_on_after_a_resume(tmp_path, monkeypatch):
    clock = time.monotonic
    with Recorder(tmp_path / "run", LAYER) as recorder:
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 1000)
        recorder.scalar(0, "nll", 1.0)
        recorder.flush()
    monkeypatch.setattr(time, "monotonic", clock)
    with Recorder.resume(tmp_path / "run", 0) as recorder:
        recorder.scalar(1, "nll", 1.0)
    before, after = probes.Run(tmp_path / "run").scalars()["time"]
    assert before <= after < before + 100


def test_a_start_that_fails_lets_go_of_the_run(tmp_path):
    Recorder(tmp_path / "run", LAYER).close()
    file = tmp_path / "run" / "run.json"
    sound = file.read_text()
    with pytest.raises(probes.RunError, match="holds a run already") as first:
        Recorder(tmp_path / "run", LAYER)
    file.write_text("{")
    with pytest.raises(probes.RunError, match="JSON") as second:
        Recorder.resume(tmp_path / "run", 0)
    file.write_text(sound)
    Recorder.resume(tmp_path / "run", 0).close()
    assert first.value is not second.value  # both are held here, and with them all that their tracebacks hold


def test_one_writer_a_run(tmp_path):
    with Recorder(tmp_path / "run", LAYER):
        for second in (
            lambda: Recorder(tmp_path / "run", LAYER),
            lambda: Recorder.resume(tmp_path / "run", 0),
        ):
            with pytest.raises(probes.RunError, match="another recorder"):
                second()
    with pytest.raises(probes.RunError, match="holds a run already"):
        Recorder(tmp_path / "run", LAYER)
    with pytest.raises(probes.RunError, match="no run to resume"):
        Recorder.resume(tmp_path, 0)


def _record_and_raise(path, error):
    with Recorder(path, LAYER) as recorder:
        recorder.record(0, 0, mean=[1, 2, 3])
        assert probes.Run(path).status == "running"
        raise error


def test_statuses(tmp_path):
    for name, error, status in (("a", KeyboardInterrupt, "interrupted"), ("b", ZeroDivisionError, "crashed")):
        with pytest.raises(error):
            _record_and_raise(tmp_path / name, error)
        assert probes.Run(tmp_path / name).status == status
        assert probes.Run(tmp_path / name).steps.tolist() == [0]


def test_a_full_disk_is_one_clear_error_and_nothing_is_lost_or_doubled(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    truth = Truth([{"name": "only", "neurons": 3}])
    rng = np.random.default_rng(4)
    recorder = Recorder(tmp_path / "run", truth.layers)
    fill(recorder, truth, list(range(200)), rng)
    disk.full = True
    with pytest.raises(RecorderError, match=r"cannot write .*run: .*No space left on device.*tried again"):
        recorder.flush()
    fill(recorder, truth, list(range(200, 230)), rng)
    with pytest.raises(RecorderError, match="No space left"):
        recorder.flush()
    disk.full = False
    fill(recorder, truth, list(range(230, 300)), rng)
    recorder.close()
    assert_same(probes.Run(tmp_path / "run"), truth)
    assert not list((tmp_path / "run").rglob(f"{local.TEMPORARY}*"))


def test_what_a_call_hands_over_is_kept_though_the_call_tells_of_a_full_disk(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    recorder = Recorder(tmp_path / "run", LAYER, flush_seconds=0.01)
    told = []
    for step in range(20):
        while step == 10 and not disk.refused:  # the thread meets it, however late
            time.sleep(0.01)
        disk.full = step < 10
        for call in (
            lambda step=step: recorder.record(step, 0, mean=[step, step, step]),
            lambda step=step: recorder.scalar(step, "nll", step),
        ):
            time.sleep(0.02)
            try:
                call()
            except RecorderError as error:
                told.append(str(error))
    recorder.close()
    run = probes.Run(tmp_path / "run")
    assert told
    assert all("The rows are kept in memory" in text for text in told)
    assert recorder.dropped == {"steps": 0, "rows": 0}
    assert run.history(0, 0)["mean"].tolist() == run.scalars()["value"].tolist() == list(range(20))


def test_closing_that_was_broken_off_is_taken_up_again(tmp_path, monkeypatch):
    """A second Ctrl-C, while the first one's rows are written."""
    recorder = Recorder(tmp_path / "run", LAYER, every=2)
    for step in range(4):
        recorder.record(step, 0, mean=[step, step, step])
        recorder.scalar(step, "nll", step)
    replace = local.os.replace
    for files in (0, 1, 1, 2):
        left = iter([True] * files)

        def broken_off(source, target, left=left):
            if not next(left, False):
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(local.os, "replace", broken_off)
        with pytest.raises(KeyboardInterrupt):
            recorder.close()
        with pytest.raises(RunError, match="is being written by another recorder"):
            Recorder.resume(tmp_path / "run", 3)
    monkeypatch.setattr(local.os, "replace", replace)
    recorder.close("interrupted")
    recorder.close()
    run = probes.Run(tmp_path / "run")
    assert run.status == "interrupted"
    assert run.history(0, 0)["mean"].tolist() == [0, 2, 3]
    assert run.scalars()["value"].tolist() == [0, 1, 2, 3]
    assert check(tmp_path / "run") == []


def test_without_strict_a_full_disk_warns_once_and_counts_what_is_lost(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    recorder = Recorder(tmp_path / "run", LAYER, strict=False, flush_steps=10)
    disk.full = True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(200):
            recorder.record(step, 0, mean=[1, 2, 3])
            time.sleep(0.002)
    assert ["No space left" in str(warning.message) for warning in caught] == [True]
    disk.full = False
    recorder.close()
    run = probes.Run(tmp_path / "run")
    assert recorder.dropped["steps"] > 0
    assert run.steps.size + recorder.dropped["steps"] == 200
    assert run.manifest["dropped"] == recorder.dropped


def test_a_write_that_the_kernel_refuses(tmp_path):
    """RLIMIT_FSIZE stands for a disk without room: no file may pass 4 KB."""
    code = f"""
import resource, numpy as np, probes
r = probes.Recorder({str(tmp_path / "run")!r}, [dict(name="a", neurons=5000)])
r.record(0, 0, mean=np.random.rand(5000))
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
try:
    r.flush()
except probes.RecorderError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
r.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert probes.Run(tmp_path / "run").steps.tolist() == [0]


def test_when_full_waits_or_drops(tmp_path, monkeypatch):
    gate = threading.Event()
    replace = local.os.replace
    for choice in ("wait", "drop"):
        gate.clear()
        recorder = Recorder(tmp_path / choice, LAYER, when_full=choice, flush_steps=5)
        monkeypatch.setattr(local.os, "replace", lambda *names: (gate.wait(), replace(*names)))
        releaser = threading.Timer(0.3, gate.set)
        releaser.start()
        for step in range(100):
            recorder.record(step, 0, mean=[step, 0, 0])
        recorder.close()
        releaser.join()
        monkeypatch.setattr(local.os, "replace", replace)
        run = probes.Run(tmp_path / choice)
        assert run.steps.size + recorder.dropped["steps"] == 100
        assert (recorder.dropped["steps"] == 0) == (choice == "wait")


@pytest.mark.parametrize("step", [1.0, "1", None, True, -2, 2**60])
def test_a_resume_after_what_is_no_step(tmp_path, step):
    Recorder(tmp_path / "run", LAYER).close()
    with pytest.raises(ValueError, match="resume, the last step to keep, is"):
        Recorder.resume(tmp_path / "run", step)
    Recorder.resume(tmp_path / "run", np.int64(-1)).close()


def test_what_cannot_be_written_at_the_interpreters_end_is_said(tmp_path, monkeypatch):
    """There is nobody left to raise it to."""
    recorder = Recorder(tmp_path / "run", LAYER)
    recorder.record(0, 0, mean=[1, 2, 3])
    FailingDisk(monkeypatch).full = True
    with pytest.warns(RuntimeWarning, match="No space left"):
        recorder._close_at_exit()
