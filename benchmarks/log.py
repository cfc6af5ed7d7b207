"""Measures the run log: what recording costs a training step, bytes a number, and the time to read a run
back.

python -m benchmarks.log [--folder FOLDER] [--quick]

The bare step: 4 layers x 1,024 neurons from 256 inputs, batch 256, AdamW, on one thread, so that the thread's
CPU clock is the step's cost whatever else the machine does. Bare and recorded steps are interleaved in pairs;
medians, but for what moves to the log now and then, which counts with its mean, and for the wall time, that
of all pairs. The runs that are read have 4 x 1,024 neurons and 10,240 steps, and one layer of 1,024 neurons
and 100,096 steps, of numbers that drift with noise. The table goes to docs/benchmarks.md, section "Run log".
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import nn

from benchmarks import sections
from probes import Recorder, Run, catalog
from probes.log.writer import Writer
from probes.moments import Moments, derive, moments
from probes.schema import BLOCK_STEPS, KEYS

LAYERS, NEURONS, INPUTS, BATCH = 4, 1024, 256, 256
STATISTICS = ("mean", "variance", "kl", "information", "spread", "persistence", "innovation")
PART_STEPS = 38  # what 5 s of a 130 ms step record

PARTS = ("overhead", "bytes", "reading", "long", "catalog")

Row = tuple[str, str, str]


class BareNetwork(nn.Module):
    """Four layers of Gaussian neurons with an input-dependent sigma, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [INPUTS] + [NEURONS] * LAYERS
        self.mean = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.log_sigma = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.head = nn.Linear(NEURONS, 24)

    def forward(self, h: torch.Tensor) -> tuple[torch.Tensor, list[tuple[torch.Tensor, ...]]]:
        """(B, 256) -> prediction (B, 24) and (mu, sigma, log_sigma, kl), each (B, N), of every layer."""
        posteriors = []
        for mean, log_sigma in zip(self.mean, self.log_sigma, strict=True):
            mu, ln = mean(h), log_sigma(h) - 1
            sigma = ln.exp()
            kl = 0.5 * (mu * mu + sigma * sigma - 1) - ln
            posteriors.append((mu, sigma, ln, kl))
            h = nn.functional.gelu(mu + sigma * torch.randn_like(mu))
        return self.head(h), posteriors


def training_step(
    network: BareNetwork, optimiser: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor
) -> list[tuple[torch.Tensor, ...]]:
    optimiser.zero_grad(set_to_none=True)
    prediction, posteriors = network(x)
    loss = (prediction - y).square().mean() + 1e-4 * sum(kl.sum() for *_, kl in posteriors) / BATCH
    loss.backward()
    optimiser.step()
    return posteriors


def layer_dicts(count: int = LAYERS) -> list[dict[str, Any]]:
    return [{"name": f"layer{i + 1}", "neurons": NEURONS} for i in range(count)]


