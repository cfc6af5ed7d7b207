"""A network whose neurons' part in the forecast is known: the mean is their weighted sum."""

import torch

from probes.experiments.subject import CallableSubject, Forecast, Response

WEIGHTS = torch.tensor([[0.0, 0.5, -1.0, 2.0], [0.0, 0.0, 0.3, 0.0]])
SIGMA = 0.5


def linear(scale=1.0, feature=None):
    """Two layers of four neurons, K = 1: mu_i = feature(x)_i, forecast mean sum_li w_li z_li, sd `scale`."""

    def respond(x, draws, seed, edit):
        generator = torch.Generator().manual_seed(seed)
        mu = (x if feature is None else feature(x))[:, :4, None]
        z, activations = [], 0
        for layer in range(2):
            drawn = mu + SIGMA * torch.randn((draws, *mu.shape), generator=generator)
            z.append(drawn)
            used = drawn if edit is None else edit(layer, drawn)
            activations = activations + (used[..., 0] * WEIGHTS[layer]).sum(-1)
        mean = activations[..., None]
        sigma = torch.full_like(mu, SIGMA)
        kl = (0.5 * (mu**2 + SIGMA**2 - 1) - torch.tensor(SIGMA).log())[..., 0]
        return Response(Forecast(mean, torch.full_like(mean, scale)), z, [mu, mu], [sigma, sigma], [kl, kl])

    return CallableSubject(respond, [("first", 4), ("second", 4)])


def squared(mean, scale, y):
    """Squared error of the mean over draws: (B,)."""
    return (mean.mean(0) - y).square().mean(-1)


def examples(count=300, seed=0):
    """x (count, 6) standard normal and the forecast's target without noise, (count, 1)."""
    x = torch.randn((count, 6), generator=torch.Generator().manual_seed(seed))
    return x, (x[:, :4] * WEIGHTS.sum(0)).sum(-1, keepdim=True)
