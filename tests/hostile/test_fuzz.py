"""Hostile runs: right data or one clear error, whatever was done to the files. HOSTILE_INPUTS sets how many
are tried.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import damage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pages.shell.data import runs_catalog
from pages.shell.session import runs
from probes import catalog, notes
from probes.analysis import run_filter, run_groups
from probes.errors import RunError
from probes.log import manifest
from probes.log.catalog import COLUMNS
from probes.log.manifest_fields import FIELDS

INPUTS = int(os.environ.get("HOSTILE_INPUTS", "500"))
SEED = int(os.environ.get("HOSTILE_SEED", "0"))
MEGABYTES = 1024
FUZZ = Path(__file__).with_name("fuzz.py")
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(damage.NASTY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
FEW = settings(
    max_examples=max(20, INPUTS // 10), deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


def test_hostile_runs_are_answered_rightly_or_with_one_clear_error() -> None:
    command = [sys.executable, str(FUZZ), "--inputs", str(INPUTS), "--seed", str(SEED)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode in (0, 1), f"died with {done.returncode} at input {done.stderr[-2000:]}"
    assert done.stdout, f"stopped by itself at input {done.stderr[-2000:]}"
    report = json.loads(done.stdout)
    assert report["failures"] == []
    assert report["inputs"] == INPUTS
    assert report["peak_mb"] < MEGABYTES
    # neither refuses all nor takes all
    assert min(report["answers_right"], report["answers_refused"]) > INPUTS / 2


def listed(folder: Path) -> dict[str, Any]:
    """The one run of a folder as the catalog has it, put to everything that the page Runs makes of a row."""
    (row,) = catalog(folder).to_dict("records")
    # what cannot be encoded cannot be sent to a browser
    json.dumps(row, ensure_ascii=False, default=str).encode()
    entry = runs.Entry("run", folder / "run", row)
    table = runs_catalog.runs_frame({"run": entry}, {"run": entry})
    assert list(table["run"]) == ["run"]
    facts = run_filter.facts(row)
    run_filter.matches(run_filter.parse("seed=1 beta<0.05 tag:keep x"), facts)
    run_groups.differences({"run": row["config"] or {}, "other": {"seed": 1}})
    runs_catalog.groups_frame(run_groups.seed_groups([{**row, "name": "run"}]))
    return row


@FEW
@given(field=st.sampled_from([*FIELDS, "format", "layers", "unknown"]), value=ANYTHING)
def test_any_value_in_a_field_of_the_manifest(run: Path, field: str, value: Any) -> None:
    content = json.loads((run / manifest.FILE).read_bytes())
    damage.replace(run / manifest.FILE, json.dumps(content | {field: value}).encode())
    try:
        row = listed(run.parent)
    finally:
        damage.replace(run / manifest.FILE, json.dumps(content).encode())
    assert set(row) == set(COLUMNS)
    assert row["error"] is None or manifest.FILE in row["error"] or "format" in row["error"]


@FEW
@given(value=ANYTHING, tags=ANYTHING, text=ANYTHING)
def test_any_value_in_the_notes(run: Path, value: Any, tags: Any, text: Any) -> None:
    for content in (value, {"tags": tags, "notes": text}):
        damage.replace(run / notes.NAME, json.dumps(content).encode())
        row = listed(run.parent)
        assert row["error"] is None
        assert all(isinstance(tag, str) for tag in row["tags"])
        assert isinstance(row["notes"], str)


@FEW
@given(
    text=st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_in_place_of_the_manifest_or_the_notes(run: Path, text: bytes) -> None:
    sound = (run / manifest.FILE).read_bytes()
    for name in (notes.NAME, manifest.FILE):
        damage.replace(run / name, text)
    row = listed(run.parent)
    assert row["status"] == "unreadable"
    assert manifest.FILE in row["error"]
    damage.replace(run / manifest.FILE, sound)
    row = listed(run.parent)
    assert (row["error"], row["tags"]) == (None, [])


def test_broken_notes_leave_the_run_usable_and_are_said(run: Path) -> None:
    damage.replace(run / notes.NAME, b"{")
    (row,) = catalog(run.parent).to_dict("records")
    assert (row["status"], row["error"]) == ("finished", None)
    assert notes.NAME in row["notes_error"]
    with pytest.raises(RunError, match=r"notes\.json is not readable as JSON.*remove it"):
        notes.read(run)