class Gathering:
    """What a trainer does: sums of some steps stay tensors, then become statistics and are recorded as one
    block.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.steps: list[int] = []
        self.kept: list[list[dict[str, torch.Tensor]]] = [[] for _ in range(LAYERS)]

    def gather(self, step: int, posteriors: list[tuple[torch.Tensor, ...]]) -> None:
        half = BATCH // 2
        for layer, (mu, sigma, ln, kl) in enumerate(posteriors):
            mu, sigma, ln = mu.detach()[..., None], sigma.detach()[..., None], ln.detach()[..., None]
            self.kept[layer].append(
                Moments()
                .update(mu, sigma, kl=kl.detach(), log_sigma=ln, previous_mu=mu[half:])
                .sufficient_statistics()
            )
        self.steps.append(step)

    def flush(self) -> None:
        for layer, kept in enumerate(self.kept):
            if kept:
                found = derive({name: torch.stack([row[name] for row in kept]) for name in kept[0]})
                self.recorder.record_block(
                    self.steps, layer, {name: found[name].numpy() for name in STATISTICS}
                )
        self.steps, self.kept = [], [[] for _ in range(LAYERS)]


def overhead(folder: Path, pairs: int, every: int) -> list[Row]:
    """Bare and recorded steps, interleaved: CPU of the training thread and wall time."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = BareNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    x, y = torch.randn(BATCH, INPUTS), torch.randn(BATCH, 24)
    bare: list[float] = []
    wall = [
        0.0,
        0.0,
    ]  # of bare and of recorded steps: most steps of a tenth record nothing, no median would do
    gathering_cpu: list[float] = []
    moving_cpu: list[float] = []
    with Recorder(folder / f"overhead{every}", layer_dicts()) as recorder:
        gathering = Gathering(recorder)
        for pair in range(-5, pairs):  # the first five warm up
            began, cpu = time.perf_counter(), time.thread_time()
            training_step(network, optimiser, x, y)
            cpu, middle = time.thread_time() - cpu, time.perf_counter()
            posteriors = training_step(network, optimiser, x, y)
            gathered = time.thread_time()
            if pair % every == 0:
                gathering.gather(pair + 5, posteriors)
            moved = time.thread_time()
            if pair % PART_STEPS == PART_STEPS - 1 or pair == pairs - 1:
                gathering.flush()
            if pair >= 0:
                bare.append(cpu)
                gathering_cpu.append(moved - gathered)
                moving_cpu.append(time.thread_time() - moved)
                wall[0] += middle - began
                wall[1] += time.perf_counter() - middle
    name = "every step" if every == 1 else f"every {every}th step"
    step = statistics.median(bare)
    taken = statistics.median(cost for index, cost in enumerate(gathering_cpu) if index % every == 0) / every
    moved_share = sum(moving_cpu) / len(moving_cpu) / step
    total = f"{100 * (taken / step + moved_share):.2f} % ({100 * taken / step:.2f} + {100 * moved_share:.2f})"
    return [
        (f"bare step, CPU, {name}", f"{1e3 * step:.0f} ms", "about 130 ms"),
        (
            f"statistics + recording, CPU of the training thread, {name}",
            total,
            "<= 2.5 %" if every == 1 else "<= 0.3 %",
        ),
        (f"wall ratio, {name}, {pairs} pairs together", f"{wall[1] / wall[0]:.3f}", "<= 1.03"),
    ]


def bytes_a_number(folder: Path, steps: int) -> list[Row]:
    """Bytes of the statistics of a real training of a narrow network (64 inputs, 256 neurons a layer) at
    every step.
    """
    rows = []
    torch.manual_seed(0)
    first, second = nn.Linear(64, 256), nn.Linear(64, 256)
    optimiser = torch.optim.AdamW([*first.parameters(), *second.parameters()])
    target = torch.randn(64, 256)
    paths = {"full": folder / "bytes-full", "10bit": folder / "bytes-10bit"}
    recorders = [Recorder(path, [{"name": "a", "neurons": 256}], precision=p) for p, path in paths.items()]  # type: ignore[arg-type]
    for step in range(steps):
        x = torch.randn(BATCH, 64)
        mu, ln = first(x), second(x) - 1
        sigma = ln.exp()
        kl = 0.5 * (mu * mu + sigma * sigma - 1) - ln
        (
            (mu + sigma * torch.randn_like(mu) - x @ target).square().mean() + 0.01 * kl.sum(1).mean()
        ).backward()
        optimiser.step()
        optimiser.zero_grad()
        found = moments(
            mu.detach()[..., None],
            sigma.detach()[..., None],
            kl=kl.detach(),
            previous_mu=mu.detach()[128:, :, None],
        )
        for recorder in recorders:
            recorder.record(step, 0, **{name: values.numpy() for name, values in found.items()})
    for recorder in recorders:
        recorder.close()
    for precision, goal in (("full", "<= 3.25"), ("10bit", "<= 1.80")):
        sizes: dict[str, int] = {}
        for file in (paths[precision] / "neurons").iterdir():
            metadata = pq.read_metadata(file)
            for group in range(metadata.num_row_groups):
                for index in range(metadata.num_columns):
                    column = metadata.row_group(group).column(index)
                    name = column.path_in_schema
                    sizes[name] = sizes.get(name, 0) + column.total_compressed_size
        keys = sum(sizes.pop(name) for name in (*KEYS, "regime"))
        numbers = steps * 256 * len(sizes)
        seven = sum(sizes[name] for name in STATISTICS) / (steps * 256 * len(STATISTICS))
        derived = sum(
            f.stat().st_size
            for name in ("pyramid", "layers")
            for f in (paths[precision] / name).rglob("*.parquet")
        )
        found_sizes = f"{sum(sizes.values()) / numbers:.2f}; {seven:.2f}"
        rows.append(
            (
                f"bytes a number, {precision}: all {len(sizes)} statistics; the seven basic ones",
                found_sizes,
                goal,
            )
        )
        apart = f"{keys / numbers:.3f} + {derived / numbers:.2f}"
        rows.append(
            (f"keys and regime + pyramid and summaries, bytes a number, {precision}", apart, "counted apart")
        )
    return rows


