"""The one registry of what a run log holds: keys, statistics, units, labels, regimes, format version.

Everything that names a statistic takes the name, unit, colour and definition from here: the recorder, the
reader, the figures' labels, the command line, the page Reference and the docs. Adding a statistic is adding
one entry to `STATISTICS`. No torch, no streamlit, no pandas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from probes import palette

FORMAT_MAJOR = 1
FORMAT_MINOR = 1
FORMAT_VERSION = f"{FORMAT_MAJOR}.{FORMAT_MINOR}"

KEYS: dict[str, str] = {"step": "int64", "layer": "int16", "neuron": "int32"}
"""Key columns of `neurons/` and their dtypes; rows are unique by them."""

# recorded steps a full block file covers; with ROW_GROUP_NEURONS it serves both reading directions
BLOCK_STEPS = 256
ROW_GROUP_NEURONS = 64
PYRAMID = (16, 256)  # recorded steps a bucket, finest first
ACTIVE_KL = 0.01  # nats above the floor that make an input count as active

Cost = Literal["S", "P", "D"]
COSTS: dict[str, str] = {
    "S": "streaming: from sums over the batch that the step has computed anyway",
    "P": "probe: needs the run's fixed probe batch",
    "D": "derived when the log is read",
}


@dataclass(frozen=True)
class Statistic:
    """What a per-neuron number is, said once.

    `stored` says that it is a column of `neurons/`; the others are derived, or have a table of their own
    (`FORCES`). `over_dimensions` is how K latent dimensions become one number a neuron; `neutral` is what an
    absent column means (None: absent means not measured); `nullable` says that a NaN means undefined or not
    taken, never broken; `good` is the direction of "good", where there is one.
    """

    name: str
    label: str
    symbol: str
    unit: str
    formula: str
    meaning: str
    cost: Cost
    source: str
    caveat: str = ""
    stored: bool = True
    over_dimensions: Literal["sum", "mean"] = "mean"
    neutral: float | None = None
    nullable: bool = False
    colors: Literal["Cividis", "Viridis", "diverging"] = "Viridis"
    log: bool = False
    good: Literal["high", "low"] | None = None

    @property
    def title(self) -> str:
        """Label with its unit, as axes and column heads show it."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


