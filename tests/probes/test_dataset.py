"""The files of a run that count, as one table: of live, killed and changing runs, for any reader of Arrow."""

import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from memory import MemoryStorage

import probes
from probes.log import maintenance, manifest
from probes.log.check import check
from probes.log.rows import TABLES
from probes.recorder import Recorder
from probes.storage.local import LocalStorage

LAYERS = [{"name": "a", "neurons": 3}, {"name": "b", "neurons": 70}]


def record(recorder, steps, kl_from=0):
    for step in steps:
        for layer, item in enumerate(LAYERS):
            ones = np.ones(item["neurons"], np.float32)
            statistics = {"mean": step * ones} | ({"kl": step * ones / 2} if step >= kl_from else {})
            recorder.record(step, layer, **statistics)
        recorder.scalar(step, "loss", step)


def expected(steps, kl_from=0):
    frame = pd.DataFrame({"step": np.asarray(steps)})
    return frame.assign(kl=np.where(frame["step"] >= kl_from, frame["step"] / 2, np.nan))


def neuron(scan):
    """Steps and kl of neuron 2 of layer 1."""
    chosen = (ds.field("layer") == 1) & (ds.field("neuron") == 2)
    frame = scan.to_table(columns=["step", "kl"], filter=chosen).to_pandas()
    return frame.astype({"kl": float}).reset_index(drop=True)


@pytest.fixture
def late(tmp_path):
    """600 steps, from the 300th on with kl, in several files."""
    with Recorder(tmp_path / "run", LAYERS, flush_steps=50) as recorder:
        record(recorder, range(600), kl_from=300)
    return tmp_path / "run"


@pytest.fixture
def killed(tmp_path):
    """A run whose writer is killed when it has compacted small files and not deleted them yet."""
    code = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
from test_dataset import LAYERS, record
from probes import Recorder
from probes.storage.local import LocalStorage
LocalStorage.delete = lambda self, path: os.kill(os.getpid(), signal.SIGKILL)
recorder = Recorder({str(tmp_path / "killed")!r}, LAYERS)
for start in range(0, 400, 10):
    record(recorder, range(start, start + 10), kl_from=100)
    recorder.flush()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return tmp_path / "killed"


def test_a_statistic_that_begins_later_is_null_before(late):
    found = probes.scan(late)
    assert found.schema.names == ["step", "layer", "neuron", "regime", "settled", "mean", "kl"]
    assert found.count_rows() == 600 * 73
    pd.testing.assert_frame_equal(neuron(found), expected(range(600), 300))


def test_pandas_polars_duckdb_and_run_agree(late):
    found = probes.scan(late)
    frame = expected(range(600), 300)
    by_sql = found.sql("select step, kl from neurons where layer = 1 and neuron = 2 order by step")
    by_polars = (
        pl.scan_pyarrow_dataset(found).filter(layer=1, neuron=2).select("step", "kl").sort("step").collect()
    )
    by_run = probes.Run(late).history(1, 2, ["kl"])
    for other in (by_sql["kl"], by_polars["kl"].to_numpy(), by_run["kl"]):
        np.testing.assert_array_equal(np.asarray(other, float), frame["kl"])


def test_every_table_is_there_and_has_each_row_once(late):
    run = probes.Run(late)
    rows = {name: probes.scan(run, name).count_rows() for name in TABLES}
    assert rows["layers"] == len(run.layer_summary()) == 1200
    assert rows["scalars"] == len(run.scalars()) == 600
    assert rows["pyramid/16"] == (16 + 16 + 6) * 73  # of 256, 256 and 88 steps
    assert rows["neurons"] == 600 * 73
    assert rows["events"] == rows["probe"] == 0
    assert probes.scan(late, "pyramid/16").sql("select count(kl_max) as n from pyramid_16")["n"][0] > 0
    assert probes.scan(late, "events").schema.names == ["step", "layer", "kind", "neuron", "value", "text"]
    assert {name for name in TABLES if run.files(name)} == {name for name in TABLES if rows[name]}


def test_a_live_run_has_each_row_once_at_any_moment(tmp_path):
    with Recorder(tmp_path / "run", LAYERS) as recorder:
        doubled = 0
        for start in range(0, 400, 8):
            record(recorder, range(start, start + 8), kl_from=100)
            recorder.flush()
            found = probes.scan(tmp_path / "run")
            assert found.count_rows() == (start + 8) * 73
            assert found.to_table(columns=["step"])["step"].unique().to_pylist() == list(range(start + 8))
            files = (tmp_path / "run" / "neurons").glob("*.parquet")
            doubled += sum(pq.read_metadata(file).num_rows for file in files) > (start + 8) * 73
        assert doubled, "a glob would have done"
        pd.testing.assert_frame_equal(neuron(found), expected(range(400), 100))


def test_a_killed_run_has_each_row_once(killed):
    files = sorted((killed / "neurons").glob("*.parquet"))
    by_glob = sum(pq.read_metadata(file).num_rows for file in files)
    found = probes.scan(killed)
    steps = probes.Run(killed).steps
    assert by_glob > found.count_rows() == steps.size * 73
    pd.testing.assert_frame_equal(neuron(found), expected(range(steps.size), 100))
    counted = probes.Run(killed).files()
    assert set(counted) < {str(file) for file in files}
    assert pl.read_parquet(counted, missing_columns="insert").height == found.count_rows()


def test_what_a_scan_has_found_stays_when_it_is_compacted_away(tmp_path):
    with Recorder(tmp_path / "run", LAYERS) as recorder:
        record(recorder, range(10))
        recorder.flush()
        found = probes.scan(tmp_path / "run")
        before = list((tmp_path / "run" / "neurons").iterdir())
        for start in range(10, 600, 10):
            record(recorder, range(start, start + 10))
            recorder.flush()
        assert not any(path.exists() for path in before)
        pd.testing.assert_frame_equal(neuron(found), expected(range(10)))


