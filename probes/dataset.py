"""`scan(RUN, table)`: the files of a run that count as one Arrow dataset with one schema, for Arrow, pandas,
Polars and DuckDB.

A glob finds too much (of a live or killed run also what was compacted into a larger file) and too little (a
statistic that begins later is not in the first file, whose columns pandas and Polars take for all).
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from probes.errors import RunError
from probes.log import columns, manifest, opening, rows
from probes.log.segments import counted_segments, listed_anew
from probes.run import Run
from probes.storage import Folder, Storage, open_folder
from probes.storage.local import LocalStorage

__all__ = ["Scan", "scan"]

KEPT_OPEN = 128
"""Files at the end of a table that stay open, so that compaction cannot take them away: it takes the newest
32. Older ones are opened when they are read, since descriptors are scarce.
"""
FORMAT = ds.ParquetFileFormat()


class Scan(ds.FileSystemDataset):
    """A table of a run as a `pyarrow.dataset.Dataset`, as `probes.scan` found it: rows that come later are
    not in it.

    `pandas`: `.to_table(columns=..., filter=...).to_pandas()`. Polars: `polars.scan_pyarrow_dataset(scan)`.
    DuckDB: `.sql(query)`.

    Parameters
    ----------
    fragments
        Its files, in order.
    schema
        Columns of all of them; null in the files that lack one.
    table
        The name that `sql` knows it by.
    """

    def __init__(self, fragments: list[ds.Fragment], schema: pa.Schema, table: str) -> None:
        super().__init__(fragments, schema, FORMAT, fs.LocalFileSystem())
        self.table = table

    def sql(self, query: str) -> pd.DataFrame:
        """Ask DuckDB.

        Parameters
        ----------
        query
            SQL; the table is called as in the log, `neurons`, or `pyramid_16` of `pyramid/16`.

        Returns
        -------
        pandas.DataFrame
            The rows of the answer. Rows of a table have an order only by `order by`.

        Raises
        ------
        ImportError
            When DuckDB is not installed.
        """
        try:
            import duckdb
        except ImportError as error:
            raise ImportError(
                "`.sql()` needs DuckDB, which is not installed: pip install duckdb, or this package with its"
                " extra `sql`; `.to_table(columns=..., filter=...)` needs nothing more"
            ) from error
        with duckdb.connect() as connection:
            connection.register(self.table, self)
            return connection.sql(query).df()


def scan(run: Folder | Run, table: str = "neurons") -> Scan:
    """One table of a run as an Arrow dataset: the files that count, each row once, with one schema.

    Parameters
    ----------
    run
        Its folder, or a `probes.Run` of it.
    table
        "neurons", "layers", "pyramid/16", "pyramid/256", "scalars", "events", "probe", "parameters",
        "classes", "forces", "sequence", "sequence_parameters", "evaluation", "predictions", "reliability",
        "answers" or "origin_scores".

    Returns
    -------
    Scan
        A `pyarrow.dataset.Dataset` with a method `sql`, of what is there now; empty where the table has no
        rows yet.

    Raises
    ------
    KeyError
        For a table that no run has.
    RunError
        When the folder holds no run, or a file is damaged.

    Notes
    -----
    Of a run whose origin is not trusted ask `probes.Run`: here Arrow reads rows without the limits of size
    and the checks of keys that `Run` keeps to.
    """
    storage = run.storage if isinstance(run, Run) else open_folder(run)
    manifest.read(storage)
    try:
        return listed_anew(lambda: _scan(storage, table))
    except FileNotFoundError as error:
        raise RunError(f"{storage.root}: a file that its folder lists cannot be opened: {error}") from error


def _scan(storage: Storage, table: str) -> Scan:
    segments = counted_segments(storage, rows.known_table(table))
    fragments, schemas = [], [rows.lasting_columns(table)]
    for index, segment in enumerate(segments):
        path = f"{table}/{segment.name}"
        with opening.open_parquet(path, storage) as file:
            schemas.append(opening.schema_of(file).remove_metadata())
        if isinstance(storage, LocalStorage) and index < len(segments) - KEPT_OPEN:
            fragments.append(FORMAT.make_fragment(storage.address(path), fs.LocalFileSystem()))
        else:
            fragments.append(FORMAT.make_fragment(storage.open(path)))
    return Scan(fragments, columns.unified(table, schemas), table.replace("/", "_"))
