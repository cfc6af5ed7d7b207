"""What do the neurons of a watched model do? Ablation and traversal of the VAE of `digits_vae.py`, stored
with its run.

    python -m examples.digits_experiments [FOLDER] [STEPS]

Any network can be experimented on: all that `probes.experiments` asks for is a function of a batch, `respond`
below. The dashboard's page Experiments shows the results.
"""

import sys

import pandas as pd
import torch
import torch.nn.functional as F

from examples.digits_vae import digits, train
from probes import regimes
from probes.diagnostics import derived
from probes.experiments import store
from probes.experiments.ablation import ablate, predictors, reliability
from probes.experiments.subject import CallableSubject, Forecast, Response
from probes.experiments.traversal import traverse
from probes.moments import moments

DRAWS, SEED = 8, 0


def as_subject(model):
    """The VAE as experiments see it: images in, pixels out, one layer of neurons between."""

    def respond(x, draws, seed, edit):
        """x (B, 64). With `edit`, the decoder gets other draws than the encoder made."""
        noise = torch.randn(
            (draws, len(x), model.fc_mu.out_features), generator=torch.Generator().manual_seed(seed)
        )
        h = model.body(x)
        mu, logvar = model.fc_mu(h), model.fc_logvar(h)
        sigma = (logvar / 2).exp()
        z = (mu + sigma * noise)[..., None]  # (S, B, N, 1): one latent dimension a neuron
        used = z if edit is None else edit(0, z)
        pixels = model.decoder(used[..., 0]).sigmoid()  # (S, B, 64)
        forecast = Forecast(pixels, (pixels * (1 - pixels)).sqrt())  # mean and sd of a Bernoulli pixel
        kl = 0.5 * (mu**2 + sigma**2 - 1) - sigma.log()
        return Response(forecast, [z], [mu[..., None]], [sigma[..., None]], [kl])

    return CallableSubject(respond, [("VAE", model.fc_mu.out_features)])


def cross_entropy(mean, scale, y):
    """Nats an image, of each draw; what training minimises. (S, B, 64) -> (B,)."""
    return F.binary_cross_entropy(mean, y.expand_as(mean), reduction="none").sum(-1).mean(0)


def squared_error(mean, scale, y):
    """Of the mean over draws, a pixel: (B,)."""
    return (mean.mean(0) - y).square().mean(-1)


def statistics_of(subject, x):
    """Each neuron's statistics over x and its regime, as a frame: layer, neuron, regime, kl, ..."""
    response = subject.respond(x, 1, SEED)
    found = moments(response.mu[0], response.sigma[0])
    frame = pd.DataFrame(
        {"layer": 0, "neuron": range(found["kl"].numel())} | {name: v.numpy() for name, v in found.items()}
    )
    return derived(frame.assign(regime=regimes.classify(frame)))


def main(folder="runs/digits-experiments", steps=1500):
    model = train(folder, steps).eval()
    _, images = digits()
    subject, neurons = as_subject(model), statistics_of(as_subject(model), images)
    settings = {"draws": DRAWS, "seed": SEED, "split": "validation", "step": steps}

    scores = {"cross-entropy": cross_entropy, "squared error": squared_error}
    effects = ablate(subject, images, images, scores, DRAWS, SEED)
    tables = {"effects": effects, "neurons": neurons}
    tables |= {"predictors": predictors(effects, neurons), "reliability": reliability(effects)}
    store.save(folder, "ablation", tables, settings | {"experiment": "ablation", "inputs": len(images)})

    walked = [(0, int(number)) for number in neurons.nlargest(6, "information")["neuron"]]
    shown = images[:3]
    tables = traverse(subject, shown, walked, DRAWS, SEED, values=[0.5 * step for step in range(-6, 7)])
    index, output = torch.meshgrid(torch.arange(len(shown)), torch.arange(64), indexing="ij")
    tables["targets"] = pd.DataFrame(
        {"input": index.flatten(), "output": output.flatten(), "y": shown.flatten()}
    )
    store.save(
        folder,
        "traversal",
        tables,
        settings | {"experiment": "traversal", "inputs": len(shown), "image": [8, 8]},
    )


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
