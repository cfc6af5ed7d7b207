"""Two Pyro guides, watched: an amortised one (a VAE on digits) and an automatic one (a Bayesian regression).
Needs pyro-ppl.

    python -m examples.pyro_guides [FOLDER] [STEPS]

The first records to FOLDER-vae, the second to FOLDER-regression.
"""

import sys

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule
from pyro.optim import Adam
from sklearn.datasets import load_diabetes, load_digits
from torch import nn

import probes


class Guide(PyroModule):
    """q(z | x): a Normal whose parameters a network computes."""

    def __init__(self, pixels=64, hidden=64, latent=8):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(pixels, hidden), nn.GELU())
        self.loc, self.raw = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, x):
        h = self.body(x)
        with pyro.plate("examples", len(x)):
            pyro.sample("z", dist.Normal(self.loc(h), nn.functional.softplus(self.raw(h))).to_event(1))


class Model(PyroModule):
    """p(x, z): a standard normal prior and a Bernoulli likelihood."""

    def __init__(self, pixels=64, hidden=64, latent=8):
        super().__init__()
        self.latent = latent
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, pixels))

    def forward(self, x):
        with pyro.plate("examples", len(x)):
            z = pyro.sample(
                "z", dist.Normal(x.new_zeros(self.latent), 1.0).expand((len(x), self.latent)).to_event(1)
            )
            pyro.sample("x", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)


def vae(folder, steps):
    pixels = torch.tensor(load_digits().data > 7, dtype=torch.float32)
    model, guide = Model(), Guide()
    svi = SVI(model, guide, Adam({"lr": 2e-3}), Trace_ELBO())
    with probes.watch(guide, folder, every=5, precision="10bit") as recording:
        for step in range(steps):
            batch = pixels[torch.randint(len(pixels), (128,))]
            recording.step(step, loss=svi.step(batch) / len(batch))


def regression(x, y=None):
    weight = pyro.sample("weight", dist.Normal(x.new_zeros(x.shape[1]), 0.5).to_event(1))
    noise = pyro.sample("noise", dist.HalfNormal(10.0))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(x @ weight, noise), obs=y)


def bayesian_regression(folder, steps):
    data = load_diabetes()
    x, y = (
        torch.tensor(data.data, dtype=torch.float32) * 21,
        torch.tensor(data.target, dtype=torch.float32) / 77,
    )
    # begins as wide as the prior, so that contraction is seen from its start
    guide = AutoNormal(regression, init_scale=0.5)
    guide(x, y - y.mean())  # an automatic guide makes its parameters at its first call
    svi = SVI(regression, guide, Adam({"lr": 1e-2}), Trace_ELBO())
    priors = {"weight*": (0.0, 0.5)}  # what the model says of the weights; the guide does not know it
    skip = ["noise*"]  # not Gaussian under the model
    with probes.watch(guide, folder, every=5, priors=priors, skip=skip, precision="10bit") as recording:
        for step in range(steps):
            recording.step(step, loss=svi.step(x, y - y.mean()) / len(x))


def main(folder="runs/pyro", steps=1000):
    pyro.set_rng_seed(0)
    pyro.clear_param_store()
    vae(f"{folder}-vae", steps)
    bayesian_regression(f"{folder}-regression", steps)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
