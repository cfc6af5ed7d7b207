"""Command line: `vdn train [--data nyc] [--layers 3] ...`; every setting of `vdn.config.Config` is a
flag.
"""

from __future__ import annotations

from probes.interrupts import ending_at_once

with ending_at_once():
    import argparse
    import dataclasses
    import io
    import json
    import logging
    import math
    import shlex
    import sys
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TYPE_CHECKING, Any, TextIO, get_args, get_type_hints

    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.table import Table

    from probes.command_line import (
        INTERRUPTED,
        UNMET,
        OneLine,
        Output,
        enter,
        number,
        program,
        shown,
        whole_number,
    )
    from probes.extras import MissingPackageError, named
    from probes.storage import is_store, open_folder
    from vdn.config import Config, ConfigError, described, flag_words, from_dict, from_toml, resolve
    from vdn.records import DataError

try:
    with ending_at_once(), named("vdn", "train"):
        from vdn import experiment
        from vdn.experiment import positive
        from vdn.trainer import DivergedError
except MissingPackageError as error:  # torch is asked for as this is loaded, before any word is read
    print(error, file=sys.stderr)
    raise SystemExit(UNMET) from None

if TYPE_CHECKING:
    from vdn.sweep import Job
    from vdn.train import Progress

SEEDS = "0,1,2"  # of a sweep's grid points
WIDE = 200  # columns of a table that goes to a file
COLUMNS = {
    **{name: name for name in ("mse", "mae", "nll_joint", "nll_marginal", "crps", "energy", "bits")},
    **{name: name for name in ("accuracy", "brier", "ece")},
    "ece_null": "if calibrated", "ece_null_95": "95 % below",
}  # fmt: skip
"""Scores of a table -> heads; an ECE says something beside what it would be if calibrated."""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One flag for each field of `Config`, absent unless given, so that a file's values are not overridden by
    defaults.
    """
    hints = get_type_hints(Config)
    for item in dataclasses.fields(Config):
        flag = "--" + item.name.replace("_", "-")
        kinds = [kind for kind in get_args(hints[item.name]) or (hints[item.name],) if kind is not type(None)]
        doc = described(item) + ("" if item.default in (None, "") else f" [{item.default}]")
        if kinds == [bool]:
            parser.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=doc
            )
        else:
            parser.add_argument(
                flag,
                type=one_value(item.name, kinds[0]),
                default=argparse.SUPPRESS,
                help=doc.replace("%", "%%"),
                metavar=kinds[0].__name__.upper(),
            )


def one_value(name: str, kind: type) -> Callable[[str], Any]:
    """What reads the value of a setting, for argparse: of several it says how they are asked for."""
    read = {int: whole_number, float: number}.get(kind)
    if read is None:
        return kind

    def value(text: str) -> float:
        try:
            return read(text)
        except argparse.ArgumentTypeError as error:
            if "," not in text:
                raise
            several = f"--seeds {text}" if name == "seed" else f"--grid {name}={text}"
            raise argparse.ArgumentTypeError(
                f"{error}; a training each of several: {program('vdn')} sweep {several}"
            ) from None

    return value


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as flags."""
    known = {item.name for item in dataclasses.fields(Config)}
    return {name: value for name, value in vars(arguments).items() if name in known}


def settings(arguments: argparse.Namespace) -> Config:
    """The resolved configuration: the TOML file's values, over them the flags'."""
    own = from_toml(arguments.config) if arguments.config else {}
    return resolve(from_dict(own | given(arguments)))


