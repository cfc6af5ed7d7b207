"""The footers of a run's files in a store: asked for all at once, or found together in `footers.zst`.

`footers.zst` saves the reader of a finished run a request a file. It is a cache, written by the mirror: an
entry is of a file of that name, size and etag, counts for no other, and passes the checks of every footer.
One zstd frame: the length of a header (4 bytes, little-endian), the header (JSON: a list of [path, size,
etag, bytes of the footer]), then the footers one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from probes.errors import RunError
from probes.log import opening
from probes.log.opening import END_BYTES
from probes.storage import Listing, Storage

FILE = "footers.zst"
PACKED_BYTES = 64 * 2**20
UNPACKED_BYTES = 512 * 2**20
"""Most that the file may have, packed and unpacked: of 10^4 files with footers of 50 kB."""


class Footers:
    """The footers of the files of one run. Of a folder of this machine nothing is kept or asked for."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._listing: Listing = storage
        self._packed: dict[str, tuple[int, str, bytes]] = {}
        self._stamp: str | None = None  # of the file that these were read from

    def look(self, listing: Listing) -> None:
        """Note what there is now."""
        self._listing = listing

    def fetch(self, paths: Iterable[str]) -> None:
        """Bring near what `metadata` does not have of these files, which are about to be opened."""
        if not self._storage.remote:
            return
        self._read_packed()
        missing = [path for path in paths if self._found(path) is None]
        sizes = self._sizes(missing)
        ends = [(path, size - END_BYTES, size) for path, size in sizes.items()]
        self._storage.fetch(ends)

    def metadata(self, path: str) -> pq.FileMetaData | None:
        """The footer of a file, checked; None where it is to be read from the file."""
        found = self._found(path) if self._packed else None
        if found is None:
            return None
        try:
            return opening.checked_footer(found[1], found[0], self._storage.address(path))
        except (RunError, pa.ArrowException, OSError, ValueError):
            return None  # the file has its own, and says what is wrong with it

    def _found(self, path: str) -> tuple[int, bytes] | None:
        entry = self._packed.get(path)
        if entry is None or entry[1] != self._listing.stamp(path):
            return None
        return entry[0], entry[2]

    def _sizes(self, paths: list[str]) -> dict[str, int]:
        folders = {path.rpartition("/")[0] for path in paths}
        listed = {
            f"{folder}/{entry.name}": entry.size or 0
            for folder in folders
            for entry in self._listing.entries(folder)
        }
        return {path: listed[path] for path in paths if path in listed}

    def _read_packed(self) -> None:
        stamp = self._listing.stamp(FILE)
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._packed = unpacked(self._storage.read(FILE, PACKED_BYTES))
        except (RunError, FileNotFoundError):
            self._packed = {}


def packed(footers: Mapping[str, tuple[int, str, bytes]]) -> bytes:
    """Content of the file. footers: path -> size and etag of the file, and its footer."""
    head = json.dumps([[path, size, stamp, len(footer)] for path, (size, stamp, footer) in footers.items()])
    content = head.encode()
    whole = len(content).to_bytes(4, "little") + content + b"".join(each for _, _, each in footers.values())
    return bytes(pa.Codec("zstd").compress(whole, asbytes=True))


def unpacked(content: bytes) -> dict[str, tuple[int, str, bytes]]:
    """What `packed` was given. Raises RunError for anything else."""
    fault = RunError(f"{FILE} is none of a run")
    try:
        with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
            whole = stream.read(UNPACKED_BYTES + 1)
    except (pa.ArrowException, OSError) as error:
        raise fault from error
    if not 4 <= len(whole) <= UNPACKED_BYTES:
        raise fault
    at = 4 + int.from_bytes(whole[:4], "little")
    head = opening.parse_json(whole[4:at], FILE)
    found = {}
    for item in head if isinstance(head, list) else ():
        if not (isinstance(item, list) and [type(each) for each in item] == [str, int, str, int]):
            raise fault
        path, size, stamp, length = item
        if not 0 <= length <= len(whole) - at:
            raise fault
        found[path] = size, stamp, whole[at : at + length]
        at += length
    return found
