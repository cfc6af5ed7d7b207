"""Probe inputs: what a fixed batch of inputs is, as a run stores it, and how a model is called with one.

Stored are 8-bit PNGs of at most `SIDE` pixels a side (base64), texts, or rows of numbers (JSON): the table
`inputs/` of a run.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Kind = Literal["image", "text", "row"]
Call = Callable[[nn.Module, Any], object]
"""(model, batch): runs the model on a batch, where model(batch) does not do it."""
Decoder = Callable[[Tensor], Any]
"""z (M, N) -> M images or rows."""

MOST = 256
"""Inputs of a probe batch that are used, the first ones."""
SIDE = 64  # pixels; larger images are reduced by a whole factor
COLORS = {1: 0, 3: 2, 4: 6}  # channels -> PNG's colour type
VALUES = 64  # numbers of a row that are kept
CHARACTERS = 500  # of a text


@dataclass(frozen=True)
class Inputs:
    """Inputs to look at a model with.

    Attributes
    ----------
    batch : tensor, tuple or mapping
        What the model is called with: a tensor, a tuple whose first element it is, keyword arguments; or
        whatever `call` takes, with `shown` beside it.
    shown : sequence of str, or array, optional
        What each of them looks like, where that is not the batch's first tensor: texts, images, rows.
    image : tuple of int, optional
        (H, W) or (C, H, W): rows of numbers are images of this shape.
    call : callable, optional
        (model, batch) -> runs the model; by default as `batch` says.
    decoder : callable, or mapping of layer's name to callable, optional
        z (M, N) -> M images or rows: of each neuron what the decoder makes of it from -3 to 3 prior sds is
        stored too, the others at the first input's posterior means. A callable alone is of the only layer.
    """

    batch: Any
    shown: Any = None
    image: tuple[int, ...] | None = None
    call: Call | None = None
    decoder: Decoder | Mapping[str, Decoder] | None = None


def as_inputs(given: Any, call: Call | None = None) -> Inputs:
    """What `inputs=` was given, at most `MOST` of them.

    Parameters
    ----------
    given
        `Inputs`, or a batch.
    call
        As in `Inputs`, where that has none.

    Returns
    -------
    Inputs
        The first ones.

    Raises
    ------
    ValueError
        When nothing in it can be shown, or `shown` has another length than the batch.
    """
    inputs = given if isinstance(given, Inputs) else Inputs(given)
    tensor = _first_tensor(inputs.batch)
    shown = tensor if inputs.shown is None else inputs.shown
    if shown is None or len(shown) == 0:
        raise ValueError("inputs hold no tensor with inputs: say what is shown, Inputs(batch, shown=...)")
    if tensor is not None and len(tensor) != len(shown):
        raise ValueError(f"inputs: {len(shown)} are shown, the batch has {len(tensor)}")
    batch = first(inputs.batch, len(shown), MOST)
    return replace(inputs, batch=batch, shown=shown[:MOST], call=inputs.call or call)


def run_model(model: nn.Module, batch: Any, call: Call | None = None) -> None:
    """Run a model on a batch, on the device of its parameters.

    Parameters
    ----------
    model
        The model.
    batch
        As in `Inputs`.
    call
        As in `Inputs`.
    """
    device = next((parameter.device for parameter in model.parameters()), None)
    batch = _mapped(batch, lambda tensor: tensor.to(device) if device is not None else tensor)
    if call is not None:
        call(model, batch)
    elif isinstance(batch, Mapping):
        model(**batch)
    elif isinstance(batch, tuple | list):
        model(batch[0])
    else:
        model(batch)


def first(batch: Any, size: int, count: int) -> Any:
    """The first inputs of a batch.

    Parameters
    ----------
    batch
        Tensors, alone or in tuples, lists and mappings.
    size
        Its inputs: only tensors of so many rows are cut.
    count
        How many to keep.
    """
    return _mapped(batch, lambda tensor: tensor[:count] if tensor.dim() and len(tensor) == size else tensor)


def size_of(batch: Any) -> int:
    """Inputs of a batch, by its first tensor; 0 where it has none."""
    tensor = _first_tensor(batch)
    return 0 if tensor is None else len(tensor)


def stored(inputs: Inputs) -> list[tuple[Kind, str]]:
    """Kind and content of each input, as the log keeps it.

    Parameters
    ----------
    inputs
        From `as_inputs`.

    Raises
    ------
    ValueError
        For an `image` that the numbers do not fill.
    """
    shown = inputs.shown
    if isinstance(shown, Sequence) and all(isinstance(one, str) for one in shown):
        return [("text", one[:CHARACTERS]) for one in shown]
    values = shown.detach().cpu().numpy() if isinstance(shown, Tensor) else np.asarray(shown)
    if inputs.image is not None:
        try:
            values = values.reshape(len(values), *inputs.image)
        except ValueError as error:
            raise ValueError(f"inputs {values.shape} are no images of {inputs.image}: {error}") from error
    if (images := _as_images(values, inputs.image is not None)) is not None:
        return [("image", base64.b64encode(png(image)).decode()) for image in images]
    rows = values.reshape(len(values), -1)[:, :VALUES].astype(float)
    return [("row", json.dumps([float(f"{value:.4g}") for value in row])) for row in rows]


def png(image: NDArray[np.uint8]) -> bytes:
    """An image (H, W, C) of 1, 3 or 4 channels as a PNG file (ISO/IEC 15948)."""
    height, width, channels = image.shape
    header = struct.pack(">2I5B", width, height, 8, COLORS[channels], 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in np.ascontiguousarray(image))
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def _as_images(values: NDArray[Any], stated: bool) -> NDArray[np.uint8] | None:
    """(B, H, W, C) of what looks like images, reduced and as 8 bits; None for anything else."""
    if values.ndim == 3 and stated:
        values = values[:, None]
    if values.ndim != 4:
        return None
    if values.shape[1] in COLORS:
        values = np.moveaxis(values, 1, -1)
    elif values.shape[-1] not in COLORS:
        return None
    factor = -(-max(values.shape[1:3]) // SIDE)
    if factor > 1:
        height, width = (size // factor * factor for size in values.shape[1:3])
        blocks = values[:, :height, :width].reshape(
            len(values), height // factor, factor, width // factor, factor, -1
        )
        values = blocks.mean((2, 4))
    if values.dtype != np.uint8:
        values = np.nan_to_num(values.astype(float))
        low, high = float(values.min()), float(values.max())
        if low >= 0 and high <= 255 and high > 1:
            low, high = 0.0, 255.0
        elif low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        values = 255 * (values - low) / max(high - low, 1e-12)
    return np.rint(values).astype(np.uint8)


def _first_tensor(batch: Any) -> Tensor | None:
    if isinstance(batch, Tensor):
        return batch if batch.dim() else None
    items = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple | list) else ()
    return next((found for item in items if (found := _first_tensor(item)) is not None), None)


def _mapped(batch: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, Mapping):
        return {key: _mapped(value, function) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return (
            type(batch)(_mapped(value, function) for value in batch)
            if type(batch) in (tuple, list)
            else (tuple(_mapped(value, function) for value in batch))
        )
    return batch
