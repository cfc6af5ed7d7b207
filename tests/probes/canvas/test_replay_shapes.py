"""What the replay draws of layers of every family: their own density, bars, a code book; nothing Gaussian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import trapezoid

from probes import Recorder, Run
from probes.canvas import replay_shapes
from probes.families.by_moments import matched

STEPS = 12
UNIFORM = {"concentration1": 1.0, "concentration0": 1.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A Beta layer, classes (many), a code book, draws, a Student t without moments, a Gaussian."""
    path = tmp_path_factory.mktemp("shapes") / "run"
    layers: list[dict[str, Any]] = [
        {"name": "beta", "neurons": 2, "family": "beta", "prior_parameters": UNIFORM},
        {"name": "classes", "neurons": 2, "family": "categorical", "classes": 40},
        {"name": "book", "neurons": 6, "family": "codes", "window": 128},
        {"name": "draws", "neurons": 2, "family": "samples", "prior": "unknown"},
        {"name": "t", "neurons": 2, "family": "student_t"},
        {"name": "z", "neurons": 2},
    ]
    mass = np.linspace(1, 2, 40)
    mass[7] = 30
    mass /= mass.sum()
    with Recorder(path, layers) as recorder:
        for step in range(STEPS):
            variance = np.array([0.05, 1 / 12 - 1e-6])
            recorder.record(
                step, "beta", mean=[0.3, 0.5], variance=variance, spread=[0.01, 0.0], kl=[1, 0],
                information=[0.5, 0], prior_variance=[1 / 12, 1 / 12],
            )  # fmt: skip
            entropy = [float(-(mass * np.log(mass)).sum()), np.log(40)]
            recorder.record(
                step, "classes", kl=[1, 0], information=[0.5, 0], entropy=entropy,
                prior_entropy=[np.log(40)] * 2,
            )  # fmt: skip
            usage = np.array([0.5, 0.3, 0.2, 0.0, 0.0, 0.0])
            recorder.record(step, "book", usage=usage, information=usage, perplexity=2.8)
            recorder.record(step, "draws", mean=[0, 1], variance=[1, 1], spread=[0, 0])
            recorder.record(step, "t", kl=[0.1, 0.2])
            recorder.record(
                step, "z", mean=[0, 0], variance=[1, 1], spread=[0, 0], kl=[0, 0], information=[0, 0]
            )
            if step in (3, 9):
                recorder.classes(step, "classes", np.stack([mass, np.full(40, 1 / 40)]))
                draws = np.random.default_rng(step).standard_normal((5, 2, 30))
                recorder.parameters(step, "draws", sample=draws)
                ones = np.ones((5, 2))
                recorder.parameters(step, "t", df=4 * ones, loc=0 * ones, scale=ones)
                recorder.parameters(step, "beta", concentration1=2 * ones, concentration0=3 * ones)
    return Run(path)


def track(run: Run, name: str, **more: Any) -> Any:
    return replay_shapes.track(run, run.layer_index(name), [0, 1], 50, **more)


def test_a_beta_is_the_member_of_its_recorded_moments(run: Run) -> None:
    found = track(run, "beta")
    shape, arrays = found.shape(), found.arrays(np.array([5]))
    assert (shape["kind"], shape["low"], shape["high"]) == ("density", 0, 1)
    assert shape["prior"] == UNIFORM
    wanted = matched("beta", [0.3], [0.05])
    assert wanted is not None
    assert arrays["inner.concentration1"][0, 0] == pytest.approx(wanted["concentration1"][0], rel=1e-2)
    assert arrays["narrow"][0, 0] == pytest.approx(np.sqrt(0.05 * 12), rel=1e-2)
    assert arrays["narrow"][0, 1] == pytest.approx(1, rel=1e-2)


def test_one_input_is_its_own_posterior_where_it_was_stored(run: Run) -> None:
    found = track(run, "beta", probe_input=2)
    arrays = found.arrays(np.arange(STEPS))
    assert np.isnan(arrays["inner.concentration1"][:3]).all()
    assert (arrays["inner.concentration1"][3:] == 2).all()
    assert (arrays["inner.concentration0"][3:] == 3).all()
    assert "of the recorded mean" not in found.shape()["legend"]


