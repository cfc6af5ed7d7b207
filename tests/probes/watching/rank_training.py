"""Trainings of several processes, for the tests: `run` starts them, from one that has imported what they
need, so that each costs a fork.
"""

import os
import sys
import warnings
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn

import probes
from probes.watching import ranks

ROWS = (5, 9, 2, 0)
"""Of a batch, of each rank in turn, beside 3: uneven."""
WAIT = 250  # seconds, on a busy machine
processes = get_context("forkserver")
processes.set_forkserver_preload([__name__])


class Model(nn.Module):
    """Gaussians, plain, masked under a prior and with pairs, a categorical, codes and draws; their level
    moves by `drift` from step to step.
    """

    def __init__(self, drift=0.0):
        super().__init__()
        self.drift = drift
        self.encoder = nn.Linear(6, 3 + 3 + 2 * 4)

    def forward(self, x, mask, step):
        """A number to descend on."""
        out = self.encoder(x)
        mu, sigma, logits = out[:, :3], (out[:, 3:6] / 2).exp(), out[:, 6:].reshape(len(x), 2, 4)
        level = mu + self.drift * step
        probes.observe("plain", level, sigma)
        probes.observe("masked", level, sigma, mask=mask, prior=(0.5, 2.0))
        probes.observe("pairs", level, sigma, previous=0.8 * level + 0.1 * x[:, :3])
        probes.observe("classes", torch.distributions.Categorical(logits=logits))
        probes.observe_codes("codes", logits[:, 0].argmax(-1), 4, window=8)
        probes.observe_samples("draws", torch.stack([mu, mu + x[:, :3], mu - x[:, 3:]]))
        return mu.square().mean()


def batch(step, size):
    """The rows of all ranks, their mask, and how many each rank has."""
    generator = torch.Generator().manual_seed(step)
    sizes = [ROWS[(rank + step) % len(ROWS)] + 3 for rank in range(size)]
    x = torch.randn(sum(sizes), 6, generator=generator)
    return x, torch.rand(sum(sizes), generator=generator) > 0.3, sizes


def train(folder, steps, size, rank=None, drift=0.0, each=lambda step: None, **options):
    """Watch the training on all rows, or on those of one rank; what was lost."""
    torch.manual_seed(0)
    model = Model(drift)
    with probes.watch(model, folder, hooks=False, **options) as recording:
        for step in range(steps):
            x, mask, sizes = batch(step, size)
            if rank is not None:
                x, mask = x.split(sizes)[rank], mask.split(sizes)[rank]
            each(step)
            model(x, mask, step)
            recording.step(step, loss=float(step))
    return recording.lost


def _rank(number, size, meeting, work, folder, options, answers):
    torch.set_num_threads(1)
    os.environ.pop("RANK", None)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=number, world_size=size, timeout=timedelta(seconds=WAIT)
    )
    ranks.TIMEOUT = timedelta(seconds=options.pop("patience", WAIT))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answer = work(number, size, folder, **options)
    answers.put((number, answer, [str(one.message) for one in said]))
    answers.close()
    answers.join_thread()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads may abort an interpreter that winds down


def run(work, folder: Path, size=2, expected=None, **options):
    """`work(rank, size, folder, **options)` in each process; by rank what it returned, and its warnings."""
    folder.mkdir(parents=True, exist_ok=True)
    answers = processes.Queue()
    given = (size, folder / "meeting", work, folder, options, answers)
    started = [processes.Process(target=_rank, args=(number, *given)) for number in range(size)]
    for process in started:
        process.start()
    try:
        found = [answers.get(timeout=WAIT) for _ in range(size if expected is None else expected)]
    finally:
        for process in started:
            process.join(0 if sys.exc_info()[0] else WAIT)
            process.kill()
    return {number: (answer, said) for number, answer, said in found}


def watched(rank, size, folder, **options):
    """The plain training of `train`."""
    return train(folder / "run", rank=rank, size=size, **options)
