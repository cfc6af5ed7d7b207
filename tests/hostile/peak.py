"""How much memory a process took at most."""

from __future__ import annotations

from pathlib import Path

STATUS = Path("/proc/self/status")


def megabytes() -> float:
    """Largest resident size of this process since its program began, in MB.

    Not getrusage's: that is handed down by the process that started this one, and a long test session is
    large.
    """
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
