"""Searching the registry of statistics, scores and regimes."""

from __future__ import annotations

from probes.families import FAMILIES, Family
from probes.families.gaussian import GAUSSIAN_UNKNOWN_PRIOR
from probes.schema import REGIMES, SCORES, STATISTICS, Regime, Score, Statistic

SUPPORTS = {
    "real": "the line", "positive": "z > 0", "unit": "0 to 1", "circle": "an angle", "counts": "0, 1, 2, …",
    "classes": "classes",
}  # fmt: skip
"""Supports of families, in words."""
WORDS = {
    "neuron": "A latent variable of the network, whose value is a distribution; of a VAE a latent dimension."
    " Written layer:neuron, so 2:56 is neuron 56 of layer 2.",
    "prior, posterior": "The distribution that a neuron has before it sees an input, and the one that it has"
    " after: Normal(μ, σ²) in most networks, μ and σ computed from the input. A neuron that learns nothing"
    " stays at its prior.",
    "aggregate": "The posteriors of all inputs mixed, as if it were not known which input is there.",
    "nat": "The unit of information with natural logarithms: 1 nat is 1.44 bits. A loss in nats falls by 1"
    " where what came was 2.7 times as probable.",
    "rate, distortion": "The two parts of the loss: what all neurons pay for leaving their priors (their KL,"
    " added up) and how badly the output fits (its NLL). The loss is distortion + β × rate.",
    "what a neuron tells, what it pays": "It pays its KL. Of that, information is what its distribution tells"
    " of the input; mismatch is paid for nothing, since it moves the neuron in the same way for all"
    " inputs.",
    "living, collapsed": "A neuron lives where it tells something of its input; one that is back at its prior"
    " is dead, and a layer of such neurons has collapsed. The regimes below say it exactly.",
    "held": "Of a sequence: what a neuron has kept of all positions so far. Of an experiment: a neuron whose"
    " value is set by hand, whatever the input.",
    "cursor": "The step of training that all pages show; a click on a figure over steps, or the slider of"
    " Replay, moves it.",
    "probe batch": "A few inputs that are looked at again and again during training, always the same.",
}  # fmt: skip
"""Words that all pages use and that are no statistic -> what they mean."""


def families(search: str) -> list[Family]:
    """Families in whose names and parameters the search occurs, in any case; all for an empty one."""
    wanted = search.strip().lower()
    return [
        family
        for family in FAMILIES.values()
        if family is not GAUSSIAN_UNKNOWN_PRIOR
        and wanted in f"family {family.name} {family.label} {' '.join(family.parameters)}".lower()
    ]


def contraction_by(family: Family) -> str:
    """What its contraction is told by, in words."""
    if family.by_entropy:
        return "entropy"
    return "variance" if "variance" in family.required else "–"


def words(search: str) -> dict[str, str]:
    """Words in which, or in whose meaning, the search occurs, in any case; all for an empty one."""
    wanted = search.strip().lower()
    return {word: said for word, said in WORDS.items() if wanted in f"{word} {said}".lower()}


def find(search: str) -> tuple[list[Statistic], list[Regime], list[Score]]:
    """Statistics, regimes and scores in whose texts the search occurs, in any case; all for an empty one."""
    wanted = search.strip().lower()

    def matches(*texts: str) -> bool:
        return any(wanted in text.lower() for text in texts)

    statistics = [
        s
        for s in STATISTICS.values()
        if matches(s.name, s.label, s.symbol, s.unit, s.meaning, s.formula, s.source, s.caveat)
    ]
    regimes = [r for r in REGIMES if matches(r.name, r.rule, r.reading, r.advice)]
    scores = [s for s in SCORES.values() if matches(s.name, s.label, s.unit, s.meaning, s.formula, s.source)]
    return statistics, regimes, scores
