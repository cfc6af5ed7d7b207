"""`probes.arrays.moments` of JAX's arrays against NumPyro's own KL."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from jax import numpy as jnp

import probes
from probes.arrays import moments


def draws(shape=(64, 5)):
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    mu, m = (jax.random.normal(key, shape) for key in keys[:2])
    sigma, s = (jnp.exp(0.3 * jax.random.normal(key, shape)) for key in keys[2:])
    return mu, sigma, m, s


@pytest.mark.parametrize("prior", ["standard", "neurons", "rows"])
def test_kl_is_numpyros(prior):
    mu, sigma, m, s = draws()
    m, s = {"standard": (0.0, 1.0), "neurons": (m[0], s[0]), "rows": (m, s)}[prior]
    found = moments(mu, sigma, prior=(m, s))
    own = dist.kl_divergence(dist.Normal(mu, sigma), dist.Normal(m, s)).mean(0)
    np.testing.assert_allclose(found["kl"], own, rtol=1e-5)
    np.testing.assert_allclose(found["kl"], found["information"] + found["mismatch"], rtol=1e-12)


def test_half_floats_are_read(tmp_path):
    mu, sigma, *_ = (value.astype(jnp.bfloat16) for value in draws())
    np.testing.assert_allclose(moments(mu, sigma)["mean"], np.asarray(mu, np.float64).mean(0), rtol=1e-12)
    with probes.Recorder(tmp_path / "run", [{"name": "latent", "neurons": 5}]) as recorder:
        recorder.record(0, "latent", mean=mu[0], variance=sigma[0], kl=sigma[0])
    np.testing.assert_array_equal(probes.Run(tmp_path / "run").at(0)["mean"], np.asarray(mu[0], np.float32))


def test_a_traced_value_is_refused_by_name():
    with pytest.raises(ValueError, match="(?s)mu is not an array.*traced array"):
        jax.jit(lambda mu: moments(mu, sigma=1.0)["kl"])(jnp.zeros((3, 2)))
