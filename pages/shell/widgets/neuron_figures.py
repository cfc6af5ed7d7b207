"""Figures of chosen neurons: one statistic of all in one picture, densities, forces, and a panel a neuron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.shell.data import neuron_series, neuron_shapes, shown_neurons
from pages.shell.data.shown_neurons import Shown
from pages.shell.session import pins, url
from pages.shell.widgets import cards, downloads, step_axis
from probes.families.by_moments import WITH_INTERVALS
from probes.figures.clock import Clock
from probes.figures.densities import densities, densities_on_one_axis
from probes.figures.energy import energy
from probes.figures.entropy_panels import entropy_panels, statistic_panels
from probes.figures.family_shapes import family_axes, family_panels
from probes.figures.fans import family_fans, fans
from probes.figures.force_balance import force_balance
from probes.figures.kl_parts import kl_parts, parts
from probes.figures.neuron_series import NeuronSeries
from probes.figures.overlay import all_positive, overlay
from probes.figures.persistence import persistence_over_steps
from probes.figures.style import StepAxis
from probes.schema import FORCES, STATISTICS


@dataclass(frozen=True)
class Drawn:
    """Neurons over steps, and the axis of each."""

    shown: Shown
    series: list[NeuronSeries]
    axes: list[StepAxis]

    def for_panels(self) -> Drawn:
        """As many as small multiples hold."""
        few = self.shown.for_panels()
        places = [self.shown.all.index(one) for one in few.all]
        return Drawn(few, [self.series[at] for at in places], [self.axes[at] for at in places])


def over_steps(shown: Shown, view: step_axis.View) -> Drawn:
    """The shown neurons over the steps that the page shows."""
    axes = [view.axis(neuron.context) for neuron in shown.all]
    series = neuron_series.over_steps(shown.all, shown.colors, shown.dashed, view.span)
    clocked = [
        replace(one, clock=axis if isinstance(axis, Clock) else None)
        for one, axis in zip(series, axes, strict=True)
    ]
    return Drawn(shown, clocked, axes)


def pick_statistic(drawn: Drawn) -> str:
    """The statistic of the overlay, kept in the URL."""
    first = shown_neurons.telling(drawn.shown.all[0].context)
    offered = neuron_series.recorded_statistics(drawn.series) or [first]  # of a run without a single number
    return url.choice(
        st.selectbox,
        "Statistic",
        offered,
        "statistic",
        next((name for name in (first, *shown_neurons.INFORMATIVE) if name in offered), offered[0]),
        format_func=lambda name: STATISTICS[name].label,
        width=170,
    )


def together(drawn: Drawn, view: step_axis.View, step: int) -> str:
    """One statistic of all neurons in one figure; returns which."""
    series, axes = drawn.series, drawn.axes
    cursor = view.cursor(step)
    with st.container(border=True, height="stretch"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            statistic = pick_statistic(drawn)
            positive = all_positive(series, statistic)
            usual = "log" if STATISTICS[statistic].log and positive else "linear"
            scale = step_axis.value_scale(usual, positive)
            half_life = step_axis.smoothing()
            figure = overlay(
                series, statistic, step=cursor, axis=view.scale, scale=scale, half_life=half_life
            )
            rows = partial(neuron_series.table, series, (statistic,))
            downloads.menu(figure, rows, f"neurons overlay {statistic}")
        step_axis.chart(figure, "together", view, axes[:1])
    return statistic


def have_distributions(shown: Shown) -> bool:
    """Whether any of the neurons has a distribution of its own: codes of a code book have none."""
    return not all(neuron_shapes.is_code(one) for one in shown.all)


def on_one_axis(shown: Shown, step: int) -> None:
    """Every neuron's mean posterior at the cursor."""
    if not all(neuron_shapes.gaussian(one) for one in shown.all):
        _on_own_axes(shown, step)
        return
    names = pins.labels(shown.all)
    moments = neuron_series.mean_posteriors(shown.all, step)
    figure = densities_on_one_axis(names, moments, shown.colors, shown.dashed)
    with st.container(border=True, height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center"):
            at = neuron_series.steps_of(shown.all, moments)
            st.markdown(f"**Mean posteriors at step {at}**", width="stretch")
            downloads.menu(
                figure, partial(neuron_series.moments_table, names, [moments]), "neurons densities"
            )
        cards.show(figure, "densities")


def _on_own_axes(shown: Shown, step: int) -> None:
    """Neurons of several families: those with one kind of axis in one panel."""
    names, looks = pins.labels(shown.all), zip(shown.colors, shown.dashed, strict=True)
    kept = [
        (one, name, color, dashed)
        for one, name, (color, dashed) in zip(shown.all, names, looks, strict=True)
        if not neuron_shapes.is_code(one)
    ]
    with st.container(border=True, height="stretch"):
        neurons, named, colors, dashes = (list(column) for column in zip(*kept, strict=True))
        (shapes,) = neuron_shapes.shapes(neurons, step)
        figure = family_axes(named, shapes, colors, dashes)
        with st.container(horizontal=True, vertical_alignment="center"):
            at = neuron_shapes.steps_of(neurons, shapes)
            st.markdown(f"**Distributions{f' at step {at}' if at else ''}**", width="stretch")
            downloads.menu(figure, partial(neuron_shapes.table, named, [shapes]), "neurons densities")
        cards.show(figure, "densities")
        st.caption(neuron_shapes.caption(neurons, shapes))


def panels(drawn: Drawn, view: step_axis.View, step: int) -> None:
    """Small multiples, one panel a neuron: over steps, and densities at two steps."""
    shown, series, axes = drawn.shown, drawn.series, drawn.axes
    cursor, scale = view.cursor(step), view.scale
    note = reduction(series, shown)
    draw = partial(_over_steps, series, view, axes)
    told = ("mean", "variance", "spread")
    gaussians = [one for one in series if one.is_gaussian]
    wide = [one for one in series if not one.is_gaussian and one.has("variance")]
    if gaussians:
        title = f"**Distribution over steps** · mean ± sd, against the layer's median{note}"
        draw(title, fans(gaussians, step=cursor, axis=scale), "fans", told)
    if wide:
        composed = ", of a composition its average component" if any(map(_composed, wide)) else ""
        title = f"**Distribution over steps** · mean and {_band(wide)}, each in its own unit{composed}{note}"
        draw(title, family_fans(wide, step=cursor, axis=scale), "own_fans", told)
    if open_ := [one for one in series if not one.has("variance") and one.has("entropy")]:
        title = f"**Entropy over steps** · of one input's posterior and of the aggregate{note}"
        held = ("entropy", "perplexity", "prior_entropy")
        draw(title, entropy_panels(open_, step=cursor, axis=scale), "entropies", held)
    if codes := [one for one in series if one.has("usage")]:
        title = f"**Usage over steps** · share of picks{note}"
        draw(title, statistic_panels(codes, "usage", step=cursor, axis=scale), "usages", ("usage",))
    if moving := [one for one in series if one.has("mu2")]:
        title = f"**Mean energy**{_beside_energy(moving)}{note}"
        draw(title, energy(moving, step=cursor, axis=scale), "energy", ("mu2", "band_low", "band_high"))
    if slow := [one for one in series if one.has("persistence")]:
        title = f"**Persistence** · against the prior's and the input's own{note}"
        slopes = ("persistence", "persistence_low", "persistence_high", "phi", "input_persistence")
        draw(title, persistence_over_steps(slow, step=cursor, axis=scale), "persistence", slopes)
    _two_steps(shown, series, step)


def _beside_energy(series: Sequence[NeuronSeries]) -> str:
    """What is drawn beside the energy of these neurons."""
    banded = any(np.isfinite(one.values("band_low")).any() for one in series)
    acted = any(len(one.events) for one in series)
    parts = [word for word, there in (("its band", banded), ("interventions", acted)) if there]
    return f" · {', '.join(parts)}" if parts else ""


def _composed(one: NeuronSeries) -> bool:
    return one.family == "dirichlet"


def _band(series: Sequence[NeuronSeries]) -> str:
    """What the bands of neurons that are no Gaussians are."""
    kinds = {"central 68 %" if one.family in WITH_INTERVALS else "± sd" for one in series}
    return " or ".join(sorted(kinds, reverse=True))


def decomposition(drawn: Drawn, view: step_axis.View, step: int) -> None:
    """KL and its parts over steps, one panel a neuron."""
    axes, note = drawn.axes, reduction(drawn.series, drawn.shown)
    series = [one for one in drawn.series if one.has("kl")]
    if not series:
        st.caption("KL was not recorded of these neurons.")
        return
    known = {name for one in series for name in parts(one)}
    past = any(parts(one)["past"].any() for one in series if "past" in parts(one))
    told = f"KL = information + mismatch{' + past' if past else ''}"
    told = told if "mismatch" in known else "its parts are not known"
    told = "KL and, of it, information" if known == {"information"} else told
    title = f"**KL decomposition** · {told}{note}"
    figure = kl_parts(series, step=view.cursor(step), axis=view.scale)
    _over_steps(series, view, axes, title, figure, "kl", ("kl", "information", "mismatch", "past"))


def reduction(series: Sequence[NeuronSeries], shown: Shown) -> str:
    """What late points of a long run stand for."""
    per_point = neuron_series.steps_per_point(series, shown.all)
    return f" · late points are means of {per_point} recorded steps" if per_point > 1 else ""


def _over_steps(
    series: Sequence[NeuronSeries],
    view: step_axis.View,
    axes: Sequence[StepAxis],
    title: str,
    figure: go.Figure,
    key: str,
    statistics: Sequence[str],
) -> None:
    """A figure of the shown neurons over steps, with the rows of `statistics` to take away."""
    rows = partial(neuron_series.table, series, statistics)
    cards.card(title, figure, key, rows, of="neurons", draw=partial(step_axis.chart, view=view, axes=axes))


def _two_steps(shown: Shown, series: Sequence[NeuronSeries], step: int) -> None:
    """Each neuron's density at the cursor and at an earlier step."""
    kept = [(one, own) for one, own in zip(shown.all, series, strict=True) if not neuron_shapes.is_code(one)]
    if not kept:
        return
    neurons, series = [one for one, _ in kept], [own for _, own in kept]
    names = [one.name for one in series]
    steps = neuron_series.comparison_steps(shown.all[0].context)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            earlier = steps[0]
            title = st.container(width="stretch")
            if len(steps) > 1:
                label = "Earlier step"
                chosen = url.choice(
                    st.select_slider, label, [str(at) for at in steps], "earlier", str(steps[0]), width=260,
                    format_func=lambda at: f"{int(at):,}",
                )  # fmt: skip
                earlier = int(chosen)
            colors = [one.color for one in series]
            ends: list[str]
            if all(one.is_gaussian for one in series):
                before, after = neuron_series.moments(neurons, earlier, step)
                figure = densities(names, before, after, colors)
                rows = partial(neuron_series.moments_table, names, [before, after])
                ends = [neuron_series.steps_of(neurons, group) for group in (before, after)]
                caption = neuron_series.moments_caption([before, after])
            else:
                first, last = neuron_shapes.shapes(neurons, earlier, step)
                figure = family_panels(names, first, last, colors)
                rows = partial(neuron_shapes.table, names, [first, last])
                ends = [neuron_shapes.steps_of(neurons, group) for group in (first, last)]
                caption = neuron_shapes.caption(neurons, last)
            downloads.menu(figure, rows, "neurons at two steps")
        at = list(dict.fromkeys(end for end in ends if end))  # nothing was stored of draws at some steps
        title.markdown(
            f"**Distribution at steps {' and '.join(at)}** · grey: the earlier"
            if len(at) > 1
            else f"**Distribution{''.join(f' at step {one}' for one in at)}**"
        )
        st.caption(caption)
        cards.show(figure, "two_steps")


def forces(shown: Shown, step: int) -> None:
    """The gradient by loss term, at the last stored step up to the cursor."""
    table = neuron_series.forces(shown.all, step)
    if table.empty:
        st.caption("These runs store no gradients by loss term.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        at = " / ".join(f"{one:,}" for one in sorted(table["step"].unique()))
        st.markdown(
            f"**Gradient by loss term at step {at}** · the last stored up to step {step:,}", width="stretch"
        )
        entry = url.choice(
            st.selectbox, "Force", FORCES, "force", FORCES[0],
            format_func=lambda name: STATISTICS[name].label, width=260,
        )  # fmt: skip
        figure = force_balance(table, pins.labels(shown.all), entry)
        downloads.menu(figure, table, "neurons forces")
    st.caption(f"{STATISTICS[entry].meaning} {STATISTICS[entry].caveat}")
    cards.show(figure, "forces")
