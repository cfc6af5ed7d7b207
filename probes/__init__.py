"""Watching a network's distributions: record, read, diagnose and draw them, whosever model it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probes import arrays as arrays
    from probes.alerts import Alert as Alert
    from probes.dataset import Scan as Scan
    from probes.dataset import scan as scan
    from probes.errors import RunError as RunError
    from probes.fleet import fleet as fleet
    from probes.inputs import Inputs as Inputs
    from probes.recorder import Recorder as Recorder
    from probes.recorder import RecorderError as RecorderError
    from probes.run import Run as Run
    from probes.run import catalog as catalog
    from probes.run import catalog_rows as catalog_rows
    from probes.run import run_name as run_name
    from probes.run_reader import LayerInfo as LayerInfo
    from probes.run_reader import RunReader as RunReader
    from probes.snapshot import snapshot as snapshot
    from probes.watching.attaching import Recording as Recording
    from probes.watching.attaching import watch as watch
    from probes.watching.drawing import dropout_samples as dropout_samples
    from probes.watching.drawing import ensemble_samples as ensemble_samples
    from probes.watching.finding import WatchError as WatchError
    from probes.watching.hooks import CompiledError as CompiledError
    from probes.watching.observing import observe as observe
    from probes.watching.observing import observe_codes as observe_codes
    from probes.watching.observing import observe_samples as observe_samples
    from probes.watching.posterior_source import FoundLayer as FoundLayer
    from probes.watching.stated import Part as Part
    from probes.watching.stated import PartError as PartError
    from probes.watching.stated import PartSpec as PartSpec
    from probes.watching.statistics_buffer import Mirror as Mirror

__version__ = "0.1.0"

__all__ = [
    "Alert",
    "CompiledError",
    "FoundLayer",
    "Inputs",
    "LayerInfo",
    "Mirror",
    "Part",
    "PartError",
    "PartSpec",
    "Recorder",
    "RecorderError",
    "Recording",
    "Run",
    "RunError",
    "RunReader",
    "Scan",
    "WatchError",
    "arrays",
    "catalog",
    "catalog_rows",
    "dropout_samples",
    "ensemble_samples",
    "fleet",
    "observe",
    "observe_codes",
    "observe_samples",
    "run_name",
    "scan",
    "snapshot",
    "watch",
]

_HOMES = {
    "Alert": "probes.alerts",
    "CompiledError": "probes.watching.hooks",
    "FoundLayer": "probes.watching.posterior_source",
    "Inputs": "probes.inputs",
    "LayerInfo": "probes.run_reader",
    "Mirror": "probes.watching.statistics_buffer",
    "Part": "probes.watching.stated",
    "PartError": "probes.watching.stated",
    "PartSpec": "probes.watching.stated",
    "Recorder": "probes.recorder",
    "RecorderError": "probes.recorder",
    "Recording": "probes.watching.attaching",
    "Run": "probes.run",
    "RunError": "probes.errors",
    "RunReader": "probes.run_reader",
    "Scan": "probes.dataset",
    "WatchError": "probes.watching.finding",
    "arrays": "probes",
    "catalog": "probes.run",
    "catalog_rows": "probes.run",
    "dropout_samples": "probes.watching.drawing",
    "ensemble_samples": "probes.watching.drawing",
    "fleet": "probes.fleet",
    "observe": "probes.watching.observing",
    "observe_codes": "probes.watching.observing",
    "observe_samples": "probes.watching.observing",
    "run_name": "probes.run",
    "scan": "probes.dataset",
    "snapshot": "probes.snapshot",
    "watch": "probes.watching.attaching",
}
"""Public name -> the module that it is loaded from; a module of this package from `probes` itself. Type
checkers read the imports above instead.
"""

if not TYPE_CHECKING:  # a checker that saw it would take a misspelt name for Any

    def __getattr__(name: str) -> object:
        """Load a public name's module on first use: importing `probes` alone costs nothing."""
        if name not in _HOMES:
            raise AttributeError(f"module 'probes' has no attribute {name!r}")
        from importlib import import_module

        from probes.extras import named

        home = _HOMES[name]
        with named(f"probes.{name}"):
            own = home == __name__
            value = import_module(f"{home}.{name}") if own else getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Also what is not loaded yet, so that IPython completes it."""
    return sorted({*globals(), *__all__})
