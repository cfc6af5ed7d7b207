"""What stands at the positions of a probe sequence: their labels, their features, their colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis import sequence_features

EMPHASIS = 99  # per cent of the values that colours run over


@cache.of_run("inputs", keep=cache.SLICES_KEPT)
def positions(context: RunContext) -> sequence_features.Positions:
    """What stands at the positions of the probe sequence; numbers where that was not stored."""
    rows = cache.input_contents(context)
    own = rows[rows["kind"] == sequence_features.POSITION]
    contents = (own if len(own) else rows).sort_values("input")["content"].astype(str).tolist()
    chords = str(context.run.config.get("data", "")).startswith("chords")
    return sequence_features.read_positions(contents, chords)


def labels(context: RunContext, length: int) -> list[str]:
    """What stands at each of T positions, as it is shown; their numbers where nothing is stored."""
    found = positions(context)
    known = [label or "rest" for label in found.labels] if found.kind == "chords" else list(found.labels)
    return known[:length] if len(known) >= length else [str(t) for t in range(length)]


def sign(label: str) -> str:
    """A position's content in running words: white space by its sign."""
    return {"": "start", "\n": "↵", " ": "space"}.get(label, label.replace("\n", "↵"))


@cache.of_run("inputs", keep=cache.SLICES_KEPT)
def features(context: RunContext) -> dict[str, np.ndarray]:
    """Features of the positions, by name."""
    return sequence_features.features(positions(context))


def marks(found: Mapping[str, np.ndarray], feature: str) -> np.ndarray:
    """(T,) where a feature of yes and no is there; nowhere of another."""
    values = found.get(feature, np.zeros(0))
    return values == 1 if set(np.unique(values)) == {0.0, 1.0} else np.zeros(len(values), bool)


def token_colors(values: np.ndarray, signed: bool = False) -> dict[str, Any]:
    """The scale of colours behind tokens, as their canvas draws it: `high` gets the strongest one, within
    which EMPHASIS per cent of the values lie; whether any lie beyond is said by `clipped`.
    """
    finite = np.abs(values[np.isfinite(values)])
    high = float(np.percentile(finite, EMPHASIS)) if finite.size else 1.0
    high = high if high > 0 else 1.0
    clipped = bool((finite > high).any())
    return {"low": -high if signed else 0.0, "high": high, "signed": signed, "clipped": clipped}


def shares(values: np.ndarray, colors: dict[str, Any]) -> list[float | None]:
    """Values of tokens as shares of the strongest colour of a scale of `token_colors`; None where there is
    none.
    """
    parts = np.clip(values / colors["high"], -1 if colors["signed"] else 0, 1)
    return [round(part, 3) if np.isfinite(part) else None for part in parts.tolist()]
