"""Where every command line enters: whatever stands in its way is one line on stderr, never a traceback."""

from __future__ import annotations

import argparse
import difflib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from probes.errors import RunError, obstacle
from probes.extras import MissingPackageError
from probes.log.background import RecorderError

UNMET = 2
"""Exit status of a request that cannot be met: wrong words, what is not there, what cannot be written."""
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class OneLine(argparse.ArgumentParser):
    """A parser that takes whole flags alone and whose errors are one line, without the usage of every
    flag.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """All words are to be known, those of a subcommand to its own parser, which can say what is near."""
        found, left = super().parse_known_args(args, namespace)
        if left:
            flags = [flag for action in self._actions for flag in action.option_strings]
            meant = next(filter(None, (near(word.partition("=")[0], flags) for word in left)), "")
            self.error(f"unrecognized arguments: {' '.join(left)}{meant}")
        return found, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += near(value, action.choices or ())
            raise

    def error(self, message: str) -> NoReturn:
        self.exit(UNMET, shown(f"{self.prog}: {message}; see {self.prog} --help") + "\n")


class Output(Console):
    """A console that leaves it to `guarded` to say that nobody reads the output any more."""

    def on_broken_pipe(self) -> None:
        raise  # it is called while the error is handled


def near(word: object, known: Iterable[str]) -> str:
    """` (did you mean ...?)` where a word that is not known is close to one that is, else nothing."""
    found = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def number(text: str) -> float:
    """A number, for argparse."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a number, this is {text!r}") from None


def whole_number(text: str) -> int:
    """A whole number, for argparse."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a whole number, this is {text!r}") from None


def program(name: str) -> str:
    """How a command line was called: by its command, with its folder where that is not on PATH, or as a
    module of this interpreter.
    """
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"python -m {name}"
    return str(called) if called.name == name and not shutil.which(name) else name


def enter(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], int],
    words: Sequence[str] | None = None,
    *errors: type[Exception],
) -> int:
    """Read a command line and do what it asks for.

    Parameters
    ----------
    parser
        Of the command line, with the subcommand's name under `command`.
    command
        Does it; returns the exit status.
    words
        The command line, the process's own by default.
    *errors
        Further exceptions whose message is meant for the user.

    Returns
    -------
    int
        The command's exit status; 2 where it could not be done, and 130 where it was interrupted, with one
        line on stderr that says why.
    """
    known: tuple[type[Exception], ...] = (
        RunError, RecorderError, OSError, UnicodeError, MissingPackageError, *errors,
    )  # fmt: skip
    for stream in (sys.stdout, sys.stderr):  # a name may hold what the terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    name = parser.prog
    try:
        arguments = parser.parse_args(words)
        name = f"{name} {arguments.command}"
        _refuse_impossible_names(arguments)
        status = command(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk or a closed pipe shows here, not as the interpreter ends
        return status
    except KeyboardInterrupt:
        return _say(name, "interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return _say(name, "the output was closed before all of it was written")
    except known as error:
        _drop_output()
        return _say(name, obstacle(error))


def shown(text: object) -> str:
    """A text of a log for a terminal, which would obey control codes in it: they are written as escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(text)
    )


def _refuse_impossible_names(arguments: argparse.Namespace) -> None:
    for word in vars(arguments).values():
        if isinstance(word, str | Path) and "\0" in str(word):
            raise RunError(f"{str(word)!r} holds a NUL character, which no name of a file can")


def _say(name: str, why: str, status: int = UNMET) -> int:
    with suppress(OSError):  # nobody may be there to read it
        print(shown(f"{name}: {why}"), file=sys.stderr, flush=True)
    return status


def _drop_output() -> None:
    """What cannot be written to stdout any more is not tried again as the interpreter ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
