"""Forecasts of single probe inputs at several steps, with their bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.shell.data import forecasts
from pages.shell.session import url
from pages.shell.session.runs import RunContext
from pages.shell.widgets import cards, downloads
from probes.figures.forecast_bands import forecast_bands

INPUTS, STEPS = 3, 4  # forecasts below each other and side by side: as many as can be read at once


def show(
    context: RunContext, table: pd.DataFrame, twin: pd.DataFrame | None, at: int, label: str = "twin"
) -> None:
    """Three windows at up to four steps until `at`. `table` and `twin`: as `forecasts.predictions` gives
    them, `label`: what the second is called.
    """
    known, taken = (np.unique(table[name].to_numpy(np.int64)).tolist() for name in ("input", "step"))
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(
                "**Single forecasts** · bands are those of"
                f" {forecasts.law_of_bands(table)} with the mixture's mean and variance",
                width="stretch",
            )
            menu = st.container(width="content")
        left, right = st.columns(2)
        help_text = "At first the calmest, the middle and the most uncertain one of the last step"
        inputs = _choose_numbers(
            left,
            "Probe inputs",
            known,
            "inputs",
            forecasts.typical_inputs(table, INPUTS),
            INPUTS,
            help=help_text,
        )
        steps = _choose_numbers(
            right, "Steps", taken, "steps", [], STEPS, placeholder="from the first step to the cursor"
        )
        steps = sorted(steps) or forecasts.spread_steps(taken, at, STEPS)
        figure = forecast_bands(table, inputs, steps, twin=twin, unit="scaled", label=label)
        with menu:
            shown = table[table["input"].isin(inputs) & table["step"].isin(steps)]
            downloads.menu(figure, shown, f"{context.entry.name} forecasts")
        cards.show(figure, "forecasts")


def _choose_numbers(
    place: Any,
    label: str,
    options: Sequence[int],
    key: str,
    default: list[int],
    at_most: int,
    **settings: Any,
) -> list[int]:
    """A choice of at most `at_most` numbers that lives in the URL under `key`, comma-separated; the default
    stays out of it.
    """
    asked = [item for item in (url.get(key) or "").split(",") if item]
    chosen = [int(item) for item in asked if item.isdecimal() and int(item) in options][:at_most]
    if len(chosen) < len(asked):
        instead = ", ".join(map(str, chosen or default)) or "the default"
        url.unknown(label.lower(), ", ".join(asked), instead)
        url.put(key, ",".join(map(str, chosen)) or None)
    name = f"choose_{key}"
    st.session_state[name] = chosen or default

    def changed() -> None:
        now = st.session_state[name]
        url.put(key, None if now in ([], default) else ",".join(map(str, now)))

    place.multiselect(label, options, key=name, max_selections=at_most, on_change=changed, **settings)
    return chosen or default
