"""Trainings whose processes share a layer, for the tests: by DTensor, by hand, on a mesh of both kinds."""

import warnings

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import probes
from tests.probes.watching import rank_training

rank_training.processes.set_forkserver_preload([rank_training.__name__, __name__])  # DTensor takes seconds
ROWS, NEURONS = 20, 5


class Model(nn.Module):
    """An encoder, a small head and a wide one."""

    def __init__(self, neurons=NEURONS):
        super().__init__()
        self.encoder = nn.Linear(6, 8)
        self.small_mu, self.small_logvar = nn.Linear(8, 3), nn.Linear(8, 3)
        self.fc_mu, self.fc_logvar = nn.Linear(8, neurons), nn.Linear(8, neurons)

    def forward(self, x):
        """A number to descend on."""
        h = self.encoder(x).tanh()
        mu, logvar = self.small_mu(h), self.small_logvar(h)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        wide, log = self.fc_mu(h), self.fc_logvar(h)
        z_wide = wide + torch.randn_like(wide) * (0.5 * log).exp()
        return z.square().mean() + z_wide.square().mean()


def inputs(step, group=0, rows=ROWS):
    """Of each group of data-parallel processes its own."""
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(100 * step + group))


def model_of(style, mesh, neurons=NEURONS):
    """Alike on all processes; its wide heads in parts."""
    torch.manual_seed(0)
    model = Model(neurons)
    if style == "local":
        plan = {"fc_mu": ColwiseParallel(), "fc_logvar": ColwiseParallel()}
    elif style == "dtensor":
        plan = {name: ColwiseParallel(use_local_output=False) for name in ("fc_mu", "fc_logvar")}
    else:
        plan = {"fc_mu": ColwiseParallel(output_layouts=Replicate())}
        plan |= {"fc_logvar": RowwiseParallel(input_layouts=Replicate())}
    return parallelize_module(model, mesh, plan)


def train(model, folder, steps, batches, **options):
    """What was found, what was lost, and the layers' shares."""
    torch.manual_seed(1)
    with probes.watch(model, folder, **options) as recording:
        for step in range(steps):
            for x in batches(step):
                model(x)
            recording.step(step, loss=float(step))
        found = [dict(one) for one in recording.found]
    return found, recording.lost


def parallel(rank, size, folder, style="local", steps=7, neurons=NEURONS, groups=1, **options):
    """Tensor parallel, in groups that have batches of their own."""
    of_group = size // groups
    mesh = init_device_mesh("cpu", (groups, of_group), mesh_dim_names=("data", "tensor"))
    model = model_of(style, mesh["tensor"], neurons)
    own = [x for x in (rank // of_group,)]
    return train(
        model,
        folder / "run",
        steps,
        lambda step: [inputs(step, one) for one in own],
        flush_steps=4,
        **options,
    )


def alone(folder, steps=7, neurons=NEURONS, groups=1):
    """One process that has all rows and all neurons."""
    torch.manual_seed(0)
    model = Model(neurons)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return train(
            model, folder, steps, lambda step: [torch.cat([inputs(step, one) for one in range(groups)])]
        )
