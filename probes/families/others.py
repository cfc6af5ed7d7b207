"""Families beside the Gaussian: what each records, how it is drawn, which regimes mean something for it.

No torch here: the sums over a batch are in `probes.family_moments`, densities in `probes.families.densities`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

Support = Literal["real", "positive", "unit", "circle", "counts", "classes"]
"""Where a posterior's mass may lie: the line, the positive half-line, [0, 1], an angle, counts, classes."""

_COMMON = frozenset({0, 1, 4, 5, 6})
"""living, non-finite, dead, offset, frozen: rules that ask information and mismatch."""
_CONTINUOUS = _COMMON | {7}
NOT_KNOWN = frozenset({1})
"""Without a prior only what is no number is a regime."""


@dataclass(frozen=True)
class Other:
    """`Family` of posteriors that are no Gaussian.

    Attributes
    ----------
    name, label
        In a layer's manifest; as pages write it.
    support
        Where its mass lies.
    parameters
        Names of what `parameters/` holds of a posterior.
    required, regimes
        As `Family`.
    by_entropy
        Whether contraction is that of the entropy, since there is no variance to speak of.
    identity
        Whether kl = information + mismatch holds exactly under one prior for all rows.
    """

    name: str
    label: str
    support: Support
    parameters: tuple[str, ...]
    required: tuple[str, ...] = ("mean", "variance", "kl", "information")
    regimes: frozenset[int] = _CONTINUOUS
    by_entropy: bool = False
    identity: bool = True

    @staticmethod
    def completions(*_: Any) -> list[Any]:
        """Nothing: mean, variance and KL alone leave the information of these families open."""
        return []

    def without_prior(self) -> Self:
        """The family where the prior is not known: no rule that needs one fires. A code needs none."""
        if "usage" in self.required:
            return self
        needs = {"kl", "information", "mismatch"}
        required = tuple(name for name in self.required if name not in needs)
        return replace(self, required=required, regimes=self.regimes & NOT_KNOWN, identity=False)


_DISCRETE = {"required": ("kl", "information", "entropy"), "regimes": _COMMON, "by_entropy": True}

CATEGORICAL = Other("categorical", "Categorical", "classes", ("probability",), **_DISCRETE)  # type: ignore[arg-type]
BERNOULLI = Other("bernoulli", "Bernoulli", "classes", ("probability",), **_DISCRETE)  # type: ignore[arg-type]
CODES = Other(
    "codes", "Code book", "classes", (), ("usage", "information"), frozenset({0, 1, 4}), identity=False
)
"""A neuron is a code of a code book: dead where the window of its usage holds no use of it."""
BETA = Other("beta", "Beta", "unit", ("concentration1", "concentration0"))
GAMMA = Other("gamma", "Gamma", "positive", ("concentration", "rate"))
INVERSE_GAMMA = Other(
    "inverse_gamma", "Inverse gamma", "positive", ("concentration", "rate"), ("kl", "information")
)
DIRICHLET = Other("dirichlet", "Dirichlet", "unit", ("concentration",))
EXPONENTIAL = Other("exponential", "Exponential", "positive", ("rate",))
POISSON = Other("poisson", "Poisson", "counts", ("rate",))
VON_MISES = Other("von_mises", "von Mises", "circle", ("loc", "concentration"))
LAPLACE = Other("laplace", "Laplace", "real", ("loc", "scale"), identity=False)
STUDENT_T = Other("student_t", "Student t", "real", ("df", "loc", "scale"), ("kl",), identity=False)
GENERIC = Other("generic", "Distribution", "real", ("sample",), ("kl",), identity=False)
"""Whatever has `log_prob` and `rsample`: KL by one draw a row."""
SAMPLES = Other("samples", "Samples", "real", ("sample",), ("mean",), identity=False)
"""Draws of a posterior that has no density of its own: flows, dropout, ensembles."""

OTHERS = (
    CATEGORICAL, BERNOULLI, CODES, BETA, GAMMA, INVERSE_GAMMA, DIRICHLET, EXPONENTIAL, POISSON, VON_MISES,
    LAPLACE, STUDENT_T, GENERIC, SAMPLES,
)  # fmt: skip

OF_CLASSES = (CATEGORICAL.name, BERNOULLI.name, DIRICHLET.name)
"""Families whose neurons share themselves out over classes: `classes/` holds how."""
