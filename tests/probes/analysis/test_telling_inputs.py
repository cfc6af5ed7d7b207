"""Inputs at the ends of a neuron's answers."""

import numpy as np

from probes.analysis.telling_inputs import GROUPS, telling_inputs


def test_each_group_has_its_inputs_in_order():
    mu = np.array([0.0, 3.0, -2.0, 0.1, np.nan])
    sigma = np.array([1.0, 0.9, 0.9, 0.05, 1.0])
    table = telling_inputs(mu, sigma, 2)
    found = {group: part["input"].tolist() for group, part in table.groupby("group")}
    assert found["highest mean"] == [1, 3]
    assert found["lowest mean"] == [2, 0]
    assert found["widest posterior"][0] == 0
    assert found["most informative"][0] == 3
    assert list(dict.fromkeys(table["group"])) == list(GROUPS)


def test_the_mean_over_inputs_is_the_neurons_information():
    rng = np.random.default_rng(0)
    mu, sigma = rng.standard_normal(500), rng.uniform(0.1, 1, 500)
    table = telling_inputs(mu, sigma, 500)
    of_inputs = table[table["group"] == "most informative"]["information"]
    moments = 0.5 * (np.log((sigma**2).mean() + mu.var()) - np.log(sigma**2).mean())
    np.testing.assert_allclose(of_inputs.mean(), moments, rtol=1e-12)


def test_one_input_or_none_is_no_trouble():
    assert telling_inputs([0.5], [1.0])["information"].tolist() == [0.0] * len(GROUPS)
    assert len(telling_inputs([], [])) == 0
