"""Figures of experiments and calibration: what is drawn, against the tables; every axis has a title."""

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from probes.figures import ablation, autocorrelation, dose_response, pit, risk_coverage, rollout, traversal
from probes.schema import REGIMES, STATISTICS

HALF = NormalDist().inv_cdf(0.975)  # of a 95 % interval, in standard errors
LAYERS = ["first", "<b>second</b>"]


def titled(figure):
    """Every visible axis has a title and the figure a text alternative; names are never markup."""
    axes = [figure.layout[name] for name in figure.to_dict()["layout"] if name.startswith(("xaxis", "yaxis"))]
    assert any(axis.title.text for axis in axes)
    assert figure.layout.meta["alt"]
    assert not any("<b>" in (trace.name or "") for trace in figure.data)
    return figure


@pytest.fixture(scope="module")
def effects():
    draw = np.random.default_rng(0)
    rows = [
        (layer, neuron, mode, score)
        for layer in (0, 1)
        for neuron in range(5)
        for mode in ("mean", "resampled")
        for score in ("nll", "crps")
    ]
    frame = pd.DataFrame(rows, columns=["layer", "neuron", "mode", "score"])
    return frame.assign(effect=draw.normal(size=len(frame)), standard_error=draw.uniform(0.1, 1, len(frame)))


def test_effects_are_drawn_from_the_most_needed_on_with_their_intervals(effects):
    figure = titled(ablation.ablation_effects(effects, "nll", "mean", LAYERS))
    part = effects.query("layer == 1 and score == 'nll' and mode == 'mean'").sort_values(
        "effect", ascending=False
    )
    np.testing.assert_allclose(figure.data[1].y, part["effect"], rtol=1e-6)
    np.testing.assert_allclose(figure.data[1].error_y.array, HALF * part["standard_error"], rtol=1e-6)
    assert list(figure.data[1].customdata) == [f"2:{neuron}" for neuron in part["neuron"]]
    assert figure.layout.yaxis.title.text == "change of NLL (nats)"
    with pytest.raises(ValueError, match="there are crps, mean; crps, resampled"):
        ablation.ablation_effects(effects, "mse", "mean", LAYERS)


def test_every_neuron_is_one_dot_in_the_colour_of_its_regime(effects):
    neurons = effects[["layer", "neuron"]].drop_duplicates().assign(kl=np.arange(10.0), regime=[0, 4] * 5)
    figure = titled(ablation.ablation_prediction(effects, neurons, "kl", "crps", "resampled", LAYERS))
    assert sum(len(trace.x) for trace in figure.data) == 10
    for trace in figure.data:
        regime = next(regime for regime in REGIMES if trace.name.startswith(regime.name))
        assert trace.marker.color == regime.color
        codes = neurons.set_index("kl").loc[list(trace.x), "regime"]
        assert (codes == regime.code).all()
    assert figure.layout.xaxis.title.text == STATISTICS["kl"].title


def test_predictors_carry_their_intervals(effects):
    rows = [
        ("mean", "nll", layer, name, 0.5, 0.2, 0.7, 5) for layer in (-1, 0, 1) for name in ("kl", "regime")
    ]
    table = pd.DataFrame(
        rows, columns=["mode", "score", "layer", "predictor", "value", "low", "high", "neurons"]
    )
    figure = titled(ablation.ablation_predictors(table, "nll", "mean", LAYERS))
    assert len(figure.data) == 3
    np.testing.assert_allclose(figure.data[0].error_y.array, 0.2, atol=1e-6)
    np.testing.assert_allclose(figure.data[0].error_y.arrayminus, 0.3, atol=1e-6)


@pytest.fixture(scope="module")
def walk():
    value, index, output = (
        part.ravel() for part in np.meshgrid(np.linspace(-3, 3, 25), [0, 1], np.arange(6), indexing="ij")
    )
    mean = value * (output + 1) + 100 * index
    curves = pd.DataFrame(
        {"layer": 0, "neuron": 2, "input": index, "value": value, "output": output, "mean": mean, "sd": 0.5}
    )
    posteriors = pd.DataFrame(
        {"layer": 0, "neuron": 2, "input": [0, 1], "mu": [0.5, -1.0], "sigma": [0.2, 0.3]}
    )
    return curves, posteriors


def test_a_fan_has_the_ends_of_the_walk_and_the_target(walk):
    targets = pd.DataFrame({"input": [0] * 6, "output": range(6), "y": np.arange(6.0)})
    figure = titled(traversal.traversal_curves(walk[0], 0, 2, 0, targets=targets))
    assert [figure.data[0].name, figure.data[6].name, figure.data[7].name] == ["−3.0 sd", "+3.0 sd", "target"]
    np.testing.assert_allclose(figure.data[6].y, 3 * np.arange(1, 7))
    np.testing.assert_allclose(figure.data[7].y, np.arange(6))
    with pytest.raises(ValueError, match="neuron 1:3 was not walked on input 0"):
        traversal.traversal_curves(walk[0], 0, 3, 0)