def test_of_many_classes_the_most_used_come_first_and_the_others_share_a_bar(run: Run) -> None:
    found = track(run, "classes")
    shape, arrays = found.shape(), found.arrays(np.array([2, 5]))
    assert shape["classes"][0] == "7"
    assert shape["classes"][-1] == "8 more"
    assert len(shape["classes"]) == replay_shapes.CLASSES + 1
    bars = arrays["bars"].reshape(2, 2, -1)
    assert np.isnan(bars[0]).all(), "nothing is stored yet"
    assert bars[1].sum(axis=-1) == pytest.approx(1, rel=1e-2)
    assert shape["priorBars"] == pytest.approx([1 / 40] * 32 + [8 / 40])


def test_a_code_book_is_one_picture(run: Run) -> None:
    index = run.layer_index("book")
    assert not replay_shapes.has_ridges(run.layers[index])
    found = replay_shapes.track(run, index, [], 50)
    shape, arrays = found.shape(), found.arrays(np.array([0, STEPS - 1]))
    assert (shape["kind"], shape["window"]) == ("book", "in the last 128 steps")
    assert arrays["used"].tolist() == [3, 3]
    assert arrays["usage"][1].tolist() == pytest.approx([0.5, 0.3, 0.2, 0, 0, 0])


def test_draws_are_smoothed_and_have_no_prior(run: Run) -> None:
    found = track(run, "draws")
    shape, arrays = found.shape(), found.arrays(np.array([9]))
    assert (shape["kind"], shape["prior"]) == ("curve", None)
    assert "stored draws, smoothed" in shape["legend"]
    z = np.linspace(shape["low"], shape["high"], shape["points"])
    heights = arrays["curve"][0, 0].astype(float)
    assert trapezoid(heights, z) == pytest.approx(1, abs=0.05)
    assert np.isnan(arrays["narrow"]).all()


def test_a_family_that_moments_do_not_tell_is_the_mean_of_its_stored_members(run: Run) -> None:
    found = track(run, "t")
    shape, arrays = found.shape(), found.arrays(np.array([9]))
    assert shape["kind"] == "curve"
    z = np.linspace(shape["low"], shape["high"], shape["points"])
    middle = int(np.argmin(np.abs(z)))
    assert arrays["curve"][0, 0, middle] == pytest.approx(0.375, rel=0.02)  # Student t with 4 degrees at 0
    assert np.isnan(found.arrays(np.array([0]))["curve"]).all()


def test_gaussians_stay_on_the_axis_of_prior_sds(run: Run) -> None:
    found = track(run, "z")
    assert found.shape() is None
    assert set(found.arrays(np.array([0]))) == {"mean", "sd", "total"}


def test_smoothing_needs_two_values() -> None:
    z = np.linspace(-1, 1, 11)
    assert np.isnan(replay_shapes.smoothed(np.array([0.5, 0.5]), z)).all()
    assert np.isnan(replay_shapes.smoothed(np.array([np.nan, 0.5]), z)).all()


def test_a_caption_says_what_is_seen() -> None:
    gaussian, book, beta = {}, {"family": "codes"}, {"family": "beta"}
    assert replay_shapes.caption([book]) == replay_shapes.CODES_SEEN
    assert replay_shapes.caption([beta, book]) == replay_shapes.OTHERS_SEEN
    assert replay_shapes.caption([gaussian, beta]) == replay_shapes.GAUSSIAN_SEEN


def test_the_prior_of_two_classes_need_not_be_even(tmp_path: Path) -> None:
    layer = {"name": "z", "neurons": 1, "family": "bernoulli", "classes": 2,
             "prior_parameters": {"probability": 0.25}}  # fmt: skip
    with Recorder(tmp_path / "run", [layer]) as recorder:
        recorder.record(0, "z", kl=[0.1], information=[0.0], entropy=[0.6], prior_entropy=[0.56], mean=[0.3])
    shape = replay_shapes.track(Run(tmp_path / "run"), 0, [0], 4).shape()
    assert shape is not None
    assert shape["priorBars"] == [0.75, 0.25]


def test_a_layer_without_an_entropy_is_told_by_its_variance() -> None:
    nothing = np.full(3, np.nan)
    assert replay_shapes.typical_of({"entropy": np.ones(3), "variance": np.ones(3)}) == "entropy"
    assert replay_shapes.typical_of({"entropy": nothing, "variance": np.ones(3)}) == "variance"
