"""The laws at work: what they steer, when they begin, and that a set-point of its own gives each group of
neurons its context.
"""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from probes.families.gaussian import GAUSSIAN
from probes.moments import moments
from probes.schema import Thresholds
from vdn import controller
from vdn.config import from_dict, resolve
from vdn.controller import context_paid, silent, spread_groups
from vdn.data import load
from vdn.neuron import VariationalNeurons
from vdn.pools import pooled_statistics
from vdn.priors import AutoregressivePrior, kl_floor
from vdn.trainer import Trainer


def trainer(settings):
    config = resolve(from_dict(settings))
    return Trainer(config, load(config))


def test_groups_are_as_equal_as_can_be():
    torch.testing.assert_close(spread_groups("0.1,0.3", 4), torch.tensor([0.1, 0.1, 0.3, 0.3]))
    assert spread_groups("1,2,3", 8).tolist() == [1, 1, 1, 2, 2, 2, 3, 3]
    assert spread_groups("0.5", 3).tolist() == [0.5] * 3


def test_without_a_law_nothing_is_done(small):
    one = trainer(small)
    step = one.step()
    assert step.interventions == []
    assert step.columns == [{}, {}]
    assert "penalty" not in step.scalars
    assert one.controller.betas() == [0.01, 0.01]


def test_laws_begin_after_the_warmup_and_act_in_their_rhythm(small):
    one = trainer(
        {
            **small,
            "control": "projection",
            "lam_band": 0.1,
            "ramp_warmup": 6,
            "ramp_length": 4,
            "control_every": 4,
        }
    )
    steps = [one.step() for _ in range(16)]
    assert [at for at, step in enumerate(steps) if step.interventions] == [7, 11, 15]
    penalties = [step.scalars.get("penalty") for step in steps]
    assert penalties[:7] == [None] * 7
    assert all(value > 0 for value in penalties[7:])
    kinds = {act.mechanism for step in steps for act in step.interventions}
    assert kinds == {"projection"}


def test_what_a_thermostat_is_fed_with():
    """The KL; under a persistent prior what averages to the information of the rows that stand under it. A
    latent dimension.
    """
    torch.manual_seed(0)
    layer = VariationalNeurons(3, 4, 2, prior=AutoregressivePrior(4, 0.9))
    posterior = layer(torch.randn(6, 3), prior_context="pairs")
    r = ((posterior.mu - posterior.prior_mu) / posterior.prior_sigma)[:3]
    v = (posterior.sigma / posterior.prior_sigma).expand_as(posterior.mu)[:3] ** 2
    information = 0.5 * (torch.log(v.mean(0) + r.var(0, correction=0)) - v.log().mean(0)).sum(-1)
    torch.testing.assert_close(context_paid(posterior, layer).mean(0), (information / 2).detach())
    plain = VariationalNeurons(3, 4, 2)
    posterior = plain(torch.randn(6, 3))
    torch.testing.assert_close(context_paid(posterior, plain), (posterior.kl / 2).detach())


def test_the_core_and_the_log_agree_on_what_is_said_in_both(monkeypatch):
    """The core imports nothing of probes; what it has to know as well is the same number and formula."""
    assert Thresholds().information == controller.SILENT_INFORMATION
    phi = torch.linspace(-0.99, 0.99, 21)
    torch.testing.assert_close(kl_floor(phi), GAUSSIAN.kl_floor(phi))
    torch.manual_seed(0)
    posterior = VariationalNeurons(3, 8, 2, sigma="input")(0.1 * torch.randn(64, 3))
    with torch.no_grad():
        found = moments(posterior.mu, posterior.sigma)
    for limit in (0.5 * found["information"].median(), 2 * found["information"].median()):
        monkeypatch.setattr(controller, "SILENT_INFORMATION", float(limit))
        assert torch.equal(silent(posterior), found["information"] < limit)


def test_silent_neurons_are_those_that_ignore_the_input():
    torch.manual_seed(0)
    layer = VariationalNeurons(3, 4)
    with torch.no_grad():
        layer.mean.weight[:2] = 0
        layer.mean.weight[2:] = 1
        layer.mean.bias[0] = 2.0  # an offset costs KL and tells nothing
    assert silent(layer(torch.randn(50, 3))).tolist() == [True, True, False, False]


@pytest.mark.parametrize("sign", [1, -1])
def test_homeostasis_brings_a_network_into_its_band(small, sign):
    """Without a gradient (learning rate 0) the law alone moves mu2, from 30 times above and from below."""
    settings = {
        **small,
        "control": "homeostasis",
        "lr": 0.0,
        "weight_decay": 0.0,
        "steps": 600,
        "control_every": 2,
        "mean_gain": 1.0,
    }
    one = trainer(settings)
    with torch.no_grad():
        for layer in one.network.neuron_layers:
            layer.mean.weight.mul_(30.0**sign)
            layer.mean.bias.mul_(30.0**sign)
    for _ in range(600):
        one.step()
    assert all(not law.outside().any() for law in one.controller.homeostats)


