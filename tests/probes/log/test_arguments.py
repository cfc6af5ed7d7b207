"""What the recorder is called with: every numeric kind is taken, anything else is one error that names it."""

import enum
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch

from probes.log import arguments
from probes.log.limits import LARGEST, NAME_CHARACTERS

NUMBERS = {
    "float": (0.5, 0.5),
    "int": (3, 3.0),
    "bool": (True, 1.0),
    "huge int": (10**300, 1e300),
    "NaN": (math.nan, math.nan),
    "inf": (-math.inf, -math.inf),
    "Decimal": (Decimal("0.25"), 0.25),
    "Fraction": (Fraction(1, 4), 0.25),
    "numpy scalar": (np.float32(0.5), 0.5),
    "numpy bool": (np.bool_(False), 0.0),
    "numpy int": (np.int8(-3), -3.0),
    "0-d array": (np.array(2.0), 2.0),
    "one-element array": (np.array([[2]]), 2.0),
    "tensor": (torch.tensor(0.5), 0.5),
    "one-element tensor": (torch.tensor([0.5]), 0.5),
    "tensor with a gradient": (torch.tensor(0.5, requires_grad=True), 0.5),
    "bfloat16": (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
    "int tensor": (torch.tensor(7), 7.0),
    "Series of one": (pd.Series([0.5]), 0.5),
}
NO_NUMBERS = {
    "None": (None, "None"),
    "text": ("0.5", "'0.5'"),
    "bytes": (b"1", "b'1'"),
    "list": ([1.0], r"\[1.0\]"),
    "dict": ({"a": 1}, "dict"),
    "array of two": (
        np.ones(2),
        r"ndarray of shape \(2,\), of 2 elements; give one number, such as its mean",
    ),
    "empty array": (np.ones(0), "of 0 elements"),
    "tensor of two": (torch.ones(2), r"Tensor of shape \(2,\), of 2 elements"),
    "complex": (1j, "1j"),
    "complex tensor": (torch.tensor(1j), "Tensor"),
    "numpy text": (np.str_("1"), "'1'"),
    "date": (np.datetime64("2026-01-01"), "datetime64"),
    "missing": (pd.NA, "NA"),
    "beyond float64": (10**400, "which no float64 holds"),
    "beyond what Python writes": (10**5000, "an integer, which no float64 holds"),
    "signalling": (Decimal("sNaN"), "sNaN"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_of_any_kind_is_a_float(kind):
    value, expected = NUMBERS[kind]
    found = arguments.number(value, "scalar 'acc'")
    assert type(found) is float
    assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_named(kind):
    value, words = NO_NUMBERS[kind]
    with pytest.raises(ValueError, match=f"scalar 'acc' is .*{words}"):
        arguments.number(value, "scalar 'acc'")


@pytest.mark.parametrize(
    "value",
    [7, np.int32(7), np.uint64(7), np.array(7), torch.tensor(7)],
    ids=lambda value: type(value).__name__,
)
def test_an_integer_of_any_kind_is_an_int(value):
    found = arguments.whole_number(value, "step")
    assert (found, type(found)) == (7, int)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, "step is 1.0 .float.; only integers"),
        (np.float32(1), "only integers"),
        (True, "step is True .bool.; only integers"),
        (np.bool_(True), "only integers"),
        (torch.tensor(True), "only integers"),
        ("1", "only integers"),
        (None, "step is None"),
        (-1, "step is -1, negative; the least is 0"),
        (LARGEST + 1, "the largest is 9007199254740992: count in a larger unit"),
        (10**400, "the largest is"),
        (np.uint64(2**64 - 1), "the largest is"),
    ],
    ids=repr,
)
def test_what_is_no_integer_of_the_range_is_named(value, words):
    with pytest.raises(ValueError, match=words):
        arguments.whole_number(value, "step")
    assert arguments.whole_number(LARGEST, "step") == LARGEST


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize("value", ["a/b", "line\nbreak", "🧠", " ", "x" * NAME_CHARACTERS, Colour.RED])
def test_any_text_is_a_name(value):
    found = arguments.text(value, "name")
    assert type(found) is str
    assert found == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "name is empty; give it a name"),
        (5, "name is 5; it must be text, such as '5'"),
        (None, "name is None"),
        (b"loss", "it must be text"),
        ("\ud800", "no UTF-8"),
        ("x" * (NAME_CHARACTERS + 1), "has 1,001 characters, at most 1,000"),
    ],
    ids=ascii,
)
def test_what_is_no_name_is_named(value, words):
    with pytest.raises(ValueError, match=words):
        arguments.text(value, "name")
    assert arguments.long_text("", "text") == ""


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        (np.float64(1), Decimal(2)),
        np.array([1, 2], np.uint8),
        np.array([Fraction(1), 2], object),
        torch.tensor([1.0, 2.0], requires_grad=True),
        torch.tensor([1, 2], dtype=torch.bfloat16),
        torch.tensor([1, 2]),
        pd.Series([1.0, 2.0]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_arrays_of_any_numbers_are_new_float32(values):
    found = arguments.array(values, "mean")
    assert found.dtype == np.float32
    assert found.tolist() == [1, 2]
    assert not np.shares_memory(found, values) if isinstance(values, np.ndarray) else True


@pytest.mark.parametrize(
    "values",
    [["1.0", "2.0"], [None, 1.0], [1j], [[1], [2, 3]], np.array(["2020"], "M8[s]"), torch.tensor([1j]), "ab"],
    ids=str,
)
def test_arrays_of_anything_else_are_named(values):
    with pytest.raises(ValueError, match="mean of layer 'z' is not an array of numbers: "):
        arguments.array(values, "mean of layer 'z'")
