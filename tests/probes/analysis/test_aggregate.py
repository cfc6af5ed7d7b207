"""The split of a layer's rate and the aggregate's distances: against closed forms, quadrature and Monte
Carlo.
"""

import math
from itertools import product

import numpy as np
import pytest
from scipy import special, stats

from probes.analysis import aggregate, posteriors
from probes.schema import OF_LAYERS, STATISTICS

TWO = np.array([[-1.0, 0.4], [0.7, 0.2], [0.9, -1.1]])
WIDTHS = np.array([[0.4, 0.8], [0.3, 0.5], [0.9, 0.6]])
PARTS = ("index_code", "total_correlation", "dimension_wise")


def linear(neurons, factors, gain, seed=0):
    """A map of standard normal factors to means, widths, and the split of its aggregate, a Gaussian."""
    draw = np.random.default_rng(seed)
    weights = draw.standard_normal((neurons, factors)) * gain / np.sqrt(factors)
    sd = draw.uniform(0.6, 1, neurons)
    covariance = weights @ weights.T + np.diag(sd**2)
    diagonal, determinant = np.diag(covariance), np.linalg.slogdet(covariance)[1]
    parts = (
        determinant / 2 - np.log(sd).sum(),
        np.log(diagonal).sum() / 2 - determinant / 2,
        (diagonal - 1 - np.log(diagonal)).sum() / 2,
    )
    return weights, sd, dict(zip(PARTS, parts, strict=True))


def probed(weights, sd, inputs, seed):
    mu = np.random.default_rng(1000 + seed).standard_normal((inputs, weights.shape[1])) @ weights.T
    return mu, np.broadcast_to(sd, mu.shape)


def quadrature():
    """The split of the mixture of three posteriors of two neurons, on a grid."""
    grid = np.linspace(-7, 7, 1401)
    cell = (grid[1] - grid[0]) ** 2
    single = stats.norm.pdf(grid[:, None, None], TWO, WIDTHS)  # (P, inputs, neurons)
    joint = np.einsum("pb,qb->bpq", single[..., 0], single[..., 1])
    mixture, marginals = joint.mean(0), single.mean(1)
    prior = np.multiply.outer(stats.norm.pdf(grid), stats.norm.pdf(grid))
    alone = np.multiply.outer(marginals[:, 0], marginals[:, 1])
    return {
        "index_code": special.rel_entr(joint, mixture).sum((1, 2)).mean() * cell,
        "total_correlation": special.rel_entr(mixture, alone).sum() * cell,
        "dimension_wise": special.rel_entr(alone, prior).sum() * cell,
    }


def test_the_split_of_the_very_inputs_is_the_integral_over_their_mixture():
    exact = quadrature()
    found = aggregate.split_rate(TWO, WIDTHS, draws=20_000, corrected=False)
    for name in PARTS:
        part = getattr(found, name)
        assert part.value == pytest.approx(exact[name], abs=4 * part.draw_error), name
        assert part.draw_error < 0.01
    kl = 0.5 * (TWO**2 + WIDTHS**2 - 1) - np.log(WIDTHS)
    assert found.rate == pytest.approx(kl.sum(1).mean())
    assert found.rate == pytest.approx(sum(exact.values()), abs=1e-4)


def test_the_error_of_the_draws_covers_what_they_leave_open():
    exact = quadrature()
    for name in PARTS:
        parts = [
            getattr(aggregate.split_rate(TWO, WIDTHS, draws=64, seed=seed, corrected=False), name)
            for seed in range(300)
        ]
        covered = [abs(part.value - exact[name]) < 1.96 * part.draw_error for part in parts]
        assert 0.91 < np.mean(covered) < 0.98, name


