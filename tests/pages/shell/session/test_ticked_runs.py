"""Ticks of runs: order of ticking, those a filter hides, more than a link holds."""

from __future__ import annotations

import pytest
import streamlit as st

from pages.shell.session import ticked_runs, url


class Query(dict[str, str]):
    """The URL's query, as Streamlit gives it."""

    def to_dict(self) -> dict[str, str]:
        return dict(self)

    def from_dict(self, query: dict[str, str]) -> None:
        self.clear()
        self.update(query)


@pytest.fixture(autouse=True)
def query(monkeypatch: pytest.MonkeyPatch) -> Query:
    found = Query(run="a", vs="b")
    monkeypatch.setattr(st, "query_params", found)
    monkeypatch.setattr(st, "session_state", {})
    return found


def test_ticks_are_kept_in_the_order_of_ticking(query: Query) -> None:
    ticked_runs.pick(["a", "b, c", "d"], [2])
    ticked_runs.pick(["a", "b, c", "d"], [1, 2])
    assert ticked_runs.ticked() == ["d", "b, c"]
    assert query == {"run": "a", "vs": "b", "ticked": "d,b%2C%20c"}


def test_what_a_table_does_not_show_stays_ticked() -> None:
    ticked_runs.put(["hidden", "a"])
    ticked_runs.pick(["a", "b"], [1])
    assert ticked_runs.ticked() == ["hidden", "b"]


def test_more_than_a_link_holds_are_kept_for_the_session(query: Query) -> None:
    many = [f"run{number}" for number in range(ticked_runs.MOST + 1)]
    ticked_runs.put(many)
    assert ticked_runs.ticked() == many
    assert "ticked" not in query
    ticked_runs.put(["one"])
    assert ticked_runs.ticked() == ["one"]
    ticked_runs.put([])
    assert ticked_runs.ticked() == []


def test_several_keys_change_in_one_assignment(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(Query, "from_dict", lambda self, new: calls.append(new))
    url.put_all({"run": None, "vs": "c", "ticked": "x"})
    assert calls == [{"vs": "c", "ticked": "x"}]
