"""Statistics that are no columns of `neurons/`: those that derive from others, by a formula in their entry,
and those of the loss's terms, of the probe batch, of whole layers and of whole runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from probes.families.gaussian import GAUSSIAN
from probes.schema.statistic import STILL, Statistic


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


def _half_life(persistence: Any, stride: Any = 1) -> Any:
    size = np.abs(persistence)
    return np.where(size >= 1, np.inf, stride * np.log(0.5) / np.log(np.minimum(size, 1)))


DERIVED = [
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
        absent=STILL,
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
]
