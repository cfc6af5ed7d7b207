"""Stored experiments as figures: one function a kind, from the tables that the experiment has left with the
run.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.shell.data import experiments
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import continuations, held_neurons, selected_neuron
from pages.shell.widgets.cards import card
from probes.experiments import store
from probes.figures import ablation, dose_response, risk_coverage, rollout, traversal
from probes.figures.decoded_images import decoded_images
from probes.neuron_names import full_name, neuron_name
from probes.schema import STATISTICS

UNCERTAINTIES = tuple(dose_response.UNCERTAINTY_UNITS)


def _pick(label: str, choices: list[str], key: str, names: Callable[[str], str] = str) -> str:
    shown = lambda value: url.plain(names(value))  # noqa: E731 - a label, of which Streamlit reads markdown
    return str(
        st.segmented_control(label, choices, default=choices[0], required=True, key=key, format_func=shown)
    )


def show_ablation(result: store.Result, context: RunContext) -> None:
    """Effects, what predicts them, and how far that could be told from their noise."""
    effects, neurons, layers = result.tables["effects"], result.tables["neurons"], context.names
    with st.container(horizontal=True):
        score = _pick("Score", list(dict.fromkeys(effects["score"])), "ablation_score", ablation.score_label)
        mode = _pick(
            "The neuron is",
            list(dict.fromkeys(effects["mode"])),
            "ablation_mode",
            lambda m: ablation.MODES.get(m, m),
        )
        offered = [name for name in ("kl", "information", "spread", "contraction") if name in neurons]
        statistic = _pick("Against", offered, "ablation_statistic", lambda name: STATISTICS[name].label)
    left, right = st.columns(2, gap="small")
    with left:
        title = "**Who is needed?** · above 0: worse without it"
        figure = ablation.ablation_effects(effects, score, mode, layers)
        card(title, figure, "ablation_effects", effects, draw=selected_neuron.chart)
    with right:
        figure = ablation.ablation_prediction(effects, neurons, statistic, score, mode, layers)
        card(
            f"**Would {STATISTICS[statistic].label} have told?** · one dot a neuron",
            figure,
            "ablation_prediction",
            neurons,
            draw=selected_neuron.chart,
        )
    selected_neuron.actions(context, "ablated")
    predictors, reliability = result.tables["predictors"], result.tables["reliability"]
    part = reliability[(reliability["score"] == score) & (reliability["mode"] == mode)].sort_values("layer")
    figure = ablation.ablation_predictors(predictors, score, mode, layers)
    card(
        "**Does a statistic rank neurons as their silence does?** · 95 % intervals",
        figure,
        "ablation_predictors",
        predictors,
        note="Of the regime: the share of the ranks' variance that it tells.",
    )
    shares = "; ".join(
        f"{url.plain(layers[layer])}: {'not told' if share != share else format(share, '.2f')}"
        for layer, share in zip(part["layer"].tolist(), part["reliability"].tolist(), strict=True)
        if layer >= 0
    )
    if shares:
        st.caption(
            "How far the effects repeat on as many other inputs, as a rank correlation (from two halves):"
            f" {shares}. Their square roots are the most that a statistic can be seen to reach in this"
            " figure."
        )


def show_traversal(result: store.Result, context: RunContext) -> None:
    """One neuron on one input: the whole prediction, and one output of it; of a sequence at one position."""
    if "felt" in result.tables:
        held_neurons.show(result, context)
        return
    curves, posteriors, layers = result.tables["curves"], result.tables["posteriors"], context.names
    walked = list(dict.fromkeys(zip(curves["layer"].tolist(), curves["neuron"].tolist(), strict=True)))
    moved = experiments.traversal_strength(curves)
    walked.sort(key=lambda item: -moved[item])
    with st.container(horizontal=True):
        label = lambda item: f"{full_name(item[0], item[1], layers[item[0]])} (moves it by {moved[item]:.2g})"  # noqa: E731 - a label
        layer, neuron = st.selectbox("Neuron", walked, format_func=label, key="traversal_neuron")
        index = st.selectbox(
            "Input", sorted(curves["input"].unique().tolist()), key="traversal_input", width=110
        )
        outputs = sorted(curves["output"].unique().tolist())
        # Of an image the pixel that moves most: its corner never does.
        first = (
            outputs.index(experiments.most_moved_output(curves, layer, neuron))
            if "image" in result.settings
            else 0
        )
        output = st.selectbox(
            "Output", outputs, first, format_func=lambda o: f"{o + 1}", key="traversal_output", width=110
        )
    with st.container(horizontal=True):
        selected_neuron.buttons(context, layer, neuron, "walked")
    targets = result.tables.get("targets")
    match result.settings.get("image"):
        case [int(height), int(width)]:
            figure = traversal.traversal_images(curves, layer, neuron, index, (height, width))
            card(
                "**The prediction as an image, at seven values of the neuron**",
                figure,
                "traversal_images",
                curves,
            )
    left, right = st.columns(2, gap="small")
    with left:
        figure = traversal.traversal_curves(
            curves, layer, neuron, index, targets=targets, output="output (t ahead, or class)"
        )
        card("**The prediction at seven values of the neuron**", figure, "traversal_curves", curves)
    with right:
        figure = traversal.traversal_response(curves, posteriors, layer, neuron, index, output=output)
        card(f"**Output {output + 1} against the neuron's value**", figure, "traversal_response", curves)


def show_shift(result: store.Result, context: RunContext) -> None:
    """Scores and uncertainties against the dose, detection, and the neurons' statistics."""
    responses, detection, neurons = (result.tables[name] for name in ("responses", "detection", "neurons"))
    quantities = list(dict.fromkeys(responses["quantity"]))
    scores = [name for name in quantities if name not in UNCERTAINTIES]
    unsure = [name for name in UNCERTAINTIES if name in quantities]
    card(
        "**Scores and uncertainties against the dose**",
        dose_response.dose_response(responses, scores + unsure),
        "dose",
        responses,
        several=len(scores + unsure),
    )
    figure = dose_response.dose_detection(detection, unsure)
    card(
        "**Damaged or clean?** · 0.5 is chance, below it the quantity misleads",
        figure,
        "dose_detection",
        detection,
        several=detection["kind"].nunique(),
    )
    offered = [name for name in STATISTICS if name in neurons]
    statistic = st.selectbox(
        "Statistic",
        offered,
        format_func=lambda name: STATISTICS[name].label,
        key="dose_statistic",
        index=offered.index("kl") if "kl" in offered else 0,
        width=260,
    )
    figure = dose_response.dose_neurons(neurons, statistic, context.names)
    card(
        f"**{STATISTICS[statistic].label} of the neurons against the dose** · median and middle half",
        figure,
        "dose_neurons",
        neurons,
        several=neurons["kind"].nunique(),
    )


