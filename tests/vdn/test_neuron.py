"""A layer of neurons: posterior, draws and pooling against torch.distributions and Monte Carlo; symmetry
under permutation.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from vdn.neuron import LATENT_DIMS, SIGMA_MAX, SIGMA_MIN, LocalDecoder, VariationalNeurons
from vdn.priors import AutoregressivePrior

SIGMAS = ("shared", "per_neuron", "input")
POOLS = ("mean", "sum", "sum_sqrt")


def layer_with_random_sigma(*args, **kwargs):
    layer = VariationalNeurons(*args, **kwargs).double()
    with torch.no_grad():
        for parameter in (
            layer.log_sigma.parameters()
            if isinstance(layer.log_sigma, torch.nn.Module)
            else [layer.log_sigma]
        ):
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(SIGMAS),
    st.sampled_from(POOLS),
    st.sampled_from([*LATENT_DIMS, 3, 5]),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_shapes_dtypes_and_kl(sigma, pool, k, n, batch, draws, dtype):
    torch.manual_seed(n + 10 * batch)
    layer = VariationalNeurons(3, n, k, sigma, pool).to(dtype)
    posterior = layer(torch.randn(batch, 3, dtype=dtype), draws)
    assert posterior.mu.shape == (batch, n, k)
    assert posterior.z.shape == (draws, batch, n, k)
    assert posterior.activation.shape == (draws, batch, n)
    assert posterior.kl.shape == (batch, n)
    for value in (posterior.sigma, posterior.prior_mu, posterior.prior_sigma):
        assert torch.broadcast_shapes(value.shape, posterior.mu.shape) == posterior.mu.shape
    assert {value.dtype for value in posterior if value is not None} == {dtype}
    q, p = Normal(posterior.mu, posterior.sigma), Normal(posterior.prior_mu, posterior.prior_sigma)
    torch.testing.assert_close(posterior.kl, kl_divergence(q, p).sum(-1), rtol=1e-4, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(SIGMAS), st.sampled_from([1, 2, 4]), st.permutations(range(5)))
def test_permuted_neurons_permute_everything(sigma, k, order):
    torch.manual_seed(0)
    layer, other = layer_with_random_sigma(3, 5, k, sigma), VariationalNeurons(3, 5, k, sigma).double()
    order = torch.tensor(order)
    rows = (order[:, None] * k + torch.arange(k)).flatten()
    state = {
        name: value if value.dim() == 0 else value[rows if name != "log_sigma" else order]
        for name, value in layer.state_dict().items()
    }
    other.load_state_dict(state)
    h, noise = torch.randn(4, 3).double(), torch.randn(2, 4, 5, k).double()
    first, second = layer(h, 2, noise=noise), other(h, 2, noise=noise[:, :, order])
    for name in ("mu", "z", "activation", "kl"):
        axis = {"mu": 1, "z": 2, "activation": 2, "kl": 1}[name]
        torch.testing.assert_close(getattr(first, name).index_select(axis, order), getattr(second, name))


@pytest.mark.parametrize("pool", POOLS)
def test_pooled_mean_and_sd_by_monte_carlo(pool):
    torch.manual_seed(0)
    layer = layer_with_random_sigma(3, 4, 8, "per_neuron", pool)
    posterior = layer(torch.randn(1, 3).double(), 200_000)
    draws = posterior.activation[:, 0]
    sd = layer.pool_sd(posterior.sigma)
    error = 5 / math.sqrt(len(draws))
    assert ((draws.mean(0) - layer.pool(posterior.mu)[0]).abs() < error * sd).all()
    assert ((draws.std(0) / sd - 1).abs() < error).all()


def test_given_noise_is_used_and_its_shape_checked():
    layer = VariationalNeurons(3, 4, 2)
    h, noise = torch.randn(5, 3), torch.randn(2, 5, 4, 2)
    posterior = layer(h, 2, noise=noise)
    torch.testing.assert_close(posterior.z, posterior.mu + posterior.sigma * noise)
    with pytest.raises(ValueError, match=r"noise must have shape .*\(3, 5, 4, 2\)"):
        layer(h, 3, noise=noise)


def test_generator_repeats_draws_and_leaves_the_global_stream_alone():
    layer, h = VariationalNeurons(3, 4), torch.randn(5, 3)
    before = torch.random.get_rng_state()
    first = layer(h, generator=torch.Generator().manual_seed(1)).z
    assert torch.equal(first, layer(h, generator=torch.Generator().manual_seed(1)).z)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("sigma", SIGMAS)
def test_sigma_starts_at_its_setting_and_stays_within_limits(sigma):
    layer = VariationalNeurons(3, 4, 2, sigma, sigma_init=0.25)
    torch.testing.assert_close(layer(torch.randn(5, 3)).sigma.max(), torch.tensor(0.25))
    bias = layer.log_sigma.bias if sigma == "input" else layer.log_sigma
    for value, limit in ((50.0, SIGMA_MAX), (-50.0, SIGMA_MIN)):
        with torch.no_grad():
            bias.fill_(value)
        posterior = layer(torch.randn(5, 3))
        torch.testing.assert_close(posterior.sigma, torch.full_like(posterior.sigma, limit))
        assert posterior.kl.isfinite().all()


def test_autoregressive_prior_takes_the_past():
    torch.manual_seed(0)
    layer = VariationalNeurons(3, 4, 2, prior=AutoregressivePrior(4, 0.8))
    h = torch.randn(6, 3)
    paired = layer(h, prior_context="pairs")
    context = (paired.mu[3:], paired.sigma.expand_as(paired.mu)[3:])
    torch.testing.assert_close(layer(h[:3], prior_context=context).kl, paired.kl[:3])
    assert layer(h[:3]).past is None
    torch.testing.assert_close(paired.phi, torch.full((4,), 0.8))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"latent_dim": 0}, "latent_dim"),
        ({"sigma": "none"}, "sigma"),
        ({"pool": "max"}, "pool"),
        ({"sigma_init": 0.0}, "sigma_init"),
    ],
)
def test_wrong_choices_name_themselves(wrong, message):
    with pytest.raises(ValueError, match=message):
        VariationalNeurons(3, 4, **wrong)


@pytest.mark.parametrize("k", [1, 4])
def test_local_decoder_is_the_exact_expectation(k):
    torch.manual_seed(0)
    layer = layer_with_random_sigma(20, 3, k, "per_neuron")
    decoder = LocalDecoder(layer, 16).double()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    torch.testing.assert_close(
        decoder.projection @ decoder.projection.T, torch.eye(16).double(), atol=1e-6, rtol=0
    )
    h = torch.randn(2, 20).double()
    posterior = layer(h, 100_000)
    target = h @ decoder.projection.T
    mean = torch.einsum("sbnk,nkd->sbnd", posterior.z, decoder.weight) + decoder.bias
    log_p = Normal(mean, decoder.log_scale.exp()[:, None]).log_prob(target[:, None]).sum(-1)
    error = log_p.std(0) / len(log_p) ** 0.5
    exact = decoder(h, posterior.mu, posterior.sigma)
    assert ((exact - log_p.mean(0)).abs() < 5 * error).all()


def test_local_decoder_does_not_move_its_target():
    layer = VariationalNeurons(20, 3)
    h = torch.randn(2, 20, requires_grad=True)
    LocalDecoder(layer)(h, torch.zeros(2, 3, 1), torch.ones(3, 1)).sum().backward()
    assert h.grad is None
