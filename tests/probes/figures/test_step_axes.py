"""Steps told in epochs or time, and the lines that are smoothed: against sums written out and rows by
hand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from probes.figures import layer_bands, regime_counts, scalar_curves
from probes.figures.clock import Clock, clocks
from probes.figures.event_timeline import event_timeline
from probes.figures.fans import fans
from probes.figures.floor_gap import floor_gap
from probes.figures.neuron_series import NeuronSeries
from probes.figures.overlay import overlay
from probes.figures.predictive_scores import predictive_scores
from probes.figures.regime_transitions import regime_transitions
from probes.figures.smoothing import smooth
from probes.figures.uncertainty_fans import uncertainty_fans
from probes.figures.variance_parts import variance_parts

STEPS = np.array([0, 10, 30])
HALF = Clock("epoch", STEPS, STEPS / 20)


def scalars(steps: list[int], epochs: list[float | None], times: list[float]) -> pd.DataFrame:
    columns = {"step": steps, "epoch": pd.array(epochs, dtype="Float64"), "time": times}
    return pd.DataFrame(
        {**columns, "split": "train", "name": "loss", "value": np.arange(len(steps), dtype=float)}
    )


def test_whole_epochs_begin_where_they_are_first_said() -> None:
    (clock,) = clocks([scalars([0, 5, 10, 15, 20], [0, 0, 1, 1, 2], [0.0] * 5)], "epoch")
    assert clock is not None
    assert clock.title == "epoch"
    np.testing.assert_allclose(clock.at([0, 5, 10, 17, 20, 25]), [0, 0.5, 1, 1.7, 2, 2.5])


def test_time_is_linear_between_steps_goes_on_at_the_mean_pace_and_can_be_undone() -> None:
    (clock,) = clocks([scalars([2, 2, 4, 8], [None] * 4, [1.0, 1.5, 3.0, 4.0])], "time")
    assert clock is not None
    assert clock.title == "training time (s)"
    np.testing.assert_allclose(clock.at([0, 2, 3, 6, 8, 10]), [1, 1, 2, 3.5, 4, 5])
    asked = np.array([2.0, 2.5, 7.0, 8.0, 11.0])
    np.testing.assert_allclose(clock.step_of(clock.at(asked)), asked)


def test_a_number_that_is_logged_late_does_not_move_its_step() -> None:
    (clock,) = clocks([scalars([0, 10, 20, 30, 10], [None] * 5, [0.0, 1.0, 2.0, 3.0, 9.0])], "time")
    (late,) = clocks([scalars([10, 20, 30, 0], [None] * 4, [1.0, 2.0, 3.0, 9.0])], "time")
    assert clock is not None
    assert late is not None
    np.testing.assert_allclose(clock.at([0, 10, 20, 30]), [0, 1, 2, 3])
    np.testing.assert_allclose(late.at([0, 10, 20, 30]), [0, 1, 2, 3])


def test_steps_that_were_written_at_once_were_made_one_after_the_other() -> None:
    steps = list(range(300))
    (clock,) = clocks(
        [scalars(steps, [None] * 300, [(1 + step // 30) * 2.0 + 1e-5 * step for step in steps])], "time"
    )
    assert clock is not None
    np.testing.assert_allclose(clock.at([0, 29, 59, 44, 299]), [0, 2, 4, 3, 20], atol=0.01)
    assert (np.diff(clock.at(np.arange(300))) > 0.05).all()


def test_runs_share_a_unit_and_each_has_its_own_pace() -> None:
    table = scalars([0, 100], [None, None], [0.0, 60.0]), scalars([0, 100], [None, None], [0.0, 36_000.0])
    fast, slow = clocks(table, "time")
    assert fast is not None
    assert slow is not None
    assert fast.title == slow.title == "training time (h)"
    assert (fast.at(100).item(), slow.at(50).item()) == (pytest.approx(1 / 60), 5)


@pytest.mark.parametrize(
    "table", [scalars([], [], []), scalars([3], [1.0], [1.0]), scalars([3, 4], [None, 1.0], [0.0, 0.0])]
)
def test_a_run_that_does_not_say_has_no_clock(table: pd.DataFrame) -> None:
    assert clocks([table], "epoch") == [None]
    assert clocks([table], "time") == [None]


@pytest.mark.parametrize("half_life", [0.4, 3, 50.5])
def test_smoothing_is_the_weighted_sum_of_what_came_before(half_life: float) -> None:
    random = np.random.default_rng(0)
    steps = np.sort(random.choice(1000, 120, replace=False))
    values = random.normal(size=120)
    values[[0, 7, 8, 119]] = np.nan
    weights = (
        np.exp2(-np.maximum(steps[:, None] - steps, 0) / half_life)
        * (steps[:, None] >= steps)
        * np.isfinite(values)
    )
    expected = weights @ np.nan_to_num(values) / np.maximum(weights.sum(axis=1), 1e-300)
    np.testing.assert_allclose(
        smooth(steps, values, half_life), np.where(np.isnan(values), np.nan, expected), atol=1e-12
    )


def test_smoothing_does_not_look_ahead_and_keeps_a_constant() -> None:
    steps, values = np.arange(50), np.r_[np.zeros(25), np.ones(25)]
    assert not smooth(steps, values, 10)[:25].any()
    np.testing.assert_allclose(smooth(steps, np.full(50, 3.0), 7), 3)
    assert smooth(steps, values, 10)[34] == pytest.approx((1 - 2**-1) / (1 - 2**-3.5), rel=1e-12)
    with pytest.raises(ValueError, match="half_life is 0"):
        smooth(steps, values, 0)


def test_a_smoothed_curve_has_the_raw_one_behind_it() -> None:
    table = scalars([0, 1, 2], [None] * 3, [0.0] * 3)
    figure = scalar_curves(table, ["loss"], title="nats", half_life=1)
    raw, line = figure.data
    assert raw.y.tolist() == [0, 1, 2]
    assert (raw.showlegend, raw.opacity < 1, line.name) == (False, True, "train loss")
    np.testing.assert_allclose(line.y, smooth([0, 1, 2], [0, 1, 2], 1), rtol=1e-6)
    assert len(scalar_curves(table, ["loss"], title="nats").data) == 1


def summary() -> pd.DataFrame:
    quantiles = {f"variance_{name}": 0.5 for name in ("mean", "p05", "p25", "p50", "p75", "p95")}
    return pd.DataFrame({"step": STEPS, "layer": 0, "settled_0": 3, **quantiles})


def events() -> pd.DataFrame:
    return pd.DataFrame({"step": [10], "layer": pd.array([0], "Int16"), "kind": ["act"], "value": [1.0]})


def scores() -> pd.DataFrame:
    return pd.DataFrame({"step": STEPS, "name": "crps", "value": 1.0})


def parts() -> pd.DataFrame:
    return pd.DataFrame(
        {"step": STEPS, "latent": 1.0, "observation": 1.0, "error": 1.0, "error_half_width": 0.1}
    )


MOVES = pd.DataFrame({"step": [10], "layer": [0], "neuron": [1], "before": [4], "after": [0]})

FIGURES: dict[str, Callable[[], go.Figure]] = {
    "layer_bands": lambda: layer_bands(summary(), "variance", ["one"], step=10, axis=HALF),
    "regime_counts": lambda: regime_counts(summary(), ["one"], step=10, axis=HALF),
    "uncertainty_fans": lambda: uncertainty_fans(summary(), ["one"], step=10, axis=HALF),
    "scalar_curves": lambda: scalar_curves(
        scalars([0, 10, 30], [None] * 3, [0.0] * 3), ["loss"], title="n", step=10, axis=HALF
    ),
    "predictive_scores": lambda: predictive_scores(scores(), twin=scores(), step=10, axis=HALF),
    "variance_parts": lambda: variance_parts(parts(), twin=parts(), step=10, axis=HALF),
    "floor_gap": lambda: floor_gap([0, 10, 30, 31], np.ones((2, 3)), np.zeros((2, 3)), step=10, axis=HALF),
    "event_timeline": lambda: event_timeline(events(), ["one"], (0, 30), step=10, axis=HALF),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_over_steps_lies_along_the_clock(name: str) -> None:
    figure = FIGURES[name]()
    for trace in figure.data:
        assert set(np.asarray(trace.x, float)) <= {0, 0.5, 1.5} or trace.name == "prior"
    assert "epoch" in [axis.title.text for axis in figure.select_xaxes()]
    marks = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1 and shape.x0 is not None]
    assert {shape.x0 for shape in marks} == {0.5}


def test_moves_lie_along_the_clock() -> None:
    figure = regime_transitions(MOVES, ["one"], (0, 30), step=10, axis=HALF)
    bars = figure.data[0]
    hit = int(np.argmax(bars.y))
    assert bars.x[hit] - bars.width[hit] / 2 <= 0.5 < bars.x[hit] + bars.width[hit] / 2
    assert figure.layout.shapes[0].x0 == 0.5


def test_the_twin_has_its_own_pace() -> None:
    slower = Clock("epoch", STEPS, STEPS / 10)
    twin, mine = predictive_scores(scores(), twin=scores(), axis=HALF, twin_axis=slower).data
    assert (twin.x[-1], mine.x[-1]) == (3, 1.5)
    grey = variance_parts(parts(), twin=parts(), axis=HALF, twin_axis=slower).data[-1]
    assert grey.x[-1] == 3


def test_neurons_of_two_runs_each_have_their_own_clock() -> None:
    rows = pd.DataFrame({"step": STEPS, "mean": 0.0, "variance": 1.0})
    slower = Clock("epoch", STEPS, STEPS / 10)
    neurons = [NeuronSeries("a", rows, clock=HALF, events=events()), NeuronSeries("b", rows, clock=slower)]
    figure = fans(neurons, step=10)
    assert [trace.x[-1] for trace in figure.data if trace.name == "mean"] == [1.5, 3]
    assert [shape.x0 for shape in figure.layout.shapes] == [0.5, 1]
    one = overlay(neurons, "variance", step=10, half_life=5)
    assert [trace.x[-1] for trace in one.data if trace.mode == "lines" and trace.name] == [1.5, 3]
    assert [shape.x0 for shape in one.layout.shapes] == [0.5, 1]
    assert one.layout.xaxis.title.text == "epoch"
    assert [list(trace.x) for trace in one.data if trace.name == "intervention"] == [[0.5]]
