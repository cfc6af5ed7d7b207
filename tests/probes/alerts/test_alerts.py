"""Rules over time on planted runs: what must fire, at which step, and what must stay silent."""

import math

import numpy as np
import pandas as pd
import pytest

from benchmarks import alerts as planted
from probes import Recorder, Run, alerts, diagnostics
from probes.alerts import layer_rules
from probes.export import export
from probes.schema import REGIMES

NEURONS, STEPS, WARMUP = 20, 300, 50
TOLD = 8  # records: five until a regime has settled, and four more that its count must hold
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


def judged(**counts):
    """Kind, count, text of each alert of a layer whose neurons are counted by regime: a number, or (T,)."""
    columns = {"step": np.arange(STEPS), "layer": np.zeros(STEPS, int)}
    for code, regime in enumerate(REGIMES):
        columns[f"regime_{code}"] = np.broadcast_to(counts.get(regime.name.replace(" ", "_"), 0), STEPS)
    scalars = pd.DataFrame({"step": [], "split": [], "name": [], "value": []})
    found = alerts.find(pd.DataFrame(columns), scalars, pd.DataFrame(), WARMUP)
    return [(alert.kind, alert.count, alert.text) for alert in found]


def test_neurons_whose_regime_is_not_known_are_evidence_of_nothing():
    after = np.arange(STEPS) >= 200
    assert judged(unknown=20) == []
    assert judged(living=20 * ~after, unknown=20 * after) == []
    assert judged(unknown=20 * ~after, dead=20 * after) == []
    assert judged(living=20 - 15 * after, unknown=15 * after) == []
    assert [kind for kind, *_ in judged(living=20 * ~after, dead=20 * after)] == ["left living"]


def test_neurons_whose_regime_is_known_are_judged_by_themselves():
    [(kind, count, text)] = judged(unknown=15, dead=5)
    assert (kind, count) == ("not living", 5)
    assert "0 % of the 5 neurons whose regime is known lives" in text
    assert judged(unknown=15, living=5) == []


def test_a_share_that_leaves_living_is_named_with_its_neurons(write):
    def collapse(columns):
        for key, value in DEAD.items():
            columns[key][200:, 5:12] = value

    frame = write(collapse).alerts()
    assert frame["kind"].tolist() == ["left living"]
    row = frame.iloc[0]
    assert (row["step"], row["layer"], row["count"]) == (200 + TOLD, 0, 7)
    assert (row["layers"], row["neurons"], row["neuron_layers"]) == ([0], list(range(5, 12)), [0] * 7)
    assert "35 %" in row["text"]
    assert "dead" in row["text"]
    assert "lower beta" in row["advice"]


def test_a_slide_is_one_event_with_all_that_left(write):
    def slide(columns):
        for i in range(16):
            for key, value in DEAD.items():
                columns[key][100 + 5 * i :, i] = value

    frame = write(slide).alerts()
    assert frame["kind"].tolist() == ["left living"]
    row = frame.iloc[0]
    assert 100 + 5 * 4 <= row["step"] <= 100 + 5 * 6 + TOLD, "a fifth has died by 115"
    assert row["count"] == 16
    assert row["neurons"] == list(range(16))
    assert f"16 neurons by step {100 + 5 * 15 + TOLD}" in row["text"]


def test_nothing_before_the_warm_up_has_ended(write):
    def late(columns):
        for key, value in LIVING.items():
            columns[key][:20] = value
        for key, value in DEAD.items():
            columns[key][20:48] = value

    assert listed(write(late)) == []
    assert ("left living", 20 + TOLD) in listed(write(late, config={"warmup_steps": 0}, name="at once"))
    assert listed(write(late, config={}, name="unknown")) == [], "64 records count as one"


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

    assert listed(write(jump)) == [("jump in KL", 152), ("jump in KL", 222)], "the median of five"

    def drift(columns):
        columns["kl"] *= np.linspace(1, 10, STEPS, dtype=np.float32)[:, None]

    assert listed(write(drift, name="drift")) == []


def test_an_infinite_kl_in_a_hostile_summary_is_one_jump():
    steps = np.arange(200)
    layer = pd.DataFrame(
        {"step": steps, "kl_mean": np.where(steps < 100, 1.0, np.inf)}
        | {f"regime_{i}": 0 * steps for i in range(10)}
    )
    assert [alert.step for alert in layer_rules.jumps(0, layer, alerts.Limits())] == [102]


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


def test_a_layer_that_comes_back_into_its_band_is_not_chased(write):
    def returns(columns):
        climb = np.linspace(0.05, 0.25, STEPS, dtype=np.float32)[:, None] + matrix(0)
        columns |= {"mu2": climb, "band_low": matrix(0.2), "band_high": matrix(0.4)}

    assert listed(write(returns, acts=range(60, 300, 10))) == []


