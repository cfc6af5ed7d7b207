"""Chunks of sequences: what is predicted from what, masks, streams, files that are none."""

import gzip
import json

import pytest
import torch

from vdn.config import ConfigError, command_words, from_dict, resolve
from vdn.data import identity, load, load_known
from vdn.records import DataError
from vdn.sequence_data import SequenceOrder, chord_task, text_task

WORDS = "abcdefghij" * 30


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(WORDS, "utf-8")
    return path


@pytest.fixture
def chords(tmp_path):
    path = tmp_path / "chords.json"
    pieces = [[[60, 64], [], [67]], [[21], [108]]]
    path.write_text(json.dumps({"train": pieces, "valid": pieces[:1], "test": pieces[1:]}), "utf-8")
    return path


def test_each_character_is_predicted_from_the_one_before(text):
    task = text_task(text, window=8, batch=4, split="0.6,0.2,0.2")
    assert task.names == sorted("abcdefghij")
    assert task.sequences("train") == 4
    index = torch.arange(task.count("train"))
    batch = task.batch("train", index)
    assert batch.fresh.tolist() == [chunk == 0 for _ in range(4) for chunk in range(task.chunks("train"))]
    assert batch.x[0, 0] == -1  # the text's own start; streams that begin within it have a past
    assert (batch.x[task.chunks("train"), 0] >= 0).item()
    known = batch.mask & (batch.x >= 0)
    assert ((batch.x[known] + 1) % 10 == batch.y[known]).all()
    assert batch.mask.sum() == 180  # every position of the split once
    held = task.batch("validation", torch.arange(task.count("validation")))
    assert held.mask.sum() == 60
    assert held.x[0, 0] == 9  # the character before the split's first


def test_the_whole_split_in_order(text):
    task = text_task(text, window=7, batch=3, split="0.6,0.2,0.2")
    batch = task.batch("train", torch.arange(task.count("train")))
    assert "".join(task.names[i] for i in batch.y[batch.mask].tolist()) == WORDS[:180]
    start = task.beginning("validation", 5)
    assert start.y[0].tolist() == [task.names.index(one) for one in WORDS[180:185]]


def test_an_order_goes_along_each_sequence_and_follows_from_its_seed(text):
    task = text_task(text, window=8, batch=4, split="0.6,0.2,0.2")
    order = SequenceOrder(task, 4, seed=0)
    assert order.per_epoch == task.chunks("train")
    for step in range(1, order.per_epoch):
        assert (order.examples(step) == order.examples(step - 1) + 1).all()
    again = SequenceOrder(task, 4, seed=0)
    assert torch.equal(order.examples(17), again.examples(17))
    assert order.epoch(order.per_epoch) == 1


def test_pieces_of_chords(chords):
    task = chord_task(chords, window=4)
    batch = task.batch("train", torch.arange(task.count("train")))
    assert batch.fresh.all()
    assert batch.mask.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert batch.x[:, 0].sum() == 0  # a piece begins from nothing
    assert batch.y[0, 0].nonzero().flatten().tolist() == [60 - 21, 64 - 21]
    torch.testing.assert_close(batch.x[:, 1], batch.y[:, 0])
    assert batch.y[1, 2:].sum() == 0  # nothing of the next piece
    assert (task.sequences("validation"), task.sequences("test")) == (1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", '"train", "valid" and "test"'),
        ("{", "is no JSON"),
        ('{"train": [[[60]]], "valid": [[[60]]]}', "'test' is none"),
        ('{"train": [[[200]]], "valid": [[[60]]], "test": [[[60]]]}', "piece 0 of 'train', chord 0: 200"),
        ('{"train": [[]], "valid": [[[60]]], "test": [[[60]]]}', "is no list of chords"),
    ],
)
def test_a_file_of_other_chords_is_named(tmp_path, content, message):
    path = tmp_path / "chords.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        chord_task(path, 4)


