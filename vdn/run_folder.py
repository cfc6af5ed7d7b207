"""Where a new run lies, and what it is called."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from probes.storage import is_store, local_folder
from vdn.config import Config, ConfigError

NAME_BYTES = 80  # of a run's name that are its data's: file systems take 255 at most, some 143
NOT_IN_NAMES = '/\\:*?"<>|'  # of folders, on one system or another


def readable_name(config: Config, now: datetime) -> str:
    """A readable name: what, with what, when, for example nyc-3x256-beta0.02-seed0-20261123-181500."""
    kind, _, path = config.data.partition(":")
    data = Path(path).stem if path else kind
    data = "".join(c if c.isprintable() and c not in NOT_IN_NAMES else "_" for c in data)
    data = data.encode()[:NAME_BYTES].decode(errors="ignore")
    kind = "twin" if config.twin else f"beta{config.beta:g}"
    return f"{data}-{config.layers}x{config.neurons}-{kind}-seed{config.seed}-{now:%Y%m%d-%H%M%S}"


def new_folder(config: Config, out: Path | None, runs: Path) -> Path:
    """The folder of a new run, not made yet.

    Either may be the URL of a store, in which the recorder refuses a second run. Raises ConfigError when
    `out` holds something already, RunError where it cannot be written.
    """
    if out is not None:
        if is_store(out):
            return out
        local_folder(out)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out} is not empty; give a new folder, or resume the run that is there")
        return out
    name = readable_name(config, datetime.now(UTC))
    return runs / name if is_store(runs) else free_folder(local_folder(runs) / name)


def free_folder(folder: Path) -> Path:
    """The folder, or the first of FOLDER-2, FOLDER-3 ... that is not there yet."""
    found, number = folder, 2
    while found.exists():
        found, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return found
