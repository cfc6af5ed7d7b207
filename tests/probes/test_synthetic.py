"""What is planted is recovered from batches, and batches are of the law that is planted."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from scipy import integrate, stats
from torch.distributions import Normal, kl_divergence

from probes import Run, diagnostics, regimes, synthetic
from probes.moments import moments
from probes.persistence import Pairs
from probes.settling import settle

STEPS, EVERY = 400, 4
ARRIVED = -1e9  # an onset so long ago that a neuron is what it is planted as
BATCH = 2**11
ROUNDED = BATCH * 2.0**-24  # relative, of a float32 sum over a batch: 2^-24 a sum of two


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On a busy machine two threads wait for each other at each of many small operations."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=[1, 4])
def planted(request, tmp_path_factory):
    """A run of 600 neurons in two layers, all regimes, and its truth."""
    path = tmp_path_factory.mktemp("runs") / "planted"
    truth = synthetic.plant([350, 250], STEPS, seed=1, latent_dim=request.param)
    synthetic.write(path, truth, STEPS, EVERY)
    return Run(path), truth


def series(run, truth, statistic):
    """(N, T) of all neurons of the run, in the order of the truth."""
    return np.concatenate([run.matrix(layer, statistic)[0] for layer in range(len(run.layers))])


def test_regimes_are_recovered(planted):
    run, truth = planted
    found = np.concatenate(
        [
            run.history(layer, None, ["regime"])["regime"].to_numpy().reshape(len(run.steps), -1).T
            for layer in range(len(run.layers))
        ]
    )
    assert found.shape == (600, STEPS // EVERY)
    steps, onset = run.steps, truth["onset"].to_numpy()[:, None]
    margin = 0.03 * STEPS
    before, after = steps < onset - margin, steps > onset + margin
    assert (found[before] == 4).mean() > 0.99
    for code in synthetic.INFORMATION:
        rows = truth["regime"].to_numpy() == code
        assert rows.sum() > 30
        assert (found[rows] == code)[after[rows]].mean() > 0.99, code


def test_onsets_are_recovered(planted):
    run, truth = planted
    variance = series(run, truth, "variance")
    final = diagnostics.contraction(variance[:, -20:].mean(1))
    # dead and offset neurons do not contract; NaN of the broken ones is not above
    moved = np.abs(final) > 0.1
    assert moved.sum() > 250
    half = final[moved] / 2
    wider = half < 0
    curve = diagnostics.contraction(variance[moved]) * np.where(wider, -1, 1)[:, None]
    onset = diagnostics.onset(run.steps, curve, np.abs(half))
    assert np.abs(onset - truth["onset"].to_numpy()[moved]).max() <= 0.02 * STEPS
    times = diagnostics.half_time(run.steps, curve)
    assert np.abs(times - truth["onset"].to_numpy()[moved]).max() <= 0.02 * STEPS


def test_intervals_of_persistence_cover_the_truth():
    truth = synthetic.plant([2000], 100, [0, 3, 7, 8], seed=2)
    found = synthetic.statistics(truth, np.array([99]), 100, np.random.default_rng(0))
    covered = (found["persistence_low"] < truth["phi"].to_numpy()) & (
        truth["phi"].to_numpy() < found["persistence_high"]
    )
    assert 0.93 <= covered.mean() <= 0.97


def test_intervals_of_mixed_neurons_cover_as_other_batches_of_their_world_do():
    """Whatever the interval is worth where half of the inputs take part, numpy's batches say the same."""
    truth = synthetic.plant([1000], 100, [9], seed=3).assign(onset=ARRIVED)
    phi, draw = truth["phi"].to_numpy(), np.random.default_rng(0)
    planted = synthetic.statistics(truth, np.zeros(5), 100, draw)
    coverage = {"planted": [], "numpy": []}
    for step in range(5):
        present = draw.random((128, 1000)) < truth["share"].to_numpy()
        x = np.sqrt(truth["spread"].to_numpy()) * draw.standard_normal((128, 1000)) * present
        new = np.sqrt(truth["spread"].to_numpy() * (1 - phi**2)) * draw.standard_normal((128, 1000))
        current, previous = (torch.from_numpy(z)[..., None].float() for z in (phi * x + new * present, x))
        other = Pairs(7).update(current, previous, torch.arange(128) % 7).result()
        for name, low, high in (
            ("planted", planted["persistence_low"][step], planted["persistence_high"][step]),
            ("numpy", other["persistence_low"].numpy(), other["persistence_high"].numpy()),
        ):
            coverage[name].append(((low < phi) & (phi < high)).mean())
    assert np.mean(coverage["planted"]) == pytest.approx(np.mean(coverage["numpy"]), abs=0.025)


