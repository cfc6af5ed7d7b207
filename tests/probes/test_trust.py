"""Disks that fill, folders that turn read-only, logs of any shape: nothing is lost, doubled or reduced
wrongly.
"""

import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_truth import Truth, assert_same, draw, fill

import probes
from probes.log.check import check
from probes.recorder import Recorder, RecorderError
from probes.storage import local

LAYERS = [{"name": "wide", "neurons": 130}, {"name": "narrow", "neurons": 3}]
DISK_BYTES = 2**20
NOBODY = 65534  # an unprivileged user: permission bits do not bind root


class LimitedFiles:
    """Stands for a full disk where none can be mounted: no file may grow beyond a byte."""

    def __init__(self, folder):
        self.folder = folder
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, self._limits[1]))

    def free(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    remove = free


class SmallDisk:
    """A file system of 1 MB."""

    def __init__(self, folder):
        self.folder = folder
        self._ballast = folder / "ballast"
        subprocess.run(_mount(folder), check=True)

    def fill(self):
        left = os.statvfs(self.folder)
        self._ballast.write_bytes(b"0" * (left.f_bavail * left.f_frsize))

    def free(self):
        self._ballast.unlink()

    def remove(self):
        subprocess.run(["umount", "--lazy", self.folder], check=True)  # a reader may still hold a file open


def _mount(folder):
    return ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]