_ALL = [
    Statistic(
        "mean",
        "Posterior mean",
        "E[μ]",
        "prior sd",
        "E_b[μ_i(x_b)]",
        "Where the neuron's distribution sits, averaged over the inputs of the batch.",
        "S",
        "Kingma & Welling 2014",
        caveat="No single input's mean: with a spread above 0 the inputs differ from it.",
        colors="diverging",
    ),
    Statistic(
        "variance",
        "Posterior variance",
        "E[σ²]",
        "prior sd²",
        "E_b[σ_i²(x_b)]",
        "How wide one input's posterior is on average: 1 is the prior, near 0 is a point.",
        "S",
        "Kingma & Welling 2014",
        caveat="The aggregate over inputs is wider: variance + spread.",
        log=True,
    ),
    Statistic(
        "kl",
        "KL",
        "KL",
        "nats",
        "E_b[KL(q(z_i|x_b) ‖ p(z_i))], summed over latent dimensions",
        "What the neuron pays for leaving its prior.",
        "S",
        "Kingma & Welling 2014",
        caveat=(
            "Above 0 does not mean information: a mean of 2 with sd 1 for every input pays 2 nats and tells"
            " nothing."
        ),
        over_dimensions="sum",
        colors="Cividis",
    ),
    Statistic(
        "information",
        "Information",
        "I",
        "nats",
        "Σ_k ½ ( ln(E[v] + Var[r]) − E[ln v] ), r and v whitened by the prior",
        "How much the neuron's distribution depends on its input.",
        "S",
        "maximum-entropy bound on I(x; z_i)",
        caveat=(
            "A Gaussian upper estimate: exact where the mean is Gaussian over the inputs, too high where it"
            " takes few values. Under an autoregressive prior, of what is new. Rounding leaves about 1e-6"
            " nats."
        ),
        over_dimensions="sum",
        colors="Cividis",
    ),
    Statistic(
        "spread",
        "Spread",
        "Var[μ]",
        "prior sd²",
        "Var_b[μ_i(x_b)]",
        "How much the posterior mean moves with the input.",
        "S",
        "Burda, Grosse & Salakhutdinov 2016, active units",
        caveat="Alone it says little: at one width, information is ½ ln(1 + spread / variance).",
        log=True,
    ),
    Statistic(
        "mismatch",
        "Mismatch",
        "M",
        "nats",
        "Σ_k KL( Normal(E r, E[v] + Var r) ‖ Normal(0, 1) )",
        "What is paid because the aggregate posterior is not the prior: it tells nothing about the input.",
        "S",
        "ELBO surgery, Hoffman & Johnson 2016",
        over_dimensions="sum",
        colors="Cividis",
        good="low",
    ),
    Statistic(
        "past",
        "Past",
        "P",
        "nats",
        "E[ φ² σ'² / (2 s²) ]",
        "What an autoregressive prior costs because the past itself is uncertain.",
        "S",
        "Kingma & Welling 2014; expectation over the predecessor's posterior",
        over_dimensions="sum",
        neutral=0.0,
        colors="Cividis",
    ),
    Statistic(
        "persistence",
        "Persistence",
        "φ̂",
        "",
        "Σ(μ_t − μ̄)(μ_{t−stride} − μ̄') / Σ(μ_{t−stride} − μ̄')², means μ̄, μ̄' of each series, pooled over"
        " dimensions",
        "How much of the neuron's mean is carried from one position of the data to the next.",
        "S",
        "first-order autoregression",
        caveat=(
            "Memory is what exceeds the input's own slope: overlapping windows alone give a high one."
            " Undefined (NaN) for a mean that does not move and for fewer pairs than series + 2."
        ),
        nullable=True,
        colors="diverging",
    ),
    Statistic(
        "innovation",
        "Innovation variance",
        "Var[ε]",
        "prior sd²",
        "Σ(μ_t − φ̂ μ_{t−stride})² / (pairs − series − 1), centred per series",
        "How much of the mean is new at each position of the data.",
        "S",
        "first-order autoregression",
        nullable=True,
        log=True,
    ),
    Statistic(
        "non_finite",
        "Non-finite inputs",
        "",
        "inputs",
        "count of inputs whose KL is NaN or infinite",
        "Whether the neuron is still a number for every input.",
        "S",
        "design of this project",
        neutral=0.0,
        good="low",
    ),
    Statistic(
        "persistence_low",
        "Persistence, lower end",
        "φ̂ low",
        "",
        "φ̂ − t₀.₉₇₅ · sqrt(Var[ε] / Σ(μ_i(x_{t−stride}) − series mean)²)",
        "Lower end of the 95 % interval of the slope.",
        "S",
        "least squares, Student's t with pairs − series − 1 degrees of freedom",
        caveat=(
            "Exact for Gaussian pairs of one noise; too narrow for mixed neurons (it covers 84 % where half"
            " of the inputs take part)."
        ),
        nullable=True,
        colors="diverging",
    ),
    Statistic(
        "persistence_high",
        "Persistence, upper end",
        "φ̂ high",
        "",
        "φ̂ + t₀.₉₇₅ · sqrt(Var[ε] / Σ(μ_i(x_{t−stride}) − series mean)²)",
        "Upper end of the 95 % interval of the slope.",
        "S",
        "least squares, Student's t with pairs − series − 1 degrees of freedom",
        caveat=(
            "Exact for Gaussian pairs of one noise; too narrow for mixed neurons (it covers 84 % where half"
            " of the inputs take part)."
        ),
        nullable=True,
        colors="diverging",
    ),
    Statistic(
        "input_persistence",
        "Input's persistence",
        "φ̂ₓ",
        "",
        "slope of the input x_t on x_{t−stride}, centred per series, pooled over its features",
        "What is carried over in the data itself: a neuron remembers by what exceeds it.",
        "S",
        "first-order autoregression",
        caveat="The same for all neurons of a run: windows that overlap give a high one without any memory.",
        nullable=True,
        colors="diverging",
    ),
    Statistic(
        "active_share",
        "Active share",
        "a",
        "share of inputs",
        f"E_b[ KL_i(x_b) > floor + {ACTIVE_KL} ]",
        "For which share of the inputs the neuron leaves its prior.",
        "S",
        "Bonheme & Grzes 2021, mixed variables",
        caveat="floor = K ½ ln(1 + φ²), 0 for a fixed prior.",
    ),
    Statistic(
        "mu2",
        "Mean energy",
        "E[μ²]",
        "prior sd²",
        "E_{b,k}[μ²]",
        "The energy that the homeostatic band regulates.",
        "S",
        "Variational Distributional Neuron, arXiv 2602.18250",
        caveat="Around 0, whatever the prior's mean: a constant offset counts as energy.",
        log=True,
    ),
    Statistic(
        "clamp_share",
        "Clamped share",
        "",
        "share of values",
        "E_{b,k}[σ at a limit]",
        "The share of values that reflect a numerical limit and not the network.",
        "S",
        "design of this project",
        neutral=0.0,
        good="low",
    ),
    Statistic(
        "local_elbo",
        "Local ELBO",
        "ELBO_i",
        "nats",
        "E log p(target_i | z_i) − KL_i",
        "How well the neuron alone explains its own input, net of what it pays.",
        "S",
        "Variational Distributional Neuron, arXiv 2602.18250",
        good="high",
        colors="Cividis",
    ),
    Statistic(
        "beta",
        "KL weight",
        "β",
        "",
        "weight of KL_i in the loss",
        "How strongly the neuron is pulled to its prior.",
        "S",
        "Higgins 2017, beta-VAE",
        log=True,
    ),
    Statistic(
        "band_low",
        "Band, lower edge",
        "",
        "prior sd²",
        "lower edge of the band of E[μ²]",
        "Below it the neuron is too quiet.",
        "S",
        "Variational Distributional Neuron, arXiv 2602.18250",
        log=True,
    ),
    Statistic(
        "band_high",
        "Band, upper edge",
        "",
        "prior sd²",
        "upper edge of the band of E[μ²]",
        "Above it the neuron is too loud.",
        "S",
        "Variational Distributional Neuron, arXiv 2602.18250",
        log=True,
    ),
    Statistic(
        "phi",
        "Prior persistence",
        "φ",
        "",
        "coefficient of the autoregressive prior",
        "How much the prior expects to be carried over.",
        "S",
        "first-order autoregression",
        neutral=0.0,
        colors="diverging",
    ),
    Statistic(
        "whitened_mean",
        "Whitened mean",
        "E[r]",
        "prior sd",
        "E_b[(μ − m)/s]",
        "The mean against the neuron's own prior.",
        "S",
        "whitening by the prior; absent means the prior is standard",
        colors="diverging",
    ),
    Statistic(
        "prior_variance",
        "Prior variance",
        "s²",
        "",
        "variance of the prior",
        "Width of the neuron's prior.",
        "S",
        "design of this project",
        neutral=1.0,
    ),
    Statistic(
        "force_mu",
        "Force on the mean",
        "‖∂ℓ/∂μ‖",
        "nats per prior sd",
        "sqrt E_b[ Σ_k (∂ℓ/∂μ_ik(x_b))² ] for a term ℓ of the loss, of one input",
        "How strongly a term of the loss acts on the neuron's mean, input by input.",
        "P",
        "gradient of each term of the loss, in nats per predicted number",
        caveat=(
            "A norm over inputs, mostly the noise of single targets: that of the NLL is 7 to 90 times the"
            " KL's where both balance. Who wins is read from the pulls."
        ),
        stored=False,
        log=True,
    ),
    Statistic(
        "force_sigma",
        "Force on the width",
        "‖∂ℓ/∂ln σ‖",
        "nats per e-fold",
        "sqrt E_b[ Σ_k (∂ℓ/∂ln σ_ik(x_b))² ] for a term ℓ of the loss, of one input",
        "How strongly a term of the loss acts on the neuron's width, input by input.",
        "P",
        "gradient of each term of the loss, in nats per predicted number",
        caveat=(
            "As for the mean. Where sigma does not depend on the input, the norm of the gradient on that one"
            " value."
        ),
        stored=False,
        log=True,
    ),
    Statistic(
        "pull_mu",
        "Pull on the mean's movement",
        "−∂ℓ/∂ln g",
        "nats per e-fold",
        "− Σ_b Σ_k ∂ℓ/∂μ_ik(x_b) (μ_ik(x_b) − E_b[μ_ik]), g the gain of the mean's movement",
        "Above 0 the term wants the mean to move more with the input, below 0 less.",
        "P",
        "gradient of each term of the loss, in nats per predicted number",
        caveat=(
            "Of a few hundred inputs and one draw: its noise is about the pull itself where neurons are"
            " weakly bound."
        ),
        stored=False,
        colors="diverging",
    ),
    Statistic(
        "pull_sigma",
        "Pull on the width",
        "−∂ℓ/∂ln σ",
        "nats per e-fold",
        "− Σ_b Σ_k ∂ℓ/∂ln σ_ik(x_b)",
        "Above 0 the term widens the neuron's posteriors, below 0 it narrows them.",
        "P",
        "gradient of each term of the loss, in nats per predicted number",
        caveat=(
            "Of a few hundred inputs and one draw: its noise is about the pull itself where neurons are"
            " weakly bound."
        ),
        stored=False,
        colors="diverging",
    ),
    Statistic(
        "contraction",
        "Contraction",
        "c",
        "",
        "1 − E[σ²] / variance of the stationary prior (1 also under an autoregressive one)",
        "How far the posterior has shrunk from the stationary prior: 0 is the prior, 1 is a point.",
        "D",
        "Schad, Betancourt & Vasishth 2019",
        caveat=(
            "Negative when the posterior is wider than the prior. A contracted neuron can still tell nothing"
            " (frozen)."
        ),
        stored=False,
    ),
    Statistic(
        "kl_above_floor",
        "KL above the floor",
        "KL − δ",
        "nats",
        "KL − Σ_k ½ ln(1 + φ²)",
        "What is paid beyond the least that an autoregressive prior always costs.",
        "D",
        "delta-VAE, Razavi 2019",
        stored=False,
        over_dimensions="sum",
        colors="Cividis",
    ),
    Statistic(
        "half_life",
        "Half-life",
        "t½",
        "t",
        "stride · ln(1/2) / ln|φ̂|, infinite at |φ̂| ≥ 1",
        "After how many positions of the data half of the mean is forgotten.",
        "D",
        "first-order autoregression",
        caveat=(
            "In positions t of the data, never in steps of training. Near φ̂ = 1 its uncertainty is large:"
            " read the interval."
        ),
        stored=False,
        log=True,
    ),
    Statistic(
        "onset",
        "Onset",
        "t₀",
        "steps",
        "first step from which the contraction stays at or beyond a threshold",
        "When the neuron contracted for good.",
        "D",
        "collapse as a phase transition, arXiv 2510.01621",
        caveat="A single later record on the other side moves it: it looks at the whole run so far.",
        stored=False,
        nullable=True,
    ),
    Statistic(
        "half_time",
        "Half-time",
        "t₅₀",
        "steps",
        "first step from which a curve has, for good, done half of its way from its first to its last value",
        "When half of the change was done.",
        "D",
        "collapse as a phase transition, arXiv 2510.01621",
        caveat="Of the run so far: it moves while the curve does.",
        stored=False,
        nullable=True,
    ),
]

