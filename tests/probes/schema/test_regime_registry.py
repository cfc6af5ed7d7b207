"""The regimes: the rules' words are the rules' numbers."""

import dataclasses
import re

from probes import schema


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
    limits = dataclasses.asdict(schema.Thresholds())
    for name in ("band_tolerance", "confidence"):  # said in per cent
        limits[name] *= 100
    assert set(limits.values()) == said
