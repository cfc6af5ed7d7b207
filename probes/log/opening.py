"""Opening a run's files without trusting them: where their Parquet and JSON are read, for all of `probes`.

A run may come from anywhere, and its files may be damaged. Sizes are looked at before anything is unpacked,
links and devices are not followed, checksums are verified, and whatever is wrong is one RunError that names
the file. Nothing of a log is executed.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs as pafs

from probes.log import footer_checksum, page_headers

LOCAL = pafs.LocalFileSystem()
FOOTER_BYTES = 8 * 2**20
"""Longest footer that is parsed; in memory it is ten times as long. 100,000 neurons with 20 statistics and
extremes: 7 MB.
"""
DECODED_BYTES = 256 * 2**20
"""Most that one reading of one file may unpack to: with its copy as a frame the process stays below 1 GB."""
WHOLE_BYTES = 512 * 2**20
"""The same where rows are checked or rewritten and no frame is made of them."""
JSON_BYTES = 8 * 2**20
JSON_DEPTH = 64
INTEGER_DIGITS = 20
"""JSON beyond these is no manifest: a run with 1,000 layers has 0.3 MB, four levels, and no integer beyond 64
bits.
"""
REMEDY = "restore it from a copy, or remove it; `python -m probes check` looks at the whole run"
_TAIL_READ = 64 * 2**10  # bytes read at once from a file's end: most footers whole


class RunError(ValueError):
    """A run that cannot be read or written as asked; the message names the run and the remedy."""


def read_json(path: str, filesystem: pafs.FileSystem = LOCAL) -> Any:
    """Value of a JSON file of a run. Raises FileNotFoundError, or RunError for what cannot be read or is too
    large.
    """
    return parse_json(_read_whole(path, filesystem), path)


def parse_json(text: str | bytes, path: str) -> Any:
    """Value of the JSON text of the file `path`. Raises RunError for what is no JSON, too deep, or has
    numbers beyond 64 bits.
    """
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
        value = json.loads(plain, parse_int=_integer)
        # half of a surrogate pair is no character: it could be neither shown nor written again
        if "\\ud" in plain.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise RunError(f"{path} is not readable as JSON: it is nested too deeply; {REMEDY}") from error
    except ValueError as error:
        raise RunError(f"{path} is not readable as JSON: {error}; {REMEDY}") from error
    if _depth(value) > JSON_DEPTH:
        raise RunError(
            f"{path} is not readable as JSON: it is nested more than {JSON_DEPTH} levels deep; {REMEDY}"
        )
    return value


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _depth(value: Any) -> int:
    """Levels of lists and dicts, counted no further than one beyond the limit."""
    level = [value]
    for depth in range(JSON_DEPTH + 1):
        level = [v for v in level if isinstance(v, list | dict)]
        if not level:
            return depth
        level = [item for v in level for item in (v.values() if isinstance(v, dict) else v)]
    return JSON_DEPTH + 1


def _read_whole(path: str, filesystem: pafs.FileSystem) -> bytes:
    with _plain_file(path, filesystem) as file:
        size = file.size()
        if size > JSON_BYTES:
            raise RunError(
                f"{path} has {_mb(size)}, a file of its kind has at most {_mb(JSON_BYTES)}; {REMEDY}"
            )
        return bytes(file.read())


def _plain_file(path: str, filesystem: pafs.FileSystem) -> pa.NativeFile:
    """A file opened for reading; a local one must be a regular file and no link: a run cannot name files
    beyond itself.
    """
    try:
        if isinstance(filesystem, pafs.LocalFileSystem):
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                raise RunError(f"{path} is a link, which may lead anywhere: put the file itself there")
            if not stat.S_ISREG(mode):
                raise RunError(f"{path} is not a file; {REMEDY}")
        return filesystem.open_input_file(path)
    except FileNotFoundError:
        raise
    except UnicodeError as error:
        raise RunError(f"{as_text(path)} cannot be read: the path is not UTF-8; rename it") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def as_text(path: str) -> str:
    """A path as text that can be shown: bytes that are no UTF-8 as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def refuse_link(folder: str, filesystem: pafs.FileSystem) -> None:
    """Raises RunError for a folder of a run that is a link."""
    if isinstance(filesystem, pafs.LocalFileSystem) and os.path.islink(folder):
        raise RunError(f"{folder} is a link, which may lead anywhere: put the folder itself there")


