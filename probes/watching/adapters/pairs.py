"""What is said of a mean and a scale that belong together by their names: where, how read, how sure."""

from __future__ import annotations

from probes.watching.naming import FORMS, words
from probes.watching.posterior_source import NAMED, Origin


def join(path: str, name: str) -> str:
    """The path of what stands at `name` in the module at `path`."""
    return f"{path}.{name}" if path else name


def assumption(scale: str, form: str, assumed: bool) -> str:
    """How a scale is read, in words that follow on why it was taken for one."""
    return f"; ASSUMED {scale} is {FORMS[form]}" if assumed else f"; {scale} is {FORMS[form]}"


def pair_origins(mean: str, assumed: bool, prior: Origin) -> dict[str, Origin]:
    """Of a pair that is read by its names; loc may be that of any location-scale family."""
    family: Origin = "assumed" if "loc" in words(mean) and assumed else "named"
    return {**NAMED, "scale": "assumed" if assumed else "named", "family": family, "prior": prior}
