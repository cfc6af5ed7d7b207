"""Traversal of a linear network: a straight line with the neuron's weight as slope."""

import numpy as np
import pytest
import torch
from linear_subject import SIGMA, WEIGHTS, examples, linear

from probes.experiments.subject import CallableSubject, Forecast, Response
from probes.experiments.traversal import strength, traverse


def test_the_prediction_moves_with_the_neurons_weight():
    x, _ = examples(5)
    seen = []
    tables = traverse(
        linear(),
        x,
        [(0, 3), (1, 2), (0, 0)],
        draws=8,
        progress=lambda done, total: seen.append((done, total)),
    )
    curves = tables["curves"]
    assert len(curves) == 3 * 5 * 25
    for (layer, neuron, _), part in curves.groupby(["layer", "neuron", "input"]):
        assert np.polyfit(part["value"], part["mean"], 1)[0] == pytest.approx(
            WEIGHTS[layer, neuron].item(), abs=1e-5
        )
    assert seen[-1] == (3, 3)
    found = strength(curves).set_index(["layer", "neuron"])["strength"]
    assert found[0, 3] == pytest.approx(12, rel=1e-4)
    assert found[0, 0] == pytest.approx(0, abs=1e-4)


def test_the_band_is_the_sd_of_what_is_left_and_the_posterior_is_the_inputs_own():
    x, _ = examples(3)
    tables = traverse(linear(scale=0.7), x, [(0, 3)], draws=4000, values=[0.0])
    rest = ((WEIGHTS**2).sum().item() - 4) * SIGMA**2
    np.testing.assert_allclose(tables["curves"]["sd"], np.sqrt(0.49 + rest), rtol=0.04)
    own = tables["posteriors"]
    np.testing.assert_allclose(own["mu"], x[:, 3], rtol=1e-6)
    assert (own["sigma"] == SIGMA).all()


def test_a_classifiers_curves_are_probabilities():
    base = linear()

    def respond(x, draws, seed, edit):
        response = base._respond(x, draws, seed, edit)
        logits = torch.cat([response.forecast.mean, torch.zeros_like(response.forecast.mean)], -1)
        return Response(Forecast(logits, None), response.z, response.mu, response.sigma, response.kl)

    x, _ = examples(2)
    curves = traverse(CallableSubject(respond, base.layers), x, [(0, 3)])["curves"]
    totals = curves.groupby(["input", "value"])["mean"].sum()
    np.testing.assert_allclose(totals, 1, rtol=1e-6)
    assert (
        np.diff(curves[(curves["input"] == 0) & (curves["output"] == 0)].sort_values("value")["mean"]) > 0
    ).all()


def test_a_neuron_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no neuron 2:4 .*layers 1 to 2 have"):
        traverse(linear(), examples(2)[0], [(1, 4)])
