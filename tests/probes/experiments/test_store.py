"""Results of experiments: whole or not there, replaced, refused with a reason; progress that a page can
follow.
"""

import json
import os
import signal
import time

import pandas as pd
import pytest

from probes.errors import RunError
from probes.experiments import store

FRAME = pd.DataFrame({"layer": [0, 1], "effect": [0.5, float("nan")], "score": ["nll", "crps"]})


def test_what_is_stored_comes_back_and_is_replaced_whole(tmp_path):
    store.save(tmp_path, "ablation", {"effects": FRAME, "old": FRAME}, {"draws": 2, "bad": float("inf")})
    found = store.load(tmp_path, "ablation")
    pd.testing.assert_frame_equal(found.tables["effects"], FRAME)
    assert found.settings["draws"] == 2
    assert found.settings["bad"] is None
    store.save(tmp_path, "ablation", {"effects": FRAME.iloc[:1]}, {})
    assert set(store.load(tmp_path, "ablation").tables) == {"effects"}
    assert not (tmp_path / "experiments/ablation/old.parquet").exists()
    assert store.stored(tmp_path) == ["ablation"]


def test_what_is_missing_half_written_or_broken_is_one_clear_error(tmp_path):
    with pytest.raises(RunError, match="holds no finished experiment 'ablation'"):
        store.load(tmp_path, "ablation")
    folder = store.save(tmp_path, "ablation", {"effects": FRAME}, {})
    (folder / "effects.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RunError, match="cannot be read"):
        store.load(tmp_path, "ablation")
    (folder / store.SETTINGS).write_text(json.dumps({"tables": ["../../secret"]}))
    with pytest.raises(RunError, match="no table of this folder"):
        store.load(tmp_path, "ablation")
    (folder / store.SETTINGS).write_text("[]")
    with pytest.raises(RunError, match="cannot be read"):
        store.load(tmp_path, "ablation")
    with pytest.raises(ValueError, match="letters, digits"):
        store.load(tmp_path, "../ablation")


def test_progress_can_be_followed_and_says_how_it_ended(tmp_path):
    assert store.progress_of(tmp_path, "shift") is None
    with store.tracked(tmp_path, "shift") as tracker:
        tracker(1, 4)
        tracker.note("running")
        status = store.progress_of(tmp_path, "shift")
        assert (status.status, status.share, status.pid) == ("running", 0.25, os.getpid())
    assert store.progress_of(tmp_path, "shift").status == "finished"
    with pytest.raises(ZeroDivisionError), store.tracked(tmp_path, "shift"):
        raise ZeroDivisionError("by zero")
    assert store.progress_of(tmp_path, "shift").message == "ZeroDivisionError: by zero"


def test_a_signal_cancels_at_the_next_sign_of_progress_and_handlers_come_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    def experiment():
        with store.tracked(tmp_path, "shift") as tracker:
            os.kill(os.getpid(), signal.SIGTERM)
            tracker(1, 2)

    with pytest.raises(store.Cancelled):
        experiment()
    assert store.progress_of(tmp_path, "shift").status == "cancelled"
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_experiment_that_fell_silent_is_lost(tmp_path):
    store.Tracker(tmp_path, "shift")
    path = tmp_path / "experiments/shift" / store.PROGRESS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"time": time.time() - 1e4}))
    assert store.progress_of(tmp_path, "shift").status == "lost"
    path.write_text("no json")
    assert store.progress_of(tmp_path, "shift") is None
