"""A plain VAE on scikit-learn's digits, watched in one line. Needs scikit-learn.

    python -m examples.digits_vae [FOLDER] [STEPS]

Then `probes ui runs` shows it: 16 latent neurons of which the model keeps as many as it
can use.
"""

import sys

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import probes


class VAE(nn.Module):
    def __init__(self, pixels=64, hidden=128, latent=16):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(pixels, hidden), nn.GELU())
        self.fc_mu, self.fc_logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        # begin near the prior, so that contraction is seen from its start
        for layer in (self.fc_mu, self.fc_logvar):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, pixels))

    def forward(self, x):
        h = self.body(x)
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        z = mu + torch.randn_like(mu) * (logvar / 2).exp()
        return self.decoder(z), mu, logvar


def digits():
    """Images for training (1500, 64) and for validation (297, 64), pixels from 0 to 1."""
    x = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    return x[:1500], x[1500:]


def train(folder, steps):
    """A trained VAE, and the run of its training in `folder`."""
    torch.manual_seed(0)
    images, validation = digits()
    model = VAE()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)

    def losses(batch):
        logits, mu, logvar = model(batch)
        distortion = F.binary_cross_entropy_with_logits(logits, batch, reduction="none").sum(1).mean()
        rate = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
        return distortion + rate, distortion, rate

    with probes.watch(
        model, folder, every=5, config={"data": "digits", "seed": 0}, precision="10bit"
    ) as recording:
        for step in range(steps):
            loss, distortion, rate = losses(images[torch.randint(len(images), (128,))])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            recording.step(step, loss=loss, distortion=distortion, rate=rate)
            if step % 100 == 99:
                model.eval()
                with torch.no_grad():
                    recording.scalar(step, "loss", losses(validation)[0], split="validation")
                model.train()
    return model


def main(folder="runs/digits-vae", steps=1500):
    train(folder, steps)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
