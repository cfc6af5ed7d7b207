"""Waiting for processes that a test has started."""

from __future__ import annotations

import time
from collections.abc import Callable

WAIT = 120  # seconds until a process has started or ended on a busy machine


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
