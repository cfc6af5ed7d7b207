"""Opening a run's files without trusting them: where their Parquet and JSON are read, for all of `probes`.

A run may come from anywhere, and its files may be damaged. Sizes are looked at before anything is unpacked,
links and devices are not followed, checksums are verified, and whatever is wrong is one RunError that names
the file. Nothing of a log is executed.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from probes.errors import REMEDY, RunError
from probes.log import footer_checksum, page_headers
from probes.log.limits import INTEGER_DIGITS, JSON_BYTES, JSON_DEPTH
from probes.storage import Storage
from probes.storage.local import LOCAL

FOOTER_BYTES = 8 * 2**20
"""Longest footer that is parsed; in memory it is ten times as long. 100,000 neurons with 20 statistics and
extremes: 7 MB.
"""
DECODED_BYTES = 256 * 2**20
"""Most that one reading of one file may unpack to: with its copy as a frame the process stays below 1 GB."""
WHOLE_BYTES = 512 * 2**20
"""The same where rows are checked or rewritten and no frame is made of them."""
END_BYTES = 64 * 2**10
"""Read at once from a file's end: most footers whole."""
_CONTAINERS = (list, dict)


def read_json(path: str, storage: Storage = LOCAL) -> Any:
    """Value of a JSON file of a run. Raises FileNotFoundError, or RunError for what cannot be read or is too
    large.
    """
    return parse_json(storage.read(path, JSON_BYTES), storage.address(path))


def parse_json(text: str | bytes, path: str) -> Any:
    """Value of the JSON text of the file `path`. Raises RunError for what is no JSON, too deep, or has
    integers of too many digits.
    """
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
        # a hook for each integer takes as long as all the rest: it is there for texts that have a long one
        value = json.loads(plain, parse_int=_integer if _may_have_long_integer(plain) else None)
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


def _may_have_long_integer(text: str) -> bool:
    """Whether there may be an integer of more than INTEGER_DIGITS digits: it would fill a window of half as
    many.
    """
    window = INTEGER_DIGITS // 2
    return any(text[start : start + window].isdigit() for start in range(0, len(text), window))


def _integer(digits: str) -> int:
    if (count := len(digits.lstrip("-"))) > INTEGER_DIGITS:
        raise ValueError(f"a number of {count} digits")
    return int(digits)


