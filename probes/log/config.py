"""The configuration of a run as strict JSON: what of a training script's objects is kept, and in which file.

A small one stands in run.json, which each flush rewrites and a catalog reads. A large one stands in
config.json, written once; run.json then has its short entries.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AnySet
from dataclasses import fields, is_dataclass
from typing import Any

from probes.errors import RunError, as_text
from probes.log.limits import INTEGER_DIGITS, JSON_BYTES, JSON_DEPTH
from probes.log.opening import read_json
from probes.storage import Storage

FILE = "config.json"
INLINE_BYTES = 64 * 2**10
"""Most of a configuration that stands in run.json."""
ENTRY_BYTES = 2**10
"""Most of an entry that stands in run.json when the whole does not."""
ARRAY_ELEMENTS = 10_000
"""Arrays and tensors of more are data and not settings: their shape is kept."""


def plain(value: Any, what: str = "the value", levels: int = JSON_DEPTH) -> Any:
    """A value as strict JSON has it.

    Non-finite numbers are null; mappings and data classes are objects, arrays and tensors lists (large ones a
    text of their shape), anything else its text. Raises ValueError for what is nested too
    deeply or in itself, and for integers of too many digits; `what` names the value.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        if abs(value) >= 10**INTEGER_DIGITS:
            raise ValueError(
                f"{what} is an integer of more than {INTEGER_DIGITS} digits: store it as text, or its hash"
            )
        return int(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name, None) for field in fields(value)}
    if isinstance(value, AnySet):
        value = f"{{{', '.join(sorted(repr(item) for item in value))}}}"  # in one order in every process
    value = _listed(value)
    if isinstance(value, Mapping | list | tuple):
        if not levels:
            raise ValueError(
                f"{what[:60]}... is nested more than {JSON_DEPTH - 1} levels deep, or holds itself: store"
                " less of it"
            )
        if isinstance(value, Mapping):
            return {
                _text(str(key)): plain(item, f"{what}[{str(key)!r}]", levels - 1)
                for key, item in value.items()
            }
        return [plain(item, f"{what}[{index}]", levels - 1) for index, item in enumerate(value)]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else _text(str(value))


def _listed(value: Any) -> Any:
    """Arrays, tensors and numpy's scalars as Python has them; anything else as it is."""
    if isinstance(value, type) or not callable(getattr(value, "tolist", None)):
        return value
    try:
        if math.prod(value.shape) > ARRAY_ELEMENTS:
            return f"{type(value).__name__} of shape {tuple(value.shape)}, {value.dtype}"
        return value.tolist()
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return str(value)


def _text(value: str) -> str:
    return str.__str__(value) if value.isascii() else as_text(value)


def stated(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """A configuration as it is stored.

    Raises ValueError where it is no mapping, where `plain` does, and where it has more bytes than are read.
    """
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise ValueError(
            f"config is a {type(config).__name__}; it must be a dict: vars(args), or dataclasses.asdict(...)"
        )
    found: dict[str, Any] = plain(config, "config", JSON_DEPTH - 1)
    if (size := len(content(found))) > JSON_BYTES:
        largest = max(found, key=lambda key: len(_dumped(found[key])))
        raise ValueError(
            f"config has {size / 2**20:,.0f} MB as JSON, a run keeps at most {JSON_BYTES / 2**20:.0f} MB. Its"
            f" largest entry is config[{largest!r}] with {len(_dumped(found[largest])) / 2**20:,.0f} MB:"
            " leave it out, or store what describes it"
        )
    return found


def content(config: dict[str, Any]) -> bytes:
    """The text of config.json."""
    return f"{_dumped(config)}\n".encode()


def inline(config: dict[str, Any]) -> dict[str, Any]:
    """What of a stored configuration stands in run.json: all, or its short entries where it is large."""
    if len(_dumped(config).encode()) <= INLINE_BYTES:
        return config
    short, left = {}, INLINE_BYTES
    for key, value in config.items():
        size = len(f"{_dumped(key)}: {_dumped(value)}, ".encode())
        if size <= min(ENTRY_BYTES, left):
            short[key] = value
            left -= size
    return short


def read(storage: Storage) -> dict[str, Any]:
    """The configuration in config.json. Raises RunError where it is not there or is none."""
    address = storage.address(FILE)
    try:
        found = read_json(FILE, storage)
    except FileNotFoundError as error:
        raise RunError(
            f"{address} is not there, and the run's configuration was too large for run.json: copy it too"
        ) from error
    if not isinstance(found, dict):
        raise RunError(f"{address} holds no object: it is not the configuration of a run; restore it")
    return found


def _dumped(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
