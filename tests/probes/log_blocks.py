"""Blocks and files of the log made of numbers that say where they stand."""

import numpy as np

from probes.log.blocks import REGIME, ColumnBlock, write_layers
from probes.log.segments import Segment
from probes.storage.local import LOCAL


def code(layer, neuron, step):
    """A number of its own for each row, exact in float32."""
    return 100_000 * layer + 1_000 * neuron + step


def block(layer, steps, neurons, **present):
    """`kl` is `code`, `regime` 9 where the step is odd and 0 else; statistics named in `present` are `code` +
    0.5.
    """
    steps = np.array(steps, np.int64)
    kl = code(layer, np.arange(neurons)[:, None], steps[None]).astype(np.float32)
    columns = {REGIME: np.broadcast_to(np.where(steps % 2, 9, 0), kl.shape).astype(np.int8), "kl": kl}
    columns |= {name: kl + np.float32(0.5) for name in present}
    return ColumnBlock(
        layer, steps, columns, {name: np.array(mask) for name, mask in present.items() if mask is not None}
    )


def write_segment(folder, blocks, precision="full"):
    """A file of `neurons/` or `pyramid/` with whole layers; returns its segment."""
    segment = Segment(min(int(s.steps[0]) for s in blocks), max(int(s.steps[-1]) for s in blocks))
    write_layers(LOCAL, str(folder / segment.name), blocks, precision)
    return segment
