"""Hooks that are off the model between recorded steps."""

from collections import OrderedDict

import pytest
import torch
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn
from torch.utils.hooks import RemovableHandle

from probes.run import Run
from probes.watching import hooks
from probes.watching.attaching import watch
from probes.watching.observing import observe
from probes.watching.resting import Resting

STEPS = 23


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

    def forward(self, x):
        total = 0
        for one in x:
            mu, logvar = self.fc_mu(one), self.fc_logvar(one)
            total = total + (mu + torch.randn_like(mu) * logvar.exp().sqrt()).square().sum()
        return total

    def truth(self, x):
        flat = torch.cat(list(x))
        return expected(self.fc_mu(flat), (self.fc_logvar(flat) / 2).exp())


def on(model):
    """Hooks of any kind on any module."""
    return sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules())


def calls_of_ours(monkeypatch):
    calls, call = [0], hooks.Hook.__call__

    def counting(self, *given):
        calls[0] += 1
        return call(self, *given)

    monkeypatch.setattr(hooks.Hook, "__call__", counting)
    return calls


def test_between_recorded_steps_no_hook_of_ours_is_called(tmp_path, monkeypatch):
    model, x = Recurrent(), torch.randn(STEPS, 4, BATCH, INPUTS)
    calls, spent = calls_of_ours(monkeypatch), []
    with watch(model, tmp_path / "run", every=10, last=False) as recording:
        for step in range(STEPS):
            before = calls[0]
            model(x[step]).backward()
            spent.append(calls[0] - before)
            recording.step(step)
            assert bool(on(model)) == ((step + 1) % 10 == 0)
    assert recording.lost == 0
    doubled = {1 << power for power in range(5)}  # what stands behind a head may be looked at then
    assert [step for step, count in enumerate(spent) if count and step not in doubled] == [0, 10, 20]
    run = Run(tmp_path / "run")
    assert list(run.steps) == [0, 10, 20]
    for step in run.steps:
        assert_statistics(run.at(step), model.truth(x[step]))
    assert on(model) == 0


def test_the_last_step_is_recorded_unless_one_says_otherwise(tmp_path):
    model, x = Recurrent(), torch.randn(4, BATCH, INPUTS)
    with watch(model, tmp_path / "run", every=10) as recording:
        for step in range(STEPS):
            model(x)
            recording.step(step)
            assert on(model)
    assert list(Run(tmp_path / "run").steps) == [0, 10, 20, STEPS - 1]


def test_what_is_handed_over_is_recorded_when_it_is_due(tmp_path):
    with watch(nn.Linear(1, 1), tmp_path / "run", every=2, hooks=False, last=False) as recording:
        for step in range(4):
            observe("z", torch.full((3, 2), float(step)) + torch.arange(3)[:, None], torch.ones(3, 2))
            recording.step(step)
    assert list(Run(tmp_path / "run").steps) == [0, 2]


def test_a_sequence_is_looked_at_while_hooks_rest(tmp_path):
    model, x = Recurrent(), torch.randn(4, BATCH, INPUTS)
    with watch(model, tmp_path / "run", every=10, last=False) as recording:
        recording.sequence(tokens=list("abcd"), inputs=[torch.randn(1, 1, INPUTS) for _ in range(4)])
        for step in range(1, 8):
            model(x)
            recording.step(step)
            assert on(model) == 0
    assert recording.lost == 0


@pytest.mark.parametrize("place", [0, 1, 2])
def test_hooks_go_back_to_where_they_stood(place):
    there = OrderedDict()
    handles = [RemovableHandle(there) for _ in range(3)]
    for handle in handles:
        there[handle.id] = f"hook {handle.id}"
    order, resting = list(there), Resting()
    resting.begin([handles[place]])
    assert resting.is_on
    assert handles[place].id not in there
    new = RemovableHandle(there)
    there[new.id] = "new"
    resting.end()
    assert list(there) == [*order, new.id]
    resting.begin(handles)
    resting.end()
    assert list(there) == [*order, new.id]
    resting.begin(handles)
    resting.forget()
    resting.end()
    assert list(there) == [new.id]
    assert not resting.is_on
