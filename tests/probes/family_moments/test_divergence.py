"""KL by a closed form or by draws, the error that stands beside it, and the training's own randomness."""

from __future__ import annotations

import math

import pytest
import torch
import torch.distributions as td

from probes.family_moments import FamilyMoments, posterior_kl, read_distribution

WIDTH = 0.2


def test_a_closed_form_is_torchs():
    q, p = td.Laplace(torch.randn(8, 3), torch.ones(8, 3)), td.Normal(torch.zeros(3), torch.ones(3))
    kl, estimated = posterior_kl(td.Independent(q, 1), td.Independent(p, 1))
    assert not estimated
    torch.testing.assert_close(kl, td.kl_divergence(q, p))
    bernoulli = td.Bernoulli(torch.rand(8, 3))
    kl, _ = posterior_kl(bernoulli, td.Bernoulli(torch.full((3,), 0.5)))  # torch's does not broadcast
    assert kl.shape == (8, 3)


def test_an_estimate_is_without_bias_and_leaves_the_generator_of_the_training_alone():
    q = td.StudentT(torch.full((20_000, 1), 5.0), 0.5 * torch.ones(20_000, 1), 0.5)
    p = td.Normal(torch.zeros(1), torch.ones(1))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    kl, estimated = posterior_kl(q, p)
    assert estimated
    assert torch.equal(torch.get_rng_state(), before)
    z = torch.linspace(-200, 200, 4_000_001, dtype=torch.float64)
    exact = td.StudentT(torch.tensor(5.0).double(), 0.5, 0.5)
    expected = (exact.log_prob(z).exp() * (exact.log_prob(z) - td.Normal(0.0, 1.0).log_prob(z))).sum() * 1e-4
    error = kl.std() / math.sqrt(len(kl))
    assert abs(kl.mean() - expected) < 4 * error
    assert not torch.equal(posterior_kl(q, p)[0], kl), "every draw is a new one"


def test_the_error_covers_what_is_estimated():
    """kl ± 1.96 kl_error, of 2,000 batches of 128 inputs: the true KL, averaged over inputs from the
    population that they are of, lies within for about 95 %. Of the batch's own inputs it is wider than it
    need be, since rows differ as well.
    """
    draw = torch.Generator().manual_seed(0)
    batches, rows = 2000, 128
    loc = 0.5 * torch.randn(rows, batches, generator=draw)
    q = td.Laplace(loc, torch.full((rows, batches), WIDTH))
    p = td.Gumbel(torch.zeros(batches), torch.ones(batches))  # torch knows no closed form
    kl, estimated = posterior_kl(q, p)
    assert estimated
    found = FamilyMoments("laplace").update(read_distribution(q).parameters, kl=kl, estimated=True).result()
    assert "active_share" not in found
    torch.testing.assert_close(found["kl_error"], kl.std(0) / math.sqrt(rows), rtol=1e-4, atol=1e-6)
    # ln q has the mean −1 − ln 2b, −ln p that of z + e^−z: e^−μ / (1 − b²), averaged over μ
    expected = math.exp(0.125) / (1 - WIDTH**2) - 1 - math.log(2 * WIDTH)
    covered = ((found["kl"] - expected).abs() <= 1.96 * found["kl_error"]).float().mean()
    assert 0.92 < covered < 0.97


def test_the_error_of_one_input_is_not_known():
    pool = FamilyMoments("laplace").update(
        {"loc": torch.zeros(1, 2), "scale": torch.ones(1, 2)}, kl=torch.ones(1, 2), estimated=True
    )
    assert pool.result()["kl_error"].isnan().all()


def test_errors_of_batches_are_pooled():
    kl = torch.randn(50, 3, dtype=torch.float64)
    parameters = {"loc": torch.zeros(50, 3), "scale": torch.ones(50, 3)}
    whole = FamilyMoments("laplace").update(parameters, kl=kl, estimated=True).result()
    pool = FamilyMoments("laplace")
    for first, last in ((0, 1), (1, 20), (20, 50)):
        part = {name: value[first:last] for name, value in parameters.items()}
        pool.update(part, kl=kl[first:last], estimated=True)
    torch.testing.assert_close(pool.result()["kl_error"], whole["kl_error"])


def test_a_kl_of_all_neurons_together_is_refused():
    q = td.Wishart(torch.tensor(4.0), torch.eye(3))
    with pytest.raises(ValueError, match="observe_samples"):
        posterior_kl(q, td.MultivariateNormal(torch.zeros(3), torch.eye(3)))


def test_a_closed_form_of_a_class_that_cannot_be_expanded():
    class Own(td.Distribution):
        arg_constraints = {}

        def __init__(self, loc):
            self.loc = loc
            super().__init__(loc.shape, validate_args=False)

    td.register_kl(Own, Own)(lambda q, p: (q.loc - p.loc) ** 2)
    kl, estimated = posterior_kl(Own(torch.full((8, 3), 2.0)), Own(torch.zeros(3)))
    assert not estimated
    assert (kl == 4).all()


def test_a_map_that_is_not_one_to_one_has_no_closed_form():
    """|z| tells less than z: torch gives the KL of what is before the map."""
    q, p = (
        td.TransformedDistribution(td.Normal(loc, torch.ones(8, 3)), td.AbsTransform())
        for loc in (2 * torch.ones(8, 3), torch.zeros(8, 3))
    )
    with pytest.raises(ValueError, match="neither a closed KL .* nor both log densities"):
        posterior_kl(q, p)
    kl, estimated = posterior_kl(td.HalfNormal(torch.ones(8, 3)), td.HalfNormal(torch.ones(3)))
    assert not estimated
    assert (kl == 0).all()
