"""Derived quantities against quadrature, sampling and cases worked by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import integrate, stats

import probes
from probes import diagnostics
from probes.analysis import overview
from probes.analysis.network_curves import network_curves
from probes.canvas import replay_arrays
from probes.figures import depth_profile
from probes.fleet import Fleet


def test_information_of_a_gaussian_channel():
    # z = x + noise with x ~ N(0, 3), noise ~ N(0, 0.5): I = ½ ln(1 + 3/0.5) exactly.
    assert diagnostics.information(0.5, 3.0, math.log(0.5)) == pytest.approx(0.5 * math.log(7))
    assert diagnostics.information(0.5, 0.0, math.log(0.5)) == 0
    assert diagnostics.bits(diagnostics.information(1.0, 3.0, 0.0)) == pytest.approx(1.0)


def test_information_is_an_upper_bound_for_two_points():
    # μ = ±a, one sd: the exact information by quadrature is below the Gaussian's, and never above ln 2.
    a, sd = 2.0, 0.5

    def density(z):
        return 0.5 * (stats.norm.pdf(z, a, sd) + stats.norm.pdf(z, -a, sd))

    entropy = integrate.quad(lambda z: -density(z) * math.log(density(z)), -6, 6, limit=200)[0]
    exact = entropy - 0.5 * math.log(2 * math.pi * math.e * sd**2)
    bound = diagnostics.information(sd**2, a**2, math.log(sd**2))
    assert exact == pytest.approx(math.log(2), abs=1e-3)
    assert bound > exact + 0.5


def test_mismatch_is_the_kl_of_two_gaussians():
    value = diagnostics.mismatch(0.7, 0.3, 0.4)
    target = torch.distributions.kl_divergence(
        torch.distributions.Normal(0.7, math.sqrt(0.7)), torch.distributions.Normal(0.0, 1.0)
    )
    assert value == pytest.approx(target.item(), rel=1e-5)
    assert diagnostics.mismatch(0.0, 0.6, 0.4) == pytest.approx(0)


def test_contraction():
    np.testing.assert_allclose(diagnostics.contraction([1.0, 0.0, 1.5]), [0, 1, -0.5])
    assert diagnostics.contraction(4.0, 4.0) == 0


def test_half_life():
    np.testing.assert_allclose(
        diagnostics.half_life([0.5, -0.5, 1.0, -1.2, 0.0], 24), [24, 24, np.inf, np.inf, 0]
    )
    assert 0.9 ** (diagnostics.half_life(0.9, 3) / 3) == pytest.approx(0.5)
    assert np.isnan(diagnostics.half_life(np.nan))


def test_floor_of_the_kl():
    np.testing.assert_allclose(diagnostics.kl_floor([0.0, 0.6, 0.95]), [0, 0.154, 0.322], atol=5e-4)
    assert diagnostics.kl_above_floor(1.0, 0.6, 4) == pytest.approx(1 - 4 * 0.5 * math.log1p(0.36))


@pytest.mark.parametrize("phi", [0.3, 0.6, 0.95])
def test_no_posterior_beats_the_floor(phi):
    # Both posteriors one law Normal(c, σ²) whatever the input: the KL's least value over c and σ is the
    # floor.
    sigma = np.linspace(0.05, 2, 4000)
    s2 = 1 - phi**2
    for mean in (0.0, 0.3):
        kl = 0.5 * (
            (sigma**2 + (mean - phi * mean) ** 2 + phi**2 * sigma**2) / s2 - 1 - np.log(sigma**2 / s2)
        )
        assert kl.min() >= diagnostics.kl_floor(phi) - 1e-12
        if mean == 0:
            assert kl.min() == pytest.approx(float(diagnostics.kl_floor(phi)), abs=1e-5)


def test_temporal_fault():
    low = [0.80, 0.2, 0.55, -0.2, 0.9, np.nan, 1.01]
    high = [0.90, 0.3, 0.75, 0.2, 0.95, np.nan, 1.10]
    phi = [0.6, 0.6, 0.6, 0.6, 0.0, 0.6, 0.99]
    assert diagnostics.temporal_fault(low, high, phi).tolist() == [
        "stuck",
        "jittery",
        "",
        "jittery",
        "",
        "",
        "stuck",
    ]


def test_onset_and_whether_it_has_reverted():
    steps = [0, 10, 20, 30, 40]
    values = [[0.0, 0.6, 0.4, 0.6, 0.7], [0.9] * 5, [0.9, 0.9, 0.9, 0.9, 0.1], [0.0, np.nan, 0.6, 0.6, 0.6]]
    np.testing.assert_array_equal(diagnostics.onset(steps, values, 0.5), [10, 0, 0, 20])
    assert diagnostics.reverted(steps, values, 0.5).tolist() == [False, False, True, False]
    assert diagnostics.onset(steps, [5, 4, 3, 2, 1], 3, above=False) == 20
    assert not diagnostics.reverted(steps, [5, 4, 3, 2, 1], 3, above=False)
    np.testing.assert_array_equal(
        diagnostics.onset(steps, values, [0.65, 0.5, 0.95, 0.7]), [40, 0, np.nan, np.nan]
    )
    assert not diagnostics.reverted(steps, values, [0.65, 0.5, 0.95, 0.7]).any()
    with pytest.raises(ValueError, match="one step for each"):
        diagnostics.onset([1, 2], [1, 2, 3], 0)


def test_half_time():
    steps = np.arange(101)
    approach = 1 - np.exp(-steps / 5.0)  # smoothed over a record either way
    assert diagnostics.half_time(steps, approach) == pytest.approx(5 * math.log(2), abs=1.6)
    assert diagnostics.half_time(steps, np.linspace(3, 1, 101)) == 50
    assert np.isnan(diagnostics.half_time(steps, np.ones(101)))
    assert np.isnan(diagnostics.half_time(steps, np.full(101, np.nan)))
    assert np.isnan(diagnostics.half_time([3], [1.0]))
    assert diagnostics.half_time(steps, np.ones((0, 101))).shape == (0,)


def rising(height, noise, records, curves, seed=0):
    """Curves that rise at 30 % of the records, within 1 % of them."""
    steps = np.arange(records)
    height_now = height / (1 + np.exp(-(steps - 0.3 * records) / (0.0025 * records)))
    return steps, height_now + noise * np.random.default_rng(seed).standard_normal((curves, records))


@pytest.mark.parametrize(
    ("height", "noise", "records"),
    [(0.7, 0.02, 200), (0.1, 0.02, 200), (0.1, 0.04, 2000), (0.1, 0.02, 20_000)],
)
def test_noise_moves_an_onset_by_less_than_a_hundredth_of_the_run(height, noise, records):
    steps, curves = rising(height, noise, records, 100)
    for found in (diagnostics.onset(steps, curves, height / 2), diagnostics.half_time(steps, curves)):
        assert np.isfinite(found).mean() >= 0.98
        assert np.nanquantile(np.abs(found - 0.3 * records), 0.95) <= 0.01 * records


def test_what_is_left_off_at_the_end_moves_a_half_time_little():
    steps, curves = rising(0.1, 0.04, 2000, 100)
    curves += 0.02 * steps / 2000  # and goes on moving
    found = [diagnostics.half_time(steps[: 2000 - k], curves[:, : 2000 - k]) for k in range(0, 40, 2)]
    assert np.nanquantile(np.ptp(found, axis=0), 0.9) <= 4


def test_records_that_are_not_finite_are_skipped():
    steps, curves = rising(0.7, 0.02, 400, 20)
    curves[:, 5::3] = np.nan
    curves[:, 1] = np.inf
    assert np.abs(diagnostics.half_time(steps, curves) - 120).max() <= 4
    assert np.abs(diagnostics.onset(steps, curves, 0.35) - 120).max() <= 4


def test_noise_alone_has_no_half_time():
    draw = np.random.default_rng(3)
    for records in (40, 200, 2000):
        false = np.isfinite(diagnostics.half_time(np.arange(records), draw.normal(size=(1000, records))))
        assert false.mean() < 0.025
    noise = draw.normal(size=(1000, 600))
    for t in range(1, 600):
        noise[:, t] = 0.9 * noise[:, t - 1] + noise[:, t]
    assert np.isfinite(diagnostics.half_time(np.arange(500), noise[:, 100:])).mean() < 0.035


def test_transitions_and_living_share():
    frame = pd.DataFrame(
        {
            "step": [0, 5, 9, 0, 5, 9, 0, 5, 9],
            "layer": [0, 0, 0, 0, 0, 0, 1, 1, 1],
            "neuron": [0, 0, 0, 1, 1, 1, 0, 0, 0],
            "regime": np.array([4, 0, 0, 4, 4, 9, 0, 6, 0], np.int8),
        }
    )
    rows = diagnostics.transitions(frame.sample(frac=1, random_state=0)).to_dict("split")["data"]
    assert rows == [[5, 0, 0, 4, 0], [5, 1, 0, 0, 6], [9, 0, 1, 4, 9], [9, 1, 0, 6, 0]]
    assert diagnostics.transitions(frame.iloc[:1]).empty
    assert diagnostics.living_share(frame["regime"]) == pytest.approx(5 / 9)
    assert diagnostics.living_share([[0, 9], [4, 0]], axis=0).tolist() == [0.5, 1.0]
    assert np.isnan(diagnostics.living_share([]))
    assert diagnostics.living_share([0, 4, 9, 11]) == pytest.approx(2 / 3)
    assert np.isnan(diagnostics.living_share([0, 11]))  # half is unknown


def test_everybody_tells_the_same_living_share(tmp_path):
    """3 living neurons, 3 at their prior, 2 unknown: 3 of 6; 1 at its prior, 2 unknown: nothing is told."""
    kinds = {"living": (0.0, 0.5, 0.8), "prior": (0.0, 1.0, 0.0), "unknown": (0.0, 0.5, 0.1)}
    told = [kinds[kind] for kind in ("living",) * 3 + ("prior",) * 3 + ("unknown",) * 2]
    layers = [{"name": "told", "neurons": 8}, {"name": "untold", "neurons": 3, "latent_dim": 2}]
    with probes.Recorder(tmp_path / "run", layers) as recorder:
        for layer, rows in enumerate((told, [kinds["prior"], kinds["unknown"], kinds["unknown"]])):
            columns = np.array(rows).T
            recorder.record(5, layer, mean=columns[0], variance=columns[1], kl=columns[2])
    run = probes.Run(tmp_path / "run")
    codes = run.at(5)
    by_layer = [diagnostics.living_share(codes.loc[codes["layer"] == layer, "settled"]) for layer in (0, 1)]
    np.testing.assert_array_equal(by_layer, [0.5, np.nan])
    assert run.manifest["living_share"] == [0.5, None]
    assert [row["living_share"] for row in overview.layer_rows(run)] == [0.5, None]
    summary = run.layer_summary()
    network = network_curves(summary, [8, 3]).loc[5]
    assert network["living_share"] == 0.5
    assert network["unknown"] == 5
    figure = depth_profile(summary, ("kl",), ["told", "untold"], 5)
    (bars,) = (trace for trace in figure.data if trace.type == "bar")
    np.testing.assert_array_equal(bars.y, [0.5, np.nan])
    strip = replay_arrays.layer_series(summary, np.array([5]), run.layers)["living"][:, 0]
    np.testing.assert_array_equal(strip, [0.5, np.nan])
    shared = [layer | {"of": "weights"} for layer in run.layers]  # none is expected to live
    assert np.isnan(replay_arrays.layer_series(summary, np.array([5]), shared)["living"]).all()
    with Fleet({row["path"]: row for row in probes.catalog_rows(tmp_path)}) as fleet:
        assert fleet.sql("select living_share from runs")["living_share"].tolist() == [0.5]
        of_layers = fleet.sql("select living_share from layers order by layer")["living_share"]
        np.testing.assert_array_equal(of_layers.astype(float), [0.5, np.nan])
        living = fleet.sql("select avg(living::int) as share from neurons where layer = 0")
        assert living["share"].tolist() == [0.5]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("kind", [float, np.asarray, torch.tensor])
def test_student_quantile_is_scipys_from_one_degree_of_freedom_on(kind, level):
    for freedom in (1, 1.001, 1.5, 2, 2.7, 3, 5, 8, 20, 126, 1e6):
        found = diagnostics.student_quantile(kind(freedom), level)
        assert float(found) == pytest.approx(stats.t.ppf(0.5 + level / 2, freedom), rel=1e-5)
        assert isinstance(
            found, torch.Tensor if kind is torch.tensor else np.ndarray if kind is np.asarray else float
        )
    assert float(diagnostics.student_quantile(kind(np.inf), level)) == pytest.approx(
        stats.norm.ppf(0.5 + level / 2)
    )
    for freedom in (0.999, 0.0, -3.0, np.nan):
        assert np.isnan(float(diagnostics.student_quantile(kind(freedom), level)))


def test_student_quantile_of_a_tensor_stays_where_it_is():
    freedom = torch.tensor([1, 4, 126], dtype=torch.float32)
    found = diagnostics.student_quantile(freedom)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, stats.t.ppf(0.975, freedom), rtol=1e-6)
    # a device without values would raise where something waits for one
    assert diagnostics.student_quantile(torch.empty(3, device="meta")).shape == (3,)
    assert diagnostics.student_quantile(torch.tensor([1, 4])).tolist() == pytest.approx(
        stats.t.ppf(0.975, [1, 4])
    )
