"""A headless Chromium on the dashboard, and what passes between its pages and the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from find_browser import WAIT_MS
from playwright.sync_api import Browser, Page, WebSocket
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

WINDOW = {"width": 1440, "height": 900}


@dataclass
class Payload:
    """What a canvas component was sent: its bytes in all, and the header that says what the arrays are."""

    size: int
    header: dict[str, Any]


@dataclass
class Traffic:
    """Messages of one page's websocket, both ways, as they come."""

    messages: int = 0
    size: int = 0
    payloads: dict[str, Payload] = field(default_factory=dict)
    """The last one of each canvas component, by its name."""

    def sent(self, message: str | bytes) -> None:
        self.messages += 1
        self.size += len(message)

    def received(self, message: str | bytes) -> None:
        self.sent(message)
        reply = ForwardMsg.FromString(message)
        component = reply.delta.new_element.bidi_component
        if component.bytes:
            end = 4 + int.from_bytes(component.bytes[:4], "little")
            self.payloads[component.component_name] = Payload(
                len(component.bytes), json.loads(component.bytes[4:end])
            )


@contextmanager
def opened(browser: Browser) -> Iterator[tuple[Page, Traffic]]:
    """A page of a profile of its own, with an empty cache, and its traffic."""
    context = browser.new_context(viewport=WINDOW, color_scheme="dark")  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_MS)
    page, traffic = context.new_page(), Traffic()

    def connected(socket: WebSocket) -> None:
        socket.on("framesent", traffic.sent)
        socket.on("framereceived", traffic.received)

    page.on("websocket", connected)
    yield page, traffic
    context.close()
