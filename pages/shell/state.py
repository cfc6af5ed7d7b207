"""The frame of every page: navigation guard, run picker, page header, empty states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from pages.shell import reading, url

ICON = Path(__file__).with_name("icon.svg")
_STYLE = Path(__file__).with_name("frame.css")
DEFAULT_PAGE = "replay"
LAYERS_NAMED = 3  # in a caption; more would not fit a line
SIDEBAR = 288  # pixels: as narrow as its widest control allows
PAGES = (
    ("runs", "Runs", "folder_open"),
    ("overview", "Overview", "monitor_heart"),
    ("replay", "Replay", "play_circle"),
    ("layers", "Layers", "stacks"),
    ("neurons", "Neurons", "scatter_plot"),
    ("uncertainty", "Uncertainty", "blur_on"),
    ("persistence", "Persistence", "timeline"),
    ("probes", "Probes", "experiment"),
    ("reference", "Reference", "menu_book"),
)
"""File stem, title and icon of each page, in the order of the navigation."""

_ROUTED, _PAGE, _ENTERED = "_routed", "_page", "_entered"

STATUS = {
    "running": ("live", "green", "sensors"),
    "finished": ("finished", "gray", "check"),
    "interrupted": ("interrupted", "orange", "pause"),
    "crashed": ("crashed", "red", "error"),
}
"""A run's status -> word, badge colour, icon."""


def run_page(page: Any) -> None:
    """Run a page inside the frame."""
    st.session_state[_ROUTED] = True
    st.session_state[_ENTERED] = st.session_state.get(_PAGE) != page.title
    st.session_state[_PAGE] = page.title
    try:
        url.sync()
        st.html(_STYLE)
        page.run()
    except reading.RunError as error:  # a damaged file is met when a card asks for it
        st.error(f"This run cannot be read further: {url.plain(error)}. Choose another in the sidebar.")
    finally:
        st.session_state[_ROUTED] = False


def guard() -> None:
    """First call of every page. A page that Streamlit ran on its own is handed over to the navigation.

    Beside a folder called `pages`, a server that has not yet run app.py runs a page's file directly when its URL is
    the first one asked for. Then app.py takes over, and this run of the page ends.
    """
    if not st.session_state.get(_ROUTED):
        import app

        app.main()
        st.stop()


def entered() -> bool:
    """Whether this run of the app is the first on its page, coming from another."""
    return bool(st.session_state.get(_ENTERED))


@dataclass(frozen=True)
class Opened:
    """The run that a page shows: its entry in the catalog, the reader, and the stamp that caches key on."""

    entry: reading.Entry
    run: Any
    stamp: reading.Stamp

    @property
    def layers(self) -> list[dict[str, Any]]:
        return list(self.run.layers)

    @property
    def names(self) -> list[str]:
        return [str(layer["name"]) for layer in self.run.layers]


def sidebar() -> None:
    """The run picker on pages that show no single run, so that the frame stays the same."""
    if reading.entries():
        _picker(reading.entries())


def _picker(entries: dict[str, reading.Entry]) -> reading.Entry:
    latest = next(iter(entries))
    asked = url.get("run")
    if asked not in entries:
        if asked is not None:
            st.warning(
                f"The link asks for the run “{url.plain(asked)}”, which is in no folder of runs. Shown: {url.plain(latest)}."
            )
            _forget_run()
        url.put("run", latest)
    st.session_state["choose_run"] = url.get("run")

    def changed() -> None:
        _forget_run()
        url.put("run", st.session_state["choose_run"])

    return entries[str(st.sidebar.selectbox("Run", list(entries), key="choose_run", on_change=changed))]


def _forget_run() -> None:
    """What names parts of one run means nothing in another; pinned neurons name their run and stay."""
    url.put_pins(url.pins())
    for key in ("step", "layer", "neurons", "from", "to", "input"):
        url.put(key, None)


def pick_run() -> Opened:
    """The run picker and the pinned neurons in the sidebar.

    Ends the page with an explanation when there is no run, or it cannot be read.
    """
    from pages.shell import live, tray

    entries = reading.entries()
    if not entries:
        no_runs()
        st.stop()
    entry = _picker(entries)
    try:
        run, stamp = reading.open_run(entry)
    except reading.RunError as error:
        st.error(f"This run cannot be read: {url.plain(error)}. Choose another in the sidebar.")
        st.stop()
    opened = Opened(entry, run, stamp)
    with st.sidebar:
        live.follow(opened)
    tray.show(opened)
    return opened


def another_run(name: str) -> Opened | None:
    """A run beside the one that is shown; None if there is none of this name, or it cannot be read."""
    entry = reading.entries().get(name)
    if entry is None:
        return None
    try:
        run, stamp = reading.open_run(entry)
    except reading.RunError:
        return None
    return Opened(entry, run, stamp)


