"""The message of a canvas, read as its script reads it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def unpack(raw: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of what `probes.canvas.pack` wrote; every byte of it belongs to one of them."""
    length = int.from_bytes(raw[:4], "little")
    header, offset, arrays = json.loads(raw[4 : 4 + length]), 4 + length, {}
    for item in header["arrays"]:
        dtype = np.dtype(item["dtype"])
        arrays[item["name"]] = np.frombuffer(raw, dtype, item["size"], offset)
        offset += -(-item["size"] * dtype.itemsize // 4) * 4
    assert offset == len(raw)
    return header, arrays
