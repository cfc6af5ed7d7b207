"""`probes fleet FOLDER "SQL"` and `probes fleet compact FOLDER`: many runs from the command line."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import pandas as pd

from probes.command_line import shown
from probes.errors import RunError
from probes.fleet.database import Fleet, fleet
from probes.storage import local_folder

FOLDER = "_fleet"
"""Folder, beside the runs, of the files that `compact` writes."""
COMPACTED = ("runs", "neurons", "layers", "scalars")
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
    parser.add_argument("--csv", action="store_true", help="comma-separated values in place of a table")
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
            _print(found.sql(options.query), options.csv)
        for name, why in found.left_out.items():
            print(shown(f"left out: {name}: {why}"), file=sys.stderr)
    return 0


def _print(answer: pd.DataFrame, as_csv: bool) -> None:
    if as_csv:
        sys.stdout.write(answer.to_csv(index=False))
        return
    texts = answer.apply(lambda column: column.map(_cell)) if len(answer) else answer
    print(shown_lines(texts.to_string(index=False)) if len(answer) else "no rows")


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


def shown_lines(text: str) -> str:
    """Several lines for a terminal, each as `shown`."""
    return "\n".join(shown(line) for line in text.split("\n"))


def _compact(found: Fleet, folder: str, tables: tuple[str, ...]) -> None:
    if not len(found.sql("select run from runs limit 1")):
        raise RunError(f"{folder} holds no run that can be read")
    for table in tables:
        path = local_folder(folder).absolute() / FOLDER / f"{table}.parquet"
        count = found.write(table, path)
        print(shown(f"{path}: {count:,} rows, {path.stat().st_size / 1e6:,.1f} MB"))
