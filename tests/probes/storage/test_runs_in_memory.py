"""The seam is real: a run is read, checked, compacted and listed where it is no folder of this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from log_truth import simple_run
from memory import MemoryStorage
from pyarrow import fs as pafs

import probes
from probes import notes
from probes.experiments import store
from probes.log import manifest
from probes.log.check import check
from probes.log.maintenance import compact
from probes.run import Run
from probes.storage import Storage
from probes.storage.arrow import ArrowStorage
from probes.synthetic_families import families_run

SAMPLE = Path(__file__).parents[3] / "sample_runs" / "healthy"


def answers(run: Run) -> dict[str, object]:
    """What a run says to every kind of question."""
    layer, last = len(run.layers) - 1, int(run.steps[-1])
    return {
        "manifest": run.manifest,
        "statistics": run.statistics,
        "steps": run.steps,
        "history": run.history(layer, [0, 1]),
        "points": run.history(0, 0, max_points=4),
        "at": run.at(last),
        "matrix": run.matrix(0, run.statistics[0], 7, "max")[0],
        "taken": run.taken(0, run.statistics[0]),
        "summary": run.layer_summary(),
        "scalars": run.scalars(),
        "events": run.events(),
        "probe": run.probe(),
        "forces": run.forces(),
        "evaluation": run.evaluation(),
        "predictions": run.predictions(),
        "alerts": run.alerts(),
        "parameters": run.parameters(),
        "parameter_steps": run.parameter_steps(),
        "classes": run.classes(),
        "class_steps": run.class_steps(),
    }


def assert_same(left: dict[str, object], right: dict[str, object]) -> None:
    for name, value in left.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, right[name], check_exact=True)
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, right[name])
        else:
            assert value == right[name], name


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A run whose writer was killed: many small segments, and derived folders that lack some."""
    simple_run(tmp_path / "run", steps=600, flush_steps=40)
    with probes.Recorder.resume(tmp_path / "run", 599) as recorder:
        shutil.copytree(tmp_path / "run", tmp_path / "killed")
        recorder.record(700, 0, mean=np.zeros(recorder.layers[0]["neurons"]))
    sorted((tmp_path / "killed" / "layers").iterdir())[-1].unlink()
    file = tmp_path / "killed" / "run.json"
    state = json.loads(file.read_text())
    state["heartbeat"] -= 2 * manifest.SILENT_SECONDS  # it was killed a while ago: not live any more
    file.write_text(json.dumps(state))
    return tmp_path / "killed"


@pytest.mark.parametrize("kind", ["memory", "arrow"])
def test_a_sample_run_answers_as_it_does_from_its_folder(kind: str) -> None:
    stored: Storage = (
        MemoryStorage.copy_of(SAMPLE)
        if kind == "memory"
        else ArrowStorage(pafs.LocalFileSystem(), str(SAMPLE), "store://healthy")
    )
    assert_same(answers(Run(SAMPLE)), answers(Run(stored)))
    assert check(stored) == check(SAMPLE)
    study = store.stored(SAMPLE)[0]
    assert store.stored(stored) == store.stored(SAMPLE)
    here, there = store.load(SAMPLE, study), store.load(stored, study)
    assert here.settings == there.settings
    assert_same(here.tables, there.tables)


def test_what_reading_asks_for() -> None:
    """One manifest and one listing a folder; then only what a question needs, and nothing twice."""
    stored = MemoryStorage.copy_of(SAMPLE)
    run = Run(stored)
    folders = 15  # neurons, two levels, layers, eleven tables of plain rows
    assert stored.requests == {"get": 1, "list": folders}
    stored.requests.clear()
    assert run.refresh() is False
    assert stored.requests == {"get": 1, "list": folders}
    run.history(0, 3, ["kl"])
    stored.requests.clear()
    run.history(0, 4, ["kl"])
    assert stored.requests == {"range": 1}  # the column; footer and steps are known
    stored.requests.clear()
    run.history(0, 4, ["kl"], steps=(-2, -1))
    assert not stored.requests


def test_a_run_is_put_in_order_where_it_lies(killed: Path) -> None:
    stored = MemoryStorage.copy_of(killed)
    assert [finding.level for finding in check(stored)] == [finding.level for finding in check(killed)] != []
    before = answers(Run(stored))
    compact(stored, manifest.read(stored))
    compact(killed, manifest.read(stored))
    assert check(stored) == check(killed) == []
    after = answers(Run(stored))
    assert_same({name: after[name] for name in after if name != "manifest"}, before)
    for folder in ("neurons", "layers", "scalars"):
        here = sorted(path.name for path in (killed / folder).iterdir())
        assert [entry.name for entry in stored.entries(folder)] == here
    one, two = Run(stored), Run(killed)
    assert_same(answers(one) | {"manifest": None}, answers(two) | {"manifest": None})


def test_a_run_of_other_families_answers_and_is_put_in_order_where_it_lies(tmp_path: Path) -> None:
    families_run(tmp_path / "run", steps=100, batch=16, flush_steps=30)
    stored = MemoryStorage.copy_of(tmp_path / "run")
    before = answers(Run(stored))
    assert len(before["parameters"]) > 0  # type: ignore[arg-type]
    assert_same(before, answers(Run(tmp_path / "run")))
    assert check(stored) == []
    compact(stored, manifest.read(stored))
    assert_same(answers(Run(stored)) | {"manifest": None}, before | {"manifest": None})
    stored.requests.clear()
    assert Run(stored).classes().empty is False
    assert stored.requests["list"] == 18, "three more folders than of Gaussians"


def test_notes_and_experiments_lie_beside_it() -> None:
    stored = MemoryStorage.copy_of(SAMPLE)
    notes.write(stored, ["keep"], "a sound run")
    assert notes.read(stored).tags == ("keep",)
    table = pd.DataFrame({"layer": [0, 1], "effect": [0.1, 0.2]})
    store.save(stored, "study", {"effects": table}, {"windows": 3})
    assert "study" in store.stored(stored)
    pd.testing.assert_frame_equal(store.load(stored, "study").tables["effects"], table)
    with pytest.raises(probes.RunError, match="memory/other holds no run"):
        notes.write(stored.within("other"), [], "")


def test_a_catalog_reads_what_has_changed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        simple_run(tmp_path / name, steps=3)
    stored = MemoryStorage.copy_of(tmp_path, root="memory/runs")
    here, there = probes.catalog(tmp_path), probes.catalog(stored)
    pd.testing.assert_frame_equal(here.drop(columns="path"), there.drop(columns="path"))
    assert sorted(there["path"]) == ["memory/runs/one", "memory/runs/two"]
    assert stored.requests == {"list": 1, "head": 4, "get": 2}
    stored.requests.clear()
    notes.write(stored.within("one"), ["new"], "")
    stored.requests.clear()
    assert probes.catalog(stored).set_index("name").loc["one", "tags"] == ["new"]
    assert stored.requests == {"list": 1, "head": 4, "get": 2}  # manifest and notes of `one`
    with pytest.raises(probes.RunError, match="memory/empty is not a folder"):
        probes.catalog(MemoryStorage("memory/empty"))
