"""The laws at work: what they steer, when they begin, and that a set-point of its own gives each group of
neurons its context.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from vdn.config import from_dict, resolve
from vdn.controller import context_paid, silent, spread_groups
from vdn.data import load
from vdn.evaluate import pooled_statistics
from vdn.neuron import VariationalNeurons
from vdn.priors import AutoregressivePrior
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
    laws = {"thermostat": True, "c_min": text, "c_max": text}
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


def test_columns_are_those_of_the_update(small):
    one = trainer({**small, "thermostat": True, "control": "homeostasis"})
    before = [law.beta.clone() for law in one.controller.thermostats]
    step = one.step()
    for column, beta in zip(step.columns, before, strict=True):
        assert torch.equal(column["beta"], beta)
        assert set(column) == {"beta", "band_low", "band_high"}
    assert not torch.equal(one.controller.thermostats[0].beta, before[0])


def test_a_twin_has_nothing_to_control(small):
    one = trainer({**small, "twin": True, "thermostat": True, "control": "homeostasis", "lam_band": 1.0})
    step = one.step()
    assert step.interventions == []
    assert step.columns == []