def drifting(rng: np.random.Generator, start: np.ndarray, steps: int) -> np.ndarray:
    """(T, N): a slow walk from `start` (N,) with a batch's noise."""
    walk = start + 0.002 * rng.standard_normal((steps, start.size), np.float32).cumsum(axis=0)
    return (walk + 0.02 * rng.standard_normal((steps, start.size), np.float32)).astype(np.float32)


def make_run(
    path: Path, layers: int, steps: int, names: tuple[str, ...], tail: int = 0
) -> tuple[Recorder, dict[str, float]]:
    """Record `steps` steps as fast as the disk takes them, `tail` more in parts of 38; the recorder is still
    open.
    """
    rng = np.random.default_rng(0)
    base = np.abs(rng.normal(size=NEURONS)).astype(np.float32)
    work = timed_writer()
    recorder = Recorder(path, layer_dicts(layers))
    for first in range(0, steps + tail, PART_STEPS):
        at = np.arange(first, min(first + PART_STEPS, steps + tail))
        for layer in range(layers):
            recorder.record_block(at, layer, {name: drifting(rng, base, at.size) for name in names})
        recorder.flush()
    return recorder, work


def timed_writer() -> dict[str, float]:
    """Make `Writer` note the CPU seconds of its tasks by name; returns the notes."""
    notes: dict[str, float] = {}
    for name in (
        "_column_block",
        "_write_neurons",
        "_write_layers",
        "_compact",
        "_compact_block",
        "_write_pyramid",
    ):
        original = getattr(Writer, name)
        original = getattr(original, "original", original)

        def timed(self: Writer, *args: Any, original: Callable[..., Any] = original, name: str = name) -> Any:
            began = time.thread_time()
            result = original(self, *args)
            notes[name] = notes.get(name, 0.0) + time.thread_time() - began
            return result

        timed.original = original  # type: ignore[attr-defined]
        setattr(Writer, name, timed)
    return notes


def median_ms(call: Callable[[int], Any], times: int = 9) -> float:
    """Median CPU milliseconds of call(0), call(1), ..."""
    found = []
    for index in range(times):
        began = time.process_time()
        call(index)
        found.append(1e3 * (time.process_time() - began))
    return statistics.median(found)


def once_ms(call: Callable[[], Any]) -> float:
    return median_ms(lambda _: call(), 1)


