"""Code books over steps, ready for a card."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pages.shell.data import payloads
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis import layer_families
from probes.figures.code_book import CodeBook

COLUMNS = 240  # of the map


def books(context: RunContext) -> list[int]:
    """Layers that are code books."""
    return [place for place, layer in enumerate(context.layers) if layer_families.is_code_book(layer)]


def book(context: RunContext, layer: int, span: tuple[int, int]) -> CodeBook:
    """Usage of its codes within `span`: as recorded, or means of several steps."""
    values, edges = cache.matrix(context, layer, "usage", COLUMNS, span)
    return CodeBook(np.asarray(edges[:-1], np.int64), np.asarray(values, np.float64))


def perplexity(context: RunContext, layer: int, steps: np.ndarray) -> np.ndarray | None:
    """As recorded, at the last recorded step at or before each of `steps`; None where it was not recorded."""
    summary = cache.summary(context)
    rows = summary[summary["layer"] == layer]
    if "layer_perplexity" not in rows or not rows["layer_perplexity"].notna().any():
        return None
    place = np.searchsorted(rows["step"].to_numpy(), steps, side="right") - 1
    return rows["layer_perplexity"].to_numpy(float, na_value=np.nan)[np.maximum(place, 0)]


def used(context: RunContext, layer: int, step: int) -> tuple[int, int] | None:
    """How many codes are used at a recorded step, of how many; None where their usage is not known there."""
    rows = cache.at(context, step, ("usage",)) if "usage" in context.run.statistics else pd.DataFrame()
    values = rows.loc[rows["layer"] == layer, "usage"].dropna() if len(rows) else pd.Series(dtype=float)
    return (int((values > 0).sum()), context.layers[layer]["neurons"]) if len(values) else None


def in_words(context: RunContext, layer: int, step: int) -> str:
    """Such as "412 of 512 used in the last 1,024 steps · perplexity 233"."""
    parts = []
    if (found := used(context, layer, step)) is not None:
        window = int(context.layers[layer].get("window", 0) or 0)
        over = f" in the last {window:,} steps" if window > 1 else ""
        parts.append(f"{found[0]:,} of {found[1]:,} used{over}")
    at = layer_families.number_at(cache.summary(context), layer, "perplexity", step)
    if np.isfinite(at):
        parts.append(f"perplexity {payloads.number(at)}")
    return " · ".join(parts) or "usage not recorded at this step"


def table(context: RunContext, layer: int, span: tuple[int, int]) -> pd.DataFrame:
    """The map, one row a code and column: code, step, usage."""
    found = book(context, layer, span)
    codes, steps = found.usage.shape
    return pd.DataFrame(
        {
            "code": np.repeat(np.arange(codes), steps),
            "step": np.tile(found.steps, codes),
            "usage": found.usage.ravel(),
        }
    )
