"""`parameters/` and `classes/`: what goes in comes out, and what a family does not have is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probes import Recorder, Run, RunError
from probes.log.check import check

N, C, INPUTS = 3, 4, 5
LAYERS: list[dict[str, Any]] = [
    {"name": "gauss", "neurons": N},
    {"name": "words", "neurons": N, "family": "categorical", "classes": C},
    {"name": "coins", "neurons": N, "family": "bernoulli", "classes": 2},
    {"name": "shares", "neurons": N, "family": "beta"},
    {"name": "book", "neurons": N, "family": "codes"},
    {"name": "draws", "neurons": N, "family": "samples", "prior": "unknown"},
]


def simplex(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(shape[-1]), shape[:-1])


def recorded(path: Path, **settings: Any) -> Run:
    with Recorder(path, LAYERS, **settings) as recorder:
        for step in (0, 7):
            recorder.record(step, "gauss", kl=np.ones(N), information=np.ones(N))
            recorder.parameters(step, "words", probability=simplex(INPUTS, N, C))
            recorder.parameters(step, "coins", probability=np.full((INPUTS, N), 0.25))
            recorder.parameters(
                step, 3, concentration1=np.full((INPUTS, N), 2.0), concentration0=np.full((INPUTS, N), 3.0)
            )
            recorder.parameters(step, "draws", sample=np.arange(INPUTS * N * 2).reshape(INPUTS, N, 2))
            recorder.classes(step, "words", simplex(N, C))
            recorder.classes(step, "coins", np.full((N, 2), 0.5))
    return Run(path)


def test_posteriors_come_back_as_they_were_given(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    assert run.parameter_steps().tolist() == [0, 7]
    assert run.class_steps().tolist() == [0, 7]
    rows = run.parameters(0, "words")
    assert list(rows.columns) == ["step", "layer", "neuron", "input", "name", "index", "value"]
    assert set(rows["name"]) == {"probability"}
    assert set(rows["layer"]) == {1}
    values = rows["value"].to_numpy().reshape(N, INPUTS, C).transpose(1, 0, 2)
    np.testing.assert_allclose(values, simplex(INPUTS, N, C), rtol=1e-6)

    shares = run.parameters(layer="shares")
    assert set(shares["step"]) == {7}
    assert set(shares["index"]) == {0}
    by_name = shares.groupby("name")["value"]
    assert by_name.first().to_dict() == {"concentration0": 3.0, "concentration1": 2.0}
    assert by_name.size().tolist() == [N * INPUTS] * 2

    draws = run.parameters(layer="draws")
    second = draws[(draws["neuron"] == 1) & (draws["input"] == 2)]
    assert second["index"].tolist() == [0, 1]
    assert second["value"].tolist() == [14.0, 15.0]


def test_usage_of_classes_comes_back_as_it_was_given(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    rows = run.classes(0, "words")
    assert list(rows.columns) == ["step", "layer", "neuron", "class", "usage"]
    np.testing.assert_allclose(rows["usage"].to_numpy().reshape(N, C), simplex(N, C), rtol=1e-6)
    assert len(run.classes()) == N * C + N * 2
    assert run.classes(3).empty
    with pytest.raises(RunError, match="no layer 'other'"):
        run.classes(layer="other")


def test_a_rounded_run_keeps_ten_bits_of_them(tmp_path: Path) -> None:
    run = recorded(tmp_path, precision="10bit")
    values = run.classes(0, "words")["usage"].to_numpy().reshape(N, C)
    assert (values != simplex(N, C).astype(np.float32)).any()
    np.testing.assert_allclose(values, simplex(N, C), rtol=2.0**-11)


def test_a_broken_neuron_is_recorded_as_it_is(tmp_path: Path) -> None:
    usage, probability = np.full((N, C), 1 / C), np.full((INPUTS, N, C), 1 / C)
    usage[1], probability[:, 1] = np.nan, np.nan
    with Recorder(tmp_path, LAYERS) as recorder:
        recorder.classes(0, "words", usage)
        recorder.parameters(0, "words", probability=probability)
    rows = Run(tmp_path).classes()
    assert rows.groupby("neuron")["usage"].apply(lambda each: each.isna().all()).tolist() == [
        False,
        True,
        False,
    ]


CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a Gaussian": ("gauss", {"mu": np.zeros((1, N))}, r"it is Gaussian; probe\(step, layer, mu, sigma\)"),
    "a code book": ("book", {"probability": np.ones((1, N))}, "a code book has none"),
    "another name": (
        "words",
        {"logits": np.ones((1, N, C))},
        "logits given, Categorical has probability",
    ),
    "one of two": (
        "shares",
        {"concentration1": np.ones((1, N))},
        "concentration1 given, Beta has concentration1, concentration0",
    ),
    "nothing": ("shares", {}, "none given"),
    "width": (
        "words",
        {"probability": np.ones((1, N + 1, C))},
        r"shape \(1, 4, 4\); all must be \(inputs, 3\)",
    ),
    "rank": ("coins", {"probability": np.ones(N)}, r"shape \(3,\)"),
    "inputs differ": (
        "shares",
        {"concentration1": np.ones((2, N)), "concentration0": np.ones((1, N))},
        r"concentration0 has shape \(1, 3\)",
    ),
    "classes": ("words", {"probability": np.full((1, N, 3), 1 / 3)}, "3 classes given, the layer has 4"),
    "two of a coin": ("coins", {"probability": np.full((1, N, 2), 0.5)}, "give that of class 1 alone"),
    "above one": ("coins", {"probability": np.full((1, N), 1.5)}, "holds 1.5; it must be at most 1"),
    "sum": ("words", {"probability": np.full((1, N, C), 0.3)}, "sums to 1.2 over classes"),
    "logits": ("words", {"probability": np.full((1, N, C), -1.0)}, "holds -1; it must not be negative"),
    "negative": (
        "shares",
        {"concentration1": np.full((1, N), -2), "concentration0": np.ones((1, N))},
        "holds -2; it must not be negative",
    ),
    "text": ("coins", {"probability": "many"}, "is not an array of numbers"),
    "sum by more than a thousandth": (
        "words",
        {"probability": np.array([[[0.25, 0.25, 0.25, 0.2511]] * N])},
        "probability sums to 1.0011 over classes; it must sum to 1",
    ),
    "one of four": ("words", {"probability": np.array([[[0.5, 0.75, -0.25, 0.0]] * N])}, "holds -0.25;"),
    "below zero": ("coins", {"probability": np.full((1, N), -1e-3)}, "holds -0.001; it must not be negative"),
    "no axis": ("shares", {"concentration1": 1.0, "concentration0": 1.0}, r"concentration1 has shape \(\)"),
    "four axes": ("words", {"probability": np.ones((1, 1, N, C))}, r"shape \(1, 1, 3, 4\)"),
}


@pytest.mark.parametrize("case", CASES)
def test_posteriors_that_a_family_does_not_have_are_refused(tmp_path: Path, case: str) -> None:
    layer, parameters, message = CASES[case]
    with Recorder(tmp_path, LAYERS) as recorder, pytest.raises(ValueError, match=message) as raised:
        recorder.parameters(0, layer, **parameters)
    assert repr(layer) in str(raised.value)
    assert Run(tmp_path).parameters().empty


@pytest.mark.parametrize(
    ("layer", "usage", "message"),
    [
        ("gauss", np.full((N, 2), 0.5), "it is Gaussian; classes are of categorical, bernoulli, dirichlet"),
        ("words", np.full((N, 2), 0.5), "2 classes given, the layer has 4"),
        ("words", np.full((N, C), 0.5), "usage sums to 2 over classes; it must sum to 1"),
        ("words", np.full((C, N), 1 / N), r"usage has shape \(4, 3\); it must be \(3, C\)"),
        ("words", np.full((N - 1, C), 1 / C), r"usage has shape \(2, 4\); it must be \(3, C\)"),
        ("coins", np.array([[1.5, -0.5]] * N), "holds -0.5; it must not be negative"),
    ],
    ids=["family", "classes", "sum", "shape", "neurons", "negative"],
)
def test_usage_that_is_none_is_refused(tmp_path: Path, layer: str, usage: Any, message: str) -> None:
    with Recorder(tmp_path, LAYERS) as recorder, pytest.raises(ValueError, match=message):
        recorder.classes(0, layer, usage)
    assert Run(tmp_path).classes().empty


def test_probe_takes_gaussians_alone(tmp_path: Path) -> None:
    with Recorder(tmp_path, LAYERS) as recorder:
        with pytest.raises(ValueError, match=r"it is Beta, without mu and sigma; parameters\(step, layer"):
            recorder.probe(0, "shares", np.zeros((1, N)), np.ones((1, N)))
        recorder.probe(0, "gauss", np.zeros((1, N)), np.ones((1, N)))
    assert len(Run(tmp_path).probe()) == N


def test_posteriors_along_a_sequence_come_back_with_their_moments_and_kl(tmp_path: Path) -> None:
    kl = np.arange(INPUTS * N, dtype=float).reshape(INPUTS, N)
    with Recorder(tmp_path, LAYERS) as recorder:
        recorder.sequence_parameters(3, "words", kl, probability=simplex(INPUTS, N, C))
        rate = np.arange(1, INPUTS * N + 1, dtype=float).reshape(INPUTS, N)
        recorder.sequence_parameters(3, "shares", kl, concentration1=rate, concentration0=np.ones_like(rate))
        recorder.sequence_parameters(
            3, "draws", np.full((INPUTS, N), np.nan), sample=np.stack([rate, -rate], -1)
        )
    run = Run(tmp_path)
    assert check(tmp_path) == []
    assert run.sequence_steps().tolist() == [3]
    rows = run.sequence_parameters(3, "words")
    assert list(rows.columns) == ["step", "layer", "neuron", "t", "name", "index", "value"]
    values = rows.sort_values(["t", "neuron", "index"])["value"].to_numpy().reshape(INPUTS, N, C)
    np.testing.assert_allclose(values, simplex(INPUTS, N, C), rtol=1e-6)
    words, shares, draws = (
        run.sequence(3, name).sort_values(["t", "neuron"]) for name in ("words", "shares", "draws")
    )
    assert words[["m", "V", "mu", "sigma"]].isna().all(axis=None)
    assert words["kl"].tolist() == kl.ravel().tolist()
    a = rate.ravel()
    np.testing.assert_allclose(shares["m"], a / (a + 1), rtol=1e-6)
    np.testing.assert_allclose(shares["V"], a / ((a + 1) ** 2 * (a + 2)), rtol=1e-5)
    np.testing.assert_allclose(shares["sigma"], np.sqrt(shares["V"]), rtol=1e-6)
    assert (draws["m"] == 0).all()
    np.testing.assert_allclose(draws["V"], 2 * a**2, rtol=1e-6)  # of two draws, unbiased
    assert draws["kl"].isna().all()


@pytest.mark.parametrize(
    ("layer", "kl", "given", "says"),
    [
        ("gauss", np.ones((2, N)), {"mu": np.ones((2, N))}, r"sequence\(step, layer, m, V"),
        ("words", np.ones((3, N)), {"probability": simplex(2, N, C)}, r"kl of layer 'words'.*\(2, 3\)"),
        ("words", np.ones((2, N)), {"probability": np.ones((2, N, C))}, "sums to 4"),
        ("book", np.ones((2, N)), {"index": np.ones((2, N))}, "has none"),
    ],
)
def test_posteriors_along_a_sequence_that_a_layer_cannot_have_are_refused(
    tmp_path: Path, layer: str, kl: np.ndarray, given: dict[str, np.ndarray], says: str
) -> None:
    with Recorder(tmp_path, LAYERS) as recorder, pytest.raises(ValueError, match=says):
        recorder.sequence_parameters(0, layer, kl, **given)


def test_shares_and_probabilities_at_their_edges_are_taken(tmp_path: Path) -> None:
    with Recorder(tmp_path, LAYERS) as recorder:
        recorder.parameters(0, "words", probability=np.array([[[0.25, 0.25, 0.25, 0.2509]] * N]))
        recorder.parameters(0, "words", probability=np.array([[[1.0, 0.0, 0.0, 0.0]] * N]))
        recorder.parameters(0, "coins", probability=np.array([[0.0, 1.0, 0.5]]))
        recorder.parameters(0, "shares", concentration1=np.zeros((1, N)), concentration0=np.ones((1, N)))
        recorder.classes(0, "words", np.array([[0.25, 0.25, 0.25, 0.2491]] * N))
    run = Run(tmp_path)
    assert run.parameters(0, "coins")["value"].tolist() == [0.0, 1.0, 0.5]
    assert len(run.classes()) == N * C


def test_of_one_draw_a_position_no_variance_is_known(tmp_path: Path) -> None:
    draws, unknown = np.arange(2.0 * N).reshape(2, N), np.full((2, N), np.nan)
    with Recorder(tmp_path, LAYERS) as recorder:
        recorder.sequence_parameters(0, "draws", unknown, sample=draws)
        recorder.sequence_parameters(1, "draws", unknown, sample=draws[..., None])
    run = Run(tmp_path)
    for step in (0, 1):
        rows = run.sequence(step, "draws").sort_values(["t", "neuron"])
        assert rows["m"].tolist() == rows["mu"].tolist() == draws.ravel().tolist()
        assert rows[["V", "sigma", "kl"]].isna().all(axis=None)


def test_a_layer_that_does_not_say_how_many_classes_it_has_takes_any(tmp_path: Path) -> None:
    with Recorder(tmp_path, [{"name": "a", "neurons": 1, "family": "dirichlet"}]) as recorder:
        for classes in (2, 7):
            recorder.classes(classes, "a", np.full((1, classes), 1 / classes))
            recorder.parameters(classes, "a", concentration=np.full((1, 1, classes), 3.0))
    assert [len(Run(tmp_path).classes(classes)) for classes in (2, 7)] == [2, 7]
