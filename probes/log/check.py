"""Is a run's log what its format promises? Every row, every name, every derived number, against each other.

Reads everything once, slowly and without trust: nothing here relies on the layout that readers rely on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from probes import regimes
from probes.errors import REMEDY, RunError
from probes.families import family_of
from probes.families.gaussian import Gaussian
from probes.log import columns as log_columns
from probes.log import manifest, neuron_summary, opening, rows
from probes.log.blocks import (
    CODES,
    KEPT_MANTISSA_BITS,
    ColumnBlock,
    buckets_at,
    filled,
    neuron_groups,
    pyramid_name,
)
from probes.log.compaction import stack_neurons
from probes.log.grid import GridFile, schema_fault
from probes.log.posterior_check import PosteriorCheck
from probes.log.segments import Segment, list_segments, listed_anew, uncovered
from probes.log.summaries import COUNTS, summarise
from probes.schema import BLOCK_STEPS, KEYS, PYRAMID, REGIME, SETTLED, STATISTICS
from probes.storage import Folder, Storage, open_folder
from probes.storage.local import TEMPORARY

AHEAD_FILES, AHEAD_BYTES = 16, 64 * 2**20
"""So many files of a store, and of so many bytes, are fetched at once, before they are looked at."""
IDENTITY_TOLERANCE = 1e-4
"""Allowed error of kl = information + mismatch + past, relative to the sum of the terms' sizes: float32 sums
over a batch.
"""
DERIVED_TOLERANCE = 1e-5
"""Allowed relative error of stored means and quantiles against those computed anew."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Parameters
    ----------
    level
        "error" (rows wrong or missing) or "note" (harmless, `compact` tidies).
    where
        File or folder of the run.
    what
        In words.
    """

    level: str
    where: str
    what: str


def check(path: Folder) -> list[Finding]:
    """Verify every row of a run: keys, types, names, the identity of the KL, every summary and bucket.

    Parameters
    ----------
    path
        The run's folder.

    Returns
    -------
    list of Finding
        Errors first; empty where everything is as the format says. Nothing is raised for a damaged run: its
        damage is found.

    Notes
    -----
    What is promised is docs/format.md. The identity is kl = information + mismatch + past.
    """
    storage = open_folder(path)
    listing = storage.listed()  # of a store: sizes and etags, once for all files
    try:
        state = manifest.read(storage)
        manifest.in_listing(storage, listing)
    except RunError as error:
        return [Finding("error", manifest.FILE, str(error))]
    findings = [
        *_until_refused(lambda: _unread_files(storage, state)),
        *_until_refused(lambda: _neuron_findings(storage, state)),
    ]
    if not any(finding.level == "error" for finding in findings):
        findings += _until_refused(lambda: _summary_findings(storage, state))
        for width in PYRAMID:
            findings += _until_refused(partial(_pyramid_findings, storage, state, width))
        findings += _until_refused(lambda: _neuron_summary_findings(storage, state))
    for name in rows.SCHEMAS:
        findings += _until_refused(partial(_row_findings, storage, name, state))
    return sorted(findings, key=lambda finding: finding.level)


def _until_refused(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of a look at some folders, and as the last one what no reader gets over: a link, a folder
    that cannot be listed, a file without a layout. It looks anew where a file is compacted away meanwhile.
    """
    found: list[Finding] = []

    def collect() -> None:
        found.clear()
        found.extend(look())

    try:
        listed_anew(collect)
    except (RunError, FileNotFoundError) as error:
        found.append(Finding("error", "log", str(error)))
    return found