def parser() -> argparse.ArgumentParser:
    top = OneLine(prog=program("vdn"), description="Train networks of variational distributional neurons.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a network into a run folder")
    train.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings; flags override it")
    train.add_argument(
        "--out", type=Path, metavar="FOLDER", help="the run's own folder, new or empty; or s3://..."
    )
    train.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="FOLDER",
        help="folder in which a new name is made without --out [runs]",
    )
    add_settings(train)
    resume = commands.add_parser("resume", help="continue a run that was stopped, bit for bit")
    resume.add_argument("run", type=Path, help="the run's folder, or s3://...")
    experiment.add_data(resume)
    evaluate = commands.add_parser("evaluate", help="scores of a run, of its twin and of naive forecasts")
    evaluate.add_argument("run", type=Path, help="the run's folder")
    evaluate.add_argument("--json", action="store_true", help="one JSON value on stdout")
    evaluate.add_argument(
        "--twin-run",
        type=Path,
        metavar="FOLDER",
        help="run of the deterministic twin [the newest beside RUN]",
    )
    evaluate.add_argument("--split", choices=("validation", "test"), default="test")
    evaluate.add_argument(
        "--draws", type=positive, metavar="N", help="draws an example [as the run was tested]"
    )
    experiment.add_data(evaluate)
    experiment.add_weights(evaluate)
    sweep = commands.add_parser(
        "sweep",
        help="train seeds x grid, one process each, and compare",
        description="Trains every combination of --grid with every seed, a process each, says first how many"
        " trainings that are, and compares them. It needs --grid or --seeds.",
    )
    sweep.add_argument(
        "--grid",
        nargs="*",
        default=[],
        metavar="NAME=VALUE,...",
        help="settings to vary, for example beta=0.01,0.02",
    )
    sweep.add_argument(
        "--seeds", metavar="SEED,...", help=f"seeds of every grid point [{SEEDS}, where there is a grid]"
    )
    sweep.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes at once [1]")
    sweep.add_argument(
        "--runs",
        type=Path,
        default=Path("runs") / "sweep",
        metavar="FOLDER",
        help="folder of the runs [runs/sweep]",
    )
    sweep.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings common to all")
    sweep.add_argument(
        "--engine", choices=("local", "ray", "submitit"), default="local", help="where the jobs run [local]"
    )
    sweep.add_argument(
        "--resources",
        nargs="*",
        default=[],
        type=resource,
        metavar="NAME=VALUE",
        help="of each job: num_cpus, num_gpus ... of Ray, slurm_partition, timeout_min ... of submitit",
    )
    add_settings(sweep)
    experiment.add_command(commands)
    return top


def resource(text: str) -> tuple[str, int | float | str]:
    """NAME=VALUE, for argparse; a number where it is one."""
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"--resources takes NAME=VALUE, this is {text!r}")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


