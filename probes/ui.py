"""`probes ui [FOLDER ...]`: the dashboard, from any folder, in a checkout and where the wheel is installed.

The dashboard is a Streamlit app of its own, which lies beside `probes` in a checkout and inside it in a
wheel. Streamlit is run as its own command would run it, with what was asked for as its options; what concerns
the dashboard goes to its own command line (`pages.shell.session.options`), which checks it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from probes.errors import RunError
from probes.extras import named
from probes.storage import is_store, open_folder

_HERE = Path(__file__).resolve().parent
_PACKAGED = _HERE / "_dashboard"
DASHBOARD = _PACKAGED if _PACKAGED.is_dir() else _HERE.parent
"""Where app.py lies."""
DEMO = DASHBOARD / ("demo_runs" if DASHBOARD == _PACKAGED else "sample_runs")

TOKEN_VARIABLE = "PROBES_TOKEN"
"""Environment variable of the dashboard's secret; its value is not seen in a list of processes."""
PASSED_ON: dict[str, dict[str, Any]] = {
    "--allow-host": {
        "action": "append", "metavar": "NAME", "help": "a name by which others reach it; may come again",
    },
    "--base-path": {"metavar": "/PATH", "help": "path under which a proxy serves the dashboard"},
    "--read-only": {"action": "store_true", "help": "pages write nothing and start nothing"},
    "--token": {"nargs": "?", "const": "", "help": "answer only who has this secret [a new one, printed]"},
    "--unauthenticated": {"action": "store_true", "help": "answer everybody, on an address for others too"},
    "--frame-ancestors": {"action": "append", "metavar": "SOURCE", "help": "who may show it in a frame"},
    "--connect-src": {"action": "append", "metavar": "SOURCE", "help": "what else pages may connect to"},
}  # fmt: skip
"""Options of the dashboard's own command line, which go to it as they are given: the one list of them."""


def add_command(commands: argparse._SubParsersAction[Any]) -> None:
    """Add `ui` to the subparsers of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser("ui", help="open the dashboard in the browser")
    parser.add_argument(
        "folders", nargs="*", metavar="FOLDER", help="folders of runs, or runs; of a store as s3://... [runs]"
    )
    parser.add_argument("--demo", action="store_true", help="show copies of the runs that come with it")
    parser.add_argument("--port", type=_port, help="[8501, or the next that is free]")
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on [127.0.0.1]")
    parser.add_argument("--no-browser", action="store_true", help="open no browser; none is with a token")
    for flag, details in PASSED_ON.items():
        parser.add_argument(flag, default=argparse.SUPPRESS, **details)


def run_command(options: argparse.Namespace) -> int:
    """Serve the dashboard until it is stopped; returns the exit status.

    Raises RunError if a folder is not there, MissingPackageError without Streamlit or plotly.
    """
    with named("the dashboard"):
        import_module("streamlit")
        import_module("plotly")
    folders = [_folder_of_runs(text) for text in options.folders]
    with _demo(options.demo) as shown:
        return _serve(command(options, [*folders, *shown]))


def _serve(words: Sequence[str]) -> int:
    """Streamlit's own command; Ctrl-C is how it is meant to end, and no error."""
    cli, click = import_module("streamlit.web.cli"), import_module("click")  # the latter is Streamlit's own
    sys.argv = ["streamlit", *words]
    try:
        ended = cli.main(list(words), prog_name="streamlit", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        print("\n  Dashboard: stopped", file=sys.stderr)
        return 0
    except click.ClickException as error:
        error.show()
        return int(error.exit_code)
    except SystemExit as left:
        ended = left.code
    return ended if isinstance(ended, int) else int(ended is not None)


def command(options: argparse.Namespace, folders: Sequence[Path | str]) -> list[str]:
    """Arguments of Streamlit's command for the options of `ui`. RunError where --token took a folder."""
    token = getattr(options, "token", None)
    if token and Path(token).is_dir():
        raise RunError(f"--token {token} takes the folder for the secret: name folders before --token")
    words = ["run", str(DASHBOARD / "app.py")]
    if options.port is not None:
        words += ["--server.port", str(options.port)]
    if options.host is not None:
        words += ["--server.address", options.host]
    if options.no_browser or token is not None or os.environ.get(TOKEN_VARIABLE):  # the printed link has it
        words += ["--server.headless", "true"]
    words.append("--")
    if folders:
        words += ["--runs", *map(str, folders)]
    for flag in PASSED_ON:
        value = getattr(options, flag.removeprefix("--").replace("-", "_"), None)
        if value is not None and value is not False:
            words += [flag] + ([] if value in (True, "") else [value] if isinstance(value, str) else value)
    return words


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


def _folder_of_runs(text: str) -> Path | str:
    """The folder itself, absolute, or its URL; that in which it lies if it is a run."""
    if is_store(text):
        storage = open_folder(text)
        try:
            is_run = storage.stamp("run.json") is not None
        except RunError as error:  # pages say so, and look again
            sys.stderr.write(f"{error}: the dashboard starts without it, and asks it again\n")
            is_run = False
        return storage.root.rpartition("/")[0] if is_run else storage.root
    path = Path(text)
    if not path.is_dir():
        raise RunError(
            f"{path} is not a folder of runs: name one that is there, or look at `probes ui --demo`"
        )
    found = path.resolve()
    return found.parent if (found / "run.json").is_file() else found


@contextmanager
def _demo(wanted: bool) -> Iterator[list[Path]]:
    """A copy of the runs that come with the dashboard, which may be changed, until it ends."""
    if not wanted:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="probes-demo-") as folder:
        shutil.copytree(DEMO, Path(folder) / "demo", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        yield [Path(folder) / "demo"]