def test_context_follows_its_set_point_neuron_by_neuron(small):
    """Ten groups of neurons with ten set-points of the KL: their information follows, their persistence does
    not.
    """
    points = np.linspace(0.05, 0.32, 10)
    text = ",".join(f"{point:.3f}" for point in points)
    laws = {"thermostat": True, "c_min": text, "c_max": text, "normalise": "window", "likelihood": "gaussian"}
    one = trainer(
        {**small, **laws, "layers": 1, "neurons": 120, "batch": 128, "steps": 600, "lr": 3e-3, "stride": 24}
    )
    while one.done < one.steps:
        one.step()
    [statistics] = pooled_statistics(one.network, one.task, "train", 0)
    groups = np.arange(120) * 10 // 120
    information = [statistics["information"][groups == group].mean() for group in range(10)]
    assert stats.spearmanr(points, information).statistic >= 0.95
    assert information[-1] > 3 * information[0]
    trend = stats.linregress(points[groups], statistics["persistence"])
    moved = trend.slope * (points[-1] - points[0]) / statistics["persistence"].mean()
    assert abs(moved) < 0.10


@pytest.fixture(scope="module")
def paces(tmp_path_factory):
    """Two series that have a slow part, a fast one and noise, 1,500 rows, as a CSV."""
    rng = np.random.default_rng(0)

    def autoregression(phi):
        values = np.zeros(1500)
        for at, step in enumerate(rng.normal(size=1500) * math.sqrt(1 - phi * phi)):
            values[at] = phi * values[at - 1] + step
        return values

    columns = {
        name: autoregression(0.97) + autoregression(0.7) + 0.3 * rng.normal(size=1500) for name in "ab"
    }
    path = tmp_path_factory.mktemp("data") / "paces.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("prior", ["autoregressive", "standard"])
def test_two_set_points_are_held_at_once(small, paces, prior):
    """Every pair of two informations and three slopes, eight neurons each, under one phi: at the end of a
    training the means of all groups are within a tenth of what was asked, over the whole training split.
    """
    settings = {
        "layers": 1, "neurons": 48, "batch": 128, "steps": 800, "lr": 3e-3, "prior": prior,
        "thermostat": True, "c_min": "0.15,0.3", "c_max": "0.15,0.3", "thermostat_gain": 2.0,
        "persistence": "0.2,0.4,0.6,0.2,0.4,0.6",
    }  # fmt: skip
    one = trainer({**small, "data": f"csv:{paces}", **settings})
    while one.done < one.steps:
        one.step()
    [found] = pooled_statistics(one.network, one.task, "train", 0)
    groups = np.arange(48) // 8
    kept = [found["persistence"][groups == group].mean() for group in range(6)]
    np.testing.assert_allclose(kept, [0.2, 0.4, 0.6] * 2, rtol=0.1)
    told = "information" if prior == "autoregressive" else "kl"
    paid = [found[told][groups == group].mean() for group in range(6)]
    np.testing.assert_allclose(paid, [0.15] * 3 + [0.3] * 3, rtol=0.1)


def test_the_pull_on_persistence_is_part_of_the_loss(small):
    """-sum of weight times slope over both layers, per predicted number, half of it half way up the ramp; of
    several draws each is a pair.
    """
    one = trainer({**small, "draws": 3, "persistence": "0.9", "ramp_warmup": 1, "ramp_length": 2})
    one.step()
    first = one.step()
    assert (one.controller.multipliers[0].weight != 0).all()
    batch = one.task.batch("train", torch.arange(16), True)
    output = one.network(batch.x, 3, True)
    expected = 0.0
    for law, posterior in zip(one.controller.multipliers, output.posteriors, strict=True):
        mu = posterior.mu.detach()
        half, draws = len(mu) // 2, len(mu) // 32
        series = batch.series.repeat_interleave(draws)
        slope = moments(mu, torch.ones(1), n_series=3, previous_mu=mu[half:], series=series)["persistence"]
        spread_of = [
            (mu[half:][series == one_of] - mu[half:][series == one_of].mean(0)).square().sum((0, 2))
            for one_of in series.unique()
        ]
        moved = torch.stack(spread_of).sum(0) / half
        expected -= (law.weight * moved / (moved + 0.01) * slope).sum().item()
    found = [one.controller.penalties(output, done, batch.series) for done in (0, 2, 9)]
    assert "persistence" not in found[0]
    assert found[1]["persistence"].item() == pytest.approx(0.5 * expected / 6, rel=1e-3)
    assert found[2]["persistence"].item() == pytest.approx(expected / 6, rel=1e-3)
    assert "penalty" in one.step().scalars
    assert "penalty" not in trainer(small).step().scalars
    assert set(first.columns[0]) == {"persistence_target", "persistence_weight"}


