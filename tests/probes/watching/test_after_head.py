"""What stands between a named head and its sample: noticed, and read as it is used, or refused; and nothing
seen where nothing stands.
"""

import pytest
import torch
from networks import BATCH, INPUTS, NEURONS, assert_statistics, expected
from torch import nn

from probes.run import Run
from probes.watching.attaching import watch


class Heads(nn.Module):
    """A VAE that returns its reconstruction alone; `use` makes mean and sigma of what the heads put out."""

    def __init__(self, use, mean="fc_mu", scale="fc_logvar"):
        super().__init__()
        self.body, self.decoder = nn.Linear(INPUTS, 8), nn.Linear(NEURONS, INPUTS)
        self.names, self.use = (mean, scale), use
        self.add_module(mean, nn.Linear(8, NEURONS))
        self.add_module(scale, nn.Linear(8, NEURONS))
        self.norm = nn.BatchNorm1d(NEURONS, affine=False)

    def forward(self, x):
        h = self.body(x).tanh()
        mu, sigma = self.use(self, *(getattr(self, name)(h) for name in self.names))
        self.truth = mu.detach(), sigma.detach()
        return self.decoder(mu + sigma * torch.randn_like(mu))


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (
            lambda m, mu, raw: (mu, (raw.clamp(-1, 0.2) / 2).exp()),
            "exp(0.5 * clamp(fc_logvar, min=-1, max=0.2))",
        ),
        (lambda m, mu, raw: (m.norm(mu), (raw / 2).exp()), "mean = norm(fc_mu),"),
    ],
)
def test_what_stands_between_is_read(tmp_path, use, said):
    torch.manual_seed(0)
    model = Heads(use)
    with watch(model, tmp_path / "run") as recording:
        for step in range(2):
            model(torch.randn(BATCH, INPUTS))
            recording.step(step)
            truth = expected(*model.truth)
    assert said in recording.found[0]["why"]
    assert_statistics(Run(tmp_path / "run").at(1), truth)