class LogLines(logging.StreamHandler[TextIO]):
    """Prints what the program logs as all else is printed: what stands in the way is raised."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # it is called while the error is handled


class Display:
    """A progress bar with step, loss, rate, living share and time left; below it, once training has ended,
    one of the test. Where no bar can move, as in a log file, a line a tenth instead.
    """

    def __init__(self, console: Output) -> None:
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self.task = self.bar.add_task("training", note="")
        self.test = self.bar.add_task("testing", note="examples", visible=False, start=False)
        self.told = ("", 0)  # the last line: of what, which tenth

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar.live.is_started:
            self.bar.stop()

    def __call__(self, progress: Progress) -> None:
        living = "" if progress.living_share is None else f"  living {progress.living_share:.0%}"
        note = f"loss {progress.loss:.3f}  rate {progress.rate:.0f} nats{living}"
        if not self.bar.console.is_terminal:
            self._line(progress, note)
            return
        self.bar.start()  # not before there is something to show: an error is one line
        if progress.to_test:
            self.bar.start_task(self.test)
            self.bar.update(self.test, completed=progress.tested, total=progress.to_test, visible=True)
            return
        self.bar.update(self.task, completed=progress.step, total=progress.steps, note=note)

    def _line(self, progress: Progress, note: str) -> None:
        what, done, total = "training", progress.step, progress.steps
        if progress.to_test:
            what, done, total, note = "testing", progress.tested, progress.to_test, "examples"
        tenth = 10 * done // max(total, 1)
        if self.told != (what, tenth):
            self.told = (what, tenth)
            self.bar.console.print(f"{what} {done:,} of {total:,}  {note}", soft_wrap=True, highlight=False)


def score_table(result: dict[str, Any]) -> Table:
    """Model, twin where there is one, and naive forecasts, a row each."""
    model = result["model"]
    rows = {"model": model} | ({"twin": result["twin"]} if result.get("twin") else {}) | result["baselines"]
    names = [name for name in COLUMNS if name in model]
    table = Table(box=None)
    table.add_column("", no_wrap=True)
    for head in (
        *(COLUMNS[name] for name in names),
        *(["cover 80%"] if "coverage" in model else []),
        "rate",
        "living",
    ):
        table.add_column(head, justify="right", no_wrap=True)
    for who, scores in rows.items():
        cells = [f"{scores[name]:.4f}" if name in scores else "" for name in names]
        if "coverage" in model:
            cells.append(f"{scores['coverage']['80']:.3f}")
        rate, living = scores.get("rate"), scores.get("living_share")
        cells.append("" if rate is None else f"{rate:.1f}")
        cells.append("" if living is None else " ".join(f"{share:.0%}" for share in living))
        table.add_row(who.replace("_", " "), *cells)
    return table


def difference_table(found: dict[str, Any]) -> Table:
    """Model less twin, a row a score, from `vdn.differences.twin_differences`."""
    table = Table("", "model", "twin", "model - twin", "95 % from", "to", box=None)
    for name, line in found["scores"].items():
        ends = ("" if line[end] is None else f"{line[end]:+.4f}" for end in ("low", "high"))
        values = (f"{line['value']:.4f}", f"{line['reference']:.4f}", f"{line['difference']:+.4f}")
        table.add_row(name, *values, *ends)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def difference_text(difference: float, half: float) -> str:
    """A difference and half of its interval, where it has one."""
    return f"{difference:+.4f}" + ("" if math.isnan(half) else f" ± {half:.4f}")


def sweep_table(rows: list[dict[str, Any]], names: Sequence[str]) -> Table:
    """A row a grid point, from `vdn.sweep.summarise`: mean, sd and paired difference of each named score."""
    table = Table(
        "setting", "n", *(head for name in names for head in (name, "± sd", "difference (95 %)")), box=None
    )
    for row in rows:
        cells = []
        for name in names:
            (mean, sd), difference = row[name], row[f"difference_{name}"]
            cells += [
                *("" if math.isnan(value) else f"{value:.4f}" for value in (mean, sd)),
                "" if difference is None else difference_text(*difference),
            ]
        table.add_row(row["point"], str(row["n"]), *cells)
    return table


def wide_console() -> Output:
    """The terminal, or lines long enough for a table where the output goes elsewhere."""
    console = Output()
    return console if console.is_terminal else Output(width=WIDE)


def finish(console: Output, folder: Path, summary: dict[str, Any]) -> int:
    """Says how a training ended."""
    place = open_folder(folder).root if is_store(folder) else folder
    console.print(f"{summary['status']}: {place}", soft_wrap=True, markup=False, highlight=False)
    if summary["status"] != "finished":
        if (folder / "checkpoints" / "last.pt").is_file():
            told = f"vdn resume {shlex.quote(str(place))} goes on from there"
            console.print(told, soft_wrap=True, markup=False, highlight=False)
        return INTERRUPTED
    show_scores(summary)
    return 0


def show_scores(result: dict[str, Any]) -> None:
    """The table of scores, and of which weights they are."""
    console = wide_console()
    console.print(score_table(result))
    which, step = result["weights"]["which"], result["weights"]["step"]
    kept = "best by validation" if which == "best" else "last"
    console.print(f"weights: {kept}, of step {step:,}", soft_wrap=True, highlight=False)


def run_train(arguments: argparse.Namespace) -> int:
    config = settings(arguments)
    # torch and the log take a second: not before the settings are known to be good
    from vdn.ranks import together
    from vdn.run_folder import new_folder
    from vdn.train import train

    with together() as first:
        if not first:
            train(config, arguments.runs)
            return 0
        folder = new_folder(config, arguments.out, arguments.runs)
        console = Output()
        display = Display(console)
        with display:
            summary = train(config, folder, display)
    return finish(console, folder, summary)


def run_resume(arguments: argparse.Namespace) -> int:
    from vdn.ranks import together
    from vdn.train import resume

    console = Output()
    display = Display(console)
    with together() as first, display:
        summary = resume(
            arguments.run,
            display if first else None,
            arguments.data,
            arguments.changed_data,
            experiment.reading_of(arguments),
        )
    return finish(console, arguments.run, summary) if first else 0


def run_evaluate(arguments: argparse.Namespace) -> int:
    from vdn.evaluate import evaluate

    result = evaluate(
        arguments.run,
        arguments.twin_run,
        arguments.split,
        arguments.draws,
        arguments.data,
        arguments.changed_data,
        experiment.reading_of(arguments),
        arguments.weights,
    )
    if arguments.json:
        print(json.dumps(result))
    else:
        show_scores(result)
        if result["differences"]:
            wide_console().print(difference_table(result["differences"]))
            print(result["differences"]["of"])
    return 0


def run_sweep(arguments: argparse.Namespace) -> int:
    from vdn.sweep import origin_scores, plan, run_jobs, summarise, test_scores
    from vdn.sweep_engines import make_engine

    common = ["--config", str(arguments.config)] if arguments.config else []
    common += [word for name, value in given(arguments).items() for word in flag_words(name, value)]
    if not arguments.grid and not arguments.seeds:
        raise ConfigError(
            f"nothing is to vary: give --grid, such as --grid beta=0.01,0.1, or --seeds {SEEDS} for trainings"
            " of one setting"
        )
    if "seed" in given(arguments):
        raise ConfigError(f"a sweep takes --seeds, here --seeds {arguments.seed}, in place of --seed")
    jobs = plan(arguments.grid, arguments.seeds or SEEDS, arguments.runs)
    read = OneLine(prog=f"{program('vdn')} sweep")
    add_settings(read)
    for job in jobs:  # a wrong grid is noticed before the first run
        settings(read.parse_args([*common, *job.settings], argparse.Namespace(config=arguments.config)))
    engine = make_engine(arguments.engine, arguments.jobs, dict(arguments.resources), arguments.runs)
    console = Output(stderr=True)
    points = len({job.name for job in jobs})
    told = (
        f"{len(jobs)} trainings, settings x seeds {points} x {len(jobs) // points}, at once {arguments.jobs}"
    )
    console.print(f"{told}, into {arguments.runs}", soft_wrap=True, markup=False, highlight=False)
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    task = bar.add_task("sweep", total=len(jobs))
    failed = []

    def report(job: Job, status: int, said: str) -> None:
        bar.update(task, advance=1)
        if status:
            last = said.strip().splitlines()[-1:]
            failed.append(": ".join([f"{job.folder} ended with status {status}", *last]))

    with bar:
        done = run_jobs(jobs, common, arguments.jobs, report, engine)
        results = {job: test_scores(job.folder) for job in done}
    for line in failed:
        print(f"{program('vdn')} sweep: {line}", file=sys.stderr)
    ordered = {job: results[job] for job in jobs if job in results}
    if ordered:
        names = [
            name
            for name in ("mse", "nll_joint", "nll_marginal", "crps", "accuracy", "rate")
            if any(name in scores for scores in ordered.values())
        ]
        rows = summarise(ordered, names, {job: origin_scores(job.folder) for job in ordered})
        wide_console().print(sweep_table(rows, names))
        for over in dict.fromkeys(filter(None, (row["over"] for row in rows))):
            print(f"{over} Of the rate: seeds alone.")
    return 1 if failed else 0


COMMANDS = {
    "train": run_train,
    "resume": run_resume,
    "evaluate": run_evaluate,
    "sweep": run_sweep,
    "probe": experiment.run,
}


def main(argv: list[str] | None = None) -> int:
    """Runs a command; a wrong setting, run, data set or folder, or a training that diverged, is one line on
    stderr and exit status 2.
    """
    with ending_at_once():
        known = parser()
    return enter(known, _run, argv, ConfigError, DataError, DivergedError)


def _run(given: argparse.Namespace) -> int:
    # what was read goes where results go, but for a result that programs read
    stream = sys.stderr if getattr(given, "json", False) else sys.stdout
    log, said = logging.getLogger("vdn"), LogLines(stream or io.StringIO())
    log.addHandler(said)
    log.setLevel(logging.INFO)
    try:
        return COMMANDS[given.command](given)
    finally:
        log.removeHandler(said)


if __name__ == "__main__":
    sys.exit(main())