def test_a_persistence_out_of_reach_is_an_event_once(small):
    one = trainer({**small, "persistence": "-0.9,0.3", "control_every": 2})
    for law in one.controller.multipliers:
        law.rate = 0.0
        law.integral[:4] = -law.limit
        law.update = lambda sums, law=law: law.weight.copy_(law.integral)  # held where it is
    acts = [act for _ in range(4) for act in one.step().interventions]
    assert [(act.layer, act.mechanism, act.neurons.tolist()) for act in acts] == [
        (0, "persistence_limit", [0, 1, 2, 3]),
        (1, "persistence_limit", [0, 1, 2, 3]),
    ]
    assert acts[0].amounts.tolist() == [-1] * 4


def test_persistence_follows_its_set_point_neuron_by_neuron():
    """The sample run `persistent`: ten groups of neurons with ten phi, told to tell as much; pooled over the
    test.
    """
    run = Path(__file__).parents[2] / "sample_runs" / "persistent"
    frame = pd.concat([pd.read_parquet(path) for path in (run / "evaluation").glob("*.parquet")])
    groups = frame.groupby("phi")[["persistence", "information"]].mean()
    assert len(groups) == 10
    assert stats.spearmanr(groups.index, groups["persistence"]).statistic >= 0.95
    assert groups["persistence"].iloc[-1] > 3 * groups["persistence"].iloc[0]
    trend = stats.linregress(frame["phi"], frame["information"])
    assert abs(trend.slope * np.ptp(frame["phi"]) / frame["information"].mean()) < 0.10


def test_information_follows_its_set_point_and_persistence_little():
    """The sample run `informed`: ten groups of neurons with ten informations to pay for, all under one phi;
    pooled over the test.

    Persistence falls somewhat where neurons tell more of what is new: by a tenth of what the information
    changes by.
    """
    run = Path(__file__).parents[2] / "sample_runs" / "informed"
    frame = pd.concat([pd.read_parquet(path) for path in (run / "evaluation").glob("*.parquet")]).sort_values(
        "neuron"
    )
    asked = np.repeat(np.arange(1, 11) / 20, 20)
    groups = frame.groupby(asked)["information"].mean()
    np.testing.assert_allclose(groups, groups.index, rtol=0.2)
    change = {
        name: stats.linregress(asked, frame[name]).slope * np.ptp(asked) / frame[name].mean()
        for name in ("information", "persistence")
    }
    assert change["information"] > 1.5
    assert abs(change["persistence"]) < 0.15 * change["information"]


def test_penalties_are_weighted_and_ramped(small):
    """Nothing before the warm-up's end, half way up its ramp half of it, then all; each by its definition."""
    one = trainer(
        {
            **small,
            "band_mode": "homogeneous",
            "lam_band": 0.1,
            "lam_ar": 0.2,
            "ramp_warmup": 10,
            "ramp_length": 10,
        }
    )
    output = one.step().output
    at = [one.controller.penalties(output, done) for done in (9, 10, 15, 20, 99)]
    assert at[:2] == [{}, {}]
    band = change = 0.0
    for mu in (posterior.mu.detach() for posterior in output.posteriors):
        mu2 = mu.square().mean((0, 2))
        below, above = (0.24 - mu2).clamp_min(0) / 0.24, (mu2 - 0.48).clamp_min(0) / 0.48
        band += (below.square() + above.square()).mean().item() / len(output.posteriors)
        now, before = mu.chunk(2)
        width = 0.8 * (0.24 * 0.48) ** 0.25  # of the penalty, tied to the band
        change += ((now - 0.95 * before).square().mean() / (2 * width**2)).item() / len(output.posteriors)
    for found, share in zip(at[2:], (0.5, 1, 1), strict=True):
        assert found["band"].item() == pytest.approx(0.1 * share * band, rel=1e-4)
        assert found["ar"].item() == pytest.approx(0.2 * share * change, rel=1e-4)


