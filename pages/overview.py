"""Is this run healthy?"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages.shell import (
    alert_list,
    axes,
    components,
    downloads,
    figures,
    live,
    moves,
    page_frame,
    reading,
    state,
    summary_cards,
    told,
    url,
    views,
)
from probes import regimes
from probes.analysis.network_curves import network_curves
from probes.figures import regime_counts, scalar_curves
from probes.figures.event_timeline import event_timeline
from probes.figures.thinning import said
from probes.schema import REGIMES, STATISTICS

EXPLAINED = ("mean", "variance", "spread", "kl", "information", "persistence")
ALERTS_HEIGHT = 420  # pixels: about as high as the map beside them
OBJECTIVE = ("loss", "nll", "nll_joint")

page_frame.guard()
opened = page_frame.pick_run()
step = state.cursor(opened)
page_frame.header(
    "Overview",
    opened,
    "Is this run healthy? What every neuron does at the cursor, and how the network came there.",
    step,
)
page_frame.needs_steps(opened)
with st.sidebar:
    view = axes.choose([opened])
    page_frame.link_to_reference()
axis, mark = view.axis(opened), view.mark(step)
over_steps = partial(axes.chart, view=view, axes=[axis])


def cards(run: Any) -> None:
    """Scores and state of the network at the cursor, or at the newest step of a run that is being written."""
    at = step if url.get("step") or not len(run.steps) else int(run.steps[-1])
    items = summary_cards.score_cards(run.scalars(), at)
    if state.has_distributions(opened):
        widths = [layer["neurons"] for layer in opened.layers]
        followed = live.is_live(opened)
        curves = (
            network_curves(run.layer_summary(), widths)
            if followed
            else reading.curves(opened.stamp, opened.run)
        )
        items += summary_cards.layer_cards(curves, at, state.is_shared(opened))
    components.cards(items, key="overview_cards")


def moved() -> None:
    """The map's cursor rests."""
    rest(int(st.session_state["regime_map"]["cursor"]))


def looked_at() -> tuple[str | None, ...]:
    """What the map shows besides the regimes: the cursor and the chosen neuron, of the run."""
    return url.get("run"), url.get("step"), url.get("neurons")


def rest(at: int) -> None:
    """Remember the cursor's step; the last one is the default and stays out of the URL."""
    url.put("step", None if at == int(opened.run.steps[-1]) else at)
    told.report("regime_map", looked_at())


def picked() -> None:
    """A tile was clicked: that neuron is explained, here and on the other pages."""
    pick = st.session_state["regime_map"]["pick"]
    if pick.get("step") is not None:
        rest(int(pick["step"]))
    url.put("neurons", f"{int(pick['layer'])}.{int(pick['neuron'])}")
    told.report("regime_map", looked_at())


def explanation(neuron: tuple[int, int] | None) -> None:
    """The chosen neuron's regime: rule, values, reading, advice."""
    if neuron is None:
        st.caption(
            "Click a tile: that neuron's regime is explained here, with the rule and the numbers behind it."
        )
        return
    now = reading.at(opened.stamp, opened.run, step)
    rows = now[(now["layer"] == neuron[0]) & (now["neuron"] == neuron[1])]
    name = f"**{url.plain(opened.names[neuron[0]])} · neuron {neuron[1]}** at step {step:,}"
    if rows.empty:
        st.markdown(f"{name}: this layer was not recorded at this step.")
        return
    row = rows.iloc[0]
    regime = next(r for r in REGIMES if r.code == int(row["regime"]))
    values = " · ".join(
        f"{STATISTICS[s].label} **{views.number(float(row[s]), 3)}** {STATISTICS[s].unit}"
        for s in EXPLAINED
        if s in row.index
    )
    with st.container(gap="xsmall"):
        st.markdown(
            f"{name} is {url.plain(regimes.explain(row, latent_dim=opened.layers[neuron[0]]['latent_dim']))}."
        )
        st.caption(f"{regime.reading[0].upper()}{regime.reading[1:]}. What to do: {regime.advice}.")
        st.caption(values)


def interventions() -> None:
    """What the control laws did, beside what went wrong."""
    events, alerts = view.cut(opened.run.events()), view.cut(reading.alerts(opened.stamp, opened.run))
    if events.empty:
        none = (
            "None: no control law acted in this run (`--control homeostasis` keeps neurons alive), nor was"
            " one recorded."
        )
        with st.container(border=True):
            st.markdown("**Interventions**")
            st.caption(
                none if view.span == view.ends else f"None between steps {view.first:,} and {view.last:,}."
            )
        return
    figure = event_timeline(events, opened.names, view.span, alerts=alerts, step=mark, axis=axis)
    title = f"**Interventions** · {len(events):,} recorded, coloured by layer"
    figures.card(title, figure, "interventions", events, draw=over_steps)


def regime_rows() -> pd.DataFrame:
    """How many neurons of each layer are in each regime, at every recorded step."""
    return reading.summary(opened.stamp, opened.run).filter(regex=r"^(step|layer|regime_\d)$")


def distributions() -> None:
    """What needs recorded neurons: the map with its explanation, the counts."""
    chosen = state.chosen_neuron(opened)
    wide, narrow = st.columns([3, 1], gap="small")
    with wide, st.container(border=True):
        st.markdown(
            "**Regime of every neuron** · one tile a neuron; drag the cursor through the run, click to"
            " explain"
        )
        count, (cursor, marked) = told.tell(
            "regime_map", looked_at(), (step if url.get("step") else None, chosen)
        )
        components.regimes(views.regimes_payload(opened, marked, cursor, count), "regime_map", moved, picked)
        held = len(reading.regime_frames(opened.stamp, opened.run, views.regimes_held(opened))[1])
        recorded = len(opened.run.steps)
        if held < recorded:
            st.caption(
                f"The map holds {held:,} of {recorded:,} recorded steps, closer to each other at the start."
            )
        explanation(chosen)
    many = len(reading.alerts(opened.stamp, opened.run)) > 2
    with narrow, st.container(border=True, height=ALERTS_HEIGHT if many else "content"):
        alert_list.show(opened)
    drawn, together = reading.drawn_summary(opened.stamp, opened.run, view.span)
    figure = regime_counts(drawn, opened.names, step=mark, axis=axis)
    title = f"**Regimes over steps** · share of each layer's neurons{said(together, bands=False)}"
    figures.card(title, figure, "regime counts", regime_rows, draw=over_steps)
    with st.container(border=True):
        moves.panel(opened, step, view)
    interventions()


live.growing(opened, cards)
if state.has_distributions(opened):
    distributions()
else:
    page_frame.say_no_distributions()
curves = opened.run.scalars()
curves = curves[curves["split"].isin(("train", "validation"))]
if curves["name"].isin(OBJECTIVE).any():
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown(
                "**Objective** · loss in training, negative log likelihood in training and validation",
                width="stretch",
            )
            half_life = axes.smoothing()
            unit = "as the training loop logs it" if "watch" in opened.run.config else "nats per prediction"
            figure = scalar_curves(
                view.cut(curves), OBJECTIVE, title=unit, step=mark, axis=axis, half_life=half_life
            )
            downloads.beside(figure, curves, "objective")
        over_steps(figure, "objective")
