"""The ranges that are installed by are those that are tested: at their lowest, and as they are pinned."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RANGES = {
    one.name: one.specifier
    for text in (*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), []))
    if (one := Requirement(text)).name != PROJECT["name"]
}
TESTED_ELSEWHERE = {"torch", "scikit-learn", "obstore", "anywidget", "daft", "ray", "submitit"}
"""torch: `make test-torch`. What is left out of requirements-lowest.txt, which is without torch; obstore:
`make test-store`; anywidget: `make test-notebook`; Daft, Ray and submitit: `make test-fleet`.
"""


def pins(file: str) -> dict[str, str]:
    """Package -> version of a file of requirements and of those that it includes."""
    found: dict[str, str] = {}
    for line in (ROOT / file).read_text("utf-8").splitlines():
        if line.startswith("-r "):
            found |= pins(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            name, version = line.split("==")
            found[name] = version
    return found


def test_the_lowest_versions_are_where_the_ranges_begin() -> None:
    lowest = pins("requirements-lowest.txt")
    for name in RANGES.keys() - TESTED_ELSEWHERE:
        [bound] = RANGES[name]
        assert bound.operator == ">="
        parts = bound.version.split(".")
        assert lowest[name].split(".")[: len(parts)] == parts, name


def test_what_is_pinned_lies_in_the_ranges() -> None:
    pinned = (
        pins("requirements-dev.txt")
        | pins("requirements-store.txt")
        | pins("requirements-notebook.txt")
        | {
            name: version
            for name, version in pins("requirements-fleet.txt").items()
            if name in TESTED_ELSEWHERE - {"torch", "scikit-learn"}
        }
    )
    assert {name for name in RANGES if not RANGES[name].contains(pinned[name])} == set()