def test_a_response_has_the_predictive_sd_around_it_and_the_inputs_own_posterior(walk):
    figure = titled(traversal.traversal_response(*walk, 0, 2, 1, output=4))
    low, high, mean = (trace.y for trace in figure.data)
    np.testing.assert_allclose(mean, 5 * np.linspace(-3, 3, 25) + 100, rtol=1e-6)
    np.testing.assert_allclose(high - low, 1, rtol=1e-4)
    shape = figure.layout.shapes[0]
    assert (shape.x0, shape.x1) == pytest.approx((-1.3, -0.7))


def test_images_show_every_output_upright_on_one_scale(walk):
    figure = traversal.traversal_images(walk[0], 0, 2, 0, (2, 3))
    assert len(figure.data) == 7
    np.testing.assert_allclose(figure.data[6].z, [[12, 15, 18], [3, 6, 9]])
    assert {(trace.zmin, trace.zmax) for trace in figure.data} == {(-18.0, 18.0)}
    with pytest.raises(ValueError, match="6 outputs are no image of 8 x 8"):
        traversal.traversal_images(walk[0], 0, 2, 0, (8, 8))


def test_doses_are_drawn_in_the_quantitys_unit():
    rows = [
        (kind, name, dose, dose + 1, 0.1, dose, 0.05)
        for kind in ("noise", "level")
        for name in ("nll", "internal KL")
        for dose in (0.0, 1.0, 3.0)
    ]
    table = pd.DataFrame(
        rows, columns=["kind", "quantity", "dose", "mean", "standard_error", "change", "change_error"]
    )
    figure = titled(dose_response.dose_response(table, ["nll", "internal KL"]))
    assert [trace.name for trace in figure.data[:2]] == ["additive noise", "level shift"]
    np.testing.assert_allclose(figure.data[0].y, [1, 2, 4])
    np.testing.assert_allclose(figure.data[0].error_y.array, HALF * 0.05, rtol=1e-6)
    assert [figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text] == [
        "NLL (nats)",
        "internal KL (nats)",
    ]
    with pytest.raises(ValueError, match="'fog' was not measured"):
        dose_response.dose_response(table, ["fog"])


def test_detection_is_drawn_between_0_and_1_with_its_interval():
    rows = [(kind, "internal KL", dose, 0.6, 0.5, 0.8) for kind in ("noise", "level") for dose in (1.0, 3.0)]
    table = pd.DataFrame(rows, columns=["kind", "quantity", "dose", "value", "low", "high"])
    figure = titled(dose_response.dose_detection(table, ["internal KL"]))
    assert len(figure.data) == 2
    np.testing.assert_allclose(figure.data[0].error_y.array, 0.2, atol=1e-6)
    assert tuple(figure.layout.yaxis.range) == (0, 1)


def test_neurons_against_dose_are_their_quartiles():
    draw = np.random.default_rng(1)
    rows = [("noise", dose, layer, neuron) for dose in (0.0, 1.0) for layer in (0, 1) for neuron in range(40)]
    table = pd.DataFrame(rows, columns=["kind", "dose", "layer", "neuron"]).assign(kl=draw.gamma(1, size=160))
    figure = titled(dose_response.dose_neurons(table, "kl", LAYERS))
    expected = table[table["layer"] == 1].groupby("dose")["kl"].quantile([0.25, 0.75, 0.5]).unstack()
    for trace, quantile in zip(figure.data[3:6], (0.25, 0.75, 0.5), strict=True):
        np.testing.assert_allclose(trace.y, expected[quantile], rtol=1e-6)


def test_risk_curves_say_their_area_and_the_chance_line_is_the_mean_error():
    coverage = np.linspace(0.01, 1, 100)
    curves = pd.concat(
        pd.DataFrame({"error": "crps", "uncertainty": name, "coverage": coverage, "risk": factor * coverage})
        for name, factor in (("internal KL", 1.0), ("oracle", 0.5))
    )
    columns = {
        "error": "crps",
        "uncertainty": ["internal KL", "oracle"],
        "value": [0.505, 0.25],
        "low": 0.2,
        "high": 0.6,
        "mean": 0.9,
    }
    figure = titled(risk_coverage.risk_coverage(curves, pd.DataFrame(columns), "crps"))
    assert figure.data[0].name == "internal KL: AURC 0.505 (0.2 to 0.6)"
    assert figure.data[1].line.dash == "dot"
    assert figure.layout.shapes[0].y0 == 0.9
    chance = curves.assign(risk=np.where(curves["coverage"] < 0.04, 1000.0, curves["risk"]))
    low, high = risk_coverage.risk_coverage(chance, pd.DataFrame(columns), "crps").layout.yaxis.range
    assert low < 0.025
    assert 1 < high < 1.2
    with pytest.raises(ValueError, match="there are crps"):
        risk_coverage.risk_coverage(curves, pd.DataFrame(columns), "mse")
    steps = pd.concat(curves.drop(columns="error").assign(step=step) for step in (1, 10))
    over = titled(risk_coverage.risk_coverage_over_steps(steps, step=1, axis="log"))
    np.testing.assert_allclose(over.data[0].y, [0.505, 0.505], rtol=1e-6)


