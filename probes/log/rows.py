"""Tables that are plain rows in order of arrival: scalars, events, posteriors of the probe batch, usage of
classes, forces, the probe sequence and its posteriors, evaluation, predictions, answers of classifiers,
scores by origin.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from probes.errors import REMEDY, RunError
from probes.log import opening
from probes.log.blocks import CODEC, KEY_FIELDS, column_rank, round_mantissa
from probes.log.footer_checksum import checksummed_writer
from probes.log.opening import LogFile
from probes.log.row_schemas import (
    COUNT,
    LAYER,
    LAYER_COLUMNS,
    LAYER_KEYS,
    NEURON,
    OF_FAMILIES,
    ROUNDED,
    SCHEMAS,
    STEP,
    TABLES,
    check_columns,
    check_keys,
    is_plain,
    known_table,
    lasting_columns,
)
from probes.log.segments import Segment, counted_segments
from probes.storage import Listing, Storage

__all__ = [
    "BATCH_ROWS",
    "COUNT",
    "FILE_ROWS",
    "GROUPS_AT_ONCE",
    "LAYER",
    "LAYER_COLUMNS",
    "LAYER_KEYS",
    "NEURON",
    "OF_FAMILIES",
    "ROUNDED",
    "ROW_GROUP_ROWS",
    "SCHEMAS",
    "STEP",
    "TABLES",
    "Table",
    "check_columns",
    "check_keys",
    "gather",
    "join",
    "known_table",
    "lasting_columns",
    "order_columns",
    "parts",
    "prediction_table",
    "read_batches",
    "read_whole",
    "rounded",
    "write_rows",
]

FILE_ROWS = 2**21
"""Most rows of a file that is written: readers take up to 256 MB of one at once, some 9 million of them."""
BATCH_ROWS = 2**20  # at a time where rows are only looked at: some 30 MB of most tables
# as many as a row group of `neurons/` (64 x 256): what is read by step skips the others
ROW_GROUP_ROWS = 16_384
GROUPS_AT_ONCE = 16  # where few of the rows are kept: what is read stays in the processor's cache


def join(tables: list[pa.Table]) -> pa.Table:
    """Tables one below the other; a column that one lacks is null there, integers among floats are floats."""
    table = pa.concat_tables(tables, promote_options="permissive")
    fields = [
        f.with_nullable(f.nullable or c.null_count > 0)
        for f, c in zip(table.schema, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def gather(name: str, added: list[pa.Table | list[tuple[Any, ...]]]) -> pa.Table:
    """Tables, or rows as tuples in the order of the schema, as one table of the folder `name`."""
    schema = SCHEMAS[name]
    if all(isinstance(rows, pa.Table) for rows in added):
        return order_columns(join(added)) if name == "evaluation" else join(added)
    columns = zip(*(row for rows in added for row in rows), strict=True)
    return pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
    )


def parts(name: str, added: list[pa.Table | list[tuple[Any, ...]]]) -> list[pa.Table]:
    """`gather`, as so many tables that a file of each is read at once."""
    table = gather(name, added)
    return [table.slice(first, FILE_ROWS) for first in range(0, table.num_rows, FILE_ROWS)]


def prediction_table(step: int, frame: pd.DataFrame, known: pa.Schema | None) -> tuple[pa.Table, pa.Schema]:
    """A frame of predictions as rows of `predictions/`, and the columns that the table has by now.

    known: its columns so far, None while there are none. Raises ValueError for columns that readers do not
    take (dates, lists, objects, two of one name), and for those of another kind than before.
    """
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ValueError(f"predictions: the frame is no table of numbers and texts: {error}") from error
    before = {} if known is None else {field.name: field for field in known}
    for index, field in enumerate(table.schema):
        stored = _stored_type(field.type)
        if pa.types.is_null(field.type) and field.name in before:
            stored = before[field.name].type
        if stored is None:
            raise ValueError(
                f"predictions: column `{field.name}` is {field.type}; numbers, texts and bools are stored:"
                " give one of these, such as a time in seconds"
            )
        if field.name in before and _kind(stored) != _kind(before[field.name].type):
            raise ValueError(
                f"predictions: column `{field.name}` is {stored}, and was {before[field.name].type} before:"
                " give it another name"
            )
        try:
            values = table.column(index).cast(stored)
        except pa.ArrowInvalid as error:  # unsigned, of 64 bits
            raise ValueError(
                f"predictions: column `{field.name}` holds integers beyond 2^53, which no float64 tells"
                " apart; give them as text"
            ) from error
        table = table.set_column(index, pa.field(field.name, stored), values)
        before.setdefault(field.name, table.schema.field(index))
    steps = pa.array(np.full(table.num_rows, step))
    return table.add_column(0, SCHEMAS["predictions"].field("step"), steps), pa.schema(before.values())


def _stored_type(kind: pa.DataType) -> pa.DataType | None:
    """What a column of a frame is stored as; None for what is not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_unsigned_integer(kind):
        return pa.float64() if kind.bit_width == 64 else pa.int64()
    if pa.types.is_null(kind):
        return pa.float64()
    return kind if is_plain(kind) else None


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_string(kind):
        return "text"
    return "bool" if pa.types.is_boolean(kind) else "number"


