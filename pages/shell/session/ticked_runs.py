"""The runs that are ticked on the page Runs, in the order of ticking: `ticked` in the URL, names
percent-encoded.

More than a link can hold (all of a thousand, to archive them) are kept for the session alone.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from urllib.parse import quote, unquote

import streamlit as st

from pages.shell.session import url

MOST = 24  # in the URL
_MANY = "_ticked_runs"  # session: those that are too many for it


def ticked() -> list[str]:
    """Names of the ticked runs."""
    named = [unquote(item) for item in (url.get("ticked") or "").split(",") if item]
    return list(dict.fromkeys(named or st.session_state.get(_MANY, ())))


def put(names: Sequence[str], **also: str | None) -> None:
    """Tick exactly these; `also` are further keys of the URL that change with it."""
    in_url = len(names) <= MOST
    st.session_state[_MANY] = [] if in_url else list(names)
    written = ",".join(quote(name, safe="") for name in names) or None
    url.put_all({"ticked": written if in_url else None, **also})


def pick(shown: Sequence[str], places: Iterable[int]) -> None:
    """Tick, of the runs that a table shows, those at these places; what it does not show stays as it is."""
    now = [shown[place] for place in places if place < len(shown)]
    kept = _kept(ticked(), set(shown), set(now))
    put([*kept, *(name for name in now if name not in kept)])


def _kept(before: Sequence[str], shown: Container[str], now: Container[str]) -> list[str]:
    return [name for name in before if name not in shown or name in now]


def known(everything: Container[str]) -> list[str]:
    """The ticked runs that there are. Those that are not are told once, and unticked."""
    names = ticked()
    found = [name for name in names if name in everything]
    missing = [name for name in names if name not in everything]
    if missing:
        st.warning(f"Ticked in the link, but in no folder of runs: {url.plain(', '.join(missing))}.")
        put(found)
    return found
