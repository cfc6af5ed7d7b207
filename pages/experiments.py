"""What does this neuron do? Experiments on the run's network, stored with the run."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.shell import frame
from pages.shell.data import experiments
from pages.shell.server import jobs
from pages.shell.session import url
from pages.shell.session.runs import RunError
from pages.shell.widgets import experiment_controls, experiment_views
from probes.analysis import layer_families
from probes.experiments import store
from probes.experiments.kinds import EXPERIMENTS

frame.guard()
context = frame.pick_run()
caption = (
    "What does a neuron do? Experiments replace neurons, damage inputs or feed predictions back, and watch"
    " what changes."
)
frame.header("Experiments", context, caption)
frame.needs_distributions(context)
if (other := frame.compared(context)) is not None:
    st.caption(
        f"Experiments are shown of one run at a time: {url.plain(context.entry.name)}. Choose"
        f" {url.plain(other.entry.name)} under “Run” to see its own."
    )
others = [layer for layer in context.layers if not layer_families.is_gaussian(layer)]
if others:
    named = ", ".join(f"{url.plain(str(one['name']))} ({layer_families.label(one)})" for one in others)
    st.caption(f"Experiments hold, shift and walk Gaussian neurons; left out: {named}.")
with st.sidebar:
    frame.link_to_reference()
path: Path = context.entry.path
manager = jobs.job_manager()
stored = store.stored(path)
sequences = experiments.of_sequences(context.run.config)
offered = [name for name, one in EXPERIMENTS.items() if one.fits(sequences) or name in stored]
unknown = [name for name in stored if name not in EXPERIMENTS]


def title(name: str) -> str:
    """An experiment as the choice shows it, marked if its result is there."""
    known = EXPERIMENTS.get(name)
    return f"{known.title if known else url.plain(name)}{' :material/check:' if name in stored else ''}"


first = next((name for name in offered if name in stored), "ablation")
name = url.choice(
    st.segmented_control, "Experiment", [*offered, *unknown], "experiment", first, required=True,
    format_func=title,
    label_visibility="collapsed",
)  # fmt: skip
status = manager.status(path, name)
experiment = EXPERIMENTS.get(name)
with st.container(border=experiment is not None):
    if experiment is not None:
        st.markdown(f"**{experiment.title}** · {experiment.question}")
    if status.state == "running":
        experiment_controls.progress(path, name)
    elif experiment is not None:
        experiment_controls.form(context, name, again=name in stored)
    if status.message and status.state != "running":
        st.warning(url.plain(status.message))
if name not in stored:
    if status.state != "running":
        here = (
            f": start it here, or with `python -m vdn probe RUN {name.replace('`', '')}`. Results stay with"
            " the run."
        )
        st.info(
            f"Nothing is stored of this experiment yet{'.' if experiment_controls.why_not(context) else here}"
        )
    st.stop()
try:
    result = experiments.load(path, name)
except (RunError, FileNotFoundError) as error:
    st.error(url.plain(error))
    st.stop()
st.caption(experiments.settings_in_words(result.settings))
view = experiment_views.VIEWS.get(str(result.settings.get("experiment", name)))
if view is None:
    st.info(
        f"There are no figures for this kind of experiment; its tables are in `experiments/{name}` of the"
        " run's folder."
    )
    st.stop()
try:
    view(result, context)
except (KeyError, IndexError, ValueError) as error:
    st.error(
        f"This result cannot be drawn ({url.plain(error)}): it is of another network or another version. Run"
        " it again."
    )