def test_a_rollout_has_its_bands_the_truth_and_the_cursor():
    t = np.arange(1, 11)
    table = pd.DataFrame(
        {
            "start": 0,
            "t": t,
            "q05": t - 2.0,
            "q25": t - 1.0,
            "q50": t * 1.0,
            "q75": t + 1.0,
            "q95": t + 2.0,
            "y": 5.0,
        }
    )
    figure = titled(rollout.rollout_forecast(table, 0, t=4))
    assert [trace.name for trace in figure.data if trace.name] == [
        "middle 90 %",
        "middle half",
        "median",
        "what came",
    ]
    np.testing.assert_allclose(figure.data[4].y, t)
    assert figure.layout.shapes[0].x0 == 4
    with pytest.raises(ValueError, match="no start 3"):
        rollout.rollout_forecast(table, 3)
    known = rollout.rollout_forecast(table.drop(columns="y"), 0)
    assert len(known.data) == 5
    counted = rollout.rollout_forecast(table, 0, trajectories=32)
    assert counted.data[1].name == "middle 90 % (of 32: holds 79 to 97 %)"
    few = rollout.rollout_forecast(table.assign(q05=np.nan, q95=np.nan), 0, trajectories=8)
    assert [trace.name for trace in few.data if trace.name][0].startswith("middle half")
    uncertainty = pd.DataFrame(
        {
            "start": [0, 1] * 3,
            "t": np.repeat([1, 2, 3], 2),
            "internal_kl": 2.0,
            "latent": [0.0, 1] * 3,
            "output": 0.3,
        }
    )
    np.testing.assert_allclose(titled(rollout.rollout_uncertainty(uncertainty)).data[1].y, 0.5)


def test_a_pit_histogram_has_its_bars_and_the_band_of_calibration():
    edges = np.linspace(0, 1, 6)
    table = pd.DataFrame(
        {
            "step": 7,
            "bin": range(5),
            "left": edges[:-1],
            "right": edges[1:],
            "density": [2, 1, 0.5, 0.5, 1.0],
            "low": 0.7,
            "high": 1.3,
        }
    )
    figure = titled(pit.pit_histogram(table, 7))
    np.testing.assert_allclose(figure.data[0].y, [2, 1, 0.5, 0.5, 1])
    low, high = figure.data[1:]
    assert list(low.x) == list(high.x) == np.repeat(edges, 2)[1:-1].tolist()
    np.testing.assert_allclose([*low.y, *high.y], [0.7] * 10 + [1.3] * 10, rtol=1e-6)
    with pytest.raises(ValueError, match=r"the steps are \[7\]"):
        pit.pit_histogram(table, 8)


def test_coverage_stands_beside_its_level():
    table = pd.DataFrame(
        {
            "step": [1, 2, 1, 2],
            "level": [0.5, 0.5, 0.8, 0.8],
            "coverage": [0.4, 0.5, 0.7, 0.8],
            "low": [0.3, 0.3, 0.6, 0.6],
            "high": [0.7, 0.7, 0.9, 0.9],
        }
    )
    figure = titled(pit.coverage_over_steps(table, step=2))
    assert [trace.name for trace in figure.data if trace.name] == ["50 % interval", "80 % interval"]
    np.testing.assert_allclose(figure.data[4].y, 0.9, rtol=1e-6)
    np.testing.assert_allclose(figure.data[5].y, [0.7, 0.8], rtol=1e-6)
    assert {shape.y0 for shape in figure.layout.shapes} >= {0.5, 0.8}


def test_autocorrelation_has_the_priors_decay_and_the_band_of_no_memory():
    curves = {"<b>a</b>": [1, 0.5, 0.2], "b": [1, 0.1, 0.0]}
    figure = titled(
        autocorrelation.autocorrelation(curves, length=100, phi={"<b>a</b>": 0.5}, sizes={"b": 81.2})
    )
    assert len(figure.data) == 3
    np.testing.assert_allclose(figure.data[1].y, [1, 0.5, 0.25])
    assert figure.data[2].name == "b (ESS 81 of 100)"
    assert figure.layout.shapes[0].y1 == pytest.approx(HALF / 10)
