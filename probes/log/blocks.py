"""Rows (layer, neuron, step): blocks in memory, row groups of 64 neurons on disk, buckets of the pyramid.

A `ColumnBlock` holds one layer at T recorded steps, neuron-major as on disk, so that a row group is a
contiguous slice and no row is ever sorted. Statistics are float32, byte-stream-split and compressed; only the
keys and codes have a dictionary, only the keys carry minimum and maximum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from probes.log.footer_checksum import checksummed_writer
from probes.schema import KEYS, REGIME, ROW_GROUP_NEURONS, SETTLED, SEVERITY, STATISTICS
from probes.storage import Storage

CODES = (REGIME, SETTLED)
"""Columns of regime codes, int8, never null: what a row's numbers say, and what the last rows agree on."""
_CODE = np.array(SEVERITY, np.int8)
_RANK = np.full(_CODE.max() + 1, len(_CODE), np.int8)  # of a raw code: 0 is the most severe
_RANK[_CODE] = np.arange(len(_CODE))
SHORT_BUCKET = 64  # up to so many steps the inner loop over neurons beats the one over steps
KEPT_MANTISSA_BITS = 10  # precision="10bit": half a unit in the last kept place is a relative 2^-11
CODEC = {"full": ("lz4", None), "10bit": ("zstd", 1)}
_ORDER = {name: rank for rank, name in enumerate(STATISTICS)}
KEY_FIELDS = tuple(pa.field(key, pa.type_for_alias(kind), nullable=False) for key, kind in KEYS.items())


def pyramid_name(width: int) -> str:
    """Folder of a level of the pyramid: `width` recorded steps a bucket."""
    return f"pyramid/{width}"


def is_grid(name: str) -> bool:
    """Whether a folder holds rows (layer, neuron, step) in row groups of 64 neurons."""
    return name == "neurons" or name.startswith("pyramid/")


@dataclass(frozen=True)
class ColumnBlock:
    """One layer at some recorded steps.

    steps (T,) int64, increasing. columns: name -> (N, T), float32 (`CODES`: int8). present: name -> (T,)
    bool for the statistics that some of the steps do not have; what is absent there is null on disk. whole:
    name -> (T,) float32, numbers of the layer itself (`schema.LAYER_STATISTICS`), NaN where there is none:
    rows to be written have them, `neurons/` does not hold them.
    """

    layer: int
    steps: np.ndarray
    columns: dict[str, np.ndarray]
    present: dict[str, np.ndarray] = field(default_factory=dict)
    whole: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def neurons(self) -> int:
        return next(iter(self.columns.values())).shape[0]

    def between(self, first: int, last: int) -> ColumnBlock:
        """The block of the steps first .. last, inclusive."""
        cut = slice(*np.searchsorted(self.steps, [first, last + 1]))
        columns = {n: c[:, cut] for n, c in self.columns.items()}
        present, whole = ({n: p[cut] for n, p in each.items()} for each in (self.present, self.whole))
        return ColumnBlock(self.layer, self.steps[cut], columns, present, whole)


def column_rank(name: str) -> tuple[int, str]:
    """Sort key of a column: registry order, the regime codes before everything."""
    base = name.removesuffix("_min").removesuffix("_max") if name not in _ORDER else name
    return (-1 if name in CODES else _ORDER.get(base, len(_ORDER)), name)


def concatenate(blocks: list[ColumnBlock]) -> ColumnBlock:
    """Blocks of one layer, in order of step, as one; a column that one of them lacks is absent at its
    steps.
    """
    if len(blocks) == 1:
        return blocks[0]
    neurons = blocks[0].neurons
    names = sorted({name for block in blocks for name in block.columns}, key=column_rank)
    columns, present = {}, {}
    for name in names:
        columns[name] = np.concatenate(
            [block.columns.get(name, np.zeros((neurons, block.steps.size), np.float32)) for block in blocks],
            axis=1,
        )
        if any(name not in block.columns or name in block.present for block in blocks):
            present[name] = np.concatenate([presence(block, name) for block in blocks])
    whole = {
        name: np.concatenate([block.whole.get(name, _nothing(block.steps.size)) for block in blocks])
        for name in {name: None for block in blocks for name in block.whole}
    }
    steps = np.concatenate([block.steps for block in blocks])
    return ColumnBlock(blocks[0].layer, steps, columns, present, whole)