def write_rows(storage: Storage, path: str, table: pa.Table, precision: str) -> None:
    """Write a table as one file: a dictionary on keys and texts, float32 byte-stream-split, minimum and
    maximum on `step`, `layer` and `neuron`.
    """
    codec, level = CODEC[precision]
    # summaries are read whole
    rows = max(1, table.num_rows) if _folder_of(path) == "layers" else ROW_GROUP_ROWS
    floats = [field.name for field in table.schema if field.type == pa.float32()]
    keys = [field.name for field in table.schema if not pa.types.is_floating(field.type)]

    def write(temporary: Path) -> None:
        with checksummed_writer(
            temporary,
            table.schema,
            compression=codec,
            compression_level=level,
            use_dictionary=keys,
            column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
            write_statistics=[field.name for field in KEY_FIELDS if field.name in table.schema.names],
            store_schema=False,
        ) as writer:
            writer.write_table(table.combine_chunks(), row_group_size=rows)

    storage.put(path, write)


def rounded(table: pa.Table) -> pa.Table:
    """The table with its float32 columns rounded to 10 mantissa bits."""
    for index, field in enumerate(table.schema):
        if field.type == pa.float32():
            column = table.column(index).combine_chunks()
            absent = np.asarray(column.is_null()) if column.null_count else None
            table = table.set_column(
                index, field, pa.array(round_mantissa(column.to_numpy(zero_copy_only=False)), mask=absent)
            )
    return table


def order_columns(table: pa.Table) -> pa.Table:
    """Keys first as they are, then the statistics in the registry's order."""
    keys = [name for name in table.column_names if name in ("step", "split", "layer", "neuron")]
    rest = sorted((name for name in table.column_names if name not in keys), key=column_rank)
    return table.select([*keys, *rest])


def _folder_of(path: str) -> str:
    return PurePosixPath(path).parent.name


def read_whole(storage: Storage, path: str, limit: int = opening.WHOLE_BYTES) -> pa.Table:
    """All rows of a file. Raises RunError for one that is damaged or not of the log."""
    with opening.open_parquet(path, storage) as file:
        check_columns(opening.schema_of(file), _folder_of(path), file.address)
        return opening.read(file, range(file.num_row_groups), limit=limit)


def read_batches(storage: Storage, path: str) -> Iterator[pa.Table]:
    """All rows of a file of any size, a few row groups at a time. Raises as `read_whole`."""
    with opening.open_parquet(path, storage) as file:
        check_columns(opening.schema_of(file), _folder_of(path), file.address)
        rows = first = 0  # of the batch that is being put together
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if group > first and rows + size > BATCH_ROWS:
                yield opening.read(file, range(first, group))
                rows, first = 0, group
            rows += size
        if file.num_row_groups:
            yield opening.read(file, range(first, file.num_row_groups))


