"""Curves of the whole network, against the rows of every neuron."""

import numpy as np
import pandas as pd

from probes import Recorder, Run
from probes.analysis.network_curves import network_curves, without_noise


def test_curves_are_those_of_all_neurons(tmp_path):
    rng = np.random.default_rng(0)
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 5}, {"name": "b", "neurons": 3}]) as recorder:
        for step in range(4):
            for layer, width in enumerate((5, 3)):
                if layer == 1 and step == 2:
                    continue  # this layer is not recorded at this step
                information = rng.uniform(0, 0.1, width)
                recorder.record(
                    step, layer, mean=rng.normal(size=width), variance=rng.uniform(0.1, 1, width),
                    spread=rng.uniform(0, 1, width), kl=information + 0.1, information=information,
                    mismatch=np.full(width, 0.1),
                )  # fmt: skip
    run = Run(tmp_path / "run")
    curves = network_curves(run.layer_summary(), [5, 3])
    for step in range(4):
        rows = run.at(step)
        expected = [
            rows["settled"].isin([0, 9]).mean(),
            rows["kl"].sum(),
            rows["information"].sum(),
            1 - rows["variance"].mean(),
        ]
        assert curves.loc[step, "unknown"] == 0
        np.testing.assert_allclose(curves.loc[step].drop("unknown"), expected, rtol=1e-5)


def test_what_was_not_recorded_is_no_number():
    counts = {f"settled_{code}": [2 if code == 4 else 0] for code in range(11)}
    curves = network_curves(pd.DataFrame({"step": [7], "layer": [0], **counts}), [2])
    assert curves.loc[7, "living_share"] == 0
    assert curves.loc[7, ["rate", "information", "contraction"]].isna().all()
    assert network_curves(pd.DataFrame({"step": [], "layer": []}), [2]).empty


def test_what_float32_leaves_of_a_neuron_at_its_prior_is_no_contraction():
    found = without_noise([-2.7e-7, 0.3, 1e-6, -0.01, np.nan])
    np.testing.assert_array_equal(found, [0, 0.3, 0, -0.01, np.nan])
