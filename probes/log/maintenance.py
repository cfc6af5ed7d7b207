"""Putting a run's folder in order while nobody writes it: reopening after a stop, compacting. Needs the run's
lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from probes.log import manifest, opening, rows
from probes.log.blocks import ColumnBlock, column_rank, neuron_groups, write_column_blocks
from probes.log.compaction import (
    FULL_ROWS,
    PyramidBuilder,
    compact_segments,
    is_grid,
    pyramid_name,
    stack_neurons,
)
from probes.log.grid import GridFile
from probes.log.opening import LOCAL
from probes.log.segments import Segment, list_segments, remove_temporaries, sync_folder, uncovered
from probes.log.summaries import summarise
from probes.log.writer import Writer
from probes.schema import BLOCK_STEPS, PYRAMID, STATISTICS

PYRAMIDS = [pyramid_name(width) for width in PYRAMID]
FOLDERS = [*PYRAMIDS, "layers", *rows.SCHEMAS, "neurons"]
"""Every folder of rows, in the order in which rows are set aside: what is derived first, the truth last."""


def reopen(folder: Path, step: int) -> Writer:
    """Set aside what lies after `step`, put the rest in order, begin a new segment; returns its writer."""
    state = manifest.read(LOCAL, str(folder))
    aside = folder / "superseded" / f"{len(state['segments']):04d}"
    remove_temporaries(folder)
    for name in FOLDERS:
        _remove_covered(folder / name)
        _set_aside(folder, name, step, aside / name, state)
    state["segments"].append({"started": manifest.now(), "resumed_from": step})
    state["status"] = "running"
    compact(folder, state)
    next_rows = {
        name: segments[-1].last + 1 for name in rows.SCHEMAS if (segments := _segments(folder / name))
    }
    return Writer(folder, state, next_rows)


def compact(folder: Path, state: dict[str, Any]) -> None:
    """Fold small files, write what is missing of pyramid and summaries, bring the manifest up to date with
    the files.

    Changes no row. `state` is the manifest, updated and written.
    """
    remove_temporaries(folder)
    widths = [layer["neurons"] for layer in state["layers"]]
    for name in FOLDERS:
        _remove_covered(folder / name)
    _compact_all(folder, "neurons", state)
    for name in [*PYRAMIDS, "layers"]:
        _derive(folder, name, state)
        _compact_all(folder, name, state)
    for name in rows.SCHEMAS:
        _compact_all(folder, name, state)

    files = [
        GridFile(LOCAL, str(folder / "neurons" / segment.name), widths)
        for segment in _segments(folder / "neurons")
    ]
    steps = [_all_steps(file) for file in files]
    known = {name for file in files for name in file.columns if name in STATISTICS}
    for file in files:
        file.close()
    ends = {"first": int(steps[0][0]), "last": int(steps[-1][-1])} if steps else {"first": None, "last": None}
    state |= {
        "steps": {"count": sum(s.size for s in steps)} | ends,
        "statistics": sorted(known, key=column_rank),
    }
    state |= {"scores": {}, "sparklines": {}, "living_share": [None] * len(widths)}
    for name, note in (("layers", manifest.note_layers), ("scalars", manifest.note_scalars)):
        for segment in _segments(folder / name):
            note(state, rows.read_whole(folder / name / segment.name))
    manifest.write(folder, state)


def _segments(folder: Path) -> list[Segment]:
    return list_segments(LOCAL, str(folder))[0]


def _remove_covered(folder: Path) -> None:
    """Delete what was compacted into a larger file before the writer came to deleting it."""
    for segment in list_segments(LOCAL, str(folder))[1]:
        (folder / segment.name).unlink()


def _all_steps(file: GridFile) -> np.ndarray:
    return np.unique(np.concatenate([file.steps(layer) for layer in file.layers]))


def _set_aside(folder: Path, name: str, step: int, aside: Path, state: dict[str, Any]) -> None:
    """Move files with rows after `step` to `aside`; of a file that has both, the earlier rows are written
    anew first.

    The new file's range lies inside the old one's: until the old one is moved, it alone counts.
    """
    for segment in _segments(folder / name):
        path = folder / name / segment.name
        if name in rows.SCHEMAS:
            steps = rows.read_whole(path)["step"].to_numpy()
            first, last = int(steps.min()), int(steps.max())
        else:
            first, last = segment.first, segment.last
        if last <= step:
            continue
        if first <= step and name not in PYRAMIDS:  # a bucket across the cut is computed anew by `compact`
            _keep_until(path, segment, step, state)
        aside.mkdir(parents=True, exist_ok=True)
        path.rename(aside / segment.name)
        sync_folder(aside)
        sync_folder(path.parent)


def _keep_until(path: Path, segment: Segment, step: int, state: dict[str, Any]) -> None:
    """Write the rows of a file up to `step` as a file of their own beside it."""
    precision = state["precision"]
    if path.parent.name != "neurons":
        table = rows.read_whole(path)
        table = table.filter(pc.less_equal(table["step"], step))
        by_row = path.parent.name in rows.SCHEMAS
        last = segment.first + table.num_rows - 1 if by_row else pc.max(table["step"]).as_py()
        rows.write_rows(path.parent / Segment(segment.first, last).name, table, precision)
        return
    widths = [layer["neurons"] for layer in state["layers"]]
    file = GridFile(LOCAL, str(path), widths)
    try:
        steps = _all_steps(file)
        last = int(steps[steps <= step][-1])
        nullable = {column for column in file.columns if file.may_lack(column)}
        kept = _slabs_between(file, widths, segment.first, last)
        write_column_blocks(
            path.parent / Segment(segment.first, last).name, kept, file.columns, nullable, precision
        )
    finally:
        file.close()


def _slabs_between(
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


def _derive(folder: Path, name: str, state: dict[str, Any]) -> None:
    """Compute the part of a derived folder that a stop has left out, from `neurons/`."""
    widths = [layer["neurons"] for layer in state["layers"]]
    present = _segments(folder / name)
    for segment in _segments(folder / "neurons"):
        gaps = uncovered(segment, present)
        if not gaps:
            continue
        file = GridFile(LOCAL, str(folder / "neurons" / segment.name), widths)
        try:
            for first, last in gaps:
                blocks = list(_slabs_between(file, widths, first, last))
                if blocks:
                    _write_derived(folder, name, blocks, state["precision"])
        finally:
            file.close()


def _write_derived(folder: Path, name: str, blocks: list[tuple[int, ColumnBlock]], precision: str) -> None:
    segment = Segment(
        min(int(block.steps[0]) for _, block in blocks), max(int(block.steps[-1]) for _, block in blocks)
    )
    if name in PYRAMIDS:
        builder = PyramidBuilder([int(name.removeprefix("pyramid/"))])
        for first_neuron, block in blocks:
            builder.visit(first_neuron, block)
        builder.write(folder, segment, precision)
        return
    layers: dict[int, list[ColumnBlock]] = {}
    for _, block in blocks:
        layers.setdefault(block.layer, []).append(block)
    table = summarise([stack_neurons(groups) for groups in layers.values()])
    rows.write_rows(
        folder / name / segment.name, rows.rounded(table) if precision == "10bit" else table, precision
    )


def _compact_all(folder: Path, name: str, state: dict[str, Any]) -> None:
    """Fold neighbours as long as a full file takes them."""
    widths = [layer["neurons"] for layer in state["layers"]]
    full = BLOCK_STEPS if is_grid(name) else FULL_ROWS
    groups: list[list[Segment]] = []
    size = 0
    for segment in _segments(folder / name):
        own = _size(folder / name / segment.name, name, widths)
        if groups and size + own <= full:
            groups[-1].append(segment)
            size += own
        else:
            groups.append([segment])
            size = own
    for group in groups:
        if len(group) > 1:
            compact_segments(folder / name, group, state["precision"], widths)
            for segment in group:
                (folder / name / segment.name).unlink()


def _size(path: Path, name: str, widths: list[int]) -> int:
    """Recorded steps (buckets) of a grid file, rows of another."""
    if not is_grid(name):
        with opening.open_parquet(str(path)) as file:
            return int(file.metadata.num_rows)
    file = GridFile(LOCAL, str(path), widths)
    try:
        return int(_all_steps(file).size)
    finally:
        file.close()
