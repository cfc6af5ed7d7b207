"""Single bits of what no checksum of Parquet covers, the pages' headers, and of our own checksum: told, or
harmless.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import damage
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probes import Run
from probes.errors import RunError
from probes.log import footer_checksum, manifest, page_headers
from probes.log.check import check

COLUMNS = 2  # whose headers are damaged, of the first row group
READ: dict[str, Callable[[Run], Any]] = {
    "predictions": lambda run: run.predictions(),
    "neurons": lambda run: run.history(0, [0]),
    "scalars": lambda run: run.scalars(),
}


def header_bytes(path: Path) -> Iterator[int]:
    """Where the headers of the pages of the first columns lie."""
    metadata = pq.read_metadata(path)
    with pa.OSFile(str(path)) as file:
        for column in range(COLUMNS):
            chunk = page_headers.column_chunk(metadata, 0, column)
            offset = chunk.begin
            while offset < chunk.end:
                fields, length = page_headers._header(file, offset)
                yield from range(offset, offset + length)
                offset += length + fields[page_headers._PACKED]


@pytest.mark.parametrize("folder", READ)
def test_every_bit_of_a_page_s_header_is_told_or_harmless(run: Path, folder: str) -> None:
    path = sorted((run / folder).iterdir())[0]
    data, expected = path.read_bytes(), READ[folder](Run(run))
    told = []
    for place in header_bytes(path):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            damage.replace(path, bytes(changed))
            try:
                assert READ[folder](Run(run)).equals(expected), (place, bit)
            except RunError as error:
                told.append(str(error))
    assert told
    assert all(path.name in text for text in told)
    damage.replace(path, data)


def test_a_checksum_that_is_hit_itself_is_no_file_without_one(run: Path) -> None:
    """The least step in the footer, by which rows are looked for, is damaged, and so is a bit of the
    checksum's name or value.
    """
    path = sorted((run / "predictions").iterdir())[0]
    data = path.read_bytes()
    statistics = pq.read_metadata(path).row_group(0).column(0).statistics
    key = data.rindex(footer_checksum.KEY.encode())
    least = data.rindex(statistics.min.to_bytes(8, "little"), 0, key)
    for place in range(key - 2, key + len(footer_checksum.KEY) + 2 + 8):  # lengths, name, eight digits
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            changed[least + 6] ^= 1
            damage.replace(path, bytes(changed))
            with pytest.raises(RunError, match=path.name):
                Run(run).predictions()
    damage.replace(path, data)


def test_a_manifest_without_precision_is_checked(run: Path) -> None:
    content = json.loads((run / manifest.FILE).read_bytes())
    del content["precision"]
    damage.replace(run / manifest.FILE, json.dumps(content).encode())
    assert [finding for finding in check(run) if finding.level == "error"] == []
