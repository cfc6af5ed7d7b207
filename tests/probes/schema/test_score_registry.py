"""Every score of the registry says what it is, once."""

import pytest

from probes import schema


@pytest.mark.parametrize("score", schema.SCORES.values(), ids=lambda s: s.name)
def test_every_score_says_what_it_is(score):
    assert all(
        text.strip() == text and text for text in (score.label, score.formula, score.meaning, score.source)
    )
    assert score.meaning.endswith(".")
    assert score.title == (f"{score.label} ({score.unit})" if score.unit else score.label)


def test_the_scores_that_are_looked_for_are_in_the_registry():
    assert {*schema.LIKELIHOODS, *schema.OBJECTIVE} <= set(schema.SCORES)