def reading(folder: Path, blocks: int) -> list[Row]:
    """Neurons, steps, matrices and summaries of a run of 4 x 1,024 neurons, live and finished."""
    steps = blocks * BLOCK_STEPS
    path = folder / "wide"
    before = sections.memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the kernel's peak begins anew
    recorder, work = make_run(path, LAYERS, steps, STATISTICS, tail=200)
    peak = sections.memory("VmHWM") - before
    total = sum(work.values())
    compacting = work["_compact_block"] + work["_write_pyramid"] + work["_compact"]
    parts = ", ".join(
        f"{name.strip('_').replace('_', ' ')} {1e3 * cost / (steps + 200):.2f}" for name, cost in work.items()
    )
    names = list(STATISTICS)
    Run(path).at(0, 0)  # what Python and Arrow set up once is no part of reading
    live = Run(path)
    cold_live = once_ms(lambda: live.history(0, 500, names))
    warm_live = median_ms(lambda i: live.history(i % LAYERS, 70 * i, names))
    rng = np.random.default_rng(1)
    found = []
    for index in range(5):
        at = [steps + 200 + index]
        for layer in range(LAYERS):
            recorder.record_block(
                at, layer, {name: drifting(rng, np.zeros(NEURONS, np.float32), 1) for name in names}
            )
        recorder.flush()
        found.append(once_ms(live.refresh))
    recorder.close()
    run = Run(path)
    cold = once_ms(lambda: run.history(0, 500, names))
    warm = median_ms(lambda i: run.history(i % LAYERS, 70 * i, names))
    one_step = median_ms(lambda i: run.at(i * steps // 10 + 3, statistics=names))
    matrix = median_ms(lambda i: Run(path).matrix(i % LAYERS, names[i % 7]))
    fans_cold = median_ms(lambda _: Run(path).layer_summary())
    fans = median_ms(lambda _: run.layer_summary())
    return [
        (
            "compaction and pyramid, CPU a step, background",
            f"{1e3 * compacting / (steps + 200):.2f} ms",
            "<= 1 ms",
        ),
        (
            f"everything the background does, CPU a step ({parts})",
            f"{1e3 * total / (steps + 200):.2f} ms",
            "-",
        ),
        ("peak memory while writing, over the start", f"{peak:.0f} MB", "<= 64 MB + one block (29 MB)"),
        (
            f"one neuron, {len(names)} statistics, {steps} steps: footers known; first time",
            f"{warm:.0f} ms; {cold:.0f} ms",
            "<= 35 ms",
        ),
        (
            "the same while live: footers known; first time",
            f"{warm_live:.0f} ms; {cold_live:.0f} ms",
            "<= 60 ms",
        ),
        ("all 4,096 neurons at one step", f"{one_step:.0f} ms", "<= 35 ms"),
        (f"matrix of a layer from {steps} steps, run just opened", f"{matrix:.0f} ms", "<= 40 ms"),
        (
            "layer fans, all statistics, all steps: read before; run just opened",
            f"{fans:.0f} ms; {fans_cold:.0f} ms",
            "<= 10 ms",
        ),
        ("refresh of a live run", f"{statistics.median(found):.1f} ms", "<= 10 ms"),
    ]


def long_matrix(folder: Path, blocks: int) -> list[Row]:
    """Matrix of one layer from 100,096 steps."""
    path, steps = folder / "long", blocks * BLOCK_STEPS
    rng = np.random.default_rng(0)
    base = np.abs(rng.normal(size=NEURONS)).astype(np.float32)
    with Recorder(path, layer_dicts(1)) as recorder:
        for first in range(0, steps, BLOCK_STEPS):
            recorder.record_block(
                np.arange(first, first + BLOCK_STEPS), 0, {"mean": drifting(rng, base, BLOCK_STEPS)}
            )
    found = median_ms(lambda _: Run(path).matrix(0, "mean"))
    values, _ = Run(path).matrix(0, "mean")
    return [
        (
            f"matrix of a layer from {steps} steps, run just opened ({values.shape[1]} columns)",
            f"{found:.0f} ms",
            "<= 40 ms",
        )
    ]


def catalog_of_many(folder: Path, runs: int) -> list[Row]:
    root = folder / "many"
    text = (folder / "wide" / "run.json").read_text("utf-8")
    for index in range(runs):
        (root / f"run{index:04d}").mkdir(parents=True)
        (root / f"run{index:04d}" / "run.json").write_text(
            json.dumps(json.loads(text) | {"name": f"run{index:04d}"}), "utf-8"
        )
    first = once_ms(lambda: catalog(root))
    warm = median_ms(lambda _: catalog(root))
    return [
        (f"catalog of {runs} runs: read before; first time", f"{warm:.0f} ms; {first:.0f} ms", "<= 200 ms")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where the measured runs are written (default: a temporary folder)"
    )
    parser.add_argument(
        "--parts",
        type=sections.some_of(PARTS),
        default=list(PARTS),
        help=f"catalog needs reading [{','.join(PARTS)}]",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, nothing written to docs/")
    options = parser.parse_args()
    if "catalog" in options.parts and "reading" not in options.parts:
        parser.error("catalog copies the run that reading makes: --parts reading,catalog")
    ran_on = sections.measured_on("torch", "pyarrow")
    folder = Path(tempfile.mkdtemp(prefix="benchmark-log-", dir=options.folder))
    scale = 10 if options.quick else 1
    rows: list[Row] = []
    try:
        measures: dict[str, Callable[[], list[Row]]] = {
            "overhead": lambda: overhead(folder, 50 // scale, 1) + overhead(folder, 50 // scale, 10),
            "bytes": lambda: bytes_a_number(folder, 1024 // scale),
            "reading": lambda: reading(folder, 40 // scale),
            "long": lambda: long_matrix(folder, 391 // scale),
            "catalog": lambda: catalog_of_many(folder, 1000 // scale),
        }
        for name in (part for part in PARTS if part in options.parts):
            new = measures[name]()
            rows += new
            for row in new:
                print("| " + " | ".join(row) + " |", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder)
    text = f"`python -m benchmarks.log`; {ran_on}, one thread. CPU milliseconds, medians.\n\n"
    text += sections.table(("measure", "found", "goal"), rows)
    print(text)
    if not options.quick and set(options.parts) == set(PARTS):
        sections.write("log", "Run log", text)


if __name__ == "__main__":
    main()
