"""Each field of run.json: what it may be, and the words that are said of anything else."""

import math

import pytest

from probes.log.limits import MAX_LAYERS, MAX_NEURONS
from probes.log.manifest_fields import FIELDS, LAYER_FIELDS, fault, layer_fault

LAYERS = [{"name": "a", "neurons": 3}]

GOOD = {
    "name": ["", "x"],
    "created": [None, "2026-11-27T05:44:55+00:00", "2026-11-27", "1970-01-01"],
    "status": ["running", "finished", "interrupted", "crashed"],
    "heartbeat": [None, 0, 1.7e9],
    "elapsed": [None, 0.0],
    "segments": [
        [],
        [{"started": "x", "resumed_from": None}],
        [{"resumed_from": -1, "format": "1.2", "rows": {}}, {"resumed_from": 5, "rows": {"scalars": 7}}],
    ],
    "statistics": [None, [], ["kl"]],
    "precision": ["full", "10bit"],
    "config": [None, {}, {"a": {"b": [1]}}],
    "config_file": [None, "config.json"],
    "seed": [None, 0, "x", 1.5, True],
    "group": [None, "abc"],
    "packages": [None, {}, {"numpy": "2.0"}],
    "dropped": [None, {"steps": 0}],
    "steps": [None, {}, {"count": 0, "first": None, "last": None}],
    "scores": [None, {"a/b": {"step": 3, "value": 0.5}}, {"a/b": {"step": 3, "value": None}}],
    "living_share": [None, [], [0.5, None]],
    "sparklines": [None, {"rate": [[0, 1.0], [1, None]]}],
    "mirror_seconds": [60, 0.5, 3600],
}
BAD = {
    "name": [None, 3],
    "created": ["yesterday", 5, "1969-12-31"],
    "status": ["done", None, 1],
    "heartbeat": ["now", True, math.inf, math.nan, [1]],
    "elapsed": ["long", False],
    "segments": [
        None,
        {},
        [1],
        [{"resumed_from": 0.5}],
        [{"format": 1.2}],
        [{"rows": []}],
        [{"rows": {"scalars": "7"}}],
    ],
    "statistics": ["kl", [1], {}],
    "precision": ["half", None, 10],
    "config": [[], "x"],
    "config_file": ["../config.json", 3],
    "seed": [[1], {}],
    "group": [3],
    "packages": [[], {"numpy": 2}],
    "dropped": [[], {"steps": 1.5}, {"steps": True}, {"steps": None}],
    "steps": [[], {"count": "3"}, {"last": 1.0}, {"first": True}],
    "scores": [
        [],
        {"a": 3},
        {"a": {"value": 1}},
        {"a": {"step": 1}},
        {"a": {"step": 1, "value": "x"}},
        {"a": {"step": 1.5, "value": 1}},
    ],
    "living_share": [0.5, ["x"], [True], [math.nan]],
    "mirror_seconds": [0, -1, 3601, "60", True],
    "sparklines": [
        [],
        {"rate": [1]},
        {"rate": [[1]]},
        {"rate": [[1, 2, 3]]},
        {"rate": [[None, 1]]},
        {"rate": [[True, 1]]},
        {"rate": [(0, 1)]},
        {"rate": [[0, math.nan]]},
        {"rate": [[math.inf, 0]]},
        {"rate": [[0, "1"]]},
        {"rate": {"0": 1}},
    ],
}


def test_every_field_is_tested_here():
    assert GOOD.keys() == BAD.keys() == FIELDS.keys()


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in GOOD.items() for value in values]
)
def test_what_a_field_may_be(name, value):
    assert fault({"layers": LAYERS, name: value}) is None


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_what_a_field_may_not_be_is_told_with_its_name_and_what_it_must_be(name, value):
    told = fault({"layers": LAYERS, name: value})
    assert told is not None
    assert told.startswith(f"`{name}` is {value!r}, it must be ")
    assert told.endswith(FIELDS[name][1])


def test_absent_fields_are_no_fault():
    assert fault({"layers": LAYERS}) is None
    assert fault({"layers": LAYERS, "unheard_of": object()}) is None


def test_a_long_value_is_shortened():
    told = fault({"layers": LAYERS, "name": list(range(1000))})
    assert "[0, 1, 2" in told
    assert "..., it must be text" in told
    assert len(told) < 100


@pytest.mark.parametrize(("length", "shown"), [(60, "9" * 60), (61, "9" * 57 + "...")])
def test_a_value_of_sixty_characters_is_shown_whole_and_a_longer_one_in_sixty(length, shown):
    assert fault({"layers": LAYERS, "name": 10**length - 1}) == f"`name` is {shown}, it must be text"


@pytest.mark.parametrize("name", ["", 3, None, ["a"]])
def test_a_layer_is_called_by_some_text(name):
    assert "a layer's name is" in fault({"layers": [{"name": name, "neurons": 1}]})


def test_a_run_has_so_many_neurons_at_most():
    assert MAX_NEURONS == 2**24
    halves = [{"name": "a", "neurons": MAX_NEURONS // 2}, {"name": "b", "neurons": MAX_NEURONS // 2}]
    assert fault({"layers": halves}) is None
    halves[0] = {"name": "a", "neurons": MAX_NEURONS // 2 + 1}
    assert fault({"layers": halves}) == "the layers have 16,777,217 neurons, a run has at most 16,777,216"


def test_a_run_has_so_many_layers_at_most():
    layers = [{"name": str(index), "neurons": 1} for index in range(MAX_LAYERS)]
    assert fault({"layers": layers}) is None
    assert fault({"layers": [*layers, {"name": "more", "neurons": 1}]}) == (
        "there are 32,768 layers, a run has at most 32,767"
    )


def test_integers_beyond_64_bits_are_no_steps():
    assert "`steps` is" in fault({"steps": {"count": 2**63}, "layers": LAYERS})
    assert fault({"steps": {"count": 2**63 - 1}, "layers": LAYERS}) is None
    assert fault({"heartbeat": 10**299, "layers": LAYERS}) is None
    assert fault({"steps": {"first": -(2**63)}, "layers": LAYERS}) is None
    assert "`steps` is" in fault({"steps": {"first": -(2**63) - 1}, "layers": LAYERS})


OF_A_LAYER = {
    "classes": ([2, 2**20], [1, 2**20 + 1, 2.0, True, "4", None], "an integer from 2 to 1,048,576"),
    "window": ([1, 2**53], [0, 2**53 + 1, 0.5], "a number of steps, an integer of at least 1"),
    "map": (["exp", ""], [None, 3], "the name of a bijection, such as exp"),
    "information_by": (["moments"], [None, 3], "how the information is estimated, such as moments"),
}


def test_what_a_layer_may_say_of_its_family_and_what_not():
    assert OF_A_LAYER.keys() == LAYER_FIELDS.keys()
    assert layer_fault({"name": "a", "neurons": 3, "unheard_of": object()}) is None
    for name, (good, bad, words) in OF_A_LAYER.items():
        for value in good:
            assert layer_fault({name: value}) is None, (name, value)
        for value in bad:
            assert layer_fault({name: value}) == f"{name} is {value!r}; it must be {words}"
