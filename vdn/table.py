"""Series of numbers read from a text file: comma- and otherwise separated values as people have them.

A file says itself how it is written: separator, decimal mark, header, which column is the time. What it says
is read; what it leaves open is an error that names the line and the flag that settles it. Nothing is left out
without a word: `Table.sentence` says what was read and what was not.

The time column is read, never forecast: rows newest first are turned round, rows out of order sorted,
repeated and missing times named.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vdn import cells
from vdn.records import Column, DataError, Records, names_in, read_records
from vdn.time_columns import in_order, note_steps, refuse_long, times_of

TIMES_BEFORE = ("date", "time", "datetime", "timestamp", "t")


@dataclass(frozen=True)
class Dialect:
    """What is known of how a file is written; an empty text: the file says so itself.

    sep: one character, or comma, semicolon, tab, bar, space. decimal: "." or ",". header: "none" where the
    first line holds values, "first" where it holds names though they look like values. time: column of times,
    or two with a comma between (date,clock); "none": there is none. id: column that tells series apart where
    a table has one row for each series and time. columns: the series, with commas between.
    """

    sep: str = ""
    decimal: str = ""
    header: str = ""
    time: str = ""
    id: str = ""
    columns: str = ""


@dataclass
class Table:
    """Series (rows, series) float64 with names, and what was read.

    times: of the rows, None where the file has none. notes: what a reader should know. left_out: column ->
    why. size, sha256: of the file as it lies there, in bytes and as hexadecimal digits.
    """

    path: Path
    values: np.ndarray
    names: list[str]
    times: pd.DatetimeIndex | None = None
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    size: int = 0
    sha256: str = ""

    @property
    def sentence(self) -> str:
        """One line: rows, series, time range, step, what was done and what was left out."""
        rows, count = self.values.shape
        shown = ", ".join(self.names[:5]) + (f" and {count - 5} more" if count > 5 else "")
        parts = [f"{self.path.name}: {rows:,} rows of {count} series ({shown})"]
        if self.times is not None:
            span = f"{cells.time_text(self.times[0])} to {cells.time_text(self.times[-1])}"
            step = cells.usual_step(self.times)
            parts.append(f"{span}, step {step[0]}" if step else span)
        parts += self.notes
        if self.left_out:
            parts.append("left out: " + ", ".join(f"{name} ({why})" for name, why in self.left_out.items()))
        return "; ".join(parts)

    @property
    def identity(self) -> dict[str, Any]:
        """What says whether a file is the same: path, bytes, sha256, rows, series; and what was read."""
        return {
            "path": str(self.path.resolve()),
            "bytes": self.size,
            "sha256": self.sha256,
            "rows": len(self.values),
            "series": len(self.names),
            "read": self.sentence,
        }


def read_table(path: Path, dialect: Dialect | None = None) -> Table:
    """Read a file's series.

    Parameters
    ----------
    path
        Text, also compressed (.gz, .bz2, .xz), in UTF-8, UTF-16 or Latin-1.
    dialect
        What the file leaves open.

    Returns
    -------
    Table
        In order of time.

    Raises
    ------
    DataError
        For a file that is missing or no table of numbers, or may be read in two ways; the message names file,
        line, what stands there, and the remedy.
    """
    dialect = dialect or Dialect()
    records = read_records(path, dialect.sep, dialect.header, dialect.decimal)
    if not any(column.numeric for column in records.columns):
        raise records.fault(
            f"no column of numbers, read with separator {records.separator} ({records.example}); a series is"
            " a column of numbers, a column of times may stand beside it; --sep, --decimal and --header tell"
            " how the file is written",
            0,
        )
    asked = [records.column(name, "--columns") for name in names_in(dialect.columns)]
    key = records.column(dialect.id, "--id") if dialect.id else None
    times, of_time = times_of(
        records, dialect.time, [column for column in (*asked, key) if column is not None]
    )
    rest = [
        column for column in asked or records.columns if column is not key and column.number not in of_time
    ]
    names, values = _series(records, rest, bool(asked), dialect.decimal)
    if key is not None:
        times, names, values = _one_column_each(records, times, key, names, values)
    elif times is not None:
        refuse_long(records, times, of_time)
        times, values = in_order(records, times, values)
    dated = None if times is None else note_steps(records, times)
    digest = hashlib.sha256(records.content).hexdigest()
    size = len(records.content)
    return Table(path, values, names, dated, records.notes, records.left_out, size, digest)


def read_as_before(path: Path, columns: str = "") -> Table:
    """Read a file as runs did that kept no record of theirs: commas, a header, rows as they stand.

    columns: with commas between, all of numbers without it; a first column is left out that is called date,
    time, datetime, timestamp or t. Raises DataError when the file cannot be read so.
    """
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    try:
        frame = pd.read_csv(path)
        frame = frame[[name.strip() for name in columns.split(",")]] if columns else frame
    except (ValueError, KeyError, OSError) as error:  # ValueError is what pandas' own errors are
        raise DataError(f"{path} cannot be read as when the run was trained: {error}") from error
    named = [name for name in frame.columns[:1] if str(name).lower() in TIMES_BEFORE]
    numeric = frame.drop(columns=named).select_dtypes("number")
    return Table(path, numeric.to_numpy(np.float64), [str(name) for name in numeric.columns])


def _series(
    records: Records, columns: list[Column], asked: bool, decimal: str
) -> tuple[list[str], np.ndarray]:
    """Names and values (rows, series) of the columns of numbers; of those asked for, all must be."""
    numeric = []
    for column in columns:
        if column.numeric:
            numeric.append(column)
            continue
        row, example = next((i, cell.strip()[:20]) for i, cell in enumerate(column.cells) if cell.strip())
        if asked:
            raise records.fault(f"column {column.name!r} holds {example!r} and the like, no numbers", row)
        if cells.unit(example) and all(
            cells.unit(cell) == cells.unit(example) for cell in column.cells if not cells.is_missing(cell)
        ):
            raise records.fault(
                f"column {column.name!r} has a unit in its cells ({example!r}): write numbers alone, or"
                " choose the series with --columns",
                row,
            )
        records.left_out[column.name] = f"text, such as {example!r}"
    if not numeric:
        raise records.fault("no column of numbers beside that of times; --columns names one that is a series")
    mark = decimal or _decimal_mark(records, numeric)
    if mark == ",":
        records.notes.append("decimal comma")
    values = np.column_stack([_numbers(records, column, mark) for column in numeric])
    for column, series in zip(numeric, values.T, strict=True):
        for number, count in cells.marks_of_gaps(series).items():
            times = "once" if count == 1 else f"{count:,} times"
            records.notes.append(
                f"{column.name} holds {number:g} {times}, far from all else: if that marks gaps, fill or"
                " remove them"
            )
    return [column.name for column in numeric], values


def _decimal_mark(records: Records, columns: list[Column]) -> str:
    """The mark that the cells prove; an error where they contradict each other or leave a comma open."""
    if all(column.plain is not None for column in columns):
        _refuse_thousands(records, columns)
        return "."
    proof: dict[str, tuple[int, str]] = {}
    for column in columns:
        if column.plain is not None and "." in proof:
            continue  # nothing new
        for row, cell in enumerate(column.cells):
            mark = cells.decimal_of(cell)
            if mark and mark not in proof:
                proof[mark] = row, f"{cell.strip()!r} in {column.name!r}"
                if column.plain is not None:
                    break
    if "." in proof and "," in proof:
        row, point = proof["."]
        other, comma = proof[","]
        raise records.fault(
            f"{point} has a decimal point, {comma} (line {records.lines[other]}) a decimal comma: write all"
            " alike, or leave one out with --columns",
            row,
        )
    if "?" in proof and len(proof) == 1:
        row, cell = proof["?"]
        raise records.fault(
            f"{cell} may have a decimal comma or a mark of thousands: --decimal , or --decimal . says which",
            row,
        )
    return "," if "," in proof else "."


def _refuse_thousands(records: Records, columns: list[Column]) -> None:
    """Refuse 1.234 beside 987 where nothing proves that the point is the decimal mark."""
    if records.sep == ",":
        return  # a file with marks of thousands has another separator, or commas for them
    for column in columns:
        if cells.may_be_thousands(column.cells):
            row = next(i for i, cell in enumerate(column.cells) if "." in cell)
            raise records.fault(
                f"{column.cells[row].strip()!r} in {column.name!r} may have a decimal point or a mark of"
                " thousands: --decimal . or --decimal , says which",
                row,
            )


def _numbers(records: Records, column: Column, mark: str) -> np.ndarray:
    """The values of a column; an error for a cell that is none."""
    values = column.plain if mark == "." else None
    if values is not None:
        return values
    sign = next(filter(None, map(cells.affix, column.cells)), "")
    spoken = "per cent sign" if sign == "%" else f"sign {sign}"
    result = np.empty(len(column.cells))
    for row, cell in enumerate(column.cells):
        value = cells.number(cell, mark)
        if value is None or not np.isfinite(value):
            shown = f" ({cell.strip()!r})" if cell.strip() else ""
            what = f"a gap{shown}" if cells.is_missing(cell) else f"{cell.strip()!r}, which is no number,"
            raise records.fault(
                f"column {column.name!r} has {what} at data row {row + 1}: fill or remove it first, or choose"
                " other columns with --columns",
                row,
            )
        if cells.affix(cell) != sign:
            raise records.fault(
                f"{cell.strip()!r} in column {column.name!r} has no {spoken}, other rows have one", row
            )
        result[row] = value
    if sign:
        records.notes.append(f"{spoken} of {column.name} taken off")
    return result


def _one_column_each(
    records: Records, times: pd.Index | None, key: Column, names: list[str], values: np.ndarray
) -> tuple[pd.Index, list[str], np.ndarray]:
    """A long table as one column for each of its series."""
    if times is None:
        raise records.fault("--id needs a column of times that says which rows belong together: --time")
    ids = [cell.strip() for cell in key.cells]
    index = pd.MultiIndex.from_arrays([times, ids])
    if index.has_duplicates:
        at = int(np.flatnonzero(index.duplicated())[0])
        raise records.fault(f"{ids[at]!r} has a second row at {cells.time_text(times[at])}", at)
    wide = pd.DataFrame(values, index, names).unstack()
    holes = np.argwhere(wide.isna().to_numpy())
    if len(holes):
        row, place = holes[0]
        raise records.fault(
            f"{wide.columns[place][-1]!r} has no row at {cells.time_text(wide.index[row])}; every series"
            " needs the same times: fill or remove them first"
        )
    records.notes.append(f"one series for each {key.name}")
    labels = [str(pair[1]) if len(names) == 1 else f"{pair[1]} {pair[0]}" for pair in wide.columns.tolist()]
    return wide.index, labels, wide.to_numpy(np.float64)
