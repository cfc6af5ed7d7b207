"""A plain reader of a closed run sees every column, also one that begins late."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from probes import Recorder, Run
from probes.log import columns
from probes.log.blocks import KEY_FIELDS
from probes.log.check import check
from probes.storage.local import LocalStorage

LAYERS = [{"name": "z", "neurons": 4}]
KL = {"columns": ["step", "kl"], "filters": [("layer", "==", 0), ("neuron", "==", 1)]}


def recorded(folder, steps, late, resume=None):
    recorder = Recorder(folder, LAYERS) if resume is None else Recorder.resume(folder, resume)
    with recorder:
        for step in steps:
            kl = {"kl": np.ones(4)} if step >= late else {}
            recorder.record(step, "z", mean=np.zeros(4), **kl)
    return folder


def test_a_statistic_that_begins_late_is_seen_by_a_plain_reader(tmp_path):
    run = recorded(tmp_path / "run", range(1200), 600)
    assert (run / "neurons" / columns.FILE).exists()
    for table in ("neurons", "pyramid/16"):
        assert "kl" in "".join(ds.dataset(run / table, format="parquet").schema.names)
    frame = pd.read_parquet(run / "neurons", **KL)
    assert frame["kl"].notna().sum() == 600
    assert len(frame) == 1200
    assert Run(run).history(0, [1])["kl"].notna().sum() == 600
    assert not [finding for finding in check(run) if finding.level == "error"]


def test_a_run_of_one_set_of_columns_has_no_such_file(tmp_path):
    run = recorded(tmp_path / "run", range(1200), 0)
    assert not list(run.rglob(columns.FILE))


@pytest.mark.parametrize("late", [900, 10_000])
def test_a_resumed_run_has_the_columns_of_both_sessions(tmp_path, late):
    run = recorded(tmp_path / "run", range(600), 10_000)
    recorded(run, range(600, 1200), late, resume=599)
    assert (run / "neurons" / columns.FILE).exists() == (late == 900)
    frame = pd.read_parquet(run / "neurons", columns=["step", "mean"])
    assert len(frame) == 4 * 1200


def test_columns_of_all_files_are_in_the_registrys_order_and_may_be_null(tmp_path):
    first = pa.schema([*KEY_FIELDS, pa.field("kl", pa.float32(), nullable=False)])
    second = pa.schema([*KEY_FIELDS, pa.field("mean", pa.float32())])
    found = columns.unified("neurons", [first, second])
    assert found.names == ["step", "layer", "neuron", "mean", "kl"]
    assert all(field.nullable for field in found)
    of_two = [{"step": pa.int64(), "y": pa.int64()}, {"step": pa.int64(), "y": pa.float64(), "a": pa.bool_()}]
    plain = columns.unified("predictions", [pa.schema(list(one.items())) for one in of_two])
    assert plain.names == ["step", "y", "a"]
    assert plain.field("y").type == pa.float64()


def test_where_all_files_have_the_same_columns_by_now_the_file_of_all_is_removed(tmp_path):
    run = recorded(tmp_path / "run", range(600), 300)
    storage = LocalStorage(run)
    assert columns.FILE in storage.names("neurons")
    [first, *_] = sorted(name for name in storage.names("neurons") if name != columns.FILE)
    storage.delete(f"neurons/{first}")  # the one without
    for name in [name for name in storage.names("neurons") if name != columns.FILE][:-1]:
        storage.delete(f"neurons/{name}")
    columns.write(storage, "neurons", "full")
    assert columns.FILE not in storage.names("neurons")
    columns.write(storage, "neurons", "full")
