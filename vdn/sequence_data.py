"""Sequences as training tasks: texts, chords, signals, and series one step ahead.

An example is a chunk of `window` positions of one sequence: inputs x_t are the positions before, targets y_t
the positions themselves, so that each is predicted from all before it. A sequence of several chunks is gone
through in order, its state carried from chunk to chunk; its first chunk is `fresh`.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vdn.epoch_order import EpochOrder
from vdn.kalman import Factors, simulate
from vdn.records import DataError
from vdn.splits import SPLITS, Split, split_ends
from vdn.table import Table

SequenceKind = Literal["symbols", "chords", "signal"]
LOWEST_NOTE, NOTES = 21, 88  # MIDI numbers of a piano's keys
MOST_SYMBOLS = 1024
EVALUATION_CHUNKS = 8  # a held-out text is cut into no shorter streams: each begins without a past
FACTORS = Factors(phi=(0.3, 0.9, 0.99), noise=0.5)
SIGNALS = {"train": 2048, "validation": 128, "test": 512}
SIGNAL_LENGTH, SIGNAL_SEED = 128, 0


class SequenceBatch(NamedTuple):
    """B chunks of T positions.

    Attributes
    ----------
    x
        (B, T) symbols, -1 at a sequence's start, or (B, T, D), 0 there.
    y
        (B, T) or (B, T, D): what comes at each position.
    mask
        (B, T) bool: False beyond a sequence's end.
    fresh
        (B,) bool: True where the chunk is a sequence's first.
    """

    x: Tensor
    y: Tensor
    mask: Tensor
    fresh: Tensor


@dataclass(frozen=True)
class Source:
    """A file of sequences: what says whether it is the same later, and one line about it."""

    path: Path
    size: int
    sha256: str
    rows: int
    series: int
    sentence: str

    @property
    def identity(self) -> dict[str, Any]:
        """As `Table.identity`."""
        return {
            "path": str(self.path.resolve()),
            "bytes": self.size,
            "sha256": self.sha256,
            "rows": self.rows,
            "series": self.series,
            "read": self.sentence,
        }


@dataclass
class SequenceTask:
    """Sequences, cut into chunks.

    values: (P,) int64 symbols or (P, D) float32, all sequences below each other; spans: of each split (Q, 3),
    first and last + 1 position that is predicted, and where the sequence has its true start, before which
    there is nothing; names: the symbols, or what the D numbers are; table: what was read, if a file.
    """

    values: Tensor
    spans: dict[Split, Tensor]
    window: int
    kind: SequenceKind
    names: list[str]
    table: Table | Source | None = None
    pairs: bool = False

    def __post_init__(self) -> None:
        for split, spans in self.spans.items():
            if not len(spans) or bool((spans[:, 1] <= spans[:, 0]).any()):
                raise DataError(
                    f"the {split} split has no room for a sequence; give more data, or another --split"
                )

    @property
    def outputs(self) -> int:
        """Symbols, or numbers of a position."""
        return len(self.names)

    def sequences(self, split: Split) -> int:
        """How many sequences the split has, Q."""
        return len(self.spans[split])

    def chunks(self, split: Split) -> int:
        """Chunks of the longest sequence, C."""
        spans = self.spans[split]
        return -(-int((spans[:, 1] - spans[:, 0]).max()) // self.window)

    def count(self, split: Split) -> int:
        """Chunks of the split, Q C: number q C + c is chunk c of sequence q; some may be masked wholly."""
        return self.sequences(split) * self.chunks(split)

    def positions(self, split: Split) -> int:
        """Positions of the split that are predicted."""
        spans = self.spans[split]
        return int((spans[:, 1] - spans[:, 0]).sum())

    def batch(self, split: Split, index: Tensor, pairs: bool = False) -> SequenceBatch:
        """Chunks by number, (n,). ValueError for pairs: the past is in the sequence itself."""
        if pairs:
            raise ValueError("sequences have no predecessors beside them")
        index, spans = index.to(self.values.device), self.spans[split].to(self.values.device)
        chunks = self.chunks(split)
        first, last, begin = spans[index // chunks].unbind(1)
        at = (first + index % chunks * self.window)[:, None] + torch.arange(self.window, device=first.device)
        mask = at < last[:, None]
        y = self.values[torch.where(mask, at, 0)]
        known = mask & (at > begin[:, None])
        x = self.values[torch.where(known, at - 1, 0)]
        if self.kind == "symbols":
            x, y = torch.where(known, x, -1), torch.where(mask, y, 0)
        else:
            x, y = x * known[..., None], y * mask[..., None]
        return SequenceBatch(x, y, mask, index % chunks == 0)

    def beginning(self, split: Split, length: int) -> SequenceBatch:
        """The first positions of the split's first sequence, at most `length`, as a batch of one chunk."""
        first, last, _ = self.spans[split][0].tolist()
        whole = dataclasses.replace(self, window=max(1, min(length, last - first)))
        return whole.batch(split, torch.zeros(1, dtype=torch.long))

    def to(self, device: torch.device) -> SequenceTask:
        """The same task with its values on `device`."""
        return dataclasses.replace(self, values=self.values.to(device))


