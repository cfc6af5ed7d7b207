"""Every score of predictions: label, unit, formula, direction, source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
