"""Measures on CUDA what recording costs a training: `probes.watch`, `vdn train`, and both over several GPUs.

python -m benchmarks.gpu [--write] [--steps N]

A step is timed by CUDA events, watched and bare in turns; what waits for the device within a step is counted
by torch itself (`torch.cuda.set_sync_debug_mode`), and as the calls that the profiler saw. With several GPUs
a copy a GPU runs under DistributedDataParallel over NCCL. Where there is no CUDA it says so and measures
nothing: exit status 2.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
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
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
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
    """Of one step, by events of the device."""
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    for _ in range(count):
        step()
    ended.record()
    ended.synchronize()
    return float(began.elapsed_time(ended)) / count


def waits(step: Callable[[], object], count: int = 20) -> tuple[float, float]:
    """Waits for the device a step: as torch warns of them, and as the profiler saw them."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(count):
            step()
    torch.cuda.set_sync_debug_mode("default")
    warned = sum("synchroniz" in str(one.message) for one in told)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(count):
            step()
    seen = sum(event.count for event in profile.key_averages() if event.key in WAITS)
    return warned / count, seen / count


def training(make: Callable[[], nn.Module], batch: Callable[[], Tensor], folder: Path | None) -> Any:
    """One step of a training as a function, and its recording; folder: where it is watched to."""
    torch.manual_seed(0)
    model, x = make().cuda(), batch().cuda()
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
    for _ in range(WARM):
        bare()
        recorded()
    pairs = [(milliseconds(bare, steps), milliseconds(recorded, steps)) for _ in range(GROUPS)]
    one, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    added = statistics.median(b / a - 1 for a, b in pairs)
    (warned, seen), (own_warned, own_seen) = waits(recorded), waits(bare)
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
    settings = {"data": "nyc", "neurons": 1024, "device": "cuda", "steps": many, "probe_inputs": 0}
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

    torch.cuda.set_device(rank)
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("nccl", init_method=address, rank=rank, world_size=ranks)
    make, batch = MODELS["VAE, 1,024 latents, batch 1,024"]

    def distributed() -> nn.Module:
        return DistributedDataParallel(make().cuda(), device_ids=[rank])

    bare, _ = training(distributed, batch, None)
    watched, recording = training(distributed, batch, folder / "parallel")
    cells = compared(bare, watched, steps)
    recording.close()
    torch.distributed.destroy_process_group()
    if rank == 0:
        print("|".join(cells))


def several(steps: int, folder: Path) -> list[list[str]]:
    """The row of several GPUs, where there are some."""
    ranks = torch.cuda.device_count()
    if ranks < 2:
        return []
    from socket import socket

    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.gpu", "--steps", str(steps), "--folder", str(folder)]
    processes = [
        subprocess.Popen(
            [*command, "--rank", *map(str, (rank, ranks, port))], stdout=subprocess.PIPE, text=True
        )
        for rank in range(ranks)
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("a process of DistributedDataParallel failed; what it says stands above")
    return [[f"the second under DDP, {ranks} GPUs, NCCL", *said[0].strip().splitlines()[-1].split("|")]]


def main(argv: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a group [50]")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if (why := missing()) is not None:
        print(f"bench-gpu: nothing measured, {why}", file=sys.stderr)
        return UNMET
    if options.rank:
        rank, ranks, port = options.rank
        parallel(rank, ranks, options.folder, options.steps, port)
        return 0
    with tempfile.TemporaryDirectory() if options.folder is None else nullcontext(options.folder) as place:
        folder = Path(place)
        rows = watching(options.steps, folder)
        rows.append(own_trainer(options.steps, folder))
        rows += several(options.steps, folder)
    ran_on = sections.measured_on("torch")
    device = torch.cuda.get_device_name(0)
    introduction = INTRODUCTION.format(ran_on=ran_on, device=device, groups=GROUPS, steps=options.steps)
    head = ["training", "bare, ms", "recorded, ms", "added", "waits (torch / profiler)"]
    body = "\n\n".join([introduction.strip(), sections.table(head, rows)])
    print(body)
    if options.write:
        sections.write("gpu", "On a GPU", body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
