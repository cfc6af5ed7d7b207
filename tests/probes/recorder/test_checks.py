"""What is wrong is refused with one clear error, and costs nothing."""

import numpy as np
import pytest

import probes
from probes.recorder import Recorder
from probes.recorder.checks import each
from probes.schema import FORCES, SEQUENCE

LAYER = [{"name": "only", "neurons": 3}]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r.record(4, 0, mean=[1, 2, 3]), ["step 4", "the step before it is 5"]),
        (lambda r: r.record(5, 0, mean=[1, 2, 3]), ["step 5", "5"]),
        (
            lambda r: r.record(6, 0, mean=[1, 2]),
            [r"mean of layer 'only' has shape \(2,\); it must be \(3,\) or \(3, 1\)$"],
        ),
        (
            lambda r: r.record_block([6, 7], 0, {"mean": np.ones((2, 3, 2))}),
            [r"has shape \(3, 2\); it must be \(3,\) or \(3, 1\)$"],
        ),
        (lambda r: r.record_block([6, 7], 0, {"mean": np.ones((3, 3))}), ["has shape"]),
        (lambda r: r.record_block([6, 7], "only", {}), ["no statistic given for layer 'only' at step 6"]),
        (lambda r: r.record_block([6, 6, 7], 0, {"mean": np.ones((3, 3))}), ["step 6 .* before it is 6$"]),
        (lambda r: r.record_block([6, 8, 7], 0, {"mean": np.ones((3, 3))}), ["step 7 .* before it is 8$"]),
        (
            lambda r: r.record(6, "nope", mean=[1, 2, 3]),
            [r"unknown layer 'nope'; the run has \['only'\] \(or 0 to 0\)$"],
        ),
        (lambda r: r.record(6, 1, mean=[1, 2, 3]), ["unknown layer 1;"]),
        (lambda r: r.record(6, -1, mean=[1, 2, 3]), ["unknown layer -1;"]),
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
        (
            lambda r: r.event(6, "poke", 0, 3),
            [r"event 'poke': layer 'only' has 3 neurons, got \[3\]$"],
        ),
        (
            lambda r: r.event(6, "poke", 0, range(40)),
            [r"got \[0, 1, 2, .* 18, 19\]$"],
        ),
        (lambda r: r.event(6, "poke", neuron=1), ["names neuron 1 and no layer; give layer= too"]),
        (
            lambda r: r.event(6, "poke", 0, [0, 1], [1.0, 2.0, 3.0]),
            ["event 'poke': 3 values for 2 neurons; give one for all, or one each"],
        ),
        (lambda r: r.event(6, "poke", 0, [0, 1, 2], [1.0, 2.0]), ["2 values for 3 neurons"]),
        (lambda r: r.evaluation(6, "test", 0), ["no statistic given for layer 'only' at step 6"]),
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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, [3]),
        (None, [None]),
        ("ab", ["ab"]),
        (b"ab", [b"ab"]),
        ((1, 2), [1, 2]),
        (range(2), [0, 1]),
        ({5}, [5]),
        (np.arange(3), [0, 1, 2]),
        (np.float64(0.5), [0.5]),
        ([], []),
    ],
)
def test_one_thing_is_a_list_of_it_and_several_are_several(value, expected):
    assert each(value) == expected
