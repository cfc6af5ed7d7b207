"""Plain rows: what goes in comes out, and a bad row takes no other along."""

import time

import numpy as np
import pandas as pd
import pytest

import probes
from probes.log.check import check
from probes.recorder import Recorder
from probes.schema import FORCES

LAYER = [{"name": "only", "neurons": 3}]


def test_targets_of_an_origin_cover_as_many_positions_as_32_bits_hold(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.origin_scores(0, "test", [0, 1], [1.0, 2.0], 2**31 - 1, crps=[1.0, 2.0])
    assert probes.Run(tmp_path / "run").origin_scores()["span"].tolist() == [2**31 - 1] * 2


def test_a_probe_of_another_family_is_told_which_call_takes_it(tmp_path):
    layers = [
        {"name": "coin", "neurons": 2, "family": "bernoulli"},
        {"name": "book", "neurons": 2, "family": "codes", "prior": "unknown"},
    ]
    with Recorder(tmp_path / "run", layers) as recorder:
        for layer, takes in (("coin", "takes probability$"), ("book", "of a code book nothing$")):
            with pytest.raises(ValueError, match=f"probe of layer '{layer}': .*{takes}"):
                recorder.probe(0, layer, np.ones((1, 2)), np.ones((1, 2)))


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
