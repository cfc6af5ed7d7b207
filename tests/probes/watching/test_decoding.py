"""Decoded traversals: each neuron is walked, the others stay, and what the decoder says is what is stored."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import probes
from probes.experiments import store
from probes.watching.decoding import MOST, POINTS, REACH, decoded_traversal


def test_each_neuron_is_walked_and_the_others_stay():
    mean = torch.tensor([[0.5, -1.0, 0.25], [0.0, 0.0, 0.0]])
    found = decoded_traversal(lambda z: z, mean, layer=2)
    assert len(found) == 3 * POINTS
    assert set(found["layer"]) == {2}
    for row in found.to_dict("records"):
        expected = mean[0].numpy().copy()
        expected[row["neuron"]] = row["value"]
        np.testing.assert_allclose(json.loads(row["content"]), expected, atol=1e-6)
    assert found["value"].min() == -REACH
    assert found["value"].max() == REACH


def test_of_wide_layers_those_whose_means_differ_most():
    mean = torch.zeros(2, MOST + 10)
    mean[1, 5:] = 1
    assert sorted(set(decoded_traversal(lambda z: z, mean, 0)["neuron"])) == list(range(5, MOST + 5))


def test_a_decoder_that_loses_rows_is_refused():
    with pytest.raises(ValueError, match="returned 1"):
        decoded_traversal(lambda z: z[:1], torch.zeros(1, 2), 0)


NAME = "Net"  # of the only layer: the model's own


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_mu, self.fc_logvar, self.decoder = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(3, 16)

    def forward(self, x):
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        return self.decoder(mu + torch.randn_like(mu) * (logvar / 2).exp()), mu, logvar


def trained(folder, decoder, model):
    inputs = probes.Inputs(torch.randn(5, 4), image=(4, 4), shown=["a"] * 5, decoder=decoder(model))
    with probes.watch(model, folder, inputs=inputs) as recording:
        for step in range(3):
            model(torch.randn(8, 4))
            recording.step(step)
    return recording


@pytest.mark.parametrize("named", [False, True])
def test_a_run_holds_what_its_decoder_made(tmp_path, named):
    torch.manual_seed(0)
    model = Net()
    decoder = lambda model: model.decoder  # noqa: E731
    recording = trained(tmp_path / "run", (lambda m: {NAME: m.decoder}) if named else decoder, model)
    assert recording.lost == 0
    found = store.load(tmp_path / "run", store.DECODED)
    contents = found.tables["contents"]
    assert found.settings["step"] == 2
    assert len(contents) == 3 * POINTS
    assert set(contents["kind"]) == {"image"}
    image = np.array(Image.open(io.BytesIO(base64.b64decode(contents["content"][0]))))
    assert image.shape == (4, 4)


@pytest.mark.parametrize("decoder", [lambda model: {"nobody": model.decoder}, lambda model: lambda z: z[:1]])
def test_a_decoder_that_fails_is_counted_and_the_run_is_whole(tmp_path, decoder):
    with pytest.warns(RuntimeWarning, match="decoder"):
        recording = trained(tmp_path / "run", decoder, Net())
    assert recording.lost == 1
    assert probes.Run(tmp_path / "run").status == "finished"
    assert store.stored(tmp_path / "run") == []
