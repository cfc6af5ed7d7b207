"""Images of inputs: what is a small PNG is drawn, anything else that a log holds is not."""

import base64

import numpy as np
import pytest

from probes.analysis.telling_inputs import telling_inputs
from probes.figures.image_rows import LARGEST, is_png
from probes.figures.input_images import input_images
from probes.inputs import png


def encoded(height, width):
    return base64.b64encode(png(np.zeros((height, width, 1), np.uint8))).decode()


@pytest.mark.parametrize(
    "content",
    [
        "", "x", 'iVBORw0KGgo=" onload="alert(1)', "javascript:alert(1)", encoded(LARGEST + 1, 4),
        base64.b64encode(b"<svg onload=alert(1)>").decode(),
    ],
)  # fmt: skip
def test_what_is_no_small_png_is_not_drawn(content):
    assert not is_png(content)
    telling = telling_inputs([0.0, 1.0], [1.0, 1.0])
    assert len(input_images(telling, {0: content, 1: encoded(8, 8)}).layout.images) == 4


def test_each_image_stands_at_its_rank_and_group():
    telling = telling_inputs(np.arange(5.0), np.ones(5), 3)
    figure = input_images(telling, {i: encoded(i + 1, 4) for i in range(5)}, "alt")
    assert len(figure.layout.images) == 12
    highest = figure.layout.images[0]
    assert highest.source.endswith(encoded(5, 4))
    assert (highest.x, highest.y) == (0, 0)
    assert list(figure.data[0].text[:3]) == ["4.00", "3.00", "2.00"]
    assert figure.layout.meta["alt"] == "alt"


def test_no_inputs_draw_nothing():
    assert len(input_images(telling_inputs([], []), {}).layout.images) == 0
