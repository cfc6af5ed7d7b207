"""The configuration of a run: what of a script's objects is kept, in which file, and what is refused."""

import dataclasses
import enum
import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

import probes
from probes.log import config
from probes.log.config import ARRAY_ELEMENTS, INLINE_BYTES, plain, stated
from probes.log.limits import INTEGER_DIGITS, JSON_BYTES, JSON_DEPTH
from probes.recorder import Recorder
from probes.storage.local import LocalStorage

LAYER = [{"name": "z", "neurons": 2}]


class Kind(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Settings:
    rate: float = 0.1
    kind: Kind = Kind.ONE


class Broken:
    shape, dtype = (2,), "x"

    def tolist(self):
        raise RuntimeError("no list of it")

    def __str__(self):
        return "broken"


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def circle():
    value = {}
    value["again"] = value
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(math.nan), None),
        (math.inf, None),
        (Kind.ONE, 1),
        (Settings(), {"rate": 0.1, "kind": 1}),
        (Settings, str(Settings)),
        (np.float32, str(np.float32)),
        (torch.tensor([1.0, 2.0], requires_grad=True), [1.0, 2.0]),
        (torch.tensor(3), 3),
        (torch.ones(ARRAY_ELEMENTS), [1.0] * ARRAY_ELEMENTS),
        (torch.ones(ARRAY_ELEMENTS + 1), "Tensor of shape (10001,), torch.float32"),
        (np.zeros((200, 100)), "ndarray of shape (200, 100), float64"),
        (pathlib.Path("/x"), "/x"),
        pytest.param({"b", "a"}, "{'a', 'b'}", id="a set"),
        (b"abc", "b'abc'"),
        ({1: (1, None)}, {"1": [1, None]}),
        (Broken(), "broken"),
        (torch.nn.Identity(), "Identity()"),
        ("half \ud800 a pair", "half \\ud800 a pair"),
        (10**INTEGER_DIGITS - 1, 10**INTEGER_DIGITS - 1),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_values_become_strict_json(value, expected):
    found = plain(value)
    assert found == expected
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_sets_are_in_one_order_in_every_process():
    code = "from probes.log.config import plain; print(plain({'a', 'b', 'c', 'd'}))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert said == {"{'a', 'b', 'c', 'd'}\n"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"seed": 10**INTEGER_DIGITS}, r"config\['seed'\] is an integer of more than 300 digits"),
        ({"seed": -(10**9000)}, r"config\['seed'\] is an integer"),
        ({"a": [nested(JSON_DEPTH)]}, r"config\['a'\]\[0\]\[0\].*nested more than 63 levels deep"),
        ({"a": circle()}, r"config\['a'\]\['again'\].*or holds itself"),
        ({"x": 1, "text": "x" * (JSON_BYTES + 1)}, r"has 8 MB as JSON.*largest entry is config\['text'\]"),
        ("lr=1", "config is a str; it must be a dict"),
        (dataclasses.make_dataclass("Arguments", ["lr"])(1), "config is a Arguments; it must be a dict"),
    ],
    ids=["300 digits", "9,000 digits", "deep", "circle", "long", "text", "object"],
)
def test_what_readers_would_refuse_is_refused_before_training(value, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        Recorder(tmp_path / "run", LAYER, value)
    with pytest.raises(ValueError, match=words):
        probes.watch(torch.nn.Linear(1, 1), tmp_path / "run", config=value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", [2**128 - 1, -(2**70), 10**299, [1, 2], "x", 3, None, True, 0.5, math.nan])
def test_a_run_with_any_seed_is_read(seed, tmp_path):
    with Recorder(tmp_path / "run", LAYER, {"seed": seed}) as recorder:
        recorder.record(0, 0, mean=[1, 2])
    run = probes.Run(tmp_path / "run")
    assert run.config == {"seed": None if seed != seed else seed}
    assert run.steps.tolist() == [0]
    Recorder.resume(tmp_path / "run", 0).close()
    [row] = probes.catalog_rows(tmp_path)
    assert row["error"] is None
    assert (
        row["seed"] == (str(seed) if isinstance(seed, list) or abs(seed or 0) > 2**63 else row["seed"])
        if (isinstance(seed, int | list))
        else True
    )


@pytest.mark.parametrize("levels", [1, JSON_DEPTH - 2])
def test_a_config_as_deep_as_may_be_is_read(levels, tmp_path):
    Recorder(tmp_path / "run", LAYER, {"a": nested(levels)}).close()
    assert probes.Run(tmp_path / "run").config == {"a": nested(levels)}


def test_a_large_config_lies_beside_the_manifest_whose_short_entries_stay(tmp_path):
    given = {"lr": 0.1, "seed": 7, "names": ["x" * 90] * 70_000, "stride": 24}
    assert INLINE_BYTES < len(config.content(stated(given))) < JSON_BYTES
    with Recorder(tmp_path / "run", LAYER, given) as recorder:
        recorder.record(0, 0, mean=[1, 2])
    assert (tmp_path / "run" / "run.json").stat().st_size < 4_000
    run = probes.Run(tmp_path / "run")
    assert run.config == given
    assert run.stride == 24
    [row] = probes.catalog_rows(tmp_path)
    assert row["config"] == {"lr": 0.1, "seed": 7, "stride": 24}
    Recorder.resume(tmp_path / "run", 0).close()
    assert probes.Run(tmp_path / "run").config == given
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(probes.RunError, match=r"config\.json is not there.*copy it too"):
        _ = probes.Run(tmp_path / "run").config


def test_a_small_config_stands_in_the_manifest_alone(tmp_path):
    Recorder(tmp_path / "run", LAYER, {"a": ["x" * 100] * 500}).close()
    assert not (tmp_path / "run" / "config.json").exists()
    assert len(probes.Run(tmp_path / "run").manifest["config"]["a"]) == 500


def test_a_second_start_leaves_the_first_ones_config(tmp_path):
    large = {"a": ["x" * 90] * 2_000}
    Recorder(tmp_path / "run", LAYER, large).close()
    with pytest.raises(probes.RunError, match="holds a run already"):
        Recorder(tmp_path / "run", LAYER, {"b": ["y" * 90] * 2_000})
    assert probes.Run(tmp_path / "run").config == large


@pytest.mark.parametrize("text", ["[]", "{", '{"a": ' + "1" * 301 + "}"])
def test_a_config_file_that_is_none_is_one_error(text, tmp_path):
    (tmp_path / config.FILE).write_text(text)
    with pytest.raises(probes.RunError, match=r"config\.json"):
        config.read(LocalStorage(tmp_path))


def test_arrays_that_are_data_keep_their_shape(tmp_path):
    with Recorder(tmp_path / "run", LAYER, {"weights": np.random.default_rng(0).random(500_000)}):
        pass
    assert probes.Run(tmp_path / "run").config == {"weights": "ndarray of shape (500000,), float64"}
    assert (tmp_path / "run" / "run.json").stat().st_size < 4_000
