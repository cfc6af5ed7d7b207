"""What is planted is recovered, and the noise is that of a batch."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from probes import Run, diagnostics, regimes, synthetic
from probes.moments import moments
from probes.persistence import Pairs

STEPS = 400


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run of 600 neurons in two layers, all regimes, and its truth."""
    path = tmp_path_factory.mktemp("runs") / "planted"
    truth = synthetic.plant([350, 250], STEPS, seed=1)
    synthetic.write(path, truth, STEPS)
    return Run(path), truth


def series(run, truth, statistic):
    """(N, T) of all neurons of the run, in the order of the truth."""
    return np.concatenate([run.matrix(layer, statistic)[0] for layer in range(len(run.layers))])


def test_regimes_are_recovered(planted):
    run, truth = planted
    found = np.concatenate(
        [
            run.history(layer, None, ["regime"])["regime"].to_numpy().reshape(STEPS, -1).T
            for layer in range(len(run.layers))
        ]
    )
    assert found.shape == (600, STEPS)
    steps, onset = run.steps, truth["onset"].to_numpy()[:, None]
    margin = 0.03 * STEPS
    before, after = steps < onset - margin, steps > onset + margin
    assert (found[before] == 4).mean() > 0.99
    for code in range(10):
        rows = truth["regime"].to_numpy() == code
        assert rows.sum() > 30
        assert (found[rows] == code)[after[rows]].mean() > 0.99, code


def test_onsets_are_recovered(planted):
    run, truth = planted
    variance = series(run, truth, "variance")
    final = diagnostics.contraction(variance[:, -20:].mean(1))
    # dead and offset neurons do not contract; NaN of the broken ones is not above
    moved = np.abs(final) > 0.1
    assert moved.sum() > 300
    half = final[moved] / 2
    wider = half < 0
    curve = diagnostics.contraction(variance[moved]) * np.where(wider, -1, 1)[:, None]
    onset = diagnostics.onset(run.steps, curve, np.abs(half))
    assert np.abs(onset - truth["onset"].to_numpy()[moved]).max() <= 0.02 * STEPS
    times = diagnostics.half_time(run.steps, curve)
    assert np.abs(times - truth["onset"].to_numpy()[moved]).max() <= 0.02 * STEPS


def test_intervals_of_persistence_cover_the_truth():
    truth = synthetic.plant([2000], 100, seed=2)
    found = synthetic.statistics(truth, np.array([99]), 100, np.random.default_rng(0))
    covered = (found["persistence_low"] < truth["phi"].to_numpy()) & (
        truth["phi"].to_numpy() < found["persistence_high"]
    )
    assert 0.93 <= covered.mean() <= 0.97


def test_intervals_of_actual_batches_cover_the_truth():
    draw = torch.Generator().manual_seed(3)
    phi = torch.rand(2000, 1, generator=draw) * 0.99
    previous = torch.randn(128, 2000, 1, generator=draw)
    current = phi * previous + (1 - phi**2).sqrt() * torch.randn(128, 2000, 1, generator=draw)
    found = Pairs(7).update(current, previous, torch.arange(128) % 7).result()
    covered = (found["persistence_low"] < phi[:, 0]) & (phi[:, 0] < found["persistence_high"])
    assert 0.93 <= covered.float().mean() <= 0.97


def test_information_is_recovered(planted):
    run, truth = planted
    information = series(run, truth, "information")[:, -50:]
    gaussian = (truth["regime"] != 1) & (truth["share"] == 1)
    error = information.mean(1)[gaussian] - truth["information"][gaussian]
    assert np.abs(error).max() < 0.03
    assert abs(error.mean()) < 0.005


