"""Batches that are kept and summed together: the numbers of each step alone, in few operations."""

import networks
import numpy as np
import pytest
import torch
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn
from torch.distributions import Normal
from torch.utils._python_dispatch import TorchDispatchMode

from probes.moments import derive, moments
from probes.run import Run
from probes.watching import pooling
from probes.watching.attaching import watch
from probes.watching.layouts import Observed
from probes.watching.observing import observe
from probes.watching.pooling import Pool, Reading, Rows, sums_of


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

    def forward(self, x):
        return self.fc_mu(x) + self.fc_logvar(x)

    def truth(self, x):
        return expected(self.fc_mu(x), (self.fc_logvar(x) / 2).exp())


class Operations(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(model, batches, recording=None):
    """Of torch, a step."""
    with Operations() as counted, torch.no_grad():
        for step in range(64):
            for x in batches:
                model(x)
            if recording is not None:
                recording.step(step + 1)
    return counted.count / 64


@pytest.mark.parametrize(("calls", "most"), [(1, 15), (20, 150)])
def test_operations_that_watching_adds_to_a_step(tmp_path, calls, most):
    """Summed one by one they were 62, and 1,645 for 20 calls; keeping a batch takes four."""
    model, batches = Pair(), torch.randn(calls, BATCH, INPUTS)
    bare = operations(model, batches)
    with watch(model, tmp_path / "run", no_grad=True) as recording:
        model(batches[0])
        recording.step(0)
        watched = operations(model, batches, recording)
    assert 0 < watched - bare <= most


@pytest.mark.parametrize("small", [None, 0])
def test_batches_of_many_sizes_are_those_of_their_steps(tmp_path, monkeypatch, small):
    """Kept ones of one size or another beside sums at once; `small`: nothing is kept."""
    if small is not None:
        monkeypatch.setattr(pooling, "SMALL_BYTES", small)
    model, draw = Pair(), torch.Generator().manual_seed(0)
    sizes = torch.tensor([8, 8, 3, 8, 5000, 8, 8, 1, 2, 8] * 4)
    x = [torch.randn(int(size), INPUTS, generator=draw) for size in sizes]
    with watch(model, tmp_path / "run") as recording:
        for step, batch in enumerate(x):
            model(batch)
            if step % 5 == 0:
                model(-batch)
            recording.step(step)
    assert recording.lost == 0
    run = Run(tmp_path / "run")
    assert run.steps.tolist() == list(range(len(x)))
    for step, batch in enumerate(x):
        if len(batch) > 1:
            assert_statistics(
                run.at(step), model.truth(torch.cat([batch, -batch]) if step % 5 == 0 else batch)
            )


def test_what_changes_in_place_after_it_was_seen_changes_no_number(tmp_path):
    """Within the step, as by an activation in place, and in later steps, as of buffers that are filled
    again.
    """

    class Buffers(Pair):
        def forward(self, x):
            mu, logvar = self.fc_mu(x), self.fc_logvar(x)
            with torch.no_grad():
                self.seen[0].copy_(mu), self.seen[1].copy_(logvar)
            observe("buffers", self.seen[0], (self.seen[1] / 2).exp())
            return mu.mul_(3) + logvar.add_(1)

    model, x = Buffers(), torch.randn(10, BATCH, INPUTS)
    model.seen = [torch.empty(BATCH, NEURONS) for _ in range(2)]
    with watch(model, tmp_path / "run") as recording:
        for step, batch in enumerate(x):
            model(batch)
            recording.step(step)
    assert recording.lost == 0
    run = Run(tmp_path / "run")
    for step, batch in enumerate(x):
        for _, row in run.at(step).groupby("layer"):
            assert_statistics(row.reset_index(drop=True), model.truth(batch))


def test_weights_that_an_optimiser_moves_are_those_of_their_step(tmp_path):
    """A posterior of weights is not kept, its parameters change in place."""

    model, means = networks.BayesianLinear(prior_mu=0.0, prior_sigma=1.0), []
    with watch(model, tmp_path / "run") as recording:
        for step in range(5):
            means.append(model.weight_mu.mean(1).detach().clone())
            model(torch.randn(2, INPUTS))
            with torch.no_grad():
                model.weight_mu.add_(1.0)
            recording.step(step)
    run = Run(tmp_path / "run")
    for step, mean in enumerate(means):
        np.testing.assert_allclose(run.at(step)["mean"], mean, rtol=1e-6)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2)])
@pytest.mark.parametrize("prior", [False, True])
def test_sums_of_several_steps_are_those_of_each(shape, prior):
    draw = torch.Generator().manual_seed(0)

    def read(taken):
        rows = [value if value.dim() == 3 else value[..., None] for value in taken]
        return Observed(rows[0], rows[1].exp(), rows[1], *((rows[2], rows[2].exp()) if prior else ()))

    steps, taken = [], []
    pool = Pool((3, 1 if len(shape) == 2 else 2), False)
    for _ in range(4):
        taken.append([torch.randn((2, *shape), generator=draw) for _ in range(3)])
        for batch in zip(*taken[-1], strict=True):
            pool.add(Reading(read, batch, True))
        steps.append(pool.take())
    assert all(isinstance(one, Rows) for one in steps)
    stacked = sums_of(steps)
    for at, given in enumerate(taken):
        mu, sigma, log_sigma, *priors, _, _, _, _ = read([value.flatten(0, 1) for value in given])
        alone = derive({name: value[at] for name, value in stacked.items()})
        whole = moments(mu, sigma, *priors, log_sigma=log_sigma)
        assert alone.keys() == whole.keys()
        for name, value in whole.items():
            torch.testing.assert_close(alone[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_predecessors_masks_and_shared_scales_are_read_alone(tmp_path):
    draws = torch.randn(6, 4, 2, BATCH, NEURONS)
    mask = torch.arange(BATCH) % 2 == 0
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        for step, ((a, s), (b, t), (c, u), (d, v)) in enumerate(draws.unbind()):
            observe("masked", a, s.exp(), mask=mask)
            observe("shared", b, t[0].exp())
            observe("moving", c, u.exp(), Normal(c + 0.1, u.exp() + 0.2))
            observe("pairs", d, v.exp(), previous=d.flip(0))
            recording.step(step)
    assert recording.lost == 0
    run = Run(tmp_path / "run")
    for step, ((a, s), (b, t), (c, u), _) in enumerate(draws.unbind()):
        rows = {name: row.reset_index(drop=True) for name, row in run.at(step).groupby("layer")}
        assert_statistics(rows[0], expected(a[mask], s[mask].exp()))
        assert_statistics(rows[1], expected(b, t[0].exp()))
        prior = Normal((c + 0.1).double(), (u.exp() + 0.2).double())
        assert_statistics(rows[2], expected(c, u.exp(), prior))
        assert rows[3]["persistence"].notna().all()


def test_flush_hands_on_what_is_kept(tmp_path):
    """So that a reader, or one who is killed after it, misses nothing."""
    model = networks.SiblingVAE()
    with watch(model, tmp_path / "run") as recording:
        for step in range(3):
            model(torch.randn(BATCH, INPUTS))
            recording.step(step)
            recording.flush()
            assert recording.recorder._seen == step
