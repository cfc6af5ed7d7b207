"""A checksum of a Parquet file's footer, stored in the footer itself: with Parquet's own checksums of pages
no flipped bit goes unseen.

The key `footer_crc32` of the footer's metadata holds 24 hexadecimal digits: 8 of the CRC-32 of the footer's
bytes, taken while all 24 are 0, and 16 of the file's size. Other readers see a key that they do not know. A
file without the key is read as it is, and so is one of another size: a tool that wrote the file anew took the
key along.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

KEY = "footer_crc32"
TRAILER_BYTES = 8  # bytes at a file's end: the footer's length, little-endian, and the magic
MAGIC = b"PAR1"
_UNSET = b"0" * 24
_KEY_PREFIX = b"footer_"
_DIGITS = re.compile(rb"[0-9a-f]{24}")
# the bytes before the value in Thrift's compact protocol: the key, and the value's type and length
_BEFORE_VALUE = bytes([0x18, len(KEY)]) + KEY.encode() + bytes([0x18, len(_UNSET)])


@contextmanager
def checksummed_writer(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """A Parquet writer whose file carries checksums of its pages and of its footer. `options` are those of
    ParquetWriter.
    """
    with pq.ParquetWriter(path, schema, write_page_checksum=True, **options) as writer:
        yield writer
        writer.add_key_value_metadata({KEY: _UNSET.decode()})
    with open(path, "r+b") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(size - TRAILER_BYTES)
        begin = size - TRAILER_BYTES - int.from_bytes(file.read(TRAILER_BYTES)[:4], "little")
        file.seek(begin)
        footer = file.read(size - TRAILER_BYTES - begin)
        file.seek(begin + footer.rindex(_BEFORE_VALUE) + len(_BEFORE_VALUE))
        file.write(_checksum(footer, size))


def mismatched(footer: bytes, size: int) -> bool:
    """Whether the footer of a file of `size` bytes has a checksum of that size and is not what it was taken
    of.
    """
    found_at = footer.rfind(_BEFORE_VALUE)
    if found_at < 0:
        return False
    begin = found_at + len(_BEFORE_VALUE)
    end = begin + len(_UNSET)
    found = footer[begin:end]
    expected = _checksum(footer[:begin] + _UNSET + footer[end:], size)
    return found != expected and found[8:] == expected[8:]


def malformed(entries: Mapping[bytes, bytes]) -> bool:
    """Whether the checksum's own entry is damaged: 24 digits under another key, or such a key without them.

    entries: the keys and values of the footer's metadata.
    """
    has_digits = {key: bool(_DIGITS.fullmatch(value)) for key, value in entries.items()}
    meant = [key for key in entries if has_digits[key] or key.startswith(_KEY_PREFIX)]
    return not all(key == KEY.encode() and has_digits[key] for key in meant)


def _checksum(footer: bytes, size: int) -> bytes:
    return f"{zlib.crc32(footer):08x}{size:016x}".encode()
