"""Features of positions, and what neurons go with: planted truth is found, and a null does not fire."""

from __future__ import annotations

import json

import numpy as np
import pytest

from probes.analysis import sequence_features as features

T = 256
TEXT = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll: Speak, speak!\n"


def autoregression(phi: float, count: int, seed: int, length: int = T) -> np.ndarray:
    """(length, count) of stationary first-order autoregressions."""
    noise = np.random.default_rng(seed).standard_normal((length + 500, count))
    values = np.zeros_like(noise)
    for t in range(1, len(noise)):
        values[t] = phi * values[t - 1] + np.sqrt(1 - phi**2) * noise[t]
    return values[500:]


def test_features_of_a_text() -> None:
    found = features.features(features.read_positions(list(TEXT)))
    at = TEXT.index("Before")
    assert found["line's end"][at - 1] == 1
    assert found["line's start"][at] == 1
    assert found["position in line"][at : at + 3].tolist() == [0, 1, 2]
    assert found["upper case"][at : at + 2].tolist() == [1, 0]
    assert found["inside a word"][at : at + 7].tolist() == [0, 1, 1, 1, 1, 1, 0]
    assert found["vowel"][at + 1] == 1
    comma = TEXT.index(",")
    assert (found["punctuation"][comma], found["after punctuation"][comma + 1]) == (1, 1)
    assert found["space"][comma + 1] == 1
    assert "length" not in found  # of tokens that are all one character


def test_tokens_of_several_characters_have_a_length() -> None:
    words = ["The", " ", "cat", " ", "sat", ".", "\n", "And", " ", "dogs", "!", "\n"] * 4
    found = features.features(features.read_positions(words))
    assert found["length"][:3].tolist() == [3, 1, 3]
    assert found["upper case"].sum() == 8
    assert found["punctuation"].sum() == 8


def test_features_of_chords_and_signals() -> None:
    chords = features.read_positions(["60 64 67", "62 65", "", "62 65"] * 8, chords=True)
    assert chords.kind == "chords"
    found = features.features(chords)
    assert found["number of voices"][:4].tolist() == [3, 2, 0, 2]
    assert found["first beat of the bar"][:5].tolist() == [1, 0, 0, 0, 1]
    assert np.isfinite(found["top pitch"]).all()
    values = np.random.default_rng(0).standard_normal(40)
    signal = features.read_positions([json.dumps([value]) for value in values])
    assert signal.kind == "signal"
    found = features.features(signal)
    np.testing.assert_allclose(found["value"], values)
    np.testing.assert_allclose(found["change"][1:], np.diff(values))


@pytest.mark.parametrize(
    "odd", [["[1]", "[1, 2]"], ["[1]", "[]"], ["[true]", "[false]"], ["[", "1"], ["5", "7"]]
)
def test_what_is_no_row_of_numbers_is_a_text(odd: list[str]) -> None:
    assert features.read_positions(odd).kind == "text"
    assert features.read_positions(["60 6x"], chords=True).kind == "text"


def test_what_hardly_varies_is_no_feature() -> None:
    assert "line's end" not in features.features(features.read_positions(list("abc\n" + "abc " * 20)))


def test_a_planted_neuron_is_found_and_the_others_are_not() -> None:
    random = np.random.default_rng(1)
    columns = {f"feature {k}": (random.random(T) < 0.15).astype(float) for k in range(6)}
    neurons = autoregression(0.9, 20, seed=2)
    neurons[:, 7] += 2 * columns["feature 3"]
    found = features.associations(neurons, columns, permutations=499)
    assert found.correlation[7, 3] == pytest.approx(np.corrcoef(neurons[:, 7], columns["feature 3"])[0, 1])
    assert found.p_features[7, 3] <= 6 / 500
    assert found.p_neurons[7, 3] == 1 / 500
    assert (found.p_neurons[np.arange(20) != 7, 3] > 0.05).all()


