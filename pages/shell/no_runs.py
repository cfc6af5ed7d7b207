"""What a dashboard without runs shows: where it looked, and three ways of making a run, as code to copy."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import streamlit as st

from pages.shell.session import options

WATCH = """\
import probes

# your own model and loop: two lines around them, one after each step
with probes.watch(model, {run}) as recording:
    for step, batch in enumerate(loader):
        loss = train_step(model, batch)
        recording.step(step, loss=loss)
"""
LIGHTNING = """\
from lightning import Trainer
from probes.integrations.lightning import Watch

trainer = Trainer(max_epochs=10, callbacks=[Watch({run}, every=10)])
trainer.fit(model, loader)
"""
RECORDER = """\
import numpy as np
import probes

# any framework: means and variances of the posteriors of 16 neurons, as numpy arrays
with probes.Recorder({run}, [{{"name": "latent", "neurons": 16}}]) as recorder:
    for step in range(100):
        mean, variance = np.zeros(16), np.full(16, 0.99**step)
        kl = (mean**2 + variance - 1 - np.log(variance)) / 2
        recorder.record(step, "latent", mean=mean, variance=variance, kl=kl)
        recorder.scalar(step, "loss", kl.sum())
"""
WAYS = {"PyTorch": WATCH, "Lightning": LIGHTNING, "Any loop, with numpy": RECORDER}


def show() -> None:
    """Draw it. The code names the first folder that is looked in."""
    folders = options.run_folders()
    st.subheader("No run yet")
    st.markdown(
        f"Looked in {', '.join(map(_quoted, folders))}. A run is a folder with a `run.json` in it. Write one"
        " there in one of three ways, then reload this page; it can be looked at while it is written."
    )
    for tab, code in zip(st.tabs(list(WAYS)), WAYS.values(), strict=True):
        tab.code(code.format(run=_literal(folders[0] / "my-run")), language="python")
    st.markdown(
        "Or train a network of distributional neurons on a year of weather, or look at a run that is there:"
    )
    st.code(
        f"python -m vdn train --data nyc --runs {_word(folders[0])}\npython -m probes ui --demo",
        language="bash",
    )


def _literal(path: Path) -> str:
    """A path as text of a program."""
    return json.dumps(str(path), ensure_ascii=False)


def _quoted(folder: Path) -> str:
    return f"`{str(folder).replace('`', '')}`"


def _word(folder: Path) -> str:
    """A path as a word of a shell's command line."""
    return shlex.quote(str(folder))
