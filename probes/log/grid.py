"""Reading files of rows (layer, neuron, step) without reading their keys.

Rows are sorted and complete, 64 neurons a row group, layer after layer: a file's footer and the run's widths
say which row group holds which neurons, and only one `step` column a layer is ever read.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from probes.errors import REMEDY, RunError
from probes.log import opening, page_headers
from probes.log.blocks import CODES, KEY_FIELDS, ColumnBlock, concatenate, filled, neuron_groups, presence
from probes.log.footers import Footers
from probes.log.segments import Segment, counted_segments, parse
from probes.schema import BLOCK_STEPS, KEYS, REGIME, ROW_GROUP_NEURONS, SETTLED
from probes.storage import Listing, Storage, Wanted

COLUMN_BYTES = 32 * 2**20
"""Most that the pages of a column of a row group unpack to: lz4's limit for the 64 KB that 64 x 256 numbers
take, twice.
"""
MAX_OPEN = 128
"""Open files a level: descriptors are scarce (often 1,024 a process), re-opening with a cached footer costs
0.1 ms.
"""
FETCHED_BYTES = 64 * 2**20
"""What is fetched of a store at once, before it is read: as much again as what it becomes in memory."""
WHOLE = sys.maxsize
"""The end of a file."""


@dataclass(frozen=True)
class _LayerRows:
    """Where a layer lies in a file: its first row group and its number of steps."""

    row_group: int
    steps: int


class GridFile:
    """One file of `neurons/` or of a level of `pyramid/`. The footer is parsed once, step columns are cached.

    address: its full name, for messages. widths: neurons of each layer of the run. metadata: the footer,
    where it is known. Raises RunError when the file is not what its place promises.
    """

    def __init__(
        self, storage: Storage, path: str, widths: list[int], metadata: pq.FileMetaData | None = None
    ) -> None:
        self.address = storage.address(path)
        self.widths = widths
        self._storage, self._path = storage, path
        self._segment = parse(path.rsplit("/", 1)[-1])
        self._file = opening.open_parquet(path, storage, metadata)
        fault = schema_fault(self._file.schema_arrow)
        if fault:
            raise RunError(f"{self.address}: {fault}: this is not a file of a run; remove it")
        names = self._file.schema_arrow.names
        self._column_index = {name: index for index, name in enumerate(names)}
        self.columns = [name for name in names if name not in KEYS]
        self._layers = self._locate_layers()
        self._steps: dict[int, np.ndarray] = {}
        # (row group, column) whose pages are known to be no larger than they may
        self._checked: set[tuple[int, int]] = set()

    def close(self) -> None:
        """Let go of the file; the footer and the steps stay, and the next reading opens it again."""
        self._file.close()

    @property
    def layers(self) -> list[int]:
        return list(self._layers)

    def count(self, layer: int) -> int:
        """Steps that the file holds of a layer."""
        return self._layers[layer].steps if layer in self._layers else 0

    def may_lack(self, column: str) -> bool:
        """Whether the column is absent at some or all of the file's steps."""
        return column not in self._column_index or self._file.schema_arrow.field(column).nullable

    def steps(self, layer: int, group: int = 0) -> np.ndarray:
        """(T,) int64, the steps of a layer; empty when the layer is not in the file. They stand in every row
        group, and are read from `group`.
        """
        if layer not in self._layers:
            return np.empty(0, np.int64)
        if layer not in self._steps:
            rows = self._layers[layer]
            column = self._read(rows.row_group + group, ["step"]).column(0)
            if column.null_count:
                raise RunError(f"{self.address}: steps of layer {layer} have gaps; {REMEDY}")
            steps = column.slice(0, rows.steps).to_numpy()
            if (np.diff(steps) <= 0).any():
                raise RunError(f"{self.address}: steps of layer {layer} do not increase; {REMEDY}")
            if self._segment and not self._segment.first <= steps[0] <= steps[-1] <= self._segment.last:
                raise RunError(
                    f"{self.address} holds steps {steps[0]} to {steps[-1]}, its name promises others;"
                    f" {REMEDY}"
                )
            steps.flags.writeable = False
            self._steps[layer] = steps
        return self._steps[layer]

    def knows_steps(self, layer: int) -> bool:
        """Whether the steps of a layer are known without reading."""
        return layer in self._steps or layer not in self._layers

    def block(self, layer: int, group: int, columns: Iterable[str] | None = None) -> ColumnBlock:
        """All steps of the neurons 64 group .. 64 group + 63 of a layer, with those of `columns` that the
        file has.
        """
        wanted = self.columns if columns is None else [name for name in columns if name in self._column_index]
        # before format 1.2 nothing was settled: a row's own regime is the best that is known
        unsettled = columns is not None and SETTLED in columns and SETTLED not in self._column_index
        if unsettled:
            wanted = list(dict.fromkeys([*wanted, REGIME]))
        steps = self.steps(layer)
        table = self._read(self._layers[layer].row_group + group, wanted)
        values, present = {}, {}
        for name, column in zip(wanted, table.itercolumns(), strict=True):
            flat = column.to_numpy()
            if name in CODES and column.null_count:
                raise RunError(f"{self.address}: rows of layer {layer} without a regime; {REMEDY}")
            values[name] = flat.reshape(-1, steps.size)
            if column.null_count:
                present[name] = column.is_valid().to_numpy()[: steps.size]
                if flat.dtype != np.float32:
                    values[name] = values[name].astype(np.float32)
        if unsettled:
            values[SETTLED] = values[REGIME]
        return ColumnBlock(layer, steps, values, present)

    def ranges(self, layer: int, groups: Sequence[int], columns: Iterable[str]) -> Iterator[Wanted]:
        """Where the steps of a layer lie, and what `block` reads of some row groups."""
        if layer not in self._layers:
            return
        extra = [REGIME] if SETTLED not in self._column_index else []
        names = [name for name in ("step", *columns, *extra) if name in self._column_index]
        for group in groups:
            for name in names:
                index = self._column_index[name]
                chunk = page_headers.column_chunk(
                    self._file.metadata, self._layers[layer].row_group + group, index
                )
                yield self._path, chunk.begin, chunk.end

    def _read(self, row_group: int, columns: list[str]) -> pa.Table:
        if self._file.closed:
            self._file = opening.open_parquet(self._path, self._storage, self._file.metadata)
        indices = [self._column_index[name] for name in columns]
        unchecked = [(row_group, index) for index in indices if (row_group, index) not in self._checked]
        if unchecked:
            opening.check_pages(self._file, unchecked, len(unchecked) * COLUMN_BYTES)
            self._checked.update(unchecked)
        try:
            table = self._file.reader.read_row_group(row_group, column_indices=indices, use_threads=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._file.unread(error, f"row group {row_group}: {error}") from error
        opening.check_row_count(self._file, table, [row_group])
        return table

    def _locate_layers(self) -> dict[int, _LayerRows]:
        """Walk the row groups layer by layer, checking sizes, first and last neuron against the widths; no
        row is read.
        """
        metadata = self._file.metadata
        found: dict[int, _LayerRows] = {}
        group = 0
        while group < metadata.num_row_groups:
            layer, last_layer = self._key_range(group, "layer")
            if layer != last_layer or layer in found or not 0 <= layer < len(self.widths):
                text = f"row group {group}: layer {layer} is doubled or not in the manifest"
                raise RunError(f"{self.address}, {text}; {REMEDY}")
            groups = list(neuron_groups(self.widths[layer]))
            steps = metadata.row_group(group).num_rows // (groups[0][1] - groups[0][0])
            if not 1 <= steps <= BLOCK_STEPS:
                raise RunError(
                    f"{self.address}: layer {layer} has {steps} steps, a file has 1 to {BLOCK_STEPS};"
                    f" {REMEDY}"
                )
            last = group + len(groups) - 1
            expected = [(stop - start) * steps for start, stop in groups]
            if (
                last >= metadata.num_row_groups
                or [metadata.row_group(index).num_rows for index in range(group, last + 1)] != expected
                or self._key_range(group, "neuron")[0] != 0
                or self._key_range(last, "neuron")[1] != self.widths[layer] - 1
            ):
                text = f"layer {layer} does not hold {self.widths[layer]} neurons at each of its steps"
                raise RunError(f"{self.address}: {text}; {REMEDY}")
            found[layer] = _LayerRows(group, steps)
            group = last + 1
        return found

    def _key_range(self, group: int, key: str) -> tuple[int, int]:
        """Least and largest value of a key in a row group, by its statistics."""
        statistics = self._file.metadata.row_group(group).column(self._column_index[key]).statistics
        if statistics is None or not statistics.has_min_max:
            raise RunError(f"{self.address}, row group {group}: no range of `{key}` in its footer; {REMEDY}")
        return statistics.min, statistics.max


def schema_fault(schema: pa.Schema) -> str | None:
    """What is wrong with the columns of a file of `neurons/` or `pyramid/`; None if nothing is."""
    types = {field.name: field.type for field in KEY_FIELDS} | dict.fromkeys(CODES, pa.int8())
    for name, kind in types.items():
        if name not in schema.names:
            if name == SETTLED:  # of a file that was written before format 1.2
                continue
            return f"column {name!r} is missing"
        if schema.field(name).type != kind:
            return f"column {name!r} is {schema.field(name).type}, not {kind}"
    for field in schema:
        if field.name not in types and field.type != pa.float32():
            return f"column {field.name!r} is {field.type}, not float"
    return None


class Level:
    """The files of `neurons/` or of one level of the pyramid, opened when first read; at most `MAX_OPEN` stay
    open.

    footers: of the run's files, in a store. until: the last step that is looked at. A snapshot that lists
    anew, since a file has been compacted away, finds steps that came after it.
    """

    def __init__(
        self, storage: Storage, folder: str, widths: list[int], footers: Footers | None = None
    ) -> None:
        self._storage, self._folder, self._widths = storage, folder, widths
        self._footers = footers or Footers(storage)
        self.segments: list[Segment] = []
        self.until: int = np.iinfo(np.int64).max - 1
        self._files: dict[Segment, GridFile] = {}
        self._open: OrderedDict[Segment, None] = OrderedDict()
        self._stamps: dict[Segment, str | None] = {}

    def refresh(self, listing: Listing | None = None) -> None:
        """List the folder anew, or take over what was listed; files that are known already are not touched.

        A file that no longer counts closes when nobody holds it: a snapshot may still be reading it.
        """
        self.segments = counted_segments(listing or self._storage, self._folder)
        known = set(self.segments)
        if self._storage.remote and listing is not None:  # where a name may stand for another file by now
            stamps = {segment: listing.stamp(self._path(segment)) for segment in self.segments}
            known = {segment for segment in known if stamps[segment] == self._stamps.get(segment)}
            self._stamps = stamps
        self._files = {segment: file for segment, file in self._files.items() if segment in known}
        self._open = OrderedDict.fromkeys(segment for segment in self._open if segment in known)

    def file(self, segment: Segment) -> GridFile:
        if segment not in self._files:
            path = self._path(segment)
            metadata = self._footers.metadata(path)
            self._files[segment] = GridFile(self._storage, path, self._widths, metadata)
        self._open[segment] = None
        self._open.move_to_end(segment)
        if len(self._open) > MAX_OPEN:
            oldest, _ = self._open.popitem(last=False)
            self._files[oldest].close()
        return self._files[segment]

    def _path(self, segment: Segment) -> str:
        return f"{self._folder}/{segment.name}"

    def fetch(
        self, layer: int, groups: Sequence[int], columns: Sequence[str], segments: Sequence[Segment]
    ) -> None:
        """Bring near what is about to be read of a store's files, and read their steps of the layer."""
        self._open_all(segments)
        self._storage.fetch(
            [wanted for segment in segments for wanted in self.file(segment).ranges(layer, groups, columns)]
        )
        for segment in segments:
            self.file(segment).steps(layer, groups[0])

    def fetch_whole(self, first: int, last: int) -> None:
        """Bring near the whole files of a store that overlap first .. last."""
        if self._storage.remote:
            self._storage.fetch([(self._path(found), 0, WHOLE) for found in self.overlapping(first, last)])

    def _open_all(self, segments: Sequence[Segment]) -> None:
        """Open files of a store whose footers are asked for at once."""
        unknown = [segment for segment in segments if segment not in self._files]
        self._footers.fetch(map(self._path, unknown))
        for segment in unknown:
            self.file(segment)

    def _batches(self, segments: Sequence[Segment], bytes_of: dict[Segment, int]) -> Iterator[list[Segment]]:
        """Segments in order, as many at a time as are fetched together."""
        batch: list[Segment] = []
        for segment in segments:
            if batch and sum(bytes_of[one] for one in (*batch, segment)) > FETCHED_BYTES:
                yield batch
                batch = []
            batch.append(segment)
        if batch:
            yield batch

    @property
    def last(self) -> int:
        """The last step that is listed; -1 without any."""
        return min(self.segments[-1].last, self.until) if self.segments else -1

    def overlapping(self, first: int, last: int) -> list[Segment]:
        last = min(last, self.until)
        return [segment for segment in self.segments if segment.first <= last and segment.last >= first]

    def count(self, layer: int) -> int:
        """Recorded steps (buckets) of a layer, from the footers."""
        if self._storage.remote:
            self._open_all(self.segments)
        return sum(self.file(segment).count(layer) for segment in self.segments)

    def steps(self, layer: int, first: int, last: int) -> np.ndarray:
        """(T,) int64: steps of a layer in the files that overlap first .. last, cut to that range."""
        last = min(last, self.until)
        if self._storage.remote:
            self._open_all(self.overlapping(first, last))
            unread = [one for one in self.overlapping(first, last) if not self.file(one).knows_steps(layer)]
            self.fetch(layer, [0], [], unread)
        found = [self.file(segment).steps(layer) for segment in self.overlapping(first, last)]
        steps = np.concatenate([np.empty(0, np.int64), *found])
        return steps[slice(*np.searchsorted(steps, [first, last + 1]))]

    def read(self, layer: int, neurons: np.ndarray, columns: list[str], first: int, last: int) -> ColumnBlock:
        """Chosen neurons, columns and steps first .. last as a block; where a statistic is absent it is NaN
        and not present.
        """
        last = min(last, self.until)
        if self._storage.remote:
            return self._read_in_batches(layer, neurons, columns, first, last)
        return self._read(layer, neurons, columns, first, last)

    def _read_in_batches(
        self, layer: int, neurons: np.ndarray, columns: list[str], first: int, last: int
    ) -> ColumnBlock:
        """What `_read` gives, of a store: what is needed of some files is fetched at once."""
        segments = self.overlapping(first, last)
        self._open_all(segments)
        groups = np.unique(neurons // ROW_GROUP_NEURONS).tolist()
        found = []
        sizes = {
            segment: sum(stop - start for _, start, stop in self.file(segment).ranges(layer, groups, columns))
            for segment in segments
        }
        for batch in self._batches(segments, sizes) if groups else ():
            self.fetch(layer, groups, columns, batch)
            bounds = max(first, batch[0].first), min(last, batch[-1].last)
            found.append(self._read(layer, neurons, columns, *bounds))
        found = [block for block in found if block.steps.size]
        return concatenate(found) if found else self._read(layer, neurons, columns, first, last)

    def _read(
        self, layer: int, neurons: np.ndarray, columns: list[str], first: int, last: int
    ) -> ColumnBlock:
        steps = self.steps(layer, first, last)
        values = {
            name: np.empty((neurons.size, steps.size), np.int8 if name in CODES else np.float32)
            for name in columns
        }
        present = {name: np.ones(steps.size, bool) for name in columns}
        groups = neurons // ROW_GROUP_NEURONS
        start = 0
        for segment in self.overlapping(first, last):
            file = self.file(segment)
            cut = slice(*np.searchsorted(file.steps(layer), [first, last + 1]))
            stop = start + cut.stop - cut.start
            if stop == start:
                continue
            for group in np.unique(groups):
                block = file.block(layer, int(group), columns)
                chosen = np.flatnonzero(groups == group)
                rows = neurons[chosen] % ROW_GROUP_NEURONS
                for name in columns:
                    known = name in block.columns
                    values[name][chosen, start:stop] = filled(block, name)[rows, cut] if known else np.nan
                    present[name][start:stop] = presence(block, name)[cut]
            start = stop
        return ColumnBlock(
            layer, steps, values, {name: mask for name, mask in present.items() if not mask.all()}
        )
