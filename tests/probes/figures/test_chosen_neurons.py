"""Figures of chosen neurons draw what is in the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from probed import write_probed
from scipy import stats
from scipy.integrate import trapezoid

from probes import Run
from probes.analysis import posteriors
from probes.figures.densities import Moment, densities, filled
from probes.figures.energy import energy
from probes.figures.fans import fans
from probes.figures.force_balance import force_balance
from probes.figures.frames import Frames, aligned, probe_frames, timeline
from probes.figures.kl_parts import kl_parts, parts
from probes.figures.neuron_panels import panel_columns
from probes.figures.neuron_series import NeuronSeries
from probes.figures.overlay import overlay
from probes.figures.persistence import persistence_over_steps


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(write_probed(tmp_path_factory.mktemp("chosen") / "run", name="<b>first</b>"))


@pytest.fixture(scope="module")
def neurons(run: Run) -> list[NeuronSeries]:
    summary, events = run.layer_summary(), run.events()
    return [
        NeuronSeries(
            f"{run.layers[layer]['name']}:{neuron}",
            run.history(layer, [neuron]),
            summary[summary["layer"] == layer],
            events[
                (events["layer"] == layer)
                & (events["neuron"].isna() | (events["neuron"] == neuron)).fillna(False)
            ],
            color,
        )
        for layer, neuron, color in ((0, 2, "#0072B2"), (1, 4, "#E69F00"))
    ]


def traces(figure, name: str) -> list:
    return [trace for trace in figure.data if trace.name == name]


def test_fans_are_mean_and_sd(neurons: list[NeuronSeries]) -> None:
    figure = fans(neurons, step=7)
    rows = neurons[1].rows
    mean, sd = rows["mean"].to_numpy(), np.sqrt(rows["variance"].to_numpy())
    np.testing.assert_allclose(traces(figure, "mean")[1].y, mean, rtol=1e-6)
    top = traces(figure, "posterior sd")[1]
    np.testing.assert_allclose(top.y, mean + sd, rtol=1e-5)
    wide = traces(figure, "aggregate sd")[1]
    np.testing.assert_allclose(wide.y, mean + np.sqrt(rows["variance"] + rows["spread"]), rtol=1e-5)
    assert (top.xaxis, top.yaxis) == ("x2", "y2")
    assert [trace.showlegend for trace in traces(figure, "mean")] == [True, False]
    assert [shape.x0 for shape in figure.layout.shapes] == [7, 7]


def test_behind_a_neuron_is_its_layers_median(run: Run, neurons: list[NeuronSeries]) -> None:
    rows = run.history(1, statistics=["kl"]).set_index(["step", "neuron"])["kl"].unstack()
    drawn = traces(kl_parts(neurons), "layer median of KL")[1].y
    np.testing.assert_allclose(drawn, rows.median(axis=1), rtol=1e-5)


def test_the_parts_of_the_kl_add_up(neurons: list[NeuronSeries]) -> None:
    for series in neurons:
        np.testing.assert_allclose(sum(parts(series).values()), series.values("kl"), rtol=1e-5)
    figure = kl_parts(neurons)
    stacked = [trace for trace in figure.data if trace.stackgroup == "parts0"]
    assert [trace.name for trace in stacked] == ["information", "mismatch", "past"]
    np.testing.assert_allclose(sum(trace.y for trace in stacked), traces(figure, "KL")[0].y, rtol=1e-5)


def test_a_mismatch_that_was_not_recorded_is_what_remains(neurons: list[NeuronSeries]) -> None:
    rows = neurons[0].rows
    found = parts(NeuronSeries("n", rows.drop(columns="mismatch")))
    np.testing.assert_allclose(found["mismatch"], rows["mismatch"], atol=1e-6)
    assert parts(NeuronSeries("n", rows.drop(columns="information"))) == {}


def test_energy_has_its_band_and_interventions(neurons: list[NeuronSeries]) -> None:
    figure = energy(neurons)
    assert traces(figure, "band")[0].y.tolist() == pytest.approx([0.5] * 40)
    marks = traces(figure, "intervention")
    assert [list(mark.x) for mark in marks] == [[5], [6]]
    assert marks[0].text[0] == "homeostat 1.1"
    assert figure.layout.yaxis.type == "log"


def test_persistence_shows_interval_prior_and_input(neurons: list[NeuronSeries]) -> None:
    figure = persistence_over_steps(neurons)
    rows = neurons[0].rows
    np.testing.assert_allclose(traces(figure, "measured")[0].y, rows["persistence"])
    np.testing.assert_allclose(traces(figure, "95 % interval")[0].y, rows["persistence_high"])
    np.testing.assert_allclose(traces(figure, "prior's φ")[0].y, 0.3)
    np.testing.assert_allclose(traces(figure, "the input's own")[0].y, 0.7)


def test_an_overlay_has_one_line_a_neuron(neurons: list[NeuronSeries]) -> None:
    figure = overlay(neurons, "contraction")
    assert [trace.name for trace in figure.data if trace.mode == "lines"] == [
        "&lt;b&gt;first&lt;/b&gt;:2",
        "second:4",
    ]
    np.testing.assert_allclose(figure.data[0].y, 1 - neurons[0].rows["variance"], atol=1e-6)
    assert overlay(neurons, "beta", scale="log").layout.yaxis.type == "log"
    with pytest.raises(KeyError, match="kL"):
        overlay(neurons, "kL")


@pytest.mark.parametrize("draw", [fans, kl_parts, energy, persistence_over_steps])
def test_panels_have_names_titles_and_a_text(neurons: list[NeuronSeries], draw) -> None:
    figure = draw(neurons, axis="log")
    assert figure.layout.annotations[0].text == "&lt;b&gt;first&lt;/b&gt;:2"
    assert figure.layout.xaxis.title.text == "step"
    assert figure.layout.yaxis.title.text
    assert figure.layout.xaxis2.type == "log"
    assert "second:4" in figure.layout.meta["alt"]


@pytest.mark.parametrize("draw", [fans, kl_parts, energy, persistence_over_steps])
def test_one_step_and_missing_statistics_are_drawn(neurons: list[NeuronSeries], draw) -> None:
    rows = neurons[0].rows
    for part in (rows.iloc[:1], rows[["step", "mean", "variance"]]):
        assert draw([NeuronSeries("n", part)]).layout.annotations[0].text == "n"


def test_eight_panels_stand_in_two_rows() -> None:
    assert [panel_columns(count) for count in (0, 1, 5, 6, 7, 8)] == [1, 1, 5, 3, 4, 4]


def test_densities_are_the_mixture_and_the_aggregate(run: Run) -> None:
    mu, sigma = posteriors.table(run.probe(10), 0)
    row = run.at(10, 0).iloc[2]
    moment = Moment(10, row["mean"], row["variance"], row["spread"], mu[:, 2], sigma[:, 2])
    start = Moment(1, 0.0, 1.0, 0.0)
    figure = densities(["n"], [start], [moment], ["#0072B2"])
    z = figure.data[0].x
    mixture = np.mean([stats.norm.pdf(z, m, s) for m, s in zip(mu[:, 2], sigma[:, 2], strict=True)], axis=0)
    np.testing.assert_allclose(traces(figure, "at the cursor")[0].y, mixture, atol=1e-6)
    wide = stats.norm.pdf(z, row["mean"], np.sqrt(row["variance"] + row["spread"]))
    np.testing.assert_allclose(traces(figure, "at the cursor, aggregate")[0].y, wide, atol=1e-6)
    np.testing.assert_allclose(filled(z, start), stats.norm.pdf(z), atol=1e-12)
    assert trapezoid(traces(figure, "at the cursor")[0].y, z) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("sd", [0.05, 0.01, 0.002])
def test_narrow_densities_keep_their_area_and_their_peak(sd: float) -> None:
    draw = np.random.default_rng(0)
    for mean in draw.uniform(-1, 1, 20):
        moment = Moment(1, mean, sd**2, 0.0)
        figure = densities(["n"], [Moment(0, 0.0, 1.0, 0.0)], [moment], ["#0072B2"])
        curve = traces(figure, "at the cursor")[0]
        # on 241 even points: 0.07 to 2.3 at an sd of 0.005
        assert trapezoid(curve.y, curve.x) == pytest.approx(1, abs=0.02)
        assert max(curve.y) == pytest.approx(1 / (sd * np.sqrt(2 * np.pi)), rel=0.01)
        assert len(curve.x) < 320
        assert len(traces(figure, "prior")[0].x) == len(curve.x)
    mu = draw.uniform(-2, 2, 32)
    many = Moment(1, float(mu.mean()), sd**2, float(mu.var()), mu, np.full(32, sd))
    curve = traces(densities(["n"], [many], [many], ["#0072B2"]), "at the cursor")[0]
    assert trapezoid(curve.y, curve.x) == pytest.approx(1, abs=0.03)
    assert len(curve.x) <= 640


def test_wide_densities_need_no_further_points() -> None:
    figure = densities(["n"], [Moment(0, 0.0, 1.0, 0.0)], [Moment(1, 0.0, 0.3, 0.2)], ["#0072B2"])
    assert {len(trace.x) for trace in figure.data} == {241}
    off = densities(["n"], [Moment(0, 0.0, 1.0, 0.0)], [Moment(1, 40.0, 1e-6, 0.0)], ["#0072B2"])
    assert {len(trace.x) for trace in off.data} == {241}


def test_forces_stand_in_the_order_of_the_terms() -> None:
    rows = pd.DataFrame(
        {
            "name": ["a", "b"] * 3,
            "term": ["total"] * 2 + ["own"] * 2 + ["nll"] * 2,
            "pull_mu": [1, 2, 3, 4, 5, -6.0],
        }
    )
    figure = force_balance(rows, ["b", "a"], "pull_mu")
    assert [bar.name for bar in figure.data] == ["nll", "total", "own"]
    assert figure.data[0].y.tolist() == [-6, 5]


def test_a_broken_moment_is_left_out() -> None:
    broken = Moment(3, np.nan, np.nan, np.nan)
    figure = densities(["n"], [Moment(1, 0, 1, 0)], [broken], ["#0072B2"])
    assert [trace.name for trace in figure.data] == ["prior", "earlier", "earlier, aggregate"]


def test_frames_of_two_tracks_share_a_line() -> None:
    first, second = np.array([0, 10, 20]), np.arange(5, 400)
    steps = timeline([first, second], 20, kept=[33, 1000])
    assert {0, 20, 5, 399, 33} <= set(steps.tolist())
    assert 1000 not in steps
    assert len(steps) < 30
    assert timeline([first, first], 2).tolist() == [0, 10, 20]
    values = np.arange(3, dtype=np.float32)[:, None]
    held = aligned(Frames(first, values, values, values, np.array([1, 2, 3])), np.array([-1, 0, 15, 99]))
    np.testing.assert_array_equal(held.mean[:, 0], [np.nan, 0, 1, 2])
    assert held.width.tolist() == [1, 1, 2, 3]


def test_frames_of_one_input_have_no_spread() -> None:
    found = probe_frames(np.array([0, 5]), np.ones((2, 3)), np.full((2, 3), 0.5))
    assert (found.variance == 0.25).all()
    assert np.isnan(found.spread).all()
