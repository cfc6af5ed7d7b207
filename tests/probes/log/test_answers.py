"""A classifier's answers on their way into a log and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probes
from probes.log.answers import answer_tables
from probes.reliability import CLASSES_KEPT, POINTS_KEPT, calibration_error, equal_mass_bins


def answers(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(classes, 0.4), count)
    return p, np.array([random.choice(classes, p=row) for row in p])


def test_what_was_recorded_is_read_back_and_the_bins_are_of_all_answers(tmp_path: Path) -> None:
    p, y = answers(2000, 5)
    within = np.full(2000, 0.1)
    with probes.Recorder(tmp_path / "run", [{"name": "layer 1", "neurons": 2}]) as recorder:
        for step in (10, 20):
            recorder.class_probabilities(step, p, y, "validation", conditional_entropy=within)
        recorder.class_probabilities(20, p[:30], y[:30], "test")
    run = probes.Run(tmp_path / "run")
    assert run.answer_steps().tolist() == [10, 20]
    bins = run.reliability()
    first = bins[(bins["step"] == 10) & (bins["split"] == "validation")]
    truth = equal_mass_bins(p.max(1), p.argmax(1) == y)
    assert calibration_error({name: first[name].to_numpy() for name in truth}) == calibration_error(truth)
    assert first["count"].sum() == 2000
    table = run.answers()
    assert set(table["split"]) == {"validation", "test"}
    rows = table[table["split"] == "validation"]
    assert len(rows) == POINTS_KEPT
    kept = rows["input"].to_numpy()
    np.testing.assert_allclose(rows["likelihood"], p[kept, y[kept]], rtol=1e-6)
    np.testing.assert_array_equal(rows["predicted"], p.argmax(1)[kept])
    np.testing.assert_allclose(rows.filter(regex="^p_"), p[kept], atol=1e-3)
    assert table.loc[table["split"] == "test", "conditional_entropy"].isna().all()
    assert not probes.Run(tmp_path / "run").answers(11).size


def test_many_classes_are_kept_without_the_probability_of_each() -> None:
    p, y = answers(40, CLASSES_KEPT + 1)
    _, points = answer_tables(0, "test", p, y, None)
    assert not [name for name in points.column_names if name.startswith("p_")]
    np.testing.assert_allclose(points["entropy"], -(p * np.log(np.maximum(p, 1e-300))).sum(1), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"probability": np.full((4, 3), 0.5)}, "softmax, not logits"),
        ({"probability": np.full((4, 3), np.nan)}, "must be a distribution"),
        ({"probability": np.full(4, 0.5)}, "(n, C) and (n,)"),
        ({"probability": np.ones((4, 1))}, "two classes"),
        ({"y": [0, 1, 2]}, "(n, C) and (n,)"),
        ({"y": [0, 1, 2, 3]}, "integers from 0 to 2"),
        ({"y": [0, 1, 2, 0.5]}, "integers from 0 to 2"),
        ({"conditional_entropy": [0.1]}, "one an example"),
    ],
)
def test_what_is_no_answer_is_refused_with_what_to_give(change: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"probability": np.full((4, 3), 1 / 3), "y": [0, 1, 2, 0]}
    given |= {"conditional_entropy": None} | change
    with pytest.raises(ValueError, match="class_probabilities") as error:
        answer_tables(0, "test", **given)
    assert said in str(error.value)


def test_one_example_of_two_classes_is_an_answer() -> None:
    bins, points = answer_tables(3, "test", [[0.25, 0.75]], [1], [0.5])
    [found] = points.to_pylist()
    assert found == {
        "step": 3, "split": "test", "input": 0, "y": 1, "predicted": 1, "confidence": 0.75,
        "likelihood": 0.75, "entropy": pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75)),
        "conditional_entropy": 0.5, "p_0": 0.25, "p_1": 0.75,
    }  # fmt: skip
    assert bins.select(["step", "split", "bin", "count", "right"]).to_pylist() == [
        {"step": 3, "split": "test", "bin": 0, "count": 1, "right": 1}
    ]
    assert points.schema.field("p_0").type == "halffloat"


@pytest.mark.parametrize("classes", [CLASSES_KEPT - 1, CLASSES_KEPT])
def test_the_probability_of_each_of_few_classes_is_kept(classes: int) -> None:
    _, points = answer_tables(0, "test", *answers(3, classes), None)
    assert [name for name in points.column_names if name.startswith("p_")] == [
        f"p_{k}" for k in range(classes)
    ]


def test_probabilities_sum_to_one_as_far_as_bfloat16_tells() -> None:
    for off in (0.0099, -0.0099):
        answer_tables(0, "test", [[1.0 + off, 0.0]], [0], None)
    for off in (0.0101, -0.0101):
        with pytest.raises(ValueError, match="softmax, not logits"):
            answer_tables(0, "test", [[1.0 + off, 0.0]], [0], None)
    with pytest.raises(ValueError, match="must be a distribution"):
        answer_tables(0, "test", [[1.005, -0.005]], [0], None)


@pytest.mark.parametrize("y", [[2], [-1]])
def test_a_class_is_one_that_there_is(y: list[int]) -> None:
    with pytest.raises(ValueError, match="y must hold classes, integers from 0 to 1"):
        answer_tables(0, "test", [[0.5, 0.5]], y, None)
