"""An open run: its manifest and the listing of its files, what tells one state of it from another."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from probes.errors import RunError
from probes.families import standard_prior
from probes.log import config as configuration
from probes.log import manifest
from probes.log.levels import Levels
from probes.log.limits import LARGEST
from probes.log.rows import OF_FAMILIES, SCHEMAS, Table, known_table
from probes.log.segments import counted_segments, listed_anew
from probes.run_reader import LayerInfo, Status
from probes.storage import Folder, Listing, open_folder
from probes.storage.lock import FILE as LOCK_FILE

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Opened = TypeVar("_Opened", bound="OpenedRun")
_Scalar = TypeVar("_Scalar", bound=np.generic)
_LASTING = ("created", "name", "segments", "layers", "precision", "config", "packages")
"""What a manifest keeps while its run is written; `segments` lists the sessions that have written it."""


def reading(method: Callable[Concatenate[_Opened, _P], _T]) -> Callable[Concatenate[_Opened, _P], _T]:
    """One reader at a time (files are shared between threads), listing anew when a file has been compacted
    away.
    """

    @functools.wraps(method)
    def wrapper(self: _Opened, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._lock:
            try:
                return listed_anew(lambda: method(self, *args, **kwargs), self.refresh)
            except FileNotFoundError as error:
                raise RunError(
                    f"{self.path}: a file that its folder lists cannot be opened: {error}"
                ) from error

    return wrapper


class OpenedRun:
    """A run whose manifest is read and whose files are listed; nothing else is opened yet."""

    def __init__(self, path: Folder) -> None:
        self.storage = open_folder(path)
        self.path = self.storage.root
        self._lock = threading.RLock()
        self.manifest: dict[str, Any] = manifest.read(self.storage)
        self._listing: Listing = self.storage
        self._begin()
        self._list()
        self._seen_contents = self._contents()

    def _begin(self) -> None:
        """With nothing read yet."""
        widths = [layer["neurons"] for layer in self.layers]
        self._levels = Levels(self.storage, widths)
        self._tables = {name: Table(self.storage, name, widths) for name in ("layers", *SCHEMAS)}
        self._config: dict[str, Any] | None = None

    def _list(self) -> None:
        """List the files anew; with nothing kept that followed from those of before."""
        self._listing = manifest.in_listing(self.storage, self.storage.listed())
        # a run of Gaussians has no such folders: without one listing of all, each is asked for
        gaussian = all(standard_prior(layer) for layer in self.layers)
        for name, table in self._tables.items():
            if not (gaussian and name in OF_FAMILIES):
                table.refresh(self._listing)
        self._levels.refresh(self._listing)

    @property
    def name(self) -> str:
        return str(self.manifest.get("name", PurePath(self.path).name))

    @property
    def layers(self) -> list[LayerInfo]:
        """Layers in order of depth: dicts of `name`, `neurons`, `latent_dim`, `prior`, ..."""
        return self.manifest["layers"]

    @property
    def config(self) -> dict[str, Any]:
        """Resolved configuration that the run was recorded with; a large one is read from config.json."""
        if not self.manifest.get("config_file"):
            return self.manifest.get("config") or {}
        if self._config is None:
            self._config = configuration.read(self.storage)
        return self._config

    @property
    def status(self) -> Status:
        """How the run stands as of the last `refresh`."""
        return manifest.status(self.manifest)

    @property
    def stride(self) -> int:
        """Positions of the data between the two ends of a measured slope; 1 where the run does not say."""
        stride = (self.manifest.get("config") or {}).get("stride")
        return stride if isinstance(stride, int) and 0 < stride <= LARGEST else 1

    @property
    def identity(self) -> str:
        """A digest that stays while the run is only added to. It changes when the run is resumed, which sets
        rows aside, or when another one has taken its place.

        Times in a manifest are whole seconds, within which a run can be deleted and made anew: the lock file,
        written once, tells these apart.
        """
        lock = self._listing.stamp(LOCK_FILE)  # a copy may have none
        text = json.dumps([self.path, lock, self._lasting()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _lasting(self) -> dict[str, Any]:
        return {key: self.manifest.get(key) for key in _LASTING}

    def refresh(self) -> bool:
        """Look for what has been written since: read the manifest and list folders; no other file is opened.

        Returns
        -------
        bool
            Whether there is more, or another status.

        Raises
        ------
        RunError
            When the manifest or a folder cannot be read any more.
        """
        with self._lock:
            # not what the manifest of before says by now: a run that falls silent is news as well
            before = self._seen_contents
            self.manifest = manifest.read(self.storage)
            self._list()
            if self._lasting() != before[0]:  # resumed: files of the same names may hold other rows
                self._begin()
                self._list()
            self._seen_contents = self._contents()
            return before != self._seen_contents

    def snapshot(self) -> Self:
        """A reader of what this one has found so far, which stays as it is while this one is refreshed.

        Both share what they have read, and the lock that guards it; making one reads nothing. For pages: what
        is put together from several answers is of one state of the run.
        """
        with self._lock:
            fixed = copy.copy(self)
            fixed._levels = self._levels.snapshot()
            fixed._tables = {name: copy.copy(table) for name, table in self._tables.items()}
            return fixed

    def _contents(self) -> tuple[Any, ...]:
        """What tells one state of the run from another: which run it is, its status and its files.

        A heartbeat alone is nothing new.
        """
        rows = [table.segments for table in self._tables.values()]
        return self._lasting(), self.status, self._levels.raw.segments, rows

    def extent(self, name: str) -> int:
        """How far the rows of a table reach. Known from the names of files: opens none.

        Parameters
        ----------
        name
            "neurons", or a table: "scalars", "events", "probe", ...

        Returns
        -------
        int
            The last recorded step, or the number of rows; -1 or 0 while there are none. It grows when rows
            come, and by nothing else, so that it tells an answer about the whole run from a later one.

        Raises
        ------
        KeyError
            For a table that no run has.
        """
        if name == "neurons":
            return self._levels.raw.last
        segments = self._tables[name].segments
        return segments[-1].last + 1 if segments else 0

    def files(self, table: str = "neurons") -> list[str]:
        """The files of a table that count, to be read by something else; `probes.scan` makes one table of
        them.

        Parameters
        ----------
        table
            "neurons", "layers", "pyramid/16", "pyramid/256", or a table of plain rows: "scalars", ...

        Returns
        -------
        list of str
            Their addresses, in order of step (of arrival for plain rows), listed now. Each row is in one of
            them; those that were compacted into a larger one are left out. Of a live run one of the newest
            may be compacted away before it is read: list anew then.

        Raises
        ------
        KeyError
            For a table that no run has.
        RunError
            Where the folder cannot be listed, or its files overlap.
        """
        segments = counted_segments(self.storage, known_table(table))
        return [self.storage.address(f"{table}/{segment.name}") for segment in segments]

    def layer_index(self, layer: int | str) -> int:
        """Index of a layer.

        Parameters
        ----------
        layer
            Its name, or the index itself.

        Raises
        ------
        RunError
            For a layer that the run does not have.
        """
        names = [item["name"] for item in self.layers]
        index = names.index(layer) if layer in names else layer
        if isinstance(index, str) or not 0 <= index < len(names):
            raise RunError(f"{self.path} has no layer {layer!r}; its layers are {names}{self._why_none()}")
        return int(index)

    def _neurons(
        self, layer: int, neurons: int | Sequence[int] | NDArray[np.integer[Any]] | None
    ) -> NDArray[np.int64]:
        width = self.layers[layer]["neurons"]
        if neurons is None:
            return np.arange(width, dtype=np.int64)
        chosen = np.unique(np.atleast_1d(np.asarray(neurons, dtype=np.int64)))
        if chosen.size and not (chosen[0] >= 0 and chosen[-1] < width):
            raise RunError(
                f"{self.path}: layer {self.layers[layer]['name']!r} has neurons 0 to {width - 1}, asked for"
                f" {neurons}"
            )
        return chosen

    def _why_none(self) -> str:
        """Of a run without layers, what its recorder said of that."""
        why = manifest.refused(self.config) if not self.layers else []
        return f": {'; '.join(why)}" if why else ""


def frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.flags.writeable = False
    return array
