"""The address: what it holds, what is cut, what is refused, and text of a run that is shown as it is."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import streamlit as st
from shown import query, texts
from streamlit.testing.v1 import AppTest

from pages.shell.session import url
from pages.shell.session.url import Pin


class Params(dict[str, str]):
    """The query outside of an app. sent: what it was set to, one after the other."""

    sent: ClassVar[list[dict[str, str]]] = []
    to_dict = dict.copy

    def from_dict(self, values: dict[str, str]) -> None:
        self.sent.append(dict(values))
        self.clear()
        self.update(values)


def script() -> None:
    """Draws the choice and the span of steps, and leaves what it found in the session."""
    import streamlit as st

    from pages.shell.session import url

    url.sync()
    found = st.session_state
    found["choice"] = url.choice(st.selectbox, "Letter", ["a", "b", "c"], "layer", "a")
    found["span"] = url.span(*found["ends"])
    found["pins"], found["unread"] = url.pins(), url.unread_pins()
    for item in found.get("toggle", []):
        url.toggle_pin(*item)
    found["toggle"] = []


def context(ends: tuple[int, int] = (20, 100), **keys: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=30)
    app.session_state["ends"] = ends
    for key, value in keys.items():
        app.query_params[key.rstrip("_")] = value
    return app.run()


def address(app: AppTest) -> dict[str, str]:
    return {key: query(app, key) for key in app.query_params}


def test_a_choice_stands_in_the_address_and_the_default_does_not() -> None:
    app = context()
    assert (app.session_state["choice"], address(app)) == ("a", {})
    app.selectbox[0].set_value("b").run()
    assert (app.session_state["choice"], address(app)) == ("b", {"layer": "b"})
    app.selectbox[0].set_value("a").run()
    assert (app.session_state["choice"], address(app)) == ("a", {})


def test_a_choice_that_is_none_is_told_once_and_falls_back() -> None:
    app = context(layer="z")
    assert app.session_state["choice"] == "a"
    assert "The link asks for letter “z”, which is unknown here. Shown instead: a." in texts(app)
    assert address(app) == {}
    assert not app.run().warning


def fields() -> None:
    """Draws tabs and a text field, whose content removes the number of a page."""
    import streamlit as st

    from pages.shell.session import url

    url.sync()
    found = st.session_state
    for name, tab in zip(("one", "two", "three"), url.tabs("detail", ["one", "two", "three"]), strict=True):
        tab.write(f"what {name} says")
    found["text"] = url.text("Find", "find", clears=("count", "earlier"))


def of_fields(**keys: str) -> AppTest:
    app = AppTest.from_function(fields, default_timeout=30)
    for key, value in keys.items():
        app.query_params[key] = value
    return app.run()


def open_tab(app: AppTest) -> int:
    """Place of the tab that a browser opens."""
    [container] = app.get("tab_container")
    return int(container.proto.tab_container.default_tab_index)


@pytest.mark.parametrize(("detail", "opened"), [("", 0), ("one", 0), ("two", 1), ("three", 2)])
def test_the_tab_of_the_address_is_open_and_the_first_without_one(detail: str, opened: int) -> None:
    app = of_fields(**({"detail": detail} if detail else {}))
    assert not app.warning
    assert open_tab(app) == opened


def test_a_tab_that_is_none_is_told_once_and_the_first_is_open() -> None:
    app = of_fields(detail="four")
    assert "The link asks for the tab “four”, which is unknown here. Shown instead: one." in texts(app)
    assert open_tab(app) == 0
    assert address(app) == {}
    assert not app.run().warning


def test_another_tab_stands_in_the_address_and_the_first_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a browser does when a tab is clicked: it sets the tabs' value, and the page is told."""
    told: list[Any] = []
    monkeypatch.setattr(st, "query_params", Params(run="one"))
    monkeypatch.setattr(st, "session_state", {})
    monkeypatch.setattr(st, "tabs", lambda names, *, key, on_change, default: told.append((key, on_change)))
    for chosen, expected in (("two", "two"), ("three", "three"), ("one", None)):
        url.tabs("detail", ["one", "two", "three"])
        key, changed = told[-1]
        st.session_state[key] = chosen
        changed()
        assert st.query_params.get("detail") == expected


