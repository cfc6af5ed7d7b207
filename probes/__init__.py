"""Watching a network's distributions: record, read, diagnose and draw them, whosever model it is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Recorder": "probes.recorder",
    "Run": "probes.run",
    "catalog": "probes.run",
    "RunError": "probes.log.opening",
    "RecorderError": "probes.recorder",
    "watch": "probes.watching.attaching",
    "observe": "probes.watching.observing",
    "WatchError": "probes.watching.finding",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name's module on first use: importing `probes` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'probes' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
