"""`probes.fleet`: the runs of some folders as tables of one DuckDB database, which reads files in place."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd
import pyarrow.compute as pc

from probes.errors import RunError, first_line, writing
from probes.extras import named
from probes.fleet import run_files
from probes.fleet.copies import Copies
from probes.fleet.run_columns import free_name, runs_table
from probes.fleet.tables import Tables, quoted
from probes.log.catalog import catalog_rows, run_name
from probes.storage import is_store, open_folder, without_secrets
from probes.storage.local import write_atomic

if TYPE_CHECKING:
    import duckdb

ATTEMPTS = 4
"""How often a question is asked: files of a live run may be compacted away, damaged ones are left out."""
TABLES = ("runs", "neurons", "layers", "scalars", "history")


def fleet(
    folders: str | Path | Sequence[str | Path],
    *,
    threads: int | None = None,
    memory_limit: str | None = None,
    engine: Literal["duckdb", "daft"] = "duckdb",
) -> Fleet:
    """All runs of one or several folders as tables of one SQL database.

    Parameters
    ----------
    folders
        Folders of runs, or their URLs in an object store (`s3://bucket/runs`); subfolders that hold runs, as
        sweeps do, are looked into as well, and a run counts once. Of stored runs the files that a question
        needs are copied here.
    threads
        Of DuckDB; all cores by default.
    memory_limit
        Of DuckDB, such as "1GB"; 80 % of the memory by default.
    engine
        What answers questions: DuckDB in this process, or Daft on a cluster of Ray, with the extra `fleet`
        (docs/scale.md).

    Returns
    -------
    Fleet
        With the runs that are there now; to be closed, or used as a context manager.

    Raises
    ------
    RunError
        When a folder is not there, or a store does not answer.
    MissingPackageError
        When DuckDB is not installed, or for Daft the extra `fleet`.

    Examples
    --------
    >>> with probes.fleet("sample_runs") as fleet:  # doctest: +SKIP
    ...     fleet.sql("select beta, lr, avg(living_share) from runs group by all order by all")
    """
    given = [folders] if isinstance(folders, str | Path) else list(folders)
    rows: dict[str, dict[str, Any]] = {}
    known: set[str] = set()
    for folder in given:
        if not is_store(folder) and "://" in str(folder):
            raise RunError(
                f"{without_secrets(str(folder))}: a fleet reads folders, and object stores such as s3://"
            )
        place = open_folder(folder).root if is_store(folder) else Path(folder).absolute()
        for row in catalog_rows(place, nested=True):
            path = str(row["path"])
            real = path if is_store(path) else os.path.realpath(path)
            if real not in known:  # folders may lie in one another
                known.add(real)
                rows[run_name(Path(path), rows)] = row
    if engine == "daft":
        from probes.fleet.daft_engine import DaftFleet

        return DaftFleet(rows, threads=threads, memory_limit=memory_limit)
    return Fleet(rows, threads=threads, memory_limit=memory_limit)


class Fleet:
    """Runs as tables of a SQL database; made by `probes.fleet`.

    Parameters
    ----------
    rows
        Name of a run, unique -> its row of `probes.catalog_rows`.
    threads, memory_limit
        As of `probes.fleet`.
    most_computed
        So many summaries that runs have not left are computed at most, the first; all by default.

    Attributes
    ----------
    left_out
        Runs and files that cannot be read -> why. It grows as tables are asked for.
    settings, scores
        Setting, dotted where it is nested, or "split/score" -> its column of `runs`.
    without_summary
        Runs of which `neurons` has no rows, since more than `most_computed` leave no summary.

    Notes
    -----
    Tables, with `run` in each: `runs` (one row a run: status, scores, and each setting of its configuration),
    `neurons` (one row a neuron, from the summaries that runs leave; of runs without one it is computed),
    `layers` and `scalars` (those of the runs' logs) and `history` (every neuron at every step: large). Layers
    and neurons are counted from 0, as in the log.

    Nothing but the folders of the runs can be read, no question writes, and no extension is loaded. DuckDB
    verifies no checksums: `probes check` does.
    """

    def __init__(
        self,
        rows: Mapping[str, Mapping[str, Any]],
        *,
        threads: int | None = None,
        memory_limit: str | None = None,
        most_computed: int | None = None,
    ) -> None:
        with named("probes.fleet"):
            import duckdb

        self._duckdb = duckdb
        self._lock = threading.RLock()
        self.left_out = {name: str(row["error"]) for name, row in rows.items() if row["error"]}
        self._rows = {name: dict(row) for name, row in rows.items() if not row["error"]}
        self._copies = Copies()
        self._files = {
            table: run_files.Files(table, self._rows, self.left_out, self._copies)
            for table in run_files.TABLES
        }
        self._connection = _connect(duckdb, self._folders(), threads, memory_limit)
        self._runs, self.settings, self.scores = runs_table(self._rows)
        self._tables = Tables(self._connection, self._rows, self._files, most_computed)
        self._tables.put("runs", self._runs)

    @property
    def without_summary(self) -> list[str]:
        """Runs of which `neurons` has no rows; known once the table was asked for."""
        return self._tables.without_summary

    def _folders(self) -> list[str]:
        """What the database may read: the folders in which the runs of this machine lie, and the copies."""
        paths = [str(row["path"]) for row in self._rows.values()]
        return sorted(
            {self._copies.folder, *(str(Path(path).parent) for path in paths if not is_store(path))}
        )

    # ---- asking

    def sql(self, query: str) -> pd.DataFrame:
        """Ask one question.

        Parameters
        ----------
        query
            A SELECT statement of DuckDB's SQL.

        Returns
        -------
        pandas.DataFrame
            The rows of the answer.

        Raises
        ------
        RunError
            For what is no SELECT, and for what DuckDB cannot answer; the message says why.
        """
        frame: pd.DataFrame = self._ask(query, lambda: self._connection.sql(query).df())
        return frame

    def relation(self, query: str) -> duckdb.DuckDBPyRelation:
        """Ask one question, to be gone on with in DuckDB: `.filter`, `.aggregate`, `.arrow()`, `.pl()`.

        Parameters
        ----------
        query
            As of `sql`.

        Returns
        -------
        duckdb.DuckDBPyRelation
            Nothing is read yet; it lasts as long as the fleet is open.

        Raises
        ------
        RunError
            As `sql`.
        """
        relation: duckdb.DuckDBPyRelation = self._ask(query, lambda: self._connection.sql(query))
        return relation

    def columns(self, table: str) -> dict[str, str]:
        """The columns of a table.

        Parameters
        ----------
        table
            "runs", "neurons", "layers", "scalars" or "history".

        Returns
        -------
        dict
            Name -> DuckDB's type.

        Raises
        ------
        KeyError
            For another table.
        RunError
            As `sql`.
        """
        if table not in TABLES:
            raise KeyError(f"a fleet has no table {table!r}; its tables are {', '.join(TABLES)}")
        relation = self.relation(f"select * from {table}")
        return dict(zip(relation.columns, map(str, relation.types), strict=True))

    def write(self, table: str, path: Path) -> int:
        """Write a table as one Parquet file, with the settings that runs differ in as columns of each row.

        Parameters
        ----------
        table
            As of `columns`.
        path
            The file, which appears whole or not at all; it must lie in one of the folders of runs.

        Returns
        -------
        int
            Rows.

        Raises
        ------
        KeyError
            For another table.
        RunError
            As `sql`, and where nothing can be written there.
        """
        names, beside = list(self.columns(table)), []
        for column in self.varying():
            names.append(free_name(column, "config", names))
            beside.append(f"r.{_name(column)} as {_name(names[-1])}")
        query = f"select * from {table}"
        if table != "runs":
            columns = ", ".join(["run", *beside, "t.* exclude (run)"])
            query = f"select {columns} from {table} t join runs r using (run)"
        with writing(path):
            write_atomic(
                path,
                lambda temporary: self._ask(
                    query,
                    lambda: self._connection.execute(
                        f"copy ({query}) to {quoted(str(temporary))} (format parquet, compression zstd)"
                    ).fetchall(),
                ),
            )
        counted = self._connection.sql(
            f"select count(*) from read_parquet({quoted(run_files.literal(str(path)))})"
        )
        return int(counted.fetchall()[0][0])

    def varying(self) -> list[str]:
        """Columns of `runs` that hold settings in which the runs differ, the seed last.

        Returns
        -------
        list of str
            In the order of the configuration; one that only some runs have is among them.
        """
        columns = ((name, self._runs[name]) for name in self.settings.values())
        different = [name for name, values in columns if pc.count_distinct(values, mode="all").as_py() > 1]
        return sorted(different, key=lambda name: name == self.settings.get("seed"))

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
        self._copies.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, query: str, ask: Callable[[], Any]) -> Any:
        """What a question gives. Tables are made when they are first named; after a failure the files are
        looked at, and it is asked again without those that are damaged or gone.
        """
        with self._lock:
            self._refuse_other_statements(query)
            wanted = [name for name in TABLES if re.search(rf"\b{name}\b", query, re.IGNORECASE)]
            for attempt in range(ATTEMPTS):
                try:
                    self._tables.make(wanted)
                    return ask()
                except self._duckdb.Error as error:
                    if attempt == ATTEMPTS - 1 or not self._repaired(wanted, error):
                        raise RunError(_words(error)) from error
            raise AssertionError("the last attempt returns or raises")

    def _refuse_other_statements(self, query: str) -> None:
        try:
            statements = self._connection.extract_statements(query)
        except self._duckdb.Error as error:
            raise RunError(_words(error)) from error
        kinds = [statement.type for statement in statements]
        if kinds != [self._duckdb.StatementType.SELECT]:
            found = ", ".join(str(kind).rpartition(".")[2] for kind in kinds) or "none"
            raise RunError(
                f"a fleet answers one SELECT statement, this is {found}: it reads and writes nothing else"
            )

    def _repaired(self, wanted: list[str], error: Exception) -> bool:
        """Whether some files that these tables were made of are gone or damaged: they are then made anew."""
        mistaken = (self._duckdb.CatalogException, self._duckdb.BinderException, self._duckdb.ParserException)
        if isinstance(error, self._duckdb.OutOfMemoryException):
            return False
        read = {run_files.OF.get(name) for name in wanted} - {None}
        changed = [self._files[str(name)].look(thorough=not isinstance(error, mistaken)) for name in read]
        self._tables.forget(wanted)
        return any(changed)


def _connect(
    duckdb: Any, folders: list[str], threads: int | None, memory_limit: str | None
) -> duckdb.DuckDBPyConnection:
    """A database in memory that reads the runs' folders and nothing else."""
    config: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "temp_directory": "",
    }
    config |= {"threads": threads} if threads else {}
    config |= {"memory_limit": memory_limit} if memory_limit else {}
    connection = duckdb.connect(":memory:", config=config)
    # files are many, small and of this machine: what DuckDB does for large and far ones costs half the time
    connection.execute("set parquet_metadata_cache = true")
    connection.execute("set enable_external_file_cache = false")
    connection.execute("set disable_parquet_prefetching = true")
    connection.execute(f"set allowed_directories = [{', '.join(map(quoted, folders))}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    return connection


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _words(error: Exception) -> str:
    """What DuckDB says, on one line."""
    text = " ".join(str(error).split())
    return text.partition(" LINE ")[0] or first_line(error)
