"""What a distribution is read as, and what is refused."""

from __future__ import annotations

import pytest
import torch
import torch.distributions as td
from torch.distributions import transforms as tt

from probes.families import FAMILIES
from probes.family_moments import FamilyMoments, default_prior, prior_parameters, read_distribution

ONE = torch.ones(3, 2)
READ = {
    "gaussian": td.Normal(ONE, ONE),
    "gaussian_full": td.MultivariateNormal(ONE, torch.eye(2)),
    "categorical": td.Categorical(logits=torch.zeros(3, 2, 4)),
    "bernoulli": td.Bernoulli(logits=ONE),
    "beta": td.Beta(ONE, ONE),
    "gamma": td.Gamma(ONE, ONE),
    "inverse_gamma": td.InverseGamma(ONE, ONE),
    "dirichlet": td.Dirichlet(torch.ones(3, 2, 4)),
    "exponential": td.Exponential(ONE),
    "poisson": td.Poisson(ONE),
    "von_mises": td.VonMises(ONE, ONE),
    "laplace": td.Laplace(ONE, ONE),
    "student_t": td.StudentT(ONE * 3, ONE, ONE),
    "generic": td.Gumbel(ONE, ONE),
}


@pytest.mark.parametrize("family", READ)
def test_a_distribution_is_read_with_its_familys_names(family):
    read = read_distribution(READ[family])
    assert read.family == family
    assert read.stored.keys() == set(FAMILIES[family].parameters)
    for value in read.stored.values():
        assert value.shape[:2] == (3, 2)
    assert read.classes == {"categorical": 4, "dirichlet": 4, "bernoulli": 2}.get(family)
    if not family.startswith("gaussian"):
        FamilyMoments(family).update(read.parameters)


def test_wrappers_do_not_matter():
    for wrapped in (
        td.Independent(td.Beta(ONE, ONE), 1),
        td.Independent(td.Independent(td.Beta(ONE, ONE), 1), 1),
        td.Beta(torch.ones(2), torch.ones(2)).expand((3, 2)),
    ):
        assert read_distribution(wrapped).parameters["concentration1"].shape == (3, 2)
    one_hot = td.Independent(td.OneHotCategoricalStraightThrough(logits=torch.zeros(3, 2, 4)), 1)
    read = read_distribution(one_hot)
    assert (read.family, read.classes) == ("categorical", 4)
    assert read.parameters["probability"].shape == (3, 2, 4)
    relaxed = td.RelaxedOneHotCategorical(torch.tensor(0.5), logits=torch.zeros(3, 2, 4))
    assert read_distribution(relaxed).family == "categorical"
    assert read_distribution(td.RelaxedBernoulli(torch.tensor(0.5), logits=ONE)).family == "bernoulli"


def test_parameters_ask_no_gradient():
    rate = ONE.clone().requires_grad_()
    assert not read_distribution(td.Poisson(rate)).parameters["rate"].requires_grad


def test_a_gaussian_through_bijections_is_the_gaussian_and_their_names():
    assert read_distribution(td.LogNormal(ONE, ONE)).map == "exp"
    normal = td.Normal(2 * ONE, 3 * ONE)
    squashed = td.TransformedDistribution(normal, [tt.AffineTransform(1.0, -2.0), tt.TanhTransform()])
    read = read_distribution(td.Independent(squashed, 1))
    assert (read.family, read.map) == ("gaussian", "tanh")
    assert read.parameters["mu"].tolist() == (-3 * ONE).tolist(), "what comes before belongs to the Gaussian"
    assert read.parameters["sigma"].tolist() == (6 * ONE).tolist()
    scaled = td.TransformedDistribution(normal, [tt.SigmoidTransform(), tt.AffineTransform(0.0, 5.0)])
    assert read_distribution(scaled).map == "sigmoid, affine"
    assert read_distribution(td.LogisticNormal(ONE, ONE)).map == "stick-breaking"
    assert read_distribution(td.TransformedDistribution(normal, [tt.AffineTransform(ONE, 2.0)])).map is None


def test_maps_with_parameters_of_their_own_and_no_bijections_are_not_the_gaussian():
    normal = td.Normal(ONE, ONE)
    learned = td.TransformedDistribution(normal, [tt.TanhTransform(), tt.AffineTransform(ONE, 2 * ONE)])
    assert read_distribution(learned).family == "generic"
    assert read_distribution(td.HalfNormal(ONE)).family == "generic"


