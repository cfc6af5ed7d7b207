"""Ways of logging the statistics of every neuron: one class a logger and way, written and read as its users
would.

A class opens its log in a folder, takes one step's statistics a call, and reads the first layer's history
back. What a logger does besides (system metrics, terminal capture, Git state) is switched off where there is
a setting, so that only what the statistics cost is measured; every other setting is the logger's default.
Nothing here talks to a network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from benchmarks.log import LAYERS, NEURONS, STATISTICS, layer_dicts
from probes.tracker_scalars import framed_records

Statistics = list[dict[str, np.ndarray]]
"""One step: for each layer, statistic -> (N,) float32."""

# neurons a layer that are logged as scalars where somebody chose "some": 64 charts for each statistic
SOME = 16
NAMES = [f"layer{layer + 1}/{name}" for layer in range(LAYERS) for name in STATISTICS]
SCALARS_OF_SOME, SCALARS_OF_ALL = f"scalars of {LAYERS * SOME} neurons", "scalars of every neuron"
UNNAMED, UNCHOSEN = "which neuron is where (as TensorBoard)", "the neurons that were not chosen beforehand"
FIRST = [name for name in NAMES if name.startswith("layer1/")]


class Logging:
    """A way of logging. Subclasses say what is logged and what the log cannot show, and fill in the four
    methods.
    """

    logger = "no logging"
    what = "nothing; the statistics are computed"
    cannot = "-"
    neurons: ClassVar[int | None] = None  # of each layer, logged as scalars
    groups: ClassVar[int | None] = None  # of the training session; None: as many as asked for
    steps: ClassVar[int | None] = None  # that are written for reading; None: the whole history
    same_log = False  # as the way before it, read in another way

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log(self, step: int, statistics: Statistics) -> None:
        """Log one step."""

    def close(self) -> None:
        """Wait until everything is on the disk."""

    def settle(self) -> None:
        """What has to be done once before the log can be read; not timed."""

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        """Every number that the log keeps of the first layer, over all steps."""
        return []

    def scalars(self, statistics: Statistics) -> dict[str, float]:
        """The chosen neurons of every layer as "layer/statistic/neuron" -> value."""
        rows = (values[: self.neurons].tolist() for found in statistics for values in found.values())
        return {
            f"{name}/{index}": value
            for name, row in zip(NAMES, rows, strict=True)
            for index, value in enumerate(row)
        }


def arrays(statistics: Statistics) -> Iterator[tuple[str, np.ndarray]]:
    """("layer/statistic", (N,)) of one step."""
    return zip(NAMES, (values for found in statistics for values in found.values()), strict=True)


class Probes(Logging):
    logger = "probes"
    what = "every neuron, 7 statistics"
    cannot = (
        "distributions of activations beyond their moments; images, text, hardware; several users, a server"
    )

    def __init__(self, folder: Path) -> None:
        from probes import Recorder

        self.recorder = Recorder(folder, layer_dicts())

    def log(self, step: int, statistics: Statistics) -> None:
        for layer, found in enumerate(statistics):
            self.recorder.record(step, layer, **found)

    def close(self) -> None:
        self.recorder.close()

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        from probes import Run

        run = Run(folder)
        return [run.matrix(0, name)[0] for name in STATISTICS]


class ProbesSummary(Probes):
    what = "the same log, read as a layer's mean and quantiles"
    cannot = "(the same)"
    same_log = True

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        from probes import Run

        frame = Run(folder).layer_summary()
        columns = [name for name in frame if name not in ("step", "layer")]
        return [frame.loc[frame["layer"] == 0, columns].to_numpy()]


class TensorBoard(Logging):
    logger = "TensorBoard"
    what = "28 histograms (layer x statistic), default bins"
    cannot = (
        "which neuron is where: a histogram's neurons have no names, so none can be followed, found, or"
        " compared over steps"
    )
    kept = "histograms"

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))

    def log(self, step: int, statistics: Statistics) -> None:
        for name, values in arrays(statistics):
            self.writer.add_histogram(name, values, step)

    def close(self) -> None:
        self.writer.close()

    @classmethod
    def events(cls, folder: Path) -> Iterator[Any]:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        # 0 keeps all: the accumulator's own default is a sample of the steps
        accumulator = EventAccumulator(str(folder), size_guidance={cls.kept: 0}).Reload()
        for tag in accumulator.Tags()[cls.kept]:
            if tag.startswith("layer1/"):
                yield from getattr(accumulator, cls.kept.capitalize())(tag)

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        found = [event.histogram_value for event in cls.events(folder)]
        return [np.array([*one.bucket_limit, *one.bucket]) for one in found]


class TensorBoardTensors(TensorBoard):
    what = "28 tensors (add_tensor), every neuron"
    cannot = (
        "anything by itself: the data are complete, but no built-in page draws plain tensors; reading one"
        " parses all"
    )
    kept = "tensors"

    def log(self, step: int, statistics: Statistics) -> None:
        for name, values in arrays(statistics):
            self.writer.add_tensor(name, torch.from_numpy(values), step)

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        from tensorboard.util.tensor_util import make_ndarray

        return [make_ndarray(event.tensor_proto) for event in cls.events(folder)]


class TensorBoardScalars(TensorBoard):
    what = SCALARS_OF_SOME
    cannot = f"{UNCHOSEN}; anything across neurons: each is a chart of its own"
    neurons = SOME
    kept = "scalars"

    def log(self, step: int, statistics: Statistics) -> None:
        for name, value in self.scalars(statistics).items():
            self.writer.add_scalar(name, value, step)

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        return [np.array([event.value for event in cls.events(folder)])]


class TensorBoardEveryScalar(TensorBoardScalars):
    what = SCALARS_OF_ALL
    cannot = "anything across neurons: 28,672 charts"
    neurons, groups, steps = NEURONS, 3, 8


class WandB(Logging):
    logger = "W&B offline"
    what = "28 histograms, 64 bins (the default)"
    cannot = f"{UNNAMED}; in a browser only after upload or with a server; offline in the terminal"

    def __init__(self, folder: Path) -> None:
        import wandb

        self.wandb = wandb
        settings = wandb.Settings(
            console="off", x_disable_stats=True, silent=True, disable_git=True, disable_code=True
        )
        folder.mkdir(parents=True)
        self.run = wandb.init(project="benchmark", dir=str(folder), mode="offline", settings=settings)

    def log(self, step: int, statistics: Statistics) -> None:
        self.run.log({name: self.wandb.Histogram(values) for name, values in arrays(statistics)}, step=step)

    def close(self) -> None:
        self.run.finish()

    @classmethod
    def items(cls, folder: Path) -> Iterator[Any]:
        """Values of the first layer. The package has no reader of a run that stayed offline; it has the
        records' classes.
        """
        from wandb.proto import wandb_internal_pb2

        (path,) = folder.glob("wandb/offline-run-*/*.wandb")
        for record in framed_records(path.read_bytes()):
            for item in wandb_internal_pb2.Record.FromString(record).history.item:
                key = item.nested_key or [item.key]
                if key[0].startswith("layer1/") and key[-1] != "_type":
                    yield json.loads(item.value_json)

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        return [np.array(value) for value in cls.items(folder)]


class WandBScalars(WandB):
    what = SCALARS_OF_SOME
    cannot = f"{UNCHOSEN}; anything across neurons but overlaid lines"
    neurons = SOME

    def log(self, step: int, statistics: Statistics) -> None:
        self.run.log(self.scalars(statistics), step=step)


class WandBEveryScalar(WandBScalars):
    what = SCALARS_OF_ALL
    cannot = (
        "anything across neurons but overlaid lines; 28,672 metrics, where its documentation advises 10,000 a"
        " project"
    )
    neurons, groups, steps = NEURONS, 8, 16


class Aim(Logging):
    logger = "Aim"
    what = "28 distributions, 64 bins (the default)"
    cannot = UNNAMED

    def __init__(self, folder: Path) -> None:
        import aim

        self.distribution = aim.Distribution
        quiet = {"system_tracking_interval": None, "log_system_params": False, "capture_terminal_logs": False}
        self.repo, self.run = folder, aim.Run(repo=str(folder), experiment="benchmark", **quiet)

    def log(self, step: int, statistics: Statistics) -> None:
        for name, values in arrays(statistics):
            self.run.track(self.distribution(values), name=name, step=step)

    def close(self) -> None:
        self.run.close()

    def settle(self) -> None:
        """A finished run is readable once it is in the index, which Aim's server does while it runs, else
        this command.
        """
        command = [
            str(Path(sys.executable).with_name("aim")),
            "storage",
            "--repo",
            str(self.repo),
            "reindex",
            "-y",
        ]
        subprocess.run(command, check=True, capture_output=True)

    @classmethod
    def open(cls, folder: Path) -> Any:
        import aim

        (chunk,) = (folder / ".aim" / "meta" / "chunks").iterdir()
        return aim.Run(chunk.name, repo=str(folder), read_only=True)

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        from aim.storage.context import Context

        run = cls.open(folder)
        found = [run.get_distribution_sequence(name, Context({})).values.sparse_list()[1] for name in FIRST]
        return [np.concatenate([one.weights, one.range]) for values in found for one in values]


class AimScalars(Aim):
    what = SCALARS_OF_SOME
    cannot = f"{UNCHOSEN}; anything across neurons but overlaid lines and their band"
    neurons = SOME

    def log(self, step: int, statistics: Statistics) -> None:
        for name, value in self.scalars(statistics).items():
            self.run.track(value, name=name, step=step)

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        run = cls.open(folder)
        sequences = [
            (name, context) for name, context, _ in run.iter_metrics_info() if name.startswith("layer1/")
        ]
        return [run.get_metric(name, context).values.sparse_numpy()[1] for name, context in sequences]


class AimEveryScalar(AimScalars):
    what = SCALARS_OF_ALL
    cannot = "anything across neurons but overlaid lines and their band: 28,672 sequences"
    neurons, groups, steps = NEURONS, 2, 2


class Trackio(Logging):
    logger = "Trackio"
    what = "28 histograms, 64 bins (the default)"
    cannot = UNNAMED

    def __init__(self, folder: Path) -> None:
        self.place(folder)
        import trackio

        self.trackio = trackio
        trackio.init(project=folder.name, name="run", embed=False, auto_log_cpu=False, auto_log_gpu=False)

    @staticmethod
    def place(folder: Path) -> None:
        """Trackio keeps a project in TRACKIO_DIR/PROJECT.db and reads the variable once, at import."""
        os.environ["TRACKIO_DIR"] = str(folder.parent)

    def log(self, step: int, statistics: Statistics) -> None:
        self.trackio.log(
            {name: self.trackio.Histogram(values) for name, values in arrays(statistics)}, step=step
        )

    def close(self) -> None:
        self.trackio.finish()

    @classmethod
    def rows(cls, folder: Path) -> list[dict[str, Any]]:
        cls.place(folder)
        from trackio.sqlite_storage import SQLiteStorage

        return SQLiteStorage.get_logs(folder.name, "run")

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        found = [row[name] for row in cls.rows(folder) for name in FIRST]
        return [np.array([*one["bins"], *one["values"]]) for one in found]


class TrackioScalars(Trackio):
    what = SCALARS_OF_SOME
    cannot = f"{UNCHOSEN}; anything across neurons but overlaid lines"
    neurons = SOME

    def log(self, step: int, statistics: Statistics) -> None:
        self.trackio.log(self.scalars(statistics), step=step)

    @classmethod
    def read(cls, folder: Path) -> list[np.ndarray]:
        return [
            np.array([value for name, value in row.items() if name.startswith("layer1/")])
            for row in cls.rows(folder)
        ]


class TrackioEveryScalar(TrackioScalars):
    what = SCALARS_OF_ALL
    cannot = "anything across neurons but lines: 28,672 of them"
    neurons, groups, steps = NEURONS, 8, 16


KINDS: dict[str, type[Logging]] = {
    kind.__name__: kind
    for kind in (
        Logging,
        Probes,
        ProbesSummary,
        TensorBoard,
        TensorBoardTensors,
        TensorBoardScalars,
        TensorBoardEveryScalar,
        WandB,
        WandBScalars,
        WandBEveryScalar,
        Aim,
        AimScalars,
        AimEveryScalar,
        Trackio,
        TrackioScalars,
        TrackioEveryScalar,
    )
}
