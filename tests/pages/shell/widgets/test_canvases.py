"""A canvas sends its cursor when its page has just been left: nothing is broken, nothing is moved."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def page() -> None:
    import streamlit as st

    from pages.shell.widgets import canvases

    called = st.session_state.setdefault("called", [])
    late = canvases._if_mounted("a canvas", lambda: called.append(st.session_state["a canvas"]["cursor"]))
    late()
    st.session_state["a canvas"] = {"cursor": 7}
    late()


def test_a_trigger_of_a_canvas_that_is_gone_is_left_alone() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception
    assert app.session_state["called"] == [7]
