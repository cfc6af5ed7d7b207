"""The table of a stored probe batch: what is there, what is missing, what cannot be said."""

import numpy as np
import pandas as pd
import pytest

from probes.analysis import posteriors, probe_statistics
from probes.schema import PROBED, STATISTICS


def layer(inputs=64, neurons=5, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(inputs, neurons)), np.full((inputs, neurons), 0.5)


def test_every_statistic_is_computed_where_what_it_needs_is_there():
    now, before = layer(), layer(seed=1)
    sequence = np.random.default_rng(2).normal(size=(96, 5))
    table = probe_statistics.of_layer(now, before, sequence)
    assert list(PROBED) == [name for name in PROBED if name in table]
    assert table.notna().all().all()
    kl, moved = posteriors.update_speed(*now, *before)
    np.testing.assert_array_equal(table["update_kl"], kl)
    np.testing.assert_array_equal(table["wasserstein2"], moved)
    assert table["measured_half_life"].tolist() == [1.0] * 5
    assert not any(STATISTICS[name].stored for name in PROBED)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"now": layer()}, {"update_kl", "wasserstein2", "measured_half_life"}),
        ({"now": layer(), "before": layer(32)}, {"update_kl", "wasserstein2", "measured_half_life"}),
        ({"now": None, "sequence": np.zeros((96, 5))}, set(PROBED)),
        ({"now": layer(1), "sequence": np.ones((8, 5))}, set(PROBED)),
        ({"now": None}, set(PROBED)),
    ],
)
def test_what_is_missing_is_null(given, missing):
    table = probe_statistics.of_layer(**given)
    assert {name for name in PROBED if table[name].isna().all()} == missing


def test_points_and_broken_posteriors_are_null_and_do_no_harm():
    mu, sigma = layer()
    sigma[3, 1], mu[0, 2] = 0.0, np.nan
    table = probe_statistics.of_layer((mu, sigma), layer(seed=1))
    assert table["mutual_information"].isna().tolist() == [False, True, True, False, False]
    assert table["wasserstein2"].isna().tolist() == [False, True, True, False, False]


def test_the_summary_is_over_each_layers_neurons():
    table = pd.DataFrame(
        {"layer": [0, 0, 0, 1], "neuron": [0, 1, 2, 0], "update_kl": [1.0, 2.0, 6.0, np.nan]}
    )
    found = probe_statistics.summary(table, ["update_kl"], 7).set_index("layer")
    assert found["update_kl_p50"].tolist()[0] == 2.0
    assert found["update_kl_mean"].tolist()[0] == 3.0
    assert np.isnan(found.loc[1, "update_kl_p50"])
    assert (found["step"] == 7).all()


def test_information_in_words_claims_no_more_than_the_inputs_can():
    names = [f"mutual_information{end}" for end in ("", "_error", "_at_least", "_at_most")]

    def told(*values):
        return probe_statistics.told(pd.Series(dict(zip(names, values, strict=True))))

    assert told(0.523, 0.031, False, 0.7) == "0.52 ± 0.03"
    assert told(2.71, 0.05, True, 3.62) == "≥ 2.7, ≤ 3.6"
    assert told(2.71, 0.05, True, np.inf) == "≥ 2.7"
    assert told(np.nan, np.nan, False, np.nan) == "–"


def test_half_lives_that_are_longer_than_the_sequence_count_among_the_longest():
    assert probe_statistics.median_half_life(np.array([3.0, np.nan, 5.0])) == 5
    assert np.isnan(probe_statistics.median_half_life(np.array([3.0, np.nan, np.nan])))
    assert np.isnan(probe_statistics.median_half_life(np.array([])))
