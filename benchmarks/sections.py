"""Parts of the docs that a benchmark writes itself: what stands between its two comments is replaced; and
what command lines of benchmarks share.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
DIAGNOSTICS = DOCUMENT.with_name("diagnostics.md")


def some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Reads names with commas between, for argparse; of one that is not known it says which are."""
    names = list(known)

    def read(text: str) -> list[str]:
        found = text.split(",")
        for name in found:
            if name not in names:
                raise argparse.ArgumentTypeError(f"there is no {name!r}: name some of {', '.join(names)}")
        return found

    return read


def whole_numbers(text: str) -> list[int]:
    """Reads whole numbers with commas between, for argparse."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"whole numbers with commas between, not {text!r}") from None


def memory(field: str) -> float:
    """MB of this process alone: VmRSS now, VmHWM at its peak (`ru_maxrss` begins with its parent's)."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) / 1024


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def measured_on(*packages: str) -> str:
    """Versions of Python and of installed packages, cores, and the machine's load now: for the line under a
    heading.

    Called before anything is measured, so that the load is that of others.
    """
    found = [f"Python {platform.python_version()}"]
    for name in packages:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            sys.exit(f"this benchmark needs {name}, which is not installed: its target of `make` brings it")
    return ", ".join([*found, f"{os.cpu_count()} cores", f"load {os.getloadavg()[0]:.1f} before"])


def write(name: str, heading: str, body: str, path: Path = DOCUMENT) -> None:
    """Put `body` between `<!-- name -->` and `<!-- /name -->`; without them heading and comments are added at
    the end.

    Raises ValueError where only one of the two comments is there.
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = path.read_text("utf-8")
    if first not in text and last not in text:
        text = f"{text.rstrip()}\n\n## {heading}\n\n{first}\n{last}\n"
    before, found, rest = text.partition(first)
    _, ended, after = rest.partition(last)
    if not (found and ended):
        raise ValueError(
            f"{path} has only one of {first} and {last}: restore the other around the part that is measured"
        )
    path.write_text(f"{before}{first}\n{body.strip()}\n{last}{after}", "utf-8")
