"""`probes.arrays.moments` against `probes.moments`, closed forms of `torch.distributions`, and scipy."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress
from torch.distributions import Normal, kl_divergence

import probes
from probes import schema
from probes.arrays import moments
from probes.moments import Moments
from probes.moments import moments as tensor_moments


def draws(seed, inputs=64, neurons=5, dimensions=2):
    """Means, sds and the same of predecessors, (B, N, K) float32."""
    random = np.random.default_rng(seed)
    mu, before = random.normal(size=(2, inputs, neurons, dimensions)) * random.uniform(
        0.1, 2, (neurons, dimensions)
    )
    sigma, sigma_before = np.exp(0.4 * random.normal(size=(2, inputs, neurons, dimensions)) - 0.3)
    return [value.astype(np.float32) for value in (mu, sigma, before, sigma_before)]


def same(found, expected, but=()):
    """Every number of both, to float32."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert name in schema.STATISTICS
        assert found[name].dtype == np.float64
        if name not in but:
            np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-5, atol=1e-5, err_msg=name)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    inputs=st.integers(2, 40),
    neurons=st.integers(1, 6),
    dimensions=st.integers(1, 3),
    prior=st.sampled_from(["standard", "numbers", "neurons", "rows"]),
    masked=st.booleans(),
    previous=st.booleans(),
    limited=st.booleans(),
)
def test_the_numbers_of_tensors(seed, inputs, neurons, dimensions, prior, masked, previous, limited):
    random = np.random.default_rng(seed)
    mu, sigma, before, _ = draws(seed, inputs, neurons, dimensions)
    shape = {"numbers": (), "neurons": (neurons, dimensions), "rows": mu.shape}.get(prior)
    arrays, tensors = {}, {}
    if shape is not None:
        m, s = random.normal(size=shape).astype(np.float32), random.uniform(0.5, 2, shape).astype(np.float32)
        arrays["prior"] = (m, s)
        tensors |= {"prior_mu": torch.tensor(m), "prior_sigma": torch.tensor(s)}
    if masked:
        mask = random.random(inputs) < 0.7
        mu[~mask] = np.nan
        arrays["mask"], tensors["mask"] = mask, torch.tensor(mask)
    if previous:
        series = np.arange(inputs) % 2
        arrays |= {"previous_mu": before, "series": series}
        tensors |= {"previous_mu": torch.tensor(before), "series": torch.tensor(series)}
    if limited:
        sigma = sigma.clip(0.5, 1.0)
        arrays["sigma_limits"] = tensors["sigma_limits"] = (0.5, 1.0)
    found = moments(mu, sigma, **arrays)
    expected = tensor_moments(torch.tensor(mu), torch.tensor(sigma), n_series=1 + previous, **tensors)
    # of a few pairs the interval divides roundings by roundings
    few = ("persistence_low", "persistence_high", "innovation") if inputs < 12 else ()
    same(found, expected, few)


@pytest.mark.parametrize("dimensions", [1, 3])
def test_the_numbers_of_tensors_under_an_autoregressive_prior(dimensions):
    mu, sigma, before, sigma_before = draws(1, dimensions=dimensions)
    phi = np.linspace(-0.9, 0.95, 5).astype(np.float32)
    found = moments(mu, sigma, phi=phi, previous_mu=before, previous_sigma=sigma_before)
    given = [torch.tensor(value) for value in (mu, sigma, before, sigma_before, phi)]
    expected = tensor_moments(*given[:2], phi=given[4], previous_mu=given[2], previous_sigma=given[3])
    same(found, expected)
    parts = found["information"] + found["mismatch"] + found["past"]
    np.testing.assert_allclose(found["kl"], parts, rtol=1e-12)


def test_kl_is_the_closed_form_and_the_sum_of_its_parts():
    random = np.random.default_rng(2)
    mu, sigma, *_ = draws(2)
    m, s = random.normal(size=mu.shape), random.uniform(0.5, 2, mu.shape)
    own = Normal(torch.tensor(mu).double(), torch.tensor(sigma).double())
    each = kl_divergence(own, Normal(torch.tensor(m), torch.tensor(s))).sum(2)
    found = moments(mu, sigma, prior=(m, s))
    np.testing.assert_allclose(found["kl"], each.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["kl"], found["information"] + found["mismatch"], rtol=1e-12)
    np.testing.assert_array_equal(found["active_share"], (each > 0.01).double().mean(0))
    handed = moments(mu, sigma, prior=(m, s), kl=each.numpy())
    np.testing.assert_allclose(handed["kl"], found["kl"])


def test_slopes_are_those_of_scipy():
    mu, sigma, before, _ = draws(3, neurons=1, dimensions=1)
    found = moments(mu, sigma, previous_mu=before)
    told = linregress(before[:, 0, 0].astype(float), mu[:, 0, 0].astype(float))
    assert found["persistence"][0] == pytest.approx(told.slope, rel=1e-10)
    assert found["persistence_low"][0] < told.slope < found["persistence_high"][0]