def test_information_is_recovered(planted):
    """Whatever it is, from 0 to 10 nats: relative to its size, and to a movement of 1e-5 nats."""
    run, truth = planted
    information = series(run, truth, "information")[:, -20:].mean(1)
    # at saturation a few inputs decide E[v]; a mixed neuron's own number of active inputs
    even = ~truth["regime"].isin([1, 2, 9])
    true = truth["information"][even].to_numpy()
    assert set(np.round(true[true < 0.1 * len(run.layers)], 4)) >= {0.0}
    error = information[even] - true
    assert (np.abs(error) < 0.1 * true + 1e-5).all()
    large = true > 0.1
    assert abs(error[large].mean() / true[large].mean()) < 0.02
    small = (true > 0) & ~large
    assert abs(error[small].mean() / true[small].mean()) < 0.02


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


def of_law(row):
    """Statistics of infinitely many inputs of a planted neuron, by quadrature of `torch.distributions` in
    float64.
    """
    dims, prior = int(row["latent_dim"]), row["prior_phi"]
    s2 = 1 - prior**2
    rest = s2 / (1 + prior**2)
    new = 1 - 2 * row["phi"] * prior + prior**2
    log_v = np.log(row["variance"]) - row["width"] ** 2 / 2
    kinds = [  # share of inputs, mean, spread, centre and sd of ln σ²
        (row["share"] * (1 - row["clamp_share"]), row["mean"], row["spread"], log_v, row["width"]),
        (row["share"] * row["clamp_share"], row["mean"], row["spread"], 2 * np.log(0.01), 0.0),
        (1 - row["share"], 0.0, 0.0, np.log(rest), 0.0),
    ]
    standard = Normal(*torch.tensor([0.0, 1.0], dtype=torch.float64))
    nodes, weights = hermegauss(48)
    z, w = torch.tensor(nodes)[:, None], torch.tensor(nodes)[None]
    weight = torch.tensor(np.outer(weights, weights) / (2 * np.pi))
    total = dict.fromkeys(["mu", "mu2", "r", "r2", "v", "variance", "entropy", "kl"], 0.0)
    for share, mean, spread, centre, width in kinds:
        mu, variance = mean + spread**0.5 * z + 0 * w, torch.exp(centre + width * w) + 0 * z
        r = mean * (1 - prior) / s2**0.5 + (spread * new / s2) ** 0.5 * z + 0 * w
        q = Normal(r, (variance / s2).sqrt())
        values = {
            "mu": mu, "mu2": mu**2, "r": r, "r2": r**2, "v": variance / s2, "variance": variance,
            "entropy": q.entropy(), "kl": kl_divergence(q, standard) + prior**2 * variance / (2 * s2),
        }  # fmt: skip
        for name, value in values.items():
            total[name] += share * float((weight * value).sum())
    sd = (total["v"] + total["r2"] - total["r"] ** 2) ** 0.5
    aggregate = Normal(*torch.tensor([total["r"], sd], dtype=torch.float64))
    return {
        "mean": total["mu"] * (dims % 2) / dims,
        "variance": total["variance"],
        "spread": total["mu2"] - total["mu"] ** 2,
        "mu2": total["mu2"],
        "kl": dims * total["kl"],
        "information": dims * (float(aggregate.entropy()) - total["entropy"]),
        "mismatch": dims * float(kl_divergence(aggregate, standard)),
        "past": dims * prior**2 * total["variance"] / (2 * s2),
        "clamp_share": row["share"] * row["clamp_share"],
        "persistence": row["phi"] if row["spread"] else np.nan,
        "innovation": row["share"] * row["spread"] * (1 - row["phi"] ** 2) if row["spread"] else np.nan,
    }


