"""Validation against training: what is drawn, which scores are compared, where the best validation is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probes.figures.overfitting import in_words, overfitting, scores_of

AT = np.arange(9, 100, 10)


def scalars(split: str, name: str, steps: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"step": steps, "split": split, "name": name, "value": values})


@pytest.fixture
def run() -> pd.DataFrame:
    """A validation that turns at step 49; batches from step 0, huge at first."""
    batches = np.arange(100)
    return pd.concat(
        [
            scalars("validation", "nll_joint", AT, 0.5 + 1e-4 * (AT - 49.0) ** 2),
            scalars("train", "nll", batches, 9 * np.exp(-batches / 2.0) + 0.4 - 0.001 * batches),
            scalars("train", "loss", batches, 1.0 + 0 * batches),
        ]
    )


def test_the_best_validation_is_marked_at_its_step(run: pd.DataFrame) -> None:
    scores = scores_of(run)
    assert scores is not None
    assert scores.best == (49, 0.5)
    assert scores.batches
    figure = overfitting(scores, step=20)
    marks = [trace for trace in figure.data if trace.mode == "markers+text"]
    assert [(mark.x.tolist(), mark.y.tolist(), mark.text) for mark in marks] == [([49], [0.5], ("step 49",))]
    low, high = figure.layout.yaxis.range
    assert high < 1.5, "what was before the first validation does not flatten the rest"
    assert low < 0.3 + 0.01
    assert "best validation marked" in figure.layout.meta["alt"]


def test_the_same_score_of_training_examples_is_taken_before_batches(run: pd.DataFrame) -> None:
    with_examples = pd.concat([run, scalars("train", "nll_joint", AT, 0.45 - 0.001 * AT)])
    scores = scores_of(with_examples)
    assert scores is not None
    assert not scores.batches
    figure = overfitting(scores)
    training = next(trace for trace in figure.data if trace.name == "this run, training")
    np.testing.assert_allclose(training.y, 0.45 - 0.001 * AT, rtol=1e-6)  # as it is, not averaged
    assert in_words(scores, "this run") == (
        "this run: best at step 49, +0.250 nats since; at the end validation is 0.399 nats above training"
    )


def test_a_second_run_has_its_own_steps_and_best(run: pd.DataFrame) -> None:
    later = run.assign(step=2 * run["step"])
    figure = overfitting(scores_of(run), other=scores_of(later), label="<b>twin")
    names = [trace.name for trace in figure.data]
    assert "&lt;b&gt;twin, validation" in names
    assert [trace.x.tolist() for trace in figure.data if trace.mode == "markers+text"] == [[49], [98]]


def test_the_best_step_is_written_inside_the_figure_also_beside_a_longer_run(run: pd.DataFrame) -> None:
    later = run.assign(step=20 * run["step"])
    figure = overfitting(scores_of(run), other=scores_of(later))
    marks = [trace for trace in figure.data if trace.mode == "markers+text"]
    assert marks[0].textposition == "bottom right", "at the left edge"


def test_a_run_without_one_of_the_two_has_no_figure(run: pd.DataFrame) -> None:
    assert scores_of(run[run["split"] == "train"]) is None
    assert scores_of(run[run["split"] == "validation"]) is None
    foreign = run[run["name"] == "loss"]
    both = scores_of(pd.concat([foreign, foreign.assign(split="validation", value=np.nan)]))
    assert both is None, "no finite value"
    single = scores_of(
        pd.concat(
            [scalars(split, "loss", np.array([3]), np.array([1.0])) for split in ("train", "validation")]
        )
    )
    assert single is not None
    assert "the last validation" in in_words(single, "it")
    assert len(overfitting(single).data) == 3