def _can_mount():
    """Mounting is for root, and not even for root in every container."""
    if os.geteuid() or not shutil.which("mount"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(_mount(folder), capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


@pytest.fixture(
    params=[LimitedFiles, SmallDisk] if _can_mount() else [LimitedFiles], ids=lambda kind: kind.__name__
)
def disk(request, tmp_path):
    disk = request.param(tmp_path)
    yield disk
    disk.remove()


def test_a_disk_that_fills_and_is_freed_loses_and_doubles_nothing(disk):
    truth, rng, path = Truth(LAYERS), np.random.default_rng(0), disk.folder / "run"
    recorder = Recorder(path, truth.layers, flush_steps=100, flush_seconds=60)
    for first in (0, 40, 80):
        fill(recorder, truth, list(range(first, first + 20)), rng)
        recorder.flush()
        fill(recorder, truth, list(range(first + 20, first + 40)), rng)
        disk.fill()
        with pytest.raises(
            RecorderError, match=f"cannot write {path}: .*(No space left|File too large).* tried again"
        ):
            recorder.flush()
        written = probes.Run(path).steps
        assert written.tolist() == list(range(written.size))
        assert written.size >= first + 20
        disk.free()
    recorder.close()
    assert_same(probes.Run(path), truth)
    assert check(path) == []


def test_a_disk_that_is_full_at_the_end_can_be_resumed(disk):
    truth, rng, path = Truth(LAYERS), np.random.default_rng(1), disk.folder / "run"
    recorder = Recorder(path, truth.layers, flush_seconds=60)
    fill(recorder, truth, list(range(30)), rng)
    recorder.flush()
    recorder.record(30, "wide", mean=np.zeros(130))
    disk.fill()
    with pytest.raises(RecorderError, match="cannot write"):
        recorder.close()
    disk.free()
    written = probes.Run(path).steps
    assert written.tolist() in (list(range(30)), list(range(31)))
    with Recorder.resume(path, 19) as recorder:
        truth.forget_after(19)
        fill(recorder, truth, list(range(20, 50)), rng)
    assert_same(probes.Run(path), truth)
    assert check(path) == []
    assert not list(path.rglob(f"{local.TEMPORARY}*"))


@pytest.fixture
def unprivileged():
    """A folder of a user whom permission bits bind; the process is that user meanwhile."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if root:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_folder_that_turns_read_only(unprivileged):
    truth, rng, path = Truth(LAYERS), np.random.default_rng(2), unprivileged / "run"
    recorder = Recorder(path, truth.layers, flush_seconds=60)
    fill(recorder, truth, list(range(20)), rng)
    recorder.flush()
    fill(recorder, truth, list(range(20, 40)), rng)
    folders = [path, *(item for item in path.rglob("*") if item.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    with pytest.raises(RecorderError, match=f"cannot write {path}: .*Permission denied"):
        recorder.flush()
    assert probes.Run(path).steps.tolist() == list(range(20))
    for folder in folders:
        folder.chmod(0o755)
    fill(recorder, truth, list(range(40, 50)), rng)
    recorder.close()
    assert_same(probes.Run(path), truth)
    assert check(path) == []

    path.chmod(0o555)
    with pytest.raises(OSError, match="Permission denied"):
        Recorder.resume(path, 10)
    path.chmod(0o755)
    with Recorder.resume(path, 49) as recorder:  # the lock was let go
        fill(recorder, truth, [50], rng)
    assert_same(probes.Run(path), truth)


def reduced(raw, steps, edges, how):
    """Each column of a matrix from the raw numbers (N, T), by its edges alone."""
    cuts = np.searchsorted(steps, edges)
    with np.errstate(invalid="ignore"):
        return np.stack(
            [how(raw[:, a:b].astype(np.float64)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)], axis=1
        )


def _mean(values):
    return np.where(np.isnan(values), 0, values).sum(axis=1) / (~np.isnan(values)).sum(axis=1)


REDUCTIONS = {
    "mean": _mean,
    "min": lambda v: np.fmin.reduce(v, axis=1),
    "max": lambda v: np.fmax.reduce(v, axis=1),
}


def record_blocks(recorder, truth, steps, rng):
    """All layers of 40 steps at a time, as a trainer on a device hands them over."""
    for piece in np.array_split(steps, -(-len(steps) // 40)):
        for layer in range(len(truth.layers)):
            drawn = [draw(truth, rng, int(step), layer, True) for step in piece]
            recorder.record_block(
                piece, layer, {name: np.stack([row[name] for row in drawn]) for name in drawn[0]}
            )


def test_a_statistic_that_a_later_part_lacks(tmp_path):
    """Asked for alone, of a file that does not have it: NaN at its steps."""
    truth, rng = Truth([{"name": "only", "neurons": 3}]), np.random.default_rng(0)
    with Recorder(tmp_path / "run", truth.layers) as recorder:
        fill(recorder, truth, [0], rng)
    with Recorder.resume(tmp_path / "run", 0) as recorder:
        fill(recorder, truth, list(range(1, 400)), rng, sometimes_every=1000)
    run = probes.Run(tmp_path / "run")
    np.testing.assert_array_equal(run.matrix(0, "mu2")[0], truth.array(0, "mu2"))
    np.testing.assert_array_equal(run.history(0, 1, ["mu2"])["mu2"], truth.array(0, "mu2")[1])
    assert run.at(399, statistics=["mu2"])["mu2"].isna().all()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    widths=st.lists(st.tuples(st.integers(1, 70), st.sampled_from([1, 1, 3])), min_size=1, max_size=3),
    segments=st.lists(st.tuples(st.integers(1, 330), st.booleans()), min_size=1, max_size=3),
    gap=st.integers(1, 9),
    flush_steps=st.integers(5, 300),
    columns=st.integers(1, 700),
    data=st.data(),
)
def test_any_run_with_any_resumes_comes_back_and_is_reduced_as_numpy_reduces_it(
    tmp_path_factory, widths, segments, gap, flush_steps, columns, data
):
    path = tmp_path_factory.mktemp("run") / "run"
    truth = Truth([{"name": f"l{i}", "neurons": n, "latent_dim": k} for i, (n, k) in enumerate(widths)])
    rng = np.random.default_rng(columns)
    options = {"flush_steps": flush_steps, "flush_seconds": 60.0}
    kept = -1
    for number, (count, in_blocks) in enumerate(segments):
        if number:
            kept = data.draw(st.sampled_from(truth.steps(0)))
            truth.forget_after(kept)
        steps = kept + np.cumsum(rng.integers(1, gap + 1, count))
        with (
            Recorder.resume(path, kept, **options)
            if number
            else Recorder(path, truth.layers, **options) as recorder
        ):
            if in_blocks:
                record_blocks(recorder, truth, steps, rng)
            else:
                fill(recorder, truth, steps.tolist(), rng, sometimes_every=7)
    run = probes.Run(path)
    assert_same(run, truth)
    assert check(path) == []
    steps = np.array(truth.steps(0))
    for name in {"kl", "persistence"} & set(run.statistics):
        for reduce, how in REDUCTIONS.items():
            values, edges = run.matrix(0, name, columns, reduce)
            assert edges[0] == steps[0]
            assert edges[-1] == steps[-1] + 1
            assert values.shape[1] <= columns
            np.testing.assert_allclose(values, reduced(truth.array(0, name), steps, edges, how), rtol=1e-6)
    summary, raw = run.layer_summary().query("layer == 0"), truth.array(0, "kl")
    np.testing.assert_allclose(summary["kl_mean"], raw.astype(np.float64).mean(axis=0), rtol=1e-6)
    for kind, quantile in (("p05", 0.05), ("p50", 0.5), ("p95", 0.95)):
        np.testing.assert_allclose(
            summary[f"kl_{kind}"], np.quantile(raw.astype(np.float64), quantile, axis=0), rtol=1e-6
        )
