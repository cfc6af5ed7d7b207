"""The ranges that are installed by are those that are tested: at their lowest, and as they are pinned."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RANGES = [
    one
    for text in (*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), []))
    if (one := Requirement(text)).name != PROJECT["name"]
]
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


def begins(version: str, requirement: Requirement) -> bool:
    """Whether a version is where a range begins."""
    [bound] = requirement.specifier
    assert bound.operator == ">="
    parts = bound.version.split(".")
    return version.split(".")[: len(parts)] == parts


def test_the_lowest_versions_are_where_the_ranges_begin() -> None:
    lowest, fleet = pins("requirements-lowest.txt"), pins("requirements-fleet.txt")
    of_fleets = [Requirement(text) for text in PROJECT["optional-dependencies"]["fleet"]]
    for one in RANGES:
        if one.name not in TESTED_ELSEWHERE:
            # what fleets need newer than others do is tested where they are
            newer = one in of_fleets and not one.specifier.contains(lowest[one.name])
            assert begins(fleet[one.name] if newer else lowest[one.name], one), one.name


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
    assert {one.name for one in RANGES if not one.specifier.contains(pinned[one.name])} == set()