def test_information_of_two_points_is_an_upper_bound():
    # μ = ±a for equally many inputs, one sd: exact by quadrature, estimated from a batch of 4,096.
    sd = 0.5
    a = torch.tensor([0.25, 0.5, 1.0, 2.0])
    sign = torch.arange(4096) % 2 * 2.0 - 1
    found = moments((sign[:, None] * a)[:, :, None], torch.full((4096, 4, 1), sd))["information"].numpy()
    exact = []
    for value in a.tolist():

        def negative(z, value=value):
            p = 0.5 * (stats.norm.pdf(z, value, sd) + stats.norm.pdf(z, -value, sd))
            return -p * np.log(p)

        exact.append(
            integrate.quad(negative, -value - 5, value + 5)[0] - 0.5 * np.log(2 * np.pi * np.e * sd**2)
        )
    assert (found >= np.array(exact)).all()
    assert found[0] - exact[0] < 0.01, "nearly Gaussian: nearly exact"
    assert found[3] - exact[3] > 0.5, "two far points tell ln 2 at most"


@pytest.mark.parametrize("prior_phi", [0.0, 0.6])
def test_the_noise_is_that_of_actual_batches(prior_phi):
    repeats = 300
    truth = synthetic.plant([300], 100, [0, 2, 3, 4, 5, 6, 7, 8], prior_phi, seed=4)
    truth = truth.groupby("regime").head(2).assign(onset=10.0)
    law = synthetic.statistics(truth, np.full(repeats, 99), 100, np.random.default_rng(0))
    draw = torch.Generator().manual_seed(0)
    world = {name: torch.tensor(truth[name].to_numpy(), dtype=torch.float32) for name in truth.columns}
    phi, count = world["phi"], len(truth)
    batches: dict[str, list[np.ndarray]] = {}
    for _ in range(repeats):
        previous = torch.randn(128, count, generator=draw)
        current = phi * previous + (1 - phi**2).sqrt() * torch.randn(128, count, generator=draw)
        mu = (world["mean"] + world["spread"].sqrt() * torch.cat([current, previous]))[..., None]
        log_v = world["width"] * torch.randn(256, count, generator=draw) - world["width"] ** 2 / 2
        sigma = (world["variance"] * log_v.exp()).sqrt()[..., None]
        given = {"previous_mu": mu[128:], "series": torch.arange(128) % 7, "n_series": 7}
        if prior_phi:
            given |= {"phi": torch.full((count,), prior_phi), "previous_sigma": sigma[128:]}
            mu, sigma = mu[:128], sigma[:128]
        for name, value in moments(mu, sigma, **given).items():
            batches.setdefault(name, []).append(value.numpy())
    for name in [
        "mean",
        "spread",
        "kl",
        "information",
        "mismatch",
        "mu2",
        "persistence",
        "persistence_low",
        "innovation",
    ]:
        drawn, real = law[name].astype(float), np.array(batches[name], float)
        sd = real.std(0)
        # 2e-6: float32 logarithms
        assert (np.abs(drawn.mean(0) - real.mean(0)) < 0.5 * sd + 2e-6).all(), name
        ratio = drawn.std(0) / sd
        assert (ratio > 0.75).all(), name
        assert (ratio < 1.5).all(), name


def test_parts_add_up_under_both_priors():
    for prior_phi in (0.0, 0.9):
        truth = synthetic.plant([200], 100, prior_phi=prior_phi)
        found = synthetic.statistics(truth, np.arange(100), 100, np.random.default_rng(0))
        parts = found["information"] + found["mismatch"] + found.get("past", 0.0)
        fine = truth["regime"].to_numpy() != 1
        np.testing.assert_allclose(found["kl"][:, fine], parts[:, fine], rtol=1e-5, atol=1e-6)


def test_regimes_under_an_autoregressive_prior():
    truth = synthetic.plant([800], 100, prior_phi=0.6, seed=5)
    found = regimes.codes(synthetic.statistics(truth, np.arange(80, 100), 100, np.random.default_rng(0)))
    for code in range(9):
        rows = truth["regime"].to_numpy() == code
        assert (found[:, rows] == code).mean() > 0.99, code


def test_bad_plans_are_refused():
    with pytest.raises(ValueError, match="cannot plant"):
        synthetic.plant([5], 10, [0, 12])
    with pytest.raises(ValueError, match="cannot plant"):
        synthetic.plant([5], 10, [9], prior_phi=0.5)
    weighted = synthetic.plant([500], 10, {0: 3.0, 4: 1.0})
    assert set(weighted["regime"]) == {0, 4}
    assert 0.65 < (weighted["regime"] == 0).mean() < 0.85