STATISTICS: dict[str, Statistic] = {statistic.name: statistic for statistic in _ALL}

FORCES = ("force_mu", "force_sigma", "pull_mu", "pull_sigma")
"""Statistics of `forces/`, one row a term of the loss."""

FORCE_TERMS: dict[str, str] = {
    "nll": "the prediction's negative log likelihood",
    "kl": "every KL, weighted by its beta: also those of deeper layers",
    "band": "penalty on the energy outside its band",
    "ar": "penalty on the means' change along the data",
    "decoder": "the local decoders' log likelihood",
    "total": "the whole loss: what is left when the others cancel",
}
"""Terms whose forces `vdn` records, in this order; another trainer may name its own."""

REQUIRED = ("mean", "variance", "kl", "information", "spread")
"""Statistics that every recorded step of a distributional layer has: a NaN in them is never "not taken"."""


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


REGIMES: tuple[Regime, ...] = (
    Regime(0, "living", "otherwise", "healthy", "nothing to do", palette.LIVING),
    Regime(
        1,
        "non-finite",
        "any NaN or Inf",
        "broken",
        "stop; look at the step before, lower the learning rate",
        palette.BLACK,
    ),
    Regime(
        2,
        "saturated",
        "clamped share > 0.10",
        "the numbers reflect the limit",
        "widen the limits, choose another sigma_init",
        palette.PURPLE,
    ),
    Regime(
        3,
        "exploded",
        "contraction < -0.1",
        "wider than the prior",
        "raise beta, check the prior",
        palette.VERMILLION,
    ),
    Regime(
        4,
        "dead",
        "information < 0.005, contraction < 0.05, |whitened mean| < 0.1; "
        "under an autoregressive prior information < 0.005, KL above its floor < 0.02",
        "posterior = prior",
        "lower beta, use homeostasis",
        palette.GREY,
    ),
    Regime(
        5,
        "offset",
        "information < 0.005, contraction < 0.05",
        "pays KL, tells nothing",
        "centre, lower beta",
        palette.DARK_YELLOW,
    ),
    Regime(
        6,
        "frozen",
        "information < 0.005",
        "certain whatever the input",
        'use sigma "input", lower beta',
        palette.SKY_BLUE,
    ),
    Regime(
        7,
        "deterministic",
        "contraction > 0.99",
        "an ordinary scalar neuron",
        "raise beta, set a sigma floor",
        palette.BLUE,
    ),
    Regime(
        8,
        "over-energetic",
        "variance + spread + mean² > 4, or mu2 above its band by 2 %",
        "ignores the prior's scale",
        "homeostasis, projection",
        palette.ORANGE,
    ),
    Regime(
        9,
        "mixed",
        "active share between 0.1 and 0.9",
        "lives for some inputs",
        "nothing: look at which",
        palette.MINT,
    ),
)
LIVING_REGIMES = (0, 9)
"""Codes that count in the living share: living and mixed."""