def test_a_text_stands_in_the_address_without_its_spaces_and_clears_what_it_is_to() -> None:
    app = of_fields(find="kl>0", count="7", run="one")
    assert (app.text_input[0].value, app.session_state["text"]) == ("kl>0", "kl>0")
    app.text_input[0].set_value("  mean<1 ").run()
    assert app.session_state["text"] == "mean<1"
    assert address(app) == {"find": "mean<1", "run": "one"}
    app.text_input[0].set_value(" ").run()
    assert app.session_state["text"] == ""
    assert address(app) == {"run": "one"}


@pytest.mark.parametrize(
    ("keys", "span", "kept"),
    [
        ({}, (20, 100), {}),
        ({"from": "30", "to": "50"}, (30, 50), {"from": "30", "to": "50"}),
        ({"from": "5", "to": "50"}, (20, 50), {"from": "5", "to": "50"}),  # of a longer run beside this one
        ({"to": "5000"}, (20, 100), {"to": "5000"}),
        ({"from": "20"}, (20, 100), {"from": "20"}),
    ],
)
def test_a_span_is_cut_to_the_run_and_stays_as_it_was_asked_for(
    keys: dict[str, str], span: Any, kept: Any
) -> None:
    app = context(**keys)
    assert app.session_state["span"] == span
    assert address(app) == kept
    assert not app.warning


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ({"from": "50", "to": "50"}, "steps “50 to 50”"),
        ({"from": "60", "to": "50"}, "steps “60 to 50”"),
        ({"from": "1000"}, "steps “1,000 to 100”"),
        ({"to": "3"}, "steps “20 to 3”"),
        ({"from": "first"}, "from step “first”"),
        ({"to": "-3"}, "to step “-3”"),
    ],
)
def test_a_span_that_holds_nothing_is_told_and_forgotten(keys: dict[str, str], asked: str) -> None:
    app = context(**keys)
    assert app.session_state["span"] == (20, 100)
    assert asked in texts(app)
    assert address(app) == {}


def test_ends_of_a_span_stay_out_of_the_address() -> None:
    app = context()
    assert not app.button
    app.slider[0].set_value((30, 100)).run()
    assert address(app) == {"from": "30"}
    assert [button.label for button in app.button] == ["Show all steps"]
    app.slider[0].set_value((20, 60)).run()
    assert address(app) == {"to": "60"}
    app.button(key="show_all_steps").click().run()
    assert address(app) == {}
    assert app.session_state["span"] == (20, 100)
    assert not app.button


def test_a_run_of_one_step_has_nothing_to_choose() -> None:
    app = context((7, 7))
    assert app.session_state["span"] == (7, 7)
    assert not app.slider


def test_pins_in_either_form_once_each_and_what_is_none() -> None:
    app = context(run="my run", pin="0.17,1:17,other:2:5,my%20run/1:17,,x,1.2.3,other/3:5,:1:2,a:b:c")
    assert app.session_state["pins"] == [Pin("my run", 0, 17), Pin("other", 2, 5)]
    assert app.session_state["unread"] == ["x", "1.2.3", ":1:2", "a:b:c"]


def test_a_pin_is_toggled_of_the_run_that_is_shown_or_of_another() -> None:
    app = context(run="one")
    for toggled, expected in (
        ([(0, 3)], "one/1:3"),
        ([(1, 4, "a:b,c")], "one/1:3,a%3Ab%2Cc/2:4"),
        ([(0, 3)], "a%3Ab%2Cc/2:4"),
        ([(1, 4, "one")], "a%3Ab%2Cc/2:4,one/2:4"),
    ):
        app.session_state["toggle"] = toggled
        app.run()
        assert query(app, "pin") == expected
    app.session_state["toggle"] = [(1, 4, "a:b,c"), (1, 4)]
    app.run()
    assert "pin" not in app.query_params


@pytest.mark.parametrize("run", ["plain", "a:b", "a,b", "50%", "a b", "%3A", "µ", "../x"])
def test_a_pin_is_read_as_it_is_written(run: str) -> None:
    pin = Pin(run, 3, 12)
    written = url.write_pin(pin)
    assert "," not in written
    assert url.read_pin(written, "other") == pin
    assert url.read_pin("4:12", run) == pin


