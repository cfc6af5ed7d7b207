"""The one registry of what a run log holds: keys, statistics, scores, units, labels, regimes, format version.

Everything that names a statistic takes the name, unit, colour and definition from here: the recorder, the
reader, the figures' labels, the command line, the page Reference and the docs. Adding a statistic is adding
one entry to `STATISTICS`. One that follows from others has its formula in the entry (`derive`); `evaluate` is
all that computes it, of frames, matrices, layer summaries and what canvases draw. No torch, no streamlit, no
pandas.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from probes import palette
from probes.families.gaussian import GAUSSIAN

FORMAT_MAJOR = 1
FORMAT_MINOR = 2
FORMAT_VERSION = f"{FORMAT_MAJOR}.{FORMAT_MINOR}"

KEYS: dict[str, str] = {"step": "int64", "layer": "int16", "neuron": "int32"}
"""Key columns of `neurons/` and their dtypes; rows are unique by them."""

# recorded steps a full block file covers; with ROW_GROUP_NEURONS it serves both reading directions
BLOCK_STEPS = 256
ROW_GROUP_NEURONS = 64
PYRAMID = (16, 256)  # recorded steps a bucket, finest first
ACTIVE_KL = 0.01  # nats above the floor that make an input count as active

FEWEST_ROWS = 2
"""Inputs that a spread needs: of fewer, what moves with the input is null."""

REGIME = "regime"
"""Column of the regime that a row's own numbers say."""
SETTLED = "settled"
"""Column of the regime that the last records agree on (`probes.settling`)."""

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

    `absent`: why a neuron may have no value, in words.

    `derive` is the formula of a derived statistic: its parameters are named after the statistics that it
    needs (one with a default may be absent, which means that statistic's neutral value), `latent_dim` and
    `stride` are the layer's and the run's; arrays that broadcast in, an array out. `monotone` says how the
    result follows its first parameter, all else fixed, from `domain` on: quantiles over neurons and extremes
    over steps then follow from those of that parameter. `linear`: so does the mean. `instead`: where the
    first of these is there, the second takes the first parameter's place, not linearly.
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
    absent: str = ""
    stored: bool = True
    over_dimensions: Literal["sum", "mean"] = "mean"
    neutral: float | None = None
    nullable: bool = False
    colors: Literal["Cividis", "Viridis", "diverging"] = "Viridis"
    log: bool = False
    good: Literal["high", "low"] | None = None
    derive: Callable[..., Any] | None = None
    monotone: Literal["increasing", "decreasing"] | None = None
    domain: float = -np.inf
    linear: bool = False
    instead: tuple[str, str] | None = None

    @property
    def title(self) -> str:
        """Label with its unit, as axes and column heads show it."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def of_family(self, gaussian: bool) -> Statistic:
        """For neurons that are no Gaussians: what is in prior sds of a Gaussian is in their own unit, and a
        Gaussian's formula is no caveat.
        """
        if gaussian or not self.unit.startswith("prior sd"):
            return self
        return replace(self, unit="", caveat=OTHER_CAVEATS.get(self.name, self.caveat))


OTHER_CAVEATS = {"spread": "Alone it says little: it is to be held against the variance within an input."}
"""Statistic -> its caveat of families that are no Gaussian."""
_INTERVAL_FORMULA = (
    "s_j = Σ x (y − φ̂ x), y and x being μ_t and μ_{t−stride} without their series' means. In a batch j is a"
    " pair, over all its dimensions; c = n / (n − series − 1), t has (Σx²)² / Σ_j(Σx²)² degrees of freedom."
    " Of a split j is a block of two horizons of time, all series together; c = G / (G − 1), t has G − 1"
)
_INTERVAL_SOURCE = (
    "White 1980; HC1, MacKinnon & White 1985; degrees of freedom after Satterthwaite 1946; blocks as"
    " clusters, Liang & Zeger 1986"
)
_INTERVAL_CAVEAT = (
    "Covers, of 128 independent pairs, 94 to 96 % (Gaussian, Student's t with 4 degrees of freedom, half of"
    " the inputs active), 93 to 95 % (a quarter), 91 to 93 % (lognormal widths). Blocks: 92 to 94 % on"
    " average from 36 blocks on, 90 % of 20; less, down to 78 %, where series stay correlated over more than"
    " a block, since taking out their means biases the slope. Undefined where fewer than two pairs, or"
    " blocks, carry the slope."
)


_STILL = "the mean does not move, or too few pairs carry the slope"


def _contraction(
    variance: Any,
    prior_variance: Any = 1.0,
    phi: Any = 0.0,
    entropy: Any = np.nan,
    prior_entropy: Any = np.nan,
) -> Any:
    # An autoregressive prior's own variance is that of what is new; its stationary marginal is Normal(0, 1).
    by_variance = 1 - variance / np.where(phi != 0, 1.0, prior_variance)
    if not np.ndim(prior_entropy) and np.isnan(prior_entropy):
        return by_variance
    # classes alike that the entropies are of, less the one that is left of a point
    by_entropy = np.maximum(1 - np.expm1(entropy) / np.expm1(prior_entropy), -1.0)
    return np.where(np.isnan(prior_entropy), by_variance, by_entropy)


def _kl_above_floor(kl: Any, phi: Any, held_information: Any = np.nan, latent_dim: Any = 1) -> Any:
    # A posterior that follows its own past, as those of sequences, may be its prior: the floor is 0.
    return kl - np.where(np.isnan(held_information), GAUSSIAN.kl_floor(phi, latent_dim), 0.0)


def _held_mean(mean: Any, held_information: Any) -> Any:
    return mean + 0 * held_information


def _held_variance(variance: Any, held_information: Any) -> Any:
    return variance + 0 * held_information


def _half_life(persistence: Any, stride: Any = 1) -> Any:
    size = np.abs(persistence)
    return np.where(size >= 1, np.inf, stride * np.log(0.5) / np.log(np.minimum(size, 1)))


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
        "Σ_k ½ ( ln(E[v] + Var[r]) − E[ln v] ), r and v whitened by the prior; of other families"
        " E_b[KL(q_b ‖ q̃)], q̃ having the inputs' mean sufficient statistics",
        "How much the neuron's distribution depends on its input h.",
        "S",
        "maximum-entropy bound on I(h; z_i)",
        caveat=(
            "In layers 2, 3, … h carries the noise that the layers below have drawn: see “Share from"
            " input”. An upper estimate: of Gaussians exact where the mean is Gaussian over the inputs, too"
            " high where it takes few values; of classes exact; of Laplace, Student t and others by mean and"
            " variance. Under an autoregressive prior, of what is new. Rounding leaves about"
            " 1e-6 nats."
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
        "How much the posterior mean moves with its input h.",
        "S",
        "Burda, Grosse & Salakhutdinov 2016, active units",
        caveat=(
            "Alone it says little: at one width, information is ½ ln(1 + spread / variance). In layers 2, 3,"
            " … h carries the noise that the layers below have drawn: see “Share from input”."
        ),
        log=True,
    ),
    Statistic(
        "share_from_input",
        "Share from input",
        "Var_x[μ] / Var[μ]",
        "",
        "Var_x(E[μ|x]) / (Var_x(E[μ|x]) + E_x[Var(μ|x)]), over draws of the layers below",
        "How much of the mean's movement comes from the network's input x and not from sampling below.",
        "P",
        "law of total variance; one-way random effects, without bias",
        caveat=(
            "Of layers 2, 3, …: in the first layer it is 1 and not recorded. From a few draws of each probe"
            " input at the steps of the probe batch; noise may take it below 0."
        ),
        absent="in the first layer it is 1 and not recorded",
        nullable=True,
        good="high",
    ),
    Statistic(
        "mismatch",
        "Mismatch",
        "M",
        "nats",
        "Σ_k KL( Normal(E r, E[v] + Var r) ‖ Normal(0, 1) ); of other families KL(q̃ ‖ p)",
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
            "Memory is what exceeds the input's own slope: overlapping windows alone give a high one. It is"
            " of the mean for the layer's input h, which in layers 2, 3, … carries the noise that the layers"
            " below have drawn, anew at each position: that lowers it."
            " Undefined (NaN) for a mean that does not move and for fewer pairs than series + 2."
        ),
        absent=_STILL,
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
        absent=_STILL,
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
        "φ̂ − t₀.₉₇₅ · sqrt(c Σ_j s_j²) / Σx²; " + _INTERVAL_FORMULA,
        "Lower end of the 95 % interval of the slope.",
        "S",
        _INTERVAL_SOURCE,
        caveat=_INTERVAL_CAVEAT,
        absent=_STILL,
        nullable=True,
        colors="diverging",
    ),
    Statistic(
        "persistence_high",
        "Persistence, upper end",
        "φ̂ high",
        "",
        "φ̂ + t₀.₉₇₅ · sqrt(c Σ_j s_j²) / Σx²; " + _INTERVAL_FORMULA,
        "Upper end of the 95 % interval of the slope.",
        "S",
        _INTERVAL_SOURCE,
        caveat=_INTERVAL_CAVEAT,
        absent=_STILL,
        nullable=True,
        colors="diverging",
    ),
    Statistic(
        "persistence_blocks",
        "Blocks of the interval",
        "G",
        "blocks of time",
        "count of blocks of two horizons of time that hold a pair",
        "Of how many blocks of time the interval of a slope over a whole split is.",
        "S",
        "Liang & Zeger 1986",
        caveat="Only of splits; the interval of a batch takes its pairs for independent.",
        nullable=True,
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
        "width_spread",
        "Spread of widths",
        "h",
        "nats",
        "Σ_k ½ ( ln E[v] − E[ln v] ), v whitened by the prior",
        "How much the width of the posterior differs between inputs: 0 where every input has one width.",
        "S",
        "Jensen's gap of the logarithm",
        caveat=(
            "That widths differ, not that they are of two kinds: a smooth spread of widths counts as well."
            " Part of the information."
        ),
        over_dimensions="sum",
        colors="Cividis",
    ),
    Statistic(
        "rows",
        "Inputs of the batch",
        "B",
        "inputs",
        "count of independent inputs that the row's statistics are over",
        "How much a row's numbers can be trusted: information from few inputs is noisy.",
        "S",
        "sampling theory of a variance",
        caveat=(
            "Absent: taken as unlimited. Below 2, what moves with the input is null. Of sequences the number"
            " that their positions are worth, by their memory."
        ),
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
        "persistence_target",
        "Persistence asked for",
        "φ*",
        "",
        "set-point of the slope φ̂ that training holds the neuron at",
        "What the neuron's persistence is to be: how far the slope is off it says whether it is held.",
        "S",
        "design of this project",
        colors="diverging",
    ),
    Statistic(
        "persistence_weight",
        "Pull on persistence",
        "λ",
        "nats",
        "multiplier of φ̂ in the loss, nats an example and unit of slope",
        "How hard training pushes the slope to its set-point: above 0 up, below 0 down.",
        "S",
        "Stooke et al. 2020, arXiv 2007.03964",
        caveat="At its limit of 1 either way the set-point is out of reach: an event says when.",
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
        "entropy",
        "Entropy",
        "E[H(q)]",
        "nats",
        "E_b[ H(q(z|x_b)) ]",
        "How open one input's posterior is on average: 0 is a single class, ln C all of C classes alike.",
        "S",
        "Shannon 1948",
        caveat="Of a continuous variable it may be negative, and changes with its unit.",
    ),
    Statistic(
        "prior_entropy",
        "Prior entropy",
        "H(p)",
        "nats",
        "H(p)",
        "How open the prior is: of discrete neurons, whose contraction is told by entropies.",
        "S",
        "Shannon 1948",
        nullable=True,
    ),
    Statistic(
        "perplexity",
        "Perplexity",
        "exp H(E[q])",
        "classes",
        "exp H(E_b[q(z|x_b)])",
        "How many classes the neuron uses over the inputs: 1 is a single one, C all of them alike.",
        "S",
        "Jelinek et al. 1977",
        caveat="Of few inputs it is too small: B inputs show at most B classes.",
    ),
    Statistic(
        "usage",
        "Usage",
        "p",
        "share of picks",
        "picks of the code / all picks, over a window of steps",
        "How often a code of a code book was picked; 0 is a dead code.",
        "S",
        "van den Oord, Vinyals & Kavukcuoglu 2017",
        caveat="Of a window of steps, whatever the batch: one of B inputs shows at most B codes.",
        log=True,
    ),
    Statistic(
        "kl_error",
        "KL, standard error",
        "",
        "nats",
        "sd over rows of ln q(z_b|x_b) − ln p(z_b), one draw a row, / √B",
        "How far a KL that is an average over draws may lie from what it estimates.",
        "S",
        "Monte Carlo",
        nullable=True,
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
        "1 − E[σ²] / variance of the stationary prior (1 also under an autoregressive one); of classes"
        " 1 − (exp E[H(q)] − 1) / (exp H(p) − 1), at least −1",
        "How far the posterior has shrunk from the stationary prior: 0 is the prior, 1 is a point.",
        "D",
        "Schad, Betancourt & Vasishth 2019",
        caveat=(
            "Negative when the posterior is wider than the prior. A contracted neuron can still tell nothing"
            " (frozen)."
        ),
        stored=False,
        derive=_contraction,
        monotone="decreasing",
        linear=True,
        instead=("prior_entropy", "entropy"),
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
        derive=_kl_above_floor,
        monotone="increasing",
        linear=True,
    ),
    Statistic(
        "half_life",
        "Half-life if AR(1)",
        "",
        "t",
        "stride · ln(1/2) / ln|φ̂|, infinite at |φ̂| ≥ 1",
        "After how many positions of the data a first-order autoregression would have forgotten half.",
        "D",
        "first-order autoregression",
        caveat=(
            "In positions t of the data, never in steps of training. Means are seldom such: of forecasting"
            " neurons it is twice as long as the half-life that is measured, and another at another stride."
            " Near φ̂ = 1 its uncertainty is large: read the interval."
        ),
        stored=False,
        absent=_STILL,
        nullable=True,
        log=True,
        derive=_half_life,
        monotone="increasing",
        domain=0.0,
    ),
    Statistic(
        "measured_half_life",
        "Half-life",
        "t½",
        "t",
        "first lag at which the autocorrelation of μ over the probe sequence falls below 1/2",
        "After how many positions of the data half of the mean is forgotten.",
        "P",
        "autocorrelation, the bias of the sequence's own mean put back",
        caveat=(
            "In positions t of the data, never in steps of training. Null: longer than a quarter of the"
            " sequence, which is all that it can say. In layers 2, 3, … the noise that the layers below have"
            " drawn shortens it."
        ),
        stored=False,
        absent="it is longer than a quarter of the probe sequence",
        nullable=True,
        log=True,
    ),
    Statistic(
        "mutual_information",
        "Mutual information",
        "I(x; z)",
        "nats",
        "E_b[ ln q(z|x_b) − ln (1/B) Σ_j q(z|x_j) ], z from q(z|x_b), its first bias put back",
        "What the neuron's variable tells about the input, whatever the shape of its means.",
        "P",
        "Poole et al. 2019; He et al. 2019",
        caveat=(
            "Of the probe inputs' posteriors, whose number B limits it: beyond ½ ln B only bounds are known,"
            " and ≥ stands before the lower end of a one-sided 95 % interval."
        ),
        stored=False,
        nullable=True,
        colors="Cividis",
    ),
    Statistic(
        "update_kl",
        "Update",
        "KL(q ‖ q')",
        "nats",
        "E_b[ KL( q_step(z|x_b) ‖ q_previous(z|x_b) ) ]",
        "How far the posteriors have moved on the same inputs since the probe batch was stored before.",
        "P",
        "Kullback-Leibler divergence of Gaussians",
        caveat="Per interval, whatever its length in steps.",
        stored=False,
        absent="no probe batch was stored before",
        nullable=True,
        log=True,
    ),
    Statistic(
        "wasserstein2",
        "Drift",
        "W₂²",
        "prior sd²",
        "E_b[ (μ − μ')² + (σ − σ')² ]",
        "How far the posteriors have moved, as a distance, since the probe batch was stored before.",
        "P",
        "squared 2-Wasserstein distance of Gaussians",
        caveat="Per interval, whatever its length in steps.",
        stored=False,
        absent="no probe batch was stored before",
        nullable=True,
        log=True,
    ),
    Statistic(
        "index_code_information",
        "Index-code information",
        "I(x; z)",
        "nats",
        "E_b[ ln q(z|x_b) − ln q(z) ], q(z) = (1/B) Σ_j q(z|x_j), z of all neurons from q(z|x_b)",
        "What a layer's neurons tell together about the input: a part of the layer's rate.",
        "P",
        "Hoffman & Johnson 2016; Chen et al. 2018",
        caveat=(
            "Of the B inputs of the probe batch, an exact mixture: never above ln B. Beyond ½ ln B a lower"
            " bound, ≥, and the total correlation an upper one; their sum is told all the same. In layers 2,"
            " 3, … about the input h, which carries the noise of the layers below."
        ),
        stored=False,
        over_dimensions="sum",
        nullable=True,
        colors="Cividis",
    ),
    Statistic(
        "total_correlation",
        "Total correlation",
        "TC",
        "nats",
        "KL( q(z) ‖ Π_i q(z_i) ) = Σ_i I(x; z_i) − I(x; z)",
        "How much a layer's neurons depend on each other over the inputs: what several tell is counted for"
        " each.",
        "P",
        "Watanabe 1960; Chen et al. 2018, β-TCVAE",
        caveat=(
            "Against the exact mixture of the probe inputs, not by minibatch-weighted estimators. Where the"
            " index-code information is at its ceiling an upper bound, ≤. Slightly below 0 by chance."
        ),
        stored=False,
        over_dimensions="sum",
        nullable=True,
        colors="Cividis",
    ),
    Statistic(
        "dimension_wise_kl",
        "Dimension-wise KL",
        "Σ KL(q(z_i) ‖ p)",
        "nats",
        "Σ_i KL( q(z_i) ‖ p(z_i) ) = rate − Σ_i I(x; z_i)",
        "What is paid because single neurons' aggregates are not their prior, whatever their shape.",
        "P",
        "Chen et al. 2018",
        caveat=(
            "The mismatch of neurons without its Gaussian: it sees aggregates of several modes. Under an"
            " autoregressive prior against the stationary marginal Normal(0, 1), which is not what is paid."
        ),
        stored=False,
        over_dimensions="sum",
        nullable=True,
        colors="Cividis",
        good="low",
    ),
    Statistic(
        "sliced_wasserstein",
        "Sliced Wasserstein",
        "SW₂",
        "prior sd",
        "sqrt E_θ[ W₂²( θ·z, Normal(0, 1) ) ], z from q(z|x_b), one an input; θ one of 64 random directions",
        "How far a layer's aggregate posterior is from the prior, as a distance along random directions.",
        "P",
        "Bonneel et al. 2015; Kolouri et al. 2019",
        caveat=(
            "Above 0 for samples of the prior too: beside it stands the limit below which 95 % of sets of as"
            " many lie. Of many neurons a direction mixes all, so that one neuron that is off hardly shows."
        ),
        stored=False,
        nullable=True,
        good="low",
    ),
    Statistic(
        "mmd",
        "Maximum mean discrepancy",
        "MMD²",
        "",
        "E k(z, z') − 2 E k(z, u) + E k(u, u'), z from the posteriors of different inputs, u from the prior;"
        " k = exp(−|z − z'|² / (2 N)) of N neurons",
        "How far a layer's aggregate posterior is from the prior, by a kernel.",
        "P",
        "Gretton et al. 2012; Zhao, Song & Ermon 2019",
        caveat=(
            "Without bias, hence below 0 by chance; beside it the limit below which 95 % of sets of as many"
            " samples of the prior lie. The kernel's squared width is the number of neurons: values of layers"
            " of different widths do not compare."
        ),
        stored=False,
        nullable=True,
        good="low",
    ),
    Statistic(
        "active_units",
        "Active units",
        "AU",
        "neurons",
        "count of neurons with Var_x(E[z_i|x]) > 0.01",
        "How many neurons' means move with the input, as the literature counts.",
        "D",
        "Burda, Grosse & Salakhutdinov 2016",
        caveat=(
            "For comparison with publications: the threshold of 0.01 prior sd² is theirs, whatever the width"
            " of the posterior, and the variance is over the inputs of a batch. Living neurons, as counted"
            " here, tell at least 0.005 nats of their input and fall under no other regime."
        ),
        stored=False,
        good="high",
    ),
    Statistic(
        "onset",
        "Onset",
        "t₀",
        "steps",
        "first step at which the contraction, smoothed over records before and after, reaches a threshold",
        "When the neuron left its prior.",
        "D",
        "collapse as a phase transition, arXiv 2510.01621",
        caveat=(
            "Not for good: whether the end of the run is back on the other side is said beside it. Smoothing"
            " (half-life 16 records, or 1 % of fewer than 1,600) finds a sudden change early at a threshold"
            " far below half of it."
        ),
        stored=False,
        nullable=True,
    ),
    Statistic(
        "half_time",
        "Half-time",
        "t₅₀",
        "steps",
        "first step at which a curve, smoothed over records before and after, is half-way from its first"
        " value to the median of its last 5 %",
        "When half of the change was done.",
        "D",
        "collapse as a phase transition, arXiv 2510.01621",
        caveat=(
            "Of the run so far: it moves while the curve does. Null where the change is less than 5 times"
            " what the curve does over 5 % of the run anyway."
        ),
        stored=False,
        nullable=True,
    ),
    Statistic(
        "held_information",
        "Held information",
        "I held",
        "nats",
        "Σ_k ½ ( ln(E[V] + Var[m]) − E[ln V] ), of the belief Normal(m_t, V_t)",
        "What the neuron of a sequence knows at a position, whenever it was paid for.",
        "S",
        "maximum-entropy bound; exact belief of a gated linear recurrence",
        caveat=(
            "Against the stationary prior Normal(0, 1): of it the neuron pays at each position only what is"
            " new, its information. Only of neurons whose state is carried along t."
        ),
        absent="the layer's neurons carry no state along a sequence",
        over_dimensions="sum",
        neutral=np.nan,
        nullable=True,
        colors="Cividis",
    ),
    Statistic(
        "held_mismatch",
        "Held mismatch",
        "M held",
        "nats",
        "Σ_k KL( Normal(E m, E[V] + Var m) ‖ Normal(0, 1) )",
        "How far what the neuron of a sequence holds is from its stationary prior, over all positions.",
        "S",
        "ELBO surgery, Hoffman & Johnson 2016",
        absent="the layer's neurons carry no state along a sequence",
        over_dimensions="sum",
        nullable=True,
        colors="Cividis",
        good="low",
    ),
    Statistic(
        "gate",
        "Gate",
        "E[g]",
        "",
        "E_t[g_t], z_t = (1 − g) z_{t−1} + g c + σ ε",
        "How much of its state the neuron of a sequence replaces at a position, on average.",
        "S",
        "gated linear recurrence",
        absent="the layer's neurons carry no state along a sequence",
        nullable=True,
    ),
    Statistic(
        "held_mean",
        "Held mean",
        "E[m]",
        "prior sd",
        "E_t[m_t], of the belief Normal(m_t, V_t)",
        "Where what the neuron of a sequence holds sits: its posterior mean.",
        "D",
        "exact belief of a gated linear recurrence",
        stored=False,
        absent="the layer's neurons carry no state along a sequence",
        nullable=True,
        colors="diverging",
        derive=_held_mean,
        monotone="increasing",
        linear=True,
    ),
    Statistic(
        "held_variance",
        "Held variance",
        "E[V]",
        "prior sd²",
        "E_t[V_t], of the belief Normal(m_t, V_t)",
        "How uncertain what the neuron of a sequence holds is: 1 is the prior; its posterior variance.",
        "D",
        "exact belief of a gated linear recurrence",
        stored=False,
        absent="the layer's neurons carry no state along a sequence",
        nullable=True,
        log=True,
        derive=_held_variance,
        monotone="increasing",
        linear=True,
    ),
]

STATISTICS: dict[str, Statistic] = {statistic.name: statistic for statistic in _ALL}

PROBED = ("mutual_information", "update_kl", "wasserstein2", "measured_half_life")
"""Statistics of the posteriors that a run stores of its probe batch: `analysis.probe_statistics`."""

OF_LAYERS = (
    "index_code_information",
    "total_correlation",
    "dimension_wise_kl",
    "sliced_wasserstein",
    "mmd",
    "active_units",
)
"""Statistics of a whole layer, not of its neurons: `analysis.aggregate`."""

FORCES = ("force_mu", "force_sigma", "pull_mu", "pull_sigma")
"""Statistics of `forces/`, one row a term of the loss."""

SEQUENCE = ("m", "V", "mu", "sigma", "kl")
"""Columns of `sequence/`: belief, one draw's conditional, and KL of a neuron at a position."""

FORCE_TERMS: dict[str, str] = {
    "nll": "the prediction's negative log likelihood",
    "kl": "every KL, weighted by its beta: also those of deeper layers",
    "band": "penalty on the energy outside its band",
    "ar": "penalty on the means' change along the data",
    "persistence": "multipliers that hold the neurons' slopes at their set-points",
    "decoder": "the local decoders' log likelihood",
    "total": "the whole loss: what is left when the others cancel",
}
"""Terms whose forces `vdn` records, in this order; another trainer may name its own."""

LAYER_STATISTICS: dict[str, str] = {
    "joint_kl": "KL of the layer's joint posterior from its prior, nats",
    "coupling": "joint KL less the sum of its neurons' marginal KL, nats: what their dependence costs",
    "perplexity": "exp of the entropy of a code book's usage over its window, codes",
    "dead_codes": "codes that the window of a code book's usage does not hold, codes",
    "window": "picks that a code book's usage is over",
}
"""Numbers of a whole layer at a step: columns `layer_NAME` of `layers/`."""


def layer_column(name: str) -> str:
    """Column of `layers/` that holds one of `LAYER_STATISTICS`."""
    return f"layer_{name}"


SETTINGS = ("latent_dim", "stride")
"""Parameters of `Statistic.derive` that are no statistics."""
OPPOSITE = {"min": "max", "max": "min", "p05": "p95", "p25": "p75", "p75": "p25", "p95": "p05"}
"""Kind of a reduced column -> the kind that it is after a decreasing function; others stay."""
AGREEMENT = 1e-4
"""Relative: by how much a derived quantile may depend on which quantile of another input it is taken at."""


@functools.cache
def inputs_of(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Statistics that a derived statistic needs, and those that it takes into account where they are there.

    A statistic without `derive` needs itself alone. Raises KeyError for a name that is not in the registry.
    """
    formula = STATISTICS[name].derive
    if formula is None:
        return (name,), ()
    parameters = [p for p in inspect.signature(formula).parameters.values() if p.name not in SETTINGS]
    needed = tuple(p.name for p in parameters if p.default is p.empty)
    return needed, tuple(p.name for p in parameters if p.default is not p.empty)


def derivable(held: Iterable[str]) -> list[str]:
    """Names of the derived statistics that follow from those that are held, in the registry's order."""
    known = set(held)
    return [
        name
        for name, statistic in STATISTICS.items()
        if statistic.derive is not None
        and name not in known
        and any(known.issuperset(enough) for enough in (inputs_of(name)[0], statistic.instead) if enough)
    ]


def with_inputs(names: Iterable[str], held: Iterable[str]) -> list[str]:
    """What has to be read of the statistics that are held so that `names` can be evaluated, each once."""
    known = set(held)
    needed: dict[str, None] = {}
    for name in names:
        parts = ((name,),) if name in known or name not in STATISTICS else inputs_of(name)
        needed |= dict.fromkeys(one for part in parts for one in part if one in known)
    return list(needed)


def absent_reason(name: str) -> str:
    """Why a neuron may have no value of a statistic, in words.

    Parameters
    ----------
    name : str
        A statistic of the registry.

    Returns
    -------
    str
        Without a capital and a full stop.
    """
    return STATISTICS[name].absent or "its batch had fewer than two inputs, or the neuron is not finite"


def evaluate(
    name: str,
    columns: Mapping[str, Any] | Any,
    kind: str = "",
    *,
    latent_dim: Any = 1,
    stride: Any = 1,
    standard: Any = True,
) -> NDArray[np.float64]:
    """A statistic of rows that hold it, or hold what it derives from.

    Parameters
    ----------
    name : str
        A statistic of the registry.
    columns : mapping or DataFrame
        Names to arrays of one shape: rows of `neurons/`, matrices, or reduced columns NAME_KIND.
    kind : str
        "" for the columns as named. "mean", "p05" .. "p95": NAME_KIND over neurons, as in `layers/`. "min",
        "max": NAME_KIND over the steps of a bucket, as in `pyramid/`.
    latent_dim, stride
        K of each row's layer, and positions of the data between the ends of a slope.
    standard
        Whether an absent prior variance means 1 (`families.standard_prior` of each row's layer); else what
        hangs on it is NaN.

    Returns
    -------
    ndarray
        float64, of the columns' shape. NaN where an input is, and where a reduced value does not follow from
        reduced inputs: inputs other than the first differ between neurons or steps, a mean of what is not
        linear, a quantile outside of `Statistic.domain`. Optional inputs that are null count as absent.

    Raises
    ------
    KeyError
        For a name that is not in the registry, or inputs that are not there.
    """
    own = f"{name}_{kind}" if kind else name
    if own in columns:
        return as_floats(columns[own])
    statistic = STATISTICS[name]
    if statistic.derive is None:
        raise KeyError(f"no column {own!r}, and {name!r} derives from no others")
    needed, optional = inputs_of(name)
    settings = {"latent_dim": latent_dim, "stride": stride}
    settings = {key: settings[key] for key in _settings_of(name)}
    if not kind:
        inputs = {one: _input(one, (one,), columns, one in needed, standard) for one in (*needed, *optional)}
        return _apply(statistic, {one: values[0] for one, values in inputs.items()}, settings)
    found = _reduced(name, columns, kind, settings, standard, needed[0])
    if statistic.instead is None or f"{statistic.instead[0]}_{kind}" not in columns:
        return found
    other = _reduced(name, columns, kind, settings, standard, statistic.instead[1])
    return np.where(np.isnan(as_floats(columns[f"{statistic.instead[0]}_{kind}"])), found, other)


def _reduced(
    name: str, columns: Mapping[str, Any], kind: str, settings: Mapping[str, Any], standard: Any, first: str
) -> NDArray[np.float64]:
    """As `evaluate`, of reduced columns, followed along one of the inputs."""
    statistic = STATISTICS[name]
    needed, optional = inputs_of(name)
    source = OPPOSITE.get(kind, kind) if statistic.monotone == "decreasing" else kind
    (values,) = _input(first, (f"{first}_{source}",), columns, first in needed, standard)
    linear = statistic.linear and first in needed
    if statistic.monotone is None or (kind == "mean" and not linear):
        return np.full_like(values, np.nan)
    # It follows where it does not matter at which of their own reduced values the other inputs are taken.
    bounds = ("min", "max") if kind in ("min", "max") else ("mean", "p05", "p95")
    beside = {
        one: _input(one, (*(f"{one}_{bound}" for bound in bounds), one), columns, one in needed, standard)
        for one in (*needed, *optional)
        if one != first
    }
    results = [
        _apply(
            statistic,
            {first: values} | {one: held[place % len(held)] for one, held in beside.items()},
            settings,
        )
        for place in range(len(bounds))
    ]
    with np.errstate(invalid="ignore"):
        scale = AGREEMENT * np.maximum(np.abs(results[0]), 1e-3)
        follows = np.logical_and.reduce([~(np.abs(other - results[0]) > scale) for other in results[1:]])
        lowest = next((low for low in (f"{first}_p05", f"{first}_min") if low in columns), None)
        if lowest is not None:
            follows &= ~(as_floats(columns[lowest]) < statistic.domain)
    return np.where(follows, results[0], np.nan)


@functools.cache
def _settings_of(name: str) -> tuple[str, ...]:
    formula = STATISTICS[name].derive
    return tuple(key for key in SETTINGS if formula and key in inspect.signature(formula).parameters)


def _input(
    name: str, sources: Iterable[str], columns: Mapping[str, Any], needed: bool, standard: Any
) -> list[NDArray[np.float64]]:
    """An input's values from those of its columns that are there; where it may be absent, its neutral
    value.
    """
    neutral: Any = STATISTICS[name].neutral
    found = [as_floats(columns[source]) for source in sources if source in columns]
    if not found and needed and not _stands_in(name, columns):
        raise KeyError(f"{' or '.join(sources)} is needed")
    if needed or neutral is None:
        return found or [np.asarray(np.nan)]
    if name == "prior_variance":
        neutral = np.where(standard, neutral, np.nan)
    return [np.where(np.isnan(values), neutral, values) for values in found] or [np.asarray(neutral, float)]


def _stands_in(name: str, columns: Mapping[str, Any]) -> bool:
    """Whether what takes the place of a needed input is there, in whatever reduced form."""
    instead = [
        statistic.instead
        for statistic in STATISTICS.values()
        if statistic.instead and name in inputs_of(statistic.name)[0]
    ]
    return any(
        all(any(column == one or column.startswith(f"{one}_") for column in columns) for one in pair)
        for pair in instead
    )


def _apply(
    statistic: Statistic, inputs: Mapping[str, Any], settings: Mapping[str, Any]
) -> NDArray[np.float64]:
    assert statistic.derive is not None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(statistic.derive(**inputs, **settings), np.float64)


def as_floats(column: Any) -> NDArray[np.float64]:
    """A column of a frame, table or mapping as float64, its nulls as NaN."""
    if isinstance(column, np.ndarray):
        return column.astype(np.float64, copy=False)
    if hasattr(column, "to_numpy"):
        return np.asarray(column.to_numpy(dtype=float, na_value=np.nan), np.float64)
    return np.asarray(column, np.float64)


@dataclass(frozen=True)
class Score:
    """What a score of predictions is, said once. Scores are scalars of a log, `split/name`.

    `unit` is that of an average over predictions; `good` the direction of "good",
    "level" where the share named in
    the score is; `source` who defined it. `vdn.scores` computes those of Gaussian mixtures.
    """

    name: str
    label: str
    unit: str
    formula: str
    meaning: str
    good: Literal["low", "high", "level"]
    source: str

    @property
    def title(self) -> str:
        """Label with its unit, as axes and column heads show it."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def short_unit(self) -> str:
        """The unit where it is the same for all data, as cards show it."""
        return "" if "target" in self.unit else self.unit


COVERAGE_LEVELS = (50, 80, 95)
"""Central intervals whose coverage is recorded, in per cent."""

_SCORES = [
    Score(
        "nll_joint",
        "NLL",
        "nats",
        "−ln[(1/S) Σ_s Π_h p_sh(y_h)] / H",
        "How unlikely the targets of an example were together, a predicted number; the mixture of S draws.",
        "low",
        "logarithmic score, Gneiting & Raftery 2007",
    ),
    Score(
        "nll_marginal",
        "Marginal NLL",
        "nats",
        "−mean_h ln[(1/S) Σ_s p_sh(y_h)]",
        "How unlikely each target was for itself, whatever the others.",
        "low",
        "logarithmic score, Gneiting & Raftery 2007",
    ),
    Score(
        "nll", "NLL", "nats", "−ln p(y)", "How unlikely the targets were.", "low", "Gneiting & Raftery 2007"
    ),
    Score(
        "crps",
        "CRPS",
        "target's unit",
        "E|Y − y| − ½ E|Y − Y'|, Y and Y' drawn from the prediction",
        "How far the predictive distribution lies from the target, exactly for mixtures of Gaussians.",
        "low",
        "Grimit, Gneiting, Berrocal & Johnson 2006",
    ),
    Score(
        "energy",
        "Energy score",
        "target's unit",
        "E‖Y − y‖ − ½ E‖Y − Y'‖, Y and Y' trajectories drawn from the prediction",
        "How far the prediction of a whole trajectory lies from the one that came, dependence between its"
        " numbers included; one trajectory a draw (64 of a single draw), without bias. Of one number it is"
        " the CRPS.",
        "low",
        "Gneiting & Raftery 2007; fair, Ferro 2014",
    ),
    Score(
        "mse",
        "Squared error",
        "target's unit²",
        "(ȳ − y)²",
        "Of the mean over draws.",
        "low",
        "least squares",
    ),
    Score(
        "mae",
        "Absolute error",
        "target's unit",
        "|ȳ − y|",
        "Of the mean over draws.",
        "low",
        "least absolute values",
    ),
    Score("accuracy", "Accuracy", "share", "1[argmax p = y]", "Share of right classes.", "high", "0-1 loss"),
    Score(
        "ece",
        "ECE",
        "share",
        "Σ_b n_b/n |accuracy_b − confidence_b| over 15 bins b of confidence with equally many examples",
        "How far confidence is from accuracy on average; above 0 for a calibrated classifier too: below"
        " ece_null_95 it is no sign of miscalibration.",
        "low",
        "Guo et al. 2017; bins of equal counts, Roelofs et al. 2022",
    ),
    Score(
        "ece_null",
        "ECE if calibrated",
        "share",
        "mean of ECE over answers that are right with the probability of their confidence",
        "What the ECE would be, with the same confidences, of a perfectly calibrated classifier.",
        "low",
        "simulated, 1,000 sets of answers",
    ),
    Score(
        "ece_null_95",
        "ECE if calibrated, 95 % below",
        "share",
        "95th percentile of ECE over answers that are right with the probability of their confidence",
        "Up to here the ECE of a calibrated classifier lies in 95 % of the test sets of this size.",
        "low",
        "simulated, 1,000 sets of answers",
    ),
    Score(
        "brier",
        "Brier score",
        "",
        "Σ_c (p_c − 1[y = c])²",
        "Squared error of class probabilities, summed over classes: 0 to 2.",
        "low",
        "Brier 1950",
    ),
    Score(
        "error",
        "Error",
        "",
        "as the experiment defines it",
        "A loss that the user handed over.",
        "low",
        "the user",
    ),
    Score(
        "loss",
        "Loss",
        "",
        "as the training loop computes it",
        "What training minimises.",
        "low",
        "the training loop",
    ),
    *(
        Score(
            f"coverage_{level}",
            f"Coverage of the {level} % interval",
            "share",
            f"1[y within the central {level} % interval]",
            f"Share of targets within it: {level / 100:g} where predictions are calibrated.",
            "level",
            "calibration, Gneiting, Balabdaoui & Raftery 2007",
        )
        for level in COVERAGE_LEVELS
    ),
    Score(
        "pit",
        "PIT",
        "share",
        "F(y), F the predictive distribution, its few draws widened by √((S + 1)/(S − 1))",
        "Uniform where predictions are calibrated: all bins of its histogram then lie in the band at once in"
        " 95 % of batches. Such batches are simulated, with the dependence between horizons, and between"
        " inputs of one block of time, that the batch shows.",
        "level",
        "Dawid 1984; Gneiting, Balabdaoui & Raftery 2007",
    ),
    Score(
        "bits",
        "Bits",
        "bits",
        "NLL / ln 2",
        "How unlikely the next symbols were, in bits a symbol.",
        "low",
        "Shannon 1948",
    ),
    Score(
        "draw_information",
        "Information of a draw",
        "nats",
        "H(mean_s p_s) − mean_s H(p_s) of the next symbol's distribution",
        "How much of the uncertainty about the next symbol lies between draws of the neurons.",
        "level",
        "mutual information of draw and symbol, Houlsby et al. 2011",
    ),
]

SCORES: dict[str, Score] = {score.name: score for score in _SCORES}
"""Every score by the name of its scalar."""

LIKELIHOODS = ("nll_joint", "nll")
"""Names that the negative log likelihood goes by in logs: the first that a run has is shown."""
OBJECTIVE = ("loss", "nll", "nll_joint")
"""Scalars that training minimises or is judged by."""


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
