"""What goes in comes out, on any schedule, in whatever order layers and blocks come."""

import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_truth import Truth, assert_same, draw, fill

import probes
from probes.log.check import check
from probes.recorder import Recorder
from probes.schema import FORCES

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


@pytest.mark.parametrize("last", [3, 10**6])
def test_a_step_that_all_layers_have_is_written_in_time_though_none_comes_after_it(tmp_path, last):
    with Recorder(tmp_path / "run", [LAYER[0], {"name": "b", "neurons": 1}], flush_seconds=0.02) as recorder:
        recorder.record(last, "only", mean=[1, 2, 3])
        time.sleep(0.1)
        assert probes.Run(tmp_path / "run").steps.tolist() == [], "the other layer may add to it"
        recorder.record(last, "b", mean=[4])
        end = time.monotonic() + 60
        while not (steps := probes.Run(tmp_path / "run").steps.tolist()) and time.monotonic() < end:
            time.sleep(0.02)
        assert steps == [last]


def test_what_max_gb_does_is_said_in_the_run(tmp_path):
    with Recorder(tmp_path / "run", LAYER, max_gb=1.0) as recorder:
        for step in range(3):
            recorder.record(step, 0, mean=[1, 2, 3])
    events = probes.Run(tmp_path / "run").events()
    assert events[["step", "kind"]].values.tolist() == [[1, "budget"]]


def test_what_comes_after_a_block_comes_after_its_last_step(tmp_path):
    layers = [{"name": "a", "neurons": 1}, {"name": "b", "neurons": 1}]
    with Recorder(tmp_path / "run", layers) as recorder:
        recorder.record_block([2, 4, 6], "a", {"mean": np.ones((3, 1))})
        for step in (3, 6):
            with pytest.raises(ValueError, match=f"step {step} of layer 'a' .* the step before it is 6"):
                recorder.record(step, "a", mean=[1])
        recorder.record_block([4], "b", {"mean": np.ones((1, 1))})
        with pytest.raises(ValueError, match="step 4 of layer 'b' .* the step before it is 4"):
            recorder.record(4, "b", mean=[1])
        recorder.record(7, "b", mean=[1])
        for layer, step in (("a", 6), ("b", 7)):
            with pytest.raises(ValueError, match=f"the step before it is {step}"):
                recorder.record(step, layer, mean=[1])
    run = probes.Run(tmp_path / "run")
    assert [run.history(layer)["step"].tolist() for layer in "ab"] == [[2, 4, 6], [4, 7]]
    assert check(tmp_path / "run") == []


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


def test_a_layer_that_comes_after_its_step_was_complete(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 1}, {"name": "b", "neurons": 1}]) as recorder:
        recorder.record(0, "a", mean=[0])
        recorder.record(1, "a", mean=[1])
        with pytest.raises(ValueError, match="step 0 of layer 'b' comes too late: step 0 is complete"):
            recorder.record(0, "b", mean=[9])


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
