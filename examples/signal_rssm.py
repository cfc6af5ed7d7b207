"""A recurrent state-space model with categorical variables, of Dreamer's kind, on a made signal, watched.

    python -m examples.signal_rssm [FOLDER] [STEPS]

The signal is of one regime after the other, a sine, a saw tooth, a square wave or silence, each of a length
that cannot be known beforehand. Eight variables of eight classes: what the state says of the next value is
the prior, which differs from row to row; the posterior has seen the value too. Mixed with one per cent of
the uniform distribution, drawn straight-through, KL balanced with one free nat (Hafner et al. 2023). Where
the prior foresees all, KL is small; what a new regime tells is what remains. The page Sequence shows a signal
that was not trained on, value by value: which variables changed their class where a new regime began.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Independent, OneHotCategoricalStraightThrough, kl_divergence

import probes

VARIABLES, CLASSES, HIDDEN = 8, 8, 64
BATCH, LENGTH, SHOWN = 32, 24, 64
UNIFORM, FREE_NATS = 0.01, 1.0


def signals(rows, length):
    """(rows, length, 1) values from -1 to 1; a regime lasts eight values on average."""
    kind = torch.randint(4, (rows,))
    phase, values = torch.rand(rows), []
    for _ in range(length):
        changes = torch.rand(rows) < 1 / 8
        kind = torch.where(changes, torch.randint(4, (rows,)), kind)
        phase = (torch.where(changes, torch.rand(rows), phase) + 1 / 6) % 1
        sine, saw = (2 * torch.pi * phase).sin(), 2 * phase - 1
        waves = torch.stack([sine, saw, (phase - 0.5).sign(), torch.zeros(rows)])
        values.append(waves.gather(0, kind[None])[0])
    return torch.stack(values, 1)[..., None] + 0.05 * torch.randn(rows, length, 1)


class RSSM(nn.Module):
    def __init__(self):
        super().__init__()
        state = VARIABLES * CLASSES
        self.cell = nn.GRUCell(state, HIDDEN)
        self.prior_net = nn.Sequential(nn.Linear(HIDDEN, 64), nn.SiLU(), nn.Linear(64, state))
        self.post_net = nn.Sequential(nn.Linear(HIDDEN + 1, 64), nn.SiLU(), nn.Linear(64, state))
        self.decoder = nn.Sequential(nn.Linear(HIDDEN + state, 64), nn.SiLU(), nn.Linear(64, 1))

    def variables(self, logits):
        probability = logits.unflatten(-1, (VARIABLES, CLASSES)).softmax(-1)
        mixed = (1 - UNIFORM) * probability + UNIFORM / CLASSES
        return Independent(OneHotCategoricalStraightThrough(probs=mixed), 1)

    def forward(self, x):
        """(B, T, 1) -> its reconstruction, and logits of posterior and prior (B, T, 64)."""
        h, z = x.new_zeros(len(x), HIDDEN), x.new_zeros(len(x), VARIABLES * CLASSES)
        outputs, post_logits, prior_logits = [], [], []
        for t in range(x.shape[1]):
            h = self.cell(z, h)
            prior_logits.append(self.prior_net(h))
            post_logits.append(self.post_net(torch.cat([h, x[:, t]], 1)))
            z = self.variables(post_logits[-1]).rsample().flatten(1)
            outputs.append(self.decoder(torch.cat([h, z], 1)))
        return tuple(torch.stack(one, 1) for one in (outputs, post_logits, prior_logits))


def balanced(model, post_logits, prior_logits):
    """Dreamer's KL (B, T): half of it moves the prior, a tenth the posterior, none below the free nats."""

    def kl(q, p):
        return kl_divergence(model.variables(q), model.variables(p)).clamp(min=FREE_NATS)

    return 0.5 * kl(post_logits.detach(), prior_logits) + 0.1 * kl(post_logits, prior_logits.detach())


def observe(model, post_logits, prior_logits):
    """Hands posterior and prior to the watch; returns them."""
    posterior, prior = model.variables(post_logits), model.variables(prior_logits)
    probes.observe("state", posterior, prior=prior, layout="sequences")
    return posterior, prior


def main(folder="runs/signal-rssm", steps=600):
    torch.manual_seed(0)
    shown = signals(1, SHOWN)
    model = RSSM()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    config = {"data": "signal", "seed": 0}
    with probes.watch(model, folder, every=5, config=config, precision="10bit", hooks=False) as recording:
        recording.sequence(tokens=shown[0], inputs=lambda model: observe(model, *model(shown)[1:]))
        for step in range(steps):
            x = signals(BATCH, LENGTH)
            output, post_logits, prior_logits = model(x)
            posterior, prior = observe(model, post_logits, prior_logits)
            distortion = 50 * F.mse_loss(output, x)
            loss = distortion + balanced(model, post_logits, prior_logits).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            kl = kl_divergence(posterior, prior).mean()
            recording.step(step, loss=loss, distortion=distortion, rate=kl)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
