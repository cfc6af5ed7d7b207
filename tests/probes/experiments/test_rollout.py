"""Rollouts of a network that is an autoregression: mean, variance and score along t have closed forms."""

import numpy as np
import pytest
import torch
from linear_subject import linear
from scipy import integrate, stats

from probes import Run
from probes.experiments.rollout import rollout, sample_crps, write_replay
from probes.experiments.subject import CallableSubject, Forecast, Response

PHI, INNOVATION, LATENT = 0.8, 0.3, 0.2


def autoregression(horizon=3):
    """Forecast phi x_last (z around 0 with sd LATENT added), the same for every step of the horizon."""

    def respond(x, draws, seed, edit):
        generator = torch.Generator().manual_seed(seed)
        mu = (PHI * x[:, -1:])[..., None]
        z = mu + LATENT * torch.randn((draws, *mu.shape), generator=generator)
        mean = z[..., 0].expand(-1, -1, horizon)
        kl = (0.5 * (mu**2 + LATENT**2 - 1) - np.log(LATENT))[..., 0]
        return Response(
            Forecast(mean, torch.full_like(mean, INNOVATION)), [z], [mu], [torch.full_like(mu, LATENT)], [kl]
        )

    return CallableSubject(respond, [("only", 1)])


def test_mean_and_spread_along_t_are_those_of_the_autoregression():
    x = torch.zeros(2, 5)
    x[:, -1] = torch.tensor([3.0, -1.0])
    seen = []
    tables = rollout(
        autoregression(), x, 12, trajectories=4000, progress=lambda done, total: seen.append(done)
    )
    noise = INNOVATION**2 + LATENT**2
    for start, first in ((0, 3.0), (1, -1.0)):
        part = tables["forecasts"][tables["forecasts"]["start"] == start]
        t = part["t"].to_numpy()
        assert t.tolist() == list(range(1, 13))
        sd = np.sqrt(noise * (1 - PHI ** (2 * t)) / (1 - PHI**2))
        np.testing.assert_allclose(part["mean"], first * PHI**t, atol=4 * sd.max() / np.sqrt(4000))
        np.testing.assert_allclose(part["sd"], sd, rtol=0.06)
        np.testing.assert_allclose(part["q95"] - part["q50"], 1.645 * sd, rtol=0.1)
    assert seen == list(range(1, 13))
    frame = tables["uncertainty"].set_index(["start", "t"])
    assert frame.loc[(0, 1), "latent"] == pytest.approx(LATENT**2, rel=0.08)
    assert frame.loc[(0, 12), "latent"] > 2 * frame.loc[(0, 1), "latent"]
    np.testing.assert_allclose(frame["output"], INNOVATION**2, rtol=1e-5)
    kl = 0.5 * ((PHI * 3) ** 2 + LATENT**2 - 1) - np.log(LATENT)
    assert frame.loc[(0, 1), "internal_kl"] == pytest.approx(kl, rel=1e-5)


def test_values_are_drawn_of_the_noise_that_is_given():
    """The 95 % quantile with uniform observations is not that of Gaussian ones."""
    x = torch.zeros(1, 5)

    def uniform(like, source):
        return 12**0.5 * (torch.rand(like.shape, generator=source) - 0.5)

    found, gaussian = (
        rollout(autoregression(), x, 1, trajectories=4000, noise=noise)["forecasts"]["q95"].item()
        for noise in (uniform, None)
    )
    noise = np.random.default_rng(0)
    law = INNOVATION * 12**0.5 * (noise.random(10**6) - 0.5) + LATENT * noise.standard_normal(10**6)
    assert found == pytest.approx(np.quantile(law, 0.95), rel=0.03)
    assert abs(gaussian - 1.645 * np.hypot(INNOVATION, LATENT)) < 0.03 * gaussian


