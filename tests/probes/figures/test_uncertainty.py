"""Figures of uncertainty and persistence, against numpy and scipy on the rows they are drawn from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from probes.analysis.calibration import pit_density
from probes.figures.caterpillar import caterpillar, sorted_neurons
from probes.figures.floor_gap import floor_gap
from probes.figures.forecast_bands import central_band, forecast_bands
from probes.figures.half_lives import half_life_histogram
from probes.figures.pit_over_steps import pit_over_steps
from probes.figures.predictive_scores import predictive_scores
from probes.figures.uncertainty_fans import uncertainty_fans, uncertainty_quantiles
from probes.figures.variance_parts import variance_parts


def summary(variance: np.ndarray) -> pd.DataFrame:
    """As `Run.layer_summary()` has it, of variances (steps, neurons) in one layer."""
    table = pd.DataFrame({"step": np.arange(len(variance)), "layer": 0, "variance_mean": variance.mean(1)})
    for quantile in (5, 25, 50, 75, 95):
        table[f"variance_p{quantile:02d}"] = np.percentile(variance, quantile, axis=1)
    return table


def test_sd_and_entropy_are_those_of_the_gaussian() -> None:
    variance = np.random.default_rng(0).uniform(0.01, 2, (4, 1001))  # percentiles fall on neurons
    found = uncertainty_quantiles(summary(variance))
    np.testing.assert_allclose(found["sd"]["p05"], np.percentile(np.sqrt(variance), 5, axis=1))
    entropy = stats.norm(scale=np.sqrt(variance)).entropy()
    np.testing.assert_allclose(found["entropy"]["p75"], np.percentile(entropy, 75, axis=1))


def test_a_point_has_no_entropy_to_draw() -> None:
    found = uncertainty_quantiles(summary(np.zeros((1, 3))))
    assert found["entropy"]["p50"].isna().all()


def test_the_outlines_of_a_fan_are_its_quantiles_without_the_steps_not_taken() -> None:
    variance = np.random.default_rng(0).uniform(0.01, 2, (4, 100))
    table_ = summary(variance)
    table_.loc[1, [name for name in table_ if name.startswith("variance")]] = np.nan
    outline = uncertainty_fans(table_, ["one"]).data[0]
    assert list(outline.x) == [0, 2, 3, 3, 2, 0]
    np.testing.assert_allclose(
        outline.y[:3], np.sqrt(np.percentile(variance, 5, axis=1))[[0, 2, 3]], rtol=1e-5
    )


def test_fans_have_two_rows_and_the_prior() -> None:
    figure = uncertainty_fans(summary(np.ones((3, 5))), ["<i>one</i>"], step=2)
    assert figure.layout.yaxis.title.text == "posterior sd (prior sd)"
    assert figure.layout.yaxis2.title.text == "entropy (nats)"
    assert "&lt;i&gt;" in figure.layout.annotations[0].text
    lines = [shape.y0 for shape in figure.layout.shapes if shape.xref.endswith("domain")]
    assert lines == [1.0, pytest.approx(stats.norm().entropy())]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = pd.MultiIndex.from_product(
        [(0, 10, 100), range(5), range(3)], names=["step", "input", "horizon"]
    ).to_frame(index=False)
    count = len(rows)
    return rows.assign(
        y=random.standard_normal(count), mean=random.standard_normal(count), latent_variance=0.09,
        observation_variance=0.16,
        pit=random.uniform(size=count),
    )  # fmt: skip


def test_bands_are_quantiles_of_the_gaussian_with_both_variances(table: pd.DataFrame) -> None:
    low, high = central_band(np.array([1.0]), np.array([0.25]), 0.8)
    np.testing.assert_allclose([low[0], high[0]], stats.norm(1, 0.5).ppf([0.1, 0.9]))
    figure = forecast_bands(table, [3], [10])
    part = table[(table["input"] == 3) & (table["step"] == 10)]
    top = next(trace for trace in figure.data if trace.name == "95 % band")
    assert list(top.x[:6]) == [1, 2, 3, 3, 2, 1]
    half = 0.5 * stats.norm.ppf(0.975)
    np.testing.assert_allclose(
        top.y[:6], np.concatenate([part["mean"] - half, (part["mean"] + half)[::-1]]), rtol=1e-5
    )


def test_bands_of_student_are_its_quantiles(table: pd.DataFrame) -> None:
    heavy = table.assign(latent_variance=0.0, df=5.0)
    figure = forecast_bands(heavy, [3], [10])
    part = heavy[(heavy["input"] == 3) & (heavy["step"] == 10)]
    top = next(trace for trace in figure.data if trace.name == "80 % band")
    half = 0.4 * np.sqrt(3 / 5) * stats.t.ppf(0.9, 5)
    np.testing.assert_allclose(
        top.y[:6], np.concatenate([part["mean"] - half, (part["mean"] + half)[::-1]]), rtol=1e-5
    )
    low, high = central_band(np.zeros(2), np.ones(2), 0.95, np.array([np.inf, 5.0]))
    np.testing.assert_allclose(high, [stats.norm.ppf(0.975), stats.t.ppf(0.975, 5) * np.sqrt(3 / 5)])
    np.testing.assert_allclose(low, -high)


def test_a_single_number_has_bands_with_an_area(table: pd.DataFrame) -> None:
    scalar = table[table["horizon"] == 0]
    figure = forecast_bands(scalar, [3], [0, 10], twin=scalar)
    half = 0.5 * stats.norm.ppf(0.975)
    top = next(trace for trace in figure.data if trace.name == "95 % band")
    first = scalar[(scalar["input"] == 3) & (scalar["step"] == 0)]["mean"].item()
    assert top.x[1] - top.x[0] > 0.5
    np.testing.assert_allclose(top.y[:4], first + half * np.array([-1, -1, 1, 1]), rtol=1e-5)
    assert [*figure.layout.xaxis.ticktext] == [""] * len(figure.layout.xaxis.ticktext)


def test_steps_stand_side_by_side_and_each_row_has_its_input(table: pd.DataFrame) -> None:
    figure = forecast_bands(table, [0, 4], [0, 10, 100], twin=table[table["step"] < 100])
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(named) == sorted(set(named))
    assert figure.layout.yaxis2.title.text == "input 4 (scaled)"
    mean = [trace for trace in figure.data if trace.name == "mean"][1]
    expected = [*table[(table["step"] == 10) & (table["input"] == 4)]["mean"]]
    np.testing.assert_allclose(mean.y[4:7], expected, rtol=1e-5)
    assert np.isnan(mean.y[[3, 7]]).all()  # gaps
    assert (np.diff(mean.x[np.isfinite(mean.x)]) > 0).all()
    twin = [trace for trace in figure.data if trace.name == "twin, mean"][1]
    np.testing.assert_allclose(twin.y[8:], expected, rtol=1e-5)  # it has no step 100: its last before
    assert [item.text for item in figure.layout.annotations] == ["step 0", "step 10", "step 100"]


def test_scores_have_a_panel_each_and_nominal_coverage() -> None:
    names = ["nll_joint", "coverage_50", "coverage_95"]
    scalars = pd.DataFrame(
        [(s, n, 0.5 + s) for n in names for s in (2, 1)], columns=["step", "name", "value"]
    )
    figure = predictive_scores(scalars, twin=scalars[scalars["name"] == "nll_joint"])
    assert [figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text] == [
        "NLL (nats per prediction)",
        "coverage",
    ]
    assert [trace.name for trace in figure.data] == ["twin", "this run", "50 %", "95 %"]
    assert list(figure.data[1].x) == [1, 2]
    assert [shape.y0 for shape in figure.layout.shapes] == [0.5, 0.95]
    assert not predictive_scores(scalars.iloc[:0]).data


def test_classes_have_their_accuracy_to_100_per_cent_and_their_ece_beside_a_calibrated_one() -> None:
    values = {"accuracy": 0.97, "ece": 0.03, "ece_null": 0.02, "ece_null_95": 0.04}
    scalars = pd.DataFrame(
        [(step, name, value) for step in (0, 10) for name, value in values.items()],
        columns=["step", "name", "value"],
    )
    figure = predictive_scores(scalars)
    low, high = figure.layout.yaxis.range
    assert low < 0.97 < 1 <= high <= 1.02
    lines = {trace.name: trace.y[-1] for trace in figure.data if trace.yaxis == "y2"}
    assert lines == pytest.approx(
        {"this run": 0.03, "if calibrated, mean": 0.02, "if calibrated, 95 % below": 0.04}
    )


def test_a_latent_part_of_nothing_is_not_drawn_on_the_log_axis() -> None:
    parts = pd.DataFrame(
        {"step": [1, 2], "latent": [0.0, 0.1], "observation": 1.0, "error": 0.5, "error_half_width": 0.4}
    )
    figure = variance_parts(parts, step=1)
    latent = next(trace for trace in figure.data if trace.name == "latent part")
    assert np.isnan(latent.y[0])
    error = next(trace for trace in figure.data if trace.name == "squared error")
    assert (error.y - error.error_y.arrayminus > 0).all()


def test_pit_over_steps_holds_the_densities(table: pd.DataFrame) -> None:
    histogram = pit_density(table, bins=5)
    figure = pit_over_steps(histogram, 10)
    drawn = np.asarray(figure.data[0].z)
    # of 15 values, 3 a bin are expected
    expected = np.histogram(table[table["step"] == 10]["pit"], 5, (0, 1))[0] / 3
    np.testing.assert_allclose(drawn[:, 1], expected, rtol=1e-6)
    assert figure.layout.shapes[0].x0 == 0.5


def neurons(count: int, phi: float = 0.5) -> pd.DataFrame:
    slope = np.linspace(-0.9, 0.99, count)[::-1]
    columns = {
        "persistence": slope,
        "persistence_low": slope - 0.05,
        "persistence_high": slope + 0.05,
        "phi": phi,
    }
    return pd.DataFrame({"layer": 0, "neuron": np.arange(count), **columns})


def test_the_caterpillar_is_sorted_and_coloured_by_fault() -> None:
    table_ = neurons(50)
    table_.loc[7, "persistence"] = np.nan
    found = sorted_neurons(table_)
    assert found["persistence"].is_monotonic_increasing
    assert 7 not in found["neuron"].tolist()
    stuck = np.arctanh(np.clip(found["persistence_low"], -1, 1)) > np.arctanh(0.5) + 0.2
    assert (found["fault"] == "stuck").tolist() == stuck.tolist()
    figure = caterpillar(table_, reference=0.97)
    assert [trace.name for trace in figure.data] == ["prior's φ", "as expected", "stuck", "jittery"]
    assert sum(len(trace.x) for trace in figure.data[1:]) == 49
    assert any(shape.y0 == 0.97 for shape in figure.layout.shapes)


def test_a_wide_layer_is_shown_at_even_ranks_with_both_ends() -> None:
    found = sorted_neurons(neurons(5000), most=300)
    assert len(found) == 300
    assert found["persistence"].iloc[[0, -1]].tolist() == [-0.9, 0.99]
    with pytest.raises(ValueError, match="sorted by"):
        sorted_neurons(neurons(3), "size")


def test_set_points_that_slopes_are_held_at_stand_beside_them() -> None:
    held = neurons(4)[["layer", "neuron", "persistence"]].assign(persistence_target=[0.9, 0.1, 0.2, -1.1])
    figure = caterpillar(held)
    assert [trace.name for trace in figure.data] == ["set-point", "measured φ̂"]
    asked, found = (dict(zip(trace.x, trace.y, strict=True)) for trace in figure.data)
    by_slope = held.sort_values("persistence")
    np.testing.assert_allclose(list(asked.values()), by_slope["persistence_target"], rtol=1e-6)
    np.testing.assert_allclose(list(found.values()), by_slope["persistence"], rtol=1e-6)
    assert figure.layout.yaxis.range[0] < -1.1


def test_without_interval_or_prior_there_are_dots_alone() -> None:
    figure = caterpillar(neurons(4)[["layer", "neuron", "persistence"]])
    assert [trace.name for trace in figure.data] == ["measured φ̂"]
    assert figure.data[0].error_y.array is None


def test_half_lives_are_counted_in_log_bins() -> None:
    values = [1.0, 1.1, 30, np.inf, 0, np.nan]
    figure = half_life_histogram(values, marks={"the input's": 50.0, "never": np.inf})
    assert sum(figure.data[0].y) == 3
    for (low, high), count in zip(figure.data[0].customdata, figure.data[0].y, strict=True):
        assert count == sum(low <= value < high for value in values)
    [line], [label] = figure.layout.shapes, figure.layout.annotations
    assert (line.x0, label.x) == (50, np.log10(50))  # on a log axis lines stand in data, labels in decades
    assert not half_life_histogram([np.inf]).data


def test_the_floor_is_taken_off_each_neuron() -> None:
    phi = np.repeat([[0.0], [0.6], [0.9]], 4, axis=1)
    kl = 0.5 * np.log1p(phi**2) + np.array([[0.1], [0.2], [0.3]])
    figure = floor_gap([0, 1, 2, 3, 4], kl, phi)
    np.testing.assert_allclose(figure.data[-1].y, 0.2, rtol=1e-6)
    assert list(figure.data[-1].x) == [0, 1, 2, 3]
    kl[:, 2] = np.nan
    assert list(floor_gap([0, 1, 2, 3, 4], kl, phi).data[-1].x) == [0, 1, 3]


def test_a_second_run_is_named_and_a_panel_can_be_left_out() -> None:
    scalars = pd.DataFrame({"step": [0, 1], "name": ["accuracy", "ece"], "value": [0.9, 0.1]})
    figure = predictive_scores(scalars, twin=scalars, label="other", without=["ECE"])
    assert {trace.name for trace in figure.data} == {"other", "this run"}


def test_one_half_life_of_all_neurons_is_no_bar_as_wide_as_the_figure() -> None:
    figure = half_life_histogram(np.full(9, 5.0), color="#0072B2", marks={"input": 3.0})
    low, high = figure.layout.xaxis.range
    (bar,) = figure.data
    assert high - low > 0.7, "decades"
    assert low < np.log10(3.0) < np.log10(5.0) < high
    assert bar.width[0] < 0.5 * (10**high - 10**low)
