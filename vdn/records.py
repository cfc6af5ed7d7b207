"""A text file as columns of cells: its encoding, separator and header, as the file itself shows them.

What stands above the header, comments, a line of units and empty columns are left out with a note; a line
that does not fit the header is an error that names it.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import lzma
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

import numpy as np

from vdn import cells

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "}
SPOKEN = {mark: name for name, mark in SEPARATORS.items()}
OPENERS: dict[str, Callable[..., IO[Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MAGIC = {b"PK\x03\x04": "an Excel workbook or ZIP archive", b"\xd0\xcf\x11\xe0": "an Excel workbook"}
MAGIC |= {
    b"PAR1": "Parquet",
    b"%PDF": "PDF",
    b"\x89HDF": "HDF5",
    b"\x1f\x8b": "gzip",
    b"\x93NUMPY": "NumPy's",
}
TAGS = rb"<(?:[!?]|/?(?:html|head|body|title|table|div|pre|p|svg|xml)\b)"  # and <DATE> is a name
MARKUP = {TAGS: "HTML or XML", rb"\{|\[\s*[\[{]": "JSON"}
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
MARKS |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
ONE_COLUMN = "\x1f"  # the separator of a file without one
SAMPLE = 400  # lines that the separator is chosen by


class DataError(ValueError):
    """The data cannot be used; the message says which part and what to do."""


@dataclass
class Column:
    """Cells of a column. number: its place in the file, counted from 1."""

    name: str
    cells: list[str]
    number: int

    @cached_property
    def plain(self) -> np.ndarray | None:
        """Its numbers, where all cells are written as Python writes them; else None."""
        return cells.plain_numbers(self.cells)

    @cached_property
    def values(self) -> np.ndarray | None:
        """Its numbers, also where all are written alike with a decimal comma; else None."""
        if self.plain is not None:
            return self.plain
        pointed = [cell.replace(",", ".") for cell in self.cells]
        return None if any("." in cell for cell in self.cells) else cells.plain_numbers(pointed)

    @cached_property
    def numeric(self) -> bool:
        """Whether at least half of the cells that hold something are numbers."""
        if self.plain is not None:
            return True
        held = [cell for cell in self.cells if not cells.is_missing(cell)]
        return bool(held) and 2 * sum(map(cells.is_number, held)) >= len(held)

    @property
    def word(self) -> str:
        """Its name in lower case, without a unit in brackets; <DATE> as date."""
        return re.sub(r"\s*[(\[].*$", "", self.name).lower().strip("<>") or self.name.lower()

    @property
    def unnamed(self) -> bool:
        """Whether the file gives it no name; pandas' "Unnamed: 0" is none."""
        return self.name == f"column {self.number}" or self.name.lower().startswith("unnamed:")


@dataclass
class Records:
    """Columns of a file.

    lines: of the file, counted from 1, one a row. notes: what a reader should know. left_out: column -> why.
    content: the file as it lies there. sep: the separator.
    """

    path: Path
    columns: list[Column] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    sep: str = ","

    @property
    def separator(self) -> str:
        """What the separator is called."""
        return "none" if self.sep == ONE_COLUMN else SPOKEN.get(self.sep, repr(self.sep))

    @property
    def example(self) -> str:
        """What stands in the first row."""
        return ", ".join(repr(column.cells[0].strip()[:20]) for column in self.columns[:3])

    def column(self, name: str, flag: str) -> Column:
        """The column that a flag names. Raises DataError, with the nearest name, where there is none."""
        known = [column.name for column in self.columns]
        if name in known:
            return self.columns[known.index(name)]
        if name in self.left_out:
            raise self.fault(f"column {name!r} of {flag} is {self.left_out[name]}")
        close = get_close_matches(name, known, 1)
        guess = f"; did you mean {close[0]!r}?" if close else ""
        raise self.fault(f"no column {name!r} of {flag}{guess}; it has {', '.join(known[:20])}")

    def fault(self, text: str, row: int | None = None) -> DataError:
        """An error of the file, at a row (counted from 0) where there is one."""
        where = f"{self.path}" if row is None else f"{self.path}, line {self.lines[row]}"
        return DataError(f"{where}: {text}")


def names_in(text: str) -> list[str]:
    """Names of columns with commas between, as a line of CSV. Raises DataError where it cannot be read."""
    try:
        names = next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error as error:
        raise DataError(f"names of columns have commas between, these are {text!r}: {error}") from error
    return [name.strip() for name in names if name.strip()]


