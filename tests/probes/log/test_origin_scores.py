"""Scores of single origins on their way into a log and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probes
from probes.log.origin_scores import origin_table


def test_what_was_recorded_is_read_back_in_order_of_time(tmp_path: Path) -> None:
    at, crps = np.array([9, 7, 8]), np.array([0.3, 0.1, 0.2])
    with probes.Recorder(tmp_path / "run", [{"name": "layer 1", "neurons": 2}]) as recorder:
        recorder.origin_scores(5, "test", at, at / 2, 24, crps=crps, mse=crps**2)
        recorder.origin_scores(5, "validation", [0, 1], [1.0, 2.0], 0, accuracy=[0, 1])
    table = probes.Run(tmp_path / "run").origin_scores()
    test = table[table["split"] == "test"]
    assert test["origin"].tolist() == [7, 8, 9]
    np.testing.assert_allclose(test["crps"], [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(test["target"], [3.5, 4, 4.5])
    assert set(test["span"]) == {24}
    assert test["accuracy"].isna().all()
    assert table.loc[table["split"] == "validation", "accuracy"].tolist() == [0, 1]
    with probes.Recorder(tmp_path / "other", [{"name": "layer 1", "neurons": 2}]):
        pass
    assert not len(probes.Run(tmp_path / "other").origin_scores())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"origin": [0, 1, 1]}, "each once"),
        ({"origin": [0, 1, 0.5]}, "integers"),
        ({"origin": [[0, 1, 2]]}, "origin (1, 3) must be (n,), of at least one origin"),
        ({"origin": [], "target": [], "scores": {"crps": []}}, "origin (0,) must be (n,)"),
        ({"origin": 3}, "origin () must be (n,)"),
        ({"origin": [0, 1, np.inf]}, "integers"),
        ({"origin": [0, 1, np.nan]}, "integers"),
        ({"scores": {"step": [1, 2, 3], "crps": [1, 2, 3], "target": [1, 2, 3]}}, "step, target is a column"),
        ({"target": [0.0], "scores": {"crps": [1, 2]}}, "target (1,), crps (2,) must be (3,), one an origin"),
        ({"target": [1.0]}, "target (1,) must be (3,)"),
        ({"scores": {}}, "no score is given"),
        ({"scores": {"crps": [1.0, 2.0]}}, "crps (2,) must be (3,)"),
        ({"scores": {"span": [1.0, 2.0, 3.0]}}, "another name"),
        ({"scores": {"crps": ["a", "b", "c"]}}, "not an array of numbers"),
    ],
)
def test_what_are_no_scores_is_refused_with_what_to_give(change: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"origin": [0, 1, 2], "target": [0.0, 0.0, 0.0], "scores": {"crps": [1, 2, 3]}}
    with pytest.raises(ValueError, match="origin_scores") as error:
        origin_table(0, "test", span=1, **(given | change))
    assert said in str(error.value)


def test_one_origin_before_time_began_is_an_origin() -> None:
    [row] = origin_table(2, "test", [-7], [1.5], 24, {"crps": [0.25]}).to_pylist()
    assert row == {"step": 2, "split": "test", "origin": -7, "span": 24, "target": 1.5, "crps": 0.25}
