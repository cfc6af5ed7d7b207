"""The examples run without torch, and what they record is what their libraries compute."""

import sys

import numpy as np
import numpyro.distributions as dist

import probes
from examples import flax_vae, numpyro_svi


def test_numpyro_svi(tmp_path):
    parameters = numpyro_svi.main(tmp_path / "run", 200)
    run = probes.Run(tmp_path / "run")
    assert run.steps.tolist() == [*range(0, 200, 5), 199]
    guide = dist.Normal(parameters["weights_auto_loc"], parameters["weights_auto_scale"])
    own = dist.kl_divergence(guide, dist.Normal(*numpyro_svi.PRIOR))
    last = run.at(199)
    np.testing.assert_allclose(last["kl"], own, rtol=1e-5)
    np.testing.assert_allclose(last["prior_variance"], numpyro_svi.PRIOR[1] ** 2)
    assert "rows" not in last
    assert last["variance"].max() < run.at(0)["variance"].min(), "the data narrow every weight"
    assert "torch" not in sys.modules


def test_flax_vae(tmp_path):
    flax_vae.main(tmp_path / "run", 120)
    run = probes.Run(tmp_path / "run")
    assert run.steps.tolist() == [*range(0, 120, 5), 119]
    scalars = run.scalars().pivot(index="step", columns="name", values="value")
    kl = run.history("latent", None, ["kl"]).groupby("step")["kl"].sum()
    np.testing.assert_allclose(kl, scalars["rate"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scalars["loss"], scalars["rate"] + scalars["distortion"], rtol=1e-5)
    assert kl.iloc[-1] > 10 * kl.iloc[0]
    rows = run.history("latent", None, ["kl", "information", "mismatch", "rows"])
    np.testing.assert_allclose(rows["kl"], rows["information"] + rows["mismatch"], rtol=1e-5, atol=1e-6)
    assert set(rows["rows"]) == {128}
    assert "torch" not in sys.modules
