"""Command line: python -m vdn train [--data nyc] [--layers 3] ...; every setting of `vdn.config.Config` is a flag."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from vdn.config import Config, ConfigError, from_dict, from_toml, resolve
from vdn.data import DataError

USAGE_ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One flag for each field of `Config`, absent unless given, so that a file's values are not overridden by defaults."""
    hints = get_type_hints(Config)
    for item in dataclasses.fields(Config):
        flag = "--" + item.name.replace("_", "-")
        kinds = [kind for kind in get_args(hints[item.name]) or (hints[item.name],) if kind is not type(None)]
        doc = item.metadata["doc"] + ("" if item.default in (None, "") else f" [{item.default}]")
        if kinds == [bool]:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=doc)
        else:
            parser.add_argument(
                flag, type=kinds[0], default=argparse.SUPPRESS, help=doc.replace("%", "%%"), metavar=kinds[0].__name__.upper()
            )


def settings(arguments: argparse.Namespace) -> Config:
    """The resolved configuration: the TOML file's values, over them the flags'."""
    known = {item.name for item in dataclasses.fields(Config)}
    given = {name: value for name, value in vars(arguments).items() if name in known}
    return resolve(from_dict(given, from_dict(from_toml(arguments.config)) if arguments.config else Config()))


def parser() -> argparse.ArgumentParser:
    top = OneLine(prog="python -m vdn", description="Train networks of variational distributional neurons.")
    commands = top.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a network into a run folder")
    train.add_argument("--config", type=Path, help="TOML file of settings; flags override it")
    train.add_argument("--out", type=Path, help="the run's own folder, new or empty")
    train.add_argument("--runs", type=Path, default=Path("runs"), help="folder in which a new name is made without --out [runs]")
    add_settings(train)
    return top


class OneLine(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage of every flag."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: {message}; see {self.prog} --help\n")


class Display:
    """A progress bar with step, loss, rate, living share and time left."""

    def __init__(self, console: Console) -> None:
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self.task = self.bar.add_task("training", note="")

    def __call__(self, progress: Any) -> None:
        living = "" if progress.living_share is None else f"  living {progress.living_share:.0%}"
        note = f"loss {progress.loss:.3f}  rate {progress.rate:.0f} nats{living}"
        self.bar.update(self.task, completed=progress.step, total=progress.steps, note=note)


def print_scores(console: Console, summary: dict[str, Any]) -> None:
    """Model and naive forecasts, a row each."""
    rows = {"model": summary["model"]} | summary["baselines"]
    names = [name for name in ("mse", "mae", "nll_joint", "nll_marginal", "crps", "accuracy", "ece") if name in summary["model"]]
    table = Table("test", *names, *(["coverage 80 %"] if "coverage" in summary["model"] else []), "living", box=None)
    for who, scores in rows.items():
        cells = [f"{scores[name]:.4f}" if name in scores else "" for name in names]
        if "coverage" in summary["model"]:
            cells.append(f"{scores['coverage']['80']:.3f}" if "coverage" in scores else "")
        living = scores.get("living_share")
        table.add_row(who.replace("_", " "), *cells, "" if living is None else " ".join(f"{share:.0%}" for share in living))
    console.print(table)


def run_train(arguments: argparse.Namespace) -> int:
    config = settings(arguments)
    from vdn.train import new_folder, train  # torch and the log take a second: not before the settings are known to be good

    folder = new_folder(config, arguments.out, arguments.runs)
    console = Console()
    display = Display(console)
    with display.bar:
        summary = train(config, folder, display)
    console.print(f"{summary['status']}: {folder}", soft_wrap=True)
    if summary["status"] != "finished":
        return INTERRUPTED
    print_scores(console, summary)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs a command; a wrong setting or unusable data is one line on stderr and exit status 2."""
    arguments = parser().parse_args(argv)
    try:
        return run_train(arguments)
    except (ConfigError, DataError) as error:
        print(f"python -m vdn {arguments.command}: {error}", file=sys.stderr)
        return USAGE_ERROR


if __name__ == "__main__":
    sys.exit(main())
