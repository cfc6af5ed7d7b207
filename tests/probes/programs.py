"""Random programs: a recorder used in any order, killed, resumed, read meanwhile, against a truth in memory.

`python tests/probes/programs.py FIRST COUNT` runs the programs of so many seeds and prints those that fail.
"""

from __future__ import annotations

import errno
import logging
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import probes
from probes.log import maintenance, manifest
from probes.log.background import Background as Background
from probes.log.check import check
from probes.log.schedule import Schedule
from probes.recorder import BUDGET_EVENT, Recorder, RecorderError
from probes.storage import local
from probes.storage.local import LocalStorage
from probes.storage.lock import Lock

STATISTICS = ("mean", "variance", "spread", "persistence")
SUMMED = ("kl", "information")
CLASSES = 3
LAYERS: list[dict[str, Any]] = [
    {"name": "plain"},
    {"name": "several", "latent_dim": 3},
    {"name": "classes", "family": "categorical", "classes": CLASSES},
    {"name": "other", "family": "gamma"},
]
ROUNDED = 2.0**-11
CALLS = 200


class Killed(BaseException):
    """The process is gone."""


class _Lossy(Exception):
    """Rows were dropped, and counted: there is no truth to go on with."""


class Disk:
    """What stands between a run and its folder: it ends the process before or within an operation, or fails.

    kill_after: operations until then, None for never. failing: whether each write is refused.
    """

    def __init__(self) -> None:
        self.kill_after: int | None = None
        self.failing = False
        self._real = {
            name: getattr(LocalStorage, name) for name in ("put", "put_if_absent", "move", "delete")
        }

    def __enter__(self) -> Disk:
        self._sync, local._sync = local._sync, lambda _: None  # no power is cut here: a hundred times as fast
        for name, real in self._real.items():
            setattr(LocalStorage, name, self._guarded(real))
        return self

    def __exit__(self, *_: object) -> None:
        local._sync = self._sync
        for name, real in self._real.items():
            setattr(LocalStorage, name, real)

    def _guarded(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(storage: LocalStorage, path: str, *rest: Any) -> Any:
            if self.kill_after is not None:
                if self.kill_after <= 0:
                    raise Killed
                self.kill_after -= 1
            if self.failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(storage, path, *rest)

        return guarded


class Program:
    """One run, from its first call to its last."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng, self.draw = random.Random(seed), np.random.default_rng(seed)
        self.path = folder / "run"
        chosen = self.rng.sample(LAYERS, self.rng.randint(1, 4))
        self.layers = [layer | {"neurons": self._width()} for layer in chosen]
        self.precision: Any = self.rng.choice(["full", "full", "10bit"])
        self.grid: list[dict[int, dict[str, np.ndarray]]] = [{} for _ in self.layers]
        """Of each layer what was recorded at each step."""
        self.due: list[set[int]] = [set() for _ in self.layers]
        """Of each layer the steps that must be there when the run is closed."""
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.written: list[int] = [0] * len(self.layers)  # steps that a flush has promised
        self.safe_step, self.safe_rows = -1, dict[str, int]()
        self.step = -1
        self.columns: dict[str, str] = {}
        self.reader: probes.Run | None = None
        self.recorder: Recorder | None = None
        self.disk = Disk()
        self.calls: list[str] = []

    def _width(self) -> int:
        return self.rng.choice([1, 2, 3, 5, 64, 65, 130])

    # ---- the course of a program

    def run(self) -> None:
        """Several sessions, each ended in its own way; all is there, and as it was recorded, after each."""
        with self.disk, warnings.catch_warnings(), suppress(_Lossy):
            warnings.simplefilter("ignore")
            for session in range(self.rng.randint(1, 4)):
                self.session(session)
                if self.rng.random() < 0.3:
                    self.compact()
            self.compact()
            self.whole()

    def session(self, number: int) -> None:
        options = self.options()
        self.say(f"session {number}: {options}")
        if self.rng.random() < 0.15:
            self.disk.kill_after = self.rng.randint(0, 20)
        recorder = None
        try:
            if number == 0 and not (self.path / "run.json").exists():
                recorder = Recorder(self.path, self.layers, {"seed": 1}, self.precision, **options)
                self.step = -1
            elif not (self.path / "run.json").exists():
                recorder = Recorder(self.path, self.layers, {"seed": 1}, self.precision, **options)
                self.forget_after(-1)
            else:
                checkpoint = self.rng.choice(
                    [-1, self.step, self.step, self.step + 3, self.rng.randint(-1, max(0, self.step))]
                )
                self.say(f"resume {checkpoint}")
                self.resuming = checkpoint
                recorder = Recorder.resume(self.path, checkpoint, **options)
                self.forget_after(checkpoint)
        except Killed:
            self.disk.kill_after = None
            self.say("killed at the start")
            self.after_kill(self.resuming if (self.path / "run.json").exists() and number else None)
            return
        if self.disk.kill_after is None and self.rng.random() < 0.25:
            self.disk.kill_after = self.rng.randint(0, 60)
        self.recorder = recorder
        self.first: int | None = None
        self.held: set[int] = set()
        self.schedule = Schedule(options["every"], options["geometric"])
        self.budget = options["max_gb"] is not None
        try:
            for _ in range(self.rng.randint(0, 60)):
                self.call(recorder)
            ending = self.rng.choice(["finished", "interrupted", "crashed", "kill"])
            if ending == "kill":
                raise Killed
            self.say(f"close {ending}")
            self.disk.failing = False
            recorder.close(ending)
            if self.disk.kill_after is not None:
                self.disk.kill_after = None
            self.after_close(recorder, ending)
        except (Killed, RecorderError) as error:
            dead = isinstance(error, Killed) or self.disk.kill_after == 0
            if not dead:
                raise
            self.say("killed")
            self.abandon(recorder)
            if any(recorder.dropped.values()):
                raise _Lossy from None
            self.after_kill(None)
        else:
            self.recorder = None
        finally:
            self.disk.kill_after, self.disk.failing = None, False

    def options(self) -> dict[str, Any]:
        rng = self.rng
        return {
            "flush_steps": rng.randint(1, 50),
            "flush_seconds": rng.choice([0.01, 5.0, 5.0]),
            "flush_bytes": rng.choice([300, 3000, 2**26]),
            "every": rng.choice([1, 1, 1, 1, 2, 3, 7]),
            "geometric": rng.choice([None, None, 1.2, 1.5]),
            "max_gb": rng.choice([None, None, None, 1e-6, 1e-4]),
            "strict": rng.random() < 0.5,
        }

    def abandon(self, recorder: Recorder) -> None:
        """What is left when the process is gone: nothing in memory, no lock, half a file."""
        self.disk.kill_after = 0
        self.recorder = None
        background = recorder._background
        recorder.forget()
        background._closing = True
        background._thread.join(30)
        assert not background._thread.is_alive()
        recorder._lock.forget()
        self.disk.kill_after = None
        if self.rng.random() < 0.5:
            (self.path / ".tmp-half.parquet").write_bytes(b"PAR1")

    # ---- calls

    def call(self, recorder: Recorder) -> None:
        name = self.rng.choices(
            ["steps", "block", "row", "flush", "read", "bad", "fail"], [10, 4, 8, 1, 2, 1, 0.3]
        )[0]
        getattr(self, name)(recorder)

    def statistics(self, layer: int, count: int) -> dict[str, np.ndarray]:
        """name -> (count, N, K) or (count, N)."""
        spec = self.layers[layer]
        shape = (count, spec["neurons"]) + ((spec["latent_dim"],) if spec.get("latent_dim", 1) > 1 else ())
        names = ["mean", "variance", *(n for n in (*STATISTICS, *SUMMED) if self.rng.random() < 0.4)]
        found = {
            name: np.abs(self.draw.normal(size=shape)).astype(np.float32) for name in dict.fromkeys(names)
        }
        if "kl" in found:
            found["information"] = found["kl"] / 2
            found["mismatch"] = found["kl"] / 2
        if self.rng.random() < 0.05:
            found["variance"].flat[0] = np.nan
        return found

    def note(self, layer: int, step: int, values: dict[str, np.ndarray]) -> None:
        reduced = {}
        for name, value in values.items():
            summed = name in (*SUMMED, "mismatch")
            reduced[name] = (value.sum(-1) if summed else value.mean(-1)) if value.ndim == 2 else value
        if self.first is None:
            self.first = step
        if not self.budget and (self.schedule.due(step) or step == self.first):
            self.due[layer].add(step)
        self.grid[layer][step] = reduced

    def note_all(self, layer: int, steps: list[int], values: dict[str, np.ndarray]) -> None:
        for at, step in enumerate(steps):
            self.note(layer, step, {name: given[at] for name, given in values.items()})

    def steps(self, recorder: Recorder) -> None:
        gaps = self.rng.choice([1, 1, 1, 5, 100])
        for _ in range(self.rng.choice([1, 3, 20])):
            self.step += self.rng.randint(1, gaps)
            some = range(len(self.layers))
            if self.rng.random() < 0.2:
                some = self.rng.sample(some, self.rng.randint(1, len(some)))
            for layer in self.rng.sample(list(some), len(some)):
                values = {name: given[0] for name, given in self.statistics(layer, 1).items()}
                name = self.layers[layer]["name"] if self.rng.random() < 0.5 else layer
                self.attempt(
                    partial(recorder.record, self.step, name, **values),
                    partial(self.note, layer, self.step, values),
                )

    def block(self, recorder: Recorder) -> None:
        begin = self.step + 1
        span = self.rng.choice([1, 8, 40, 300])
        last = begin
        for layer in range(len(self.layers)):
            if self.rng.random() < 0.2:
                continue
            some = self.rng.sample(range(begin, begin + span), self.rng.randint(1, min(span, 20)))
            chosen = sorted({begin, *some})
            if self.rng.random() < 0.5:
                chosen = list(range(begin, begin + span))
            values = self.statistics(layer, len(chosen))
            last = max(last, chosen[-1])
            self.attempt(
                partial(recorder.record_block, chosen, layer, values),
                partial(self.note_all, layer, chosen, values),
            )
        self.step = last

    def attempt(self, call: Callable[[], object], noted: Callable[[], object]) -> None:
        """A call whose rows count, though it may tell of a full disk: they are kept and tried again."""
        try:
            call()
        except RecorderError as error:
            if not self.disk.failing and "died" in str(error):
                raise
            if self.disk.kill_after == 0:
                raise Killed from None
            self.disk.failing = False
            if "tried again" not in str(error):
                raise
        noted()

    def row(self, recorder: Recorder) -> None:
        step = max(0, self.step + self.rng.choice([0, 0, 0, 1, -3, -50]))
        kind = self.rng.choice(
            [
                "scalar",
                "scalar",
                "event",
                "probe",
                "sequence",
                "origin",
                "predictions",
                "classes",
                "evaluation",
                "answers",
                "inputs",
                "forces",
            ]
        )
        getattr(self, f"add_{kind}")(recorder, step)

    def added(self, table: str, rows: list[dict[str, Any]], call: Callable[[], object]) -> None:
        self.attempt(call, lambda: self.rows[table].extend(rows))

    def add_scalar(self, recorder: Recorder, step: int) -> None:
        value, name = float(self.draw.normal()), self.rng.choice(["nll", "kl", "ünïcode", "a/b"])
        value = self.rng.choice([value, value, float("nan"), float("inf")])
        row = {"step": step, "name": name, "value": value, "split": "train"}
        self.added("scalars", [row], lambda: recorder.scalar(step, name, value))

    def add_event(self, recorder: Recorder, step: int) -> None:
        layer = self.rng.randrange(len(self.layers))
        neurons = list(range(self.rng.randint(1, self.layers[layer]["neurons"])))
        rows = [
            {"step": step, "kind": "cut", "layer": layer, "neuron": n, "value": 0.5, "text": "x" * n}
            for n in neurons[:1]
        ]
        if self.rng.random() < 0.5:
            self.added(
                "events",
                [r | {"text": "t"} for r in rows],
                lambda: recorder.event(step, "cut", layer, [0], 0.5, "t"),
            )
        else:
            self.added(
                "events",
                [{"step": step, "kind": "phase", "layer": None, "neuron": None, "value": None, "text": ""}],
                lambda: recorder.event(step, "phase"),
            )

    def _gaussian(self) -> int | None:
        found = [i for i, layer in enumerate(self.layers) if "family" not in layer]
        return self.rng.choice(found) if found else None

    def add_probe(self, recorder: Recorder, step: int) -> None:
        if (layer := self._gaussian()) is None:
            return
        n = self.layers[layer]["neurons"]
        mu, sigma = self.draw.normal(size=(2, 4, n)).astype(np.float32)
        rows = [
            {"step": step, "layer": layer, "neuron": j, "input": i, "mu": mu[i, j], "sigma": sigma[i, j]}
            for j in range(n)
            for i in range(4)
        ]
        self.added("probe", rows, lambda: recorder.probe(step, layer, mu, sigma))

    def add_sequence(self, recorder: Recorder, step: int) -> None:
        if (layer := self._gaussian()) is None:
            return
        n = self.layers[layer]["neurons"]
        given = self.draw.normal(size=(5, 3, n)).astype(np.float32)
        rows = [
            {"step": step, "layer": layer, "neuron": j, "t": t}
            | {name: given[k, t, j] for k, name in enumerate(("m", "V", "mu", "sigma", "kl"))}
            for j in range(n)
            for t in range(3)
        ]
        self.added("sequence", rows, lambda: recorder.sequence(step, layer, *given))

    def add_origin(self, recorder: Recorder, step: int) -> None:
        n = self.rng.randint(1, 5)
        names = self.rng.sample(["crps", "nll", "mse"], self.rng.randint(1, 3))
        given = {name: self.draw.normal(size=n).astype(np.float32) for name in names}
        origin = self.draw.permutation(100)[:n]
        rows = [
            {"step": step, "split": "test", "origin": int(origin[i]), "span": 2, "target": np.float32(i)}
            | {name: given[name][i] for name in names}
            for i in np.argsort(origin)
        ]
        self.added(
            "origin_scores",
            rows,
            lambda: recorder.origin_scores(step, "test", origin, np.arange(n), 2, **given),
        )

    def add_predictions(self, recorder: Recorder, step: int) -> None:
        n = self.rng.randint(1, 4)
        kinds = {
            "a": ["int", "float", "small"],
            "b": ["float"],
            "text": ["text", "none"],
            "flag": ["bool"],
            "u": ["uint", "int"],
        }
        frame = {}
        for name in self.rng.sample(list(kinds), self.rng.randint(1, 4)):
            kind = self.rng.choice(kinds[name])
            frame[name] = {
                "int": lambda: self.draw.integers(-(2**40), 2**40, n),
                "float": lambda: self.draw.normal(size=n),
                "small": lambda: self.draw.normal(size=n).astype(np.float32),
                "text": lambda: np.array(["x", "yy", "", "é"], object)[self.draw.integers(0, 4, n)],
                "none": lambda: np.array([None] * n, object),
                "bool": lambda: self.draw.random(n) < 0.5,
                "uint": lambda: self.draw.integers(0, 200, n).astype(np.uint8),
            }[kind]()
        rows = [{"step": step} | {name: values[i] for name, values in frame.items()} for i in range(n)]
        for row in rows:
            for name in [name for name, value in row.items() if value is None]:
                del row[name]
        try:
            self.added("predictions", rows, lambda: recorder.predictions(step, pd.DataFrame(frame)))
        except ValueError as error:
            if "was double before" not in str(error):  # a column of nothing is taken for numbers
                raise

    def add_classes(self, recorder: Recorder, step: int) -> None:
        names = [layer["name"] for layer in self.layers]
        if "classes" not in names:
            return
        layer = names.index("classes")
        if any(row["step"] == step for row in self.rows["classes"]):
            return  # shares that are there twice sum to two, as `check` says
        n = self.layers[layer]["neurons"]
        usage = self.draw.dirichlet(np.ones(CLASSES), n).astype(np.float32)
        rows = [
            {"step": step, "layer": layer, "neuron": j, "class": c, "usage": usage[j, c]}
            for j in range(n)
            for c in range(CLASSES)
        ]
        self.added("classes", rows, lambda: recorder.classes(step, layer, usage))

    def add_evaluation(self, recorder: Recorder, step: int) -> None:
        layer = self.rng.randrange(len(self.layers))
        n = self.layers[layer]["neurons"]
        names = self.rng.sample(["mean", "kl", "variance"], self.rng.randint(1, 3))
        given = {name: self.draw.normal(size=n).astype(np.float32) for name in names}
        rows = [
            {"step": step, "split": "test", "layer": layer, "neuron": j}
            | {name: given[name][j] for name in names}
            for j in range(n)
        ]
        self.added("evaluation", rows, lambda: recorder.evaluation(step, "test", layer, **given))

    def add_answers(self, recorder: Recorder, step: int) -> None:
        n, classes = self.rng.randint(1, 6), self.rng.choice([2, 3])
        p = self.draw.dirichlet(np.ones(classes), n)
        y = self.draw.integers(0, classes, n)
        rows = [
            {
                "step": step,
                "split": "validation",
                "input": i,
                "y": y[i],
                "predicted": p[i].argmax(),
                "confidence": np.float32(p[i].max()),
            }
            for i in range(n)
        ]
        self.added("answers", rows, lambda: recorder.class_probabilities(step, p, y))

    def add_inputs(self, recorder: Recorder, step: int) -> None:
        rows = [{"step": step, "input": i, "kind": "text", "content": "c" * i} for i in range(3)]
        self.added("inputs", rows, lambda: recorder.inputs(step, [("text", "c" * i) for i in range(3)]))

    def add_forces(self, recorder: Recorder, step: int) -> None:
        from probes.schema import FORCES

        layer = self.rng.randrange(len(self.layers))
        n = self.layers[layer]["neurons"]
        given = {name: self.draw.normal(size=n).astype(np.float32) for name in FORCES}
        rows = [
            {"step": step, "layer": layer, "neuron": j, "term": "nll"}
            | {name: given[name][j] for name in FORCES}
            for j in range(n)
        ]
        self.added("forces", rows, lambda: recorder.forces(step, layer, "nll", **given))

    def flush(self, recorder: Recorder) -> None:
        self.say("flush")
        try:
            recorder.flush()
        except RecorderError:
            if self.disk.kill_after == 0:
                raise Killed from None
            if not self.disk.failing:
                raise
            self.disk.failing = False
            return
        if self.disk.failing:  # nothing was to be written
            return
        self.safe_step = max([-1, *(step for due in self.due for step in due)])
        self.safe_rows = {name: len(rows) for name, rows in self.rows.items()}
        self.read(recorder)

    def fail(self, recorder: Recorder) -> None:
        """A full disk, met by a flush or not until much later, and free again once it was told of."""
        self.say("disk full")
        self.disk.failing = self.disk.kill_after is None
        if self.disk.failing and self.rng.random() < 0.8:
            self.add_scalar(recorder, max(0, self.step))
            self.flush(recorder)
            self.disk.failing = False
            self.flush(recorder)

    def bad(self, recorder: Recorder) -> None:
        for call in (
            lambda: recorder.record(self.step + 1, 0, mean=np.zeros(self.layers[0]["neurons"] + 1)),
            lambda: recorder.record(self.step + 1, 0),
            lambda: recorder.record(-1, 0, mean=np.zeros(self.layers[0]["neurons"])),
            lambda: recorder.record(self.step + 1, "none", mean=[0]),
            lambda: recorder.record_block([5, 4], 0, {"mean": np.zeros((2, self.layers[0]["neurons"]))}),
            lambda: recorder.scalar(0, "", 1.0),
            lambda: recorder.scalar(0, "x", "y"),
            lambda: recorder.predictions(0, pd.DataFrame({"when": [pd.Timestamp(0)]})),
            lambda: recorder.origin_scores(0, "a", [1, 1], [0, 0], 1, crps=[0, 0]),
        ):
            try:
                call()
            except ValueError:
                continue
            except RecorderError:
                if self.disk.kill_after == 0:
                    raise Killed from None
                if not self.disk.failing:
                    raise
                self.disk.failing = False
                continue
            raise AssertionError("a bad call was taken")

    # ---- what must be true

    def read(self, recorder: Recorder | None = None) -> None:
        """A reader, one that was there before too: all that was flushed, nothing that was not recorded."""
        if not (self.path / "run.json").exists() or (recorder and any(recorder.dropped.values())):
            return
        if self.reader is None or self.rng.random() < 0.3:
            self.reader = probes.Run(self.path)
        else:
            self.reader.refresh()
        self.is_prefix(
            self.reader.snapshot()
        )  # what it answers is of one moment, however often it lists anew

    def is_prefix(self, run: probes.Run) -> tuple[int, dict[str, int]]:
        """The last step of the run, and the rows of each table: all before is there, and right."""
        last = max([-1, *run.steps.tolist()])
        for layer in range(len(self.layers)):
            self.grid_is(run, layer, last)
        assert last >= self.safe_step, f"{last} of flushed {self.safe_step}"
        counts = {}
        for name in sorted(self.rows):
            found = self.stored(run, name)
            counts[name] = len(found)
            assert len(found) <= len(self.rows[name]), f"{name}: {len(found)} rows of {len(self.rows[name])}"
            assert len(found) >= self.safe_rows.get(name, 0), (
                f"{name}: {len(found)} of flushed {self.safe_rows}"
            )
            self.rows_are(name, found)
        return last, counts

    def stored(self, run: probes.Run, name: str) -> pd.DataFrame:
        answers = {
            "scalars": run.scalars,
            "events": run.events,
            "evaluation": run.evaluation,
            "origin_scores": run.origin_scores,
        }
        found = (
            answers[name]()
            if name in answers and self.rng.random() < 0.7
            else run._tables[name].read().to_pandas()
        )
        if name == "events":
            found = found[found["kind"] != BUDGET_EVENT]
        return found.reset_index(drop=True)

    def rows_are(self, name: str, found: pd.DataFrame) -> None:
        expected = self.rows[name][: len(found)]
        for column in found.columns:
            if (
                column in ("epoch", "time")
                or not any(column in row for row in expected)
                and name == "answers"
            ):
                continue
            want = np.array([row.get(column) for row in expected], dtype=object)
            got = found[column].to_numpy(dtype=object)
            absent = pd.isna(want)
            assert (pd.isna(got) == absent).all(), f"{name}.{column}: nulls"
            left, right = want[~absent].tolist(), got[~absent].tolist()
            if left and isinstance(left[0], str):
                assert left == right, f"{name}.{column}"
            elif left:
                a, b = np.array(left, float), np.array(right, float)
                self.same(b, a, f"{name}.{column}")

    @property
    def tolerance(self) -> float:
        """Relative, of what the run's precision keeps."""
        return ROUNDED if self.precision == "10bit" else 0.0

    def same(self, found: np.ndarray, want: np.ndarray, what: str) -> None:
        """Numbers as they were recorded. What assert_allclose says takes a millisecond: only where needed."""
        if not self.tolerance and np.array_equal(found, want, equal_nan=True):
            return
        np.testing.assert_allclose(found, want, rtol=self.tolerance, atol=0, err_msg=what)

    def grid_is(self, run: probes.Run, layer: int, last: int) -> None:
        frame = run.history(layer)
        neurons = self.layers[layer]["neurons"]
        steps = frame["step"].to_numpy()[::neurons].tolist()
        assert frame["neuron"].tolist() == list(range(neurons)) * len(steps), f"layer {layer}: neurons"
        assert (np.diff(steps) > 0).all(), f"layer {layer}: steps {steps}"
        unknown = [step for step in steps if step not in self.grid[layer]]
        assert not unknown, f"layer {layer}: steps {unknown} were never recorded"
        missing = [step for step in self.due[layer] if step <= last and step not in steps]
        assert not missing, f"layer {layer}: steps {missing} are missing, {steps[-5:]} are the last"
        absent = np.full(neurons, np.nan, np.float32)
        for name in frame.columns:
            if name in ("step", "layer", "neuron", "regime", "settled"):
                continue
            want = np.concatenate([[], *(self.grid[layer][step].get(name, absent) for step in steps)])
            self.same(frame[name].to_numpy(), want, f"{layer}.{name}")
        summary = run.layer_summary()
        assert summary.loc[summary["layer"] == layer, "step"].tolist() == steps, f"summary of layer {layer}"
        if steps and self.rng.random() < 0.2:
            tolerance = self.tolerance
            coarse = run.history(layer, 0, ["mean"], max_points=3)
            raw = np.array([self.grid[layer][step].get("mean", absent)[0] for step in steps])
            assert abs(coarse["mean_max"].max() - raw.max()) <= tolerance * abs(raw.max())
            assert abs(coarse["mean_min"].min() - raw.min()) <= tolerance * abs(raw.min())
            at = self.rng.choice(steps)
            assert run.at(at, layer)["neuron"].tolist() == list(range(neurons))

    def after_close(self, recorder: Recorder, ending: str) -> None:
        dropped = recorder.dropped
        run = probes.Run(self.path)
        assert run.status == ending
        if dropped != {"steps": 0, "rows": 0}:
            self.counted(run, dropped)
            raise _Lossy
        last, counts = self.is_prefix(run)
        for layer, due in enumerate(self.due):
            there = set(run.history(layer)["step"].tolist())
            assert due <= there, f"layer {layer}: {sorted(due - there)} are missing"
        newest = max([-1, *(step for grid in self.grid for step in grid)])
        assert last == newest, f"the last step is {last}, not {newest}"
        assert counts == {name: len(rows) for name, rows in sorted(self.rows.items())}, counts
        self.settle(run)
        self.sound()
        self.read()

    def counted(self, run: probes.Run, dropped: dict[str, int]) -> None:
        """What the full disk has cost was counted, and nothing else is missing."""
        there = {name: len(self.stored(run, name)) for name in self.rows}
        lost = sum(len(rows) - there[name] for name, rows in self.rows.items())
        assert lost <= dropped["rows"], f"{lost} rows are missing, {dropped} counted"
        missing = 0
        for layer in range(len(self.layers)):
            steps = set(run.history(layer)["step"].tolist())
            assert steps <= set(self.grid[layer])
            missing += len(self.due[layer] - steps)
        if not self.budget:
            assert missing <= dropped["steps"], f"{missing} steps are missing, {dropped} counted"
        errors = [one for one in check(self.path) if one.level == "error"]
        assert errors == [], errors[:3]

    def after_kill(self, resumed: int | None) -> None:
        """What was flushed is there, and of the rest a beginning; from now on that is the truth."""
        if not (self.path / "run.json").exists():
            self.forget_after(-1)
            self.rows.clear()
            return
        if resumed is not None:  # some tables were cut off and others not: resumed again, all are
            with Recorder.resume(self.path, resumed):
                pass
            self.forget_after(resumed)
        run = probes.Run(self.path)
        last, counts = self.is_prefix(run)
        for grid in self.grid:
            for step in [step for step in grid if step > last]:
                del grid[step]
        for name, count in counts.items():
            del self.rows[name][count:]
        self.settle(run)
        errors = [one for one in check(self.path) if one.level == "error"]
        assert errors == [], errors[:3]
        self.read()

    def settle(self, run: probes.Run) -> None:
        """What is there by now stays."""
        for layer in range(len(self.layers)):
            there = set(run.history(layer)["step"].tolist())
            self.grid[layer] = {step: values for step, values in self.grid[layer].items() if step in there}
            self.due[layer] = there
        self.safe_step = max([-1, *run.steps.tolist()])
        self.safe_rows = {name: len(rows) for name, rows in self.rows.items()}
        self.step = self.safe_step

    def forget_after(self, step: int) -> None:
        for layer in range(len(self.layers)):
            self.grid[layer] = {at: values for at, values in self.grid[layer].items() if at <= step}
            self.due[layer] = {at for at in self.due[layer] if at <= step}
        for name, rows in self.rows.items():
            self.rows[name] = [row for row in rows if row["step"] <= step]
        self.step = step
        self.safe_step = max([-1, *(at for due in self.due for at in due)])
        self.safe_rows = {name: len(rows) for name, rows in self.rows.items()}

    def sound(self) -> None:
        assert (found := check(self.path)) == [], found[:3]
        said = manifest.read(LocalStorage(self.path))
        steps = sorted({step for grid in self.grid for step in grid})
        assert said["steps"] == {
            "count": len(steps),
            "first": steps[0] if steps else None,
            "last": steps[-1] if steps else None,
        }, said["steps"]

    def compact(self) -> None:
        if not (self.path / "run.json").exists():
            return
        self.say("compact")
        storage = LocalStorage(self.path)
        lock = Lock(self.path)
        before = manifest.read(storage)
        if self.rng.random() < 0.2:
            self.disk.kill_after = self.rng.randint(0, 10)
        try:
            maintenance.compact(storage, manifest.read(storage))
        except Killed:
            self.say("killed")
            self.disk.kill_after = None
            self.whole()
            maintenance.compact(storage, manifest.read(storage))
        finally:
            self.disk.kill_after = None
            lock.release()
        after = manifest.read(storage)
        if before["status"] != "running":
            for key in ("steps", "statistics", "scores"):
                assert repr(before[key]) == repr(after[key]), f"{key}: {before[key]} and {after[key]}"
        self.sound()

    def whole(self) -> None:
        if not (self.path / "run.json").exists():
            return
        run = probes.Run(self.path)
        _, counts = self.is_prefix(run)
        assert counts == {name: len(rows) for name, rows in sorted(self.rows.items())}
        for layer, grid in enumerate(self.grid):
            assert sorted(set(run.history(layer)["step"].tolist())) == sorted(grid)

    def say(self, what: str) -> None:
        self.calls.append(f"{what} (step {self.step})")


def run(seed: int) -> None:
    """The program of a seed. Raises AssertionError, with what it did, where something is not as recorded."""
    quiet = threading.excepthook
    threading.excepthook = lambda args: None if args.exc_type is Killed else quiet(args)
    folder = Path(tempfile.mkdtemp())
    program = Program(seed, folder)
    try:
        program.run()
    except Exception as error:
        if program.recorder is not None:
            program.abandon(program.recorder)
        error.add_note(f"program {seed}: " + "; ".join(program.calls))
        raise
    finally:
        threading.excepthook = quiet
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Run the programs that the command line names; the number of those that failed."""
    first, count = (int(word) for word in sys.argv[1:3])
    failed = 0
    logging.disable(logging.WARNING)  # of what a budget does
    for seed in range(first, first + count):
        try:
            run(seed)
        except Exception:  # noqa: BLE001 - each is printed, and counted
            failed += 1
            print(f"=== {seed}\n{traceback.format_exc(limit=-4)}", flush=True)
        if seed % 20 == 0:
            print(f"{seed} after {time.process_time():.0f} s", flush=True)
    print(f"{failed} of {count} failed")
    return failed


if __name__ == "__main__":
    sys.exit(min(1, main()))