def fold_while_listed(path, monkeypatch):
    """The small files of a live run are compacted between a listing and the opening of what it lists."""
    real, left = LocalStorage.open, [True]

    def opening(self, name):
        if left and "neurons/" in name and self.root == str(path):
            left.clear()
            os.rename(path / "neurons", path / "neurons-old")
            shutil.copytree(path.with_name("full") / "neurons", path / "neurons")
        return real(self, name)

    monkeypatch.setattr(LocalStorage, "open", opening)


@pytest.fixture
def folded(tmp_path, monkeypatch):
    """A live run of 20 small files, whose listing is out of date once; `full` is the same run compacted."""
    path = tmp_path / "run"
    recorder = Recorder(path, LAYERS)
    for start in range(0, 20, 2):
        record(recorder, range(start, start + 2))
        recorder.flush()
    shutil.copytree(path, tmp_path / "full")
    maintenance.compact(tmp_path / "full", manifest.read(LocalStorage(tmp_path / "full")))
    assert len(list((path / "neurons").iterdir())) > len(list((tmp_path / "full" / "neurons").iterdir())) == 1
    fold_while_listed(path, monkeypatch)
    yield path
    monkeypatch.undo()
    recorder.close()


READERS = {
    "scan": lambda path: neuron(probes.scan(path))["step"].tolist(),
    "history": lambda path: probes.Run(path).history(1, 2)["step"].tolist(),
    "at": lambda path: [int(probes.Run(path).at(step)["step"].iloc[0]) for step in range(20)],
    "matrix": lambda path: probes.Run(path).matrix(1, "mean")[0][0].astype(int).tolist(),
    "layers": lambda path: sorted(set(probes.Run(path).layer_summary()["step"])),
    "snapshot": lambda path: probes.Run(path).snapshot().history(1, 2)["step"].tolist(),
    "check": lambda path: list(range(20)) if check(path) == [] else check(path),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_file_folded_away_between_listing_and_opening_is_looked_up_again(folded, reader):
    assert READERS[reader](folded) == list(range(20))


class ObjectStore(MemoryStorage):
    """A store whose objects cannot be read any more once they are deleted, opened or not."""

    def open(self, path):
        return pa.PythonFile(_Requests(self, path), mode="r")


class _Requests(io.BytesIO):
    def __init__(self, storage, path):
        super().__init__(storage._get(path))
        self._storage, self._path = storage, path

    def read(self, size=-1):
        if self._storage.stamp(self._path) is None:
            raise OSError("404: no such key")
        return super().read(size)


def test_a_file_folded_away_between_opening_and_reading_is_looked_up_again(tmp_path):
    recorder = Recorder(tmp_path / "run", LAYERS)
    for start in range(0, 20, 2):
        record(recorder, range(start, start + 2))
        recorder.flush()
    store = ObjectStore.copy_of(tmp_path / "run")
    recorder.close()
    run = probes.Run(store)
    assert run.history(1, 2)["step"].tolist() == list(range(20))  # its files are open now
    for name in store.names("neurons"):
        store.delete(f"neurons/{name}")
    with pytest.raises(probes.RunError, match="step 3 is not recorded"):
        run.at(3)  # no file is there any more: that is all
    run = probes.Run(ObjectStore.copy_of(tmp_path / "run"))
    run.history(0, 0)
    for old in run.storage.names("neurons"):
        whole = run.storage._get(f"neurons/{old}")
        run.storage.delete(f"neurons/{old}")
    for path in (tmp_path / "run" / "neurons").iterdir():
        run.storage.put(f"neurons/{path.name}", path.read_bytes())
    assert whole
    assert run.history(1, 2)["step"].tolist() == list(range(20))


def test_wrong_names_and_folders(late, tmp_path):
    for call in (lambda: probes.scan(late, "neuron"), lambda: probes.Run(late).files("../x")):
        with pytest.raises(KeyError, match="a run has no table .*its tables are neurons, pyramid/16"):
            call()
    with pytest.raises(probes.RunError, match="holds no run"):
        probes.scan(tmp_path)


def test_a_damaged_file_and_a_link_are_one_error(late, tmp_path):
    file = Path(probes.Run(late).files()[-1])
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    with pytest.raises(probes.RunError, match="is not a readable Parquet file"):
        probes.scan(late)
    file.unlink()
    (tmp_path / "elsewhere").write_bytes(whole)
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(probes.RunError, match="is a link"):
        probes.scan(late)


def test_without_duckdb_the_remedy_is_said(late, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ImportError, match="pip install duckdb, or this package with its extra `sql`"):
        probes.scan(late).sql("select 1")


def test_many_files_are_scanned_with_few_descriptors(tmp_path, monkeypatch):
    monkeypatch.setattr("probes.dataset.KEPT_OPEN", 2)
    with Recorder(tmp_path / "run", LAYERS) as recorder:
        record(recorder, range(6 * 256))
    before = len(os.listdir("/proc/self/fd"))
    found = probes.scan(tmp_path / "run")
    assert len(os.listdir("/proc/self/fd")) - before <= 2
    assert neuron(found)["step"].tolist() == list(range(6 * 256))


@pytest.mark.parametrize("version", ["format_1_1"])
def test_runs_of_earlier_formats_are_scanned(version, tmp_path):
    path = Path(__file__).parent / "log" / version
    for file in sorted(path.rglob("run.json")):
        run = probes.Run(file.parent)
        found = probes.scan(run)
        assert found.count_rows() == sum(
            run.taken(i, "regime").size * la["neurons"] for i, la in enumerate(run.layers)
        )
        assert found.schema.field("settled").type == pa.int8()