def test_a_subclass_with_a_density_of_its_own_is_not_its_parent():
    class Truncated(td.Normal):
        def log_prob(self, value):
            return super().log_prob(value) + 1

    assert read_distribution(Truncated(ONE, ONE)).family == "generic"


def test_what_has_no_numbers_of_neurons_is_refused_and_says_what_to_hand_over():
    with pytest.raises(ValueError, match="observe_samples"):
        read_distribution(td.Wishart(torch.tensor(4.0), torch.eye(3)))
    forgetful = td.Gumbel(ONE, ONE)
    forgetful._batch_shape = torch.Size()
    with pytest.raises(ValueError, match="a Gumbel draws .* values, though its shape is"):
        read_distribution(forgetful)
    with pytest.raises(ValueError, match="no torch distribution"):
        read_distribution(ONE)


def test_reading_a_generic_distribution_leaves_the_generator_of_the_training_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = read_distribution(td.Gumbel(ONE, ONE)).parameters["sample"]
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(read_distribution(td.Gumbel(ONE, ONE)).parameters["sample"], first)


def test_priors_of_the_family_by_another_name():
    found = prior_parameters("beta", td.Uniform(torch.zeros(2), torch.ones(2)))
    assert {name: value.tolist() for name, value in found.items()} == {
        "concentration1": [1, 1],
        "concentration0": [1, 1],
    }
    assert prior_parameters("beta", td.Uniform(0.0, 2.0)) is None
    assert prior_parameters("gamma", td.Exponential(torch.tensor(3.0)))["concentration"] == 1
    assert prior_parameters("von_mises", td.Uniform(-torch.pi, torch.pi))["concentration"] == 0
    assert prior_parameters("gamma", td.Normal(0.0, 1.0)) is None
    assert prior_parameters("poisson", td.Independent(td.Poisson(torch.ones(2)), 1))["rate"].tolist() == [
        1,
        1,
    ]


def test_the_prior_that_is_assumed_is_uniform_over_classes():
    probability = torch.zeros(0, 2, 4)
    assert default_prior("categorical", {"probability": probability})["probability"].tolist() == [0.25] * 4
    assert default_prior("bernoulli", {"probability": ONE})["probability"] == 0.5
    assert default_prior("beta", {}) is None


class Mixed(td.OneHotCategorical):
    """Classes that are mixed with the uniform, as world models have them, by a property."""

    @property
    def probs(self):
        return 0.9 * super().probs + 0.1 / 4


def test_probabilities_that_a_class_makes_itself_are_not_those_of_its_logits():
    logits = torch.randn(3, 2, 4)
    read = read_distribution(td.Independent(Mixed(logits=logits), 1))
    assert (read.family, read.classes) == ("categorical", 4)
    torch.testing.assert_close(read.parameters["probability"], 0.9 * logits.softmax(-1) + 0.025)
    assert "logits" not in read.parameters
    assert "logits" in read_distribution(td.OneHotCategorical(logits=logits)).parameters


class Squashed(td.TransformedDistribution):
    """Its density is written anew: the same, but for rounding."""

    def __init__(self):
        super().__init__(td.Normal(ONE, ONE), tt.TanhTransform(), validate_args=False)

    def log_prob(self, value):
        before = value.clamp(-1 + 1e-6, 1 - 1e-6).atanh()
        return self.base_dist.log_prob(before) - (1 - value.square() + 1e-6).log()


class Summed(Squashed):
    """Of all components together."""

    def log_prob(self, value):
        return super().log_prob(value).sum(-1)


class Another(Squashed):
    """Of another distribution than its maps make."""

    def log_prob(self, value):
        return super().log_prob(value) + 1


def test_a_subclass_of_a_mapped_gaussian_is_one_as_long_as_its_density_is():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for kind in (Squashed, Summed):
        assert (read_distribution(kind()).family, read_distribution(kind()).map) == ("gaussian", "tanh")
    assert read_distribution(Another()).family == "generic"
    assert torch.equal(torch.get_rng_state(), before)


def test_a_prior_with_a_density_of_its_own_is_not_its_parent():
    class Own(td.Exponential):
        def log_prob(self, value):
            return super().log_prob(value) + 1

    assert prior_parameters("gamma", Own(torch.ones(2))) is None


def test_what_cannot_be_drawn_is_refused_by_name():
    class Silent(td.Distribution):
        arg_constraints = {}

        def log_prob(self, value):
            return -value.abs()

    with pytest.raises(ValueError, match="a Silent has no `sample`"):
        read_distribution(Silent(torch.Size((3, 2)), validate_args=False))