class Table:
    """Reader of one folder of plain rows; what a file holds is read once. widths: neurons of each
    layer of the run.
    """

    def __init__(self, storage: Storage, folder: str, widths: Sequence[int]) -> None:
        self._storage, self._folder, self._widths = storage, folder, widths
        self._name = folder.rsplit("/", 1)[-1]
        self.segments: list[Segment] = []
        self._cache: dict[tuple[Segment, tuple[str, ...] | None], pa.Table] = {}
        self._known_steps: dict[Segment, np.ndarray] = {}
        self._stamps: dict[Segment, str | None] = {}

    def refresh(self, listing: Listing | None = None) -> None:
        """List the folder anew, or take what was listed; files that are known already are not touched."""
        self.segments = counted_segments(listing or self._storage, self._folder)
        known = set(self.segments)
        if self._storage.remote and listing is not None:  # where a name may stand for another file by now
            stamps = {one: listing.stamp(f"{self._folder}/{one.name}") for one in self.segments}
            known = {segment for segment in known if stamps[segment] == self._stamps.get(segment)}
            self._stamps = stamps
        self._cache = {key: table for key, table in self._cache.items() if key[0] in known}
        self._known_steps = {key: steps for key, steps in self._known_steps.items() if key in known}

    def read(
        self,
        columns: list[str] | None = None,
        step: int | None = None,
        layer: int | None = None,
        neurons: np.ndarray | None = None,
    ) -> pa.Table:
        """All rows in order of arrival, or those of one step, which are not cached: such tables are large.

        layer: of a step only its rows; neurons: (chosen,) increasing, and of it only these. Raises RunError
        for a broken file.
        """
        if self._storage.remote:
            self._fetch(columns, step)
        if step is None:
            tables = [self._cached(segment, columns) for segment in self.segments]
        else:
            tables = [self._rows_at(segment, step, layer, neurons) for segment in self._with_step(step)]
        if not tables:
            schema = SCHEMAS.get(self._name, LAYER_KEYS)
            return schema.empty_table().select(columns or schema.names)
        try:
            return join(tables)
        except pa.ArrowException as error:
            folder = self._storage.address(self._folder)
            raise RunError(
                f"{folder}: its files have columns of different types ({error}); {REMEDY}"
            ) from error

    def _fetch(self, columns: list[str] | None, step: int | None) -> None:
        """Bring near the files of a store that are about to be read, whole: they are few or small."""
        key = None if columns is None else tuple(columns)
        unread = [one for one in self.segments if (one, key) not in self._cache]
        wanted = unread if step is None else self._with_step(step)
        self._storage.fetch([(f"{self._folder}/{one.name}", 0, sys.maxsize) for one in wanted])

    def _with_step(self, step: int) -> list[Segment]:
        """Files that hold rows of the step, or may; the last one where none does, for its columns."""
        known = self._known_steps
        found = [segment for segment in self.segments if segment not in known or step in known[segment]]
        return found or self.segments[-1:]

    def steps(self) -> np.ndarray:
        """(T,) int64, increasing: the steps that rows are of. Rows are read only where a group's limits leave
        it open.
        """
        return np.unique(
            np.concatenate([np.zeros(0, np.int64), *(self._steps(segment) for segment in self.segments)])
        )

    def _steps(self, segment: Segment) -> np.ndarray:
        if segment not in self._known_steps:
            self._known_steps[segment] = np.unique(self._read_steps(segment))
        return self._known_steps[segment]

    def _read_steps(self, segment: Segment) -> np.ndarray:
        with self._open(segment) as file:
            limits = [_limits(file.metadata, group, 0) for group in range(file.num_row_groups)]
            single = [found.min for found in limits if found is not None and found.min == found.max]
            open_ = [group for group, found in enumerate(limits) if found is None or found.min != found.max]
            read = self._read(file, open_, ["step"])["step"].to_numpy() if open_ else np.zeros(0, np.int64)
        return np.concatenate([np.array(single, np.int64), read])

    def _cached(self, segment: Segment, columns: list[str] | None) -> pa.Table:
        key = segment, None if columns is None else tuple(columns)
        if key not in self._cache:
            with self._open(segment) as file:
                self._cache[key] = self._read(file, range(file.num_row_groups), columns)
        return self._cache[key]

    def _rows_at(
        self, segment: Segment, step: int, layer: int | None, neurons: np.ndarray | None
    ) -> pa.Table:
        with self._open(segment) as file:
            groups = _groups_with(file.metadata, "step", step, step)
            if layer is None:
                return _of_step(self._read(file, groups, None), step)
            wanted = np.arange(self._widths[layer]) if neurons is None else neurons
            groups = _groups_with(file.metadata, "layer", layer, layer, groups)
            if wanted.size:
                groups = _groups_with(file.metadata, "neuron", wanted[0], wanted[-1], groups)
            # few at a time, of which the rest is let go: less memory, and several times as fast
            parts = [
                _of_neurons(_of_step(self._read(file, some, None), step), layer, wanted)
                for some in (groups[at : at + GROUPS_AT_ONCE] for at in range(0, len(groups), GROUPS_AT_ONCE))
            ]
            return pa.concat_tables(parts) if parts else self._read(file, [], None)

    def _open(self, segment: Segment) -> LogFile:
        file = opening.open_parquet(f"{self._folder}/{segment.name}", self._storage)
        check_columns(opening.schema_of(file), self._name, file.address)
        # whose names count steps, all others' rows
        most = segment.span * (len(self._widths) if self._name == "layers" else 1)
        if file.metadata.num_rows > most:
            raise RunError(
                f"{file.address} holds {file.metadata.num_rows:,} rows, its name promises {most:,} at most;"
                f" {REMEDY}"
            )
        return file

    def _read(self, file: LogFile, groups: Iterable[int], columns: list[str] | None) -> pa.Table:
        table = opening.read(file, groups, columns)
        check_keys(table, self._name, file.address, self._widths)
        return table


def _of_step(table: pa.Table, step: int) -> pa.Table:
    whole = (table["step"].to_numpy() == step).all()
    return table if whole else table.filter(pc.equal(table["step"], step))


def _of_neurons(table: pa.Table, layer: int, neurons: np.ndarray) -> pa.Table:
    own = table.filter(pc.equal(table["layer"], layer))
    numbers = own["neuron"].to_numpy()
    chosen = np.zeros(max(numbers.max(initial=0), neurons.max(initial=0)) + 1, bool)
    chosen[neurons] = True
    return own.filter(pa.array(chosen[numbers]))


def _groups_with(
    metadata: pq.FileMetaData, key: str, low: int, high: int, among: Sequence[int] | None = None
) -> list[int]:
    """Row groups that may hold rows whose key is in [low, high]; files of earlier versions say it of `step`
    alone.
    """
    place = metadata.schema.names.index(key)
    groups = range(metadata.num_row_groups) if among is None else among
    limits = ((group, _limits(metadata, group, place)) for group in groups)
    return [group for group, found in limits if found is None or found.min <= high and low <= found.max]


def _limits(metadata: pq.FileMetaData, group: int, column: int) -> pq.Statistics | None:
    """Smallest and largest value of a row group's column; None where the file does not say, as of nulls
    alone.
    """
    found = metadata.row_group(group).column(column).statistics
    return found if found is not None and found.has_min_max else None
