"""Regimes of rows in blocks: the same wherever the blocks are cut."""

import numpy as np

from probes.log.blocks import ColumnBlock
from probes.log.row_regimes import RowRegimes
from probes.schema import REGIME, SETTLED

LAYER = {"name": "a", "neurons": 3, "latent_dim": 1, "prior": "standard"}


def block(first, last, **columns):
    return ColumnBlock(0, np.arange(first, last), {n: c[:, first:last] for n, c in columns.items()})


def test_codes_do_not_depend_on_where_blocks_are_cut():
    rng = np.random.default_rng(0)
    alive = rng.random((3, 40)) < 0.5
    columns = {
        "mean": np.zeros((3, 40), np.float32),
        "variance": np.where(alive, 0.5, 1.0).astype(np.float32),
        "kl": np.where(alive, 0.3, 0.001).astype(np.float32),
        "information": np.where(alive, 0.2, 0.0).astype(np.float32),
        "spread": np.where(alive, 0.4, 0.0).astype(np.float32),
    }
    whole = RowRegimes(LAYER).with_codes(block(0, 40, **columns))
    cut = RowRegimes(LAYER)
    parts = [cut.with_codes(block(first, last, **columns)) for first, last in ((0, 7), (7, 8), (8, 40))]
    assert len(np.unique(whole.columns[REGIME])) > 1
    for name in (REGIME, SETTLED):
        np.testing.assert_array_equal(np.hstack([part.columns[name] for part in parts]), whole.columns[name])


def test_what_one_input_leaves_open_is_absent_and_settles_nothing():
    columns = {
        "kl": np.full((3, 2), 0.3, np.float32),
        "spread": np.array([[np.nan, 0.4]] * 3, np.float32),
        "rows": np.array([[1, 32]] * 3, np.float32),
    }
    found = RowRegimes(LAYER).with_codes(block(0, 2, **columns))
    assert found.present["spread"].tolist() == [False, True]
    assert "kl" not in found.present


def test_a_code_that_was_never_picked_is_dead_and_not_at_a_prior():
    layer = {"name": "book", "neurons": 3, "latent_dim": 1, "prior": "unknown", "family": "codes"}
    usage = np.array([[1.0] * 20, [0.0] * 20, [0.0] * 10 + [0.5] * 10], np.float32)
    found = RowRegimes(layer).with_codes(block(0, 20, usage=usage, information=np.zeros_like(usage)))
    assert found.columns[SETTLED][:, 0].tolist() == [0, 4, 4]
    assert found.columns[SETTLED][:, -1].tolist() == [0, 4, 0]
    assert found.columns[REGIME][2].tolist() == [4] * 10 + [0] * 10


def test_numbers_of_the_layer_itself_stay_beside_the_rows():
    layer = {"name": "book", "neurons": 1, "latent_dim": 1, "prior": "unknown", "family": "codes"}
    given = ColumnBlock(0, np.arange(2), {"usage": np.ones((1, 2), np.float32)}, {}, {"window": np.ones(2)})
    assert RowRegimes(layer).with_codes(given).whole["window"].tolist() == [1, 1]
