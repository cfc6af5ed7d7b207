"""A VAE in flax on scikit-learn's digits, in the log. Needs flax, optax, scikit-learn; torch is not imported.

    python -m examples.flax_vae [FOLDER] [STEPS]

The training step returns what it computes anyway, means and log variances of the batch; outside of it
`probes.arrays.moments` makes statistics of them at the steps that are recorded.
"""

import sys

import jax
import numpy as np
import optax
from flax import linen as nn
from jax import numpy as jnp
from sklearn.datasets import load_digits

import probes

LATENT = 16


class VAE(nn.Module):
    latent: int = LATENT

    @nn.compact
    def __call__(self, x, key):
        near = nn.initializers.normal(
            1e-3
        )  # begin near the prior, so that contraction is seen from its start
        h = nn.gelu(nn.Dense(128)(x))
        mu = nn.Dense(self.latent, kernel_init=near)(h)
        log_var = nn.Dense(self.latent, kernel_init=near)(h)
        z = mu + jnp.exp(log_var / 2) * jax.random.normal(key, mu.shape)
        return nn.Dense(x.shape[-1])(nn.gelu(nn.Dense(128)(z))), mu, log_var


def main(folder="runs/flax-vae", steps=1500):
    images = np.asarray(load_digits().data[:1500] / 16, np.float32)
    random = np.random.default_rng(0)
    network = VAE()
    key = jax.random.PRNGKey(0)
    parameters = network.init(key, images[:2], key)
    optimiser = optax.adam(2e-3)
    moving = optimiser.init(parameters)

    def losses(parameters, batch, key):
        logits, mu, log_var = network.apply(parameters, batch, key)
        distortion = optax.sigmoid_binary_cross_entropy(logits, batch).sum(1).mean()
        rate = 0.5 * (mu**2 + jnp.exp(log_var) - 1 - log_var).sum(1).mean()
        return distortion + rate, (distortion, rate, mu, log_var)

    @jax.jit
    def update(parameters, moving, batch, key):
        (loss, told), gradient = jax.value_and_grad(losses, has_aux=True)(parameters, batch, key)
        change, moving = optimiser.update(gradient, moving)
        return optax.apply_updates(parameters, change), moving, loss, told

    layers = [{"name": "latent", "neurons": LATENT}]
    with probes.Recorder(folder, layers, config={"seed": 0, "steps": steps}, every=5) as recorder:
        for step in range(steps):
            batch = images[random.integers(len(images), size=128)]
            key, noise = jax.random.split(key)
            parameters, moving, loss, (distortion, rate, mu, log_var) = update(
                parameters, moving, batch, noise
            )
            if recorder.due(step) or step == steps - 1:
                recorder.record(step, "latent", **probes.arrays.moments(mu, log_var=log_var, prior=(0, 1)))
                recorder.scalar(step, "loss", loss)
                recorder.scalar(step, "distortion", distortion)
                recorder.scalar(step, "rate", rate)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
