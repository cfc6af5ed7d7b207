"""Columns of a table whose files differ: a statistic that begins late is not in the first of them.

Programs that read a folder by a glob take the columns of the file whose name comes first (Arrow and pandas
do). A closed run whose files differ has one before all others that holds no row and every column.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from probes.log import opening, rows
from probes.log.blocks import KEY_FIELDS, column_rank, is_grid
from probes.log.segments import counted_segments
from probes.storage import Storage

FILE = "0-columns.parquet"


def unified(table: str, schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Columns of all files of a table, each nullable, in the order of the schema."""
    columns = list(pa.unify_schemas(schemas, promote_options="permissive"))
    if is_grid(table):
        own = sorted(columns[len(KEY_FIELDS) :], key=lambda field: column_rank(field.name))
        columns = [*KEY_FIELDS, *own]
    return pa.schema([field.with_nullable(True) for field in columns])


def write(storage: Storage, table: str, precision: str) -> None:
    """Write the file of all columns, where the files that count differ in theirs; else remove it."""
    schemas = []
    for segment in counted_segments(storage, table):
        with opening.open_parquet(f"{table}/{segment.name}", storage) as file:
            schemas.append(opening.schema_of(file).remove_metadata())
    path = f"{table}/{FILE}"
    if len({tuple(schema.names) for schema in schemas}) > 1:
        rows.write_rows(storage, path, unified(table, schemas).empty_table(), precision)
    elif FILE in storage.names(table):
        storage.delete(path)
