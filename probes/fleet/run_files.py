"""Which files of which runs a table of a fleet is made of, and which of them cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from probes.errors import RunError
from probes.fleet.copies import Copies
from probes.log import manifest, neuron_summary, opening, rows
from probes.log.grid import schema_fault
from probes.log.segments import counted_segments
from probes.storage import is_store, open_folder

TABLES = ("layers", "scalars", "neurons", "neuron_summary")
"""Tables of a run's log that a fleet reads."""
OF = {"layers": "layers", "scalars": "scalars", "history": "neurons", "neurons": "neuron_summary"}
"""Table of a fleet -> that of the runs' logs."""


def literal(path: str) -> str:
    """A path as DuckDB reads it: what would be a pattern means itself."""
    return re.sub(r"([*?\[])", r"[\1]", path)


class Files:
    """The files of one table of all runs. rows: of `probes.catalog_rows`, by name; left_out: where those that
    cannot be read are noted, with the reason; copies: of what lies in stores.
    """

    def __init__(
        self, table: str, rows: Mapping[str, Mapping[str, Any]], left_out: dict[str, str], copies: Copies
    ) -> None:
        self._table, self._rows, self._left_out, self._copies = table, rows, left_out, copies
        self._found: dict[str, list[str]] | None = None
        self._damaged: set[str] = set()

    def found(self) -> dict[str, list[str]]:
        """Name of a run -> paths of its files that count, in order, as they were listed first or at the last
        look.
        """
        if self._found is None:
            self._copies.look([path for row in self._rows.values() if is_store(path := str(row["path"]))])
            listed = {name: self._list(name, str(row["path"])) for name, row in self._rows.items()}
            stored = {str(self._rows[name]["path"]): names for name, names in listed.items() if names}
            refused = self._copies.bring({path: names for path, names in stored.items() if is_store(path)})
            found = {}
            for name, files in listed.items():
                path = str(self._rows[name]["path"])
                if path in refused:
                    self._left_out[name] = refused[path]
                    files = []
                place = open_folder(self._copies.place(path))
                addresses = (place.address(one) for one in files)
                found[name] = [address for address in addresses if address not in self._damaged]
            self._found = found
        return self._found

    def _list(self, name: str, path: str) -> list[str]:
        """Names of the files within a run."""
        try:
            listing = self._copies.listing(path) if is_store(path) else open_folder(path)
            if self._table == "neuron_summary":
                return [neuron_summary.FILE] if listing.stamp(neuron_summary.FILE) else []
            return [f"{self._table}/{one.name}" for one in counted_segments(listing, self._table)]
        except RunError as error:
            self._left_out[name] = str(error)
            return []

    def look(self, thorough: bool) -> bool:
        """Whether the files that count are others than before: listed anew, without those that are damaged.

        thorough: their pages too.
        """
        before, self._found = self.found(), None
        self._copies.forget()
        damaged = len(self._damaged)
        for name, files in self.found().items():
            for path in files:
                place = self._copies.place(str(self._rows[name]["path"]))
                if (fault := self._fault(place, path, thorough)) is not None:
                    self._damaged.add(path)
                    self._left_out[f"{name}/{path.removeprefix(place).lstrip('/')}"] = fault
        if len(self._damaged) > damaged:
            self._found = None
        return self.found() != before

    def _fault(self, run: str, path: str, thorough: bool) -> str | None:
        """What is wrong with a file, None if nothing is; of one that is gone nothing is said."""
        storage = open_folder(run)
        inner = path.removeprefix(storage.address("")).lstrip("/")
        try:
            with opening.open_parquet(inner, storage) as file:
                if self._table == "neurons":
                    if fault := schema_fault(file.schema_arrow):
                        return f"{path}: {fault}"
                elif self._table == "neuron_summary":
                    neuron_summary.check_columns(opening.schema_of(file), path)
                else:
                    rows.check_columns(opening.schema_of(file), self._table, path)
                if thorough:
                    for group in range(file.num_row_groups):
                        opening.read(file, [group])
        except FileNotFoundError:
            return None
        except RunError as error:
            return str(error)
        return None

    # ---- summaries of neurons

    def current_summaries(self, connection: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Name of a run -> path of its summary and what it has of `neuron_summary.MORE`, of those that are of
        the rows that the run has now.

        One question about all footers; where a file is damaged DuckDB refuses it, and `look` finds out.
        """
        paths = {files[0]: name for name, files in self.found().items() if files}
        if not paths:
            return {}
        listed = "[" + ", ".join("'" + literal(path).replace("'", "''") + "'" for path in paths) + "]"
        footers = connection.sql(
            "select f.file_name, f.num_rows, k.key::varchar, k.value::varchar from"
            f" parquet_file_metadata({listed}) f join parquet_kv_metadata({listed}) k using (file_name)"
            f" where k.key::varchar in ('{neuron_summary.STATE_KEY}', '{neuron_summary.MORE_KEY}')"
        ).fetchall()
        said = {(path, key): (count, value) for path, count, key, value in footers}
        current = {}
        for path, name in paths.items():
            count, state = said.get((path, neuron_summary.STATE_KEY), (0, None))
            row = self._rows[name]
            if state == row["extent"] and 0 < count <= sum(row["layer_neurons"]):
                _, more = said.get((path, neuron_summary.MORE_KEY), (0, ""))
                there = set(more.split())
                current[name] = path, tuple(one for one in neuron_summary.MORE if one in there)
        return current

    def computed_summaries(self, names: Iterable[str]) -> pa.Table:
        """Summaries of some runs as they left them, or from their logs; what is damaged is left out."""
        more = [name for one in neuron_summary.MORE for name in neuron_summary.kept(one)]
        schema = pa.schema([*neuron_summary.SCHEMA, *(pa.field(name, pa.float32()) for name in more)])
        tables = [schema.empty_table()]
        for name in names:
            storage = open_folder(str(self._rows[name]["path"]))
            try:
                table = neuron_summary.read_or_compute(storage, manifest.read(storage))
            except (RunError, FileNotFoundError) as error:
                self._left_out[name] = str(error)
                continue
            if table is not None:
                place = table.schema.get_field_index("run")
                column = pa.array([name] * table.num_rows, pa.string())
                tables.append(table.set_column(place, neuron_summary.SCHEMA.field("run"), column))
        return pa.concat_tables(tables, promote_options="default")
