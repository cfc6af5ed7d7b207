"""Likeness of layers and its level of chance, against independent layers, rotations and planted likeness."""

import numpy as np
import pytest

from probes.analysis import likeness, posteriors


def independent(inputs, neurons, dimensions=None, seed=0):
    """Two layers with nothing in common, each of as many effective dimensions."""
    draw = np.random.default_rng(seed)
    if dimensions is None:
        return draw.normal(size=(2, inputs, neurons))
    return draw.normal(size=(2, inputs, dimensions)) @ draw.normal(size=(2, dimensions, neurons))


@pytest.mark.parametrize(("inputs", "neurons", "dimensions"), [(64, 64, None), (64, 40, 5), (256, 64, None)])
def test_chance_is_what_independent_layers_have(inputs, neurons, dimensions):
    partners, nearest, levels, near = [], [], [], []
    for seed in range(12):
        first, second = independent(inputs, neurons, dimensions, seed)
        partners.append(posteriors.match(first, second)["correlation"].abs())
        nearest.append(likeness.nearest_in_layers(first, second))
        levels.append(likeness.chance_of_match(first, second, seed))
        near.append(likeness.chance_of_nearest(first[:, 0], second, seed))
    for found, chances in ((partners, levels), (nearest, near)):
        for place, quantile in enumerate((0.5, 0.95)):
            expected = np.quantile(np.concatenate(found), quantile)
            assert np.mean([chance[place] for chance in chances]) == pytest.approx(expected, abs=0.03)
    # far above the two standard errors of a correlation that was not chosen
    assert np.mean([chance.upper for chance in levels]) > 1.3 * 2 / np.sqrt(inputs)


def test_nearest_leaves_out_the_neurons_themselves():
    first, second = independent(50, 4)
    first[:, 3] = 1.0
    alone = likeness.nearest_in_layers(first, np.hstack([first, second]), own=True)
    assert (alone[:3] < 0.99).all()
    assert np.isnan(alone[3])
    assert likeness.nearest_in_layers(first[:, :3], first)[0] == pytest.approx(1)


def test_layers_alike_up_to_rotation_are_one_and_independent_ones_none():
    draw = np.random.default_rng(1)
    first, second = independent(64, 30, seed=2)
    rotation = np.linalg.qr(draw.normal(size=(30, 30)))[0]
    same = likeness.layers_alike(first, 5 + 3 * first @ rotation)
    assert same.cka == pytest.approx(1)
    assert same.svcca == pytest.approx(1)
    cka, svcca, above = [], [], []
    for seed in range(40):
        found = likeness.layers_alike(*independent(64, 30, 6, seed), seed=seed)
        cka.append(found.cka)
        svcca.append(found.svcca)
        above.append((found.cka > found.cka_chance, found.svcca > found.svcca_chance))
    # the usual estimate of CKA has a mean of 0.08 here, that of SVCCA 0.26
    assert abs(np.mean(cka)) < 0.02
    assert abs(np.mean(svcca)) < 0.03
    assert (np.mean(above, axis=0) < 0.15).all()


def test_partly_shared_layers_are_between():
    first, second = independent(200, 20, seed=3)
    mixed = likeness.layers_alike(first, first + second)
    assert mixed.cka_chance < 0.3 < mixed.cka < 0.9
    assert mixed.svcca_chance < 0.5 < mixed.svcca < 0.9


def test_what_does_not_move_or_is_too_little_is_nan():
    first, second = independent(64, 5)
    assert np.isnan(likeness.layers_alike(np.ones((64, 5)), second)).all()
    assert np.isnan(likeness.layers_alike(first[:3], second[:3])).all()
    broken = np.where(np.arange(64)[:, None] == 3, np.nan, first)
    assert np.isnan(likeness.layers_alike(broken, second)).all()
    few = likeness.layers_alike(*independent(20, 30))
    assert np.isnan(few.svcca)
    assert np.isfinite(few.cka)
    assert np.isnan(likeness.chance_of_nearest(np.ones(64), second)).all()
    with pytest.raises(ValueError, match="64 and on 32 inputs"):
        likeness.layers_alike(first, second[:32])
