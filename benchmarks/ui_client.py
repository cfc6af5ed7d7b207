"""A session of the dashboard without a browser: it speaks the server's own protocol and draws nothing.

A browser that draws on the same two cores would be measured with the server. What a person can change is
changed as the
browser does it: the state of all widgets is sent, with the fragment that the changed one is in, or the query
of the URL. Private to Streamlit is the protocol (`streamlit.proto`), so that a new version of it may ask for
changes here.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

from benchmarks.ui_server import Server

ANSWER_SECONDS = 60
# `global.maxCachedMessageAge`: the browser offers large messages of so many runs, which are not sent again
REMEMBERED_RUNS = 2
LABELLED = ("selectbox", "button_group", "text_input", "multiselect", "select_slider", "slider", "checkbox")
"""Kinds of widgets that are found by their label."""


@dataclass
class Answer:
    """What one change cost: wall seconds until the last message, the server's CPU seconds, bytes of all
    messages.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    size: int = 0
    payloads: dict[str, int] = field(default_factory=dict)
    """Bytes of each canvas component's payload that was sent, by the component's name."""


@dataclass
class _Widget:
    kind: str
    proto: Any
    fragment: str


class ClientError(RuntimeError):
    """The page did not do what was asked: an exception in it, a widget that is not there, no answer."""


class Client:
    """One session on `server`, on one page; a context manager that ends it.

    page: path of the page, "" for the default one. query: of the URL.
    """

    def __init__(self, server: Server, page: str, **query: str | int) -> None:
        self.server, self.page = server, page
        self.query = {key: str(value) for key, value in query.items()}
        self._hash = ""
        self._widgets: dict[str, _Widget] = {}
        self._states: dict[str, WidgetState] = {}
        self._large: dict[str, tuple[int, ForwardMsg]] = {}  # by hash: the run in which it was last shown
        self._runs = 0
        address = server.address.replace("http", "ws") + "/_stcore/stream"
        self._socket = connect(address, subprotocols=["streamlit"], max_size=None, compression=None)  # type: ignore[list-item]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def open(self) -> Answer:
        """The page for the first time."""
        return self._run()

    def go(self, **query: str | int) -> Answer:
        """The same page with other values in the URL, as when the cursor or the pins came from another
        page.
        """
        self.query |= {key: str(value) for key, value in query.items()}
        return self._run()

    def choose(self, label: str, value: str) -> Answer:
        """Choose an option by its text, or fill a text field."""
        widget = self._find(label)
        state = WidgetState(id=widget.proto.id)
        if widget.kind == "button_group":
            state.string_array_value.data.append(value)
        else:
            state.string_value = value
        return self._change(widget, state)

    def options(self, label: str) -> list[str]:
        """Texts that `choose` takes."""
        widget = self._find(label)
        if widget.kind == "button_group":
            return [option.content for option in widget.proto.options]
        return list(widget.proto.options)

    def tick(self, rows: list[int]) -> Answer:
        """Tick exactly these rows of the page's first table that has ticks."""
        tables = [w for w in self._widgets.values() if w.kind == "dataframe"]
        if not tables:
            raise ClientError(f"no table to tick on the page {self.page!r}")
        widget = tables[0]
        state = WidgetState(id=widget.proto.id)
        state.string_value = json.dumps({"selection": {"rows": rows, "columns": [], "cells": []}})
        return self._change(widget, state)

    def trigger(self, component: str, event: str, value: Any) -> Answer:
        """What a canvas component sends: `pick` or `cursor`."""
        found = [
            w
            for w in self._widgets.values()
            if w.kind == "bidi_component" and w.proto.component_name.endswith(component)
        ]
        if not found:
            raise ClientError(f"no component {component!r} on the page {self.page!r}")
        state = WidgetState(id=f"$$STREAMLIT_INTERNAL_KEY_{found[0].proto.id}__events")
        state.json_trigger_value = json.dumps([{"event": event, "value": value}])
        return self._change(found[0], state, once=True)

    def _find(self, label: str) -> _Widget:
        found = [w for w in self._widgets.values() if w.kind in LABELLED and w.proto.label == label]
        if not found:
            known = sorted(w.proto.label for w in self._widgets.values() if w.kind in LABELLED)
            raise ClientError(f"no widget {label!r} on the page {self.page!r}; it has {known}")
        return found[-1]

    def _change(self, widget: _Widget, state: WidgetState, once: bool = False) -> Answer:
        self._states[state.id] = state
        answer = self._run(widget.fragment)
        if once:
            del self._states[state.id]
        return answer

    def _run(self, fragment: str = "") -> Answer:
        """Ask for one run of the script, and wait for its last message."""
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string = urlencode(self.query)
        asked.page_script_hash, asked.page_name = self._hash, "" if self._hash else self.page
        asked.fragment_id = fragment
        asked.widget_states.widgets.extend(self._states.values())
        self._runs += 1
        self._large = {
            key: kept for key, kept in self._large.items() if self._runs - kept[0] <= REMEMBERED_RUNS
        }
        asked.cached_message_hashes.extend(self._large)
        if not fragment:
            self._widgets = {}
        answer = Answer()
        cpu, began = self.server.cpu(), time.perf_counter()
        self._socket.send(message.SerializeToString())
        while True:
            try:
                data = self._socket.recv(timeout=ANSWER_SECONDS)
            except TimeoutError as error:
                raise ClientError(
                    f"the page {self.page!r} did not finish within {ANSWER_SECONDS} s"
                ) from error
            answer.seconds = time.perf_counter() - began
            answer.size += len(data)
            reply = ForwardMsg.FromString(data)
            if self._read(reply, answer):
                answer.cpu = self.server.cpu() - cpu
                return answer

    def _read(self, reply: ForwardMsg, answer: Answer) -> bool:
        """Take in one message; whether it is the last."""
        kind = reply.WhichOneof("type")
        if kind == "ref_hash":
            reply = self._large[reply.ref_hash][1]
            # it was not sent, so that its payload does not count
            kind, answer = reply.WhichOneof("type"), Answer()
        if reply.metadata.cacheable:
            self._large[reply.hash] = (self._runs, reply)
        if kind == "script_finished":
            return reply.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        if kind == "new_session":
            self._hash = reply.new_session.page_script_hash
        elif kind == "navigation":
            self._hash = reply.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = dict(parse_qsl(reply.page_info_changed.query_string))
        elif kind == "delta" and reply.delta.WhichOneof("type") == "new_element":
            element = reply.delta.new_element
            name = str(element.WhichOneof("type"))
            proto = getattr(element, name)
            if name == "exception":
                raise ClientError(f"the page {self.page!r} shows {proto.type}:\n{self.server.log()}")
            if name == "bidi_component":
                answer.payloads[proto.component_name] = len(proto.bytes)
            if getattr(proto, "id", ""):
                self._widgets[proto.id] = _Widget(name, proto, reply.delta.fragment_id)
        return False
