"""Modules of these tests, and the runs they share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import bases


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sound run with every kind of file; only ever copied."""
    return bases.write_small(tmp_path_factory.mktemp("sound") / "run")


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound run, its files hard links: replace them, do not write into them."""
    bases.link_copy(sound, tmp_path / "runs" / "run")
    return tmp_path / "runs" / "run"
