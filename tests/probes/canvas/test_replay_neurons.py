"""Which neurons the replay draws: those that contracted, some that did not, the most informative, the
pinned.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probes.canvas import replay_neurons
from probes.canvas.replay_neurons import Candidates, choose

COUNT = 100
SD = np.random.default_rng(0).permutation(np.linspace(0.2, 1.3, COUNT))


def candidates(**columns: object) -> Candidates:
    """A hundred neurons of known sds, numbered from 1000; the widest holds most."""
    rows = {
        "neuron": 1000 + np.arange(COUNT),
        "mean": 0.0,
        "variance": SD**2,
        "spread": SD,
        "information": SD,
    }
    return Candidates.of(pd.DataFrame(rows | columns))


def test_three_in_four_are_the_most_contracted_and_the_others_stayed_at_their_prior() -> None:
    found = candidates(information=1 / SD)
    sd = SD[choose(found)]
    assert len(sd) == replay_neurons.RIDGES
    np.testing.assert_array_equal(sd[:12], np.sort(SD)[:12])
    closest = SD[np.argsort(np.abs(np.log(SD)))[:4]]
    np.testing.assert_array_equal(sd[12:], np.sort(closest))


@pytest.mark.parametrize("show", replay_neurons.SHOWS)
def test_the_most_informative_and_the_pinned_are_always_there(show: str) -> None:
    found = candidates()
    change = np.zeros(COUNT)
    drawn = choose(found, show, 8, pinned=[1003, 1050, 7], found=[1001, 1002], change=change)
    ids = found.ids[drawn].tolist()
    assert {1000 + int(np.argmax(SD)), 1003, 1050} <= set(ids)
    assert len(ids) == len(set(ids))
    assert len(ids) <= 10
    assert (np.diff(SD[drawn]) > 0).all()


def test_what_changed_most_is_what_went_furthest() -> None:
    tables = [
        pd.DataFrame({"neuron": [0, 1, 2], "mean": mean, "variance": np.square(sd)})
        for mean, sd in (([0, 0, 0], [1, 1, 1]), ([0, 3, 0], [1, 1, 0.5]), ([0, 0, 0], [1, 1, 0.5]))
    ]
    np.testing.assert_allclose(replay_neurons.ways(tables, np.array([2, 1, 0])), [0.5, 6, 0])
    assert replay_neurons.ways(tables[:1], np.array([0, 1])).tolist() == [0, 0]
    drawn = choose(candidates(), "changed", 3, change=np.arange(COUNT, dtype=float))
    assert {98, 99} <= set(drawn.tolist())


def test_spread_out_are_the_quantiles_of_spread() -> None:
    drawn = SD[choose(candidates(), "spread", 5)]
    assert drawn[0] == SD.min()
    assert drawn[-1] == SD.max()
    assert len(drawn) == 5


def test_found_are_the_first_that_were_found() -> None:
    found = candidates()
    drawn = choose(found, "found", 3, found=[1009, 1004, 1007, 55])
    assert set(found.ids[drawn]) == {1009, 1004, 1000 + int(np.argmax(SD))}


def test_few_neurons_are_all_drawn_and_broken_ones_come_last() -> None:
    rows = pd.DataFrame({"neuron": [0, 1, 2], "mean": 0.0, "variance": [np.nan, 0.25, 1.0]})
    found = Candidates.of(rows)
    assert choose(found).tolist() == [1, 2, 0]
    assert choose(Candidates.of(rows[:0])).tolist() == []
    assert choose(Candidates.of(rows[:1])).tolist() == [0]


def test_sds_are_the_priors_own() -> None:
    rows = {"whitened_mean": 0.0, "prior_variance": 4.0, "phi": 0.0}
    np.testing.assert_allclose(candidates(**rows).sd, SD / 2, rtol=1e-6)


def test_the_picture_says_how_they_were_chosen() -> None:
    layers = [{"neurons": [0, 1], "count": 2}, {"neurons": [0], "count": 1}]
    assert replay_neurons.chosen_words(layers) == "all neurons"
    layers[0]["count"] = 64
    words = replay_neurons.chosen_words(layers)
    assert words == "12 most contracted and 4 that stayed closest to the prior"
    for show in replay_neurons.SHOWS:
        assert replay_neurons.chosen_words(layers, show, 8, "kl>1")
