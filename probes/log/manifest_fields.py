"""What each field of run.json may be. One of another shape is refused before anything relies on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args

from probes.log.blocks import CODEC
from probes.log.config import FILE as CONFIG_FILE
from probes.log.limits import LARGEST, MAX_CLASSES, MAX_LAYERS, MAX_NEURONS
from probes.run_reader import Status

STATUSES: tuple[Status, ...] = get_args(Status)
PRECISIONS = tuple(CODEC)

Check = Callable[[Any], bool]


def fault(manifest: dict[str, Any]) -> str | None:
    """The first field that is not what the format says, in words; None if all are. `layers` are checked
    ones.
    """
    for name, (check, words) in FIELDS.items():
        if name in manifest and not check(manifest[name]):
            return f"`{name}` is {_shown(manifest[name])}, it must be {words}"
    for layer in manifest["layers"]:
        if not isinstance(layer["name"], str) or not layer["name"]:
            return f"a layer's name is {_shown(layer['name'])}, it must be text"
    if len(manifest["layers"]) > MAX_LAYERS:
        return f"there are {len(manifest['layers']):,} layers, a run has at most {MAX_LAYERS:,}"
    neurons = sum(layer["neurons"] for layer in manifest["layers"])
    if neurons > MAX_NEURONS:
        return f"the layers have {neurons:,} neurons, a run has at most {MAX_NEURONS:,}"
    return None


def layer_fault(layer: dict[str, Any]) -> str | None:
    """The first field of a layer's family that is not what the format says, in words; None if all are."""
    for name, (check, words) in LAYER_FIELDS.items():
        if name in layer and not check(layer[name]):
            return f"{name} is {_shown(layer[name])}; it must be {words}"
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def _dict_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(check(item) for item in value.values())


def _date(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).year >= 1970
    except ValueError:
        return False


def _steps(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _or_null(_integer)(value.get(key)) for key in ("count", "first", "last")
    )


def _score(value: Any) -> bool:
    return (
        isinstance(value, dict) and _integer(value.get("step")) and _or_null(_number)(value.get("value", ""))
    )


def _session(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _or_null(_integer)(value.get("resumed_from"))
        and _text(value.get("format", ""))
        and _dict_of(_integer)(value.get("rows", {}))
    )


def _points(value: Any) -> bool:
    """A list of [step, value], value a number or null. Looked at as a whole: they are most of a manifest, and
    a thousand of those are read at once.
    """
    if not isinstance(value, list) or any(type(point) is not list or len(point) != 2 for point in value):
        return False
    steps, values = [point[0] for point in value], [point[1] for point in value if point[1] is not None]
    numbers = steps + values
    return set(map(type, numbers)) <= {int, float} and all(map(math.isfinite, numbers))


def _between(least: int, most: int) -> Check:
    return lambda value: _integer(value) and least <= value <= most


LAYER_FIELDS: dict[str, tuple[Check, str]] = {
    "classes": (_between(2, MAX_CLASSES), f"an integer from 2 to {MAX_CLASSES:,}"),
    "window": (_between(1, LARGEST), "a number of steps, an integer of at least 1"),
    "map": (_text, "the name of a bijection, such as exp"),
    "information_by": (_text, "how the information is estimated, such as moments"),
}
"""Check and words of what a layer says of its family. Each may be absent."""
FIELDS: dict[str, tuple[Check, str]] = {
    "name": (_text, "text"),
    "created": (_or_null(_date), "a date and time (ISO 8601)"),
    "status": (lambda value: value in STATUSES, f"one of {', '.join(STATUSES)}"),
    "heartbeat": (_or_null(_number), "a number of seconds"),
    "mirror_seconds": (lambda value: _number(value) and 0 < value <= 3600, "seconds, up to an hour"),
    "elapsed": (_or_null(_number), "a number of seconds"),
    "segments": (_list_of(_session), "a list of objects with resumed_from, format and rows"),
    "statistics": (_or_null(_list_of(_text)), "a list of names"),
    "precision": (lambda value: value in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    "config": (_or_null(lambda value: isinstance(value, dict)), "an object"),
    "config_file": (lambda value: value in (None, CONFIG_FILE), f"{CONFIG_FILE} or null"),
    "seed": (lambda value: not isinstance(value, list | dict), "a number or text"),
    "group": (_or_null(_text), "text"),
    "packages": (_or_null(_dict_of(_text)), "an object of versions"),
    "dropped": (_or_null(_dict_of(_integer)), "an object of counts"),
    "steps": (_or_null(_steps), "an object with count, first and last"),
    "scores": (_or_null(_dict_of(_score)), "an object of {step, value}"),
    "living_share": (_or_null(_list_of(_or_null(_number))), "a list of shares"),
    "sparklines": (_or_null(_dict_of(_points)), "an object of lists of [step, value]"),
}
"""Check and words of each field. A field may be absent: readers then have a neutral value for it."""
