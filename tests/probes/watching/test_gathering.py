"""Calls of a step that are read together: once a step, of each thread its own, without graphs, bounded."""

from collections import Counter
from dataclasses import replace
from threading import Barrier, Thread

import pytest
import torch
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn

from probes.inputs import as_inputs
from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.gathering import Calls, Gathering, may_wait, places_of
from probes.watching.hooks import WITHOUT_PARTNER
from probes.watching.pooling import KEPT_BYTES
from probes.watching.posterior_source import PosteriorSource
from probes.watching.slots import Slot
from probes.watching.tensors import NotReadable

SOURCE = PosteriorSource("fc", "fc", "output", Slot(0, 1, "log_var"), "a test's", 0)


class Pair(nn.Module):
    """Two heads that are called at each position, or one module that returns both."""

    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

    def forward(self, x):
        total = 0
        for one in x:
            mu, logvar = self.fc_mu(one), self.fc_logvar(one)
            total = total + (mu + torch.randn_like(mu) * (logvar / 2).exp()).square().sum()
            with torch.no_grad():
                mu.mul_(0)  # what is done with it later is not what it put out
        return total

    def truth(self, x):
        flat = torch.cat(list(x))
        return expected(self.fc_mu(flat), (self.fc_logvar(flat) / 2).exp())


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.mu, self.logvar = nn.Linear(INPUTS, NEURONS), nn.Linear(INPUTS, NEURONS)

    def forward(self, x):
        return self.mu(x), self.logvar(x)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Heads()

    def forward(self, x):
        total = 0
        for one in x:
            mu, logvar = self.encoder(one)
            total = total + (mu + torch.randn_like(mu) * (logvar / 2).exp()).square().sum()
        return total

    def truth(self, x):
        mu, logvar = self.encoder(torch.cat(list(x)))
        return expected(mu, (logvar / 2).exp())


def counted(monkeypatch):
    """How often something is read, by layer."""
    reads, take = Counter(), PosteriorSource.take

    def counting(self, *given):
        reads[self.name] += 1
        return take(self, *given)

    monkeypatch.setattr(PosteriorSource, "take", counting)
    return reads