def _depth(value: Any) -> int:
    """Levels of lists and dicts, counted no further than one beyond the limit."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    for depth in range(JSON_DEPTH + 1):
        if not level:
            return depth
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, _CONTAINERS)
        ]
    return JSON_DEPTH + 1


class LogFile(pq.ParquetFile):
    """A Parquet file of a run, as `open_parquet` gives it; to be read with `read`, and closed.

    address: its full name, for messages. source: what its bytes are read from. path: of it in the storage.
    """

    def __init__(
        self, source: pa.NativeFile, address: str, metadata: pq.FileMetaData, storage: Storage, path: str
    ) -> None:
        texts = [field.name for field in metadata.schema.to_arrow_schema() if _is_text(field.type)]
        super().__init__(source, metadata=metadata, read_dictionary=texts, page_checksum_verification=True)
        self.address, self.source = address, source
        self._storage, self._path = storage, path

    def unread(self, error: Exception, why: str) -> Exception:
        """What a reading of an open file that failed is raised as: FileNotFoundError where the file has been
        compacted away since, as object stores and NFS notice no sooner; else a RunError that says `why`.
        """
        if isinstance(error, FileNotFoundError) or _is_gone(self._storage, self._path):
            return FileNotFoundError(errno.ENOENT, "compacted away while it was read", self.address)
        return RunError(f"{self.address} is damaged ({why}); {REMEDY}")

    def close(self, force: bool = True) -> None:
        """Close the source too."""
        super().close(force)


def open_parquet(path: str, storage: Storage = LOCAL, metadata: pq.FileMetaData | None = None) -> LogFile:
    """A Parquet file with a sound footer and plain columns. metadata: its footer, where it was opened before.

    Raises FileNotFoundError (a live run may have compacted it away), RunError for anything else that is wrong
    with it.
    """
    address = storage.address(path)
    source = storage.open(path)
    try:
        footer = metadata or _sound_metadata(source, address)
        return LogFile(source, address, footer, storage, path)
    except (pa.ArrowException, OSError, ValueError) as error:
        source.close()
        if isinstance(error, FileNotFoundError) or _is_gone(storage, path):
            raise FileNotFoundError(errno.ENOENT, "compacted away while it was opened", address) from error
        if isinstance(error, RunError):
            raise
        raise _unreadable(address, _brief(error)) from error


def _is_gone(storage: Storage, path: str) -> bool:
    """Whether a file that was opened is not there any more."""
    try:
        return storage.stamp(path) is None
    except OSError:  # a store that does not answer says nothing of its files
        return False


def _sound_metadata(source: pa.NativeFile, address: str) -> pq.FileMetaData:
    """The footer of an open file, as `checked_footer`. Raises RunError where it is too large, too."""
    try:
        footer, size = _footer(source, address), source.size()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RunError(f"{address} cannot be read: {error}") from error
    return checked_footer(footer, size, address)


def checked_footer(footer: bytes, size: int, address: str) -> pq.FileMetaData:
    """The footer of a file of `size` bytes. Raises RunError where it is damaged or of no file of a run."""
    if footer_checksum.mismatched(footer, size):
        raise _unreadable(address, "damaged: its footer is not the one that was written")
    whole = footer_checksum.MAGIC + footer + len(footer).to_bytes(4, "little") + footer_checksum.MAGIC
    metadata = pq.read_metadata(pa.BufferReader(whole))
    schema = metadata.schema.to_arrow_schema()
    if footer_checksum.malformed(metadata.metadata or {}):
        raise _unreadable(address, "damaged: the checksum of its footer is not one")
    if len(set(schema.names)) < len(schema.names) or metadata.num_columns != len(schema.names):
        raise RunError(f"{address} has doubled or nested columns: this is not a file of a run")
    return metadata


def _unreadable(address: str, why: str) -> RunError:
    return RunError(f"{address} is not a readable Parquet file ({why}); {REMEDY}")


def schema_of(file: LogFile) -> pa.Schema:
    """Columns of a file as `read` gives them."""
    return file.metadata.schema.to_arrow_schema()


def _footer(source: pa.NativeFile, address: str) -> bytes:
    size = source.size()
    end = source.read_at(min(size, END_BYTES), max(size - END_BYTES, 0))
    if size < 2 * len(footer_checksum.MAGIC) + 4 or end[-4:] != footer_checksum.MAGIC:
        raise _unreadable(address, "empty" if not size else "no footer: it was cut off, or never was one")
    length = int.from_bytes(end[-footer_checksum.TRAILER_BYTES : -4], "little")
    if length > size - footer_checksum.TRAILER_BYTES - len(footer_checksum.MAGIC):
        raise _unreadable(address, "its footer would be longer than the file")
    if length > FOOTER_BYTES:
        text = f"its footer has {_mb(length)}, at most {_mb(FOOTER_BYTES)} are read"
        raise RunError(
            f"{address} has too many row groups: {text}; `python -m probes compact` would have written fewer"
        )
    if length + footer_checksum.TRAILER_BYTES > len(end):
        return bytes(source.read_at(length, size - footer_checksum.TRAILER_BYTES - length))
    return bytes(end[-footer_checksum.TRAILER_BYTES - length : -footer_checksum.TRAILER_BYTES])


def read(
    file: LogFile,
    groups: Iterable[int],
    columns: Sequence[str] | None = None,
    limit: int = DECODED_BYTES,
) -> pa.Table:
    """Columns (all by default) of row groups as a table, texts as strings.

    Raises RunError for damaged pages, and for rows that would take more than `limit` bytes, however few they
    take on disk.
    """
    names = file.schema_arrow.names if columns is None else list(columns)
    _check_size(file, groups := list(groups), names, limit)
    indices = [schema_of(file).names.index(name) for name in names]
    check_pages(file, [(group, index) for group in groups for index in indices], limit)
    try:
        table = file.read_row_groups(groups, columns=names, use_threads=False)
        for index, name in enumerate(table.column_names):
            if pa.types.is_dictionary(table.schema.field(name).type):
                table[name].validate(full=True)  # texts are UTF-8, and each is in its dictionary
                table = table.set_column(
                    index,
                    table.schema.field(name).with_type(pa.string()),
                    _decoded_texts(table[name], file.address, limit),
                )
    except RunError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise file.unread(error, _brief(error)) from error
    check_row_count(file, table, groups)
    others = {
        key: value
        for key, value in (table.schema.metadata or {}).items()
        if key != footer_checksum.KEY.encode()
    }
    return table.replace_schema_metadata(others or None)


def check_row_count(file: LogFile, table: pa.Table, groups: Iterable[int]) -> None:
    """Raises RunError where row groups gave another number of rows than the footer says.

    Arrow takes a page whose header does not say of what kind it is for one without values.
    """
    rows = sum(file.metadata.row_group(group).num_rows for group in groups)
    if table.num_columns and table.num_rows != rows:
        raise RunError(
            f"{file.address} is damaged: its pages hold {table.num_rows:,} of {rows:,} rows; {REMEDY}"
        )


def row_bytes(file: LogFile, columns: Sequence[str] | None = None) -> int:
    """Bytes that a row takes in memory; of a text its place in the dictionary."""
    schema = schema_of(file)
    kinds = [schema.field(name).type for name in (schema.names if columns is None else columns)]
    return sum(4 if _is_text(kind) else -(-kind.bit_width // 8) for kind in kinds)


def _check_size(file: LogFile, groups: list[int], names: list[str], limit: int) -> None:
    metadata = file.metadata
    width = row_bytes(file, names)
    rows = 0
    for group in groups:
        row_group = metadata.row_group(group)
        if row_group.num_rows < 0:
            raise RunError(
                f"{file.address} is damaged: row group {group} has {row_group.num_rows} rows; {REMEDY}"
            )
        rows += row_group.num_rows
    if rows * width > limit:
        text = (
            f"{rows:,} rows of {width:.0f} bytes would take {_mb(rows * width)}, at most {_mb(limit)} are"
            " read"
        )
        raise RunError(
            f"{file.address} unpacks to too much: {text}; ask for fewer columns or steps, or remove it"
        )


def check_pages(file: LogFile, chunks: Sequence[tuple[int, int]], limit: int) -> None:
    """Raises RunError where the pages of (row group, column) unpack to more than `limit` bytes, whatever the
    footer says.

    Headers are looked at only where the codec could do that with so few bytes.
    """
    found = [page_headers.column_chunk(file.metadata, *place) for place in chunks]
    if sum(chunk.max_unpacked for chunk in found) <= limit:
        return
    total = 0
    for chunk in found:
        try:
            total += page_headers.unpacked_bytes(file.source, chunk)
        except OSError as error:
            raise file.unread(error, _brief(error)) from error
        except ValueError as error:
            raise RunError(f"{file.address} is damaged: {error}; {REMEDY}") from error
        if total > limit:
            raise RunError(f"{file.address} unpacks to too much: pages of more than {_mb(limit)}; {REMEDY}")


def _decoded_texts(column: pa.ChunkedArray, address: str, limit: int) -> pa.ChunkedArray:
    """A dictionary-encoded column as strings: few bytes may stand for a text in a million rows, so they are
    counted first.
    """
    total = 0
    for chunk in column.chunks:
        lengths = np.append(pc.binary_length(chunk.dictionary).fill_null(0).to_numpy(zero_copy_only=False), 0)
        total += int(lengths[chunk.indices.fill_null(len(lengths) - 1).to_numpy()].sum(dtype=np.int64))
    if total > limit:
        raise RunError(
            f"{address} unpacks to too much: texts of {_mb(total)}, at most {_mb(limit)} are read; remove it"
        )
    return column.cast(pa.string())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def _mb(size: float) -> str:
    return f"{size / 2**20:,.0f} MB"


def _brief(error: Exception) -> str:
    """The first line of what a library says, without its trace."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
