"""A checksum over a Parquet file's footer, kept in the footer: with the checksums of pages, no flipped bit
goes unseen.

The key `footer_crc32` of the footer's metadata holds 8 hexadecimal digits, the CRC-32 of the footer's bytes
with all digits of the value 0, and 16 more, the size of the file. Other readers see a key that they do not
know. A file without the key is
read as it is, and so is one of another size: a tool that has written it anew took the key along.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

KEY = "footer_crc32"
TAIL = 8  # bytes at a file's end: the footer's length, little-endian, and the magic
MAGIC = b"PAR1"
_EMPTY = b"0" * 24
_BEGINNING = b"footer_"
_FORM = re.compile(rb"[0-9a-f]{24}")
# key and value in Thrift's compact protocol
_MARK = bytes([0x18, len(KEY)]) + KEY.encode() + bytes([0x18, len(_EMPTY)])


@contextmanager
def checksummed_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """A Parquet writer whose file carries checksums of its pages and of its footer. `options` are those of
    ParquetWriter.
    """
    with pq.ParquetWriter(path, schema, write_page_checksum=True, **options) as writer:
        yield writer
        writer.add_key_value_metadata({KEY: _EMPTY.decode()})
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - TAIL)
        begin = size - TAIL - int.from_bytes(file.read(TAIL)[:4], "little")
        file.seek(begin)
        footer = file.read(size - TAIL - begin)
        file.seek(begin + footer.rindex(_MARK) + len(_MARK))
        file.write(_value(footer, size))


def mismatched(footer: bytes, size: int) -> bool:
    """Whether the footer of a file of `size` bytes is not the one that was checksummed_writer."""
    at = footer.rfind(_MARK)
    if at < 0:
        return False
    at += len(_MARK)
    found = footer[at : at + len(_EMPTY)]
    expected = _value(footer[:at] + _EMPTY + footer[at + len(_EMPTY) :], size)
    return found != expected and found[8:] == expected[8:]


def malformed(entries: Mapping[bytes, bytes]) -> bool:
    """Whether the seal itself is damaged: its key, or how it begins, without a value of its form, or such a
    value elsewhere.

    entries: the keys and values of the footer's metadata.
    """
    formed = {key: bool(_FORM.fullmatch(value)) for key, value in entries.items()}
    like = [key for key in entries if formed[key] or key.startswith(_BEGINNING)]
    return not all(key == KEY.encode() and formed[key] for key in like)


def _value(footer: bytes, size: int) -> bytes:
    return f"{zlib.crc32(footer):08x}{size:016x}".encode()