class SequenceOrder:
    """Which chunks a step takes: groups of sequences in a new order every epoch, each group's chunks one
    after the other, so that its state goes on.

    All follows from the seed and the step's number.
    """

    def __init__(self, task: SequenceTask, batch: int, seed: int) -> None:
        self.sequences, self.chunks = task.sequences("train"), task.chunks("train")
        self.size = min(batch, self.sequences)
        self.per_epoch = self.sequences // self.size * self.chunks
        self.order = EpochOrder(self.sequences, seed)

    def epoch(self, step: int) -> int:
        return step // self.per_epoch

    def examples(self, step: int) -> Tensor:
        """Chunk numbers of optimiser step `step`, counted from 0."""
        epoch, at = divmod(step, self.per_epoch)
        group, chunk = divmod(at, self.chunks)
        order = self.order.of(epoch)
        return order[group * self.size : (group + 1) * self.size] * self.chunks + chunk


def streams(first: int, last: int, begin: int, count: int) -> list[tuple[int, int, int]]:
    """Spans of `count` equal pieces of positions first .. last - 1 of a sequence that starts at `begin`."""
    edges = np.linspace(first, last, count + 1).astype(int)
    return [(int(a), int(b), begin) for a, b in zip(edges, edges[1:], strict=False)]


def _held_out_streams(length: int, window: int, batch: int) -> int:
    """How many streams a held-out sequence is cut into: they are scored side by side."""
    return max(1, min(batch, length // (EVALUATION_CHUNKS * window)))


def _spans(
    ends: Sequence[int], begin: int, window: int, batch: int
) -> dict[Split, list[tuple[int, int, int]]]:
    """Spans of one long sequence that is split along its positions; training goes along `batch` streams."""
    found: dict[Split, list[tuple[int, int, int]]] = {}
    for split, first, last in zip(SPLITS, (0, *ends), ends, strict=False):
        count = batch if split == "train" else _held_out_streams(last - first, window, batch)
        found[split] = streams(begin + first, begin + last, begin, max(1, min(count, last - first)))
    return found


def _as_tensors(spans: dict[Split, list[tuple[int, int, int]]]) -> dict[Split, Tensor]:
    return {split: torch.tensor(rows, dtype=torch.long).reshape(-1, 3) for split, rows in spans.items()}


def _content(path: Path) -> tuple[bytes, bytes]:
    """A file as it lies there, and unpacked where it is .gz. DataError when it cannot be read."""
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    try:
        packed = path.read_bytes()
        return packed, gzip.decompress(packed) if path.suffix.lower() == ".gz" else packed
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _source(path: Path, packed: bytes, rows: int, series: int, sentence: str) -> Source:
    return Source(path, len(packed), hashlib.sha256(packed).hexdigest(), rows, series, sentence)


def text_task(path: Path, window: int, batch: int, split: str, counts: str = "") -> SequenceTask:
    """A text, character by character: training along `batch` streams of it.

    Parameters
    ----------
    path
        UTF-8, also .gz.
    window
        Characters of a chunk.
    batch
        Streams.
    split, counts
        As for `split_ends`, of characters in order.

    Returns
    -------
    SequenceTask
        Its symbols are the characters that occur, sorted.

    Raises
    ------
    DataError
        For a file that is missing, no UTF-8, too short, or has more than `MOST_SYMBOLS` characters.
    """
    packed, content = _content(path)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    text = text.replace("\r\n", "\n")
    symbols = sorted(set(text))
    if len(symbols) > MOST_SYMBOLS:
        raise DataError(
            f"{path} has {len(symbols):,} different characters, at most {MOST_SYMBOLS:,} can be told apart:"
            " replace the rare ones first"
        )
    if len(text) < 10 * window:
        raise DataError(f"{path} has {len(text):,} characters, fewer than ten windows of {window}")
    number = {symbol: index for index, symbol in enumerate(symbols)}
    values = torch.tensor([number[symbol] for symbol in text], dtype=torch.long)
    ends = split_ends(len(text), split, counts)
    sentence = f"{path.name}: {len(text):,} characters, {len(symbols)} different ones"
    source = _source(path, packed, len(text), 1, sentence)
    return SequenceTask(
        values, _as_tensors(_spans(ends, 0, window, batch)), window, "symbols", symbols, source
    )


def chord_task(path: Path, window: int) -> SequenceTask:
    """Pieces of chords, each predicted from its own beginning on.

    Parameters
    ----------
    path
        JSON, also .gz: {"train": pieces, "valid": pieces, "test": pieces}, a piece a list of chords, a chord
        a list of MIDI numbers from 21 to 108.
    window
        Chords of a chunk.

    Returns
    -------
    SequenceTask
        A position is 88 numbers, 1 for a note that sounds.

    Raises
    ------
    DataError
        For a file that is missing or of another form; the message says where.
    """
    packed, content = _content(path)
    try:
        given = json.loads(content)
    except ValueError as error:  # of bytes that are no text, too
        raise DataError(f"{path} is no JSON: {error}") from error
    names = {"train": "train", "validation": "valid", "test": "test"}
    rows: list[np.ndarray] = []
    spans: dict[Split, list[tuple[int, int, int]]] = {}
    at = pieces = 0
    for split in SPLITS:
        found = given.get(names[split]) if isinstance(given, dict) else None
        if not isinstance(found, list) or not found:
            raise DataError(
                f'{path} needs lists of pieces called "train", "valid" and "test"; {names[split]!r} is none'
            )
        spans[split] = []
        for number, piece in enumerate(found):
            rows.append(_roll(piece, f"{path}, piece {number} of {names[split]!r}"))
            spans[split].append((at, at + len(rows[-1]), at))
            at, pieces = at + len(rows[-1]), pieces + 1
    values = torch.from_numpy(np.concatenate(rows))
    source = _source(path, packed, at, pieces, f"{path.name}: {pieces} pieces, {at:,} chords")
    keys = [str(LOWEST_NOTE + key) for key in range(NOTES)]
    return SequenceTask(values, _as_tensors(spans), window, "chords", keys, source)


def _roll(piece: Any, where: str) -> np.ndarray:
    """(T, 88) float32 of a piece."""
    if not isinstance(piece, list) or not piece or not all(isinstance(chord, list) for chord in piece):
        raise DataError(f"{where} is no list of chords")
    roll = np.zeros((len(piece), NOTES), np.float32)
    for t, chord in enumerate(piece):
        for note in chord:
            if type(note) is not int or not LOWEST_NOTE <= note < LOWEST_NOTE + NOTES:
                raise DataError(
                    f"{where}, chord {t}: {note!r} is no MIDI number from {LOWEST_NOTE} to"
                    f" {LOWEST_NOTE + NOTES - 1}"
                )
            roll[t, note - LOWEST_NOTE] = 1
    return roll


def signal_task(window: int) -> SequenceTask:
    """Made signals, sums of AR(1) factors with noise (`FACTORS`), in units of their own sd; the best possible
    prediction is `vdn.kalman`'s.

    Parameters
    ----------
    window
        Positions of a chunk.

    Returns
    -------
    SequenceTask
        The same signals always.
    """
    total = sum(SIGNALS.values())
    made = simulate(FACTORS, total, SIGNAL_LENGTH, SIGNAL_SEED) / FACTORS.sd
    values = torch.from_numpy(made.reshape(-1, 1).astype(np.float32))
    spans: dict[Split, list[tuple[int, int, int]]] = {}
    number = 0
    for split in SPLITS:
        starts = [SIGNAL_LENGTH * (number + q) for q in range(SIGNALS[split])]
        spans[split] = [(start, start + SIGNAL_LENGTH, start) for start in starts]
        number += SIGNALS[split]
    return SequenceTask(values, _as_tensors(spans), window, "signal", ["signal"])


def table_task(table: Table, window: int, batch: int, split: str, counts: str = "") -> SequenceTask:
    """Series of a table, each for itself, one step ahead.

    Parameters
    ----------
    table
        What was read.
    window
        Rows of a chunk.
    batch
        Streams in training, of all series together; each series has at least one.
    split, counts
        As for `split_ends`.

    Returns
    -------
    SequenceTask
        Scaled by the training rows' mean and sd.

    Raises
    ------
    DataError
        For a series that is constant in the training rows, or a split that cannot be.
    """
    rows, series = table.values.shape
    ends = split_ends(rows, split, counts)
    train = table.values[: ends[0]]
    sd = train.std(0)
    flat = [name for name, one in zip(table.names, sd, strict=True) if not one > 0]
    if flat:
        raise DataError(
            f"column {flat[0]!r} of {table.path} is constant in the training rows; leave it out with"
            " --columns"
        )
    scaled = ((table.values - train.mean(0)) / sd).T.astype(np.float32)
    spans: dict[Split, list[tuple[int, int, int]]] = {name: [] for name in SPLITS}
    for number in range(series):
        for name, rows_of in _spans(ends, number * rows, window, max(1, batch // series)).items():
            spans[name] += rows_of
    values = torch.from_numpy(scaled.reshape(-1, 1))
    return SequenceTask(values, _as_tensors(spans), window, "signal", ["value"], table)
