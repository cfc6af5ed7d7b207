"""Files are opened without trust: each limit holds on its one side and not on the other."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from probes import errors
from probes.errors import RunError
from probes.log import footer_checksum, opening
from probes.log.opening import open_parquet, parse_json, read, read_json
from probes.storage.arrow import ArrowStorage
from probes.storage.local import LOCAL, LocalStorage


def nested(levels):
    return "[" * levels + "]" * levels


def test_json_of_sixty_four_levels_is_read_and_no_deeper():
    assert parse_json(nested(64), "file") == json.loads(nested(64))
    assert parse_json('{"a": {"b": [1]}}', "file") == {"a": {"b": [1]}}
    with pytest.raises(RunError, match="file is not readable as JSON: it is nested more than 64 levels deep"):
        parse_json(nested(65), "file")
    with pytest.raises(RunError, match="nested"):
        parse_json(nested(200_000), "file")


@pytest.mark.parametrize("sign", ["", "-"])
def test_json_of_three_hundred_digits_is_read_and_no_more(sign):
    assert abs(parse_json(sign + "9" * 300, "file")) == 10**300 - 1
    with pytest.raises(RunError, match="a number of 301 digits"):
        parse_json(sign + "9" * 301, "file")


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf[1]", b"[1]", "[1]"])
def test_json_with_a_byte_order_mark_is_read(text):
    assert parse_json(text, "file") == [1]


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe", '["\\ud800"]', '["\\uD800 x"]', "nul"])
def test_what_is_no_json(text):
    with pytest.raises(RunError, match=r"file is not readable as JSON.*restore it from a copy"):
        parse_json(text, "file")


def test_a_pair_of_surrogates_is_a_character():
    assert parse_json('["\\ud83e\\udde0"]', "file") == ["🧠"]


def test_json_files_are_plain_files_of_some_size(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    with pytest.raises(FileNotFoundError):
        read_json(str(path))
    path.write_text("[1]")
    assert read_json(str(path)) == [1]
    monkeypatch.setattr(opening, "JSON_BYTES", 3)
    assert read_json(str(path)) == [1]
    monkeypatch.setattr(opening, "JSON_BYTES", 2)
    with pytest.raises(RunError, match="a file of its kind has at most"):
        read_json(str(path))
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("link", "is a link"), ("pipe", "is not a file"), (".", "is not a file")):
        with pytest.raises(RunError, match=words):
            read_json(str(tmp_path / name))


def test_a_link_is_refused_on_this_machine(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(RunError, match="is a link, which may lead anywhere"):
        LOCAL.names(str(tmp_path / "link"))
    assert LOCAL.names(str(tmp_path)) == ["link"]
    elsewhere = fs.SubTreeFileSystem("/", fs.LocalFileSystem())
    assert ArrowStorage(elsewhere, str(tmp_path), "store://run").names("link") == ["link"]


def test_a_path_that_is_no_utf_8_is_shown_with_escapes():
    assert errors.as_text(os.fsdecode(b"a\xffb")) == r"a\udcffb"
    assert errors.as_text("µ") == "µ"


TABLE = pa.table(
    {
        "step": pa.array(np.arange(6)),
        "kl": pa.array(np.arange(6) / 2, pa.float32()),
        "name": pa.array(["a", "b"] * 3),
    }
)


@pytest.fixture
def path(tmp_path):
    """Three row groups of two rows."""
    with footer_checksum.checksummed_writer(
        tmp_path / "file.parquet", TABLE.schema, store_schema=False
    ) as writer:
        writer.write_table(TABLE, row_group_size=2)
    return tmp_path / "file.parquet"


def test_row_groups_and_columns_that_are_asked_for(path):
    with open_parquet(str(path)) as file:
        assert read(file, range(3)).equals(TABLE)
        assert opening.schema_of(file).names == ["step", "kl", "name"]
        some = read(file, iter([0, 2]), ["name", "step"])
    assert some.to_pydict() == {"name": ["a", "b", "a", "b"], "step": [0, 1, 4, 5]}
    assert some.schema.field("name").type == pa.string()


def test_the_bytes_of_a_row(path):
    with open_parquet(str(path)) as file:
        assert opening.row_bytes(file) == 8 + 4 + 4
        assert opening.row_bytes(file, ["kl"]) == 4


def test_no_more_than_the_limit_is_read(path):
    with open_parquet(str(path)) as file:
        assert read(file, range(3), ["step"], limit=48 + 200).num_rows == 6
        with pytest.raises(RunError, match=r"unpacks to too much: 6 rows of 8 bytes would take"):
            read(file, range(3), ["step"], limit=47)


def test_a_refusal_says_how_much_it_would_be(tmp_path):
    pq.write_table(pa.table({"a": np.zeros(3 * 2**20)}), tmp_path / "file.parquet")
    with open_parquet("file.parquet", LocalStorage(tmp_path)) as file:
        text = "3,145,728 rows of 8 bytes would take 24 MB, at most 8 MB are read"
        with pytest.raises(RunError, match=text):
            read(file, [0, 1, 2], limit=8 * 2**20)
        with pytest.raises(RunError, match="would take 24 MB, at most 8 MB are read"):  # 7.6 MB, rounded
            read(file, [0, 1, 2], limit=8_000_000)


def test_texts_count_as_often_as_they_stand_there(tmp_path):
    """A dictionary of one long text for a thousand rows takes little on the disk and much in memory."""
    table = pa.table({"name": pa.array(["x" * 1000] * 1000)})
    pq.write_table(table, tmp_path / "file.parquet")
    with open_parquet("file.parquet", LocalStorage(tmp_path)) as file:
        assert read(file, [0], limit=1_000_000).equals(table)
        with pytest.raises(RunError, match="unpacks to too much: texts of"):
            read(file, [0], limit=999_999)


def test_pages_that_unpack_to_more_than_the_footer_says_are_refused(tmp_path):
    """Zeros: 80,000 bytes in a few hundred; the limit is held by the pages' own headers."""
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"a": np.zeros(10_000)}), path, compression="zstd", use_dictionary=False)
    with open_parquet(str(path)) as file:
        opening.check_pages(file, [(0, 0)], 81_000)
        with pytest.raises(RunError, match="unpacks to too much: pages of more than"):
            opening.check_pages(file, [(0, 0)], 79_000)


