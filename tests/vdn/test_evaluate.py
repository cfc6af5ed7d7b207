"""Evaluation: statistics pooled over a split whatever the chunks, scores against the draws themselves,
calibration error.
"""

import numpy as np
import pytest
import torch
from scipy import stats

from probes import reliability
from probes.schema import SCORES
from vdn.config import from_dict, resolve
from vdn.data import load
from vdn.evaluate import (
    brier,
    chunks,
    living_share,
    network_scores,
    pooled_statistics,
    scores,
)
from vdn.scores import energy_score, mixture_crps, mixture_nll, trajectories
from vdn.trainer import make_network


@pytest.fixture
def trained(small):
    config = resolve(from_dict({**small, "sigma_init": 0.5, "mean_gain": 1.0}))
    task = load(config)
    return task, make_network(config, task)


def test_scores_are_averages_over_every_example(trained):
    task, network = trained
    result = scores(network, task, "test", 8, seed=3)
    index = torch.arange(task.count("test"))
    batch = task.batch("test", index)
    with torch.no_grad():
        output = network(
            batch.x, 8, noise=network.draw_noise(len(index), 8, torch.Generator().manual_seed(3))
        )
    assert result["mse"] == pytest.approx((output.mean.mean(0) - batch.y).square().mean().item(), rel=1e-5)
    assert result["nll_joint"] == pytest.approx(
        mixture_nll(batch.y, output.mean, output.scale, df=output.df).item(), rel=1e-5
    )
    assert output.df is not None  # of a forecast by itself: Student's t
    crps = mixture_crps(batch.y, output.mean, output.scale, df=output.df).item()
    assert result["crps"] == pytest.approx(crps, rel=1e-5)
    noise = torch.Generator().manual_seed(1)
    exact = energy_score(batch.y, trajectories(output.mean, output.scale, noise, output.df))
    assert result["energy"] == pytest.approx(exact.item(), rel=0.03)  # other noise
    cheap = scores(network, task, "test", 8, seed=3, crps=False)
    assert not {"crps", "energy"} & set(cheap)
    assert cheap["nll_joint"] == result["nll_joint"], "trajectories have a noise of their own"


def test_every_score_of_an_evaluation_is_in_the_registry(trained):
    result = scores(*reversed(trained), "test", 4, seed=0)
    names = {
        f"{name}_{level}" for name, levels in result.items() if isinstance(levels, dict) for level in levels
    }
    names |= {name for name, value in result.items() if not isinstance(value, dict)}
    assert {"nll_joint", "crps", "energy", "coverage_80"} <= names
    assert names <= set(SCORES)


def test_pooled_statistics_do_not_depend_on_the_chunks(trained, monkeypatch):
    """The first layer's posteriors have no noise in them: any chunking must give the split's own moments."""
    task, network = trained
    whole = pooled_statistics(network, task, "test", 0)
    monkeypatch.setattr("vdn.evaluate.ROWS_AT_ONCE", 100)
    parts = pooled_statistics(network, task, "test", 0)
    for name, values in whole[0].items():
        np.testing.assert_allclose(values, parts[0][name], rtol=1e-4, atol=1e-6, err_msg=name)
    x = task.batch("test", torch.arange(task.count("test")), pairs=True).x
    with torch.no_grad():
        posterior = network(x, pairs=True).posteriors[0]
    np.testing.assert_allclose(whole[0]["kl"], posterior.kl.mean(0), rtol=1e-4)
    np.testing.assert_allclose(whole[0]["spread"], posterior.mu[..., 0].var(0, correction=0), rtol=1e-3)


def test_the_slopes_of_a_split_have_the_interval_of_blocks_of_two_horizons(trained, monkeypatch):
    """Against scores by hand; the pairs' own interval is of a batch."""
    task, network = trained
    monkeypatch.setattr("vdn.evaluate.ROWS_AT_ONCE", 100)
    found = pooled_statistics(network, task, "test", 0)[0]
    index = torch.arange(task.count("test"))
    batch = task.batch("test", index, pairs=True)
    with torch.no_grad():
        mu = network(batch.x, pairs=True).posteriors[0].mu[..., 0].double().numpy()
    y, x = np.split(mu, 2)
    series, origin = (value.numpy() for value in task.locate("test", index))
    for one in np.unique(series):
        for value in (y, x):
            value[series == one] -= value[series == one].mean(0)
    total = (x * x).sum(0)
    slope = (x * y).sum(0) / total
    block = (origin - origin.min()) // (2 * task.horizon)
    count = block.max() + 1
    assert count > 2
    sums = np.array([(x * (y - slope * x))[block == one].sum(0) for one in range(count)])
    half = stats.t.ppf(0.975, count - 1) * np.sqrt(count / (count - 1) * (sums**2).sum(0)) / total
    np.testing.assert_allclose(found["persistence"], slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["persistence_low"], slope - half, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["persistence_high"], slope + half, rtol=1e-3, atol=1e-4)
    assert (found["persistence_blocks"] == count).all()
    assert (found["rows"] == task.count("test")).all(), "a predecessor is no input of its own"


def test_chunks_cover_a_split_or_spread_over_it(trained):
    task, _ = trained
    count = task.count("test")
    assert torch.equal(torch.cat(list(chunks(task, "test", 4))), torch.arange(count))
    some = torch.cat(list(chunks(task, "test", 4, limit=10)))
    assert len(some) == 10
    assert (some.diff() > 0).all()
    assert some[-1] > 0.8 * count


def test_a_network_at_its_prior_lives_nowhere(small):
    config = resolve(from_dict({**small, "sigma_init": 1.0, "mean_gain": 0.0}))
    task = load(config)
    result, pooled = network_scores(make_network(config, task), task, "test", 2, 0)
    assert result["living_share"] == [0.0, 0.0]
    assert result["rate"] == pytest.approx(0, abs=1e-4)
    assert living_share(pooled[0], 1) == 0


@pytest.fixture
def classifier():
    config = resolve(from_dict({"data": "digits", "layers": 1, "neurons": 6, "steps": 1}))
    task = load(config)
    return task, make_network(config, task)


def test_scores_of_a_classifier_are_those_of_its_mean_probabilities(classifier):
    task, network = classifier
    given = []
    result = scores(network, task, "test", 4, seed=1, answered=given.append)
    [(p, y, conditional)] = given
    assert p.shape == (task.count("test"), 10)
    np.testing.assert_allclose(p.sum(1), 1)
    one_hot = np.eye(10)[y]
    assert result["brier"] == pytest.approx(((p - one_hot) ** 2).sum(1).mean())
    assert result["accuracy"] == pytest.approx((p.argmax(1) == y).mean())
    assert result["nll_joint"] == pytest.approx(-np.log(p[np.arange(len(y)), y]).mean(), rel=1e-5)
    assert (conditional <= reliability.entropy(p) + 1e-9).all()  # entropy is concave
    assert conditional.max() < np.log(10)
    bins = reliability.equal_mass_bins(p.max(1), p.argmax(1) == y)
    assert result["ece"] == reliability.calibration_error(bins)
    assert 0 < result["ece_null"] < result["ece_null_95"]
    assert {"brier", "ece", "ece_null", "ece_null_95"} <= set(SCORES)


def test_brier_by_hand():
    assert brier(torch.tensor([[0.7, 0.3]]), torch.tensor([0])).item() == pytest.approx(0.18)
    assert brier(torch.tensor([0.5, 0.5]), torch.tensor([0, 1])).item() == pytest.approx(0.5)
