"""Tests stand where their modules do: what is not tested shows by a file that is missing."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_module_of_the_log_has_its_test_file_and_every_test_file_its_module() -> None:
    modules = {path.stem for path in (ROOT / "probes" / "log").glob("*.py")} - {"__init__"}
    tested = {
        path.stem.removeprefix("test_") for path in (ROOT / "tests" / "probes" / "log").glob("test_*.py")
    }
    assert modules
    assert tested == modules
