"""The replay as a widget of a notebook: the dashboard's own canvas, its cursor shared with Python.

The browser draws it: while it plays Python is asked nothing, and it plays on while Python computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probes import canvas
from probes.canvas import replay_neurons, run_replay
from probes.errors import RunError
from probes.extras import named
from probes.neuron_names import read_neuron
from probes.notebook import still
from probes.run import Run
from probes.storage.local import write_text

with named("Run.replay"):
    import anywidget
    import traitlets

_CSS = """
.vdn-replay {
  --st-text-color: var(--jp-content-font-color1, var(--vscode-editor-foreground, CanvasText));
  --st-background-color: var(--jp-layout-color0, var(--vscode-editor-background, Canvas));
  --st-primary-color: var(--jp-brand-color1, var(--vscode-focusBorder, #0b6b9c));
  --st-border-color: var(--jp-border-color1, var(--vscode-panel-border, #c3ccd5));
  --st-font: var(--jp-ui-font-family, system-ui, sans-serif);
  --st-base-radius: 4px;
  --st-button-radius: 4px;
  color: var(--st-text-color);
}
"""


class Replay(anywidget.AnyWidget):
    """How a run's neurons contract, played in the notebook.

    Parameters
    ----------
    run
        With recorded distributions.
    layers
        Indices from 0 or names; by default six, evenly spaced in depth.
    neurons
        How many of each layer, the most contracted and some that stayed at their prior; or names such as
        "2:17" of neurons to draw beside those, layers counted from 1.
    step
        Where the cursor stands; without one the replay plays once it comes into view.

    Attributes
    ----------
    step : int
        The step that is shown, once the cursor rests; set it to move the cursor.

    Raises
    ------
    RunError
        For a layer or a neuron that the run does not have, and where it holds no distributions.
    MissingPackageError
        Where the extra `notebook` is not installed.
    """

    _esm = canvas.script("notebook")
    _css = _CSS
    _content = traitlets.Unicode().tag(sync=True)
    _payload = traitlets.Bytes().tag(sync=True)
    step = traitlets.Int(help="The step that is shown.").tag(sync=True)

    def __init__(
        self,
        run: Run,
        layers: Sequence[int | str] | None = None,
        neurons: int | Sequence[str] = replay_neurons.RIDGES,
        step: int | None = None,
    ) -> None:
        shown = None if layers is None else [run.layer_index(layer) for layer in layers]
        count = neurons if isinstance(neurons, int) else replay_neurons.RIDGES
        if count < 1:
            raise RunError(f"neurons is how many of each layer are drawn, at least 1, not {count}")
        pinned = [] if isinstance(neurons, int) else [_neuron(run, name) for name in neurons]
        if shown is not None:
            shown += sorted({layer for layer, _ in pinned} - set(shown))
        self._run = run
        payload = run_replay.payload(run, shown, count, pinned, step)
        content = f"<style>{canvas.style('replay')}</style>{canvas.markup('replay')}"
        at = int(run.steps[-1]) if step is None else int(step)
        super().__init__(_content=content, _payload=payload, step=at)

    def export(self, target: str | Path) -> Path:
        """Write the replay as one HTML file that opens from disk and asks no host.

        Parameters
        ----------
        target
            Such as "replay.html"; a file that is there is replaced.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        MissingPackageError
            Where jinja2 is not installed.
        """
        with named("Replay.export"):
            from probes.export import replay_page

        path = Path(target)
        write_text(path, replay_page.page(self._payload, self._run.name))
        return path

    def _repr_mimebundle_(self, **settings: Any) -> Any:
        """The widget, and beside it a picture for where none runs: a saved notebook, say."""
        found = super()._repr_mimebundle_(**settings)
        data, metadata = found if isinstance(found, tuple) else (found or {}, {})
        drawn = still.svg(self._run, self._payload, self.step)
        return ({**data, "image/svg+xml": drawn} if drawn else data), metadata


def _neuron(run: Run, name: str) -> tuple[int, int]:
    """Indices of a neuron by its name. RunError where the run has none of that name."""
    found = read_neuron(str(name))
    if found is None:
        raise RunError(f"{name!r} names no neuron: write layer:neuron, layers counted from 1, such as '2:17'")
    layer, neuron = found
    if layer >= len(run.layers) or neuron >= run.layers[layer]["neurons"]:
        sizes = ", ".join(str(one["neurons"]) for one in run.layers)
        raise RunError(f"{run.name} has no neuron {name}: its layers hold {sizes} neurons")
    return found