def no_runs() -> None:
    """What to do when there is nothing to show."""
    from pages.shell import options

    st.subheader("No run yet")
    folders = ", ".join(f"`{str(folder).replace('`', '')}`" for folder in options.run_folders())
    st.markdown(f"Looked in {folders}. A run is a folder with a `run.json` in it. Make one, then reload this page:")
    st.code("make train\npython -m vdn train --data nyc --neurons 256", language="bash")
    st.markdown("Watching your own network? `probes.Recorder` writes the same log from any training loop.")


SHARED = {"weights": "posteriors over weights, not activations", "shared variables": "posteriors of variables, not activations"}
"""What a watched layer may be of instead of activations, in words."""


def header(title: str, opened: Opened, caption: str, step: int | None = None) -> None:
    """Page title with the run's name and state, and one line that says what is seen."""
    word, colour, icon = STATUS.get(opened.run.status, (opened.run.status, "gray", "help"))
    badges = [f":{colour}-badge[:material/{icon}: {word}]"]
    if step is not None:
        badges.append(f":gray-badge[step {step:,}]")
    beta = opened.run.config.get("beta")
    if isinstance(beta, int | float):
        badges.append(f":blue-badge[β = {beta:g}]")
    shared = {kind: [str(layer["name"]) for layer in opened.layers if layer.get("of") == kind] for kind in SHARED}
    badges += [f":violet-badge[{kind}]" for kind, names in shared.items() if names]
    with st.container(gap="xsmall"):
        st.markdown(f"## {title} · {url.plain(opened.entry.name)} {' '.join(badges)}")
        st.caption(caption)
        for kind, names in shared.items():
            if names:
                listed = ", ".join(map(url.plain, names[:LAYERS_NAMED])) + (" and others" if len(names) > LAYERS_NAMED else "")
                st.caption(
                    f"{listed}: {SHARED[kind]}. They are the same for every input, so that spread and information are 0 and "
                    "“frozen” is how they should end: look at contraction and KL."
                )


def cursor(opened: Opened) -> int | None:
    """The step that all pages look at: the recorded one at or before the URL's, else the last; None if nothing is recorded."""
    steps = opened.run.steps
    asked = url.get("step")
    if len(steps) == 0:
        return _last_scalar(opened)
    if asked is None or not asked.isdecimal():
        if asked is not None:
            url.unknown("step", asked, f"step {int(steps[-1]):,}")
            url.put("step", None)
        return int(steps[-1])
    return reading.recorded_step(steps, int(asked))


def _last_scalar(opened: Opened) -> int | None:
    """A twin records no neurons: its last step is that of its last score."""
    steps = opened.run.scalars()["step"]
    return int(steps.max()) if len(steps) else None


def chosen_neuron(opened: Opened) -> tuple[int, int] | None:
    """The neuron that is looked at, (layer, neuron): the first of `neurons` in the URL."""
    first = (url.get("neurons") or "").split(",")[0]
    if not first:
        return None
    layer, _, neuron = first.partition(".")
    if layer.isdecimal() and neuron.isdecimal() and exists(opened, int(layer), int(neuron)):
        return int(layer), int(neuron)
    url.unknown("neuron", first, "none")
    url.put("neurons", None)
    return None


def pinned(opened: Opened) -> list[tuple[int, int]]:
    """The pinned neurons of this run, (layer, neuron)."""
    return [(pin.layer, pin.neuron) for pin in url.pins() if pin.run == opened.entry.name and exists(opened, *pin[1:])]


def exists(opened: Opened, layer: int, neuron: int) -> bool:
    """Whether the run has this neuron."""
    return layer < len(opened.layers) and neuron < opened.layers[layer]["neurons"]


def has_distributions(opened: Opened) -> bool:
    """Whether the run has means and variances of neurons."""
    return len(opened.run.steps) > 0 and {"mean", "variance"} <= set(opened.run.statistics)


def say_no_distributions() -> None:
    """Why there is nothing to see of neurons."""
    st.info(
        "This run holds no distributions: it is a deterministic twin, or its recorder was given no means and variances. "
        "Its scores are on Overview and Runs; choose another run in the sidebar to see neurons."
    )


def needs_steps(opened: Opened) -> None:
    """Ends the page with the reason when nothing at all is recorded yet."""
    if cursor(opened) is None:
        running = opened.run.status == "running"
        why = "The first steps appear within seconds: reload then." if running else "It ended before its first flush."
        st.info(f"Nothing is written in this run yet. {why}")
        st.stop()


def needs_distributions(opened: Opened) -> None:
    """Ends the page with the reason when the run has nothing to show on it."""
    needs_steps(opened)
    if not has_distributions(opened):
        say_no_distributions()
        st.stop()


def link_to_reference() -> None:
    """Where every number is explained."""
    st.page_link("pages/reference.py", label="What do these numbers mean?", icon=":material/menu_book:")
