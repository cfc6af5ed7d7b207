"""What a canvas knows it is not told again; what it does not know, or has forgotten since, it is."""

from __future__ import annotations

from typing import Any

import pytest
import streamlit as st

from pages.shell.session import canvas_sync, state


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", kept)
    return kept


def test_a_canvas_that_moved_itself_is_told_what_it_was_told() -> None:
    first = canvas_sync.to_send("map", ("run", "7"), 7)
    assert first[1] == 7
    canvas_sync.record("map", ("run", "9"))
    assert canvas_sync.to_send("map", ("run", "9"), 9) == first
    assert canvas_sync.to_send("map", ("run", "9"), 9) == first


def test_the_same_words_are_news_after_the_canvas_has_moved_on() -> None:
    first = canvas_sync.to_send("map", "7", 7)
    canvas_sync.record("map", "9")
    again = canvas_sync.to_send("map", "7", 7)
    assert again[1] == 7
    assert again[0] != first[0]


def test_a_page_that_is_entered_tells_what_is_so(session: dict[str, Any]) -> None:
    canvas_sync.to_send("map", "7", 7)
    canvas_sync.record("map", "9")
    state.enter("Layers")
    assert canvas_sync.to_send("map", "9", 9)[1] == 9


def test_canvases_are_told_apart() -> None:
    canvas_sync.to_send("map", "7", 7)
    canvas_sync.record("map", "9")
    assert canvas_sync.to_send("heat", "9", 9)[1] == 9
