"""Deleting a run: its folder is moved to `.trash/` in its folder of runs, from where it can be moved back."""

from __future__ import annotations

import time
from pathlib import Path

from probes.errors import RunError
from probes.log import manifest
from probes.storage.local import LocalStorage

FOLDER = ".trash"


def move_to_trash(run: Path) -> Path:
    """Move a run out of its folder of runs.

    Parameters
    ----------
    run
        The run's folder, or a link to it: of a link the link itself is moved.

    Returns
    -------
    Path
        Where it is now: `.trash/NAME` beside it, with the time in the name if one of this name is there.

    Raises
    ------
    RunError
        Where there is no run, or it is being written.
    OSError
        If the folder of runs cannot be written.
    """
    try:
        state = manifest.read(LocalStorage(run))
    except RunError:
        if not (run / manifest.FILE).is_file():
            raise
    else:
        if manifest.status(state) == "running":
            raise RunError(
                f"{run.name} is being written: stop its training first, or wait until it has ended"
            )
    trash = run.parent / FOLDER
    trash.mkdir(exist_ok=True)
    target = trash / run.name
    if target.exists() or target.is_symlink():
        target = trash / f"{run.name}.{time.time_ns()}"
    run.rename(target)
    return target