def test_texts_that_cannot_be_used_are_named(tmp_path):
    path = tmp_path / "text.txt"
    for content, message in (
        (b"short", "fewer than ten windows"),
        (b"\xff\xfe" * 200, "no text in UTF-8"),
        ("".join(chr(500 + i) for i in range(2000)).encode(), "different characters"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            text_task(path, 16, 4, "0.8,0.1,0.1")
    with pytest.raises(DataError, match="no such file"):
        text_task(tmp_path / "none.txt", 16, 4, "0.8,0.1,0.1")
    packed = tmp_path / "text.txt.gz"
    packed.write_bytes(gzip.compress(WORDS.encode()))
    assert text_task(packed, 8, 4, "0.6,0.2,0.2").positions("train") == 180
    packed.write_bytes(gzip.compress(WORDS.encode())[:20])
    with pytest.raises(DataError, match="cannot be read"):
        text_task(packed, 8, 4, "0.6,0.2,0.2")


def test_the_embedded_text_and_the_made_signal():
    task = load(resolve(from_dict({"data": "text"})))
    assert len(task.values) == 1_115_394
    assert len(task.names) == 65
    assert identity(resolve(from_dict({"data": "text"})), task)["path"] == "text"
    signal = load(resolve(from_dict({"data": "signal"})))
    assert signal.values.std().item() == pytest.approx(1, abs=0.02)
    assert signal.chunks("train") == 1


def test_series_one_step_ahead(waves):
    config = resolve(from_dict({"data": f"csv:{waves}", "sequence": True, "window": 20, "batch": 6}))
    task = load(config)
    batch = task.batch("train", torch.arange(task.count("train")))
    assert task.sequences("train") == 6  # two streams of each of three series
    assert batch.mask.sum() == 3 * 630
    assert batch.y[batch.mask].mean().abs() < 1e-4  # scaled by the training rows
    assert identity(config, task)["series"] == 3


def test_a_file_that_has_changed_is_noticed(text):
    config = resolve(from_dict({"data": f"text:{text}", "window": 8}))
    known = identity(config, load(config))
    assert load_known(config, known)[0] == config
    moved = text.with_name("moved.txt")
    text.rename(moved)
    with pytest.raises(DataError, match="text:PATH says where it lies"):
        load_known(config, known)
    assert load_known(config, known, str(moved))[0].data == f"text:{moved}"
    moved.write_text(WORDS + "a")
    with pytest.raises(DataError, match="has changed"):
        load_known(config, known, str(moved))


def test_defaults_of_sequences_and_choices_over_them():
    text = resolve(from_dict({"data": "text"}))
    assert (text.layers, text.neurons, text.head, text.prior) == (2, 128, "categorical", "autoregressive")
    assert resolve(from_dict({"data": "text", "layers": 3})).layers == 3
    assert resolve(from_dict({"data": "nyc"})).layers == 3  # others are as they were
    for given in (
        {"data": "text", "seed": 4},
        {"data": "nyc", "sequence": True},
        {"data": "text", "network": "transformer"},
    ):
        config = resolve(from_dict(given))
        words = dict(word.removeprefix("--").partition("=")[::2] for word in command_words(config))
        assert words.keys() == given.keys() - ({"sequence"} if "sequence" not in given else set())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "digits", "sequence": True}, "have no order"),
        ({"data": "text", "sequence": True}, "is a sequence anyway"),
        ({"data": "text", "thermostat": True}, "--thermostat is not there for sequences"),
        ({"data": "text", "head": "gaussian"}, "--head of text is categorical"),
        ({"data": "text", "prior": "standard"}, "has the prior autoregressive"),
        ({"data": "text", "phi": "0.9999"}, "--phi"),
        ({"data": "chords"}, "unknown data set"),
    ],
)
def test_choices_that_sequences_do_not_have(settings, message):
    with pytest.raises(ConfigError, match=message):
        resolve(from_dict(settings))