def test_shapes_that_say_the_same():
    mu, sigma, *_ = draws(4, dimensions=1)
    flat = moments(mu[..., 0], sigma[..., 0], prior=(np.ones(5), 2.0))
    for other in (
        moments(mu, sigma, prior=(np.ones(5), 2.0)),
        moments(mu[..., 0], log_var=2 * np.log(sigma[..., 0].astype(float)), prior=(1, 2)),
        moments(mu[..., 0].tolist(), torch.tensor(sigma[..., 0], requires_grad=True), prior=(1, 2)),
    ):
        assert other.keys() == flat.keys()
        for name, value in flat.items():
            np.testing.assert_allclose(other[name], value, rtol=1e-12, atol=1e-14, err_msg=name)
    one = moments(mu, np.full(5, 0.5))
    np.testing.assert_array_equal(one["variance"], np.full(5, 0.25))
    np.testing.assert_array_equal(one["width_spread"], np.zeros(5))


def test_a_posterior_that_all_inputs_share_has_no_rows():
    mu, sigma = np.array([0.0, 2.0, -1.0], np.float32), np.array([1.0, 0.5, 2.0], np.float32)
    found = moments(mu, sigma, prior=(0, 1))
    tensors = torch.tensor(mu)[None, :, None], torch.tensor(sigma)[None, :, None]
    same(found, Moments().update(*tensors, shared=True).result())
    assert "rows" not in found
    np.testing.assert_allclose(found["kl"], found["mismatch"])
    weights = moments(mu.reshape(1, 1, 3), sigma.reshape(1, 1, 3), shared=True)
    assert weights["kl"] == pytest.approx(found["kl"].sum())
    assert weights["information"] == pytest.approx(0, abs=1e-15)


def test_degenerate_batches_say_nothing_rather_than_something_wrong():
    mu, sigma, before, _ = draws(5, inputs=4)
    nobody = moments(mu, sigma, previous_mu=before, mask=np.zeros(4, bool))
    empty = moments(mu[:0], sigma[:0], previous_mu=before[:0])
    for found in (nobody, empty):
        assert all(
            np.isnan(value).all() for name, value in found.items() if name not in ("rows", "non_finite")
        )
        assert not found["rows"].any()
        assert not found["non_finite"].any()
    one = moments(mu[:1], sigma[:1])
    assert np.isnan([one[name] for name in ("information", "mismatch", "width_spread")]).all()
    assert np.isfinite([one[name] for name in ("mean", "variance", "kl", "spread")]).all()
    level = np.full((50, 2), 1e3 + 0.1)
    constant = moments(level, np.ones((50, 2)), previous_mu=level)
    np.testing.assert_array_equal(constant["spread"], [0, 0])
    np.testing.assert_allclose(constant["information"], 0, atol=1e-12)
    assert np.isnan(constant["persistence"]).all()
    mu[1, 0], sigma[2, 1], sigma[0, 2] = np.nan, -1.0, 0.0
    assert moments(mu, sigma)["non_finite"].tolist() == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((2, 3, 4, 5), (2, 3, 4, 5)), "reshape"),
        (((8, 3),), "sigma or log_var"),
        (((8, 3), (8, 2)), r"sigma has shape \(8, 2\)"),
        (((8, 3), (8, 3), {"prior": 0.0}), "standard deviation"),
        (((8, 3), (8, 3), {"prior": (np.zeros(2), 1)}), "the prior's mean has shape"),
        (((8, 3), (8, 3), {"mask": np.ones((8, 3))}), r"mask has shape"),
        (((8, 3), (8, 3), {"kl": np.ones((3, 8))}), r"kl has shape"),
        (((8, 3), (8, 3), {"phi": 0.5}), "previous_sigma"),
    ],
)
def test_what_does_not_belong_together_is_named(arguments, said):
    arrays = [np.ones(shape) for shape in arguments if isinstance(shape, tuple)]
    options = next((value for value in arguments if isinstance(value, dict)), {})
    with pytest.raises(ValueError, match=said):
        moments(*arrays, **options)


def test_recorded_without_torch(tmp_path):
    """A collapsed neuron is dead, one that moves lives, one that is off its prior is offset."""
    code = """
import sys
import numpy as np, probes
random = np.random.default_rng(0)
with probes.Recorder(sys.argv[1], [{"name": "latent", "neurons": 3}]) as recorder:
    for step in range(3):
        mu = np.stack([np.zeros(64), random.normal(size=64), np.full(64, 2.0)], 1)
        recorder.record(step, "latent", **probes.arrays.moments(mu, [1.0, 0.3, 1.0], prior=(0, 1)))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=True)
    assert probes.Run(tmp_path / "run").at(2)["regime"].tolist() == [4, 0, 5]