@pytest.mark.parametrize("made", [Pair, Encoder])
def test_many_calls_are_read_once_a_step_and_are_all_there(tmp_path, monkeypatch, made):
    model, steps = made(), torch.randn(3, 20, BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        model(steps[0]).backward()
        recording.step(0)
        reads = counted(monkeypatch)
        for step in (1, 2):
            model(steps[step]).backward()
            assert not reads  # not yet
            recording.step(step)
            assert sum(reads.values()) == 1
            reads.clear()
    assert recording.lost == 0
    for step in (1, 2):
        assert_statistics(Run(tmp_path / "run").at(step), model.truth(steps[step]))


@pytest.mark.parametrize("made", [Pair, Encoder])
def test_calls_of_different_sizes_are_all_there(tmp_path, made):
    model = made()
    x = [torch.randn(size, INPUTS) for size in (5, 5, 3, 7, 7, 7)]
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            model(x)
            recording.step(step)
    assert recording.lost == 0
    assert_statistics(Run(tmp_path / "run").at(1), model.truth(x))


def test_threads_do_not_mix_the_heads_of_their_calls(tmp_path):
    """Each waits for the other between its two heads, so that outputs come in turns."""

    class Met(Pair):
        barrier = None

        def forward(self, x):
            mu = self.fc_mu(x)
            if self.barrier is not None:
                self.barrier.wait(60)
            return (mu + torch.randn_like(mu) * (self.fc_logvar(x) / 2).exp()).sum()

    model, x = Met(), 3 * torch.randn(2, BATCH, INPUTS) + torch.tensor([-2.0, 5.0])[:, None, None]
    with watch(model, tmp_path / "run") as recording:
        model(x[0])
        recording.step(0)
        Met.barrier = Barrier(2)
        threads = [Thread(target=model, args=(one,)) for one in x]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recording.step(1)
    assert recording.lost == 0
    assert_statistics(Run(tmp_path / "run").at(1), model.truth(x))


def test_the_last_step_is_read_of_what_was_held_and_lost_where_that_was_changed(tmp_path):
    class Later(Pair):
        spoils = False

        def forward(self, x):
            kept = [(self.fc_mu(one), self.fc_logvar(one)) for one in x]
            total = sum((mu + torch.randn_like(mu) * (log / 2).exp()).sum() for mu, log in kept)
            for mu, _ in kept if self.spoils else ():
                mu.detach().mul_(0)
            return total

    x = torch.randn(4, BATCH, INPUTS)
    for spoils in (False, True):
        model = Later()
        with watch(model, tmp_path / f"{spoils}", every=10) as recording:
            for step in range(4):
                model.spoils = spoils and step == 3
                model(x)
                recording.step(step)
            if spoils:
                with pytest.warns(RuntimeWarning, match="changed in place"):
                    recording.close()
        run = Run(tmp_path / f"{spoils}")
        assert list(run.steps) == ([0] if spoils else [0, 3])
        assert recording.lost == spoils
        if not spoils:
            assert_statistics(run.at(3), model.truth(x))


def test_a_head_that_is_called_alone_is_put_to_no_other(tmp_path):
    class Alone(Pair):
        alone = False

        def forward(self, x):
            if self.alone:
                self.fc_mu(x[0] + 100)
            return super().forward(x)

    model, x = Alone(), torch.randn(3, BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
        model.fc_mu(x[0] - 100)  # alone: the next forward pass begins anew
        model(x)
        recording.step(1)
    assert_statistics(Run(tmp_path / "run").at(1), model.truth(x))


def test_what_is_kept_is_bounded_and_has_no_graph():
    handed = []
    gathered = Gathering(2, lambda: False, handed.append)
    rows = torch.randn(256, 16, requires_grad=True)
    most = KEPT_BYTES // (2 * rows.nbytes)
    for call in range(most + 3):
        value = rows + call
        assert gathered.put(0, value)
        assert gathered.put(1, -value)
    assert [sum(count for count, _ in calls.batches()) for calls in handed] == [most]
    gathered.end_step()
    assert len(handed) == 2
    for calls, first in zip(handed, (0, most), strict=True):
        ((_, (mean, scale)),) = calls.batches()
        assert not mean.requires_grad
        assert calls.nbytes <= KEPT_BYTES
        assert torch.equal(mean[: len(rows)], rows.detach() + first)
        assert torch.equal(mean, -scale)
    gathered.end_step()
    assert len(handed) == 2


def test_a_pair_that_the_bound_falls_into_stays_together():
    handed = []
    gathered = Gathering(2, lambda: True, handed.append)
    value = torch.ones(2048, 16)
    odd = KEPT_BYTES // value.nbytes
    for call in range(odd):  # the bound falls behind a first head
        gathered.put(0, value * call)
        gathered.put(1, value * call)
    gathered.end_step()
    assert gathered.uneven == 0
    both = [heads for calls in handed for _, heads in calls.batches()]
    assert sum(len(mean) for mean, _ in both) == odd * len(value)
    assert all(torch.equal(mean, scale) for mean, scale in both)


def test_an_output_without_a_partner_is_counted():
    handed = []
    gathered = Gathering(2, lambda: True, handed.append)
    value = torch.ones(3, 2)
    gathered.put(0, value)
    gathered.put(1, value)
    gathered.put(1, value)
    gathered.reset()
    assert gathered.uneven == 1
    gathered.put(0, 2 * value)
    gathered.put(1, 2 * value)
    gathered.end_step()
    assert [float(mean[0, 0]) for calls in handed for _, (mean, _) in calls.batches()] == [1.0, 2.0]
    gathered.put(0, value)
    gathered.clear()
    gathered.end_step()
    assert len(handed) == 2


@pytest.mark.parametrize(
    "odd",
    [
        torch.ones(3, 2).to_sparse(),
        torch.ones(1 << 18),
        nn.Parameter(torch.ones(2)),
        [1.0],
        torch.ones(3, 2).numpy(),
    ],
)
def test_only_small_plain_tensors_wait(odd):
    assert not may_wait(odd)
    assert not Gathering(1, lambda: True, lambda calls: None).put(0, odd)


def test_a_parameter_and_its_views_are_read_at_once():
    weight = nn.Parameter(torch.ones(3, 2))
    gathered = Gathering(1, lambda: False, lambda calls: None)
    assert not gathered.put(0, weight)
    assert not gathered.put(0, weight[:2])
    assert gathered.put(0, weight * 2)


def test_calls_that_were_changed_are_refused_unless_they_are_copies():
    for copies in (True, False):
        calls, value = Calls(1, copies), torch.ones(2, 2)
        assert calls.put(0, value)
        value.mul_(3)
        if copies:
            assert [float(one.sum()) for _, (one,) in calls.batches()] == [4.0]
        else:
            with pytest.raises(NotReadable, match="changed in place"):
                list(calls.batches())


def test_only_what_needs_nothing_but_tensors_waits():
    assert places_of([SOURCE]) == [0, 1]
    assert places_of([SOURCE, replace(SOURCE, slot=Slot(3, 1, "sigma"))]) == [0, 1, 3]
    assert places_of([replace(SOURCE, prior=Slot(2, 4, "sigma"))]) == [0, 1, 2, 4]
    assert places_of([replace(SOURCE, prior=(0.0, 2.0))]) == [0, 1]
    for other in (
        replace(SOURCE, mask=lambda module, output: None),
        replace(SOURCE, function=lambda module, output: output),
        replace(SOURCE, slot=Slot("mu", "logvar", "log_var")),
        replace(SOURCE, slot=Slot(0, halves=True, form="log_var")),
        replace(SOURCE, slot=Slot(0)),
        replace(SOURCE, origin="parameters"),
        replace(SOURCE, of="weights"),
    ):
        assert places_of([SOURCE, other]) is None


def test_probe_runs_are_read_apart_from_what_waits(tmp_path):
    model, x = Pair(), torch.randn(3, BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
        model(x)
        recording.probe(as_inputs((torch.full((1, 4, INPUTS), 9.0),)))
        recording.step(1)
    assert recording.lost == 0
    assert_statistics(Run(tmp_path / "run").at(1), model.truth(x))


@pytest.mark.filterwarnings("ignore:.*have no partner:RuntimeWarning")
def test_outputs_without_partners_are_bounded_whatever_their_number(tmp_path):
    """One head runs alone, more often than there is room for, while no forward pass begins anew."""
    model, x = Pair(), torch.randn(3, BATCH, INPUTS)
    with watch(model, tmp_path / "run") as recording:
        model(x)
        recording.step(0)
        (pair,) = recording._finder._hooks.pairs.values()
        rows = torch.randn(400, INPUTS)
        for _ in range(2 * KEPT_BYTES // (400 * NEURONS * 4) + WITHOUT_PARTNER):
            model.fc_mu(rows)
        assert max(map(len, pair._waiting.queues)) <= WITHOUT_PARTNER
        model(x)
        recording.step(1)
    assert_statistics(Run(tmp_path / "run").at(1), model.truth(x))
