"""Damages do what they say, and what responds to them is told from what does not."""

import numpy as np
import pytest
import torch
from linear_subject import examples, linear, squared
from scipy import stats

from probes.experiments import shift

X = torch.randn((200, 48), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", shift.DAMAGES)
def test_no_dose_leaves_the_input_and_a_larger_one_damages_the_same_places_more(kind):
    assert torch.equal(shift.damage(kind, X, 0, 1), X)
    small, large = (shift.damage(kind, X, dose, 1) != X for dose in (1.0, 2.0))
    assert small.any(1).all()
    assert (large | ~small).all()
    assert torch.equal(shift.damage(kind, X, 2, 1), shift.damage(kind, X, 2, 1))
    assert not torch.equal(shift.damage(kind, X, 2, 1), shift.damage(kind, X, 2, 2))


def test_each_damage_is_of_the_size_it_says():
    def gap(kind, dose):
        return shift.damage(kind, X, dose, 3) - X

    assert gap("noise", 2).std().item() == pytest.approx(2, rel=0.02)
    hidden = shift.damage("missing", X, 3, 3)
    assert ((hidden == 0).sum(1) == 24).all()
    assert ((hidden == 0).int().diff(dim=1).abs().sum(1) <= 2).all()  # one stretch
    assert set(gap("level", 1.5).unique().numpy().round(5)) == {0, 1.5}
    assert (gap("level", 1.5)[:, :24] == 0).all()
    grown = shift.damage("scale", X, 1, 3)
    centre = X.mean(1, keepdim=True)
    torch.testing.assert_close((grown - centre)[:, -1], 2 * (X - centre)[:, -1])
    mixed = shift.damage("shuffle", X, 3, 3)
    torch.testing.assert_close(mixed.sort(1).values, X.sort(1).values)
    assert (mixed != X).all()
    assert ((shift.damage("shuffle", X, 1, 3) != X).sum(1) == 16).all()
    with pytest.raises(ValueError, match="not by 'fog'"):
        shift.damage("fog", X, 1, 0)


@pytest.mark.parametrize("kind", shift.DAMAGES)
def test_a_row_of_one_number_can_be_damaged_too(kind):
    assert shift.damage(kind, X[:, :1], 2, 0).shape == (200, 1)


@pytest.fixture(scope="module")
def tables():
    x, y = examples(400)
    return shift.dose_response(
        linear(), x, y, {"squared": squared}, draws=2, kinds=["noise", "level"], doses=[0, 1, 3]
    )


def test_responses_are_paired_means_and_trends_mean_rank_correlations(tables):
    frame = tables["responses"].set_index(["kind", "quantity", "dose"])
    first = frame.xs(0, level="dose")
    assert (first["change"] == 0).all()
    assert (first["change_error"] == 0).all()
    # Of six values the network reads four, with weights 0.5, -0.7, 2: noise of sd d adds (0.25 + 0.49 + 4)
    # d^2.
    added = frame.loc[("noise", "squared", 3.0)]
    assert added["change"] == pytest.approx(9 * 4.74, abs=4 * added["change_error"])
    # internal KL: 1/2 mu^2 each of 2 x 4 neurons: 4 d^2 nats more.
    kl = frame.loc[("noise", "internal KL", 1.0)]
    assert kl["change"] == pytest.approx(4, abs=4 * kl["change_error"])
    trends = tables["trends"].set_index(["kind", "quantity"])
    assert trends.loc[("noise", "output variance"), "value"] == 0  # it is the same for every input
    assert trends.loc[("noise", "internal KL"), "low"] > 0.5


def test_detection_is_the_auroc_of_damaged_against_clean_inputs(tables):
    x, _ = examples(400)
    damaged = shift.damage("noise", x, 3.0, 0)
    kl = [part[:, :4].square().sum(1).numpy() for part in (x, damaged)]
    expected = stats.mannwhitneyu(kl[1], kl[0]).statistic / 400**2
    frame = tables["detection"].set_index(["kind", "quantity", "dose"])
    row = frame.loc[("noise", "internal KL", 3.0)]
    assert row["value"] == pytest.approx(expected, abs=1e-5)
    assert row["low"] < row["value"] < row["high"]
    assert frame.loc[("noise", "output variance", 3.0), "value"] == 0.5
    assert row["gain"] == pytest.approx(row["value"] - 0.5, abs=1e-9)
    assert row["gain_low"] < row["gain"] < row["gain_high"]


def test_every_neurons_statistics_are_those_of_the_damaged_inputs(tables):
    x, _ = examples(400)
    frame = tables["neurons"]
    part = frame[(frame["kind"] == "noise") & (frame["dose"] == 3) & (frame["layer"] == 1)]
    np.testing.assert_allclose(
        part["spread"], shift.damage("noise", x, 3.0, 0)[:, :4].var(0, correction=0), rtol=1e-4
    )
    assert len(frame) == 2 * 3 * 2 * 4
    assert {"kl", "information", "active_share"} <= set(frame)


def test_the_clean_dose_comes_first():
    x, y = examples(20)
    with pytest.raises(ValueError, match="first dose is 0"):
        shift.dose_response(linear(), x, y, {"squared": squared}, doses=[1, 0])