@pytest.mark.parametrize("old", ["3.12", "a%20b:3:12"])
def test_links_of_earlier_versions_count_layers_from_0(old: str) -> None:
    assert url.read_pin(old, "a b") == Pin("a b", 3, 12)
    assert url.write_pin(Pin("a b", 3, 12)) == "a%20b/4:12"


@pytest.mark.parametrize(
    "item",
    [
        "",
        "3",
        "3.x",
        "x.3",
        "a:1",
        "a:1:2:3",
        "a:-1:2",
        "a:1:²",
        ":1:2",
        "1.2.3",
        "a/0:1",
        "/1:2",
        "0:1",
        "a/1",
    ],
)
def test_what_is_no_pin(item: str) -> None:
    assert url.read_pin(item, "run") is None


def test_a_neuron_without_a_run_is_none_where_no_run_is_shown() -> None:
    assert url.read_pin("3.12", "") is None


def test_text_of_a_run_is_one_line_without_markdown_or_links() -> None:
    assert url.plain(" **b**\n\t_i_ ") == r"\*\*b\*\* \_i\_"
    for link in ("https://x.example", "HTTPS://x.example", "www.x.example", "me@x.example"):
        shown = url.plain(link)
        assert "\u2060" in shown
        assert shown.replace("\\", "").replace("\u2060", "") == link
    assert url.plain(3) == "3"


def test_several_keys_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, str]] = []
    monkeypatch.setattr(Params, "sent", sent)
    monkeypatch.setattr(st, "query_params", Params(run="one", step="3", find="kl>0"))
    monkeypatch.setattr(st, "session_state", {"_url": {"find": "kl>0"}})
    url.put_all({"find": None, "neurons": "1:2", "step": 4})
    assert sent == [{"run": "one", "step": "4", "neurons": "1:2"}]
    assert st.session_state["_url"] == {"neurons": "1:2", "step": "4"}
    url.put_all({"neurons": "1:2", "find": None})
    assert len(sent) == 1  # nothing has changed


def test_an_address_that_holds_all_that_was_chosen_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one with a key of Streamlit's own."""
    sent: list[dict[str, str]] = []
    monkeypatch.setattr(Params, "sent", sent)
    monkeypatch.setattr(st, "session_state", {"_url": {"run": "one"}})
    monkeypatch.setattr(st, "query_params", Params(run="one", step="3", embed="true"))
    url.sync()
    assert sent == []
    assert st.session_state["_url"] == {"run": "one", "step": "3"}


def test_a_link_to_another_run_forgets_what_names_parts_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved = {"run": "one", "step": "3", "layer": "layer 2", "neurons": "1:2", "find": "kl>0", "pin": "1:4"}
    monkeypatch.setattr(st, "session_state", {"_url": dict(saved)})
    monkeypatch.setattr(st, "query_params", Params(run="two", step="7"))
    url.sync()
    assert st.query_params == {"run": "two", "step": "7", "find": "kl>0", "pin": "one/1:4"}
    monkeypatch.setattr(st, "session_state", {"_url": dict(saved)})
    monkeypatch.setattr(st, "query_params", Params(run="one"))
    url.sync()
    assert st.query_params == saved


def test_another_run_is_one_message_to_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """It forgets what names parts of the one before, and keeps the pins with the name of theirs."""

    def another() -> None:
        import streamlit as st

        from pages.shell.session import url

        if st.session_state.get("to"):
            url.show_run(st.session_state["to"])

    app = AppTest.from_function(another)
    before = {"run": "one", "step": "5", "layer": "b", "neurons": "1:2", "pin": "1:17", "scale": "log"}
    for key, value in before.items():
        app.query_params[key] = value
    app.run()
    sent = []
    replace = type(st.query_params).from_dict
    monkeypatch.setattr(
        type(st.query_params), "from_dict", lambda self, keys: sent.append(keys) or replace(self, keys)
    )
    app.session_state["to"] = "two"
    app.run()
    assert not app.exception
    assert sent == [{"run": "two", "pin": "one/1:17", "scale": "log"}]
    assert address(app) == sent[0]
