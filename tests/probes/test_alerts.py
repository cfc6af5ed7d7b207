"""Rules over time on planted runs: what must fire, at which step, and what must stay silent."""

import math

import numpy as np
import pandas as pd
import pytest

from probes import Recorder, Run, alerts, diagnostics

NEURONS, STEPS, WARMUP = 20, 300, 50
LIVING = {"mean": 0.0, "variance": 0.5, "kl": 0.3, "information": 0.2, "spread": 0.4}
DEAD = {"mean": 0.0, "variance": 1.0, "kl": 0.001, "information": 0.0, "spread": 0.0}


def matrix(value):
    return np.full((STEPS, NEURONS), value, np.float32)


@pytest.fixture
def write(tmp_path):
    """write(change) -> Run: a layer that starts dead, lives from step 40 on, and is then changed by
    `change(columns)`.
    """

    def made(change=lambda columns: None, scalars=(), acts=(), config=None, name="run"):
        columns = {key: matrix(value) for key, value in LIVING.items()}
        for key, value in DEAD.items():
            columns[key][:40] = value
        change(columns)
        settings = {"steps": 500, "warmup_share": 0.1} if config is None else config
        with Recorder(tmp_path / name, [{"name": "a", "neurons": NEURONS}], config=settings) as recorder:
            for step, value in scalars:
                recorder.scalar(step, "nll_joint", value, split="validation")
            for step in acts:
                recorder.event(step, "homeostasis", 0, value=1.5)
            recorder.record_block(np.arange(STEPS), 0, columns)
        return Run(tmp_path / name)

    return made


def listed(run):
    frame = run.alerts()
    assert list(frame.columns) == list(alerts.COLUMNS)
    return [(row.kind, row.step) for row in frame.itertuples()]


def test_a_healthy_run_that_starts_dead_is_silent(write):
    assert listed(write()) == []


def test_a_share_that_leaves_living_is_named_with_its_neurons(write):
    def collapse(columns):
        for key, value in DEAD.items():
            columns[key][200:, 5:12] = value

    frame = write(collapse).alerts()
    assert frame["kind"].tolist() == ["left living"]
    row = frame.iloc[0]
    assert (row["step"], row["layer"], row["count"]) == (200, 0, 7)
    assert row["neurons"] == list(range(5, 12))
    assert "35 %" in row["text"]
    assert "dead" in row["text"]
    assert "lower beta" in row["advice"]


def test_a_slow_slide_is_seen_too_and_each_further_step_once(write):
    def slide(columns):
        for i in range(16):
            for key, value in DEAD.items():
                columns[key][100 + 5 * i :, i] = value

    kinds = [entry for entry in listed(write(slide)) if entry[0] == "left living"]
    assert [step for _, step in kinds] == [115, 135, 155, 175]


def test_nothing_before_the_warm_up_has_ended(write):
    def late(columns):
        for key, value in LIVING.items():
            columns[key][:10] = value
        for key, value in DEAD.items():
            columns[key][10:48] = value

    assert listed(write(late)) == []
    assert ("left living", 10) in listed(write(late, config={"warmup_steps": 0}, name="at once"))


def test_a_layer_that_never_lives(write):
    def never(columns):
        for key, value in DEAD.items():
            columns[key][:] = value

    window = alerts.Limits().window
    assert listed(write(never)) == [("not living", WARMUP + window - 1)]
    assert listed(write(never, config={}, name="unknown")) == [], (
        "without a known warm-up a dead start is no fault"
    )


def test_non_finite_neurons_at_any_time(write):
    def breaks(columns):
        columns["kl"][20:, 3] = math.nan
        columns["kl"][25:, 4] = math.inf

    frame = write(breaks).alerts()
    assert frame["kind"].tolist()[0] == "non-finite"
    assert frame.iloc[0]["step"] == 20
    assert frame.iloc[0]["neurons"] == [3]


def test_a_jump_in_kl(write):
    def jump(columns):
        columns["kl"][150:] = 2.0
        columns["kl"][220:] = 0.3

    assert listed(write(jump)) == [("jump in KL", 150), ("jump in KL", 220)]

    def drift(columns):
        columns["kl"] *= np.linspace(1, 10, STEPS, dtype=np.float32)[:, None]

    assert listed(write(drift, name="drift")) == []


def test_an_infinite_kl_in_a_hostile_summary_is_one_jump():
    steps = np.arange(200)
    layer = pd.DataFrame(
        {"step": steps, "kl_mean": np.where(steps < 100, 1.0, np.inf)}
        | {f"regime_{i}": 0 * steps for i in range(10)}
    )
    assert [alert.step for alert in alerts._jumps(0, layer, alerts.Limits())] == [100]


def test_a_beta_at_its_limit(write):
    def limit(columns):
        columns["beta"] = matrix(0.02)
        columns["beta"][100:] = 1.0

    assert listed(write(limit)) == [("control saturated", 163)]

    def constant(columns):
        columns["beta"] = matrix(1.0)

    assert listed(write(constant, name="constant")) == []


def test_a_control_that_chases_its_band(write):
    def outside(columns):
        columns |= {"mu2": matrix(0.1), "band_low": matrix(0.2), "band_high": matrix(0.4)}

    assert listed(write(outside, acts=range(60, 300, 10))) == [("chases its band", WARMUP + 63)]
    assert listed(write(outside, name="no act")) == []


def test_no_progress(write):
    falling = [(step, 1 / step) for step in range(10, 200, 10)]
    flat = [(step, 1.0) for step in range(200, 320, 10)]
    assert listed(write(scalars=falling)) == []
    assert listed(write(scalars=falling + flat, name="flat")) == [("no progress", 290)]


def test_live_and_replayed_are_the_same(write):
    def trouble(columns):
        for key, value in DEAD.items():
            columns[key][120:, :9] = value
        columns["kl"][200:, 9:] = 4.0
        columns["beta"] = matrix(0.02)
        columns["beta"][90:] = 1.0

    run = write(trouble, scalars=[(step, 1.0) for step in range(0, 300, 10)])
    frames = run.layer_summary(), run.scalars(), run.events()
    whole = alerts.find(*frames, WARMUP)
    assert {a.kind for a in whole} >= {"left living", "jump in KL", "control saturated", "no progress"}
    for now in range(0, STEPS, 7):
        live = alerts.find(*(frame[frame["step"] <= now] for frame in frames), WARMUP)
        assert live == [a for a in whole if a.step <= now]


def test_a_lost_loss():
    scalars = pd.DataFrame(
        {"step": [1, 2, 3], "split": "train", "name": "loss", "value": [1.0, math.nan, math.nan]}
    )
    found = alerts.find(pd.DataFrame({"step": [], "layer": []}), scalars, pd.DataFrame({"step": []}))
    assert [(a.kind, a.step, a.layer) for a in found] == [("non-finite loss", 2, None)]


def test_warm_up_of_a_configuration():
    assert alerts.warmup_of({"steps": 2000, "warmup_share": 0.1}) == 200
    assert alerts.warmup_of({"warmup_steps": 7, "steps": 10, "warmup_share": 0.5}) == 7
    assert alerts.warmup_of({"seed": 1}) is None


def test_the_alerts_of_a_planted_collapse_name_the_transitions(write):
    def collapse(columns):
        for key, value in DEAD.items():
            columns[key][200:, 5:12] = value

    run = write(collapse)
    moves = diagnostics.transitions(run.history(0, None, ["regime"]))
    late = moves[moves["step"] == 200]
    assert late["neuron"].tolist() == run.alerts().iloc[0]["neurons"]