@pytest.mark.parametrize("loss", [2.0, -2.0])
def test_the_ar_penaltys_weight_follows_its_share_of_the_loss_where_that_is_asked_for(small, loss):
    for asked in (True, False):
        one = trainer({**small, "lam_ar": 0.2, "ar_share": asked, "control_every": 1})
        output = one.step().output
        lam = one.controller.ar.lam
        ar = one.controller.penalties(output, 5)["ar"].item()
        one.controller.penalty(output, 5, torch.tensor(loss))
        acts = one.controller.act(output, 5)
        if not asked:
            assert acts == []
            assert one.controller.ar.lam == 0.2
            continue
        share = ar / (ar + 2)
        factor = math.exp(-0.1 * (share - 0.2))
        [act] = acts
        assert act[:3] == (None, "ar_share", None)
        assert act.amounts.item() == pytest.approx(
            lam * (factor if share <= 0.5 else min(factor, 0.9)), rel=1e-5
        )


def test_laws_begin_with_the_step_after_the_warmup(small):
    settings = {"control": "homeostasis", "thermostat": True, "ramp_warmup": 6, "control_every": 1}
    one = trainer({**small, **settings})
    output = one.step().output
    beta = one.controller.betas()[0].clone()
    assert one.controller.act(output, 6) == []
    assert torch.equal(one.controller.betas()[0], beta)
    kinds = {act.mechanism for act in one.controller.act(output, 7)}
    assert kinds == {"homeostasis"}
    assert not torch.equal(one.controller.betas()[0], beta)


def test_each_layer_has_laws_of_its_own(small):
    one = trainer({**small, "control": "homeostasis", "thermostat": True, "control_every": 100})
    output = one.step().output
    for law, posterior in zip(one.controller.homeostats, output.posteriors, strict=True):
        torch.testing.assert_close(law.mu2, posterior.mu.detach().square().mean((0, 2)))
    for law, posterior in zip(one.controller.thermostats, output.posteriors, strict=True):
        torch.testing.assert_close(law.kl, posterior.kl.detach().mean(0))


def test_the_guard_widens_silent_neurons_alone(small):
    one = trainer(
        {
            **small,
            "sigma_guard": True,
            "control_every": 1,
            "sigma": "per_neuron",
            "sigma_init": 0.5,
            "lr": 0.0,
        }
    )
    with torch.no_grad():
        for layer in one.network.neuron_layers:
            layer.mean.weight.mul_(10)
            layer.mean.weight[:3] = 0  # three neurons of each layer say nothing
    acts = one.step().interventions
    assert [(act.layer, act.mechanism, act.neurons.tolist()) for act in acts] == [
        (i, "sigma_guard", [0, 1, 2]) for i in (0, 1)
    ]
    torch.testing.assert_close(acts[0].amounts, torch.full((3,), 0.02), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("information", "expected"), [(0.004, True), (0.006, False), (0.015, False)])
def test_a_neuron_is_silent_below_five_thousandths_of_a_nat(information, expected):
    """Of means with variance v at one width 1: half of ln(1 + v)."""
    size = math.sqrt(math.exp(2 * information) - 1)
    mu = size * torch.tensor([1.0, -1.0]).repeat(8).view(16, 1, 1)
    assert silent(SimpleNamespace(mu=mu, sigma=torch.ones(1))).tolist() == [expected]


def test_state_is_taken_up_again(small):
    settings = {
        **small,
        "control": "homeostasis",
        "thermostat": True,
        "lam_ar": 0.2,
        "ar_share": True,
        "control_every": 2,
        "persistence": "0.5",
    }
    one, other = trainer(settings), trainer(settings)
    for _ in range(6):
        one.step()
    other.controller.restore(one.controller.state())
    for mine, theirs in zip(
        torch.utils._pytree.tree_leaves(one.controller.state()),
        torch.utils._pytree.tree_leaves(other.controller.state()),
        strict=True,
    ):
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs))
    assert one.controller.ar.lam != 0.2


def test_columns_are_those_of_the_update(small):
    one = trainer({**small, "thermostat": True, "control": "homeostasis"})
    before = [law.beta.clone() for law in one.controller.thermostats]
    step = one.step()
    for column, beta in zip(step.columns, before, strict=True):
        assert torch.equal(column["beta"], beta)
        assert set(column) == {"beta", "band_low", "band_high"}
        centre = 0.3 * 2 ** torch.linspace(-1, 1, 8)  # from half to twice the target, neuron by neuron
        torch.testing.assert_close(column["band_low"], 0.8 * centre)
        torch.testing.assert_close(column["band_high"], 1.6 * centre)
    assert not torch.equal(one.controller.thermostats[0].beta, before[0])


def test_a_twin_has_nothing_to_control(small):
    one = trainer({**small, "twin": True, "thermostat": True, "control": "homeostasis", "lam_band": 1.0})
    step = one.step()
    assert step.interventions == []
    assert step.columns == []
