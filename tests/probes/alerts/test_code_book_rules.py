"""Dead codes: told once, with what becomes of them, and not before a window holds picks enough."""

import numpy as np
import pandas as pd
import pytest

from probes import alerts
from probes.families import FAMILIES
from probes.schema import REGIMES

STEPS, WARMUP = 300, 50


def of_codes(dead, total=64, picks=None, warmup=WARMUP):
    """Alerts of a code book of which so many codes are dead, (T,) or a number; picks: of its window, (T,)."""
    dead = np.broadcast_to(dead, STEPS)
    columns = {"step": np.arange(STEPS), "layer": np.zeros(STEPS, int)}
    columns |= {f"regime_{regime.code}": np.zeros(STEPS, int) for regime in REGIMES}
    columns |= {"regime_4": dead, "regime_0": total - dead, "kl_mean": np.full(STEPS, np.nan)}
    columns |= {} if picks is None else {"layer_window": picks}
    scalars = pd.DataFrame({"step": [], "split": [], "name": [], "value": []})
    frame = pd.DataFrame(columns)
    families = [FAMILIES["codes"]]
    found = alerts.find(frame, scalars, pd.DataFrame(), warmup, families=families)
    for cut in (120, 160, 250):  # a run that is being written gives the same
        early = alerts.find(frame[:cut], scalars, pd.DataFrame(), warmup, families=families)
        assert [(a.kind, a.step) for a in early] == [(a.kind, a.step) for a in found if a.step < cut]
    return [(alert.kind, alert.step, alert.count, alert.text) for alert in found]


def test_a_code_book_in_use_is_silent():
    assert of_codes(0) == []
    assert of_codes(12) == [], "less than a fifth"
    assert of_codes(np.random.default_rng(0).integers(0, 12, STEPS)) == []
    assert of_codes(np.where(np.arange(STEPS) < WARMUP, 60, 0)) == [], "its window has only begun"


def test_codes_that_were_never_picked_are_told_once_after_the_warm_up():
    [(kind, step, count, text)] = of_codes(40)
    assert (kind, step, count, text) == ("dead codes", WARMUP, 40, "40 of 64 codes are dead")


@pytest.mark.parametrize("warmup", [None, WARMUP])
def test_a_code_book_is_judged_from_the_first_window_with_picks_enough(warmup):
    """No warm-up to wait for: a book does not start at a prior."""
    picks = 100 * (1 + np.minimum(np.arange(STEPS), 15))
    assert of_codes(40, picks=picks, warmup=warmup) == [("dead codes", 6, 40, "40 of 64 codes are dead")]
    unpicked = np.maximum(64 - 10 * np.arange(STEPS), 0)
    assert of_codes(unpicked, picks=picks, warmup=warmup) == [], "they had not been picked yet"
    few = np.minimum(picks, 300)
    [(_, step, _, _)] = of_codes(40, picks=few, warmup=warmup)
    assert step == (alerts.Limits().window if warmup is None else warmup), "never so many: after the warm-up"


def test_codes_that_die_are_one_alert_with_what_came_of_them():
    at = np.arange(STEPS)
    dying = np.clip(at - 100, 0, 30) + 2
    assert of_codes(dying) == [
        ("dead codes", 113, 30, "32 of 64 codes are dead, 2 were at step 50"),
    ]
    back = np.where(at < 200, dying, 12)
    [(_, step, count, text)] = of_codes(back)
    assert (step, count) == (113, 30)
    assert text == "32 of 64 codes are dead, 2 were at step 50; 20 of them are picked again by step 200"
    again = np.where(at < 250, back, 50)
    first, second = of_codes(again)
    assert first[3].endswith("20 of them are picked again by step 200")
    assert second[1:] == (250, 38, "50 of 64 codes are dead, 12 were at step 200")
