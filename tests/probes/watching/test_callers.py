"""Several models beside each other that call observe under the same names: each run is of its own."""

import copy
import weakref

import networks
import pytest
import torch
from networks import BATCH, INPUTS, assert_statistics, expected
from torch import nn

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.observing import observe


class Encoder(networks.Encoder):
    """Gives its posterior away by itself, or by a layer's hook."""

    def forward(self, x):
        mu, raw = self.raw(x)
        observe("z", mu, (raw / 2).exp())
        return mu


class OtherEncoder(Encoder):
    """Of another class."""


class Wrapper(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = nn.Sequential(inner)

    def forward(self, x):
        return self.inner(x)


def truth(model, x):
    mu, raw = model.raw(x)
    return expected(mu, (raw / 2).exp())


@pytest.mark.parametrize("kinds", [(Encoder, Encoder), (Encoder, OtherEncoder)])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapper])
def test_each_of_two_watched_models_has_its_own(tmp_path, kinds, wrap):
    models, x = [kind() for kind in kinds], torch.randn(2, BATCH, INPUTS)
    whole = [wrap(model) for model in models]
    with watch(whole[0], tmp_path / "0") as one, watch(whole[1], tmp_path / "1") as other:
        for step in range(2):
            for model, batch in zip(whole, x, strict=True):
                model(batch)
            one.step(step)
            other.step(step)
    for place in (0, 1):
        assert_statistics(Run(tmp_path / str(place)).at(1), truth(models[place], x[place]))


@pytest.mark.parametrize("compiled", [False, True])
def test_other_members_of_an_ensemble_and_copies_are_not_of_the_one_that_is_watched(tmp_path, compiled):
    torch.compiler.reset()
    members = [Encoder() for _ in range(3)]
    if compiled:
        run = [torch.compile(member, fullgraph=True, backend="aot_eager") for member in members]
    else:
        run = members
    x = torch.randn(BATCH, INPUTS)
    with watch(members[1], tmp_path / "run", hooks=False) as recording:
        for step in range(2):
            for member in run:
                member(x)
            copy.deepcopy(members[1])(5 * x)
            recording.step(step)
    assert_statistics(Run(tmp_path / "run").at(1), truth(members[1], x))
    assert recording.lost == 0


def test_a_module_beside_the_watched_one_may_hand_over_what_it_draws_from(tmp_path):
    class Sampler(nn.Module):
        def forward(self, mu, raw):
            observe("z", mu, (raw / 2).exp())
            return mu

    model, sampler, x = networks.ReturnsMuLogVar(), Sampler(), torch.randn(BATCH, INPUTS)
    with watch(model, tmp_path / "run", hooks=False) as recording:
        sampler(*model(x))
        recording.step(0)
    assert_statistics(Run(tmp_path / "run").at(0), truth(model, x))


def test_what_stands_in_frames_on_the_way_is_not_kept(tmp_path):
    model = Encoder()

    def training():
        outputs = [model(torch.randn(BATCH, INPUTS))]
        kept = torch.tensor(1.0)
        there = weakref.ref(kept)
        observe("z", *[outputs[0]] * 2)
        del kept
        return there() is None

    with watch(model, tmp_path / "run", hooks=False):
        assert training()
