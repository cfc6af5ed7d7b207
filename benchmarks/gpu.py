"""Measures on CUDA what recording costs a training: `probes.watch`, `vdn train`, and both over several GPUs.

python -m benchmarks.gpu [--write] [--steps N] [--dry-run]

A step is timed by CUDA events, watched and bare in turns; what waits for the device within a step is counted
by torch itself (`torch.cuda.set_sync_debug_mode`), and as the calls that the profiler saw. With several GPUs
a copy a GPU runs under DistributedDataParallel over NCCL. Where there is no CUDA it says so and measures
nothing: exit status 2. `--dry-run` goes through all of it on the CPU, two processes over gloo included, in
few steps: that the program runs is what it tells, its figures are no measurement.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import probes
from benchmarks import sections
from benchmarks.watch import VAE, Transformer
from vdn.config import from_dict, resolve
from vdn.data import load
from vdn.trainer import make_trainer

UNMET = 2
WARM, STEPS, GROUPS = 30, 50, 7
DRY_STEPS = 1
RANKS_TIMEOUT = 1800.0  # seconds, after which processes of DDP are given up
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "VAE, 64 latents, batch 1,024": (lambda: VAE(784, 1024, 64), lambda: torch.rand(1024, 784)),
    "VAE, 1,024 latents, batch 1,024": (lambda: VAE(784, 2048, 1024), lambda: torch.rand(1024, 784)),
    "Transformer, 64 latents": (lambda: Transformer(16, 256, 64), lambda: torch.rand(256, 64, 16)),
}
INTRODUCTION = """
`make bench-gpu`; {ran_on}; {device}.

Milliseconds of a step by CUDA events, medians over {groups} groups of
{steps} steps, bare and recorded in turns; waits are those for the
device that recording adds to a step, as torch and the profiler count them.
"""


def missing() -> str | None:
    """What stands in the way of measuring; None where nothing does."""
    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} is built without CUDA: install a build with it"
    if not torch.cuda.is_available():
        return "torch sees no GPU: run this where `nvidia-smi` lists one"
    return None


def milliseconds(step: Callable[[], object], count: int) -> float:
    """Of one step, by events of the device; where there is none by the clock."""
    if not torch.cuda.is_available():
        start = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - start) / count * 1e3
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    for _ in range(count):
        step()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended)) / count


def waits(step: Callable[[], object], count: int) -> tuple[float, float]:
    """Waits for the device a step: as torch warns of them, and as the profiler saw them, NaN where it saw no
    call of CUDA at all (it may need rights that a container lacks).
    """
    if not torch.cuda.is_available():
        for _ in range(count):
            step()
        return float("nan"), float("nan")
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        told.clear()  # of what it says about itself
        try:
            for _ in range(count):
                step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        warned = sum("called a synchronizing" in str(one.message) for one in told)
    kinds = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA]) as profile:
        for _ in range(count):
            step()
    calls = {event.key: event.count for event in profile.key_averages()}
    seen = sum(calls.get(name, 0) for name in WAITS)
    return warned / count, seen / count if any(name in calls for name in LAUNCHES) else float("nan")


def device() -> str:
    """Where trainings run."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def training(make: Callable[[], nn.Module], batch: Callable[[], Tensor], folder: Path | None) -> Any:
    """One step of a training as a function, and its recording; folder: where it is watched to."""
    torch.manual_seed(0)
    model, x = make().to(device()), batch().to(device())
    optimiser = torch.optim.Adam(model.parameters(), foreach=True)
    recording = probes.watch(model, folder) if folder else None
    at = iter(range(10**9))

    def step() -> None:
        optimiser.zero_grad()
        loss = model(x)
        loss.backward()
        optimiser.step()
        if recording is not None:
            recording.step(next(at), loss=loss.detach())

    return step, recording


def compared(bare: Callable[[], object], recorded: Callable[[], object], steps: int) -> list[str]:
    """Cells of a row: ms bare, ms recorded, share added, waits added."""
    for _ in range(min(WARM, 2 * steps)):
        bare()
        recorded()
    pairs = [(milliseconds(bare, steps), milliseconds(recorded, steps)) for _ in range(min(GROUPS, steps))]
    one, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    added = statistics.median(b / a - 1 for a, b in pairs)
    (warned, seen), (own_warned, own_seen) = (waits(step, min(20, steps)) for step in (recorded, bare))
    return [
        f"{one:.3f}",
        f"{other:.3f}",
        f"{added:+.1%}",
        f"{warned - own_warned:.2f} / {seen - own_seen:.2f}",
    ]


