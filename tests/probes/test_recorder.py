"""What goes in comes out, on any schedule; what is wrong is refused with one clear error and costs
nothing.
"""

import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from failing_disk import FailingDisk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_truth import Truth, assert_same, draw, fill

import probes
from probes.errors import RunError
from probes.log.check import check
from probes.recorder import Recorder, RecorderError
from probes.schema import FORCES, SEQUENCE
from probes.storage import local

LAYER = [{"name": "only", "neurons": 3}]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    widths=st.lists(st.tuples(st.integers(1, 130), st.sampled_from([1, 1, 4])), min_size=1, max_size=3),
    gaps=st.lists(st.integers(1, 40), min_size=1, max_size=60),
    flush_steps=st.integers(1, 20),
    sometimes_every=st.integers(1, 50),
    cut=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip_bit_for_bit_with_a_resume_that_overlaps(
    tmp_path_factory, widths, gaps, flush_steps, sometimes_every, cut, seed
):
    path = tmp_path_factory.mktemp("run") / "run"
    truth = Truth([{"name": f"l{i}", "neurons": n, "latent_dim": k} for i, (n, k) in enumerate(widths)])
    rng = np.random.default_rng(seed)
    steps = np.cumsum(gaps).tolist()
    with Recorder(path, truth.layers, flush_steps=flush_steps) as recorder:
        fill(recorder, truth, steps, rng, sometimes_every)
    assert_same(probes.Run(path), truth)

    checkpoint = steps[int(cut * (len(steps) - 1))]
    truth.forget_after(checkpoint)
    with Recorder.resume(path, checkpoint, flush_steps=flush_steps) as recorder:
        fill(recorder, truth, [checkpoint + 1, checkpoint + 5], rng, sometimes_every)
    assert_same(probes.Run(path), truth)


def test_a_live_run_is_read_without_what_was_compacted_twice(tmp_path):
    truth = Truth([{"name": "only", "neurons": 70}])
    rng = np.random.default_rng(1)
    with Recorder(tmp_path / "run", truth.layers) as recorder:
        fill(recorder, truth, [0], rng)
        recorder.flush()
        run = probes.Run(tmp_path / "run")
        for start in range(1, 700, 37):
            fill(recorder, truth, list(range(start, start + 37)), rng)
            recorder.flush()
            assert run.refresh()
            assert_same(run, truth)
            assert run.layer_summary()["step"].tolist() == truth.steps(0)
        assert not run.refresh()


def test_block_recording_equals_step_recording(tmp_path):
    truth = Truth([{"name": "a", "neurons": 4}, {"name": "b", "neurons": 2}])
    rng = np.random.default_rng(2)
    with Recorder(tmp_path / "run", truth.layers, flush_seconds=0.05) as recorder:
        for start in range(0, 900, 300):
            for layer in range(2):
                drawn = [draw(truth, rng, step, layer, True) for step in range(start, start + 300)]
                recorder.record_block(
                    np.arange(start, start + 300),
                    layer,
                    {name: np.stack([d[name] for d in drawn]) for name in drawn[0]},
                )
                time.sleep(0.06)  # the flush that comes due here must not tear the round apart
    assert_same(probes.Run(tmp_path / "run"), truth)


def test_layers_may_differ_in_their_steps(tmp_path):
    truth = Truth(
        [{"name": "often", "neurons": 2}, {"name": "seldom", "neurons": 2}, {"name": "never", "neurons": 2}]
    )
    rng = np.random.default_rng(3)
    with Recorder(tmp_path / "run", truth.layers, flush_steps=7) as recorder:
        for step in range(100):
            recorder.record(step, "often", **draw(truth, rng, step, 0, True))
            if step % 9 == 0:
                recorder.record(step, "seldom", **draw(truth, rng, step, 1, True))
    run = probes.Run(tmp_path / "run")
    assert_same(run, truth)
    assert run.steps.tolist() == list(range(100))


def test_every_keeps_first_and_last(tmp_path):
    with Recorder(tmp_path / "run", LAYER, every=10) as recorder:
        for step in range(3, 58):
            recorder.record(step, 0, mean=[step, 0, 0])
        assert [step for step in range(3, 80) if recorder.due(step)] == [3, 10, 20, 30, 40, 50, 60, 70]
    assert probes.Run(tmp_path / "run").history(0, 0)["mean"].tolist() == [3, 10, 20, 30, 40, 50, 57]


