"""What the recorder is called with, checked at the call: a bad value is one ValueError that names it, says
what was seen and what to give instead.
"""

from __future__ import annotations

import math
import operator
import sys
from typing import Any

import numpy as np

from probes.log.limits import LARGEST, NAME_CHARACTERS, TEXT_CHARACTERS

NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2")
"""Names of float types that JAX brings to numpy, which calls them raw bytes."""


def whole_number(value: Any, what: str, least: int = 0, most: int = LARGEST) -> int:
    """An integer of Python, numpy or torch (one element), as an int. Raises ValueError for anything else, a
    bool or a float too, and outside least .. most.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        raise ValueError(f"{what} is {shown(value)}; only integers will do, such as {max(least, 0)}")
    if number < least:
        negative = "negative; " if least == 0 else ""
        raise ValueError(f"{what} is {shown(number)}, {negative}the least is {least}")
    if number > most:
        raise ValueError(
            f"{what} is {shown(number)}, the largest is {most}: count in a larger unit (optimiser steps, not"
            " nanoseconds)"
        )
    return number


def number(value: Any, what: str) -> float:
    """One number of any kind as a float: Python's, numpy's, Decimal, Fraction, bool, an array or tensor of
    one element. NaN and infinities are numbers. Raises ValueError for anything else.
    """
    if type(value) is float:
        return value
    size = _size(value)
    if size not in (None, 1):
        raise ValueError(f"{what} is {shown(value)}, of {size} elements; give one number, such as its mean")
    try:
        single = value.item() if hasattr(value, "item") else value
        if isinstance(single, str | bytes) or single is None:
            raise TypeError
        return float(single)
    except OverflowError as error:
        raise ValueError(
            f"{what} is {shown(value)}, which no float64 holds; give its logarithm, or math.inf"
        ) from error
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ValueError(f"{what} is {shown(value)}; it must be one number, such as 0.5") from error


def text(value: Any, what: str, most: int = NAME_CHARACTERS, empty: bool = False) -> str:
    """A text that any reader takes. Raises ValueError for what is no text, empty (unless that may be), too
    long, or no UTF-8.
    """
    if not isinstance(value, str):
        raise ValueError(f"{what} is {shown(value)}; it must be text, such as {str(value)[:40]!r}")
    plain = str.__str__(value)
    if not plain and not empty:
        raise ValueError(f"{what} is empty; give it a name")
    if len(plain) > most:
        raise ValueError(
            f"{what} has {len(plain):,} characters, at most {most:,} are kept; give a shorter one"
        )
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} is {shown(plain)}, which is no UTF-8: {error.reason}") from error
    return plain


def long_text(value: Any, what: str) -> str:
    """`text` that may be empty, and as long as an event's."""
    return text(value, what, TEXT_CHARACTERS, empty=True)


def array(values: Any, what: str, kind: type[np.floating[Any]] = np.float32) -> np.ndarray:
    """Numbers as a new array of float32, or another kind of float: of lists, numpy, JAX, or a torch tensor
    wherever it lies, with its gradient.

    Raises ValueError for texts, None, complex numbers and what has no one shape.
    """
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            # numpy has no bfloat16
            values = (values.double() if values.is_floating_point() else values).numpy()
        given = np.asarray(values)
        if given.dtype.name in NARROW:
            given = given.astype(np.float32)
        if given.dtype == object:
            flat = [number(value, "one of its values") for value in given.ravel()]
            given = np.array(flat, np.float64).reshape(given.shape)
        if given.dtype.kind not in "biuf":
            raise ValueError(f"it holds {given.dtype}")
        with np.errstate(over="ignore"):
            return np.array(given, kind)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{what} is not an array of numbers: {error}") from error


def shown(value: Any) -> str:
    """A value for a message: short, with its kind."""
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"a {kind} of shape {tuple(shape)}"
    said = "an integer" if isinstance(value, int) and abs(value) > sys.float_info.max else repr(value)
    said = said if len(said) <= 60 else f"{said[:57]}..."
    return said if value is None or type(value) is int else f"{said} ({kind})"


def _size(value: Any) -> int | None:
    """How many elements an array or a tensor has; None for anything else."""
    shape = getattr(value, "shape", None)
    return math.prod(shape) if isinstance(shape, tuple) else None
