"""`probes fleet FOLDER "SQL"` and `probes fleet compact FOLDER`: many runs from the command line."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from typing import Any

import pandas as pd

from probes.command_line import shown
from probes.errors import RunError
from probes.fleet.database import Fleet, fleet
from probes.storage import local_folder

FOLDER = "_fleet"
"""Folder, beside the runs, of the files that `compact` writes."""
COMPACTED = ("runs", "neurons", "layers", "scalars")
WIDTH = 160
"""Columns of a table that goes to no terminal."""
CELL = 40
"""Letters of a value where a table is too wide."""
EXAMPLE = "select beta, lr, avg(living_share), avg(validation_nll) from runs group by all order by all"


def add_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Add `fleet` to the subparsers of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "fleet",
        help='ask all runs of a folder: fleet FOLDER "SQL", fleet compact FOLDER',
        description=(
            "Answers SQL about all runs of a folder. Tables: runs (settings as columns), neurons (one row a"
            f" neuron), layers, scalars, history. Such as: {EXAMPLE}"
        ),
    )
    parser.add_argument("folder", help="of runs, also s3://..., or `compact`")
    parser.add_argument("query", help=f"a SELECT statement; after `compact` the folder, which gets {FOLDER}/")
    parser.add_argument(
        "--csv", action="store_true", help="comma-separated values, each whole, in place of a table"
    )
    parser.add_argument(
        "--engine",
        choices=("duckdb", "daft"),
        default="duckdb",
        help="what answers: daft runs on Ray [duckdb]",
    )
    parser.add_argument(
        "--history", action="store_true", help="compact: every neuron at every step too, which is large"
    )


def run_command(options: argparse.Namespace) -> int:
    """Answer the question, or write the files; returns the exit status."""
    compacting = options.folder == "compact"
    folder = options.query if compacting else options.folder
    with fleet(folder, engine=options.engine) as found:
        if compacting:
            _compact(found, folder, COMPACTED + (("history",) if options.history else ()))
        else:
            answer = found.sql(options.query)
            _print(answer, options.csv)
            if not len(answer) and not _has_run(found):
                print(shown(f"{folder} holds no run that can be read"), file=sys.stderr)
        for name, why in found.left_out.items():
            print(shown(f"left out: {name}: {why}"), file=sys.stderr)
    return 0


def _print(answer: pd.DataFrame, as_csv: bool) -> None:
    if as_csv:
        sys.stdout.write(answer.to_csv(index=False))
        return
    if not len(answer):
        print("no rows")
        return
    texts = pd.concat([column.map(_cell) for _, column in answer.items()], axis=1)
    width = shutil.get_terminal_size().columns if sys.stdout is not None and sys.stdout.isatty() else WIDTH
    print("\n".join(shown(line) for line in table_lines(texts, width)))


def table_lines(texts: pd.DataFrame, width: int) -> list[str]:
    """A table of texts as lines of at most `width` letters.

    What does not fit is shown in parts below each other, each with the first column; values are cut at CELL
    letters, and columns that hold one value alone are told before the table. Of one row a line a column.
    """
    lines = texts.to_string(index=False).split("\n")
    if max(map(len, lines)) <= width:
        return lines
    if len(texts) == 1:
        names = [str(name) for name in texts.columns]
        widest = min(max(map(len, names)), CELL)
        rows = [
            f"{_cut(name, widest):<{widest}}  {text}" for name, text in zip(names, texts.iloc[0], strict=True)
        ]
        return [_cut(line, width) for line in rows]
    cut = [[_cut(text, CELL) for text in (str(name), *column)] for name, column in texts.items()]
    first, *others = [[f"{text:>{max(map(len, column))}}" for text in column] for column in cut]
    varying, same, empty = [], [], []
    for column in others:
        name, *values = (text.strip() for text in column)
        if set(values) <= {"", "-"}:
            empty.append(name)
        elif len(set(values)) == 1:
            same.append(f"{name} = {values[0]}")
        else:
            varying.append(column)
    told = {"in every row": same, "empty": empty}
    words = [f"{what}: {', '.join(names)}" for what, names in told.items() if names]
    found = [line for text in words for line in (*textwrap.wrap(text, width), "")]
    part, parts = first, []
    for column in varying:
        longer = [f"{before} {text}" for before, text in zip(part, column, strict=True)]
        if len(longer[0]) > width and part is not first:
            parts.append(part)
            longer = [f"{before} {text}" for before, text in zip(first, column, strict=True)]
        part = longer
    for lines in (*parts, part):
        found += [*lines, ""]
    return [_cut(line, width) for line in found[:-1]]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _has_run(found: Fleet) -> bool:
    return len(found.sql("select run from runs limit 1")) > 0


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


def _compact(found: Fleet, folder: str, tables: tuple[str, ...]) -> None:
    if not _has_run(found):
        raise RunError(f"{folder} holds no run that can be read")
    for table in tables:
        path = local_folder(folder).absolute() / FOLDER / f"{table}.parquet"
        count = found.write(table, path)
        print(shown(f"{path}: {count:,} rows, {path.stat().st_size / 1e6:,.1f} MB"))
