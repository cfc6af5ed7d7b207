"""Data sets as training tasks: windows of series that forecast what follows, and rows of tables.

Forecasting is channel-independent: an example is one series' window of `window` values and the `horizon`
values after it, named by its origin t, the position of the first target. Splits follow time and own their
targets; windows may reach back.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vdn.config import FILES, ROW_TASKS, Config, from_dict, is_sequence, kind_of
from vdn.records import DataError
from vdn.sequence_data import SequenceTask, chord_task, signal_task, table_task, text_task
from vdn.splits import SPLITS as SPLITS
from vdn.splits import Split as Split
from vdn.splits import split_ends as split_ends
from vdn.table import Dialect, Table, read_as_before, read_table

_HERE = Path(__file__).resolve().parent
_DATA = (
    _HERE / "_data" if (_HERE / "_data").is_dir() else _HERE.parent / "data"
)  # in a wheel, else a checkout
NYC = _DATA / "nyc_weather_2013.csv.gz"
TEXT = _DATA / "tiny_shakespeare.txt.gz"
READING = ("columns", "sep", "decimal", "header", "time", "id")  # settings of how a file is read
DATA_FILE = "data_file"  # of the configuration that a log keeps: `identity`
ROUNDING = 8 * np.finfo(np.float64).eps  # of the largest value: a column that varies less is constant
# length of a block of windows: errors of means stop growing with it there (docs/decisions.md)
BLOCK_HORIZONS = 2
ROWS_AT_ONCE = 16384  # rows of one forward pass, draws included: about 16 MB an array at 256 neurons
SHUFFLE_SEED = 0  # of the rows of digits and diabetes: one split for all seeds, so that runs compare


class Batch(NamedTuple):
    """Examples x (B, inputs) with targets y, (B, H) numbers or (B,) classes.

    series: (B/2,) series of each origin when the second half of the rows holds the predecessors of the first,
    else None.
    """

    x: Tensor
    y: Tensor
    series: Tensor | None = None


@dataclass
class ForecastTask:
    """Windows of series, scaled by the training rows' mean and sd alone.

    values (C, T) float32 scaled; ends: (train, validation, test) ends of rows; stride: how far back a
    predecessor's origin lies, in rows; season: period of the seasonal baseline, in rows; table: what was
    read.
    """

    values: Tensor
    names: list[str]
    ends: tuple[int, int, int]
    window: int
    horizon: int
    stride: int
    season: int
    kind: Literal["forecast"] = "forecast"
    pairs: bool = True
    table: Table | None = None

    def __post_init__(self) -> None:
        for split in SPLITS:
            first, last = self.origins(split)
            if last <= first:
                raise DataError(
                    f"the {split} split has no room for a window of {self.window} with a horizon of"
                    f" {self.horizon} and a predecessor {self.stride} rows before; take smaller ones"
                    " (--window, --horizon, --stride) or more rows"
                )

    @property
    def inputs(self) -> int:
        return self.window

    @property
    def outputs(self) -> int:
        return self.horizon

    def origins(self, split: Split) -> tuple[int, int]:
        """First origin and one past the last: every target lies in the split, in training the predecessor's
        too.
        """
        index = SPLITS.index(split)
        start = 0 if index == 0 else self.ends[index - 1]
        earliest = self.window + self.stride
        return max(start, earliest), self.ends[index] - self.horizon + 1

    def count(self, split: Split) -> int:
        """Origins of the split, over all series."""
        first, last = self.origins(split)
        return self.values.shape[0] * (last - first)

    def locate(self, split: Split, index: Tensor) -> tuple[Tensor, Tensor]:
        """(series, origin) of examples 0 .. count - 1, in order (series, origin)."""
        first, last = self.origins(split)
        return index // (last - first), first + index % (last - first)

    def blocks(self, split: Split, index: Tensor) -> Tensor:
        """Number of the block of time that each example's origin lies in: `BLOCK_HORIZONS` horizons long, the
        first from the split's first origin.

        Windows that overlap share targets, and series share their time: examples of one block, of whichever
        series, count as one for errors.
        """
        since = self.locate(split, index)[1] - self.origins(split)[0]
        return since // (BLOCK_HORIZONS * self.horizon)

    def batch(self, split: Split, index: Tensor, pairs: bool = False) -> Batch:
        """Examples by number, (n,); with `pairs` followed by their predecessors: 2n rows."""
        series, origin = self.locate(split, index)
        at, rows = origin, series
        if pairs:
            at, rows = torch.cat([origin, origin - self.stride]), torch.cat([series, series])
        spans = self.values.unfold(1, self.window + self.horizon, 1)
        span = spans[rows, at - self.window]
        return Batch(span[:, : self.window], span[:, self.window :], series if pairs else None)

    def to(self, device: torch.device) -> ForecastTask:
        """The same task with its values on `device`."""
        return dataclasses.replace(self, values=self.values.to(device))


def forecast_task(
    path: Path,
    window: int,
    horizon: int,
    stride: int,
    season: int,
    split: str = "0.7,0.1,0.2",
    counts: str = "",
    columns: str = "",
    dialect: Dialect | None = None,
) -> ForecastTask:
    """Series of a file as a forecasting task; columns: those of `dialect` without it. See `read_table`,
    `split_ends` and `ForecastTask`. Raises DataError.
    """
    for name, value in (("window", window), ("horizon", horizon), ("stride", stride), ("season", season)):
        if value < 1:
            raise DataError(f"{name} must be at least 1, this is {value}")
    if season > window:
        raise DataError(f"the season of {season} rows does not fit into a window of {window}")
    dialect = dialect or Dialect()
    table = read_table(path, dataclasses.replace(dialect, columns=columns or dialect.columns))
    task = _windows(table, split_ends(len(table.values), split, counts), window, horizon, stride, season)
    train = table.values[: task.ends[0]]
    flat = [name for name, column in zip(table.names, train.T, strict=True) if is_constant(column)]
    if flat:
        raise DataError(
            f"column {flat[0]!r} of {path} is constant in the training rows; leave it out with --columns"
        )
    task.table = table
    return task


def _windows(
    table: Table, ends: tuple[int, int, int], window: int, horizon: int, stride: int, season: int
) -> ForecastTask:
    """Series scaled by their training rows; one that does not move there becomes NaN."""
    train = table.values[: ends[0]]
    exponents = np.frexp(np.abs(train).max(0))[1]  # squares of 1e-200 are no numbers
    values = np.ldexp(table.values, -exponents)
    train = values[: ends[0]]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = ((values - train.mean(0)) / train.std(0)).T.astype(np.float32)
    return ForecastTask(torch.from_numpy(scaled.copy()), table.names, ends, window, horizon, stride, season)


def is_constant(values: np.ndarray) -> bool:
    """Whether numbers (n,) differ by no more than their own rounding."""
    return len(values) == 0 or bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


@dataclass
class RowTask:
    """Independent rows: inputs x (rows, D) scaled by the training rows, targets y (rows, 1) likewise or
    classes (rows,).
    """

    x: Tensor
    y: Tensor
    ends: tuple[int, int, int]
    names: list[str]
    outputs: int
    kind: Literal["regression", "classification"]
    pairs: bool = False

    @property
    def inputs(self) -> int:
        return self.x.shape[1]

    def count(self, split: Split) -> int:
        """Rows of the split."""
        index = SPLITS.index(split)
        return self.ends[index] - (self.ends[index - 1] if index else 0)

    def batch(self, split: Split, index: Tensor, pairs: bool = False) -> Batch:
        """Examples by number, (n,). ValueError for pairs: rows have no predecessors."""
        if pairs:
            raise ValueError("rows of a table have no predecessors")
        at = index + (self.ends[SPLITS.index(split) - 1] if split != "train" else 0)
        return Batch(self.x[at], self.y[at])

    def to(self, device: torch.device) -> RowTask:
        """The same task with its values on `device`."""
        return RowTask(self.x.to(device), self.y.to(device), self.ends, self.names, self.outputs, self.kind)


Task = ForecastTask | RowTask | SequenceTask


def row_task(name: str, split: str, counts: str = "") -> RowTask:
    """scikit-learn's digits (8 x 8 images, 10 classes) or diabetes (10 features, one number), shuffled once.

    split, counts: see `split_ends`. Raises DataError for a split that cannot be or leaves a part without
    rows.
    """
    from sklearn.datasets import load_diabetes, load_digits

    x, y = (load_digits if name == "digits" else load_diabetes)(return_X_y=True)
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(x))
    x, y = x[order].astype(np.float64), y[order]
    ends = split_ends(len(x), split, counts)
    if min(np.diff((0, *ends))) < 1:
        raise DataError(f"the split {counts or split} of {len(x)} rows leaves a part without any")
    train = x[: ends[0]]
    # blank corners of the images stay 0
    sd = np.array([1.0 if is_constant(column) else column.std() for column in train.T])
    scaled = (x - train.mean(0)) / sd
    inputs = torch.from_numpy(scaled.astype(np.float32))
    names = [f"x{i}" for i in range(x.shape[1])]
    if name == "digits":
        return RowTask(inputs, torch.from_numpy(y.astype(np.int64)), ends, names, 10, "classification")
    target = (y - y[: ends[0]].mean()) / y[: ends[0]].std()
    return RowTask(inputs, torch.from_numpy(target.astype(np.float32))[:, None], ends, names, 1, "regression")


def load(config: Config, as_before: bool = False) -> Task:
    """The task of a resolved configuration. Raises DataError, naming what cannot be used.

    as_before: read the file as runs did that kept no record of theirs, so that their scores stay.
    """
    if config.data in ROW_TASKS:
        return row_task(config.data, config.split, config.split_rows)
    assert config.window is not None
    assert config.horizon is not None
    if is_sequence(config):
        return _sequences(config)
    path = NYC if config.data == "nyc" else path_of(config.data)
    if as_before:
        table = read_as_before(path, config.columns)
        ends = split_ends(len(table.values), config.split, config.split_rows)
        return _windows(table, ends, config.window, config.horizon, config.stride, config.season)
    return forecast_task(
        path,
        config.window,
        config.horizon,
        config.stride,
        config.season,
        config.split,
        config.split_rows,
        config.columns,
        Dialect(config.sep, config.decimal, config.header, config.time, config.id),
    )


def _sequences(config: Config) -> SequenceTask:
    """The task of a configuration whose data are sequences."""
    assert config.window is not None
    kind, window, batch = kind_of(config.data), config.window, config.batch
    if kind == "signal":
        return signal_task(window)
    if kind == "chords":
        return chord_task(path_of(config.data), window)
    path = {"text": TEXT, "nyc": NYC}.get(config.data) or path_of(config.data)
    if kind == "text":
        return text_task(path, window, batch, config.split, config.split_rows)
    dialect = Dialect(config.sep, config.decimal, config.header, config.time, config.id, config.columns)
    return table_task(read_table(path, dialect), window, batch, config.split, config.split_rows)


def say_what_was_read(task: Task) -> None:
    """One line to the log "vdn", of data that is a file."""
    if not isinstance(task, RowTask) and task.table is not None:
        logging.getLogger("vdn").info("read %s", task.table.sentence)


def path_of(data: str) -> Path:
    """The file of csv:PATH, text:PATH or chords:PATH."""
    return Path(data.partition(":")[2]).expanduser()


def identity(config: Config, task: Task) -> dict[str, Any]:
    """What a run keeps of the data that it is trained on: `Table.identity`; none for rows of a library."""
    table = None if isinstance(task, RowTask) else task.table
    if table is None:
        return {}
    own = {"path": config.data} if not config.data.startswith(FILES) else {}
    return table.identity | own


def load_known(
    config: Config,
    known: Mapping[str, Any],
    data: str | None = None,
    changed: bool = False,
    reading: Mapping[str, str] | None = None,
) -> tuple[Config, Task]:
    """The data of a run that exists: that which it was trained on, wherever it lies now.

    Parameters
    ----------
    config
        Of the run.
    known
        `identity` of when it was trained; empty for a run that kept none, whose file is read as it was then.
    data
        csv:PATH (text:PATH, chords:PATH) where the file lies now, if somebody has said so.
    changed
        Whether other data, or another reading of it, is welcome.
    reading
        Settings of READING that take the place of the run's own.

    Returns
    -------
    tuple
        The configuration, with where the data lies, and the task.

    Raises
    ------
    DataError
        For a file that is gone or, unless that is welcome, is another than then or read otherwise.
    """
    other = {name: value for name, value in (reading or {}).items() if value != getattr(config, name)}
    if other and not changed:
        flags = " ".join(f"--{name} {value!r}" for name, value in other.items())
        own = " ".join(f"--{name} {getattr(config, name)!r}" for name in other)
        raise DataError(
            f"{flags} is not how the run read its data ({own}): leave it out, or --changed-data takes it"
        )
    config = from_dict(dict(other), config)
    of_file, prefix = config.data.startswith(FILES), f"{kind_of(config.data)}:"
    if data is not None and not of_file:
        raise DataError(f"the run was trained on {config.data}, which is no file: leave --data out")
    if data is not None:
        config = dataclasses.replace(config, data=data if data.startswith(prefix) else f"{prefix}{data}")
    elif of_file and known:
        here, there = path_of(config.data), Path(str(known["path"]))
        if not _is(here, known) and there.is_file() and (_is(there, known) or not here.is_file()):
            config = dataclasses.replace(config, data=f"{prefix}{there}")
        elif not here.is_file():
            raise DataError(
                f"no such file: {here}; the run was trained on it ({_spoken(known)}): if it has moved,"
                f" --data {prefix}PATH says where it lies"
            )
    before = not known and not other and not is_sequence(config) and config.data not in ROW_TASKS
    task = load(config, as_before=before)
    now = identity(config, task)
    if known and now and now["sha256"] != known["sha256"] and not changed:
        raise DataError(
            f"{now['path']} has changed since the run was trained on it: {_spoken(known)} then,"
            f" {_spoken(now)} now; put the file back, or --changed-data takes it as it is"
        )
    return config, task


def _is(path: Path, known: Mapping[str, Any]) -> bool:
    try:
        return (
            path.stat().st_size == known["bytes"] and sha256(path.read_bytes()).hexdigest() == known["sha256"]
        )
    except OSError:
        return False


def _spoken(known: Mapping[str, Any]) -> str:
    size = f"{known['rows']:,} rows of {known['series']} series, {known['bytes']:,} bytes"
    return f"{size}, sha256 {known['sha256'][:12]}"


def index_batches(task: Task, split: Split, draws: int, limit: int | None = None) -> Iterator[Tensor]:
    """Example numbers of a split in batches that fit into memory.

    Parameters
    ----------
    task, split
        What is scored.
    draws
        Draws that each example gets.
    limit
        That many examples, evenly spread; all by default.

    Yields
    ------
    Tensor
        int64.
    """
    count = task.count(split)
    taken = count if limit is None else min(limit, count)
    index = (
        (torch.arange(taken, dtype=torch.float64) * (count / taken)).long()
        if taken < count
        else torch.arange(count)
    )
    yield from index.split(max(1, ROWS_AT_ONCE // draws))
