"""Sizes of pages by their headers, made by hand in Thrift's compact protocol, and those of real files."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probes.log import page_headers
from probes.log.page_headers import ColumnChunk, unpacked_bytes


def varint(number):
    data = b""
    while number >= 128:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])


def i32(number, delta=1):
    """A field of a signed number, `delta` fields after the one before."""
    return bytes([delta << 4 | 5]) + varint(2 * number if number >= 0 else -2 * number - 1)


def page(size, packed, before=b"", after=b""):
    """A page whose header says that `packed` bytes unpack to `size`."""
    return before + i32(0) + i32(size) + i32(packed) + after + b"\0" + b"p" * max(packed, 0)


def size_of(data, begin=4, end=None):
    file = pa.BufferReader(b"PAR1" + data)
    return unpacked_bytes(file, ColumnChunk(begin, 4 + len(data) if end is None else end, "ZSTD"))


@pytest.mark.parametrize("sizes", [[(100, 5)], [(100, 5), (63, 0), (64, 1), (2**31 - 1, 300)]])
def test_pages_add_up(sizes):
    assert size_of(b"".join(page(*size) for size in sizes)) == sum(size for size, _ in sizes)


def test_other_fields_are_passed_over():
    """Field 4 is a checksum below 0, field 5 a struct: a number, a text, a struct, two truths, a byte, a
    double.
    """
    text = b"\x18" + varint(3) + b"abc"
    inner = (
        i32(-7)
        + text
        + b"\x1c"
        + i32(1)
        + b"\0"
        + b"\x11"
        + b"\x12"
        + b"\x13\xff"
        + b"\x17"
        + b"\0" * 8
        + b"\0"
    )
    assert size_of(page(77, 4, after=i32(-5) + b"\x1c" + inner)) == 77


@pytest.mark.parametrize("number", [0, 63, -64, 64, 2**31 - 1, -(2**63), 2**63 - 1])
def test_numbers_of_up_to_64_bits_are_passed_over(number):
    """The longest take ten bytes."""
    assert size_of(page(77, 4, after=i32(number))) == 77


def test_a_field_with_its_number_written_out():
    long_form = b"\x05" + varint(2 * 2) + varint(2 * 40) + b"\x05" + varint(2 * 3) + varint(2 * 2)
    assert size_of(i32(0) + long_form + b"\0pp") == 40


def test_a_header_longer_than_what_is_read_at_once():
    text = b"\x18" + varint(3000) + b"x" * 3000
    assert size_of(page(50, 9, after=text) + page(7, 1)) == 57


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (i32(0) + i32(5) + b"\0", "has no size"),
        (page(-3, 2), "has no size"),
        (page(3, -2), "has no size"),
        (b"\x19\x00", "a field that none has"),
        (b"\x1d\x00", "a field that none has"),
        (b"\x15" + b"\xff" * 10 + b"\x01\x00", "a number without end"),
        (b"\x15" + b"\xff" * 12, "a number without end"),
        (b"\x18" + varint(2**20), "no end of its header"),
        (i32(0) + i32(5), "no end of its header"),
    ],
)
def test_headers_that_cannot_be_are_refused(data, words):
    with pytest.raises(ValueError, match=words):
        size_of(data)


@pytest.mark.parametrize(("begin", "end"), [(0, 10), (9, 4), (4, 1000), (-3, 5)])
def test_a_place_outside_of_the_file_is_refused(begin, end):
    with pytest.raises(ValueError, match="lie outside of it"):
        size_of(page(5, 5), begin, end)


@pytest.mark.parametrize("codec", ["none", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_of_a_real_file(tmp_path, codec, dictionary):
    """1,000 numbers: PLAIN ones are 8,000 bytes and what tells nulls apart; a dictionary of 7 is 56 and
    more.
    """
    table = pa.table({"a": np.arange(1000) % 7, "b": np.arange(1000) % 7})
    path = tmp_path / "file.parquet"
    pq.write_table(table, path, compression=codec, use_dictionary=dictionary, data_page_size=1000)
    metadata = pq.read_metadata(path)
    with pa.OSFile(str(path)) as file:
        first, second = (page_headers.column_chunk(metadata, 0, column) for column in (0, 1))
        sizes = [unpacked_bytes(file, place) for place in (first, second)]
    assert first.begin == 4
    assert first.end <= second.begin
    assert first.codec == {"none": "UNCOMPRESSED", "lz4": "LZ4"}.get(codec, codec.upper())
    column = metadata.row_group(0).column(0)
    assert sizes[0] == sizes[1] < column.total_uncompressed_size  # which counts the headers too
    if dictionary:
        assert column.dictionary_page_offset == 4
        assert 56 < sizes[0] < 1000
    else:
        assert 8000 <= sizes[0] < 8300
    if codec == "none":
        assert first.max_unpacked == first.end - first.begin > sizes[0]


@pytest.mark.parametrize(
    ("codec", "most"), [("UNCOMPRESSED", 10), ("SNAPPY", 640), ("LZ4", 2550), ("LZ4_RAW", 2550)]
)
def test_most_that_a_codec_can_make_of_ten_bytes(codec, most):
    assert ColumnChunk(5, 15, codec).max_unpacked == most


@pytest.mark.parametrize("codec", ["ZSTD", "GZIP", "BROTLI", "unheard of"])
def test_other_codecs_know_no_limit(codec):
    assert ColumnChunk(5, 15, codec).max_unpacked == float("inf")