def read_records(path: Path, sep: str = "", header: str = "", decimal: str = "") -> Records:
    """Columns of a text file.

    Parameters
    ----------
    path
        UTF-8, UTF-16, UTF-32 or Latin-1; also compressed (.gz, .bz2, .xz).
    sep
        One character, or a name of SEPARATORS; empty: the one that cuts most lines alike.
    header
        "first": the first line holds names; "none": it holds values; empty: names, unless all its cells are
        values.
    decimal
        The decimal mark, if it is known: a comma separates then in quotes alone.

    Returns
    -------
    Records
        At least one row.

    Raises
    ------
    DataError
        For a file that is missing, no text, or whose lines do not fit the header.
    """
    found = Records(path)
    text = _text(found, _content(found))
    lines = re.split(r"\r\n|\n|\r", text.rstrip("\x1a\r\n\f "))
    first, sep = 0, _separator_of(sep)
    declared = re.fullmatch(r'"?sep=(.)"?', lines[0].strip("\ufeff"), re.IGNORECASE)  # as Excel writes it
    if declared:
        first, sep = 1, sep or declared[1]
    sep = found.sep = sep or _guess_separator(lines[first : first + SAMPLE], decimal)
    rows = _rows(found, lines, first, sep)
    rows = _below_preamble(found, rows)
    rows = _below_comment(found, lines, rows, header)
    width = max(len(row) for row in rows)
    names = [str(i + 1) for i in range(width)]
    if _has_header(found, rows, header):
        names = [" ".join(name.strip("\ufeff").split()) for name in rows[0]]
        rows, found.lines = rows[1:], found.lines[1:]
        if not rows:
            raise found.fault("no rows under the header")
        _check_widths(found, rows, names, sep)
        rows = _below_units(found, rows)
    columns = list(zip_longest(*rows, fillvalue=""))[: len(names)]
    columns += [("",) * len(rows)] * (len(names) - len(columns))
    for number, (name, held) in enumerate(zip(names, columns, strict=True), 1):
        column = Column(name or f"column {number}", list(held), number)
        if any(cell.strip() for cell in column.cells):
            found.columns.append(column)
        else:
            found.left_out[column.name] = "empty"
    for name, count in Counter(column.name for column in found.columns).items():
        if count > 1:
            raise found.fault(f"{count} columns are called {name!r}: give them names of their own")
    return found


def _content(found: Records) -> bytes:
    path = found.path
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder")
        if not path.exists():
            raise DataError(f"no such file: {path}")
        if not path.is_file():
            raise DataError(f"{path} is no plain file")
        found.content = path.read_bytes()
        opener = OPENERS.get(path.suffix.lower())
        if opener is None:
            return found.content
        with opener(path, "rb") as file:
            return bytes(file.read())
    except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _text(found: Records, content: bytes) -> str:
    for magic, what in MAGIC.items():
        if content.startswith(magic):
            raise found.fault(f"cannot be read as CSV: this is {what}; export it as CSV")
    if not content.strip():
        raise found.fault("cannot be read as CSV: it is empty")
    top = content.lstrip().partition(b"\n")[0].lower()
    for start, what in MARKUP.items():
        if re.match(start, top):
            raise found.fault(f"cannot be read as CSV: this is {what}; export it as CSV")
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "")
    start = content[:4000]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if not encoding and max(even, odd) > len(start) // 5 and min(even, odd) <= len(start) // 50:
        encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        if encoding:
            return content.decode(encoding)
        if 0 in content or sum(byte < 32 and byte not in b"\t\n\r\f\x1a" for byte in start) > 4:
            raise found.fault("cannot be read as CSV: it holds bytes that are no text")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if encoding:
            raise found.fault(f"cannot be read as CSV: {error.reason}, as {encoding}") from error
    found.notes.append("read as Latin-1, since it is no UTF-8")
    return content.decode("cp1252", errors="replace")


def _separator_of(asked: str) -> str:
    sep = SEPARATORS.get(asked.lower(), {"\\t": "\t", "whitespace": " ", "pipe": "|"}.get(asked, asked))
    if asked and (len(sep) != 1 or sep.isalnum() or sep in "\"'\n\r.-+"):
        raise DataError(f"--sep is one character or {', '.join(SEPARATORS)}, and not {asked!r}")
    return sep


def _guess_separator(lines: Sequence[str], decimal: str) -> str:
    """What cuts most lines into equally many fields, which are numbers and times: by the product of both
    shares, the first of equals.
    """
    best, found = 0.0, ONE_COLUMN
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for sep in SPOKEN:
        if sep == decimal and not any('"' in line for line in lines):
            continue
        rows: list[list[str]] = []
        try:
            for row in _parsed(lines, sep):
                rows.append(row)
        except csv.Error:
            pass  # what came before it counts
        counts = Counter(len(row) for row in rows)
        count, often = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if count < 2 or 2 * often < len(rows):
            continue
        held = [cell for row in rows[1:] if len(row) == count for cell in row if cell.strip()]
        good = sum(cells.is_value(cell) for cell in held) / max(1, len(held))
        score = often / len(rows) * (0.01 + good)
        if score > best + 1e-9:
            best, found = score, sep
    return found


def _parsed(lines: Iterable[str], sep: str) -> Any:
    """A `csv.reader` of lines without their ends; a run of spaces counts as one."""
    if sep == " ":
        lines = (re.sub(r"[ \t]+", " ", line.strip()) for line in lines)
    return csv.reader((line + "\n" for line in lines), delimiter=sep, skipinitialspace=True, strict=True)


