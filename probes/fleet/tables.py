"""The tables of a fleet in its database: views of the runs' files, and what is put beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from probes.fleet import run_files
from probes.log import neuron_summary
from probes.log.rows import lasting_columns
from probes.schema import LIVING_REGIMES, REGIMES, UNKNOWN

if TYPE_CHECKING:
    import duckdb

_LIVING = f"case when regime <> {UNKNOWN} then regime in ({', '.join(map(str, LIVING_REGIMES))}) end"


class Tables:
    """Tables that are made when they are asked for.

    connection: of the database. rows: of `probes.catalog_rows`, by name; files: of each table of the runs'
    logs; most_computed: summaries that are computed at most; all by default. without_summary: runs of which
    `neurons` has no rows, since more than `most_computed` leave no summary.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        rows: Mapping[str, Mapping[str, Any]],
        files: Mapping[str, run_files.Files],
        most_computed: int | None,
    ) -> None:
        self._connection, self._rows, self._files = connection, rows, files
        self._most_computed = most_computed
        self.without_summary: list[str] = []
        self._made = {"runs"}
        self._makers: dict[str, Callable[[], None]] = {
            "neurons": self._make_neurons,
            "layers": self._make_layers,
            "scalars": lambda: self._make_view("scalars", "scalars"),
            "history": lambda: self._make_view("history", "neurons"),
        }

    def make(self, names: Collection[str]) -> None:
        """Make those that are not there yet."""
        for name in names:
            if name not in self._made:
                self._makers[name]()
                self._made.add(name)

    def forget(self, names: Collection[str]) -> None:
        """Make them anew when they are asked for again."""
        self._made -= {name for name in names if name != "runs"}

    def put(self, name: str, table: pa.Table) -> None:
        """A table that lies in the database."""
        self._connection.register("_given", table)
        self._connection.execute(f"create or replace table {name} as select * from _given")
        self._connection.unregister("_given")

    def _put_mapping(self, name: str, paths: list[str], runs: list[str]) -> None:
        """Which run a file is of."""
        self.put(
            name, pa.table({"filename": pa.array(paths, pa.string()), "run": pa.array(runs, pa.string())})
        )

    def _put_files(self, table: str) -> str:
        """SQL of all rows of the files of a table, with `run`; the mapping of files to runs is put beside."""
        found = self._files[table].found()
        names = [run for run, files in found.items() for _ in files]
        paths = [path for files in found.values() for path in files]
        self._put_mapping(f"_files_{table}", paths, names)
        return _parquet(paths)

    def _make_view(self, name: str, table: str) -> None:
        paths = self._put_files(table)
        if not paths:
            empty = {"run": pa.string()} | {field.name: field.type for field in lasting_columns(table)}
            self._put_empty(name, pa.schema(list(empty.items())))
            return
        self._view(
            name,
            f"select f.run, t.* exclude (filename) from {paths} t join _files_{table} f using (filename)",
        )

    def _make_layers(self) -> None:
        """Rows of `layers/` with the layer's name, its neurons, and the share of those that live."""
        paths = self._put_files("layers")
        schema = self._put_described_layers()
        if not paths:
            more = [("step", pa.int64()), ("living_share", pa.float64())]
            self._put_empty("layers", pa.schema([*schema, *more]))
            return
        there = set(self._connection.sql(f"select * from {paths} limit 0").columns)
        counts = [
            "coalesce({})".format(
                ", ".join([*(name for name in (f"settled_{code}", f"regime_{code}") if name in there), "0"])
            )
            for code in LIVING_REGIMES
        ]
        unknown = ", ".join(
            [*(name for name in (f"settled_{UNKNOWN}", f"regime_{UNKNOWN}") if name in there), "0"]
        )
        known = f"l.n_neurons - coalesce({unknown})"
        told = f"case when {known} > coalesce({unknown}) then {known} end"  # as `living_share_of_counts`
        self._view(
            "layers",
            f"select f.run, t.layer, t.step, l.layer_name, l.n_neurons, l.family,"
            f" ({' + '.join(counts)}) / ({told})"
            f" as living_share, t.* exclude (filename, layer, step) from {paths} t"
            " join _files_layers f using (filename) join _layers l on l.run = f.run and l.layer = t.layer",
        )  # fmt: skip

    def _put_described_layers(self) -> pa.Schema:
        """One row a layer of a run, as its manifest describes it."""
        schema = pa.schema(
            [
                ("run", pa.string()),
                ("layer", pa.int16()),
                ("layer_name", pa.string()),
                ("n_neurons", pa.int32()),
                ("family", pa.string()),
            ]
        )
        layers = [
            (run, index, *described)
            for run, row in self._rows.items()
            for index, described in enumerate(
                zip(row["layer_names"], row["layer_neurons"], row["layer_families"], strict=True)
            )
        ]
        rows = [dict(zip(schema.names, row, strict=True)) for row in layers]
        self.put("_layers", pa.Table.from_pylist(rows, schema))
        return schema

    def _make_neurons(self) -> None:
        """The summaries that lie with the runs, and those that have to be computed."""
        files = self._files["neuron_summary"]
        current = files.current_summaries(self._connection)
        self._put_mapping("_files_neuron_summary", [path for path, _ in current.values()], list(current))
        self._put_described_layers()
        missing = [name for name, row in self._rows.items() if name not in current and row["steps"]]
        self.without_summary = missing[self._most_computed :] if self._most_computed is not None else []
        computed = files.computed_summaries([name for name in missing if name not in self.without_summary])
        self.put("_computed", computed)
        codes = ", ".join(f"when {regime.code} then '{regime.name}'" for regime in REGIMES).replace(",", "")
        shown = [
            name for name in neuron_summary.SCHEMA.names if name not in ("run", "layer", "neuron", "regime")
        ]
        columns = (
            f"layer, neuron, regime, case regime {codes} end as regime_name, {_LIVING} as living,"
            f" {', '.join(shown)}"
        )
        parts = [f"select run, {columns}, {_more(neuron_summary.MORE)} from _computed"]
        for there in dict.fromkeys(more for _, more in current.values()):
            paths = _parquet([path for path, more in current.values() if more == there], same=True)
            parts.append(
                f"select f.run, {columns}, {_more(there)} from (select * exclude (run) from {paths}) t"
                " join _files_neuron_summary f using (filename)"
            )
        every = " union all ".join(parts)
        families = {family for row in self._rows.values() for family in row["layer_families"]}
        if len(families) > 1:
            self._view(
                "neurons",
                f"select t.run, layer, l.family, t.* exclude (run, layer) from ({every}) t"
                " join _layers l using (run, layer)",
            )
        else:
            family = quoted(*families) if families else "''"
            self._view(
                "neurons", f"select run, layer, {family} as family, * exclude (run, layer) from ({every})"
            )

    def _put_empty(self, name: str, schema: pa.Schema) -> None:
        self.put(f"_{name}", schema.empty_table())
        self._view(name, f"select * from _{name}")

    def _view(self, name: str, query: str) -> None:
        self._connection.execute(f"create or replace view {name} as {query}")


def _parquet(paths: Sequence[str], same: bool = False) -> str:
    """SQL of the rows of some files; "" of none. same: all have the same columns."""
    if not paths:
        return ""
    united = "" if same else ", union_by_name = true"
    files = ", ".join(quoted(run_files.literal(path)) for path in paths)
    return f"read_parquet([{files}], filename = true, hive_partitioning = false{united})"


def _more(there: Sequence[str]) -> str:
    """SQL of the columns of `neuron_summary.MORE`, null where a summary has none."""
    return ", ".join(
        name if one in there else f"null::float as {name}"
        for one in neuron_summary.MORE
        for name in neuron_summary.kept(one)
    )


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