def _nothing(steps: int) -> np.ndarray:
    return np.full(steps, np.nan, np.float32)


def presence(block: ColumnBlock, name: str) -> np.ndarray:
    """(T,) bool: the steps at which a statistic was taken."""
    if name not in block.columns:
        return np.zeros(block.steps.size, bool)
    return block.present.get(name, np.ones(block.steps.size, bool))


def filled(block: ColumnBlock, name: str) -> np.ndarray:
    """A column as (N, T) with NaN where the statistic was not taken."""
    if name not in block.columns:
        return np.full((block.neurons, block.steps.size), np.nan, np.float32)
    if name not in block.present:
        return block.columns[name]
    return np.where(block.present[name], block.columns[name], np.float32(np.nan))


def round_mantissa(values: np.ndarray) -> np.ndarray:
    """float32 rounded to 10 mantissa bits: relative error at most 2^-11.

    Zero, NaN, infinities and subnormal numbers, and what would round up to infinity, stay as they are.
    """
    dropped = np.finfo(np.float32).nmant - KEPT_MANTISSA_BITS
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    exponent = bits & np.uint32(0x7F800000)
    even = (bits >> np.uint32(dropped)) & np.uint32(1)  # round half to even
    rounded = (bits + np.uint32((1 << (dropped - 1)) - 1) + even) & np.uint32(
        0xFFFFFFFF << dropped & 0xFFFFFFFF
    )
    normal = (exponent != 0) & (exponent != 0x7F800000) & (rounded & np.uint32(0x7F800000) != 0x7F800000)
    return np.where(normal, rounded, bits).view(np.float32)


def buckets(block: ColumnBlock, width: int) -> ColumnBlock:
    """Every `width` recorded steps as one: KIND (mean, summed in float64), KIND_min, KIND_max; the last may
    be shorter.

    `step` is the first step of the bucket, `regime` its most severe, `settled` its last. What is
    absent is left out of the mean; a bucket in which it is always absent has none. NaN spreads: a broken
    neuron stays visible.
    """
    return buckets_at(block, np.arange(0, block.steps.size, width))


def buckets_at(block: ColumnBlock, starts: np.ndarray) -> ColumnBlock:
    """`buckets` that begin at the given positions of `block.steps`."""
    sizes = np.diff(np.append(starts, block.steps.size))
    columns: dict[str, np.ndarray] = {}
    present: dict[str, np.ndarray] = {}
    for name, values in block.columns.items():
        if name == REGIME:
            columns[name] = most_severe(values, starts)
            continue
        if name == SETTLED:
            columns[name] = values[:, starts + sizes - 1]
            continue
        low = high = total = values
        count = sizes
        if name in block.present:
            mask = block.present[name]
            total = np.where(mask, values, np.float32(0))
            low, high = (
                np.where(mask, values, np.float32(np.inf)),
                np.where(mask, values, np.float32(-np.inf)),
            )
            count = np.add.reduceat(mask.astype(np.int64), starts)
            if not count.all():
                present.update({kind: count > 0 for kind in (name, f"{name}_min", f"{name}_max")})
        with np.errstate(invalid="ignore", over="ignore"):
            sums = _reduce(np.add, total, starts, sizes, np.float64)
            columns[name] = (sums / np.maximum(count, 1)).astype(np.float32)
            columns[f"{name}_min"] = _reduce(np.minimum, low, starts, sizes, np.float32)
            columns[f"{name}_max"] = _reduce(np.maximum, high, starts, sizes, np.float32)
    return ColumnBlock(block.layer, block.steps[starts], columns, present)


