"""Command line: `probes ui FOLDER | ls FOLDER | show RUN [--json] | check RUN | compact RUN | export RUN |
import FOLDER RUN | mirror RUN URL | fleet FOLDER "SQL" | fleet compact FOLDER`.

Exit status: 0 all is well, 1 `check` found errors, 2 the request cannot be met (one line on stderr says why).
"""

from __future__ import annotations

from probes.interrupts import ending_at_once

with ending_at_once():
    import argparse
    import json
    import sys
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from probes import export, ui
    from probes.analysis.overview import layer_rows
    from probes.command_line import OneLine, Output, enter, program, shown
    from probes.errors import RunError
    from probes.fleet import command as fleet_command
    from probes.log import manifest
    from probes.log.check import check
    from probes.log.config import plain
    from probes.log.maintenance import compact
    from probes.run import Run, catalog
    from probes.storage import is_store, local_folder, open_folder
    from probes.storage.lock import Lock
    from probes.tracker_scalars import import_scalars


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    with ending_at_once():
        known = parser()
    return enter(known, _run, arguments)


def parser() -> OneLine:
    """Of every command."""
    top = OneLine(prog=program("probes"), description="Look at run logs and put them in order.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listed = commands.add_parser("ls", help="one line a run of a folder")
    listed.add_argument("folder", help="of runs, also s3://...")
    show = commands.add_parser("show", help="what each layer of a run is doing at its last step")
    show.add_argument("run", help="the run's folder, or s3://...")
    show.add_argument("--json", action="store_true", help="one JSON value on stdout")
    checked = commands.add_parser("check", help="verify every row of a run")
    checked.add_argument("run", help="the run's folder, or s3://...")
    merged = commands.add_parser("compact", help="merge small files, write what a killed run left out")
    merged.add_argument("run", help="the run's folder")
    taken = commands.add_parser(
        "import", help="take the scalars of a TensorBoard folder or an offline W&B run into a run"
    )
    taken.add_argument("folder", help="TensorBoard's log folder, or wandb/offline-run-...")
    taken.add_argument("run", help="folder of the run that gets them")
    mirroring = commands.add_parser("mirror", help="copy a run into an object store, until it has ended")
    mirroring.add_argument("run", help="the run's folder")
    mirroring.add_argument("url", help="where it is to lie, such as s3://bucket/runs/first")
    export.add_command(commands)
    fleet_command.add_command(commands)
    ui.add_command(commands)
    return top


def _run(options: argparse.Namespace) -> int:
    wide = sys.stdout is None or not sys.stdout.isatty()
    console = Output(width=160 if wide else None, highlight=False, markup=False)
    if options.command == "ls":
        return _ls(options.folder, console)
    if options.command == "show":
        return _show(options.run, options.json, console)
    if options.command == "check":
        return _check(options.run, console)
    if options.command == "ui":
        return ui.run_command(options)
    if options.command == "import":
        count = import_scalars(options.folder, options.run)
        console.print(f"{shown(options.run)}: {count} numbers taken from {shown(options.folder)}")
        return 0
    if options.command == "fleet":
        return fleet_command.run_command(options)
    if options.command == "mirror":
        from probes import mirror  # not at the top: it needs the extra `store`

        return mirror.run_command(options)
    if options.command == "export":
        return export.run_command(options)
    return _compact(options.run, console)


def _ls(folder: str, console: Console) -> int:
    rows = catalog(folder).to_dict("records")
    if not rows:
        if open_folder(folder).stamp(manifest.FILE) is not None:
            raise RunError(
                f"{folder} is a run, and holds none: ask for the folder that it is in, or `probes show`"
            )
        console.print(
            f"{shown(folder)} holds no run: the runs of a folder are its subfolders with a run.json"
        )
        return 0
    table = Table("run", "status", "steps", "layers", "neurons", "living share", "scores", box=None)
    for row in rows:
        if row["error"]:
            table.add_row(shown(row["name"]), row["status"], shown(row["error"]))
            continue
        living = " ".join("-" if share is None else f"{share:.2f}" for share in row["living_share"])
        # held-out scores first
        scored = sorted(row["scores"].items(), key=lambda item: item[0].startswith("train/"))
        scores = "  ".join(f"{shown(key)} {_number(score['value'])}" for key, score in scored[:4])
        if row["notes_error"]:
            print(shown(row["notes_error"]), file=sys.stderr)
        table.add_row(
            shown(row["name"]),
            row["status"],
            *(str(row[key]) for key in ("steps", "layers", "neurons")),
            living,
            scores,
        )
    console.print(table)
    return 0


def _show(path: str, as_json: bool, console: Console) -> int:
    run = Run(path)
    layers = layer_rows(run)
    steps = run.steps
    head = {
        "run": run.name,
        "status": run.status,
        "steps": int(steps.size),
        "last_step": int(steps[-1]) if steps.size else None,
    }
    if as_json:
        print(json.dumps(plain(head | {"layers": layers}), allow_nan=False))
        return 0
    console.print(
        f"{shown(run.name)}: {run.status}, {steps.size} recorded steps"
        + (f", the last is {steps[-1]}" if steps.size else "")
    )
    if not layers:
        console.print("no layer is recorded, only numbers that were handed over:")
        for line in "\n".join(manifest.refused(run.config)).splitlines():
            console.print(shown(line), soft_wrap=True)
        return 0
    columns = {
        "living share": "living_share", "rate (nats)": "rate", "information (nats)": "information",
        "contraction": "contraction", "entropy (nats)": "entropy", "perplexity": "perplexity",
        "used codes": "used_codes", "joint KL (nats)": "joint_kl", "coupling (nats)": "coupling",
        "half-life (t)": "measured_half_life", "if AR(1) (t)": "half_life",
    }  # fmt: skip
    columns = {head: key for head, key in columns.items() if any(row[key] is not None for row in layers)}
    faulty = any(
        row["temporal_faults"] is not None for row in layers
    )  # judged, of a prior that expects memory
    table = Table(
        "layer", "family", "neurons", *columns, "regimes", *(["temporal faults"] if faulty else []), box=None
    )
    for row in layers:
        cells = [_number(row[key]) for key in columns.values()]
        cells.append(", ".join(f"{name} {count}" for name, count in row["regimes"].items()) or "-")
        if faulty:
            faults = row["temporal_faults"] or {}
            cells.append(", ".join(f"{name} {count}" for name, count in faults.items()) or "-")
        table.add_row(shown(row["layer"]), shown(row["family"]), str(row["neurons"]), *cells)
    console.print(table)
    return 0


def _check(path: str, console: Console) -> int:
    if not is_store(path) and not Path(path).is_dir():
        raise RunError(f"{path} is not a folder: name the folder of a run")
    findings = check(path)
    for finding in findings:
        console.print(shown(f"{finding.level}: {finding.where}: {finding.what}"), soft_wrap=True)
    errors = sum(finding.level == "error" for finding in findings)
    notes = len(findings) - errors
    counts = [f"{count} {what}{'s' * (count != 1)}" for count, what in ((errors, "error"), (notes, "note"))]
    summary = ", ".join(counts) if findings else "all is as it should be"
    console.print(f"{shown(path)}: {summary}")
    return 1 if errors else 0


def _compact(path: str, console: Console) -> int:
    folder = local_folder(path)
    state = manifest.read(open_folder(folder))
    before = sum(1 for _ in folder.rglob("*.parquet"))
    lock = Lock(folder)
    try:
        if state["status"] == "running":  # nobody holds the lock: its writer is gone
            state["status"] = "crashed"
        compact(folder, state)
    finally:
        lock.release()
    console.print(f"{shown(path)}: {before} files before, {sum(1 for _ in folder.rglob('*.parquet'))} now")
    return 0


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
