"""The dashboard's own command line: `streamlit run app.py -- --runs FOLDER ...`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DEFAULT_FOLDERS = ("runs", "sample_runs")
"""Scanned beside app.py when none is named; either may be absent."""

ROOT = Path(__file__).resolve().parents[3]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="streamlit run app.py --", allow_abbrev=False)
    parser.add_argument(
        "--runs", nargs="+", metavar="FOLDER", type=Path, help="folders of runs (default: runs sample_runs)"
    )
    return parser


def run_folders(arguments: list[str] | None = None) -> list[Path]:
    """Folders of runs that were named, absolute and in order; the defaults beside app.py when none was."""
    named = _parser().parse_known_args(sys.argv[1:] if arguments is None else arguments)[0].runs
    folders = named if named else [ROOT / name for name in DEFAULT_FOLDERS]
    return list(dict.fromkeys(folder.resolve() for folder in folders))


def check(arguments: list[str]) -> None:
    """Refuse a wrong command line before the server starts: one line on stderr, exit status 2."""
    for folder in _parser().parse_args(arguments).runs or ():
        if not folder.is_dir():
            sys.stderr.write(
                f"{folder} is not a folder of runs: name one that is there, or make a run with `make train`\n"
            )
            raise SystemExit(2)
