"""What an ensemble and dropout do not know, over training, watched.

    python -m examples.uncertainty [FOLDER] [STEPS]

Regression of a made curve with a gap in the data. Every twentieth step eight members of an ensemble, and
eight masks of one network's dropout, predict at eight places, four with data and four in the gap: draws
(S, B, N) whose variance within an input is what the networks do not know. With training it falls where there
are data, and stays in the gap.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

import probes

MEMBERS, PASSES, EVERY = 8, 8, 20
PLACES = torch.tensor([-1.8, -1.5, -1.2, -0.9, -0.3, 0.0, 0.3, 0.6])  # the last four lie in the gap


def data(rows):
    """x (B, 1) from -2 to 2, none between -0.7 and 0.9; y (B, 1)."""
    x = 4 * torch.rand(4 * rows, 1) - 2
    x = x[((x < -0.7) | (x > 0.9)).squeeze(1)][:rows]
    return x, (3 * x).sin() + 0.1 * torch.randn_like(x)


def network(dropout):
    return nn.Sequential(
        nn.Linear(1, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(64, 1),
    )  # fmt: skip


def at_places(model, shifts):
    """(B, N): predictions at the places, each shifted a little."""
    return model((PLACES + shifts).reshape(-1, 1)).view(-1, len(PLACES))


def main(folder="runs/uncertainty", steps=1600):
    torch.manual_seed(0)
    models = nn.ModuleDict(
        {"ensemble": nn.ModuleList(network(0.0) for _ in range(MEMBERS)), "dropout": network(0.1)}
    )
    x, y = data(200)
    optimiser = torch.optim.Adam(models.parameters(), lr=2e-3)
    shifts = torch.linspace(-0.05, 0.05, 16)[:, None]
    config = {"data": "curve", "seed": 0}
    with probes.watch(
        models, folder, every=EVERY, config=config, precision="10bit", hooks=False
    ) as recording:
        for step in range(steps):
            every = [*models["ensemble"], models["dropout"]]
            rows = [torch.randint(len(x), (64,)) for _ in every]  # each has data of its own
            loss = sum(F.mse_loss(model(x[row]), y[row]) for model, row in zip(every, rows, strict=True))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % EVERY == 0 or step == steps - 1:
                members = probes.ensemble_samples(models["ensemble"], shifts, call=at_places)
                passes = probes.dropout_samples(models["dropout"], shifts, PASSES, call=at_places)
                probes.observe_samples("ensemble", members)
                probes.observe_samples("dropout", passes)
            recording.step(step, loss=loss / len(every))


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
