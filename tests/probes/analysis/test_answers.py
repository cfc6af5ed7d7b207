"""By what neurons of any family are compared and their inputs ranked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probes.analysis import answers, likeness, posteriors

INPUTS, NEURONS, CLASSES = 40, 3, 5
DRAW = np.random.default_rng(0)


def classes(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(CLASSES, 0.3), (INPUTS, NEURONS))


def test_rows_of_the_log_are_one_array_a_parameter() -> None:
    held = DRAW.normal(size=(4, 3, 2))
    places = np.indices(held.shape).reshape(3, -1)
    rows = pd.DataFrame(
        {"input": places[0], "neuron": places[1], "index": places[2], "name": "a", "value": held.ravel()}
    ).sample(frac=1, random_state=0)
    found = answers.table(rows[rows["neuron"] != 1], 3)
    assert np.isnan(found["a"][:, 1]).all()
    np.testing.assert_array_equal(found["a"][:, [0, 2]], held[:, [0, 2]])


def test_answers_are_means_probabilities_and_directions() -> None:
    gamma = {"concentration": np.full((2, 1, 1), 6.0), "rate": np.array([[[2.0]], [[3.0]]])}
    assert answers.answers("gamma", gamma)[:, 0, 0].tolist() == [3.0, 2.0]  # type: ignore[index]
    draws = {"sample": np.array([[[1.0, 3.0]], [[0.0, 4.0]]])}
    assert answers.answers("samples", draws)[:, 0, 0].tolist() == [2.0, 2.0]  # type: ignore[index]
    angles = {"loc": np.array([[[np.pi - 0.01]], [[0.01 - np.pi]]]), "concentration": np.full((2, 1, 1), 1e4)}
    near = answers.answers("von_mises", angles)
    assert np.ptp(near, axis=0).max() < 0.03, "either side of the seam is one direction"
    alpha = {"concentration": np.array([[[1.0, 3.0]]])}
    assert answers.answers("dirichlet", alpha)[0, 0].tolist() == [0.25, 0.75]  # type: ignore[index]
    assert answers.answers("categorical", {}) is None


def test_likeness_of_classes_does_not_hang_on_their_numbers() -> None:
    one = classes()
    renamed = one[:, :, DRAW.permutation(CLASSES)]
    same = posteriors.correlation(one, renamed)
    np.testing.assert_allclose(np.diag(same), 1)
    assert (same[~np.eye(NEURONS, dtype=bool)] < 0.7).all()
    assert posteriors.nearest(one, 1, renamed)["neuron"].iloc[0] == 1
    assert posteriors.match(one, renamed[:, ::-1])["partner"].tolist() == [2, 1, 0]


def test_of_single_numbers_it_is_the_size_of_the_correlation() -> None:
    first, second = DRAW.normal(size=(2, INPUTS, NEURONS))
    signed = posteriors.correlation(first, second)
    padded = np.stack([second, np.zeros_like(second)], axis=-1)
    np.testing.assert_allclose(posteriors.correlation(first, padded), np.abs(signed))
    padded[:, 1] = 0.5
    assert np.isnan(posteriors.correlation(first, padded)[:, 1]).all()


def test_chance_of_classes_is_what_independent_ones_have() -> None:
    found = [
        posteriors.nearest(classes(seed), 0, classes(seed + 500))["correlation"].max() for seed in range(60)
    ]
    chances = [likeness.chance_of_nearest(classes(seed)[:, 0], [classes(seed + 500)]) for seed in range(20)]
    assert np.mean([chance.median for chance in chances]) == pytest.approx(np.median(found), abs=0.03)


def test_inputs_of_a_neuron_of_classes() -> None:
    held = {"probability": classes()}
    table = answers.telling_inputs("categorical", held, 1, 4)
    own = held["probability"][:, 1]
    first = own.mean(axis=0).argmax()
    of_first = table[table["group"] == f"class {first}"]
    assert of_first["input"].tolist() == np.argsort(-own[:, first], kind="stable")[:4].tolist()
    np.testing.assert_allclose(of_first["value"], np.sort(own[:, first])[::-1][:4])
    whole = answers.telling_inputs("categorical", held, 1, INPUTS)
    told = whole[whole["group"] == "most certain"]["information"].mean()
    entropy = -(own * np.log(own)).sum(axis=1).mean()
    overall = own.mean(axis=0)
    assert told == pytest.approx(-(overall * np.log(overall)).sum() - entropy)


def test_inputs_of_draws_without_a_width() -> None:
    table = answers.telling_inputs("samples", {"sample": DRAW.normal(size=(6, 2, 1))}, 0, 2)
    assert list(dict.fromkeys(table["group"])) == ["highest mean", "lowest mean"], "one draw has no width"
