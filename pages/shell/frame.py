"""The frame of every page: navigation and its guard, run picker, pinned neurons, header, empty states."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from pages.shell import no_runs
from pages.shell.session import cache, live, pins, runs, state, url
from pages.shell.session.runs import RunContext
from probes.analysis import assumptions, layer_families

_HERE = Path(__file__).parent
ICON = str(_HERE / "icon.svg")
_STYLE = _HERE / "frame.css"
_HISTORY = st.components.v2.component("frame_history", js=(_HERE / "frame.js").read_text())
_MENU = st.components.v2.component("frame_menu", js=(_HERE / "frame_menu.js").read_text())
_COPY_LINK = st.components.v2.component(
    "frame_copy_link",
    html='<button type="button" title="Copy the address of this view">Copy link</button>',
    css=(_HERE / "copy_link.css").read_text(),
    js=(_HERE / "copy_link.js").read_text(),
)
NO_RUN = "no other run"
MOVED = {"overview": "health", "probes": "experiments"}
"""Paths that pages had before -> file stem of the page that they lead to."""
LAYERS_NAMED = 3  # in a caption; more would not fit a line
BUTTONS = 3  # layers that fit the sidebar as buttons; more become a list
SIDEBAR = 288  # pixels: as narrow as its widest control allows

_ROUTED = "_routed"  # session: whether the page is run by the navigation

STATUS = {
    "running": ("live", "green", "sensors"),
    "finished": ("finished", "gray", "check"),
    "interrupted": ("interrupted", "orange", "pause"),
    "crashed": ("crashed", "red", "error"),
}
"""A run's status -> word, badge colour, icon."""


def main() -> None:
    """Draw what all pages share and run the page that was asked for, after a login where one is asked for."""
    st.set_page_config(
        page_title="Distributional neurons", page_icon=ICON, layout="wide", initial_sidebar_state=SIDEBAR
    )
    st.logo(ICON, size="large")
    shut = not st.user.get("is_logged_in", True)  # absent unless `[auth]` in Streamlit's secrets asks for it
    # the default page is served at /, and its own name is a link that people write: two pages of one file, of
    # which the menu shows, and so can mark, the one that the address names
    asked = urlsplit(st.context.url or "").path.rpartition("/")[2]
    named = asked == state.DEFAULT_PAGE
    pages = []
    for name, title, icon in state.PAGES:
        entry = partial(st.Page, _HERE.parent / f"{name}.py", title=title)
        shown: dict[str, Any] = {"icon": f":material/{icon}:"}
        if name == state.DEFAULT_PAGE:
            hidden: dict[str, Any] = {"visibility": "hidden"}
            pages.append(entry(default=True, url_path="start", **(hidden if named else shown)))
            pages.append(entry(url_path=name, **(shown if named else hidden)))
        else:
            pages.append(entry(**shown))
    if asked in MOVED:  # alone then: each answer of the server lists all pages
        lead = partial(st.switch_page, f"pages/{MOVED[asked]}.py")
        pages.append(st.Page(lead, title=MOVED[asked], url_path=asked, visibility="hidden"))
    page = st.navigation(pages, position="hidden" if shut else "top")
    if shut:
        st.subheader("Log in to see the dashboard")
        st.button("Log in", on_click=st.login, type="primary", key="log_in")
    else:
        run_page(page)


def run_page(page: StreamlitPage) -> None:
    """Run a page inside the frame."""
    st.session_state[_ROUTED] = True
    state.enter(page.title)
    try:
        st.html(_STYLE)
        _HISTORY(key="frame_history")
        url.sync()
        page.run()
    except runs.NoAnswerError as error:
        st.error(f"There is no run to show: {url.plain(error)}.")
        live.follow_silence()
    except runs.RunError as error:  # a damaged file is met when a card asks for it
        st.error(f"This run cannot be read further: {url.plain(error)}. Choose another in the sidebar.")
    finally:
        st.session_state[_ROUTED] = False


def guard() -> None:
    """First call of every page. A page that Streamlit ran on its own is handed over to the navigation.

    Beside a folder called `pages`, a server that has not yet run app.py runs a page's file directly when its
    URL is the first one asked for. Then the navigation takes over, and this run of the page ends.
    """
    if not st.session_state.get(_ROUTED):
        main()
        st.stop()


def sidebar() -> dict[str, runs.Entry]:
    """The run picker on pages that show no single run, so that the frame stays the same; returns all runs."""
    _MENU(key="frame_menu", data={"unfilled": {}})
    entries = runs.entries()
    if entries:
        _picker(entries)
    return entries


def _picker(entries: dict[str, runs.Entry]) -> runs.Entry:
    latest = next(iter(entries))
    asked = url.get("run")
    if asked not in entries:
        if asked is not None:
            st.warning(
                f"The link asks for the run “{url.plain(asked)}”, which is in no folder of runs. Shown:"
                f" {url.plain(latest)}."
            )
            url.show_run(latest)
        else:
            url.put("run", latest)
    st.session_state["choose_run"] = url.get("run")

    def changed() -> None:
        url.show_run(st.session_state["choose_run"])

    chosen = st.sidebar.selectbox("Run", list(entries), key="choose_run", on_change=changed)
    for why in runs.unanswered():
        st.sidebar.warning(url.plain(why))
    return entries[str(chosen)]


