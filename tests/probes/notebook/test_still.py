from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

import probes
from probes.canvas import run_replay
from probes.notebook import still

SVG = "{http://www.w3.org/2000/svg}"
SAMPLES = Path(__file__).resolve().parents[3] / "sample_runs"


def test_the_picture_draws_the_recorded_posteriors() -> None:
    """Centre and width of a ridge, read off its polygon, are the neuron's mean and sd."""
    run = probes.Run(SAMPLES / "healthy")
    picture = still.svg(run, run_replay.payload(run, [0]), int(run.steps[-1]))
    assert picture is not None
    root = ElementTree.fromstring(picture)
    names = [text.text for text in root.iter(SVG + "text") if re.fullmatch(r"\d+:\d+", text.text or "")]
    ridges = [one.get("points") for one in root.iter(SVG + "polygon")]
    assert len(names) == len(ridges) == 16
    rows = run.at(int(run.steps[-1]), 0, ["mean", "variance"]).set_index("neuron")
    checked = 0
    for name, points in zip(names, ridges, strict=True):
        x, y = np.array([pair.split(",") for pair in points.split()[1:-1]], float).T
        z = x / still.WIDTH * 2 * still.REACH - still.REACH
        height = float(points.split()[0].split(",")[1]) - y
        row = rows.loc[int(name.partition(":")[2])]
        if height.max() >= still.PITCH * still.TALLEST - 0.2 or row["variance"] > 0.25:
            continue  # cut at the top, or at the sides
        centre = np.average(z, weights=height)
        width = np.sqrt(np.average((z - centre) ** 2, weights=height))
        np.testing.assert_allclose([centre, width], [row["mean"], np.sqrt(row["variance"])], atol=0.02)
        checked += 1
    assert checked >= 3


def test_layers_without_a_common_axis_have_no_picture() -> None:
    run = probes.Run(SAMPLES / "digits-vqvae")
    assert still.svg(run, run_replay.payload(run), int(run.steps[-1])) is None
