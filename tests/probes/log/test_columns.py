"""A plain reader of a closed run sees every column, also one that begins late."""

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest

from probes import Recorder, Run
from probes.log import columns
from probes.log.check import check

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