def most_severe(codes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(N, T) raw codes -> (N, B): the most severe of those from each start to the next."""
    return _CODE[np.minimum.reduceat(_RANK[codes], starts, axis=1)]


def _reduce(
    function: np.ufunc, values: np.ndarray, starts: np.ndarray, sizes: np.ndarray, dtype: type
) -> np.ndarray:
    """(N, T) -> (N, B): the values of each bucket as one. Short buckets of one size are reduced across
    neurons, twice as fast.
    """
    if sizes[0] <= SHORT_BUCKET and (sizes == sizes[0]).all():
        by_bucket = np.ascontiguousarray(values.T).reshape(sizes.size, sizes[0], -1)
        return np.ascontiguousarray(function.reduce(by_bucket, axis=1, dtype=dtype).T)
    return function.reduceat(values, starts, axis=1, dtype=dtype)


def _schema(names: list[str], nullable: set[str]) -> pa.Schema:
    kinds = ((name, pa.int8() if name in CODES else pa.float32()) for name in names)
    return pa.schema(
        [*KEY_FIELDS, *(pa.field(name, kind, nullable=name in nullable) for name, kind in kinds)]
    )


def _table(block: ColumnBlock, first_neuron: int, schema: pa.Schema) -> pa.Table:
    """Rows of a block whose first neuron has the number `first_neuron`, sorted (neuron, step)."""
    neurons, steps = block.neurons, block.steps.size
    numbers = np.arange(first_neuron, first_neuron + neurons, dtype=np.int32)
    arrays = [
        pa.array(np.tile(block.steps, neurons)),
        pa.array(np.full(neurons * steps, block.layer, np.int16)),
        pa.array(np.repeat(numbers, steps)),
    ]
    for column in schema.names[len(KEYS) :]:
        if column not in block.columns:
            arrays.append(pa.nulls(neurons * steps, schema.field(column).type))
            continue
        absent = np.tile(~block.present[column], neurons) if column in block.present else None
        arrays.append(pa.array(np.ascontiguousarray(block.columns[column]).ravel(), mask=absent))
    return pa.Table.from_arrays(arrays, schema=schema)


def write_column_blocks(
    storage: Storage,
    path: str,
    blocks: Iterable[tuple[int, ColumnBlock]],
    names: list[str],
    nullable: set[str],
    precision: str,
) -> None:
    """Write (first neuron, block) pairs in the order (layer, neuron) as one file, 64 neurons a row group.

    Every block but a layer's last must hold a multiple of 64 neurons. The file appears whole or not at all.
    """
    codec, level = CODEC[precision]
    schema = _schema(names, nullable)
    statistics = [name for name in names if name not in CODES]

    def write(temporary: Path) -> None:
        with checksummed_writer(
            temporary,
            schema,
            compression=codec,
            compression_level=level,
            use_dictionary=[*KEYS, *(name for name in names if name in CODES)],
            column_encoding=dict.fromkeys(statistics, "BYTE_STREAM_SPLIT"),
            write_statistics=list(KEYS),
            store_schema=False,
        ) as writer:
            for first_neuron, block in blocks:
                writer.write_table(
                    _table(block, first_neuron, schema), row_group_size=ROW_GROUP_NEURONS * block.steps.size
                )

    storage.put(path, write)


def write_layers(storage: Storage, path: str, blocks: list[ColumnBlock], precision: str) -> None:
    """Write whole layers, in order, as one file."""
    names = sorted({name for block in blocks for name in block.columns}, key=column_rank)
    nullable = {
        name for name in names if any(name not in block.columns or name in block.present for block in blocks)
    }
    write_column_blocks(storage, path, ((0, block) for block in blocks), names, nullable, precision)


def neuron_groups(neurons: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the row groups of a layer."""
    for start in range(0, neurons, ROW_GROUP_NEURONS):
        yield start, min(start + ROW_GROUP_NEURONS, neurons)
