"""Pinned neurons of any runs, in the sidebar of every page and in the URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from pages.shell.session import pin_sets, runs, state, url
from pages.shell.session.runs import RunContext
from pages.shell.session.url import Pin
from probes.neuron_names import full_name, neuron_name

PLOTTED = 8
"""Neurons that figures draw side by side; more may be pinned."""

LONGEST_RUN = 18  # characters of a run's name in the sidebar and over panels; they show no more
_KEY = "tray"


@dataclass(frozen=True)
class Pinned:
    """A pinned neuron with the run it is of."""

    pin: Pin
    context: RunContext

    @property
    def layer_name(self) -> str:
        return self.context.names[self.pin.layer]

    @property
    def name(self) -> str:
        """`run/layer:neuron`, as people write it."""
        return f"{self.pin.run}/{self.own_name}"

    @property
    def own_name(self) -> str:
        """`layer:neuron`, within its run."""
        return neuron_name(*self.pin[1:])

    @property
    def full_name(self) -> str:
        """Within its run, with its layer's name where that says more than the number."""
        return full_name(*self.pin[1:], self.layer_name)

    @property
    def latent_dim(self) -> int:
        return int(self.context.layers[self.pin.layer].get("latent_dim", 1))

    @property
    def run_name(self) -> str:
        """The run's name, with its middle left out if it is long."""
        run = self.pin.run
        return run if len(run) <= LONGEST_RUN else f"{run[: LONGEST_RUN // 2]}…{run[-LONGEST_RUN // 2 + 1 :]}"

    def short(self, shown: str) -> str:
        """Without the run where that is the one shown, else with as much of its name as tells it apart."""
        return self.own_name if self.pin.run == shown else f"{self.run_name}/{self.own_name}"

    def label(self, shown: str) -> str:
        """What the sidebar shows, the run last: a narrow chip cuts what comes last."""
        return self.full_name if self.pin.run == shown else f"{self.own_name} · {self.run_name}"


def resolve(pins: Sequence[Pin], context: RunContext) -> list[Pinned]:
    """The pins that exist, with their runs, in order."""
    contexts: dict[str, RunContext | None] = {context.entry.name: context}
    found = []
    for pin in pins:
        if pin.run not in contexts:
            contexts[pin.run] = runs.another_run(pin.run)
        run = contexts[pin.run]
        if run is not None and state.exists(run, pin.layer, pin.neuron):
            found.append(Pinned(pin, run))
    return found


def labels(shown: Sequence[Pinned]) -> list[str]:
    """Names for panels, all different: without the run where all are of one."""
    one = len({neuron.pin.run for neuron in shown}) == 1
    names = [neuron.short(neuron.pin.run if one else "") for neuron in shown]
    return names if len(set(names)) == len(names) else [neuron.name for neuron in shown]


def show(context: RunContext, entries: Mapping[str, runs.Entry]) -> None:
    """The list of pinned neurons, if there are any. Pins that name nothing are reported and left out.

    entries: all runs, which may hold sets.
    """
    pins = url.pins()
    found = resolve(pins, context)
    if len(found) < len(pins) or url.unread_pins():
        missing = [
            f"{pin.run}/{neuron_name(*pin[1:])}" for pin in pins if pin not in [one.pin for one in found]
        ]
        names = url.plain(", ".join([*missing, *url.unread_pins()]))
        st.warning(f"The link pins neurons that are in no run here; they are left out: {names}.")
    url.put_pins(one.pin for one in found)
    if not found:
        pin_sets.show(context, entries)
        return
    labels = {one.pin: one.label(context.entry.name) for one in found}
    st.session_state[_KEY] = list(labels)
    with st.sidebar, st.container(gap="xsmall"):
        st.multiselect(
            "Pinned neurons",
            list(labels),
            key=_KEY,
            format_func=labels.__getitem__,
            on_change=_removed,
            help=(
                "Named layer:neuron, layers counted from 1. × unpins one. They stay while you change pages"
                " and runs, and are in the link."
            ),
        )
        if len(found) > PLOTTED:
            st.caption(f"{len(found)} are pinned; figures show the first {PLOTTED}.")
        if state.page_shown() != "Neurons":
            st.page_link("pages/neurons.py", label="Compare them", icon=":material/compare_arrows:")
    pin_sets.show(context, entries)


def _removed() -> None:
    url.put_pins(st.session_state[_KEY])


def pinned_rows(table: pd.DataFrame, run: str) -> list[int]:
    """Places in a table with columns layer and neuron (of one run) of the neurons that are pinned."""
    pins = set(url.pins())
    keys = zip(table["layer"].astype(int), table["neuron"].astype(int), strict=True)
    return [place for place, (layer, neuron) in enumerate(keys) if Pin(run, layer, neuron) in pins]


def pick(listed: Sequence[Pin], wanted: Sequence[Pin], find: str | None = None) -> None:
    """Of the neurons that are listed pin those that are wanted and no others; what is not listed stays.
    `find`: what the search line then holds, if it is empty.
    """
    remaining = [pin for pin in url.pins() if pin not in listed or pin in wanted]
    everything = [*remaining, *(pin for pin in wanted if pin not in remaining)]
    keys: dict[str, object | None] = {"pin": ",".join(map(url.write_pin, everything)) or None}
    url.put_all(keys | ({"find": find} if find and not url.get("find") else {}))


def pick_rows(table: pd.DataFrame, run: str, chosen: Sequence[int]) -> None:
    """Make the table's neurons pinned that are chosen, the others of the table not; what is not in the table
    stays.
    """
    here = [
        Pin(run, int(layer), int(neuron))
        for layer, neuron in zip(table["layer"], table["neuron"], strict=True)
    ]
    pick(here, [here[place] for place in chosen])
