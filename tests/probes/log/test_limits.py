"""One set of limits: what the recorder takes is read, and what readers would refuse is refused."""

from pathlib import Path

import numpy as np
import pytest

import probes
from probes.log import arguments, config, grid, opening
from probes.log.check import check
from probes.log.limits import (
    INTEGER_DIGITS,
    JSON_BYTES,
    JSON_DEPTH,
    LARGEST,
    MAX_CLASSES,
    MAX_LAYERS,
    MAX_NEURONS,
    NAME_CHARACTERS,
    SCORES,
    TEXT_CHARACTERS,
)
from probes.recorder import Recorder
from probes.schema import BLOCK_STEPS, FORCES, SEQUENCE

LAYER = [{"name": "z", "neurons": 2}]


def test_the_largest_step_is_recorded_and_read(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        recorder.record(LARGEST - 1, 0, mean=[1, 2])
        recorder.record_block([LARGEST], 0, {"mean": [[3, 4]]})
        recorder.scalar(LARGEST, "loss", 1.0)
        recorder.event(LARGEST, "end", 0, 1, text="x" * TEXT_CHARACTERS)
        recorder.probe(LARGEST, 0, np.zeros((1, 2)), np.ones((1, 2)))
        recorder.evaluation(LARGEST, "test", 0, mean=[1, 2])
    run = probes.Run(tmp_path / "run")
    assert run.steps.tolist() == [LARGEST - 1, LARGEST]
    assert run.scalars()["step"].tolist() == run.evaluation()["step"].unique().tolist() == [LARGEST]
    assert len(run.events()["text"][0]) == TEXT_CHARACTERS
    assert run.probe_steps().tolist() == [LARGEST]
    assert check(tmp_path / "run") == []


CALLS = {
    "record": lambda r, step: r.record(step, 0, mean=[1, 2]),
    "record_block": lambda r, step: r.record_block([step], 0, {"mean": [[1, 2]]}),
    "scalar": lambda r, step: r.scalar(step, "loss", 1.0),
    "event": lambda r, step: r.event(step, "phase"),
    "probe": lambda r, step: r.probe(step, 0, np.ones((1, 2)), np.ones((1, 2))),
    "forces": lambda r, step: r.forces(step, 0, "kl", **dict.fromkeys(FORCES, [1, 2])),
    "sequence": lambda r, step: r.sequence(step, 0, **dict.fromkeys(SEQUENCE, np.ones((1, 2)))),
    "evaluation": lambda r, step: r.evaluation(step, "test", 0, mean=[1, 2]),
}
STEPS = [
    LARGEST + 1,
    1_700_000_000_000_000_000,
    10**30,
    -1,
    1.5,
    1.0,
    True,
    None,
    "1",
    np.float64(3),
    np.uint64(2**63),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_step_that_readers_refuse_is_refused_at_every_call(call, tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        CALLS[call](recorder, np.int64(3))
        for step in STEPS:
            with pytest.raises(ValueError, match="step"):
                CALLS[call](recorder, step)
        CALLS[call](recorder, np.uint8(5))
    assert check(tmp_path / "run") == []


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([{"name": "a", "neurons": MAX_NEURONS + 1}], "16,777,217 neurons, a run has at most 16,777,216"),
        ([{"name": "a", "neurons": 10**30}], "a run has at most"),
        ([{"name": "a", "neurons": float("nan")}], "neurons is None"),
        ([{"name": "a", "neurons": "4"}], "neurons is '4'"),
        ([{"name": "", "neurons": 1}], "a layer's name is ''"),
        ([{"name": 5, "neurons": 1}], "a layer's name is 5"),
        ([{"name": None, "neurons": 1}], "a layer's name is None"),
        ([{"name": str(i), "neurons": 1} for i in range(MAX_LAYERS + 1)], "32,768 layers, a run has at most"),
        ([{"name": "x" * (5 * 2**20), "neurons": 1}], "the layers take 5.0 MB in run.json"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_layers_that_readers_refuse_are_refused_before_training(layers, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        Recorder(tmp_path / "run", layers)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["a/b", "line\nbreak", "🧠", "x" * 1000])
def test_any_layer_name_is_read(name, tmp_path):
    with Recorder(tmp_path / "run", [{"name": name, "neurons": np.int64(2)}]) as recorder:
        recorder.record(0, name, mean=[1, 2])
    assert probes.Run(tmp_path / "run").history(name, 0)["mean"].tolist() == [1]


def test_many_names_of_scalars_do_not_swell_the_manifest(tmp_path):
    with Recorder(tmp_path / "run", LAYER) as recorder:
        for index in range(130_000):
            recorder.scalar(index, f"norm/layer {index}", 1.0)
    run = probes.Run(tmp_path / "run")
    assert len(run.scalars()) == 130_000
    assert len(run.manifest["scores"]) == SCORES
    assert (tmp_path / "run" / "run.json").stat().st_size < 200_000


FORMAT = " ".join((Path(__file__).parents[3] / "docs" / "format.md").read_text("utf-8").split())


@pytest.mark.parametrize(
    ("promised", "limit", "value"),
    [
        ("above {} MB, nested more than", JSON_BYTES / 2**20, 8),
        ("nested more than {} levels", JSON_DEPTH, 64),
        ("integers of more than {} digits", INTEGER_DIGITS, 300),
        ("footers above {} MB", opening.FOOTER_BYTES / 2**20, 8),
        ("more than {} steps in a file of `neurons/`", BLOCK_STEPS, 256),
        ("more than 2^{} neurons", np.log2(MAX_NEURONS), 24),
        ("neurons, {} layers", MAX_LAYERS, 32767),
        ("steps beyond 2^{}", np.log2(LARGEST), 53),
        ("would take more than {} MB in memory", opening.DECODED_BYTES / 2**20, 256),
        ("more than {} MB in a column of a row group", grid.COLUMN_BYTES / 2**20, 32),
        ("scores (of the first {} series of scalars)", SCORES, 1000),
        ("arrays with more than {} elements", config.ARRAY_ELEMENTS, 10_000),
        ("the config, where it takes more than {} KB", config.INLINE_BYTES / 2**10, 64),
    ],
)
def test_limits_are_those_that_the_format_promises(promised, limit, value):
    """Readers of other versions keep to them: one that changes is a change of the format."""
    assert limit == value
    assert any(promised.format(said) in FORMAT for said in (f"{value}", f"{value:,}"))


def test_what_a_name_a_text_and_a_posterior_may_hold():
    """As many, and not one more: readers load these whole."""
    assert (NAME_CHARACTERS, TEXT_CHARACTERS, MAX_CLASSES) == (1000, 65_536, 1_048_576)
    assert arguments.text("x" * 1000, "a name") == "x" * 1000
    assert arguments.long_text("x" * 65_536, "a text") == "x" * 65_536
    with pytest.raises(
        ValueError, match="a name has 1,001 characters, at most 1,000 are kept; give a shorter"
    ):
        arguments.text("x" * 1001, "a name")
    with pytest.raises(ValueError, match="a text has 65,537 characters, at most 65,536"):
        arguments.long_text("x" * 65_537, "a text")