@pytest.mark.parametrize("inputs", [64, 256])
@pytest.mark.parametrize(("neurons", "factors", "gain"), [(2, 2, 0.8), (8, 3, 0.7)])
def test_the_split_of_a_linear_map_is_that_of_its_gaussian(neurons, factors, gain, inputs):
    weights, sd, exact = linear(neurons, factors, gain)
    found = [
        aggregate.split_rate(*probed(weights, sd, inputs, seed), seed=seed, draws=8) for seed in range(80)
    ]
    assert not any(one.at_ceiling for one in found)
    for name in PARTS:
        values = np.array([getattr(one, name).value for one in found])
        errors = np.array([getattr(one, name).error for one in found])
        assert abs(values.mean() - exact[name]) < 0.5 * values.std(), name
        covered = np.abs(values - exact[name]) < 1.96 * errors
        assert 0.85 < covered.mean() <= 0.995, name
    assert np.mean([one.index_code_at_most for one in found]) >= exact["index_code"] - 0.01


def test_the_parts_add_up_to_the_exact_rate():
    weights, sd, _ = linear(12, 4, 0.8)
    found = aggregate.split_rate(*probed(weights, sd, 100, 0))
    assert sum(getattr(found, name).value for name in PARTS) == pytest.approx(found.rate, rel=1e-6)
    assert found.neurons.value == pytest.approx(
        found.index_code.value + found.total_correlation.value, rel=1e-6
    )


def test_neurons_together_are_those_of_the_mutual_information():
    weights, sd, _ = linear(6, 3, 0.8)
    mu, sigma = probed(weights, sd, 128, 3)
    alone = posteriors.mutual_information(mu, sigma, draws=16)
    assert not alone.at_least.any()
    found = aggregate.split_rate(mu, sigma, draws=64)
    assert found.neurons.value == pytest.approx(alone.value.sum(), abs=0.05)


def test_a_layer_that_tells_more_than_its_inputs_can_show_says_so():
    weights, sd, exact = linear(64, 24, 2.0)
    found = aggregate.split_rate(*probed(weights, sd, 64, 0))
    assert found.at_ceiling
    assert found.ceiling == pytest.approx(math.log(64))
    assert found.index_code.value <= found.ceiling < exact["index_code"]  # a lower bound
    assert found.total_correlation.value > exact["total_correlation"]  # an upper one
    together = exact["index_code"] + exact["total_correlation"]
    assert found.neurons.value == pytest.approx(together, abs=4 * found.neurons.error)
    assert found.dimension_wise.value == pytest.approx(
        exact["dimension_wise"], abs=4 * found.dimension_wise.error
    )


def test_neurons_at_their_prior_have_nothing_to_split():
    found = aggregate.split_rate(np.zeros((64, 5)), np.ones((64, 5)))
    for name in PARTS:
        assert getattr(found, name).value == pytest.approx(0, abs=1e-5)
    assert found.rate == 0


def test_a_repeated_neuron_is_total_correlation():
    """Two neurons with the same means and no noise to speak of tell what one tells."""
    mu = np.repeat(np.repeat([[-1.0], [1.0]], 32, 0), 2, 1)
    found = aggregate.split_rate(mu, np.full(mu.shape, 0.05), corrected=False)
    assert found.index_code.value == pytest.approx(math.log(2), abs=1e-3)
    assert found.total_correlation.value == pytest.approx(math.log(2), abs=1e-3)


def test_without_a_prior_what_needs_it_is_missing_and_the_rest_is_the_same():
    weights, sd, _ = linear(5, 2, 0.8)
    mu, sigma = probed(weights, sd, 80, 0)
    found, known = aggregate.split_rate(mu, sigma, prior=False), aggregate.split_rate(mu, sigma)
    assert np.isnan([found.rate, *found.dimension_wise]).all()
    assert found.index_code == known.index_code
    assert found.total_correlation == known.total_correlation