@pytest.mark.parametrize("latent_dim", [1, 3, 4])
@pytest.mark.parametrize("prior_phi", [0.0, 0.6])
def test_batches_are_of_the_planted_law(prior_phi, latent_dim):
    truth = synthetic.plant([300], 100, prior_phi=prior_phi, seed=4, latent_dim=latent_dim)
    truth = truth[truth["regime"] != 1].groupby("regime").head(4).assign(onset=ARRIVED)
    found = synthetic.statistics(truth, np.zeros(64), 100, np.random.default_rng(0), BATCH)
    laws = pd.DataFrame([of_law(row) for row in truth.to_dict("records")])
    np.testing.assert_allclose(truth["information"], laws["information"], rtol=1e-6, atol=1e-12)
    for name in laws.columns if prior_phi else laws.columns.drop("past"):
        drawn, law = found[name].astype(float), laws[name].to_numpy()
        error = drawn.std(0, ddof=1) / 8
        # float32 sums round once a number at most; which order they take depends on the processor
        allowed = 6 * error + ROUNDED * np.maximum(np.abs(law), latent_dim)
        if name == "mismatch":  # of noise alone, 1/2 E[mean²] and 1/4 of the variance's relative one
            allowed += 2 * latent_dim / 2**10
        close = np.abs(drawn.mean(0) - law) < allowed
        assert (close | (np.isnan(law) & np.isnan(drawn).all(0))).all(), name


def test_active_inputs_are_those_of_the_law():
    """P(KL > 0.01) of an input: of the law by a grid of quantiles, of batches counted."""
    truth = synthetic.plant([200], 100, [0, 3, 4, 5, 8, 9], seed=5).groupby("regime").head(6)
    truth = truth.assign(onset=ARRIVED)
    found = synthetic.statistics(truth, np.zeros(16), 100, np.random.default_rng(0), 2**12)
    z = torch.tensor(stats.norm.ppf((np.arange(1000) + 0.5) / 1000))
    for index, row in enumerate(truth.to_dict("records")):
        mu = row["mean"] + row["spread"] ** 0.5 * z[:, None]
        sigma = torch.exp(0.5 * (np.log(row["variance"]) - row["width"] ** 2 / 2 + row["width"] * z))
        active = kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)) > 0.01
        law = row["share"] * active.double().mean().item()
        drawn = found["active_share"][:, index]
        assert abs(drawn.mean() - law) < 6 * drawn.std(ddof=1) / 4 + 1e-3, row["regime"]


@pytest.mark.parametrize("batch", [2, 8, 128])
def test_the_spread_of_independent_inputs_is_chi_squared(batch):
    truth = synthetic.plant([1], 100, [0]).assign(onset=ARRIVED)
    truth = truth.loc[truth.index.repeat(4000)]
    found = synthetic.statistics(truth, np.zeros(1), 100, np.random.default_rng(0), batch, series=0)
    assert "persistence" not in found
    squares = found["spread"][0] * batch / truth["spread"].to_numpy()
    assert stats.kstest(squares, stats.chi2(batch - 1).cdf).pvalue > 0.01


def test_some_inputs_move_for_all():
    truth = synthetic.plant([400], 100, [0]).assign(onset=ARRIVED, mean=0.0, moving=1 / 64)
    mu, _ = synthetic.posteriors(truth, np.zeros(1), 100, np.random.default_rng(0), 2**12)
    moved = mu != 0
    assert moved.float().mean() == pytest.approx(1 / 64, rel=0.03)
    assert (moved[: 2**11] == moved[2**11 :]).all(), "an origin and its predecessor move together"
    spread = (mu**2).mean((0, 2)).numpy() / truth["spread"].to_numpy()
    assert spread.mean() == pytest.approx(1, abs=0.05)
    alone, _ = synthetic.posteriors(truth, np.zeros(1), 100, np.random.default_rng(0), 2**12, pairs=False)
    both = ((alone[: 2**11] != 0) & (alone[2**11 :] != 0)).float().mean()
    assert both < 1e-3, "independent inputs"