def _unread_files(storage: Storage, state: dict[str, Any]) -> Iterator[Finding]:
    """Files that nothing reads: left half written, compacted and not deleted, or none of the log."""
    live = manifest.status(state) == "running"
    for name in rows.TABLES:
        counted, covered = list_segments(storage, name)
        segments = {segment.name for segment in (*counted, *covered)}
        if covered and not live:
            yield Finding(
                "note", name, f"{len(covered)} files were compacted and not deleted; `compact` removes them"
            )
        for file in storage.names(name):
            if file.startswith(TEMPORARY):
                if not live:
                    yield Finding(
                        "note", f"{name}/{file}", "left half written by a killed writer; `compact` removes it"
                    )
            elif file not in (*segments, log_columns.FILE):
                yield Finding("note", f"{name}/{file}", "is not a file of the log and is never read")
        for before, after in zip(counted, counted[1:], strict=False):
            if after.first <= before.last:
                yield Finding("error", f"{name}/{after.name}", f"overlaps {before.name}: rows are doubled")


def _neuron_findings(storage: Storage, state: dict[str, Any]) -> Iterator[Finding]:
    """Keys, widths, types, the identity of the KL in every row, and the manifest's account of it."""
    widths = [layer["neurons"] for layer in state["layers"]]
    segments = list_segments(storage, "neurons")[0]
    count, columns, broken = 0, set(), False
    paths = [f"neurons/{segment.name}" for segment in segments]
    for segment, where in zip(segments, _fetched(storage, paths), strict=True):
        try:
            table = _all_rows(storage, where, widths)
        except RunError as error:
            yield Finding("error", where, str(error))
            broken = True
            continue
        fault = _key_fault(table, widths, segment)
        if fault:
            yield Finding("error", where, fault)
            broken = True
            continue
        count += np.unique(table["step"].to_numpy()).size
        columns |= {name for name in table.column_names if name in STATISTICS}
        yield from _value_findings(where, table, state)
        yield from _regime_findings(where, table, state)
    if broken:
        return
    live, stated = manifest.status(state) == "running", state.get("steps") or {}
    ends = {
        "count": count,
        "first": segments[0].first if segments else None,
        "last": segments[-1].last if segments else None,
    }
    if stated != ends and not live:
        level = "note" if state.get("status") == "running" and stated.get("count", 0) < count else "error"
        text = f"says steps {stated}, the files hold {ends}"
        yield Finding(
            level,
            manifest.FILE,
            f"{text}; `compact` brings it up to date" if level == "note" else f"{text}: a file is missing",
        )
    if columns != set(state.get("statistics") or []) and not live:
        level = "note" if state.get("status") == "running" else "error"
        yield Finding(
            level,
            manifest.FILE,
            f"says statistics {state.get('statistics')}, the files hold {sorted(columns)}",
        )


def _fetched(storage: Storage, paths: Sequence[str]) -> Iterator[str]:
    """The paths, those of a store some at a time: what is looked at next has been fetched at once."""
    if not storage.remote:
        yield from paths
        return
    sizes = {path: storage.size(path) for path in paths}
    for some in _windows(paths, sizes):
        with suppress(RunError, FileNotFoundError):  # which is met, and said, when the file is read
            storage.fetch([(path, 0, sizes[path]) for path in some])
        yield from some