@pytest.mark.parametrize("last", [57, 59, 60, 61])
def test_a_step_that_was_held_back_is_let_go_when_another_comes(tmp_path, last):
    """A last step that the schedule passes over is held in reserve; one that is due takes its place."""
    layers = [{"name": "a", "neurons": 1}, {"name": "b", "neurons": 1}]
    with Recorder(tmp_path / "run", layers, every=10) as recorder:
        for step in range(3, last + 1):
            for layer in (0, 1):
                recorder.record(step, layer, mean=[step])
    kept = [3, 10, 20, 30, 40, 50, *([] if last < 60 else [60]), *([] if last == 60 else [last])]
    run = probes.Run(tmp_path / "run")
    for layer in (0, 1):
        assert run.history(layer, 0)["mean"].tolist() == kept
    assert run.steps.tolist() == kept
    assert check(tmp_path / "run") == []


def test_the_last_step_of_all_layers_is_written_together(tmp_path):
    """However soon the thread writes: layer by layer, the step would be in the files once for each."""
    layers = [{"name": f"{index}", "neurons": 4} for index in range(8)]
    with Recorder(tmp_path / "run", layers, every=4, flush_steps=1) as recorder:
        for step in range(10):
            for layer in range(8):
                recorder.record(step, layer, mean=np.full(4, step))
    run = probes.Run(tmp_path / "run")
    assert check(tmp_path / "run") == []
    for layer in range(8):
        assert run.history(layer, 0)["mean"].tolist() == [0, 4, 8, 9]


def test_a_last_step_that_the_files_are_past_is_left_out(tmp_path):
    layers = [{"name": "often", "neurons": 1}, {"name": "seldom", "neurons": 1}]
    with Recorder(tmp_path / "run", layers, every=10) as recorder:
        for step in range(101):
            recorder.record(step, "often", mean=[step])
            if step in (0, 20, 95):
                recorder.record(step, "seldom", mean=[step])
        recorder.flush()
    run = probes.Run(tmp_path / "run")
    assert check(tmp_path / "run") == []
    assert run.history("often", 0)["mean"].tolist() == list(range(0, 101, 10))
    assert run.history("seldom", 0)["mean"].tolist() == [0, 20]


def test_blocks_are_thinned_out_and_their_last_step_stays(tmp_path):
    with Recorder(tmp_path / "run", LAYER, every=4) as recorder:
        recorder.record_block([1, 2, 3, 4, 5], 0, {"mean": np.arange(15.0).reshape(5, 3)})
        recorder.record_block([6, 7, 8], 0, {"mean": np.arange(9.0).reshape(3, 3) + 15})
        recorder.record_block([9, 10], 0, {"mean": np.arange(6.0).reshape(2, 3) + 24})
    frame = probes.Run(tmp_path / "run").history(0, 0)
    assert frame["step"].tolist() == [1, 4, 8, 10]
    assert frame["mean"].tolist() == [0, 9, 21, 27]


def test_a_run_that_goes_on_records_each_step_where_nothing_else_is_asked_for(tmp_path):
    Recorder(tmp_path / "run", LAYER).close()
    with Recorder.resume(tmp_path / "run", -1) as recorder:
        for step in range(6):
            recorder.record(step, 0, mean=[0, 0, 0])
    assert probes.Run(tmp_path / "run").steps.tolist() == list(range(6))


@pytest.mark.parametrize("max_gb", [None, 1.0])
def test_what_is_due_is_what_is_kept(tmp_path, max_gb):
    with Recorder(tmp_path / "run", LAYER, every=5, max_gb=max_gb) as recorder:
        due = []
        for step in range(3, 21):
            due += [step] if recorder.due(step) else []
            recorder.record(step, 0, mean=[0, 0, 0])
            assert recorder.due(3)  # a layer more of the first step
    assert due == [3, 5, 10, 15, 20]
    assert probes.Run(tmp_path / "run").steps.tolist() == due


def test_every_and_geometric_start(tmp_path):
    with Recorder(tmp_path / "run", LAYER, every=50, geometric=1.2) as recorder:
        for step in range(1, 333):
            recorder.record(step, 0, mean=[0, 0, 0])
    steps = probes.Run(tmp_path / "run").steps.tolist()
    assert steps[:5] == [1, 2, 3, 4, 5]
    assert steps[-1] == 332
    assert {50, 100, 150, 200, 250, 300} <= set(steps)
    assert len(steps) < 40


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


def test_a_layer_that_comes_after_its_step_was_complete(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 1}, {"name": "b", "neurons": 1}]) as recorder:
        recorder.record(0, "a", mean=[0])
        recorder.record(1, "a", mean=[1])
        with pytest.raises(ValueError, match="step 0 of layer 'b' comes too late: step 0 is complete"):
            recorder.record(0, "b", mean=[9])


