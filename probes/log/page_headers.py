"""How much the pages of a Parquet file unpack to, by their own headers: a footer may say anything about them.

A page's header is a Thrift struct in the compact protocol, of which fields 2 and 3 are the page's sizes
unpacked and packed (github.com/apache/parquet-format, parquet.thrift). Arrow makes room for what the header
says before it unpacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

HEADER_BYTES = 512  # read at once; texts as statistics may make one longer
LONGEST_HEADER = 2**16
MAX_RATIO = {"UNCOMPRESSED": 1, "SNAPPY": 64, "LZ4": 255, "LZ4_RAW": 255}
"""Bytes that a packed byte can become at most; codecs that are not here know no such limit."""
_BOOLEANS, _BYTE, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, 7, 8, (9, 10), 12
_UNPACKED, _PACKED = 2, 3


class ColumnChunk(NamedTuple):
    """Where a column of a row group lies in its file, and how it is packed."""

    begin: int
    end: int
    codec: str

    @property
    def max_unpacked(self) -> float:
        """Bytes that it unpacks to at most, whatever its headers say."""
        return (self.end - self.begin) * float(MAX_RATIO.get(self.codec, "inf"))


def column_chunk(metadata: pq.FileMetaData, group: int, column: int) -> ColumnChunk:
    """Where the footer says that a column of a row group lies."""
    found = metadata.row_group(group).column(column)
    begin = found.data_page_offset
    if found.has_dictionary_page and found.dictionary_page_offset is not None:
        begin = min(begin, found.dictionary_page_offset)
    return ColumnChunk(begin, begin + found.total_compressed_size, found.compression)


def unpacked_bytes(file: pa.NativeFile, chunk: ColumnChunk) -> int:
    """Bytes that the pages of a chunk unpack to, by their headers. Raises ValueError for headers that cannot
    be.
    """
    return sum(size for size, _ in _pages(file, chunk))


def _pages(file: pa.NativeFile, chunk: ColumnChunk) -> Iterator[tuple[int, int]]:
    """(bytes unpacked, bytes packed) of each page."""
    if not 0 < chunk.begin <= chunk.end <= file.size():
        raise ValueError("its pages lie outside of it")
    offset = chunk.begin
    while offset < chunk.end:
        fields, length = _header(file, offset)
        sizes = fields.get(_UNPACKED, -1), fields.get(_PACKED, -1)
        if min(sizes) < 0:
            raise ValueError(f"the page at byte {offset} has no size")
        yield sizes
        offset += length + sizes[1]


def _header(file: pa.NativeFile, offset: int) -> tuple[dict[int, int], int]:
    """Whole numbers among the fields of a page's header, and its length."""
    size = HEADER_BYTES
    while True:
        try:
            return _struct(file.read_at(size, offset), 0)
        except IndexError:
            if size >= LONGEST_HEADER:
                raise ValueError(f"the page at byte {offset} has no end of its header") from None
            size = LONGEST_HEADER


def _struct(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """Whole numbers of a struct by field, and where it ends. Raises IndexError where the data ends before
    it.
    """
    found: dict[int, int] = {}
    field = 0
    while data[at]:
        delta, kind = data[at] >> 4, data[at] & 15
        at += 1
        if delta:
            field += delta
        else:
            field, at = _whole(data, at)
        value, at = _value(data, at, kind)
        if value is not None:
            found[field] = value
    return found, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[int | None, int]:
    """The value of a field where it is a whole number, and where it ends."""
    if kind in _BOOLEANS:
        return None, at
    if kind == _BYTE:
        return None, at + 1
    if kind == _DOUBLE:
        return None, at + 8
    if kind == _BINARY:
        length, at = _varint(data, at)
        return None, at + length
    if kind == _STRUCT:
        return None, _struct(data, at)[1]
    if kind in _LISTS or kind > _STRUCT:
        raise ValueError("a page's header has a field that none has")
    return _whole(data, at)


def _whole(data: bytes, at: int) -> tuple[int, int]:
    """A signed number (zigzag), and where it ends."""
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a page's header has a number without end")
