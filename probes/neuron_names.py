"""How a neuron is written: `layer:neuron`, layers counted from 1, neurons from 0.

Everything that names a neuron takes its name from here; `canvas/format.js` says the same in the browser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_WRITTEN = re.compile(r"(\d+)([:.])(\d+)", re.ASCII)


def neuron_name(layer: int, neuron: int) -> str:
    """A neuron's name.

    Parameters
    ----------
    layer, neuron
        Indices, both from 0, as in the log.

    Returns
    -------
    str
        Such as "2:17": neuron 17 of the second layer.
    """
    return f"{layer + 1}:{neuron}"


def neuron_names(table: pd.DataFrame) -> list[str]:
    """The names of a table's neurons.

    Parameters
    ----------
    table
        Columns layer and neuron, indices from 0.

    Returns
    -------
    list of str
        One a row.
    """
    return [
        neuron_name(int(layer), int(neuron))
        for layer, neuron in zip(table["layer"], table["neuron"], strict=True)
    ]


def read_neuron(text: str) -> tuple[int, int] | None:
    """The neuron that a name names.

    Parameters
    ----------
    text
        `layer:neuron`; or `layer.neuron` with layers counted from 0, as links and stored sets of earlier
        versions have it.

    Returns
    -------
    tuple of int, optional
        Indices (layer, neuron), both from 0; None for a text that is no neuron's name.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    layer = int(match[1]) - (match[2] == ":")
    return (layer, int(match[3])) if layer >= 0 else None


def full_name(layer: int, neuron: int, layer_name: str) -> str:
    """A neuron's name with that of its layer, where that says more than the layer's number.

    Parameters
    ----------
    layer, neuron
        Indices, both from 0.
    layer_name
        Of the layer.

    Returns
    -------
    str
        Such as "2:17 · encoder"; "2:17" where the layer is called "layer 2".
    """
    name = neuron_name(layer, neuron)
    return name if layer_name == f"layer {layer + 1}" else f"{name} · {layer_name}"
