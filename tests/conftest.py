"""Torch computes on one thread. Without torch, reading and the dashboard are tested alone: test files that
need it stay out.
"""

from __future__ import annotations

import ast
import gc
import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

# Networks are small and there is a worker of pytest-xdist for each core: a second thread would wait for work
# in a loop. Set before torch is loaded, it holds in what tests start too; Arrow keeps its threads, which
# OMP_NUM_THREADS would take from it.
os.environ.setdefault("MKL_NUM_THREADS", "1")

HERE = Path(__file__).parent
MAIN = sys.modules["__main__"]
TRAINING = ("torch", "vdn", "examples")
"""Packages that need torch, or are it."""


def needs_torch(path: Path) -> bool:
    """Whether a file imports torch at its top: itself, or by a module of `probes` or of the tests."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            names = imported(one)
            if any(name.partition(".")[0] in TRAINING for name in names):
                return True
            waiting += [file for name in names for file in files(name)]
    return False


@cache
def imported(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@cache
def files(module: str) -> list[Path]:
    """Where a module of `probes`, or one that several tests share, lies."""
    if module.partition(".")[0] == "probes":
        path = HERE.parent.joinpath(*module.split("."))
        return [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]
    return list(HERE.rglob(f"{module}.py"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    python = collection_path.suffix == ".py" and find_spec("torch") is None
    return True if python and needs_torch(collection_path) else None


def pytest_collection_finish() -> None:
    """What is loaded by now stays, so that no full collection searches it again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """What ends with the interpreter may be collected again: DuckDB lists what it takes for leaked."""
    gc.unfreeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A test that runs a page leaves app.py as `__main__`, which a spawned process of a later one runs."""
    sys.modules["__main__"] = MAIN
