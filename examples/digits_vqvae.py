"""A VQ-VAE on scikit-learn's digits that loses codes and gets them back, watched. Needs scikit-learn.

    python -m examples.digits_vqvae [FOLDER] [STEPS]

A digit is four picks of 64 codes. The codes start at outputs of the encoder, which then moves away: a code
that is picked follows, one that is not stays where it is and is dead: more than half within 200 steps, three
of four within 320. From half of the training on, codes that were not picked for 100 steps are put where the
encoder's outputs are, and live again; each restart is an event of the run.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

import probes
from examples.digits_vae import digits

CODES, PICKS, DIMENSIONS = 64, 4, 8
BATCH, WINDOW, PATIENCE = 64, 128, 100  # the latter two in steps
STARTED = 20  # step from which on alerts tell of dead codes


class Quantizer(nn.Module):
    """(B, P, D) -> the nearest codes, with the encoder's gradient; their indices (B, P); the loss."""

    def __init__(self, codes=CODES, dimensions=DIMENSIONS):
        super().__init__()
        self.codes = nn.Embedding(codes, dimensions)
        self.register_buffer("unused", torch.zeros(codes, dtype=torch.long))  # steps since the last pick

    def forward(self, z):
        indices = torch.cdist(z.flatten(0, 1), self.codes.weight).argmin(1).view(z.shape[:2])
        picked = self.codes(indices)
        loss = F.mse_loss(picked, z.detach()) + 0.25 * F.mse_loss(z, picked.detach())
        if self.training:
            self.unused += 1
            self.unused[indices.unique()] = 0
        return z + (picked - z).detach(), indices, loss

    def dead(self):
        """Codes that were not picked in a while."""
        return (self.unused >= PATIENCE).nonzero().flatten()

    @torch.no_grad()
    def put(self, codes, z):
        """Puts codes (K,) onto outputs z (B, P, D) of the encoder."""
        rows = z.detach().flatten(0, 1)
        self.codes.weight[codes] = rows[torch.randperm(len(rows))[: len(codes)]]
        self.unused[codes] = 0


class VQVAE(nn.Module):
    def __init__(self, pixels=64, hidden=128):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(pixels, hidden), nn.GELU(), nn.Linear(hidden, PICKS * DIMENSIONS)
        )
        self.quantizer = Quantizer()
        self.decoder = nn.Sequential(
            nn.Linear(PICKS * DIMENSIONS, hidden), nn.GELU(), nn.Linear(hidden, pixels)
        )

    def encode(self, x):
        return self.encoder(x).view(-1, PICKS, DIMENSIONS)

    def forward(self, x):
        z, indices, loss = self.quantizer(self.encode(x))
        probes.observe_codes("digits", indices, CODES, window=WINDOW)
        return self.decoder(z.flatten(1)), loss


def main(folder="runs/digits-vqvae", steps=1200):
    torch.manual_seed(0)
    images, validation = digits()
    model = VQVAE()
    model.quantizer.put(torch.arange(CODES), model.encode(images[:BATCH]))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)

    def losses(batch):
        logits, commitment = model(batch)
        distortion = F.binary_cross_entropy_with_logits(logits, batch, reduction="none").sum(1).mean()
        return distortion + commitment, distortion, commitment

    config = {"data": "digits", "seed": 0, "codes": CODES, "warmup_steps": STARTED}
    with probes.watch(model, folder, every=10, config=config, precision="10bit", hooks=False) as recording:
        for step in range(steps):
            batch = images[torch.randint(len(images), (BATCH,))]
            loss, distortion, commitment = losses(batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            recording.step(step, loss=loss, distortion=distortion, commitment=commitment)
            if step >= steps // 2 and step % PATIENCE == 0 and len(dead := model.quantizer.dead()):
                model.quantizer.put(dead, model.encode(batch))
                text = f"{len(dead)} codes, not picked in {PATIENCE} steps, put onto outputs of the encoder"
                recording.recorder.event(step, "restart", "digits", dead.tolist(), text=text)
            if step % 100 == 99:
                model.eval()
                with torch.no_grad():
                    recording.scalar(step, "loss", losses(validation)[0], split="validation")
                model.train()


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
