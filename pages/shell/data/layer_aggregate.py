"""What a layer's neurons do together, ready for a table and figures: its rate in parts and its aggregate
against the prior, on the probe batch; active units, of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pages.shell.data import neuron_series
from pages.shell.session import cache
from pages.shell.session.runs import RunContext
from probes.analysis import aggregate
from probes.analysis.layer_families import is_gaussian
from probes.figures.rate_split import PARTS
from probes.schema import LIVING_REGIMES, UNKNOWN
from probes.spacing import evenly_spaced

MOST = 512  # neurons of a layer that are taken together: 0.1 to 0.4 s at 256 inputs
NAMED = 8  # layers whose shares a line names
UNITS = ["layer", "neurons", "living", "unknown", "active"]
CLASSES = ("categorical", "bernoulli")
"""Families other than Gaussians whose rate is split."""


def units(context: RunContext, step: int) -> pd.DataFrame:
    """Rows layer (index), neurons, living, unknown and active at a recorded step, of layers whose neurons
    have a spread. Empty where none was recorded.
    """
    if "spread" not in context.run.statistics:
        return pd.DataFrame(columns=UNITS)
    spread = cache.at(context, step, ("spread",))
    summary = cache.summary(context)
    now = summary[summary["step"] == step].set_index("layer")
    living = now[[f"settled_{code}" for code in LIVING_REGIMES]].sum(axis=1)
    unknown = now.get(f"settled_{UNKNOWN}", pd.Series(0, now.index)).fillna(0)
    rows = []
    for layer, info in enumerate(context.layers):
        values = spread.loc[spread["layer"] == layer, "spread"].to_numpy(float, na_value=np.nan)
        if is_gaussian(info) and np.isfinite(values).any():
            row = {"layer": layer, "neurons": info["neurons"], "living": int(living.get(layer, 0))}
            row |= {"unknown": int(unknown.get(layer, 0)), "active": aggregate.active_units(values)}
            rows.append(row)
    return pd.DataFrame(rows, columns=UNITS)


def units_in_words(context: RunContext, step: int) -> str:
    """Active units beside living neurons, layer by layer; empty where no spread was recorded."""
    table = units(context, step)
    if table.empty:
        return ""
    known, unknown = table["neurons"] - table["unknown"], table["unknown"].sum()
    said = []
    for name, of in (("active", table["neurons"]), ("living", known)):
        by_layer = (
            f" ({', '.join(f'{100 * share:.0f} %' if share >= 0 else '–' for share in table[name] / of)})"
        )
        said.append(f"{table[name].sum():,} of {of.sum():,}{by_layer if 1 < len(table) <= NAMED else ''}")
    threshold = f"Burda et al. 2016: Var[μ] > {aggregate.ACTIVE_SPREAD:g} prior sd²"
    left_out = f"; the regime of {unknown:,} more is unknown" if unknown else ""
    return f"Active units ({threshold}): {said[0]}. Living neurons: {said[1]}{left_out}."


def stored(context: RunContext) -> bool:
    """Whether posteriors of a probe batch are stored of a layer that can be told."""
    layers = [layer for layer in context.layers if not why_not(layer)]
    gaussian = any(is_gaussian(layer) for layer in layers)
    others = any(not is_gaussian(layer) for layer in layers)
    return bool(
        (gaussian and len(cache.probe_inputs(context))) or (others and len(cache.parameter_steps(context)))
    )


def why_not(layer: Mapping[str, Any]) -> str:
    """Why the posteriors of a layer cannot be taken together; empty where they can."""
    family = str(layer.get("family", "gaussian"))
    if family == "gaussian_full":
        return "its neurons depend on each other within an input, by covariances that the probe batch lacks"
    if is_gaussian(layer) or family in CLASSES:
        return ""
    return "of Gaussian neurons and of classes alone"


def at(context: RunContext, step: int) -> pd.DataFrame | None:
    """One row a layer of what can be told on the probe batch stored at or before a step: layer, step, why (it
    cannot be told), note, rate, PARTS with NAME_error, at_ceiling, ceiling, index_code_at_most, inputs,
    counted, distances with NAME_null_95. None where no posterior is stored.
    """
    found = [_layer(context, step, layer) for layer in range(len(context.layers))]
    rows = [row for row in found if row is not None]
    return pd.DataFrame(rows) if rows else None


def _layer(context: RunContext, step: int, layer: int) -> dict[str, Any] | None:
    info = context.layers[layer]
    if is_gaussian(info):
        stored = neuron_series.probe_step(context, step)
        rows = 0 if stored is None else cache.probe_rows(context, stored)
    else:
        steps = cache.parameter_steps(context)
        stored = cache.recorded_step(steps, step) if len(steps) else None
        rows = context.run.extent("parameters")
    if stored is None:
        return None
    if reason := why_not(info):
        return {"layer": layer, "step": stored, "why": reason}
    told = _of_layer(context, stored, layer, rows)
    if told is None:
        return None
    return {"layer": layer, "step": stored, "why": "", "note": _note(context, layer), **told}


def _note(context: RunContext, layer: int) -> str:
    """What a layer's numbers are not."""
    info = context.layers[layer]
    if info.get("prior") == "autoregressive":
        return (
            "The prior is autoregressive: the rate here is the KL from its stationary marginal, not what is"
            " paid."
        )
    if not is_gaussian(info) or aggregate.prior_sd(info, context.run.config) is None:
        return "Where the prior of the posteriors is not stored, what needs it is left out."
    if int(info.get("latent_dim", 1)) > 1:
        return "The probe batch holds one pooled variable for a neuron's dimensions: all is of these."
    return ""


