"""A distribution in a network may be a latent variable or what the network predicts: names tell.

Class probabilities, next tokens, actions and counts are what most discrete distributions are of; none of them
is a posterior. So one is taken for a latent variable where a name says so, where its prior stands beside it,
or where its kind is made to let gradients through a sample. Of continuous ones most are latent: those that
are returned under the name of a prediction are not.
"""

from __future__ import annotations

from typing import Any

import torch.distributions as td
from torch.distributions import Distribution

from probes.watching.gaussians import unwrapped
from probes.watching.made import Gumbel
from probes.watching.naming import role, words

DATA = (
    td.Categorical, td.OneHotCategorical, td.Bernoulli, td.Binomial, td.Multinomial, td.Poisson,
    td.NegativeBinomial, td.Geometric, td.ContinuousBernoulli,
)  # fmt: skip
"""Kinds of which most are of data."""
THROUGH = (td.OneHotCategoricalStraightThrough, td.RelaxedOneHotCategorical, td.RelaxedBernoulli, Gumbel)
"""Kinds whose samples let gradients through: what is sampled is used on."""
LATENT_WORDS = frozenset(("z", "zs", "latent", "latents", "code", "codes", "stoch", "stochastic", "discrete",
                          "gumbel", "assignment", "assignments"))  # fmt: skip
PREDICTED_WORDS = frozenset((
    "class", "classes", "cls", "classifier", "classification", "classify", "label", "labels", "target",
    "targets", "action", "actions", "actor", "policy", "pi", "token", "tokens", "lm", "vocab", "answer",
    "pred", "prediction", "predictions", "predictor", "reward", "continue", "done", "y", "segment",
    "segmentation",
))  # fmt: skip
OUTPUT_WORDS = frozenset((
    "pred", "predicted", "prediction", "predictions", "predictive", "forecast", "forecasts", "output",
    "outputs",
))  # fmt: skip
"""Words that name what a network predicts, of whatever kind it is."""
MAY_BE_PREDICTED = (
    "a {kind}, which may be what the model predicts: name it by hand if it is a posterior,"
    ' parts={{{path!r}: "distribution"}}, or hand it over with probes.observe'
)


def is_of_data(kind: Distribution) -> bool:
    """Whether a distribution is of a kind that most often is of data."""
    base = unwrapped(kind)
    return isinstance(base, DATA) and not isinstance(base, THROUGH)


def says_latent(*names: str) -> bool:
    """Whether names, the most particular first, speak of a latent variable, and not of a prediction."""
    for name in names:
        last = frozenset(words(name.rpartition(".")[2]))
        if last & PREDICTED_WORDS:
            return False
        if role(name) == "posterior" or last & LATENT_WORDS:
            return True
        if role(name) is not None:
            return False
    return False


def may_be_predicted(found: Any, named: str | None, own: str) -> bool:
    """Whether a distribution may be what a network predicts, for all that the name which it is returned under
    and that of its module say.
    """
    if not isinstance(found, Distribution):
        return False
    if named is not None and role(named) is None and OUTPUT_WORDS & frozenset(words(named)):
        return True
    return is_of_data(found) and not says_latent(*([named] if named else []), own)
