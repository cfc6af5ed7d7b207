"""What the graph of autograd and the source of a module tell."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from probes.watching.evidence import (
    OF_UNIFORM_NOISE,
    applied,
    draws_gaussian,
    feature_axis,
    other_family,
    shaped,
)


def convolved(x):
    return nn.Conv1d(2, 4, 1)(x)


@pytest.mark.parametrize(
    ("make", "axis"),
    [
        (convolved, 1),
        (lambda x: convolved(x).chunk(2, 1)[0].exp(), 1),
        (lambda x: convolved(x).permute(2, 0, 1), 2),
        (lambda x: convolved(x).transpose(1, 2).clamp(-1, 1), 2),
        (lambda x: convolved(x).transpose(-1, -2), 2),
        (lambda x: nn.Linear(7, 4)(x), 2),
        (lambda x: F.softplus(nn.Linear(7, 4)(x)), 2),
        (lambda x: nn.Linear(7, 4)(x).transpose(1, 2), 1),
        (lambda x: nn.LayerNorm(7)(x), 2),
        (lambda x: x, None),
        (lambda x: x.requires_grad_() + 1, None),
        (lambda x: convolved(x).detach(), None),
    ],
)
def test_the_axis_of_the_features_follows_permutations(make, axis):
    assert feature_axis(make(torch.randn(3, 2, 7))) == axis


class Uses(nn.Module):
    def forward(self, h):
        a = F.softplus(self.plain(h)) + 1e-4
        b = self.later(h)
        b = b.clamp(-5, 2)
        c = torch.exp(0.5 * self.halved(h))
        d = self.formula(h)
        kl = d.log() + a**2 / (2 * d**2)
        e, f = self.one(h), F.softplus(self.other(h)) + 0.1
        return a, b, c, kl, e, f, self.returned(h)


class Inherits(Uses):
    pass


@pytest.mark.parametrize("kind", [Uses, Inherits])
@pytest.mark.parametrize(
    ("name", "chain"),
    [
        ("plain", ("softplus",)),
        ("later", ("clamp(-5, 2)",)),
        ("halved", ("half", "exp")),
        ("formula", ()),
        ("one", ()),
        ("other", ("softplus", "plus 0.1")),
        ("returned", ()),
        ("nowhere", None),
    ],
)
def test_what_code_does_with_a_layers_output(kind, name, chain):
    assert applied(kind, name) == chain


def test_the_family_that_a_source_draws_from():
    class DrawsLaplace(nn.Module):
        def forward(self, x):
            return torch.distributions.Laplace(x, 1.0).rsample()

    class Likelihood(nn.Module):
        def forward(self, x):
            z = x + torch.randn_like(x)
            return torch.distributions.Laplace(z, 1.0)

    assert other_family(DrawsLaplace) == "Laplace"
    assert other_family(Likelihood) is None
    assert draws_gaussian(Likelihood)
    assert other_family(nn.Linear) is None


SHARDED = """
import sys, torch, warnings
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from torch.testing._internal.distributed.fake_pg import FakeStore
from probes.watching.attaching import watch

class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar = nn.Linear(8, 4), nn.Linear(8, 4)
    def forward(self, x):
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        return mu, logvar

dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
mesh = init_device_mesh("cpu", (2,))
for gathered in (False, True):
    style = ColwiseParallel(output_layouts=Replicate()) if gathered else ColwiseParallel()
    model = parallelize_module(Heads(), mesh, {"fc_mu": style, "fc_logvar": style})
    recording = watch(model, f"{sys.argv[1]}/{gathered}")
    model(torch.randn(6, 8))
    with warnings.catch_warnings(record=True) as said:
        recording.step(0)
    layers = recording.recorder.layers
    print(layers[0]["neurons"] if layers else "sharded over devices" in str(said[0].message))
    recording.close()
"""


def test_a_head_that_is_sharded_is_refused_until_it_is_gathered(tmp_path):
    pytest.importorskip("torch.distributed.tensor.parallel")
    run = subprocess.run(
        [sys.executable, "-c", SHARDED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", "4"]


def test_a_class_that_draws_uniform_numbers_alone_draws_no_gaussian():
    class Logistic:
        def sample(self, mu, scale):
            u = torch.rand_like(mu)
            return mu + scale * (u / (1 - u)).log()

    class Both(Logistic):
        def other(self, mu):
            return mu + torch.randn_like(mu)

    assert other_family(Logistic) == OF_UNIFORM_NOISE
    assert other_family(Both) is None


class Holds(nn.Module):
    """Numbers that code uses as they are, or not."""

    def __init__(self):
        super().__init__()
        self.plain, self.halved, self.both = (torch.zeros(2) for _ in range(3))

    def made(self):
        both = self.both
        return self.plain * 2, (0.5 * self.halved).exp(), F.softplus(both).sqrt(), self.both.exp()


@pytest.mark.parametrize(
    ("name", "chains"),
    [("plain", set()), ("halved", {("half", "exp")}), ("both", {("softplus",), ("exp",)}), ("absent", set())],
)
def test_what_code_does_with_what_a_module_holds(name, chains):
    assert shaped(Holds, name) == chains
