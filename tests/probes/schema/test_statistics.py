"""Every statistic of the registry says what it is, once."""

import pytest

from probes import schema
from probes.families import FAMILIES


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


def test_the_threshold_of_an_active_input_is_the_formulas():
    assert schema.ACTIVE_KL == 0.01
    assert "> floor + 0.01 " in schema.STATISTICS["active_share"].formula
