"""What the figures draw, against numpy on raw rows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pages"))
from planted import write_run

from probes import Recorder, Run, palette
from probes.figures import depth_profile, frames, layer_bands, regime_counts, scalar_curves, style
from probes.schema import LIVING_REGIMES, STATISTICS

NAMES = ["layer 1", "<b>two</b>"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(
        write_run(tmp_path_factory.mktemp("figures") / "run", layers=2, neurons=20, steps=40, names=NAMES)
    )


def test_bands_are_the_quantiles_of_the_neurons(run: Run) -> None:
    figure = layer_bands(run.layer_summary(), "information", NAMES)
    rows = run.history(1, statistics=["information"]).set_index(["step", "neuron"])["information"].unstack()
    drawn = [trace for trace in figure.data if trace.xaxis == "x2"]
    assert len(drawn) == 5
    for trace, quantile in zip(drawn, (5, 95, 25, 75, 50), strict=True):
        np.testing.assert_allclose(trace.y, np.percentile(rows, quantile, axis=1), rtol=1e-5)


def test_contraction_mirrors_the_variance(run: Run) -> None:
    figure = layer_bands(run.layer_summary(), "contraction", NAMES)
    rows = run.history(0, statistics=["variance"]).set_index(["step", "neuron"])["variance"].unstack()
    np.testing.assert_allclose(figure.data[0].y, np.percentile(1 - rows, 5, axis=1), atol=1e-6)
    np.testing.assert_allclose(figure.data[4].y, np.median(1 - rows, axis=1), atol=1e-6)


def test_every_axis_has_a_title_with_its_unit(run: Run) -> None:
    summary = run.layer_summary()
    for name in (*run.statistics, "contraction"):
        figure = layer_bands(summary, name, NAMES, step=10, axis="log")
        assert figure.layout.yaxis.title.text == STATISTICS[name].title
        assert figure.layout.xaxis.title.text == "step"
        assert figure.layout.meta["alt"]
    figure = depth_profile(summary, ["kl", "contraction"], NAMES, 10)
    assert [figure.layout[f"yaxis{i}"].title.text for i in ("", "2", "3")] == [
        "KL (nats)",
        "Contraction",
        "living share",
    ]
    assert figure.layout.xaxis3.title.text == "layer"


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (["layer 1", "layer 2", "layer 3"], ["1", "2", "3"]),
        (["encoder", "<i>head"], ["encoder", "&lt;i&gt;head"]),
        (["encoder.first", "encoder.second"], ["1", "2"]),
    ],
)
def test_names_under_panels_side_by_side_fit_and_say_more_than_numbers(
    run: Run, names: list[str], written: list[str]
) -> None:
    figure = depth_profile(run.layer_summary(), ["kl", "contraction"], names, 10)
    assert list(figure.layout.xaxis2.ticktext) == written


def test_steps_under_panels_side_by_side_are_few_and_short(run: Run) -> None:
    beside = layer_bands(run.layer_summary(), "kl", NAMES).layout.xaxis2
    assert (beside.nticks, beside.tickformat) == (4, "~s")
    alone = layer_bands(run.layer_summary(), "kl", NAMES, shown=[0]).layout.xaxis
    assert alone.nticks is None


def test_names_cannot_be_markup(run: Run) -> None:
    figure = layer_bands(run.layer_summary(), "kl", NAMES)
    assert figure.layout.annotations[1].text == "&lt;b&gt;two&lt;/b&gt;"


def test_a_statistic_that_is_not_registered_is_an_error(run: Run) -> None:
    with pytest.raises(KeyError, match="kL"):
        layer_bands(run.layer_summary(), "kL", NAMES)


def test_a_statistic_that_was_not_recorded_is_an_empty_panel(run: Run) -> None:
    figure = layer_bands(run.layer_summary(), "local_elbo", NAMES)
    assert all(len(trace.x) == 0 for trace in figure.data)


def test_log_values_only_where_all_are_positive(run: Run) -> None:
    assert layer_bands(run.layer_summary(), "variance", NAMES, scale="log").layout.yaxis.type == "log"
    assert layer_bands(run.layer_summary(), "mean", NAMES, scale="log").layout.yaxis.type != "log"


def test_regime_shares_sum_to_one(run: Run) -> None:
    figure = regime_counts(run.layer_summary(), NAMES, step=3)
    for axis in ("x", "x2"):
        total = np.sum([trace.y for trace in figure.data if trace.xaxis == axis], axis=0)
        np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_living_share_is_the_count_of_raw_rows(run: Run) -> None:
    figure = depth_profile(run.layer_summary(), ["kl"], NAMES, 25)
    rows = run.at(25)
    expected = rows["regime"].isin(LIVING_REGIMES).groupby(rows["layer"]).mean()
    np.testing.assert_allclose(figure.data[-1].y, expected)


def test_one_step_is_drawn_as_bars_and_points(run: Run) -> None:
    summary = run.layer_summary()
    one = summary[summary["step"] == 7]
    assert {trace.type for trace in regime_counts(one, NAMES).data} == {"bar"}
    outer, _, median = layer_bands(one, "kl", NAMES).data[:3]
    assert median.mode == "markers"
    row = one[one["layer"] == 0]
    np.testing.assert_allclose(outer.y + outer.error_y.array, row["kl_p95"], atol=1e-6)
    np.testing.assert_allclose(outer.y - outer.error_y.array, row["kl_p05"], atol=1e-6)


def test_curves_are_one_line_a_split() -> None:
    table = pd.DataFrame(
        {"step": [0, 1, 0, 1], "split": ["train", "train", "validation", "validation"], "name": "nll"}
    )
    figure = scalar_curves(table.assign(value=[1.0, 2, 3, 4]), ["nll"], title="nats", step=1)
    assert [(trace.name, list(trace.y)) for trace in figure.data] == [
        ("train nll", [1, 2]),
        ("validation nll", [3, 4]),
    ]
    assert len(figure.layout.shapes) == 1


def test_layers_have_a_hue_of_their_own_that_goes_on_with_depth() -> None:
    drawn = [style.layer_color(layer, 24) for layer in range(24)]
    assert len(set(drawn)) == 24
    assert (drawn[0], drawn[-1]) == (palette.LAYERS[0], palette.LAYERS[-1])
    assert not set(palette.LAYERS) & {*palette.OKABE_ITO, *palette.KL_PARTS.values()}


def test_frames_of_a_long_run_are_means_but_for_the_exact_ones(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "long", layers=1, neurons=4, steps=3000))
    plain = frames.replay_frames(run, 0, [3, 1], 60)
    found = frames.with_step(plain, 2345, run.at(2345, 0), [3, 1])
    assert np.setdiff1d(found.steps, plain.steps).tolist() == [2345]
    again = int(plain.steps[10])  # a mean of several steps, then that step
    assert len(frames.with_step(plain, again, run.at(again, 0), [3, 1]).steps) == len(plain.steps)
    rows = run.history(0, [1, 3], ["variance"]).set_index(["step", "neuron"])["variance"].unstack()
    assert {1, 2345, 3000} <= set(found.steps.tolist())
    for step, width, variance in zip(found.steps, found.width, found.variance, strict=True):
        inside = rows.loc[step : step + width - 1, [3, 1]]
        np.testing.assert_allclose(variance, inside.mean(), rtol=1e-5)
    assert found.width.max() > 1


def test_a_run_without_steps_has_no_frames(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", [{"name": "one", "neurons": 3}]):
        pass
    found = frames.replay_frames(Run(tmp_path / "run"), 0, [2, 0], 8)
    assert (found.steps.shape, found.width.shape, found.variance.shape) == ((0,), (0,), (0, 2))


def test_quantised_values_come_back_within_a_cell() -> None:
    values = np.random.default_rng(0).lognormal(size=(40, 30))
    values[3, 4] = np.nan
    image = frames.quantise(values, "variance")
    assert image.log
    assert image.cells[3, 4] == 0
    back = image.low * (image.high / image.low) ** ((image.cells.astype(float) - 1) / 254)
    inside = (values >= image.low) & (values <= image.high)
    ratio = np.log(back[inside] / values[inside])
    assert np.abs(ratio).max() <= np.log(image.high / image.low) / 254 / 2 + 1e-9


def test_colours_run_from_the_1st_to_the_99th_percentile() -> None:
    """Of 0, 1, .. 100 these are 1 and 99; what lies beyond has the end's colour."""
    image = frames.quantise(np.arange(101.0)[None], "active_share")
    assert (image.low, image.high, image.log) == (1, 99, False)
    assert image.cells[0, [0, 1, 50, 99, 100]].tolist() == [1, 1, 128, 255, 255]
    assert image.cells[0, 2] == 1 + round(254 / 98)


def test_signed_statistics_are_centred_and_constants_have_a_scale() -> None:
    image = frames.quantise(np.array([[-1.0, 0.0, 3.0]]), "mean")
    assert image.low == -image.high
    assert image.cells[0, 1] == 128
    flat = frames.quantise(np.zeros((2, 2)), "kl")
    assert flat.high > flat.low
    assert not frames.quantise(np.full((2, 2), np.nan), "kl").cells.any()
