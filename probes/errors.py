"""What goes wrong with a run, wherever it lies."""

from __future__ import annotations

REMEDY = "restore it from a copy, or remove it; `python -m probes check` looks at the whole run"


class RunError(ValueError):
    """A run that cannot be read or written as asked; the message names the run and the remedy."""


def as_text(path: str) -> str:
    """A path as text that can be shown: bytes that are no UTF-8 as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()
