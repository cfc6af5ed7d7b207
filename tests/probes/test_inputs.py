"""Probe inputs as the log keeps them: images that decode to what they were, texts, rows."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from probes.inputs import MOST, SIDE, Inputs, as_inputs, stored


def decoded(content):
    return np.array(Image.open(io.BytesIO(base64.b64decode(content))))


def kinds(given):
    return [kind for kind, _ in stored(as_inputs(given))]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_decode_to_what_they_were(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (3, channels, 20, 30), np.uint8)
    for given in (torch.tensor(pixels), torch.tensor(pixels / 255), np.moveaxis(pixels, 1, -1)):
        inputs = given if isinstance(given, torch.Tensor) else Inputs(torch.zeros(3, 2), shown=given)
        found = stored(as_inputs(inputs))
        for (kind, content), image in zip(found, pixels, strict=True):
            assert kind == "image"
            whole = decoded(content).reshape(20, 30, channels)
            np.testing.assert_array_equal(whole, np.moveaxis(image, 0, -1))


def test_large_images_are_reduced_and_signed_ones_use_the_whole_range():
    x = torch.zeros(2, 1, 2 * SIDE, 3 * SIDE)
    x[:, :, SIDE:] = -1
    x[:, :, :, 2 * SIDE :] += 2
    image = decoded(stored(as_inputs(x))[0][1])
    assert image.shape == (2 * SIDE // 3, SIDE)
    assert (image.min(), image.max()) == (0, 255)


def test_flat_rows_are_images_of_a_stated_shape():
    x = torch.rand(5, 64)
    assert kinds(Inputs(x, image=(8, 8))) == ["image"] * 5
    assert kinds(x) == ["row"] * 5
    with pytest.raises(ValueError, match="no images of"):
        stored(as_inputs(Inputs(x, image=(9, 9))))


def test_texts_and_numbers_as_they_are():
    assert stored(as_inputs(Inputs(torch.zeros(2, 3), shown=["a", "b"]))) == [("text", "a"), ("text", "b")]
    kept = [json.loads(content) for _, content in stored(as_inputs(torch.tensor([[1.5, float("nan")]])))]
    assert kept[0][0] == 1.5
    assert np.isnan(kept[0][1])


def test_so_many_inputs_and_no_more():
    given = as_inputs({"x": torch.zeros(MOST + 5, 2), "scale": torch.zeros(3)})
    assert len(given.batch["x"]) == len(given.shown) == MOST
    assert len(given.batch["scale"]) == 3


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="say what is shown"):
        as_inputs(["a", "b"])
    with pytest.raises(ValueError, match="2 are shown, the batch has 3"):
        as_inputs(Inputs(torch.zeros(3, 2), shown=["a", "b"]))
