"""Ctrl-C while a command line still loads its packages, which takes seconds: it ends without a traceback."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("probes", "vdn")


def is_program() -> bool:
    """Whether this process is one of `PROGRAMS`, by its command or as a module, and no other that imports
    it.
    """
    called = Path(sys.argv[0])
    return (called.parent.name if called.name == "__main__.py" else called.stem) in PROGRAMS


@contextmanager
def ending_at_once() -> Iterator[None]:
    """While the block runs, SIGINT ends the process as it ends one without handlers: shells see status 130.

    Notes
    -----
    Nothing is open yet that had to be closed. A process that is not ours, a thread that may not set handlers,
    and a handler that somebody has set are left alone.
    """
    ours = is_program() and threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