def test_few_inputs_and_what_is_not_finite_give_nothing():
    for inputs in (0, 1):
        found = aggregate.split_rate(np.zeros((inputs, 3)), np.ones((inputs, 3)))
        assert np.isnan(found.index_code.value)
        assert np.isnan(aggregate.sliced_wasserstein(np.zeros((inputs, 3)), np.ones((inputs, 3)))).all()
    broken = np.zeros((8, 3))
    broken[2, 1] = np.nan
    assert np.isnan(aggregate.split_rate(broken, np.ones((8, 3))).total_correlation.value)
    assert np.isnan(aggregate.maximum_mean_discrepancy(broken, np.ones((8, 3)))).all()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"\(inputs, neurons\) alike"):
        aggregate.split_rate(np.zeros((4, 3)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="sigma must be positive"):
        aggregate.sliced_wasserstein(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="at least 2"):
        aggregate.split_rate(np.zeros((4, 3)), np.ones((4, 3)), draws=1)
    with pytest.raises(ValueError, match="add up to 1"):
        aggregate.split_rate_of_classes(np.ones((4, 3, 2)))
    with pytest.raises(ValueError, match="neurons, classes"):
        aggregate.split_rate_of_classes(np.ones((4, 3)))


# ---- classes


def test_the_split_of_classes_is_the_sum_over_all_of_them():
    draw = np.random.default_rng(0)
    shares = draw.dirichlet(np.full(3, 0.6), (5, 2))  # (inputs, neurons, classes)
    joint = np.array([[b[0, i] * b[1, j] for i, j in product(range(3), repeat=2)] for b in shares])
    alone = np.array([np.multiply.outer(*shares.mean(0)).ravel()])
    exact = {
        "index_code": special.rel_entr(joint, joint.mean(0)).sum(1).mean(),
        "total_correlation": special.rel_entr(joint.mean(0), alone[0]).sum(),
        "dimension_wise": special.rel_entr(alone[0], np.full(9, 1 / 9)).sum(),
    }
    found = aggregate.split_rate_of_classes(shares, prior=np.full(3, 1 / 3), draws=20_000, corrected=False)
    for name in PARTS:
        part = getattr(found, name)
        assert part.value == pytest.approx(exact[name], abs=4 * part.draw_error), name
    assert found.rate == pytest.approx(sum(exact.values()))


def test_classes_that_some_inputs_never_pick_are_no_error():
    shares = np.zeros((4, 2, 3))
    shares[np.arange(4), :, [0, 1, 2, 0]] = 1
    found = aggregate.split_rate_of_classes(shares, corrected=False)
    entropy = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    assert found.index_code.value == pytest.approx(entropy, abs=1e-5)
    assert found.total_correlation.value == pytest.approx(entropy, abs=1e-5)
    assert np.isnan(found.dimension_wise.value)


# ---- distances


def test_a_sliced_distance_of_one_neuron_is_the_integral_of_its_quantiles():
    z = np.sort(np.random.default_rng(0).normal(0.3, 1.4, 50))
    share = (np.arange(200_000) + 0.5) / 200_000
    exact = np.mean((z[(share * 50).astype(int)] - special.ndtri(share)) ** 2)
    assert aggregate._sliced(z[:, None]) == pytest.approx(exact, rel=1e-3)


def test_a_sliced_distance_of_shifted_and_scaled_neurons_is_that_of_gaussians():
    """W2 of Normal(m, s²) and Normal(0, 1) is sqrt(m² + (s − 1)²); m is θ·mean along a direction."""
    mu = np.random.default_rng(1).normal(0.0, 1.2, (2000, 3)) + np.array([0.8, 0.0, 0.0])
    found = aggregate.sliced_wasserstein(mu, np.full(mu.shape, 0.5))
    directions = aggregate._directions(3)
    along = 0.8 * directions[0]
    exact = math.sqrt((along**2).mean() + (math.sqrt(1.2**2 + 0.25) - 1) ** 2)
    assert found.value == pytest.approx(exact, rel=0.03)
    assert found.null_95 < 0.1 < found.value


@pytest.mark.parametrize("distance", [aggregate.sliced_wasserstein, aggregate.maximum_mean_discrepancy])
@pytest.mark.parametrize(("inputs", "neurons"), [(32, 1), (64, 8), (48, 100)])
@pytest.mark.parametrize("width", [0.05, 0.7])
def test_an_aggregate_that_is_the_prior_is_rarely_called_different(distance, inputs, neurons, width):
    """Means and widths whose mixture over the population is the prior: wide ones vary less."""
    draw = np.random.default_rng(7)
    beyond = 0
    for seed in range(200):
        mu = draw.normal(0, math.sqrt(1 - width**2), (inputs, neurons))
        sigma = np.full(mu.shape, width)
        more = (seed,) if distance is aggregate.sliced_wasserstein else ()
        found = distance(mu, sigma, *more)
        beyond += found.value > found.null_95
    assert beyond / 200 <= 0.09
    if width == 0.05:  # points are samples of the prior: the limit is that of 5 %
        assert beyond / 200 >= 0.01


@pytest.mark.parametrize("distance", [aggregate.sliced_wasserstein, aggregate.maximum_mean_discrepancy])
def test_an_aggregate_of_two_modes_is_found_though_its_moments_are_the_priors(distance):
    """Mean 0 and variance 1: the mismatch, whose aggregate is a Gaussian, is 0."""
    draw = np.random.default_rng(0)
    mu = draw.choice([-0.95, 0.95], (256, 2))
    sigma = np.full(mu.shape, math.sqrt(1 - 0.95**2))
    found = distance(mu, sigma)
    assert found.value > found.null_95


def test_a_discrepancy_is_that_of_samples_on_average_and_of_the_prior_0():
    draw = np.random.default_rng(0)
    mu, sigma = draw.normal(0.4, 1.0, (24, 3)), draw.uniform(0.3, 0.9, (24, 3))
    sets = []
    for _ in range(3000):
        z, u = mu + sigma * draw.standard_normal(mu.shape), draw.standard_normal((40, 3))

        def kernel(a, b):
            return np.exp(-((a[:, None] - b) ** 2).sum(2) / 6)

        own, prior = kernel(z, z), kernel(u, u)
        sets.append((own.sum() - 24) / (24 * 23) - 2 * kernel(z, u).mean() + (prior.sum() - 40) / (40 * 39))
    found = aggregate.maximum_mean_discrepancy(mu, sigma)
    assert found.value == pytest.approx(np.mean(sets), abs=4 * np.std(sets) / math.sqrt(3000))
    at_prior = aggregate.maximum_mean_discrepancy(np.zeros((24, 3)), np.ones((24, 3)))
    assert at_prior.value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("inputs", "neurons"), [(40, 2), (64, 16), (64, 90)])