def test_large_requests_are_drawn_in_parts_of_their_own(monkeypatch):
    truth = synthetic.plant([50], 100, [0], seed=3)
    truth = truth.loc[truth.index[:1].repeat(50)].assign(onset=ARRIVED)
    monkeypatch.setattr(synthetic, "CHUNK", 16 * 7)
    found = synthetic.statistics(truth, np.zeros(6), 100, np.random.default_rng(0), 16)["spread"]
    assert found.shape == (6, 50)
    assert len(np.unique(found)) == 300


def test_regimes_under_an_autoregressive_prior():
    truth = synthetic.plant([800], 100, prior_phi=0.6, seed=5)
    found = regimes.codes(synthetic.statistics(truth, np.arange(80, 100), 100, np.random.default_rng(0)))
    for code in synthetic.INFORMATION:
        rows = truth["regime"].to_numpy() == code
        assert (found[:, rows] == code).mean() > 0.99, code


def called(batch, information, latent_dim=1, **inputs):
    """Raw codes (T, N) of 20 records of 250 neurons of one law, and the codes that they settle at."""
    truth = synthetic.alike(250, information, latent_dim=latent_dim, **inputs)
    found = synthetic.statistics(truth, np.zeros(20), 1, np.random.default_rng(0), batch, series=0)
    raw = regimes.codes(found, latent_dim=latent_dim)
    return raw, settle(raw.T)[:, -1]


@pytest.mark.parametrize("latent_dim", [1, 4])
@pytest.mark.parametrize("batch", [2, 4, 8, 32, 256])
def test_who_tells_is_hardly_ever_called_dead(batch, latent_dim):
    for information in (0.01, 0.02, 0.1):
        raw, settled = called(batch, information, latent_dim)
        assert (raw == 4).mean() <= 0.02, information  # 1.4 % at most of 20,000
        assert not np.isin(settled, [4, 10]).any()


def test_large_batches_tell_the_dead_from_the_living():
    for batch in (128, 256):
        for information, code in ((0.0, 4), (0.002, 4), (0.01, 0), (0.1, 0)):
            assert (called(batch, information)[0] == code).mean() > 0.99, information
    raw, settled = called(8, 0.5, share=0.5)
    assert (raw == 9).mean() > 0.98
    assert (settled == 9).all()


def test_where_few_inputs_move_a_batch_of_none_is_taken_for_dead():
    """Published, not promised: at least the chance that none of the inputs moves."""
    for batch in (8, 128):
        none = (63 / 64) ** batch
        dead = (called(batch, 0.01, moving=1 / 64)[0] == 4).mean()
        assert none - 0.02 < dead < none + 0.32  # and those whose movement is small: Gaussian as well


def test_bad_plans_are_refused():
    with pytest.raises(ValueError, match="cannot plant"):
        synthetic.plant([5], 10, [0, 12])
    with pytest.raises(ValueError, match="at least one latent dimension"):
        synthetic.plant([5], 10, latent_dim=0)
    weighted = synthetic.plant([500], 10, {0: 3.0, 4: 1.0})
    assert set(weighted["regime"]) == {0, 4}
    assert 0.65 < (weighted["regime"] == 0).mean() < 0.85


def test_bad_batches_are_refused():
    draw = np.random.default_rng(0)
    with pytest.raises(ValueError, match="batch is 7"):
        synthetic.statistics(synthetic.plant([5], 10), np.zeros(1), 10, draw, batch=7)
    with pytest.raises(ValueError, match="batch is 0"):
        synthetic.posteriors(synthetic.plant([5], 10), np.zeros(1), 10, draw, batch=0)
    with pytest.raises(ValueError, match="needs predecessors"):
        synthetic.statistics(synthetic.plant([5], 10, prior_phi=0.5), np.zeros(1), 10, draw, series=0)