def _windows(paths: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The paths in order, AHEAD_FILES and AHEAD_BYTES at most together; a larger file alone."""
    some: list[str] = []
    for path in paths:
        if some and (len(some) == AHEAD_FILES or sum(sizes[one] for one in (*some, path)) > AHEAD_BYTES):
            yield some
            some = []
        some.append(path)
    if some:
        yield some


def _all_rows(storage: Storage, path: str, widths: list[int]) -> pa.Table:
    """All rows of a file of `neurons/`, whatever its layout. Raises RunError."""
    with opening.open_parquet(path, storage) as file:
        fault = schema_fault(file.schema_arrow)
        if fault:
            raise RunError(f"{file.address}: {fault}")
        most = 2 * sum(widths) * BLOCK_STEPS  # as many again, so that doubled rows can be named
        if file.metadata.num_rows > most:
            text = f"holds {file.metadata.num_rows:,} rows, a full file of this run has {most // 2:,}"
            raise RunError(f"{file.address} {text}; {REMEDY}")
        limit = most * opening.row_bytes(file)
        return opening.read(file, range(file.num_row_groups), limit=limit)


def _key_fault(table: pa.Table, widths: list[int], segment: Segment) -> str | None:
    """What is wrong with the rows' keys: doubled, not sorted (layer, neuron, step), a gap, not the range of
    the name.
    """
    step, layer, neuron = (table[key].to_numpy() for key in KEYS)
    if not step.size:
        return "holds no rows"
    if (step.min(), step.max()) != (segment.first, segment.last):
        return (
            f"holds steps {step.min()} to {step.max()}, its name promises {segment.first} to {segment.last}"
        )
    if layer.min() < 0 or layer.max() >= len(widths):
        wrong = layer.min() if layer.min() < 0 else layer.max()
        return f"holds layer {wrong}, the manifest has {len(widths)} layers"
    keys = pd.MultiIndex.from_arrays([layer, neuron, step])
    if keys.has_duplicates:
        doubled = int(np.argmax(keys.duplicated()))
        return f"row (layer {layer[doubled]}, neuron {neuron[doubled]}, step {step[doubled]}) is doubled"
    if not keys.is_monotonic_increasing:
        return "rows are not sorted (layer, neuron, step)"
    for index in np.unique(layer):
        mine = layer == index
        steps = np.unique(step[mine])
        expected_neurons = np.repeat(np.arange(widths[index]), steps.size)
        if neuron[mine].max() != widths[index] - 1:
            return f"layer {index} has {neuron[mine].max() + 1} neurons, the manifest says {widths[index]}"
        if mine.sum() != expected_neurons.size or (neuron[mine] != expected_neurons).any():
            return f"layer {index} has a gap: not every neuron is there at every step"
    return None


def _value_findings(where: str, table: pa.Table, state: dict[str, Any]) -> Iterator[Finding]:
    for column, known in COUNTS.items():
        found = np.unique(table[column].to_numpy()) if column in table.column_names else np.zeros(0)
        unknown = found[~np.isin(found, known)]
        if unknown.size:
            yield Finding("error", where, f"{column} {int(unknown[0])} does not exist")
    if not {"kl", "information", "mismatch"} <= set(table.column_names):
        return
    whole = [index for index, layer in enumerate(state["layers"]) if family_of(layer).identity]
    table = table.filter(pc.is_in(table["layer"], pa.array(whole, pa.int16())))
    terms = [np.asarray(table[name], np.float64) for name in ("information", "mismatch")]
    if "past" in table.column_names:
        terms.append(np.nan_to_num(np.asarray(table["past"], np.float64)))
    kl = np.asarray(table["kl"], np.float64)
    tolerance = _tolerance(IDENTITY_TOLERANCE, state)
    with np.errstate(invalid="ignore"):
        error = np.abs(kl - sum(terms))
        wrong = error > tolerance * (np.abs(kl) + sum(np.abs(term) for term in terms)) + IDENTITY_TOLERANCE
    if wrong.any():
        at = int(np.argmax(np.where(wrong, error, 0)))
        row = {key: int(table[key][at].as_py()) for key in KEYS}
        yield Finding(
            "error",
            where,
            f"kl = information + mismatch + past is broken in {wrong.sum()} rows, worst by {error[at]:.3g}"
            f" nats at {row}",
        )


def _regime_findings(where: str, table: pa.Table, state: dict[str, Any]) -> Iterator[Finding]:
    """Regimes of families that are no Gaussian against those that the rows' own numbers give."""
    for index, layer in enumerate(state["layers"]):
        if isinstance(family := family_of(layer), Gaussian):
            continue  # rules have changed with formats
        mine = table.filter(pc.equal(table["layer"], index))
        columns = {
            name: np.asarray(mine[name], np.float32) for name in mine.column_names if name in STATISTICS
        }
        if not mine.num_rows or not columns:
            continue
        taken = {name: mine[name].is_valid().to_numpy() for name in columns}
        found = regimes.codes(columns, taken, latent_dim=layer["latent_dim"], family=family)
        wrong = found != mine[REGIME].to_numpy()
        if wrong.any():
            at = int(np.argmax(wrong))
            row = {key: int(mine[key][at].as_py()) for key in KEYS}
            yield Finding(
                "error",
                where,
                f"regime of layer {layer['name']!r} ({family.label}) is not what its numbers say in"
                f" {wrong.sum()} rows, such as {row}: {int(mine[REGIME][at].as_py())}, not {int(found[at])}",
            )


def _summary_findings(storage: Storage, state: dict[str, Any]) -> Iterator[Finding]:
    """Summaries against those computed from the rows; those not there (a killed writer) are a note."""
    tables = []
    for where in _fetched(storage, [f"layers/{one.name}" for one in list_segments(storage, "layers")[0]]):
        try:
            tables.append(rows.read_whole(storage, where, opening.DECODED_BYTES).to_pandas())
        except RunError as error:
            yield Finding("error", where, str(error))
    stored = pd.concat(tables) if tables else pd.DataFrame({"step": [], "layer": []})
    keys = ["step", "layer"]
    if stored.duplicated(keys).any():
        yield Finding("error", "layers", "a row (step, layer) is doubled")
        return
    stored = stored.set_index(keys)
    counts = [name for name in stored.columns if rows.COUNT.fullmatch(name)]
    stored[counts] = stored[counts].fillna(0)  # a count that is not there
    missing = 0
    tolerance = _tolerance(DERIVED_TOLERANCE, state)
    for segment, blocks in _blocks_of_files(storage, "neurons", state):
        expected = summarise(blocks).to_pandas().set_index(keys)
        found = expected.index.isin(stored.index)
        missing += int((~found).sum())
        expected = expected[found]
        mine = stored.loc[expected.index]
        for name in expected.columns if len(expected) else ():
            if name not in stored.columns:
                yield Finding("error", "layers", f"lacks the column {name}")
                return
            if not _all_close(expected[name], mine[name], tolerance):
                yield Finding("error", "layers", f"{name} differs from the rows of neurons/{segment.name}")
    if missing and manifest.status(state) != "running":
        yield Finding(
            "note",
            "layers",
            f"{missing} rows are not there yet and are computed on reading; `compact` writes them",
        )


def _pyramid_findings(storage: Storage, state: dict[str, Any], width: int) -> Iterator[Finding]:
    """Buckets against the rows: each bucket's mean lies between its ends, and the ends are those of the
    rows.
    """
    name = pyramid_name(width)
    tolerance = _tolerance(DERIVED_TOLERANCE, state)
    stored: dict[int, list[ColumnBlock]] = {}
    try:
        for _, blocks in _blocks_of_files(storage, name, state):
            for block in blocks:
                stored.setdefault(block.layer, []).append(block)
    except RunError as error:
        yield Finding("error", name, str(error))
        return
    level_segments = list_segments(storage, name)[0]
    missing = 0
    for segment, blocks in _blocks_of_files(storage, "neurons", state):
        gaps = uncovered(segment, level_segments)
        lacking = any(block.between(first, last).steps.size > 0 for first, last in gaps for block in blocks)
        missing += lacking
        for block in () if lacking else blocks:
            steps = np.concatenate(
                [bucket.steps for bucket in stored.get(block.layer, [])] or [np.empty(0, np.int64)]
            )
            inside = slice(*np.searchsorted(steps, [segment.first, segment.last + 1]))
            starts = np.searchsorted(block.steps, steps[inside])
            ends = np.append(starts[1:], block.steps.size)
            if (
                not starts.size
                or starts[0]
                or (ends - starts).max() > width
                or (block.steps[starts] != steps[inside]).any()
            ):
                yield Finding(
                    "error",
                    name,
                    f"layer {block.layer}: the buckets of neurons/{segment.name} are not those of its steps",
                )
                continue
            expected = buckets_at(block, starts)
            for column, values in expected.columns.items():
                found = np.concatenate([filled(bucket, column) for bucket in stored[block.layer]], axis=1)[
                    :, inside
                ]
                values = values if column in CODES else filled(expected, column)
                if column == REGIME and SETTLED not in expected.columns:
                    # before format 1.2 a bucket had the regime of its last step
                    last = block.columns[REGIME][:, ends - 1]
                    values = np.where(found == last, last, values)
                if not _all_close(values, found, tolerance):
                    yield Finding(
                        "error",
                        name,
                        f"{column} of layer {block.layer} differs from the rows of neurons/{segment.name}",
                    )
    if missing and manifest.status(state) != "running":
        yield Finding("note", name, f"{missing} files of neurons/ are not in it yet; `compact` adds them")


def _neuron_summary_findings(storage: Storage, state: dict[str, Any]) -> Iterator[Finding]:
    """The summary of the neurons against the rows. It is a cache: that there is none is as well."""
    where = neuron_summary.FILE
    if storage.stamp(where) is None:
        return
    try:
        stored = neuron_summary.read(storage, state)
    except RunError as error:
        yield Finding("error", where, str(error))
        return
    expected = neuron_summary.compute(storage, state)
    if stored is None or expected is None:
        if manifest.status(state) != "running":
            text = "is of other rows than the run has by now: it is not read, `compact` writes it anew"
            yield Finding("note", where, text)
        return
    if stored.num_rows != expected.num_rows:
        yield Finding("error", where, f"holds {stored.num_rows} neurons, the run has {expected.num_rows}")
        return
    tolerance = _tolerance(DERIVED_TOLERANCE, state)
    for name in stored.column_names[1:]:
        if not _all_close(expected[name].to_numpy(), stored[name].to_numpy(), tolerance):
            yield Finding(
                "error", where, f"{name} differs from the rows: remove the file, `compact` writes it"
            )


def _row_findings(storage: Storage, name: str, state: dict[str, Any]) -> Iterator[Finding]:
    """Plain rows: each file readable, as many rows as its name says, no number left out; posteriors and
    usage of classes such as the layer's family has.
    """
    widths = [layer["neurons"] for layer in state["layers"]]
    expected = 0
    segments = list_segments(storage, name)[0]
    paths = [f"{name}/{segment.name}" for segment in segments]
    for segment, where in zip(segments, _fetched(storage, paths), strict=True):
        if segment.first != expected:
            yield Finding(
                "error",
                where,
                f"begins at row {segment.first}, the file before ends at {expected - 1}: a file is missing",
            )
        expected = segment.last + 1
        try:
            count = 0
            posteriors = PosteriorCheck(name, state["layers"], _tolerance(0.0, state))
            for table in rows.read_batches(storage, where):
                rows.check_keys(table, name, where, widths)
                count += table.num_rows
                posteriors.add(table)
            for fault in posteriors.faults():
                yield Finding("error", where, fault)
        except RunError as error:
            yield Finding("error", where, str(error))
            continue
        if count != segment.span:
            yield Finding("error", where, f"holds {count} rows, its name promises {segment.span}")


def _blocks_of_files(
    storage: Storage, name: str, state: dict[str, Any]
) -> Iterator[tuple[Segment, list[ColumnBlock]]]:
    """Each file of a grid folder with its layers as blocks."""
    widths = [layer["neurons"] for layer in state["layers"]]
    segments = list_segments(storage, name)[0]
    paths = [f"{name}/{segment.name}" for segment in segments]
    for segment, where in zip(segments, _fetched(storage, paths), strict=True):
        file = GridFile(storage, where, widths)
        try:
            yield segment, [_whole_layer(file, index) for index in file.layers]
        finally:
            file.close()


def _whole_layer(file: GridFile, layer: int) -> ColumnBlock:
    return stack_neurons(
        [file.block(layer, group) for group, _ in enumerate(neuron_groups(file.widths[layer]))]
    )


def _all_close(expected: Any, found: Any, tolerance: float) -> bool:
    left, right = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    return bool(np.allclose(left, right, rtol=tolerance, atol=tolerance * 1e-2, equal_nan=True))


def _tolerance(tolerance: float, state: dict[str, Any]) -> float:
    """Of a run's numbers, which may be rounded."""
    return tolerance + (2.0**-KEPT_MANTISSA_BITS if state.get("precision") == "10bit" else 0)
