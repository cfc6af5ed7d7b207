"""Every regime of a neuron: its rule's words and limits, how to read it, what to do, its colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from probes import palette


@dataclass(frozen=True)
class Regime:
    """One regime of a neuron: its code in the log, the rule's words, how to read it, what to do, its
    colour.
    """

    code: int
    name: str
    rule: str
    reading: str
    advice: str
    color: str


@dataclass(frozen=True)
class Thresholds:
    """Limits of the regimes' rules; a field's name says what is compared.

    Those in nats (information, mismatch, kl_above_floor, width_spread) are of one latent dimension: the rules
    take them times K. `confidence` is that of the upper limit of the information, by which a neuron counts
    as dead.
    """

    clamp_share: float = 0.10
    exploded: float = -0.1
    information: float = 0.005
    contraction: float = 0.05
    mismatch: float = 0.005
    kl_above_floor: float = 0.02
    deterministic: float = 0.99
    deterministic_held: float = 0.9999
    energy: float = 4.0
    band_tolerance: float = 0.02
    mixed_low: float = 0.1
    mixed_high: float = 0.9
    width_spread: float = 0.02
    confidence: float = 0.98

    @classmethod
    def of(cls, limits: Thresholds | Mapping[str, float] | None) -> Thresholds:
        """Limits as they are, or some by name beside the defaults. ValueError for a name that is none."""
        if isinstance(limits, Thresholds):
            return limits
        names = [item.name for item in fields(cls)]
        given = dict(limits or {})
        if unknown := sorted(given.keys() - set(names)):
            raise ValueError(f"thresholds has {', '.join(unknown)}; a limit is one of {', '.join(names)}")
        return cls(**given)


_AT = Thresholds()
_SILENT = f"information < {_AT.information:g} K"
_UNTOLD = f"upper limit of the information ({100 * _AT.confidence:g} %) < {_AT.information:g} K"
_NARROW = f"contraction < {_AT.contraction:g}"
_LOUD = f"mu2 above its band by {100 * _AT.band_tolerance:g} %"
_DEAD = (
    f"{_UNTOLD}, {_NARROW}, mismatch <= {_AT.mismatch:g} K; under an autoregressive prior {_UNTOLD}, KL above"
    f" its floor < {_AT.kl_above_floor:g} K; where no information is recorded, KL <"
    f" {min(_AT.information, _AT.mismatch):g} K and {_NARROW}"
)

REGIMES: tuple[Regime, ...] = (
    Regime(0, "living", "otherwise", "healthy", "nothing to do", palette.LIVING),
    Regime(
        1,
        "non-finite",
        "any NaN or Inf, a negative variance",
        "broken",
        "stop; look at the step before, lower the learning rate",
        palette.BLACK,
    ),
    Regime(
        2,
        "saturated",
        f"clamped share > {_AT.clamp_share:.2f}",
        "the numbers reflect the limit",
        "widen the limits, choose another sigma_init",
        palette.PURPLE,
    ),
    Regime(
        3,
        "exploded",
        f"contraction < {_AT.exploded:g}",
        "wider than the prior",
        "raise beta, check the prior",
        palette.VERMILLION,
    ),
    Regime(
        4,
        "dead",
        f"having left it before: {_DEAD}",
        "posterior = prior",
        "lower beta, by hand or a thermostat (probes.control); homeostasis",
        palette.GREY,
    ),
    Regime(
        5,
        "offset",
        f"{_SILENT}, {_NARROW}",
        "pays KL, tells nothing",
        "centre, lower beta",
        palette.DARK_YELLOW,
    ),
    Regime(
        6,
        "frozen",
        _SILENT,
        "certain whatever the input",
        'use sigma "input", lower beta',
        palette.SKY_BLUE,
    ),
    Regime(
        7,
        "deterministic",
        f"contraction > {_AT.deterministic:g}; of neurons along a sequence > {_AT.deterministic_held:g}",
        "an ordinary scalar neuron",
        "raise beta, set a sigma floor",
        palette.BLUE,
    ),
    Regime(
        8,
        "over-energetic",
        f"variance + mean energy > {_AT.energy:g}, or {_LOUD}",
        "ignores the prior's scale",
        "homeostasis, projection",
        palette.ORANGE,
    ),
    Regime(
        9,
        "mixed",
        f"active share between {_AT.mixed_low:g} and {_AT.mixed_high:g}, spread of widths >"
        f" {_AT.width_spread:g} K",
        "lives for some inputs",
        "nothing: look at which",
        palette.MINT,
    ),
    Regime(
        10,
        "at prior",
        "as dead, and never left since the run began; of settled regimes alone",
        "where every neuron starts; one that stays has collapsed",
        "wait; then lower beta",
        palette.LIGHT_GREY,
    ),
    Regime(
        11,
        "unknown",
        "no information is recorded, and mean, variance and KL do not decide what it would",
        "what its rules need is not recorded",
        "record information, such as by probes.arrays.moments",
        palette.SAND,
    ),
)
SHARED = ("weights", "shared variables")
"""What posteriors that are the same for every input may be of."""
SHARED_READINGS = {
    5: (
        "its mean has moved, its width has not yet",
        "wait; a width that stays as wide as its prior: lower beta",
    ),
    6: (
        "certain, and the same for every input, as a shared posterior is: how it should end",
        "nothing; look at contraction and KL",
    ),
}
"""Code -> reading and advice where posteriors are shared by all inputs, for the regimes that speak of what a
neuron tells of its input."""
UNKNOWN = 11
"""The code of a neuron whose regime hangs on statistics that are not there."""
OTHER_READINGS = {
    5: ("pays KL, tells nothing", "lower beta"),
    6: ("certain whatever the input", "let its parameters follow the input, lower beta"),
    7: ("an ordinary scalar neuron", "raise beta, set a floor to its width"),
    UNKNOWN: (
        "what its rules need is not recorded",
        "record the KL from a prior, and the information where it has one",
    ),
}
"""The same of families that are no Gaussian, where a Gaussian's words would not fit."""
_CLASSES = {
    6: ("picks the same classes whatever the input", "lower beta; mix its probabilities with uniform ones"),
}
FAMILY_READINGS: dict[str, dict[int, tuple[str, str]]] = {
    "categorical": _CLASSES,
    "bernoulli": _CLASSES,
    "codes": {
        0: ("picked within the window", "nothing to do"),
        4: (
            "no input has picked the code within the window",
            "reset dead codes to encodings of inputs; learn codes by moving averages, or have fewer",
        ),
    },
}
"""Family -> code -> reading and advice of its own."""
WITHOUT_PRIOR = ("without a prior that is known no rule applies", "state its prior")
"""Reading and advice of a neuron of a family that is no Gaussian, where the prior is not known."""
ONLY_DRAWS = (
    "no regime without a prior: variance is what an input leaves open, spread what inputs differ by",
    "nothing; where draws have densities, hand over log_q and log_prior",
)
"""The same of a neuron that is known by draws."""
LIVING_REGIMES = (0, 9)
"""Codes that count in the living share: living and mixed."""
DEAD, AT_PRIOR = 4, 10
"""The code that rows give a neuron at its prior, and the settled one of a neuron that has never left it."""
RAW_REGIMES = tuple(regime.code for regime in REGIMES if regime.code != AT_PRIOR)
"""Codes that a row's own numbers can give."""
SEVERITY = (1, 3, 2, 4, 5, 6, 7, 8, UNKNOWN, 9, 0)
"""Raw codes, the most severe first: the one of a bucket of the pyramid that holds several."""
ALARMING = (1, 2, 3)
"""Raw codes of which maps show a single step: non-finite, saturated, exploded."""