def open_parquet(path: str, filesystem: pafs.FileSystem = LOCAL) -> pq.ParquetFile:
    """A Parquet file with a sound footer and plain columns, to be read with `read`.

    Raises FileNotFoundError (a live run may have compacted it away), RunError for anything else that is wrong
    with it.
    """
    with _plain_file(path, filesystem) as file:
        try:
            footer, size = _footer(file, path), file.size()
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error}") from error
    if footer_checksum.mismatched(footer, size):
        raise _unreadable(path, "damaged: its footer is not the one that was written")
    whole = footer_checksum.MAGIC + footer + len(footer).to_bytes(4, "little") + footer_checksum.MAGIC
    try:
        metadata = pq.read_metadata(pa.BufferReader(whole))
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, _brief(error)) from error
    if footer_checksum.malformed(metadata.metadata or {}):
        raise _unreadable(path, "damaged: the checksum of its footer is not one")
    if len(set(schema.names)) < len(schema.names) or metadata.num_columns != len(schema.names):
        raise RunError(f"{path} has doubled or nested columns: this is not a file of a run")
    return reopen(path, filesystem, metadata)


def reopen(path: str, filesystem: pafs.FileSystem, metadata: pq.FileMetaData) -> pq.ParquetFile:
    """A file that `open_parquet` has opened before, with its footer. Raises as that does."""
    texts = [field.name for field in metadata.schema.to_arrow_schema() if _is_text(field.type)]
    try:
        return pq.ParquetFile(
            path,
            filesystem=filesystem,
            metadata=metadata,
            read_dictionary=texts,
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, _brief(error)) from error


def _unreadable(path: str, why: str) -> RunError:
    return RunError(f"{path} is not a readable Parquet file ({why}); {REMEDY}")


def schema_of(file: pq.ParquetFile) -> pa.Schema:
    """Columns of a file as `read` gives them."""
    return file.metadata.schema.to_arrow_schema()


def _footer(file: pa.NativeFile, path: str) -> bytes:
    size = file.size()
    tail = file.read_at(min(size, _TAIL_READ), max(size - _TAIL_READ, 0))
    if size < 2 * len(footer_checksum.MAGIC) + 4 or tail[-4:] != footer_checksum.MAGIC:
        raise _unreadable(path, "empty" if not size else "no footer: it was cut off, or never was one")
    length = int.from_bytes(tail[-footer_checksum.TAIL : -4], "little")
    if length > size - footer_checksum.TAIL - len(footer_checksum.MAGIC):
        raise _unreadable(path, "its footer would be longer than the file")
    if length > FOOTER_BYTES:
        text = f"its footer has {_mb(length)}, at most {_mb(FOOTER_BYTES)} are read"
        raise RunError(
            f"{path} has too many row groups: {text}; `python -m probes compact` would have written fewer"
        )
    if length + footer_checksum.TAIL > len(tail):
        return bytes(file.read_at(length, size - footer_checksum.TAIL - length))
    return bytes(tail[-footer_checksum.TAIL - length : -footer_checksum.TAIL])


def read(
    file: pq.ParquetFile,
    path: str,
    groups: Iterable[int],
    columns: Sequence[str] | None = None,
    limit: int = DECODED_BYTES,
    filesystem: pafs.FileSystem = LOCAL,
) -> pa.Table:
    """Columns (all by default) of row groups as a table, texts as strings.

    Raises RunError for damaged pages, and for rows that would take more than `limit` bytes, however few they
    take on disk.
    """
    names = file.schema_arrow.names if columns is None else list(columns)
    _check_size(file, path, groups := list(groups), names, limit)
    places = [schema_of(file).names.index(name) for name in names]
    check_pages(
        path, file.metadata, [(group, place) for group in groups for place in places], limit, filesystem
    )
    try:
        table = file.read_row_groups(groups, columns=names, use_threads=False)
        for index, name in enumerate(table.column_names):
            if pa.types.is_dictionary(table.schema.field(name).type):
                table[name].validate(full=True)  # texts are UTF-8, and each is in its dictionary
                table = table.set_column(
                    index, table.schema.field(name).with_type(pa.string()), _texts(table[name], path, limit)
                )
    except RunError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(f"{path} is damaged ({_brief(error)}); {REMEDY}") from error
    count_rows(path, table, file.metadata, groups)
    kept = {
        key: value
        for key, value in (table.schema.metadata or {}).items()
        if key != footer_checksum.KEY.encode()
    }
    return table.replace_schema_metadata(kept or None)


