"""What a server does once, before it listens: load what every page needs, and spare the garbage collector
looking at it.

Otherwise the first page of a server waits a second for imports, and every tenth change or so waits 0.1 s
while all classes of all libraries are searched for cycles.
"""

from __future__ import annotations

import gc
import inspect
from importlib import import_module

NEEDED = (
    "pages.shell.widgets.canvases",
    "pages.shell.widgets.downloads",
    "pages.shell.session.live",
    "pages.shell.data.replay",
    "pages.shell.widgets.run_actions",
    "pages.shell.widgets.compare_runs",
    "probes.alerts",
)
"""Modules that bring the rest with them."""
HEIGHT = 300  # pixels of a figure that nobody sees


def run() -> None:
    """Import, build one figure (plotly loads its parts when they are first used), freeze."""
    for name in NEEDED:
        import_module(name)
    from probes.figures.builder import FigureBuilder

    figure = FigureBuilder(titles=["panel"])
    figure.add_trace({"type": "scatter", "x": [0], "y": [0], "line": {"width": 1}, "marker": {"size": 1}})
    figure.add_trace({"type": "bar", "x": [0], "y": [0]})
    figure.add_hline(0, {"width": 1})
    figure.finish(HEIGHT, "not shown").to_json()
    inspect.stack()  # `st.html` asks for it: the first time, the file of every module is looked up
    gc.collect()
    gc.freeze()