def test_a_table_of_another_number_of_rows_is_damaged(path):
    with open_parquet(str(path)) as file:
        opening.check_row_count(file, TABLE.slice(0, 4), [0, 1])
        with pytest.raises(RunError, match="its pages hold 3 of 4 rows"):
            opening.check_row_count(file, TABLE.slice(0, 3), [0, 1])


def test_a_footer_longer_than_what_is_read_at_once(tmp_path):
    """400 row groups of 3 columns: more than 64 KB, read in a second go."""
    path = tmp_path / "file.parquet"
    with footer_checksum.checksummed_writer(path, TABLE.schema, store_schema=False) as writer:
        for _ in range(400):
            writer.write_table(TABLE)
    length = int.from_bytes(path.read_bytes()[-8:-4], "little")
    assert length > opening.END_BYTES
    with open_parquet(str(path)) as file:
        assert file.metadata.num_row_groups == 400


def test_a_footer_beyond_the_limit_is_refused(path, monkeypatch):
    length = int.from_bytes(path.read_bytes()[-8:-4], "little")
    monkeypatch.setattr(opening, "FOOTER_BYTES", length)
    open_parquet(str(path)).close()
    monkeypatch.setattr(opening, "FOOTER_BYTES", length - 1)
    with pytest.raises(RunError, match="too many row groups"):
        open_parquet(str(path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"", r"not a readable Parquet file \(empty\)"),
        (lambda data: data[:-20], "no footer: it was cut off"),
        (lambda data: b"PAR1PAR1", "no footer"),
        (
            lambda data: data[:-8] + b"\xff\xff\xff\x7f" + data[-4:],
            "its footer would be longer than the file",
        ),
        (lambda data: data.replace(b"step", b"stop"), "its footer is not the one that was written"),
        (
            lambda data: data.replace(b"footer_crc32", b"footer_crc33"),
            "the checksum of its footer is not one",
        ),
        (
            lambda data: b"PAR1" + b"x" * 40 + (40).to_bytes(4, "little") + b"PAR1",
            "not a readable Parquet file",
        ),
    ],
)
def test_what_is_no_sound_parquet_file(path, change, words):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(RunError, match=words):
        open_parquet(str(path))


def test_a_flipped_bit_in_a_page_is_told(path):
    column = pq.read_metadata(path).row_group(0).column(1)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    with open_parquet(str(path)) as file, pytest.raises(RunError, match="is damaged"):
        read(file, range(3))


def test_doubled_and_nested_columns_are_refused(tmp_path):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "doubled.parquet")
    pq.write_table(pa.table({"a": pa.array([{"x": 1, "y": 2}])}), tmp_path / "nested.parquet")
    for name in ("doubled", "nested"):
        with pytest.raises(RunError, match="doubled or nested columns"):
            open_parquet(str(tmp_path / f"{name}.parquet"))


def test_a_file_that_is_not_there_may_have_been_compacted_away(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_parquet(str(tmp_path / "nowhere.parquet"))


@pytest.mark.parametrize("offset", [0, 1, 149, 150, 151, 299, 1000])
def test_a_number_of_too_many_digits_is_found_wherever_it_stands(offset):
    padding = " " * offset
    with pytest.raises(RunError, match="a number of 301 digits"):
        opening.parse_json(f'{padding}{{"a": {"7" * 301}}}', "run.json")
    assert opening.parse_json(f'{padding}{{"a": {"7" * 300}}}', "run.json") == {"a": int("7" * 300)}
    assert opening.parse_json(f'{padding}{{"a": "{"7" * 999}"}}', "run.json") == {"a": "7" * 999}
