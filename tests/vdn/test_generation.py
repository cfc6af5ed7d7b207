"""Prompts as they are typed, and continuations with what was expected at each of their positions."""

import json

import numpy as np
import pytest
import torch

from vdn.config import ConfigError
from vdn.generation import beginning, continuation_tables, read_prompt
from vdn.sequence import SequentialNetwork
from vdn.sequence_data import chord_task, signal_task, text_task


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be\n" * 30)
    return text_task(path, 16, 4, "0.8,0.1,0.1")


@pytest.fixture
def chords(tmp_path):
    path = tmp_path / "chords.json"
    piece = [[60, 64, 67], [62, 65], [], [60, 67]] * 5
    path.write_text(json.dumps({"train": [piece], "valid": [piece], "test": [piece]}))
    return chord_task(path, 16)


def test_a_text_is_its_characters(text):
    prompt = read_prompt(text, "to be")
    assert "".join(text.names[number] for number in prompt.tolist()) == "to be"
    assert read_prompt(text, "").shape == (0,)
    with pytest.raises(ConfigError, match="'Z'.*it has ' benort'"):
        read_prompt(text, "to Zebra")


def test_chords_and_numbers(chords):
    roll = read_prompt(chords, "60 64 67, , 62")
    assert [(row.nonzero().flatten() + 21).tolist() for row in roll] == [[60, 64, 67], [], [62]]
    with pytest.raises(ConfigError, match="MIDI numbers.*'12'"):
        read_prompt(chords, "12")
    signal = signal_task(16)
    torch.testing.assert_close(read_prompt(signal, "0.5, -1"), torch.tensor([[0.5], [-1.0]]))
    for wrong in ("0.5, x", "nan"):
        with pytest.raises(ConfigError, match="numbers"):
            read_prompt(signal, wrong)


def test_notes_keep_their_probability(chords):
    network = SequentialNetwork(88, "mixture", layers=1, neurons=8)
    prompt = beginning(network, chords, "test")
    found = continuation_tables(network, chords, prompt, 6, 3, 0)
    notes, ways = found["notes"], found["continuations"]
    assert notes["p"].between(0, 1).all()
    for row in ways.itertuples():
        came = {int(note) for note in row.text.split()}
        here = notes[(notes["trajectory"] == row.trajectory) & (notes["t"] == row.t)]
        assert came <= set(here["note"])
    torch.manual_seed(0)
    parameters = torch.randn(1, network.head.read[-1].out_features)
    drawn = network.head.sample(parameters.expand(20_000, -1), torch.Generator().manual_seed(1))
    torch.testing.assert_close(drawn.mean(0), network.head.probability(parameters)[0], atol=0.015, rtol=0)


def test_an_empty_prompt_begins_at_the_start(text):
    torch.manual_seed(0)
    network = SequentialNetwork(text.outputs, layers=1, neurons=8)
    found = continuation_tables(network, text, read_prompt(text, ""), 5, 2, 0)
    assert len(found["prompt"]) == 0
    assert found["continuations"]["t"].tolist() == 2 * list(range(5))


def test_a_signal_says_what_it_expected():
    network, task = SequentialNetwork(1, "gaussian", layers=1, neurons=4), signal_task(16)
    ways = continuation_tables(network, task, beginning(network, task, "test"), 5, 2, 0)["continuations"]
    drawn = np.array([json.loads(text)[0] for text in ways["text"]])
    expected = -0.5 * ((drawn - ways["mean"]) / ways["sd"]) ** 2 - np.log(ways["sd"] * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(ways["log_prob"], expected, rtol=1e-2, atol=1e-2)
