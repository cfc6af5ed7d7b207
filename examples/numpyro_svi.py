"""NumPyro's SVI, its automatic guide in the log. Needs numpyro; torch is not imported.

    python -m examples.numpyro_svi [FOLDER] [STEPS]

A regression with a prior on each weight: three of ten features matter, two of them are nearly copies. The
guide is the same for every row of the data, so its layer has no inputs: look at contraction and KL.
"""

import sys

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import numpy as jnp
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

import probes

FEATURES = 10
PRIOR = (0.0, 2.0)  # mean and standard deviation of each weight


def data(rows=200):
    """Inputs (rows, 10) and what three of them say of the target, (rows,)."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, FEATURES))
    x[:, 1] = x[:, 0] + 0.05 * random.normal(size=rows)
    return x, 1.5 * x[:, 0] - x[:, 2] + 0.5 * x[:, 3] + 0.5 * random.normal(size=rows)


def model(x, y):
    weights = numpyro.sample("weights", dist.Normal(*PRIOR).expand([FEATURES]).to_event(1))
    numpyro.sample("y", dist.Normal(x @ weights, 0.5), obs=y)


def main(folder="runs/numpyro-svi", steps=1500):
    x, y = data()
    guide = AutoNormal(model, init_scale=PRIOR[1])  # begin as wide as the prior
    svi = SVI(model, guide, numpyro.optim.Adam(0.02), Trace_ELBO())
    state = svi.init(jax.random.PRNGKey(0), jnp.asarray(x), jnp.asarray(y))
    update = jax.jit(svi.update)
    layers = [{"name": "weights", "neurons": FEATURES}]
    with probes.Recorder(folder, layers, config={"seed": 0, "steps": steps}, every=5) as recorder:
        for step in range(steps):
            state, loss = update(state, jnp.asarray(x), jnp.asarray(y))
            if recorder.due(step) or step == steps - 1:
                found = svi.get_params(state)
                mu, sigma = found["weights_auto_loc"], found["weights_auto_scale"]
                recorder.record(step, "weights", **probes.arrays.moments(mu, sigma, prior=PRIOR))
                recorder.scalar(step, "loss", loss)
    return svi.get_params(state)


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
