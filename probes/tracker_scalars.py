"""Numbers that another tracker holds, taken into a run: `python -m probes import FOLDER RUN`.

TensorBoard's event files are read by its own package, offline runs of Weights & Biases by theirs; neither is
needed for anything else. Nothing is asked of a server.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from probes.errors import RunError
from probes.recorder import Recorder
from probes.run import Run

SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "eval": "validation", "test": "test",
}  # fmt: skip
"""First part of a name -> the split that it speaks of."""
EVENTS, OFFLINE = "*.tfevents.*", "*.wandb"
STEPS = ("probes/step", "global_step", "trainer/global_step", "_step")
"""Where a row of Weights & Biases says its step, the first that there is."""


class Scalar(NamedTuple):
    """One number of a tracker."""

    step: int
    name: str
    value: float


def import_scalars(folder: str | Path, run: str | Path) -> int:
    """Take the scalars of a TensorBoard folder or an offline run of Weights & Biases into a run's own.

    Parameters
    ----------
    folder
        Holds event files or a `.wandb` file, at any depth.
    run
        Folder of a run that nobody writes. A name such as train/loss becomes `loss` of the split train; names
        that speak of no split are of the split "tensorboard" or "wandb". What the run has (the same step,
        split and name) stays as it is.

    Returns
    -------
    int
        How many numbers were added.

    Raises
    ------
    RunError
        When there is nothing to read, the package that reads it is not installed, or `run` is no run or is
        being written.
    """
    source = Path(folder)
    if not source.is_dir():
        raise RunError(
            f"{folder} is not a folder: name one with event files of TensorBoard, or of an offline run"
        )
    events, offline = sorted(source.rglob(EVENTS)), sorted(source.rglob(OFFLINE))
    if not events and not offline:
        raise RunError(f"{folder} holds no event files of TensorBoard and no offline run of Weights & Biases")
    scalars = [("tensorboard", one) for place in _folders(events) for one in tensorboard_scalars(place)]
    scalars += [("wandb", one) for file in offline for one in wandb_scalars(file)]
    reader = Run(run)
    if reader.status == "running":
        raise RunError(f"{run} is being written: import into it when it has ended")
    there = set(reader.scalars()[["step", "split", "name"]].itertuples(index=False, name=None))
    added: dict[tuple[int, str, str], float] = {}
    for tracker, one in scalars:
        first, _, rest = one.name.partition("/")
        known = SPLITS.get(first.lower()) if rest else None
        split, name = (known, rest) if known else (tracker, one.name)
        if one.step >= 0 and (one.step, split, name) not in there:
            added[one.step, split, name] = one.value
    if added:
        recorder = Recorder.resume(run, _last_step(reader))
        try:
            for (step, split, name), value in added.items():
                recorder.scalar(step, name, value, split=split)
        finally:
            recorder.close(reader.status)
    return len(added)


def tensorboard_scalars(folder: str | Path) -> list[Scalar]:
    """Every scalar of the event files in one folder.

    Parameters
    ----------
    folder
        As `SummaryWriter(folder)` has written it.

    Returns
    -------
    list of Scalar
        By name, in order of step.

    Raises
    ------
    RunError
        When the package `tensorboard` is not installed.
    """
    try:
        from tensorboard.backend.event_processing import event_accumulator  # type: ignore[import-not-found]
    except ImportError as error:
        raise RunError(
            f"{folder} holds event files of TensorBoard, which its package reads: pip install tensorboard"
        ) from error
    held = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    held.Reload()
    found = [
        Scalar(int(event.step), name, float(event.value))
        for name in held.Tags()["scalars"]
        for event in held.Scalars(name)
    ]
    for name in held.Tags()["tensors"]:  # what TensorFlow 2 writes scalars as
        if held.SummaryMetadata(name).plugin_data.plugin_name == "scalars":
            values = [(event.step, event.tensor_proto.float_val) for event in held.Tensors(name)]
            found += [Scalar(int(step), name, float(value[0])) for step, value in values if len(value) == 1]
    return found


def wandb_scalars(file: str | Path) -> list[Scalar]:
    """Every number of an offline run.

    Parameters
    ----------
    file
        Its `.wandb` file.

    Returns
    -------
    list of Scalar
        In order of arrival; a row's step is what `STEPS` names.

    Raises
    ------
    RunError
        When the package `wandb` is not installed.
    """
    try:
        from wandb.proto import wandb_internal_pb2  # type: ignore[import-not-found]
    except ImportError as error:
        raise RunError(
            f"{file} is a run of Weights & Biases, which its package reads: pip install wandb"
        ) from error
    found: list[Scalar] = []
    for data in framed_records(Path(file).read_bytes()):
        history = wandb_internal_pb2.Record.FromString(data).history
        row = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in history.item}
        step = next((row[name] for name in STEPS if _is_number(row.get(name))), history.step.num)
        found += [
            Scalar(int(step), name, float(value))
            for name, value in row.items()
            if _is_number(value) and not name.startswith("_") and name not in STEPS
        ]
    return found


def framed_records(data: bytes) -> Iterator[bytes]:
    """Records of a LevelDB log, as a `.wandb` file is: blocks of 32 KiB, chunks of checksum, length, kind
    (whole, first, middle, last). What a writer that was killed left half written ends it.
    """
    block, header, at, record = 32768, 7, 7, b""  # the file itself begins with 7 bytes of its own
    while at + header <= len(data):
        left = block - at % block
        if left < header:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        if kind == 0 or at + header + length > len(data):
            return
        record += data[at + header : at + header + length]
        at += header + length
        if kind in (1, 4):
            yield record
            record = b""


def _folders(files: list[Path]) -> list[Path]:
    return list(dict.fromkeys(file.parent for file in files))


def _last_step(run: Run) -> int:
    """The last step of anything in a run, so that nothing is set aside."""
    tables = (run.scalars(), run.events(), run.evaluation())
    steps = [int(run.steps[-1])] if run.steps.size else []
    steps += [int(table["step"].max()) for table in tables if len(table)]
    steps += [int(some[-1]) for some in (run.probe_steps(),) if some.size]
    return max(steps, default=-1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
