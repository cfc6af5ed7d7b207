"""Networks against their twins by the scores of single origins."""

from __future__ import annotations

import json

import numpy as np
import pytest

from probes import Run, catalog
from probes.analysis.paired_scores import UnpairedError
from vdn.answers import OriginScores
from vdn.config import from_dict, resolve
from vdn.differences import origin_frame, twin_differences
from vdn.evaluate import evaluate
from vdn.train import train


def frame(seed: int, gain: float = 0.0, **change):
    generator = np.random.default_rng(seed)
    base = np.random.default_rng(99).normal(size=200)  # the targets' own part, the same for all
    found = {
        "origin": np.arange(200),
        "target": np.linspace(0, 1, 200),
        "span": 6,
        "scores": {"crps": base + 0.1 * generator.normal(size=200) + gain},
    }
    return origin_frame(OriginScores(**(found | change)), "test")


def test_other_seeds_count_where_they_stored_theirs(tmp_path, small):
    """Two of each, trained: differences of the stored scores are those of the runs' own averages."""
    folders = {}
    for twin in (False, True):
        for seed in range(2):
            folder = tmp_path / f"{'twin' if twin else 'model'}{seed}"
            train(resolve(from_dict({**small, "twin": twin, "seed": seed, "lr": 0.01})), folder)
            folders[twin, seed] = folder
    result = evaluate(folders[False, 0], folders[True, 0])
    found = result["differences"]
    assert {"nll_joint", "nll_marginal", "mse", "crps", "energy"} <= set(found["scores"])
    line = found["scores"]["crps"]
    assert line["seeds"] == 2
    assert "2 trainings each" in found["of"]
    means = {
        key: json.loads((folder / "run.json").read_text())["scores"]["test/crps"]["value"]
        for key, folder in folders.items()
    }
    by_hand = np.mean([means[False, seed] - means[True, seed] for seed in range(2)])
    assert line["difference"] == pytest.approx(by_hand, rel=1e-4)
    assert line["low"] < line["difference"] < line["high"]
    alone = evaluate(folders[False, 0], folders[True, 0], draws=3)["differences"]
    assert alone["scores"]["crps"]["seeds"] == 1, "other draws than those that were stored"
    assert "data alone" in alone["of"]
    stored = Run(folders[False, 0]).origin_scores()
    assert set(stored["span"]) == {6}
    assert stored["crps"].mean() == pytest.approx(result["model"]["crps"], rel=1e-4)
    rows = catalog(tmp_path).to_dict("records")
    assert len(rows) == 4


def test_a_pair_speaks_for_itself_where_seeds_stored_nothing(tmp_path):
    found = twin_differences(tmp_path / "a", tmp_path / "b", frame(1), frame(2, gain=0.2), [])
    line = found["scores"]["crps"]
    assert line["high"] < 0
    assert line["difference"] == pytest.approx(-0.2, abs=0.05)
    assert json.loads(json.dumps(found)) == found
    other = frame(2, target=np.zeros(200))
    with pytest.raises(UnpairedError, match="other origins or targets"):
        twin_differences(tmp_path / "a", tmp_path / "b", frame(1), other, [])


def test_a_split_too_short_for_its_horizon_has_no_interval(tmp_path):
    found = twin_differences(tmp_path / "a", tmp_path / "b", frame(1, span=70), frame(2, span=70), [])
    assert found["scores"]["crps"]["low"] is None
    assert "too short for its horizon" in found["of"]
