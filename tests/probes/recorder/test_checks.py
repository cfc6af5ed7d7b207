"""What is wrong is refused with one clear error, and costs nothing."""

import numpy as np
import pytest

import probes
from probes.recorder import Recorder
from probes.schema import FORCES, SEQUENCE

LAYER = [{"name": "only", "neurons": 3}]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r.record(4, 0, mean=[1, 2, 3]), ["step 4", "the step before it is 5"]),
        (lambda r: r.record(5, 0, mean=[1, 2, 3]), ["step 5", "5"]),
        (lambda r: r.record(6, 0, mean=[1, 2]), ["mean", "'only'", r"\(2,\)", r"\(3,\)"]),
        (lambda r: r.record(6, "nope", mean=[1, 2, 3]), ["'nope'", "only"]),
        (lambda r: r.record(6, 7, mean=[1, 2, 3]), ["unknown layer 7"]),
        (lambda r: r.record(6, 0, mena=[1, 2, 3]), ["unknown statistic 'mena'", "mean"]),
        (lambda r: r.record(6, 0, contraction=[1, 2, 3]), ["derived on reading"]),
        (lambda r: r.record(6, 0, mean=["a", "b", "c"]), ["mean", "numbers"]),
        (lambda r: r.record(6, 0), ["no statistic", "6"]),
        (lambda r: r.record(-1, 0, mean=[1, 2, 3]), ["-1", "negative"]),
        (lambda r: r.record_block([7, 7], 0, {"mean": np.ones((2, 3))}), ["step 7", "7"]),
        (
            lambda r: r.record_block([[6, 7]], 0, {"mean": np.ones((2, 3))}),
            ["integers, got int64", r"\(1, 2\)"],
        ),
        (
            lambda r: r.record_block(np.zeros(0, np.int64), 0, {"mean": np.ones((0, 3))}),
            ["a non-empty sequence", r"\(0,\)"],
        ),
        (lambda r: r.record_block([6.0, 7.0], 0, {"mean": np.ones((2, 3))}), ["integers, got float64"]),
        (
            lambda r: r.record_block(np.array([6, 7.5], object), 0, {"mean": np.ones((2, 3))}),
            ["'only' is 7.5", "integers"],
        ),
        (
            lambda r: r.record_block([6, 2**53 + 1], 0, {"mean": np.ones((2, 3))}),
            ["is 9007199254740993", "largest"],
        ),
        (lambda r: r.record(6.5, 0, mean=[1, 2, 3]), ["integers"]),
        (lambda r: r.event(6, "poke", 0, 3), ["3 neurons"]),
        (lambda r: r.probe(6, 0, np.ones((4, 2)), np.ones((4, 2))), [r"\(inputs, 3\)"]),
        (lambda r: r.forces(6, 0, "kl", force_mu=np.ones(3)), ["force_mu", "force_sigma", "are needed"]),
        (
            lambda r: r.forces(6, 0, "kl", **{name: np.ones(2) for name in FORCES}),
            [r"force_mu \(2,\)", r"\(3,\)"],
        ),
        (
            lambda r: r.sequence(6, 0, **dict.fromkeys(SEQUENCE, np.ones((4, 3))) | {"kl": np.ones((5, 3))}),
            [r"kl \(5, 3\)", r"\(positions, 3\)"],
        ),
        (lambda r: r.sequence(6, 0, *[np.ones(3)] * 5), [r"\(positions, 3\)"]),
        (
            lambda r: r.sequence(6, 0, **dict.fromkeys(SEQUENCE, np.ones((4, 3))) | {"m": 1.0}),
            [r"'only': m \(\) must be \(positions, 3\)"],
        ),
        (
            lambda r: r.origin_scores(6, "test", [0], [1.0], 2**31, crps=[1.0]),
            ["span is 2147483648", "2147483647"],
        ),
    ],
)
def test_a_bad_call_is_one_clear_error_and_loses_nothing(tmp_path, call, words):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.record(5, 0, mean=[1, 2, 3])
        with pytest.raises(ValueError, match=".*".join(words)):
            call(recorder)
        recorder.record(6, 0, mean=[4, 5, 6])
    run = probes.Run(tmp_path / "run")
    assert run.history(0)["mean"].tolist() == [1, 2, 3, 4, 5, 6]
    assert run.status == "finished"


def test_steps_of_a_block_may_be_objects_and_go_up_to_the_largest(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.record_block(np.array([5, np.int64(7)], object), 0, {"mean": np.ones((2, 3))})
        recorder.record_block([8, 2**53], 0, {"mean": np.ones((2, 3))})
    assert probes.Run(tmp_path / "run").steps.tolist() == [5, 7, 8, 2**53]
