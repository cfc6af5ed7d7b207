"""The dashboard's own command line: `streamlit run app.py -- --runs FOLDER ...`.

What concerns the server (`--token`, `--allow-host` and so on) is put into effect by
`pages.shell.server.access`, whose text says what each option does.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
import sys
from functools import lru_cache
from pathlib import Path

from probes import RunError
from probes.extras import MissingPackageError
from probes.storage import is_store, open_folder

ROOT = Path(__file__).resolve().parents[3]
DEFAULT_FOLDERS = (Path("runs"), *ROOT.glob("sample_runs"))
"""Scanned when none is named: `runs` where the dashboard was started, which may be absent, and what a
checkout has beside app.py.
"""
_HOST = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_SOURCE = re.compile(r"[^\s;,]+")  # these three end a source of a policy
_BASE_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


def host_name(text: str) -> str:
    """A name as `server.allowedHosts` compares it: lower case, an IPv6 address without brackets.

    Raises argparse.ArgumentTypeError for what no Host header can be equal to.
    """
    name = text.strip().lower().rstrip(".")
    if ":" in name:
        try:
            return str(ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]")))
        except ValueError:
            pass
    elif _HOST.fullmatch(name):
        return name
    raise argparse.ArgumentTypeError(
        f"{text!r} is no host: give a name or an address without scheme, port and path, such as"
        " `dash.example.org`, `*.example.org`, `::1`, or `*` for all"
    )


def policy_source(text: str) -> str:
    """A source of a content security policy; the words self and none may come without their quotes.

    Raises argparse.ArgumentTypeError for a text that would end the source.
    """
    if text in ("self", "none"):
        return f"'{text}'"
    if not _SOURCE.fullmatch(text) or not text.isascii():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no source of a policy: give `self`, `none`, or an origin such as"
            " `https://hub.example.org`, several with spaces between them"
        )
    return text


def base_path(text: str) -> str:
    """A path with a slash before and none after it; empty for `/`.

    Raises argparse.ArgumentTypeError for other characters than those of a path.
    """
    path = f"/{text.strip('/')}" if text.strip("/") else ""
    if path and not _BASE_PATH.fullmatch(path):
        raise argparse.ArgumentTypeError(f"{text!r} is no path: give one such as `/dashboard`")
    return path


def folder_of_runs(text: str) -> Path:
    """A folder, or the URL of one in a store, which `Path` shortens to one slash.

    Raises argparse.ArgumentTypeError for a URL that holds credentials or names no bucket.
    """
    if is_store(text):
        try:
            open_folder(text)
        except (RunError, MissingPackageError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="streamlit run app.py --", allow_abbrev=False)
    parser.add_argument(
        "--runs", nargs="+", metavar="FOLDER", type=folder_of_runs,
        help="folders of runs, of this machine or as s3://bucket/folder (default: runs sample_runs)",
    )  # fmt: skip
    parser.add_argument(
        "--read-only", action="store_true", help="no notes, sets, experiments or deletes from a page"
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--token", nargs="?", const="", help="answer whoever has this secret (default: a new one, printed)"
    )
    who.add_argument("--unauthenticated", action="store_true", help="answer everybody who reaches the server")
    parser.add_argument(
        "--allow-host", nargs="+", action="extend", default=[], metavar="NAME", type=host_name,
        help="a name under which the server is asked, beside localhost; *.example.org, * for all",
    )  # fmt: skip
    parser.add_argument(
        "--frame-ancestors", nargs="+", action="extend", default=[], metavar="SOURCE", type=policy_source,
        help="pages that may show the dashboard in a frame (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--connect-src", nargs="+", action="extend", default=[], metavar="SOURCE", type=policy_source,
        help="what the pages may connect to beside the server",
    )  # fmt: skip
    parser.add_argument(
        "--base-path", default="", metavar="PATH", type=base_path, help="path that the server answers under"
    )
    return parser


def parse(arguments: list[str]) -> argparse.Namespace:
    """The whole command line. Exits with status 2 and one line on stderr if it is wrong."""
    return _parser().parse_args(arguments)


def run_folders(arguments: list[str] | None = None) -> list[Path]:
    """Folders of runs that were named, absolute and in order; the defaults when none was."""
    named = _known(arguments).runs
    folders = named if named else DEFAULT_FOLDERS
    return list(dict.fromkeys(folder if is_store(folder) else folder.resolve() for folder in folders))


def read_only() -> bool:
    """Whether the pages change nothing on the disk."""
    return bool(_known(None).read_only)


def why_read_only(run: Path) -> str:
    """Why the pages change nothing of a run, as a sentence; empty where they may."""
    if read_only():
        return "The dashboard was started with `--read-only`."
    return "Runs in a store are only read." if is_store(run) else ""


def require_writable(run: Path | None = None) -> None:
    """First call of whatever writes, deletes or starts something for a page. Raises PermissionError under
    `--read-only`, and for a run in a store.
    """
    if read_only():
        raise PermissionError("the dashboard was started with --read-only")
    if run is not None and (why := why_read_only(run)):
        raise PermissionError(why)


def _known(arguments: list[str] | None) -> argparse.Namespace:
    """What a session asks for: the server has refused a wrong line, a test may have more on it."""
    return _read_once(tuple(sys.argv[1:] if arguments is None else arguments))


@lru_cache(1)
def _read_once(arguments: tuple[str, ...]) -> argparse.Namespace:
    """Each page asks several times."""
    return _parser().parse_known_args(arguments)[0]


def check(arguments: list[str]) -> None:
    """Refuse a wrong command line before the server starts: one line on stderr, exit status 2."""
    for folder in parse(arguments).runs or ():
        if not is_store(folder) and not folder.is_dir():
            sys.stderr.write(
                f"{folder} is not a folder of runs: name one that is there, or look at `probes ui --demo`\n"
            )
            raise SystemExit(2)
