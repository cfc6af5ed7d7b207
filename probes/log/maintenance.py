"""Putting a run's folder in order while nobody writes it: reopening after a stop, compacting. Needs the run's
lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from probes.log import manifest, neuron_summary, opening, rows
from probes.log.blocks import (
    ColumnBlock,
    column_rank,
    concatenate,
    is_grid,
    neuron_groups,
    pyramid_name,
    write_column_blocks,
)
from probes.log.compaction import (
    FULL_ROWS,
    PyramidBuilder,
    compact_segments,
    stack_neurons,
)
from probes.log.grid import GridFile
from probes.log.segments import Segment, list_segments, uncovered
from probes.log.summaries import summarise
from probes.log.writer import Writer
from probes.schema import BLOCK_STEPS, FORMAT_VERSION, PYRAMID, REGIME, SETTLED, STATISTICS
from probes.settling import RECORDS, Settling
from probes.storage import Folder, Storage, open_folder

PYRAMIDS = [pyramid_name(width) for width in PYRAMID]
FOLDERS = [*PYRAMIDS, "layers", *rows.SCHEMAS, "neurons"]
"""Every folder of rows, in the order in which rows are set aside: what is derived first, the truth last."""


def reopen(folder: Folder, step: int) -> Writer:
    """Set aside what lies after `step`, put the rest in order, begin a new writing session; returns its
    writer.
    """
    storage = open_folder(folder)
    state = manifest.read(storage)
    superseded = f"superseded/{len(state['segments']):04d}"
    storage.remove_unfinished()
    storage.delete(neuron_summary.FILE)  # of rows that are not all any more
    for name in FOLDERS:
        _delete_covered(storage, name)
        _set_aside(storage, name, step, f"{superseded}/{name}", state)
    _compact_tables(storage, state)
    next_rows = {name: found[-1].last + 1 for name in rows.SCHEMAS if (found := _segments(storage, name))}
    state |= {"status": "running", "format": FORMAT_VERSION}
    state["segments"].append(manifest.session(step, next_rows))
    manifest.write(storage, state)
    return Writer(storage, state, next_rows, _settling(storage, state), _predicted(storage))


def _predicted(storage: Storage) -> pa.Schema | None:
    """Columns of the last file of `predictions/`, which those to come must go with."""
    segments = _segments(storage, "predictions")
    if not segments:
        return None
    with opening.open_parquet(f"predictions/{segments[-1].name}", storage) as file:
        return opening.schema_of(file)


def _settling(storage: Storage, state: dict[str, Any]) -> dict[int, Settling]:
    """How each layer's neurons stand after the last rows kept; rows before format 1.2 settled as they are."""
    last: dict[int, list[ColumnBlock]] = {}
    widths = _widths(state)
    for segment in reversed(_segments(storage, "neurons")):
        with closing(GridFile(storage, f"neurons/{segment.name}", widths)) as file:
            for layer in file.layers:
                if sum(block.steps.size for block in last.get(layer, [])) < RECORDS - 1:
                    groups = range(len(list(neuron_groups(widths[layer]))))
                    found = [file.block(layer, group, [REGIME, SETTLED]) for group in groups]
                    last.setdefault(layer, []).insert(0, stack_neurons(found))
        if len(last) == len(widths) and all(
            sum(block.steps.size for block in blocks) >= RECORDS - 1 for blocks in last.values()
        ):
            break
    stood = {layer: concatenate(blocks).columns for layer, blocks in last.items()}
    return {
        layer: Settling.resumed(columns[SETTLED][:, -1], columns[REGIME]) for layer, columns in stood.items()
    }


def compact(folder: Folder, state: dict[str, Any]) -> None:
    """Compact small files, write what is missing of pyramid and summaries, bring the manifest up to date with
    the files.

    Changes no row. `state` is the manifest, updated and written.
    """
    storage = open_folder(folder)
    storage.remove_unfinished()
    _compact_tables(storage, state)
    if not neuron_summary.is_current(storage, state):
        neuron_summary.write(storage, state)


def _compact_tables(storage: Storage, state: dict[str, Any]) -> None:
    for name in FOLDERS:
        _delete_covered(storage, name)
    _compact_folder(storage, "neurons", state)
    for name in [*PYRAMIDS, "layers"]:
        _derive_missing(storage, name, state)
        _compact_folder(storage, name, state)
    for name in rows.SCHEMAS:
        _compact_folder(storage, name, state)
    _update_manifest(storage, state)


def _update_manifest(storage: Storage, state: dict[str, Any]) -> None:
    """Count anew what the files hold, and write it."""
    steps: list[np.ndarray] = []
    columns: set[str] = set()
    for segment in _segments(storage, "neurons"):
        with closing(GridFile(storage, f"neurons/{segment.name}", _widths(state))) as file:
            steps.append(_all_steps(file))
            columns.update(file.columns)
    state["steps"] = {
        "count": sum(each.size for each in steps),
        "first": int(steps[0][0]) if steps else None,
        "last": int(steps[-1][-1]) if steps else None,
    }
    state["statistics"] = sorted(columns & STATISTICS.keys(), key=column_rank)
    state |= {"scores": {}, "sparklines": {}, "living_share": [None] * len(state["layers"])}
    for name, note in (("layers", manifest.note_layers), ("scalars", manifest.note_scalars)):
        for segment in _segments(storage, name):
            note(state, rows.read_whole(storage, f"{name}/{segment.name}"))
    manifest.write(storage, state)


def _widths(state: dict[str, Any]) -> list[int]:
    """Neurons of each layer."""
    return [layer["neurons"] for layer in state["layers"]]