def count_rows(path: str, table: pa.Table, metadata: pq.FileMetaData, groups: Iterable[int]) -> None:
    """Raises RunError where row groups gave another number of rows than the footer says.

    Arrow takes a page whose header does not say of what kind it is for one without values.
    """
    rows = sum(metadata.row_group(group).num_rows for group in groups)
    if table.num_columns and table.num_rows != rows:
        raise RunError(f"{path} is damaged: its pages hold {table.num_rows:,} of {rows:,} rows; {REMEDY}")


def row_bytes(file: pq.ParquetFile, columns: Sequence[str] | None = None) -> int:
    """Bytes that a row takes in memory; of a text its place in the dictionary."""
    schema = schema_of(file)
    kinds = [schema.field(name).type for name in (schema.names if columns is None else columns)]
    return sum(4 if _is_text(kind) else -(-kind.bit_width // 8) for kind in kinds)


def _check_size(file: pq.ParquetFile, path: str, groups: list[int], names: list[str], limit: int) -> None:
    metadata = file.metadata
    width = row_bytes(file, names)
    rows = 0
    for group in groups:
        row_group = metadata.row_group(group)
        if row_group.num_rows < 0:
            raise RunError(f"{path} is damaged: row group {group} has {row_group.num_rows} rows; {REMEDY}")
        rows += row_group.num_rows
    if rows * width > limit:
        text = (
            f"{rows:,} rows of {width:.0f} bytes would take {_mb(rows * width)}, at most {_mb(limit)} are"
            " read"
        )
        raise RunError(f"{path} unpacks to too much: {text}; ask for fewer columns or steps, or remove it")


def check_pages(
    path: str,
    metadata: pq.FileMetaData,
    chunks: Sequence[tuple[int, int]],
    limit: int,
    filesystem: pafs.FileSystem,
) -> None:
    """Raises RunError where the pages of (row group, column) unpack to more than `limit` bytes, whatever the
    footer says.

    Headers are looked at only where the codec could do that with so few bytes.
    """
    found = [page_headers.chunk(metadata, *place) for place in chunks]
    if sum(chunk.most for chunk in found) <= limit:
        return
    total = 0
    with _plain_file(path, filesystem) as file:
        for chunk in found:
            try:
                total += page_headers.unpacked(file, chunk)
            except ValueError as error:
                raise RunError(f"{path} is damaged: {error}; {REMEDY}") from error
            if total > limit:
                raise RunError(f"{path} unpacks to too much: pages of more than {_mb(limit)}; {REMEDY}")


def _texts(column: pa.ChunkedArray, path: str, limit: int) -> pa.ChunkedArray:
    """A dictionary-encoded column as strings: few bytes may stand for a text in a million rows, so they are
    counted first.
    """
    total = 0
    for chunk in column.chunks:
        lengths = np.append(pc.binary_length(chunk.dictionary).fill_null(0).to_numpy(zero_copy_only=False), 0)
        total += int(lengths[chunk.indices.fill_null(len(lengths) - 1).to_numpy()].sum(dtype=np.int64))
    if total > limit:
        raise RunError(
            f"{path} unpacks to too much: texts of {_mb(total)}, at most {_mb(limit)} are read; remove it"
        )
    return column.cast(pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def _mb(size: float) -> str:
    return f"{size / 2**20:,.0f} MB"


def _brief(error: Exception) -> str:
    """The first line of what a library says, without its trace."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