def watching(steps: int, folder: Path) -> list[list[str]]:
    """Rows of the table about models of others."""
    rows = []
    for number, (name, (make, batch)) in enumerate(MODELS.items()):
        bare, _ = training(make, batch, None)
        watched, recording = training(make, batch, folder / f"watched{number}")
        rows.append([name, *compared(bare, watched, steps)])
        recording.close()
    return rows


def own_trainer(steps: int, folder: Path) -> list[str]:
    """The row of `vdn train`, its logger beside its bare steps."""
    from vdn.train import layer_list
    from vdn.training_logger import TrainingLogger

    many = (steps * GROUPS + WARM + 100) * 2
    settings = {"data": "nyc", "neurons": 1024, "device": device(), "steps": many, "probe_inputs": 0}
    config = resolve(from_dict(settings))
    task = load(config)
    bare, trainer = make_trainer(config, task), make_trainer(config, task)
    with probes.Recorder(folder / "trained", layer_list(config)) as recorder:
        logger = TrainingLogger(trainer, recorder)

        def recorded() -> None:
            at = trainer.done
            logger.before(at)
            logger.after(at, trainer.step())

        cells = compared(bare.step, recorded, steps)
        logger.flush()
    return ["vdn train, 3 x 1,024 neurons", *cells]


def parallel(rank: int, ranks: int, folder: Path, steps: int, port: int) -> None:
    """One process of DistributedDataParallel over NCCL; the first prints a row's cells."""
    from torch.nn.parallel import DistributedDataParallel

    address = f"tcp://127.0.0.1:{port}"
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
        own = torch.device("cuda", rank)
        torch.distributed.init_process_group(
            "nccl", init_method=address, rank=rank, world_size=ranks, device_id=own
        )
    else:
        torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=ranks)
    make, batch = MODELS["VAE, 1,024 latents, batch 1,024"]

    def distributed() -> nn.Module:
        return DistributedDataParallel(make().to(device()))

    bare, _ = training(distributed, batch, None)
    watched, recording = training(distributed, batch, folder / "parallel")
    cells = compared(bare, watched, steps)
    recording.close()
    torch.distributed.destroy_process_group()
    if rank == 0:
        print("|".join(cells), flush=True)
    sys.stderr.flush()
    os._exit(0)  # threads of gloo may abort an interpreter that winds down


def several(steps: int, folder: Path, ranks: int) -> list[list[str]]:
    """The row of several GPUs, where there are some."""
    if ranks < 2:
        return []
    from socket import socket

    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.gpu", "--steps", str(steps), "--folder", str(folder)]
    command += [] if torch.cuda.is_available() else ["--dry-run"]
    processes = [
        subprocess.Popen(
            [*command, "--rank", *map(str, (rank, ranks, port))], stdout=subprocess.PIPE, text=True
        )
        for rank in range(ranks)
    ]
    try:
        said = [process.communicate(timeout=RANKS_TIMEOUT)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(process.returncode for process in processes):
        raise RuntimeError("a process of DistributedDataParallel failed; what it says stands above")
    name = f"the second under DDP, {ranks} GPUs, NCCL"
    return [[name, *said[0].strip().splitlines()[-1].split("|")]]


def main(argv: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a group [50]")
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, in few steps: measures nothing")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    why = missing()
    if options.dry_run and why is None:
        parser.error("--dry-run is for a machine without CUDA: here the benchmark itself runs")
    if why is not None and not options.dry_run:
        print(f"bench-gpu: nothing measured, {why}", file=sys.stderr)
        return UNMET
    if options.dry_run:
        torch.set_num_threads(1)
        options.steps = min(options.steps, DRY_STEPS)
    if options.rank:
        rank, ranks, port = options.rank
        parallel(rank, ranks, options.folder, options.steps, port)
    with tempfile.TemporaryDirectory() if options.folder is None else nullcontext(options.folder) as place:
        folder = Path(place)
        rows = watching(options.steps, folder)
        rows.append(own_trainer(options.steps, folder))
        rows += several(options.steps, folder, 2 if options.dry_run else torch.cuda.device_count())
    if options.dry_run:
        print(f"bench-gpu: all {len(rows)} rows ran on the CPU, nothing measured")
        return 0
    ran_on = sections.measured_on("torch")
    name = torch.cuda.get_device_name(0)
    introduction = INTRODUCTION.format(ran_on=ran_on, device=name, groups=GROUPS, steps=options.steps)
    head = ["training", "bare, ms", "recorded, ms", "added", "waits (torch / profiler)"]
    body = "\n\n".join([introduction.strip(), sections.table(head, rows)])
    print(body)
    if options.write:
        sections.write("gpu", "On a GPU", body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