def test_limits_of_beta_are_those_of_the_configuration(write):
    def limit(columns):
        columns["beta"] = matrix(0.02)
        columns["beta"][100:] = 0.5

    settings = {"warmup_steps": WARMUP, "beta_min": 1e-3, "beta_max": 0.5}
    assert listed(write(limit, config=settings)) == [("control saturated", 163)]
    assert listed(write(limit, name="others")) == []


def test_no_progress(write):
    falling = [(step, 1 / step) for step in range(10, 200, 10)]
    flat = [(step, 1.0) for step in range(200, 320, 10)]
    assert listed(write(scalars=falling)) == []
    ((kind, step),) = listed(write(scalars=falling + flat, name="flat"))
    assert kind == "no progress"
    assert 200 < step <= 290


def layers_of(*lives):
    """A run of layers that live where `lives` (neurons, steps) says."""
    return pd.concat([planted.layer(one, index=index) for index, one in enumerate(lives)])


def test_what_layers_do_at_one_time_is_one_alert_and_what_they_do_later_another():
    first, second, third = (np.ones((width, 600), bool) for width in (12, 20, 30))
    first[:4, 100:] = second[:10, 103:] = False
    third[:15, 400:] = False
    found = planted.found(layers_of(first, second, third))
    assert [(a.kind, a.step, a.layer, a.layers, a.count) for a in found] == [
        ("left living", 100 + TOLD, 0, (0, 1), 14),
        ("left living", 400 + TOLD, 2, (2,), 15),
    ]
    assert "1 more layer" in found[0].text
    assert "1 more layer" not in found[1].text


def test_layers_at_the_same_step_are_named_by_the_one_with_most_neurons():
    first, second = np.ones((12, 300), bool), np.ones((20, 300), bool)
    first[:5, 100:] = second[:10, 100:] = False
    (alert,) = planted.found(layers_of(first, second))
    assert (alert.layer, alert.layers, alert.count) == (1, (0, 1), 15)


def test_neurons_of_several_layers_are_named_with_their_layers(tmp_path):
    with Recorder(
        tmp_path / "run", [{"name": n, "neurons": 12} for n in "abc"], config={"warmup_steps": 0}
    ) as recorder:
        for index, dead in enumerate(([1, 2, 3, 4, 5], [], [0, 7, 8, 9])):
            columns = {key: np.full((200, 12), value, np.float32) for key, value in LIVING.items()}
            for key, value in DEAD.items():
                columns[key][100:, dead] = value
            recorder.record_block(np.arange(200), index, columns)
    frame = Run(tmp_path / "run").alerts()
    assert len(frame) == 1
    row = frame.iloc[0]
    assert (row["layer"], row["layers"], row["count"]) == (0, [0, 2], 9)
    pairs = list(zip(row["neuron_layers"], row["neurons"], strict=True))
    assert pairs == [(0, n) for n in (1, 2, 3, 4, 5)] + [(2, n) for n in (0, 7, 8, 9)]
    assert alerts.where(row, list("abc")) == "a and 1 more"
    assert alerts.where({"layer": 2, "layers": [2]}, list("abc")) == "c"
    assert alerts.where({"layer": pd.NA, "layers": []}, list("abc")) == "the run"
    export(tmp_path / "run", html=tmp_path / "report.html", csv=tmp_path / "tables")
    assert "<b>a and 1 more · step" in (tmp_path / "report.html").read_text()
    (table,) = pd.read_csv(tmp_path / "tables" / "alerts.csv").to_dict("records")
    assert table["layers"] == "0 2"
    assert table["neuron_layers"] == "0 0 0 0 0 2 2 2 2"


def test_a_jump_up_and_a_fall_of_two_layers_are_two_events():
    rise, fall = np.full(200, 0.3), np.full(200, 0.3)
    rise[100:], fall[100:] = 1.2, 0.05
    lives = np.ones((8, 200), bool)
    found = planted.found(pd.concat([planted.layer(lives, rise), planted.layer(lives, fall, index=1)]))
    assert sorted((a.kind, a.step, a.layers) for a in found) == [
        ("jump in KL", 102, (0,)),
        ("jump in KL", 102, (1,)),
    ]


def test_a_mean_kl_that_is_taken_at_every_second_step():
    kl = np.where(np.arange(300) < 150, 0.3, 1.2)
    kl[::2] = np.nan
    found = planted.found(planted.layer(np.ones((8, 300), bool), kl))
    assert [(a.kind, a.step) for a in found] == [("jump in KL", 155)]


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("width", [8, 16, 64, 256])
@pytest.mark.parametrize(
    ("share", "shared", "correlation"), [(0.97, 0.06, 0.3), (0.8, 0, 0), (0.9, 0.2, 0.3)]
)
def test_flicker_of_a_healthy_layer_is_no_alert(settled, width, share, shared, correlation):
    """Of 1,000 runs in these settings fewer than 10 had an alert."""
    random = np.random.default_rng(width)
    for _ in range(4):
        lives = planted.living(random, width, 1_000, share, shared, correlation)
        assert planted.found(planted.layer(lives, settled=settled)) == []