def pick_run() -> RunContext:
    """The run picker and the pinned neurons in the sidebar.

    Ends the page with an explanation when there is no run, or it cannot be read.
    """
    entries = runs.entries()
    if not entries:
        no_runs.show()
        st.stop()
    entry = _picker(entries)
    try:
        context = runs.open_run(entry)
    except runs.RunError as error:
        st.error(f"This run cannot be read: {url.plain(error)}. Choose another in the sidebar.")
        st.stop()
    with st.sidebar:
        live.follow(context)
        _choose_second(context, entries)
    pins.show(context, entries)
    _MENU(key="frame_menu", data={"unfilled": unfilled(context)})
    return context


def _choose_second(context: RunContext, entries: dict[str, runs.Entry]) -> None:
    """The control "Compare with", the same on every page; `vs` in the URL."""
    if url.get("vs") == context.entry.name:
        url.put("vs", None)
    names = [NO_RUN, *(name for name in entries if name != context.entry.name)]
    if len(names) > 1 or url.get("vs"):
        url.choice(st.selectbox, "Compare with", names, "vs", NO_RUN, what="the second run")


def compared(context: RunContext) -> RunContext | None:
    """The second run, which a page shows beside or over `context`; None if none is asked for, or it cannot be
    read, which is said.
    """
    name = url.get("vs")
    if name is None or name == context.entry.name:
        return None
    other = runs.another_run(name)
    if other is None:
        st.warning(f"{url.plain(name)} cannot be shown beside it: it cannot be read.")
    return other


def unfilled(context: RunContext) -> dict[str, str]:
    """Pages that this run cannot fill: path -> why."""
    if not state.has_distributions(context):
        why = "This run holds no distributions of neurons."
        return dict.fromkeys(("replay", "layers", "neurons", "sequence", "persistence"), why)
    found = {}
    if not len(cache.sequence_steps(context)):
        found["sequence"] = "This run holds no probe sequence."
    if "persistence" not in context.run.statistics:
        found["persistence"] = "This run has no order in its data: persistence was not recorded."
    return found


def choose_layer(context: RunContext, label: str, among: Sequence[int] | None = None) -> str:
    """A layer's name, chosen in the sidebar and kept in the URL. among: which can be chosen, by default
    all.
    """
    names = context.names if among is None else [context.names[layer] for layer in among]
    choose = partial(url.choice, label=label, options=names, key="layer", default=names[0])
    if len(names) <= BUTTONS:
        return choose(st.segmented_control, what="layer", required=True, format_func=url.plain)
    return choose(st.selectbox, what="layer")


def header(title: str, context: RunContext, caption: str, step: int | None = None) -> None:
    """Page title with the run's name and state, and one line that says what is seen."""
    word, colour, icon = STATUS.get(context.run.status, (context.run.status, "gray", "help"))
    st.set_page_config(page_title=f"{title} · {context.entry.name}")
    badges = [f":{colour}-badge[:material/{icon}: {word}]"]
    if step is not None:
        badges.append(f":gray-badge[step {step:,}]")
    beta = context.run.config.get("beta")
    if isinstance(beta, int | float):
        badges.append(f":blue-badge[β = {beta:g}]")
    shared = {
        kind: [str(layer["name"]) for layer in context.layers if layer.get("of") == kind]
        for kind in state.SHARED
    }
    badges += [f":violet-badge[{kind}]" for kind, names in shared.items() if names]
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            name = url.plain(context.entry.name)
            st.markdown(f"## {title} · {name} {' '.join(badges)}", width="stretch")
            _COPY_LINK(key="copy_link", width="content", height="content")
        st.caption(caption)
        if (families := layer_families.line(context.layers)) is not None:
            st.caption(url.plain(families))
        for kind, names in shared.items():
            if names:
                listed = ", ".join(map(url.plain, names[:LAYERS_NAMED])) + (
                    " and others" if len(names) > LAYERS_NAMED else ""
                )
                st.caption(
                    f"{listed}: {state.SHARED[kind]}. They are the same for every input, so that spread and"
                    " information are 0: look at contraction and KL."
                )
        for line in assumptions.lines(context.layers):
            st.caption(url.plain(line))


def say_no_distributions(context: RunContext) -> None:
    """Why there is nothing to see of neurons."""
    if why := assumptions.nothing_recorded(context.run.config):
        st.warning(f"The watch recorded nothing of the network: {url.plain(why)}")
        return
    st.info(
        "This run holds no distributions: it is a deterministic twin, or its recorder was given no means and"
        " variances. Its scores are on Health and Runs; choose another run in the sidebar to see neurons."
    )


def needs_steps(context: RunContext) -> int:
    """The cursor's step; ends the page with the reason when nothing at all is recorded yet."""
    step = state.cursor(context)
    if step is None and assumptions.nothing_recorded(context.run.config):
        say_no_distributions(context)
        st.stop()
    if step is None:
        running = context.run.status == "running"
        why = (
            "The first steps appear here by themselves, within seconds."
            if running
            else "It ended before its first flush."
        )
        st.info(f"Nothing is written in this run yet. {why}")
        st.stop()
    return step


def needs_distributions(context: RunContext) -> int:
    """The cursor's step; ends the page with the reason when the run has nothing to show on it."""
    step = needs_steps(context)
    if not state.has_distributions(context):
        say_no_distributions(context)
        st.stop()
    return step


def link_to_reference() -> None:
    """Where every number is explained."""
    st.page_link("pages/reference.py", label="What do these numbers mean?", icon=":material/menu_book:")
