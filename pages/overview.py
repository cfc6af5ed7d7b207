"""Is this run healthy?"""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.shell import components, reading, state, url, views
from probes import regimes
from probes.figures import regime_counts, scalar_curves
from probes.schema import REGIMES, STATISTICS

state.guard()
opened = state.pick_run()
state.needs_distributions(opened)
step = state.cursor(opened)
if step is None:
    st.info("Nothing is recorded in this run yet.")
    st.stop()
asked = step if url.get("step") else None
place = int(np.searchsorted(np.asarray(opened.run.steps), step))
with st.sidebar:
    axis = url.choice(st.segmented_control, "Step axis", ("linear", "log"), "axis", "linear", required=True)

state.header("Overview", opened, "Is this run healthy? What every neuron does at the cursor, and how it came there.", step)


def scalar_card(name: str, label: str, unit: str) -> list[dict]:
    """A card of a scalar's last value on the validation split, if the run has one."""
    table = opened.run.scalars()
    part = table[(table["name"] == name) & (table["split"] == "validation") & (table["step"] <= step)]
    if part.empty:
        return []
    values = part["value"].to_numpy(float)
    return [{"label": label, "value": views.number(values[-1]), "unit": unit, "note": "validation", "spark": views.spark(values)}]


def layer_cards() -> list[dict]:
    """Cards of what the layers hold together, at the cursor."""
    widths = np.array([layer["neurons"] for layer in opened.layers])[:, None]
    living = (views.living_share(opened) * widths).sum(axis=0) / widths.sum()
    out = [{"label": "Living neurons", "value": f"{100 * living[place]:.0f}", "unit": "%", "note": "living or mixed", "spark": views.spark(living),
            "bad": bool(living[place] < 0.5)}]  # fmt: skip
    for name, label, note in (("kl", "Rate", "sum of KL per example"), ("information", "Information", "sum over neurons")):
        total = (views.per_layer(opened, f"{name}_mean") * widths).sum(axis=0)
        entry = STATISTICS[name]
        if np.isfinite(total).any():
            out.append({"label": label, "value": views.number(total[place]), "unit": entry.unit, "note": note,
                        "help": entry.caveat, "spark": views.spark(total)})  # fmt: skip
    contraction = 1 - (views.per_layer(opened, "variance_mean") * widths).sum(axis=0) / widths.sum()
    out.append({"label": "Contraction", "value": views.number(contraction[place]), "unit": "", "note": "mean; 0 prior, 1 point",
                "help": STATISTICS["contraction"].meaning, "spark": views.spark(contraction)})  # fmt: skip
    return out


components.cards(
    scalar_card("nll", "NLL", "nats") + scalar_card("crps", "CRPS", "scaled units") + layer_cards(), key="overview_cards"
)


def moved() -> None:
    """The map's cursor rests."""
    at = int(st.session_state["regime_map"]["cursor"])
    url.put("step", None if at == int(opened.run.steps[-1]) else at)


def picked() -> None:
    """A tile was clicked: that neuron is explained, here and on the other pages."""
    pick = st.session_state["regime_map"]["pick"]
    url.put("neurons", f"{int(pick['layer'])}.{int(pick['neuron'])}")


def chosen_neuron() -> tuple[int, int] | None:
    """The neuron that is explained: the first of `neurons` in the URL."""
    layer, _, neuron = (url.get("neurons") or "").split(",")[0].partition(".")
    if not (layer.isdecimal() and neuron.isdecimal()):
        return None
    if int(layer) >= len(opened.names) or int(neuron) >= opened.layers[int(layer)]["neurons"]:
        url.unknown("neuron", f"{layer}.{neuron}", "none")
        url.put("neurons", None)
        return None
    return int(layer), int(neuron)


def explanation(neuron: tuple[int, int] | None) -> None:
    """The chosen neuron's regime in a sentence: rule, values, reading, advice."""
    if neuron is None:
        st.markdown("**No neuron chosen**")
        st.caption("Click a tile of the map: its regime is explained here, with the rule and the numbers behind it.")
        return
    now = reading.at(opened.stamp, opened.run, step)
    row = now[(now["layer"] == neuron[0]) & (now["neuron"] == neuron[1])].iloc[0]
    regime = next(r for r in REGIMES if r.code == int(row["regime"]))
    st.markdown(f"**{url.plain(opened.names[neuron[0]])} · neuron {neuron[1]}** at step {step:,}")
    st.markdown(f"{url.plain(regimes.explain(row))}")
    st.caption(f"{regime.name}: {regime.reading}. {regime.advice[0].upper()}{regime.advice[1:]}.")
    shown = [s for s in ("mean", "variance", "spread", "kl", "information", "persistence") if s in row.index]
    lines = "\n".join(f"| {STATISTICS[s].label} | {views.number(float(row[s]), 4)} | {STATISTICS[s].unit} |" for s in shown)
    st.markdown(f"| statistic | value | unit |\n|:--|--:|:--|\n{lines}")


chosen = chosen_neuron()
wide, narrow = st.columns([2.3, 1], gap="medium")
with wide, st.container(border=True):
    st.markdown("**Regime of every neuron** · one tile a neuron, drag the cursor through the run")
    components.regimes(views.regimes_payload(opened, chosen, asked), "regime_map", moved, picked)
with narrow:
    with st.container(border=True):
        explanation(chosen)
    with st.container(border=True):
        st.markdown("**Alerts**")
        st.caption(
            "Nothing to report."
            if opened.run.status != "crashed"
            else "The run stopped without saying so; all that it had written is shown."
        )

with st.container(border=True):
    st.markdown("**Regimes over steps** · share of each layer's neurons")
    figure = regime_counts(reading.summary(opened.stamp, opened.run), opened.names, step=step, axis=axis)
    st.plotly_chart(figure, key="regime_counts", width="stretch", alt=figure.layout.meta["alt"], config={"displaylogo": False})

curves = opened.run.scalars()
for names, title in ((["loss", "nll"], "nats per prediction"),):
    if curves["name"].isin(names).any():
        with st.container(border=True):
            st.markdown("**Objective** · over steps")
            figure = scalar_curves(curves, names, title=title, step=step, axis=axis)
            st.plotly_chart(
                figure, key="objective", width="stretch", alt=figure.layout.meta["alt"], config={"displaylogo": False}
            )
