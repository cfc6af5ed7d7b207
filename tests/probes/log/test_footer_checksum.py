"""A checksum over the footer, in the footer: every flipped bit is told, other tools' files are read as they
are.
"""

import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probes.log import footer_checksum

TABLE = pa.table({"step": pa.array([1, 2, 3], pa.int64())})


def file_and_footer(path):
    """(whole file, its footer)."""
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    return data, data[-8 - length : -8]


@pytest.fixture
def path(tmp_path):
    with footer_checksum.checksummed_writer(
        tmp_path / "file.parquet", TABLE.schema, compression="lz4"
    ) as writer:
        writer.write_table(TABLE)
    return tmp_path / "file.parquet"


def test_the_file_is_an_ordinary_one_with_a_key_more(path):
    assert pq.read_table(path).column("step").to_pylist() == [1, 2, 3]
    value = pq.read_metadata(path).metadata[b"footer_crc32"]
    data, footer = file_and_footer(path)
    assert value[8:] == f"{len(data):016x}".encode()
    zeroed = footer.replace(value, b"0" * 24)
    assert value[:8] == f"{zlib.crc32(zeroed):08x}".encode()
    assert not footer_checksum.mismatched(footer, len(data))


def test_every_bit_of_the_footer_is_told(path):
    """By the checksum, or since the checksum itself is malformed, or since Parquet cannot read it any more.

    But for the digits of the file's size, in which a file is told from one that another tool wrote: no reader
    needs them.
    """
    data, footer = file_and_footer(path)
    length = (len(footer)).to_bytes(4, "little")
    size = footer.index(b"footer_crc32") + len("footer_crc32") + 2 + 8
    for place in [place for place in range(len(footer)) if not size <= place < size + 16]:
        for bit in range(8):
            changed = bytearray(footer)
            changed[place] ^= 1 << bit
            if footer_checksum.mismatched(bytes(changed), len(data)):
                continue
            try:
                found = pq.read_metadata(
                    pa.BufferReader(b"PAR1" + bytes(changed) + length + b"PAR1")
                ).metadata
            except (pa.ArrowException, OSError):
                continue
            assert footer_checksum.malformed(found or {}), (place, bit)


def test_a_file_that_another_tool_wrote_anew_is_not_broken(path, tmp_path):
    """It took the key along, but has another size."""
    value = pq.read_metadata(path).metadata[b"footer_crc32"]
    with pq.ParquetWriter(tmp_path / "other.parquet", TABLE.schema) as writer:
        writer.write_table(pa.concat_tables([TABLE] * 50))
        writer.add_key_value_metadata({"footer_crc32": value.decode()})
    data, footer = file_and_footer(tmp_path / "other.parquet")
    assert value in footer
    assert len(data) != path.stat().st_size
    assert not footer_checksum.mismatched(footer, len(data))


def test_a_file_without_a_checksum_is_not_broken(tmp_path):
    pq.write_table(TABLE, tmp_path / "plain.parquet")
    data, footer = file_and_footer(tmp_path / "plain.parquet")
    assert not footer_checksum.mismatched(footer, len(data))
    assert not footer_checksum.malformed(pq.read_metadata(tmp_path / "plain.parquet").metadata or {})


@pytest.mark.parametrize(
    ("entries", "malformed"),
    [
        ({}, False),
        ({b"footer_crc32": b"0" * 24}, False),
        ({b"footer_crc32": b"0" * 24, b"pandas": b"{}"}, False),
        ({b"footer_crc32": b"0" * 23}, True),
        ({b"footer_crc32": b"G" + b"0" * 23}, True),
        ({b"footer_crc31": b"0" * 24}, True),
        ({b"gooter_crc32": b"0" * 24}, True),
        ({b"gooter_crc32": b"text"}, False),
    ],
)
def test_a_checksum_that_is_damaged_itself(entries, malformed):
    assert footer_checksum.malformed(entries) == malformed


def test_what_was_changed_by_a_bit_is_broken_at_the_size_of_the_checksum_alone(path):
    data, footer = file_and_footer(path)
    changed = footer.replace(b"step", b"stop", 1)
    assert footer_checksum.mismatched(changed, len(data))
    assert not footer_checksum.mismatched(changed, len(data) + 1)


def test_a_flipped_bit_of_a_page_is_told(path):
    """By Parquet's own checksums, which its readers ask for."""
    column = pq.read_metadata(path).row_group(0).column(0)
    end = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size
    changed = bytearray(path.read_bytes())
    changed[end - 1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(path, page_checksum_verification=True)