@cache.of_run(keep=cache.SLICES_KEPT, show_spinner="Taking the layer's posteriors together …")
def _of_layer(context: RunContext, step: int, layer: int, rows: int) -> dict[str, Any] | None:
    """`rows`: how many had come of a step that may still grow."""
    info = context.layers[layer]
    chosen = evenly_spaced(int(info["neurons"]), MOST)
    if not is_gaussian(info):
        held = cache.parameter_table(context, step, layer).get("probability")
        if held is None:
            return None
        shares = held if info["family"] == "categorical" else np.concatenate([1 - held, held], 2)
        return _row(aggregate.split_rate_of_classes(shares[:, chosen]))
    found = cache.probe_neurons(context, step, layer, chosen)
    if found is None:
        return None
    unit = aggregate.prior_sd(info, context.run.config)
    mu, sigma = (values / (unit or 1.0) for values in found)
    sound = np.isfinite(mu).all(0) & np.isfinite(sigma).all(0) & (sigma > 0).all(0)
    mu, sigma = mu[:, sound], sigma[:, sound]
    if not sound.any():
        return None
    row = _row(aggregate.split_rate(mu, sigma, prior=unit is not None))
    if unit is not None:
        for name, distance in (
            ("sliced_wasserstein", aggregate.sliced_wasserstein(mu, sigma)),
            ("mmd", aggregate.maximum_mean_discrepancy(mu, sigma)),
        ):
            row |= {name: distance.value, f"{name}_null_95": distance.null_95}
    return row


def _row(split: aggregate.RateSplit) -> dict[str, Any]:
    parts = (split.index_code, split.total_correlation, split.dimension_wise)
    values = {name: part.value for name, part in zip(PARTS, parts, strict=True)}
    errors = {f"{name}_error": part.error for name, part in zip(PARTS, parts, strict=True)}
    return {
        "rate": split.rate, **values, **errors, "at_ceiling": split.at_ceiling, "ceiling": split.ceiling,
        "index_code_at_most": split.index_code_at_most, "inputs": split.inputs, "counted": split.counted,
        **{name: np.nan for one in ("sliced_wasserstein", "mmd") for name in (one, f"{one}_null_95")},
    }  # fmt: skip


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """As a table shows it: numbers with their error, bounds with their sign. rows: of `at`, with name."""
    shown = {"layer": rows["name"].to_list()}
    bound = rows["at_ceiling"].to_numpy(bool)
    shown["rate"] = [_number(value) for value in rows["rate"]]
    for name, sign in zip(PARTS, ("≥ ", "≤ ", ""), strict=True):
        shown[name] = [
            f"{sign if bounded and np.isfinite(value) else ''}{in_words(value, error)}"
            for value, error, bounded in zip(rows[name], rows[f"{name}_error"], bound, strict=True)
        ]
    for name in ("sliced_wasserstein", "mmd"):
        shown[name] = [
            "–" if not np.isfinite(value) else f"{value:.2g} ({limit:.2g})"
            for value, limit in zip(rows[name], rows[f"{name}_null_95"], strict=True)
        ]
    shown["neurons"] = [f"{count:,}" for count in rows["counted"]]
    return pd.DataFrame(shown)


def in_words(value: float, error: float) -> str:
    """A number with its standard error, where that shows."""
    return _number(value) + (f" ± {error:.1g}" if error > abs(value) / 1000 else "")


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "–"
