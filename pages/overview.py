"""Is this run healthy?"""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from pages.shell import frame
from pages.shell.data import payloads, summary_cards
from pages.shell.session import cache, canvas_sync, live, state, url
from pages.shell.widgets import alert_list, canvases, cards, downloads, step_axis, transitions
from probes import regimes
from probes.analysis.layer_quantiles import summary_with_derived
from probes.analysis.network_curves import network_curves
from probes.figures import regime_counts, scalar_curves
from probes.figures.downsampling import downsampling_note
from probes.figures.event_timeline import event_timeline
from probes.run_reader import RunReader
from probes.schema import OBJECTIVE, REGIMES, STATISTICS

EXPLAINED = ("mean", "variance", "spread", "kl", "information", "persistence")
ALERTS_HEIGHT = 420  # pixels: about as high as the map beside them

frame.guard()
context = frame.pick_run()
frame.header(
    "Overview",
    context,
    "Is this run healthy? What every neuron does at the cursor, and how the network came there.",
    state.cursor(context),
)
step = frame.needs_steps(context)
with st.sidebar:
    view = step_axis.choose([context])
    frame.link_to_reference()
axis, mark = view.axis(context), view.mark(step)
over_steps = partial(step_axis.chart, view=view, axes=[axis])


def draw_cards(run: RunReader) -> None:
    """Scores and state of the network at the cursor, or at the newest step of a run that is being written."""
    at = step if url.get("step") or not len(run.steps) else int(run.steps[-1])
    items = summary_cards.score_cards(run.scalars(), at)
    if state.has_distributions(context):
        widths = [layer["neurons"] for layer in context.layers]
        followed = live.is_live(context)
        curves = (
            network_curves(summary_with_derived(run, ["contraction"]), widths)
            if followed
            else cache.curves(context.stamp, context.run)
        )
        items += summary_cards.layer_cards(curves, at, state.is_shared(context))
    canvases.cards(items, key="overview_cards")


def moved() -> None:
    """The map's cursor rests."""
    rest(int(st.session_state["regime_map"]["cursor"]))


def looked_at() -> tuple[str | None, ...]:
    """What the map shows besides the regimes: the cursor and the chosen neuron, of the run."""
    return url.get("run"), url.get("step"), url.get("neurons")


def rest(at: int) -> None:
    """Remember the cursor's step; the last one is the default and stays out of the URL."""
    url.put("step", None if at == int(context.run.steps[-1]) else at)
    canvas_sync.report("regime_map", looked_at())


def picked() -> None:
    """A tile was clicked: that neuron is explained, here and on the other pages."""
    pick = st.session_state["regime_map"]["pick"]
    if pick.get("step") is not None:
        rest(int(pick["step"]))
    url.put("neurons", f"{int(pick['layer'])}.{int(pick['neuron'])}")
    canvas_sync.report("regime_map", looked_at())


def explanation(neuron: tuple[int, int] | None) -> None:
    """The chosen neuron's regime: rule, values, reading, advice."""
    if neuron is None:
        st.caption(
            "Click a tile: that neuron's regime is explained here, with the rule and the numbers behind it."
        )
        return
    now = cache.at(context.stamp, context.run, step)
    rows = now[(now["layer"] == neuron[0]) & (now["neuron"] == neuron[1])]
    name = f"**{url.plain(context.names[neuron[0]])} · neuron {neuron[1]}** at step {step:,}"
    if rows.empty:
        st.markdown(f"{name}: this layer was not recorded at this step.")
        return
    row = rows.iloc[0]
    regime = next(r for r in REGIMES if r.code == int(row["regime"]))
    values = " · ".join(
        f"{STATISTICS[s].label} **{payloads.number(float(row[s]), 3)}** {STATISTICS[s].unit}"
        for s in EXPLAINED
        if s in row.index
    )
    why = regimes.explain(row, latent_dim=context.layers[neuron[0]]["latent_dim"])
    with st.container(gap="xsmall"):
        st.markdown(f"{name} is {url.plain(why)}.")
        st.caption(f"{regime.reading[0].upper()}{regime.reading[1:]}. What to do: {regime.advice}.")
        st.caption(values)


def interventions() -> None:
    """What the control laws did, beside what went wrong."""
    events, alerts = view.cut(context.run.events()), view.cut(cache.alerts(context.stamp, context.run))
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
    figure = event_timeline(events, context.names, view.span, alerts=alerts, step=mark, axis=axis)
    title = f"**Interventions** · {len(events):,} recorded, coloured by layer"
    cards.card(title, figure, "interventions", events, draw=over_steps)


def regime_rows() -> pd.DataFrame:
    """How many neurons of each layer are in each regime, at every recorded step."""
    return cache.summary(context.stamp, context.run).filter(regex=r"^(step|layer|regime_\d)$")


def distributions() -> None:
    """What needs recorded neurons: the map with its explanation, the counts."""
    chosen = state.chosen_neuron(context)
    wide, narrow = st.columns([3, 1], gap="small")
    with wide, st.container(border=True):
        st.markdown(
            "**Regime of every neuron** · one tile a neuron; drag the cursor through the run, click to"
            " explain"
        )
        count, (cursor, marked) = canvas_sync.tell(
            "regime_map", looked_at(), (step if url.get("step") else None, chosen)
        )
        canvases.regimes(
            payloads.regimes_payload(context, marked, cursor, count), "regime_map", moved, picked
        )
        held = len(cache.regime_frames(context.stamp, context.run, payloads.regimes_held(context))[1])
        recorded = len(context.run.steps)
        if held < recorded:
            st.caption(
                f"The map holds {held:,} of {recorded:,} recorded steps, closer to each other at the start."
            )
        explanation(chosen)
    many = len(cache.alerts(context.stamp, context.run)) > 2
    with narrow, st.container(border=True, height=ALERTS_HEIGHT if many else "content"):
        alert_list.show(context)
    drawn, together = cache.drawn_summary(context.stamp, context.run, view.span)
    figure = regime_counts(drawn, context.names, step=mark, axis=axis)
    note = downsampling_note(together, bands=False)
    title = f"**Regimes over steps** · share of each layer's neurons{note}"
    cards.card(title, figure, "regime counts", regime_rows, draw=over_steps)
    with st.container(border=True):
        transitions.panel(context, step, view)
    interventions()


live.growing(context, draw_cards)
if state.has_distributions(context):
    distributions()
else:
    frame.say_no_distributions()
curves = context.run.scalars()
curves = curves[curves["split"].isin(("train", "validation"))]
if curves["name"].isin(OBJECTIVE).any():
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown(
                "**Objective** · loss in training, negative log likelihood in training and validation",
                width="stretch",
            )
            half_life = step_axis.smoothing()
            unit = "as the training loop logs it" if "watch" in context.run.config else "nats per prediction"
            figure = scalar_curves(
                view.cut(curves), OBJECTIVE, title=unit, step=mark, axis=axis, half_life=half_life
            )
            downloads.beside(figure, curves, "objective")
        over_steps(figure, "objective")
