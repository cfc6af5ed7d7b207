"""The format's version, keys, sizes of files, and the limits that a row is counted by."""

from __future__ import annotations

FORMAT_MAJOR = 1
FORMAT_MINOR = 2
FORMAT_VERSION = f"{FORMAT_MAJOR}.{FORMAT_MINOR}"

KEYS: dict[str, str] = {"step": "int64", "layer": "int16", "neuron": "int32"}
"""Key columns of `neurons/` and their dtypes; rows are unique by them."""

# recorded steps a full block file covers; with ROW_GROUP_NEURONS it serves both reading directions
BLOCK_STEPS = 256
ROW_GROUP_NEURONS = 64
PYRAMID = (16, 256)  # recorded steps a bucket, finest first
ACTIVE_KL = 0.01  # nats above the floor that make an input count as active

FEWEST_ROWS = 2
"""Inputs that a spread needs: of fewer, what moves with the input is null."""

REGIME = "regime"
"""Column of the regime that a row's own numbers say."""
SETTLED = "settled"
"""Column of the regime that the last records agree on (`probes.settling`)."""
