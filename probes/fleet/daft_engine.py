"""A fleet whose questions Daft answers on Ray, where one machine is outgrown: the extra `fleet`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from probes.errors import RunError, first_line
from probes.extras import named
from probes.fleet import run_files
from probes.fleet.daft_differences import WHOLE
from probes.fleet.database import ATTEMPTS, TABLES, Fleet
from probes.fleet.dialect import for_daft
from probes.log import neuron_summary
from probes.ray_cluster import start_ray
from probes.schema import LIVING_REGIMES, REGIMES, UNKNOWN

_FILENAME = "filename"
FLOATS = ("FLOAT", "DOUBLE")


class DaftFleet(Fleet):
    """A `Fleet` whose `sql` is answered by Daft on Ray, by the workers of a cluster.

    Parameters
    ----------
    rows
        As of `Fleet`.
    threads
        Workers of the cluster that is started where there is none; all cores by default.
    memory_limit
        Of DuckDB, as of `Fleet`.

    Notes
    -----
    DuckDB still reads the question, which it refuses as it does its own, names the columns of the answer and
    their types, and looks at files that cannot be read; rows are Daft's alone. `columns`, `relation` and
    `write` are DuckDB's. What Daft's SQL has not (`filter`, `quantile_cont`, some functions) is refused with
    Daft's words, and what it answers otherwise (`daft_differences`). Numbers are computed as float64 and as
    integers of 64 bits. Runs have to lie where all workers find them.
    """

    def __init__(
        self,
        rows: Mapping[str, Mapping[str, Any]],
        *,
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> None:
        os.environ["DAFT_ANALYTICS_ENABLED"] = "0"
        self._ray, self._own = start_ray("engine='daft'", threads or os.cpu_count() or 1, "fleet")
        with named("engine='daft'"):
            import daft

        self._daft = daft
        daft.set_runner_ray(noop_if_initialized=True)
        self._frames: dict[str, Any] = {}
        super().__init__(rows, threads=threads, memory_limit=memory_limit)

    def sql(self, query: str) -> pd.DataFrame:
        """Ask one question.

        Parameters
        ----------
        query
            A SELECT statement, as of `Fleet.sql`.

        Returns
        -------
        pandas.DataFrame
            The rows of the answer, with DuckDB's columns and types.

        Raises
        ------
        RunError
            As `Fleet.sql`, and for what Daft's SQL has not or answers otherwise.
        """
        with self._lock:
            for attempt in range(ATTEMPTS):
                relation = self.relation(query)
                wanted = [name for name in TABLES if re.search(rf"\b{name}\b", query, re.IGNORECASE)]
                try:
                    text = for_daft(self._connection, query, relation.columns, self._types(wanted))
                    frames = {name: self._frame(name) for name in wanted}
                    planned = self._daft.sql(text, register_globals=False, **frames)
                except Exception as error:
                    said = " ".join(str(error).split())[:300]
                    raise RunError(f"Daft does not take this question, DuckDB does: {said}") from error
                try:
                    answer = planned.to_arrow()
                    break
                except Exception as error:
                    self._frames.clear()
                    if attempt == ATTEMPTS - 1 or not self._repaired(wanted, error):
                        raise RunError(f"Daft: {first_line(error)}") from error
            kinds = enumerate(zip(relation.columns, relation.types, strict=True))
            columns = ", ".join(f'c{at}::{kind} as "{_doubled(name)}"' for at, (name, kind) in kinds)
            places = [f"c{at}" for at in range(answer.num_columns)]  # names may differ by case alone
            self._connection.register("_answer", answer.rename_columns(places))
            try:
                frame: pd.DataFrame = self._connection.sql(f"select {columns} from _answer").df()
            except self._duckdb.Error as error:  # beyond DuckDB's type, as an INTEGER of 2^31
                raise RunError(f"Daft: {first_line(error)}") from error
            finally:
                self._connection.unregister("_answer")
            return frame

    def close(self) -> None:
        """Let go of the database, and of the cluster if it was started here."""
        super().close()
        if self._own:
            self._ray.shutdown()

    # ---- tables

    def _types(self, tables: list[str]) -> dict[str, str]:
        """DuckDB's types of the columns of some tables, of those that have one type in all of them."""
        found: dict[str, set[str]] = {}
        for name in tables:
            for column, kind in self.columns(name).items():
                found.setdefault(column, set()).add(kind)
        return {column: kinds.pop() for column, kinds in found.items() if len(kinds) == 1}

    def _frame(self, name: str) -> Any:
        """A table as Daft reads it, with the columns of DuckDB's, numbers as float64."""
        if name not in self._frames:
            made = {
                "runs": lambda: self._daft.from_arrow(self._runs),
                "neurons": self._neurons,
                "layers": self._layers,
                "scalars": lambda: self._rows_of("scalars"),
                "history": lambda: self._rows_of("neurons"),
            }[name]()
            there = set(made.column_names)
            col = self._daft.col
            kinds = self.columns(name).items()
            self._frames[name] = made.select(
                *(
                    self._as(kind, col(one) if one in there else self._null()).alias(one)
                    for one, kind in kinds
                )
            )
        return self._frames[name]

    def _null(self) -> Any:
        return self._daft.lit(None)

    def _as(self, of_duckdb: str, column: Any) -> Any:
        """A column of a type of DuckDB's as the widest of its kind: narrow integers wrap around in Daft, to
        which -0.0 is less than 0.
        """
        kinds = self._daft.DataType
        if of_duckdb in WHOLE:
            return column.cast(kinds.int64())
        if of_duckdb in FLOATS:
            wide = column.cast(kinds.float64())
            return self._daft.functions.when(wide.abs() == 0.0, self._daft.lit(0.0)).otherwise(wide)
        return column.cast(kinds.bool() if of_duckdb == "BOOLEAN" else kinds.string())

    def _parquet(self, paths: list[str]) -> Any:
        """All rows of some files, of which some may lack columns; `filename` beside."""
        listed = ", ".join("'" + run_files.literal(path).replace("'", "''") + "'" for path in paths)
        found = self._connection.sql(
            f"select file_name, list(name order by column_id) from parquet_schema([{listed}])"
            " where num_children is null group by file_name"
        ).fetchall()
        alike: dict[tuple[str, ...], list[str]] = {}
        for path, names in found:
            alike.setdefault(tuple(names), []).append(_literal(path))
        read = [self._daft.read_parquet(sorted(some), file_path_column=_FILENAME) for some in alike.values()]
        kinds = {field.name: field.dtype for one in read for field in one.schema()}
        whole = [
            one.select(
                *(
                    (self._daft.col(name) if name in one.column_names else self._null())
                    .cast(kind)
                    .alias(name)
                    for name, kind in kinds.items()
                )
            )
            for one in read
        ]
        frame = whole[0]
        for one in whole[1:]:
            frame = frame.concat(one)
        return frame

    def _rows_of(self, table: str) -> Any:
        """Rows of a table of the runs' logs, with `run`."""
        found = self._files[table].found()
        paths = {path: run for run, files in found.items() for path in files}
        if not paths:
            return self._daft.from_pydict({"run": pa.array([], pa.large_string())})
        runs = self._daft.from_pydict({_FILENAME: list(paths), "run": list(paths.values())})
        return self._parquet(list(paths)).join(runs, on=_FILENAME).exclude(_FILENAME)

    def _described(self) -> Any:
        [table] = [self._connection.sql("select * from _layers").to_arrow_table()]
        return self._daft.from_arrow(table)

    def _layers(self) -> Any:
        frame, col, lit = self._rows_of("layers"), self._daft.col, self._daft.lit
        if "layer" not in frame.column_names:
            return frame
        there = set(frame.column_names)

        def count(code: int) -> Any:
            some = [col(name) for name in (f"settled_{code}", f"regime_{code}") if name in there]
            counted = self._daft.functions.coalesce(*some, lit(0)) if some else lit(0)
            return counted.cast(self._daft.DataType.float64())

        frame = frame.join(self._described(), on=["run", "layer"])
        living = sum((count(code) for code in LIVING_REGIMES[1:]), count(LIVING_REGIMES[0]))
        known = col("n_neurons") - count(UNKNOWN)
        share = self._daft.functions.when(known > count(UNKNOWN), living / known).otherwise(lit(None))
        return frame.with_column("living_share", share)

    def _neurons(self) -> Any:
        daft, col = self._daft, self._daft.col
        current = self._files["neuron_summary"].current_summaries(self._connection)
        computed = daft.from_arrow(self._connection.sql("select * from _computed").to_arrow_table())
        frame = computed
        if current:
            paths = {path: run for run, (path, _) in current.items()}
            runs = daft.from_pydict({_FILENAME: list(paths), "run": list(paths.values())})
            read = self._parquet(list(paths)).exclude("run").join(runs, on=_FILENAME).exclude(_FILENAME)
            kinds = {field.name: field.dtype for field in computed.schema()}
            frame = read.select(
                *(
                    (col(name) if name in read.column_names else self._null()).cast(kind).alias(name)
                    for name, kind in kinds.items()
                )
            ).concat(computed)
        kind = neuron_summary.SCHEMA.field("regime").type
        codes = pa.array([regime.code for regime in REGIMES], kind)
        names = daft.from_arrow(pa.table({"regime": codes, "regime_name": [one.name for one in REGIMES]}))
        frame = frame.join(names, on="regime", how="left").join(self._described(), on=["run", "layer"])
        living = col("regime").is_in(list(LIVING_REGIMES))
        known = col("regime") != UNKNOWN
        return frame.with_column("living", daft.functions.when(known, living).otherwise(daft.lit(None)))


def _literal(path: str) -> str:
    """A path as Daft reads it: what would be a pattern, of braces too, means itself."""
    return re.sub(r"([*?\[{}\\])", r"[\1]", path)


def _doubled(name: str) -> str:
    return name.replace('"', '""')
