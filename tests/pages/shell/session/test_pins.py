"""Pinned neurons in the URL."""

from __future__ import annotations

import pandas as pd
import pytest
import streamlit as st

from pages.shell.session import pins, url


class Query(dict[str, str]):
    """Stands for Streamlit's query parameters."""

    to_dict = dict.copy

    def from_dict(self, values: dict[str, str]) -> None:
        self.clear()
        self.update(values)


def test_ticked_rows_are_pinned_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "query_params", Query(run="a b", pin="1:7,other:0:1,other/1:1,a%20b/2:2"))
    monkeypatch.setattr(st, "session_state", {})
    table = pd.DataFrame({"layer": [0, 0, 1], "neuron": [7, 8, 2]})
    assert url.pins() == [("a b", 0, 7), ("other", 0, 1), ("a b", 1, 2)]
    assert pins.pinned_rows(table, "a b") == [0, 2]
    pins.pick_rows(table, "a b", [1, 2])
    assert url.pins() == [("other", 0, 1), ("a b", 1, 2), ("a b", 0, 8)]
    url.toggle_pin(0, 8)
    assert url.get("pin") == "other/1:1,a%20b/2:2"
    monkeypatch.setitem(st.query_params, "pin", "x,0.1.2,:1:2,a:b:c,1.a,a,b:0:1")
    assert url.pins() == [("b", 0, 1)]
    assert len(url.unread_pins()) == 6
