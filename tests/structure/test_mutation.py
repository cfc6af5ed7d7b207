"""What tests/mutation names is there: modules, tests that catch their faults, lines that have a reason."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "tests/mutation/run.py"


def flat(source: str) -> str:
    return re.sub(r"\s+", "", source)


def test_a_reason_is_of_a_line_that_is_there() -> None:
    """Faults are printed on one line, whatever the lines of the source."""
    reasons = tomllib.loads(RUN.with_name("reasons.toml").read_text("utf-8"))["fault"]
    assert reasons
    for reason in reasons:
        path = ROOT / reason["file"]
        assert path.is_file(), reason
        assert flat(reason["before"]) in flat(path.read_text("utf-8")), reason


def test_groups_name_modules_and_tests_that_are_there() -> None:
    paths = {
        node.value
        for node in ast.walk(ast.parse(RUN.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and re.fullmatch(r"(probes|vdn|pages|tests)/[\w/*.]+", str(node.value))
    }
    assert len(paths) > 9
    for path in paths:
        assert list(ROOT.glob(path)), path
