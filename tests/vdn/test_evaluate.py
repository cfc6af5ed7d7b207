"""Evaluation: statistics pooled over a split whatever the batches, scores against the draws themselves,
calibration error.
"""

import numpy as np
import pytest
import torch

from probes import reliability
from probes.schema import SCORES
from vdn.config import from_dict, resolve
from vdn.data import load
from vdn.evaluate import (
    living_share,
    network_scores,
    scores,
)
from vdn.scores import energy_score, mixture_crps, mixture_nll, trajectories
from vdn.trainer import make_network


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