def show_risk_coverage(result: store.Result, context: RunContext) -> None:
    """Risk against coverage, and by how much each uncertainty beats the output variance."""
    curves, areas = result.tables["curves"], result.tables["areas"]
    error = _pick("Error", list(dict.fromkeys(curves["error"])), "risk_error", ablation.score_label)
    figure = risk_coverage.risk_coverage(curves, areas, error)
    note = (
        "lower is better; in brackets 95 % intervals; the axis fits"
        f" {100 * risk_coverage.FEW:g} % of the inputs and more"
    )
    card(f"**Error of the inputs that are kept** · {note}", figure, "risk_coverage", curves)
    part = areas[areas["error"] == error].drop(columns="error").round(4)
    labels = {
        "value": "AURC", "low": "AURC from", "high": "AURC to", "gain": "gain over output variance",
        "gain_low": "gain from",
        "gain_high": "gain to", "mean": "dropped at random",
    }  # fmt: skip
    alt = "Area under the risk-coverage curve for each uncertainty, with its gain over the output variance"
    st.dataframe(part.rename(columns=labels), hide_index=True, width="stretch", alt=alt)


def show_rollout(result: store.Result, context: RunContext) -> None:
    """Continuations of one window, and the uncertainties along t."""
    forecasts, starts = result.tables["forecasts"], result.tables["starts"]
    columns = [starts[name].tolist() for name in ("start", "series", "origin")]
    names = {int(start): f"{series}, row {row:,}" for start, series, row in zip(*columns, strict=True)}
    start = st.selectbox("Window", list(names), format_func=names.__getitem__, key="rollout_start", width=320)
    trajectories = result.settings.get("trajectories")
    figure = rollout.rollout_forecast(
        forecasts, start, trajectories=trajectories if isinstance(trajectories, int) else None
    )
    note = "bands of sampled trajectories, at each t for itself; in brackets where 95 % of such bands lie"
    card(f"**The series that it continues on its own** · {note}", figure, "rollout_forecast", forecasts)
    uncertainty = result.tables["uncertainty"]
    figure = rollout.rollout_uncertainty(uncertainty)
    card(
        "**How unsure it is along t** · means over the windows",
        figure,
        "rollout_uncertainty",
        uncertainty,
        several=2,
    )


def show_decoded(result: store.Result, context: RunContext) -> None:
    """What a decoder makes of each neuron of a layer over its prior."""
    contents, layers = result.tables["contents"], context.names
    contents = contents[contents["kind"] == "image"]
    held = sorted(set(contents["layer"].tolist()))
    if not held:
        st.info("The decoder put out no images. Its numbers are in the run: `experiments/decoded`.")
        return
    layer = held[0] if len(held) == 1 else held[[layers[i] for i in held].index(
        _pick("Layer", [layers[i] for i in held], "decoded_layer"))]  # fmt: skip
    neurons = sorted(set(contents.loc[contents["layer"] == layer, "neuron"].tolist()))
    names = {(layer, neuron): neuron_name(layer, neuron) for neuron in neurons}
    whose = url.plain(layers[layer])
    title = f"**Decoded traversal of {whose}** · one row a neuron, the others at one input's means"
    card(
        title,
        decoded_images(contents, names, "Each neuron from -3 to 3 prior sds, decoded"),
        "decoded",
        contents,
    )


VIEWS: dict[str, Callable[[store.Result, RunContext], None]] = {
    "ablation": show_ablation,
    "traversal": show_traversal,
    "shift": show_shift,
    "risk-coverage": show_risk_coverage,
    "rollout": show_rollout,
    "generation": lambda result, context: continuations.draw(context, result),
    store.DECODED: show_decoded,
}
