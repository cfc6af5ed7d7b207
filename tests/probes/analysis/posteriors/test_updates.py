"""How far posteriors move, against closed forms and coupled quantiles."""

import numpy as np
import pandas as pd
import torch

from probes.analysis import posteriors


def test_update_speed_against_torch():
    draw = np.random.default_rng(0)
    mu, before = draw.normal(size=(2, 30, 4))
    sigma, earlier = np.exp(draw.normal(size=(2, 30, 4)))
    kl, moved = posteriors.update_speed(mu, sigma, before, earlier)
    q, p = (
        torch.distributions.Normal(torch.tensor(m), torch.tensor(s))
        for m, s in ((mu, sigma), (before, earlier))
    )
    np.testing.assert_allclose(kl, torch.distributions.kl_divergence(q, p).mean(0))
    quantiles = (
        torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(20_000) + 0.5) / 20_000).double().numpy()
    )
    coupled = (
        (mu[..., None] + sigma[..., None] * quantiles) - (before[..., None] + earlier[..., None] * quantiles)
    ) ** 2
    np.testing.assert_allclose(moved, coupled.mean((0, 2)), rtol=1e-3)


def rows(step, layer, mu, sigma):
    inputs, neurons = np.indices(mu.shape)
    columns = {"step": step, "layer": layer, "neuron": neurons.ravel(), "input": inputs.ravel()}
    return pd.DataFrame({**columns, "mu": mu.ravel(), "sigma": sigma.ravel()})


def test_drift_goes_from_one_recorded_step_to_the_next_in_every_layer():
    draw = np.random.default_rng(1)
    mu = draw.normal(size=(3, 2, 8, 5))
    probes = {
        step: (
            pd.concat([rows(step, layer, mu[i, layer], np.ones((8, 5))) for layer in (0, 1)]).sample(
                frac=1, random_state=0
            )
        )
        for i, step in enumerate((0, 10, 30))
    }
    frame = posteriors.drift(probes)
    assert len(frame) == 2 * 2 * 5
    last = frame[(frame["step"] == 30) & (frame["layer"] == 1)]
    assert (last["previous"] == 10).all()
    np.testing.assert_allclose(last["wasserstein2"], ((mu[2, 1] - mu[1, 1]) ** 2).mean(0))
    np.testing.assert_allclose(last["update_kl"], last["wasserstein2"] / 2)
    assert posteriors.drift({0: probes[0]}).empty