@pytest.mark.parametrize("settled", [True, False])
def test_neurons_on_the_border_that_flicker_independently_are_no_alert(settled):
    random = np.random.default_rng(0)
    for width in (8, 32, 256) if not settled else (256,):
        lives = planted.living(random, width, 2_000, 0.5)
        assert planted.found(planted.layer(lives, settled=settled)) == []


@pytest.mark.parametrize(
    ("width", "dead", "over"), [(3, 3, 1), (8, 4, 1), (16, 6, 1), (32, 11, 64), (64, 22, 64), (256, 86, 64)]
)
def test_deaths_among_flicker_are_found(width, dead, over):
    random = np.random.default_rng(width)
    delays = [planted.first_alert(planted.dying(random, width, dead, over)) for _ in range(10)]
    assert sum(delay is not None for delay in delays) >= 9
    assert np.median([delay for delay in delays if delay is not None]) <= over + 3 * TOLD


def test_deaths_among_flicker_are_found_in_counts_of_single_steps():
    random = np.random.default_rng(0)
    for width, dead, over in ((32, 11, 1), (64, 22, 1), (16, 8, 1), (256, 86, 64)):
        delays = [
            planted.first_alert(planted.dying(random, width, dead, over, settled=False)) for _ in range(5)
        ]
        assert None not in delays, (width, dead, over)


@pytest.mark.parametrize(("sd", "correlation"), [(0.05, 0.5), (0.15, 0.8)])
def test_noise_of_the_mean_kl_is_no_jump_and_a_jump_is_found_in_it(sd, correlation):
    random = np.random.default_rng(1)
    for _ in range(10):
        assert planted.found(planted.mean_kl(random, sd, correlation)) == []
    delays = [planted.first_alert(planted.mean_kl(random, sd, correlation, 3.0)) for _ in range(20)]
    assert sum(delay is not None and delay <= 8 for delay in delays) >= 16


def test_controls_among_noise():
    random = np.random.default_rng(2)
    for _ in range(5):
        assert planted.controlled(random, "healthy") == []
        (chasing,) = planted.controlled(random, "chases")
        (saturated,) = planted.controlled(random, "saturates")
        assert (chasing.kind, saturated.kind) == ("chases its band", "control saturated")
        assert saturated.step == planted.ONSET + 63
        assert planted.ONSET < chasing.step < planted.ONSET + 4 * 64


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


def test_an_event_that_goes_on_gains_layers_and_keeps_its_beginning():
    first, second = np.ones((12, 300), bool), np.ones((20, 300), bool)
    first[:5, 100:] = second[:10, 130:] = False
    summary = layers_of(first, second)
    for now, layers in ((100 + TOLD - 1, None), (100 + TOLD, (0,)), (130 + TOLD, (0, 1)), (299, (0, 1))):
        found = planted.found(summary[summary["step"] <= now])
        assert [(a.step, a.layer, a.layers) for a in found] == ([] if layers is None else [(108, 0, layers)])


def test_a_lost_loss():
    scalars = pd.DataFrame(
        {"step": [1, 2, 3], "split": "train", "name": "loss", "value": [1.0, math.nan, math.nan]}
    )
    found = alerts.find(pd.DataFrame({"step": [], "layer": []}), scalars, pd.DataFrame({"step": []}))
    assert [(a.kind, a.step, a.layer) for a in found] == [("non-finite loss", 2, None)]


def test_the_alerts_of_a_planted_collapse_name_the_transitions(write):
    def collapse(columns):
        for key, value in DEAD.items():
            columns[key][200:, 5:12] = value

    run = write(collapse)
    moves = diagnostics.transitions(run.history(0, None, ["regime"]))
    late = moves[moves["step"] == 200]
    assert late["neuron"].tolist() == run.alerts().iloc[0]["neurons"]


def test_a_collapse_is_told_in_words_of_its_family(tmp_path):
    def collapsed(family, name):
        layer = {"name": "a", "neurons": NEURONS, "prior": "given"} | family
        with Recorder(tmp_path / name, [layer], config={"steps": 500, "warmup_share": 0.1}) as recorder:
            frozen = np.arange(STEPS)[:, None] >= 200
            told = np.where(frozen, 0.0, 0.5) * np.ones(NEURONS)
            recorder.record_block(
                np.arange(STEPS), 0,
                {"kl": told + 0.4, "information": told, "entropy": np.full_like(told, 0.6),
                 "prior_entropy": np.full_like(told, np.log(8)), "mismatch": np.full_like(told, 0.4)},
            )  # fmt: skip
        [row] = Run(tmp_path / name).alerts().to_dict("records")
        assert (row["kind"], row["count"], row["step"]) == ("left living", NEURONS, 200 + TOLD)
        return row["text"] + row["advice"]

    assert "picks the same classes whatever the input" in collapsed(
        {"family": "categorical", "classes": 8}, "one"
    )
    said = collapsed({"family": "dirichlet", "classes": 3}, "two")
    assert "unknown" not in said