def test_closed_recorder(tmp_path):
    recorder = Recorder(tmp_path / "run", LAYER)
    recorder.close()
    recorder.close()
    for call in (
        lambda: recorder.record(0, 0, mean=[1, 2, 3]),
        lambda: recorder.scalar(0, "a", 1.0),
        recorder.flush,
    ):
        with pytest.raises(RecorderError, match="closed"):
            call()


@pytest.mark.parametrize(
    ("layers", "options", "words"),
    [
        ([], {}, "at least one layer"),
        ([{"name": "a", "neurons": 0}], {}, "'a': neurons is 0"),
        ([{"name": "a", "neurons": 1}] * 2, {}, "must differ"),
        (["a"], {}, "must be a dict|dictionary"),
        (LAYER, {"precision": "half"}, "precision is 'half'"),
        (LAYER, {"when_full": "explode"}, "when_full"),
        (LAYER, {"flush_seconds": 0}, "flush_seconds"),
        (LAYER, {"every": 0}, "every is 0"),
    ],
)
def test_bad_arguments_leave_nothing_behind(tmp_path, layers, options, words):
    with pytest.raises(ValueError, match=words):
        Recorder(tmp_path / "run", layers, **options)
    assert not (tmp_path / "run").exists()


def test_steps_of_a_block_may_be_objects_and_go_up_to_the_largest(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.record_block(np.array([5, np.int64(7)], object), 0, {"mean": np.ones((2, 3))})
        recorder.record_block([8, 2**53], 0, {"mean": np.ones((2, 3))})
    assert probes.Run(tmp_path / "run").steps.tolist() == [5, 7, 8, 2**53]


def test_targets_of_an_origin_cover_as_many_positions_as_32_bits_hold(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.origin_scores(0, "test", [0, 1], [1.0, 2.0], 2**31 - 1, crps=[1.0, 2.0])
    assert probes.Run(tmp_path / "run").origin_scores()["span"].tolist() == [2**31 - 1] * 2


def test_numbers_of_a_whole_layer_stand_beside_its_rows(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.record(0, 0, kl=[1, 2, 3], joint_kl=7.0)
        recorder.record_block(
            [1, 2], 0, {"kl": np.ones((2, 3)), "joint_kl": [8.0, 9.0], "coupling": [0.5, 1.5]}
        )
        for call, words in (
            (
                lambda: recorder.record(3, 0, kl=[1, 2, 3], joint_kl=[7.0, 8.0, 9.0]),
                r"\(3,\).*must be one number",
            ),
            (
                lambda: recorder.record_block([3, 4], 0, {"kl": np.ones((2, 3)), "joint_kl": [7.0] * 3}),
                r"has shape \(3,\); it must be \(2,\)",
            ),
            (
                lambda: recorder.record_block([3, 4], 0, {"kl": np.ones((2, 3)), "joint_kl": 7.0}),
                r"has shape \(\); it is of the whole layer and must be \(2,\)",
            ),
        ):
            with pytest.raises(
                ValueError, match=f"joint_kl of layer 'only' {words}" if "has" in words else words
            ):
                call()
    found = probes.Run(tmp_path / "run").layer_summary()
    assert found["layer_joint_kl"].tolist() == [7, 8, 9]
    np.testing.assert_array_equal(found["layer_coupling"], [np.nan, 0.5, 1.5])


def test_a_probe_of_another_family_is_told_which_call_takes_it(tmp_path):
    layers = [
        {"name": "coin", "neurons": 2, "family": "bernoulli"},
        {"name": "book", "neurons": 2, "family": "codes", "prior": "unknown"},
    ]
    with Recorder(tmp_path / "run", layers) as recorder:
        for layer, takes in (("coin", "takes probability$"), ("book", "of a code book nothing$")):
            with pytest.raises(ValueError, match=f"probe of layer '{layer}': .*{takes}"):
                recorder.probe(0, layer, np.ones((1, 2)), np.ones((1, 2)))


@pytest.mark.parametrize(("given", "kept"), [(None, "folder"), ("", "folder"), ("baseline", "baseline")])
def test_a_run_is_called_as_asked_for_or_as_its_folder(tmp_path, given, kept):
    Recorder(tmp_path / "folder", LAYER, name=given).close()
    assert probes.Run(tmp_path / "folder").manifest["name"] == kept


def test_max_gb_counts_thousands_of_millions_of_bytes(tmp_path):
    """3 neurons with one statistic: (3 + 8) x 3.8 B a step, so 23,923 steps in a million bytes."""
    with Recorder(tmp_path / "run", LAYER, max_gb=0.001) as recorder:
        for step in range(3):
            recorder.record(step, 0, mean=[1, 2, 3])
    [said] = probes.Run(tmp_path / "run").events()["text"]
    assert "max_gb=0.001 holds about 23,923 of them" in said


def test_latent_dimensions_become_one_number_as_the_registry_says(tmp_path):
    wide = np.arange(6.0).reshape(2, 3)
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 2, "latent_dim": 3}]) as recorder:
        recorder.record(
            0, 0, mean=wide, variance=wide, kl=wide, information=wide, mismatch=wide, past=wide, spread=wide
        )
    frame = probes.Run(tmp_path / "run").at(0)
    for name in ("kl", "information", "mismatch", "past"):
        assert frame[name].tolist() == [3, 12], name
    for name in ("mean", "variance", "spread"):
        assert frame[name].tolist() == [1, 4], name


