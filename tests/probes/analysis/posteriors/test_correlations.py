"""Which neurons move alike: planted copies, and the best of all matchings by brute force."""

from itertools import permutations

import numpy as np
import pytest

from probes.analysis import posteriors


def test_nearest_neurons_are_those_that_move_alike_whatever_their_sign():
    draw = np.random.default_rng(2)
    mu = draw.normal(size=(200, 6))
    mu[:, 3] = 5 - 2 * mu[:, 0] + 0.1 * draw.normal(size=200)
    mu[:, 5] = 1.0
    near = posteriors.nearest(mu, 0, count=10)
    assert near["neuron"].iloc[0] == 3
    assert near["correlation"].iloc[0] == pytest.approx(np.corrcoef(mu[:, 0], mu[:, 3])[0, 1])
    assert set(near["neuron"]) == {1, 2, 3, 4}
    with pytest.raises(ValueError, match="200 and on 100 inputs"):
        posteriors.correlation(mu, mu[:100])


def test_matching_has_the_largest_sum_of_all_permutations():
    first, second = np.random.default_rng(3).normal(size=(2, 12, 5))
    sizes = np.abs(posteriors.correlation(first, second))
    best = max(sum(sizes[i, j] for i, j in enumerate(order)) for order in permutations(range(5)))
    assert posteriors.match(first, second)["correlation"].abs().sum() == pytest.approx(best)


@pytest.mark.parametrize("neurons", [(7, 7), (7, 4), (4, 7)])
def test_matching_finds_a_permutation_again(neurons):
    draw = np.random.default_rng(4)
    mu = draw.normal(size=(100, 7))
    order = draw.permutation(7)
    first, second = mu[:, : neurons[0]], (mu[:, order] * np.where(np.arange(7) % 2, -1, 1))[:, : neurons[1]]
    found = posteriors.match(first, second)
    assert len(found) == min(neurons)
    true = {int(n): i for i, n in enumerate(order[: neurons[1]]) if n < neurons[0]}
    pairs = dict(zip(found["neuron"], found["partner"], strict=True))
    assert all(pairs[n] == i for n, i in true.items())
    np.testing.assert_allclose(found.set_index("neuron")["correlation"].abs()[list(true)], 1)


def test_neighbours_over_layers():
    random = np.random.default_rng(0)
    mu = random.standard_normal((40, 4))
    other = np.column_stack([random.standard_normal((40, 2)), -2 * mu[:, 1]])
    found = posteriors.neighbours(mu, 1, {0: mu, 1: other}, own_layer=0, count=3)
    assert found.iloc[0].tolist() == [1, 2, pytest.approx(-1)]
    assert not ((found["layer"] == 0) & (found["neuron"] == 1)).any()
    assert len(found) == 3
    assert posteriors.partners(mu, other, [1])["partner"].tolist() == [2]


def test_an_assignment_has_the_least_cost_of_all():
    cost = np.random.default_rng(0).standard_normal((4, 6))
    found = posteriors.assignment(cost)
    assert len(set(found.tolist())) == 4
    best = min(cost[np.arange(4), list(columns)].sum() for columns in permutations(range(6), 4))
    assert cost[np.arange(4), found].sum() == pytest.approx(best)
    with pytest.raises(ValueError, match="6 rows cannot each have one of 4 columns"):
        posteriors.assignment(cost.T)