def test_the_null_of_the_discrepancy_varies_as_the_closed_form_says(inputs, neurons):
    """Var of the U-statistic is 2 / (n (n − 1)) E[h²], h = k − m − m' + c (Gretton et al. 2012)."""
    half, square = neurons / 2, float(neurons)
    kernel = (square / (square + 4)) ** half
    once = (square / (square + 1)) ** neurons * ((square + 1) / (square + 3)) ** half
    constant = (square / (square + 2)) ** half
    variance = 2 / (inputs * (inputs - 1)) * (kernel - 2 * once + constant**2)
    null = aggregate._mmd_null(inputs, neurons)
    assert abs(null.mean()) < 4 * math.sqrt(variance / len(null))
    assert null.std() == pytest.approx(math.sqrt(variance), rel=0.15)


def test_the_null_of_many_neurons_is_that_of_their_projections():
    """Drawn where it is projected, it is the same as drawn among all neurons."""
    inputs, neurons = 32, 80
    directions, draw = aggregate._directions(neurons), np.random.default_rng(5)
    whole = [
        math.sqrt(aggregate._sliced(draw.standard_normal((inputs, neurons)) @ directions)) for _ in range(400)
    ]
    null = aggregate._sliced_null(inputs, neurons)
    assert stats.ks_2samp(whole, null).pvalue > 0.01


def test_active_units_are_counted_as_in_the_literature():
    assert aggregate.active_units([0.0, 0.01, 0.011, np.nan, 3.0]) == 2
    assert f"{aggregate.ACTIVE_SPREAD:g}" in STATISTICS["active_units"].formula


def test_each_is_in_the_registry():
    assert set(OF_LAYERS) <= set(STATISTICS)
    assert not any(STATISTICS[name].stored for name in OF_LAYERS)