def test_what_is_recorded_is_a_copy(tmp_path):
    """A training loop writes its next step into the same arrays."""
    values, block = np.float32([1, 2, 3]), np.float32([[4, 5, 6], [7, 8, 9]])
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.record(0, 0, mean=values)
        recorder.record_block([1, 2], 0, {"mean": block})
        recorder.probe(2, 0, block, block)
        recorder.forces(2, 0, "kl", **dict.fromkeys(FORCES, values))
        recorder.sequence(2, 0, block, block, block, block, block)
        recorder.evaluation(2, "test", 0, mean=values)
        values[:], block[:] = -1, -1
    run = probes.Run(tmp_path / "run")
    assert run.history(0)["mean"].tolist() == list(range(1, 10))
    assert run.probe()["mu"].tolist() == run.sequence()["V"].tolist() == [4, 7, 5, 8, 6, 9]
    assert run.forces()["pull_mu"].tolist() == run.evaluation()["mean"].tolist() == [1, 2, 3]


def test_a_probe_sequence_is_read_by_step_and_layer(tmp_path):
    layers = [{"name": "a", "neurons": 2}, {"name": "b", "neurons": 3}]
    with Recorder(tmp_path / "run", layers) as recorder:
        for step in (0, 7):
            for layer, width in (("a", 2), ("b", 3)):
                table = np.arange(4 * width, dtype=float).reshape(4, width) + step
                recorder.sequence(step, layer, m=table, V=table, mu=table, sigma=table, kl=-table)
    run = probes.Run(tmp_path / "run")
    assert run.sequence_steps().tolist() == [0, 7]
    assert len(run.sequence()) == 4 * 5
    found = run.sequence(0, "b").query("neuron == 1")
    assert found["t"].tolist() == [0, 1, 2, 3]
    assert found["m"].tolist() == [1, 4, 7, 10]
    assert found["kl"].tolist() == [-1, -4, -7, -10]
    assert run.sequence(3).empty
    with pytest.raises(probes.RunError, match="no layer"):
        run.sequence(0, "c")


@pytest.mark.parametrize("shape", [(4, 1), (1, 2)], ids=["one neuron", "one input"])
def test_a_probe_batch_of_one_neuron_or_one_input_is_a_copy_too(tmp_path, shape):
    """Turned over, such an array lies in memory as it did."""
    values = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    expected = values.ravel().tolist()
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": shape[1]}]) as recorder:
        recorder.probe(0, 0, values, values)
        values[:] = -1
    frame = probes.Run(tmp_path / "run").probe()
    assert frame["mu"].tolist() == frame["sigma"].tolist() == expected


def test_a_flush_before_a_checkpoint_writes_the_step_that_is_under_way(tmp_path):
    """One of two layers has recorded it: the flush says that no other will."""
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 1}, {"name": "b", "neurons": 1}]) as recorder:
        recorder.record(0, "a", mean=[0])
        recorder.record(0, "b", mean=[0])
        recorder.record(1, "a", mean=[1])
        recorder.flush()
        assert probes.Run(tmp_path / "run").steps.tolist() == [0, 1]
        with pytest.raises(ValueError, match="step 1 of layer 'b' comes too late"):
            recorder.record(1, "b", mean=[1])
        recorder.record(2, "b", mean=[2])
    assert probes.Run(tmp_path / "run").history("b")["step"].tolist() == [0, 2]


def test_the_time_of_training_goes_on_after_a_resume(tmp_path, monkeypatch):
    clock = time.monotonic
    with Recorder(tmp_path / "run", LAYER) as recorder:
        monkeypatch.setattr(time, "monotonic", lambda: clock() + 1000)
        recorder.scalar(0, "nll", 1.0)
        recorder.flush()
    monkeypatch.setattr(time, "monotonic", clock)
    with Recorder.resume(tmp_path / "run", 0) as recorder:
        recorder.scalar(1, "nll", 1.0)
    before, after = probes.Run(tmp_path / "run").scalars()["time"]
    assert before <= after < before + 100


