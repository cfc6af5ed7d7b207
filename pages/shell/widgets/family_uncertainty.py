"""How open posteriors are that are no Gaussians: their entropy, or their variance where there is none."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.shell.session import cache, state
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, step_axis
from probes.analysis.layer_families import is_code_book, is_gaussian
from probes.families import family_of
from probes.figures import layer_bands
from probes.figures.downsampling import downsampling_note
from probes.figures.layer_bands import quantiles
from probes.schema import STATISTICS
from probes.spacing import evenly_spaced

PANELS = 6  # layers side by side
TITLES = {
    ("entropy", True): "**Posterior entropy** · of layers of classes; dashed: the prior",
    ("entropy", False): "**Posterior entropy** · of layers of other densities",
    ("variance", False): "**Posterior variance** · within an input, each layer in its own unit",
    ("spread", False): "**Spread** · of the means between inputs, each layer in its own unit",
}
"""What a layer is told by, the first that it has, and whether it has classes -> the title of the card."""


def show(context: RunContext, other: RunContext | None, label: str, view: step_axis.View, step: int) -> None:
    """A card for each quantity that some layers are told by; nothing where all are Gaussians."""
    if not state.has_distributions(context):
        return
    if all(map(is_code_book, context.layers)):
        st.caption("Picks of a code book have no width: Layers and Health show which codes are used.")
        return
    summary = cache.summary(context)
    told: dict[tuple[str, bool], list[int]] = {}
    for place, has in enumerate(cache.recorded(context)):
        layer = context.layers[place]
        if not is_gaussian(layer):
            classes = family_of(layer).by_entropy
            name = next((one for one, of in TITLES if one in has and of == classes), None)
            if name is not None:
                told.setdefault((name, classes), []).append(place)
            if name == "variance" and "spread" in has:
                told.setdefault(("spread", False), []).append(place)
    rows, steps_per_row = cache.thinned_summary(context, view.span)
    beside = cache.thinned_summary(other, view.span)[0] if other and state.has_distributions(other) else None
    axis = view.axis(context)
    for (name, classes), places in told.items():
        shown = [places[at] for at in evenly_spaced(len(places), PANELS)]
        figure = layer_bands(
            rows, name, context.names, step=view.cursor(step), axis=axis, shown=shown, other=beside,
            label=label, other_axis=view.axis(other) if other else None,
            prior="prior_entropy" if classes else None, gaussian=False,
        )  # fmt: skip
        cards.card(
            f"{TITLES[name, classes]}{downsampling_note(steps_per_row)}", figure, f"open_{name}_{classes}",
            partial(quantiles, summary, name), of=context.entry.name,
            note="" if classes else STATISTICS[name].of_family(False).caveat,
            draw=partial(step_axis.chart, view=view, axes=[axis]),
            several=len(shown) if len(shown) > 1 else 0,
        )  # fmt: skip
