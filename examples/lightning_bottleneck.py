"""A Lightning module, watched by a callback: a variational information bottleneck on scikit-learn's digits.
Needs lightning.

python -m examples.lightning_bottleneck [FOLDER] [STEPS]
"""

import sys

import lightning
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

from probes.integrations.lightning import Watch


class Encoder(nn.Module):
    """p(z | x) as a torch distribution."""

    def __init__(self, pixels=64, hidden=128, latent=16):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(pixels, hidden), nn.GELU(), nn.Linear(hidden, 2 * latent))

    def forward(self, x):
        mean, raw = self.net(x).chunk(2, dim=-1)
        return Normal(mean, F.softplus(raw + 0.54))  # softplus(0.54) = 1: begins at the prior's width


class Bottleneck(lightning.LightningModule):
    def __init__(self, beta=0.01):
        super().__init__()
        self.beta = beta
        self.encoder, self.head = Encoder(), nn.Linear(16, 10)

    def _loss(self, batch):
        x, label = batch
        posterior = self.encoder(x)
        rate = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1).mean()
        return F.cross_entropy(self.head(posterior.rsample()), label) + self.beta * rate, rate

    def training_step(self, batch, batch_idx):
        loss, rate = self._loss(batch)
        self.log("rate", rate)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self._loss(batch)[0])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main(folder="runs/lightning-bottleneck", steps=1000):
    lightning.seed_everything(0, verbose=False)
    digits = load_digits()
    x, label = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    train, validation = TensorDataset(x[:1500], label[:1500]), TensorDataset(x[1500:], label[1500:])
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Watch(folder, every=5, precision="10bit")],
    )
    loader = DataLoader(train, batch_size=128, shuffle=True, drop_last=True)
    trainer.fit(Bottleneck(), loader, DataLoader(validation, batch_size=300))


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