def test_a_start_that_fails_lets_go_of_the_run(tmp_path):
    Recorder(tmp_path / "run", LAYER).close()
    file = tmp_path / "run" / "run.json"
    sound = file.read_text()
    with pytest.raises(probes.RunError, match="holds a run already") as first:
        Recorder(tmp_path / "run", LAYER)
    file.write_text("{")
    with pytest.raises(probes.RunError, match="JSON") as second:
        Recorder.resume(tmp_path / "run", 0)
    file.write_text(sound)
    Recorder.resume(tmp_path / "run", 0).close()
    assert first.value is not second.value  # both are held here, and with them all that their tracebacks hold


def test_one_writer_a_run(tmp_path):
    with Recorder(tmp_path / "run", LAYER):
        for second in (
            lambda: Recorder(tmp_path / "run", LAYER),
            lambda: Recorder.resume(tmp_path / "run", 0),
        ):
            with pytest.raises(probes.RunError, match="another recorder"):
                second()
    with pytest.raises(probes.RunError, match="holds a run already"):
        Recorder(tmp_path / "run", LAYER)
    with pytest.raises(probes.RunError, match="no run to resume"):
        Recorder.resume(tmp_path, 0)


def _record_and_raise(path, error):
    with Recorder(path, LAYER) as recorder:
        recorder.record(0, 0, mean=[1, 2, 3])
        assert probes.Run(path).status == "running"
        raise error


def test_statuses(tmp_path):
    for name, error, status in (("a", KeyboardInterrupt, "interrupted"), ("b", ZeroDivisionError, "crashed")):
        with pytest.raises(error):
            _record_and_raise(tmp_path / name, error)
        assert probes.Run(tmp_path / name).status == status
        assert probes.Run(tmp_path / name).steps.tolist() == [0]


