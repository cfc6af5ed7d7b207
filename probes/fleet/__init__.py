"""Questions to many runs at once: `probes.fleet(folder)` is one SQL database of all runs of a folder.

It reads the summaries that runs leave at their end, so that a question to 300 runs takes some milliseconds of
DuckDB, which is loaded when a fleet is made. This package is itself called: a function of its name would be
hidden by the package as soon as one of its modules is imported.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probes.fleet.database import Fleet as Fleet
    from probes.fleet.database import fleet as fleet

__all__ = ["Fleet", "fleet"]

if not TYPE_CHECKING:

    class _Package(ModuleType):
        """This package, which is called as `database.fleet` is."""

        def __call__(self, *folders: Any, **settings: Any) -> Fleet:
            return self.fleet(*folders, **settings)

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'probes.fleet' has no attribute {name!r}")
        from probes.fleet import database

        return getattr(database, name)

    sys.modules[__name__].__class__ = _Package