def test_the_bands_of_few_trajectories_hold_what_they_say():
    x = torch.linspace(-2, 2, 400)[:, None].expand(400, 5)
    generator = torch.Generator().manual_seed(7)
    values, truth = x[:, -1], []
    for _ in range(6):  # the autoregression itself goes on
        noise = torch.randn((2, 400), generator=generator)
        values = PHI * values + LATENT * noise[0] + INNOVATION * noise[1]
        truth.append(values)
    table = rollout(autoregression(), x, 6, trajectories=32, truth=torch.stack(truth, 1))["forecasts"]
    for low, high, share in (("q05", "q95", 0.9), ("q25", "q75", 0.5)):
        held = ((table["y"] > table[low]) & (table["y"] < table[high])).mean()
        assert held == pytest.approx(share, abs=0.025)  # numpy's own quantiles: 0.845 and 0.475
    assert (table["y"] < table["q50"]).mean() == pytest.approx(0.5, abs=0.03)
    first = table[table["t"] == 1]
    assert (first["sd"] ** 2).mean() == pytest.approx(INNOVATION**2 + LATENT**2, rel=0.03)


def test_trajectories_that_are_too_few_for_a_band_have_none():
    uncertainty, forecasts = (
        rollout(autoregression(), torch.zeros(3, 5), 2, trajectories=1)[name]
        for name in ("uncertainty", "forecasts")
    )
    assert forecasts[["sd", "q05", "q25", "q75", "q95"]].isna().all(axis=None)
    assert forecasts["q50"].notna().all()
    assert uncertainty["latent"].isna().all()
    some = rollout(autoregression(), torch.zeros(3, 5), 2, trajectories=8)["forecasts"]
    assert some["q95"].isna().all()
    assert some["q75"].notna().all()


def test_the_latent_variance_of_two_trajectories_is_not_half_of_it():
    table = rollout(autoregression(), torch.zeros(4000, 5), 1, trajectories=2)["uncertainty"]
    assert table["latent"].mean() == pytest.approx(LATENT**2, rel=0.06)


def test_feeding_back_several_values_asks_less_often():
    tables = rollout(autoregression(), torch.zeros(1, 5), 8, trajectories=16, feed=3)
    assert tables["uncertainty"]["t"].tolist() == [1, 4, 7]
    assert len(tables["forecasts"]) == 8
    with pytest.raises(ValueError, match="horizon of 3"):
        rollout(autoregression(), torch.zeros(1, 5), 8, feed=4)


def test_logits_cannot_be_fed_back():
    base = linear()

    def respond(x, draws, seed, edit):
        response = base._respond(x, draws, seed, edit)
        response.forecast = Forecast(response.forecast.mean, None)
        return response

    with pytest.raises(ValueError, match="with a scale"):
        rollout(CallableSubject(respond, base.layers), torch.zeros(1, 5), 3)


def test_the_samples_crps_is_that_of_its_distribution_on_average():
    draw = np.random.default_rng(0)
    found = sample_crps(draw.normal(size=(20_000, 5, 1)), np.full((20_000, 1), 0.7)).mean()
    exact = integrate.quad(lambda v: (stats.norm.cdf(v) - (v >= 0.7)) ** 2, -9, 9, points=[0.7])[0]
    assert found == pytest.approx(exact, abs=0.01)
    values = draw.normal(size=(1, 6, 1))
    pairs = np.abs(values[0, :, 0] - values[0, :, 0][:, None]).sum() / 30
    assert sample_crps(values, np.zeros((1, 1)))[0, 0] == pytest.approx(np.abs(values).mean() - 0.5 * pairs)
    assert (
        rollout(autoregression(), torch.zeros(1, 5), 4, truth=torch.zeros(1, 4))["forecasts"]["crps"]
        .notna()
        .all()
    )


def test_the_neurons_along_t_are_a_run_that_replay_can_open(tmp_path):
    tables = rollout(autoregression(), torch.ones(1, 5), 6, trajectories=64)
    write_replay(tmp_path / "replay", tables["neurons"], [{"name": "only", "neurons": 1}])
    run = Run(tmp_path / "replay")
    assert run.status == "finished"
    assert run.steps.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(run.history(0)["mean"], tables["neurons"]["mean"], rtol=1e-3)
    assert run.history(0)["variance"].to_numpy() == pytest.approx([LATENT**2] * 6, rel=1e-3)