def _segments(storage: Storage, name: str) -> list[Segment]:
    return list_segments(storage, name)[0]


def _delete_covered(storage: Storage, name: str) -> None:
    """Delete what was compacted into a larger file before the writer came to deleting it."""
    for segment in list_segments(storage, name)[1]:
        storage.delete(f"{name}/{segment.name}")


def _all_steps(file: GridFile) -> np.ndarray:
    return np.unique(np.concatenate([file.steps(layer) for layer in file.layers]))


def _set_aside(storage: Storage, name: str, step: int, superseded: str, state: dict[str, Any]) -> None:
    """Move files with rows after `step` to the folder `superseded`; of a file that has both, the earlier rows
    are written anew first.

    The new file's range lies inside the old one's: until the old one is moved, it alone counts.
    """
    for segment in _segments(storage, name):
        path = f"{name}/{segment.name}"
        if name in rows.SCHEMAS:
            steps = rows.read_whole(storage, path)["step"].to_numpy()
            first, last = int(steps.min()), int(steps.max())
        else:
            first, last = segment.first, segment.last
        if last <= step:
            continue
        if first <= step and name not in PYRAMIDS:  # a bucket across the cut is computed anew by `compact`
            _write_earlier_rows(storage, name, segment, step, state)
        storage.move(path, f"{superseded}/{segment.name}")


def _write_earlier_rows(
    storage: Storage, name: str, segment: Segment, step: int, state: dict[str, Any]
) -> None:
    """Write the rows of a file up to `step` as a file of their own beside it."""
    path, precision = f"{name}/{segment.name}", state["precision"]
    if not is_grid(name):
        table = rows.read_whole(storage, path)
        table = table.filter(pc.less_equal(table["step"], step))
        by_row = name in rows.SCHEMAS
        last = segment.first + table.num_rows - 1 if by_row else pc.max(table["step"]).as_py()
        rows.write_rows(storage, f"{name}/{Segment(segment.first, last).name}", table, precision)
        return
    widths = _widths(state)
    with closing(GridFile(storage, path, widths)) as file:
        steps = _all_steps(file)
        last = int(steps[steps <= step][-1])
        nullable = {column for column in file.columns if file.may_lack(column)}
        blocks = _blocks_between(file, widths, segment.first, last)
        target = f"{name}/{Segment(segment.first, last).name}"
        write_column_blocks(storage, target, blocks, file.columns, nullable, precision)


def _blocks_between(
    file: GridFile, widths: list[int], first: int, last: int
) -> Iterator[tuple[int, ColumnBlock]]:
    """(first neuron, block) of each row group, of the steps first .. last; layers without any are left
    out.
    """
    for layer in file.layers:
        for group, (start, _) in enumerate(neuron_groups(widths[layer])):
            block = file.block(layer, group).between(first, last)
            if block.steps.size:
                yield start, block


def _derive_missing(storage: Storage, name: str, state: dict[str, Any]) -> None:
    """Compute from `neurons/` what a stop has left out of a derived folder."""
    widths = _widths(state)
    present = _segments(storage, name)
    for segment in _segments(storage, "neurons"):
        gaps = uncovered(segment, present)
        if not gaps:
            continue
        with closing(GridFile(storage, f"neurons/{segment.name}", widths)) as file:
            for first, last in gaps:
                blocks = list(_blocks_between(file, widths, first, last))
                if blocks:
                    _write_derived(storage, name, blocks, state["precision"])


def _write_derived(
    storage: Storage, name: str, blocks: list[tuple[int, ColumnBlock]], precision: str
) -> None:
    segment = Segment(
        min(int(block.steps[0]) for _, block in blocks), max(int(block.steps[-1]) for _, block in blocks)
    )
    if name in PYRAMIDS:
        builder = PyramidBuilder([int(name.removeprefix("pyramid/"))])
        for first_neuron, block in blocks:
            builder.visit(first_neuron, block)
        builder.write(storage, segment, precision)
        return
    layers: dict[int, list[ColumnBlock]] = {}
    for _, block in blocks:
        layers.setdefault(block.layer, []).append(block)
    table = summarise([stack_neurons(groups) for groups in layers.values()])
    if precision == "10bit":
        table = rows.rounded(table)
    rows.write_rows(storage, f"{name}/{segment.name}", table, precision)


def _compact_folder(storage: Storage, name: str, state: dict[str, Any]) -> None:
    """Compact neighbours as long as a full file takes them."""
    widths = _widths(state)
    full = BLOCK_STEPS if is_grid(name) else FULL_ROWS
    groups: list[list[Segment]] = []
    size = 0
    starts = manifest.format_starts(state, name if name in rows.SCHEMAS else None)
    for segment in _segments(storage, name):
        own = _size(storage, name, segment, widths)
        same = not any(groups and groups[-1][-1].first < start <= segment.first for start in starts)
        if groups and same and size + own <= full:
            groups[-1].append(segment)
            size += own
        else:
            groups.append([segment])
            size = own
    for group in groups:
        if len(group) > 1:
            compact_segments(storage, name, group, state["precision"], widths)
            for segment in group:
                storage.delete(f"{name}/{segment.name}")


def _size(storage: Storage, name: str, segment: Segment, widths: list[int]) -> int:
    """Recorded steps (buckets) of a grid file, rows of another."""
    path = f"{name}/{segment.name}"
    if not is_grid(name):
        with opening.open_parquet(path, storage) as file:
            return int(file.metadata.num_rows)
    with closing(GridFile(storage, path, widths)) as grid:
        return int(_all_steps(grid).size)
