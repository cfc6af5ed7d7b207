"""The registry is complete, and the rules' words are the rules' numbers."""

import dataclasses
import re

import pytest

from probes import schema
from probes.families import FAMILIES
from probes.regimes import Thresholds


@pytest.mark.parametrize("statistic", schema.STATISTICS.values(), ids=lambda s: s.name)
def test_every_statistic_says_what_it_is(statistic):
    for text in (statistic.label, statistic.formula, statistic.meaning, statistic.source):
        assert text.strip() == text
        assert text
    assert statistic.meaning.endswith(".")
    assert not statistic.caveat or statistic.caveat.endswith(".")
    assert statistic.cost in schema.COSTS
    # what needs the probe batch is a column, null at other steps, or computed from the stored posteriors
    probed = statistic.nullable or not statistic.stored
    assert {"S": statistic.stored, "P": probed, "D": not statistic.stored}[statistic.cost]


def test_names_and_labels_are_used_once():
    assert len({s.label for s in schema.STATISTICS.values()}) == len(schema.STATISTICS)
    assert not set(schema.STATISTICS) & (set(schema.KEYS) | {"regime"})
    assert all(set(family.required) <= set(schema.STATISTICS) for family in FAMILIES.values())
    assert set(schema.FORCES) <= {
        name for name, statistic in schema.STATISTICS.items() if statistic.cost == "P"
    }


def test_information_and_kl_are_sums_in_nats():
    for name in ("kl", "information", "mismatch", "past", "kl_above_floor", "width_spread"):
        assert schema.STATISTICS[name].unit == "nats"
        assert schema.STATISTICS[name].over_dimensions == "sum"


def test_regimes():
    assert [regime.code for regime in schema.REGIMES] == list(range(12))
    assert (
        len({regime.name for regime in schema.REGIMES})
        == len({regime.color for regime in schema.REGIMES})
        == 12
    )
    assert all(re.fullmatch("#[0-9A-F]{6}", regime.color) for regime in schema.REGIMES)


def test_the_words_of_the_rules_hold_the_limits_of_the_rules():
    words = " ".join(regime.rule for regime in schema.REGIMES)
    said = {float(number) for number in re.findall(r"-?\d+\.?\d*", re.sub("mean²|mu2", "", words))}
    limits = dataclasses.asdict(Thresholds())
    for name in ("band_tolerance", "confidence"):  # said in per cent
        limits[name] *= 100
    assert set(limits.values()) == said


def test_the_threshold_of_an_active_input_is_the_formulas():
    assert schema.ACTIVE_KL == 0.01
    assert "> floor + 0.01 " in schema.STATISTICS["active_share"].formula


@pytest.mark.parametrize("score", schema.SCORES.values(), ids=lambda s: s.name)
def test_every_score_says_what_it_is(score):
    assert all(
        text.strip() == text and text for text in (score.label, score.formula, score.meaning, score.source)
    )
    assert score.meaning.endswith(".")
    assert score.title == (f"{score.label} ({score.unit})" if score.unit else score.label)


def test_the_scores_that_are_looked_for_are_in_the_registry():
    assert {*schema.LIKELIHOODS, *schema.OBJECTIVE} <= set(schema.SCORES)