@pytest.mark.parametrize(("phi", "memory"), [(0.0, 0.9), (0.5, 0.9), (0.9, 0.9), (0.99, 0.99)])
def test_independent_courses_are_not_found_however_long_they_remember(phi: float, memory: float) -> None:
    """Of 150 features with neurons of their own, 0.05 are to have any neuron at p <= 0.05: at most 14 (99 %
    of binomial counts). With seams, where both are slow, it was 32.
    """
    length, repeats, neurons = 160, 150, 12
    features_ = autoregression(phi, repeats, 3, length)
    courses = autoregression(memory, repeats * neurons, 4, length).reshape(length, repeats, neurons)
    rates, families = [], []
    for place in range(repeats):
        found = features.associations(courses[:, place], {"x": features_[:, place]}, permutations=99)
        rates.append((found.p_features <= 0.05).mean())
        families.append((found.p_neurons <= 0.05).any())
    assert np.mean(rates) <= 0.07
    assert np.sum(families) <= 14


def test_a_slow_feature_is_shifted() -> None:
    slow = autoregression(0.98, 1, seed=5)[:, 0]
    found = features.associations(np.c_[slow, autoregression(0.9, 3, seed=6)], {"slow": slow})
    assert found.blocks.tolist() == [T]
    assert found.p_features[0, 0] < 0.02
    assert (found.p_features[1:, 0] > 0.05).all()


@pytest.mark.parametrize("phi", [0.5, 0.98])
def test_a_course_that_is_constant_changes_nothing_for_others(phi: float) -> None:
    """Nor does one on another scale: in blocks and in shifts."""
    column = autoregression(phi, 1, seed=5)[:, 0]
    courses = autoregression(0.9, 6, seed=6)
    alone = features.associations(courses, {"x": column})
    assert (alone.blocks[0] == T) == (phi == 0.98)
    beside = features.associations(np.c_[courses, np.ones(T), 1e12 * courses[:, 0]], {"x": column})
    np.testing.assert_allclose(beside.p_neurons[:6], alone.p_neurons, atol=1e-12)
    np.testing.assert_allclose(beside.p_features[:6], alone.p_features, atol=1e-12)
    assert np.isnan(beside.p_neurons[6])


def test_blocks_keep_the_features_own_memory() -> None:
    random = np.random.default_rng(0)
    white, slow = (
        features.block_length(random.standard_normal(T)),
        features.block_length(autoregression(0.8, 1, seed=1)[:, 0]),
    )
    assert white < 10
    assert slow == T  # too few blocks would fit
    assert features.block_length(np.ones(T)) == 0
    alternating = np.arange(T) % 2 + 0.1 * random.standard_normal(T)
    assert features.block_length(alternating) == T  # forgets nothing


def test_permutations_are_permutations_of_blocks() -> None:
    orders = features.block_permutations(30, 7, 50, np.random.default_rng(0))
    assert (np.sort(orders, axis=1) == np.arange(30)).all()
    together = (np.diff(orders, axis=1) % 30 == 1).sum(1)
    assert together.min() >= 30 - 1 - 5  # at most five seams
    assert len({tuple(order) for order in orders.tolist()}) > 40


def test_holm_by_hand() -> None:
    found = features.holm([[0.01, 0.04, 0.03, np.nan], [0.5, 0.9, 0.8, 0.7]])
    np.testing.assert_allclose(found[0, :3], [0.03, 0.06, 0.06])
    assert np.isnan(found[0, 3])
    np.testing.assert_allclose(found[1], 1)


def test_a_constant_course_has_no_number() -> None:
    found = features.associations(np.ones((T, 1)), {"a": np.arange(T) % 5})
    assert np.isnan(found.correlation).all()
    assert np.isnan(found.p_features).all()
    assert np.isnan(found.p_neurons).all()


@pytest.mark.parametrize(
    ("courses", "columns", "says"),
    [(np.zeros((8, 2)), {}, "T at least 32"), (np.zeros((64, 2)), {"a": np.zeros(63)}, r"\(64,\): a")],
)
def test_what_does_not_fit_is_an_error(
    courses: np.ndarray, columns: dict[str, np.ndarray], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        features.associations(courses, columns)