def _rows(found: Records, lines: list[str], first: int, sep: str) -> list[list[str]]:
    """Rows and their lines; comments, empty lines and empty rows at both ends are skipped."""
    numbers = [i for i in range(first, len(lines)) if not lines[i].lstrip().startswith("#")]
    if len(numbers) < len(lines) - first:
        found.notes.append(f"{_counted(len(lines) - first - len(numbers), 'comment line')} skipped")
    rows: list[list[str]] = []
    reader = _parsed((lines[i] for i in numbers), sep)
    try:
        for row in reader:
            if row:
                rows.append(row)
                found.lines.append(numbers[reader.line_num - 1] + 1)
    except csv.Error as error:
        at = numbers[min(reader.line_num, len(numbers)) - 1] + 1
        raise DataError(
            f"{found.path}, line {at}: cannot be read as CSV: {error}; is a quote left open?"
        ) from error
    held = [i for i, row in enumerate(rows) if any(cell.strip() for cell in row)]
    if not held:
        raise found.fault("cannot be read as CSV: it holds no rows")
    rows, found.lines = rows[held[0] : held[-1] + 1], found.lines[held[0] : held[-1] + 1]
    if sep not in (",", ONE_COLUMN):
        found.notes.append(f"separator {SPOKEN.get(sep, repr(sep))}")
    return rows


def _below_preamble(found: Records, rows: list[list[str]]) -> list[list[str]]:
    """Without lines of fewer fields, titles and such, above the names of a table of several columns."""
    widths = Counter(len(_trimmed(row)) for row in rows)
    usual = max(widths.items(), key=lambda item: (item[1], item[0]))[0]
    start = 0
    while usual > 1 and start < len(rows) and len(_trimmed(rows[start])) == 1:
        start += 1
    wide = next((i for i, row in enumerate(rows) if len(_trimmed(row)) >= usual), 0)
    if wide and not any(cells.is_value(cell) for cell in rows[wide] if cell.strip()):
        start = wide
    if not start or start == len(rows) or cells.all_values(rows[start]):
        return rows
    found.notes.append(f"{_counted(start, 'line')} above the header skipped")
    found.lines = found.lines[start:]
    return rows[start:]


def _below_comment(found: Records, lines: list[str], rows: list[list[str]], header: str) -> list[list[str]]:
    """With the names that stand in the comment right above the values, if one has a name for each."""
    above = found.lines[0] - 2  # counted from 0
    if header == "none" or above < 0 or not lines[above].lstrip().startswith("#"):
        return rows
    if not cells.all_values(rows[0]):
        return rows
    names: list[str] = next(_parsed([lines[above].lstrip().lstrip("#")], found.sep), [])
    if len(names) != len(rows[0]) or any(cells.is_number(name) for name in names):
        return rows
    found.notes.append(f"names from the comment in line {above + 1}")
    found.lines = [above + 1, *found.lines]
    return [names, *rows]


def _has_header(found: Records, rows: list[list[str]], asked: str) -> bool:
    if asked in ("none", "first") or not cells.all_values(rows[0]):
        return asked != "none"
    numbers = [cell.strip() for cell in rows[0] if cell.strip()]
    counted = [[str(i + start) for i in range(len(numbers))] for start in (0, 1)]
    below = [cell.strip() for cell in rows[1] if cell.strip()] if len(rows) > 1 else []
    if numbers in counted and below not in counted and (len(numbers) > 1 or not rows[0][0].strip()):
        return True  # 0, 1, 2 ...: as pandas writes a matrix without names
    found.notes.append("no header: the first line holds values, the columns are numbered")
    return False


def _check_widths(found: Records, rows: list[list[str]], names: list[str], sep: str) -> None:
    """Refuse a row that is longer than the header, or one field of many."""
    for i, row in enumerate(rows):
        if len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            commas = ", or put numbers with a decimal comma in quotes" if sep == "," else ""
            raise found.fault(
                f"{len(row)} fields where the header has {len(names)}: name every column there{commas};"
                " --sep names another separator, --header none numbers the columns",
                i,
            )
        if len(_trimmed(row)) == 1 < len(names) and len(row) < len(names):
            shown = row[0].strip()[:40]
            raise found.fault(f"one field, {shown!r}, where the header has {len(names)}: remove the line", i)


def _below_units(found: Records, rows: list[list[str]]) -> list[list[str]]:
    """Without a line of units under the header: words where the line below has numbers, and no value."""
    if len(rows) < 3:
        return rows
    units, below = rows[0], rows[1]
    over = [unit for unit, cell in zip(units, below, strict=False) if cells.is_number(cell)]
    words = [unit for unit in over if not cells.is_missing(unit)]
    if not words or any(map(cells.is_value, words)) or cells.looks_like_time(units[0]):
        return rows
    found.notes.append(f"line {found.lines[0]} taken for units and skipped")
    found.lines = found.lines[1:]
    return rows[1:]


def _trimmed(row: list[str]) -> list[str]:
    """Without the empty fields at its end."""
    end = len(row)
    while end > 1 and not row[end - 1].strip():
        end -= 1
    return row[:end]


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
