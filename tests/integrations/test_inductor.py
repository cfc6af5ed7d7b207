"""observe in code that Inductor has compiled to C++: the compiler that training uses, fullgraph=True."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.observing import observe

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler itself


class Observing(nn.Module):
    """A VAE that says itself what its posterior is."""

    def __init__(self):
        super().__init__()
        self.mean, self.raw, self.decoder = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 6)

    def forward(self, x):
        mu, sigma = self.mean(x), (self.raw(x) / 2).exp()
        observe("latent", mu, sigma, prior=(0.5, 2.0), previous=mu[len(x) // 2 :], mask=x[:, 0] > -1)
        return self.decoder(torch.relu(mu) + sigma)


def train(forward, model, inputs, folder):
    """A few steps; the run, and the gradients of the last."""
    with watch(model, folder, hooks=False) as recording:
        for step, x in enumerate(inputs):
            model.zero_grad()
            loss = (forward(x) - x).square().mean()
            loss.backward()
            recording.step(step, loss=loss)
    return Run(folder), [parameter.grad.clone() for parameter in model.parameters()]


def test_observe_inside_a_graph_that_inductor_compiles(tmp_path):
    assert shutil.which("g++"), "Inductor needs a C++ compiler"
    torch.manual_seed(0)
    model, inputs = Observing(), torch.randn(3, 16, 6)
    eager, gradients = train(model, model, inputs, tmp_path / "eager")
    compiled, others = train(torch.compile(model, fullgraph=True), model, inputs, tmp_path / "compiled")
    assert compiled.steps.tolist() == [0, 1, 2]
    for step in range(3):
        np.testing.assert_allclose(compiled.at(step), eager.at(step), rtol=1e-4, atol=1e-6)
    for a, b in zip(gradients, others, strict=True):
        torch.testing.assert_close(a, b)
