"""Reasons show the values of the rule that fired; readings fit what the posteriors are of."""

import math

import pandas as pd
import pytest

from probes import regimes, schema
from probes.families import FAMILIES, family_of

LIVING = {"mean": 0.0, "variance": 0.5, "kl": 0.3, "information": 0.2, "spread": 0.4}


def test_explain_shows_the_values_of_the_rule():
    dead = LIVING | {"information": 0.0012, "variance": 0.99, "mismatch": 0.002}
    reasons = "information 0.0012 < 0.005, contraction 0.01 < 0.05, mismatch 0.002 <= 0.005"
    assert regimes.explain(dead) == f"dead: {reasons}"
    assert regimes.explain(dead | {"settled": 4}) == f"dead: {reasons}"
    assert regimes.explain(dead | {"settled": 10}) == f"at prior: {reasons}"
    assert regimes.explain(dead | {"settled": 0}) == f"living; at this step dead: {reasons}"
    assert "upper limit of the information 0.00132" in regimes.explain(dead | {"rows": 1024})
    few = dead | {"mismatch": 0.3, "kl": 0.301}
    assert regimes.explain(few).startswith("offset: information 0.0012 < 0.005, contraction")
    assert "; of 4 inputs, it may be up to 0.0" in regimes.explain(few | {"rows": 4})
    assert "may be" not in regimes.explain(few | {"rows": 4096}) + regimes.explain(few | {"rows": 1})
    assert "KL above its floor" in regimes.explain(LIVING | {"information": 0.001, "phi": 0.95, "kl": 0.33})
    assert regimes.explain(pd.Series(LIVING | {"kl": math.inf, "step": 3})) == "non-finite: kl inf"
    assert regimes.explain({"step": 1}).startswith("unknown: no information is recorded")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variance": 0.99, "kl": 0.004}, "dead: KL 0.004 < 0.005, contraction 0.01 < 0.05"),
        ({"variance": 2.0, "kl": 1.0}, "exploded: contraction -1 < -0.1"),
        ({"mean": 1.0, "variance": 1.0, "kl": 0.5}, "offset: information 0 < 0.005, contraction 0 < 0.05"),
        ({"variance": 0.9, "kl": 0.00268}, "frozen: information 0 < 0.005"),
        ({"variance": 0.005, "kl": 3.0}, "deterministic: contraction 0.995 > 0.99"),
        (
            {"variance": 0.25, "kl": 3.0, "mu2": 4.0},
            "over-energetic: variance + mean energy 4.25 > 4",
        ),
    ],
)
def test_explain_without_information_says_what_was_recorded_or_what_it_leaves(change, said):
    """What fires by the recorded numbers alone is told by them, and not by what they leave open."""
    assert regimes.explain({"mean": 0.0, **change}) == said


def test_explain_shows_what_a_living_neuron_tells():
    """Of a Gaussian what it says, how wide it is and of how many inputs; of other families by their own."""
    row = {"information": 1.25, "variance": 0.5, "active_share": 0.75, "mismatch": 0.25}
    said = regimes.explain(LIVING | row)
    assert said == "living: no other rule fires (information 1.25, posterior variance 0.5, active share 0.75)"
    beta = family_of({"family": "beta", "prior": "given"})
    row = {"mean": 0.5, "variance": 0.2, "kl": 0.75, "information": 0.5, "mismatch": 0.25}
    said = regimes.explain(row, family=beta)
    assert said == "living: no other rule fires (information 0.5, mismatch 0.25, posterior variance 0.2)"


@pytest.mark.parametrize("of", ["weights", "shared variables"])
def test_what_is_said_of_shared_posteriors_does_not_contradict_itself(of):
    reading, advice = regimes.reading(6, of)
    assert "how it should end" in reading
    assert advice.startswith("nothing")
    assert "input" in regimes.reading(6)[1]  # of activations: let sigma depend on it
    assert regimes.reading(6, "activations") == regimes.reading(6)
    for code in (0, 1, 2, 3, 4, 7):
        assert regimes.reading(code, of) == (schema.REGIMES[code].reading, schema.REGIMES[code].advice)


@pytest.mark.parametrize("family", FAMILIES)
def test_readings_fit_the_family(family):
    of = FAMILIES[family]
    for regime in schema.REGIMES:
        said = " ".join(regimes.reading(regime.code, family=of))
        assert said
        if not family.startswith("gaussian") and regime.code in of.regimes:
            assert "sigma" not in said
        if family == "codes" and regime.code in of.regimes:
            assert "prior" not in said
    draws = family_of({"family": "samples", "prior": "unknown"})
    said = regimes.explain({"mean": 0.1, "variance": 0.3, "spread": 0.1, "rows": 64.0}, family=draws)
    assert said == "unknown: no prior is known; of its variance 0.4, 25 % lies between inputs"
    said = regimes.explain({"mean": 0.1, "variance": 0.1, "spread": 0.3, "rows": 64.0}, family=draws)
    assert said.endswith("of its variance 0.4, 75 % lies between inputs")
    read, advice = regimes.reading(11, family=draws)
    assert "what inputs differ by" in read
    assert advice.startswith("nothing")
    one_draw = regimes.explain({"mean": 0.1, "variance": float("nan"), "rows": 64.0}, family=draws)
    assert one_draw == "unknown: no prior is known"
    assert "state its prior" in regimes.reading(11, family=family_of({"family": "beta", "prior": "unknown"}))
    given = family_of({"family": "beta", "prior": "given"})
    assert regimes.reading(11, family=given) != schema.WITHOUT_PRIOR, "what is missing is not its prior"
    assert regimes.reading(5, "weights", of) == schema.SHARED_READINGS[5]
