"""`python -m probes export RUN`: one HTML report, CSV, netCDF."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from probes.errors import RunError
from probes.export import tables
from probes.extras import named
from probes.run import Run
from probes.storage import local_folder


def add_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Add `export` to the subparsers of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "export", help="one HTML report of a run, or its numbers for other tools"
    )
    parser.add_argument("run", help="the run's folder, or s3://...")
    parser.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        help="one self-contained page: overview, replay, layers, neurons, alerts",
    )
    parser.add_argument(
        "--csv",
        metavar="FOLDER_OR_FILE",
        type=Path,
        help="FILE.csv: every neuron at every step; a folder: all tables",
    )
    parser.add_argument(
        "--netcdf", metavar="FILE", type=Path, help="statistics over (step, neuron), for xarray"
    )


def export(
    path: str | Path, html: Path | None = None, csv: Path | None = None, netcdf: Path | None = None
) -> list[Path]:
    """Write what was asked for, each file whole or not at all; returns the files.

    Raises RunError when nothing was asked for, the run cannot be read, or a target lies inside the run's
    folder.
    """
    if not (html or csv or netcdf):
        raise RunError("nothing to export: name --html FILE, --csv FOLDER_OR_FILE or --netcdf FILE")
    run = Run(path)
    inside = Path(os.path.realpath(path))  # unlike `Path.resolve` it bears links that lead round in circles
    for target in (html, csv, netcdf):
        if target and Path(os.path.realpath(local_folder(target))).is_relative_to(inside):
            raise RunError(
                f"{target} lies inside the run's folder, which holds the log alone: name a place elsewhere"
            )
    files: list[Path] = []
    if html:
        with named("an HTML report"):
            from probes.export import report  # loads plotly, which other commands do without
        files.append(report.write(run, html))
    if csv:
        files += tables.to_csv(run, csv)
    if netcdf:
        files.append(tables.to_netcdf(run, netcdf))
    return files


def run_command(options: argparse.Namespace) -> int:
    """The command line's `export`: names each file with its size."""
    for file in export(options.run, options.html, options.csv, options.netcdf):
        print(f"{file}  {file.stat().st_size / 1e6:.2f} MB")
    return 0
