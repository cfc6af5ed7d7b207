"""Footers of a run in a store: asked for at once, found in one file, and never believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from log_truth import simple_run
from remote_memory import RemoteMemory

import probes
from probes.errors import RunError
from probes.log import footers
from probes.log.footer_checksum import TRAILER_BYTES


def footer(content: bytes) -> bytes:
    length = int.from_bytes(content[-TRAILER_BYTES:-4], "little")
    return content[-TRAILER_BYTES - length : -TRAILER_BYTES]


def packed_of(stored: RemoteMemory) -> bytes:
    """The packed footers of a run, as a mirror writes them."""
    found = {}
    for table in ("neurons", "layers"):
        for entry in stored.entries(table):
            content = stored.read(f"{table}/{entry.name}", 2**30)
            found[f"{table}/{entry.name}"] = len(content), str(entry.stamp), footer(content)
    return footers.packed(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    simple_run(tmp_path / "run", steps=600)
    return tmp_path / "run"


@pytest.fixture
def stored(folder: Path) -> RemoteMemory:
    return RemoteMemory.copy_of(folder)


def test_packed_is_read_back() -> None:
    found = {"neurons/a": (12, '"etag"', b"one"), "layers/ä": (0, "", b"")}
    assert footers.unpacked(footers.packed(found)) == found
    assert footers.unpacked(footers.packed({})) == {}


@pytest.mark.parametrize(
    "content", [b"", b"none", footers.packed({"a": (1, "b", b"c" * 99)})[:-5], b"\x28\xb5\x2f\xfd\x00"]
)
def test_what_is_no_packed_file(content: bytes) -> None:
    with pytest.raises(RunError):
        footers.unpacked(content)


def test_a_length_beyond_the_end_is_refused() -> None:
    whole = footers.packed({"a": (1, "b", b"c")})
    honest = footers.unpacked(whole)
    assert honest == {"a": (1, "b", b"c")}
    head = b'[["a", 1, "b", 4000000]]'
    bad = pa.Codec("zstd").compress(len(head).to_bytes(4, "little") + head + b"c", asbytes=True)
    with pytest.raises(RunError, match="footers.zst is none of a run"):
        footers.unpacked(bad)


def content_of(head: bytes, rest: bytes = b"") -> bytes:
    return bytes(pa.Codec("zstd").compress(len(head).to_bytes(4, "little") + head + rest, asbytes=True))


@pytest.mark.parametrize(
    "head",
    [
        b'[["a", 1, "b", 2]]',
        b'[["a", 1, "b", -1]]',
        b'[["a", 1, "b"]]',
        b'[["a", 1, "b", 0, 0]]',
        b'[["a", "1", "b", 0]]',
        b'[["a", 1, null, 0]]',
        b'[["a", 1, "b", true]]',
        b'["a1b0"]',
        b'[["a", 1, "b", 1], ["c", 1, "d", 1]]',
        b"[",
    ],
)
def test_a_header_that_is_none_is_refused(head: bytes) -> None:
    with pytest.raises(RunError, match=r"footers\.zst"):
        footers.unpacked(content_of(head, b"x"))


def test_footers_lie_one_after_the_other_up_to_the_end() -> None:
    head = b'[["a", 1, "b", 2], ["c", 3, "d", 0], ["e", 4, "f", 1]]'
    assert footers.unpacked(content_of(head, b"xyz")) == {
        "a": (1, "b", b"xy"), "c": (3, "d", b""), "e": (4, "f", b"z"),
    }  # fmt: skip
    assert footers.unpacked(content_of(b"{}")) == {}


def test_as_much_as_may_be_is_unpacked_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"a": (1, "b", b"c" * 50)}
    size = len(pa.CompressedInputStream(pa.BufferReader(footers.packed(given)), "zstd").read())
    monkeypatch.setattr(footers, "UNPACKED_BYTES", size)
    assert footers.unpacked(footers.packed(given)) == given
    monkeypatch.setattr(footers, "UNPACKED_BYTES", size - 1)
    with pytest.raises(RunError, match="is none of a run"):
        footers.unpacked(footers.packed(given))


def test_what_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footers, "UNPACKED_BYTES", 1000)
    with pytest.raises(RunError):
        footers.unpacked(footers.packed({"a": (1, "b", b"\0" * 10_000)}))


def test_one_neuron_is_a_request_a_file_and_one_for_the_footers(stored: RemoteMemory, folder: Path) -> None:
    stored.put(footers.FILE, packed_of(stored))
    stored.requests.clear()
    run = probes.Run(stored)
    assert stored.requests == {"list": 1, "get": 1}
    stored.requests.clear()
    found = run.history(0, 0)
    files = len(run._levels.raw.segments)
    assert stored.requests == {"get": 1, "fetch": files}
    pd.testing.assert_frame_equal(found, probes.Run(folder).history(0, 0), check_exact=True)


def test_without_packed_footers_they_are_fetched_at_once(stored: RemoteMemory, folder: Path) -> None:
    run = probes.Run(stored)
    stored.requests.clear()
    found = run.history(0, 0)
    assert stored.requests == {"fetch": 2 * len(run._levels.raw.segments)}
    pd.testing.assert_frame_equal(found, probes.Run(folder).history(0, 0), check_exact=True)


def test_other_questions_are_fetched_too(stored: RemoteMemory, folder: Path) -> None:
    run, local = probes.Run(stored), probes.Run(folder)
    stored.requests.clear()
    pd.testing.assert_frame_equal(run.layer_summary(), local.layer_summary())
    for left, right in zip(run.matrix(0, "mean", 10), local.matrix(0, "mean", 10), strict=True):
        np.testing.assert_array_equal(left, right)
    pd.testing.assert_frame_equal(run.at(300), local.at(300))
    pd.testing.assert_frame_equal(run.scalars(), local.scalars())
    assert set(stored.requests) == {"fetch"}  # and no range that nobody has said to be needed


def test_a_damaged_or_foreign_entry_is_passed_over(stored: RemoteMemory, folder: Path) -> None:
    good = footers.unpacked(packed_of(stored))
    path = next(iter(good))
    size, stamp, content = good[path]
    for bad in (
        (size, "another etag", content),
        (size + 1, stamp, content),
        (size, stamp, content[:-1]),
        (size, stamp, bytes([content[0] ^ 1]) + content[1:]),
    ):
        stored.put(footers.FILE, footers.packed(good | {path: bad}))
        pd.testing.assert_frame_equal(probes.Run(stored).history(0, 0), probes.Run(folder).history(0, 0))