def test_a_full_disk_is_one_clear_error_and_nothing_is_lost_or_doubled(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    truth = Truth([{"name": "only", "neurons": 3}])
    rng = np.random.default_rng(4)
    recorder = Recorder(tmp_path / "run", truth.layers)
    fill(recorder, truth, list(range(200)), rng)
    disk.full = True
    with pytest.raises(RecorderError, match=r"cannot write .*run: .*No space left on device.*tried again"):
        recorder.flush()
    fill(recorder, truth, list(range(200, 230)), rng)
    with pytest.raises(RecorderError, match="No space left"):
        recorder.flush()
    disk.full = False
    fill(recorder, truth, list(range(230, 300)), rng)
    recorder.close()
    assert_same(probes.Run(tmp_path / "run"), truth)
    assert not list((tmp_path / "run").rglob(f"{local.TEMPORARY}*"))


def test_what_a_call_hands_over_is_kept_though_the_call_tells_of_a_full_disk(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    recorder = Recorder(tmp_path / "run", LAYER, flush_seconds=0.01)
    told = []
    for step in range(20):
        disk.full = step < 10
        for call in (
            lambda step=step: recorder.record(step, 0, mean=[step, step, step]),
            lambda step=step: recorder.scalar(step, "nll", step),
        ):
            time.sleep(0.02)  # the thread meets it
            try:
                call()
            except RecorderError as error:
                told.append(str(error))
    recorder.close()
    run = probes.Run(tmp_path / "run")
    assert told
    assert all("The rows are kept in memory" in text for text in told)
    assert recorder.dropped == {"steps": 0, "rows": 0}
    assert run.history(0, 0)["mean"].tolist() == run.scalars()["value"].tolist() == list(range(20))


def test_closing_that_was_broken_off_is_taken_up_again(tmp_path, monkeypatch):
    """A second Ctrl-C, while the first one's rows are written."""
    recorder = Recorder(tmp_path / "run", LAYER, every=2)
    for step in range(4):
        recorder.record(step, 0, mean=[step, step, step])
        recorder.scalar(step, "nll", step)
    replace = local.os.replace
    for files in (0, 1, 1, 2):
        left = iter([True] * files)

        def broken_off(source, target, left=left):
            if not next(left, False):
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(local.os, "replace", broken_off)
        with pytest.raises(KeyboardInterrupt):
            recorder.close()
        with pytest.raises(RunError, match="is being written by another recorder"):
            Recorder.resume(tmp_path / "run", 3)
    monkeypatch.setattr(local.os, "replace", replace)
    recorder.close("interrupted")
    recorder.close()
    run = probes.Run(tmp_path / "run")
    assert run.status == "interrupted"
    assert run.history(0, 0)["mean"].tolist() == [0, 2, 3]
    assert run.scalars()["value"].tolist() == [0, 1, 2, 3]
    assert check(tmp_path / "run") == []


def test_threads_that_record_a_layer_each(tmp_path):
    """Whoever waits for room leaves the lock to the others: one step would be in two files."""
    layers = [{"name": f"{index}", "neurons": 2} for index in range(4)]
    recorder = Recorder(tmp_path / "run", layers, flush_steps=1)
    together = threading.Barrier(4)
    failed = []

    def train(layer):
        try:
            for step in range(60):
                together.wait()
                recorder.record(step, layer, mean=[step, step])
        except Exception as error:  # noqa: BLE001 - of a thread
            failed.append(error)
            together.abort()

    threads = [threading.Thread(target=train, args=(layer,)) for layer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    assert failed == []
    assert check(tmp_path / "run") == []
    for layer in range(4):
        assert probes.Run(tmp_path / "run").history(layer, 0)["mean"].tolist() == list(range(60))


def test_without_strict_a_full_disk_warns_once_and_counts_what_is_lost(tmp_path, monkeypatch):
    disk = FailingDisk(monkeypatch)
    recorder = Recorder(tmp_path / "run", LAYER, strict=False, flush_steps=10)
    disk.full = True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(200):
            recorder.record(step, 0, mean=[1, 2, 3])
            time.sleep(0.002)
    assert ["No space left" in str(warning.message) for warning in caught] == [True]
    disk.full = False
    recorder.close()
    run = probes.Run(tmp_path / "run")
    assert recorder.dropped["steps"] > 0
    assert run.steps.size + recorder.dropped["steps"] == 200
    assert run.manifest["dropped"] == recorder.dropped


def test_a_write_that_the_kernel_refuses(tmp_path):
    """RLIMIT_FSIZE stands for a disk without room: no file may pass 4 KB."""
    code = f"""
import resource, numpy as np, probes
r = probes.Recorder({str(tmp_path / "run")!r}, [dict(name="a", neurons=5000)])
r.record(0, 0, mean=np.random.rand(5000))
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
try:
    r.flush()
except probes.RecorderError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
r.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert probes.Run(tmp_path / "run").steps.tolist() == [0]


def test_when_full_waits_or_drops(tmp_path, monkeypatch):
    gate = threading.Event()
    replace = local.os.replace
    for choice in ("wait", "drop"):
        gate.clear()
        recorder = Recorder(tmp_path / choice, LAYER, when_full=choice, flush_steps=5)
        monkeypatch.setattr(local.os, "replace", lambda *names: (gate.wait(), replace(*names)))
        releaser = threading.Timer(0.3, gate.set)
        releaser.start()
        for step in range(100):
            recorder.record(step, 0, mean=[step, 0, 0])
        recorder.close()
        releaser.join()
        monkeypatch.setattr(local.os, "replace", replace)
        run = probes.Run(tmp_path / choice)
        assert run.steps.size + recorder.dropped["steps"] == 100
        assert (recorder.dropped["steps"] == 0) == (choice == "wait")


def test_plain_rows(tmp_path):
    with Recorder(
        tmp_path / "run", [{"name": "a", "neurons": 2}, {"name": "b", "neurons": 3, "latent_dim": 2}]
    ) as recorder:
        recorder.scalar(0, "nll", 2.0, split="validation", epoch=0.5)
        recorder.scalar(0, "nll", float("nan"))
        recorder.event(3, "homeostat", "b", [0, 2], [1.5, 0.5], text="inside")
        recorder.event(4, "warm-up ends")
        mu = np.arange(8, dtype=np.float32).reshape(4, 2)
        recorder.probe(3, "a", mu, mu + 1)
        for step, term in ((3, "nll"), (3, "kl"), (4, "nll")):
            recorder.forces(step, "b", term, **{name: np.arange(3) + step for name in FORCES})
        recorder.evaluation(3, "test", 1, kl=np.ones((3, 2)), mean=np.arange(3))
        recorder.predictions(3, pd.DataFrame({"input": [0, 1], "horizon": [1, 1], "y": [0.1, 0.2]}))
    run = probes.Run(tmp_path / "run")
    scalars = run.scalars()
    assert scalars[["step", "epoch", "split", "name"]].iloc[0].tolist() == [0, 0.5, "validation", "nll"]
    assert np.isnan(scalars["value"].iloc[1])
    assert (scalars["time"] >= 0).all()
    events = run.events()
    assert events["neuron"].tolist()[:2] == [0, 2]
    assert events["value"].tolist()[:2] == [1.5, 0.5]
    assert events[["layer", "neuron"]].iloc[2].isna().all()
    posterior = run.probe(3)
    assert posterior.query("neuron == 1 and input == 2")[["mu", "sigma"]].to_numpy().tolist() == [[5.0, 6.0]]
    assert run.probe_steps().tolist() == [3]
    assert run.probe(3, "a", 1).equals(posterior[posterior["neuron"] == 1].reset_index(drop=True))
    assert run.probe(layer="a", neurons=[0, 1]).equals(posterior)
    assert run.probe(3, "b").empty
    with pytest.raises(probes.RunError, match="no layer 'c'"):
        run.probe(3, "c")
    with pytest.raises(probes.RunError, match="neurons 0 to 1, asked for 2"):
        run.probe(3, "a", 2)
    with pytest.raises(ValueError, match="of which layer"):
        run.probe(3, neurons=[0])
    forces = run.forces(3)
    assert forces[["layer", "neuron", "term"]].values.tolist() == [
        [1, n, term] for term in ("nll", "kl") for n in range(3)
    ]
    assert forces["pull_sigma"].tolist() == [3, 4, 5, 3, 4, 5]
    assert len(run.forces()) == 9
    assert run.evaluation()["kl"].tolist() == [2, 2, 2]
    assert run.predictions()["y"].tolist() == [0.1, 0.2]
    assert run.manifest["scores"]["train/nll"] == {"step": 0, "value": None}


BAD_CALLS = {
    "a name that is no text": lambda r: r.scalar(6, 5, 1.0),
    "no name": lambda r: r.scalar(6, "", 1.0),
    "no value": lambda r: r.scalar(6, "loss", None),
    "a value of two": lambda r: r.scalar(6, "loss", np.ones(2)),
    "a text as value": lambda r: r.scalar(6, "loss", "1.0"),
    "a split that is no text": lambda r: r.scalar(6, "loss", 1.0, split=None),
    "an epoch that is no number": lambda r: r.scalar(6, "loss", 1.0, epoch="first"),
    "a half character": lambda r: r.scalar(6, "\ud800", 1.0),
    "a float step": lambda r: r.scalar(6.0, "loss", 1.0),
    "a negative step": lambda r: r.scalar(-1, "loss", 1.0),
    "an event that is no text": lambda r: r.event(6, 7),
    "an event's text that is none": lambda r: r.event(6, "phase", text=None),
    "a neuron that is none": lambda r: r.event(6, "poke", 0, 0.5),
    "a neuron below 0": lambda r: r.event(6, "poke", 0, -1),
    "a neuron of no layer": lambda r: r.event(6, "poke", neuron=1),
    "more values than neurons": lambda r: r.event(6, "poke", 0, [0, 1], [1.0, 2.0, 3.0]),
    "an event's value that is none": lambda r: r.event(6, "poke", 0, [0, 1], [1.0, None]),
    "a layer that is a bool": lambda r: r.event(6, "poke", True),
    "a layer between two": lambda r: r.record(6, 0.5, mean=[1, 2, 3]),
    "a layer that is none": lambda r: r.record(6, None, mean=[1, 2, 3]),
    "texts as numbers": lambda r: r.record(6, 0, mean=["1", "2", "3"]),
    "gaps as None": lambda r: r.record(6, 0, mean=[1, None, 3]),
    "complex numbers": lambda r: r.record(6, 0, mean=[1j, 2, 3]),
    "ragged": lambda r: r.record(6, 0, mean=[[1], [2, 3], [4]]),
    "texts as mu": lambda r: r.probe(6, 0, np.full((2, 3), "x"), np.ones((2, 3))),
    "a term that is no text": lambda r: r.forces(6, 0, 1, **dict.fromkeys(FORCES, np.ones(3))),
    "an evaluation of nothing": lambda r: r.evaluation(6, "test", 0),
    "a split of an evaluation": lambda r: r.evaluation(6, 3, 0, mean=[1, 2, 3]),
    "dates": lambda r: r.predictions(6, pd.DataFrame({"when": pd.to_datetime(["2026-01-01"])})),
    "lists": lambda r: r.predictions(6, pd.DataFrame({"y": [[1, 2]]})),
    "mixed": lambda r: r.predictions(6, pd.DataFrame({"y": [1, "a"]})),
    "a text where numbers were": lambda r: r.predictions(6, pd.DataFrame({"y": ["a"]})),
    "doubled columns": lambda r: r.predictions(6, pd.DataFrame([[1, 2]], columns=["y", "y"])),
}


@pytest.mark.parametrize("kind", BAD_CALLS)
def test_a_bad_row_is_refused_at_its_call_and_takes_no_other_along(tmp_path, kind):
    """Good rows of every table are in the same batch, before and after it."""
    with Recorder(tmp_path / "run", LAYER) as recorder:
        for step in (5, 7):
            recorder.record(step, 0, mean=[1, 2, 3])
            recorder.scalar(step, "loss", 1.0)
            recorder.event(step, "poke", 0, 1, 0.5)
            recorder.probe(step, 0, np.ones((2, 3)), np.ones((2, 3)))
            recorder.forces(step, 0, "kl", **dict.fromkeys(FORCES, np.ones(3)))
            recorder.evaluation(step, "test", 0, mean=[1, 2, 3])
            recorder.predictions(step, pd.DataFrame({"y": [1.0], "who": ["a"]}))
            if step == 5:
                with pytest.raises(ValueError, match="."):
                    BAD_CALLS[kind](recorder)
    run = probes.Run(tmp_path / "run")
    tables = [run.history(0, 0), run.scalars(), run.events(), run.forces(), run.evaluation()]
    assert all(frame["step"].unique().tolist() == [5, 7] for frame in tables)
    assert run.probe_steps().tolist() == [5, 7]
    assert len(run.predictions(5)) == len(run.predictions(7)) == 1
    assert (run.status, recorder.dropped) == ("finished", {"steps": 0, "rows": 0})
    assert check(tmp_path / "run") == []


def test_what_was_refused_was_refused_before_it_was_buffered(tmp_path):
    """A live run goes on being written after a bad call."""
    with Recorder(tmp_path / "run", LAYER, flush_seconds=0.05) as recorder:
        for step in range(5):
            recorder.record(step, 0, mean=[1, 2, 3])
            with pytest.raises(ValueError, match="a scalar's name is 5; it must be text, such as '5'"):
                recorder.scalar(step, 5, 1.0)
            time.sleep(0.02)
        recorder.flush()
        assert probes.Run(tmp_path / "run").steps.tolist() == list(range(5))


def test_rows_of_nothing_are_nothing(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.event(0, "poke", 0, [])
        recorder.probe(0, 0, np.ones((0, 3)), np.ones((0, 3)))
        recorder.predictions(0, pd.DataFrame({"y": []}))
        recorder.scalar(0, "loss", 1.0)
    run = probes.Run(tmp_path / "run")
    assert (len(run.scalars()), len(run.events()), len(run.probe()), len(run.predictions())) == (1, 0, 0, 0)
    assert check(tmp_path / "run") == []


def test_events_of_several_neurons_take_any_numbers(tmp_path):
    torch = pytest.importorskip("torch")
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.event(0, "poke", "only", np.array([0, 2]), torch.tensor([0.5, 1.5]))
        recorder.event(1, "poke", 0, {1}, np.float32(0.25))
        recorder.event(2, "poke", 0, range(3), 1)
        recorder.event(3, "poke", np.int64(0), torch.tensor(2))
    events = probes.Run(tmp_path / "run").events()
    assert events["neuron"].tolist() == [0, 2, 1, 0, 1, 2, 2]
    assert events["value"].tolist()[:6] == [0.5, 1.5, 0.25, 1, 1, 1]
    assert np.isnan(events["value"].iloc[-1])


def test_predictions_keep_the_kinds_of_their_columns_through_a_resume(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.predictions(
            0, pd.DataFrame({"y": [1, 2], "who": pd.Categorical(["a", "b"]), "none": [None, None]})
        )
        recorder.predictions(1, pd.DataFrame({"y": [0.5], "hit": [True]}))
    with Recorder.resume(tmp_path / "run", 1) as recorder:
        with pytest.raises(
            ValueError, match="column `y` is string, and was double before: give it another name"
        ):
            recorder.predictions(2, pd.DataFrame({"y": ["high"]}))
        recorder.predictions(2, pd.DataFrame({"y": np.array([3], np.uint64), "who": ["c"]}))
    run = probes.Run(tmp_path / "run")
    assert run.predictions(0)["y"].tolist() == [1, 2]
    assert run.predictions(0)["who"].tolist() == ["a", "b"]
    assert run.predictions(1)["y"].tolist() == [0.5]
    assert run.predictions(2)[["y", "who"]].values.tolist() == [[3, "c"]]
    assert check(tmp_path / "run") == []


@pytest.mark.parametrize("step", [1.0, "1", None, True, -2, 2**60])
def test_a_resume_after_what_is_no_step(tmp_path, step):
    Recorder(tmp_path / "run", LAYER).close()
    with pytest.raises(ValueError, match="resume: step is"):
        Recorder.resume(tmp_path / "run", step)
    Recorder.resume(tmp_path / "run", np.int64(-1)).close()


def test_tensors_are_recorded_wherever_they_come_from(tmp_path):
    torch = pytest.importorskip("torch")
    values = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.record(0, 0, mean=values)
        recorder.record(1, 0, mean=values.bfloat16())
        recorder.record_block([2, 3], 0, {"mean": torch.stack([values, values])})
        recorder.probe(3, 0, values[None], values[None])
        recorder.evaluation(3, "test", 0, mean=values)
    assert probes.Run(tmp_path / "run").history(0)["mean"].tolist() == [1, 2, 3] * 4
